// SPDX-License-Identifier: Apache-2.0
//! The requests that a worker runs, and the clock by which its timers go: one that nobody sets.
//!
//! Request threads note here when a request begins and ends; the watch asks what is due. Whoever does something to a request of another
//! thread does it here, under the lock under which its thread would say that the request has ended.

use super::outbox::{Outbox, Taken};
use model::environ::Key;
use model::event::Level;
use model::launch::Worker;
use model::timers::{Call as Asked, Due, Moment, Sign, Timers};
use model::wire::{Call, Failure, ToServer};
use python::interrupt::Ticket;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use unix::callback::Private;
use unix::connection::{Bell, shut_down};

/// A request that can be interrupted.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) number: u64,
    pub(crate) ticket: Ticket,
    /// The kernel's number of its thread.
    pub(crate) thread: i32,
    pub(crate) script: String,
    pub(crate) application_group: String,
    /// Its number in httpd's logs.
    pub(crate) request: String,
    outbox: Arc<Outbox>,
    socket: Arc<Private>,
    lost: AtomicBool,
}

/// How an answer leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'w> {
    pub(crate) outbox: &'w Arc<Outbox>,
    pub(crate) socket: &'w Arc<Private>,
}

/// A request that has begun.
#[derive(Debug)]
pub(crate) struct Entry {
    number: u64,
    running: Option<Arc<Running>>,
}

impl Entry {
    /// How it can be interrupted, if there is a limit.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        self.running.as_ref().map(|running| &running.ticket)
    }
}

#[derive(Debug)]
struct State {
    timers: Timers,
    running: Vec<Arc<Running>>,
}

impl State {
    fn find(&self, number: u64) -> Option<usize> {
        self.running.iter().position(|one| one.number == number)
    }
}

/// All requests of a process.
#[derive(Debug)]
pub(crate) struct Ledger {
    start: Instant,
    state: Mutex<State>,
    /// Whether requests can be interrupted, or their threads be asked what they do.
    keeps: bool,
    /// Whether requests can be overdue; no others are ever named.
    names: bool,
    /// The script that has changed.
    stale: Mutex<Option<String>>,
    /// Wakes the watch.
    pub(crate) bell: Bell,
}

