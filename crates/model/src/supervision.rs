// SPDX-License-Identifier: Apache-2.0
//! When the supervisor starts, stops and kills the processes of a group, and how much they may write.
//!
//! Nothing here reads a clock: a [`Moment`] is the time since the supervisor began, and whoever calls says which it is.

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
/// How long a killed process is waited for while the supervisor ends.
pub const BURIAL: Duration = Duration::from_secs(5);

/// What is to be done about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a process.
    Start,
    /// Tell the process to end.
    Stop,
    /// Kill the process and all of its process group.
    Kill,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With status 0.
    Clean,
    /// In any other way, or it could not be started.
    Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No process; the next one starts then.
    Waiting(Moment),
    /// A process, and since when it is ready.
    Running(Option<Moment>),
    /// The process is to end by itself until then.
    Leaving(Option<Moment>, Option<Moment>),
    /// The process was killed and should be gone by then.
    Killed(Option<Moment>, Moment),
    /// No process, and there will be none.
    Closed,
}

/// The place of one process of a group.
#[derive(Debug, Clone)]
pub struct Place {
    state: State,
    delay: Duration,
    patience: Option<Duration>,
    service: bool,
    closing: bool,
}

impl Place {
    /// An empty place whose process starts at once. A process that is to end may take `patience`, without one for ever;
    /// `service` is for processes that serve no requests.
    #[must_use]
    pub const fn new(now: Moment, patience: Option<Duration>, service: bool) -> Self {
        Self { state: State::Waiting(now), delay: FIRST_DELAY, patience, service, closing: false }
    }

