// SPDX-License-Identifier: Apache-2.0
//! What the supervisor and the workers of a group are told, made from the configuration.

#![forbid(unsafe_code)]

use super::estate::Sockets;
use super::root;
use crate::apache::log;
use crate::apache::pool::Pool;
use crate::apache::process::{self, Parent};
use crate::apache::server::Server;
use crate::config::ServerConfig;
use crate::verify::Machine;
use model::configuration::Accounts;
use model::configuration::files::identity;
use model::daemon::{Group, GroupOptions, Owner};
use model::directive::value::HashSeed;
use model::event::Level;
use model::launch::{self, Limits, ProcessSettings, SharedPart, Worker};
use model::settings::ServerSettings;
use model::wire::KEY_LENGTH;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

/// The least important lines that the supervisor logs about itself.
pub const LOG_LEVEL: u8 = Level::Notice as u8;
/// Interpreters in one worker.
const INTERPRETER_LIMIT: usize = 256;
/// The longest header line of an answer where nothing is said.
const HEADER_LIMIT: u64 = 32768;
/// How long ending interpreters may take if a worker's end has no limit.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(3600);

/// Where sockets have their names for an instant: the directory of `WSGISocketPrefix`, or httpd's own for such files.
pub fn socket_directory(parent: Parent, pool: Pool<'_>, main: Server<'_>) -> io::Result<PathBuf> {
    let settings = ServerConfig::of(&main).map(|config| &config.written.settings);
    let prefix = settings.map(|settings| settings.socket_prefix().as_str()).filter(|prefix| !prefix.is_empty());
    let path = process::run_time_path(parent, pool, prefix);
    let directory = path.as_deref().and_then(std::path::Path::parent).map(std::path::Path::to_owned);
    directory.ok_or_else(|| io::Error::other("WSGISocketPrefix names no directory"))
}

/// The server that declares a group.
fn server_of<'s>(main: Server<'s>, group: &str) -> Server<'s> {
    let declares = |server: &Server<'_>| {
        ServerConfig::of(server).is_some_and(|config| {
            config.written.settings.daemon_processes().0.iter().any(|declared| declared.name == group)
        })
    };
    // A virtual host without a directive of ours shares the main server's settings, so the first one counts.
    main.chain().find(declares).unwrap_or(main)
}

/// The descriptor of the error log of the server that declares a group.
pub fn log_of(main: Server<'_>, group: &str) -> Option<RawFd> {
    server_of(main, group).log_descriptor()
}

/// Everything about one group.
pub fn group(
    main: Server<'_>,
    group: &Group,
    sockets: &Sockets,
    log: Option<RawFd>,
    shared: Option<SharedPart>,
) -> launch::Group {
    let silent = ServerConfig::default();
    let config = ServerConfig::of(&main).unwrap_or(&silent);
    let settings = &config.written.settings;
    let options = &group.options;
    let python = Some(options.python_home()).filter(|home| !home.as_str().is_empty());
    let python = python.unwrap_or_else(|| settings.python_home().clone());
    let python = if python.as_str().is_empty() { env!("MOD_WSGI_RS_DEFAULT_PYTHON").into() } else { python };
    launch::Group {
        name: group.name.clone(),
        origin: group.origin.to_string(),
        processes: usize::try_from(options.processes().0).unwrap_or(1),
        listeners: sockets.listeners.iter().map(AsRawFd::as_raw_fd).collect(),
        log,
        log_level: log::server_level(&server_of(main, &group.name)),
        identity: identity(Some(group), &Machine),
        process: process_settings(group, settings),
        python: python.as_str().to_owned(),
        python_arguments: arguments(settings),
        shutdown_timeout: milliseconds(options.shutdown_timeout().0),
        graceful_timeout: milliseconds(options.graceful_timeout().0),
        exclusive: options.is_exclusive(),
        startup_timeout: milliseconds(options.startup_timeout().0),
        shared,
        worker: worker(main, group, config, sockets.key),
    }
}

/// Who must own the scripts of the group. An account that is gone owns nothing, so nothing is run then.
pub fn owner(options: &GroupOptions) -> Option<Owner> {
    const NOBODY: u32 = u32::MAX;
    if let Some(name) = &options.script_user {
        return Some(Owner::User(Machine.user(name.as_str()).map_or(NOBODY, |user| user.uid)));
    }
    let name = options.script_group.as_ref()?;
    Some(Owner::Group(Machine.group(name.as_str()).unwrap_or(NOBODY)))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Arguments of the interpreter for directives that are settings of Python's own.
fn arguments(settings: &ServerSettings) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(level) = &settings.python_optimize {
        arguments.extend((0..level.value.0.min(2)).map(|_| "-O".to_owned()));
    }
    if settings.dont_write_bytecode().is_on() {
        arguments.push("-B".to_owned());
    }
    for warning in &settings.python_warnings().0 {
        arguments.extend(["-W".to_owned(), warning.clone()]);
    }
    arguments
}

