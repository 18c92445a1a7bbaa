// SPDX-License-Identifier: Apache-2.0
//! Requests as seen from outside of their threads: which interpreter one is in, what it is doing there, how it is interrupted, and
//! that nobody waits for it any more.
//!
//! A [`Ticket`] goes with a request. Its thread notes there when it takes and leaves an interpreter, holding that interpreter; whoever
//! interrupts holds the same one, so no exception meets the thread's next request. [`interrupt`] may wait for the interpreter's lock
//! without end, hence it is called on threads that nothing else depends on.

use crate::interpreter::Interpreter;
use crate::live::lock;
use crate::object::{Answer, Attached, Object};
use crate::process::{self, Process};
use crate::thread::{self, Seat, ThreadState};
use pyo3_ffi as ffi;
use std::ffi::c_long;
use std::ptr;
use std::sync::{Arc, Mutex};

/// Where a request is.
#[derive(Debug, Clone)]
struct Place {
    interpreter: Arc<Interpreter>,
    state: ThreadState,
    thread: c_long,
}

#[derive(Debug, Default)]
struct Whereabouts {
    place: Option<Place>,
    /// Whether an exception was raised in its thread.
    forced: bool,
    /// Whether one is to be raised as soon as it holds an interpreter.
    due: bool,
    inside: bool,
    given_up: bool,
}

/// A request that can be interrupted.
#[derive(Debug, Default)]
pub struct Ticket(Mutex<Whereabouts>);

/// A request that is inside, until dropped.
pub(crate) struct Present<'t>(&'t Ticket);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut whereabouts = lock(&self.0.0);
        whereabouts.inside = false;
        if whereabouts.given_up {
            process::resume();
        }
    }
}

/// A request whose thread holds an interpreter, until dropped while it still does.
pub(crate) struct Seated<'t>(&'t Ticket, c_long);

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        let mut whereabouts = lock(&self.0.0);
        whereabouts.place = None;
        let forced = std::mem::take(&mut whereabouts.forced);
        drop(whereabouts);
        if forced {
            clear(self.1);
        }
    }
}

/// Forgets an exception that was raised in a thread of the interpreter that is held, and that it has not noticed.
fn clear(thread: c_long) {
    // SAFETY: [GIL] the caller holds the interpreter; null takes a pending exception back.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread, ptr::null_mut()) };
}

/// The calling thread as Python calls it.
fn own_number() -> c_long {
    // SAFETY: [STATIC] may be called on any thread at any time.
    let number = unsafe { ffi::PyThread_get_thread_ident() };
    c_long::from_ne_bytes(number.to_ne_bytes())
}

impl Ticket {
    /// The request has entered the process.
    pub(crate) fn present(&self) -> Present<'_> {
        lock(&self.0).inside = true;
        Present(self)
    }

    /// Its thread holds the interpreter of `seat`.
    pub(crate) fn sit(&self, attached: Attached<'_>, seat: &Seat) -> Seated<'_> {
        let thread = own_number();
        let place = Place { interpreter: Arc::clone(&seat.interpreter), state: seat.state(), thread };
        let mut whereabouts = lock(&self.0);
        if std::mem::take(&mut whereabouts.due) {
            raise(attached, &place, &mut whereabouts);
        }
        whereabouts.place = Some(place);
        drop(whereabouts);
        Seated(self, thread)
    }

    fn place(&self) -> Option<Place> {
        lock(&self.0).place.clone()
    }

    /// The application group of its interpreter, once it has one.
    pub fn application_group(&self) -> Option<Vec<u8>> {
        self.place().map(|place| place.interpreter.name().to_vec())
    }

    /// The name of the lock that its thread needs, once it has an interpreter.
    pub fn lock_name(&self) -> Option<Vec<u8>> {
        self.place().map(|place| place.interpreter.lock_name().to_vec())
    }

    /// Lets it be interrupted as soon as it has an interpreter. Whether it has none yet.
    pub fn interrupt_soon(&self) -> bool {
        let mut whereabouts = lock(&self.0);
        whereabouts.due = whereabouts.place.is_none();
        whereabouts.due
    }

    /// The end of the process is not to wait for it.
    pub fn give_up(&self) {
        let mut whereabouts = lock(&self.0);
        if whereabouts.inside && !std::mem::replace(&mut whereabouts.given_up, true) {
            process::give_up();
        }
    }
}

/// The lines of a stack.
pub type Stack = Vec<Vec<u8>>;

