// SPDX-License-Identifier: Apache-2.0
//! Daemon mode: the process groups' sockets and supervisor, started by the parent; requests, sent to them by children.
//!
//! For each generation of the configuration the parent opens one socket for each group and starts one supervisor, which
//! inherits them. Children inherit the descriptors through which the sockets are reached, and with them the right to send
//! requests. A pipe that the parent and its children hold tells the supervisor when nobody is left who could.

#![forbid(unsafe_code)]

mod connection;
mod plan;
mod relay;
mod root;

pub use relay::run;

use crate::apache::log;
use crate::apache::pool::Pool;
use crate::apache::process::{self, Parent};
use crate::apache::server::Server;
use crate::config::ServerConfig;
use crate::embedded;
use model::daemon::{Owner, Registry};
use model::event::{Event, Level};
use model::launch::Plan;
use model::wire::KEY_LENGTH;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The least important lines that the supervisor logs.
const LOG_LEVEL: u8 = Level::Notice as u8;
/// A supervisor that lives less than this has failed to start.
const SOON: Duration = Duration::from_secs(1);
/// How often in a row a supervisor may fail to start.
const ATTEMPTS: u32 = 5;
/// How long the parent waits for the supervisor to have read its plan.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(2);

/// What a child needs to send requests to a group.
#[derive(Debug)]
pub struct Channel {
    /// Names the group's socket.
    address: OwnedFd,
    /// Opens connections.
    key: [u8; KEY_LENGTH],
    /// Who must own the scripts that it runs.
    owner: Option<Owner>,
    /// The root of its processes, if they have another.
    root: Option<String>,
    /// How long a request waits for a connection.
    connect_timeout: Duration,
    /// How long it waits for the next bytes; `None` is httpd's `Timeout`.
    socket_timeout: Option<Duration>,
}

/// The channels of this process's generation.
static CHANNELS: RwLock<Option<HashMap<String, Arc<Channel>>>> = RwLock::new(None);
/// What the parent keeps of its present generation.
static GENERATION: Mutex<Option<Generation>> = Mutex::new(None);

/// Everything that a supervisor is started with, so that another one can take its place.
#[derive(Debug)]
struct Generation {
    /// The plan, sealed.
    description: OwnedFd,
    runtime: OwnedFd,
    listeners: Vec<OwnedFd>,
    /// The end of the pipe that the supervisor watches.
    alive: OwnedFd,
    /// The end that the parent and its children hold.
    keeper: OwnedFd,
    /// The supervisor, and when it was started.
    pid: u32,
    started: Instant,
    /// How often in a row it ended soon after its start.
    failures: u32,
    /// How long its workers may take to end.
    patience: Duration,
    /// httpd's own user.
    user: u32,
}

/// In the parent, when the configuration is complete: opens the groups' sockets and starts their supervisor.
pub fn start(parent: Parent, pool: Pool<'_>, main: Server<'_>) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Some(config) = ServerConfig::of(&main) else { return };
    if config.groups.all().next().is_none() {
        return;
    }
    pool.on_clear(stop);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let launched = open(parent, pool, main, &config.groups, number).and_then(|(channels, mut generation)| {
        generation.start_supervisor()?;
        process::watch(parent, main, generation.pid, supervisor_ended);
        Ok((channels, generation))
    });
    match launched {
        Ok((channels, generation)) => {
            *CHANNELS.write().unwrap_or_else(PoisonError::into_inner) = Some(channels);
            *GENERATION.lock().unwrap_or_else(PoisonError::into_inner) = Some(generation);
        }
        Err(error) => log::server_event(&Event::SupervisorFailed { reason: error.to_string() }),
    }
}

type Channels = HashMap<String, Arc<Channel>>;

