// SPDX-License-Identifier: Apache-2.0
//! Connections that wait for their next request, a few for each worker.

#![forbid(unsafe_code)]

use super::connection::Connection;
use model::admission::Incarnation;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many wait for each process for long.
const MOST: usize = 2;
/// How long one may wait; workers close it a little later.
const IDLE: Duration = Duration::from_secs(8);
/// How long the others may: under load they are needed again at once.
const BRIEFLY: Duration = Duration::from_secs(1);

/// A connection, and to which process.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    incarnation: Incarnation,
    since: Instant,
    /// A copy of the process has copies of its connections, which are not its own.
    forks: u32,
}

/// The idle connections to one process.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Vec<Idle>>);

impl Pool {
    /// A connection to that process, the one used last.
    pub fn take(&self, incarnation: Incarnation) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, forks) = (Instant::now(), unix::callback::forks());
        // The ones used last are at the end.
        let spare = idle.len().saturating_sub(MOST);
        let mut number = 0;
        idle.retain(|idle| {
            let limit = if number < spare { BRIEFLY } else { IDLE };
            number += 1;
            idle.incarnation == incarnation && idle.forks == forks && now.duration_since(idle.since) < limit
        });
        idle.pop().map(|idle| idle.connection)
    }

    /// Keeps a connection for later. There are never more than the process has threads.
    pub fn keep(&self, mut connection: Connection, incarnation: Incarnation) {
        if !connection.is_empty() {
            return;
        }
        connection.shrink();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { connection, incarnation, since: Instant::now(), forks: unix::callback::forks() });
    }
}
