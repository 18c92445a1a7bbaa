// SPDX-License-Identifier: Apache-2.0
//! The life of a worker, from its start to its burial, and what the log and the board are told of it.

use crate::output::Output;
use crate::recipe::recipe;
use crate::seat::{KILLED, Running, Seat};
use crate::supervisor::{MESSAGES, Supervisor, TURN};
use crate::worker::{Said, Trouble, Worker};
use model::admission::{How, State};
use model::event::{Event, Level};
use model::launch::{self, Patience};
use model::supervision::{AT_ONCE, Moment, Why};
use std::os::fd::AsFd;
use std::time::Duration;
use unix::children::{self, End, MemoryKills};
use unix::spawn::spawn;

/// How many pipes of workers that are gone are kept for those whom they left behind.
const LEFT_BEHIND: usize = 256;

impl Supervisor {
    /// A seat and its group.
    fn at(&mut self, number: usize) -> Option<(&mut Seat, &mut Running)> {
        let seat = self.seats.get_mut(number)?;
        let running = self.groups.get_mut(seat.group)?;
        Some((seat, running))
    }

    /// Starts a worker, if nobody else has its place.
    pub(crate) fn start(&mut self, number: usize) {
        let now = self.now();
        let kitchen = self.kitchen;
        let Some((seat, running)) = self.at(number) else { return };
        let taken = if running.is_owner() { seat.take() } else { Ok(false) };
        match taken {
            Ok(true) => {}
            Ok(false) => return running.roster.blocked(seat.place, now),
            Err(error) => return self.not_started(number, format!("the lock of its place: {error}")),
        }
        let Some(seat) = self.seats.get_mut(number) else { return };
        let Some(running) = self.groups.get_mut(seat.group) else { return };
        let launch = running.launch.get_or_insert_with(|| recipe(&running.group, kitchen));
        let incarnation = seat.begin(running.group.worker.threads);
        let memory = MemoryKills::now();
        match spawn(launch, self.runtime.as_fd(), &mut self.copies) {
            Ok(spawned) => {
                let (worker, pipe) = Worker::new(spawned, incarnation, now, memory);
                self.journal.line(seat.group, Some(worker.pid), Level::Info, "worker starts");
                self.outputs.push(Output::new(seat.group, worker.pid, pipe));
                seat.settle(worker);
            }
            Err(error) => {
                seat.vacate(incarnation);
                seat.give_back();
                self.not_started(number, error.to_string());
            }
        }
    }

    fn not_started(&mut self, number: usize, problem: String) {
        let now = self.now();
        let Some((seat, running)) = self.at(number) else { return };
        let (group, delay) = (seat.group, running.roster.ended(seat.place, now, None).unwrap_or_default());
        let reason = self.unstartable(number, None, problem, "see what limits processes and descriptors".to_owned());
        self.fail(number, &reason);
        self.journal.line(group, None, Level::Info, &format!("the next try is in {delay:?}"));
    }

    /// Tells a worker to end.
    pub(crate) fn stop(&mut self, number: usize, patience: Patience, why: Why) {
        let now = self.now();
        let Some((seat, running)) = self.at(number) else { return };
        if seat.stop(patience) {
            running.roster.condemn(seat.place, now, KILLED);
        }
        let (group, pid) = (seat.group, seat.worker.as_ref().map(|worker| worker.pid));
        let time = match patience.0 {
            None => "after its requests".to_owned(),
            Some(time) if time.is_zero() => "at once".to_owned(),
            Some(time) => format!("within {time:?}"),
        };
        self.journal.line(group, pid, Level::Info, &format!("worker is told to end {time}: {why}"));
    }

    /// The worker ends by itself.
    fn leave(&mut self, number: usize, patience: Patience) {
        let now = self.now();
        let Some((seat, running)) = self.at(number) else { return };
        running.roster.leaves(seat.place, now, patience);
        seat.show(State::Leaving);
    }

    /// The worker has to end at once, in this way.
    fn condemn(&mut self, number: usize, how: How) {
        let now = self.now();
        let Some((seat, running)) = self.at(number) else { return };
        running.roster.condemn(seat.place, now, how);
        seat.show(State::Leaving);
    }

