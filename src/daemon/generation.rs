// SPDX-License-Identifier: Apache-2.0
//! The parent's part: sockets, board and supervisor of each generation of the configuration.

#![forbid(unsafe_code)]

use super::{Channel, INHERITED, Inherited, Pool as Connections, plan};
use crate::apache::client::Slowness;
use crate::apache::log;
use crate::apache::pool::Pool;
use crate::apache::process::{self, End, Parent};
use crate::apache::server::Server;
use crate::config::ServerConfig;
use crate::embedded;
use model::admission::{Board, Shape};
use model::daemon::{Group, GroupOptions};
use model::directive::Origin;
use model::event::Event;
use model::launch::{Plan, order};
use model::supervision::SLACK;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use unix::program::Answer;
use unix::shared::{Shared, create, pid_of, ring};

/// A supervisor that lives less than this has failed to start.
const SOON: Duration = Duration::from_secs(1);
/// How often in a row a supervisor may fail to start.
const ATTEMPTS: u32 = 5;
/// How long the parent waits for the supervisor to have read its plan.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(2);
/// How much of an answer may wait in memory where nothing is said.
const ROOM: usize = 8 << 20;
/// How many generations may be old and still have workers.
const OLD: usize = 3;
/// How many requests may wait in order for each group.
const QUEUE: (usize, usize) = (16, 4096);

/// The generations whose children may still be there; the last one is the present one unless the configuration is being read.
static GENERATIONS: Mutex<Vec<Generation>> = Mutex::new(Vec::new());

fn generations() -> MutexGuard<'static, Vec<Generation>> {
    GENERATIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that a supervisor is started with, so that another one can take its place.
struct Generation {
    /// httpd's number of it.
    number: u32,
    /// Whether its configuration is the present one.
    is_present: bool,
    /// What its supervisor was told, and the next one would have to be.
    order: Option<u8>,
    /// The plan, sealed.
    description: OwnedFd,
    runtime: OwnedFd,
    board: OwnedFd,
    words: Shared,
    shape: Shape,
    listeners: Vec<OwnedFd>,
    logs: Vec<OwnedFd>,
    /// The end of the pipe that the supervisor watches.
    alive: OwnedFd,
    /// The end that children hold, and the parent as long as the configuration is the present one.
    keeper: Option<OwnedFd>,
    /// How many children were born with it and live.
    children: u32,
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
    begin(parent, pool, main);
    retire(&mut generations());
}

fn begin(parent: Parent, pool: Pool<'_>, main: Server<'_>) {
    let Some(config) = ServerConfig::of(&main) else { return };
    let mut groups: Vec<_> = config.groups.in_order().into_iter().map(|declared| declared.group.clone()).collect();
    if let Some(event) = embedded::must_run_elsewhere(main) {
        log::server_event(&Event::EmbeddedInGroup { reason: event.to_string() });
        groups.push(implicit());
    }
    if groups.is_empty() {
        return;
    }
    pool.on_clear(stop);
    let launched = open(parent, pool, main, &groups).and_then(|(inherited, mut generation)| {
        generation.start_supervisor()?;
        process::watch(parent, main, generation.pid, supervisor_ended);
        Ok((inherited, generation))
    });
    match launched {
        Ok((inherited, generation)) => {
            *INHERITED.write().unwrap_or_else(PoisonError::into_inner) = Some(inherited);
            generations().push(generation);
        }
        Err(error) => log::server_event(&Event::SupervisorFailed { reason: error.to_string() }),
    }
}

/// Tells the supervisors of earlier configurations that they are old, and ends the oldest if there are too many. Until now they
/// had what they needed to serve.
fn retire(generations: &mut [Generation]) {
    for generation in generations.iter_mut().filter(|generation| !generation.is_present && generation.order.is_none()) {
        generation.tell(order::OLD);
    }
    let old = |generation: &&mut Generation| generation.order == Some(order::OLD);
    let surplus = generations.iter_mut().filter(old).count().saturating_sub(OLD);
    for generation in generations.iter_mut().filter(old).take(surplus) {
        log::server_event(&Event::GenerationExpired { generation: generation.number });
        generation.tell(order::EXPIRE);
    }
}

/// The group without a name, in which embedded mode runs where children cannot run it.
fn implicit() -> Group {
    Group { name: String::new(), options: GroupOptions::default(), origin: Origin { file: "httpd".into(), line: 0 } }
}

/// The sockets of one group.
struct Opened {
    listeners: Vec<OwnedFd>,
    processes: Vec<(OwnedFd, Connections)>,
}

