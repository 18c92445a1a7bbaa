// SPDX-License-Identifier: Apache-2.0
//! The request threads of a worker and the connections that they wait for.
//!
//! A thread is occupied by a request, not by a connection: those that are idle, or did not say all of a request yet, are
//! waited for together with the listener, and whichever thread is free goes on with them.

use super::connection::{Connection, Next};
use super::control::Control;
use super::exchange::{HeadState, SocketExchange};
use super::ledger::{Entry, Ledger, Way};
use super::outbox::{Flusher, Outbox};
use model::embedded::{self, Text};
use model::event::{Event, Level};
use model::exchange::Outcome;
use model::launch::Worker;
use model::wire::{self, Call, ToServer, ToWorker};
use python::call::{self, Job, Reload};
use python::callback::guard;
use python::process::Process;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use unix::callback::{Private, make_room};
use unix::connection::{Once, Wait, Watched, accept, set_nonblocking, user_of_peer};

/// Bytes of a thread's stack if nothing is said: what threads of C programs have, and Python code is used to.
const STACK: usize = 8 << 20;
/// What is waited for besides connections, whose names are higher.
const LISTENER: u64 = 0;
const STOP: u64 = 1;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// How many connections may be.
const MOST_IDLE: u64 = 1024;
/// After the listener failed, for instance because the process has too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections that no thread has.
#[derive(Debug)]
struct Parked {
    connections: BTreeMap<u64, (Connection, Instant)>,
    last: u64,
}

/// Where requests come in.
#[derive(Debug)]
pub(crate) struct Reception {
    settings: &'static Worker,
    /// How many connections may be idle.
    most_idle: usize,
    listener: Private,
    watched: Watched,
    parked: Mutex<Parked>,
    stopping: AtomicBool,
    stop: Once,
    flusher: &'static Flusher,
    /// How many threads there are, without those that are lost.
    threads: AtomicUsize,
    /// How many there ever were.
    employed: AtomicUsize,
    /// Tells that all threads have ended.
    pub(crate) empty: Once,
}

/// Memory that a thread keeps from request to request.
#[derive(Debug, Default)]
struct Buffers {
    payload: Vec<u8>,
    out: Vec<u8>,
}

/// What all request threads work with.
#[derive(Clone, Copy)]
pub(crate) struct Duty {
    pub(crate) process: &'static Process,
    pub(crate) control: &'static Control,
    pub(crate) ledger: &'static Ledger,
}

/// What one request thread works with.
struct Desk {
    duty: Duty,
    outbox: Arc<Outbox>,
    /// The kernel's number of the thread.
    thread: i32,
    /// Whether the thread was given up, and another one does its work.
    lost: Cell<bool>,
}

impl Reception {
    /// Prepares everything; nothing is accepted yet.
    pub(crate) fn new(settings: &'static Worker, listener: Private) -> io::Result<Self> {
        set_nonblocking(&listener)?;
        let (watched, stop) = (Watched::new()?, Once::new()?);
        watched.add_listener(&listener, LISTENER)?;
        watched.add(&stop, STOP)?;
        Ok(Self {
            settings,
            most_idle: most_idle(settings),
            listener,
            watched,
            parked: Mutex::new(Parked { connections: BTreeMap::new(), last: STOP }),
            stopping: AtomicBool::new(false),
            stop,
            flusher: Flusher::new(settings.flush_delay),
            threads: AtomicUsize::new(0),
            employed: AtomicUsize::new(0),
            empty: Once::new()?,
        })
    }

    /// Starts the threads.
    pub(crate) fn open(&'static self, duty: Duty) -> io::Result<()> {
        (0..self.settings.threads).try_for_each(|_| self.employ(duty))
    }

    /// Starts a thread.
    fn employ(&'static self, duty: Duty) -> io::Result<()> {
        let number = self.employed.fetch_add(1, Ordering::AcqRel) + 1;
        let builder = thread::Builder::new().name(format!("wsgi-{number}")).stack_size(stack_size(self.settings));
        self.threads.fetch_add(1, Ordering::AcqRel);
        let spawned = builder.spawn(move || {
            let (outbox, thread) = (self.flusher.outbox(), unix::worker::thread_number());
            let desk = Desk { duty, outbox, thread, lost: Cell::new(false) };
            let desk = Leaving(self, desk);
            self.work(&desk.1);
        });
        if spawned.is_err() {
            self.leave();
        }
        spawned.map(drop)
    }

