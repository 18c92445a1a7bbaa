// SPDX-License-Identifier: Apache-2.0
//! The event loop: does what `model::supervision` decides, and passes on what workers write.

use crate::lines::{Lines, printable};
use crate::log::Log;
use crate::plan::Start;
use crate::recipe::{Kitchen, recipe};
use crate::worker::{Said, Worker, ending, trouble};
use model::event::Level;
use model::launch::{Group, control};
use model::supervision::{Action, Allowance, Ending, Moment, Place, Verdict};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use unix::children::{self, End, Signals, Told};
use unix::readiness::{self, Interest};
use unix::spawn::{Launch, spawn};

/// How much of one worker's output is read before others are looked at.
const TURN: usize = 64 << 10;
/// How many of one worker's messages are read before others are looked at.
const MESSAGES: usize = 64;
/// How many pipes of workers that are gone are kept for those whom they left behind.
const LEFT_BEHIND: usize = 256;

/// A group, and what its workers get.
struct Running {
    group: Group,
    listener: OwnedFd,
    launch: Option<Launch>,
}

/// The place of a worker.
struct Seat {
    group: usize,
    place: Place,
    worker: Option<Worker>,
}

/// What a worker, or whom it left behind, writes to standard output and error.
struct Output {
    group: usize,
    pid: i32,
    pipe: OwnedFd,
    lines: Lines,
    allowance: Allowance,
    ended: bool,
}

/// What can become readable.
#[derive(Clone, Copy)]
enum Source {
    Alive,
    Signals,
    Log,
    Control(usize),
    Trouble(usize),
    Output(usize),
}

/// Everything that the supervisor knows.
pub struct Supervisor {
    groups: Vec<Running>,
    seats: Vec<Seat>,
    outputs: Vec<Output>,
    log: Log,
    signals: Signals,
    alive: Option<OwnedFd>,
    runtime: OwnedFd,
    acknowledgement: Option<OwnedFd>,
    kitchen: Kitchen,
    generation: u32,
    closing: bool,
    begun: Instant,
    buffer: Vec<u8>,
}

impl Supervisor {
    /// The supervisor of what it was started with.
    pub fn new(start: Start, log: Log, signals: Signals) -> Result<Self, String> {
        let Start { plan, acknowledgement, alive, runtime, listeners, httpd, .. } = start;
        readiness::never_wait(&alive).map_err(|error| format!("alive: {error}"))?;
        let open_files = children::raise_open_files();
        let kitchen = Kitchen { privileged: plan.privileged, httpd, open_files };
        let mut seats = Vec::new();
        for (number, group) in plan.groups.iter().enumerate() {
            let patience = Some(Duration::from_millis(group.shutdown_timeout)).filter(|patience| !patience.is_zero());
            let place = Place::new(Moment::ZERO, patience, group.worker.threads == 0);
            seats.extend((0..group.processes).map(|_| Seat { group: number, place: place.clone(), worker: None }));
        }
        let groups = plan.groups.into_iter().zip(listeners);
        Ok(Self {
            groups: groups.map(|(group, listener)| Running { group, listener, launch: None }).collect(),
            seats,
            outputs: Vec::new(),
            log,
            signals,
            alive: Some(alive),
            runtime,
            acknowledgement: Some(acknowledgement),
            kitchen,
            generation: plan.generation,
            closing: false,
            begun: Instant::now(),
            buffer: vec![0; control::LONGEST],
        })
    }

    /// Runs until httpd needs no workers any more and all are gone.
    pub fn run(&mut self) -> io::Result<()> {
        if let Some(acknowledgement) = self.acknowledgement.take() {
            // httpd no longer waits if it took too long.
            let _ = readiness::write(&acknowledgement, b"R");
        }
        let text = format!("supervisor of generation {} starts {} workers", self.generation, self.seats.len());
        self.log.line(Level::Info, None, &text);
        loop {
            self.act();
            if self.closing && self.seats.iter().all(|seat| seat.place.is_closed()) {
                break;
            }
            for source in self.wait()? {
                self.handle(source);
            }
            self.outputs.retain(|output| !output.ended);
        }
        children::kill_orphans();
        (0..self.outputs.len()).for_each(|number| self.write_on(number, 16 * TURN));
        self.log.line(Level::Info, None, &format!("supervisor of generation {} ends", self.generation));
        self.log.finish();
        Ok(())
    }

    fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    /// Waits for something to do.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let mut sources = Vec::new();
        let mut watched = Vec::new();
        let mut watch = |source, descriptor, interest| {
            sources.push(source);
            watched.push((descriptor, interest));
        };
        for (number, output) in self.outputs.iter().enumerate() {
            watch(Source::Output(number), output.pipe.as_fd(), Interest::Read);
        }
        for (number, seat) in self.seats.iter().enumerate() {
            let Some(worker) = &seat.worker else { continue };
            if let Some(pipe) = &worker.trouble {
                watch(Source::Trouble(number), pipe.as_fd(), Interest::Read);
            }
            if let Some(socket) = &worker.control {
                watch(Source::Control(number), socket.as_fd(), Interest::Read);
            }
        }
        if let Some(alive) = &self.alive {
            watch(Source::Alive, alive.as_fd(), Interest::Read);
        }
        watch(Source::Signals, self.signals.as_fd(), Interest::Read);
        if let Some(log) = self.log.waits() {
            watch(Source::Log, log, Interest::Write);
        }
        let now = self.now();
        let due = self.seats.iter().filter_map(|seat| seat.place.due()).min();
        let ready = readiness::wait(&watched, due.map(|due| due.saturating_sub(now)))?;
        Ok(sources.into_iter().zip(ready).filter_map(|(source, ready)| ready.then_some(source)).collect())
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Alive => self.look_alive(),
            Source::Signals => self.look_at_signals(),
            Source::Log => self.log.write(),
            Source::Control(seat) => self.listen(seat, MESSAGES),
            Source::Trouble(seat) => self.read_trouble(seat),
            Source::Output(number) => self.write_on(number, TURN),
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        for seat in 0..self.seats.len() {
            let now = self.now();
            let action = self.seats.get_mut(seat).and_then(|seat| seat.place.act(now));
            match action {
                Some(Action::Start) => self.start(seat),
                Some(Action::Kill) => self.kill(seat),
                Some(Action::Stop) | None => {}
            }
        }
    }

    fn start(&mut self, number: usize) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number) else { return };
        let Some(running) = self.groups.get_mut(seat.group) else { return };
        let kitchen = self.kitchen;
        let launch = running.launch.get_or_insert_with(|| recipe(&running.group, kitchen));
        let name = &running.group.name;
        match spawn(launch, self.runtime.as_fd()) {
            Ok(spawned) => {
                let (worker, pipe) = Worker::new(spawned);
                let (group, pid) = (seat.group, worker.pid);
                self.log.line(Level::Info, Some(pid), &format!("process group '{name}': worker starts"));
                seat.worker = Some(worker);
                let (lines, allowance) = (Lines::default(), Allowance::new(1000));
                self.outputs.push(Output { group, pid, pipe, lines, allowance, ended: false });
            }
            Err(error) => {
                let delay = seat.place.ended(now, Ending::Failure).unwrap_or_default();
                let text =
                    format!("process group '{name}': no worker could be started: {error}; next try in {delay:?}");
                self.log.line(Level::Error, None, &text);
            }
        }
    }

    fn kill(&mut self, number: usize) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let Some(worker) = &mut seat.worker else { return };
        worker.killed = true;
        worker.control = None;
        children::kill_group(worker.pid);
        if worker.stopped && !worker.explained {
            let pid = worker.pid;
            self.report(number, pid, Level::Warning, "worker did not end in time and is killed");
        }
    }

    /// Writes a line about a worker.
    fn report(&mut self, seat: usize, pid: i32, level: Level, text: &str) {
        let group = self.seats.get(seat).map_or(usize::MAX, |seat| seat.group);
        let name = self.groups.get(group).map_or("", |running| running.group.name.as_str());
        self.log.line(level, Some(pid), &format!("process group '{name}': {text}"));
    }

    /// httpd says that it needs no workers any more, or is gone.
    fn look_alive(&mut self) {
        let Some(alive) = &self.alive else { return };
        if !matches!(readiness::read(alive, &mut [0; 16]), Ok(None)) {
            self.close();
        }
    }

    fn look_at_signals(&mut self) {
        let (mut children, mut end) = (false, false);
        while let Some(told) = self.signals.next() {
            match told {
                Told::Child => children = true,
                Told::End => end = true,
            }
        }
        if end {
            self.close();
        }
        if children {
            while let Some((pid, end)) = children::dead_child() {
                self.bury(pid, end);
            }
        }
    }

    /// Lets all workers finish.
    fn close(&mut self) {
        self.alive = None;
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        self.log.line(Level::Info, None, &format!("supervisor of generation {} ends its workers", self.generation));
        let now = self.now();
        for seat in &mut self.seats {
            let stop = seat.place.close(now) == Some(Action::Stop);
            let Some(worker) = seat.worker.as_mut().filter(|_| stop) else { continue };
            worker.stopped = true;
            if worker.is_silent() {
                // It has no settings, so nothing is lost.
                worker.explained = true;
                seat.place.misbehaves(now);
            } else {
                // One that cannot be told sees the end of its socket.
                let _ = worker.tell(control::STOP, b"", None);
            }
        }
    }

    fn listen(&mut self, number: usize, most: usize) {
        for _ in 0..most {
            let Some(seat) = self.seats.get_mut(number) else { return };
            let Some(worker) = &mut seat.worker else { return };
            let pid = worker.pid;
            let Some(said) = worker.hear(&mut self.buffer) else { return };
            let now = self.now();
            self.answer(number, pid, now, said);
        }
    }

    fn answer(&mut self, number: usize, pid: i32, now: Moment, said: Said) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let Some(worker) = &mut seat.worker else { return };
        match said {
            Said::Hello if worker.stopped => worker.control = None,
            Said::Hello => self.settle(number, pid, now),
            Said::Ready => {
                seat.place.ready(now);
                self.report(number, pid, Level::Info, "worker is ready");
            }
            Said::Failed(reason) => {
                seat.place.leaves(now);
                worker.explained = true;
                self.report(number, pid, Level::Error, &format!("worker cannot work: {reason}"));
            }
            Said::Line(level, line) => match worker.allowance.line(now) {
                Verdict::Drop => {}
                Verdict::Write(dropped) => {
                    let group = seat.group;
                    self.report_group(group, pid, dropped);
                    self.report(number, pid, level, &printable(&line));
                }
            },
            Said::End => {
                seat.place.leaves(now);
            }
            Said::Nonsense(what) => {
                worker.control = None;
                worker.explained = true;
                seat.place.misbehaves(now);
                self.report(number, pid, Level::Error, &format!("worker does not keep to the protocol: {what}"));
            }
        }
    }

    fn report_group(&mut self, group: usize, pid: i32, dropped: u64) {
        let name = self.groups.get(group).map_or("", |running| running.group.name.as_str());
        if dropped > 0 {
            let text = format!("process group '{name}': {dropped} lines were dropped, there were too many");
            self.log.line(Level::Warning, Some(pid), &text);
        }
    }

    /// Gives a worker its settings.
    fn settle(&mut self, number: usize, pid: i32, now: Moment) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let (Some(worker), Some(running)) = (&mut seat.worker, self.groups.get(seat.group)) else { return };
        let told = serde_json::to_vec(&running.group.worker).map_err(|error| error.to_string());
        let told = told.and_then(|text| worker.tell(control::SETTINGS, &text, Some(&running.listener)));
        if let Err(reason) = told {
            worker.explained = true;
            seat.place.misbehaves(now);
            self.report(number, pid, Level::Error, &format!("worker cannot be given its settings: {reason}"));
        }
    }

    /// What went wrong before a worker was the interpreter.
    fn read_trouble(&mut self, number: usize) {
        let mut text = [0; 4096];
        let Some(worker) = self.seats.get_mut(number).and_then(|seat| seat.worker.as_mut()) else { return };
        let Some(pipe) = &worker.trouble else { return };
        let pid = worker.pid;
        let read = readiness::read(pipe, &mut text).unwrap_or(Some(0));
        if read == Some(0) {
            worker.trouble = None;
        }
        let text = printable_lines(text.get(..read.unwrap_or(0)).unwrap_or_default());
        for line in text {
            let (level, reason) = trouble(&line);
            if level == Level::Error {
                if let Some(worker) = self.seats.get_mut(number).and_then(|seat| seat.worker.as_mut()) {
                    worker.explained = true;
                }
                self.report(number, pid, Level::Error, &format!("worker could not be started: {reason}"));
            } else {
                self.report(number, pid, level, &format!("worker starts, but: {reason}"));
            }
        }
    }

    /// Passes on up to `most` bytes of what a worker wrote.
    fn write_on(&mut self, number: usize, most: usize) {
        let now = self.now();
        let Some(output) = self.outputs.get_mut(number) else { return };
        let name = self.groups.get(output.group).map_or("", |running| running.group.name.as_str());
        let (log, allowance, pid) = (&mut self.log, &mut output.allowance, output.pid);
        let mut write = |line: &[u8]| {
            if let Verdict::Write(dropped) = allowance.line(now) {
                if dropped > 0 {
                    let text = format!("process group '{name}': {dropped} lines were dropped, there were too many");
                    log.line(Level::Warning, Some(pid), &text);
                }
                log.line(Level::Error, Some(pid), &format!("process group '{name}': {}", printable(line)));
            }
        };
        let mut piece = [0; 16 << 10];
        let mut done = 0;
        while done < most {
            match readiness::read(&output.pipe, &mut piece) {
                Ok(None) => return,
                Ok(Some(count)) if count > 0 => {
                    output.lines.take(piece.get(..count).unwrap_or_default(), &mut write);
                    done += count;
                }
                Ok(Some(_)) | Err(_) => {
                    output.lines.finish(&mut write);
                    output.ended = true;
                    let dropped = output.allowance.take_dropped();
                    let (group, pid) = (output.group, output.pid);
                    return self.report_group(group, pid, dropped);
                }
            }
        }
    }

    /// Buries a child that ended: a worker, or somebody's orphan.
    fn bury(&mut self, pid: i32, end: End) {
        let is_it = |seat: &Seat| seat.worker.as_ref().is_some_and(|worker| worker.pid == pid);
        let Some(number) = self.seats.iter().position(is_it) else { return children::bury(pid) };
        // What it said before comes before its end.
        self.read_trouble(number);
        self.listen(number, 16 * MESSAGES);
        if let Some(output) = self.outputs.iter().position(|output| output.pid == pid) {
            self.write_on(output, 16 * TURN);
        }
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number) else { return };
        let Some(worker) = seat.worker.take() else { return };
        if self.closing || worker.killed {
            // As long as it is not buried, nobody else has its number.
            children::kill_group(pid);
        }
        children::bury(pid);
        let clean = end == End::Status(0);
        let delay = seat.place.ended(now, if clean { Ending::Clean } else { Ending::Failure });
        let cpu_limit = self.groups.get(seat.group).map_or(0, |running| running.group.process.cpu_time_limit);
        let text = ending(end, worker.killed, cpu_limit);
        let expected = worker.explained || worker.stopped || (clean && worker.was_ready());
        let level = if expected { Level::Info } else { Level::Error };
        let when = if worker.was_ready() { "" } else { " before it was ready" };
        let next = match delay {
            None => String::new(),
            Some(delay) if delay.is_zero() => "; the next one starts now".to_owned(),
            Some(delay) => format!("; the next one starts in {delay:?}"),
        };
        self.report(number, pid, level, &format!("worker {text}{when}{next}"));
        self.forget_outputs();
    }

    /// Keeps the number of pipes of workers that are gone small: the oldest go first.
    fn forget_outputs(&mut self) {
        let workers: Vec<_> = self.seats.iter().filter_map(|seat| Some(seat.worker.as_ref()?.pid)).collect();
        let left: Vec<_> = (0..self.outputs.len())
            .filter(|number| self.outputs.get(*number).is_some_and(|output| !workers.contains(&output.pid)))
            .collect();
        for number in left.iter().take(left.len().saturating_sub(LEFT_BEHIND)) {
            if let Some(output) = self.outputs.get_mut(*number) {
                output.ended = true;
            }
        }
    }
}

/// The lines of a text.
fn printable_lines(text: &[u8]) -> Vec<String> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(printable).collect()
}
