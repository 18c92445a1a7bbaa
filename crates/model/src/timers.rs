// SPDX-License-Identifier: Apache-2.0
//! When a worker interrupts requests, wants to be replaced, leaves, and ends.
//!
//! Nothing here reads a clock: a [`Moment`] is the time since the worker began, by a clock that nobody sets. Whoever calls says
//! which it is, does what is [`due`](Timers::due), and looks again at [`look_at`](Timers::look_at). Each timer has its effect
//! whatever the others are set to.

use crate::launch::{Limits, Patience};
use std::fmt;
use std::time::Duration;

/// The time since the worker began.
pub type Moment = Duration;

/// How long an interrupted request may take to answer by itself before its answer is taken away.
pub const NOTICE: Duration = Duration::from_millis(100);
/// How many lost threads there may be for each one that a worker has. When there is one for each, a replacement is wanted.
pub const LOST_FOR_EACH: usize = 4;
/// The longest time between two looks at an interpreter's lock.
pub const LONGEST_PROBE: Duration = Duration::from_secs(1);

/// Why a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `maximum-requests`
    MaximumRequests,
    /// `request-timeout`
    RequestTimeout,
    /// `restart-interval`
    RestartInterval,
    /// `deadlock-timeout`
    DeadlockTimeout,
    /// `inactivity-timeout`
    InactivityTimeout,
    /// `cpu-time-limit`
    CpuTimeLimit,
    /// `SIGUSR1`, with an `eviction-timeout`
    EvictionSignal,
    /// `SIGUSR1`
    GracefulSignal,
    /// A newer script.
    ScriptReload,
    /// `SIGTERM`, `SIGINT`, or the supervisor says so.
    ShutdownSignal,
}

impl Reason {
    /// What subscribers get as `shutdown_reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaximumRequests => "maximum_requests",
            Self::RequestTimeout => "request_timeout",
            Self::RestartInterval => "restart_interval",
            Self::DeadlockTimeout => "deadlock_timeout",
            Self::InactivityTimeout => "inactivity_timeout",
            Self::CpuTimeLimit => "cpu_time_limit",
            Self::EvictionSignal => "eviction_signal",
            Self::GracefulSignal => "graceful_signal",
            Self::ScriptReload => "script_reload",
            Self::ShutdownSignal => "shutdown_signal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::MaximumRequests => "it has had its maximum-requests",
            Self::RequestTimeout => "a request does not end (request-timeout)",
            Self::RestartInterval => "it has run for restart-interval",
            Self::DeadlockTimeout => "an interpreter's lock was not free for deadlock-timeout",
            Self::InactivityTimeout => "nobody has used it for inactivity-timeout",
            Self::CpuTimeLimit => "it has used its cpu-time-limit",
            Self::EvictionSignal => "SIGUSR1 (eviction-timeout)",
            Self::GracefulSignal => "SIGUSR1",
            Self::ScriptReload => "a script has changed",
            Self::ShutdownSignal => "it was told to end",
        })
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// This request has taken too long: say so, and interrupt it if there is an `interrupt-timeout`.
    Overdue(u64),
    /// Give its client an answer now, and its thread up.
    Take(u64),
    /// It did not react, or is not to be interrupted: log what all threads of its interpreter do.
    Stuck(u64),
    /// Say that a replacement is wanted.
    Tired(Reason),
    /// Accept nothing more, and say so.
    Leave(Patience, Reason),
    /// This interpreter's lock cannot be had: end the process at once.
    Deadlock(u64),
    /// Begin Python's end.
    End(Reason),
}

/// What the process is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// To end: `SIGTERM`, `SIGINT`.
    End,
    /// To go: `SIGUSR1`.
    Evict,
    /// To go, because it used all of its processor time: `SIGXCPU`.
    Processor,
    /// To go, because a script has changed.
    Reload,
    /// To stop, by the supervisor.
    Stop(Patience),
    /// To go, because the supervisor is gone.
    Orphaned,
}

