// SPDX-License-Identifier: Apache-2.0
//! The board on which httpd's children and the supervisor see which worker processes there are and which threads are free.
//!
//! A board is words of shared memory that the parent makes for each generation. Children take places on it before they send a
//! request; the supervisor says which processes accept any. Workers never see it. Whoever reads it believes no number enough to
//! leave the board's bounds, and nothing here waits or calls the kernel: functions return the bell to ring.
//!
//! A child that dies while it holds something is undone by [`Board::forget`]. That is exact, because each thing that can be
//! held is one word that says who holds it: a count beside a journal could not be changed in one step.

mod notice;
mod place;
mod queue;

pub use place::{Ending, How, Incarnation, Place, Seat, State, signal_name};
pub use queue::{Queue, Ticket};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use serde::{Deserialize, Serialize};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// One word of a board.
pub type Word = AtomicU64;

/// Words between things that different processors change.
const LINE: usize = 8;

/// How a board is divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How many children may be known at once.
    pub rows: usize,
    /// How many requests may wait in order for each group; a power of two.
    pub queue: usize,
    /// Of each group: processes, and the most threads that one may ever have.
    pub groups: Vec<(usize, usize)>,
}

impl Shape {
    /// How many words a board has.
    #[must_use]
    pub fn length(&self) -> usize {
        let groups = self.groups.iter().map(|&(processes, threads)| self.group_length(processes, threads));
        line(self.rows) + groups.sum::<usize>()
    }

    fn group_length(&self, processes: usize, threads: usize) -> usize {
        queue::length(self.queue) + notice::LENGTH + LINE + processes * place::length(threads)
    }

    fn is_sound(&self) -> bool {
        self.queue.is_power_of_two() && self.rows < 1 << queue::HOLDER
    }
}

/// Rounds up to whole lines.
const fn line(words: usize) -> usize {
    words.next_multiple_of(LINE)
}

/// A child, as words of the board name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder(u32);

/// A board.
#[derive(Debug, Clone)]
pub struct Board<'m> {
    rows: &'m [Word],
    groups: Vec<Group<'m>>,
}

/// What a board says about one process group.
#[derive(Debug, Clone)]
pub struct Group<'m> {
    /// Who waits.
    pub queue: Queue<'m>,
    /// Its processes.
    pub places: Vec<Place<'m>>,
    notice: notice::Notice<'m>,
    owner: &'m Word,
}

/// What became of an attempt to enter a group.
#[derive(Debug)]
pub enum Entry<'m> {
    /// A thread of the process in this place is the caller's.
    Admitted(usize, Seat<'m>),
    /// All threads are taken.
    Full,
    /// No process accepts requests; one is on its way, or leaves to make place for one.
    Starting,
    /// No process accepts requests, and none is on its way at this moment.
    Absent,
}

impl<'m> Board<'m> {
    /// The board on `words`, which are as many as `shape` wants; `None` if they are not.
    #[must_use]
    pub fn new(words: &'m [Word], shape: &Shape) -> Option<Self> {
        if !shape.is_sound() || words.len() < shape.length() {
            return None;
        }
        let (rows, mut rest) = words.split_at_checked(line(shape.rows))?;
        let mut groups = Vec::with_capacity(shape.groups.len());
        for &(processes, threads) in &shape.groups {
            let (own, others) = rest.split_at_checked(shape.group_length(processes, threads))?;
            rest = others;
            groups.push(Group::new(own, shape.queue, processes, threads)?);
        }
        Some(Self { rows: rows.get(..shape.rows)?, groups })
    }

    /// Fills new words: the queues are empty, and nobody is there.
    pub fn clear(&self) {
        self.groups.iter().for_each(|group| group.queue.clear());
    }

    /// The groups, in the order of the shape.
    #[must_use]
    pub fn groups(&self) -> &[Group<'m>] {
        &self.groups
    }

