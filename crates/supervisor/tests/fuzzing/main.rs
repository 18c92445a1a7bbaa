// SPDX-License-Identifier: Apache-2.0
//! The check of the fuzz target `control`, driven for a moment. The supervisor is a program, so the files that listen to
//! workers are part of this test.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may stop")]

mod control;
#[path = "../../../model/tests/fuzzing/hand.rs"]
mod hand;
#[path = "../../src/lines.rs"]
mod lines;
#[path = "../../../model/tests/fuzzing/subject.rs"]
mod subject;
#[path = "../../src/worker.rs"]
#[allow(dead_code, reason = "the check only listens")]
mod worker;

use hand::{drive, seeds};
use std::panic;
use subject::Subject;

const PIECES: [&str; 17] = [
    "1:@\n",
    "\n3:\n",
    "\n4:no\n",
    "\n6:\u{5}line\n",
    "\n5:\n",
    "\n7:done\n",
    "\n2:{}\n",
    "\no:",
    "|",
    "||",
    "o9000:x",
    "o8192:y",
    "6200000:\u{3}",
    "@",
    "\u{1b}[2J",
    "\u{85}",
    "\u{2028}",
];

#[test]
fn a_worker_is_understood_and_its_lines_are_shown() {
    drive(control::check, Subject::Real, "control", &PIECES, 10_000);
}

#[test]
fn the_check_finds_its_planted_bug() {
    seeds("control").iter().for_each(|seed| control::check(seed, Subject::Planted));
    let found = panic::catch_unwind(|| drive(control::check, Subject::Planted, "control", &PIECES, 10_000));
    assert!(found.is_err());
}
