// SPDX-License-Identifier: Apache-2.0
//! Looks at the files that the configuration names, each as the user who needs it.
//!
//! Called in the parent; the looking itself happens in a process of its own, so a file system that hangs or a file that
//! only root may read changes nothing.

#![forbid(unsafe_code)]

use crate::apache::process::Parent;
use crate::embedded::search;
use model::configuration::check::registry;
use model::configuration::files::{Identity, Probe, Wanted, plan};
use model::configuration::{Accounts, View};
use model::event::Event;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between the fields of an answer, and after each answer.
const FIELD: char = '\0';
const END: char = '\u{1}';

/// What is wrong with the files, with the position of the server. Takes at most `patience` in all.
pub fn look(_parent: Parent, views: &[View<'_>], accounts: &dyn Accounts, patience: Duration) -> Vec<(usize, Event)> {
    let probes = plan(views, &registry(views), accounts);
    let mut identities: Vec<&Identity> = Vec::new();
    for probe in &probes {
        if !identities.contains(&&probe.identity) {
            identities.push(&probe.identity);
        }
    }
    let of =
        |identity: &Identity| -> Vec<&Probe> { probes.iter().filter(|probe| probe.identity == *identity).collect() };
    let look = |number: usize| identities.get(number).map_or_else(Vec::new, |who| answer(&of(who)).into_bytes());
    let (answers, error) = unix::probe::look_as(&identities, patience, look);
    let mut events: Vec<_> =
        identities.iter().zip(&answers).flat_map(|(identity, found)| read(found, &of(identity))).collect();
    if let (Some(error), Some(next)) = (error, identities.get(answers.len())) {
        events.push((0, Event::FilesNotExamined { user: next.name.clone(), reason: error.to_string() }));
    }
    events
}

/// In the process that looks: the number of each path that is not as it should be, the problem, and what to do.
fn answer(probes: &[&Probe]) -> String {
    let mut text = String::new();
    for (number, probe) in probes.iter().enumerate() {
        if let Err(Fault { problem, fix }) = examine(&probe.path, probe.wanted) {
            let problem = problem.replace([FIELD, END], " ");
            text.push_str(&format!("{number}{FIELD}{problem}{FIELD}{fix}{END}"));
        }
    }
    text
}

fn read(found: &[u8], probes: &[&Probe]) -> Vec<(usize, Event)> {
    let text = String::from_utf8_lossy(found);
    let one = |answer: &str| {
        let mut fields = answer.split(FIELD);
        let probe = probes.get(fields.next()?.parse::<usize>().ok()?)?;
        let (problem, fix) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        Some((probe.server, probe.event(problem, fix)))
    };
    text.split(END).filter_map(one).collect()
}

/// What is wrong with a path.
struct Fault {
    problem: String,
    fix: &'static str,
}

fn fault(problem: impl Into<String>, fix: &'static str) -> Fault {
    Fault { problem: problem.into(), fix }
}

fn examine(path: &str, wanted: Wanted) -> Result<(), Fault> {
    // A script may be written with a slash at the end, which joins it with a URL path.
    let trimmed = path.trim_end_matches('/');
    let data = reach(Path::new(if trimmed.is_empty() { "/" } else { trimmed }))?;
    match wanted {
        Wanted::Reached | Wanted::Script if data.is_dir() && !path.ends_with('/') => Err(fault(
            "is a directory, so only URLs that name a script inside it can be answered",
            "name the script, or end both the URL path and the directory with / to offer all scripts inside",
        )),
        Wanted::Script if data.is_file() => readable(trimmed),
        Wanted::Directory if !data.is_dir() => Err(fault("is not a directory", "name a directory")),
        Wanted::Directory => fs::metadata(Path::new(path).join("."))
            .map(drop)
            .map_err(|_| fault("must not be entered by that user", "let the user search it (permission x)")),
        Wanted::Modules if data.is_dir() => fs::read_dir(path).map(drop).map_err(unreadable),
        Wanted::Modules => readable(path),
        Wanted::Python => search::find(path).map(drop).or_else(|event| python_fault(path, &event)),
        Wanted::Reached | Wanted::Script => Ok(()),
    }
}

/// Daemon processes need no shared library of Python, so its absence is not told here. Nor do they need to know what they start:
/// it may be a script that becomes Python.
fn python_fault(path: &str, event: &Event) -> Result<(), Fault> {
    let is_program =
        |path: PathBuf| fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    match event {
        Event::PythonLibraryMissing { .. } => Ok(()),
        Event::PythonHomeUnreadable { .. } if unix::installation::interpreter(path).is_ok_and(is_program) => Ok(()),
        Event::PythonVersionUnsupported { version, .. } => {
            Err(fault(format!("is Python {version}, and CPython 3.9 or later is needed"), "name a later Python"))
        }
        Event::PythonHomeUnreadable { reason, .. } => Err(fault(
            format!("is no usable Python: {reason}"),
            "name the directory of a Python installation or virtual environment, or its executable",
        )),
        other => Err(fault(format!("is no usable Python: {other}"), "name a Python installation")),
    }
}

fn readable(path: &str) -> Result<(), Fault> {
    // Without waiting: whoever put a pipe there must not stop the server.
    const O_NONBLOCK: i32 = 0o4000;
    File::options().read(true).custom_flags(O_NONBLOCK).open(path).map(drop).map_err(unreadable)
}

fn unreadable(error: io::Error) -> Fault {
    fault(format!("cannot be read: {error}"), "let the user read it")
}

/// What `path` leads to, or the first part of it that is missing or closed.
fn reach(path: &Path) -> Result<Metadata, Fault> {
    let error = match fs::metadata(path) {
        Ok(data) => return Ok(data),
        Err(error) => error,
    };
    let mut parts: Vec<PathBuf> = path.ancestors().map(Path::to_owned).collect();
    parts.reverse();
    let mut before: Option<PathBuf> = None;
    for part in parts {
        match fs::metadata(&part).map_err(|error| error.kind()) {
            Ok(_) => before = Some(part),
            Err(ErrorKind::PermissionDenied) => {
                let closed = before.unwrap_or_else(|| PathBuf::from("/"));
                return Err(fault(
                    format!("cannot be reached: the directory '{}' is closed to that user", closed.display()),
                    "let the user search that directory (permission x)",
                ));
            }
            Err(ErrorKind::NotFound) if part == path => {
                return Err(fault("does not exist", "correct the path or create it"));
            }
            Err(ErrorKind::NotFound) => {
                let problem = format!("does not exist: there is no '{}'", part.display());
                return Err(fault(problem, "correct the path or create it"));
            }
            Err(_) => break,
        }
    }
    Err(fault(format!("cannot be examined: {error}"), "correct the path"))
}
