// SPDX-License-Identifier: Apache-2.0
//! The place of one worker process on the board: which process it is, what it does, which of its threads are whose, and how
//! its predecessors ended.

use super::{Holder, Ordering, Word, fence, line};
use std::fmt;

/// How many endings are remembered.
const ENDINGS: usize = 8;
/// Words before the threads: the state, the process, and two for each ending.
const HEAD: usize = line(2 + 2 * ENDINGS);

/// Words of a place.
pub fn length(threads: usize) -> usize {
    HEAD + line(threads)
}

/// Counts the processes that had a place; 0 is none.
pub type Incarnation = u32;

/// What the process in a place does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Empty,
    /// It does not accept requests yet.
    Starting,
    /// It accepts requests.
    Ready,
    /// It accepts none any more.
    Leaving,
}

impl State {
    fn numbered(number: u32) -> Self {
        match number {
            1 => Self::Starting,
            2 => Self::Ready,
            3 => Self::Leaving,
            _ => Self::Empty,
        }
    }
}

fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself, with this status.
    Status(u8),
    /// By this signal.
    Signal(u8),
    /// The kernel killed it because memory ran out.
    OutOfMemory,
    /// It used up its `cpu-time-limit`, and this signal ended it.
    CpuTime(u8),
    /// It was told to end and did not in time, so it was killed.
    Overdue,
    /// It broke the rules, so it was killed.
    Misbehaved,
    /// It was not ready in time, so it was killed.
    Late,
}

impl How {
    pub(super) fn number(self) -> u32 {
        let (kind, value) = match self {
            Self::Status(status) => (1, status),
            Self::Signal(signal) => (2, signal),
            Self::OutOfMemory => (3, 0),
            Self::CpuTime(signal) => (4, signal),
            Self::Overdue => (5, 0),
            Self::Misbehaved => (6, 0),
            Self::Late => (7, 0),
        };
        kind << 8 | u32::from(value)
    }

    pub(super) fn numbered(number: u32) -> Option<Self> {
        let [value, kind, ..] = number.to_le_bytes();
        Some(match kind {
            1 => Self::Status(value),
            2 => Self::Signal(value),
            3 => Self::OutOfMemory,
            4 => Self::CpuTime(value),
            5 => Self::Overdue,
            6 => Self::Misbehaved,
            7 => Self::Late,
            _ => return None,
        })
    }
}

/// The end of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub how: How,
    /// Which process it was.
    pub pid: u32,
    /// How long it lived, in seconds.
    pub seconds: u32,
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Status(status) => write!(out, "it ended by itself with status {status}"),
            How::Signal(signal) => write!(out, "it was ended by {}", signal_name(signal)),
            How::OutOfMemory => write!(out, "the kernel killed it because memory ran out"),
            How::CpuTime(signal) => {
                write!(out, "it used up its limit on processor time (cpu-time-limit): {}", signal_name(signal))
            }
            How::Overdue => write!(out, "it was to end, did not in time, and was killed"),
            How::Misbehaved => write!(out, "it did not keep to the protocol and was killed"),
            How::Late => write!(out, "it was not ready in time and was killed"),
        }?;
        write!(out, " (pid {}, after {} s)", self.pid, self.seconds)
    }
}

/// The name of a signal of Linux.
#[must_use]
pub fn signal_name(signal: u8) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::from(signal).checked_sub(1).and_then(|number| NAMES.get(number));
    name.map_or_else(|| format!("signal {signal}"), |name| format!("SIG{name}"))
}

/// The place of one process.
#[derive(Debug, Clone)]
pub struct Place<'m> {
    /// Incarnation and [`State`].
    state: &'m Word,
    /// How many threads it has, and its process number for reports.
    process: &'m Word,
    /// For each remembered ending: incarnation and how; process number and seconds.
    endings: &'m [Word],
    /// For each thread: of which incarnation, and who has it.
    threads: &'m [Word],
}

impl<'m> Place<'m> {
    pub(super) fn new(words: &'m [Word], threads: usize) -> Option<Self> {
        let (head, rest) = words.split_at_checked(HEAD)?;
        let (first, endings) = head.split_at_checked(2)?;
        let [state, process] = first else { return None };
        Some(Self { state, process, endings: endings.get(..2 * ENDINGS)?, threads: rest.get(..threads)? })
    }

    /// What its process does, and which one that is.
    #[must_use]
    pub fn state(&self) -> (State, Incarnation) {
        let (incarnation, state) = unpack(self.state.load(Ordering::SeqCst));
        (State::numbered(state), incarnation)
    }

    /// Its process number, for reports.
    #[must_use]
    pub fn pid(&self) -> u32 {
        unpack(self.process.load(Ordering::SeqCst)).1
    }

