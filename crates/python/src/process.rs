// SPDX-License-Identifier: Apache-2.0
//! The interpreters of one process, and the Python-main thread that creates and ends all of them.
//!
//! `Process::run` occupies that thread. Request threads come and go through the gate: an atomic counter that refuses
//! once the process is ending, so that "nobody is inside" is a fact and not a guess. Nothing here is locked on the way
//! of a request that finds its interpreter in its thread's own list.

use crate::host::{Facts, Host, Options};
use crate::interpreter::{self, Interpreter};
use crate::live::lock;
use crate::module::ModuleDefinition;
use crate::object::{Answer, Attached};
use crate::shutdown;
use crate::thread::{self, Seat};
use model::event::{Event, Level};
use pyo3_ffi as ffi;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::Thread;

/// Set in [`INSIDE`] when nobody is let in any more.
const CLOSED: usize = 1 << (usize::BITS - 1);
/// How many threads are inside, and whether more may enter.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Whether a thread died that left states behind.
static DEPARTED: AtomicBool = AtomicBool::new(false);
static MAIN: OnceLock<Thread> = OnceLock::new();
static PROCESS: OnceLock<Process> = OnceLock::new();

/// How many of those inside are not waited for.
static GIVEN_UP: AtomicUsize = AtomicUsize::new(0);
/// Why the process ends, as subscribers are told.
static REASON: OnceLock<&str> = OnceLock::new();

thread_local! {
    /// How often the calling thread is inside.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Keeps the interpreters from ending while it lives.
#[derive(Debug)]
pub struct Inside(());

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
        if INSIDE.fetch_sub(1, Ordering::AcqRel) & CLOSED != 0 {
            wake();
        }
    }
}

/// Wakes the Python-main thread. Takes no lock and allocates nothing.
fn wake() {
    if let Some(main) = MAIN.get() {
        main.unpark();
    }
}

/// Lets nobody in any more and wakes the Python-main thread; may be called in a signal handler. Answers whether the
/// calling thread is itself inside.
pub fn stop() -> bool {
    let inside = INSIDE.fetch_or(CLOSED, Ordering::AcqRel) & !CLOSED;
    wake();
    // Only asked if somebody is inside: then, in a process with one request thread, that thread has used its
    // thread-local memory before, so reading it here allocates nothing.
    inside > 0 && DEPTH.get() > 0
}

/// As [`stop`], for a reason that subscribers are told; the first one counts.
pub fn stop_because(reason: &'static str) {
    REASON.get_or_init(|| reason);
    stop();
}

pub(crate) fn reason() -> &'static str {
    REASON.get().copied().unwrap_or("shutdown_signal")
}

/// Nobody waits for somebody who is inside.
pub(crate) fn give_up() {
    GIVEN_UP.fetch_add(1, Ordering::AcqRel);
    wake();
}

/// Somebody who was given up leaves.
pub(crate) fn resume() {
    GIVEN_UP.fetch_sub(1, Ordering::AcqRel);
}

/// How many of those inside are waited for.
pub(crate) fn awaited() -> usize {
    inside().saturating_sub(GIVEN_UP.load(Ordering::Acquire))
}

pub(crate) fn inside() -> usize {
    INSIDE.load(Ordering::Acquire) & !CLOSED
}

fn is_stopping() -> bool {
    INSIDE.load(Ordering::Acquire) & CLOSED != 0
}

/// The process, once [`Process::run`] has set it up.
#[must_use]
pub fn process() -> Option<&'static Process> {
    PROCESS.get()
}

/// Logs an event to the server.
pub fn report(event: &Event) {
    if let Some(process) = PROCESS.get() {
        process.host.report(event);
    }
}

/// Writes a line to the server's log.
pub fn log(level: Level, line: &[u8]) {
    if let Some(process) = PROCESS.get() {
        process.host.log(level, line);
    }
}

/// Tells the Python-main thread that a thread died.
pub(crate) fn tell_departed() {
    DEPARTED.store(true, Ordering::Release);
    wake();
}

/// Whether a header that a script must not set is left out for the first time in this process.
pub(crate) fn is_first_ignored_header(script: &str) -> bool {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    lock(&TOLD).insert(script.to_owned())
}

/// Why there is no interpreter for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// There are as many as there may be.
    Limit(usize),
    /// CPython could not create it.
    Failed(String),
    /// The process is ending.
    Stopping,
}

/// A request for an interpreter, to the Python-main thread.
struct Wanted {
    name: Vec<u8>,
    reply: SyncSender<Result<Arc<Interpreter>, Unavailable>>,
}

/// How the Python-main thread left Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nobody is inside any more: Python can be finalised.
    Finalise,
    /// Python must be left as it is.
    LeaveAlone,
}

/// The interpreters of this process.
pub struct Process {
    facts: Facts,
    host: &'static dyn Host,
    definition: ModuleDefinition,
    main: Arc<Interpreter>,
    interpreters: RwLock<Vec<Arc<Interpreter>>>,
    wanted: Mutex<Vec<Wanted>>,
}

