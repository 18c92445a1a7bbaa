// SPDX-License-Identifier: Apache-2.0
//! A request gets a free thread of a worker, or waits for one: first come, first served, and not for ever.
//!
//! In a child, on the request's thread.

#![forbid(unsafe_code)]

use super::Channel;
use model::admission::{Board, Entry, Group, Holder, Place, Seat, Ticket};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use unix::shared::{is_there, own_name, ring, wait};

/// How long a request sleeps before it looks again, whether or not somebody woke it.
const NAP: Duration = Duration::from_millis(100);
/// How often a request that waits looks after its client, and after children that died unseen.
const GLANCE: Duration = Duration::from_millis(500);

/// What this child knows of its generation's boards.
#[derive(Debug)]
struct Desk {
    counters: Vec<Counter>,
    /// How many requests may wait before they wait for a shorter time.
    crowd: usize,
}

/// One board.
#[derive(Debug)]
struct Counter {
    board: Board<'static>,
    /// Who this process is there, and after how many forks it was that.
    holder: Mutex<Option<(Holder, u32)>>,
}

static DESK: OnceLock<Desk> = OnceLock::new();

/// In a child that has just been forked: takes part in admission.
pub fn join(boards: Vec<Board<'static>>, crowd: usize) {
    let counters = boards.into_iter().map(|board| Counter { board, holder: Mutex::new(None) }).collect();
    let _this_process_has_one = DESK.set(Desk { counters, crowd });
}

impl Desk {
    /// How many requests wait on all boards together.
    fn waiting(&self) -> usize {
        self.counters.iter().map(|counter| counter.board.waiting()).sum()
    }
}

impl Counter {
    fn holder(&self) -> Option<Holder> {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        let forks = unix::callback::forks();
        if let Some((holder, _)) = holder.filter(|(_, then)| *then == forks) {
            return Some(holder);
        }
        let found = self.board.enlist(own_name()).or_else(|| {
            self.sweep();
            self.board.enlist(own_name())
        });
        *holder = found.map(|holder| (holder, forks));
        found
    }

    /// Takes back what processes hold that ended without httpd's notice, such as those that a child forked.
    fn sweep(&self) {
        self.board.forget(|name| !is_there(name)).into_iter().for_each(ring);
    }
}

/// A thread of a worker that a request has; given back when dropped.
#[derive(Debug)]
pub struct Admitted {
    group: &'static Group<'static>,
    /// Which of the group's processes it is.
    pub number: usize,
    /// What the board says about it.
    pub place: &'static Place<'static>,
    /// Of which incarnation.
    pub seat: Seat<'static>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.seat.leave();
        if let Some(bell) = self.group.queue.first() {
            ring(bell);
        }
    }
}

/// Why a request is not admitted.
#[derive(Debug, Error)]
pub enum Rejection {
    /// The group cannot work, or not in time.
    #[error("{0}")]
    Unavailable(String),
    /// Too many wait already, and the group's waits are limited.
    #[error("{0} requests wait already")]
    Crowded(usize),
    /// It waited for `queue-timeout`.
    #[error("no thread was free within {} s (queue-timeout)", .0.as_secs())]
    QueueTimeout(Duration),
    /// It waited as long as it may for anything.
    #[error("no thread was free within {} s (socket-timeout)", .0.as_secs())]
    Overdue(Duration),
    /// Nobody waits for the answer any more.
    #[error("the client has left")]
    ClientGone,
}

/// A request's place in the queue; given back when dropped.
struct Waiting {
    group: &'static Group<'static>,
    ticket: Option<Ticket>,
}

impl Waiting {
    fn is_first(&self) -> bool {
        self.ticket.as_ref().is_none_or(|ticket| self.group.queue.is_first(ticket))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let next = self.ticket.as_ref().and_then(|ticket| self.group.queue.leave(ticket));
        if let Some(bell) = next {
            ring(bell);
        }
    }
}

/// How long a request has waited, over all of its attempts.
#[derive(Debug)]
pub struct Patience {
    begun: Instant,
    /// For anything: httpd's or the group's limit on silence.
    silence: Duration,
}

impl Patience {
    /// A request that begins to look for a worker now.
    pub fn new(silence: Duration) -> Self {
        Self { begun: Instant::now(), silence }
    }
}

