// SPDX-License-Identifier: Apache-2.0
//! The supervisor's part: starts workers and talks to them over their control sockets.

use super::pythons::modules;
use command_fds::{CommandFdExt, FdMapping};
use model::event::Level;
use model::interpreter::InterpreterOptions;
use model::launch::{BOOTSTRAP, Limits, Patience, Worker, control};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, send, sendmsg, setsockopt, socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs::{self, File};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const DEADLINE: Duration = Duration::from_secs(30);
pub const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

/// A listening socket and a directory of scripts.
pub struct Group {
    pub python: PathBuf,
    pub directory: PathBuf,
    pub listener: UnixListener,
    pub settings: Worker,
    /// Where the extension is.
    pub runtime: PathBuf,
    /// Arguments before `-c`.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

/// A running worker.
pub struct Running {
    pub child: Child,
    control: Option<OwnedFd>,
    /// What it logged.
    pub log: Vec<(Level, String)>,
    output: PathBuf,
}

impl Group {
    pub fn new(python: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("wsgi-worker-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let listener = UnixListener::bind(directory.join("socket")).unwrap();
        let settings = Worker {
            build_id: model::BUILD_ID.to_owned(),
            group: "shop".to_owned(),
            incarnation: 1,
            key: KEY,
            peers: None,
            threads: 2,
            processes: 1,
            multiprocess: false,
            stack_size: 0,
            dumpable: false,
            title: String::new(),
            python_path: String::new(),
            home: None,
            python_eggs: String::new(),
            locale: String::new(),
            switch_interval: None,
            interpreters: InterpreterOptions::default(),
            preloads: Vec::new(),
            destroy_interpreters: true,
            case_sensitive: true,
            interpreter_limit: 16,
            shutdown_milliseconds: 3000,
            limits: Limits::default(),
            socket_timeout: 10_000,
            flush_delay: 5,
            send_buffer: 0,
            header_limit: 32_768,
            server_version: [2, 4, 57],
            server_description: "Apache/2.4.57".to_owned(),
            mpm_name: "event".to_owned(),
            server_built: "today".to_owned(),
        };
        let (python, runtime) = (python.to_owned(), modules().to_owned());
        Self {
            python,
            directory,
            listener,
            settings,
            runtime,
            arguments: vec!["-B".to_owned()],
            environment: Vec::new(),
        }
    }

    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Starts a worker and waits until it says hello.
    pub fn spawn(&self) -> Running {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::seconds(30)).unwrap();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let output = self.directory.join(format!("output-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&output).unwrap();
        let mut command = Command::new(&self.python);
        command.args(&self.arguments).arg("-c").arg(BOOTSTRAP).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).current_dir(&self.directory);
        let runtime = File::open(&self.runtime).unwrap();
        let mappings = vec![
            FdMapping { parent_fd: theirs, child_fd: control::SOCKET },
            FdMapping { parent_fd: runtime.into(), child_fd: control::RUNTIME },
        ];
        command.fd_mappings(mappings).unwrap();
        Running { child: command.spawn().unwrap(), control: Some(ours), log: Vec::new(), output }
    }

    /// Starts a worker and waits until it accepts requests.
    pub fn start(&self) -> Running {
        let mut running = self.spawn();
        running.introduce(self);
        assert_eq!(running.message(), (control::READY, Vec::new()), "{}", running.output());
        running
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).unwrap();
    }
}

impl Running {
    pub fn introduce(&mut self, group: &Group) {
        let (kind, text) = self.message();
        assert_eq!((kind, text.as_slice()), (control::HELLO, model::BUILD_ID.as_bytes()), "{}", self.output());
        let mut message = vec![control::SETTINGS];
        message.extend(serde_json::to_vec(&group.settings).unwrap());
        let rights = [group.listener.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&rights)];
        let socket = self.control.as_ref().unwrap().as_raw_fd();
        sendmsg::<()>(socket, &[IoSlice::new(&message)], &rights, MsgFlags::empty(), None).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process printed before it had a log.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// The next message that is no log line; 0 is the end.
    pub fn message(&mut self) -> (u8, Vec<u8>) {
        let mut message = vec![0; control::LONGEST];
        loop {
            let length = recv(self.control.as_ref().unwrap().as_raw_fd(), &mut message, MsgFlags::empty()).unwrap();
            match &message[..length] {
                [] => return (0, Vec::new()),
                [control::LOG, level, line @ ..] => {
                    let line = String::from_utf8_lossy(line).into_owned();
                    self.log.push((Level::numbered(*level).unwrap(), line));
                }
                [kind, rest @ ..] => return (*kind, rest.to_vec()),
            }
        }
    }

    /// Reads log lines until one holds `text`.
    pub fn wait_for_line(&mut self, text: &str) {
        let mut message = vec![0; control::LONGEST];
        while !self.log.iter().any(|(_, line)| line.contains(text)) {
            let length = recv(self.control.as_ref().unwrap().as_raw_fd(), &mut message, MsgFlags::empty());
            match length.map(|length| &message[..length]) {
                Ok([control::LOG, level, line @ ..]) => {
                    let line = String::from_utf8_lossy(line).into_owned();
                    self.log.push((Level::numbered(*level).unwrap(), line));
                }
                other => panic!("no line with {text}: {other:?} after {:?} {}", self.log, self.output()),
            }
        }
    }

    /// Tells it to stop, with so much time for requests.
    pub fn tell_stop_within(&self, patience: Patience) {
        let message = [&[control::STOP][..], &patience.to_bytes()].concat();
        send(self.control.as_ref().unwrap().as_raw_fd(), &message, MsgFlags::empty()).unwrap();
    }

    /// Waits until it says that it wants to be replaced; why.
    pub fn tired(&mut self) -> String {
        let (kind, reason) = self.message();
        assert_eq!(kind, control::TIRED, "{:?} {}", self.log, self.output());
        String::from_utf8(reason).unwrap()
    }

    /// Waits until it says that it leaves: within which time, and why.
    pub fn leaving(&mut self) -> (Option<Duration>, String) {
        let (kind, message) = self.message();
        assert_eq!(kind, control::LEAVING, "{:?} {}", self.log, self.output());
        let (patience, reason) = Patience::take(&message).unwrap();
        (patience.0, String::from_utf8(reason.to_vec()).unwrap())
    }

    /// Reads what it logs until it has ended.
    pub fn finish(&mut self) -> ExitStatus {
        while self.message().0 != 0 {}
        self.ended()
    }

    pub fn tell_stop(&self) {
        send(self.control.as_ref().unwrap().as_raw_fd(), &[control::STOP], MsgFlags::empty()).unwrap();
    }

    pub fn hang_up(&mut self) {
        self.control = None;
    }

    /// Whether it ends within `patience`.
    pub fn ended_within(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the worker does not end: {}", self.output());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to stop and checks that it ends well.
    pub fn stop(mut self) -> Vec<(Level, String)> {
        self.tell_stop();
        let status = self.ended();
        assert!(status.success(), "{status} {}", self.output());
        assert_eq!(self.output(), "");
        while self.message().0 != 0 {}
        std::mem::take(&mut self.log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _it_has_ended = self.child.kill();
        let _it_was_waited_for = self.child.wait();
    }
}