/// Opens a socket for each process of a group, and for the one that may start beside them to replace one.
fn open_sockets(directory: &Path, options: &GroupOptions) -> io::Result<Opened> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut opened = Opened { listeners: Vec::new(), processes: Vec::new() };
    for _ in 0..options.processes().0 + u32::from(!options.is_exclusive()) {
        let name = format!("wsgi.{}.{}.sock", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let listening = unix::channel::listen_in(directory, &name, options.listen_backlog().0)?;
        opened.listeners.push(listening.listener);
        opened.processes.push((listening.address, Connections::default()));
    }
    Ok(opened)
}

fn slowness(options: &GroupOptions) -> Slowness {
    let times = [options.response_socket_timeout().0, options.socket_timeout().0];
    let room = Some(options.response_buffer_size().0).filter(|size| *size > 0);
    Slowness {
        room: room.map_or(ROOM, |size| usize::try_from(size).unwrap_or(ROOM)),
        patience: times.into_iter().find(|time| !time.is_zero()),
    }
}

/// Opens the groups' sockets and writes the plan.
fn open(parent: Parent, pool: Pool<'_>, main: Server<'_>, groups: &[Group]) -> io::Result<(Inherited, Generation)> {
    let runtime = embedded::runtime_descriptor().ok_or_else(|| io::Error::other("its files are not installed"))?;
    let directory = plan::socket_directory(parent, pool, main)?;
    let number = process::generation();
    let (mut channels, mut listeners, mut logs, mut planned) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
    let mut divisions = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        let options = &group.options;
        let opened = open_sockets(&directory, options)?;
        let key = unix::program::secret()?;
        let numbers = opened.listeners.iter().map(AsRawFd::as_raw_fd).collect();
        let log = plan::log_of(main, &group.name).and_then(|log| unix::descriptor::duplicate(log).ok());
        planned.push(plan::group(main, group, numbers, log.as_ref().map(AsRawFd::as_raw_fd), key));
        logs.extend(log);
        listeners.extend(opened.listeners);
        divisions.push((opened.processes.len(), usize::try_from(options.threads().0).unwrap_or(0)));
        let limit = |time: Duration| Some(time).filter(|time| !time.is_zero());
        let channel = Channel {
            number: place,
            processes: opened.processes,
            key,
            owner: plan::owner(options),
            root: options.chroot.as_ref().map(|root| root.0.clone()),
            threads: options.threads().0,
            backlog: usize::try_from(options.listen_backlog().0).unwrap_or(usize::MAX),
            connect_timeout: options.connect_timeout().0,
            queue_timeout: limit(options.queue_timeout().0),
            socket_timeout: limit(options.socket_timeout().0),
            send_buffer: usize::try_from(options.send_buffer_size().0).unwrap_or(0),
            slowness: slowness(options),
        };
        channels.insert(group.name.clone(), Arc::new(channel));
    }
    let patience = planned.iter().map(|group| group.shutdown_timeout).max().unwrap_or(0);
    let shape = shape(divisions);
    let board = create("mod_wsgi_rs board", shape.length())?;
    let words = Shared::map(&board, shape.length())?;
    Board::new(words.words(), &shape).ok_or_else(|| io::Error::other("the board is too small"))?.clear();
    let plan = Plan {
        build_id: model::BUILD_ID.to_owned(),
        generation: number,
        runtime: runtime.as_raw_fd(),
        privileged: unix::accounts::is_root(),
        board: board.as_raw_fd(),
        shape: shape.clone(),
        groups: planned,
    };
    let (alive, keeper) = unix::program::pipe()?;
    let copy = board.try_clone()?;
    let generation = Generation {
        number,
        is_present: true,
        order: None,
        description: unix::program::sealed("mod_wsgi_rs plan", &serde_json::to_vec(&plan)?)?,
        runtime,
        board,
        words,
        shape: shape.clone(),
        listeners,
        logs,
        alive,
        keeper: Some(keeper),
        children: 0,
        pid: 0,
        started: Instant::now(),
        failures: 0,
        patience: Duration::from_millis(patience) + 2 * SLACK,
        user: if unix::accounts::is_root() { process::user().0 } else { unix::accounts::own().0 },
    };
    Ok((Inherited { channels, board: copy, shape }, generation))
}

/// A board with rows for twice the children that there may be: old ones leave slowly.
fn shape(groups: Vec<(usize, usize)>) -> Shape {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let children = number(process::process_limit()).clamp(1, 1 << 16);
    let (least, most) = QUEUE;
    let requests = number(process::maximum_processes().saturating_mul(process::threads_per_process()));
    Shape { rows: 2 * children, queue: requests.clamp(least, most).next_power_of_two(), groups }
}

impl Generation {
    /// Tells the supervisor something, and the one that may take its place.
    fn tell(&mut self, order: u8) {
        self.order = Some(order);
        // Without /proc it learns only of its last child's end.
        let _ = unix::program::write_back(&self.alive, order);
    }