    /// How many requests it may have at once.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.in_use().len()
    }

    /// The words of the threads that it has.
    fn in_use(&self) -> &'m [Word] {
        let (threads, _) = unpack(self.process.load(Ordering::SeqCst));
        let threads = usize::try_from(threads).unwrap_or(usize::MAX).min(self.threads.len());
        self.threads.get(..threads).unwrap_or_default()
    }

    /// How many it has.
    #[must_use]
    pub fn load(&self, incarnation: Incarnation) -> usize {
        self.in_use().iter().filter(|thread| is_taken(thread.load(Ordering::SeqCst), incarnation)).count()
    }

    /// The supervisor starts another process, with so many threads: the number of its incarnation.
    #[must_use]
    pub fn begin(&self, threads: u32) -> Incarnation {
        let incarnation = self.state().1.wrapping_add(1).max(1);
        self.process.store(pack(threads, 0), Ordering::SeqCst);
        self.set(State::Starting, incarnation);
        incarnation
    }

    /// The supervisor says which process it is.
    pub fn name(&self, pid: u32) {
        let (threads, _) = unpack(self.process.load(Ordering::SeqCst));
        self.process.store(pack(threads, pid), Ordering::SeqCst);
    }

    /// The supervisor says what the present process does.
    pub fn set(&self, state: State, incarnation: Incarnation) {
        self.state.store(pack(incarnation, state as u32), Ordering::SeqCst);
    }

    /// The supervisor says how the present process ended.
    pub fn end(&self, incarnation: Incarnation, ending: Ending) {
        if let Some([first, second]) = self.record(incarnation) {
            first.store(0, Ordering::SeqCst);
            second.store(pack(ending.pid, ending.seconds), Ordering::SeqCst);
            first.store(pack(incarnation, ending.how.number()), Ordering::SeqCst);
        }
        self.set(State::Empty, incarnation);
    }

    /// How that process ended, if it did and is remembered.
    #[must_use]
    pub fn ending(&self, incarnation: Incarnation) -> Option<Ending> {
        let [first, second] = self.record(incarnation)?;
        let before = first.load(Ordering::SeqCst);
        let (pid, seconds) = unpack(second.load(Ordering::SeqCst));
        let (of, how) = unpack(before);
        let valid = of == incarnation && first.load(Ordering::SeqCst) == before;
        How::numbered(how).filter(|_| valid).map(|how| Ending { how, pid, seconds })
    }

    fn record(&self, incarnation: Incarnation) -> Option<&'m [Word; 2]> {
        let number = 2 * (incarnation as usize % ENDINGS);
        self.endings.get(number..number + 2)?.first_chunk()
    }

    /// A child has heard from the process that it starts no further request.
    pub fn retire(&self, incarnation: Incarnation) {
        let (ready, leaving) = (pack(incarnation, State::Ready as u32), pack(incarnation, State::Leaving as u32));
        // Otherwise the supervisor knew it before.
        let _ = self.state.compare_exchange(ready, leaving, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Takes a free thread, unless the process has changed meanwhile.
    #[must_use]
    pub fn take(&self, incarnation: Incarnation, holder: Holder) -> Option<Seat<'m>> {
        let value = pack(incarnation, holder.0);
        let taken = self.in_use().iter().find(|thread| {
            let present = thread.load(Ordering::SeqCst);
            !is_taken(present, incarnation)
                && thread.compare_exchange(present, value, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        })?;
        let seat = Seat { thread: taken, value, incarnation };
        if self.state() == (State::Ready, incarnation) {
            return Some(seat);
        }
        seat.leave();
        None
    }

    pub(super) fn forget(&self, holder: Holder) {
        for thread in self.threads {
            let present = thread.load(Ordering::SeqCst);
            if unpack(present).1 == holder.0 {
                let _ = thread.compare_exchange(present, 0, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
    }
}

/// Whether a thread is busy. What belonged to an earlier process holds up none of this one.
fn is_taken(thread: u64, incarnation: Incarnation) -> bool {
    thread != 0 && unpack(thread).0 == incarnation
}

/// A thread of a process that a child has.
#[derive(Debug)]
pub struct Seat<'m> {
    thread: &'m Word,
    value: u64,
    /// Of which process.
    pub incarnation: Incarnation,
}

impl Seat<'_> {
    /// Gives it back. Afterwards whoever waits first is to be woken.
    pub fn leave(&self) {
        // A later process may have taken it over.
        let _ = self.thread.compare_exchange(self.value, 0, Ordering::SeqCst, Ordering::SeqCst);
        // See `Queue::join`.
        fence(Ordering::SeqCst);
    }
}