/// Opens the groups' sockets and writes the plan.
fn open(
    parent: Parent,
    pool: Pool<'_>,
    main: Server<'_>,
    groups: &Registry,
    generation: u32,
) -> io::Result<(Channels, Generation)> {
    let runtime = embedded::runtime_descriptor().ok_or_else(|| io::Error::other("its files are not installed"))?;
    let directory = plan::socket_directory(parent, pool, main)?;
    let (mut channels, mut listeners, mut planned) = (Channels::new(), Vec::new(), Vec::new());
    for (number, declared) in groups.in_order().into_iter().enumerate() {
        let options = &declared.group.options;
        let name = format!("wsgi.{}.{generation}.{number}.sock", std::process::id());
        let listening = unix::channel::listen_in(&directory, &name, options.listen_backlog().0)?;
        let key = unix::program::secret()?;
        planned.push(plan::group(main, &declared.group, listening.listener.as_raw_fd(), key));
        listeners.push(listening.listener);
        let socket_timeout = Some(options.socket_timeout().0).filter(|time| !time.is_zero());
        let connect_timeout = options.connect_timeout().0;
        let owner = plan::owner(options);
        let root = options.chroot.as_ref().map(|root| root.0.clone());
        let channel = Channel { address: listening.address, key, owner, root, connect_timeout, socket_timeout };
        channels.insert(declared.group.name.clone(), Arc::new(channel));
    }
    let patience = planned.iter().map(|group| group.shutdown_timeout).max().unwrap_or(0);
    let plan = Plan {
        build_id: model::BUILD_ID.to_owned(),
        generation,
        runtime: runtime.as_raw_fd(),
        privileged: unix::accounts::is_root(),
        groups: planned,
    };
    let (alive, keeper) = unix::program::pipe()?;
    let generation = Generation {
        description: unix::program::sealed("mod_wsgi_rs plan", &serde_json::to_vec(&plan)?)?,
        runtime,
        listeners,
        alive,
        keeper,
        pid: 0,
        started: Instant::now(),
        failures: 0,
        patience: Duration::from_millis(patience) + Duration::from_secs(1),
        user: if unix::accounts::is_root() { process::user().0 } else { unix::accounts::own().0 },
    };
    Ok((channels, generation))
}

impl Generation {
    /// Starts a supervisor, and waits until it has read its plan.
    fn start_supervisor(&mut self) -> io::Result<()> {
        let (ready, acknowledge) = unix::program::pipe()?;
        unix::program::rewind(&self.description)?;
        let told = [&self.description, &acknowledge, &self.alive];
        let told_as = told.iter().map(|descriptor| descriptor.as_raw_fd().to_string());
        let arguments: Vec<_> = told_as.chain([LOG_LEVEL.to_string(), self.user.to_string()]).collect();
        let inherited = told.into_iter().chain([&self.runtime]).chain(&self.listeners).map(AsRawFd::as_raw_fd);
        let program = PathBuf::from(format!("/proc/self/fd/{}/wsgi-supervisor", self.runtime.as_raw_fd()));
        self.pid = unix::program::start(&program, &arguments, inherited.collect())?;
        self.started = Instant::now();
        drop(acknowledge);
        if unix::program::answers(File::from(ready), ACKNOWLEDGEMENT) {
            Ok(())
        } else {
            Err(io::Error::other("the supervisor did not answer"))
        }
    }
}

/// In the parent, when a supervisor has ended: if it is the present one, another takes its place.
fn supervisor_ended(parent: Parent, pid: u32) {
    let mut present = GENERATION.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(generation) = present.as_mut().filter(|generation| generation.pid == pid) else { return };
    let soon = generation.started.elapsed() < SOON;
    generation.failures = if soon { generation.failures + 1 } else { 0 };
    let reason = if generation.failures < ATTEMPTS {
        log::server_event(&Event::SupervisorLost { pid });
        match generation.start_supervisor() {
            Ok(()) => return process::watch_from_anywhere(parent, generation.pid, supervisor_ended),
            Err(error) => error.to_string(),
        }
    } else {
        format!("the supervisor ended {ATTEMPTS} times in a row soon after its start")
    };
    log::server_event(&Event::SupervisorFailed { reason });
}

/// In the parent, when the configuration goes: the supervisor ends when the last child of its generation has. When httpd
/// ends, the parent waits for that.
fn stop() {
    *CHANNELS.write().unwrap_or_else(PoisonError::into_inner) = None;
    let generation = GENERATION.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(generation) = generation.filter(|_| process::is_ending()) else { return };
    unix::program::tell(&generation.keeper, b'S');
    let Generation { pid, patience, keeper, .. } = generation;
    drop(keeper);
    let _ = unix::program::wait_for(pid, patience);
}

/// The channel to the group of that name.
pub fn channel(name: &str) -> Option<Arc<Channel>> {
    CHANNELS.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(name).cloned()
}
