// SPDX-License-Identifier: Apache-2.0
//! The effective configuration as text: every process group, and every alias with where its requests go and who said so.

use super::effective::{Effective, effective};
use super::files::identity;
use super::{Accounts, Mention, View};
use crate::alias::{Alias, Location};
use crate::daemon::{Group, Registry, Unselectable};
use crate::directive::value::{GroupName, Kept, quoted};
use crate::directive::{Origin, Reported, Set};
use crate::settings::DirectorySettings;
use std::fmt::Write;
use std::sync::Arc;

/// The report about `servers`, the main server first. `python` is the interpreter where none is configured.
#[must_use]
pub fn report(servers: &[View<'_>], groups: &Registry, accounts: &dyn Accounts, python: &str) -> String {
    let Some(main) = servers.first() else { return String::new() };
    let mut page = Page { text: String::from("WSGI configuration:\n"), main, groups, accounts, python };
    page.server_settings();
    let mut ordered: Vec<_> = servers.iter().collect();
    ordered.sort_by(|one, other| one.host.cmp(&other.host));
    for view in &ordered {
        view.groups().for_each(|group| page.group(view, group));
    }
    ordered.into_iter().for_each(|view| page.server(view));
    page.text
}

struct Page<'a> {
    text: String,
    main: &'a View<'a>,
    groups: &'a Registry,
    accounts: &'a dyn Accounts,
    python: &'a str,
}

