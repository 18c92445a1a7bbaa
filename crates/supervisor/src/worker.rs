// SPDX-License-Identifier: Apache-2.0
//! One worker process as the supervisor sees it: what it may say next, and what it said.

use model::BUILD_ID;
use model::event::Level;
use model::launch::control;
use model::supervision::Allowance;
use std::os::fd::{AsFd, OwnedFd};
use unix::children::{End, signal_name};
use unix::message::{self, Received};
use unix::spawn::{NOTE, Spawned, WARNING};

/// Lines that a worker may write in a second, and as many through the control socket.
const LINES: u32 = 1000;

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has said nothing.
    Silent,
    /// It has its settings.
    Told,
    /// It accepts requests.
    Ready,
    /// It said that it cannot.
    Failed,
}

/// What a worker said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is there and wants its settings.
    Hello,
    /// It accepts requests.
    Ready,
    /// It cannot work.
    Failed(String),
    /// A line for the log.
    Line(Level, Vec<u8>),
    /// It will say nothing more.
    End,
    /// Something that it must not say.
    Nonsense(String),
}

/// A worker.
#[derive(Debug)]
pub struct Worker {
    /// Its process number.
    pub pid: i32,
    /// Open until it ends or the supervisor wants nothing more of it.
    pub control: Option<OwnedFd>,
    /// Open until it is the interpreter.
    pub trouble: Option<OwnedFd>,
    /// Whether the log already has the reason of its end.
    pub explained: bool,
    /// Whether it was killed by the supervisor.
    pub killed: bool,
    /// Whether it was told to end.
    pub stopped: bool,
    /// How much it may log.
    pub allowance: Allowance,
    phase: Phase,
}

impl Worker {
    /// A worker that was just started, and what it writes.
    pub fn new(spawned: Spawned) -> (Self, OwnedFd) {
        let worker = Self {
            pid: spawned.pid,
            control: Some(spawned.control),
            trouble: Some(spawned.trouble),
            explained: false,
            killed: false,
            stopped: false,
            allowance: Allowance::new(LINES),
            phase: Phase::Silent,
        };
        (worker, spawned.output)
    }

    /// Whether it has said nothing that counts.
    pub fn is_silent(&self) -> bool {
        self.phase == Phase::Silent
    }

    /// Whether it ever accepted requests.
    pub fn was_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// What it says next, if it does.
    pub fn hear(&mut self, buffer: &mut [u8]) -> Option<Said> {
        let control = self.control.as_ref()?;
        match message::receive(control, buffer) {
            Ok(Received::Nothing) => None,
            Ok(Received::Message(length)) => Some(match buffer.get(..length) {
                Some(said) => self.understand(said),
                None => Said::Nonsense(format!("a message of {length} bytes")),
            }),
            Ok(Received::End) | Err(_) => {
                self.control = None;
                Some(Said::End)
            }
        }
    }

    fn understand(&mut self, said: &[u8]) -> Said {
        let Some((kind, content)) = said.split_first() else { return Said::Nonsense("an empty message".to_owned()) };
        match (*kind, self.phase) {
            (control::HELLO, Phase::Silent) if content == BUILD_ID.as_bytes() => {
                self.phase = Phase::Told;
                Said::Hello
            }
            (control::HELLO, Phase::Silent) => Said::Nonsense(format!(
                "it is build '{}', this is build '{BUILD_ID}': restart httpd",
                String::from_utf8_lossy(content)
            )),
            (control::READY, Phase::Told) => {
                self.phase = Phase::Ready;
                Said::Ready
            }
            (control::FAILED, Phase::Silent | Phase::Told) => {
                self.phase = Phase::Failed;
                Said::Failed(String::from_utf8_lossy(content).into_owned())
            }
            (control::LOG, _) => match content.split_first().map(|(level, line)| (Level::numbered(*level), line)) {
                Some((Some(level), line)) => Said::Line(level, line.to_vec()),
                _ => Said::Nonsense("a line without a level".to_owned()),
            },
            (kind, phase) => Said::Nonsense(format!("message {kind} is out of turn ({phase:?})")),
        }
    }

    /// Tells it something. A worker that cannot be told loses its control socket, which says that it is to end.
    pub fn tell(&mut self, kind: u8, content: &[u8], descriptor: Option<&OwnedFd>) -> Result<(), String> {
        let Some(control) = &self.control else { return Ok(()) };
        let said = [&[kind], content].concat();
        let done = if said.len() > control::LONGEST {
            Err(format!("its settings are {} bytes long, and may have {}", said.len(), control::LONGEST))
        } else {
            message::send(control, &said, descriptor.map(AsFd::as_fd)).map_err(|error| error.to_string())
        };
        if done.is_err() {
            self.control = None;
        }
        done
    }
}

