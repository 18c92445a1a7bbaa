// SPDX-License-Identifier: Apache-2.0
//! A group and the places of its workers: what the board says about them.

use crate::board::wake;
use crate::worker::Worker;
use model::admission::{self, Ending, How, Incarnation, State};
use model::launch::{Group, Patience, control};
use model::supervision::{Demand, Moment, Overlap, Roster, Terms, Work};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use unix::descriptor;
use unix::spawn::Launch;

/// The end of a worker that did nothing wrong.
pub const KILLED: How = How::Signal(9);

/// A group, and how its workers are started.
pub struct Running {
    /// What the plan says.
    pub group: Group,
    /// The recipe, from the first start on.
    pub launch: Option<Launch>,
    /// What is to be done about its workers.
    pub roster: Roster,
    /// The number of its first seat.
    pub first: usize,
    board: admission::Group<'static>,
}

impl Running {
    /// A group that has no worker.
    pub const fn new(group: Group, roster: Roster, first: usize, board: admission::Group<'static>) -> Self {
        Self { group, launch: None, roster, first, board }
    }

    /// Whether this supervisor may start workers: of a group that generations share, only one has them.
    pub fn is_owner(&self) -> bool {
        self.group.shared.as_ref().is_none_or(|shared| shared.owner == self.board.owner())
    }

    /// How long requests may take when the group goes on in another generation, or ends.
    pub fn graceful(&self) -> Patience {
        let time = if self.group.worker.threads == 0 { 0 } else { self.group.graceful_timeout };
        Patience(Some(Duration::from_millis(time)))
    }

    /// Lets whoever waits for a worker look again.
    pub fn wake(&self) {
        wake(&self.board);
    }

    /// In an old generation: sees whether requests need a worker that is not there, or do not need one that is.
    pub fn look(&mut self, now: Moment) {
        if !self.is_owner() {
            return self.roster.close(self.graceful());
        }
        let Self { roster, board, .. } = self;
        let demand = if board.queue.first().is_some() { Demand::Waiting } else { Demand::None };
        let is_busy = |place: &admission::Place<'_>| place.load(place.state().1) > 0;
        roster.look(now, demand, |number| board.places.get(number).is_some_and(is_busy));
    }

    /// The group cannot work.
    pub fn fails(&self, reason: &str) {
        self.board.set_failure(reason);
        self.wake();
    }

    /// The group works.
    pub fn works(&self) {
        self.board.set_failure("");
        self.wake();
    }
}

/// What a group allows its workers.
pub fn terms(group: &Group) -> Terms {
    let time = |milliseconds| Some(Duration::from_millis(milliseconds)).filter(|time| !time.is_zero());
    Terms {
        startup: time(group.startup_timeout),
        graceful: Duration::from_millis(group.graceful_timeout),
        shutdown: time(group.shutdown_timeout),
        work: if group.worker.threads == 0 { Work::Service } else { Work::Requests },
        overlap: if group.exclusive { Overlap::Never } else { Overlap::Allowed },
    }
}

/// The place of a worker.
pub struct Seat {
    /// The number of its group.
    pub group: usize,
    /// Its number in the group.
    pub place: usize,
    /// What its workers accept requests from.
    pub listener: OwnedFd,
    /// The present worker.
    pub worker: Option<Worker>,
    /// The file whose lock its workers hold, if they must.
    lock: Option<OwnedFd>,
    /// The lock itself, from before the worker starts until its end is on the board: nobody else writes there meanwhile.
    held: Option<OwnedFd>,
    board: admission::Place<'static>,
}

impl Seat {
    /// An empty place, whatever the board says of it: the workers of a supervisor that was killed are leaving.
    pub fn new(group: usize, place: usize, listener: OwnedFd, board: admission::Place<'static>) -> Self {
        let (_, last) = board.state();
        board.set(State::Empty, last);
        Self { group, place, listener, worker: None, lock: None, held: None, board }
    }

    /// A place that other supervisors may have a worker in, who say what the board says of it.
    pub const fn shared(
        (group, place): (usize, usize),
        listener: OwnedFd,
        lock: OwnedFd,
        board: admission::Place<'static>,
    ) -> Self {
        Self { group, place, listener, worker: None, lock: Some(lock), held: None, board }
    }

    /// Takes the place for a worker of this supervisor. Whether nobody else has it.
    pub fn take(&mut self) -> io::Result<bool> {
        if let Some(lock) = &self.lock {
            self.held = descriptor::try_lock(lock)?;
            return Ok(self.held.is_some());
        }
        Ok(true)
    }

    /// Gives it back.
    pub fn give_back(&mut self) {
        self.held = None;
    }

    /// A worker is going to be started: which one.
    pub fn begin(&self, threads: u32) -> Incarnation {
        self.board.begin(threads)
    }

    /// Gives the worker its settings, and what belongs to its place.
    pub fn instruct(&mut self, settings: &[u8]) -> Result<(), String> {
        let descriptors: Vec<_> = std::iter::once(&self.listener).chain(&self.held).map(AsFd::as_fd).collect();
        self.worker.as_mut().map_or(Ok(()), |worker| worker.tell(control::SETTINGS, settings, &descriptors))
    }

    /// The worker could not be started.
    pub fn vacate(&self, incarnation: Incarnation) {
        self.board.set(State::Empty, incarnation);
    }

    /// The worker was started.
    pub fn settle(&mut self, worker: Worker) {
        self.board.name(worker.pid.unsigned_abs());
        self.worker = Some(worker);
    }

    /// The worker is to end, after its requests have had so long. Whether it can only be killed.
    pub fn stop(&mut self, patience: Patience) -> bool {
        self.show(State::Leaving);
        let Some(worker) = &mut self.worker else { return false };
        worker.stopped = true;
        if !worker.is_silent() {
            // One that cannot be told sees the end of its socket.
            let _ = worker.tell(control::STOP, &patience.to_bytes(), &[]);
        }
        // It has no settings, so nothing is lost.
        worker.is_silent()
    }

    /// Says on the board what the present worker does.
    pub fn show(&self, state: State) {
        if let Some(worker) = &self.worker {
            self.board.set(state, worker.incarnation);
        }
    }

    /// A worker is gone.
    pub fn end(&self, incarnation: Incarnation, ending: Ending) {
        self.board.end(incarnation, ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::admission::{Board, Shape, Word};

    #[test]
    fn a_new_seat_is_empty_whatever_the_board_said() {
        let shape = Shape { rows: 1, queue: 1, groups: vec![(1, 2)] };
        let words: Vec<_> = std::iter::repeat_with(|| Word::new(0)).take(shape.length()).collect();
        let board = Board::new(words.leak(), &shape).unwrap();
        let on_board = board.groups()[0].places[0].clone();
        assert_eq!(on_board.begin(2), 1);
        on_board.set(State::Ready, 1);
        let listener = std::fs::File::open("/dev/null").unwrap().into();
        let seat = Seat::new(0, 0, listener, on_board.clone());
        assert_eq!((on_board.state(), on_board.ending(1)), ((State::Empty, 1), None));
        assert_eq!((seat.begin(2), on_board.state()), (2, (State::Starting, 2)));
        seat.vacate(2);
        assert_eq!(on_board.state(), (State::Empty, 2));
    }
}
