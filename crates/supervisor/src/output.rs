// SPDX-License-Identifier: Apache-2.0
//! What a worker, or whom it left behind, writes to standard output and error.

use crate::journal::Journal;
use crate::lines::Lines;
use crate::worker::LINES;
use model::event::Level;
use model::supervision::{Allowance, Moment};
use std::os::fd::OwnedFd;
use unix::readiness;

/// A pipe, and what was read of it.
pub struct Output {
    group: usize,
    /// The worker that it was made for.
    pub pid: i32,
    /// Does not wait.
    pub pipe: OwnedFd,
    /// Whether nothing more is wanted of it.
    pub ended: bool,
    lines: Lines,
    allowance: Allowance,
}

impl Output {
    /// The pipe of a new worker.
    pub fn new(group: usize, pid: i32, pipe: OwnedFd) -> Self {
        Self { group, pid, pipe, ended: false, lines: Lines::default(), allowance: Allowance::new(LINES) }
    }

    /// Passes on what is there, about `most` bytes of it.
    pub fn pass_on(&mut self, journal: &mut Journal, now: Moment, most: usize) {
        let Self { group, pid, allowance, .. } = self;
        let mut write = |line: &[u8]| journal.pass((*group, *pid), (allowance, now), Level::Error, line);
        let mut piece = [0; 16 << 10];
        let mut done = 0;
        while done < most {
            match readiness::read(&self.pipe, &mut piece) {
                Ok(None) => return,
                Ok(Some(count)) if count > 0 => {
                    self.lines.take(piece.get(..count).unwrap_or_default(), &mut write);
                    done += count;
                }
                Ok(Some(_)) | Err(_) => {
                    self.lines.finish(&mut write);
                    self.ended = true;
                    return journal.dropped(self.group, self.pid, self.allowance.take_dropped());
                }
            }
        }
    }
}
