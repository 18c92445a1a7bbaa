// SPDX-License-Identifier: Apache-2.0
//! What crosses between the httpd module and the extension module inside one httpd child.
//!
//! The two are separate shared objects, so everything here has C layout. The httpd module loads libpython, imports the
//! extension, and takes a [`Table`] from it; for each request it hands over a [`Call`] and an [`ExchangeTable`].
//! [`BUILD_ID`](crate::BUILD_ID) changes with this file, and both sides compare it before anything else is read.

use crate::environ::Key;
use crate::event::Level;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::ptr;

pub mod options;

use options::Options;

/// Borrowed bytes with C layout. Only made from a slice, so its two parts are always a valid slice for `'a`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Text<'a> {
    start: *const u8,
    length: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Text<'a> {
    /// Borrows `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { start: bytes.as_ptr(), length: bytes.len(), borrowed: PhantomData }
    }

    /// The address (never null) and the length, for whoever turns it back into a slice.
    #[must_use]
    pub const fn parts(&self) -> (*const u8, usize) {
        (self.start, self.length)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text.as_bytes())
    }
}

/// How the bytes of an environ value become a Python object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ValueKind {
    /// `str`, decoded as latin-1 (PEP 3333's native string).
    Latin1,
    /// `str`, decoded with the file system encoding, as latin-1 where that fails.
    FileSystem,
    /// `None`.
    Absent,
}

/// One environ entry that differs from request to request.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Entry<'a> {
    /// A known key, or [`Key::TEXT`] with the name in `name`.
    pub key: Key,
    /// How `value` is to be read.
    pub kind: ValueKind,
    /// The key's latin-1 bytes when `key` is [`Key::TEXT`], else empty.
    pub name: Text<'a>,
    /// The value's bytes.
    pub value: Text<'a>,
}

/// A boolean with a fixed size.
pub type Flag = u8;

/// One request, resolved: which script to run where, and the environ.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Call<'a> {
    /// The interpreter's name; empty for the main interpreter.
    pub application_group: Text<'a>,
    /// Path of the script file.
    pub script: Text<'a>,
    /// Modification time of the script in microseconds since the epoch, as httpd saw it.
    pub script_mtime: i64,
    /// Name of the global to call.
    pub callable: Text<'a>,
    /// Whether a changed script is loaded again.
    pub script_reloading: Flag,
    /// Whether `wsgi.url_scheme` is `https`.
    pub https: Flag,
    /// Whether the request is a HEAD request as the client sent it, whatever REQUEST_METHOD says.
    pub head_request: Flag,
    /// When httpd received the request, microseconds since the epoch.
    pub request_start: i64,
    /// The environ, except what the WSGI side adds itself; later entries win over earlier ones.
    pub environ: *const Entry<'a>,
    /// Number of entries at `environ`.
    pub environ_length: usize,
    /// The file named by the URL, argument of `reload_required()`.
    pub resource: Text<'a>,
    /// httpd's record of the request, if the application is to see it, else null.
    pub request_record: *mut c_void,
}

/// A header pair with C layout.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Pair<'a> {
    /// Header name.
    pub name: Text<'a>,
    /// Header value.
    pub value: Text<'a>,
}

/// The methods of [`Exchange`](crate::exchange::Exchange) as C functions; each takes `context` first.
///
/// Reading answers the count, or a negative [`ReadError`](crate::exchange::ReadError); sending answers 0 or a negative
/// [`SendError`](crate::exchange::SendError).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ExchangeTable {
    /// `read_body(context, into, capacity)`
    pub read_body: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> isize,
    /// `send_head(context, status, reason, headers, count)`
    pub send_head: unsafe extern "C" fn(*mut c_void, u16, Text<'_>, *const Pair<'_>, usize) -> c_int,
    /// `send_data(context, data)`
    pub send_data: unsafe extern "C" fn(*mut c_void, Text<'_>) -> c_int,
    /// `send_file(context, descriptor, offset, length)`
    pub send_file: unsafe extern "C" fn(*mut c_void, RawFd, u64, u64) -> c_int,
    /// `flush(context)`
    pub flush: unsafe extern "C" fn(*mut c_void) -> c_int,
    /// `log(context, level, line)`
    pub log: unsafe extern "C" fn(*mut c_void, Level, Text<'_>),
    /// `is_aborted(context)`
    pub is_aborted: unsafe extern "C" fn(*mut c_void) -> Flag,
}

/// An [`Outcome`](crate::exchange::Outcome) with C layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ending {
    /// Which outcome.
    pub kind: EndingKind,
    /// The status of a refusal, else 0.
    pub status: u16,
}

/// The kinds of [`Ending`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EndingKind {
    /// See [`Outcome::Complete`](crate::exchange::Outcome::Complete).
    Complete,
    /// See [`Outcome::Refused`](crate::exchange::Outcome::Refused).
    Refused,
    /// See [`Outcome::Truncated`](crate::exchange::Outcome::Truncated).
    Truncated,
    /// See [`Outcome::ClientGone`](crate::exchange::Outcome::ClientGone).
    ClientGone,
}