    /// Enters a child, which `process` names unmistakably; `None` if there are too many.
    #[must_use]
    pub fn enlist(&self, process: u64) -> Option<Holder> {
        let free = |row: &&Word| row.compare_exchange(0, process, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let number = self.rows.iter().position(|row| free(&row))?;
        u32::try_from(number + 1).ok().map(Holder)
    }

    /// Undoes everything that children hold which are gone, as their names tell, and answers the bells to ring.
    pub fn forget(&self, is_gone: impl Fn(u64) -> bool) -> Vec<&'m Word> {
        let mut bells = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let name = row.load(Ordering::SeqCst);
            if name == 0 || !is_gone(name) {
                continue;
            }
            let Ok(holder) = u32::try_from(number + 1) else { continue };
            for group in &self.groups {
                group.places.iter().for_each(|place| place.forget(Holder(holder)));
                group.queue.forget(Holder(holder));
                bells.extend(group.queue.first());
            }
            row.store(0, Ordering::SeqCst);
        }
        bells
    }

    /// How many requests wait in all groups together.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.groups.iter().map(|group| group.queue.length()).sum()
    }
}

impl<'m> Group<'m> {
    fn new(words: &'m [Word], queue: usize, processes: usize, threads: usize) -> Option<Self> {
        let (of_queue, rest) = words.split_at_checked(queue::length(queue))?;
        let (notice, rest) = rest.split_at_checked(notice::LENGTH)?;
        let (owner, rest) = rest.split_at_checked(LINE)?;
        let places = rest.chunks_exact(place::length(threads)).take(processes).map(|words| Place::new(words, threads));
        Some(Self {
            queue: Queue::new(of_queue, queue)?,
            places: places.collect::<Option<_>>()?,
            notice: notice::Notice::new(notice)?,
            owner: owner.first()?,
        })
    }

    /// Takes a thread of the process that has the most of them free, without regard to who waits.
    #[must_use]
    pub fn enter(&self, holder: Holder) -> Entry<'m> {
        loop {
            let Some((number, place, incarnation)) = self.best() else { return self.why_not() };
            if let Some(seat) = place.take(incarnation, holder) {
                return Entry::Admitted(number, seat);
            }
        }
    }

    /// The accepting process with the fewest requests, if any has a free thread; the first of equals.
    fn best(&self) -> Option<(usize, &Place<'m>, Incarnation)> {
        let mut best: Option<(usize, (usize, &Place<'m>, Incarnation))> = None;
        for (number, place) in self.places.iter().enumerate() {
            let (State::Ready, incarnation) = place.state() else { continue };
            let load = place.load(incarnation);
            if load < place.threads() && best.is_none_or(|(least, ..)| load < least) {
                best = Some((load, (number, place, incarnation)));
                if load == 0 {
                    break;
                }
            }
        }
        best.map(|(_, found)| found)
    }

    fn why_not(&self) -> Entry<'m> {
        let is_in = |wanted| self.places.iter().any(|place| place.state().0 == wanted);
        if is_in(State::Ready) {
            Entry::Full
        } else if is_in(State::Starting) || is_in(State::Leaving) {
            Entry::Starting
        } else {
            Entry::Absent
        }
    }

    /// Whether some process has a free thread.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.best().is_some()
    }

    /// Says why the group cannot work; empty when it can.
    pub fn set_failure(&self, reason: &str) {
        self.notice.write(reason);
    }

    /// httpd's parent says whose supervisor may start processes, of those who share the board.
    pub fn set_owner(&self, owner: u64) {
        self.owner.store(owner, Ordering::SeqCst);
    }

    /// Whose supervisor may start processes.
    #[must_use]
    pub fn owner(&self) -> u64 {
        self.owner.load(Ordering::SeqCst)
    }

    /// Why the group cannot work.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.notice.read()
    }
}

#[cfg(loom)]
#[cfg(test)]
#[path = "admission_loom.rs"]
mod loom_tests;

#[cfg(not(loom))]
#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
