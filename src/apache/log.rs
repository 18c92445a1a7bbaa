// SPDX-License-Identifier: Apache-2.0
//! httpd's error log: the request's own, or the server's where there is no request.

use super::request::Request;
use super::server::Server;
use crate::ffi;
use crate::module_index;
use model::event::{Event, Level};
use std::ffi::{CString, c_int};

const SOURCE: *const std::ffi::c_char = c"mod_wsgi_rs".as_ptr();

/// Whether the request's configuration wants lines of this level.
pub fn wants(request: &Request<'_>, level: Level) -> bool {
    // SAFETY: [REQ] the request is alive; the function only reads.
    let configured = unsafe { ffi::ap_get_request_module_loglevel(request.as_ptr(), module_index()) };
    configured >= level as c_int
}

/// Writes one line to the request's log.
pub fn request_line(request: &Request<'_>, level: Level, line: &[u8]) {
    if !wants(request, level) {
        return;
    }
    let length = c_int::try_from(line.len()).unwrap_or(c_int::MAX);
    // SAFETY: [REQ] the request is alive; the format takes a length and that many bytes.
    unsafe {
        ffi::ap_log_rerror_(
            SOURCE,
            0,
            module_index(),
            level as c_int,
            0,
            request.as_ptr(),
            c"%.*s".as_ptr(),
            length,
            line.as_ptr(),
        );
    }
}

/// Writes an event to the request's log.
pub fn request_event(request: &Request<'_>, event: &Event) {
    request_line(request, event.level(), event.to_string().as_bytes());
}

/// Writes one line to the log of `server`.
pub fn line(server: &Server<'_>, level: Level, line: &[u8]) {
    // SAFETY: [CONF] the server record is alive; the function only reads.
    let configured = unsafe { ffi::ap_get_server_module_loglevel(server.as_ptr(), module_index()) };
    if configured < level as c_int {
        return;
    }
    let Ok(text) = CString::new(line.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect::<Vec<_>>())
    else {
        return;
    };
    // SAFETY: [CONF] the server record is alive; the format takes one C string.
    unsafe {
        ffi::ap_log_error_(
            SOURCE,
            0,
            module_index(),
            level as c_int,
            0,
            server.as_ptr(),
            c"%s".as_ptr(),
            text.as_ptr(),
        );
    }
}

/// Writes one line to the main server's log, or nothing before there is one.
pub fn server_line(level: Level, text: &[u8]) {
    if let Some(server) = Server::main() {
        line(&server, level, text);
    }
}

/// Writes an event to the main server's log.
pub fn server_event(event: &Event) {
    server_line(event.level(), event.to_string().as_bytes());
}
