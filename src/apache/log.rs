// SPDX-License-Identifier: Apache-2.0
//! httpd's error log: the request's own, or the server's where there is no request.

use super::request::Request;
use super::server::Server;
use crate::ffi;
use crate::module_index;
use model::event::{Event, Level};
use std::borrow::Cow;
use std::ffi::{c_char, c_int};

const SOURCE: *const c_char = c"mod_wsgi_rs".as_ptr();
const FORMAT: *const c_char = c"%.*s".as_ptr();

/// Whether the request's configuration wants lines of this level.
pub fn wants(request: &Request<'_>, level: Level) -> bool {
    // SAFETY: [REQ] the request is alive; the function only reads.
    let configured = unsafe { ffi::ap_get_request_module_loglevel(request.as_ptr(), module_index()) };
    configured >= level as c_int
}

/// The least important lines that the server's configuration wants.
pub fn server_level(server: &Server<'_>) -> Level {
    // SAFETY: [CONF] the server is alive; the function only reads.
    let configured = unsafe { ffi::ap_get_server_module_loglevel(server.as_ptr(), module_index()) };
    let number = u8::try_from(configured.clamp(Level::Alert as c_int, Level::Debug as c_int)).unwrap_or(0);
    Level::numbered(number).unwrap_or(Level::Warning)
}

/// Writes one line to the request's log.
pub fn request_line(request: &Request<'_>, level: Level, line: &[u8]) {
    if !wants(request, level) {
        return;
    }
    let line = printable(line);
    // SAFETY: [REQ] the request is alive; the format takes a length and that many bytes.
    unsafe {
        ffi::ap_log_rerror_(
            SOURCE,
            0,
            module_index(),
            level as c_int,
            0,
            request.as_ptr(),
            FORMAT,
            length(&line),
            line.as_ptr(),
        );
    }
}

/// The line without NUL, at which C would stop.
fn printable(line: &[u8]) -> Cow<'_, [u8]> {
    if line.contains(&0) {
        line.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
    } else {
        line.into()
    }
}

fn length(line: &[u8]) -> c_int {
    c_int::try_from(line.len()).unwrap_or(c_int::MAX)
}

/// Writes an event to the request's log.
pub fn request_event(request: &Request<'_>, event: &Event) {
    request_line(request, event.level(), event.to_string().as_bytes());
}

/// Writes one line to the log of `server`. As everywhere in httpd, a notice is not held back by the log level.
pub fn line(server: &Server<'_>, level: Level, line: &[u8]) {
    // SAFETY: [CONF] the server record is alive; the function only reads.
    let configured = unsafe { ffi::ap_get_server_module_loglevel(server.as_ptr(), module_index()) };
    if level > Level::Notice && configured < level as c_int {
        return;
    }
    let line = printable(line);
    // SAFETY: [CONF] the server record is alive; the format takes a length and that many bytes.
    unsafe {
        ffi::ap_log_error_(
            SOURCE,
            0,
            module_index(),
            level as c_int,
            0,
            server.as_ptr(),
            FORMAT,
            length(&line),
            line.as_ptr(),
        );
    }
}

/// Writes one line to whoever starts httpd, on standard error, whatever log levels are configured.
pub fn startup_line(level: Level, text: &[u8]) {
    let line = printable(text);
    // SAFETY: [HTTPD] without a server the line goes to standard error; the format takes a length and that many bytes.
    unsafe {
        ffi::ap_log_error_(
            SOURCE,
            0,
            module_index(),
            level as c_int | ffi::APLOG_STARTUP as c_int,
            0,
            std::ptr::null(),
            FORMAT,
            length(&line),
            line.as_ptr(),
        );
    }
}

/// Writes one line to the main server's log, or nothing before there is one.
pub fn server_line(level: Level, text: &[u8]) {
    Server::with_main(|server| line(server, level, text));
}

/// Writes an event to the main server's log.
pub fn server_event(event: &Event) {
    server_line(event.level(), event.to_string().as_bytes());
}
