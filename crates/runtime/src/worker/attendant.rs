// SPDX-License-Identifier: Apache-2.0
//! Threads that go into interpreters for the watch, which must never have to wait for a lock: one for each lock. They look whether
//! it can be had, find out what threads are doing, and interrupt them.

use super::ledger::{Ledger, Running};
use model::event::Level;
use python::callback::guard;
use python::interrupt::{Force, Stack, interrupt, probe, stacks};
use python::process::Process;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Threads need little to ask what others do.
const STACK: usize = 1 << 20;

/// What an attendant is asked to do.
#[derive(Debug)]
enum Task {
    /// Log the stack of a request's thread, and interrupt it if asked to.
    Look(Arc<Running>, Force),
    /// Log the stacks of all threads of an interpreter.
    LookAround(Vec<u8>),
}

#[derive(Debug)]
struct Attendant {
    number: u64,
    tasks: Sender<Task>,
}

/// The attendants of a process.
#[derive(Debug)]
pub(crate) struct Attendants {
    ledger: &'static Ledger,
    by_lock: Mutex<BTreeMap<Vec<u8>, Attendant>>,
}

impl Attendants {
    /// None yet.
    pub(crate) fn new(ledger: &'static Ledger) -> Self {
        Self { ledger, by_lock: Mutex::default() }
    }

    fn by_lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Attendant>> {
        self.by_lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look whether locks can be had, if that is wanted.
    pub(crate) fn begin(&'static self, process: &'static Process) {
        if self.ledger.probe_interval().is_some() {
            self.attend(process, b"", None);
        }
    }

    /// Asks the attendant of a lock to do something; whoever has none yet gets one.
    fn attend(&'static self, process: &'static Process, lock: &[u8], task: Option<Task>) {
        let mut by_lock = self.by_lock();
        if !by_lock.contains_key(lock) {
            let number = u64::try_from(by_lock.len()).unwrap_or(u64::MAX);
            let (tasks, receiver) = channel();
            let name = lock.to_vec();
            let attendant = thread::Builder::new().name("wsgi-attendant".to_owned()).stack_size(STACK);
            // Without a thread there are no stacks and no interruptions; the watch ends requests all the same.
            if attendant.spawn(move || self.work(process, &name, number, &receiver)).is_err() {
                return;
            }
            by_lock.insert(lock.to_vec(), Attendant { number, tasks });
        }
        if let Some((attendant, task)) = by_lock.get(lock).zip(task) {
            let _it_never_ends = attendant.tasks.send(task);
        }
    }

    /// Asks what the thread of a request is doing, and to interrupt it. What is found is logged.
    pub(crate) fn look(&'static self, process: &'static Process, running: &Arc<Running>, force: Force) {
        // Whoever has no interpreter yet has no stack, and is interrupted when it has one.
        if force == Force::Raise && running.ticket.interrupt_soon() {
            return;
        }
        if let Some(lock) = running.ticket.lock_name() {
            self.attend(process, &lock, Some(Task::Look(Arc::clone(running), force)));
        }
    }

    /// Asks what all threads of the interpreter of a request are doing. What is found is logged.
    pub(crate) fn look_around(&'static self, process: &'static Process, running: &Running) {
        let (lock, name) = (running.ticket.lock_name(), running.ticket.application_group());
        if let Some((lock, name)) = lock.zip(name) {
            self.attend(process, &lock, Some(Task::LookAround(name)));
        }
    }

    /// The application group whose lock has that number.
    pub(crate) fn name(&self, number: u64) -> String {
        let by_lock = self.by_lock();
        let found = by_lock.iter().find(|(_, attendant)| attendant.number == number);
        found.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).unwrap_or_default()
    }

    fn work(&'static self, process: &'static Process, lock: &[u8], number: u64, tasks: &Receiver<Task>) {
        let interval = self.ledger.probe_interval();
        loop {
            let task = match interval.map(|interval| tasks.recv_timeout(interval)) {
                None => tasks.recv().ok(),
                Some(Err(RecvTimeoutError::Disconnected)) => None,
                Some(Err(RecvTimeoutError::Timeout)) => {
                    self.find_others(process);
                    self.ledger.probe(number);
                    guard("probe", || probe(process, lock));
                    self.ledger.probed(number);
                    continue;
                }
                Some(Ok(task)) => Some(task),
            };
            let Some(task) = task else { return };
            self.ledger.probe(number);
            guard("attendant", || self.perform(process, task));
            self.ledger.probed(number);
        }
    }

    /// Interpreters with locks of their own may have been made since.
    fn find_others(&'static self, process: &'static Process) {
        for lock in process.locks() {
            self.attend(process, &lock, None);
        }
    }

    fn perform(&self, process: &'static Process, task: Task) {
        match task {
            Task::Look(running, force) => {
                interrupt(process, &running.ticket, force, |stack| {
                    if !self.ledger.log(&running, Level::Error, stack) {
                        say(Level::Error, stack);
                    }
                });
            }
            Task::LookAround(name) => {
                let stacks = stacks(process, &name);
                for (number, stack) in stacks.iter().enumerate() {
                    let title = format!("thread {} of {}:", number + 1, stacks.len());
                    say(Level::Warning, &vec![title.into_bytes()]);
                    say(Level::Warning, stack);
                }
            }
        }
    }
}

fn say(level: Level, lines: &Stack) {
    lines.iter().for_each(|line| python::process::log(level, line));
}
