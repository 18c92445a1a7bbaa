// SPDX-License-Identifier: Apache-2.0
//! When the supervisor starts, stops and kills the processes of a group, and how much they may write.
//!
//! Nothing here reads a clock: a [`Moment`] is the time since the supervisor began, and whoever calls says which it is.

use crate::admission::How;
use crate::launch::Patience;
use std::time::Duration;

/// The time since the supervisor began.
pub type Moment = Duration;

/// How long a place waits after its first failure. Each further failure doubles it.
pub const FIRST_DELAY: Duration = Duration::from_millis(250);
/// The longest that a place waits.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A process that was ready for so long makes earlier failures forgotten.
pub const STABLE: Duration = Duration::from_secs(60);
/// A process that ends sooner than this after it was ready counts as a failure.
pub const SHORT: Duration = Duration::from_secs(1);
/// How long the place of a process that serves no requests waits after it ended well: such scripts are used as timers.
pub const SERVICE_DELAY: Duration = Duration::from_secs(1);
/// Somebody else killed it, which says nothing about the next one.
const KILLED: How = How::Signal(9);
/// How much longer than it may a process takes to end before it is killed.
pub const SLACK: Duration = Duration::from_secs(1);
/// Requests may take no longer.
pub const AT_ONCE: Patience = Patience(Some(Duration::ZERO));
/// How long a killed process is waited for while the supervisor ends.
pub const BURIAL: Duration = Duration::from_secs(5);

/// What is to be done about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a process.
    Start,
    /// Tell the process to end, after its requests have had so long.
    Stop(Patience),
    /// Kill the process and all of its process group; it ends in this way.
    Kill(How),
}

/// What a place allows its processes. No time is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long one may take until it is ready.
    pub startup: Option<Duration>,
    /// How long one that is to end may take.
    pub shutdown: Option<Duration>,
    /// What they are for.
    pub work: Work,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No process; the next one starts then.
    Waiting(Moment),
    /// A process that is to be ready until then.
    Starting(Option<Moment>),
    /// A process, and since when it is ready.
    Ready(Moment),
    /// A process that was ready since then if ever, and ends by itself until the moment, or else in the way that is given.
    Leaving(Option<Moment>, Option<Moment>, How),
    /// The process was killed and should be gone by then.
    Killed(Option<Moment>, Moment),
    /// No process, and there will be none.
    Closed,
}

impl State {
    /// Whether there is a process; since when it is ready, if it ever was.
    const fn process(self) -> Option<Option<Moment>> {
        match self {
            Self::Starting(_) => Some(None),
            Self::Ready(ready) => Some(Some(ready)),
            Self::Leaving(ready, ..) | Self::Killed(ready, _) => Some(ready),
            Self::Waiting(_) | Self::Closed => None,
        }
    }
}

/// The place of one process of a group.
#[derive(Debug, Clone)]
pub struct Place {
    state: State,
    delay: Duration,
    /// Whether a process ended soon after it was ready, since one was stable.
    died_young: bool,
    terms: Terms,
    closing: bool,
}

impl Place {
    /// An empty place whose process starts at once.
    #[must_use]
    pub const fn new(now: Moment, terms: Terms) -> Self {
        Self { state: State::Waiting(now), delay: FIRST_DELAY, died_young: false, terms, closing: false }
    }

    /// What is due, which the caller does.
    pub fn act(&mut self, now: Moment) -> Option<Action> {
        match self.state {
            State::Waiting(due) if due <= now => {
                self.state = State::Starting(self.terms.startup.map(|startup| now + startup));
                Some(Action::Start)
            }
            State::Starting(Some(due)) if due <= now => {
                self.state = State::Killed(None, now + BURIAL);
                Some(Action::Kill(How::Late))
            }
            State::Leaving(ready, Some(due), how) if due <= now => {
                self.state = State::Killed(ready, now + BURIAL);
                Some(Action::Kill(how))
            }
            State::Killed(_, due) if self.closing && due <= now => {
                self.state = State::Closed;
                None
            }
            _ => None,
        }
    }

    /// When [`act`](Self::act) has to be called again at the latest.
    #[must_use]
    pub const fn due(&self) -> Option<Moment> {
        match self.state {
            State::Waiting(due) | State::Starting(Some(due)) | State::Leaving(_, Some(due), _) => Some(due),
            State::Killed(_, due) if self.closing => Some(due),
            _ => None,
        }
    }

    /// The process says that it is ready.
    pub const fn ready(&mut self, now: Moment) {
        if let State::Starting(_) = self.state {
            self.state = State::Ready(now);
        }
    }

    /// The process is going to end by itself, after its requests have had so long.
    pub fn leaves(&mut self, now: Moment, patience: Patience) {
        if let State::Starting(_) | State::Ready(_) = self.state {
            let ready = self.state.process().flatten();
            let due = patience.0.zip(self.terms.shutdown).map(|(requests, python)| now + requests + python + SLACK);
            self.state = State::Leaving(ready, due, How::Overdue);
        }
    }

