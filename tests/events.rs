// SPDX-License-Identifier: Apache-2.0
//! Log events: the numbers that tests announce are those of the table, and each number is raised by some test: with a real
//! httpd, or with a real supervisor in crates/supervisor/tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::event::NUMBERS;
use model::event::TABLE;
use std::fs;

/// Events that no test with a real httpd can raise on purpose, with the reason; crates/runtime/tests raises them.
const UNRAISED: [(u16, &str); 2] = [
    (112, "CPython fails to make an interpreter only when memory ends"),
    (310, "a request would have to arrive in the instant between the end of listening and the end of the child"),
];

#[test]
fn the_numbers_of_the_tests_are_those_of_the_table() {
    for (number, name) in NUMBERS {
        let entry = TABLE.iter().find(|entry| entry.number == *number);
        assert_eq!(entry.map(|entry| entry.name), Some(*name), "event {number}");
    }
}

#[test]
fn every_event_is_raised_by_some_test() {
    let sources = |folder: &str| -> String {
        fs::read_dir(harness::module::workspace().join(folder))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect()
    };
    let supervised = sources("crates/supervisor/tests") + &sources("crates/supervisor/tests/supervising");
    let sources = sources("tests");
    let constant = |name: &str| {
        let mut text = String::new();
        for character in name.chars() {
            if character.is_ascii_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(character.to_ascii_uppercase());
        }
        text
    };
    let raised = |name: &str| {
        let constant = constant(name);
        let uses = [
            format!("expect(event::{constant})"),
            format!("start(), event::{constant})"),
            format!("&httpd, event::{constant})"),
            format!("&number(event::{constant})"),
        ];
        uses.iter().any(|text| sources.contains(text.as_str()))
    };
    let is_seen = |number: u16| supervised.contains(&format!("\"WSGIRS{number:04}: "));
    let missing: Vec<_> = TABLE
        .iter()
        .filter(|entry| !raised(entry.name) && !is_seen(entry.number))
        .filter(|entry| !UNRAISED.iter().any(|(number, _)| *number == entry.number))
        .map(|entry| (entry.number, entry.name))
        .collect();
    assert!(missing.is_empty(), "raised by no test in tests/*.rs: {missing:?}");
}
