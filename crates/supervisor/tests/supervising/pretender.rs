// SPDX-License-Identifier: Apache-2.0
//! A worker that only speaks the control protocol. What else it does is its first argument.

use model::BUILD_ID;
use model::event::Level;
use model::launch::{Patience, Worker, control};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use unix::callback::Private;
use unix::connection;

struct Pretender {
    socket: Private,
    listener: Option<Private>,
    stopped: bool,
}

pub fn main() {
    let socket = connection::adopt(control::SOCKET).unwrap();
    let mut pretender = Pretender { socket, listener: None, stopped: false };
    let mode = std::env::args().nth(1).unwrap();
    match mode.as_str() {
        "wait" => {}
        "deaf" => forever(),
        "beat" => {
            pretender.hello();
            let beats = std::env::var("BEATS").unwrap();
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(beats).unwrap();
            file.write_all(b".").unwrap();
            return;
        }
        "stranger" => pretender.say(control::HELLO, b"another"),
        "hasty" => pretender.say(control::READY, b""),
        "fail" => {
            pretender.hello();
            pretender.say(control::FAILED, b"there is no application");
            return;
        }
        "crash" => std::process::abort(),
        mode => {
            pretender.hello();
            if matches!(mode, "first" | "last") && !pretender.is_first() {
                pretender.say(control::FAILED, b"there is no application");
                return;
            }
            before(&mut pretender, mode);
            pretender.say(control::READY, b"");
            after(&mut pretender, mode);
        }
    }
    while !pretender.stopped {
        pretender.hear();
    }
    if mode == "talk" {
        print!("last words without an end");
        std::io::stdout().flush().unwrap();
    }
    if matches!(mode.as_str(), "stay" | "overstay") {
        forever();
    }
}

fn before(pretender: &mut Pretender, mode: &str) {
    match mode {
        "stay" | "slow" => {
            let child = unix::program::start(Path::new("sleep"), &["1000".to_owned()], Vec::new()).unwrap();
            pretender.log(Level::Debug, &format!("child {child}"));
            if mode == "slow" {
                forever();
            }
        }
        "talk" => {
            println!("on stdout\n\x1b[31m escape\n{}", "y".repeat(9000));
            eprintln!("on stderr");
            pretender.log(Level::Notice, "by message");
        }
        _ => {
            let opened = std::fs::OpenOptions::new().append(true).open("/dev/stderr");
            pretender.log(Level::Debug, &format!("stderr {}", if opened.is_ok() { "opens" } else { "is closed" }));
        }
    }
}

fn after(pretender: &mut Pretender, mode: &str) {
    if matches!(mode, "quit" | "fault" | "tire" | "overstay" | "last") && !pretender.poked() {
        return;
    }
    match mode {
        "quit" => unix::worker::exit(7),
        // Rust's own handler would take it.
        "fault" => panic!("{}", Command::new("/bin/sh").args(["-c", "kill -SEGV $$"]).exec()),
        "leave" => {
            pretender.poked_only();
            pretender.leave(3000, "there is a newer script");
            pretender.poked_only();
            pretender.stopped = true;
        }
        "tire" | "overstay" => pretender.say(control::TIRED, b"it has had enough"),
        // Its successor cannot start.
        "last" => pretender.say(control::TIRED, b"it is the last"),
        "burn" => loop {
            std::hint::spin_loop();
        },
        "flood" => {
            std::thread::spawn(|| {
                let drops = "drip\n".repeat(1000);
                while std::io::stdout().write_all(drops.as_bytes()).is_ok() {}
            });
        }
        _ => {}
    }
}

fn forever() {
    loop {
        std::thread::park();
    }
}

impl Pretender {
    fn hello(&mut self) {
        self.say(control::HELLO, BUILD_ID.as_bytes());
        self.hear();
    }

    fn say(&mut self, kind: u8, content: &[u8]) {
        let said = [&[kind], content].concat();
        unix::message::send(&self.socket, &said, &[]).unwrap();
    }

    fn leave(&mut self, milliseconds: u64, reason: &str) {
        let patience = Patience(Some(Duration::from_millis(milliseconds)));
        self.say(control::LEAVING, &[&patience.to_bytes()[..], reason.as_bytes()].concat());
    }

    fn log(&mut self, level: Level, line: &str) {
        self.say(control::LOG, &[&[level as u8], line.as_bytes()].concat());
    }

    /// Whether it is in the first place of its group.
    fn is_first(&self) -> bool {
        let listener = self.listener.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
        let address = UnixListener::from(listener).local_addr().unwrap();
        address.as_pathname().unwrap().to_str().unwrap().ends_with(".0.sock")
    }

    /// Waits until somebody connects, whatever the supervisor says.
    fn poked_only(&self) {
        let listener = self.listener.as_ref().unwrap();
        connection::wait_for([listener], None);
        connection::accept(listener).unwrap();
    }

    /// Waits until somebody connects, or the supervisor wants an end. Whether somebody did.
    fn poked(&mut self) -> bool {
        while !self.stopped {
            if let [true, _] = connection::wait_for([self.listener.as_ref().unwrap(), &self.socket], None) {
                self.poked_only();
                return true;
            }
            self.hear();
        }
        false
    }

    fn hear(&mut self) {
        let mut message = vec![0; control::LONGEST];
        let (length, descriptors) = connection::receive_with(&self.socket, &mut message).unwrap_or_default();
        let mut descriptors = descriptors.into_iter();
        match message[..length].split_first() {
            Some((&control::SETTINGS, settings)) => {
                let worker: Worker = serde_json::from_slice(settings).unwrap();
                let listener = descriptors.next().unwrap();
                descriptors.map(Private::new).for_each(std::mem::forget);
                let leads = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
                let (group, incarnation) = (worker.group, worker.incarnation);
                let told = format!("told group={group} incarnation={incarnation} listener={}", leads.display());
                self.log(Level::Debug, &told);
                self.listener = Some(Private::new(listener));
            }
            Some((&control::STOP, patience)) => {
                self.stopped = true;
                let (Patience(patience), _) = Patience::take(patience).unwrap();
                self.log(Level::Debug, &format!("told to end within {patience:?}"));
            }
            None => self.stopped = true,
            other => panic!("{other:?}"),
        }
    }
}
