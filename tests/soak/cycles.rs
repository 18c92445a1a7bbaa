// SPDX-License-Identifier: Apache-2.0
//! Restarts without traffic, and servers that start and end: nothing grows, nothing stays.

use crate::{Holdings, either, files, hold, is_peer, is_whole, site};
use harness::site::is_root;
use harness::{Httpd, Mpm, Site, census, skip, wait};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// httpd's child and the supervisor; with two workers of a group, one of another, and a service.
const FAMILY: (usize, usize) = (2, 2 + 2 + 1 + 1);

/// A namespace for semaphores, message queues and shared memory, in which nobody else makes any.
struct Namespace(Child);

impl Namespace {
    fn make() -> Option<Self> {
        if !is_root() {
            skip::skipped("only root can make namespaces");
            return None;
        }
        let mut command = Command::new("unshare");
        let holder = command.args(["--ipc", "--", "sleep", "infinity"]).stdin(Stdio::null()).spawn();
        let holder = Self(holder.expect("unshare runs"));
        let own = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/ipc")).ok();
        wait::until_true("a namespace", || own(&holder.0.id().to_string()).is_some_and(|it| Some(it) != own("self")));
        Some(holder)
    }

    /// The site in this namespace.
    fn hold(&self, site: &Site) -> Site {
        site.clone().through(&["nsenter", "--target", &self.0.id().to_string(), "--ipc", "--"])
    }

    /// The semaphores, queues and segments of shared memory that exist in it.
    fn objects(&self) -> Vec<String> {
        let target = self.0.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--ipc", "--", "cat"]);
        let output = command.args(["sem", "msg", "shm"].map(|kind| format!("/proc/sysvipc/{kind}"))).output();
        let text = String::from_utf8(output.expect("nsenter runs").stdout).expect("text");
        assert!(text.matches(" key ").count() == 3, "{text}");
        text.lines().filter(|line| !line.contains(" key ")).map(str::to_owned).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As `mixed.py`, with a note when a request begins.
const NOTED: &str = "import journal, mixed


def application(environ, start_response):
    journal.note('begun ' + environ['PATH_INFO'].split('/')[-1])
    return mixed.application(environ, start_response)
";

fn groups() -> Site {
    site()
        .app("mixed.py")
        .file("apps/noted.py", NOTED)
        .app("alone.py")
        .app("steady.py")
        .config("WSGIDaemonProcess two processes=2 threads=2 python-path=@APPS@")
        .config("WSGIDaemonProcess single python-path=@APPS@")
        .config("WSGIDaemonProcess service threads=0 python-path=@APPS@")
        .config("WSGIScriptAlias /two \"@APPS@/noted.py\" process-group=two application-group=%{GLOBAL}")
        .config("WSGIScriptAlias /single \"@APPS@/mixed.py\" process-group=single application-group=%{GLOBAL}")
        .config("WSGIImportScript \"@APPS@/steady.py\" process-group=service application-group=%{GLOBAL}")
}

fn ask(httpd: &Httpd) {
    httpd.get("/two/0/y").expect(200);
    httpd.get("/single/0/x").expect(200);
}

#[test]
fn graceful_restarts_without_traffic_leave_nothing_behind() {
    let restarts = either(25, 2500);
    let Some(namespace) = Namespace::make() else { return };
    let httpd = namespace.hold(&groups()).start();
    httpd.tolerate_text("AH");
    (0..3).for_each(|_| httpd.graceful());
    ask(&httpd);
    let measure = || {
        let rest = (!is_peer()).then(|| Holdings::at_rest(&httpd, FAMILY));
        (rest, namespace.objects().len())
    };
    let before = measure();
    let memory = census::private_memory(httpd.pid()).unwrap();
    let begun = Instant::now();
    (0..restarts).for_each(|_| httpd.graceful());
    println!("{restarts} graceful restarts without traffic in {:?}", begun.elapsed());
    ask(&httpd);
    assert_eq!(measure(), before);
    let growth = census::private_memory(httpd.pid()).unwrap().saturating_sub(memory);
    println!("the parent grew by {growth} KiB");
    // 100 bytes of each of 2500 restarts would be 250 KiB; the first ones may fill what the allocator keeps.
    assert!(is_peer() || growth < 1024, "the parent grew by {growth} KiB");
}

/// Sockets in the file system that are below a folder.
fn named_sockets(folder: &str) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    table.lines().filter(|line| line.contains(folder)).map(str::to_owned).collect()
}

#[test]
fn a_server_that_ends_leaves_nothing() {
    let cycles = either(5, 200);
    let Some(namespace) = Namespace::make() else { return };
    let (mut problems, mut longest) = (Vec::new(), Duration::ZERO);
    for number in 0..cycles {
        let mpm = Mpm::ALL[number % 3];
        let mut httpd = namespace.hold(&groups().mpm(mpm)).start();
        httpd.tolerate_text("AH");
        let fresh: Vec<_> = files(httpd.root());
        match number % 5 {
            0 => {}
            1 => ask(&httpd),
            2 => httpd.graceful(),
            3 => httpd.restart(),
            _ => {
                ask(&httpd);
                httpd.restart();
                httpd.graceful();
            }
        }
        let signal = if number % 2 == 0 { "TERM" } else { "WINCH" };
        // A graceful stop lets it finish, a stop need not.
        let mut asking = httpd.connect();
        asking.send(&httpd.request("GET", "/two/300/x").bytes());
        wait::until_true("a request that runs", || httpd.journal().iter().any(|line| line == "begun x"));
        let begun = Instant::now();
        let left = httpd.end_by(signal);
        longest = longest.max(begun.elapsed());
        let answer = asking.read_response("GET");
        let mut complain = |what: String| problems.push(format!("cycle {number}, {mpm:?}, SIG{signal}: {what}"));
        if signal == "WINCH" && is_whole("/x", answer.status, &answer.body).is_err() {
            complain(format!("{answer:?}"));
        }
        if !left.is_empty() {
            complain(format!("processes {left:?}"));
        }
        let others = files(httpd.root()).into_iter().filter(|path| !fresh.contains(path));
        others.for_each(|path| complain(format!("{}", path.display())));
        if httpd.root().join("httpd.pid").exists() {
            complain("httpd.pid".to_owned());
        }
        let sockets = named_sockets(&httpd.root().display().to_string());
        sockets.into_iter().for_each(&mut complain);
        namespace.objects().into_iter().for_each(&mut complain);
        if TcpStream::connect(("127.0.0.1", httpd.port())).is_ok() {
            complain("somebody listens".to_owned());
        }
    }
    println!("{cycles} servers started and ended, the longest end took {longest:?}");
    // The parent waits for `shutdown-timeout` (5 s) and two seconds more.
    problems.extend((longest > Duration::from_secs(10)).then(|| format!("an end took {longest:?}")));
    hold("ends", &problems);
}