    /// What is due, which the caller does.
    pub fn act(&mut self, now: Moment) -> Option<Action> {
        match self.state {
            State::Waiting(due) if due <= now => {
                self.state = State::Running(None);
                Some(Action::Start)
            }
            State::Leaving(ready, Some(due)) if due <= now => {
                self.state = State::Killed(ready, now + BURIAL);
                Some(Action::Kill)
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
            State::Waiting(due) | State::Leaving(_, Some(due)) => Some(due),
            State::Killed(_, due) if self.closing => Some(due),
            _ => None,
        }
    }

    /// The process says that it is ready.
    pub fn ready(&mut self, now: Moment) {
        if self.state == State::Running(None) {
            self.state = State::Running(Some(now));
        }
    }

    /// The process is going to end by itself.
    pub fn leaves(&mut self, now: Moment) {
        if let State::Running(ready) = self.state {
            self.state = State::Leaving(ready, self.patience.map(|patience| now + patience));
        }
    }

    /// The process does what it must not.
    pub const fn misbehaves(&mut self, now: Moment) {
        if let State::Running(ready) | State::Leaving(ready, _) = self.state {
            self.state = State::Leaving(ready, Some(now));
        }
    }

    /// The process ended, or could not be started. The delay before the next one, if there will be one.
    pub fn ended(&mut self, now: Moment, ending: Ending) -> Option<Duration> {
        let (State::Running(ready) | State::Leaving(ready, _) | State::Killed(ready, _)) = self.state else {
            return None;
        };
        if self.closing {
            self.state = State::Closed;
            return None;
        }
        let life = ready.map(|ready| now.saturating_sub(ready));
        if life.is_some_and(|life| life >= STABLE) {
            self.delay = FIRST_DELAY;
        }
        let delay = if self.service && ready.is_some() && ending == Ending::Clean {
            SERVICE_DELAY
        } else if life.is_some_and(|life| life >= SHORT) {
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
            State::Running(_) => {
                self.leaves(now);
                Some(Action::Stop)
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

    fn running(patience: Option<Duration>) -> Place {
        let mut place = Place::new(at(0), patience, false);
        assert_eq!((place.due(), place.act(at(0))), (Some(at(0)), Some(Action::Start)));
        assert_eq!((place.due(), place.act(at(1))), (None, None));
        place
    }

    #[test]
    fn failures_before_ready_wait_longer_and_longer() {
        let mut place = running(None);
        let (mut now, mut delays) = (at(0), Vec::new());
        for _ in 0..9 {
            let delay = place.ended(now, Ending::Failure).unwrap();
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
        assert_eq!(place.ended(at(6000), Ending::Failure), Some(Duration::ZERO));
        assert_eq!(place.act(at(6000)), Some(Action::Start));
        assert_eq!(place.ended(at(90_000), Ending::Clean), Some(FIRST_DELAY), "it was never ready");
    }

    #[test]
    fn a_process_that_keeps_dying_waits_until_one_is_stable() {
        let mut place = running(None);
        for delay in [250, 500] {
            let start = place.due().unwrap_or_default();
            place.act(start);
            place.ready(start);
            assert_eq!(place.ended(start + at(999), Ending::Clean), Some(at(delay)));
        }
        place.act(at(10_000));
        place.ready(at(10_000));
        assert_eq!(place.ended(at(11_000), Ending::Failure), Some(Duration::ZERO), "the delay is kept, not used");
        place.act(at(11_000));
        assert_eq!(place.ended(at(11_000), Ending::Failure), Some(at(1000)));
        place.act(at(12_000));
        place.ready(at(12_000));
        assert_eq!(place.ended(at(72_000), Ending::Failure), Some(Duration::ZERO));
        place.act(at(72_000));
        assert_eq!(place.ended(at(72_000), Ending::Failure), Some(FIRST_DELAY));
    }

    #[test]
    fn a_service_script_that_ends_well_runs_again_after_a_second() {
        let mut place = Place::new(at(0), None, true);
        for start in 0..3 {
            assert_eq!(place.act(at(start * 1000)), Some(Action::Start));
            place.ready(at(start * 1000));
            assert_eq!(place.ended(at(start * 1000), Ending::Clean), Some(SERVICE_DELAY));
        }
        assert_eq!(place.act(at(9000)), Some(Action::Start));
        place.ready(at(9000));
        assert_eq!(place.ended(at(9000), Ending::Failure), Some(FIRST_DELAY));
    }

    #[test]
    fn closing_stops_then_kills_then_gives_up() {
        let mut place = running(Some(at(3000)));
        assert_eq!(place.close(at(100)), Some(Action::Stop));
        assert_eq!((place.close(at(101)), place.due(), place.act(at(3099))), (None, Some(at(3100)), None));
        assert_eq!(place.act(at(3100)), Some(Action::Kill));
        assert!(!place.is_closed());
        assert_eq!(place.act(at(3100) + BURIAL), None);
        assert!(place.is_closed());
    }

    #[test]
    fn closing_ends_with_the_process() {
        let mut place = running(None);
        place.ready(at(1));
        assert_eq!(place.close(at(2)), Some(Action::Stop));
        assert_eq!((place.due(), place.act(at(9_999_999))), (None, None), "no patience is for ever");
        assert_eq!(place.ended(at(9_999_999), Ending::Clean), None);
        assert!(place.is_closed());
        let mut empty = Place::new(at(0), None, false);
        assert_eq!(empty.close(at(0)), None);
        assert!(empty.is_closed());
        assert_eq!(empty.act(at(1)), None);
    }

    #[test]
    fn a_process_that_should_have_ended_is_killed_and_replaced() {
        let mut place = running(Some(at(500)));
        place.leaves(at(1000));
        place.leaves(at(1400));
        assert_eq!((place.act(at(1499)), place.act(at(1500))), (None, Some(Action::Kill)));
        assert_eq!(place.due(), None);
        assert_eq!(place.ended(at(1501), Ending::Failure), Some(FIRST_DELAY));
        let mut place = running(None);
        place.misbehaves(at(7));
        assert_eq!(place.act(at(7)), Some(Action::Kill));
        assert_eq!(place.close(at(8)), None);
        assert_eq!(place.ended(at(9), Ending::Failure), None);
        assert!(place.is_closed());
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
