// SPDX-License-Identifier: Apache-2.0
//! What the configuration says about Python in this process.
//!
//! Made in a child when it starts; read by the Python thread when it starts Python and when it makes interpreters.

#![forbid(unsafe_code)]

use super::layout::Layout;
use super::search::Installation;
use crate::config::ServerConfig;
use model::directive::value::HashSeed;
use model::embedded::options::{Options, wants_free_threading, wants_own_gil};
use model::event::Event;
use model::interpreter::{Interpreter, InterpreterOptions};
use model::settings::ServerSettings;
use std::ffi::CStr;

/// Python's optimisation levels end here.
const HIGHEST_OPTIMISATION: u32 = 2;
/// The first minor version whose interpreters can have a GIL of their own.
const OWN_GIL: u32 = 12;

/// A copy of the settings, because the Python thread lives longer than the call that is given them.
#[derive(Debug)]
pub struct Configuration {
    server: ServerSettings,
    interpreters: InterpreterOptions,
    /// Scripts to load ahead of requests, each with its interpreter.
    pub preloads: Vec<(String, String)>,
}

/// A field of `PyConfig` that is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// `optimization_level`
    Optimisation,
    /// `write_bytecode`
    WriteBytecode,
    /// `use_hash_seed`: 0 is a new seed in each process, whatever the environment says.
    UseHashSeed,
    /// `hash_seed`
    HashSeed,
}

impl Number {
    /// The name by which Python 3.14 and later take it.
    pub fn name(self) -> &'static CStr {
        match self {
            Self::Optimisation => c"optimization_level",
            Self::WriteBytecode => c"write_bytecode",
            Self::UseHashSeed => c"use_hash_seed",
            Self::HashSeed => c"hash_seed",
        }
    }

    /// Where it lies in earlier versions.
    pub fn offset(self, layout: &Layout) -> usize {
        match self {
            Self::Optimisation => layout.optimisation,
            Self::WriteBytecode => layout.write_bytecode,
            Self::UseHashSeed => super::layout::USE_HASH_SEED,
            Self::HashSeed => super::layout::HASH_SEED,
        }
    }
}

impl Configuration {
    /// Copies what the main server says.
    pub fn new(config: &ServerConfig, preloads: Vec<(String, String)>) -> Self {
        let written = &config.written;
        Self { server: written.settings.clone(), interpreters: written.interpreters.clone(), preloads }
    }

    /// The Python installation.
    pub fn home(&self) -> &str {
        let home = self.server.python_home().as_str();
        if home.is_empty() { env!("MOD_WSGI_RS_DEFAULT_PYTHON") } else { home }
    }

    /// What is to be set before Python starts. Where nothing is said Python decides by its environment variables.
    pub fn numbers(&self) -> Vec<(Number, u32)> {
        let mut numbers = Vec::new();
        if let Some(level) = &self.server.python_optimize {
            numbers.push((Number::Optimisation, level.value.0.min(HIGHEST_OPTIMISATION)));
        }
        if self.server.dont_write_bytecode().is_on() {
            numbers.push((Number::WriteBytecode, 0));
        }
        match self.server.python_hash_seed.as_ref().map(|seed| seed.value) {
            Some(HashSeed::Random) => numbers.push((Number::UseHashSeed, 0)),
            Some(HashSeed::Fixed(seed)) => numbers.extend([(Number::UseHashSeed, 1), (Number::HashSeed, seed)]),
            None => {}
        }
        numbers
    }

    /// Options of the kind that Python takes with `-W`, in order.
    pub fn warnings(&self) -> &[String] {
        &self.server.python_warnings().0
    }

    /// Where eggs are unpacked; empty when nothing is said.
    pub fn eggs(&self) -> &str {
        self.server.python_eggs().as_str()
    }

    /// Whether interpreters are ended with the process.
    pub fn destroys_interpreters(&self) -> bool {
        self.server.destroy_interpreter().is_on()
    }

    /// Whether capital letters count in the paths of scripts.
    pub fn is_case_sensitive(&self) -> bool {
        self.server.case_sensitivity().is_on()
    }

    /// What is asked for that this Python cannot do.
    pub fn unsupported(&self, installation: &Installation) -> impl Iterator<Item = Event> {
        let (major, minor) = installation.version;
        let own_gil = (minor < OWN_GIL && wants_own_gil(&self.interpreters, ""))
            .then(|| Event::OwnGilUnsupported { version: format!("{major}.{minor}") });
        // The extension module is one binary of the stable ABI, which free-threaded builds do not load: any Python that
        // gets as far as this has its lock.
        let free_threading = wants_free_threading(&self.interpreters, "")
            .then(|| Event::FreeThreadingUnsupported { home: installation.configured.clone() });
        own_gil.into_iter().chain(free_threading)
    }

    /// The settings of the interpreter of an application group.
    pub fn options(&self, application_group: &[u8]) -> Options {
        let application_group = String::from_utf8_lossy(application_group);
        Options::resolve(&self.interpreters, embedded(&application_group))
    }

    /// A layer of the interpreter's search path; empty if there are no more.
    pub fn search_path(&self, application_group: &[u8], layer: usize) -> &str {
        let application_group = String::from_utf8_lossy(application_group);
        let base = self.interpreters.general.python_path().as_str();
        self.interpreters.search_paths(embedded(&application_group), base).get(layer).copied().unwrap_or_default()
    }
}

fn embedded(application_group: &str) -> Interpreter<'_> {
    Interpreter { process_group: "", application_group }
}
