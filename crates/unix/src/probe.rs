// SPDX-License-Identifier: Apache-2.0
//! Looking at something as other users: in a process of its own, for a limited time.

use crate::program::wait_for;
use crate::readiness::is_readable_by;
use model::configuration::files::Identity;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Gid, Pid, Uid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why nothing was seen.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Another thread runs, so a copy of this process might find locks that nobody opens.
    #[error("this process has more than one thread")]
    Threads,
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The process could not become the user, or stopped.
    #[error("the process that looked stopped without an answer")]
    Silent,
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] io::Error),
}

/// The answers, one for each identity until it failed, and why it did if so.
pub type Answers = (Vec<Vec<u8>>, Option<ProbeError>);

/// Runs `work` for each identity in turn, as that user, in a process of its own, for at most `patience` in all. Only root
/// can become another user; others look as who they are.
pub fn look_as(identities: &[&Identity], patience: Duration, work: impl FnMut(usize) -> Vec<u8>) -> Answers {
    match begin(identities, work) {
        Ok((child, reader)) => {
            let mut answers = Vec::with_capacity(identities.len());
            let error = listen(reader, patience, identities.len(), &mut answers).err();
            finish(child);
            (answers, error)
        }
        Err(error) => (Vec::new(), Some(error)),
    }
}

fn begin(identities: &[&Identity], work: impl FnMut(usize) -> Vec<u8>) -> Result<(Pid, OwnedFd), ProbeError> {
    if threads() != Some(1) {
        return Err(ProbeError::Threads);
    }
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    // SAFETY: [FORK] this process has one thread, as was just checked, so no lock is held in the copy.
    match unsafe { nix::unistd::fork() }.map_err(io::Error::from)? {
        ForkResult::Child => {
            drop(reader);
            let done = panic::catch_unwind(AssertUnwindSafe(|| answer(identities, File::from(writer), work)));
            // SAFETY: [FORK] ends the copy without running what the original registered for its own end.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        ForkResult::Parent { child } => Ok((child, reader)),
    }
}

pub(crate) fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// In the copy: each answer with its length in front. It stops where it cannot become a user, or nobody listens.
fn answer(identities: &[&Identity], mut writer: File, mut work: impl FnMut(usize) -> Vec<u8>) {
    let root = nix::unistd::geteuid().is_root();
    for (number, identity) in identities.iter().enumerate() {
        if root && become_user(identity).is_err() {
            return;
        }
        let found = work(number);
        let length = u64::try_from(found.len()).unwrap_or(0).to_ne_bytes();
        if writer.write_all(&length).and_then(|()| writer.write_all(&found)).is_err() {
            return;
        }
    }
}

/// Becomes the user for everything that the kernel checks, and can become the next one afterwards.
fn become_user(identity: &Identity) -> nix::Result<()> {
    let (root, none) = (Uid::from_raw(0), Gid::from_raw(u32::MAX));
    nix::unistd::setresuid(root, root, root)?;
    let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    nix::unistd::setresgid(gid, gid, none)?;
    nix::unistd::setresuid(uid, uid, root)
}

fn listen(reader: OwnedFd, patience: Duration, wanted: usize, answers: &mut Vec<Vec<u8>>) -> Result<(), ProbeError> {
    let deadline = Instant::now() + patience;
    let mut reader = File::from(reader);
    let (mut found, mut piece) = (Vec::new(), [0; 4096]);
    while answers.len() < wanted {
        if !is_readable_by(&reader, deadline)? {
            return Err(ProbeError::Late(patience));
        }
        match reader.read(&mut piece)? {
            0 => return Err(ProbeError::Silent),
            count => found.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
        while let Some(answer) = take(&mut found) {
            answers.push(answer);
        }
    }
    Ok(())
}

/// Takes the first whole answer out of what was received.
fn take(found: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (length, rest) = found.split_first_chunk::<8>()?;
    let answer = rest.get(..usize::try_from(u64::from_ne_bytes(*length)).ok()?)?.to_vec();
    found.drain(..8 + answer.len());
    Some(answer)
}

/// Ends and buries the process. One that hangs in the kernel is left to whoever waits for this process's children.
fn finish(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    let _it_may_hang = wait_for(child.as_raw().unsigned_abs(), Duration::from_millis(200));
}