/// Finds a free thread for a request of `channel`'s group.
pub fn admit(
    channel: &Channel,
    patience: &Patience,
    client_has_left: &dyn Fn() -> bool,
) -> Result<Admitted, Rejection> {
    let unavailable = |reason: &str| Rejection::Unavailable(reason.to_owned());
    let desk = DESK.get().ok_or_else(|| unavailable("its processes were not started"))?;
    let counter = desk.counters.get(channel.board).ok_or_else(|| unavailable("it is on no board"))?;
    let group = counter.board.groups().get(channel.number).ok_or_else(|| unavailable("it is not on the board"))?;
    if channel.threads == 0 {
        return Err(unavailable("it serves no requests (threads=0)"));
    }
    let holder = counter.holder().ok_or_else(|| unavailable("httpd has too many child processes"))?;
    if group.queue.length() == 0
        && let Some(admitted) = enter(group, holder).ok().flatten()
    {
        return Ok(admitted);
    }
    queue(desk, (counter, group, holder), channel, patience, client_has_left)
}

/// A thread, or `None` if all are taken, or why none can be free.
fn enter(group: &'static Group<'static>, holder: Holder) -> Result<Option<Admitted>, Missing> {
    match group.enter(holder) {
        Entry::Admitted(number, seat) => {
            let place = group.places.get(number).ok_or(Missing)?;
            Ok(Some(Admitted { group, number, place, seat }))
        }
        Entry::Full | Entry::Starting => Ok(None),
        Entry::Absent => Err(Missing),
    }
}

/// The group has no process, and none is starting.
struct Missing;

fn queue(
    desk: &Desk,
    (counter, group, holder): (&Counter, &'static Group<'static>, Holder),
    channel: &Channel,
    patience: &Patience,
    client_has_left: &dyn Fn() -> bool,
) -> Result<Admitted, Rejection> {
    let before = group.queue.length();
    let crowded = before >= channel.backlog || desk.waiting() >= desk.crowd;
    if crowded && channel.queue_timeout.is_some() {
        return Err(Rejection::Crowded(before));
    }
    let mut waiting = Waiting { group, ticket: group.queue.join(holder) };
    let (mut missing, mut glanced) = (None, Instant::now());
    loop {
        if waiting.ticket.is_none() {
            waiting.ticket = group.queue.join(holder);
        }
        let bell = waiting.ticket.as_ref().and_then(|ticket| group.queue.bell(ticket));
        let seen = bell.map_or(0, |bell| bell.load(std::sync::atomic::Ordering::SeqCst));
        if let Some(reason) = group.failure() {
            return Err(Rejection::Unavailable(reason));
        }
        match if waiting.is_first() { enter(group, holder) } else { Ok(None) } {
            Ok(Some(admitted)) => return Ok(admitted),
            Ok(None) => missing = None,
            Err(Missing) => {
                missing.get_or_insert_with(Instant::now);
            }
        }
        let now = Instant::now();
        let limit = limit(channel, patience, crowded, missing, now)?;
        if now.duration_since(glanced) >= GLANCE {
            glanced = now;
            if client_has_left() {
                return Err(Rejection::ClientGone);
            }
            if waiting.is_first() {
                counter.sweep();
            }
        }
        match bell {
            Some(bell) => wait(bell, seen, limit.min(NAP)),
            None => std::thread::sleep(limit.min(NAP)),
        }
    }
}

/// How long the request may still wait, or why it may not.
fn limit(
    channel: &Channel,
    patience: &Patience,
    crowded: bool,
    missing: Option<Instant>,
    now: Instant,
) -> Result<Duration, Rejection> {
    let waited = now.duration_since(patience.begun);
    let rest = |limit: Duration, since: Duration| limit.checked_sub(since).filter(|rest| !rest.is_zero());
    let mut least = NAP;
    if let Some(timeout) = channel.queue_timeout {
        least = least.min(rest(timeout, waited).ok_or(Rejection::QueueTimeout(timeout))?);
    }
    let seconds = channel.connect_timeout.as_secs();
    if crowded {
        let reason = || {
            format!(
                "all of its threads are busy and many requests wait; none was free within {seconds} s (connect-timeout)"
            )
        };
        least = least.min(rest(channel.connect_timeout, waited).ok_or_else(|| Rejection::Unavailable(reason()))?);
    }
    if let Some(since) = missing {
        let reason = || format!("it has had no process for {seconds} s (connect-timeout)");
        let absent = now.duration_since(since);
        least = least.min(rest(channel.connect_timeout, absent).ok_or_else(|| Rejection::Unavailable(reason()))?);
    }
    if channel.queue_timeout.is_none() {
        least = least.min(rest(patience.silence, waited).ok_or(Rejection::Overdue(patience.silence))?);
    }
    Ok(least)
}
