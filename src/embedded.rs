// SPDX-License-Identifier: Apache-2.0
//! Embedded mode: Python inside an httpd child.
//!
//! Python starts in a child only, on a thread of its own, when an alias certainly does or a request needs it. Requests wait until it is ready;
//! where it cannot start, the reason is logged once and they are refused. The thread ends Python with the child.

mod layout;
pub mod needs;
pub mod search;
mod settings;
mod start;
pub mod table;

use crate::apache::log;
use crate::apache::pool::Pool;
use crate::apache::process::{self, Child, Parent};
use crate::apache::request::Request;
use crate::apache::server::Server;
use crate::boundary::callbacks;
use crate::config::ServerConfig;
use crate::environ::Environ;
use crate::exchange::Exchange;
use model::directive::value::OnOff;
use model::embedded::options::Options;
use model::embedded::{Call, HostTable, MainEnd, Setup, Table, Text};
use model::event::{Event, Level};
use model::exchange::Outcome;
use model::resolve::{Refusal, Target};
use needs::Needs;
use settings::Configuration;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, ptr, thread};

/// How long Python may take to end with its child; httpd's parent kills children after about ten seconds.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Interpreters in one child.
const INTERPRETER_LIMIT: usize = 256;
/// The stack of the thread that imports and finalises.
const STACK: usize = 8 << 20;

/// Directory of the runtime files, opened by the parent and inherited by children.
static RUNTIME: Mutex<Option<OwnedFd>> = Mutex::new(None);
/// This child's Python; null in the parent.
static STARTUP: AtomicPtr<Startup> = AtomicPtr::new(ptr::null_mut());
/// How long a request waits for Python to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Python in this child: not yet, soon, now, or never.
#[derive(Debug)]
struct Startup {
    child: Child,
    configuration: Configuration,
    phase: Mutex<Phase>,
    changed: Condvar,
    /// The extension's table, known before it may be used.
    imported: OnceLock<&'static Table>,
    /// The table once requests may use it.
    table: AtomicPtr<Table>,
    finished: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Starting,
    Ready,
    Failed,
}

/// A started Python, for requests.
#[derive(Debug, Clone, Copy)]
pub struct Python {
    table: &'static Table,
}

/// What a request runs.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// Script, interpreter and callable.
    pub target: &'a Target<'a>,
    /// Whether a changed script is loaded again.
    pub reloading: OnOff,
    /// Whether the application is shown httpd's record of the request.
    pub shows_record: OnOff,
    /// Whether the request does not count as activity of its process.
    pub ignore_activity: OnOff,
}

/// In the parent: opens the directory of the runtime files, so that children reach it whatever lies above it.
pub fn open_runtime(_parent: Parent, pool: Pool<'_>) {
    let opened = runtime_places().iter().find_map(|place| unix::descriptor::open_directory(place).ok());
    *RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) = opened;
    pool.on_clear(|| *RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) = None);
}

/// The directory of the runtime files, for the supervisor.
pub fn runtime_descriptor() -> Option<OwnedFd> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.try_clone().ok()
}

/// Where the runtime files may lie: beside the module, or where the package puts them.
fn runtime_places() -> Vec<PathBuf> {
    let module = unix::library::file_of(&crate::wsgi_module);
    let beside = module.and_then(|path| Some(path.parent()?.join("mod_wsgi_rs.d")));
    let installed = Path::new(env!("MOD_WSGI_RS_DEFAULT_LIBEXECDIR")).to_owned();
    beside.into_iter().chain([installed]).map(|place| place.join(model::BUILD_ID)).collect()
}

/// In a child: notes what Python needs, starts it in the background if an alias certainly needs it, and ends it with the child.
pub fn child_started(child: Child, pool: Pool<'_>, server: Server<'_>) {
    let Some(config) = ServerConfig::of(&server) else { return };
    let Needs { preloads, certainly, .. } = needs::present();
    let startup = Startup {
        child,
        configuration: Configuration::new(config, preloads),
        phase: Mutex::new(Phase::Idle),
        changed: Condvar::new(),
        imported: OnceLock::new(),
        table: AtomicPtr::new(ptr::null_mut()),
        finished: AtomicBool::new(false),
    };
    // One for each child process, used until its last instant by threads that nobody joins: never freed.
    let startup: &'static Startup = Box::leak(Box::new(startup));
    STARTUP.store(ptr::from_ref(startup).cast_mut(), Ordering::Release);
    pool.on_clear(stop);
    let elsewhere = crate::daemon::channel("").is_some();
    if certainly && !elsewhere && !config.written.settings.restrict_embedded().is_on() {
        startup.begin(&mut startup.lock());
    }
}

