// SPDX-License-Identifier: Apache-2.0
//! The event loop: does what `model::supervision` decides, and passes on what workers write.

use crate::journal::Journal;
use crate::output::Output;
use crate::plan::Start;
use crate::recipe::Kitchen;
use crate::seat::{Running, Seat, terms};
use model::event::Level;
use model::launch::control;
use model::supervision::{AT_ONCE, Action, Moment, Roster};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
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
}

impl Supervisor {
    /// The supervisor of what it was started with.
    pub fn new(start: Start, signals: Signals) -> Result<Self, String> {
        let Start { plan, acknowledgement, alive, runtime, listeners, board, journal, httpd } = start;
        readiness::never_wait(&alive).map_err(|error| format!("alive: {error}"))?;
        let open_files = children::raise_open_files();
        let kitchen = Kitchen { privileged: plan.privileged, httpd, open_files };
        let (mut groups, mut seats) = (Vec::new(), Vec::new());
        for (number, ((group, listeners), on_board)) in
            plan.groups.into_iter().zip(listeners).zip(board.groups()).enumerate()
        {
            let roster = Roster::new(Moment::ZERO, group.processes, terms(&group));
            let running = Running::new(group, roster, seats.len(), on_board.clone());
            let places = listeners.into_iter().zip(on_board.places.iter().cloned()).enumerate();
            seats.extend(places.map(|(place, (listener, on_board))| Seat::new(number, place, listener, on_board)));
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
        })
    }

    /// Runs until httpd needs no workers any more and all are gone.
    pub fn run(&mut self) -> io::Result<()> {
        if let Some(acknowledgement) = self.acknowledgement.take() {
            // httpd no longer waits if it took too long.
            let _ = readiness::write(&acknowledgement, b"R");
        }
        let workers: usize = self.groups.iter().map(|running| running.group.processes).sum();
        let text = format!("supervisor of generation {} starts {workers} workers", self.generation);
        self.journal.own(Level::Info, &text);
        loop {
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
        Ok(())
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

    /// httpd says that it needs no workers any more, or is gone.
    fn look_alive(&mut self) {
        let Some(alive) = &self.alive else { return };
        if !matches!(readiness::read(alive, &mut [0; 16]), Ok(None)) {
            self.close();
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
        self.journal.own(Level::Info, &format!("supervisor of generation {} ends its workers", self.generation));
        self.groups.iter_mut().for_each(|running| running.roster.close(AT_ONCE));
    }
}
