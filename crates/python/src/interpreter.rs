// SPDX-License-Identifier: Apache-2.0
//! One Python interpreter of this process: the main one, or a sub-interpreter of an application group.
//!
//! Created and ended on the Python-main thread only; used by request threads in between.

use crate::abi::{Abi, InterpreterConfig, OWN_GIL};
use crate::host::{Facts, Host, Options};
use crate::live::lock;
use crate::module::ModuleDefinition;
use crate::object::{Answer, Attached};
use crate::state::{State, attached_module};
use crate::thread::{self, Spare, ThreadState};
use model::event::Event;
use pyo3_ffi as ffi;
use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex};

/// An interpreter.
#[derive(Debug)]
pub struct Interpreter {
    name: Vec<u8>,
    pointer: NonNull<ffi::PyInterpreterState>,
    abi: &'static Abi,
    state: State,
    /// Whether its lock is its own.
    own_lock: bool,
    /// The Python-main thread's state in it.
    main: ThreadState,
    /// All thread states that we made, and those of dead threads among them.
    threads: Mutex<Threads>,
}

#[derive(Debug, Default)]
struct Threads {
    ours: Vec<(ThreadState, Arc<Spare>)>,
    departed: Vec<ThreadState>,
}

// SAFETY: [THREAD] the pointer is only used to make thread states, which CPython guards with a lock of its own.
unsafe impl Send for Interpreter {}
// SAFETY: [THREAD] see above.
unsafe impl Sync for Interpreter {}

/// Modules of the standard library with C code that keeps data for the whole process: imported for the first time under
/// two GILs at once they would race, so the main interpreter has them before any other GIL exists.
const SHARED: [&CStr; 8] =
    [c"datetime", c"decimal", c"ssl", c"hashlib", c"sqlite3", c"zoneinfo", c"asyncio", c"ctypes"];

/// Makes a sub-interpreter, which the calling thread then holds instead of the main one. Called on the Python-main thread,
/// which holds the main interpreter.
pub(crate) fn make(attached: Attached<'_>, options: &Options) -> Result<NonNull<ffi::PyThreadState>, String> {
    let function = attached.abi().new_interpreter.filter(|_| options.own_gil);
    let Some(function) = function else {
        // SAFETY: [GIL] the main interpreter is held on the Python-main thread.
        return NonNull::new(unsafe { ffi::Py_NewInterpreter() }).ok_or_else(|| "Py_NewInterpreter failed".to_owned());
    };
    for module in SHARED {
        // A Python without it has nothing that could race.
        drop(attached_module(attached, module));
    }
    let configuration = InterpreterConfig {
        use_main_obmalloc: 0,
        allow_fork: 1,
        allow_exec: 1,
        allow_threads: 1,
        allow_daemon_threads: 1,
        check_multi_interp_extensions: 1,
        gil: OWN_GIL,
    };
    let mut made = ptr::null_mut();
    // SAFETY: [GIL] the main interpreter is held on the Python-main thread; the configuration has the layout of 3.12 on.
    let status = unsafe { function(&raw mut made, &raw const configuration) };
    NonNull::new(made).filter(|_| status.kind == 0).ok_or_else(|| {
        // SAFETY: [STATIC] null or static text of CPython's.
        let message = (!status.message.is_null()).then(|| unsafe { CStr::from_ptr(status.message) });
        message.map_or_else(|| "no reason given".to_owned(), |text| text.to_string_lossy().into_owned())
    })
}

