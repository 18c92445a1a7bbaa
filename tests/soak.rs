// SPDX-License-Identifier: Apache-2.0
//! Nothing is lost: restarts, reloads, limits and shortages under load, each with an account of every request.
//!
//! Short here; `make soak` sets `MOD_WSGI_RS_SOAK` to 100 for the long form, in which speed is asserted too; 10 is a tenth of it.
//! `MOD_WSGI_RS_SOAK_PEER` runs what can be compared on release 6.1.1 of the reference and only prints the account.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

#[path = "soak/cycles.rs"]
mod cycles;
#[path = "soak/deadlines.rs"]
mod deadlines;
#[path = "soak/overload.rs"]
mod overload;
#[path = "soak/recycling.rs"]
mod recycling;
#[path = "soak/restarts.rs"]
mod restarts;
#[path = "soak/touches.rs"]
mod touches;

use harness::load::{Client, Kind, Way};
use harness::{Census, Httpd, Mode, Module, Python, Site, census, wait};
use std::path::{Path, PathBuf};

/// Which part of the long form this is, in percent; `None` is the short form.
fn part() -> Option<usize> {
    let text = std::env::var("MOD_WSGI_RS_SOAK").ok()?;
    Some(text.parse().expect("MOD_WSGI_RS_SOAK is a percentage"))
}

fn is_long() -> bool {
    part().is_some()
}

/// One number for the short form and one for the long.
fn either(short: usize, long: usize) -> usize {
    part().map_or(short, |part| (long * part).div_ceil(100))
}

/// Whether the reference is on trial.
fn is_peer() -> bool {
    std::env::var_os("MOD_WSGI_RS_SOAK_PEER").is_some()
}

/// A site without groups, with ours or with the reference.
fn site() -> Site {
    let site = Site::new(Mode::Embedded);
    if is_peer() { site.module(Module::Reference6).python(&Python::usual().unwrap()) } else { site }
}

/// Ours must hold; the reference is only looked at.
fn hold(what: &str, problems: &[String]) {
    assert!(
        is_peer() || problems.is_empty(),
        "{what}: {} problems\n{}",
        problems.len(),
        problems[..problems.len().min(20)].join("\n")
    );
    problems.iter().take(20).for_each(|problem| println!("{what}: {problem}"));
}

/// Clients of each way for what is mounted there.
fn clients(mount: &str, count: usize, ways: &[Way], kinds: &[(&'static str, usize, &str)]) -> Vec<Client> {
    let kinds: Vec<Kind> = kinds
        .iter()
        .map(|(name, share, path)| Kind { name, share: *share, target: format!("{mount}/{path}") })
        .collect();
    (0..count).map(|number| Client { way: ways[number % ways.len()], kinds: kinds.clone() }).collect()
}

/// Whether an answer of `mixed.py` is whole.
fn is_whole(target: &str, status: u16, body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    let number = target.rsplit('/').next().unwrap_or_default();
    let pieces = if target.contains("/stream/") { 10 } else { 0 };
    let whole = text.starts_with(&format!("{number} "))
        && text.ends_with(&format!("\n{number}\n"))
        && text.matches("piece ").count() == pieces;
    if status == 200 && whole { Ok(()) } else { Err(format!("status {status}, {text:?}")) }
}

/// The processes of groups, which the supervisor has started.
fn workers(httpd: &Httpd) -> Vec<u32> {
    let children = httpd.children().into_iter().flat_map(census::children);
    children.filter(|pid| census::is_running(*pid)).collect()
}

/// What the parent holds, and what there is of its family.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holdings {
    census: Census,
    family: usize,
    mappings: usize,
    files: Vec<PathBuf>,
}

impl Holdings {
    fn of(httpd: &Httpd) -> Self {
        let pid = httpd.pid();
        let family = census::descendants(pid).into_iter().filter(|pid| census::is_running(*pid)).count();
        Self { census: Census::of(pid), family, mappings: shared_mappings(pid), files: files(httpd.root()) }
    }

    /// Those of a server that comes to rest with so many children of its parent, and so many processes below it in all.
    fn at_rest(httpd: &Httpd, (children, family): (usize, usize)) -> Self {
        let (mut last, mut same) = (Self::of(httpd), 0);
        wait::until("the server to come to rest", || {
            let now = Self::of(httpd);
            let is_all = (now.census.children, now.family) == (children, family);
            same = if now == last && is_all { same + 1 } else { 0 };
            last = now;
            (same == 5).then(|| last.clone())
        })
    }
}

/// What a folder has.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// How many shared mappings a process has.
fn shared_mappings(pid: u32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    text.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.ends_with('s'))).count()
}
