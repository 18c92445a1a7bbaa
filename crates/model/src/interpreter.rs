// SPDX-License-Identifier: Apache-2.0
//! What may differ from interpreter to interpreter: the directives that `<WSGIInterpreterOptions>` may hold, its
//! selectors, and which value holds for an interpreter (configuration §9.3).

use crate::directive::number::Interval;
use crate::directive::options::{Options, options};
use crate::directive::value::{OnOff, SearchPath, SelectedGroup, quoted};
use crate::directive::words::{OptionError, Words};
use crate::directive::{ArgumentError, Origin, Reading, Set, directives};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

directives! {
    #[derive(Serialize, Deserialize)]
    /// Settings of interpreters, written for all of them or inside `<WSGIInterpreterOptions>` for some.
    pub struct InterpreterSettings;

    /// Directories to search for Python modules in embedded mode.
    ///
    /// Each is added with `site.addsitedir()`, so that `.pth` files count, and moved to the front in the order given.
    /// Inside `<WSGIInterpreterOptions>` the directories are added to those of the process, also in daemon processes.
    "WSGIPythonPath" => python_path: SearchPath = SearchPath::default(), in Global, since "2.0";

    /// How long a Python thread runs before another gets its turn.
    ///
    /// In seconds, such as `0.005`. For the processes of a group the option `switch-interval` of `WSGIDaemonProcess` wins.
    "WSGISwitchInterval" => switch_interval: Interval = None, in Global, since "6.0.0";

    /// Give each sub-interpreter a lock of its own.
    ///
    /// Applications of different groups then run Python at the same time. Needs Python 3.12 or later, and extension modules
    /// that allow it; the main interpreter keeps the shared lock.
    "WSGIPerInterpreterGIL" => per_interpreter_gil: OnOff = OnOff::Off, in Global, since "6.0.0";

    /// Run a free-threaded Python without its global lock.
    ///
    /// Counts for whole processes and needs a free-threaded build of Python. With `Off` such a build runs with the lock.
    "WSGIFreeThreading" => free_threading: OnOff = OnOff::Off, in Global, since "6.0.0";

    /// Forbid applications to read standard input.
    ///
    /// With `On`, any use of `sys.stdin` raises `OSError`. There is nothing to read there in any case.
    "WSGIRestrictStdin" => restrict_stdin: OnOff = OnOff::Off, in Global, since "2.0";

    /// Forbid applications to write to standard output.
    ///
    /// With `On`, any use of `sys.stdout` raises `OSError`. With `Off`, what is written there goes to the error log.
    "WSGIRestrictStdout" => restrict_stdout: OnOff = OnOff::Off, in Global, since "2.0";

    /// Keep applications from registering signal handlers.
    ///
    /// With `On`, `signal.signal()` registers nothing and logs where it was called, because handlers would interfere with
    /// the way processes are told to end. Not applied to groups with `threads=0`.
    "WSGIRestrictSignal" => restrict_signal: OnOff = OnOff::On, in Global, since "2.0";
}

options! {
    #[derive(Serialize, Deserialize)]
    /// The selectors of `<WSGIInterpreterOptions>`; one that is left out selects all.
    pub struct Selectors;

    /// The process group; `%{GLOBAL}` is embedded mode.
    "process-group" => process_group: SelectedGroup = SelectedGroup::default(), since "6.0.0";
    /// The application group; `%{GLOBAL}` is the main interpreter.
    "application-group" => application_group: SelectedGroup = SelectedGroup::default(), since "6.0.0";
}

impl Selectors {
    /// Reads what stands between `<WSGIInterpreterOptions` and `>`.
    pub fn parse(arguments: &str, reading: &mut Reading) -> Result<Self, ArgumentError> {
        let end = arguments.rfind('>').ok_or(ArgumentError::Combination("has no closing >"))?;
        let mut selectors = Self::default();
        for word in Words::new(arguments.get(..end).unwrap_or_default()) {
            let (name, value) = word.split_once('=').ok_or_else(|| OptionError::Form(word.clone()))?;
            let (name, before) = (name.to_ascii_lowercase(), selectors.count());
            selectors.take(name, value.to_owned(), reading)?;
            if selectors.count() == before {
                return Err(ArgumentError::Combination("takes each selector only once"));
            }
        }
        Ok(selectors)
    }

    fn matches(&self, interpreter: Interpreter<'_>) -> bool {
        let matches = |selector: &Option<SelectedGroup>, name: &str| {
            selector.as_ref().is_none_or(|selector| selector.name() == name)
        };
        matches(&self.process_group, interpreter.process_group)
            && matches(&self.application_group, interpreter.application_group)
    }

    fn count(&self) -> usize {
        usize::from(self.process_group.is_some()) + usize::from(self.application_group.is_some())
    }

