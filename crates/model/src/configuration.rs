// SPDX-License-Identifier: Apache-2.0
//! What was written for one server, and where: settings, sections, and what is doubtful about them.

pub mod check;
pub mod effective;
pub mod files;
pub mod handlers;
pub mod report;

use crate::daemon::Group;
use crate::directive::{Doubt, Origin};
use crate::event::Event;
use crate::interpreter::InterpreterOptions;
use crate::settings::{DirectorySettings, ServerSettings};

/// A directive of the directory table as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// The first lines of the sections around it, such as `<Directory /srv>`, the nearest first.
    pub sections: Vec<String>,
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
        Event::ArgumentDoubtful { place: format!("{directive} at {origin}"), problem, fix }
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

/// One of the servers of a configuration, the main server first.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// `ServerName`, possibly guessed by httpd.
    pub name: &'a [u8],
    /// The port of `ServerName`; 0 if it has none.
    pub port: u16,
    /// Where the virtual host begins; `None` for the main server.
    pub host: Option<&'a Origin>,
    /// What was written for it.
    pub written: &'a Server,
}

impl<'a> View<'a> {
    /// The process groups that it declares.
    pub fn groups(&self) -> impl Iterator<Item = &'a Group> {
        self.written.settings.daemon_processes().0.iter()
    }

    /// Its name if it is a virtual host.
    #[must_use]
    pub fn virtual_name(&self) -> Option<&'a [u8]> {
        self.host.map(|_| self.name)
    }
}

/// A user as processes have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The groups that the account belongs to.
    pub groups: Vec<u32>,
}

/// The users of this machine.
pub trait Accounts {
    /// The user that a name or `#number` stands for.
    fn user(&self, name: &str) -> Option<User>;

    /// The group that a name or `#number` stands for.
    fn group(&self, name: &str) -> Option<u32>;

    /// httpd's own user and group.
    fn httpd(&self) -> (User, u32);

    /// Whether httpd may change users.
    fn is_root(&self) -> bool;
}
