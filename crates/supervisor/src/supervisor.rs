// SPDX-License-Identifier: Apache-2.0
//! The event loop: does what `model::supervision` decides, and passes on what workers write.

use crate::journal::Journal;
use crate::output::Output;
use crate::plan::Start;
use crate::recipe::Kitchen;
use crate::seat::{Running, Seat, terms};
use model::event::Level;
use model::launch::{Group, Patience, control, order};
use model::supervision::{AT_ONCE, Action, Moment, Roster};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use unix::children::{self, Signals, Told};
use unix::readiness::{self, Interest};
use unix::spawn::Copies;

/// How much of one worker's output is read before others are looked at.
pub(crate) const TURN: usize = 64 << 10;
/// How many of one worker's messages are read before others are looked at.
pub(crate) const MESSAGES: usize = 64;
/// What can become readable.
#[derive(Clone, Copy)]
enum Source {
    Alive,
    Signals,
    Log(usize),
    Control(usize),
    Trouble(usize),
    Output(usize),
}

/// Everything that the supervisor knows.
pub struct Supervisor {
    pub(crate) groups: Vec<Running>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) journal: Journal,
    pub(crate) runtime: OwnedFd,
    pub(crate) kitchen: Kitchen,
    pub(crate) copies: Copies,
    pub(crate) closing: bool,
    pub(crate) buffer: Vec<u8>,
    signals: Signals,
    alive: Option<OwnedFd>,
    acknowledgement: Option<OwnedFd>,
    generation: u32,
    begun: Instant,
    /// httpd's parent.
    parent: u32,
    ending: Ending,
}

/// Why a supervisor has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody needs it.
    Needless,
    /// Somebody else than httpd told it to.
    Told,
}

impl Supervisor {
    /// The supervisor of what it was started with.
    pub fn new(start: Start, signals: Signals) -> Result<Self, String> {
        let Start { plan, acknowledgement, alive, runtime, listeners, locks, boards, journal, httpd } = start;
        readiness::never_wait(&alive).map_err(|error| format!("alive: {error}"))?;
        let open_files = children::raise_open_files();
        let kitchen = Kitchen { privileged: plan.privileged, httpd, open_files };
        let (mut groups, mut seats) = (Vec::new(), Vec::new());
        let places = listeners.into_iter().zip(locks);
        for (number, ((group, (listeners, locks)), on_board)) in
            plan.groups.into_iter().zip(places).zip(&boards).enumerate()
        {
            let roster = Roster::new(Moment::ZERO, group.processes, terms(&group));
            let running = Running::new(group, roster, seats.len(), on_board.clone());
            let places = listeners.into_iter().zip(on_board.places.iter().cloned()).enumerate();
            let mut locks = locks.into_iter();
            seats.extend(places.map(|(place, (listener, on_board))| match locks.next() {
                Some(lock) => Seat::shared((number, place), listener, lock, on_board),
                None => Seat::new(number, place, listener, on_board),
            }));
            // Who waits may wait for a worker of a supervisor that was killed.
            running.wake();
            groups.push(running);
        }
        Ok(Self {
            groups,
            seats,
            outputs: Vec::new(),
            journal,
            runtime,
            kitchen,
            copies: Copies::default(),
            closing: false,
            buffer: vec![0; control::LONGEST],
            signals,
            alive: Some(alive),
            acknowledgement: Some(acknowledgement),
            generation: plan.generation,
            begun: Instant::now(),
            parent: std::os::unix::process::parent_id(),
            ending: Ending::Needless,
        })
    }

    /// Runs until httpd needs no workers any more, or somebody wants none, and all are gone.
    pub fn run(&mut self) -> io::Result<Ending> {
        if let Some(acknowledgement) = self.acknowledgement.take() {
            // httpd no longer waits if it took too long.
            let _ = readiness::write(&acknowledgement, b"R");
        }
        let workers: usize = self.groups.iter().map(|running| running.group.processes).sum();
        let text = format!("supervisor of generation {} starts {workers} workers", self.generation);
        self.journal.own(Level::Info, &text);
        // It may have been told before it was there, in the place of another one.
        self.look_alive();
        loop {
            self.look();
            self.act();
            if self.closing && self.groups.iter().all(|running| running.roster.is_closed()) {
                break;
            }
            for source in self.wait()? {
                self.handle(source);
            }
            self.outputs.retain(|output| !output.ended);
        }
        children::kill_orphans();
        (0..self.outputs.len()).for_each(|number| self.pass_on(number, 16 * TURN));
        self.journal.own(Level::Info, &format!("supervisor of generation {} ends", self.generation));
        self.journal.finish();
        Ok(self.ending)
    }

