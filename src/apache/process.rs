// SPDX-License-Identifier: Apache-2.0
//! Facts about this httpd: its version, its processes and threads, its listeners.

use super::bytes;
use super::pool::Pool;
use super::server::Server;
use crate::boundary::callbacks;
use crate::ffi;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Proof that the code runs in httpd's parent, in its only thread. Made by the hooks.
#[derive(Debug, Clone, Copy)]
pub struct Parent(pub(super) ());

/// Proof that the code runs in a child of httpd's. Made by the hooks.
#[derive(Debug, Clone, Copy)]
pub struct Child(pub(super) ());

/// Whether the configuration is being read for the first of the two times, whose result is thrown away.
pub fn is_rehearsal() -> bool {
    // SAFETY: [HTTPD] a query without side effects, usable in every phase.
    unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE) == ffi::AP_SQ_MS_CREATE_PRE_CONFIG }
}

/// Whether httpd only tests its configuration, and ends then.
pub fn is_testing() -> bool {
    // SAFETY: [HTTPD] a query without side effects, usable in every phase.
    let mode = unsafe { ffi::ap_state_query(ffi::AP_SQ_RUN_MODE) };
    mode == ffi::AP_SQ_RM_CONFIG_TEST || mode == ffi::AP_SQ_RM_CONFIG_DUMP
}

/// Whether httpd ends, as opposed to reading its configuration again.
pub fn is_ending() -> bool {
    // SAFETY: [HTTPD] a query without side effects, usable in every phase.
    unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE) == ffi::AP_SQ_MS_EXITING }
}

/// The path of a file for running processes: `name` below `ServerRoot`, or one in httpd's own directory for such files.
pub fn run_time_path(_parent: Parent, pool: Pool<'_>, name: Option<&str>) -> Option<PathBuf> {
    let path = match name {
        // SAFETY: [POOL] the configuration pool; the name ends with NUL.
        Some(name) => unsafe { ffi::ap_server_root_relative(pool.as_ptr(), pool.text(name.as_bytes())) },
        // SAFETY: [POOL] as above.
        None => unsafe { ffi::ap_runtime_dir_relative(pool.as_ptr(), c"wsgi".as_ptr()) },
    };
    // SAFETY: [CSTR] null, or text in the pool.
    unsafe { bytes(path) }.map(|path| PathBuf::from(OsStr::from_bytes(path)))
}

/// How a watched process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With status 0.
    Clean,
    /// Otherwise.
    Other,
}

/// Whether `CoreDumpDirectory` is written.
pub fn dumps_core() -> bool {
    // SAFETY: [HTTPD] a number that is set while the configuration is read.
    unsafe { ffi::ap_coredumpdir_configured != 0 }
}

/// What is done when a watched process has ended.
pub type Ended = fn(Parent, u32, End);

/// A process that httpd watches over.
struct Watched {
    record: ffi::apr_proc_t,
    ended: Ended,
}

/// Lets httpd know of a process that this module started, whatever generation it is of: `ended` is called when it has.
pub fn watch(_parent: Parent, main: Server<'_>, pid: u32, ended: Ended) {
    let record = ffi::apr_proc_t {
        pid: i32::try_from(pid).unwrap_or(0),
        in_: std::ptr::null_mut(),
        out: std::ptr::null_mut(),
        err: std::ptr::null_mut(),
    };
    // SAFETY: [POOL] the pool of the whole process, which lives as long as it.
    let pool = unsafe { Pool::new(main.process_pool()) };
    let watched = pool.keep(Watched { record, ended });
    // SAFETY: [POOL] just kept, and alive as long as the pool.
    let record = unsafe { &raw mut (*watched).record };
    // SAFETY: [POOL] the record lives as long as the pool; the callback takes what it is documented to get.
    unsafe {
        let nothing = std::ptr::null_mut();
        ffi::apr_proc_other_child_register(record, Some(child_changed), watched.cast(), nothing, pool.as_ptr());
    }
}

/// The same, where the server is not at hand.
pub fn watch_from_anywhere(parent: Parent, pid: u32, ended: Ended) {
    Server::with_main(|main| watch(parent, *main, pid, ended));
}

callbacks! {
    /// A process that was watched has ended, or httpd's watch over it does.
    fn child_changed(reason: c_int, data: *mut c_void, status: c_int), or (); {
        if reason != ffi::APR_OC_REASON_DEATH as c_int && reason != ffi::APR_OC_REASON_LOST as c_int {
            return;
        }
        // SAFETY: [POOL] what `watch` kept, with which the callback was registered.
        let watched = unsafe { &*data.cast::<Watched>() };
        let (pid, ended) = (watched.record.pid, watched.ended);
        // SAFETY: [HTTPD] the data that it was registered with.
        unsafe { ffi::apr_proc_other_child_unregister(data) };
        let end = if reason == ffi::APR_OC_REASON_DEATH as c_int && status == 0 { End::Clean } else { End::Other };
        ended(Parent(()), u32::try_from(pid).unwrap_or(0), end);
    }
}

/// The numbers of `User` and `Group`.
pub fn user() -> (u32, u32) {
    // SAFETY: [HTTPD] written while the configuration is read, only read afterwards.
    let config = unsafe { ffi::ap_unixd_config };
    (config.user_id, config.group_id)
}

/// Whether a module makes children become other users for their requests.
pub fn changes_users() -> bool {
    const SUCH: [&CStr; 4] = [c"mpm_itk.c", c"mod_ruid2.c", c"mod_privileges.c", c"peruser.c"];
    // SAFETY: [HTTPD] the list of modules is complete when the configuration has been read.
    SUCH.iter().any(|name| !unsafe { ffi::ap_find_linked_module(name.as_ptr()) }.is_null())
}