    /// The process has to end at once, in this way.
    pub fn condemn(&mut self, now: Moment, how: How) {
        if let State::Starting(_) | State::Ready(_) | State::Leaving(..) = self.state {
            self.state = State::Leaving(self.state.process().flatten(), Some(now), how);
        }
    }

    /// Whether the process accepts requests, or did and is not killed yet.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self.state, State::Ready(_) | State::Leaving(Some(_), ..))
    }

    /// The process ended in this way, or could not be started. The delay before the next one, if there will be one.
    pub fn ended(&mut self, now: Moment, how: Option<How>) -> Option<Duration> {
        let ready = self.state.process()?;
        if self.closing {
            self.state = State::Closed;
            return None;
        }
        let life = ready.map(|ready| now.saturating_sub(ready));
        if life.is_some_and(|life| life >= STABLE) {
            (self.delay, self.died_young) = (FIRST_DELAY, false);
        }
        let delay = if self.terms.work == Work::Service && ready.is_some() && how == Some(How::Status(0)) {
            SERVICE_DELAY
        } else if life.is_some_and(|life| life >= SHORT) || (ready.is_some() && how == Some(KILLED)) {
            Duration::ZERO
        } else if ready.is_some() && !std::mem::replace(&mut self.died_young, true) {
            // Once may be chance.
            Duration::ZERO
        } else {
            let delay = self.delay;
            self.delay = (delay * 2).min(LONGEST_DELAY);
            delay
        };
        self.state = State::Waiting(now + delay);
        Some(delay)
    }

    /// No further process is wanted. What is to be done about the present one.
    pub fn close(&mut self, now: Moment) -> Option<Action> {
        self.closing = true;
        match self.state {
            State::Waiting(_) => {
                self.state = State::Closed;
                None
            }
            State::Starting(_) | State::Ready(_) => {
                self.leaves(now, AT_ONCE);
                Some(Action::Stop(AT_ONCE))
            }
            _ => None,
        }
    }

    /// Whether there is no process, and there will be none.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }
}

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

    const CLEAN: Option<How> = Some(How::Status(0));
    const FAILURE: Option<How> = Some(How::Signal(11));

    const fn terms(shutdown: Option<Duration>) -> Terms {
        Terms { startup: None, shutdown, work: Work::Requests }
    }

    fn running(patience: Option<Duration>) -> Place {
        let mut place = Place::new(at(0), terms(patience));
        assert_eq!((place.due(), place.act(at(0))), (Some(at(0)), Some(Action::Start)));
        assert_eq!((place.due(), place.act(at(1))), (None, None));
        place
    }

    #[test]
    fn failures_before_ready_wait_longer_and_longer() {
        let mut place = running(None);
        let (mut now, mut delays) = (at(0), Vec::new());
        for _ in 0..9 {
            let delay = place.ended(now, FAILURE).unwrap();
            delays.push(delay.as_millis());
            assert_eq!(place.act(now), None);
            now += delay;
            assert_eq!(place.act(now), Some(Action::Start));
        }
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn a_process_that_served_is_replaced_at_once() {
        let mut place = running(None);
        place.ready(at(5000));
        assert_eq!(place.ended(at(6000), FAILURE), Some(Duration::ZERO));
        assert_eq!(place.act(at(6000)), Some(Action::Start));
        assert_eq!(place.ended(at(90_000), CLEAN), Some(FIRST_DELAY), "it was never ready");
    }

    #[test]
    fn a_process_that_keeps_dying_waits_until_one_is_stable() {
        let mut place = running(None);
        for delay in [0, 250, 500] {
            let start = place.due().unwrap_or_default();
            place.act(start);
            place.ready(start);
            assert_eq!(place.ended(start + at(999), CLEAN), Some(at(delay)));
        }
        place.act(at(10_000));
        place.ready(at(10_000));
        assert_eq!(place.ended(at(11_000), FAILURE), Some(Duration::ZERO), "the delay is kept, not used");
        place.act(at(11_000));
        assert_eq!(place.ended(at(11_000), FAILURE), Some(at(1000)));
        place.act(at(12_000));
        place.ready(at(12_000));
        assert_eq!(place.ended(at(72_000), FAILURE), Some(Duration::ZERO));
        place.act(at(72_000));
        assert_eq!(place.ended(at(72_000), FAILURE), Some(FIRST_DELAY));
    }

    #[test]
    fn a_service_script_that_ends_well_runs_again_after_a_second() {
        let mut place = Place::new(at(0), Terms { work: Work::Service, ..terms(None) });
        for start in 0..3 {
            assert_eq!(place.act(at(start * 1000)), Some(Action::Start));
            place.ready(at(start * 1000));
            assert_eq!(place.ended(at(start * 1000), CLEAN), Some(SERVICE_DELAY));
        }
        assert_eq!(place.act(at(9000)), Some(Action::Start));
        place.ready(at(9000));
        assert_eq!(place.ended(at(9000), FAILURE), Some(Duration::ZERO));
        place.act(at(9000));
        place.ready(at(9000));
        assert_eq!(place.ended(at(9000), FAILURE), Some(FIRST_DELAY));
    }

    #[test]
    fn a_process_that_somebody_kills_is_replaced_at_once_however_often() {
        let mut place = running(None);
        for second in 0..200 {
            place.ready(at(second));
            assert_eq!(place.ended(at(second), Some(KILLED)), Some(Duration::ZERO));
            assert_eq!(place.act(at(second)), Some(Action::Start));
        }
        assert_eq!(place.ended(at(300), Some(KILLED)), Some(FIRST_DELAY), "it was not ready");
    }

    #[test]
    fn closing_stops_then_kills_then_gives_up() {
        let mut place = running(Some(at(3000)));
        assert_eq!(place.close(at(100)), Some(Action::Stop(AT_ONCE)));
        assert_eq!((place.close(at(101)), place.due(), place.act(at(4099))), (None, Some(at(4100)), None));
        assert_eq!(place.act(at(4100)), Some(Action::Kill(How::Overdue)));
        assert!(!place.is_closed());
        assert_eq!(place.act(at(4100) + BURIAL), None);
        assert!(place.is_closed());
    }

    #[test]
    fn closing_ends_with_the_process() {
        let mut place = running(None);
        place.ready(at(1));
        assert_eq!(place.close(at(2)), Some(Action::Stop(AT_ONCE)));
        assert_eq!((place.due(), place.act(at(9_999_999))), (None, None), "no patience is for ever");
        assert_eq!(place.ended(at(9_999_999), CLEAN), None);
        assert!(place.is_closed());
        let mut empty = Place::new(at(0), terms(None));
        assert_eq!(empty.close(at(0)), None);
        assert!(empty.is_closed());
        assert_eq!(empty.act(at(1)), None);
    }

    #[test]
    fn a_process_that_should_have_ended_is_killed_and_replaced() {
        let mut place = running(Some(at(500)));
        place.leaves(at(1000), Patience(Some(at(7000))));
        place.leaves(at(1400), AT_ONCE);
        assert_eq!((place.act(at(9499)), place.act(at(9500))), (None, Some(Action::Kill(How::Overdue))));
        assert_eq!(place.due(), None);
        assert_eq!(place.ended(at(9501), FAILURE), Some(FIRST_DELAY));
        let mut place = running(None);
        place.condemn(at(7), How::Misbehaved);
        assert_eq!(place.act(at(7)), Some(Action::Kill(How::Misbehaved)));
        assert_eq!(place.close(at(8)), None);
        assert_eq!(place.ended(at(9), FAILURE), None);
        assert!(place.is_closed());
    }

    #[test]
    fn a_process_that_is_not_ready_in_time_is_killed_and_tried_again() {
        let mut place = Place::new(at(0), Terms { startup: Some(at(5000)), ..terms(None) });
        assert_eq!(place.act(at(100)), Some(Action::Start));
        assert_eq!((place.due(), place.act(at(5099))), (Some(at(5100)), None));
        assert_eq!(place.act(at(5100)), Some(Action::Kill(How::Late)));
        assert_eq!((place.due(), place.act(at(5101))), (None, None), "once");
        place.ready(at(5102));
        assert!(!place.serves(), "too late");
        assert_eq!(place.ended(at(5103), Some(How::Late)), Some(FIRST_DELAY));
        assert_eq!(place.act(at(6000)), Some(Action::Start));
        assert_eq!(place.due(), Some(at(11_000)), "each has the time again");
        place.ready(at(10_999));
        assert_eq!((place.due(), place.act(at(99_999))), (None, None), "in time");
        assert!(place.serves());
    }

    #[test]
    fn a_process_that_ends_meanwhile_is_not_late() {
        let start = || {
            let mut place = Place::new(at(0), Terms { startup: Some(at(5000)), ..terms(Some(at(9000))) });
            place.act(at(0));
            place
        };
        let mut failed = start();
        failed.leaves(at(4000), AT_ONCE);
        assert_eq!((failed.act(at(5000)), failed.act(at(14_000))), (None, Some(Action::Kill(How::Overdue))));
        let mut closed = start();
        assert_eq!(closed.close(at(1000)), Some(Action::Stop(AT_ONCE)));
        assert_eq!((closed.act(at(10_999)), closed.act(at(11_000))), (None, Some(Action::Kill(How::Overdue))));
    }

    #[test]
    fn only_a_process_that_was_ready_serves() {
        let mut place = running(None);
        assert!(!place.serves());
        place.leaves(at(1), AT_ONCE);
        assert!(!place.serves(), "it leaves without ever having been ready");
        place.ended(at(2), FAILURE);
        place.act(at(1000));
        place.ready(at(1000));
        assert!(place.serves());
        place.leaves(at(1001), Patience(None));
        assert!(place.serves(), "it finishes its requests");
        place.ended(at(1002), CLEAN);
        assert!(!place.serves());
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