    /// A thread is lost: another one does its work.
    pub(crate) fn replace(&'static self, duty: Duty) {
        if !self.is_stopping() {
            if let Err(error) = self.employ(duty) {
                let line = format!("no thread could be started in place of one that is lost: {error}");
                duty.control.log(Level::Info, line.as_bytes());
            }
        }
        self.leave();
    }

    fn leave(&self) {
        if self.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.happen();
        }
    }

    /// Accepts nothing more. Threads end when their requests have.
    pub(crate) fn close(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.happen();
        let waiting = std::mem::take(&mut self.parked().connections);
        let mut buffers = Buffers::default();
        for (_, (connection, _)) in waiting {
            self.dismiss(connection, &mut buffers);
        }
        if self.threads.load(Ordering::Acquire) == 0 {
            self.empty.happen();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn parked(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, desk: &Desk) {
        let mut buffers = Buffers::default();
        while !self.is_stopping() && !desk.lost.get() {
            // A panic has been logged, and costs the connection.
            guard("request thread", || {
                if let Some(connection) = self.next(desk.duty.control) {
                    self.converse(desk, connection, &mut buffers);
                }
            });
        }
    }

    /// A connection on which something happened.
    fn next(&self, control: &Control) -> Option<Connection> {
        match self.watched.wait(self.sweep()) {
            None | Some(STOP) => None,
            Some(LISTENER) => match accept(&self.listener) {
                Ok(socket) => self.receive(socket, control),
                Err(error) => {
                    let harmless = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted);
                    if !harmless && !self.give_up_oldest() {
                        thread::sleep(PAUSE);
                    }
                    None
                }
            },
            Some(name) => self.parked().connections.remove(&name).map(|(connection, _)| connection),
        }
    }

    /// Closes the connection that was idle for longest, so that another one has its descriptor; whether there is one.
    fn give_up_oldest(&self) -> bool {
        let oldest = self.parked().connections.pop_first();
        oldest.map(|(_, (connection, _))| self.dismiss(connection, &mut Buffers::default())).is_some()
    }

    /// Takes a new connection, if it is from somebody who may send requests.
    fn receive(&self, socket: Private, control: &Control) -> Option<Connection> {
        if let Some(peers) = &self.settings.peers {
            let user = user_of_peer(&socket).ok()?;
            if !peers.contains(&user) {
                let event = Event::PeerRefused { user };
                control.log(event.level(), event.to_string().as_bytes());
                return None;
            }
        }
        Connection::new(socket, self.settings).ok()
    }

    /// Closes connections that were idle for too long; answers after how many milliseconds to look again.
    fn sweep(&self) -> Option<u16> {
        let now = Instant::now();
        loop {
            let mut parked = self.parked();
            // Names grow, so the first one waits longest.
            let first = parked.connections.first_entry()?;
            let rest = IDLE.saturating_sub(now.duration_since(first.get().1));
            if !rest.is_zero() {
                return u16::try_from(rest.as_millis() + 1).ok();
            }
            let (connection, _) = first.remove();
            drop(parked);
            self.dismiss(connection, &mut Buffers::default());
        }
    }

    /// Lets a connection wait for more.
    fn park(&self, mut connection: Connection) {
        let mut parked = self.parked();
        // Looked at under the lock: what is here when the end begins gets an answer.
        if self.is_stopping() {
            drop(parked);
            return self.dismiss(connection, &mut Buffers::default());
        }
        parked.last += 1;
        let name = parked.last;
        let oldest = if parked.connections.len() >= self.most_idle { parked.connections.pop_first() } else { None };
        // Before anybody can find it ready, it has to be here.
        let known = std::mem::replace(&mut connection.watched, true);
        let waits = self.watched.wait_once_for(&**connection.socket(), name, known);
        if waits.is_ok() {
            parked.connections.insert(name, (connection, Instant::now()));
        }
        drop(parked);
        if let Some((_, (connection, _))) = oldest {
            self.dismiss(connection, &mut Buffers::default());
        }
    }

    fn converse(&self, desk: &Desk, mut connection: Connection, buffers: &mut Buffers) {
        loop {
            match connection.next(self.settings, &mut buffers.payload) {
                Next::Close => return,
                Next::Later => return self.park(connection),
                Next::Frame(header) => match ToWorker::parse(header, &buffers.payload) {
                    Ok(ToWorker::Call(_)) if self.is_stopping() || !connection.is_meant => {
                        return refuse(&connection, true, &mut buffers.out);
                    }
                    Ok(ToWorker::Call(call)) => {
                        let way = Way { outbox: &desk.outbox, socket: connection.socket() };
                        let Some(entry) = desk.duty.ledger.begin(&call, desk.thread, way) else {
                            return refuse(&connection, true, &mut buffers.out);
                        };
                        if !self.run(desk, &entry, &call, &mut connection) {
                            return;
                        }
                        if self.is_stopping() {
                            return self.dismiss(connection, buffers);
                        }
                        if !connection.has_more() {
                            return self.park(connection);
                        }
                    }
                    // It crossed the end of the answer.
                    Ok(ToWorker::Abort) => {}
                    _ => return,
                },
            }
        }
    }

    /// Closes a connection. A request that came just before is refused, so that it is sent over another one, or to another worker;
    /// one that comes later cannot be sent.
    fn dismiss(&self, mut connection: Connection, buffers: &mut Buffers) {
        connection.stop_receiving();
        while let Next::Frame(header) = connection.next(self.settings, &mut buffers.payload) {
            match ToWorker::parse(header, &buffers.payload) {
                Ok(ToWorker::Abort) => {}
                Ok(ToWorker::Call(_)) => return refuse(&connection, self.is_stopping(), &mut buffers.out),
                _ => return,
            }
        }
    }

    /// Runs a request. Answers whether the connection can be used for another one.
    fn run(&self, desk: &Desk, noted: &Entry, call: &Call<'_>, connection: &mut Connection) -> bool {
        let environ: Vec<_> = call.environ.iter().map(entry).collect();
        let job = Job {
            application_group: call.application_group,
            script: call.script,
            script_mtime: call.script_mtime,
            callable: call.callable,
            script_reloading: call.script_reloading,
            reload: Reload::Elsewhere,
            ticket: noted.ticket(),
            https: call.https,
            head_request: call.head_request,
            request_start: call.request_start,
            handed_over: [call.queue_start, now()],
            environ: &environ,
            resource: call.resource,
            record: None,
        };
        let mut exchange = SocketExchange::new(connection, &desk.outbox, self.settings);
        let outcome = guard("handle", || call::handle(desk.duty.process, &job, &mut exchange));
        if unix::callback::is_forked() {
            // The application forked and let the copy return. The answer is its parent's.
            unix::worker::exit(0);
        }
        let sent = exchange.head == HeadState::Sent;
        let outcome = outcome.unwrap_or(if sent { Outcome::Truncated } else { Outcome::Refused(500) });
        if outcome == Outcome::NotStarted {
            desk.duty.ledger.reload(call.script);
        }
        let reusable = exchange.finish(outcome) && outcome != Outcome::NotStarted;
        desk.lost.set(desk.duty.ledger.end(noted));
        reusable
    }
}

