// SPDX-License-Identifier: Apache-2.0
//! Starting a worker: a copy of this process drops what the worker must not have, proves that it did, and becomes the
//! interpreter.
//!
//! Called in the supervisor, which has one thread, so the copy may do whatever it likes. What depends on the user's files is done
//! by the copy, as that user, so that nobody's file system holds up the others.

mod copies;
mod jail;
mod steps;

pub use copies::Copies;

use crate::children::open_from;
use crate::{descriptor, message, probe, program, readiness};
use model::configuration::files::Identity;
use model::launch::{ProcessSettings, control};
use nix::unistd::{ForkResult, Gid, Pid, Uid, User};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

/// Where a worker begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    /// There, or not at all.
    Wanted(PathBuf),
    /// There, or else in the root directory.
    Usual(PathBuf),
    /// Where the supervisor is.
    Unchanged,
}

/// Everything about a worker that is known before it starts.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Who it becomes; without one it stays who the supervisor is.
    pub identity: Option<Identity>,
    /// What is set.
    pub process: ProcessSettings,
    /// Seconds between the first word of the limit on processor time and the last.
    pub cpu_grace: u64,
    /// How many descriptors it may open, if that differs from the supervisor.
    pub open_files: Option<u64>,
    /// Where it begins.
    pub directory: Directory,
    /// All of its variables.
    pub environment: Vec<(OsString, OsString)>,
    /// A directory or an executable.
    pub python: String,
    /// The interpreter's arguments.
    pub arguments: Vec<String>,
    /// Whether other processes of its user are kept from looking into it while it starts.
    pub hidden: bool,
}

/// A worker that may yet fail to become the interpreter.
#[derive(Debug)]
pub struct Spawned {
    /// Its process number, and that of its process group.
    pub pid: i32,
    /// The supervisor's end of the control socket.
    pub control: OwnedFd,
    /// What it writes to its standard output and error; does not wait.
    pub output: OwnedFd,
    /// One line for each thing that went wrong before it became the interpreter, with [`WARNING`] or [`NOTE`] in front if it
    /// went on, and [`FIX`] between the trouble and what to do if it did not; ends when it has. Does not wait.
    pub trouble: OwnedFd,
}

/// In front of a trouble that did not keep the worker from starting.
pub const WARNING: char = '-';
/// In front of something that is not even a trouble.
pub const NOTE: char = '.';
/// Between a trouble and what to do about it.
pub const FIX: char = '\x1f';

/// Why a copy did not become the interpreter.
struct Trouble {
    problem: String,
    fix: &'static str,
}

/// The copy's ends, under numbers that are not agreed on for something else.
struct Ends {
    input: OwnedFd,
    output: OwnedFd,
    control: OwnedFd,
    runtime: OwnedFd,
    trouble: OwnedFd,
    /// What is closed on exec only, lowest first.
    copies: Vec<RawFd>,
    /// Every number that may be open in the copy, for kernels that cannot close a range.
    open: Vec<i32>,
}

/// Starts a worker, from one of the copies if it is to be hidden.
pub fn spawn(launch: &Launch, runtime: BorrowedFd<'_>, copies: &mut Copies) -> io::Result<Spawned> {
    if probe::threads() != Some(1) {
        return Err(io::Error::other("this process has more than one thread"));
    }
    let (control, their_control) = message::pair(control::LONGEST)?;
    let (output, their_output) = program::pipe()?;
    let (trouble, their_trouble) = program::pipe()?;
    readiness::never_wait(&output)?;
    readiness::never_wait(&trouble)?;
    if let Some(identity) = &launch.identity {
        // So that it can open /dev/stderr.
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        nix::unistd::fchown(&their_output, Some(uid), Some(gid))?;
    }
    let prepared = launch.hidden.then(|| copies.prepare(&trouble)).transpose();
    let copies = prepared.map(|prepared| prepared.map(|()| &*copies));
    let ends = Ends {
        input: above(File::open("/dev/null")?)?,
        output: above(their_output)?,
        control: above(their_control)?,
        runtime: above(runtime)?,
        trouble: above(their_trouble)?,
        copies: copies.as_ref().ok().copied().flatten().map(Copies::numbers).unwrap_or_default(),
        open: open_from(control::RUNTIME + 1),
    };
    // SAFETY: [FORK] this process has one thread, as was just checked, so no lock is held in the copy.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| begin(launch, ends, &copies)));
            // SAFETY: [FORK] ends the copy without running what the original registered for its own end.
            unsafe { libc::_exit(1) }
        }
        ForkResult::Parent { child } => {
            // The copy does the same; whoever is first.
            let _ = nix::unistd::setpgid(child, Pid::from_raw(0));
            Ok(Spawned { pid: child.as_raw(), control, output, trouble })
        }
    }
}

/// In the copy: becomes the worker, or says why not.
fn begin(launch: &Launch, ends: Ends, copies: &io::Result<Option<&Copies>>) {
    let mut trouble = match steps::place(ends) {
        Ok(trouble) => File::from(trouble),
        Err(_) => return,
    };
    // In one piece, so that nobody reads half a line.
    let mut tell = |text: String| {
        let _ = trouble.write_all(format!("{}\n", text.replace('\n', " ")).as_bytes());
    };
    let Err(Trouble { problem, fix }) =
        steps::become_worker(launch, copies, &mut |kind, text| tell(format!("{kind}{text}")));
    tell(format!("{}{FIX}{fix}", problem.replace(FIX, " ")));
}

/// A copy that has a number of at least 10, closed on exec: it is not in the way of numbers that are agreed on.
fn above(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    descriptor::duplicate_from(descriptor.as_fd().as_raw_fd(), 10)
}

/// An account as far as its processes' environment tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
}

/// The account of a user, if it has one.
#[must_use]
pub fn account(uid: u32) -> Option<Account> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
    Some(Account { name: user.name, home: user.dir })
}
