// SPDX-License-Identifier: Apache-2.0
//! What the kernel and the C library call in a worker: its signal handler, and what closes its descriptors in processes that
//! applications fork.
//!
//! Both run where nothing may be locked, allocated or unwound, and call nothing but the kernel.

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

/// Descriptors from here on stay open in forked processes.
const TRACKED: usize = 65_536;
const BITS: usize = 64;
/// One bit for each descriptor that forked processes must not keep.
static PRIVATE: [AtomicU64; TRACKED / BITS] = [const { AtomicU64::new(0) }; TRACKED / BITS];
static FORKED: AtomicBool = AtomicBool::new(false);

/// The process that signals are for.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// The signals that came, one bit each.
static CAME: AtomicU32 = AtomicU32::new(0);
/// The event descriptor that tells of them.
static BELL: AtomicI32 = AtomicI32::new(-1);

fn place(descriptor: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(descriptor).ok()?;
    Some((PRIVATE.get(number / BITS)?, 1 << (number % BITS)))
}

/// Marks a descriptor that stays open until the process ends.
pub fn keep_private(descriptor: &impl AsRawFd) {
    if let Some((word, bit)) = place(descriptor.as_raw_fd()) {
        word.fetch_or(bit, Ordering::AcqRel);
    }
}

/// A descriptor that processes which applications fork do not keep.
#[derive(Debug)]
pub struct Private(OwnedFd);

impl Private {
    /// Takes it over.
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Self {
        keep_private(&descriptor);
        Self(descriptor)
    }
}