fn entry<'c>(entry: &wire::Entry<'c>) -> embedded::Entry<'c> {
    embedded::Entry { key: entry.key, kind: entry.kind, name: Text::new(entry.name), value: Text::new(entry.value) }
}

/// Bytes of the stack of a thread that runs Python code.
pub(crate) fn stack_size(settings: &Worker) -> usize {
    usize::try_from(settings.stack_size).ok().filter(|size| *size > 0).unwrap_or(STACK)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(0)
}

/// How many connections may be idle without taking descriptors away from the application, as far as that is possible.
fn most_idle(settings: &Worker) -> usize {
    if settings.threads == 0 {
        return 0;
    }
    // Without a limit that is known there is none that could be in the way.
    let (told, raised) = make_room(MOST_IDLE + u64::from(settings.threads)).unwrap_or((0, MOST_IDLE));
    usize::try_from((raised - told).max(raised / 4).min(MOST_IDLE)).unwrap_or(usize::MAX)
}

/// Says that the application was not called, and whether this process will call it for anybody.
fn refuse(connection: &Connection, leaving: bool, out: &mut Vec<u8>) {
    out.clear();
    ToServer::NotStarted { leaving }.write(out);
    let _it_is_closed_anyway = connection.send(out, Wait::Allowed);
}

/// A thread that ends, whatever the reason.
struct Leaving(&'static Reception, Desk);

impl Drop for Leaving {
    fn drop(&mut self) {
        // A lost one has left already.
        if !self.1.lost.get() {
            self.0.leave();
        }
    }
}
