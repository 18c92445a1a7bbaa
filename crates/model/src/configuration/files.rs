// SPDX-License-Identifier: Apache-2.0
//! Which files a configuration names, who needs them, and what to say about those that are not as they should be.

use super::effective::effective;
use super::{Accounts, Mention, User, View};
use crate::alias::Location;
use crate::daemon::{Group, Registry};
use crate::directive::Origin;
use crate::directive::value::GroupName;
use crate::event::Event;

/// What a path should lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A file, or a directory whose path ends with a slash, that can be reached.
    Reached,
    /// The same, that can be read.
    Script,
    /// A directory that can be searched.
    Directory,
    /// A directory or an archive of Python modules.
    Modules,
    /// A prefix, virtual environment or executable of Python.
    Python,
}

/// Who looks: user, group and supplementary groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// The name, for messages.
    pub name: String,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// One path to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Which server it is written for, by position.
    pub server: usize,
    /// The directive that names it.
    pub directive: &'static str,
    /// Where that is written.
    pub origin: Origin,
    /// The path.
    pub path: String,
    /// What it should lead to.
    pub wanted: Wanted,
    /// Who needs it.
    pub identity: Identity,
}

impl Probe {
    /// What is told if the path is not as it should be: the problem, and what to do.
    #[must_use]
    pub fn event(&self, problem: String, fix: String) -> Event {
        Event::FileDoubtful {
            place: format!("{} at {}", self.directive, self.origin),
            path: self.path.clone(),
            problem: format!("{problem} (looked at as user '{}')", self.identity.name),
            fix,
        }
    }
}

/// Who the processes of `group` are; httpd's own user for `None` and where httpd cannot change users.
#[must_use]
pub fn identity(group: Option<&Group>, accounts: &dyn Accounts) -> Identity {
    let (own, own_group) = accounts.httpd();
    let (mut user, mut gid, mut listed): (User, u32, Option<Vec<u32>>) = (own, own_group, None);
    if let Some(options) = group.map(|group| &group.options).filter(|_| accounts.is_root()) {
        if let Some(named) = options.user.as_ref().and_then(|name| accounts.user(name.as_str())) {
            user = named;
        }
        if let Some(named) = options.group.as_ref().and_then(|name| accounts.group(name.as_str())) {
            gid = named;
        }
        let names = options.supplementary_groups.as_ref();
        listed = names.map(|names| names.names().filter_map(|name| accounts.group(name)).collect());
    }
    let mut groups = listed.unwrap_or(user.groups);
    groups.retain(|one| *one != gid);
    groups.insert(0, gid);
    Identity { name: user.name, uid: user.uid, gid, groups }
}

/// Everything to look at. Groups with `chroot` are left out: their paths mean something else inside.
#[must_use]
pub fn plan(servers: &[View<'_>], groups: &Registry, accounts: &dyn Accounts) -> Vec<Probe> {
    let mut plan = Plan { probes: Vec::new(), httpd: identity(None, accounts), accounts };
    for (server, view) in servers.iter().enumerate() {
        plan.add_server(server, servers.first().unwrap_or(view), view, groups);
    }
    let mut seen = std::collections::HashSet::new();
    let key = |probe: &Probe| (probe.path.clone(), probe.wanted, probe.identity.clone(), probe.origin.clone());
    plan.probes.retain(|probe| seen.insert(key(probe)));
    plan.probes
}

struct Plan<'a> {
    probes: Vec<Probe>,
    httpd: Identity,
    accounts: &'a dyn Accounts,
}

