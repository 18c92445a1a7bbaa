// SPDX-License-Identifier: Apache-2.0
//! Looking at something as another user: in a process of its own, for a limited time.

use model::configuration::files::Identity;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
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

/// Runs `work` in a process of its own as `identity`, for at most `patience`, and gives its answer. Only root can become
/// another user; others look as who they are.
pub fn look_as(identity: &Identity, patience: Duration, work: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, ProbeError> {
    if threads() != Some(1) {
        return Err(ProbeError::Threads);
    }
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    // SAFETY: [FORK] this process has one thread, as was just checked, so no lock is held in the copy.
    match unsafe { nix::unistd::fork() }.map_err(io::Error::from)? {
        ForkResult::Child => {
            drop(reader);
            let done = panic::catch_unwind(AssertUnwindSafe(|| answer(identity, writer, work)));
            // SAFETY: [FORK] ends the copy without running what the original registered for its own end.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let answer = listen(reader, patience);
            finish(child);
            answer
        }
    }
}

fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

fn answer(identity: &Identity, writer: OwnedFd, work: impl FnOnce() -> Vec<u8>) {
    if nix::unistd::geteuid().is_root() && become_user(identity).is_err() {
        return;
    }
    let found = work();
    let mut writer = File::from(writer);
    // The first byte says that an answer follows, be it empty. Without a reader there is nothing left to do.
    let _ = writer.write_all(&[1]).and_then(|()| writer.write_all(&found));
}

fn become_user(identity: &Identity) -> nix::Result<()> {
    let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)
}

fn listen(reader: OwnedFd, patience: Duration) -> Result<Vec<u8>, ProbeError> {
    let deadline = Instant::now() + patience;
    let mut reader = File::from(reader);
    let (mut found, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], wait) {
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(io::Error::from(error).into()),
            Ok(0) => return Err(ProbeError::Late(patience)),
            Ok(_) => {}
        }
        match reader.read(&mut piece)? {
            0 if found.is_empty() => return Err(ProbeError::Silent),
            0 => return Ok(found.split_off(1)),
            count => found.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
}

/// Ends and buries the process. One that hangs in the kernel is left to whoever waits for this process's children.
fn finish(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    let deadline = Instant::now() + Duration::from_millis(200);
    while Instant::now() < deadline {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => std::thread::sleep(Duration::from_millis(1)),
            _ => return,
        }
    }
}
