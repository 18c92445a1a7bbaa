// SPDX-License-Identifier: Apache-2.0
//! The checks of the fuzz targets, driven for a moment: with their seeds, with what the tables have as samples, and with
//! both mixed by a pseudo-random hand that is the same in every run. `make fuzz` drives them for long.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may stop")]

mod aliases;
mod arguments;
mod expansion;
mod frames;
mod hand;
mod subject;
mod to_server;
mod to_worker;

use frames::Direction;
use hand::{Check, drive, seeds};
use model::alias::AliasOptions;
use model::daemon::GroupOptions;
use model::directive::Row;
use model::directive::options::Options;
use model::interpreter::{InterpreterSettings, Selectors};
use model::script::{HandlerOptions, HookOptions, ImportOptions};
use model::settings::{DirectorySettings, ServerSettings};
use std::collections::BTreeSet;
use std::panic;
use subject::Subject;

/// The names and samples of a table.
fn samples<S>(rows: &'static [Row<S>]) -> impl Iterator<Item = &'static str> {
    rows.iter().flat_map(|row| [Some(row.name), Some(row.good), row.bad]).flatten()
}

fn option_samples<O: Options>() -> impl Iterator<Item = &'static str> {
    O::ROWS.iter().flat_map(|row| [Some(row.name), Some(row.good), row.bad]).flatten()
}

const TEXTS: [&str; 16] = [
    "%{GLOBAL}",
    "%{SERVER}",
    "%{RESOURCE}",
    "%{ENV:X}",
    "\"a b\"",
    "'a b'",
    "\\\\",
    "\\\"",
    "\"\"",
    "\u{b}",
    "ms",
    "1500ms",
    "-1",
    "99999999999999999999",
    " ",
    "\n",
];
const PATHS: [&str; 12] = ["/", "//", "/a", "/a/b", "/b/", "/a/bc", "\n/", "\n/a", "\n/a/b", "\n^1", "\n^3", "\n"];
const VALUES: [&str; 12] =
    ["%{GLOBAL}", "%{SERVER}", "%{HOST}", "%{RESOURCE}", "%{ENV:", "%{ENV:X}", "%", "/a", "//b", "\n", "80", "443i"];

const WORDS: [&str; 15] = [
    "\0",
    "\0\0\0\0",
    "\u{1}",
    "\u{2}",
    "\u{5}",
    "A",
    "~",
    "\n~ 17 9",
    "0",
    "9",
    "600",
    "65536",
    "18446744073709551615",
    "text",
    "\n",
];

fn argument_pieces() -> Vec<&'static str> {
    let tables =
        samples(ServerSettings::ROWS).chain(samples(DirectorySettings::ROWS)).chain(samples(InterpreterSettings::ROWS));
    let options = option_samples::<GroupOptions>().chain(option_samples::<AliasOptions>());
    let often = std::iter::repeat_n(TEXTS, 8).flatten();
    tables.chain(options).chain(often).collect()
}

#[test]
fn arguments_are_refused_or_shown_as_text_that_means_the_same() {
    drive(arguments::check, Subject::Real, "arguments", &argument_pieces(), 60_000);
}

#[test]
fn an_alias_is_found_as_by_trying_each() {
    drive(aliases::check, Subject::Real, "aliases", &PATHS, 60_000);
}

#[test]
fn names_of_groups_are_expanded_as_specified() {
    drive(expansion::check, Subject::Real, "expansion", &VALUES, 60_000);
}

#[test]
fn frames_to_workers_are_read_as_they_are_written_or_not_at_all() {
    drive(to_worker::check, Subject::Real, "to_worker", &WORDS, 60_000);
}

#[test]
fn frames_to_the_server_are_read_as_they_are_written_or_not_at_all() {
    drive(to_server::check, Subject::Real, "to_server", &WORDS, 60_000);
}

#[test]
fn each_check_finds_its_planted_bug() {
    let pieces = argument_pieces();
    let checks: [(&str, Check, &[&str]); 5] = [
        ("arguments", arguments::check, &pieces),
        ("aliases", aliases::check, &PATHS),
        ("expansion", expansion::check, &VALUES),
        ("to_worker", to_worker::check, &WORDS),
        ("to_server", to_server::check, &WORDS),
    ];
    for (target, check, pieces) in checks {
        seeds(target).iter().for_each(|seed| check(seed, Subject::Planted));
        let found = panic::catch_unwind(|| drive(check, Subject::Planted, target, pieces, 60_000));
        assert!(found.is_err(), "{target}");
    }
}

#[test]
fn the_seeds_mention_every_directive_and_option() {
    let seeds = seeds("arguments").concat();
    let seeds = String::from_utf8_lossy(&seeds);
    let options = [
        GroupOptions::ROWS.iter().map(|row| row.name).collect::<Vec<_>>(),
        AliasOptions::ROWS.iter().map(|row| row.name).collect(),
        ImportOptions::ROWS.iter().map(|row| row.name).collect(),
        HandlerOptions::ROWS.iter().map(|row| row.name).collect(),
        HookOptions::ROWS.iter().map(|row| row.name).collect(),
        Selectors::ROWS.iter().map(|row| row.name).collect(),
    ];
    for (name, _) in arguments::names() {
        assert!(seeds.lines().any(|line| line.starts_with(&format!("{name} "))), "no seed has {name}");
    }
    for name in options.concat() {
        assert!(seeds.contains(&format!("{name}=")), "no seed has the option {name}");
    }
}

#[test]
fn the_seeds_have_every_frame() {
    fn all<D: Direction>(target: &str) {
        let found: BTreeSet<usize> = seeds(target).iter().flat_map(|input| frames::variants::<D>(input)).collect();
        assert!(found.into_iter().eq(0..D::VARIANTS), "{target}");
    }
    all::<to_worker::Requests>("to_worker");
    all::<to_server::Answers>("to_server");
}
