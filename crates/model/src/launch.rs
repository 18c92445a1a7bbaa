// SPDX-License-Identifier: Apache-2.0
//! What httpd's parent tells the supervisor about process groups, and the supervisor its workers about themselves.
//!
//! A [`Plan`] travels as JSON in a sealed memory file from the parent to `wsgi-supervisor`. A worker gets its [`Worker`] part
//! over its control socket, after it has dropped what it must not keep; see [`control`].

use crate::admission::{Incarnation, Shape};
use crate::configuration::files::Identity;
use crate::event::Level;
use crate::interpreter::InterpreterOptions;
use crate::wire::KEY_LENGTH;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a group's Python runs as `-c`. The descriptors of [`control`] are open.
///
/// It leaves an empty `__main__` and no trace of `-c` in `sys.path`. Where the extension cannot be loaded it says
/// [`control::FAILED`] itself.
pub const BOOTSTRAP: &str = include_str!("launch/bootstrap.py");

/// The process groups of one generation of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`BUILD_ID`](crate::BUILD_ID) of the parent.
    pub build_id: String,
    /// The number of the generation, from 0.
    pub generation: u32,
    /// The directory of the runtime files, as a descriptor that the supervisor inherits and passes on.
    pub runtime: i32,
    /// Whether httpd may change users.
    pub privileged: bool,
    /// The memory file of the generation's [`Board`](crate::admission::Board): a descriptor that the supervisor inherits.
    pub board: i32,
    /// How the board is divided: it has the groups that have none of their own.
    pub shape: Shape,
    /// The groups, in the order of the board.
    pub groups: Vec<Group>,
}

/// One process group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `file:line` of its declaration.
    pub origin: String,
    /// How many processes it has at once.
    pub processes: usize,
    /// The listening socket of each place that a process can have: descriptors that the supervisor inherits. There is one more
    /// than processes, for a replacement, unless the group is exclusive.
    pub listeners: Vec<i32>,
    /// The error log of the server that declares it: a descriptor that the supervisor inherits; `None` is its standard error.
    pub log: Option<i32>,
    /// The least important lines that are logged.
    pub log_level: Level,
    /// Who they are.
    pub identity: Identity,
    /// Everything that is set between fork and exec.
    pub process: ProcessSettings,
    /// `python-home`, `WSGIPythonHome`, or the default: a directory or an executable.
    pub python: String,
    /// Arguments of the interpreter, before `-c`: `-O`, `-W`, `-B` and the like.
    pub python_arguments: Vec<String>,
    /// How long a worker that is told to end may take, in milliseconds; 0 is for ever.
    pub shutdown_timeout: u64,
    /// How long the requests of a worker that is to be replaced may take before that, in milliseconds; 0 is not at all.
    pub graceful_timeout: u64,
    /// Whether there must never be two workers at once, not even of two generations.
    pub exclusive: bool,
    /// How long a worker may take from its start until it is ready, in milliseconds; 0 is for ever.
    pub startup_timeout: u64,
    /// What it shares with the same group of other generations.
    pub shared: Option<SharedPart>,
    /// What the worker gets.
    pub worker: Worker,
}

/// What generations hand on to each other: never do two of them have a process in the same place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedPart {
    /// The memory file of a board with this group only: a descriptor that the supervisor inherits.
    pub board: i32,
    /// How that is divided.
    pub shape: Shape,
    /// Of each place, the file whose lock belongs to the process there: descriptors that the supervisor inherits.
    pub locks: Vec<i32>,
    /// What the board's owner is called while it is this generation.
    pub owner: u64,
}

