// SPDX-License-Identifier: Apache-2.0
//! Tests over the whole tables, so that a new row is tested by being there.

use super::*;
use crate::directive::{ArgumentError, Origin, Row};
use std::collections::HashSet;
use std::fmt::Debug;

fn at(line: u32) -> Origin {
    Origin { file: "httpd.conf".into(), line }
}

fn check_rows<S: Default + Clone + PartialEq + Debug>(rows: &[Row<S>], merge: fn(&S, &S) -> S) {
    for row in rows {
        let mut settings = S::default();
        (row.set)(&mut settings, row.good, &at(1)).unwrap_or_else(|error| panic!("{} {}: {error}", row.name, row.good));
        assert_ne!(settings, S::default(), "{} keeps nothing", row.name);
        let error = (row.set)(&mut S::default(), row.bad, &at(1)).expect_err(row.name);
        assert!(!error.to_string().is_empty());
        assert!(
            matches!(
                (row.set)(&mut S::default(), "", &at(1)),
                Err(ArgumentError::Count { .. } | ArgumentError::Missing { .. })
            ),
            "{} takes nothing",
            row.name
        );
        assert_eq!(merge(&settings, &S::default()), settings, "{}: a silent section changes nothing", row.name);
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
}

#[test]
fn names_are_unique() {
    let names: Vec<_> = ServerSettings::ROWS
        .iter()
        .map(|row| row.name)
        .chain(DirectorySettings::ROWS.iter().map(|row| row.name))
        .collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
}

#[test]
fn defaults_can_be_written() {
    for row in DirectorySettings::ROWS {
        let default = (row.default)();
        if default != "(not set)" {
            let mut settings = DirectorySettings::default();
            (row.set)(&mut settings, &default, &at(1)).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            let value =
                |settings: &DirectorySettings| settings.report().into_iter().map(|row| row.value).collect::<Vec<_>>();
            assert_eq!(value(&settings), value(&DirectorySettings::default()), "{}", row.name);
        }
    }
}

fn samples() -> Vec<DirectorySettings> {
    let mut all = vec![DirectorySettings::default()];
    for (line, row) in (1..).zip(DirectorySettings::ROWS) {
        let mut settings = DirectorySettings::default();
        (row.set)(&mut settings, row.good, &at(line)).expect(row.name);
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
    (row.set)(&mut outer, "On", &at(7)).expect("on");
    let merged = DirectorySettings::merge(&outer, &DirectorySettings::default());
    assert_eq!(*merged.pass_authorization(), OnOff::On);
    assert_eq!(merged.pass_authorization.as_ref().map(|set| set.origin.line), Some(7));
    let mut inner = DirectorySettings::default();
    (row.set)(&mut inner, "Off", &at(9)).expect("off");
    assert_eq!(*DirectorySettings::merge(&outer, &inner).pass_authorization(), OnOff::Off);
}

#[test]
fn the_later_of_two_in_one_place_wins_and_is_reported() {
    let mut settings = DirectorySettings::default();
    let row = DirectorySettings::ROWS.iter().find(|row| row.name == "WSGIScriptReloading").expect("row");
    (row.set)(&mut settings, "Off", &at(1)).expect("off");
    (row.set)(&mut settings, "On", &at(2)).expect("on");
    let reported = settings.report().into_iter().find(|row| row.field == "script_reloading").expect("reported");
    assert_eq!((reported.value.as_str(), reported.origin), ("On", Some(at(2))));
}
