// SPDX-License-Identifier: Apache-2.0
//! The client: its end of the connection, looked at without reading or writing, and what it must be told in any case.

use super::request::Request;
use crate::ffi;
use std::os::fd::BorrowedFd;

impl Request<'_> {
    /// The client's socket. A stream of HTTP/2 has none of its own; mod_http2 marks it when it is reset.
    fn client(&self) -> Option<BorrowedFd<'_>> {
        if self.is_stream() {
            return None;
        }
        let mut number = -1;
        // SAFETY: [REQ] the connection is alive.
        let socket = unsafe { ffi::ap_get_conn_socket(self.connection_record()) };
        // SAFETY: [REQ] null is refused before; the number goes to a local.
        if socket.is_null() || unsafe { ffi::apr_os_sock_get(&raw mut number, socket) } != 0 || number < 0 {
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
