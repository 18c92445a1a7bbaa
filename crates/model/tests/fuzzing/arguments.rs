// SPDX-License-Identifier: Apache-2.0
//! Arguments of directives: whatever is written, it is taken or refused; what is taken is shown as text that means the
//! same, unless it is read over with a doubt; and nothing is doubted without words.
//!
//! The input is text. Each line is a directive, the name of a table of options, or a section, and its arguments; a name
//! that does not exist stands for one that does.

use crate::subject::Subject;
use model::alias::AliasOptions;
use model::daemon::GroupOptions;
use model::directive::options::Options;
use model::directive::value::NOT_SET;
use model::directive::words::Words;
use model::directive::{Origin, Reading, Reported, Row};
use model::interpreter::{InterpreterSettings, Selectors};
use model::script::{HandlerOptions, HookOptions, ImportOptions};
use model::settings::{DirectorySettings, ServerSettings};
use std::fmt::Debug;

/// How the name of a section begins.
const SECTION: &str = "<WSGIInterpreterOptions";

/// Everything that was said so far.
#[derive(Default)]
pub struct Said {
    server: ServerSettings,
    directory: DirectorySettings,
    interpreter: InterpreterSettings,
}

/// Reads one line's arguments.
pub type Line = Box<dyn Fn(&str, &mut Reading, &mut Said, Subject)>;

/// Every name that a line may begin with.
pub fn names() -> Vec<(&'static str, Line)> {
    let mut all = Vec::new();
    rows(&mut all, ServerSettings::ROWS, ServerSettings::report, |said| &mut said.server);
    rows(&mut all, DirectorySettings::ROWS, DirectorySettings::report, |said| &mut said.directory);
    rows(&mut all, InterpreterSettings::ROWS, InterpreterSettings::report, |said| &mut said.interpreter);
    options(&mut all, "GroupOptions", GroupOptions::written);
    options(&mut all, "AliasOptions", AliasOptions::written);
    options(&mut all, "ImportOptions", ImportOptions::written);
    options(&mut all, "HandlerOptions", HandlerOptions::written);
    options(&mut all, "HookOptions", HookOptions::written);
    options(&mut all, "Selectors", Selectors::written);
    all.push((SECTION, Box::new(|arguments, reading, _, _| section(arguments, reading))));
    all
}

/// Reads every line of `input`.
pub fn check(input: &[u8], subject: Subject) {
    thread_local!(static NAMES: Vec<(&'static str, Line)> = names());
    let text = String::from_utf8_lossy(input);
    let mut said = Said::default();
    NAMES.with(|names| {
        for (line, text) in (1..).zip(text.lines()) {
            let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
            let stands_for = name.bytes().map(usize::from).sum::<usize>() % names.len();
            let (_, read) = names.iter().find(|(known, _)| *known == name).unwrap_or(&names[stands_for]);
            let mut reading = Reading::at(Origin { file: "httpd.conf".into(), line });
            read(arguments, &mut reading, &mut said, subject);
            for doubt in &reading.doubts {
                assert!(!doubt.problem.trim().is_empty() && !doubt.fix.trim().is_empty(), "an empty doubt: {text}");
            }
        }
    });
    assert!(said.server.report().len() < ServerSettings::ROWS.len());
    assert_eq!(said.directory.report().len(), DirectorySettings::ROWS.len());
    assert_eq!(said.interpreter.report().len(), InterpreterSettings::ROWS.len());
}

fn rows<S: Default + PartialEq + Debug + 'static>(
    all: &mut Vec<(&'static str, Line)>,
    rows: &'static [Row<S>],
    report: fn(&S) -> Vec<Reported>,
    field: fn(&mut Said) -> &mut S,
) {
    for row in rows {
        let read: Line = Box::new(move |arguments, reading, said, subject| {
            let origin = reading.origin.clone();
            let mut alone = S::default();
            if let Err(error) = (row.set)(&mut alone, arguments, reading) {
                assert!(!error.to_string().trim().is_empty(), "{} {arguments}", row.name);
                assert_eq!(alone, S::default(), "{} {arguments} is refused and leaves something", row.name);
                return;
            }
            (row.set)(field(said), arguments, &mut Reading::at(origin.clone())).expect("taken again");
            let shown = shown(report(&alone), subject);
            let doubted = !reading.doubts.is_empty();
            if shown == NOT_SET && (row.bare || doubted) {
                return;
            }
            let mut again = S::default();
            let result = (row.set)(&mut again, &shown, &mut Reading::at(origin));
            assert!(result.is_ok(), "{} {arguments} is shown as {shown}, which is refused: {result:?}", row.name);
            // What is read over leaves no more than a doubt.
            let alike = again == alone || doubted && report(&again) == report(&alone);
            assert!(alike, "{} {arguments} is shown as {shown}: {again:?}", row.name);
        });
        all.push((row.name, read));
    }
}

/// The one setting that was written, as it is shown.
fn shown(report: Vec<Reported>, subject: Subject) -> String {
    let mut written: Vec<_> = report.into_iter().filter(|row| row.origin.is_some()).map(|row| row.value).collect();
    assert_eq!(written.len(), 1, "one line sets one field: {written:?}");
    let shown = written.remove(0);
    match subject {
        Subject::Real => shown,
        Subject::Planted => shown.split(' ').map(without_unit).collect::<Vec<_>>().join(" "),
    }
}

/// The bug: the unit of times that are not whole seconds is forgotten.
fn without_unit(word: &str) -> &str {
    let value =
        word.strip_suffix("ms").filter(|rest| rest.rsplit('=').next().is_some_and(|n| n.parse::<u64>().is_ok()));
    value.unwrap_or(word)
}

type Pairs = Vec<(&'static str, String)>;

fn options<O: Options + Default + PartialEq + Debug>(
    all: &mut Vec<(&'static str, Line)>,
    name: &'static str,
    written: fn(&O) -> Pairs,
) {
    let read: Line = Box::new(move |arguments, reading, _, _| {
        let mut options = O::default();
        if let Err(error) = options.take_all(&mut Words::new(arguments), reading) {
            assert!(!error.to_string().trim().is_empty(), "{name} {arguments}");
            return;
        }
        let mut again = O::default();
        for (option, shown) in written(&options) {
            let mut words = Words::new(&shown);
            let value = if shown == NOT_SET { Some(String::new()) } else { words.next() };
            assert!(shown == NOT_SET || words.rest().is_empty(), "{option} of {arguments} is shown as {shown}");
            let result = again.take(option.to_owned(), value.unwrap_or_default(), &mut Reading::default());
            assert!(result.is_ok(), "{option} of {arguments} is shown as {shown}, which is refused: {result:?}");
        }
        let alike = again == options || !reading.doubts.is_empty() && written(&again) == written(&options);
        assert!(alike, "{name} {arguments} is shown as {:?}", written(&options));
    });
    all.push((name, read));
}

fn section(arguments: &str, reading: &mut Reading) {
    if let Ok(selectors) = Selectors::parse(arguments, reading) {
        let shown = selectors.render();
        let arguments = shown.strip_prefix(SECTION).expect("the name of the section");
        assert_eq!(Selectors::parse(arguments, &mut Reading::default()), Ok(selectors), "shown as {shown}");
    }
}
