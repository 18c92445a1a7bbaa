// SPDX-License-Identifier: Apache-2.0
//! One process of a group, from its start to its burial.

use super::{BURIAL, Moment, SLACK, Terms};
use crate::admission::How;
use crate::launch::Patience;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// No process.
    #[default]
    Empty,
    /// A process that is to be ready until then.
    Starting(Option<Moment>),
    /// A process, and since when it is ready.
    Ready(Moment),
    /// A process that was ready since the first moment if ever, and ends by itself until the second, or else in the way that is
    /// given.
    Leaving(Option<Moment>, Option<Moment>, How),
    /// The process was killed and should be gone by then.
    Killed(Option<Moment>, Moment),
}

/// Where one process can be.
#[derive(Debug, Clone, Default)]
pub struct Place {
    state: State,
    /// Since when nobody has needed its process.
    idle: Option<Moment>,
    /// Until when the requests of a process that leaves may take.
    requests: Option<Moment>,
}

impl Place {
    pub fn start(&mut self, now: Moment, terms: &Terms) {
        *self = Self { state: State::Starting(terms.startup.map(|startup| now + startup)), ..Self::default() };
    }

    pub fn ready(&mut self, now: Moment) {
        if let State::Starting(_) = self.state {
            self.state = State::Ready(now);
        }
    }

    /// The process ends by itself, after its requests have had so long. Whether that is less than it had before.
    pub fn leave(&mut self, now: Moment, patience: Patience, terms: &Terms) -> bool {
        let requests = patience.0.map(|time| now + time);
        let is_less = match self.state {
            State::Starting(_) | State::Ready(_) => true,
            State::Leaving(_, _, How::Overdue) => {
                requests.is_some_and(|new| self.requests.is_none_or(|before| new < before))
            }
            State::Leaving(..) | State::Empty | State::Killed(..) => false,
        };
        if is_less {
            let due = requests.zip(terms.shutdown).map(|(requests, python)| requests + python + SLACK);
            (self.state, self.requests) = (State::Leaving(self.ready_since(), due, How::Overdue), requests);
        }
        is_less
    }

    pub fn condemn(&mut self, now: Moment, how: How) {
        if self.may_live() {
            self.state = State::Leaving(self.ready_since(), Some(now), how);
        }
    }

    /// How the process ends that has had its time.
    pub fn overdue(&mut self, now: Moment) -> Option<How> {
        let how = match self.state {
            State::Starting(Some(due)) if due <= now => How::Late,
            State::Leaving(_, Some(due), how) if due <= now => how,
            _ => return None,
        };
        self.state = State::Killed(self.ready_since(), now + BURIAL);
        Some(how)
    }

    /// When [`overdue`](Self::overdue) has something to say.
    pub fn due(&self) -> Option<Moment> {
        match self.state {
            State::Starting(due) | State::Leaving(_, due, _) => due,
            _ => None,
        }
    }

    /// Until when a killed process is waited for.
    pub fn burial(&self) -> Option<Moment> {
        if let State::Killed(_, due) = self.state { Some(due) } else { None }
    }

    /// Says whether somebody needs the process; since when nobody does.
    pub fn note(&mut self, now: Moment, is_needed: bool) -> Option<Moment> {
        self.idle = if is_needed { None } else { Some(self.idle.unwrap_or(now)) };
        self.idle
    }

    pub fn vacate(&mut self) {
        *self = Self::default();
    }

    pub fn ready_since(&self) -> Option<Moment> {
        match self.state {
            State::Ready(since) => Some(since),
            State::Leaving(since, ..) | State::Killed(since, _) => since,
            State::Empty | State::Starting(_) => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    pub fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting(_))
    }

    /// Whether the process ends by itself and was not killed.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving(..))
    }

    fn may_live(&self) -> bool {
        self.is_starting() || self.is_ready() || self.is_leaving()
    }
}
