// SPDX-License-Identifier: Apache-2.0
//! One worker process as the supervisor sees it: what it may say next, and what it said.

use crate::lines::Lines;
use model::BUILD_ID;
use model::admission::{Ending, How, Incarnation, signal_name};
use model::event::Level;
use model::launch::{Patience, control};
use model::supervision::{Allowance, Moment};
use std::io::ErrorKind;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;
use unix::children::{End, MemoryKills};
use unix::message::{self, Received};
use unix::readiness;
use unix::spawn::{FIX, NOTE, Spawned, WARNING};

/// Lines that a worker may write in a second, and as many through the control socket.
pub const LINES: u32 = 1000;

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has said nothing.
    Silent,
    /// It has its settings.
    Told,
    /// It accepts requests.
    Ready,
    /// It said that it cannot, or that it accepts no more of them.
    Last,
    /// It said something that it must not, and is not listened to.
    Lost,
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
    /// It wants to be replaced, and goes on until it is told to end.
    Tired(String),
    /// It finishes its requests within that time and ends.
    Leaving(Patience, String),
    /// A line for the log.
    Line(Level, Vec<u8>),
    /// It will say nothing more.
    End,
    /// Something that it must not say.
    Nonsense(String),
}

/// What went wrong on the way to the interpreter.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The worker starts all the same.
    Minor(Level, String),
    /// That was the end of it: the problem, and what to do about it.
    Final(String, String),
}

/// A worker.
#[derive(Debug)]
pub struct Worker {
    /// Its process number.
    pub pid: i32,
    /// Which process of its place it is.
    pub incarnation: Incarnation,
    /// Open until it ends or the supervisor wants nothing more of it.
    pub control: Option<OwnedFd>,
    /// Open until it is the interpreter.
    pub trouble: Option<OwnedFd>,
    /// Why it ends, if the log already has it.
    pub reason: Option<String>,
    /// How it ends if the supervisor killed it.
    pub killed: Option<How>,
    /// Whether it was told to end.
    pub stopped: bool,
    /// How much it may log.
    pub allowance: Allowance,
    /// Whether it ever accepted requests.
    pub was_ready: bool,
    phase: Phase,
    begun: Moment,
    memory: MemoryKills,
    lines: Lines,
}

impl Worker {
    /// A worker that was just started, and what it writes.
    pub fn new(spawned: Spawned, incarnation: Incarnation, begun: Moment, memory: MemoryKills) -> (Self, OwnedFd) {
        let worker = Self {
            pid: spawned.pid,
            incarnation,
            control: Some(spawned.control),
            trouble: Some(spawned.trouble),
            reason: None,
            killed: None,
            stopped: false,
            allowance: Allowance::new(LINES),
            was_ready: false,
            phase: Phase::Silent,
            begun,
            memory,
            lines: Lines::default(),
        };
        (worker, spawned.output)
    }

    /// The first reason that was logged is the best one.
    pub fn explain(&mut self, reason: String) {
        self.reason.get_or_insert(reason);
    }

    /// Whether it has said nothing that counts.
    pub fn is_silent(&self) -> bool {
        self.phase == Phase::Silent
    }

    /// What it says next, if it does.
    pub fn hear(&mut self, buffer: &mut [u8]) -> Option<Said> {
        let control = self.control.as_ref().filter(|_| self.phase != Phase::Lost)?;
        match message::receive(control, buffer) {
            Ok(Received::Nothing) => None,
            Ok(Received::Message(length)) => {
                let said = buffer.get(..length).map(|said| self.understand(said));
                let said = said.unwrap_or_else(|| Said::Nonsense(format!("a message of {length} bytes")));
                if matches!(said, Said::Nonsense(_)) {
                    // Its socket stays open: it must not see an end before it is killed.
                    self.phase = Phase::Lost;
                }
                Some(said)
            }
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
            (control::HELLO, Phase::Silent) => {
                Said::Nonsense(format!("it is build '{}', this is build '{BUILD_ID}': restart httpd", text(content)))
            }
            (control::READY, Phase::Told) => {
                (self.phase, self.was_ready) = (Phase::Ready, true);
                Said::Ready
            }
            (control::FAILED, Phase::Silent | Phase::Told) => {
                self.phase = Phase::Last;
                Said::Failed(text(content))
            }
            (control::TIRED, Phase::Ready) => Said::Tired(text(content)),
            (control::LEAVING, Phase::Told | Phase::Ready) => match Patience::take(content) {
                Some((patience, reason)) => {
                    self.phase = Phase::Last;
                    Said::Leaving(patience, text(reason))
                }
                None => Said::Nonsense("it leaves without a time".to_owned()),
            },
            (control::LOG, _) => match content.split_first().map(|(level, line)| (Level::numbered(*level), line)) {
                Some((Some(level), line)) => Said::Line(level, line.to_vec()),
                _ => Said::Nonsense("a line without a level".to_owned()),
            },
            (kind, phase) => Said::Nonsense(format!("message {kind} is out of turn ({phase:?})")),
        }
    }

