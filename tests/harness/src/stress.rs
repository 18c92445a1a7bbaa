// SPDX-License-Identifier: Apache-2.0
//! Many requests at a time over kept connections.

use crate::client::{Connection, Request};
use crate::response::{End, Response};
use std::sync::atomic::{AtomicUsize, Ordering};
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
    spread(concurrency, || one_client(port, request.as_bytes(), share, &is_right))
}

/// As [`hammer`], but each request has a connection of its own, and goes on until `is_over`. Gives the number of right
/// answers too.
pub fn hammer_until(
    port: u16,
    target: &str,
    concurrency: usize,
    is_over: impl Fn() -> bool + Sync,
    is_right: impl Fn(&Response) -> bool + Sync,
) -> (usize, Vec<Response>) {
    let right = AtomicUsize::new(0);
    let wrong = spread(concurrency, || {
        let mut wrong = Vec::new();
        while !is_over() {
            let answer = Request::new(port, "GET", target).header("Connection", "close").send();
            if is_right(&answer) {
                right.fetch_add(1, Ordering::Relaxed);
            } else {
                wrong.push(answer);
            }
        }
        wrong
    });
    (right.into_inner(), wrong)
}

fn spread(concurrency: usize, client: impl Fn() -> Vec<Response> + Sync) -> Vec<Response> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..concurrency).map(|_| scope.spawn(&client)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a client ends")).collect()
    })
}

fn one_client(port: u16, request: &[u8], count: usize, is_right: &impl Fn(&Response) -> bool) -> Vec<Response> {
    let mut wrong = Vec::new();
    let mut connection = Connection::open(port);
    let mut is_fresh = true;
    for _ in 0..count {
        let mut answer = exchange(&mut connection, request);
        if answer.status == 0 && answer.end == End::Cut && !is_fresh {
            // A server may close an idle kept connection at any time; every client then asks again.
            connection = Connection::open(port);
            answer = exchange(&mut connection, request);
        }
        is_fresh = answer.end != End::Complete || answer.headers_named("connection").contains(&"close");
        if is_fresh {
            connection = Connection::open(port);
        }
        if !is_right(&answer) {
            wrong.push(answer);
        }
    }
    wrong
}

fn exchange(connection: &mut Connection, request: &[u8]) -> Response {
    // A connection that the server has closed may refuse what is sent.
    let _ = connection.try_send(request);
    connection.read_response("GET")
}
