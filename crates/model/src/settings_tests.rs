// SPDX-License-Identifier: Apache-2.0
//! Tests over the whole tables, so that a new row is tested by being there.

use super::*;
use crate::directive::{ArgumentError, Origin, Reading, Reported, Row};
use crate::interpreter::InterpreterSettings;
use std::collections::HashSet;
use std::fmt::Debug;

fn origin(line: u32) -> Origin {
    Origin { file: "httpd.conf".into(), line }
}

fn at(line: u32) -> Reading {
    Reading::at(origin(line))
}

fn check_rows<S: Default + Clone + PartialEq + Debug>(rows: &[Row<S>], merge: fn(&S, &S) -> S) {
    for row in rows {
        let mut settings = S::default();
        (row.set)(&mut settings, row.good, &mut at(1))
            .unwrap_or_else(|error| panic!("{} {}: {error}", row.name, row.good));
        assert_ne!(settings, S::default(), "{} keeps nothing", row.name);
        if let Some(bad) = row.bad {
            let error = (row.set)(&mut S::default(), bad, &mut at(1)).expect_err(row.name);
            assert!(!error.to_string().is_empty());
        }
        let bare = (row.set)(&mut S::default(), "", &mut at(1));
        assert!(
            row.bare == bare.is_ok()
                && matches!(bare, Ok(()) | Err(ArgumentError::Count { .. } | ArgumentError::Missing { .. })),
            "{} without arguments",
            row.name
        );
        let inherited = if row.inherited { settings.clone() } else { S::default() };
        assert_eq!(merge(&settings, &S::default()), inherited, "{}: a silent section changes nothing", row.name);
        assert_eq!(merge(&S::default(), &settings), settings, "{}: nothing outside changes nothing", row.name);
        assert_eq!(row.c_name.to_str(), Ok(row.name));
        assert_eq!(row.c_summary.to_str(), Ok(row.summary()));
        assert!(!row.summary().is_empty() && row.summary().len() < 80, "{} has no summary", row.name);
        assert!(row.text.len() > 2, "{} has no text", row.name);
    }
}

#[test]
fn every_row_takes_its_good_sample_and_refuses_its_bad_one() {
    check_rows(ServerSettings::ROWS, ServerSettings::merge);
    check_rows(DirectorySettings::ROWS, DirectorySettings::merge);
    check_rows(InterpreterSettings::ROWS, InterpreterSettings::merge);
}

#[test]
fn names_are_unique() {
    let names: Vec<_> = ServerSettings::ROWS
        .iter()
        .map(|row| row.name)
        .chain(DirectorySettings::ROWS.iter().map(|row| row.name))
        .chain(InterpreterSettings::ROWS.iter().map(|row| row.name))
        .collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
}

#[test]
fn every_directive_of_the_reference_has_a_row() {
    let table = include_str!("directive_names.txt");
    let ours: HashSet<_> = ServerSettings::ROWS
        .iter()
        .map(|row| (row.name, row.scope))
        .chain(DirectorySettings::ROWS.iter().map(|row| (row.name, row.scope)))
        .chain(InterpreterSettings::ROWS.iter().map(|row| (row.name, row.scope)))
        .map(|(name, scope)| format!("{name} {scope:?}"))
        .collect();
    let theirs: HashSet<_> = table.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(ours, theirs);
}

fn check_defaults<S: Default>(rows: &[Row<S>], report: fn(&S) -> Vec<Reported>) {
    for row in rows {
        let default = (row.default)();
        if !["(not set)", ""].contains(&default.as_str()) {
            let mut settings = S::default();
            (row.set)(&mut settings, &default, &mut at(1)).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            let value = |settings: &S| report(settings).into_iter().map(|row| row.value).collect::<Vec<_>>();
            assert_eq!(value(&settings), value(&S::default()), "{}", row.name);
        }
    }
}

#[test]
fn defaults_can_be_written() {
    check_defaults(ServerSettings::ROWS, ServerSettings::report);
    check_defaults(DirectorySettings::ROWS, DirectorySettings::report);
    check_defaults(InterpreterSettings::ROWS, InterpreterSettings::report);
}

fn samples() -> Vec<DirectorySettings> {
    let mut all = vec![DirectorySettings::default()];
    for (line, row) in (1..).zip(DirectorySettings::ROWS) {
        let mut settings = DirectorySettings::default();
        (row.set)(&mut settings, row.good, &mut at(line)).expect(row.name);
        all.push(settings);
    }
    all
}

#[test]
fn merging_is_associative() {
    let all = samples();
    for a in &all {
        for b in &all {
            for c in &all {
                let merge = DirectorySettings::merge;
                assert_eq!(merge(&merge(a, b), c), merge(a, &merge(b, c)));
            }
        }
    }
}

#[test]
fn a_silent_section_inherits_the_outer_value() {
    let mut outer = DirectorySettings::default();
    let row = DirectorySettings::ROWS.iter().find(|row| row.name == "WSGIPassAuthorization").expect("row");
    (row.set)(&mut outer, "On", &mut at(7)).expect("on");
    let merged = DirectorySettings::merge(&outer, &DirectorySettings::default());
    assert_eq!(*merged.pass_authorization(), OnOff::On);
    assert_eq!(merged.pass_authorization.as_ref().map(|set| set.origin.line), Some(7));
    let mut inner = DirectorySettings::default();
    (row.set)(&mut inner, "Off", &mut at(9)).expect("off");
    assert_eq!(*DirectorySettings::merge(&outer, &inner).pass_authorization(), OnOff::Off);
}

#[test]
fn the_later_of_two_in_one_place_wins_and_is_reported() {
    let mut settings = DirectorySettings::default();
    let row = DirectorySettings::ROWS.iter().find(|row| row.name == "WSGIScriptReloading").expect("row");
    (row.set)(&mut settings, "Off", &mut at(1)).expect("off");
    (row.set)(&mut settings, "On", &mut at(2)).expect("on");
    let reported = settings.report().into_iter().find(|row| row.field == "script_reloading").expect("reported");
    assert_eq!((reported.value.as_str(), reported.origin), ("On", Some(origin(2))));
}
