// SPDX-License-Identifier: Apache-2.0
//! Which lines go to which error log: a group's to the one of the virtual host that declares it, all others to httpd's.

use crate::log::Log;
use model::event::{Event, Level};
use model::launch::Group;
use model::supervision::{Allowance, Moment, Verdict};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long the last lines may take.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Where a group's lines go, and which.
struct Writer {
    name: String,
    log: usize,
    level: Level,
}

/// All logs. The first is standard error, httpd's main one.
pub struct Journal {
    logs: Vec<Log>,
    level: Level,
    writers: Vec<Writer>,
}

impl Journal {
    /// Opens the logs of `groups`; lines about none of them are logged up to `level`.
    pub fn open(level: Level, groups: &[Group]) -> io::Result<Self> {
        let mut journal = Self { logs: vec![Log::open(2)?], level, writers: Vec::new() };
        let mut known = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            let log = group.log.map_or(Ok(0), |log| journal.log(log, &mut known));
            let (name, level) = (group.name.clone(), group.log_level);
            journal.writers.push(Writer { name, log: *log.as_ref().unwrap_or(&0), level });
            if let Err(error) = log {
                let (process_group, reason) = (group.name.clone(), error.to_string());
                journal.event(number, None, &Event::LogUnusable { process_group, reason });
            }
        }
        Ok(journal)
    }

    /// The place of the log that this descriptor leads to.
    fn log(&mut self, descriptor: i32, known: &mut BTreeMap<i32, usize>) -> io::Result<usize> {
        if let Some(place) = known.get(&descriptor) {
            return Ok(*place);
        }
        self.logs.push(Log::open(descriptor)?);
        known.insert(descriptor, self.logs.len() - 1);
        Ok(self.logs.len() - 1)
    }

    /// The descriptors of all logs.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.logs.iter().map(AsFd::as_fd)
    }

    /// Writes a line about the supervisor.
    pub fn own(&mut self, level: Level, text: &str) {
        if let Some(log) = self.logs.first_mut().filter(|_| level <= self.level) {
            log.line(level, None, text);
        }
    }

    /// Writes a line about a group, or one of its workers.
    pub fn line(&mut self, group: usize, pid: Option<i32>, level: Level, text: &str) {
        let name = self.writers.get(group).map_or("", |writer| writer.name.as_str());
        self.write_for(group, pid, level, &told_of(name, text));
    }

    /// Writes an event about a group, or one of its workers.
    pub fn event(&mut self, group: usize, pid: Option<i32>, event: &Event) {
        self.write_for(group, pid, event.level(), &event.to_string());
    }

    fn write_for(&mut self, group: usize, pid: Option<i32>, level: Level, text: &str) {
        let Some(writer) = self.writers.get(group).filter(|writer| level <= writer.level) else { return };
        if let Some(log) = self.logs.get_mut(writer.log) {
            log.line(level, pid, text);
        }
    }

    /// Passes on a line that a worker wrote, if it may write more.
    pub fn pass(
        &mut self,
        (group, pid): (usize, i32),
        (allowance, now): (&mut Allowance, Moment),
        level: Level,
        line: &[u8],
    ) {
        if let Verdict::Write(dropped) = allowance.line(now) {
            self.dropped(group, pid, dropped);
            self.line(group, Some(pid), level, &String::from_utf8_lossy(line));
        }
    }

    /// Tells how many lines of a worker were not passed on.
    pub fn dropped(&mut self, group: usize, pid: i32, count: u64) {
        if count > 0 {
            let name = self.writers.get(group).map_or("", |writer| writer.name.as_str());
            let (origin, problem) = (format!("process group '{name}'"), "there were too many".to_owned());
            self.event(group, Some(pid), &Event::LinesDropped { origin, count, problem });
        }
    }

    /// The logs for which lines wait.
    pub fn waits(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.logs.iter().enumerate().filter_map(|(number, log)| Some((number, log.waits()?)))
    }

    /// Writes what the log takes.
    pub fn write(&mut self, number: usize) {
        if let Some(log) = self.logs.get_mut(number) {
            log.write();
        }
    }

    /// Waits a little until everything is written.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        self.logs.iter_mut().for_each(|log| log.finish(deadline));
    }
}

/// A line about a group. The number of an event stays in front.
fn told_of(group: &str, text: &str) -> String {
    let is_number = |text: &str| text.strip_prefix("WSGIRS").is_some_and(|number| number.parse::<u16>().is_ok());
    match text.split_once(": ").filter(|(number, _)| is_number(number)) {
        Some((number, text)) => format!("{number}: process group '{group}': {text}"),
        None => format!("process group '{group}': {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_event_is_in_front() {
        assert_eq!(told_of("shop", "WSGIRS0404: a connection"), "WSGIRS0404: process group 'shop': a connection");
        assert_eq!(told_of("shop", "WSGIRS: text"), "process group 'shop': WSGIRS: text");
        assert_eq!(told_of("shop", "text: more"), "process group 'shop': text: more");
    }
}
