// SPDX-License-Identifier: Apache-2.0
//! Facts about this httpd: its version, its processes and threads, its listeners.

use super::bytes;
use super::pool::Pool;
use crate::ffi;
use std::ffi::{CStr, c_char, c_int};

/// Whether the configuration is being read for the first of the two times, whose result is thrown away.
pub fn is_rehearsal() -> bool {
    // SAFETY: [HTTPD] a query without side effects, usable in every phase.
    unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE) == ffi::AP_SQ_MS_CREATE_PRE_CONFIG }
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

/// Text that httpd keeps for the life of the process or configuration.
fn fixed(text: *const c_char) -> &'static [u8] {
    // SAFETY: [CSTR] static text of httpd, or text of the configuration, which outlives every child's use of it.
    unsafe { bytes(text) }.unwrap_or_default()
}

/// The banner that clients see, as `ServerTokens` shapes it.
pub fn banner() -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(unsafe { ffi::ap_get_server_banner() })
}

/// The banner with all its components.
pub fn description() -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(unsafe { ffi::ap_get_server_description() })
}

/// When httpd was built.
pub fn built() -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(unsafe { ffi::ap_get_server_built() })
}

/// The name of the MPM.
pub fn mpm() -> &'static [u8] {
    // SAFETY: [HTTPD] only reads.
    fixed(unsafe { ffi::ap_show_mpm() })
}

/// The address that a connection to local port `port` was accepted on, as `Listen` has it; empty for any address.
pub fn listener_host(port: u16) -> &'static [u8] {
    // SAFETY: [CONF] httpd's list of listeners, complete before children start.
    let mut listener = unsafe { ffi::ap_listeners };
    // SAFETY: [CONF] each record and its address live as long as the configuration.
    while let Some(record) = unsafe { listener.as_ref() } {
        // SAFETY: [CONF] as above.
        if let Some(address) = unsafe { record.bind_addr.as_ref() } {
            if address.port == port {
                return fixed(address.hostname);
            }
        }
        listener = record.next;
    }
    b""
}
