// SPDX-License-Identifier: Apache-2.0
//! Requests whose answer nobody waits for any more, and that still occupy a thread of a worker.
//!
//! The thread is not free until the worker says so; until then its place stays taken, or another request would be sent to a
//! thread that is busy, where no limit on waiting sees it.

#![forbid(unsafe_code)]

use super::admission::Admitted;
use super::connection::Connection;
use model::wire::ToServer;
use std::thread;

/// The stack of a thread that only waits.
const STACK: usize = 64 << 10;

/// Waits elsewhere until the worker is done with the request.
pub fn linger(connection: Connection, admitted: Admitted) {
    let wait = move || {
        let mut waiting = (connection, admitted);
        while !is_over(&mut waiting.0, &waiting.1) {}
    };
    // Without the thread, the place is given back too early, which the worker bears.
    drop(thread::Builder::new().name("wsgi-linger".to_owned()).stack_size(STACK).spawn(wait));
}

/// Whether the worker has said its last word, or has none to say any more.
fn is_over(connection: &mut Connection, admitted: &Admitted) -> bool {
    while let Ok(true) = connection.has_frame() {
        match connection.take() {
            Ok((ToServer::End | ToServer::Failed(_) | ToServer::NotStarted { .. }, _)) | Err(_) => return true,
            Ok(_) => {}
        }
    }
    match connection.receive() {
        Ok(true) => false,
        Ok(false) => admitted.place.ending(admitted.seat.incarnation).is_some(),
        Err(_) => true,
    }
}
