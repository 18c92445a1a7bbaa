// SPDX-License-Identifier: Apache-2.0
//! A stand-in for httpd inside a plain Python: drives the C table of `_mod_wsgi_rs` with requests made by Python tests.
//!
//! A Python module for `tests/rehearsal/host.py`. `main()` occupies the process's main thread as httpd's Python thread
//! would be occupied; `request()` runs a request on one of our worker threads, with its answer kept in a `Vec`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use model::embedded::options::Options;
use model::embedded::{
    CAPSULE, Call, Entry, ExchangeTable, Flag, HostTable, MainEnd, Pair, Setup, Table, Text, ValueKind, build_id,
};
use model::environ::{KEYS, Key};
use model::event::Level;
use python::callback::Arguments;
use python::environ::bytes;
use python::module::ModuleDefinition;
use python::object::{Answer, Attached, Object, Ref};
use python::{module_entry, module_function, table_function};
use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::{slice, thread};

/// What the exchange was told, in order.
#[derive(Debug, Clone)]
enum Told {
    Head(u16, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>),
    Data(Vec<u8>),
    File(u64, u64),
    Flush,
    Read(usize),
}

/// One request: what the test wants, and what happened.
#[derive(Debug, Default)]
struct Rehearsal {
    numbers: HashMap<String, i64>,
    texts: HashMap<String, Vec<u8>>,
    environ: Vec<(String, i64, Vec<u8>)>,
    body: Vec<Vec<u8>>,
    told: Vec<Told>,
    log: Vec<(i64, Vec<u8>)>,
    ending: (u8, u16),
    /// How often `is_aborted` was called.
    asked: i64,
}

impl Rehearsal {
    fn number(&self, name: &str) -> i64 {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    fn text(&self, name: &str) -> Text<'_> {
        Text::new(self.texts.get(name).map_or(&[], Vec::as_slice))
    }

    fn send(&mut self, told: Told) -> c_int {
        let limit = self.number("gone_after");
        let sends =
            self.told.iter().filter(|told| matches!(told, Told::Data(_) | Told::File(..) | Told::Flush)).count();
        if limit > 0 && i64::try_from(sends).unwrap() >= limit - 1 && !matches!(told, Told::Head(..)) {
            return -1;
        }
        self.told.push(told);
        0
    }
}

/// The worker threads by number.
type Workers = HashMap<i64, (Sender<Ticket>, thread::JoinHandle<()>)>;
type Ticket = (Rehearsal, Sender<Rehearsal>);

static TABLE: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());
static WORKERS: Mutex<Option<Workers>> = Mutex::new(None);
static LOG: Mutex<Vec<(i64, Vec<u8>)>> = Mutex::new(Vec::new());
static READY: OnceLock<()> = OnceLock::new();

fn table() -> &'static Table {
    // SAFETY: [TABLE] set by `main` from the capsule, before anything else is called.
    unsafe { &*TABLE.load(Ordering::Acquire) }
}

fn rehearsal<'a>(context: *mut c_void) -> &'a mut Rehearsal {
    // SAFETY: [EXCHANGE] the context is the rehearsal that `perform` lends for the length of the call.
    unsafe { &mut *context.cast() }
}

fn told_read_body(context: *mut c_void, into: *mut u8, capacity: usize) -> isize {
    let request = rehearsal(context);
    request.told.push(Told::Read(capacity));
    let delay = request.number("read_delay");
    if delay > 0 {
        thread::sleep(std::time::Duration::from_millis(delay.unsigned_abs()));
    }
    let Some(block) = request.body.first_mut() else { return -(request.number("body_error") as isize) };
    let count = block.len().min(capacity);
    // SAFETY: [TABLE] `into` has room for `capacity` bytes.
    unsafe { ptr::copy_nonoverlapping(block.as_ptr(), into, count) };
    block.drain(..count);
    if block.is_empty() {
        request.body.remove(0);
    }
    count as isize
}

fn told_send_head(context: *mut c_void, status: u16, reason: Text<'_>, pairs: *const Pair<'_>, count: usize) -> c_int {
    let pairs = if count == 0 {
        &[]
    } else {
        // SAFETY: [TABLE] `pairs` and `count` are those of a slice.
        unsafe { slice::from_raw_parts(pairs, count) }
    };
    let headers = pairs.iter().map(|pair| (bytes(pair.name).to_vec(), bytes(pair.value).to_vec())).collect();
    rehearsal(context).send(Told::Head(status, bytes(reason).to_vec(), headers))
}

fn told_send_data(context: *mut c_void, data: Text<'_>) -> c_int {
    rehearsal(context).send(Told::Data(bytes(data).to_vec()))
}

