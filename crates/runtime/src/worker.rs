// SPDX-License-Identifier: Apache-2.0
//! The life of a worker process: its main thread is Python's, called by the bootstrap, and never returns there.
//!
//! Besides that thread there are the request threads ([`reception`]), one that loads scripts before them, and one that watches the
//! control socket and signals. The process ends by `_exit`, once Python has run its ends or the time for them is over.

mod attendant;
mod connection;
mod control;
mod exchange;
mod host;
mod ledger;
mod outbox;
mod reception;
mod watch;

use crate::preload;
use control::{Control, Told, Unusable};
use host::Supervisor;
use ledger::Ledger;
use model::event::{Event, Level};
use model::launch::{Worker, control as places};
use python::callback::{Arguments, guard};
use python::object::{Answer, Attached, Object};
use python::process::{self, Process};
use python::shutdown;
use python::state::attached_module as imported;
use reception::{Duty, Reception, stack_size};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use std::{fs, io, thread};
use unix::callback::{Private, Signals, close_in_forked_processes};
use unix::connection::{adopt, wait_for};
use unix::worker::{become_readable, become_unreadable, dump_signal, exit, nudge, set_locale, set_title, terminate};
use watch::Watch;

/// What the process may take longer than Python's ends, in milliseconds.
const SLACK: u64 = 1000;
/// How often the main thread of a service is made to look for signals.
const NUDGES: u32 = 10;

/// Everything that lives as long as the process.
struct Life {
    supervisor: Supervisor,
    reception: Reception,
    signals: Signals,
    ledger: Ledger,
}

/// `serve(descriptor)`: works for the supervisor at the other end of the control socket until it is told to end.
pub(crate) fn serve<'i>(attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
    let arguments = arguments.count("serve", 1, 1)?;
    let descriptor = arguments.get(0).map_or(Ok(-1), |number| number.to_index())?;
    let descriptor = i32::try_from(descriptor).unwrap_or(-1);
    let begun = attached.detached(|| guard("serve", || begin(descriptor)));
    let Some(begun) = begun else { exit(1) };
    let life = match begun {
        Ok(life) => life,
        Err((control, reason)) => {
            if let Some(control) = control {
                control.failed(&reason);
            }
            exit(1)
        }
    };
    run(attached, life)
}

/// Runs Python's main thread to its end.
fn run(attached: Attached<'_>, life: &'static Life) -> ! {
    let Life { supervisor, reception, .. } = life;
    let home = prefix(attached).unwrap_or_default();
    let minor = attached.abi().minor;
    attached.detached(|| supervisor.report_unsupported(minor, home));
    let ready = || {
        guard("ready", || start(life));
    };
    let ended = prepare_dump(attached, supervisor.settings)
        .and_then(|()| crate::definition(attached))
        .and_then(|definition| Process::run(attached, definition, supervisor.facts(), supervisor, ready));
    let status = match ended {
        Ok(_) => 0,
        Err(raised) => {
            let reason = raised.summary();
            attached.detached(|| {
                supervisor
                    .control
                    .log(Level::Critical, Event::RuntimeUnusable { reason: reason.clone() }.to_string().as_bytes());
                supervisor.control.failed(&Unusable::Python(reason));
            });
            1
        }
    };
    if supervisor.settings.threads > 0 {
        // Answers that are complete but did not leave yet.
        attached.detached(|| wait_for([&reception.empty], Some(Duration::from_millis(SLACK))));
    }
    exit(status)
}

/// Lets threads write the stacks of their interpreter to standard error, from a signal handler that needs no lock.
fn prepare_dump<'i>(attached: Attached<'i>, settings: &Worker) -> Answer<'i, ()> {
    if settings.threads == 0 || settings.limits.deadlock_timeout == 0 {
        return Ok(());
    }
    let (signal, descriptor) = (Object::integer(attached, dump_signal().into())?, Object::integer(attached, 2)?);
    imported(attached, c"faulthandler")?.call_method(c"register", &[*signal, *descriptor]).map(drop)
}

/// `sys.prefix`
fn prefix(attached: Attached<'_>) -> Option<String> {
    let prefix = imported(attached, c"sys").and_then(|system| system.attribute(c"prefix")?.to_utf8());
    prefix.ok()
}

type Failed = (Option<Control>, Unusable);