/// Whether httpd was started with `-D name`.
pub fn is_defined(name: &CStr) -> bool {
    // SAFETY: [HTTPD] the list of defines is complete before any hook runs.
    unsafe { ffi::ap_exists_config_define(name.as_ptr()) != 0 }
}

/// Adds to the server's banner.
pub fn add_to_banner(pool: Pool<'_>, component: &CStr) {
    // SAFETY: [POOL] the configuration pool, in `post_config`, where httpd wants this called.
    unsafe { ffi::ap_add_version_component(pool.as_ptr(), component.as_ptr()) };
}

fn query(code: c_int) -> Option<u32> {
    let mut answer = 0;
    // SAFETY: [HTTPD] the MPM is loaded; the answer goes to a local.
    let status = unsafe { ffi::ap_mpm_query(code, &raw mut answer) };
    (status == ffi::APR_SUCCESS as c_int).then(|| u32::try_from(answer).unwrap_or(0))
}

/// The number of the present generation of the configuration.
pub fn generation() -> u32 {
    query(ffi::AP_MPMQ_GENERATION).unwrap_or(0)
}

/// The most children that the MPM can ever have.
pub fn process_limit() -> u32 {
    query(ffi::AP_MPMQ_HARD_LIMIT_DAEMONS).unwrap_or(1).max(1)
}

/// The most children that the MPM starts.
pub fn maximum_processes() -> u32 {
    query(ffi::AP_MPMQ_MAX_DAEMONS).unwrap_or(1).max(1)
}

/// The request threads of each child; 1 for an MPM without threads.
pub fn threads_per_process() -> u32 {
    match query(ffi::AP_MPMQ_IS_THREADED) {
        Some(0) | None => 1,
        Some(_) => query(ffi::AP_MPMQ_MAX_THREADS).unwrap_or(1).max(1),
    }
}

/// httpd's version as three numbers.
pub fn version() -> [u32; 3] {
    let mut version = ffi::ap_version_t { major: 0, minor: 0, patch: 0, add_string: std::ptr::null() };
    // SAFETY: [HTTPD] fills the record it is given.
    unsafe { ffi::ap_get_server_revision(&raw mut version) };
    [version.major, version.minor, version.patch].map(|number| u32::try_from(number).unwrap_or(0))
}

/// Text that lives as long as a child does: static, or of the configuration that the child was born with.
fn fixed(_child: Child, text: *const c_char) -> &'static [u8] {
    // SAFETY: [CSTR] a child never reads the configuration again, so its text stays until the process ends.
    unsafe { bytes(text) }.unwrap_or_default()
}

/// The banner that clients of `server` see, as `ServerTokens` shapes it.
pub fn banner<'s>(_server: &Server<'s>) -> &'s [u8] {
    // SAFETY: [HTTPD] only reads.
    let banner = unsafe { ffi::ap_get_server_banner() };
    // SAFETY: [CSTR] text that lives as long as the configuration, as the server does.
    unsafe { bytes(banner) }.unwrap_or_default()
}

/// The banner with all its components.
pub fn description(child: Child) -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(child, unsafe { ffi::ap_get_server_description() })
}

/// When httpd was built.
pub fn built(child: Child) -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(child, unsafe { ffi::ap_get_server_built() })
}

/// The same, for as long as the configuration of `server` lives.
pub fn built_of<'s>(_server: &Server<'s>) -> &'s [u8] {
    // SAFETY: [HTTPD] only reads.
    let built = unsafe { ffi::ap_get_server_built() };
    // SAFETY: [CSTR] static text.
    unsafe { bytes(built) }.unwrap_or_default()
}

/// The name of the MPM, for as long as the configuration of `server` lives.
pub fn mpm_of<'s>(_server: &Server<'s>) -> &'s [u8] {
    // SAFETY: [HTTPD] only reads.
    let name = unsafe { ffi::ap_show_mpm() };
    // SAFETY: [CSTR] static text.
    unsafe { bytes(name) }.unwrap_or_default()
}

/// The name of the MPM.
pub fn mpm(child: Child) -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(child, unsafe { ffi::ap_show_mpm() })
}

/// The address that a connection to `local` was accepted on, as `Listen` has it; empty for any address.
pub(super) fn listener_host(local: &ffi::apr_sockaddr_t) -> &[u8] {
    // SAFETY: [CONF] httpd's list of listeners, complete before children start.
    let mut listener = unsafe { ffi::ap_listeners };
    let mut of_port: &[u8] = b"";
    // SAFETY: [CONF] each record lives as long as the configuration.
    while let Some(record) = unsafe { listener.as_ref() } {
        listener = record.next;
        // SAFETY: [CONF] the record's address lives as long as it.
        let Some(address) = (unsafe { record.bind_addr.as_ref() }).filter(|address| address.port == local.port) else {
            continue;
        };
        // SAFETY: [CSTR] text of the configuration, or null for any address.
        let host = unsafe { bytes(address.hostname) }.unwrap_or_default();
        // SAFETY: [CONF] both addresses are alive; the function only compares.
        if unsafe { ffi::apr_sockaddr_equal(&raw const *address, &raw const *local) } != 0 {
            return host;
        }
        // SAFETY: [CONF] the address is alive; the function only reads.
        if unsafe { ffi::apr_sockaddr_is_wildcard(&raw const *address) } != 0 {
            of_port = host;
        }
    }
    of_port
}