fn told_send_file(context: *mut c_void, _descriptor: RawFd, offset: u64, length: u64) -> c_int {
    rehearsal(context).send(Told::File(offset, length))
}

fn told_flush(context: *mut c_void) -> c_int {
    rehearsal(context).send(Told::Flush)
}

fn told_log(context: *mut c_void, level: Level, line: Text<'_>) {
    rehearsal(context).log.push((level as i64, bytes(line).to_vec()));
}

fn told_is_aborted(context: *mut c_void) -> Flag {
    let request = rehearsal(context);
    request.asked += 1;
    (request.number("aborted_after") > 0 && request.asked >= request.number("aborted_after")).into()
}

table_function!(read_body(context: *mut c_void, into: *mut u8, capacity: usize) -> isize, or -5, told_read_body);
table_function!(send_head(context: *mut c_void, status: u16, reason: Text<'_>, pairs: *const Pair<'_>, count: usize) -> c_int, or -2, told_send_head);
table_function!(send_data(context: *mut c_void, data: Text<'_>) -> c_int, or -2, told_send_data);
table_function!(send_file(context: *mut c_void, descriptor: RawFd, offset: u64, length: u64) -> c_int, or -2, told_send_file);
table_function!(flush(context: *mut c_void) -> c_int, or -2, told_flush);
table_function!(log(context: *mut c_void, level: Level, line: Text<'_>) -> (), or (), told_log);
table_function!(is_aborted(context: *mut c_void) -> Flag, or 0, told_is_aborted);
table_function!(host_log(level: Level, line: Text<'_>) -> (), or (), told_host_log);
table_function!(host_ready() -> (), or (), told_host_ready);
table_function!(host_options(group: Text<'_>) -> Options, or Options::default(), told_options);
table_function!(host_search_path(group: Text<'_>, layer: usize) -> Text<'static>, or Text::default(), told_search_path);

static EXCHANGE: ExchangeTable = ExchangeTable { read_body, send_head, send_data, send_file, flush, log, is_aborted };

fn told_host_log(level: Level, line: Text<'_>) {
    LOG.lock().unwrap().push((level as i64, bytes(line).to_vec()));
}

/// What the set-up says about interpreters: numbers `<field>` or `<field>:<group>`, the interval in microseconds, and texts
/// `python_path:<layer>` or `python_path:<layer>:<group>`.
type Said = (HashMap<String, i64>, HashMap<String, Vec<u8>>);
static HOST: OnceLock<Said> = OnceLock::new();

fn said<'s, T>(from: &'s HashMap<String, T>, name: &str, group: Text<'_>) -> Option<&'s T> {
    let group = String::from_utf8_lossy(bytes(group));
    from.get(&format!("{name}:{group}")).or_else(|| from.get(name))
}

fn told_options(group: Text<'_>) -> Options {
    let (numbers, _) = HOST.get().unwrap();
    let number = |name: &str| said(numbers, name, group).copied().unwrap_or(0);
    Options {
        switch_interval: number("switch_interval") as f64 / 1e6,
        switch_interval_by_name: number("switch_interval_by_name") as Flag,
        own_gil: number("own_gil") as Flag,
        restrict_stdin: number("restrict_stdin") as Flag,
        restrict_stdout: number("restrict_stdout") as Flag,
        restrict_signal: number("restrict_signal") as Flag,
    }
}

fn told_search_path(group: Text<'_>, layer: usize) -> Text<'static> {
    let (_, texts) = HOST.get().unwrap();
    said(texts, &format!("python_path:{layer}"), group).map_or_else(Text::default, |path| Text::new(path))
}

fn told_host_ready() {
    READY.set(()).unwrap();
}

fn perform(request: &mut Rehearsal) {
    let texts = request.texts.clone();
    let environ = request.environ.clone();
    let text = |name: &str| Text::new(texts.get(name).map_or(&[], Vec::as_slice));
    if request.number("preload") != 0 {
        // SAFETY: [TABLE] called after `ready`, on a thread that holds no interpreter.
        unsafe { (table().preload)(text("application_group"), text("script"), request.number("mtime")) };
        return;
    }
    let entries: Vec<Entry<'_>> = environ.iter().map(|(name, kind, value)| entry(name, *kind, value)).collect();
    let call = Call {
        application_group: text("application_group"),
        script: text("script"),
        script_mtime: request.number("mtime"),
        callable: text("callable"),
        script_reloading: request.number("reloading") as Flag,
        https: request.number("https") as Flag,
        head_request: request.number("head") as Flag,
        request_start: request.number("request_start"),
        environ: entries.as_ptr(),
        environ_length: entries.len(),
        resource: text("resource"),
        request_record: ptr::without_provenance_mut(usize::try_from(request.number("record")).unwrap()),
    };
    let repeat = request.number("repeat").max(1);
    for _ in 0..repeat {
        request.told.clear();
        let context = ptr::from_mut(request).cast();
        // SAFETY: [TABLE] called after `ready`, on a thread that holds no interpreter; the arguments live long enough.
        let ending = unsafe { (table().handle)(&raw const call, &raw const EXCHANGE, context) };
        request.ending = (ending.kind as u8, ending.status);
    }
}

fn entry<'a>(name: &'a str, kind: i64, value: &'a [u8]) -> Entry<'a> {
    let kind = match kind {
        0 => ValueKind::Latin1,
        1 => ValueKind::FileSystem,
        _ => ValueKind::Absent,
    };
    let index = KEYS.iter().position(|key| *key == name && !name.is_empty());
    let known = index.map(|index| {
        // SAFETY: [TEXT] a Key is a number below the length of KEYS.
        unsafe { std::mem::transmute::<u16, Key>(u16::try_from(index).unwrap()) }
    });
    match known {
        Some(key) => Entry { key, kind, name: Text::default(), value: Text::new(value) },
        None => Entry { key: Key::TEXT, kind, name: Text::from(name), value: Text::new(value) },
    }
}

fn worker(number: i64) -> Sender<Ticket> {
    let mut workers = WORKERS.lock().unwrap();
    let workers = workers.get_or_insert_with(HashMap::new);
    let make = || {
        let (sender, tickets) = channel::<Ticket>();
        // The stack that httpd gives its threads by default.
        let builder = thread::Builder::new().stack_size(8 << 20);
        let running = builder.spawn(move || {
            for (mut request, reply) in tickets {
                perform(&mut request);
                reply.send(request).unwrap();
            }
        });
        (sender, running.unwrap())
    };
    workers.entry(number).or_insert_with(make).0.clone()
}

/// `main(capsule, setup)`: occupies the main thread.
fn main<'i>(attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
    let name = CString::new(CAPSULE).unwrap();
    let found = arguments.get(0).unwrap().capsule_content(&name)?;
    TABLE.store(found.as_ptr().cast(), Ordering::Release);
    assert_eq!(table().build_id, build_id());
    let wanted = read(&arguments.get(1).unwrap())?;
    let setup = Setup {
        process_group: wanted.text("process_group"),
        python_eggs: wanted.text("python_eggs"),
        destroy_interpreters: wanted.number("destroy_interpreters") as Flag,
        case_sensitive: wanted.number("case_sensitive") as Flag,
        multithread: 1,
        multiprocess: 0,
        run_once: 0,
        single_process: wanted.number("single_process") as Flag,
        maximum_processes: 3,
        threads_per_process: 5,
        server_version: [2, 4, 71],
        server_description: Text::new(b"Rehearsal/1"),
        mpm_name: Text::new(b"rehearsal"),
        server_built: Text::new(b"today"),
        interpreter_limit: usize::try_from(wanted.number("interpreter_limit")).unwrap(),
        shutdown_milliseconds: wanted.number("shutdown_milliseconds").unsigned_abs(),
    };
    HOST.get_or_init(|| (wanted.numbers.clone(), wanted.texts.clone()));
    let host = HostTable { log: host_log, ready: host_ready, options: host_options, search_path: host_search_path };
    // SAFETY: [TABLE] this is the thread that initialised Python, attached.
    let end = unsafe { (table().main)(&raw const setup, &raw const host) };
    Object::text(attached, if end == MainEnd::Finalise { "finalise" } else { "leave alone" })
}

fn read<'i>(wanted: &Ref<'i>) -> Answer<'i, Rehearsal> {
    let mut request = Rehearsal::default();
    let items = wanted.call_method(c"items", &[])?.iterator()?;
    while let Some(pair) = items.next()? {
        let (name, value) = (pair.item(0)?.to_utf8()?, pair.item(1)?);
        match name.as_str() {
            "environ" => {
                for index in 0..value.sequence_length() {
                    let entry = value.item(index)?;
                    let text = entry.item(2)?.as_bytes().unwrap().to_vec();
                    request.environ.push((entry.item(0)?.to_utf8()?, entry.item(1)?.to_index()? as i64, text));
                }
            }
            "body" => {
                for index in 0..value.sequence_length() {
                    request.body.push(value.item(index)?.as_bytes().unwrap().to_vec());
                }
            }
            _ if value.is_bytes() => {
                request.texts.insert(name, value.as_bytes().unwrap().to_vec());
            }
            _ => {
                request.numbers.insert(name, value.to_index()? as i64);
            }
        }
    }
    Ok(request)
}

fn lines<'i>(attached: Attached<'i>, lines: &[(i64, Vec<u8>)]) -> Answer<'i> {
    let made: Vec<_> = lines
        .iter()
        .map(|(level, line)| {
            Object::tuple(attached, &[*Object::integer(attached, *level)?, *Object::bytes(attached, line)?])
        })
        .collect::<Result<_, _>>()?;
    Object::tuple(attached, &made.iter().map(|line| **line).collect::<Vec<_>>())
}

fn told<'i>(attached: Attached<'i>, told: &Told) -> Answer<'i> {
    let name = |name| Object::text(attached, name);
    let number = |number: u64| Object::integer(attached, number as i64);
    match told {
        Told::Head(status, reason, headers) => {
            let pairs: Vec<_> = headers
                .iter()
                .map(|(name, value)| {
                    Object::tuple(attached, &[*Object::bytes(attached, name)?, *Object::bytes(attached, value)?])
                })
                .collect::<Result<_, _>>()?;
            let pairs = Object::tuple(attached, &pairs.iter().map(|pair| **pair).collect::<Vec<_>>())?;
            let reason = Object::bytes(attached, reason)?;
            Object::tuple(attached, &[*name("head")?, *number((*status).into())?, *reason, *pairs])
        }
        Told::Data(data) => Object::tuple(attached, &[*name("data")?, *Object::bytes(attached, data)?]),
        Told::File(offset, length) => Object::tuple(attached, &[*name("file")?, *number(*offset)?, *number(*length)?]),
        Told::Flush => Object::tuple(attached, &[*name("flush")?]),
        Told::Read(capacity) => Object::tuple(attached, &[*name("read")?, *number(*capacity as u64)?]),
    }
}

/// `request(wanted)`: runs a request on a worker thread and answers `(kind, status, told, log)`.
fn request<'i>(attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
    let wanted = read(&arguments.get(0).unwrap())?;
    let worker = worker(wanted.number("worker"));
    let done = attached.detached(move || {
        let (reply, answer) = channel();
        worker.send((wanted, reply)).unwrap();
        answer.recv().unwrap()
    });
    let made: Vec<_> = done.told.iter().map(|one| told(attached, one)).collect::<Result<_, _>>()?;
    let happened = Object::tuple(attached, &made.iter().map(|one| **one).collect::<Vec<_>>())?;
    let kind = Object::integer(attached, done.ending.0.into())?;
    let status = Object::integer(attached, done.ending.1.into())?;
    Object::tuple(attached, &[*kind, *status, *happened, *lines(attached, &done.log)?])
}

/// `retire(worker)`: ends a worker thread and waits for that.
fn retire<'i>(attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
    let number = arguments.get(0).unwrap().to_index()? as i64;
    let worker = WORKERS.lock().unwrap().as_mut().and_then(|workers| workers.remove(&number));
    attached.detached(|| {
        if let Some((sender, running)) = worker {
            drop(sender);
            running.join().unwrap();
        }
    });
    Ok(Object::none(attached))
}

/// `is_ready()`
fn is_ready<'i>(attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
    Object::boolean(attached, READY.get().is_some())
}

