// SPDX-License-Identifier: Apache-2.0
//! File descriptors.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// A second descriptor of the same open file, closed on exec. Fails for a descriptor that is not open.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    duplicate_from(descriptor, 3)
}

/// The same with a number of at least `lowest`.
pub(crate) fn duplicate_from(descriptor: RawFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: [KERNEL] takes and returns numbers only.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, lowest) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: [KERNEL] just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Opens the file behind a descriptor once more, for reading: with a position of its own, closed on exec.
pub fn reopen(descriptor: RawFd) -> io::Result<OwnedFd> {
    Ok(std::fs::File::open(format!("/proc/self/fd/{descriptor}"))?.into())
}

/// A file without a name, only to be locked.
pub fn lock_file() -> io::Result<OwnedFd> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let file = memfd_create("mod_wsgi_rs lock", MFdFlags::MFD_CLOEXEC)?;
    // Whoever may open it may lock it.
    nix::sys::stat::fchmod(&file, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)?;
    Ok(file)
}

/// Locks the file behind a descriptor, unless somebody else has: whoever holds a copy of what this answers has the lock.
pub fn try_lock(file: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let own = reopen(file.as_raw_fd())?;
    // SAFETY: [KERNEL] takes numbers only.
    if unsafe { libc::flock(own.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(Some(own));
    }
    match io::Error::last_os_error() {
        error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        error => Err(error),
    }
}

/// Whether the descriptor is of a regular file.
#[must_use]
pub fn is_regular(descriptor: &OwnedFd) -> bool {
    let copy = descriptor.try_clone().map(std::fs::File::from);
    copy.and_then(|file| file.metadata()).is_ok_and(|data| data.is_file())
}

/// Opens a directory only to name files in it, closed on exec. Whoever holds the descriptor reaches the directory
/// without searching the directories above it.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(path)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_lock_until_the_last_copy_is_closed() {
        let file = lock_file().expect("a file");
        let held = try_lock(&file).expect("a lock").expect("nobody has it");
        assert!(try_lock(&file).expect("a lock").is_none());
        let copy = duplicate(held.as_raw_fd()).expect("a copy");
        drop(held);
        assert!(try_lock(&file).expect("a lock").is_none(), "a copy is as good");
        drop(copy);
        assert!(try_lock(&file).expect("a lock").is_some());
    }
}
