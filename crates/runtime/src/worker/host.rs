// SPDX-License-Identifier: Apache-2.0
//! What interpreters of a worker know about their server: the supervisor's settings.

use super::control::Control;
use model::embedded::options::{self, wants_free_threading, wants_own_gil};
use model::event::{Event, Level};
use model::interpreter::Interpreter;
use model::launch::Worker;
use python::host::{Facts, Host, Options};

/// The first minor version whose interpreters can have a GIL of their own.
const OWN_GIL: u32 = 12;

/// The supervisor, and what it said.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) control: Control,
    pub(crate) settings: &'static Worker,
}

/// The directories of a layer of a search path.
pub(crate) fn entries(layer: &[u8]) -> Vec<Vec<u8>> {
    layer.split(|byte| *byte == b':').filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec).collect()
}

impl Host for Supervisor {
    fn log(&self, level: Level, line: &[u8]) {
        self.control.log(level, line);
    }

    fn options(&self, application_group: &[u8]) -> Options {
        let Worker { interpreters, group, .. } = self.settings;
        let application_group = String::from_utf8_lossy(application_group);
        let interpreter = Interpreter { process_group: group, application_group: &application_group };
        let said = options::Options::resolve(interpreters, interpreter);
        let layers = interpreters.search_paths(interpreter, &self.settings.python_path);
        let of_group = self.settings.switch_interval;
        Options {
            python_path: layers.into_iter().map(|layer| entries(layer.as_bytes())).collect(),
            home: self.settings.home.as_ref().map(|home| home.clone().into_bytes()),
            switch_interval: of_group.or((said.switch_interval > 0.0).then_some(said.switch_interval)),
            switch_interval_by_name: of_group.is_none() && said.switch_interval_by_name != 0,
            own_gil: said.own_gil != 0,
            restrict_stdin: said.restrict_stdin != 0,
            restrict_stdout: said.restrict_stdout != 0,
            // A service is a program of its own and may catch signals.
            restrict_signal: said.restrict_signal != 0 && self.settings.threads != 0,
        }
    }
}

impl Supervisor {
    /// What does not change.
    pub(crate) fn facts(&self) -> Facts {
        let settings = self.settings;
        Facts {
            process_group: settings.group.clone(),
            python_eggs: settings.python_eggs.clone().into_bytes(),
            destroy_interpreters: settings.destroy_interpreters,
            case_sensitive: settings.case_sensitive,
            multithread: settings.threads != 1,
            multiprocess: settings.multiprocess,
            run_once: false,
            single_process: false,
            maximum_processes: settings.processes,
            threads_per_process: settings.threads,
            server_version: settings.server_version,
            server_description: settings.server_description.clone(),
            mpm_name: settings.mpm_name.clone(),
            server_built: settings.server_built.clone(),
            interpreter_limit: settings.interpreter_limit,
            shutdown_milliseconds: settings.shutdown_milliseconds,
        }
    }

    /// Reports what is asked for that this Python cannot do.
    pub(crate) fn report_unsupported(&self, minor: u32, home: String) {
        let Worker { interpreters, group, .. } = self.settings;
        if minor < OWN_GIL && wants_own_gil(interpreters, group) {
            self.report(&Event::OwnGilUnsupported { version: format!("3.{minor}") });
        }
        // One binary of the stable ABI, which free-threaded builds do not load.
        if wants_free_threading(interpreters, group) {
            self.report(&Event::FreeThreadingUnsupported { home });
        }
    }
}