/// Whether a request is a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is.
    Life,
    /// It is not: `WSGIIgnoreActivity`.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Fresh,
    /// It was interrupted, or its stack was logged.
    Told(Moment),
    /// It has no client any more.
    Lost(Moment),
}

#[derive(Debug)]
struct Running {
    number: u64,
    since: Moment,
    sign: Sign,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Until all requests have ended, or then.
    Leaving(Option<Moment>),
    Ended,
}

/// The timers of one worker.
#[derive(Debug)]
pub struct Timers {
    limits: Limits,
    /// After how many requests this process is done; 0 is never.
    most: u64,
    begun: u64,
    /// Since when it accepts requests.
    open: Option<Moment>,
    threads: usize,
    running: Vec<Running>,
    /// The last sign of life.
    alive: Option<Moment>,
    stage: Stage,
    /// Why a replacement is wanted, once that was said.
    tired: Option<Reason>,
    /// Whether it was said that a request is stuck.
    stuck: bool,
    reason: Option<Reason>,
    /// Whether the supervisor knows that this process leaves.
    told: bool,
    /// The time that requests had when it began to leave.
    granted: Patience,
    /// The locks that somebody waits for, and since when.
    probes: Vec<(u64, Moment)>,
    /// When whoever asks looks again, if ever.
    looks: Option<Moment>,
}

