// SPDX-License-Identifier: Apache-2.0
//! A running private httpd. Dropping it stops it, looks that nothing is left, and audits its logs.

use crate::census::{self, Census};
use crate::client::{Connection, Request};
use crate::ledger::{self, Entry, Ledger};
use crate::module::httpd_program;
use crate::python::Python;
use crate::response::Response;
use crate::site::{Mode, Site};
use crate::wait;
use std::cell::Cell;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const READY: &str = "resuming normal operations";
const PORT_TAKEN: &str = "Address already in use";

/// A running server.
pub struct Httpd {
    site: Site,
    root: PathBuf,
    port: u16,
    child: Child,
    ledger: Ledger,
    stopped: bool,
    /// Who was left when its parent process was killed.
    orphans: Option<Vec<(u32, Option<u64>)>>,
    keep: Option<String>,
    kept: String,
    _permit: Permit,
}

impl Httpd {
    pub(crate) fn start(site: &Site) -> Self {
        Self::try_start(site).unwrap_or_else(|said| panic!("httpd did not start:\n{said}"))
    }

    pub(crate) fn try_start(site: &Site) -> Result<Self, String> {
        let permit = Permit::take();
        let root = new_root();
        let mut said = String::new();
        for _ in 0..10 {
            let port = free_port();
            site.write(&root, port);
            match launch(site, &root, port) {
                Ok(child) => {
                    let (root, ledger) = (root.clone(), Ledger::default());
                    let (site, kept) = (site.clone(), String::new());
                    return Ok(Self {
                        site,
                        root,
                        port,
                        child,
                        ledger,
                        stopped: false,
                        orphans: None,
                        keep: None,
                        kept,
                        _permit: permit,
                    });
                }
                Err(text) if text.contains(PORT_TAKEN) => said = text,
                Err(text) => {
                    let _ = fs::remove_dir_all(&root);
                    return Err(text);
                }
            }
            let _ = fs::remove_dir_all(root.join("logs"));
        }
        let _ = fs::remove_dir_all(&root);
        Err(said)
    }

    /// Where its applications run.
    pub fn mode(&self) -> Mode {
        self.site.mode()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its temporary root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the folder of applications.
    pub fn app_path(&self, name: &str) -> PathBuf {
        self.root.join("apps").join(name)
    }

    /// Its parent process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its child processes that run.
    pub fn children(&self) -> Vec<u32> {
        census::children(self.pid()).into_iter().filter(|pid| census::is_running(*pid)).collect()
    }

    /// Counts what the parent process holds.
    pub fn census(&self) -> Census {
        Census::of(self.pid())
    }

    /// Starts an ordinary request.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.port, method, target)
    }

