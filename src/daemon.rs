// SPDX-License-Identifier: Apache-2.0
//! Daemon mode: requests that run in the processes of a group.
//!
//! For each generation of the configuration the parent opens a socket for each process and a board of admission, and starts
//! one supervisor, which inherits them. Children inherit the descriptors through which the sockets are reached, and with them
//! the right to send requests. A pipe that the parent and its children hold tells the supervisor when nobody is left who could.

#![forbid(unsafe_code)]

mod admission;
mod connection;
mod estate;
mod generation;
mod linger;
mod plan;
mod pool;
mod relay;
mod root;

pub use generation::{child_ended, child_forked, start};
pub use relay::run;

use crate::apache::client::Slowness;
use crate::apache::log;
use crate::apache::process::{self, Child};
use admission::Admitted;
use connection::Connection;
use estate::{Memory, Sockets};
use model::daemon::Owner;
use model::event::Event;
use pool::Pool;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a child waits for a worker before it looks after the client.
const GLANCE: Duration = Duration::from_millis(500);

/// What a child needs to send requests to a group.
#[derive(Debug)]
pub struct Channel {
    /// Which of the boards it is on, and its number there.
    board: usize,
    number: usize,
    /// How its processes are reached.
    sockets: Arc<Sockets>,
    /// The connections to each of them.
    pools: Vec<Pool>,
    /// Who must own the scripts that it runs.
    owner: Option<Owner>,
    /// The root of its processes, if they have another.
    root: Option<String>,
    /// How many requests each process runs at once.
    threads: u32,
    /// How many requests may wait for long.
    backlog: usize,
    /// How long a request waits while there is no process, or too many wait.
    connect_timeout: Duration,
    /// How long a request waits for a free thread.
    queue_timeout: Option<Duration>,
    /// How long it waits for the next bytes; `None` is httpd's `Timeout`.
    socket_timeout: Option<Duration>,
    /// The kernel's buffer for what is sent; 0 is its own choice.
    send_buffer: usize,
    /// What is done about clients that take their time over an answer.
    pub slowness: Slowness,
}

/// What children inherit of their generation.
struct Inherited {
    channels: HashMap<String, Arc<Channel>>,
    boards: Vec<Arc<Memory>>,
}

/// This process's generation.
static INHERITED: RwLock<Option<Inherited>> = RwLock::new(None);

/// In a child that has just been forked: takes part in admission.
pub fn child_started(_child: Child) {
    let inherited = INHERITED.read().unwrap_or_else(PoisonError::into_inner);
    let Some(inherited) = inherited.as_ref() else { return };
    let boards = || inherited.boards.iter().map(|memory| memory.lasting()).collect();
    match unix::callback::count_forks().and_then(|()| boards()) {
        Ok(boards) => {
            let requests = process::maximum_processes().saturating_mul(process::threads_per_process());
            admission::join(boards, usize::try_from(requests / 2).unwrap_or(usize::MAX).max(1));
        }
        Err(error) => log::server_event(&Event::SupervisorFailed { reason: format!("the board: {error}") }),
    }
}

/// The channel to the group of that name.
pub fn channel(name: &str) -> Option<Arc<Channel>> {
    let inherited = INHERITED.read().unwrap_or_else(PoisonError::into_inner);
    inherited.as_ref()?.channels.get(name).cloned()
}

impl Channel {
    /// A connection to the worker that has a free thread, which may say nothing for as long as `silence`.
    fn connection(&self, admitted: &Admitted, silence: Duration) -> io::Result<Connection> {
        let address = self.sockets.addresses.get(admitted.number).ok_or(io::ErrorKind::NotFound)?;
        let pool = self.pools.get(admitted.number);
        if let Some(connection) = pool.and_then(|pool| pool.take(admitted.seat.incarnation)) {
            return Ok(connection);
        }
        let patience = unix::channel::Patience {
            connect: self.connect_timeout,
            send: silence,
            receive: GLANCE.min(silence),
            buffer: self.send_buffer,
        };
        unix::channel::dial(address, patience).map(Connection::new)
    }

    /// Keeps a connection for the next request.
    fn keep(&self, connection: Connection, admitted: &Admitted) {
        if let Some(pool) = self.pools.get(admitted.number) {
            pool.keep(connection, admitted.seat.incarnation);
        }
    }
}
