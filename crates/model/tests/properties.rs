// SPDX-License-Identifier: Apache-2.0
//! Properties of settings over random sequences of good directives: merging (configuration §2.2), what reports show, and
//! which value, path or group holds for whom (§4.1, §9.3). A new row of a table is part of them by being there.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may stop")]

use model::daemon::{Group, Groups, Registry, Unselectable};
use model::directive::value::{NOT_SET, Written};
use model::directive::{Origin, Reading, Reported, Row};
use model::interpreter::{Interpreter, InterpreterOptions, InterpreterSettings, Section, Selectors};
use model::settings::{DirectorySettings, ServerSettings};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;

/// A table of directives.
trait Table: Default + Clone + PartialEq + Debug + 'static {
    const ROWS: &'static [Row<Self>];
    fn merge(outer: &Self, inner: &Self) -> Self;
    fn report(&self) -> Vec<Reported>;
}

macro_rules! tables {
    ($($settings:ident),+) => {
        $(impl Table for $settings {
            const ROWS: &'static [Row<Self>] = $settings::ROWS;
            fn merge(outer: &Self, inner: &Self) -> Self {
                $settings::merge(outer, inner)
            }
            fn report(&self) -> Vec<Reported> {
                $settings::report(self)
            }
        })+
    };
}

tables!(ServerSettings, DirectorySettings, InterpreterSettings);

/// Directives whose repetition in one place adds to what was written before.
const ADDING: [&str; 8] = [
    "WSGIScriptAlias",
    "WSGIScriptAliasMatch",
    "WSGIImportScript",
    "WSGIDaemonProcess",
    "WSGIPythonWarnings",
    "WSGITrustedProxyHeaders",
    "WSGITrustedProxies",
    "WSGIHandlerScript",
];
/// The only field whose inner value is added to the outer one, name by name.
const UNITED: &str = "handler_scripts";

/// Arguments, some of which each row takes.
static SAMPLES: LazyLock<Vec<String>> = LazyLock::new(|| {
    fn good<S: Table>() -> impl Iterator<Item = String> {
        S::ROWS.iter().flat_map(|row| [row.good.to_owned(), (row.default)()])
    }
    let more = [
        "Off",
        "0",
        "5x",
        "1500ms",
        "64K",
        "-1",
        "\"a b\"",
        "'a \"b\" c'",
        "\\\\\\\\",
        "%{ENV:NAME}",
        "a.b",
        "On",
        "/srv/\"x\"",
        "/x /y",
        "/x '/y z' process-group='p q'",
        "other /h.py",
        "REPORT-SCRIPT /h.py",
        "X-Real-IP",
        "10.0.0.0/8 ::1",
        "unix:/s interval=0.5",
        "all",
        "%{GLOBAL} a",
        "b threads=3 python-path=\"\"",
        "1e-3",
        "1e999",
    ];
    let all = good::<ServerSettings>().chain(good::<DirectorySettings>()).chain(good::<InterpreterSettings>());
    all.chain(more.map(str::to_owned)).filter(|sample| sample != NOT_SET).collect()
});

/// One directive that is taken: the row, and its arguments.
#[derive(Debug, Clone)]
struct Line {
    row: usize,
    arguments: String,
}

/// Takes a line; how many doubts there are about it.
fn set<S: Table>(settings: &mut S, line: &Line, number: u32) -> Result<usize, String> {
    let mut reading = Reading::at(Origin { file: "httpd.conf".into(), line: number });
    let row = &S::ROWS[line.row];
    let error = |error| format!("{} {}: {error}", row.name, line.arguments);
    (row.set)(settings, &line.arguments, &mut reading).map(|()| reading.doubts.len()).map_err(error)
}

fn line<S: Table>() -> impl Strategy<Value = Line> {
    let word = "[a-zA-Z0-9/%{}:.\\\\\"'#+-]{1,10}";
    (any::<Index>(), any::<Index>(), word, any::<bool>()).prop_map(|(row, sample, word, prefers_word)| {
        let row = row.index(S::ROWS.len());
        let taken = |arguments: &str| set(&mut S::default(), &Line { row, arguments: arguments.to_owned() }, 1).is_ok();
        if prefers_word && taken(&word) {
            return Line { row, arguments: word };
        }
        let all: Vec<_> = SAMPLES.iter().filter(|sample| taken(sample)).collect();
        Line { row, arguments: all[sample.index(all.len())].clone() }
    })
}

fn lines<S: Table>() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec(line::<S>(), 0..10)
}

/// What is written in one place, from line `first` of the file on.
fn written<S: Table>(lines: &[Line], first: u32) -> S {
    let mut settings = S::default();
    for (number, line) in (first..).zip(lines) {
        set(&mut settings, line, number).expect("a good line");
    }
    settings
}

type Outcome = Result<(), TestCaseError>;

fn check_merging<S: Table>(a: &[Line], b: &[Line], c: &[Line]) -> Outcome {
    let (a, b, c): (S, S, S) = (written(a, 100), written(b, 200), written(c, 300));
    prop_assert_eq!(S::merge(&S::merge(&a, &b), &c), S::merge(&a, &S::merge(&b, &c)));
    Ok(())
}

