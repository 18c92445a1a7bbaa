// SPDX-License-Identifier: Apache-2.0
//! How much the processes of a group may write.

use super::Moment;
use std::time::Duration;

/// How many lines a process may write in a second.
#[derive(Debug, Clone)]
pub struct Allowance {
    limit: u32,
    used: u32,
    dropped: u64,
    since: Moment,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is written, after word of so many that were not.
    Write(u64),
    /// It is dropped.
    Drop,
}

impl Allowance {
    /// An allowance of `limit` lines for each second.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { limit, used: 0, dropped: 0, since: Moment::ZERO }
    }

    /// Asks for one line.
    pub fn line(&mut self, now: Moment) -> Verdict {
        if now.saturating_sub(self.since) >= Duration::from_secs(1) {
            (self.used, self.since) = (0, now);
        }
        if self.used < self.limit {
            self.used += 1;
            return Verdict::Write(self.take_dropped());
        }
        self.dropped += 1;
        Verdict::Drop
    }

    /// How many lines were dropped since this was last told.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Moment {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn lines_above_the_limit_are_dropped_and_counted() {
        let mut allowance = Allowance::new(2);
        let verdicts: Vec<_> = (0..4).map(|_| allowance.line(at(10))).collect();
        assert_eq!(verdicts, [Verdict::Write(0), Verdict::Write(0), Verdict::Drop, Verdict::Drop]);
        assert_eq!(allowance.line(at(1500)), Verdict::Write(2));
        assert_eq!((allowance.line(at(1500)), allowance.line(at(1500))), (Verdict::Write(0), Verdict::Drop));
        assert_eq!((allowance.take_dropped(), allowance.take_dropped()), (1, 0));
    }
}
