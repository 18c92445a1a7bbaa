// SPDX-License-Identifier: Apache-2.0
//! The end of all interpreters, on the Python-main thread after [`crate::process::stop`] (requests §10.4).
//!
//! Where interpreters are not to be destroyed (`WSGIDestroyInterpreter Off`) only requests are waited for.
//!
//! Order: tell subscribers; wait for requests; then in each interpreter `threading` shutdown and `atexit`, sub-interpreters first; then
//! end the sub-interpreters. Python code can hold this up without end (a non-daemon thread that never finishes), and
//! nothing can stop it from outside. So the deadline is kept by a watchdog thread, which writes the event, and by the
//! server, which waits a little longer than the deadline and then exits without this thread.

use crate::interpreter::Interpreter;
use crate::live::lock;
use crate::object::{Attached, Kept, Object};
use crate::process::{End, Process, awaited, inside, reason};
use crate::state::Tools;
use model::event::{Event, Level};
use pyo3_ffi as ffi;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Whether the end was reached, and whether it came too late.
#[derive(Debug, Default)]
struct Clock {
    ended: Mutex<bool>,
    rang: Condvar,
}

impl Clock {
    /// Reports the delay if the end is not reached in time.
    fn watch(&self, process: &Process, deadline: Instant, milliseconds: u64) {
        let ended = lock(&self.ended);
        let rest = deadline.saturating_duration_since(Instant::now());
        let waited = self.rang.wait_timeout_while(ended, rest, |ended| !*ended);
        let (mut ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !*ended {
            // Said once: the end finds this and keeps quiet.
            *ended = true;
            drop(ended);
            let waiting = inside().max(1);
            process.host().report(&Event::ShutdownOverdue { milliseconds, waiting });
        }
    }

    /// Notes the end. Answers whether it came in time.
    fn reached(&self) -> bool {
        let overdue = std::mem::replace(&mut *lock(&self.ended), true);
        self.rang.notify_all();
        !overdue
    }
}

/// Lets the signal to end interrupt the own code of a process without request threads, on the Python-main thread.
pub fn begin_service(process: &'static Process) {
    run_tool(process, process.main(), |tools| &tools.begin_service);
}

/// Ends all interpreters but the main one, which is prepared for the server to finalise it.
pub(crate) fn end(process: &'static Process) -> End {
    let milliseconds = process.facts().shutdown_milliseconds;
    let start = Instant::now();
    let deadline = start + Duration::from_millis(milliseconds);
    let clock = Arc::new(Clock::default());
    let watchdog = thread::Builder::new().name("wsgi-shutdown".to_owned()).spawn({
        let clock = Arc::clone(&clock);
        move || clock.watch(process, deadline, milliseconds)
    });
    // A service is a program of its own.
    if process.facts().threads_per_process > 0 {
        tell_subscribers(process);
    }
    // A quarter is left for atexit functions even if a request never ends.
    wait_for_requests(process, start + Duration::from_millis(milliseconds / 4 * 3));
    let end =
        if process.facts().destroy_interpreters { end_interpreters(process) } else { leave_interpreters(process) };
    // Those who were given up have been reported.
    let waiting = awaited();
    let in_time = clock.reached();
    if in_time && waiting > 0 {
        let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        process.host().report(&Event::ShutdownOverdue { milliseconds, waiting });
    }
    if let Ok(watchdog) = watchdog {
        let _it_only_logs = watchdog.join();
    }
    if in_time { end } else { End::LeaveAlone }
}

/// Runs what Python runs at its end in each interpreter, and ends those that can be ended.
fn end_interpreters(process: &'static Process) -> End {
    let main = process.main();
    let subordinate: Vec<_> = process.interpreters().into_iter().filter(|one| !one.name().is_empty()).collect();
    for interpreter in subordinate.iter().rev() {
        run_tool(process, interpreter, |tools| &tools.end);
    }
    run_tool(process, main, |tools| &tools.end);
    if inside() == 0 {
        let ended = subordinate.iter().rev().filter(|interpreter| finish(main, interpreter)).count();
        if ended == subordinate.len() {
            main.sweep_all();
            main.main_thread().attach_with(main.abi(), |attached| main.state().release(attached));
            return End::Finalise;
        }
    }
    End::LeaveAlone
}

/// Loses no output, and leaves everything else as it is.
fn leave_interpreters(process: &'static Process) -> End {
    for interpreter in process.interpreters() {
        run_tool(process, &interpreter, |tools| &tools.flush);
    }
    End::LeaveAlone
}

/// What subscribers raise is logged there.
fn tell_subscribers(process: &'static Process) {
    for interpreter in process.interpreters() {
        interpreter.main_thread().attach_with(interpreter.abi(), |attached| {
            let publish = interpreter.state().tools(attached).publish_stopping.borrow(attached);
            drop(Object::text(attached, reason()).and_then(|reason| publish.call(&[*reason])));
        });
    }
}

fn wait_for_requests(process: &Process, deadline: Instant) {
    loop {
        process.turn_away();
        let rest = deadline.saturating_duration_since(Instant::now());
        if awaited() == 0 || rest.is_zero() {
            return;
        }
        thread::park_timeout(rest);
    }
}

fn run_tool(process: &Process, interpreter: &Interpreter, function: fn(&Tools) -> &Kept) {
    interpreter.main_thread().attach_with(interpreter.abi(), |attached| {
        let tools = interpreter.state().tools(attached);
        if let Err(raised) = function(tools).borrow(attached).call(&[]) {
            let line = format!("beginning or ending the {}: {}", interpreter.label(), raised.summary());
            attached.detached(|| process.host().log(Level::Error, line.as_bytes()));
        }
    });
}

/// Ends a sub-interpreter, unless threads that are not ours still run in it: CPython aborts the process then.
fn finish(main: &Interpreter, interpreter: &Arc<Interpreter>) -> bool {
    interpreter.sweep_all();
    let state = interpreter.main_thread();
    // SAFETY: [THREAD] the state is the calling thread's, which holds no interpreter.
    unsafe { ffi::PyEval_RestoreThread(state.as_ptr()) };
    // SAFETY: [GIL] the interpreter was just taken.
    let attached = unsafe { Attached::assume(interpreter.abi()) };
    let free = !interpreter.has_other_threads(attached);
    if free {
        interpreter.state().release(attached);
        // SAFETY: [THREAD] it is current and the only state of its interpreter.
        unsafe { ffi::Py_EndInterpreter(state.as_ptr()) };
        // SAFETY: [THREAD] nothing is current now; this takes the main interpreter with the calling thread's state.
        unsafe { ffi::PyThreadState_Swap(main.main_thread().as_ptr()) };
    }
    // SAFETY: [GIL] one of the two interpreters is held.
    let _state_stays = unsafe { ffi::PyEval_SaveThread() };
    free
}
