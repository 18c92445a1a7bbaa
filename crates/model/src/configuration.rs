// SPDX-License-Identifier: Apache-2.0
//! What was written for one server, and where: settings, sections, and what is doubtful about them.

use crate::directive::{Doubt, Origin};
use crate::event::Event;
use crate::interpreter::InterpreterOptions;
use crate::settings::{DirectorySettings, ServerSettings};

/// A directive of the directory table as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// The first line of the section around it, such as `<Directory /srv>`; `None` for the server itself.
    pub section: Option<String>,
    /// Its value, and nothing else.
    pub settings: DirectorySettings,
}

/// A doubt, with the directive it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Told {
    /// The directive.
    pub directive: &'static str,
    /// Where it stands.
    pub origin: Origin,
    /// What is written and how it is understood.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl Told {
    /// Says which directive a doubt is about.
    #[must_use]
    pub fn new(directive: &'static str, origin: &Origin, doubt: Doubt) -> Self {
        Self { directive, origin: origin.clone(), problem: doubt.problem, fix: doubt.fix }
    }

    /// What is logged.
    #[must_use]
    pub fn event(&self) -> Event {
        let Self { directive, origin, problem, fix } = self.clone();
        Event::ArgumentDoubtful { directive: directive.to_owned(), origin: origin.to_string(), problem, fix }
    }
}

/// Everything written for one server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Server {
    /// Its settings, merged with those of the main server.
    pub settings: ServerSettings,
    /// Settings of interpreters; the main server's only.
    pub interpreters: InterpreterOptions,
    /// Its own directives of the directory table, in order.
    pub mentions: Vec<Mention>,
    /// What is doubtful about its own directives.
    pub doubts: Vec<Told>,
}

impl Server {
    /// A virtual host with what it has from the main server.
    #[must_use]
    pub fn merge(main: &Self, own: &Self) -> Self {
        Self { settings: ServerSettings::merge(&main.settings, &own.settings), ..own.clone() }
    }
}
