// SPDX-License-Identifier: Apache-2.0
//! When the supervisor starts, stops and kills the processes of a group, and how much they may write.
//!
//! Nothing here reads a clock: a [`Moment`] is the time since the supervisor began, and whoever calls says which it is.

mod allowance;
mod place;
mod post;
mod roster;

pub use allowance::{Allowance, Verdict};
pub use roster::{Demand, Roster};

use crate::admission::How;
use crate::launch::Patience;
use std::fmt;
use std::time::Duration;

/// The time since the supervisor began.
pub type Moment = Duration;

/// How long a post waits after its first failure. Each further failure doubles it.
pub const FIRST_DELAY: Duration = Duration::from_millis(250);
/// The longest that a post waits.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A process that was ready for so long makes earlier failures forgotten.
pub const STABLE: Duration = Duration::from_secs(60);
/// A process that ends sooner than this after it was ready counts as a failure.
pub const SHORT: Duration = Duration::from_secs(1);
/// How long the post of a process that serves no requests waits after it ended well: such scripts are used as timers.
pub const SERVICE_DELAY: Duration = Duration::from_secs(1);
/// How much longer than it may a process takes to end before it is killed.
pub const SLACK: Duration = Duration::from_secs(1);
/// How long a killed process is waited for while the supervisor ends.
pub const BURIAL: Duration = Duration::from_secs(5);
/// How often the supervisor of an old generation looks whether requests wait, and whose work is done.
pub const GLANCE: Duration = Duration::from_millis(50);
/// How long a process of an old generation may have no request.
pub const IDLE: Duration = Duration::from_millis(500);
/// How often a supervisor asks for a place that another one's process has.
pub const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Requests may take no longer.
pub const AT_ONCE: Patience = Patience(Some(Duration::ZERO));

/// What is to be done about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a process.
    Start,
    /// Tell the process to end, after its requests have had so long, for this reason.
    Stop(Patience, Why),
    /// Kill the process and all of its process group; it ends in this way.
    Kill(How),
}

/// Why a process is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Another one does its work, or will when it is gone.
    Replaced,
    /// Its generation is old, and no request needs it.
    Idle,
    /// Its group ends, or goes on in another generation.
    Over,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Replaced => "it is replaced",
            Self::Idle => "its generation is old and no request needs it",
            Self::Over => "its generation needs it no more",
        })
    }
}

/// What a group allows its processes. No time is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long one may take until it is ready.
    pub startup: Option<Duration>,
    /// How long the requests of one that is to be replaced may take.
    pub graceful: Duration,
    /// How long one that is to end may take after its requests.
    pub shutdown: Option<Duration>,
    /// What they are for.
    pub work: Work,
    /// Whether a replacement may be there beside its predecessor.
    pub overlap: Overlap,
}

/// What the processes of a group are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Work {
    /// They answer requests.
    #[default]
    Requests,
    /// They run a script of their own and serve no requests.
    Service,
}

/// Whether a replacement may be there beside its predecessor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is started first.
    #[default]
    Allowed,
    /// It is started when the other one is gone.
    Never,
}

#[cfg(test)]
#[path = "supervision_tests.rs"]
mod tests;