    /// Kills a worker and its process group.
    pub(crate) fn kill(&mut self, number: usize, how: How) {
        let Some((seat, running)) = self.at(number) else { return };
        // Those who wait are not sent there any more.
        seat.show(State::Leaving);
        let group = &running.group;
        let Some(worker) = &mut seat.worker else { return };
        // Killed first: at the end of its socket it would end by itself.
        children::kill_group(worker.pid);
        (worker.killed, worker.control) = (Some(how), None);
        let pid = worker.pid;
        let time = |milliseconds| format!("{:?}", Duration::from_millis(milliseconds));
        let (process_group, startup) = (group.name.clone(), time(group.startup_timeout));
        let event = match how {
            How::Overdue => Event::WorkerOverdue { process_group, patience: time(group.shutdown_timeout) },
            How::Late => Event::WorkerLate { process_group, patience: startup.clone() },
            _ => return,
        };
        let late = format!("a worker was not ready within {startup} (startup-timeout)");
        let reason = if how == How::Late { late } else { "it did not end in time".to_owned() };
        self.explain(number, pid, &event, reason);
    }

    /// Logs why a worker ends. If it was not ready, that may be why its group cannot work.
    fn explain(&mut self, number: usize, pid: i32, event: &Event, reason: String) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        self.journal.event(seat.group, Some(pid), event);
        let Some(worker) = &mut seat.worker else { return };
        worker.explain(reason);
        if !worker.was_ready && !worker.stopped {
            let reason = worker.reason.clone().unwrap_or_default();
            self.fail(number, &reason);
        }
    }

    /// An attempt to have a worker came to nothing: as long as there is no other one, the group cannot work.
    fn fail(&self, number: usize, reason: &str) {
        let running = self.seats.get(number).and_then(|seat| self.groups.get(seat.group));
        if let Some(running) = running.filter(|running| !running.roster.serves() && !self.closing) {
            running.fails(reason);
        }
    }

    /// Logs why a worker could not be started, and says it in short.
    fn unstartable(&mut self, number: usize, pid: Option<i32>, problem: String, fix: String) -> String {
        let Some(seat) = self.seats.get(number) else { return problem };
        let Some(group) = self.groups.get(seat.group).map(|running| &running.group) else { return problem };
        let (process_group, origin) = (group.name.clone(), group.origin.clone());
        let reason = format!("{problem} (declared at {origin}): {fix}");
        self.journal.event(seat.group, pid, &Event::WorkerUnstartable { process_group, origin, problem, fix });
        reason
    }

    /// Reads up to `most` messages of a worker.
    pub(crate) fn listen(&mut self, number: usize, most: usize) {
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
        let Some((seat, running)) = self.at(number) else { return };
        let (group, process_group) = (seat.group, running.group.name.clone());
        let Some(worker) = &mut seat.worker else { return };
        match said {
            Said::Hello if worker.stopped => worker.control = None,
            Said::Hello => self.instruct(number, pid),
            Said::Ready => {
                if running.roster.ready(seat.place, now) {
                    seat.show(State::Ready);
                    running.works();
                    self.journal.line(group, Some(pid), Level::Info, "worker is ready");
                }
            }
            Said::Failed(reason) => {
                self.leave(number, AT_ONCE);
                let event = Event::WorkerUnfit { process_group, reason: reason.clone() };
                self.explain(number, pid, &event, reason);
            }
            Said::Tired(reason) => {
                running.roster.tires(seat.place);
                self.journal.line(group, Some(pid), Level::Info, &format!("worker wants to be replaced: {reason}"));
            }
            Said::Leaving(patience, reason) => {
                self.leave(number, patience);
                self.journal.line(group, Some(pid), Level::Info, &format!("worker leaves: {reason}"));
            }
            Said::Line(level, line) => {
                let Some(worker) = self.seats.get_mut(number).and_then(|seat| seat.worker.as_mut()) else { return };
                self.journal.pass((group, pid), (&mut worker.allowance, now), level, &line);
            }
            Said::End => self.leave(number, AT_ONCE),
            Said::Nonsense(problem) => {
                self.condemn(number, How::Misbehaved);
                let reason = format!("a worker does not keep to the protocol: {problem}");
                self.explain(number, pid, &Event::ProtocolBroken { process_group, problem }, reason);
            }
        }
    }

    /// Gives a worker its settings.
    fn instruct(&mut self, number: usize, pid: i32) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let (Some(worker), Some(running)) = (&mut seat.worker, self.groups.get(seat.group)) else { return };
        let settings = launch::Worker { incarnation: worker.incarnation, ..running.group.worker.clone() };
        let told = serde_json::to_vec(&settings).map_err(|error| error.to_string());
        let told = told.and_then(|text| seat.instruct(&text));
        if let Err(problem) = told {
            let process_group = running.group.name.clone();
            self.condemn(number, KILLED);
            let reason = format!("a worker cannot be given its settings: {problem}");
            self.explain(number, pid, &Event::SettingsUndelivered { process_group, problem }, reason);
        }
    }

    /// What went wrong before a worker was the interpreter.
    pub(crate) fn read_trouble(&mut self, number: usize) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let (group, Some(worker)) = (seat.group, &mut seat.worker) else { return };
        let pid = worker.pid;
        for trouble in worker.troubles() {
            match trouble {
                Trouble::Minor(Level::Warning, trouble) => {
                    let name = self.groups.get(group).map(|running| running.group.name.clone());
                    let event = Event::WorkerHampered { process_group: name.unwrap_or_default(), trouble };
                    self.journal.event(group, Some(pid), &event);
                }
                Trouble::Minor(level, trouble) => {
                    self.journal.line(group, Some(pid), level, &format!("worker starts, but: {trouble}"));
                }
                Trouble::Final(problem, fix) => {
                    let reason = self.unstartable(number, Some(pid), problem, fix);
                    if let Some(worker) = self.seats.get_mut(number).and_then(|seat| seat.worker.as_mut()) {
                        worker.explain(reason);
                    }
                }
            }
        }
    }

    /// Passes on up to `most` bytes of what a worker wrote.
    pub(crate) fn pass_on(&mut self, number: usize, most: usize) {
        let now = self.now();
        if let Some(output) = self.outputs.get_mut(number) {
            output.pass_on(&mut self.journal, now, most);
        }
    }

    /// Buries a child that ended: a worker, or somebody's orphan.
    pub(crate) fn bury(&mut self, pid: i32, end: End) {
        let is_it = |seat: &Seat| seat.worker.as_ref().is_some_and(|worker| worker.pid == pid);
        let Some(number) = self.seats.iter().position(is_it) else {
            children::bury(pid);
            return;
        };
        // What it said before comes before its end.
        self.read_trouble(number);
        self.listen(number, 16 * MESSAGES);
        if let Some(output) = self.outputs.iter().position(|output| output.pid == pid) {
            self.pass_on(output, 16 * TURN);
        }
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number) else { return };
        let Some(worker) = seat.worker.take() else { return };
        if self.closing || worker.killed.is_some() {
            // As long as it is not buried, nobody else has its number.
            children::kill_group(pid);
        }
        let used = children::bury(pid);
        self.mourn(number, now, &worker, (end, used));
        self.forget_outputs();
    }

    /// Says in the log and on the board how a worker ended.
    fn mourn(&mut self, number: usize, now: Moment, worker: &Worker, (end, used): (End, Duration)) {
        let Some((seat, running)) = self.at(number) else { return };
        let group = seat.group;
        let limit = Some(running.group.process.cpu_time_limit).filter(|limit| *limit > 0).map(Duration::from_secs);
        let ending = worker.ending(end, now, used, limit, MemoryKills::now());
        let next = match running.roster.ended(seat.place, now, Some(ending.how)) {
            None => String::new(),
            Some(delay) if delay.is_zero() => "; the next one starts now".to_owned(),
            Some(delay) => format!("; the next one starts in {delay:?}"),
        };
        let text = format!("{ending}{}", if worker.was_ready { "" } else { ", before it was ready" });
        let is_clean = ending.how == How::Status(0) && worker.was_ready;
        let process_group = running.group.name.clone();
        if worker.reason.is_some() || worker.stopped || is_clean {
            self.journal.line(group, Some(worker.pid), Level::Info, &format!("worker ended: {text}{next}"));
        } else {
            let event = Event::WorkerEnded { process_group, ending: text.clone(), next };
            self.journal.event(group, Some(worker.pid), &event);
        }
        if !worker.was_ready && !worker.stopped {
            let reason = worker.reason.clone().unwrap_or_else(|| format!("a worker could not start: {text}"));
            self.fail(number, &reason);
        }
        let Some(seat) = self.seats.get_mut(number) else { return };
        seat.end(worker.incarnation, ending);
        seat.give_back();
        if let Some(running) = self.groups.get(seat.group) {
            running.wake();
        }
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