    /// The selectors as they would be written.
    #[must_use]
    pub fn render(&self) -> String {
        let groups = [("process-group", &self.process_group), ("application-group", &self.application_group)];
        let words = groups.iter().filter_map(|(name, group)| Some((name, &group.as_ref()?.0)));
        let words: String = words.map(|(name, group)| format!(" {}", quoted(&format!("{name}={group}")))).collect();
        format!("<WSGIInterpreterOptions{words}>")
    }
}

/// One `<WSGIInterpreterOptions>` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Which interpreters it is for.
    pub selectors: Selectors,
    /// What it says.
    pub settings: InterpreterSettings,
    /// Where it begins.
    pub origin: Origin,
}

/// An interpreter by its names; empty ones are httpd's children and the main interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interpreter<'a> {
    /// The process group.
    pub process_group: &'a str,
    /// The application group.
    pub application_group: &'a str,
}

/// Everything said about interpreters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InterpreterOptions {
    /// What was said outside of sections.
    pub general: InterpreterSettings,
    /// The sections in the order of the file.
    pub sections: Vec<Section>,
}

type Field<T> = fn(&InterpreterSettings) -> &Option<Arc<Set<T>>>;

impl InterpreterOptions {
    /// The value of one setting for `interpreter`: from the matching section with the most selectors, the later one of
    /// two, else what was said outside of sections.
    pub fn value<T>(&self, interpreter: Interpreter<'_>, field: Field<T>) -> Option<&Arc<Set<T>>> {
        let matching = self.sections.iter().filter(|section| section.selectors.matches(interpreter));
        let said = matching.filter(|section| field(&section.settings).is_some());
        let best = said.max_by_key(|section| section.selectors.count());
        field(best.map_or(&self.general, |section| &section.settings)).as_ref()
    }

    /// The search paths of `interpreter` in the order they are added, each before the earlier ones: `base`, then
    /// those of the matching sections, from fewest to most selectors.
    #[must_use]
    pub fn search_paths<'a>(&'a self, interpreter: Interpreter<'_>, base: &'a str) -> Vec<&'a str> {
        let mut sections: Vec<_> =
            self.sections.iter().filter(|section| section.selectors.matches(interpreter)).collect();
        sections.sort_by_key(|section| section.selectors.count());
        let paths = sections.into_iter().map(|section| section.settings.python_path().as_str());
        std::iter::once(base).chain(paths).filter(|path| !path.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(selectors: &str, interval: &str, line: u32) -> Section {
        let mut reading = Reading::at(Origin { file: "httpd.conf".into(), line });
        let mut settings = InterpreterSettings::default();
        for (name, arguments) in [("WSGISwitchInterval", interval), ("WSGIPythonPath", &format!("/p{line}"))] {
            let row = InterpreterSettings::ROWS.iter().find(|row| row.name == name).expect("row");
            (row.set)(&mut settings, arguments, &mut reading).expect("set");
        }
        Section {
            selectors: Selectors::parse(selectors, &mut reading).expect(selectors),
            settings,
            origin: reading.origin,
        }
    }

    fn interval(options: &InterpreterOptions, process_group: &str, application_group: &str) -> Option<f64> {
        let interpreter = Interpreter { process_group, application_group };
        options.value(interpreter, |settings| &settings.switch_interval).and_then(|set| set.value).map(|value| value.0)
    }

    #[test]
    fn the_section_with_the_most_selectors_wins_and_then_the_later_one() {
        let options = InterpreterOptions {
            general: section(">", "9", 1).settings,
            sections: vec![
                section("process-group=a application-group=%{GLOBAL}>", "1", 2),
                section("process-group=a>", "2", 3),
                section("Application-Group=x>", "3", 4),
                section("process-group=%{GLOBAL}>", "4", 5),
                section("\"process-group=b c\">", "5", 6),
            ],
        };
        assert_eq!(interval(&options, "a", ""), Some(1.0));
        assert_eq!(interval(&options, "a", "y"), Some(2.0));
        assert_eq!(interval(&options, "a", "x"), Some(3.0));
        assert_eq!(interval(&options, "", ""), Some(4.0));
        assert_eq!(interval(&options, "b c", ""), Some(5.0));
        assert_eq!(interval(&options, "c", ""), Some(9.0));
        let paths = |process_group, application_group| {
            options.search_paths(Interpreter { process_group, application_group }, "/base").join(" ")
        };
        assert_eq!(paths("a", ""), "/base /p3 /p2");
        assert_eq!(paths("a", "x"), "/base /p3 /p4");
        assert_eq!(paths("c", ""), "/base");
    }

    #[test]
    fn selectors_are_shown_as_whole_words() {
        let selectors = Selectors::parse("'process-group=b c' application-group=x>", &mut Reading::default());
        let shown = selectors.expect("accepted").render();
        assert_eq!(shown, "<WSGIInterpreterOptions \"process-group=b c\" application-group=x>");
    }

    #[test]
    fn selectors_are_checked() {
        let parse = |text: &str| Selectors::parse(text, &mut Reading::default());
        for good in [">", "process-group=>", "process-group=%{NOPE}>"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["process-group=a", "a>", "user=x>", "process-group=a PROCESS-GROUP=b>"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