impl Interpreter {
    /// Sets up the interpreter that the calling thread, the Python-main thread, holds.
    pub(crate) fn furnish<'i>(
        attached: Attached<'i>,
        name: &[u8],
        definition: ModuleDefinition,
        facts: &Facts,
        options: &Options,
        host: &'static dyn Host,
    ) -> Answer<'i, Arc<Self>> {
        let module = definition.instance(attached)?;
        let (state, blemishes) = State::create(attached, &module, name, facts, options, host)?;
        attached.detached(|| {
            if let Some(seconds) = blemishes.interval {
                let application_group = String::from_utf8_lossy(name).into_owned();
                host.report(&Event::SwitchIntervalShared { application_group, seconds: seconds.to_string() });
            }
            for (module, reason) in blemishes.companions {
                host.report(&Event::CompanionFailed { module, reason });
            }
            for (entry, reason) in blemishes.directories {
                host.report(&Event::PythonPathFailed { entry, reason });
            }
        });
        let missing = || crate::raised::Raised::new(attached, crate::raised::Kind::System, "no interpreter");
        // SAFETY: [GIL] no arguments; never null while an interpreter is held.
        let pointer = NonNull::new(unsafe { ffi::PyInterpreterState_Get() }).ok_or_else(missing)?;
        // SAFETY: [GIL] no arguments; never null while an interpreter is held.
        let main = NonNull::new(unsafe { ffi::PyThreadState_Get() }).ok_or_else(missing)?;
        // SAFETY: [THREAD] it is current on the calling thread.
        let main = unsafe { ThreadState::new(main) };
        let abi = attached.abi();
        let (name, own_lock) = (name.to_vec(), options.own_gil);
        Ok(Arc::new(Self { name, pointer, abi, state, own_lock, main, threads: Mutex::default() }))
    }

    /// The application group; empty for the main interpreter.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The name of the interpreter whose lock it has: its own, or the main one's.
    #[must_use]
    pub fn lock_name(&self) -> &[u8] {
        if self.own_lock { &self.name } else { b"" }
    }

    /// The name as logs show it.
    #[must_use]
    pub fn label(&self) -> String {
        if self.name.is_empty() {
            "main interpreter".to_owned()
        } else {
            format!("sub-interpreter '{}'", String::from_utf8_lossy(&self.name))
        }
    }

    /// The same with its process group, for lines that do not tell of that otherwise.
    #[must_use]
    pub fn place(&self) -> String {
        let group = crate::process::process().map_or("", |process| process.facts().process_group.as_str());
        if group.is_empty() { self.label() } else { format!("{} of process group '{group}'", self.label()) }
    }

    /// The functions outside the limited API.
    #[must_use]
    pub fn abi(&self) -> &'static Abi {
        self.abi
    }

    /// Its objects of ours.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    pub(crate) fn main_thread(&self) -> ThreadState {
        self.main
    }

    /// A new thread state for the calling thread, which need not hold any interpreter.
    pub(crate) fn new_thread_state(&self) -> Option<(ThreadState, Arc<Spare>)> {
        // SAFETY: [THREAD] the interpreter has not ended: see `Gate`.
        let made = NonNull::new(unsafe { ffi::PyThreadState_New(self.pointer.as_ptr()) })?;
        // SAFETY: [THREAD] it was made for the calling thread.
        let state = unsafe { ThreadState::new(made) };
        let spare = Arc::<Spare>::default();
        lock(&self.threads).ours.push((state, Arc::clone(&spare)));
        Some((state, spare))
    }

    pub(crate) fn depart(&self, state: ThreadState) {
        lock(&self.threads).departed.push(state);
    }

    pub(crate) fn forget_thread(&self, state: ThreadState) -> Option<Arc<Spare>> {
        let mut threads = lock(&self.threads);
        let place = threads.ours.iter().position(|(other, _)| *other == state)?;
        Some(threads.ours.swap_remove(place).1)
    }

    /// Deletes the states of dead threads. The calling thread holds no interpreter.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let departed = std::mem::take(&mut lock(&self.threads).departed);
        thread::sweep(self, departed);
    }

    /// Deletes every thread state of ours but the Python-main thread's. No thread of ours is inside any more, and the
    /// calling thread holds no interpreter.
    pub(crate) fn sweep_all(self: &Arc<Self>) {
        self.sweep();
        let left = lock(&self.threads).ours.iter().map(|(state, _)| *state).collect();
        thread::sweep(self, left);
    }

    /// The states that threads have in it. The calling thread holds the interpreter.
    pub(crate) fn thread_states(&self, attached: Attached<'_>) -> Vec<ThreadState> {
        let mut found = Vec::new();
        // SAFETY: [GIL] the interpreter is held, so the list stands still.
        let mut next = NonNull::new(unsafe { (attached.abi().first_thread)(self.pointer.as_ptr()) });
        while let Some(state) = next {
            // SAFETY: [THREAD] only compared, or looked at while the interpreter is held.
            found.push(unsafe { ThreadState::new(state) });
            // SAFETY: [GIL] see above.
            next = NonNull::new(unsafe { (attached.abi().next_thread)(state.as_ptr()) });
        }
        found
    }

    /// Whether threads that are not ours still have a state in it. The calling thread holds the interpreter.
    pub(crate) fn has_other_threads(&self, attached: Attached<'_>) -> bool {
        self.thread_states(attached).into_iter().any(|state| state != self.main)
    }
}
