// SPDX-License-Identifier: Apache-2.0
//! The client: its end of the connection, looked at without reading or writing, and what it must be told in any case.

use super::request::Request;
use crate::ffi;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::time::Duration;

/// What is done about a client that takes its time over an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slowness {
    /// How much of the answer may wait in memory, in bytes.
    pub room: usize,
    /// How long it may take nothing; `None` is httpd's `Timeout`.
    pub patience: Option<Duration>,
}

/// A time limit on the client's socket that is not httpd's, as long as this lives.
struct Limited {
    socket: NonNull<ffi::apr_socket_t>,
    before: ffi::apr_interval_time_t,
}

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: [REQ] the socket is alive as long as the connection, which outlives this.
        unsafe { ffi::apr_socket_timeout_set(self.socket.as_ptr(), self.before) };
    }
}

impl Request<'_> {
    /// The record of the client's socket. A stream of HTTP/2 has none of its own; mod_http2 marks it when it is reset.
    fn socket(&self) -> Option<NonNull<ffi::apr_socket_t>> {
        if self.is_stream() {
            return None;
        }
        // SAFETY: [REQ] the connection is alive.
        NonNull::new(unsafe { ffi::ap_get_conn_socket(self.connection_record()) })
    }

    /// Calls `work`, during which the client may take nothing for no longer than `patience`.
    pub fn with_patience<T>(&self, patience: Option<Duration>, work: impl FnOnce() -> T) -> T {
        let _limited = patience.zip(self.socket()).map(|(patience, socket)| {
            let mut before = 0;
            // SAFETY: [REQ] the socket is alive; the time goes to a local.
            unsafe { ffi::apr_socket_timeout_get(socket.as_ptr(), &raw mut before) };
            let time = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
            // SAFETY: [REQ] as above.
            unsafe { ffi::apr_socket_timeout_set(socket.as_ptr(), time) };
            Limited { socket, before }
        });
        work()
    }

    fn client(&self) -> Option<BorrowedFd<'_>> {
        let (mut number, socket) = (-1, self.socket()?);
        // SAFETY: [REQ] the socket is alive; the number goes to a local.
        if unsafe { ffi::apr_os_sock_get(&raw mut number, socket.as_ptr()) } != 0 || number < 0 {
            return None;
        }
        // SAFETY: [REQ] open as long as the connection.
        Some(unsafe { BorrowedFd::borrow_raw(number) })
    }

    /// Whether the client has closed its connection.
    pub fn client_has_left(&self) -> bool {
        self.is_aborted() || self.client().is_some_and(unix::channel::peer_has_closed)
    }

    /// Adds a challenge to whatever answer the client gets.
    pub fn challenge(&self, value: &[u8]) {
        self.error_headers_out().add(self.pool(), b"WWW-Authenticate", value);
    }

    /// Keeps, of these headers, what httpd's own page must tell the client, too.
    pub fn keep_challenges(&self, headers: &[(&[u8], &[u8])]) {
        for (_, value) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"www-authenticate")) {
            self.challenge(value);
        }
    }

    /// Whether the client has not taken what it was sent before.
    pub fn client_is_slow(&self) -> bool {
        self.client().is_some_and(|socket| !unix::channel::takes_more(socket))
    }
}