    /// Sends a GET.
    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target).send()
    }

    /// Opens a raw connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// The event will be in the log, at least once.
    pub fn expect(&self, number: u16) -> &Self {
        self.ledger.expect(number);
        self
    }

    /// An unnumbered warning or error with this text will be in the log, at least once.
    pub fn expect_text(&self, text: &str) -> &Self {
        self.ledger.expect_text(text);
        self
    }

    /// The event may be in the log.
    pub fn tolerate(&self, number: u16) -> &Self {
        self.ledger.tolerate(number);
        self
    }

    /// An unnumbered warning or error with this text may be in the log.
    pub fn tolerate_text(&self, text: &str) -> &Self {
        self.ledger.tolerate_text(text);
        self
    }

    /// Whatever is in the log is not what the test is about.
    pub fn tolerate_all(&self) -> &Self {
        crate::event::NUMBERS.iter().for_each(|number| self.ledger.tolerate(number.0));
        self.tolerate_text("")
    }

    /// Kills one of its children, and expects httpd to say so.
    pub fn kill_child(&self, pid: u32) {
        assert!(self.children().contains(&pid), "{pid} is not a child of this server");
        self.ledger.announce_killing();
        send_signal(pid, "KILL");
    }

    /// Kills its parent process, which can tell nobody. What is left of its family is killed when the guard goes.
    pub fn kill_parent(&mut self) {
        // So that it has no further child while its family is counted.
        send_signal(self.pid(), "STOP");
        let stat = format!("/proc/{}/stat", self.pid());
        wait::until_true("httpd stands still", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
        self.orphans = Some(self.family());
        send_signal(self.pid(), "KILL");
        self.child.wait().expect("httpd ends");
    }

    /// Its descendants, each with what tells it from a later process of the same number.
    fn family(&self) -> Vec<(u32, Option<u64>)> {
        census::descendants(self.pid()).into_iter().map(|pid| (pid, census::started(pid))).collect()
    }

    /// All log entries so far, of every log.
    pub fn log(&self) -> Vec<Entry> {
        ledger::read(&self.root.join("logs"))
    }

    /// The entries of one log, such as `error` or a virtual host's name.
    pub fn log_of(&self, name: &str) -> Vec<Entry> {
        ledger::read_file(&self.root.join("logs").join(format!("{name}.log")))
    }

    /// How often the event was logged so far.
    pub fn count(&self, number: u16) -> usize {
        self.log().iter().filter(|entry| entry.number == Some(number)).count()
    }

    /// Waits for a log line with this text.
    pub fn wait_for_log(&self, text: &str) -> Entry {
        wait::until(&format!("{text:?} in the log"), || self.log().into_iter().find(|entry| entry.line.contains(text)))
    }

    /// The lines that applications wrote to the journal (`@STATE@/journal`).
    pub fn journal(&self) -> Vec<String> {
        let text = fs::read(self.root.join("state/journal")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// Waits for a line of the journal that contains the text.
    pub fn wait_for_journal(&self, text: &str) -> String {
        wait::until(&format!("{text:?} in the journal"), || self.journal().into_iter().find(|line| line.contains(text)))
    }

    /// Opens a gate that applications wait for.
    pub fn open_gate(&self, name: &str) {
        fs::write(self.root.join("state").join(name), "").expect("a file");
    }

    /// Restarts gracefully and waits until the new configuration serves.
    pub fn graceful(&self) {
        self.signal_and_wait("USR1");
    }

    /// Restarts at once and waits until the new configuration serves.
    pub fn restart(&self) {
        self.settle(Duration::from_secs(2));
        self.signal_and_wait("HUP");
    }

    /// Waits a while until no connection is open: the event MPM closes the sockets of its workers when it is told to stop
    /// or restart, and complains or crashes when a worker does the same at that moment.
    fn settle(&self, patience: Duration) {
        let idle = || self.children().into_iter().all(|child| census::connections(child) == 0);
        wait::poll(patience, || idle().then_some(()));
    }

    fn signal_and_wait(&self, signal: &str) {
        let ready = || self.log().iter().filter(|entry| entry.line.contains(READY)).count();
        let before = ready();
        send_signal(self.pid(), signal);
        wait::until_true("httpd to come back", || ready() > before);
    }

    /// Replaces a file below the root.
    pub fn rewrite(&self, path: &str, content: &str) {
        let target = self.root.join(path);
        let draft = target.with_extension("draft");
        fs::write(&draft, Site::replace(content, &self.root, self.port)).expect("a file");
        fs::rename(draft, target).expect("a rename");
    }

    /// Ends the server by a signal to its parent. Gives the processes of its family that are still there five seconds after
    /// the parent; they are killed when the guard goes.
    pub fn end_by(&mut self, signal: &str) -> Vec<u32> {
        self.end_within(Duration::from_secs(5), signal)
    }

    /// The same for those that are there `aftermath` after the parent.
    pub fn end_within(&mut self, aftermath: Duration, signal: &str) -> Vec<u32> {
        let family = self.family();
        send_signal(self.pid(), signal);
        let ended = wait::poll(wait::PATIENCE, || self.child.try_wait().ok().flatten());
        assert!(ended.is_some(), "httpd did not end within {:?} after SIG{signal}", wait::PATIENCE);
        let left = || remaining(&family);
        wait::poll(aftermath, || left().is_empty().then_some(()));
        let left = left();
        self.orphans = Some(family);
        left
    }

    /// Stops the server now; dropping it does the same.
    pub fn finish(mut self) {
        self.stop();
    }

    /// Stops the server and gives the text of a file below its root.
    pub fn stop_and_read(mut self, path: &str) -> String {
        self.keep = Some(path.to_owned());
        self.stop();
        std::mem::take(&mut self.kept)
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        let mut complaints = match self.orphans.take() {
            None => self.end_processes(&self.family()),
            Some(orphans) => {
                remaining(&orphans).into_iter().for_each(|pid| send_signal(pid, "KILL"));
                Vec::new()
            }
        };
        if let Some(path) = self.keep.take() {
            self.kept = fs::read(self.root.join(path))
                .map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        }
        if self.site.module.is_ours() {
            complaints.extend(self.ledger.audit(&self.log()));
        }
        if thread::panicking() || !complaints.is_empty() {
            self.show();
            assert!(thread::panicking(), "at the end of the server:\n{}", complaints.join("\n"));
            eprintln!("{}", complaints.join("\n"));
        } else {
            let _ = fs::remove_dir_all(&self.root);
        }
    }

    fn end_processes(&mut self, family: &[(u32, Option<u64>)]) -> Vec<String> {
        let mut complaints = Vec::new();
        if let Ok(Some(status)) = self.child.try_wait() {
            complaints.push(format!("httpd's parent had already ended: {status}"));
        }
        self.settle(Duration::from_millis(500));
        send_signal(self.pid(), "TERM");
        let patience = if self.site.debugger.is_empty() { wait::PATIENCE } else { Duration::from_secs(180) };
        if wait::poll(patience, || self.child.try_wait().ok().flatten()).is_none() {
            complaints.push(format!("httpd did not stop within {patience:?}"));
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let left = || remaining(family);
        if wait::poll(Duration::from_secs(5), || left().is_empty().then_some(())).is_none() {
            complaints.push(format!("processes left behind: {:?}", left()));
            left().into_iter().for_each(|pid| send_signal(pid, "KILL"));
        }
        complaints
    }

    fn show(&self) {
        eprintln!("kept for inspection: {}", self.root.display());
        let log = self.log();
        for entry in log.iter().skip(log.len().saturating_sub(40)) {
            eprintln!("  | {}", entry.line);
        }
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who of these processes still exists.
fn remaining(family: &[(u32, Option<u64>)]) -> Vec<u32> {
    let remains = |(pid, start): &&(u32, Option<u64>)| start.is_some() && census::started(*pid) == *start;
    family.iter().filter(remains).map(|(pid, _)| *pid).collect()
}

/// Sends a signal to a process that this test started.
pub fn send_signal(pid: u32, signal: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {pid} 2>/dev/null")]).status();
    status.expect("a shell runs");
}

pub(crate) fn new_root() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Short, and not below TMPDIR, which httpd's user might not be able to reach.
    let root = PathBuf::from(format!("/tmp/mwrs-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    root
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Keeps the tester's Python settings and language out of httpd.
pub(crate) fn quiet(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PYTHON")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C");
}

fn launch(site: &Site, root: &Path, port: u16) -> Result<Child, String> {
    let output = File::create(root.join("logs/stderr.log")).expect("a file");
    let mut words: Vec<String> =
        site.launcher.iter().chain(&site.debugger).map(|word| Site::replace(word, root, port)).collect();
    words.extend([
        httpd_program().display().to_string(),
        "-f".to_owned(),
        root.join("httpd.conf").display().to_string(),
    ]);
    words.extend(if site.debugger.is_empty() {
        ["-D", "FOREGROUND"].map(str::to_owned).to_vec()
    } else {
        vec!["-X".to_owned()]
    });
    // When the test process dies without its guards, httpd is told to stop as well.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).args(&words);
    // The prefork MPM ends by sending SIGTERM to its whole process group.
    command.process_group(0);
    quiet(&mut command);
    // Copies of a Python do not find their shared library by themselves when they are started as programs.
    command.env("LD_LIBRARY_PATH", Python::libraries());
    command.envs(site.variables.iter().map(|(name, value)| (name, Site::replace(value, root, port))));
    let streams = [output.try_clone().expect("a descriptor"), output];
    let [stdout, stderr] = streams.map(Stdio::from);
    let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().expect("setpriv is installed");
    let log = || ledger::read(&root.join("logs"));
    let patience = if site.debugger.is_empty() { wait::PATIENCE } else { Duration::from_secs(120) };
    let outcome = wait::poll(patience, || match child.try_wait() {
        Ok(Some(_)) => Some(false),
        // As a single process httpd does not say that it is ready.
        _ if !site.debugger.is_empty() => TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true),
        _ => log().iter().any(|entry| entry.line.contains(READY)).then_some(true),
    });
    let said = || log().iter().map(|entry| entry.line.clone()).collect::<Vec<_>>().join("\n");
    match outcome {
        Some(true) => Ok(child),
        Some(false) => Err(said()),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("not ready within {patience:?}\n{}", said()))
        }
    }
}

/// Bounds how many servers one test process runs at a time.
struct Permit;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
const AT_MOST: usize = 2;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

impl Permit {
    /// Waits for a permit, unless this thread has one already: a test with two servers must not wait for itself.
    fn take() -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= AT_MOST && HELD.get() == 0 {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        HELD.set(HELD.get() + 1);
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        HELD.set(HELD.get().saturating_sub(1));
        ENDED.notify_all();
    }
}
