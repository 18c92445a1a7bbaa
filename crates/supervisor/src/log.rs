// SPDX-License-Identifier: Apache-2.0
//! An error log of httpd's. Whoever reads it slowly does not hold up the workers.

use crate::lines::printable;
use model::event::{Event, Level};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};
use unix::readiness::{self, Interest};

/// How many bytes may wait until the log takes them.
const ROOM: usize = 1 << 20;

/// An error log.
pub struct Log {
    target: OwnedFd,
    waiting: VecDeque<Vec<u8>>,
    size: usize,
    dropped: u64,
}

impl Log {
    /// The log that this descriptor leads to.
    pub fn open(number: RawFd) -> io::Result<Self> {
        let target = unix::children::log_file(number)?;
        Ok(Self { target, waiting: VecDeque::new(), size: 0, dropped: 0 })
    }

    /// Writes a line about the worker `pid`, or about this process.
    pub fn line(&mut self, level: Level, pid: Option<i32>, text: &str) {
        let line = shaped(level, pid.unwrap_or_else(|| i32::try_from(std::process::id()).unwrap_or(0)), text);
        if self.size + line.len() > ROOM {
            self.dropped += 1;
            return;
        }
        self.size += line.len();
        self.waiting.push_back(line);
        self.write();
    }

    /// Writes an event about the worker `pid`, or about this process.
    pub fn event(&mut self, pid: Option<i32>, event: &Event) {
        self.line(event.level(), pid, &event.to_string());
    }

    /// What to wait for, if lines wait.
    pub fn waits(&self) -> Option<BorrowedFd<'_>> {
        (!self.waiting.is_empty()).then(|| self.target.as_fd())
    }

    /// Writes what the log takes.
    pub fn write(&mut self) {
        while let Some(line) = self.waiting.front_mut() {
            // The descriptor may be one that waits.
            let room = readiness::wait(&[(self.target.as_fd(), Interest::Write)], Some(Duration::ZERO));
            if room.is_ok_and(|room| room == [false]) {
                return;
            }
            // A log that is gone takes everything.
            let written = readiness::write(&self.target, line).unwrap_or(line.len());
            self.size -= written;
            if written < line.len() {
                line.drain(..written);
                return;
            }
            self.waiting.pop_front();
        }
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let (origin, problem) = ("this error log".to_owned(), "it did not take them".to_owned());
            self.event(None, &Event::LinesDropped { origin, count: dropped, problem });
        }
    }

    /// Waits until everything is written, or the time is over.
    pub fn finish(&mut self, deadline: Instant) {
        while !self.waiting.is_empty() && Instant::now() < deadline {
            let rest = deadline.saturating_duration_since(Instant::now());
            let _ = readiness::wait(&[(self.target.as_fd(), Interest::Write)], Some(rest));
            self.write();
        }
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.target.as_fd()
    }
}

fn shaped(level: Level, pid: i32, text: &str) -> Vec<u8> {
    let level = match level {
        Level::Alert => "alert",
        Level::Critical => "crit",
        Level::Error => "error",
        Level::Warning => "warn",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    format!("[{}] [wsgi:{level}] [pid {pid}] {}\n", unix::clock::now(), printable(text.as_bytes())).into_bytes()
}
