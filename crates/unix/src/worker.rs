// SPDX-License-Identifier: Apache-2.0
//! What a worker process sets for itself, on its main thread before it starts others, and how it ends.

use std::ffi::CString;
use std::io;
use std::ptr;

/// Lets no other process of the same user read this one's memory or take its descriptors. Gives it the name of its program, too,
/// which the kernel does not know if it executed a copy.
pub fn become_unreadable() -> io::Result<()> {
    take_name();
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// Lets processes of the same user debug this one, and the kernel write core dumps of it.
pub fn become_readable() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(true)?)
}

fn take_name() {
    let arguments = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let program = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if let Some(name) = CString::new(name).ok().filter(|name| !name.is_empty()) {
        let _a_name_is_not_worth_a_worker = nix::sys::prctl::set_name(&name);
    }
}

/// Where the kernel keeps the arguments of this process.
fn arguments() -> Option<(usize, usize)> {
    let text = std::fs::read("/proc/self/stat").ok()?;
    let text = String::from_utf8_lossy(&text);
    // The name, in parentheses, may hold anything; the state, the third field, follows it.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace().skip(48 - 3);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (start != 0 && start < end).then_some((start, end))
}

/// Shows `title` instead of the arguments of the process, as far as there is room. Answers whether that worked.
#[must_use]
pub fn set_title(title: &str) -> bool {
    let Some((start, end)) = arguments() else { return false };
    let place: *mut u8 = ptr::with_exposed_provenance_mut(start);
    let room = end - start;
    // SAFETY: [WORKER] the kernel says that the arguments lie there; Python has copied them.
    unsafe { ptr::write_bytes(place, 0, room) };
    let length = title.len().min(room - 1);
    // SAFETY: [WORKER] shorter than the room.
    unsafe { ptr::copy_nonoverlapping(title.as_ptr(), place, length) };
    true
}

/// Sets the locale of the process. Answers whether there is one of that name.
#[must_use]
pub fn set_locale(name: &str) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    // SAFETY: [WORKER] the name ends with NUL.
    !unsafe { libc::setlocale(libc::LC_ALL, name.as_ptr()) }.is_null()
}

/// Sends the process the signal to end.
pub fn terminate() {
    use nix::sys::signal::{Signal, kill};
    let _it_is_there = kill(nix::unistd::getpid(), Signal::SIGTERM);
}

/// Lets the main thread look for signals that came while it was about to wait: it is interrupted by one that means nothing.
pub fn nudge() {
    let signal = libc::SIGRTMAX();
    crate::callback::ignore_in_handler(signal);
    let main = nix::unistd::getpid().as_raw();
    // SAFETY: [KERNEL] takes numbers only; the main thread has the number of the process.
    unsafe { libc::syscall(libc::SYS_tgkill, main, main, signal) };
}

/// The kernel's number of the calling thread.
#[must_use]
pub fn thread_number() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// The signal by which a thread is asked for the stacks of its interpreter.
#[must_use]
pub fn dump_signal() -> i32 {
    libc::SIGRTMAX() - 1
}

/// Asks a thread of this process for the stacks of its interpreter; the calling one writes them before this returns. Whoever has not
/// caught [`dump_signal`] must not call this.
pub fn dump_stacks(thread: i32) {
    let process = nix::unistd::getpid().as_raw();
    // SAFETY: [KERNEL] takes numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, dump_signal()) };
}

/// Ends the process at once: functions that libraries registered are not called.
pub fn exit(status: i32) -> ! {
    // SAFETY: [KERNEL] takes a number and does not return.
    unsafe { libc::_exit(status) }
}
