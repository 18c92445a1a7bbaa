// SPDX-License-Identifier: Apache-2.0
//! Which configurations are accepted, and to which target a request resolves, on our module and on two releases of the
//! reference. Every difference is listed with its reason, in `configurations/deviations.rs` and
//! `configurations/targets/deviations.rs`; one that is no longer true fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

#[path = "configurations/arguments.rs"]
mod arguments;
#[path = "configurations/cases.rs"]
mod cases;
#[path = "configurations/deviations.rs"]
mod deviations;
#[path = "configurations/directives.rs"]
mod directives;
#[path = "configurations/generated.rs"]
mod generated;
#[path = "configurations/groups.rs"]
mod groups;
#[path = "configurations/htaccess.rs"]
mod htaccess;
#[path = "configurations/targets.rs"]
mod targets;
#[path = "configurations/written.rs"]
mod written;

use cases::{Age, Case};
use deviations::Verdict;
use harness::configtest::each;
use harness::{Mode, Module, Site, skip};
use std::collections::BTreeSet;

#[test]
fn every_directive_judges_arguments_like_the_reference() {
    compare(&directives::with_arguments());
}

#[test]
fn every_directive_is_allowed_where_the_reference_allows_it() {
    compare(&directives::in_places());
}

#[test]
fn every_option_of_a_group_judges_values_like_the_reference() {
    compare(&groups::all());
}

#[test]
fn whole_configurations_are_judged_like_by_the_reference() {
    compare(&written::all());
}

#[test]
fn configurations_made_by_chance_are_judged_like_by_the_reference() {
    compare(&generated::all());
}

#[test]
fn htaccess_is_judged_like_by_the_reference() {
    let cases = htaccess::all();
    let judge = |module, known: &[&htaccess::Below]| htaccess::judge(module, known);
    let ours = judge(Module::Ours, &cases.iter().collect::<Vec<_>>());
    let mut complaints = Vec::new();
    for reference in references() {
        let known: Vec<_> = cases.iter().zip(&ours).filter(|(below, _)| is_known(&below.case, reference)).collect();
        let theirs = judge(reference, &known.iter().map(|(below, _)| *below).collect::<Vec<_>>());
        assert!(theirs.iter().any(|said| said.0 == Verdict::Refused));
        for ((below, ours), theirs) in known.into_iter().zip(&theirs) {
            complaints.extend(difference(reference, &below.case, ours, theirs));
        }
    }
    report(complaints, cases.iter().map(|below| &below.case).zip(&ours));
}

#[test]
fn httpd_lists_every_directive_in_the_place_where_the_reference_has_it() {
    let listed = |module| Site::new(Mode::Embedded).module(module).declared();
    let ours = listed(Module::Ours);
    for reference in references() {
        let theirs = listed(reference);
        assert!(theirs.len() > 40, "{theirs:?}");
        for one in theirs {
            assert!(
                ours.contains(&one),
                "{one:?} on {}, {:?}",
                reference.name(),
                ours.iter().find(|our| our.name == one.name)
            );
        }
    }
}

#[test]
fn every_deviation_has_a_reason_and_a_case() {
    let names: Vec<String> = all().into_iter().map(|case| case.name).collect();
    for row in deviations::TABLE {
        assert!(row.reason.len() > 20, "{:?}", row.cases);
        assert!(!row.references.is_empty());
        for pattern in row.cases {
            assert!(names.iter().any(|name| deviations::matches(pattern, name)), "{pattern:?} is about no case");
        }
    }
}

#[test]
fn no_case_comes_twice() {
    let names: Vec<String> = all().into_iter().map(|case| case.name).collect();
    let mut seen = BTreeSet::new();
    let again: Vec<&String> = names.iter().filter(|name| !seen.insert(*name)).collect();
    assert!(again.is_empty(), "{again:?}");
    assert!(names.len() > 800, "{}", names.len());
}

fn all() -> Vec<Case> {
    let below = htaccess::all().into_iter().map(|below| below.case);
    let tested =
        [directives::with_arguments(), directives::in_places(), groups::all(), written::all(), generated::all()];
    tested.into_iter().flatten().chain(below).collect()
}

/// What one module says of all cases.
fn judge<'a>(module: Module, cases: impl IntoIterator<Item = &'a Case>) -> Vec<(Verdict, String)> {
    let cases: Vec<&Case> = cases.into_iter().collect();
    each(&cases, |case| {
        let site = Site::new(Mode::Embedded).module(module).with("auth_basic").with("authn_core");
        let test = site.config(&case.config).configtest(&[]);
        (if test.accepted { Verdict::Accepted } else { Verdict::Refused }, test.output)
    })
}

fn compare(cases: &[Case]) {
    let ours = judge(Module::Ours, cases);
    let mut complaints = Vec::new();
    for reference in references() {
        let nothing = &judge(reference, [&Case::nothing()])[0];
        assert_eq!(nothing.0, Verdict::Accepted, "{}", nothing.1);
        let known: Vec<_> = cases.iter().zip(&ours).filter(|(case, _)| is_known(case, reference)).collect();
        let theirs = judge(reference, known.iter().map(|(case, _)| *case));
        let accepted = theirs.iter().filter(|said| said.0 == Verdict::Accepted).count();
        assert!(accepted * 8 > theirs.len() && accepted < theirs.len(), "{accepted} of {}", theirs.len());
        for ((case, ours), theirs) in known.into_iter().zip(&theirs) {
            complaints.extend(difference(reference, case, ours, theirs));
        }
    }
    report(complaints, cases.iter().zip(&ours));
}

/// The references of this machine; a missing one is a loud skip.
fn references() -> impl Iterator<Item = Module> {
    [Module::Reference4, Module::Reference6]
        .into_iter()
        .filter(|reference| reference.file().inspect_err(|reason| skip::skipped(reason)).is_ok())
}

fn is_known(case: &Case, reference: Module) -> bool {
    case.age == Age::Old || reference != Module::Reference4
}

fn report<'a>(mut complaints: Vec<String>, ours: impl Iterator<Item = (&'a Case, &'a (Verdict, String))>) {
    if Module::Ours.is_ours() {
        complaints.extend(ours.filter_map(|(case, said)| nameless(case, said)));
    }
    assert!(complaints.is_empty(), "{}:\n{}", complaints.len(), complaints.join("\n"));
}

/// A refusal must say what it is about.
fn nameless(case: &Case, (verdict, output): &(Verdict, String)) -> Option<String> {
    let names = output.to_lowercase().contains(&case.directive.to_lowercase());
    (*verdict == Verdict::Refused && !names)
        .then(|| format!("refused without a word of {}: {}\n    {}", case.directive, case.name, output.trim()))
}

fn difference(
    reference: Module,
    case: &Case,
    (ours, we_said): &(Verdict, String),
    (theirs, they_said): &(Verdict, String),
) -> Option<String> {
    let row = deviations::TABLE.iter().find(|row| row.references.contains(&reference) && row.is_about(&case.name));
    let name = reference.name();
    match row {
        Some(row) if row.ours != *ours => Some(format!("listed as {:?}, but {ours:?}: {}", row.ours, case.name)),
        Some(_) if ours == theirs => Some(format!("listed, but not true on {name}: {}", case.name)),
        None if ours != theirs => {
            let said = format!("{} {}", we_said.trim(), they_said.trim());
            let said = format!("{}\n    {}", case.line.replace('\n', "; "), said.replace('\n', " "));
            Some(format!("{name} {theirs:?}, ours {ours:?}: {}\n    {said}", case.name))
        }
        _ => None,
    }
}