    /// Tells the supervisor to end its workers at once.
    fn end(&mut self) {
        self.tell(order::STOP);
        unix::program::terminate(self.pid);
    }

    /// Starts a supervisor, and waits until it has read its plan.
    fn start_supervisor(&mut self) -> io::Result<()> {
        let (ready, acknowledge) = unix::program::pipe()?;
        unix::program::rewind(&self.description)?;
        let told = [&self.description, &acknowledge, &self.alive];
        let told_as = told.iter().map(|descriptor| descriptor.as_raw_fd().to_string());
        let arguments: Vec<_> = told_as.chain([plan::LOG_LEVEL.to_string(), self.user.to_string()]).collect();
        let inherited = told.into_iter().chain([&self.runtime, &self.board]).chain(&self.listeners).chain(&self.logs);
        let program = PathBuf::from(format!("/proc/self/fd/{}/wsgi-supervisor", self.runtime.as_raw_fd()));
        self.pid = unix::program::start(&program, &arguments, inherited.map(AsRawFd::as_raw_fd).collect())?;
        self.started = Instant::now();
        drop(acknowledge);
        match unix::program::answers(File::from(ready), ACKNOWLEDGEMENT) {
            // On a slow machine it may answer later; the server does not wait for it.
            Answer::Given | Answer::Late => Ok(()),
            Answer::Never => Err(io::Error::other("the supervisor ended at once")),
        }
    }
}

/// In the parent, when a supervisor has ended: if children may still need it, another takes its place.
fn supervisor_ended(parent: Parent, pid: u32, end: End) {
    let mut generations = generations();
    // It may see that its children are gone before this process does, or have been told to end.
    generations.retain(|generation| generation.pid != pid || generation.is_present || end != End::Clean);
    let Some(generation) = generations.iter_mut().find(|generation| generation.pid == pid) else { return };
    let soon = generation.started.elapsed() < SOON;
    generation.failures = if soon { generation.failures + 1 } else { 0 };
    let reason = if generation.failures < ATTEMPTS {
        log::server_event(&Event::SupervisorLost { pid });
        if let Some(order) = generation.order {
            generation.tell(order);
        }
        match generation.start_supervisor() {
            Ok(()) => return process::watch_from_anywhere(parent, generation.pid, supervisor_ended),
            Err(error) => error.to_string(),
        }
    } else {
        format!("the supervisor ended {ATTEMPTS} times in a row soon after its start")
    };
    // Another process may get its number.
    generation.pid = 0;
    log::server_event(&Event::SupervisorFailed { reason });
}

/// In the parent, when a child of that generation was started.
pub fn child_forked(_parent: Parent, number: u32) {
    let mut generations = generations();
    if let Some(generation) = generations.iter_mut().find(|generation| generation.number == number) {
        generation.children += 1;
    }
}

/// In the parent, when a child has ended: what it held of workers' threads is free. With the last child of an old generation
/// its workers are not needed any more.
pub fn child_ended(_parent: Parent, pid: u32, number: u32) {
    let mut generations = generations();
    for generation in generations.iter_mut() {
        if generation.number == number {
            generation.children = generation.children.saturating_sub(1);
        }
        if let Some(board) = Board::new(generation.words.words(), &generation.shape) {
            board.forget(|name| pid_of(name) == pid).into_iter().for_each(ring);
        }
    }
    end_deserted(&mut generations);
}

/// Ends the supervisors that no child needs any more. They would notice themselves, unless something that a child left
/// behind holds the pipe.
fn end_deserted(generations: &mut Vec<Generation>) {
    generations.retain_mut(|generation| {
        let deserted = !generation.is_present && generation.children == 0;
        if deserted {
            generation.end();
        }
        !deserted
    });
}

/// In the parent, when the configuration goes: the supervisor ends when the last child of its generation has. When httpd
/// ends, the parent waits for all of them.
fn stop() {
    *INHERITED.write().unwrap_or_else(PoisonError::into_inner) = None;
    let mut generations = generations();
    for generation in generations.iter_mut() {
        (generation.is_present, generation.keeper) = (false, None);
    }
    if !process::is_ending() {
        return end_deserted(&mut generations);
    }
    let mut ending: Vec<_> = generations.drain(..).collect();
    ending.iter_mut().for_each(Generation::end);
    let patience = ending.iter().map(|generation| generation.patience).max().unwrap_or_default();
    let deadline = Instant::now() + patience;
    for Generation { pid, .. } in ending {
        let _ = unix::program::wait_for(pid, deadline.saturating_duration_since(Instant::now()));
    }
}
