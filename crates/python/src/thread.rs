// SPDX-License-Identifier: Apache-2.0
//! Thread states: one per thread and interpreter, kept for the life of the thread, so that `threading.local` data
//! persists and attaching is cheap.
//!
//! A thread that dies only queues its states: they are cleared by a short-lived thread of ours ([`sweep`]), because
//! from Python 3.12 on, deleting another thread's state makes the deleting thread lose its own binding for
//! `PyGILState_Ensure`.

use crate::abi::Abi;
use crate::interpreter::Interpreter;
use crate::live::lock;
use crate::object::{Attached, Kept};
use crate::process;
use pyo3_ffi as ffi;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

/// The thread state of one thread in one interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState(NonNull<ffi::PyThreadState>);

// SAFETY: [THREAD] only its own thread attaches with it; others only hand it on to be deleted once that thread is out.
unsafe impl Send for ThreadState {}

/// A place of the calling thread in an interpreter.
#[derive(Debug)]
pub struct Seat {
    /// The interpreter.
    pub interpreter: Arc<Interpreter>,
    state: ThreadState,
    pub(crate) spare: Arc<Spare>,
}

/// A `wsgi.errors` that was not used and can serve the thread's next request: the text stream and the raw one under it.
/// The interpreter knows it too, to give it up when the thread is gone or the interpreter ends.
pub(crate) type Spare = Mutex<Option<(Kept, Kept)>>;

struct Seats {
    taken: RefCell<Vec<Rc<Seat>>>,
    number: Cell<Option<u32>>,
}

impl Drop for Seats {
    fn drop(&mut self) {
        if let Some(number) = self.number.get() {
            lock(&NUMBERS).insert(number);
        }
        for seat in self.taken.borrow_mut().drain(..) {
            seat.interpreter.depart(seat.state);
        }
        process::tell_departed();
    }
}

/// Slot numbers that were given back.
static NUMBERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
/// The highest slot number given out so far.
static HIGHEST: Mutex<u32> = Mutex::new(0);

thread_local! {
    static SEATS: Seats = const { Seats { taken: RefCell::new(Vec::new()), number: Cell::new(None) } };
}

/// The calling thread's slot number, from 1; numbers of dead threads are used again.
pub fn slot_number() -> u32 {
    let number = SEATS.try_with(|seats| {
        seats.number.get().unwrap_or_else(|| {
            let number = lock(&NUMBERS).pop_first().unwrap_or_else(|| {
                let mut highest = lock(&HIGHEST);
                *highest += 1;
                *highest
            });
            seats.number.set(Some(number));
            number
        })
    });
    number.unwrap_or(0)
}

/// The calling thread's seat in the interpreter of that name, if it has one. Takes no lock.
pub fn seat_named(name: &[u8]) -> Option<Rc<Seat>> {
    let find = |seats: &Seats| seats.taken.borrow().iter().find(|seat| seat.interpreter.name() == name).cloned();
    SEATS.try_with(find).ok().flatten()
}

/// Gives the calling thread, which holds no interpreter, a seat.
pub fn take_seat(interpreter: Arc<Interpreter>) -> Option<Rc<Seat>> {
    let (state, spare) = interpreter.new_thread_state()?;
    let seat = Rc::new(Seat { interpreter, state, spare });
    SEATS.try_with(|seats| seats.taken.borrow_mut().push(Rc::clone(&seat))).ok()?;
    Some(seat)
}

/// The Python-main thread's place, in the state by which Python tells it of signals.
pub(crate) fn main_seat(interpreter: Arc<Interpreter>) -> Rc<Seat> {
    let state = interpreter.main_thread();
    Rc::new(Seat { interpreter, state, spare: Arc::default() })
}

/// Lets the interpreter go when dropped.
struct Holding;

impl Drop for Holding {
    fn drop(&mut self) {
        // SAFETY: [THREAD] the thread attached in `attach_with` and holds the interpreter again after each detached part.
        let _state_stays_with_its_seat = unsafe { ffi::PyEval_SaveThread() };
    }
}

impl Seat {
    pub(crate) fn state(&self) -> ThreadState {
        self.state
    }

    /// Runs `work` holding the interpreter.
    pub fn attach<R>(&self, work: impl for<'i> FnOnce(Attached<'i>) -> R) -> R {
        self.state.attach_with(self.interpreter.abi(), work)
    }
}

impl ThreadState {
    /// # Safety
    ///
    /// `pointer` is a thread state of the calling thread.
    pub(crate) unsafe fn new(pointer: NonNull<ffi::PyThreadState>) -> Self {
        Self(pointer)
    }

    pub(crate) fn as_ptr(self) -> *mut ffi::PyThreadState {
        self.0.as_ptr()
    }

    /// Runs `work` holding the interpreter of this state, which belongs to the calling thread.
    pub(crate) fn attach_with<R>(self, abi: &'static Abi, work: impl for<'i> FnOnce(Attached<'i>) -> R) -> R {
        // SAFETY: [THREAD] the state is the calling thread's, and its interpreter has not ended: see `Gate`.
        unsafe { ffi::PyEval_RestoreThread(self.as_ptr()) };
        let holding = Holding;
        // SAFETY: [GIL] it was just taken and is let go when `holding` drops.
        let result = work(unsafe { Attached::assume(abi) });
        drop(holding);
        result
    }
}

/// Deletes thread states of other threads, which are outside of Python and stay there. Waits until it is done.
///
/// The calling thread holds no interpreter.
pub(crate) fn sweep(interpreter: &Arc<Interpreter>, departed: Vec<ThreadState>) {
    if departed.is_empty() {
        return;
    }
    let interpreter = Arc::clone(interpreter);
    let sweeper = thread::Builder::new().name("wsgi-sweep".to_owned());
    // If no thread can be had the states are leaked, which harms nothing but memory.
    if let Ok(running) = sweeper.spawn(move || delete_all(&interpreter, departed)) {
        let _a_panic_was_caught_there = running.join();
    }
}

fn delete_all(interpreter: &Interpreter, departed: Vec<ThreadState>) {
    let Some((own, _)) = interpreter.new_thread_state() else { return };
    own.attach_with(interpreter.abi(), |attached| {
        for state in departed {
            let spare = interpreter.forget_thread(state).and_then(|spare| lock(&spare).take());
            if let Some((stream, raw)) = spare {
                stream.release(attached);
                raw.release(attached);
            }
            // SAFETY: [THREAD] its thread is gone or never attaches again, and this thread holds the interpreter.
            unsafe { ffi::PyThreadState_Clear(state.as_ptr()) };
            // SAFETY: [THREAD] cleared, and current on no thread.
            unsafe { ffi::PyThreadState_Delete(state.as_ptr()) };
        }
        interpreter.forget_thread(own);
        // SAFETY: [THREAD] our own; nothing more is called with it but the saving below.
        unsafe { ffi::PyThreadState_Clear(own.as_ptr()) };
    });
    // SAFETY: [THREAD] cleared, and not current since it was saved.
    unsafe { ffi::PyThreadState_Delete(own.as_ptr()) };
}
