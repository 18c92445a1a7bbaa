// SPDX-License-Identifier: Apache-2.0
//! Starting another program with chosen descriptors, and what it is told in memory.

use crate::readiness::is_readable_by;
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A file in memory that nobody can change any more.
pub fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let descriptor = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    file.write_all(content)?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Lets whoever reads the file begin at its start.
pub fn rewind(descriptor: &OwnedFd) -> io::Result<()> {
    io::Seek::rewind(&mut File::from(descriptor.try_clone()?))
}

/// A pipe: what is written into the second comes out of the first.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

/// Writes a byte into a pipe of which only the end to read from is at hand.
pub fn write_back(pipe: &OwnedFd, byte: u8) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open(format!("/proc/self/fd/{}", pipe.as_raw_fd()))?.write_all(&[byte])
}

/// Bytes that nobody can guess.
pub fn secret<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes)
}

/// Starts `program`, which inherits `descriptors` under their numbers; gives its process number.
pub fn start(program: &Path, arguments: &[String], descriptors: Vec<RawFd>) -> io::Result<u32> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let keep = move || {
        for descriptor in &descriptors {
            // SAFETY: [KERNEL] the caller's descriptors are open; only their flags are changed, in the new process.
            let descriptor = unsafe { BorrowedFd::borrow_raw(*descriptor) };
            fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: [FORK] between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(keep) };
    command.spawn().map(|child| child.id())
}

/// What comes out of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A byte.
    Given,
    /// Nothing yet.
    Late,
    /// Its end.
    Never,
}

/// What comes out of the pipe within `patience`.
#[must_use]
pub fn answers(mut pipe: File, patience: std::time::Duration) -> Answer {
    let readable = is_readable_by(&pipe, std::time::Instant::now() + patience);
    if readable.is_ok_and(|readable| !readable) {
        return Answer::Late;
    }
    if io::Read::read(&mut pipe, &mut [0]).is_ok_and(|length| length == 1) { Answer::Given } else { Answer::Never }
}

/// Tells process `pid`, a child of this one that nobody has waited for, to end; 0 is none.
pub fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0) {
        let _it_has_ended = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
    }
}

/// Waits for process `pid`, a child of this one, until it has ended or `patience` is over; whether it has ended.
#[must_use]
pub fn wait_for(pid: u32, patience: std::time::Duration) -> bool {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let deadline = std::time::Instant::now() + patience;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    let mut pause = std::time::Duration::from_millis(1);
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => {}
            _ => return true,
        }
        if std::time::Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(std::time::Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    #[test]
    fn a_program_reads_what_it_inherits_and_nothing_can_change_it() {
        let plan = sealed("plan", b"told").expect("a file in memory");
        assert!(File::from(plan.try_clone().expect("a copy")).write_all(b"more").is_err());
        let (reader, writer) = pipe().expect("a pipe");
        let script = format!("cat <&{} >&{}", plan.as_raw_fd(), writer.as_raw_fd());
        rewind(&plan).expect("a file");
        let descriptors = vec![plan.as_raw_fd(), writer.as_raw_fd()];
        let pid = start(Path::new("/bin/sh"), &["-c".to_owned(), script], descriptors).expect("a program");
        drop(writer);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).expect("its answer");
        assert_eq!(text, "told");
        assert!(wait_for(pid, Duration::from_secs(20)));
        let (reader, writer) = pipe().expect("a pipe");
        drop(writer);
        write_back(&reader, b'x').expect("a pipe");
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).expect("what was written");
        assert_eq!(text, "x");
        assert_ne!(secret::<32>().expect("bytes"), secret::<32>().expect("bytes"));
    }
}
