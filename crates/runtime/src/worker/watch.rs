// SPDX-License-Identifier: Apache-2.0
//! The thread that watches over a worker: what the supervisor says, signals, and the timers. It never goes into an interpreter, so
//! nothing that Python code does holds it up.

use super::attendant::Attendants;
use super::control::Told;
use super::ledger::{Cut, Running};
use super::outbox::Taken;
use super::reception::Duty;
use super::{Life, SLACK};
use model::event::{Event, Level};
use model::launch::Patience;
use model::timers::{Call, Due, Reason};
use python::callback::guard;
use python::interrupt::{Force, publish_signal};
use python::process::{self, Process};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use unix::callback::Asked;
use unix::connection::wait_for;
use unix::worker::{dump_stacks, exit, thread_number};

/// How long a thread that is sending is left alone before its connection is cut, and how often it is looked.
const SENDING: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(1);
/// How long a thread may take to write its stack.
const WRITING: Duration = Duration::from_millis(50);
/// How many signals may wait for the application.
const SIGNALS: usize = 16;

/// The watch of a process that serves requests.
pub(crate) struct Watch {
    life: &'static Life,
    duty: Duty,
    attendants: &'static Attendants,
    /// Takes signals to the application, once there was one.
    messenger: Option<SyncSender<(&'static str, i32)>>,
}

impl Watch {
    pub(crate) fn new(life: &'static Life, duty: Duty) -> Self {
        let attendants = Box::leak(Box::new(Attendants::new(&life.ledger)));
        Self { life, duty, attendants, messenger: None }
    }

    /// Watches until the process ends.
    pub(crate) fn run(mut self) -> ! {
        let Life { supervisor, signals, ledger, .. } = self.life;
        self.attendants.begin(self.duty.process);
        let mut told = false;
        loop {
            let (due, rest) = ledger.due();
            for one in &due {
                self.act(*one);
            }
            if !due.is_empty() {
                continue;
            }
            // A socket that has ended would be readable for ever.
            let [spoken, asked, rang] = if told {
                let [asked, rang] = wait_for([signals, &ledger.bell], rest);
                [false, asked, rang]
            } else {
                wait_for([&supervisor.control, signals, &ledger.bell], rest)
            };
            if rang {
                ledger.bell.stop();
            }
            if asked {
                signals.take().into_iter().for_each(|asked| self.hear(asked));
            }
            if spoken {
                told = self.listen();
            }
        }
    }

    /// Takes what the supervisor says. Answers whether it will say no more.
    fn listen(&self) -> bool {
        let call = match self.life.supervisor.control.told() {
            Told::Nothing => return false,
            Told::Stop(patience) => Call::Stop(patience),
            Told::Gone => Call::Orphaned,
        };
        self.life.ledger.ask(call);
        self.life.reception.close();
        call == Call::Orphaned
    }

    fn hear(&mut self, asked: Asked) {
        match asked {
            Asked::End => self.life.ledger.ask(Call::End),
            Asked::Evict => self.life.ledger.ask(Call::Evict),
            Asked::Processor => self.life.ledger.ask(Call::Processor),
            Asked::Tell(name, number) => {
                let process = self.duty.process;
                let messenger = self.messenger.get_or_insert_with(|| messenger(process));
                // Where the application does not listen, signals are lost, as signals are.
                let _full = messenger.try_send((name, number));
            }
        }
    }

    fn act(&self, due: Due) {
        let Life { supervisor, reception, ledger, .. } = self.life;
        match due {
            Due::Overdue(number) => ledger.running(number).into_iter().for_each(|running| self.overdue(&running)),
            Due::Take(number) => ledger.running(number).into_iter().for_each(|running| self.take(&running)),
            Due::Stuck(number) => ledger.running(number).into_iter().for_each(|running| self.stuck(&running)),
            Due::Tired(reason) => supervisor.control.tired(&reason.to_string()),
            Due::Leave(patience, reason) => {
                supervisor.control.leaving(patience, &self.words(reason));
                reception.close();
            }
            Due::Deadlock(lock) => self.deadlock(lock),
            Due::End(reason) => self.end(reason),
        }
    }

    fn words(&self, reason: Reason) -> String {
        match self.life.ledger.stale().filter(|_| reason == Reason::ScriptReload) {
            Some(script) => format!("'{script}' has changed"),
            None => reason.to_string(),
        }
    }

