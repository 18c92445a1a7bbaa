// SPDX-License-Identifier: Apache-2.0
//! What httpd's parent is to the supervisor: plan, pipes, listeners, and the error log.

use model::BUILD_ID;
use model::admission::{Board, Group as OnBoard, Shape};
use model::configuration::files::Identity;
use model::event::Level;
use model::interpreter::InterpreterOptions;
use model::launch::{Group, Limits, Plan, ProcessSettings, SharedPart, Worker};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use unix::children::{self, End};
use unix::readiness::Interest;
use unix::{program, shared};

const PATIENCE: Duration = Duration::from_secs(30);

pub fn is_root() -> bool {
    unix::accounts::is_root()
}

pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "no sign of {what}");
        let _ = unix::readiness::wait(&[], Some(Duration::from_millis(5)));
    }
}

pub fn has_ended(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.contains("State:") || status.contains("State:\tZ")
}

pub fn kill(pid: i32, signal: &str) {
    let command = format!("kill -{signal} {pid}");
    assert!(Command::new("/bin/sh").args(["-c", &command]).status().unwrap().success(), "{command}");
}

pub fn nobody() -> Identity {
    Identity { name: "nobody".into(), uid: 65534, gid: 65533, groups: vec![65532, 65534] }
}

/// Everything that comes out of a pipe until its end.
fn answer(pipe: OwnedFd) -> Vec<u8> {
    let mut all = Vec::new();
    File::from(pipe).read_to_end(&mut all).unwrap();
    all
}

/// A directory with `bin/python`, which is this program.
pub fn runtime() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = std::env::temp_dir().canonicalize().unwrap().join(format!("mwrs-python-{}", std::process::id()));
        let program = prefix.join("bin/python");
        fs::create_dir_all(prefix.join("bin")).unwrap();
        for folder in [&prefix, &prefix.join("bin")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        prefix
    })
}

/// Removes what the tests shared.
pub fn tidy() {
    let _ = fs::remove_dir_all(runtime());
}

/// What a supervisor is going to be started with.
pub struct Bench {
    pub folder: PathBuf,
    pub build: String,
    pub privileged: bool,
    pub level: Option<Level>,
    pub stderr: Option<OwnedFd>,
    /// What the supervisor's command line begins with.
    pub prefix: &'static str,
    /// In place of the right one.
    pub board: Option<OwnedFd>,
    /// In place of the right one.
    pub shape: Option<Shape>,
    /// What the supervisor is told before it is there.
    pub order: Option<u8>,
    groups: Vec<Group>,
    inherited: Vec<OwnedFd>,
    unread: Vec<OwnedFd>,
}