impl AsFd for Private {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Private {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some((word, bit)) = place(self.0.as_raw_fd()) {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

/// Whether this process was forked from a worker.
#[must_use]
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Acquire)
}

/// Makes every process that is forked from this one close the descriptors that are [`Private`].
pub fn close_in_forked_processes() -> io::Result<()> {
    // SAFETY: [HANDLER] the function touches atomics and the kernel only.
    match unsafe { libc::pthread_atfork(None, None, Some(forked)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The limit on descriptors that this process had, and the one that it has made of it; 0 if it has not.
static OFFERED: AtomicU64 = AtomicU64::new(0);
static RAISED: AtomicU64 = AtomicU64::new(0);
/// Numbers below this are left to the application.
static LOWEST: AtomicI32 = AtomicI32::new(0);
/// What `select()` can tell of.
const SELECTED: u64 = libc::FD_SETSIZE as u64;

/// Lets this process open so many more descriptors than it was told, as far as it may. Processes that applications fork have
/// the limit that it was told. Answers that, and the limit that there is now.
pub fn make_room(descriptors: u64) -> io::Result<(u64, u64)> {
    let (told, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = told.saturating_add(descriptors).min(most);
    setrlimit(Resource::RLIMIT_NOFILE, raised, most)?;
    OFFERED.store(told, Ordering::Release);
    RAISED.store(raised, Ordering::Release);
    if told <= SELECTED && raised > told {
        LOWEST.store(i32::try_from(told).unwrap_or(0), Ordering::Release);
    }
    Ok((told, raised))
}

/// A new descriptor under a number that applications could not use before [`make_room`] either, if there is one. So those that
/// wait by `select()`, which knows low numbers only, can go on doing so.
pub(crate) fn out_of_the_way(descriptor: OwnedFd) -> OwnedFd {
    match LOWEST.load(Ordering::Acquire) {
        0 => descriptor,
        lowest => crate::descriptor::duplicate_from(descriptor.as_raw_fd(), lowest).unwrap_or(descriptor),
    }
}

/// In a forked process: the limit that the worker was told, unless the application has chosen one.
fn give_back_limit() {
    let raised = RAISED.swap(0, Ordering::AcqRel);
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: [HANDLER] asks the kernel only.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    if known && raised != 0 && limit.rlim_cur == raised {
        limit.rlim_cur = OFFERED.load(Ordering::Acquire);
        // SAFETY: [HANDLER] takes numbers only.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Makes this process and those forked from it count how many forks lie between them.
pub fn count_forks() -> io::Result<()> {
    // SAFETY: [HANDLER] the function touches an atomic only.
    match unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::AcqRel);
}

/// How many forks lie between the process that called [`count_forks`] and this one.
#[must_use]
pub fn forks() -> u32 {
    FORKS.load(Ordering::Acquire)
}

extern "C" fn forked() {
    FORKED.store(true, Ordering::Release);
    give_back_limit();
    for (index, word) in PRIVATE.iter().enumerate() {
        let mut bits = word.swap(0, Ordering::AcqRel);
        while bits != 0 {
            let number = index * BITS + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            if let Ok(descriptor) = RawFd::try_from(number) {
                // SAFETY: [HANDLER] the forked process ends before whoever owns the descriptor in it goes on.
                unsafe { libc::close(descriptor) };
            }
        }
    }
}

/// What signals ask of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To end (`SIGTERM`, `SIGINT`).
    End,
    /// To finish its requests and end (`SIGUSR1`).
    Evict,
    /// The same, because it used all the processor time that it may have (`SIGXCPU`).
    Processor,
    /// To tell its application: the name and number of the signal (`SIGHUP`, `SIGUSR2`).
    Tell(&'static str, i32),
}

const CAUGHT: [(Signal, Asked); 4] = [
    (Signal::SIGTERM, Asked::End),
    (Signal::SIGINT, Asked::End),
    (Signal::SIGUSR1, Asked::Evict),
    (Signal::SIGXCPU, Asked::Processor),
];
const TOLD: [(Signal, Asked); 2] = [
    (Signal::SIGHUP, Asked::Tell("SIGHUP", Signal::SIGHUP as i32)),
    (Signal::SIGUSR2, Asked::Tell("SIGUSR2", Signal::SIGUSR2 as i32)),
];

fn bit(signal: Signal) -> u32 {
    1_u32.checked_shl(signal as u32).unwrap_or(0)
}

fn catch(signal: Signal) -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(caught), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: [HANDLER] the handler touches atomics and the kernel only.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// The signals that came.
#[derive(Debug)]
pub struct Signals(&'static EventFd);

impl Signals {
    /// Catches the signals that ask a worker for something. In forked processes they have their default effect.
    pub fn catch() -> io::Result<Self> {
        static EVENT: OnceLock<EventFd> = OnceLock::new();
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let event = EVENT.get_or_init(|| event);
        keep_private(&event.as_fd());
        OWNER.store(nix::unistd::getpid().as_raw(), Ordering::Release);
        BELL.store(event.as_fd().as_raw_fd(), Ordering::Release);
        CAUGHT.into_iter().try_for_each(|(signal, _)| catch(signal))?;
        Ok(Self(event))
    }

    /// Catches those that are for the application, too.
    pub fn catch_for_application(&self) -> io::Result<()> {
        TOLD.into_iter().try_for_each(|(signal, _)| catch(signal))
    }

    /// What was asked for since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Asked> {
        let _nothing_came = self.0.read();
        let came = CAME.swap(0, Ordering::AcqRel);
        let all = CAUGHT.into_iter().chain(TOLD);
        all.filter(|(signal, _)| came & bit(*signal) != 0).map(|(_, asked)| asked).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Catches a signal, unless something else does, only so that it interrupts what waits.
pub fn ignore_in_handler(number: i32) {
    // SAFETY: [HANDLER] all zero is a valid record, filled by the kernel.
    let mut present: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: [HANDLER] asks only.
    unsafe { libc::sigaction(number, std::ptr::null(), &raw mut present) };
    if present.sa_sigaction == libc::SIG_DFL {
        present.sa_sigaction = interrupted as *const () as usize;
        // Without SA_RESTART: that is what it is for.
        present.sa_flags = 0;
        // SAFETY: [HANDLER] the handler does nothing.
        unsafe { libc::sigaction(number, &raw const present, std::ptr::null_mut()) };
    }
}

extern "C" fn interrupted(_number: i32) {}

extern "C" fn caught(number: i32) {
    // SAFETY: [HANDLER] takes nothing.
    if unsafe { libc::getpid() } != OWNER.load(Ordering::Acquire) {
        // SAFETY: [HANDLER] may be called in a handler.
        unsafe { libc::signal(number, libc::SIG_DFL) };
        // SAFETY: [HANDLER] may be called in a handler; it takes effect when this one returns.
        unsafe { libc::raise(number) };
        return;
    }
    let error = nix::errno::Errno::last_raw();
    CAME.fetch_or(
        u32::try_from(number).ok().and_then(|number| 1_u32.checked_shl(number)).unwrap_or(0),
        Ordering::AcqRel,
    );
    let one = 1_u64.to_ne_bytes();
    // SAFETY: [HANDLER] may be called in a handler; the buffer is eight bytes.
    unsafe { libc::write(BELL.load(Ordering::Acquire), one.as_ptr().cast(), one.len()) };
    nix::errno::Errno::set_raw(error);
}