fn check_silence<S: Table>(lines: &[Line]) -> Outcome {
    let said: S = written(lines, 1);
    prop_assert_eq!(&S::merge(&S::default(), &said), &said, "a silent outer place changes nothing");
    let mut inherited = S::default();
    for (number, line) in (1..).zip(lines).filter(|(_, line)| S::ROWS[line.row].inherited) {
        set(&mut inherited, line, number).expect("a good line");
    }
    prop_assert_eq!(S::merge(&said, &S::default()), inherited, "a silent inner place has what is inherited");
    Ok(())
}

fn check_inner_wins<S: Table>(outer: &[Line], inner: &[Line]) -> Outcome {
    let (outer, inner): (S, S) = (written(outer, 100), written(inner, 200));
    let merged = S::merge(&outer, &inner).report();
    let inherits = S::merge(&outer, &S::default()).report();
    for ((merged, inherits), inner) in merged.into_iter().zip(inherits).zip(inner.report()) {
        if inner.origin.is_none() {
            prop_assert_eq!(merged, inherits);
        } else if inner.field == UNITED {
            prop_assert!(inner.value.split("; ").all(|one| merged.value.contains(one)), "{merged:?} {inner:?}");
            prop_assert_eq!(merged.origin, inner.origin);
        } else {
            prop_assert_eq!(merged, inner);
        }
    }
    Ok(())
}

fn check_later_wins<S: Table>(earlier: &[Line], last: &Line) -> Outcome {
    let number = 100;
    let mut both: S = written(earlier, 1);
    set(&mut both, last, number).expect("a good line");
    let mut alone = S::default();
    set(&mut alone, last, number).expect("a good line");
    for (both, alone) in both.report().into_iter().zip(alone.report()).filter(|(_, alone)| alone.origin.is_some()) {
        prop_assert_eq!(&both.origin, &alone.origin);
        if both.field == UNITED {
            prop_assert!(both.value.contains(&alone.value), "{both:?} {alone:?}");
        } else if ADDING.contains(&S::ROWS[last.row].name) {
            let nothing = alone.value == NOT_SET;
            prop_assert!(nothing || both.value.ends_with(&alone.value), "{both:?} {alone:?}");
        } else {
            prop_assert_eq!(both.value, alone.value);
        }
    }
    Ok(())
}

fn check_shown<S: Table>(line: &Line) -> Outcome {
    let mut said = S::default();
    let doubts = set(&mut said, line, 1).expect("a good line");
    let shown = said.report().into_iter().find(|row| row.origin.is_some()).expect("one field").value;
    if shown == NOT_SET && (S::ROWS[line.row].bare || doubts > 0) {
        return Ok(());
    }
    let mut again = S::default();
    let result = set(&mut again, &Line { row: line.row, arguments: shown }, 1);
    prop_assert!(result.is_ok(), "{result:?}");
    prop_assert_eq!(again, said);
    Ok(())
}

/// The properties that every table has.
macro_rules! properties {
    ($($module:ident: $settings:ident),+) => {
        $(mod $module {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn merging_is_associative(
                    a in lines::<$settings>(), b in lines::<$settings>(), c in lines::<$settings>()
                ) {
                    check_merging::<$settings>(&a, &b, &c)?;
                }

                #[test]
                fn silence_inherits_and_changes_nothing(lines in lines::<$settings>()) {
                    check_silence::<$settings>(&lines)?;
                }

                #[test]
                fn the_inner_of_two_places_wins(outer in lines::<$settings>(), inner in lines::<$settings>()) {
                    check_inner_wins::<$settings>(&outer, &inner)?;
                }

                #[test]
                fn the_later_of_two_lines_wins_or_adds(earlier in lines::<$settings>(), last in line::<$settings>()) {
                    check_later_wins::<$settings>(&earlier, &last)?;
                }

                #[test]
                fn what_is_shown_reads_back_as_the_same(line in line::<$settings>()) {
                    check_shown::<$settings>(&line)?;
                }
            }
        })+
    };
}

properties!(server: ServerSettings, directory: DirectorySettings, interpreters: InterpreterSettings);

/// Few names, so that sections and interpreters meet; the empty one is `%{GLOBAL}`.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b"])
}

/// The names that a section selects, and what it says.
type Said = (Option<&'static str>, Option<&'static str>, Vec<Line>);

fn section() -> impl Strategy<Value = Said> {
    (prop::option::of(name()), prop::option::of(name()), lines::<InterpreterSettings>())
}

fn options(general: &[Line], sections: &[Said]) -> InterpreterOptions {
    let word = |selector: &str, name: &str| {
        let name = if name.is_empty() { "%{GLOBAL}" } else { name };
        format!(" {selector}={name}")
    };
    let section = |(number, (process, application, lines)): (u32, &Said)| {
        let mut reading = Reading::at(Origin { file: "httpd.conf".into(), line: number });
        let process = process.map(|name| word("process-group", name)).unwrap_or_default();
        let application = application.map(|name| word("application-group", name)).unwrap_or_default();
        Section {
            selectors: Selectors::parse(&format!("{process}{application}>"), &mut reading).expect("good selectors"),
            settings: written(lines, number + 1),
            origin: reading.origin,
        }
    };
    InterpreterOptions {
        general: written(general, 1),
        sections: (1..).map(|number| number * 100).zip(sections).map(section).collect(),
    }
}