impl Bench {
    pub fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("mwrs-supervising-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            build: BUILD_ID.to_owned(),
            privileged: false,
            level: Some(Level::Debug),
            stderr: None,
            prefix: "",
            board: None,
            shape: None,
            order: None,
            groups: Vec::new(),
            inherited: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Adds a group whose one worker behaves as `mode` says.
    pub fn group(&mut self, name: &str, mode: &str) -> &mut Group {
        self.group_of(1, name, mode)
    }

    /// Adds a group with so many workers, each of which ends before the next one starts in its place.
    pub fn group_of(&mut self, processes: usize, name: &str, mode: &str) -> &mut Group {
        self.add(processes, processes, name, mode)
    }

    /// Adds a group with so many workers, and a place for a replacement.
    pub fn roomy(&mut self, processes: usize, name: &str, mode: &str) -> &mut Group {
        self.add(processes, processes + 1, name, mode)
    }

    fn add(&mut self, processes: usize, places: usize, name: &str, mode: &str) -> &mut Group {
        let listeners = (0..places).map(|number| {
            let listener = UnixListener::bind(self.socket(name, number)).unwrap();
            self.inherited.push(listener.into());
            self.inherited.last().unwrap().as_raw_fd()
        });
        let group = Group {
            name: name.to_owned(),
            origin: "test:1".to_owned(),
            processes,
            listeners: listeners.collect(),
            log: None,
            log_level: Level::Debug,
            identity: nobody(),
            process: ProcessSettings::default(),
            python: runtime().display().to_string(),
            python_arguments: vec![mode.to_owned()],
            shutdown_timeout: 20_000,
            graceful_timeout: 10_000,
            exclusive: places == processes,
            startup_timeout: 0,
            shared: None,
            worker: worker(name),
        };
        self.groups.push(group);
        self.groups.last_mut().unwrap()
    }

    /// Makes the group that was added last one that generations share: its board, and the lock of its place.
    pub fn share(&mut self) -> (Board<'static>, OwnedFd) {
        let group = self.groups.last_mut().unwrap();
        let shape = Shape { rows: 4, queue: 4, groups: vec![(1, 8)] };
        let file = shared::create("board", shape.length()).unwrap();
        let lock = unix::descriptor::lock_file().unwrap();
        let part = SharedPart { board: file.as_raw_fd(), shape, locks: vec![lock.as_raw_fd()], owner: 1 };
        let words = shared::Shared::map(&file, part.shape.length()).unwrap().leak();
        let board = Board::new(words, &part.shape).unwrap();
        board.clear();
        group.shared = Some(part);
        let copy = lock.try_clone().unwrap();
        self.inherited.extend([file, lock]);
        (board, copy)
    }

    /// Lets further workers of the group that was added last behave as `mode` says.
    pub fn change(&mut self, mode: &str) {
        self.groups.last_mut().unwrap().python_arguments = vec![mode.to_owned()];
    }

    /// Lets the next supervisor be of a later generation.
    pub fn next_generation(&mut self) {
        self.groups.iter_mut().filter_map(|group| group.shared.as_mut()).for_each(|shared| shared.owner += 1);
    }

    fn socket(&self, group: &str, number: usize) -> PathBuf {
        self.folder.join(format!("{group}.{number}.sock"))
    }

    /// Makes the worker in that place of a group do what its mode waits for.
    pub fn poke(&self, group: &str, number: usize) {
        UnixStream::connect(self.socket(group, number)).unwrap();
    }

    /// A file that the supervisor inherits: its descriptor, and where it is.
    pub fn file(&mut self, name: &str) -> (i32, PathBuf) {
        let path = self.folder.join(name);
        self.inherited.push(File::create(&path).unwrap().into());
        (self.inherited.last().unwrap().as_raw_fd(), path)
    }

    /// A pipe that nobody reads: the descriptor that the supervisor inherits.
    pub fn pipe(&mut self) -> i32 {
        let (reader, writer) = program::pipe().unwrap();
        self.unread.push(reader);
        self.inherited.push(writer);
        self.inherited.last().unwrap().as_raw_fd()
    }

    /// Whether a pipe takes no more.
    pub fn is_full(&self, pipe: i32) -> bool {
        let pipe = self.inherited.iter().find(|own| own.as_raw_fd() == pipe).unwrap();
        unix::readiness::wait(&[(pipe.as_fd(), Interest::Write)], Some(Duration::ZERO)).unwrap() == [false]
    }

    fn right_shape(&self) -> Shape {
        let threads = |group: &Group| usize::try_from(group.worker.threads).unwrap();
        let common = self.groups.iter().filter(|group| group.shared.is_none());
        let groups = common.map(|group| (group.listeners.len(), threads(group))).collect();
        Shape { rows: 4, queue: 4, groups }
    }

    /// The board, which is the same for all supervisors of this bench.
    pub fn board(&mut self) -> Board<'static> {
        let shape = self.right_shape();
        let is_new = self.board.is_none();
        let file = self.board.get_or_insert_with(|| shared::create("board", shape.length()).unwrap());
        let words = shared::Shared::map(file, shape.length()).unwrap().leak();
        let board = Board::new(words, &shape).unwrap();
        if is_new {
            board.clear();
        }
        board
    }

    /// Starts the supervisor and waits for its acknowledgement.
    pub fn start(&mut self) -> Run {
        let board = self.board();
        let (mut run, acknowledgement) = self.launch();
        assert_eq!(answer(acknowledgement), b"R", "{}", run.log());
        run.board = Some(board);
        run
    }

    /// Starts a supervisor that is not going to acknowledge.
    pub fn start_unanswered(&mut self) -> Run {
        if self.board.is_none() {
            self.board();
        }
        let (run, acknowledgement) = self.launch();
        assert_eq!(answer(acknowledgement), b"");
        run
    }

