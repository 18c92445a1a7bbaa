// SPDX-License-Identifier: Apache-2.0
//! One of the processes that a group wants to have: which one does its work, and when there is another one.

use super::{FIRST_DELAY, LONGEST_DELAY, Moment, SERVICE_DELAY, SHORT, STABLE, Work};
use crate::admission::How;
use std::time::Duration;

/// Somebody else killed it, which says nothing about the next one.
const KILLED: How = How::Signal(9);

/// What a group wants one process for.
#[derive(Debug, Clone)]
pub struct Post {
    /// The place of the process that does the work.
    pub holder: Option<usize>,
    /// The place of the process that starts to do it instead.
    pub successor: Option<usize>,
    /// Whether the holder is to be replaced.
    pub tired: bool,
    /// When the next process may start.
    pub due: Moment,
    delay: Duration,
    /// Whether a process ended soon after it was ready, since one was stable.
    died_young: bool,
}

impl Post {
    pub const fn new(now: Moment) -> Self {
        Self { holder: None, successor: None, tired: false, due: now, delay: FIRST_DELAY, died_young: false }
    }

    /// How long the next process waits after one that was ready so long, if ever, and ended in this way.
    pub fn delay(&mut self, life: Option<Duration>, how: Option<How>, work: Work) -> Duration {
        if life.is_some_and(|life| life >= STABLE) {
            (self.delay, self.died_young) = (FIRST_DELAY, false);
        }
        if work == Work::Service && life.is_some() && how == Some(How::Status(0)) {
            SERVICE_DELAY
        } else if life.is_some_and(|life| life >= SHORT) || (life.is_some() && how == Some(KILLED)) {
            Duration::ZERO
        } else if life.is_some() && !std::mem::replace(&mut self.died_young, true) {
            // Once may be chance.
            Duration::ZERO
        } else {
            let delay = self.delay;
            self.delay = (delay * 2).min(LONGEST_DELAY);
            delay
        }
    }
}
