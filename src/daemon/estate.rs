// SPDX-License-Identifier: Apache-2.0
//! What groups are reached through, and what an exclusive group hands on from one generation of the configuration to the next.
//!
//! In the parent. All generations send the requests of an exclusive group to the same sockets and admit them on the same board,
//! and the lock of each place says which supervisor's process is there, so there are never two.

#![forbid(unsafe_code)]

use crate::apache::process;
use model::admission::{Board, Group as OnBoard, Shape};
use model::daemon::GroupOptions;
use model::launch::SharedPart;
use model::wire::KEY_LENGTH;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use unix::shared::{Shared, create, pid_of, ring};

/// How many requests may wait in order for each group.
const QUEUE: (usize, usize) = (16, 4096);
/// How many threads a process of an exclusive group may have in any generation, unless it has more in the first.
const THREADS: usize = 1024;

/// A board in a memory file.
#[derive(Debug)]
pub struct Memory {
    pub file: OwnedFd,
    pub shape: Shape,
    words: Shared,
}

impl Memory {
    /// An empty board for groups with so many places and threads in each, and rows for twice the children that there may be:
    /// old ones leave slowly.
    pub fn new(groups: Vec<(usize, usize)>) -> io::Result<Self> {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let children = number(process::process_limit()).clamp(1, 1 << 16);
        let (least, most) = QUEUE;
        let requests = number(process::maximum_processes().saturating_mul(process::threads_per_process()));
        let queue = requests.clamp(least, most).next_power_of_two();
        let shape = Shape { rows: 2 * children, queue, groups };
        let file = create("mod_wsgi_rs board", shape.length())?;
        let words = Shared::map(&file, shape.length())?;
        let memory = Self { file, shape, words };
        memory.board().ok_or_else(too_small)?.clear();
        Ok(memory)
    }

    fn board(&self) -> Option<Board<'_>> {
        Board::new(self.words.words(), &self.shape)
    }

    /// The same board for a child, for as long as that lives.
    pub fn lasting(&self) -> io::Result<Board<'static>> {
        let words = Shared::map(&self.file, self.shape.length())?.leak();
        Board::new(words, &self.shape).ok_or_else(too_small)
    }

    /// A child is gone: what it held is free.
    pub fn forget(&self, pid: u32) {
        if let Some(board) = self.board() {
            board.forget(|name| pid_of(name) == pid).into_iter().for_each(ring);
        }
    }
}

fn too_small() -> io::Error {
    io::Error::other("the board is too small")
}

/// The sockets of a group, one for each place that a process can have.
#[derive(Debug)]
pub struct Sockets {
    pub listeners: Vec<OwnedFd>,
    /// What names them.
    pub addresses: Vec<OwnedFd>,
    /// Opens connections.
    pub key: [u8; KEY_LENGTH],
}

impl Sockets {
    /// A socket for each process, and one for a replacement that may be there beside them.
    pub fn open(directory: &Path, options: &GroupOptions) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut sockets = Self { listeners: Vec::new(), addresses: Vec::new(), key: unix::program::secret()? };
        for _ in 0..places(options) {
            let name = format!("wsgi.{}.{}.sock", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let listening = unix::channel::listen_in(directory, &name, options.listen_backlog().0)?;
            sockets.listeners.push(listening.listener);
            sockets.addresses.push(listening.address);
        }
        Ok(sockets)
    }
}

/// How many places a group has for processes.
pub fn places(options: &GroupOptions) -> usize {
    let spare = u32::from(!options.is_exclusive());
    usize::try_from(options.processes().0.saturating_add(spare)).unwrap_or(1)
}

/// What generations share of an exclusive group.
#[derive(Debug)]
pub struct Estate {
    pub name: String,
    pub sockets: Arc<Sockets>,
    pub memory: Arc<Memory>,
    locks: Vec<Arc<OwnedFd>>,
}

impl Estate {
    /// What the group had before, if that is enough for it; else new sockets and a new board, and always the same locks.
    pub fn of(
        name: &str,
        options: &GroupOptions,
        before: Option<&Arc<Self>>,
        directory: &Path,
    ) -> io::Result<Arc<Self>> {
        let (places, threads) = (places(options), usize::try_from(options.threads().0).unwrap_or(usize::MAX));
        let fits = |estate: &&Arc<Self>| {
            let is_enough = |(of, room): &(usize, usize)| *of == places && *room >= threads;
            estate.memory.shape.groups.first().is_some_and(is_enough)
        };
        if let Some(estate) = before.filter(fits) {
            estate.sockets.listeners.iter().for_each(|listener| {
                // The old length of the queue does as well.
                let _ = unix::channel::lengthen(listener, options.listen_backlog().0);
            });
            return Ok(estate.clone());
        }
        let mut locks: Vec<_> = before.map(|estate| estate.locks.clone()).unwrap_or_default();
        locks.truncate(places);
        while locks.len() < places {
            locks.push(Arc::new(unix::descriptor::lock_file()?));
        }
        let memory = Arc::new(Memory::new(vec![(places, threads.max(THREADS))])?);
        let sockets = Arc::new(Sockets::open(directory, options)?);
        Ok(Arc::new(Self { name: name.to_owned(), sockets, memory, locks }))
    }

    /// What the supervisor of a generation is told of it.
    pub fn part(&self, generation: u32) -> SharedPart {
        SharedPart {
            board: self.memory.file.as_raw_fd(),
            shape: self.memory.shape.clone(),
            locks: self.locks.iter().map(|lock| lock.as_raw_fd()).collect(),
            owner: owner(generation),
        }
    }

    /// The descriptors that the supervisor inherits.
    pub fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.locks.iter().map(|lock| &**lock).chain([&self.memory.file])
    }

    /// From now on that generation has the processes. Those of the one before take no further request, whoever sends it.
    pub fn hand_over(&self, generation: u32) {
        let Some(board) = self.memory.board() else { return };
        let hand_over = |group: &OnBoard<'_>| {
            group.set_owner(owner(generation));
            group.places.iter().for_each(|place| place.retire(place.state().1));
        };
        board.groups().iter().for_each(hand_over);
    }
}

/// What a board's owner is called; 0 is none.
fn owner(generation: u32) -> u64 {
    u64::from(generation) + 1
}