fn begin(descriptor: i32) -> Result<&'static Life, Failed> {
    let kernel = |place| move |error: io::Error| Unusable::Kernel(place, error);
    let unreadable = become_unreadable();
    let control = Control::open(descriptor).map_err(|error| (None, kernel("the control socket")(error)))?;
    let prepared = (|| {
        unreadable.map_err(kernel("PR_SET_DUMPABLE"))?;
        // The extension is loaded, and nothing else of the directory is needed.
        drop(adopt(places::RUNTIME).map_err(kernel("the runtime directory"))?);
        close_in_forked_processes().map_err(kernel("pthread_atfork"))?;
        let signals = Signals::catch().map_err(kernel("signals"))?;
        let (settings, listener) = control.introduce()?;
        if settings.dumpable {
            become_readable().map_err(kernel("PR_SET_DUMPABLE"))?;
        }
        Ok((signals, settings, listener))
    })();
    let (signals, settings, listener) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return Err((Some(control), reason)),
    };
    if !settings.title.is_empty() && !set_title(&settings.title) {
        control.log(Level::Info, b"the title of the process could not be set");
    }
    if !settings.locale.is_empty() && !set_locale(&settings.locale) {
        let line = format!("there is no locale '{}' for process group '{}'", settings.locale, settings.group);
        control.log(Level::Warning, line.as_bytes());
    }
    if settings.threads > 0 {
        if let Err(error) = signals.catch_for_application() {
            return Err((Some(control), Unusable::Kernel("signals", error)));
        }
    }
    let supervisor = Supervisor { control, settings: Box::leak(Box::new(settings)) };
    live(supervisor, listener, signals)
}

fn live(supervisor: Supervisor, listener: Private, signals: Signals) -> Result<&'static Life, Failed> {
    let made = Ledger::new(supervisor.settings)
        .and_then(|ledger| Ok((Reception::new(supervisor.settings, listener)?, ledger)));
    match made {
        Ok((reception, ledger)) => Ok(Box::leak(Box::new(Life { supervisor, reception, signals, ledger }))),
        Err(error) => Err((Some(supervisor.control), Unusable::Kernel("the listener", error))),
    }
}

/// Python is there: loads scripts, then accepts requests.
fn start(life: &'static Life) {
    let Some(process) = process::process() else { return };
    let Life { supervisor, reception, ledger, .. } = life;
    let duty = Duty { process, control: &supervisor.control, ledger };
    if supervisor.settings.threads == 0 {
        shutdown::begin_service(process);
    }
    let watch = thread::Builder::new().name("wsgi-control".to_owned()).spawn(move || {
        if supervisor.settings.threads == 0 { watch_service(supervisor) } else { Watch::new(life, duty).run() }
    });
    if supervisor.settings.threads == 0 {
        supervisor.control.ready();
        preload_all(life, process);
        process::stop();
        return;
    }
    let starter = thread::Builder::new().name("wsgi-start".to_owned());
    let opening = starter.stack_size(stack_size(supervisor.settings)).spawn(move || {
        guard("preload", || preload_all(life, process));
        give_up_unless(life, reception.open(duty));
        supervisor.control.ready();
        ledger.open();
    });
    give_up_unless(life, watch);
    give_up_unless(life, opening);
}

/// Ends a process that cannot have its threads.
fn give_up_unless<T>(life: &'static Life, started: io::Result<T>) {
    if let Err(error) = started {
        life.supervisor.control.failed(&Unusable::Kernel("threads", error));
        exit(1);
    }
}

fn preload_all(life: &'static Life, process: &'static Process) {
    for (application_group, script) in &life.supervisor.settings.preloads {
        let mtime = fs::metadata(script).map_or(0, |found| found.mtime() * 1_000_000 + found.mtime_nsec() / 1000);
        preload::load(process, application_group.as_bytes(), script.as_bytes(), mtime);
    }
}

/// Waits until a service is to end, and tells its script. What the script does about it, and when it ends, is its own affair.
fn watch_service(supervisor: &Supervisor) {
    while supervisor.control.told() == Told::Nothing {
        wait_for([&supervisor.control], None);
    }
    terminate();
    // Python may just have been about to wait, and would notice the signal only after that.
    for _ in 0..NUDGES {
        thread::sleep(Duration::from_millis(100));
        nudge();
    }
}