/// What went wrong on the way to the interpreter, and how bad that is: an error was the end of it.
pub fn trouble(line: &str) -> (Level, &str) {
    let warning = line.strip_prefix(WARNING).map(|line| (Level::Warning, line));
    warning.or_else(|| Some((Level::Info, line.strip_prefix(NOTE)?))).unwrap_or((Level::Error, line))
}

/// How a worker ended, for the log.
pub fn ending(end: End, killed: bool, cpu_limit: u64) -> String {
    let signal = match end {
        End::Status(status) => return format!("ended with status {status}"),
        End::Signal(signal) => signal,
    };
    let name = signal_name(signal);
    let reason = match name.as_str() {
        "SIGXCPU" => ", most likely because of its limit on processor time",
        "SIGKILL" if killed => " by the supervisor",
        "SIGKILL" if cpu_limit > 0 => ", perhaps because of its limit on processor time, or because memory ran out",
        "SIGKILL" => ", perhaps because memory ran out",
        _ => "",
    };
    format!("was ended by {name}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> (Worker, OwnedFd) {
        let (control, other) = message::pair(control::LONGEST).unwrap();
        let (reader, _) = unix::program::pipe().unwrap();
        let spawned = Spawned { pid: 7, control, output: reader.try_clone().unwrap(), trouble: reader };
        (Worker::new(spawned).0, other)
    }

    fn say(other: &OwnedFd, kind: u8, content: &[u8]) {
        message::send(other, &[&[kind], content].concat(), None).unwrap();
    }

    #[test]
    fn a_worker_speaks_in_turn() {
        let (mut worker, other) = worker();
        let mut buffer = vec![0; 1000];
        assert_eq!(worker.hear(&mut buffer), None);
        say(&other, control::LOG, b"\x05early");
        say(&other, control::HELLO, BUILD_ID.as_bytes());
        say(&other, control::READY, b"");
        say(&other, control::READY, b"");
        let said: Vec<_> = (0..4).filter_map(|_| worker.hear(&mut buffer)).collect();
        assert_eq!(said.get(..3).unwrap(), [Said::Line(Level::Notice, b"early".to_vec()), Said::Hello, Said::Ready]);
        assert!(matches!(said.last(), Some(Said::Nonsense(_))));
        drop(other);
        assert_eq!((worker.hear(&mut buffer), worker.hear(&mut buffer)), (Some(Said::End), None));
    }

    #[test]
    fn nonsense_is_recognised() {
        for (kind, content) in [
            (control::HELLO, &b"other"[..]),
            (control::READY, b""),
            (control::LOG, b""),
            (99, b""),
            (control::LOG, b"\x63x"),
        ] {
            let (mut worker, other) = worker();
            say(&other, kind, content);
            assert!(matches!(worker.hear(&mut [0; 100]), Some(Said::Nonsense(_))), "{kind} {content:?}");
        }
        let (mut worker, other) = worker();
        say(&other, control::LOG, &[5; 200]);
        assert!(matches!(worker.hear(&mut [0; 100]), Some(Said::Nonsense(_))));
    }

    #[test]
    fn too_much_to_tell_ends_the_worker() {
        let (mut worker, _other) = worker();
        assert!(worker.tell(control::SETTINGS, &vec![0; control::LONGEST - 1], None).is_ok());
        assert!(worker.tell(control::SETTINGS, &vec![0; control::LONGEST], None).is_err());
        assert!(worker.control.is_none());
    }

    #[test]
    fn a_trouble_is_as_bad_as_its_first_letter() {
        assert_eq!(trouble("-slow"), (Level::Warning, "slow"));
        assert_eq!((trouble(".so"), trouble("no")), ((Level::Info, "so"), (Level::Error, "no")));
    }

    #[test]
    fn an_end_is_told_with_its_likely_cause() {
        assert_eq!(ending(End::Status(3), false, 0), "ended with status 3");
        assert!(ending(End::Signal(24), false, 1).contains("SIGXCPU, most likely"));
        assert_eq!(ending(End::Signal(9), true, 1), "was ended by SIGKILL by the supervisor");
        assert!(ending(End::Signal(9), false, 0).contains("memory"));
        assert_eq!(ending(End::Signal(40), false, 0), "was ended by signal 40");
    }
}
