// SPDX-License-Identifier: Apache-2.0
//! File descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
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
