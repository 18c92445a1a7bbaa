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
    /// How the board is divided.
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
    /// The listening socket of each of its processes: descriptors that the supervisor inherits.
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
    /// How long a worker may take from its start until it is ready, in milliseconds; 0 is for ever.
    pub startup_timeout: u64,
    /// What the worker gets.
    pub worker: Worker,
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
    /// How long it waits for httpd to take more of an answer, or to send what it promised, in milliseconds; 0 is for ever.
    pub socket_timeout: u64,
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

/// The control socket between the supervisor and a worker: one message is one datagram (`SOCK_SEQPACKET`), whose first
/// byte says what it is.
///
/// 1. The worker makes itself unreadable for other processes (`PR_SET_DUMPABLE`) and says [`control::HELLO`], followed by its
///    build id.
/// 2. The supervisor answers [`control::SETTINGS`], followed by a [`Worker`] as JSON, with the listener's descriptor. Only if they
///    say so does the worker become readable again.
/// 3. The worker says [`control::READY`] when it accepts requests, or [`control::FAILED`], followed by the reason, and ends.
/// 4. The worker may say [`control::LEAVING`], followed by the reason: it accepts nothing more, finishes its requests, and ends.
/// 5. The supervisor says [`control::STOP`], or closes the socket: the worker accepts nothing more, finishes its requests, and
///    ends.
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
    /// The descriptor of the control socket in the worker, and of the runtime directory; every other one but 0 to 2 is closed.
    pub const SOCKET: i32 = 3;
    /// The descriptor of the runtime directory in the worker. In another root it is a directory inside of that, or a file in memory
    /// that is the extension.
    pub const RUNTIME: i32 = 4;
    /// The longest message.
    pub const LONGEST: usize = 192 << 10;
}