/// In the parent: why applications of embedded mode cannot run in children, if there are any and they cannot.
pub fn must_run_elsewhere(main: Server<'_>) -> Option<Event> {
    let config = ServerConfig::of(&main)?;
    let Needs { preloads, perhaps, .. } = needs::present();
    if !perhaps || config.written.settings.restrict_embedded().is_on() {
        return None;
    }
    let configuration = Configuration::new(config, preloads);
    search::find(configuration.home()).err().filter(|event| matches!(event, Event::PythonLibraryMissing { .. }))
}

fn startup() -> Option<&'static Startup> {
    // SAFETY: [CHILD] null, or leaked by `child_started`.
    unsafe { STARTUP.load(Ordering::Acquire).as_ref() }
}

/// This child's Python. Waits while it starts, but not for ever. A child that is told to end still finishes its requests,
/// so that alone is no reason to give up.
pub fn python(_child: Child) -> Result<Python, Refusal> {
    let startup = startup().ok_or(Refusal::PythonUnavailable)?;
    if let Some(python) = startup.ready() {
        return Ok(python);
    }
    let mut phase = startup.lock();
    if *phase == Phase::Idle {
        startup.begin(&mut phase);
    }
    let deadline = Instant::now() + PATIENCE;
    while *phase == Phase::Starting {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(Refusal::PythonStarting { seconds: PATIENCE.as_secs() });
        }
        phase = startup.changed.wait_timeout(phase, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
    drop(phase);
    startup.ready().ok_or(Refusal::PythonUnavailable)
}

/// When the child ends: lets Python end, for as long as that may take.
fn stop() {
    let Some(startup) = startup() else { return };
    let Some(python) = startup.ready() else { return };
    // SAFETY: [TABLE] may be called at any time, also in a signal handler.
    let inside = unsafe { (python.table.stop)() };
    let deadline = Instant::now() + SHUTDOWN + Duration::from_millis(500);
    while inside == 0 && !startup.finished.load(Ordering::Acquire) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
    }
}

impl Startup {
    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> Option<Python> {
        // SAFETY: [TABLE] null, or the static table of the extension module.
        unsafe { self.table.load(Ordering::Acquire).as_ref() }.map(|table| Python { table })
    }

    fn enter(&self, phase: Phase) {
        *self.lock() = phase;
        self.changed.notify_all();
    }

    /// Starts the Python thread, and one that loads scripts ahead of requests if there are any.
    fn begin(&'static self, phase: &mut Phase) {
        *phase = Phase::Starting;
        let started = thread::Builder::new().name("python".to_owned()).stack_size(STACK).spawn(|| {
            if let Err(event) = crate::boundary::fence("embedded::run", || Ok(()), || self.run()) {
                log::server_event(&event);
            }
            self.enter(Phase::Failed);
            self.finished.store(true, Ordering::Release);
        });
        if let Err(error) = started {
            let home = self.configuration.home().to_owned();
            log::server_event(&Event::PythonStartFailed { home, reason: error.to_string() });
            *phase = Phase::Failed;
        }
        if !self.configuration.preloads.is_empty() {
            let preload = || crate::boundary::fence("embedded::preload", || (), || self.preload());
            // Without the thread, the first request loads the script.
            drop(thread::Builder::new().name("preload".to_owned()).stack_size(STACK).spawn(preload));
        }
    }

    /// The life of the Python thread: start, serve until the child ends, finalise.
    fn run(&'static self) -> Result<(), Event> {
        let configuration = &self.configuration;
        let installation = search::find(configuration.home())?;
        let directory = runtime_directory()?;
        configuration.unsupported(&installation).for_each(|event| log::server_event(&event));
        let python = start::start(&installation, configuration)?;
        let table = match python.import(&directory) {
            Ok(table) => table,
            Err(event) => {
                python.abandon();
                return Err(event);
            }
        };
        self.imported.get_or_init(|| table);
        let child = self.child;
        let setup = Setup {
            process_group: Text::default(),
            python_eggs: Text::from(configuration.eggs()),
            destroy_interpreters: configuration.destroys_interpreters().into(),
            case_sensitive: configuration.is_case_sensitive().into(),
            multithread: (process::threads_per_process() > 1).into(),
            multiprocess: (process::maximum_processes() > 1).into(),
            run_once: 0,
            single_process: (process::is_defined(c"DEBUG") || process::is_defined(c"ONE_PROCESS")).into(),
            maximum_processes: process::maximum_processes(),
            threads_per_process: process::threads_per_process(),
            server_version: process::version(),
            server_description: Text::new(process::description(child)),
            mpm_name: Text::new(process::mpm(child)),
            server_built: Text::new(process::built(child)),
            interpreter_limit: INTERPRETER_LIMIT,
            shutdown_milliseconds: u64::try_from(SHUTDOWN.as_millis()).unwrap_or(u64::MAX),
        };
        // SAFETY: [TABLE] on the thread that initialised Python and holds its main interpreter.
        match unsafe { (table.main)(&raw const setup, &raw const HOST) } {
            MainEnd::Finalise => python.finalise(),
            MainEnd::LeaveAlone => python.abandon(),
        }
        Ok(())
    }