    /// Tells it something. A worker that the kernel does not let tell loses its control socket, which says that it is to end;
    /// one that is gone already needs no telling.
    pub fn tell(&mut self, kind: u8, content: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), String> {
        let Some(control) = &self.control else { return Ok(()) };
        let said = [&[kind], content].concat();
        if said.len() > control::LONGEST {
            return Err(format!("they are {} bytes long, and may have {}", said.len(), control::LONGEST));
        }
        match message::send(control, &said, descriptors) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            Err(error) => {
                self.control = None;
                Err(error.to_string())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What went wrong before it was the interpreter, as far as it has told.
    pub fn troubles(&mut self) -> Vec<Trouble> {
        let Some(pipe) = &self.trouble else { return Vec::new() };
        let (mut piece, mut found) = ([0; 4096], Vec::new());
        let read = readiness::read(pipe, &mut piece).unwrap_or(Some(0));
        self.lines.take(piece.get(..read.unwrap_or(0)).unwrap_or_default(), |line| found.push(trouble(line)));
        if read == Some(0) {
            self.lines.finish(|line| found.push(trouble(line)));
            self.trouble = None;
        }
        found
    }

    /// How it ended. `used` is the processor time that it used, and `limit` the one that it had, if any; `memory` is what the
    /// kernel has killed by now.
    pub fn ending(
        &self,
        end: End,
        now: Moment,
        used: Duration,
        limit: Option<Duration>,
        memory: MemoryKills,
    ) -> Ending {
        let seconds = u32::try_from(now.saturating_sub(self.begun).as_secs()).unwrap_or(u32::MAX);
        let starved = memory.rose_since(self.memory);
        let how = how(end, self.killed, limit.is_some_and(|limit| used >= limit), starved);
        Ending { how, pid: self.pid.unsigned_abs(), seconds }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn trouble(line: &[u8]) -> Trouble {
    let line = text(line);
    if let Some(line) = line.strip_prefix(WARNING) {
        Trouble::Minor(Level::Warning, line.to_owned())
    } else if let Some(line) = line.strip_prefix(NOTE) {
        Trouble::Minor(Level::Info, line.to_owned())
    } else {
        let (problem, fix) = line.split_once(FIX).unwrap_or((&line, "see whether the system lacks something"));
        Trouble::Final(problem.to_owned(), fix.to_owned())
    }
}

/// The way that belongs to an end: whether the supervisor `killed` it, and which reasons somebody else had.
fn how(end: End, killed: Option<How>, is_exhausted: bool, is_starved: bool) -> How {
    let number = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    let signal = match end {
        End::Status(status) => return How::Status(number(status)),
        End::Signal(signal) => number(signal),
    };
    match (signal_name(signal).as_str(), killed) {
        ("SIGKILL", Some(how)) => how,
        ("SIGKILL", None) if is_exhausted => How::CpuTime(signal),
        ("SIGKILL", None) if is_starved => How::OutOfMemory,
        ("SIGXCPU", _) => How::CpuTime(signal),
        _ => How::Signal(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> (Worker, OwnedFd) {
        let (control, other) = message::pair(control::LONGEST).unwrap();
        let (reader, _) = unix::program::pipe().unwrap();
        let spawned = Spawned { pid: 7, control, output: reader.try_clone().unwrap(), trouble: reader };
        (Worker::new(spawned, 1, Moment::ZERO, MemoryKills::now()).0, other)
    }

    fn say(other: &OwnedFd, kind: u8, content: &[u8]) {
        message::send(other, &[&[kind], content].concat(), &[]).unwrap();
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
        assert_eq!(worker.hear(&mut buffer), None, "it is not listened to any more");
    }

    #[test]
    fn a_worker_that_closes_its_socket_has_said_all() {
        let (mut worker, other) = worker();
        drop(other);
        assert_eq!((worker.hear(&mut [0; 9]), worker.hear(&mut [0; 9])), (Some(Said::End), None));
        assert!(worker.control.is_none());
    }

    #[test]
    fn a_worker_that_leaves_says_nothing_more_that_counts() {
        let (mut worker, other) = worker();
        let mut buffer = vec![0; 1000];
        say(&other, control::HELLO, BUILD_ID.as_bytes());
        say(&other, control::READY, b"");
        let patience = Patience(Some(Duration::from_secs(3)));
        say(&other, control::TIRED, b"old");
        say(&other, control::LEAVING, &[&patience.to_bytes()[..], b"a newer script"].concat());
        say(&other, control::LOG, b"\x05late");
        say(&other, control::TIRED, b"");
        let said: Vec<_> = (0..6).filter_map(|_| worker.hear(&mut buffer)).collect();
        let line = Said::Line(Level::Notice, b"late".to_vec());
        let leaving = Said::Leaving(patience, "a newer script".to_owned());
        assert_eq!(said.get(2..5).unwrap(), [Said::Tired("old".to_owned()), leaving, line]);
        assert!(matches!(said.last(), Some(Said::Nonsense(_))) && worker.was_ready);
    }

    #[test]
    fn nonsense_is_recognised() {
        for (kind, content) in [
            (control::HELLO, &b"other"[..]),
            (control::READY, b""),
            (control::LEAVING, b""),
            (control::TIRED, b""),
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
    fn too_much_to_tell_is_not_told() {
        let (mut worker, _other) = worker();
        assert!(worker.tell(control::SETTINGS, &vec![0; control::LONGEST - 1], &[]).is_ok());
        assert!(worker.tell(control::SETTINGS, &vec![0; control::LONGEST], &[]).is_err());
        assert!(worker.control.is_some(), "it is killed before it sees an end");
    }

    #[test]
    fn a_worker_that_is_gone_needs_no_telling() {
        let (mut worker, other) = worker();
        drop(other);
        assert_eq!(worker.tell(control::SETTINGS, b"{}", &[]), Ok(()));
    }

    #[test]
    fn a_trouble_is_as_bad_as_its_first_letter() {
        assert_eq!(trouble(b"-slow"), Trouble::Minor(Level::Warning, "slow".to_owned()));
        assert_eq!(trouble(b".so"), Trouble::Minor(Level::Info, "so".to_owned()));
        assert_eq!(trouble(b"no\x1fdo"), Trouble::Final("no".to_owned(), "do".to_owned()));
    }

    #[test]
    fn troubles_are_whole_lines() {
        use std::io::Write;
        let (mut worker, _other) = worker();
        let (reader, writer) = unix::program::pipe().unwrap();
        readiness::never_wait(&reader).unwrap();
        worker.trouble = Some(reader);
        let mut writer = std::fs::File::from(writer);
        writer.write_all(b"-").unwrap();
        assert_eq!(worker.troubles(), []);
        writer.write_all(b"slow\nno").unwrap();
        assert_eq!(worker.troubles(), [Trouble::Minor(Level::Warning, "slow".to_owned())]);
        drop(writer);
        assert!(matches!(worker.troubles().as_slice(), [Trouble::Final(problem, _)] if problem == "no"));
        assert!(worker.trouble.is_none() && worker.troubles().is_empty());
    }

    #[test]
    fn an_end_has_its_cause() {
        let (kill, segv, xcpu) = (End::Signal(9), End::Signal(11), End::Signal(24));
        assert_eq!(how(End::Status(3), None, true, true), How::Status(3));
        assert_eq!(how(End::Status(0), Some(How::Overdue), false, false), How::Status(0), "it was faster");
        assert_eq!(how(kill, Some(How::Late), true, true), How::Late);
        assert_eq!((how(kill, None, true, true), how(xcpu, None, false, false)), (How::CpuTime(9), How::CpuTime(24)));
        assert_eq!((how(kill, None, false, true), how(kill, None, false, false)), (How::OutOfMemory, How::Signal(9)));
        assert_eq!(
            (how(segv, None, true, true), how(segv, Some(How::Late), false, false)),
            (How::Signal(11), How::Signal(11))
        );
    }

    #[test]
    fn an_ending_counts_from_the_start() {
        let (worker, _other) = worker();
        let (seconds, memory) = (Duration::from_secs, worker.memory);
        let ending = |used, limit| worker.ending(End::Signal(9), seconds(90), seconds(used), limit, memory);
        assert_eq!(ending(9, None), Ending { how: How::Signal(9), pid: 7, seconds: 90 });
        assert_eq!(
            (ending(9, Some(seconds(10))).how, ending(10, Some(seconds(10))).how),
            (How::Signal(9), How::CpuTime(9))
        );
    }
}
