// SPDX-License-Identifier: Apache-2.0
//! A process whose business is its children: it leads a session, takes over orphans, and learns of signals by reading.
//!
//! Called in the supervisor, which has one thread.

use crate::readiness;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getpid, getsid, setsid};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// What [`Signals`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A child may have ended.
    Child,
    /// This process is to end (`SIGTERM`, `SIGINT`).
    End,
    /// Its children are to be replaced (`SIGHUP`, `SIGUSR1`).
    Replace,
}

/// The signals that came.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// The next one, if there is one.
    pub fn next(&self) -> Option<Told> {
        loop {
            let signal = i32::try_from(self.0.read_signal().ok().flatten()?.ssi_signo).ok()?;
            match Signal::try_from(signal) {
                Ok(Signal::SIGCHLD) => return Some(Told::Child),
                Ok(Signal::SIGTERM | Signal::SIGINT) => return Some(Told::End),
                Ok(Signal::SIGHUP | Signal::SIGUSR1) => return Some(Told::Replace),
                _ => {}
            }
        }
    }
}

impl std::os::fd::AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes this process what its children need: leader of a session of its own, parent of their orphans, away from the signals
/// that httpd's process group gets. It is told to end when httpd's parent dies.
pub fn prepare() -> io::Result<Signals> {
    match setsid() {
        // The leader of a process group cannot leave it, and need not.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    prctl::set_child_subreaper(true)?;
    for signal in [libc::SIGUSR2, libc::SIGWINCH, libc::SIGPIPE] {
        dispose(signal, libc::SIG_IGN);
    }
    for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
        dispose(signal, libc::SIG_DFL);
    }
    let told = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];
    let told = SigSet::from_iter(told);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&told), None)?;
    // Children of a killed httpd may live on, and hold the pipe that tells when nobody needs workers any more.
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    Ok(Signals(SignalFd::with_flags(&told, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
}

/// Lets this process open as many descriptors as it may. The number that it had before, for programs that cannot do with more.
#[must_use]
pub fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(soft)
}

/// Sets what a signal does to this process; numbers that are no signals of ours are passed over.
pub(crate) fn dispose(signal: i32, disposition: libc::sighandler_t) {
    // SAFETY: [KERNEL] takes numbers only: the disposition is one of the two that are no function.
    unsafe { libc::signal(signal, disposition) };
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// A child that has ended and was not buried: until then, nobody else gets its number.
#[must_use]
pub fn dead_child() -> Option<(i32, End)> {
    // SAFETY: [KERNEL] the structure is plain memory for which zeroes are a value.
    let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: [KERNEL] writes into memory of ours.
    if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut found, how) } != 0 {
        return None;
    }
    // SAFETY: [KERNEL] was filled by `waitid`, or is zero.
    let pid = unsafe { found.si_pid() };
    // SAFETY: [KERNEL] was filled by `waitid`, or is zero.
    let status = unsafe { found.si_status() };
    let end = if found.si_code == libc::CLD_EXITED { End::Status(status) } else { End::Signal(status) };
    (pid > 0).then_some((pid, end))
}

/// Buries a child that has ended: how much processor time it used, with what its own children used.
pub fn bury(pid: i32) -> Duration {
    // SAFETY: [KERNEL] the structure is plain memory for which zeroes are a value.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: [KERNEL] takes numbers, and writes into memory of ours.
        let done = unsafe { libc::wait4(pid, std::ptr::null_mut(), libc::WNOHANG, &raw mut used) };
        if done >= 0 || Errno::last() != Errno::EINTR {
            break;
        }
    }
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    time(used.ru_utime) + time(used.ru_stime)
}

/// How many processes the kernel has killed because memory ran out: of this process's control group if that can be known, else
/// of the whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryKills {
    own: Option<u64>,
    all: Option<u64>,
}