    fn overdue(&self, running: &Arc<Running>) {
        let Life { supervisor, .. } = self.life;
        let limits = supervisor.settings.limits;
        let (force, outcome) = if limits.interrupt_timeout > 0 {
            (Force::Raise, "it is interrupted")
        } else {
            (Force::None, "its client gets 504, and the process is replaced")
        };
        let event = Event::RequestOverdue {
            script: running.script.clone(),
            place: format!(
                "process group '{}', application group '{}'",
                supervisor.settings.group, running.application_group
            ),
            pid: std::process::id(),
            request: running.request.clone(),
            milliseconds: limits.request_timeout,
            outcome: outcome.to_owned(),
        };
        if !self.life.ledger.log(running, event.level(), &[event.to_string()]) {
            supervisor.control.log(event.level(), event.to_string().as_bytes());
        }
        self.attendants.look(self.duty.process, running, force);
    }

    /// The client gets its answer now, and another thread does the work of the one that does not come back.
    fn take(&self, running: &Arc<Running>) {
        let Life { reception, ledger, .. } = self.life;
        let start = Instant::now();
        let taken = loop {
            match ledger.take(running, Cut::Gently) {
                Some(Taken::Busy) if start.elapsed() < SENDING => thread::sleep(LOOK),
                Some(Taken::Busy) => break ledger.take(running, Cut::Anyhow),
                other => break other,
            }
        };
        if taken == Some(Taken::Yes) {
            running.ticket.give_up();
            reception.replace(self.duty);
        }
    }

    fn stuck(&self, running: &Running) {
        let limits = self.life.supervisor.settings.limits;
        let problem = match limits.interrupt_timeout {
            0 => "takes longer than request-timeout".to_owned(),
            limit => format!("has not ended {limit} ms after it was interrupted (interrupt-timeout)"),
        };
        let event = Event::RequestStuck {
            script: running.script.clone(),
            application_group: running.application_group.clone(),
            pid: std::process::id(),
            request: running.request.clone(),
            problem,
        };
        self.life.supervisor.control.log(event.level(), event.to_string().as_bytes());
        self.attendants.look_around(self.duty.process, running);
    }

    /// Nothing that needs the interpreter can be done any more.
    fn deadlock(&self, lock: u64) -> ! {
        let Life { supervisor, reception, ledger, .. } = self.life;
        let event = Event::InterpreterDeadlocked {
            application_group: self.attendants.name(lock),
            pid: std::process::id(),
            milliseconds: supervisor.settings.limits.deadlock_timeout,
        };
        supervisor.control.log(event.level(), event.to_string().as_bytes());
        let running = ledger.all();
        for one in &running {
            let _its_log_is_busy = ledger.log(one, event.level(), &[event.to_string()]);
        }
        // Written by a handler that needs no lock: of the main interpreter here, of others by a thread that is inside.
        dump_stacks(thread_number());
        let inside = running.iter().map(|running| (running.application_group.clone(), running.thread));
        for (_, thread) in inside.filter(|(name, _)| !name.is_empty()).collect::<BTreeMap<_, _>>() {
            dump_stacks(thread);
            thread::sleep(WRITING);
        }
        supervisor.control.leaving(Patience(Some(Duration::ZERO)), &Reason::DeadlockTimeout.to_string());
        reception.close();
        exit(1)
    }

    /// Python's end; the main thread ends the process, or this one if that takes too long.
    fn end(&self, reason: Reason) -> ! {
        self.life.reception.close();
        process::stop_because(reason.name());
        let limit = self.life.supervisor.settings.shutdown_milliseconds.saturating_add(2 * SLACK);
        let deadline = Instant::now() + Duration::from_millis(limit.min(u64::from(u32::MAX)));
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        exit(0)
    }
}

/// A thread that tells the application of signals, however long it takes over them.
fn messenger(process: &'static Process) -> SyncSender<(&'static str, i32)> {
    let (sender, receiver) = sync_channel(SIGNALS);
    let thread = thread::Builder::new().name("wsgi-signals".to_owned());
    let spawned = thread.spawn(move || {
        for (name, number) in receiver {
            guard("signal", || publish_signal(process, name, number));
        }
    });
    if let Err(error) = spawned {
        python::process::log(Level::Info, format!("signals cannot be told to the application: {error}").as_bytes());
    }
    sender
}
