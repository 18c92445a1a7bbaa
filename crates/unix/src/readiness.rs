// SPDX-License-Identifier: Apache-2.0
//! Waiting for descriptors, and reading and writing without waiting.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the end.
    Read,
    /// Room to write.
    Write,
}

/// Waits until something is true of one of the descriptors, or the time is over, or a signal came. Says of each whether it is
/// so; errors of a descriptor count as such.
pub fn wait(watched: &[(BorrowedFd<'_>, Interest)], patience: Option<Duration>) -> io::Result<Vec<bool>> {
    Ok(look(watched, patience)?.unwrap_or_else(|| vec![false; watched.len()]))
}

/// The same, and goes on if a signal came.
pub fn wait_until(watched: &[(BorrowedFd<'_>, Interest)], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    loop {
        let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(found) = look(watched, rest)? {
            return Ok(found);
        }
    }
}

/// Whether there is something to read, or the end, before the deadline.
pub fn is_readable_by(descriptor: &impl AsFd, deadline: Instant) -> io::Result<bool> {
    Ok(wait_until(&[(descriptor.as_fd(), Interest::Read)], Some(deadline))?.contains(&true))
}

/// What is true of each; `None` if a signal came.
fn look(watched: &[(BorrowedFd<'_>, Interest)], patience: Option<Duration>) -> io::Result<Option<Vec<bool>>> {
    let flags = |interest| if interest == Interest::Read { PollFlags::POLLIN } else { PollFlags::POLLOUT };
    let mut polled: Vec<_> =
        watched.iter().map(|(descriptor, interest)| PollFd::new(*descriptor, flags(*interest))).collect();
    // Rounded up, so that a timer is over when the wait is.
    let limit = patience.map_or(PollTimeout::NONE, |patience| {
        PollTimeout::try_from(patience.saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut polled, limit) {
        Ok(_) => Ok(Some(polled.iter().map(|entry| entry.any() != Some(false)).collect())),
        Err(Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads what is there. Nothing yet is `None`, the end is 0.
pub fn read(descriptor: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match nix::unistd::read(descriptor, buffer) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes what there is room for.
pub fn write(descriptor: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match nix::unistd::write(descriptor, bytes) {
        Ok(count) => Ok(count),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Makes reading and writing return instead of waiting, for everybody who shares the open file.
pub fn never_wait(descriptor: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFL)?);
    fcntl(&descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
