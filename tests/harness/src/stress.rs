// SPDX-License-Identifier: Apache-2.0
//! Many requests at a time over kept connections.

use crate::client::Connection;
use crate::response::{End, Response};
use std::thread;

/// Sends `total` GET requests for `target` over `concurrency` kept connections and gives those answers that `is_right`
/// refuses. A connection that the server closes after a whole answer is opened again.
pub fn hammer(
    port: u16,
    target: &str,
    total: usize,
    concurrency: usize,
    is_right: impl Fn(&Response) -> bool + Sync,
) -> Vec<Response> {
    let share = total / concurrency;
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..concurrency).map(|_| scope.spawn(|| one_client(port, request.as_bytes(), share, &is_right))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a client ends")).collect()
    })
}

fn one_client(port: u16, request: &[u8], count: usize, is_right: &impl Fn(&Response) -> bool) -> Vec<Response> {
    let mut wrong = Vec::new();
    let mut connection = Connection::open(port);
    for _ in 0..count {
        connection.send(request);
        let answer = connection.read_response("GET");
        let closing = answer.end != End::Complete || answer.headers_named("connection").contains(&"close");
        if !is_right(&answer) {
            wrong.push(answer);
        }
        if closing {
            connection = Connection::open(port);
        }
    }
    wrong
}