fn process_settings(group: &Group, settings: &ServerSettings) -> ProcessSettings {
    let options = &group.options;
    let mut environment = Vec::new();
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            environment.push((name.to_owned(), value.to_owned()));
        }
    };
    set("LANG", options.lang().as_str());
    set("LC_ALL", options.locale().as_str());
    match settings.python_hash_seed.as_ref().map(|seed| seed.value) {
        Some(HashSeed::Random) => set("PYTHONHASHSEED", "random"),
        Some(HashSeed::Fixed(seed)) => set("PYTHONHASHSEED", &seed.to_string()),
        None => {}
    }
    let path = |path: Option<&model::directive::value::AbsolutePath>| path.map(|path| path.0.clone());
    ProcessSettings {
        umask: options.umask().map(|mask| mask.0),
        chroot: path(options.chroot.as_ref()),
        home: path(options.home.as_ref()),
        environment,
        cpu_priority: options.cpu_priority().0,
        cpu_time_limit: options.cpu_time_limit().0.as_secs(),
        memory_limit: options.memory_limit().0,
        virtual_memory_limit: options.virtual_memory_limit().0,
        no_new_privileges: options.no_new_privs().is_on(),
    }
}

fn worker(main: Server<'_>, group: &Group, config: &ServerConfig, key: [u8; KEY_LENGTH]) -> Worker {
    let options = &group.options;
    let settings = &config.written.settings;
    let title = options.display_name().as_str().replace("%{GROUP}", &format!("(wsgi:{})", group.name));
    let shutdown = Some(options.shutdown_timeout().0).filter(|time| !time.is_zero()).unwrap_or(LONGEST_SHUTDOWN);
    let header = Some(options.header_buffer_size().0).filter(|size| *size != 0).unwrap_or(HEADER_LIMIT);
    let timeout = Some(options.socket_timeout().0).filter(|time| !time.is_zero());
    Worker {
        build_id: model::BUILD_ID.to_owned(),
        group: group.name.clone(),
        incarnation: 0,
        key,
        peers: peers(),
        threads: options.threads().0,
        processes: options.processes().0,
        multiprocess: options.processes.is_some(),
        stack_size: options.stack_size().0,
        dumpable: options.dumpable.map_or_else(process::dumps_core, |dumpable| dumpable.is_on()),
        title,
        python_path: options.python_path().0,
        home: options.home.as_ref().map(|home| home.0.clone()),
        python_eggs: options.python_eggs().0,
        locale: options.locale().0,
        switch_interval: options.switch_interval().map(|interval| interval.0),
        interpreters: config.written.interpreters.clone(),
        preloads: preloads(main, group),
        destroy_interpreters: settings.destroy_interpreter().is_on(),
        case_sensitive: settings.case_sensitivity().is_on(),
        interpreter_limit: INTERPRETER_LIMIT,
        shutdown_milliseconds: milliseconds(shutdown),
        limits: limits(options),
        socket_timeout: milliseconds(timeout.unwrap_or_else(|| main.timeout())),
        flush_delay: milliseconds(options.response_flush_delay().0),
        send_buffer: usize::try_from(options.receive_buffer_size().0).unwrap_or(0),
        header_limit: usize::try_from(header).unwrap_or(usize::MAX),
        server_version: process::version(),
        server_description: text(process::banner(&main)),
        mpm_name: text(process::mpm_of(&main)),
        server_built: text(process::built_of(&main)),
    }
}

fn limits(options: &GroupOptions) -> Limits {
    Limits {
        maximum_requests: options.maximum_requests().0.into(),
        maximum_requests_jitter: options.maximum_requests_jitter().0.into(),
        restart_interval: milliseconds(options.restart_interval().0),
        inactivity_timeout: milliseconds(options.inactivity_timeout().0),
        deadlock_timeout: milliseconds(options.deadlock_timeout().0),
        request_timeout: milliseconds(options.request_timeout().0),
        interrupt_timeout: milliseconds(options.interrupt_timeout().0),
        graceful_timeout: milliseconds(options.graceful_timeout().0),
        eviction_timeout: milliseconds(options.eviction_timeout().0),
    }
}

/// The users of httpd's children. Root may do what it likes anyway, and `httpd -X` may remain root.
fn peers() -> Option<Vec<u32>> {
    let (own, _) = unix::accounts::own();
    let user = if unix::accounts::is_root() { process::user().0 } else { own };
    (!process::changes_users()).then(|| vec![user, own])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The scripts that the group's processes load when they start, each with its interpreter.
fn preloads(main: Server<'_>, group: &Group) -> Vec<(String, String)> {
    let (mut preloads, root) = (Vec::new(), group.options.chroot.as_ref());
    let group = group.name.as_str();
    for settings in main.chain().filter_map(|server| ServerConfig::of(&server)).map(|config| &config.written.settings) {
        for import in &settings.import_scripts().0 {
            if import.options.process_group().name() == group {
                preloads.push((import.options.application_group().name().to_owned(), import.path.clone()));
            }
        }
        for alias in &settings.script_aliases().0 {
            if let Some((process_group, application_group)) = alias.preload().filter(|(name, _)| *name == group) {
                debug_assert_eq!(process_group, group);
                preloads.push((application_group.to_owned(), alias.target.clone()));
            }
        }
    }
    for (_, path) in &mut preloads {
        *path = root.and_then(|root| root::inside(&root.0, path)).unwrap_or(path).to_owned();
    }
    let mut known = std::collections::HashSet::new();
    preloads.retain(|preload| known.insert(preload.clone()));
    preloads
}