    fn launch(&self) -> (Run, OwnedFd) {
        let runtime = unix::descriptor::open_directory(runtime()).unwrap();
        let board = self.board.as_ref().unwrap();
        let plan = Plan {
            build_id: self.build.clone(),
            generation: 0,
            runtime: runtime.as_raw_fd(),
            privileged: self.privileged,
            board: board.as_raw_fd(),
            shape: self.shape.clone().unwrap_or_else(|| self.right_shape()),
            groups: self.groups.clone(),
        };
        let plan = program::sealed("plan", &serde_json::to_vec(&plan).unwrap()).unwrap();
        let (ready, acknowledge) = program::pipe().unwrap();
        let (alive, keeper) = program::pipe().unwrap();
        if let Some(order) = self.order {
            assert_eq!(unix::readiness::write(&keeper, &[order]).unwrap(), 1);
        }
        let told = [&plan, &acknowledge, &alive];
        let log = self.folder.join("log");
        let mut arguments = vec![
            "-c".to_owned(),
            match &self.stderr {
                Some(stderr) => format!("BEATS='{}.beats' exec \"$0\" \"$@\" 2>&{}", log.display(), stderr.as_raw_fd()),
                None => format!("exec {} \"$0\" \"$@\" 2>>'{}'", self.prefix, log.display()),
            },
            env!("CARGO_BIN_EXE_wsgi-supervisor").to_owned(),
        ];
        arguments.extend(told.iter().map(|descriptor| descriptor.as_raw_fd().to_string()));
        arguments.extend(self.level.map(|level| (level as u8).to_string()));
        let inherited = told.into_iter().chain([&runtime, board]).chain(&self.inherited).chain(&self.stderr);
        let inherited = inherited.map(AsRawFd::as_raw_fd).collect();
        let pid = program::start(Path::new("/bin/sh"), &arguments, inherited).unwrap();
        (Run { pid: i32::try_from(pid).unwrap(), alive: Some(keeper), log, status: None, board: None }, ready)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn worker(group: &str) -> Worker {
    Worker {
        build_id: BUILD_ID.to_owned(),
        group: group.to_owned(),
        incarnation: 0,
        key: [7; 32],
        peers: None,
        threads: 2,
        processes: 1,
        multiprocess: false,
        stack_size: 8 << 20,
        dumpable: false,
        title: String::new(),
        python_path: String::new(),
        home: None,
        python_eggs: String::new(),
        locale: String::new(),
        switch_interval: None,
        interpreters: InterpreterOptions::default(),
        preloads: Vec::new(),
        destroy_interpreters: true,
        case_sensitive: true,
        interpreter_limit: 256,
        shutdown_milliseconds: 1000,
        limits: Limits::default(),
        socket_timeout: 1000,
        flush_delay: 5,
        send_buffer: 0,
        header_limit: 8190,
        server_version: [2, 4, 0],
        server_description: String::new(),
        mpm_name: String::new(),
        server_built: String::new(),
    }
}

/// A supervisor that was started.
pub struct Run {
    pid: i32,
    alive: Option<OwnedFd>,
    log: PathBuf,
    status: Option<End>,
    board: Option<Board<'static>>,
}

impl Run {
    /// What the board says of a group.
    pub fn group(&self, number: usize) -> &OnBoard<'static> {
        &self.board.as_ref().unwrap().groups()[number]
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until so many lines of the log have the text; with 0, sees that none has.
    pub fn sees(&self, text: &str, count: usize) {
        if count == 0 {
            return assert!(!self.log().contains(text), "{}", self.log());
        }
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < count {
            assert!(Instant::now() < deadline, "no sign of {count} × '{text}':\n{}", self.log());
            let _ = unix::readiness::wait(&[], Some(Duration::from_millis(5)));
        }
    }

    /// The processes that so many lines with the text are about.
    pub fn pids(&self, text: &str, count: usize) -> Vec<i32> {
        self.sees(text, count);
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(text));
        lines.filter_map(|line| line.split("[pid ").nth(1)?.split(']').next()?.parse().ok()).collect()
    }

    /// The processes of so many workers that became ready, in that order.
    pub fn ready(&self, count: usize) -> Vec<i32> {
        self.pids("worker is ready", count)
    }

    /// The process of the group that a line with the text is about.
    pub fn pid_of(&self, group: &str, text: &str) -> i32 {
        self.pids(&format!("process group '{group}': {text}"), 1)[0]
    }

    /// The first line about the process with the text.
    pub fn line_of(&self, pid: i32, text: &str) -> String {
        let find = || {
            let pid = format!("[pid {pid}]");
            self.log().lines().find(|line| line.contains(&pid) && line.contains(text)).map(str::to_owned)
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = find() {
                return line;
            }
            assert!(Instant::now() < deadline, "no '{text}' of {pid}:\n{}", self.log());
            let _ = unix::readiness::wait(&[], Some(Duration::from_millis(5)));
        }
    }

    /// As when the last process that could send requests is gone.
    pub fn release(&mut self) {
        self.alive = None;
    }

    pub fn say(&self, byte: u8) {
        assert_eq!(unix::readiness::write(self.alive.as_ref().unwrap(), &[byte]).unwrap(), 1);
    }

    pub fn signal(&self, name: &str) {
        kill(self.pid, name);
    }

    /// Waits for the supervisor's end: its status, or none if it was killed.
    pub fn status(&mut self) -> Option<i32> {
        until("the supervisor's end", || {
            self.status = children::dead_child().filter(|(pid, _)| *pid == self.pid).map(|(_, end)| end);
            self.status.is_some()
        });
        children::bury(self.pid);
        match self.status {
            Some(End::Status(status)) => Some(status),
            _ => None,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.status.is_none() {
            kill(self.pid, "KILL");
        }
    }
}