/// Attributes of a process that the supervisor's child sets before it becomes the interpreter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessSettings {
    /// Permission bits that new files do not get.
    pub umask: Option<u32>,
    /// The new root of the file system.
    pub chroot: Option<String>,
    /// The working directory, `home=`; without it the user's home directory if that can be entered, else `/`.
    pub home: Option<String>,
    /// Variables that are set: `LANG`, `LC_ALL`, `PYTHONHASHSEED` and the like.
    pub environment: Vec<(String, String)>,
    /// A nice value to add.
    pub cpu_priority: i32,
    /// Seconds of processor time; 0 is no limit.
    pub cpu_time_limit: u64,
    /// Bytes of data; 0 is no limit.
    pub memory_limit: u64,
    /// Bytes of address space; 0 is no limit.
    pub virtual_memory_limit: u64,
    /// Whether programs that it runs may gain privileges.
    pub no_new_privileges: bool,
}

/// When a worker wants to be replaced, or interrupts a request. Times are in milliseconds; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// After how many requests.
    pub maximum_requests: u64,
    /// Up to how many requests fewer: each process chooses for itself, so that not all of a group end at once.
    pub maximum_requests_jitter: u64,
    /// After how long since its start.
    pub restart_interval: u64,
    /// After how long without activity.
    pub inactivity_timeout: u64,
    /// After how long without the interpreter's lock being free.
    pub deadlock_timeout: u64,
    /// How long a request may take.
    pub request_timeout: u64,
    /// How long an interrupted request may take to notice; 0 replaces the process instead of interrupting.
    pub interrupt_timeout: u64,
    /// How long requests may take when the process is to be replaced; 0 is not at all.
    pub graceful_timeout: u64,
    /// The same after `SIGUSR1`; 0 is `graceful_timeout`.
    pub eviction_timeout: u64,
}

/// What a worker needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// [`BUILD_ID`](crate::BUILD_ID) of the httpd module.
    pub build_id: String,
    /// The name of its process group.
    pub group: String,
    /// Which process of its place it is; set by the supervisor.
    pub incarnation: Incarnation,
    /// Opens connections to it.
    pub key: [u8; KEY_LENGTH],
    /// The users whose processes may connect; without them, whoever has a descriptor of the socket.
    pub peers: Option<Vec<u32>>,
    /// How many requests it runs at once; 0 for a process that serves none.
    pub threads: u32,
    /// How many processes the group has: `mod_wsgi.maximum_processes`.
    pub processes: u32,
    /// `wsgi.multiprocess`: whether the option `processes` was written at all.
    pub multiprocess: bool,
    /// Bytes of the stack of each thread.
    pub stack_size: u64,
    /// Whether it leaves core dumps, and other processes of its user may debug it.
    pub dumpable: bool,
    /// The title of the process; empty to leave it.
    pub title: String,
    /// The entries of `python-path`, with `:` between them.
    pub python_path: String,
    /// `home=`, which becomes the first entry of `sys.path`.
    pub home: Option<String>,
    /// `PYTHON_EGG_CACHE`; empty to leave it.
    pub python_eggs: String,
    /// `locale=`, for `setlocale`; empty to leave it.
    pub locale: String,
    /// `switch-interval=` in seconds.
    pub switch_interval: Option<f64>,
    /// What `<WSGIInterpreterOptions>` and the directives that it may hold say.
    pub interpreters: InterpreterOptions,
    /// Scripts that are loaded ahead of requests: application group and path.
    pub preloads: Vec<(String, String)>,
    /// Whether interpreters are ended with the process.
    pub destroy_interpreters: bool,
    /// Whether capital letters count in the paths of scripts.
    pub case_sensitive: bool,
    /// How many interpreters it may have.
    pub interpreter_limit: usize,
    /// How long `threading` shutdown and `atexit` may take, in milliseconds.
    pub shutdown_milliseconds: u64,
    /// When it wants to be replaced.
    pub limits: Limits,
    /// How long it waits for httpd to take more of an answer, or to send what it promised, in milliseconds; 0 is for ever.
    pub socket_timeout: u64,
    /// How long a block of an answer may wait for the next one, in milliseconds; 0 is not at all.
    pub flush_delay: u64,
    /// The kernel's buffer for what it sends to httpd, in bytes; 0 is the kernel's choice.
    pub send_buffer: usize,
    /// The longest header line of an answer, in bytes.
    pub header_limit: usize,
    /// httpd's version.
    pub server_version: [u32; 3],
    /// httpd's banner.
    pub server_description: String,
    /// The name of httpd's MPM.
    pub mpm_name: String,
    /// When httpd was built.
    pub server_built: String,
}