/// The sections for an interpreter, from fewest to most selectors, in the order of the file where these are equal.
fn matching<'a>(options: &'a InterpreterOptions, said: &[Said], interpreter: Interpreter<'_>) -> Vec<&'a Section> {
    let mut found = Vec::new();
    for wanted in 0..=2 {
        for (section, (process, application, _)) in options.sections.iter().zip(said) {
            let selects = process.is_none_or(|name| name == interpreter.process_group)
                && application.is_none_or(|name| name == interpreter.application_group);
            let count = process.iter().count() + application.iter().count();
            if selects && count == wanted {
                found.push(section);
            }
        }
    }
    found
}

/// A handler script by its name, the same in other letters now and then, and its path.
fn handler() -> impl Strategy<Value = (&'static str, u8)> {
    (prop::sample::select(vec!["a", "A", "b", "c"]), 0_u8..5)
}

fn groups() -> impl Strategy<Value = Vec<(&'static str, Option<&'static str>)>> {
    let names = prop::sample::select(vec!["a", "b", "A", "c"]);
    let servers = prop::option::of(prop::sample::select(vec!["one.example", "One.example", "two.example"]));
    prop::collection::vec((names, servers), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_section_with_the_most_selectors_says_what_holds_and_then_the_last(
        general in lines::<InterpreterSettings>(),
        said in prop::collection::vec(section(), 0..6),
        process_group in name(),
        application_group in name(),
    ) {
        let options = options(&general, &said);
        let interpreter = Interpreter { process_group, application_group };
        let sections = matching(&options, &said, interpreter);
        macro_rules! check {
            ($($field:ident),+) => {
                $({
                    let expected = sections.iter().rev().find_map(|section| section.settings.$field.as_ref());
                    let found = options.value(interpreter, |settings| &settings.$field);
                    prop_assert_eq!(found, expected.or(options.general.$field.as_ref()));
                })+
            };
        }
        check!(switch_interval, per_interpreter_gil, free_threading, restrict_stdin, restrict_stdout, restrict_signal);

        let base = options.general.python_path().as_str();
        let paths = sections.iter().map(|section| section.settings.python_path().as_str());
        let expected: Vec<_> = std::iter::once(base).chain(paths).filter(|path| !path.is_empty()).collect();
        prop_assert_eq!(options.search_paths(interpreter, base), expected);
    }

    #[test]
    fn a_group_is_selected_from_everywhere_if_the_main_server_has_it_and_else_from_its_server_name(
        declared in groups(),
        name in prop::sample::select(vec!["a", "b", "A", "c", "d", ""]),
        from in prop::sample::select(vec!["one.example", "One.example", "two.example", ""]),
    ) {
        let mut registry = Registry::default();
        for (position, (name, server)) in declared.iter().enumerate() {
            let group = Groups::parse(name, &mut Reading::default()).expect("a good name").0.remove(0);
            let new = declared[..position].iter().all(|(earlier, _)| earlier != name);
            prop_assert_eq!(registry.declare(&group, server.map(str::as_bytes)).is_ok(), new, "names are unique");
        }
        let expected = match declared.iter().find(|(declared, _)| *declared == name) {
            None => Err(Unselectable::Unknown),
            Some((name, None)) => Ok(*name),
            Some((name, Some(server))) if *server == from => Ok(*name),
            Some(_) => Err(Unselectable::Hidden),
        };
        let found = registry.select(name.as_bytes(), from.as_bytes()).map(|group: &Group| group.name.as_str());
        prop_assert_eq!(found, expected);
        prop_assert_eq!(registry.select(b"\xff", from.as_bytes()).err(), Some(Unselectable::Unknown));
    }

    #[test]
    fn each_handler_has_the_script_that_was_written_last_in_the_innermost_place(
        outer in prop::collection::vec(handler(), 0..4),
        inner in prop::collection::vec(handler(), 0..4),
    ) {
        let row = DirectorySettings::ROWS.iter().position(|row| row.name == "WSGIHandlerScript").expect("the row");
        let place = |handlers: &[(&str, u8)], first| {
            let line = |(name, path): &(&str, u8)| Line { row, arguments: format!("{name} /srv/{path}") };
            written::<DirectorySettings>(&handlers.iter().map(line).collect::<Vec<_>>(), first)
        };
        let merged = DirectorySettings::merge(&place(&outer, 1), &place(&inner, 100));
        let found: BTreeMap<_, _> =
            merged.handler_scripts().0.iter().map(|(name, script)| (name.clone(), script.path.clone())).collect();
        let all = outer.iter().chain(&inner);
        prop_assert_eq!(found, all.map(|(name, path)| (name.to_lowercase(), format!("/srv/{path}"))).collect());
    }
}