fn time(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

impl Timers {
    /// The timers of a process that begins now. `chance` is any number; it chooses how many requests fewer than the maximum this
    /// process takes.
    #[must_use]
    pub fn new(limits: Limits, threads: u32, chance: u64) -> Self {
        let fewer = chance % limits.maximum_requests_jitter.saturating_add(1);
        let most = if limits.maximum_requests == 0 { 0 } else { limits.maximum_requests.saturating_sub(fewer).max(1) };
        Self {
            limits,
            most,
            begun: 0,
            open: None,
            threads: usize::try_from(threads).unwrap_or(usize::MAX),
            running: Vec::new(),
            alive: None,
            stage: Stage::Serving,
            tired: None,
            stuck: false,
            reason: None,
            told: false,
            granted: Patience(None),
            probes: Vec::new(),
            looks: None,
        }
    }

    /// The process accepts requests from now on.
    pub fn open(&mut self, now: Moment) {
        self.open = Some(now);
    }

    /// How long a request may take, if there is a limit.
    #[must_use]
    pub fn request_timeout(&self) -> Option<Duration> {
        time(self.limits.request_timeout)
    }

    /// How long an interrupted request may take to notice; `None` where requests are not interrupted.
    #[must_use]
    pub fn interrupt_timeout(&self) -> Option<Duration> {
        time(self.limits.interrupt_timeout)
    }

    /// How often an interpreter's lock is to be looked at; `None` is never.
    #[must_use]
    pub fn probe_interval(&self) -> Option<Duration> {
        time(self.limits.deadlock_timeout).map(|limit| (limit / 4).min(LONGEST_PROBE))
    }

    /// A request is about to be run. Its number, or `None` if this process takes no more.
    pub fn begin(&mut self, now: Moment, sign: Sign) -> Option<u64> {
        if self.stage != Stage::Serving || self.is_done() {
            return None;
        }
        self.begun += 1;
        self.running.push(Running { number: self.begun, since: now, sign, step: Step::Fresh });
        if sign == Sign::Life {
            self.alive = Some(now);
        }
        Some(self.begun)
    }

    /// A request has ended. Whether its thread is one that was given up.
    pub fn end(&mut self, number: u64, now: Moment) -> bool {
        let Some(place) = self.running.iter().position(|one| one.number == number) else { return false };
        let ended = self.running.swap_remove(place);
        if ended.sign == Sign::Life {
            self.alive = Some(now);
        }
        matches!(ended.step, Step::Lost(_))
    }

    /// The thread of this request was given up.
    pub fn lose(&mut self, number: u64) {
        if let Some(one) = self.running.iter_mut().find(|one| one.number == number) {
            if let Step::Told(since) = one.step {
                one.step = Step::Lost(since);
            }
        }
    }

    /// Somebody begins to wait for a lock.
    pub fn probe(&mut self, lock: u64, now: Moment) {
        self.probes.push((lock, now));
    }

    /// Somebody has got the lock.
    pub fn probed(&mut self, lock: u64) {
        self.probes.retain(|(other, _)| *other != lock);
    }

    /// Something is asked of the process.
    pub fn ask(&mut self, call: Call, now: Moment) {
        let graceful = Patience(Some(Duration::from_millis(self.limits.graceful_timeout)));
        match call {
            Call::End => self.leave(Patience(Some(Duration::ZERO)), Reason::ShutdownSignal, now),
            Call::Evict => match time(self.limits.eviction_timeout) {
                Some(patience) => self.leave(Patience(Some(patience)), Reason::EvictionSignal, now),
                None => self.leave(graceful, Reason::GracefulSignal, now),
            },
            Call::Processor => self.leave(graceful, Reason::CpuTimeLimit, now),
            Call::Reload => self.leave(graceful, Reason::ScriptReload, now),
            Call::Orphaned => {
                self.told = true;
                self.leave(graceful, Reason::ShutdownSignal, now);
            }
            Call::Stop(patience) => {
                self.told = true;
                self.leave(patience, Reason::ShutdownSignal, now);
            }
        }
    }

    /// The first reason is the one that counts, and the shortest patience.
    fn leave(&mut self, patience: Patience, reason: Reason, now: Moment) {
        let until = patience.0.map(|patience| now.saturating_add(patience));
        self.stage = match self.stage {
            Stage::Serving => {
                self.granted = patience;
                Stage::Leaving(until)
            }
            Stage::Leaving(Some(former)) => Stage::Leaving(Some(until.map_or(former, |until| until.min(former)))),
            Stage::Leaving(None) => Stage::Leaving(until),
            Stage::Ended => Stage::Ended,
        };
        self.reason = self.reason.or(self.tired).or(Some(reason));
    }

    fn is_done(&self) -> bool {
        self.most > 0 && self.begun >= self.most
    }

    /// Whether a request is running that somebody waits for.
    fn is_busy(&self) -> bool {
        self.running.iter().any(|one| !matches!(one.step, Step::Lost(_)))
    }

    fn lost(&self) -> usize {
        self.running.iter().filter(|one| matches!(one.step, Step::Lost(_))).count()
    }

    /// When something is to be done about a request.
    fn deadline(&self, one: &Running) -> Option<Moment> {
        let limit = self.request_timeout()?;
        let stuck = |told: Moment| match self.interrupt_timeout() {
            _ if self.stuck => None,
            Some(interrupt) => Some(told + interrupt),
            None => Some(told),
        };
        match one.step {
            Step::Fresh => Some(one.since + limit),
            Step::Told(told) => Some(stuck(told).map_or(told + NOTICE, |stuck| stuck.min(told + NOTICE))),
            Step::Lost(told) => stuck(told),
        }
    }

    /// Reasons to want a replacement, and from when on.
    fn tiring(&self) -> [Option<(Moment, Reason)>; 3] {
        let inactive = time(self.limits.inactivity_timeout).zip(self.alive).filter(|_| !self.is_busy());
        [
            self.is_done().then_some((Moment::ZERO, Reason::MaximumRequests)),
            time(self.limits.restart_interval)
                .zip(self.open)
                .map(|(interval, open)| (open + interval, Reason::RestartInterval)),
            inactive.map(|(limit, alive)| (alive + limit, Reason::InactivityTimeout)),
        ]
    }

    /// What is to be done now, each once.
    pub fn due(&mut self, now: Moment) -> Vec<Due> {
        let mut due = Vec::new();
        if self.stage == Stage::Ended {
            return due;
        }
        if let Some(limit) = time(self.limits.deadlock_timeout) {
            if let Some((lock, _)) = self.probes.iter().find(|(_, since)| now.saturating_sub(*since) >= limit) {
                self.stage = Stage::Ended;
                return vec![Due::Deadlock(*lock)];
            }
        }
        let was_serving = self.tired.is_none() && self.stage == Stage::Serving;
        self.due_for_requests(now, &mut due);
        if was_serving && self.tired.is_none() {
            let tiring = self.tiring().into_iter().flatten().find(|(from, _)| *from <= now);
            self.tired = tiring.map(|(_, reason)| reason);
            if self.tired.is_none() && self.threads > 0 && self.lost() >= self.threads {
                self.tired = Some(Reason::RequestTimeout);
            }
        }
        if let Some(reason) = self.tired.filter(|_| was_serving) {
            due.push(Due::Tired(reason));
        }
        if self.stage == Stage::Serving {
            if self.is_done() && !self.is_busy() {
                self.leave(Patience(Some(Duration::ZERO)), Reason::MaximumRequests, now);
            } else if self.lost() > self.threads.saturating_mul(LOST_FOR_EACH) {
                let graceful = Patience(Some(Duration::from_millis(self.limits.graceful_timeout)));
                self.leave(graceful, Reason::RequestTimeout, now);
            }
        }
        self.due_for_end(now, &mut due);
        due
    }

    fn due_for_requests(&mut self, now: Moment, due: &mut Vec<Due>) {
        let (limit, interrupt) = (self.request_timeout(), self.interrupt_timeout());
        let Some(limit) = limit else { return };
        for one in &mut self.running {
            if one.step == Step::Fresh && one.since + limit <= now {
                one.step = Step::Told(now);
                due.push(Due::Overdue(one.number));
            }
            let (Step::Told(told) | Step::Lost(told)) = one.step else { continue };
            if !self.stuck && told + interrupt.unwrap_or_default() <= now {
                self.stuck = true;
                due.push(Due::Stuck(one.number));
                if self.stage == Stage::Serving {
                    self.tired = self.tired.or(Some(Reason::RequestTimeout));
                }
            }
            if matches!(one.step, Step::Told(_)) && told + NOTICE <= now {
                due.push(Due::Take(one.number));
            }
        }
    }

    fn due_for_end(&mut self, now: Moment, due: &mut Vec<Due>) {
        let (Stage::Leaving(until), Some(reason)) = (self.stage, self.reason) else { return };
        if !std::mem::replace(&mut self.told, true) {
            due.push(Due::Leave(self.granted, reason));
        }
        if !self.is_busy() || until.is_some_and(|until| until <= now) {
            self.stage = Stage::Ended;
            due.push(Due::End(reason));
        }
    }

    /// When something may be due, if nothing else happens before.
    fn earliest(&self) -> Option<Moment> {
        let requests = self.running.iter().filter_map(|one| self.deadline(one));
        let locks = time(self.limits.deadlock_timeout);
        let locks = self.probes.iter().filter_map(|(_, since)| locks.map(|limit| *since + limit));
        let stage = match self.stage {
            Stage::Ended => return None,
            Stage::Leaving(_) if !self.is_busy() || !self.told => Some(Moment::ZERO),
            Stage::Leaving(until) => until,
            Stage::Serving if self.is_done() && !self.is_busy() => Some(Moment::ZERO),
            Stage::Serving if self.tired.is_none() => self.tiring().into_iter().flatten().map(|(from, _)| from).min(),
            Stage::Serving => None,
        };
        requests.chain(locks).chain(stage).min()
    }

    /// When to look again, if nothing wakes whoever asks before.
    pub fn look_at(&mut self, now: Moment) -> Option<Moment> {
        // Somebody waits for a lock every second; whoever looks then anyway is not woken each time.
        let lock = time(self.limits.deadlock_timeout).filter(|_| self.stage != Stage::Ended);
        self.looks = self.earliest().into_iter().chain(lock.map(|limit| now + limit)).min();
        self.looks
    }

    /// Whether whoever looks has to be woken, because something is due before it looks again.
    #[must_use]
    pub fn has_to_look(&self) -> bool {
        match (self.earliest(), self.looks) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(earliest), Some(looks)) => earliest < looks,
        }
    }
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