impl Page<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }

    fn field(&mut self, indent: usize, name: &str, value: &str, origin: Option<&Origin>) {
        let from = origin.map_or_else(|| "default".to_owned(), Origin::to_string);
        self.line(indent, &format!("{name:<18} {value} ({from})"));
    }

    /// The settings of the main server that were written.
    fn server_settings(&mut self) {
        let written = self.main.written;
        let settings = written.settings.report().into_iter().chain(written.interpreters.general.report());
        let lists = ["script_aliases", "daemon_processes"];
        for Reported { field, value, origin } in settings.filter(|one| !lists.contains(&one.field)) {
            if origin.is_some() {
                self.field(2, field, &value, origin.as_ref());
            }
        }
        for section in &written.interpreters.sections {
            self.line(2, &format!("{} ({})", section.selectors.render(), section.origin));
            for Reported { field, value, origin } in
                section.settings.report().into_iter().filter(|one| one.origin.is_some())
            {
                self.field(4, field, &value, origin.as_ref());
            }
        }
    }

    fn group(&mut self, view: &View<'_>, group: &Group) {
        self.line(2, &format!("process group {} ({})", quoted(&group.name), group.origin));
        let visible = match view.virtual_name() {
            Some(name) => format!("virtual hosts named {}", String::from_utf8_lossy(name)),
            None => "everywhere".to_owned(),
        };
        self.line(4, &format!("{:<18} {visible}", "usable from"));
        let who = identity(Some(group), self.accounts);
        self.line(4, &format!("{:<18} {} (uid {}, gid {})", "user", who.name, who.uid, who.gid));
        let (home, origin) = self.home(Some(group));
        self.field(4, "python", &home, origin.as_ref());
        for (name, value) in group.options.written() {
            self.line(4, &format!("{name:<18} {value}"));
        }
    }

    /// The Python of a group, or of embedded mode, and who said so.
    fn home(&self, group: Option<&Group>) -> (String, Option<Origin>) {
        let own = group.and_then(|group| Some((group.options.python_home.as_ref()?, &group.origin)));
        let general = self.main.written.settings.python_home.as_ref().map(|set| (&set.value, &set.origin));
        let said = own.or(general).filter(|(home, _)| !home.as_str().is_empty());
        said.map_or_else(|| (self.python.to_owned(), None), |(home, origin)| (home.render(), Some(origin.clone())))
    }

    fn server(&mut self, view: &View<'_>) {
        let name = String::from_utf8_lossy(view.name).into_owned();
        match view.host {
            None => self.line(2, &format!("main server {name}")),
            Some(host) => self.line(2, &format!("virtual host {name} ({host})")),
        }
        for mention in &view.written.mentions {
            self.mention(4, mention);
        }
        for alias in &view.written.settings.script_aliases().0 {
            self.alias(view, alias);
        }
        for import in &view.written.settings.import_scripts().0 {
            let group = quoted(import.options.process_group().as_str());
            let text = format!("import {} into {group} {}", quoted(&import.path), import.options.application_group().0);
            self.line(4, &format!("{text} ({})", import.origin));
        }
    }

    fn mention(&mut self, indent: usize, mention: &Mention) {
        let sections = mention.sections.iter().rev().map(|section| format!("{section} ")).collect::<String>();
        for Reported { field, value, origin } in
            mention.settings.report().into_iter().filter(|one| one.origin.is_some())
        {
            self.field(indent, &format!("{sections}{field}"), &value, origin.as_ref());
        }
    }

    fn alias(&mut self, view: &View<'_>, alias: &Alias) {
        let kind = if matches!(alias.location, Location::Pattern(_)) { "match " } else { "" };
        let (place, target) = (quoted(alias.place()), quoted(&alias.target));
        self.line(4, &format!("alias {kind}{place} -> {target} ({})", alias.origin));
        let Effective { settings, sometimes } = effective(self.main, view, alias);
        let options = &alias.options;
        let (name, origin) =
            said(options.process_group.as_ref(), alias, settings.process_group(), settings.process_group.as_ref());
        self.field(6, "process group", &name.render(), origin.as_ref());
        self.who(view, &name);
        let (name, origin) = said(
            options.application_group.as_ref(),
            alias,
            settings.application_group(),
            settings.application_group.as_ref(),
        );
        self.field(6, "application group", &name.render(), origin.as_ref());
        let (name, origin) = said(
            options.callable_object.as_ref(),
            alias,
            settings.callable_object(),
            settings.callable_object.as_ref(),
        );
        self.field(6, "callable", &name.render(), origin.as_ref());
        if let Some(set) = &settings.restrict_process {
            self.field(6, "permitted groups", &set.value.render(), Some(&set.origin));
        }
        for mention in sometimes.into_iter().filter(|mention| chooses(&mention.settings)) {
            self.line(6, "for some of its requests:");
            self.mention(8, mention);
        }
    }

    /// The user and the Python of a process group.
    fn who(&mut self, view: &View<'_>, name: &GroupName) {
        let group = match name.fixed() {
            None => {
                return self.line(6, &format!("{:<18} depends on the request", "user, python"));
            }
            Some("") => None,
            Some(name) => match self.groups.select(name.as_bytes(), view.name) {
                Ok(group) => Some(group),
                Err(Unselectable::Unknown) => return self.line(6, "(there is no such group: requests are refused)"),
                Err(Unselectable::Hidden) => {
                    return self.line(6, "(the group belongs to another virtual host: requests are refused)");
                }
            },
        };
        let who = identity(group, self.accounts);
        let embedded = if group.is_none() { ", in httpd's children" } else { "" };
        self.line(6, &format!("{:<18} {} (uid {}, gid {}{embedded})", "user", who.name, who.uid, who.gid));
        let (home, origin) = self.home(group);
        self.field(6, "python", &home, origin.as_ref());
    }
}

/// Whether the settings say anything about where requests go.
fn chooses(settings: &DirectorySettings) -> bool {
    settings.process_group.is_some()
        || settings.application_group.is_some()
        || settings.callable_object.is_some()
        || settings.restrict_process.is_some()
}

/// The value for an alias, from its option or from the settings, and who said so.
fn said<T: Clone>(option: Option<&T>, alias: &Alias, value: &T, set: Option<&Arc<Set<T>>>) -> (T, Option<Origin>) {
    match option {
        Some(option) => (option.clone(), Some(alias.origin.clone())),
        None => (value.clone(), set.map(|set| set.origin.clone())),
    }
}