/// `log()`: the server's log so far.
fn server_log<'i>(attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
    let log = LOG.lock().unwrap().clone();
    lines(attached, &log)
}

/// `stop()`
fn stop<'i>(attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
    // SAFETY: [TABLE] may be called from any thread.
    let inside = unsafe { (table().stop)() };
    Object::integer(attached, inside.into())
}

/// `panic()`: what a defect in a callback looks like to Python.
fn panic_on_purpose<'i>(_attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
    // Without the hook, which would print a backtrace.
    std::panic::resume_unwind(Box::new("on purpose".to_owned()));
}

module_function!(c_main, main);
module_function!(c_request, request);
module_function!(c_retire, retire);
module_function!(c_is_ready, is_ready);
module_function!(c_log, server_log);
module_function!(c_stop, stop);
module_function!(c_panic, panic_on_purpose);
module_entry!(PyInit_rehearsal, unix::library::symbol, definition);

fn definition(attached: Attached<'_>) -> Answer<'_, ModuleDefinition> {
    let functions: [(_, python::callback::Function); 7] = [
        (c"main", c_main),
        (c"request", c_request),
        (c"retire", c_retire),
        (c"is_ready", c_is_ready),
        (c"log", c_log),
        (c"stop", c_stop),
        (c"panic", c_panic),
    ];
    Ok(ModuleDefinition::new(attached.abi(), c"rehearsal", None, &functions))
}
