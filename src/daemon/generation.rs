// SPDX-License-Identifier: Apache-2.0
//! The parent's part: sockets, board and supervisor of each generation of the configuration.

#![forbid(unsafe_code)]

use super::estate::{Estate, Memory, Sockets, places};
use super::{Channel, INHERITED, Inherited, plan};
use crate::apache::client::Slowness;
use crate::apache::log;
use crate::apache::pool::Pool;
use crate::apache::process::{self, End, Parent};
use crate::apache::server::Server;
use crate::config::ServerConfig;
use crate::embedded;
use model::daemon::{Group, GroupOptions};
use model::directive::Origin;
use model::event::Event;
use model::launch::{self, Plan, order};
use model::supervision::SLACK;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use unix::program::Answer;

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
/// The generations whose children may still be there; the last one is the present one unless the configuration is being read.
static GENERATIONS: Mutex<Vec<Generation>> = Mutex::new(Vec::new());

/// What the generation had that was the present one, while the configuration is being read.
static LEFT: Mutex<Vec<Arc<Estate>>> = Mutex::new(Vec::new());

fn left() -> MutexGuard<'static, Vec<Arc<Estate>>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    memory: Arc<Memory>,
    sockets: Vec<Arc<Sockets>>,
    /// What it shares with other generations.
    estates: Vec<Arc<Estate>>,
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
    left().clear();
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
        generation.estates.iter().for_each(|estate| estate.hand_over(generation.number));
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

fn slowness(options: &GroupOptions) -> Slowness {
    let times = [options.response_socket_timeout().0, options.socket_timeout().0];
    let room = Some(options.response_buffer_size().0).filter(|size| *size > 0);
    Slowness {
        room: room.map_or(ROOM, |size| usize::try_from(size).unwrap_or(ROOM)),
        patience: times.into_iter().find(|time| !time.is_zero()),
    }
}

/// What the group had in an earlier generation.
fn earlier(name: &str) -> Option<Arc<Estate>> {
    let (left, generations) = (left(), generations());
    let mut estates = left.iter().chain(generations.iter().rev().flat_map(|generation| &generation.estates));
    estates.find(|estate| estate.name == name).cloned()
}

/// What the parts of a generation are put together from.
#[derive(Default)]
struct Draft {
    channels: HashMap<String, Arc<Channel>>,
    /// The board of the groups that have none of their own is the first.
    boards: Vec<Arc<Memory>>,
    sockets: Vec<Arc<Sockets>>,
    estates: Vec<Arc<Estate>>,
    logs: Vec<OwnedFd>,
    planned: Vec<launch::Group>,
}

impl Draft {
    /// Opens a group's sockets, or takes them over, and plans it.
    fn add(&mut self, main: Server<'_>, group: &Group, directory: &Path, place: usize) -> io::Result<()> {
        let options = &group.options;
        let mut shared = None;
        let (sockets, board, number) = if options.is_exclusive() {
            let estate = Estate::of(&group.name, options, earlier(&group.name).as_ref(), directory)?;
            shared = Some(estate.part(process::generation()));
            self.boards.push(estate.memory.clone());
            self.estates.push(estate.clone());
            (estate.sockets.clone(), self.boards.len() - 1, 0)
        } else {
            (Arc::new(Sockets::open(directory, options)?), 0, place)
        };
        let log = plan::log_of(main, &group.name).and_then(|log| unix::descriptor::duplicate(log).ok());
        self.planned.push(plan::group(main, group, &sockets, log.as_ref().map(AsRawFd::as_raw_fd), shared));
        self.logs.extend(log);
        self.sockets.push(sockets.clone());
        self.channels.insert(group.name.clone(), Arc::new(channel(options, sockets, (board, number))));
        Ok(())
    }
}

fn channel(options: &GroupOptions, sockets: Arc<Sockets>, (board, number): (usize, usize)) -> Channel {
    let limit = |time: Duration| Some(time).filter(|time| !time.is_zero());
    Channel {
        board,
        number,
        pools: sockets.addresses.iter().map(|_| Default::default()).collect(),
        sockets,
        owner: plan::owner(options),
        root: options.chroot.as_ref().map(|root| root.0.clone()),
        threads: options.threads().0,
        backlog: usize::try_from(options.listen_backlog().0).unwrap_or(usize::MAX),
        connect_timeout: options.connect_timeout().0,
        queue_timeout: limit(options.queue_timeout().0),
        socket_timeout: limit(options.socket_timeout().0),
        send_buffer: usize::try_from(options.send_buffer_size().0).unwrap_or(0),
        slowness: slowness(options),
    }
}

/// The board of the groups that share nothing with other generations.
fn common_board(groups: &[Group]) -> io::Result<Arc<Memory>> {
    let common = groups.iter().map(|group| &group.options).filter(|options| !options.is_exclusive());
    let threads = |options: &GroupOptions| usize::try_from(options.threads().0).unwrap_or(0);
    Ok(Arc::new(Memory::new(common.map(|options| (places(options), threads(options))).collect())?))
}

/// Opens the groups' sockets and writes the plan.
fn open(parent: Parent, pool: Pool<'_>, main: Server<'_>, groups: &[Group]) -> io::Result<(Inherited, Generation)> {
    let runtime = embedded::runtime_descriptor().ok_or_else(|| io::Error::other("its files are not installed"))?;
    let directory = plan::socket_directory(parent, pool, main)?;
    let number = process::generation();
    let memory = common_board(groups)?;
    let mut draft = Draft { boards: vec![memory.clone()], ..Draft::default() };
    let mut common = 0;
    for group in groups {
        draft.add(main, group, &directory, common)?;
        common += usize::from(!group.options.is_exclusive());
    }
    let Draft { channels, boards, sockets, estates, logs, planned } = draft;
    let patience = planned.iter().map(|group| group.shutdown_timeout).max().unwrap_or(0);
    let plan = Plan {
        build_id: model::BUILD_ID.to_owned(),
        generation: number,
        runtime: runtime.as_raw_fd(),
        privileged: unix::accounts::is_root(),
        board: memory.file.as_raw_fd(),
        shape: memory.shape.clone(),
        groups: planned,
    };
    let (alive, keeper) = unix::program::pipe()?;
    let generation = Generation {
        number,
        is_present: true,
        order: None,
        description: unix::program::sealed("mod_wsgi_rs plan", &serde_json::to_vec(&plan)?)?,
        runtime,
        memory,
        sockets,
        estates,
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
    Ok((Inherited { channels, boards }, generation))
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
        let shared = self.estates.iter().flat_map(|estate| estate.descriptors());
        let listeners = self.sockets.iter().flat_map(|sockets| &sockets.listeners);
        let inherited = told.into_iter().chain([&self.runtime, &self.memory.file]).chain(&self.logs);
        let inherited = inherited.chain(listeners).chain(shared);
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
        generation.memory.forget(pid);
        generation.estates.iter().for_each(|estate| estate.memory.forget(pid));
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
        if generation.is_present && !process::is_ending() {
            *left() = generation.estates.clone();
        }
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
