// SPDX-License-Identifier: Apache-2.0
//! The checks of the fuzz targets, driven for a moment: with their seeds, with what the tables have as samples, and with
//! both mixed by a pseudo-random hand that is the same in every run. `make fuzz` drives them for long.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may stop")]

mod aliases;
mod arguments;
mod expansion;
mod subject;

use model::alias::AliasOptions;
use model::daemon::GroupOptions;
use model::directive::Row;
use model::directive::options::Options;
use model::interpreter::{InterpreterSettings, Selectors};
use model::script::{HandlerOptions, HookOptions, ImportOptions};
use model::settings::{DirectorySettings, ServerSettings};
use std::panic;
use std::path::Path;
use subject::Subject;

type Check = fn(&[u8], Subject);

/// The inputs that fuzzing begins with; of arguments, a line is one.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = directory.read_dir().expect("seeds").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no seeds");
    let whole: Vec<_> = files.iter().map(|file| std::fs::read(file).expect("a seed")).collect();
    if target != "arguments" {
        return whole;
    }
    whole.concat().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Pseudo-random numbers (SplitMix64).
struct Hand(u64);

impl Hand {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) as usize % limit.max(1)
    }

    fn one<'a>(&mut self, all: &'a [Vec<u8>]) -> &'a [u8] {
        &all[self.below(all.len())]
    }

    /// Changes `input` in one place.
    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>], pieces: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(12)).min(input.len());
        match self.below(8) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, b"/ \"'\\=%}0a\n\xff"[self.below(12)]),
            2 => drop(input.splice(at..at, input[at..end].to_vec())),
            3 => {
                let other = self.one(seeds);
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => drop(input.splice(at..end, self.one(pieces).iter().copied())),
            _ => {
                // The rest of a word or the value of an option.
                let parts = |byte: &u8| [b' ', b'=', b'\n'].contains(byte);
                let begin = input[..at].iter().rposition(parts).map_or(0, |before| before + 1);
                let end = input[at..].iter().position(parts).map_or(input.len(), |length| at + length);
                drop(input.splice(begin..end, self.one(pieces).iter().copied()));
            }
        }
    }
}

/// Runs `check` on the seeds, and `rounds` times on changed ones.
fn drive(check: Check, subject: Subject, target: &str, pieces: &[&str], rounds: usize) {
    let seeds = seeds(target);
    let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
    seeds.iter().for_each(|seed| check(seed, subject));
    let mut hand = Hand(1);
    for _ in 0..rounds {
        let mut input = hand.one(&seeds).to_vec();
        for _ in 0..=hand.below(6) {
            hand.change(&mut input, &seeds, &pieces);
        }
        check(&input, subject);
    }
}

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
fn each_check_finds_its_planted_bug() {
    let pieces = argument_pieces();
    let checks: [(&str, Check, &[&str]); 3] = [
        ("arguments", arguments::check, &pieces),
        ("aliases", aliases::check, &PATHS),
        ("expansion", expansion::check, &VALUES),
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
