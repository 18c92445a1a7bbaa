// SPDX-License-Identifier: Apache-2.0
//! httpd's error log, which is this process's standard error. Whoever reads it slowly does not hold up the workers.

use crate::lines::printable;
use model::event::Level;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use unix::readiness::{self, Interest};

/// How many bytes may wait until the log takes them.
const ROOM: usize = 1 << 20;
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The log.
pub struct Log {
    target: OwnedFd,
    waiting: VecDeque<Vec<u8>>,
    size: usize,
    dropped: u64,
    level: Level,
}

impl Log {
    /// Opens it for lines up to `level`.
    pub fn open(level: Level) -> io::Result<Self> {
        let target = unix::children::error_log()?;
        Ok(Self { target, waiting: VecDeque::new(), size: 0, dropped: 0, level })
    }

    /// Writes a line about the worker `pid`, or about this process.
    pub fn line(&mut self, level: Level, pid: Option<i32>, text: &str) {
        if level > self.level {
            return;
        }
        let line = shaped(level, pid.unwrap_or_else(|| i32::try_from(std::process::id()).unwrap_or(0)), text);
        if self.size + line.len() > ROOM {
            self.dropped += 1;
            return;
        }
        self.size += line.len();
        self.waiting.push_back(line);
        self.write();
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
            self.line(Level::Warning, None, &format!("{dropped} lines were dropped because the log did not take them"));
        }
    }

    /// Waits a little until everything is written.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.waiting.is_empty() && Instant::now() < deadline {
            let rest = deadline.saturating_duration_since(Instant::now());
            let _ = readiness::wait(&[(self.target.as_fd(), Interest::Write)], Some(rest));
            self.write();
        }
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