/// How long requests may take before a worker's end begins; `None` is as long as they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub Option<Duration>);

impl Patience {
    /// As it travels: milliseconds, the largest number for no limit.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let number = self.0.map_or(u64::MAX, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        number.to_le_bytes()
    }

    /// Takes it from the front of a message; answers the rest, too.
    #[must_use]
    pub fn take(message: &[u8]) -> Option<(Self, &[u8])> {
        let (number, rest) = message.split_first_chunk::<8>()?;
        let number = u64::from_le_bytes(*number);
        Some((Self((number != u64::MAX).then(|| Duration::from_millis(number))), rest))
    }
}

/// What httpd's parent says to a supervisor through the pipe whose end tells that nobody needs workers any more. Any other byte
/// is [`order::STOP`].
pub mod order {
    /// The configuration is not the present one any more: workers end when no request needs them.
    pub const OLD: u8 = b'O';
    /// There are too many old generations: requests that run may be finished within `graceful-timeout`, others are refused.
    pub const EXPIRE: u8 = b'E';
    /// The workers are to end.
    pub const STOP: u8 = b'S';
}

/// The control socket between the supervisor and a worker: one message is one datagram (`SOCK_SEQPACKET`), whose first
/// byte says what it is.
///
/// 1. The worker makes itself unreadable for other processes (`PR_SET_DUMPABLE`) and says [`control::HELLO`], followed by its
///    build id.
/// 2. The supervisor answers [`control::SETTINGS`], followed by a [`Worker`] as JSON, with the descriptors of
///    the listener and, in an exclusive group, of the lock that it holds as long as it lives. Only if they
///    say so does the worker become readable again.
/// 3. The worker says [`control::READY`] when it accepts requests, or [`control::FAILED`], followed by the reason, and ends.
/// 4. The worker may say [`control::TIRED`], followed by the reason: it wants to be replaced, and goes on until it is told to end.
/// 5. The worker may say [`control::LEAVING`], followed by a [`Patience`] and the reason: it accepts nothing more, finishes its
///    requests within that time, and ends.
/// 6. The supervisor says [`control::STOP`], followed by a [`Patience`], or closes the socket: the worker accepts nothing more,
///    finishes its requests within that time, and ends.
///
/// When the time for requests is over, the end of Python begins, for which there is `shutdown-timeout`.
///
/// At any time the worker may send [`control::LOG`], followed by a [`Level`](crate::event::Level) as one byte and a line.
pub mod control {
    /// The worker is there.
    pub const HELLO: u8 = 1;
    /// What the worker needs to know.
    pub const SETTINGS: u8 = 2;
    /// The worker accepts requests.
    pub const READY: u8 = 3;
    /// The worker cannot work.
    pub const FAILED: u8 = 4;
    /// The worker is to end.
    pub const STOP: u8 = 5;
    /// A line for the log.
    pub const LOG: u8 = 6;
    /// The worker finishes its requests and ends.
    pub const LEAVING: u8 = 7;
    /// The worker wants to be replaced.
    pub const TIRED: u8 = 8;
    /// The descriptor of the control socket in the worker, and of the runtime directory; every other one but 0 to 2 is closed.
    pub const SOCKET: i32 = 3;
    /// The descriptor of the runtime directory in the worker. In another root it is a directory inside of that, or a file in memory
    /// that is the extension.
    pub const RUNTIME: i32 = 4;
    /// The longest message.
    pub const LONGEST: usize = 192 << 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_travels() {
        for time in [None, Some(0), Some(1), Some(86_400_000)] {
            let patience = Patience(time.map(Duration::from_millis));
            let message = [&patience.to_bytes()[..], b"why"].concat();
            assert_eq!(Patience::take(&message), Some((patience, &b"why"[..])));
        }
        assert_eq!(Patience::take(&[0; 7]), None);
    }
}
