// SPDX-License-Identifier: Apache-2.0
//! Words of memory that several processes change, and waiting until one of them changes.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Words that are mapped into this process, and that stay mapped in its copies.
#[derive(Debug)]
pub struct Shared {
    start: NonNull<c_void>,
    count: usize,
}

// SAFETY: [SHARED] the words are atomic, and the mapping belongs to the whole process.
unsafe impl Send for Shared {}
// SAFETY: [SHARED] as above.
unsafe impl Sync for Shared {}

/// A memory file of so many words, all zero, whose size nobody can change any more.
pub fn create(name: &str, count: usize) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    nix::unistd::ftruncate(&file, i64::try_from(bytes(count)?.get()).unwrap_or(i64::MAX))?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

fn bytes(count: usize) -> io::Result<NonZeroUsize> {
    let bytes = count.checked_mul(size_of::<AtomicU64>()).and_then(NonZeroUsize::new);
    bytes.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Shared {
    /// Maps the first `count` words of a memory file, which must be large enough and sealed against shrinking: a reader of a
    /// file that shrinks dies.
    pub fn map(file: &OwnedFd, count: usize) -> io::Result<Self> {
        let length = bytes(count)?;
        let size = nix::sys::stat::fstat(file)?.st_size;
        let seals = SealFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GET_SEALS)?);
        if usize::try_from(size).unwrap_or(0) < length.get() || !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: [KERNEL] a new mapping at an address that the kernel chooses.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self { start, count })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: [SHARED] mapped, aligned to a page, and zero or written as whole words for as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.start.cast().as_ptr(), self.count) }
    }

    /// The words, for ever.
    #[must_use]
    pub fn leak(self) -> &'static [AtomicU64] {
        let kept: &'static Self = Box::leak(Box::new(self));
        kept.words()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: [SHARED] this value's own mapping, which nobody borrows any more.
        let _ = unsafe { munmap(self.start, self.count * size_of::<AtomicU64>()) };
    }
}

/// The half of a word that the kernel looks at: its low 32 bits.
fn half(bell: &AtomicU64) -> *const u32 {
    let low = usize::from(cfg!(target_endian = "big"));
    bell.as_ptr().cast::<u32>().wrapping_add(low)
}

/// Wakes whoever waits for the bell.
pub fn ring(bell: &AtomicU64) {
    bell.fetch_add(1, Ordering::SeqCst);
    // SAFETY: [SHARED] the address of a live word; the kernel only looks for who waits there.
    unsafe { libc::syscall(libc::SYS_futex, half(bell), libc::FUTEX_WAKE, i32::MAX) };
}

/// Waits until the bell is no longer at `seen`, at most for `patience`; may return sooner.
pub fn wait(bell: &AtomicU64, seen: u64, patience: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(i32::try_from(patience.subsec_nanos()).unwrap_or(0)),
    };
    let seen = seen & u64::from(u32::MAX);
    // SAFETY: [SHARED] the address of a live word, and a time that the kernel only reads.
    unsafe { libc::syscall(libc::SYS_futex, half(bell), libc::FUTEX_WAIT, seen, &raw const time) };
}

/// Names this process unmistakably: its number, and when it was started.
#[must_use]
pub fn own_name() -> u64 {
    name_of(std::process::id())
}

/// Whether the process of that name is still there.
#[must_use]
pub fn is_there(name: u64) -> bool {
    name_of(pid_of(name)) == name
}

/// The same for another process, as long as it is there.
fn name_of(pid: u32) -> u64 {
    // The 22nd word, the command's name being one in parentheses that may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let start = after.split_whitespace().nth(19).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    start << 32 | u64::from(pid)
}

/// The process number in a name.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
pub fn pid_of(name: u64) -> u32 {
    name as u32
}

/// A second mapping of the same words, as another process has it.
#[cfg(test)]
fn again(file: &OwnedFd, count: usize) -> Shared {
    Shared::map(&crate::descriptor::duplicate(std::os::fd::AsRawFd::as_raw_fd(file)).expect("a copy"), count)
        .expect("mapped")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_one_writes_the_other_reads_and_nobody_changes_the_size() {
        let file = create("words", 100).expect("a file");
        let (one, two) = (Shared::map(&file, 100).expect("mapped"), again(&file, 100));
        one.words()[99].store(7, Ordering::SeqCst);
        assert_eq!(two.words()[99].load(Ordering::SeqCst), 7);
        assert!(nix::unistd::ftruncate(&file, 8).is_err());
        assert!(Shared::map(&file, 1000).is_err() && Shared::map(&file, 0).is_err());
        let loose: OwnedFd = std::fs::File::open("/proc/self/exe").expect("a file").into();
        assert!(Shared::map(&loose, 1).is_err(), "it could shrink");
    }

    #[test]
    fn a_bell_wakes_who_waits_and_time_ends_the_wait() {
        let file = create("bells", 1).expect("a file");
        let (one, two) = (Shared::map(&file, 1).expect("mapped"), again(&file, 1));
        let begun = Instant::now();
        wait(&one.words()[0], 0, Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20));
        wait(&one.words()[0], 5, Duration::from_secs(60));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while one.words()[0].load(Ordering::SeqCst) == 0 {
                    wait(&one.words()[0], 0, Duration::from_secs(60));
                }
            });
            ring(&two.words()[0]);
        });
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_process_is_named_by_number_and_start() {
        assert_eq!((own_name(), pid_of(own_name())), (name_of(std::process::id()), std::process::id()));
        assert_ne!(own_name() >> 32, 0);
        assert!(is_there(own_name()) && !is_there(own_name() + (1 << 32)));
    }
}
