// SPDX-License-Identifier: Apache-2.0
//! What the supervisor is started with: arguments, and the plan that one of them leads to.

use crate::board;
use crate::journal::Journal;
use model::BUILD_ID;
use model::admission::Group;
use model::event::Level;
use model::launch::Plan;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use unix::{children, descriptor};

/// Everything that the supervisor is given. No other descriptor but the standard ones is open afterwards.
pub struct Start {
    /// The groups.
    pub plan: Plan,
    /// Told when the plan was understood.
    pub acknowledgement: OwnedFd,
    /// Ends, or has a byte, when the workers are to end.
    pub alive: OwnedFd,
    /// The directory of the runtime files.
    pub runtime: OwnedFd,
    /// The listener of each process of each group.
    pub listeners: Vec<Vec<OwnedFd>>,
    /// The lock of each place of each group that has any.
    pub locks: Vec<Vec<OwnedFd>>,
    /// What the boards say about each group.
    pub boards: Vec<Group<'static>>,
    /// Where lines go.
    pub journal: Journal,
    /// The user that httpd's children run as.
    pub httpd: u32,
}

impl Start {
    /// Reads arguments and plan.
    pub fn from_arguments() -> Result<Self, String> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let usage = || "usage: wsgi-supervisor <plan> <acknowledgement> <alive> [<level> [<uid>]]".to_owned();
        let (plan, acknowledgement, alive, rest) = match given.as_slice() {
            [plan, acknowledgement, alive, rest @ ..] if rest.len() <= 2 => (plan, acknowledgement, alive, rest),
            _ => return Err(usage()),
        };
        let level = rest.first().map_or(Some(Level::Notice), |level| Level::numbered(level.parse().ok()?));
        let httpd = rest.get(1).map_or_else(|| Some(unix::accounts::own().0), |uid| uid.parse().ok());
        let (level, httpd) = (level.ok_or_else(usage)?, httpd.ok_or_else(usage)?);
        let take = |number: &String| {
            let number = number.parse().map_err(|_| usage())?;
            copy(number)
        };
        let (file, acknowledgement, alive) = (take(plan)?, take(acknowledgement)?, take(alive)?);
        let plan = read(file)?;
        let runtime = copy(plan.runtime)?;
        let boards = board::open(&plan)?;
        let listeners = plan.groups.iter().map(|group| group.listeners.iter().copied().map(copy).collect());
        let listeners = listeners.collect::<Result<Vec<Vec<_>>, _>>()?;
        let locks = plan
            .groups
            .iter()
            .map(|group| group.shared.iter().flat_map(|shared| &shared.locks).copied().map(copy).collect());
        let locks = locks.collect::<Result<Vec<Vec<_>>, _>>()?;
        let journal = Journal::open(level, &plan.groups).map_err(|error| format!("standard error: {error}"))?;
        let own = [&acknowledgement, &alive, &runtime].into_iter().chain(listeners.iter().chain(&locks).flatten());
        let kept: Vec<_> = own.map(AsFd::as_fd).chain(journal.descriptors()).collect();
        children::keep_only(&kept);
        Ok(Self { plan, acknowledgement, alive, runtime, listeners, locks, boards, journal, httpd })
    }
}

/// A copy of an inherited descriptor.
pub fn copy(number: i32) -> Result<OwnedFd, String> {
    descriptor::duplicate(number).map_err(|error| format!("descriptor {number}: {error}"))
}

fn read(file: OwnedFd) -> Result<Plan, String> {
    let mut file = File::from(file);
    let mut text = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut text)).map_err(|error| format!("plan: {error}"))?;
    // The build is compared first, because the plan of another one may have other fields.
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| format!("plan: {error}"))?;
    let build = value.get("build_id").and_then(serde_json::Value::as_str).unwrap_or_default();
    if build != BUILD_ID {
        return Err(format!("httpd's module is build '{build}', this is build '{BUILD_ID}': restart httpd"));
    }
    serde_json::from_value(value).map_err(|error| format!("plan: {error}"))
}