impl Plan<'_> {
    fn add(
        &mut self,
        server: usize,
        (directive, origin): (&'static str, &Origin),
        path: &str,
        wanted: Wanted,
        identity: &Identity,
    ) {
        let (origin, path, identity) = (origin.clone(), path.to_owned(), identity.clone());
        self.probes.push(Probe { server, directive, origin, path, wanted, identity });
    }

    fn add_paths(&mut self, server: usize, place: (&'static str, &Origin), paths: &str, identity: &Identity) {
        for path in paths.split(':').filter(|path| !path.is_empty()) {
            self.add(server, place, path, Wanted::Modules, identity);
        }
    }

    fn add_server(&mut self, server: usize, main: &View<'_>, view: &View<'_>, groups: &Registry) {
        let settings = &view.written.settings;
        let httpd = self.httpd.clone();
        // The main server's; a virtual host only has them by inheritance.
        if let (None, Some(home)) = (view.host, &settings.python_home) {
            self.add(server, ("WSGIPythonHome", &home.origin), home.value.as_str(), Wanted::Python, &httpd);
        }
        if let Some(paths) = &view.written.interpreters.general.python_path {
            self.add_paths(server, ("WSGIPythonPath", &paths.origin), paths.value.as_str(), &httpd);
        }
        for group in view.groups().filter(|group| group.options.chroot.is_none()) {
            self.add_group(server, group);
        }
        let accounts = self.accounts;
        // Who runs a script of the group that is named literally; nobody knows beforehand who runs the others.
        let runs = |group: &GroupName| match group.fixed()? {
            "" => Some(identity(None, accounts)),
            name => {
                let group = groups.select(name.as_bytes(), view.name).ok()?;
                group.options.chroot.is_none().then(|| identity(Some(group), accounts))
            }
        };
        for alias in &settings.script_aliases().0 {
            let directive = match alias.location {
                Location::Literal(_) => "WSGIScriptAlias",
                Location::Pattern(_) => "WSGIScriptAliasMatch",
            };
            let Some(path) = alias.fixed_target().filter(|path| path.starts_with('/')) else { continue };
            let effective = effective(main, view, alias);
            let certain = effective.sometimes.iter().all(|mention| mention.settings.process_group.is_none());
            let group = match &alias.options.process_group {
                Some(group) => Some(group),
                None => certain.then(|| effective.settings.process_group()),
            };
            let reader = group.and_then(runs);
            // httpd's child looks first, so it must reach the script in any case.
            if reader.as_ref() != Some(&httpd) {
                self.add(server, (directive, &alias.origin), path, Wanted::Reached, &httpd);
            }
            if let Some(identity) = reader {
                self.add(server, (directive, &alias.origin), path, Wanted::Script, &identity);
            }
        }
        for import in &settings.import_scripts().0 {
            if let Some(identity) = runs(&GroupName(import.options.process_group().0)) {
                self.add(server, ("WSGIImportScript", &import.origin), &import.path, Wanted::Script, &identity);
            }
        }
        for mention in &view.written.mentions {
            self.add_mention(server, mention);
        }
    }

    fn add_group(&mut self, server: usize, group: &Group) {
        let who = identity(Some(group), self.accounts);
        let place = ("WSGIDaemonProcess", &group.origin);
        if let Some(home) = group.options.python_home.as_ref().filter(|home| !home.as_str().is_empty()) {
            self.add(server, place, home.as_str(), Wanted::Python, &who);
        }
        if let Some(home) = &group.options.home {
            self.add(server, place, &home.0, Wanted::Directory, &who);
        }
        self.add_paths(server, place, group.options.python_path().as_str(), &who);
    }

    /// Scripts that httpd's children run themselves, whatever the location's process group is.
    fn add_mention(&mut self, server: usize, mention: &Mention) {
        let httpd = self.httpd.clone();
        let settings = &mention.settings;
        let hooks = [
            ("WSGIDispatchScript", &settings.dispatch_script),
            ("WSGIAccessScript", &settings.access_script),
            ("WSGIAuthUserScript", &settings.auth_user_script),
            ("WSGIAuthGroupScript", &settings.auth_group_script),
        ];
        for (directive, set) in hooks {
            if let Some((set, hook)) = set.as_ref().and_then(|set| Some((set, set.value.as_ref()?))) {
                self.add(server, (directive, &set.origin), &hook.path, Wanted::Script, &httpd);
            }
        }
        for handler in settings.handler_scripts.iter().flat_map(|set| set.value.0.values()) {
            let embedded = handler.options.process_group.as_ref().and_then(GroupName::fixed) == Some("");
            if embedded {
                self.add(server, ("WSGIHandlerScript", &handler.origin), &handler.path, Wanted::Script, &httpd);
            }
        }
    }
}