impl Process {
    /// Runs the Python-main thread: sets the main interpreter up, calls `ready`, creates interpreters as they are asked
    /// for, and ends all of them after [`stop`]. The calling thread initialised Python and holds the main interpreter.
    pub fn run<'i>(
        attached: Attached<'i>,
        definition: ModuleDefinition,
        facts: Facts,
        host: &'static dyn Host,
        ready: impl FnOnce() + Send,
    ) -> Answer<'i, End> {
        MAIN.get_or_init(std::thread::current);
        let options = Options { own_gil: false, ..attached.detached(|| host.options(b"")) };
        let main = Interpreter::furnish(attached, b"", definition, &facts, &options, host)?;
        let interpreters = RwLock::new(vec![Arc::clone(&main)]);
        let process =
            PROCESS.get_or_init(|| Self { facts, host, definition, main, interpreters, wanted: Mutex::default() });
        Ok(attached.detached(|| {
            ready();
            process.serve();
            shutdown::end(process)
        }))
    }

    /// What does not change.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn host(&self) -> &'static dyn Host {
        self.host
    }

    pub(crate) fn main(&self) -> &Arc<Interpreter> {
        &self.main
    }

    pub(crate) fn interpreters(&self) -> Vec<Arc<Interpreter>> {
        self.interpreters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of the interpreters whose locks others may have, too.
    pub fn locks(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<_> = self.interpreters().iter().map(|one| one.lock_name().to_vec()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Lets the calling thread in, unless the process is ending.
    #[must_use]
    pub fn enter(&self) -> Option<Inside> {
        if INSIDE.fetch_add(1, Ordering::AcqRel) & CLOSED == 0 {
            DEPTH.set(DEPTH.get() + 1);
            return Some(Inside(()));
        }
        if INSIDE.fetch_sub(1, Ordering::AcqRel) & !CLOSED == 1 {
            wake();
        }
        None
    }

    /// The calling thread's place in the interpreter of that name. The thread is inside and holds no interpreter.
    pub fn seat(&self, name: &[u8]) -> Result<Rc<Seat>, Unavailable> {
        if let Some(seat) = thread::seat_named(name) {
            return Ok(seat);
        }
        if MAIN.get().is_some_and(|main| main.id() == std::thread::current().id()) {
            return self.create(name).map(thread::main_seat);
        }
        let interpreter = match self.find(name) {
            Some(interpreter) => interpreter,
            None => self.ask_for(name)?,
        };
        thread::take_seat(interpreter).ok_or_else(|| Unavailable::Failed("no thread state could be made".to_owned()))
    }

    fn find(&self, name: &[u8]) -> Option<Arc<Interpreter>> {
        let interpreters = self.interpreters.read().unwrap_or_else(PoisonError::into_inner);
        interpreters.iter().find(|interpreter| interpreter.name() == name).cloned()
    }

    fn ask_for(&self, name: &[u8]) -> Result<Arc<Interpreter>, Unavailable> {
        let (reply, answer) = sync_channel(1);
        lock(&self.wanted).push(Wanted { name: name.to_vec(), reply });
        wake();
        answer.recv().unwrap_or(Err(Unavailable::Stopping))
    }

    fn serve(&self) {
        while !is_stopping() {
            for Wanted { name, reply } in std::mem::take(&mut *lock(&self.wanted)) {
                let _nobody_waits_any_more = reply.send(self.create(&name));
            }
            if DEPARTED.swap(false, Ordering::AcqRel) {
                self.interpreters().iter().for_each(Interpreter::sweep);
            }
            if !is_stopping() && lock(&self.wanted).is_empty() {
                std::thread::park();
            }
        }
    }

    /// Tells those who wait for an interpreter that there will be none.
    pub(crate) fn turn_away(&self) {
        for Wanted { reply, .. } in std::mem::take(&mut *lock(&self.wanted)) {
            let _nobody_waits_any_more = reply.send(Err(Unavailable::Stopping));
        }
    }

    fn create(&self, name: &[u8]) -> Result<Arc<Interpreter>, Unavailable> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        let limit = self.facts.interpreter_limit.max(1);
        if self.interpreters().len() >= limit {
            return Err(Unavailable::Limit(limit));
        }
        let main = self.main.main_thread();
        let mut options = self.host.options(name);
        options.own_gil &= self.main.abi().new_interpreter.is_some();
        let created = main.attach_with(self.main.abi(), |attached| {
            let made = match interpreter::make(attached, &options) {
                Ok(made) => made.as_ptr(),
                Err(reason) => {
                    // SAFETY: [THREAD] nothing or this is current after a failure; the state is this thread's.
                    unsafe { ffi::PyThreadState_Swap(main.as_ptr()) };
                    return Err(reason);
                }
            };
            // The new interpreter is held now, under the same GIL or its own.
            let furnished = Interpreter::furnish(attached, name, self.definition, &self.facts, &options, self.host);
            let furnished = furnished.map_err(|raised| raised.summary());
            if furnished.is_err() {
                // SAFETY: [THREAD] it is current and the only state of its interpreter, which nobody else knows.
                unsafe { ffi::Py_EndInterpreter(made) };
            }
            // SAFETY: [THREAD] the state is this thread's. A shared GIL is held or free now; one of its own is given up.
            unsafe { ffi::PyThreadState_Swap(main.as_ptr()) };
            furnished
        });
        let interpreter = created.map_err(Unavailable::Failed)?;
        self.interpreters.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&interpreter));
        Ok(interpreter)
    }
}