impl MemoryKills {
    /// So far.
    #[must_use]
    pub fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let groups = read("/proc/self/cgroup");
        let folder = groups.lines().find_map(|line| line.strip_prefix("0::"));
        let own = folder.map(|folder| read(&format!("/sys/fs/cgroup{folder}/memory.events")));
        Self::from_counters(own.as_deref().unwrap_or_default(), &read("/proc/vmstat"))
    }

    fn from_counters(own: &str, all: &str) -> Self {
        let count = |text: &str| text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        Self { own: count(own), all: count(all) }
    }

    /// Whether there were more since `earlier`.
    #[must_use]
    pub fn rose_since(self, earlier: Self) -> bool {
        match (self.own, earlier.own) {
            (Some(now), Some(then)) => now > then,
            _ => self.all.zip(earlier.all).is_some_and(|(now, then)| now > then),
        }
    }
}

/// Kills a process group of ours, whose leader was not buried yet.
pub fn kill_group(leader: i32) {
    if leader > 1 {
        let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        // In case it was not yet, or is no longer, a member of the group.
        let _ = kill(Pid::from_raw(leader), Signal::SIGKILL);
    }
}

/// Kills and buries what dead workers left behind and is in this process's session; whoever made a session of his own meant
/// to stay.
pub fn kill_orphans() {
    let path = format!("/proc/self/task/{}/children", getpid());
    // Each orphan may leave orphans of its own. One that hangs in the kernel is left to whoever waits for it next.
    for _ in 0..100 {
        while let Some((pid, _)) = dead_child() {
            bury(pid);
        }
        let names = std::fs::read_to_string(&path).unwrap_or_default();
        let session = getsid(None);
        let children = names.split_ascii_whitespace().filter_map(|name| Some(Pid::from_raw(name.parse().ok()?)));
        let ours: Vec<_> = children.filter(|child| getsid(Some(*child)) == session).collect();
        if ours.is_empty() {
            return;
        }
        for child in ours {
            let _ = kill(child, Signal::SIGKILL);
        }
        let _ = readiness::wait(&[], Some(Duration::from_millis(1)));
    }
}

/// The numbers of all open descriptors from `first` on.
pub(crate) fn open_from(first: RawFd) -> Vec<RawFd> {
    let names = std::fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok);
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|number| *number >= first).collect()
}

/// Closes each descriptor of this process from 3 on but those in `kept`. For a program's start: nobody else may own one.
pub fn keep_only(kept: &[BorrowedFd<'_>]) {
    for number in open_from(3) {
        if !kept.iter().any(|descriptor| descriptor.as_raw_fd() == number) {
            close(number);
        }
    }
}

/// Closes a descriptor that nobody owns.
pub(crate) fn close(number: RawFd) {
    // SAFETY: [KERNEL] takes a number only; callers keep what has an owner.
    unsafe { libc::close(number) };
}

/// A descriptor of the file behind another one, which never waits and always appends; a copy of the other one where that is
/// impossible, because how it waits is shared with httpd.
pub fn log_file(number: RawFd) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    match std::fs::OpenOptions::new().append(true).custom_flags(flags).open(format!("/proc/self/fd/{number}")) {
        Ok(file) => Ok(file.into()),
        Err(_) => crate::descriptor::duplicate(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_control_group_says_more_than_the_machine() {
        let counters = MemoryKills::from_counters;
        let events = |kills: u64| format!("low 0\noom 3\noom_kill {kills}\noom_group_kill 9\n");
        let machine = |kills: u64| format!("nr_free_pages 7\noom_kill {kills}\n");
        let before = counters(&events(1), &machine(5));
        assert!(counters(&events(2), &machine(6)).rose_since(before));
        assert!(!counters(&events(1), &machine(6)).rose_since(before), "somebody else's");
        assert!(counters("", &machine(6)).rose_since(before) && !counters("", &machine(5)).rose_since(before));
        assert!(!counters("", "").rose_since(counters("", "")), "nobody knows");
    }

    #[test]
    fn a_log_appends_and_a_closed_descriptor_is_an_error() {
        use std::io::{Read, Seek, Write};
        let mut file =
            std::fs::File::from(nix::sys::memfd::memfd_create("log", nix::sys::memfd::MFdFlags::empty()).unwrap());
        file.write_all(b"one ").unwrap();
        file.rewind().unwrap();
        std::fs::File::from(log_file(file.as_raw_fd()).unwrap()).write_all(b"two").unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
        assert!(log_file(i32::MAX).is_err());
    }
}
