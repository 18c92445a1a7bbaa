// SPDX-License-Identifier: Apache-2.0
//! What the copy of the supervisor does to itself on its way to the interpreter, one step after the other.

use super::copies::{self, Copies, Refusal};
use super::jail::{self, Jail};
use super::{Directory, Ends, Launch, NOTE, Trouble, WARNING};
use crate::children::{close, dispose};
use crate::installation;
use model::configuration::files::Identity;
use model::launch::{ProcessSettings, control};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::CString;
use std::fmt::Display;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where the copy tells of trouble: the first number after those that are agreed on.
const TROUBLE: RawFd = control::RUNTIME + 1;

/// Gives the descriptors their agreed numbers and closes all others. The descriptor for trouble is closed on exec, as are the
/// copies, which keep their numbers.
pub(super) fn place(ends: Ends) -> io::Result<OwnedFd> {
    let Ends { input, output, control, runtime, trouble, copies, open } = ends;
    let agreed = [(&input, 0), (&output, 1), (&output, 2), (&control, control::SOCKET), (&runtime, control::RUNTIME)];
    for (descriptor, number) in agreed {
        put(descriptor, number, 0)?;
    }
    put(&trouble, TROUBLE, libc::O_CLOEXEC)?;
    // They are closed with all others.
    for descriptor in [input, output, control, runtime, trouble] {
        std::mem::forget(descriptor);
    }
    let ends = copies.iter().copied().chain([RawFd::MAX]);
    let begins = std::iter::once(TROUBLE).chain(copies.iter().copied());
    if !begins.zip(ends).all(|(before, behind)| close_between(before, behind)) {
        open.into_iter().filter(|number| *number > TROUBLE && !copies.contains(number)).for_each(close);
        // What was opened since the list was made.
        (TROUBLE + 1..64).filter(|number| !copies.contains(number)).for_each(close);
    }
    // SAFETY: [KERNEL] was just made, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(TROUBLE) })
}

/// Closes all numbers between the two. Old kernels cannot.
fn close_between(before: RawFd, behind: RawFd) -> bool {
    let (first, last) = (libc::c_long::from(before) + 1, libc::c_long::from(behind) - 1);
    // SAFETY: [KERNEL] takes numbers only; from here on the copy uses none of what it closes.
    first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0
}

pub(super) fn put(descriptor: &OwnedFd, number: RawFd, flags: i32) -> io::Result<()> {
    // SAFETY: [KERNEL] takes numbers only; whoever had that number belongs to the original, not to the copy.
    let done = unsafe { libc::dup3(descriptor.as_raw_fd(), number, flags) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Everything between the descriptors and the interpreter. Comes back only with a reason.
pub(super) fn become_worker(
    launch: &Launch,
    copies: &io::Result<Option<&Copies>>,
    warn: &mut dyn FnMut(char, String),
) -> Result<Infallible, Trouble> {
    let process = &launch.process;
    let _ = nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0));
    forget_signals();
    if process.cpu_priority != 0 {
        add_nice(process.cpu_priority).unwrap_or_else(|error| warn(WARNING, format!("cpu-priority: {error}")));
    }
    let wrong_root = || because("create what is missing or correct chroot");
    let jail = process.chroot.as_deref().map(jail::enter).transpose().map_err(wrong_root())?;
    if let Some(identity) = &launch.identity {
        become_user(identity).map_err(because("correct user, group or supplementary-groups; httpd must be root"))?;
    }
    jail.map_or(Ok(()), Jail::settle).map_err(wrong_root())?;
    clear_ambient();
    if let (Some(soft), Ok((_, hard))) = (launch.open_files, getrlimit(Resource::RLIMIT_NOFILE)) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    limit(process, launch.cpu_grace, warn);
    enter(&launch.directory, warn).map_err(because("create it, let the group's user enter it, or correct home"))?;
    if let Some(mask) = process.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    if process.no_new_privileges {
        let done = prctl::set_no_new_privs();
        done.map_err(|error| because("the kernel is too old")(format!("no_new_privs: {}", error.desc())))?;
    }
    let python = "create a virtual environment there, or correct python-home or WSGIPythonHome";
    execute(launch, copies, warn).map_err(because(if process.chroot.is_some() {
        "it has to be inside the chroot"
    } else {
        python
    }))
}

/// Adds what to do about it.
fn because<T: Display>(fix: &'static str) -> impl FnOnce(T) -> Trouble {
    move |problem| Trouble { problem: problem.to_string(), fix }
}

