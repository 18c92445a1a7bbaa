// SPDX-License-Identifier: Apache-2.0
//! The C table of embedded mode: the functions that the httpd module calls inside its child.
//!
//! `main` runs on the thread that initialised Python; `handle` and `preload` on httpd's request threads; `stop` on any
//! thread, also in a signal handler. No panic leaves a function: it is logged and becomes that function's failure value.

use crate::exchange::TableExchange;
use crate::preload;
use model::embedded::{
    Call, Ending, EndingKind, Entry, ExchangeTable, Flag, HostTable, MainEnd, Setup, Table, Text, build_id,
};
use model::event::{Event, Level};
use model::exchange::Outcome;
use python::call::{self, Job};
use python::callback::{Entered, guard};
use python::environ::bytes;
use python::host::{Facts, Host, Options};
use python::process::{self, End, Process};
use python::table_function;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::slice;
use std::sync::OnceLock;

/// The table, as the capsule carries it.
pub(crate) fn table() -> &'static Table {
    static TABLE: Table = Table { build_id: build_id(), main, handle, preload, stop };
    &TABLE
}

/// httpd outside of requests.
struct HttpdHost(HostTable);

impl Host for HttpdHost {
    fn log(&self, level: Level, line: &[u8]) {
        // SAFETY: [TABLE] the host's functions may be called at any time from any thread.
        unsafe { (self.0.log)(level, Text::new(line)) };
    }

    fn options(&self, application_group: &[u8]) -> Options {
        let name = Text::new(application_group);
        // SAFETY: [TABLE] see above.
        let said = unsafe { (self.0.options)(name) };
        // SAFETY: [TABLE] see above.
        let layers = (0..).map(|layer| bytes(unsafe { (self.0.search_path)(name, layer) }));
        Options {
            python_path: layers.take_while(|layer| !layer.is_empty()).map(entries).collect(),
            home: None,
            switch_interval: (said.switch_interval > 0.0).then_some(said.switch_interval),
            switch_interval_by_name: said.switch_interval_by_name != 0,
            own_gil: said.own_gil != 0,
            restrict_stdin: said.restrict_stdin != 0,
            restrict_stdout: said.restrict_stdout != 0,
            restrict_signal: said.restrict_signal != 0,
        }
    }
}

table_function!(main(setup: *const Setup<'_>, host: *const HostTable) -> MainEnd, or MainEnd::LeaveAlone, run_main);
table_function!(
    handle(call: *const Call<'_>, table: *const ExchangeTable, context: *mut c_void) -> Ending,
    or ending(Outcome::Refused(500)),
    handle_request
);
table_function!(preload(group: Text<'_>, script: Text<'_>, mtime: i64) -> (), or (), preload_script);
table_function!(stop() -> Flag, or 0, stop_process);

/// The directories of a layer of a search path.
fn entries(layer: &[u8]) -> Vec<Vec<u8>> {
    layer.split(|byte| *byte == b':').filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec).collect()
}

fn owned(text: Text<'_>) -> String {
    String::from_utf8_lossy(bytes(text)).into_owned()
}

fn facts(setup: &Setup<'_>) -> Facts {
    Facts {
        process_group: owned(setup.process_group),
        python_eggs: bytes(setup.python_eggs).to_vec(),
        destroy_interpreters: setup.destroy_interpreters != 0,
        case_sensitive: setup.case_sensitive != 0,
        multithread: setup.multithread != 0,
        multiprocess: setup.multiprocess != 0,
        run_once: setup.run_once != 0,
        single_process: setup.single_process != 0,
        maximum_processes: setup.maximum_processes,
        threads_per_process: setup.threads_per_process,
        server_version: setup.server_version,
        server_description: owned(setup.server_description),
        mpm_name: owned(setup.mpm_name),
        server_built: owned(setup.server_built),
        interpreter_limit: setup.interpreter_limit,
        shutdown_milliseconds: setup.shutdown_milliseconds,
    }
}

fn run_main(setup: *const Setup<'_>, host: *const HostTable) -> MainEnd {
    static HOST: OnceLock<HttpdHost> = OnceLock::new();
    // SAFETY: [TABLE] the httpd module passes valid pointers.
    let facts = facts(unsafe { &*setup });
    // SAFETY: [TABLE] see above.
    let host = unsafe { *host };
    let log = HOST.get_or_init(|| HttpdHost(host));
    // SAFETY: [GIL] the calling thread holds the main interpreter.
    let entered = unsafe { Entered::by_python() };
    let end = entered.fence("main", None, |attached| {
        // SAFETY: [TABLE] `ready` takes no arguments and is called once.
        let ready = || unsafe { (host.ready)() };
        let definition = crate::definition(attached)?;
        let end = Process::run(attached, definition, facts, log, ready).unwrap_or_else(|raised| {
            log.report(&Event::RuntimeUnusable { reason: raised.summary() });
            End::LeaveAlone
        });
        Ok(Some(end))
    });
    if end == Some(End::Finalise) { MainEnd::Finalise } else { MainEnd::LeaveAlone }
}

/// The job that a call describes.
///
/// # Safety
///
/// The pointers in `call` are valid.
unsafe fn job<'a>(call: &Call<'a>) -> Job<'a> {
    let environ: &[Entry<'a>] = if call.environ_length == 0 {
        &[]
    } else {
        // SAFETY: [TABLE] promised by the caller.
        unsafe { slice::from_raw_parts(call.environ, call.environ_length) }
    };
    Job {
        application_group: bytes(call.application_group),
        script: bytes(call.script),
        script_mtime: call.script_mtime,
        callable: bytes(call.callable),
        script_reloading: call.script_reloading != 0,
        https: call.https != 0,
        head_request: call.head_request != 0,
        request_start: call.request_start,
        handed_over: [0; 2],
        environ,
        resource: bytes(call.resource),
        record: NonNull::new(call.request_record),
        ..Job::default()
    }
}

fn ending(outcome: Outcome) -> Ending {
    let (kind, status) = match outcome {
        Outcome::Complete => (EndingKind::Complete, 0),
        Outcome::Refused(status) => (EndingKind::Refused, status),
        // There is no other process.
        Outcome::NotStarted => (EndingKind::Refused, 503),
        Outcome::Truncated => (EndingKind::Truncated, 0),
        Outcome::ClientGone => (EndingKind::ClientGone, 0),
    };
    Ending { kind, status }
}

fn handle_request(call: *const Call<'_>, table: *const ExchangeTable, context: *mut c_void) -> Ending {
    // SAFETY: [TABLE] the httpd module passes valid pointers.
    let call = unsafe { &*call };
    // SAFETY: [TABLE] see above.
    let table = unsafe { &*table };
    // SAFETY: [TABLE] the context belongs to the table until this function returns.
    let mut exchange = unsafe { TableExchange::new(table, context) };
    let outcome = guard("handle", || {
        // SAFETY: [TABLE] the environ is a valid array.
        let job = unsafe { job(call) };
        let Some(process) = process::process() else { return Outcome::Refused(503) };
        call::handle(process, &job, &mut exchange)
    });
    let after_panic = || if exchange.head_sent { Outcome::Truncated } else { Outcome::Refused(500) };
    ending(outcome.unwrap_or_else(after_panic))
}

fn preload_script(application_group: Text<'_>, script: Text<'_>, mtime: i64) {
    if let Some(process) = process::process() {
        preload::load(process, bytes(application_group), bytes(script), mtime);
    }
}

fn stop_process() -> Flag {
    process::stop().into()
}
