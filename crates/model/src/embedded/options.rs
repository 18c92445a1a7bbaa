// SPDX-License-Identifier: Apache-2.0
//! What the configuration says about one interpreter, in the form in which it crosses to the extension module.
//!
//! The host resolves sections (configuration §9.3) when an interpreter is about to be made, so the extension knows nothing
//! of selectors.

use super::Flag;
use crate::directive::Set;
use crate::directive::value::OnOff;
use crate::interpreter::{Interpreter, InterpreterOptions, InterpreterSettings};
use std::sync::Arc;

/// Settings of one interpreter, with C layout; its search path is asked for separately.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Options {
    /// `WSGISwitchInterval` in seconds; 0 when not set.
    pub switch_interval: f64,
    /// Whether that is said for this application group by name: it must not change other interpreters then.
    pub switch_interval_by_name: Flag,
    /// Whether a sub-interpreter gets a GIL of its own.
    pub own_gil: Flag,
    /// Whether `sys.stdin` is out of bounds.
    pub restrict_stdin: Flag,
    /// Whether `sys.stdout` is out of bounds.
    pub restrict_stdout: Flag,
    /// Whether `signal.signal()` registers nothing.
    pub restrict_signal: Flag,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            switch_interval: 0.0,
            switch_interval_by_name: 0,
            own_gil: 0,
            restrict_stdin: 0,
            restrict_stdout: 0,
            restrict_signal: 1,
        }
    }
}

type Switch = fn(&InterpreterSettings) -> &Option<Arc<Set<OnOff>>>;

impl Options {
    /// The settings of `interpreter`.
    #[must_use]
    pub fn resolve(said: &InterpreterOptions, interpreter: Interpreter<'_>) -> Self {
        let is_on = |field: Switch, default: OnOff| {
            Flag::from(said.value(interpreter, field).map_or(default, |set| set.value).is_on())
        };
        let interval = said.value(interpreter, |settings| &settings.switch_interval);
        let unnamed = without_names(said);
        let of_process = unnamed.value(interpreter, |settings| &settings.switch_interval);
        let by_name = interval.is_some_and(|interval| !of_process.is_some_and(|other| Arc::ptr_eq(interval, other)));
        Self {
            switch_interval: interval.and_then(|set| set.value).map_or(0.0, |interval| interval.0),
            switch_interval_by_name: by_name.into(),
            own_gil: is_on(|settings| &settings.per_interpreter_gil, OnOff::Off),
            restrict_stdin: is_on(|settings| &settings.restrict_stdin, OnOff::Off),
            restrict_stdout: is_on(|settings| &settings.restrict_stdout, OnOff::Off),
            restrict_signal: is_on(|settings| &settings.restrict_signal, OnOff::On),
        }
    }
}

/// What was said without naming an application group.
fn without_names(said: &InterpreterOptions) -> InterpreterOptions {
    let mut unnamed = said.clone();
    unnamed.sections.retain(|section| section.selectors.application_group.is_none());
    unnamed
}

/// Whether some interpreter of the process group is to have a GIL of its own.
#[must_use]
pub fn wants_own_gil(said: &InterpreterOptions, process_group: &str) -> bool {
    let matching = said.sections.iter().filter(|section| {
        section.selectors.process_group.as_ref().is_none_or(|selector| selector.name() == process_group)
    });
    let settings = std::iter::once(&said.general).chain(matching.map(|section| &section.settings));
    settings.into_iter().any(|settings| settings.per_interpreter_gil().is_on())
}

/// Whether the processes of the group are to run without a GIL; what is said for one application group does not count.
#[must_use]
pub fn wants_free_threading(said: &InterpreterOptions, process_group: &str) -> bool {
    let interpreter = Interpreter { process_group, application_group: "" };
    without_names(said).value(interpreter, |settings| &settings.free_threading).is_some_and(|set| set.value.is_on())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::{Origin, Reading};
    use crate::interpreter::{Section, Selectors};

    fn settings(lines: &[(&str, &str)]) -> InterpreterSettings {
        let mut settings = InterpreterSettings::default();
        for (name, arguments) in lines {
            let row = InterpreterSettings::ROWS.iter().find(|row| row.name == *name).expect("row");
            (row.set)(&mut settings, arguments, &mut Reading::default()).expect("set");
        }
        settings
    }

    fn section(selectors: &str, lines: &[(&str, &str)]) -> Section {
        let selectors = Selectors::parse(selectors, &mut Reading::default()).expect("selectors");
        Section { selectors, settings: settings(lines), origin: Origin::default() }
    }

    fn embedded(application_group: &str) -> Interpreter<'_> {
        Interpreter { process_group: "", application_group }
    }

    #[test]
    fn nothing_said_restricts_signals_only() {
        let options = Options::resolve(&InterpreterOptions::default(), embedded("x"));
        assert_eq!(options, Options::default());
        assert_eq!((options.restrict_signal, options.restrict_stdin), (1, 0));
    }

    #[test]
    fn an_interval_is_by_name_only_if_a_section_names_the_application_group() {
        let said = InterpreterOptions {
            general: settings(&[("WSGISwitchInterval", "0.5")]),
            sections: vec![
                section("process-group=%{GLOBAL}>", &[("WSGISwitchInterval", "0.25")]),
                section("application-group=a>", &[("WSGISwitchInterval", "0.125")]),
                section("application-group=b>", &[("WSGIRestrictStdin", "On")]),
            ],
        };
        let interval = |process_group, application_group| {
            let options = Options::resolve(&said, Interpreter { process_group, application_group });
            (options.switch_interval, options.switch_interval_by_name)
        };
        assert_eq!(interval("", "a"), (0.125, 1));
        assert_eq!(interval("", "b"), (0.25, 0));
        assert_eq!(interval("other", "b"), (0.5, 0));
    }

    #[test]
    fn a_gil_of_its_own_is_wanted_where_a_section_may_match() {
        let on = [("WSGIPerInterpreterGIL", "On"), ("WSGIFreeThreading", "On")];
        let said = |sections| InterpreterOptions { general: InterpreterSettings::default(), sections };
        let everywhere = InterpreterOptions { general: settings(&on), sections: Vec::new() };
        assert!(wants_own_gil(&everywhere, "") && wants_free_threading(&everywhere, ""));
        let named = said(vec![section("application-group=a>", &on)]);
        assert!(wants_own_gil(&named, ""));
        assert!(!wants_free_threading(&named, ""), "it counts for whole processes");
        let elsewhere = said(vec![section("process-group=p>", &on)]);
        assert!(!wants_own_gil(&elsewhere, "") && wants_own_gil(&elsewhere, "p"));
        assert!(!wants_free_threading(&elsewhere, "") && wants_free_threading(&elsewhere, "p"));
    }
}