fn execute(
    launch: &Launch,
    copies: &io::Result<Option<&Copies>>,
    warn: &mut dyn FnMut(char, String),
) -> Result<Infallible, String> {
    let program = installation::interpreter(&launch.python)?;
    let text =
        |bytes: &[u8]| CString::new(bytes).map_err(|_| format!("{:?} has a NUL", String::from_utf8_lossy(bytes)));
    let path = text(program.as_os_str().as_bytes())?;
    let mut arguments = vec![path.clone()];
    for argument in &launch.arguments {
        arguments.push(text(argument.as_bytes())?);
    }
    let mut environment = Vec::with_capacity(launch.environment.len());
    for (name, value) in &launch.environment {
        environment.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    if let Some(reason) = execute_copy(copies, &program, &arguments, &environment) {
        warn(NOTE, format!("another process of the same user may look into it while it starts: {reason}"));
    }
    let Err(error) = nix::unistd::execve(&path, &arguments, &environment);
    // The kernel says the same of a program that is missing and of one whose loader is.
    match installation::loader(&program) {
        Some(loader) if error == nix::errno::Errno::ENOENT && !loader.exists() => {
            Err(format!("'{}' cannot be started: it needs '{}', which is missing", program.display(), loader.display()))
        }
        _ => Err(format!("'{}' cannot be started: {}", program.display(), error.desc())),
    }
}

/// Comes back with the reason if others may look into the interpreter when it is executed itself, or with none if they may anyway
/// or the kernel sees to it.
fn execute_copy(
    copies: &io::Result<Option<&Copies>>,
    program: &Path,
    arguments: &[CString],
    environment: &[CString],
) -> Option<String> {
    let copies = match copies {
        Ok(copies) => (*copies)?,
        Err(error) => return Some(format!("no file in memory can be executed: {error}")),
    };
    match copies.of(program) {
        Ok(copy) => Some(format!("its copy: {}", copies::execute(copy, arguments, environment).desc())),
        Err(Refusal::Needless) => None,
        Err(Refusal::Reason(reason)) => Some(format!("'{}': {reason}", program.display())),
    }
}

/// Signals do what they do by default, and none is held back.
fn forget_signals() {
    (1..=libc::SIGRTMAX()).for_each(|signal| dispose(signal, libc::SIG_DFL));
    let _ = SigSet::empty().thread_set_mask();
}

fn add_nice(difference: i32) -> io::Result<()> {
    // The bare system call answers 20 minus the value, so that no answer looks like an error.
    // SAFETY: [KERNEL] takes and returns numbers only.
    let answer = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
    let present = 20 - i32::try_from(answer).unwrap_or(20);
    // SAFETY: [KERNEL] takes numbers only.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, present.saturating_add(difference)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Becomes the user for good, and looks whether it did.
fn become_user(identity: &Identity) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    let refused = |what: &str, error: nix::errno::Errno| {
        format!("cannot become user '{}': {what}: {}", identity.name, error.desc())
    };
    let _ = prctl::set_keepcaps(false);
    nix::unistd::setgroups(&groups).map_err(|error| refused("setgroups", error))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(|error| refused("setresgid", error))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(|error| refused("setresuid", error))?;
    let users = nix::unistd::getresuid().map_err(|error| refused("getresuid", error))?;
    let own_groups = nix::unistd::getresgid().map_err(|error| refused("getresgid", error))?;
    let others = nix::unistd::getgroups().map_err(|error| refused("getgroups", error))?;
    let set = |groups: &[Gid]| groups.iter().map(|group| group.as_raw()).collect::<BTreeSet<_>>();
    let same = [users.real, users.effective, users.saved] == [uid; 3]
        && [own_groups.real, own_groups.effective, own_groups.saved] == [gid; 3]
        && set(&others) == set(&groups)
        && (uid.is_root() || (acts_as(identity) && nix::unistd::setuid(Uid::from_raw(0)).is_err()));
    if same { Ok(()) } else { Err(format!("the kernel did not make it user '{}'", identity.name)) }
}

/// Whether files are opened as the user, which has numbers of its own. Without `/proc` (in another root, for instance) they are
/// what the effective ones are.
fn acts_as(identity: &Identity) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let all = |name: &str, wanted: u32| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let mut numbers = line.split_ascii_whitespace();
        numbers.clone().count() == 4 && numbers.all(|number| number.parse() == Ok(wanted))
    };
    all("Uid:", identity.uid) && all("Gid:", identity.gid)
}

/// Old kernels have no ambient capabilities, and refuse.
fn clear_ambient() {
    let (what, none): (libc::c_ulong, libc::c_ulong) = (libc::PR_CAP_AMBIENT_CLEAR_ALL as _, 0);
    // SAFETY: [KERNEL] takes numbers only.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, what, none, none, none) };
}

fn limit(process: &ProcessSettings, cpu_grace: u64, warn: &mut dyn FnMut(char, String)) {
    let cpu = process.cpu_time_limit;
    let limits = [
        ("cpu-time-limit", Resource::RLIMIT_CPU, cpu, cpu.saturating_add(cpu_grace)),
        ("memory-limit", Resource::RLIMIT_DATA, process.memory_limit, process.memory_limit),
        ("virtual-memory-limit", Resource::RLIMIT_AS, process.virtual_memory_limit, process.virtual_memory_limit),
    ];
    for (name, resource, soft, hard) in limits {
        if soft > 0 {
            setrlimit(resource, soft, hard).unwrap_or_else(|error| warn(WARNING, format!("{name}: {}", error.desc())));
        }
    }
}

fn enter(directory: &Directory, warn: &mut dyn FnMut(char, String)) -> Result<(), String> {
    match directory {
        Directory::Unchanged => Ok(()),
        Directory::Wanted(path) => nix::unistd::chdir(path)
            .map_err(|error| format!("home '{}' cannot be entered: {}", path.display(), error.desc())),
        Directory::Usual(path) => {
            let Err(error) = nix::unistd::chdir(path) else { return Ok(()) };
            warn(NOTE, format!("home directory '{}' cannot be entered: {}; '/' is used", path.display(), error.desc()));
            nix::unistd::chdir("/").map_err(|error| format!("'/' cannot be entered: {}", error.desc()))
        }
    }
}