/// What the process tells its interpreters about itself, for its whole life.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Setup<'a> {
    /// Name of the process group; empty in embedded mode.
    pub process_group: Text<'a>,
    /// Value of `PYTHON_EGG_CACHE` for applications; empty to leave it as it is.
    pub python_eggs: Text<'a>,
    /// Whether interpreters are ended and functions registered with `atexit` called when the process ends.
    pub destroy_interpreters: Flag,
    /// Whether capital letters count in the paths of scripts.
    pub case_sensitive: Flag,
    /// `wsgi.multithread`
    pub multithread: Flag,
    /// `wsgi.multiprocess`
    pub multiprocess: Flag,
    /// `wsgi.run_once`
    pub run_once: Flag,
    /// Whether httpd runs as a single process for debugging: standard input and output stay as they are.
    pub single_process: Flag,
    /// Processes there may be at most: `mod_wsgi.maximum_processes`.
    pub maximum_processes: u32,
    /// Threads in each: `mod_wsgi.threads_per_process`.
    pub threads_per_process: u32,
    /// httpd's version: `apache.version`.
    pub server_version: [u32; 3],
    /// httpd's banner: `apache.description`.
    pub server_description: Text<'a>,
    /// The name of the MPM: `apache.mpm_name`.
    pub mpm_name: Text<'a>,
    /// When httpd was built: `apache.build_date`.
    pub server_built: Text<'a>,
    /// How many interpreters this process may have, the main one included.
    pub interpreter_limit: usize,
    /// How long ending may take: `threading` shutdown and `atexit` of all interpreters together, in milliseconds.
    pub shutdown_milliseconds: u64,
}

/// What the extension calls in its host outside of requests.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct HostTable {
    /// Writes a line to the server's error log: `log(level, line)`.
    pub log: unsafe extern "C" fn(Level, Text<'_>),
    /// Called once by [`Table::main`], on its thread, when requests can be handled.
    pub ready: unsafe extern "C" fn(),
    /// What the configuration says about an interpreter of this process: `options(application_group)`. Called before it is
    /// made.
    pub options: unsafe extern "C" fn(Text<'_>) -> Options,
    /// A layer of an interpreter's search path: `search_path(application_group, layer)`. Directories separated by `:`; each
    /// layer, from 0 on, is put before the earlier ones; empty when there are no more.
    pub search_path: unsafe extern "C" fn(Text<'_>, usize) -> Text<'static>,
}

/// How the interpreter's own thread left [`Table::main`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MainEnd {
    /// No thread is inside Python any more: the caller may finalise it.
    Finalise,
    /// Some thread still is: Python must be left alone until the process exits.
    LeaveAlone,
}

/// The extension's entry points, found as the capsule [`CAPSULE`].
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Table {
    /// [`BUILD_ID`](crate::BUILD_ID) of the extension, ended with NUL. Read first; nothing else is read if it differs.
    pub build_id: [u8; 64],
    /// Runs on the thread that initialised Python, attached to the main interpreter, until [`Table::stop`] is called;
    /// creates and ends every interpreter of the process. Returns attached to the main interpreter.
    pub main: unsafe extern "C" fn(*const Setup<'_>, *const HostTable) -> MainEnd,
    /// Handles one request on the calling thread, which holds no interpreter. Called after `ready` only.
    pub handle: unsafe extern "C" fn(*const Call<'_>, *const ExchangeTable, *mut c_void) -> Ending,
    /// Loads a script ahead of requests: `preload(application_group, script, mtime)`. Same rules as `handle`.
    pub preload: unsafe extern "C" fn(Text<'_>, Text<'_>, i64),
    /// Lets no further request in and tells [`Table::main`] to end. Does not wait, takes no lock, allocates nothing: the
    /// prefork MPM calls it from a signal handler. Answers 1 if the calling thread is itself inside a request.
    pub stop: unsafe extern "C" fn() -> Flag,
}

/// Name of the capsule that carries the [`Table`], an attribute of the extension module.
pub const CAPSULE: &str = "_mod_wsgi_rs.embedded";

/// [`BUILD_ID`](crate::BUILD_ID) in the form that [`Table::build_id`] has.
#[must_use]
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, where slices cannot be copied in Rust 1.85")]
pub const fn build_id() -> [u8; 64] {
    let text = crate::BUILD_ID.as_bytes();
    let mut padded = [0; 64];
    let mut at = 0;
    while at < text.len() {
        padded[at] = text[at];
        at += 1;
    }
    padded
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            application_group: Text::default(),
            script: Text::default(),
            script_mtime: 0,
            callable: Text::default(),
            script_reloading: 1,
            https: 0,
            head_request: 0,
            request_start: 0,
            environ: ptr::null(),
            environ_length: 0,
            resource: Text::default(),
            request_record: ptr::null_mut(),
        }
    }
}