    fn preload(&self) {
        let Ok(python) = python(self.child) else { return };
        for (application_group, script) in &self.configuration.preloads {
            let modified = modified_at(Path::new(script));
            let (group, script) = (Text::from(application_group.as_str()), Text::from(script.as_str()));
            // SAFETY: [TABLE] Python is ready, and this thread holds no interpreter.
            unsafe { (python.table.preload)(group, script, modified) };
        }
    }
}

/// When the script was changed last, in microseconds; httpd has looked already if it is the file asked for.
pub fn modified(request: &Request<'_>, script: &[u8]) -> i64 {
    if script == request.file_name() {
        request.file_modified()
    } else {
        modified_at(Path::new(OsStr::from_bytes(script)))
    }
}

fn modified_at(path: &Path) -> i64 {
    let modified = fs::metadata(path).and_then(|data| data.modified()).ok();
    let modified = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    modified.and_then(|time| i64::try_from(time.as_micros()).ok()).unwrap_or(0)
}

/// The runtime directory as this process reaches it.
fn runtime_directory() -> Result<PathBuf, Event> {
    let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let descriptor = runtime.as_ref().map(AsRawFd::as_raw_fd);
    descriptor.map(|descriptor| PathBuf::from(format!("/proc/self/fd/{descriptor}"))).ok_or_else(|| {
        let places: Vec<_> = runtime_places().iter().map(|place| place.display().to_string()).collect();
        Event::RuntimeMissing { searched: places.join(", ") }
    })
}

impl Python {
    /// Runs one request on this thread.
    pub fn run<'r>(
        &self,
        request: &Request<'r>,
        script: Script<'_>,
        environ: &Environ<'r>,
        exchange: &mut Exchange<'r>,
    ) -> Outcome {
        let call = Call {
            application_group: Text::new(&script.target.application_group),
            script: Text::new(script.target.script),
            script_mtime: modified(request, script.target.script),
            callable: Text::new(&script.target.callable),
            script_reloading: script.reloading.is_on().into(),
            https: environ.is_https().into(),
            head_request: request.is_head().into(),
            request_start: request.received(),
            environ: environ.entries().as_ptr(),
            environ_length: environ.entries().len(),
            resource: Text::new(request.file_name()),
            request_record: if script.shows_record.is_on() { request.as_ptr().cast() } else { ptr::null_mut() },
        };
        let context = ptr::from_mut(exchange).cast();
        // SAFETY: [TABLE] Python is ready and this thread holds no interpreter; [EXCHANGE] the context outlives the call.
        table::outcome(unsafe { (self.table.handle)(&raw const call, &raw const table::TABLE, context) })
    }
}

static HOST: HostTable = HostTable { log: write_log, ready, options, search_path };

/// The bytes of a text that came through a table.
fn bytes<'a>(text: Text<'a>) -> &'a [u8] {
    let (start, length) = text.parts();
    // SAFETY: [TEXT] made from a slice that lives for the length of the call.
    unsafe { std::slice::from_raw_parts(start, length) }
}

callbacks! {
    fn write_log(level: Level, line: Text<'_>), or (); {
        log::server_line(level, bytes(line));
    }

    fn options(application_group: Text<'_>) -> Options, or Options::default(); {
        startup().map_or_else(Options::default, |startup| startup.configuration.options(bytes(application_group)))
    }

    fn search_path(application_group: Text<'_>, layer: usize) -> Text<'static>, or Text::default(); {
        let found = |startup: &'static Startup| startup.configuration.search_path(bytes(application_group), layer);
        startup().map(found).map_or_else(Text::default, Text::from)
    }

    fn ready(), or (); {
        let Some(startup) = startup() else { return };
        if let Some(table) = startup.imported.get() {
            startup.table.store(ptr::from_ref(*table).cast_mut(), Ordering::Release);
            startup.enter(Phase::Ready);
        }
    }
}

/// Whether requests may ask for a panic, as an environment variable of httpd's own says.
static PANICS_ARE_PLANTED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("MOD_WSGI_RS_PLANT_PANICS").is_some());

/// Panics if a test asks for it, to show that the fence holds.
pub fn panic_for_a_test(request: &Request<'_>) {
    if *PANICS_ARE_PLANTED && request.environment().find(c"MOD_WSGI_RS_PANIC").is_some() {
        #[allow(clippy::panic, reason = "its purpose")]
        {
            panic!("asked for by a test");
        }
    }
}