    pub(crate) fn now(&self) -> Moment {
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
        for (number, log) in self.journal.waits() {
            watch(Source::Log(number), log, Interest::Write);
        }
        let now = self.now();
        let due = self.groups.iter().filter_map(|running| running.roster.due(now)).min();
        let ready = readiness::wait(&watched, due.map(|due| due.saturating_sub(now)))?;
        Ok(sources.into_iter().zip(ready).filter_map(|(source, ready)| ready.then_some(source)).collect())
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Alive => self.look_alive(),
            Source::Signals => self.look_at_signals(),
            Source::Log(number) => self.journal.write(number),
            Source::Control(seat) => self.listen(seat, MESSAGES),
            Source::Trouble(seat) => self.read_trouble(seat),
            Source::Output(number) => self.pass_on(number, TURN),
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        for number in 0..self.groups.len() {
            while let Some((seat, action)) = self.decide(number) {
                match action {
                    Action::Start => self.start(seat),
                    Action::Stop(patience, why) => self.stop(seat, patience, why),
                    Action::Kill(how) => self.kill(seat, how),
                }
            }
        }
    }

    fn decide(&mut self, group: usize) -> Option<(usize, Action)> {
        let now = self.now();
        let running = self.groups.get_mut(group)?;
        let (place, action) = running.roster.act(now)?;
        Some((running.first + place, action))
    }

    /// In an old generation: what do requests need?
    fn look(&mut self) {
        let now = self.now();
        self.groups.iter_mut().filter(|running| running.roster.is_old()).for_each(|running| running.look(now));
    }

    /// httpd says something, or is gone.
    fn look_alive(&mut self) {
        let mut orders = [0; 16];
        while let Some(alive) = &self.alive {
            let Ok(count) = readiness::read(alive, &mut orders).map_or(Ok(0), |count| count.ok_or(())) else { return };
            let orders = orders.get(..count).filter(|orders| !orders.is_empty()).unwrap_or(&[order::STOP]);
            orders.iter().for_each(|order| self.obey(*order));
        }
    }

    fn obey(&mut self, order: u8) {
        let now = self.now();
        match order {
            order::OLD => {
                self.journal.own(Level::Info, &format!("generation {} is old", self.generation));
                for running in &mut self.groups {
                    running.roster.retire(now);
                    running.look(now);
                }
            }
            order::EXPIRE => {
                for running in self.groups.iter().filter(|running| running.is_owner()) {
                    running.fails("its generation of the configuration was ended: too many were old");
                }
                self.close(|group| Patience(Some(Duration::from_millis(group.graceful_timeout))));
            }
            _ => {
                self.alive = None;
                self.close(|_| AT_ONCE);
            }
        }
    }

    fn look_at_signals(&mut self) {
        let (mut children, mut end, mut replace) = (false, false, false);
        while let Some(told) = self.signals.next() {
            match told {
                Told::Child => children = true,
                Told::End => end = true,
                Told::Replace => replace = true,
            }
        }
        if replace {
            self.journal.own(Level::Info, "a signal asks for all workers to be replaced");
            self.groups.iter_mut().for_each(|running| running.roster.tire_all());
        }
        if end {
            self.end();
        }
        if children {
            while let Some((pid, end)) = children::dead_child() {
                self.bury(pid, end);
            }
        }
    }

    /// A signal asks for the end. It is httpd's if it has given the order before, or is gone.
    fn end(&mut self) {
        self.look_alive();
        if std::os::unix::process::parent_id() != self.parent {
            self.alive = None;
            self.close(|_| AT_ONCE);
        } else if !self.closing {
            self.ending = Ending::Told;
            let time = |milliseconds| Some(Duration::from_millis(milliseconds)).filter(|time| !time.is_zero());
            self.close(|group| Patience(time(group.shutdown_timeout)));
        }
    }

    /// Lets all workers finish, within the time that is given.
    fn close(&mut self, patience: impl Fn(&Group) -> Patience) {
        if !std::mem::replace(&mut self.closing, true) {
            let text = format!("supervisor of generation {} ends its workers", self.generation);
            self.journal.own(Level::Info, &text);
        }
        for running in &mut self.groups {
            running.roster.close(patience(&running.group));
        }
    }
}