/// What to do about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Only look.
    None,
    /// Raise `mod_wsgi.RequestTimeout` in its thread.
    Raise,
}

/// Looks what the thread of a request is doing, has that noted, and interrupts it if asked to; unless it is not in an interpreter any
/// more, or the process is ending. `note` must not wait, because the thread stands still meanwhile. The calling thread holds no
/// interpreter, and may have to wait for this one for ever.
pub fn interrupt(process: &Process, ticket: &Ticket, force: Force, note: impl FnOnce(&Stack)) {
    let work = || {
        let name = ticket.place()?.interpreter.name().to_vec();
        let _inside = process.enter()?;
        let seat = process.seat(&name).ok()?;
        seat.attach(|attached| interrupt_from(attached, &seat, ticket, force, note))
    };
    let _it_has_ended = work();
}

fn interrupt_from(
    attached: Attached<'_>,
    seat: &Seat,
    ticket: &Ticket,
    force: Force,
    note: impl FnOnce(&Stack),
) -> Option<()> {
    let stack = stack(attached, seat, ticket.place()?.state).unwrap_or_default();
    // Looking ran Python code, meanwhile the request may have ended.
    let place = ticket.place()?;
    // First, because an interrupted request may end at once, and its log with it.
    note(&stack);
    if force == Force::Raise {
        raise(attached, &place, &mut lock(&ticket.0));
    }
    Some(())
}

/// Raises the exception in the thread of a request that is in the interpreter that is held.
fn raise(attached: Attached<'_>, place: &Place, whereabouts: &mut Whereabouts) {
    whereabouts.forced = true;
    let class = place.interpreter.state().tools(attached).request_timeout.borrow(attached);
    // SAFETY: [GIL] the thread's interpreter is held since it was seen there; the class is alive.
    unsafe { ffi::PyThreadState_SetAsyncExc(place.thread, class.as_ptr()) };
}

/// What all threads of the interpreter of that name are doing. See [`interrupt`].
pub fn stacks(process: &Process, name: &[u8]) -> Vec<Stack> {
    let Some(_inside) = process.enter() else { return Vec::new() };
    let Ok(seat) = process.seat(name) else { return Vec::new() };
    seat.attach(|attached| {
        let states = seat.interpreter.thread_states(attached).into_iter().filter(|state| *state != seat.state());
        states.filter_map(|state| stack(attached, &seat, state)).collect()
    })
}

/// Takes the lock of the interpreter of that name, and lets it go.
pub fn probe(process: &Process, name: &[u8]) {
    if let Some(_inside) = process.enter() {
        if let Ok(seat) = process.seat(name) {
            seat.attach(|_| ());
        }
    }
}

/// `None` for a thread that runs no Python code.
fn stack(attached: Attached<'_>, seat: &Seat, state: ThreadState) -> Option<Stack> {
    // States of other threads may have been deleted while Python code ran.
    if !seat.interpreter.thread_states(attached).contains(&state) {
        return None;
    }
    // SAFETY: [GIL] the state is one of the interpreter that is held, so its thread stands still.
    let frame = unsafe { (attached.abi().frame)(state.as_ptr()) };
    if frame.is_null() {
        return None;
    }
    let text = || -> Answer<'_, Vec<u8>> {
        // SAFETY: [OWNED] the function returned a new reference.
        let frame = unsafe { Object::owned(attached, frame) }?;
        let text = seat.interpreter.state().tools(attached).stack.borrow(attached).call(&[*frame])?;
        Ok(text.as_bytes().unwrap_or_default().to_vec())
    };
    let text = text().unwrap_or_else(|raised| raised.summary().into_bytes());
    Some(text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
}

/// Tells the subscribers of every interpreter that a signal came. The calling thread holds no interpreter.
pub fn publish_signal(process: &Process, name: &str, number: i32) {
    for interpreter in process.interpreters() {
        let Some(_inside) = process.enter() else { return };
        let Some(seat) = thread::seat_named(interpreter.name()).or_else(|| thread::take_seat(interpreter)) else {
            continue;
        };
        seat.attach(|attached| {
            let publish = seat.interpreter.state().tools(attached).publish_signal.borrow(attached);
            let arguments = Object::text(attached, name).and_then(|name| {
                let number = Object::integer(attached, number.into())?;
                publish.call(&[*name, *number]).map(drop)
            });
            // What subscribers raise is logged there.
            drop(arguments);
        });
    }
}