impl Ledger {
    pub(crate) fn new(settings: &Worker) -> io::Result<Self> {
        let limits = settings.limits;
        let chance = RandomState::new().build_hasher().finish();
        let state = State { timers: Timers::new(limits, settings.threads, chance), running: Vec::new() };
        let keeps = limits.request_timeout > 0 || limits.deadlock_timeout > 0;
        Ok(Self {
            start: Instant::now(),
            state: Mutex::new(state),
            names: limits.request_timeout > 0,
            keeps,
            stale: Mutex::default(),
            bell: Bell::new()?,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        self.start.elapsed()
    }

    /// Tells the timers something, and wakes the watch if that makes something due sooner.
    fn tell<R>(&self, what: impl FnOnce(&mut State, Moment) -> R) -> R {
        let mut state = self.state();
        let result = what(&mut state, self.now());
        let ring = state.timers.has_to_look();
        drop(state);
        if ring {
            self.bell.ring();
        }
        result
    }

    /// Requests are accepted from now on.
    pub(crate) fn open(&self) {
        self.tell(|state, now| state.timers.open(now));
    }

    /// A request is about to be run on the calling thread, which has that number; `None` if this process takes no more.
    pub(crate) fn begin(&self, call: &Call<'_>, thread: i32, way: Way<'_>) -> Option<Entry> {
        let sign = if call.ignore_activity { Sign::Nothing } else { Sign::Life };
        let describe = |number| {
            let text = |bytes| if self.names { String::from_utf8_lossy(bytes).into_owned() } else { String::new() };
            let request = call.environ.iter().find(|entry| entry.key == Key::MOD_WSGI_REQUEST_ID);
            Arc::new(Running {
                number,
                ticket: Ticket::default(),
                thread,
                script: text(call.script),
                application_group: String::from_utf8_lossy(call.application_group).into_owned(),
                request: request.map_or_else(|| text(b"?"), |entry| text(entry.value)),
                outbox: Arc::clone(way.outbox),
                socket: Arc::clone(way.socket),
                lost: AtomicBool::new(false),
            })
        };
        self.tell(|state, now| {
            let number = state.timers.begin(now, sign)?;
            let running = self.keeps.then(|| describe(number));
            state.running.extend(running.clone());
            Some(Entry { number, running })
        })
    }

    /// The request has ended, and its answer has left. Whether its thread was given up.
    pub(crate) fn end(&self, entry: &Entry) -> bool {
        self.tell(|state, now| {
            if let Some(place) = state.find(entry.number) {
                state.running.swap_remove(place);
            }
            state.timers.end(entry.number, now);
            entry.running.as_ref().is_some_and(|running| running.lost.load(Ordering::Acquire))
        })
    }

    /// A request is not started, because its script has changed.
    pub(crate) fn reload(&self, script: &[u8]) {
        let script = String::from_utf8_lossy(script).into_owned();
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(script);
        self.ask(Asked::Reload);
    }

    /// The script that has changed.
    pub(crate) fn stale(&self) -> Option<String> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something is asked of the process.
    pub(crate) fn ask(&self, asked: Asked) {
        self.tell(|state, now| state.timers.ask(asked, now));
    }

    /// What is due, and how long nothing else will be.
    pub(crate) fn due(&self) -> (Vec<Due>, Option<Duration>) {
        let mut state = self.state();
        let now = self.now();
        let due = state.timers.due(now);
        let look_at = state.timers.look_at(now);
        (due, look_at.map(|moment| moment.saturating_sub(now)))
    }

    /// The request of that number, if it has not ended.
    pub(crate) fn running(&self, number: u64) -> Option<Arc<Running>> {
        let state = self.state();
        state.find(number).and_then(|place| state.running.get(place).cloned())
    }

    /// All requests that have not ended.
    pub(crate) fn all(&self) -> Vec<Arc<Running>> {
        self.state().running.clone()
    }

    /// Writes lines to the log of a request. Answers whether that was possible: not if it has ended, or its thread is sending.
    pub(crate) fn log(&self, running: &Running, level: Level, lines: &[impl AsRef<[u8]>]) -> bool {
        let state = self.state();
        state.find(running.number).is_some()
            && running.outbox.speak(|frames| {
                for line in lines {
                    ToServer::Log { level, line: line.as_ref() }.write(frames);
                }
            })
    }

    /// Answers a request in place of its thread, which is lost from then on; `None` if the request has ended.
    pub(crate) fn take(&self, running: &Running, cut: Cut) -> Option<Taken> {
        let mut state = self.state();
        if state.find(running.number).is_none() || running.lost.load(Ordering::Acquire) {
            return None;
        }
        let taken = match cut {
            Cut::Gently => running.outbox.take(|frames| {
                // httpd's child knows whether a part of the answer has left.
                ToServer::Failed(Failure::Refused(504)).write(frames);
            }),
            Cut::Anyhow => {
                shut_down(&*running.socket);
                Taken::Yes
            }
        };
        if taken == Taken::Yes {
            running.lost.store(true, Ordering::Release);
            state.timers.lose(running.number);
        }
        Some(taken)
    }

    /// Somebody begins to wait for the lock of that number.
    pub(crate) fn probe(&self, lock: u64) {
        self.tell(|state, now| state.timers.probe(lock, now));
    }

    /// The lock of that number was had.
    pub(crate) fn probed(&self, lock: u64) {
        self.tell(|state, _| state.timers.probed(lock));
    }

    /// How often locks are to be looked at.
    pub(crate) fn probe_interval(&self) -> Option<Duration> {
        self.state().timers.probe_interval()
    }
}

/// How an answer is taken from its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// With a word about it, if nobody is just sending.
    Gently,
    /// By the end of the connection.
    Anyhow,
}
