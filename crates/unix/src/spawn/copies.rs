// SPDX-License-Identifier: Apache-2.0
//! Copies of interpreters in memory, which those who execute them cannot read. The kernel shows nothing of a process to others
//! of its user, from the first instruction on, if its program is one that the user cannot read. So no moment is left between
//! the start of a worker and its own word that it is closed.
//!
//! A copy is made by the process that is about to become a worker, as the worker's user: whatever file he names, it is he who
//! opens it, and his file system makes nobody else wait. It belongs to the supervisor's user, so that he cannot change its
//! mode, and is sealed, so that it serves workers of all groups whose interpreter is the same file.

mod filling;

use super::above;
use crate::descriptor;
use filling::Key;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::AccessFlags;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many interpreters are kept.
const MOST: usize = 32;
/// How long a worker waits for another one that makes the same copy.
const PATIENCE: Duration = Duration::from_secs(2);
/// Old kernels do not know it; new ones can be told to want it.
const MFD_EXEC: libc::c_uint = 0x10;

/// The copies, in the hands of the supervisor.
#[derive(Debug, Default)]
pub struct Copies {
    /// Who makes a copy holds the byte of it that the copied file's key leads to.
    locks: Option<OwnedFd>,
    kept: Vec<OwnedFd>,
    drafts: Vec<Draft>,
}

/// An empty file for a worker that may have to make a copy.
#[derive(Debug)]
struct Draft {
    file: OwnedFd,
    /// Ends when the worker is the interpreter, or is not to be.
    trouble: OwnedFd,
}

/// Why the interpreter itself is executed instead of a copy.
pub(super) enum Refusal {
    /// The kernel does for it what it does for copies.
    Needless,
    /// Others may look into it.
    Reason(String),
}

impl Copies {
    /// Prepares a file for the next worker, whose pipe for trouble is this one.
    pub(super) fn prepare(&mut self, trouble: &OwnedFd) -> io::Result<()> {
        self.tidy();
        if self.locks.is_none() {
            self.locks = Some(above(memfd_create("locks", MFdFlags::MFD_CLOEXEC)?)?);
        }
        let file = empty()?;
        self.drafts.push(Draft { file, trouble: descriptor::duplicate(trouble.as_raw_fd())? });
        Ok(())
    }

    /// The numbers that stay open in the worker until it is the interpreter, lowest first.
    pub(super) fn numbers(&self) -> Vec<RawFd> {
        let mut numbers: Vec<_> = self.files().chain(&self.locks).map(AsRawFd::as_raw_fd).collect();
        numbers.sort_unstable();
        numbers
    }

    /// In the worker, as its user: the copy of `program`.
    pub(super) fn of(&self, program: &Path) -> Result<&OwnedFd, Refusal> {
        let reason = |error: io::Error| Refusal::Reason(error.to_string());
        // A pipe in its place does not hold up.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(program) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(Refusal::Needless),
            Err(error) => return Err(reason(error)),
        };
        // By name, although it may be another file by now: what the user can read he can copy and execute.
        nix::unistd::faccessat(nix::fcntl::AT_FDCWD, program, AccessFlags::X_OK, AtFlags::AT_EACCESS)
            .map_err(|error| reason(error.into()))?;
        let key = Key::of(&file).map_err(reason)?;
        filling::check(&file).map_err(|why| Refusal::Reason(why.to_owned()))?;
        self.find(&key).map_or_else(|| self.make(file, &key).map_err(reason), Ok)
    }

    fn files(&self) -> impl Iterator<Item = &OwnedFd> {
        self.kept.iter().chain(self.drafts.iter().map(|draft| &draft.file))
    }

    fn find(&self, key: &Key) -> Option<&OwnedFd> {
        self.files().find(|file| filling::key(file).as_ref() == Some(key))
    }

    /// Makes a copy in the worker's own draft, unless another worker makes the same one.
    fn make(&self, file: File, key: &Key) -> io::Result<&OwnedFd> {
        let deadline = Instant::now() + PATIENCE;
        while !self.lock(key) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(found) = self.find(key) {
            return Ok(found);
        }
        let own = &self.drafts.last().ok_or(io::ErrorKind::NotFound)?.file;
        filling::fill(own, file, key)?;
        Ok(own)
    }

    /// Until this process executes the interpreter or ends, if nobody else has the lock.
    fn lock(&self, key: &Key) -> bool {
        let Some(locks) = &self.locks else { return true };
        let lock = libc::flock {
            l_type: libc::F_WRLCK as _,
            l_whence: libc::SEEK_SET as _,
            l_start: key.place(),
            l_len: 1,
            l_pid: 0,
        };
        fcntl(locks, FcntlArg::F_SETLK(&lock)).is_ok()
    }

    /// Keeps the drafts that became copies, and forgets those that nobody needs.
    fn tidy(&mut self) {
        for draft in std::mem::take(&mut self.drafts) {
            let ended = ended(&draft.trouble);
            match filling::key(&draft.file) {
                Some(key) if self.kept.iter().all(|kept| filling::key(kept).as_ref() != Some(&key)) => {
                    self.kept.push(draft.file);
                }
                None if !ended => self.drafts.push(draft),
                _ => {}
            }
        }
        let surplus = self.kept.len().saturating_sub(MOST);
        self.kept.drain(..surplus);
    }
}

/// A memory file that everybody may execute and nobody may read but who has it open.
fn empty() -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = match memfd_create("python", flags | MFdFlags::from_bits_retain(MFD_EXEC)) {
        Err(Errno::EINVAL) => memfd_create("python", flags),
        made => made,
    }?;
    fchmod(&file, Mode::from_bits_truncate(0o111))?;
    above(file)
}

/// Whether nobody can write into a pipe any more.
fn ended(pipe: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO).is_ok() && watched.iter().any(|one| one.any() == Some(true))
}

/// Becomes `copy`. Comes back only with a reason.
pub(super) fn execute(copy: &OwnedFd, arguments: &[CString], environment: &[CString]) -> Errno {
    let Err(error) = nix::unistd::execveat(copy, c"", arguments, environment, AtFlags::AT_EMPTY_PATH);
    error
}
