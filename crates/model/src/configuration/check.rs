// SPDX-License-Identifier: Apache-2.0
//! What is wrong or doubtful about a configuration as a whole, whatever the order of its lines. Files are another
//! matter: see [`files`](super::files).

use super::files::identity;
use super::{Accounts, Mention, View};
use crate::alias::{Alias, Location, match_literal};
use crate::daemon::{Declared, Group, Registry, Unselectable};
use crate::directive::Origin;
use crate::directive::account::UserGroupNames;
use crate::directive::value::{GroupName, OnOff};
use crate::event::Event;
use crate::settings::DirectorySettings;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the server cannot be started with it.
    pub fatal: bool,
    /// Which of the servers it is about, by position.
    pub server: usize,
    /// What is told.
    pub event: Event,
}

/// Looks for everything that can be found without looking at files.
pub fn check(servers: &[View<'_>], accounts: &dyn Accounts) -> Vec<Finding> {
    let mut findings = Findings { all: Vec::new(), server: 0 };
    let groups = declare(servers, &mut findings);
    for (server, view) in servers.iter().enumerate() {
        findings.server = server;
        view.written.doubts.iter().for_each(|told| findings.warn(told.event()));
        view.groups().for_each(|group| check_group(group, accounts, &mut findings));
        references(view).for_each(|reference| check_reference(&reference, view, &groups, &mut findings));
        check_aliases(&view.written.settings.script_aliases().0, &mut findings);
        check_restrictions(&view.written.mentions, &mut findings);
        check_embedded(view, &mut findings);
    }
    check_proxies(servers, &mut findings);
    findings.all
}

/// All process groups of the servers.
#[must_use]
pub fn registry(servers: &[View<'_>]) -> Registry {
    declare(servers, &mut Findings { all: Vec::new(), server: 0 })
}

/// The process groups that run as httpd's own user although they could run as others, in one event for all of them.
#[must_use]
pub fn as_httpd(servers: &[View<'_>], accounts: &dyn Accounts) -> Option<Event> {
    const NAMED: usize = 10;
    let (own, _) = accounts.httpd();
    let is_own = |group: &&Group| identity(Some(group), accounts).uid == own.uid;
    let groups: Vec<_> = servers.iter().flat_map(View::groups).filter(is_own).collect();
    if groups.is_empty() || !accounts.is_root() {
        return None;
    }
    let names: Vec<_> = groups.iter().take(NAMED).map(|group| format!("'{}'", group.name)).collect();
    let more = groups.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let process_groups = format!("process group{} {}{more}", if groups.len() > 1 { "s" } else { "" }, names.join(", "));
    Some(Event::GroupsAsHttpd { user: own.name, process_groups })
}

struct Findings {
    all: Vec<Finding>,
    server: usize,
}

impl Findings {
    fn warn(&mut self, event: Event) {
        self.all.push(Finding { fatal: false, server: self.server, event });
    }

    fn contradiction(&mut self, directive: &str, origin: &Origin, problem: impl Into<String>, fix: impl Into<String>) {
        let place = format!("{directive} at {origin}");
        self.warn(Event::ConfigurationContradictory { place, problem: problem.into(), fix: fix.into() });
    }

    fn fatal(&mut self, event: Event) {
        self.all.push(Finding { fatal: true, server: self.server, event });
    }
}

fn declare(servers: &[View<'_>], findings: &mut Findings) -> Registry {
    let mut registry = Registry::default();
    for (server, view) in servers.iter().enumerate() {
        findings.server = server;
        for group in view.groups() {
            if let Err(Declared { group: earlier, .. }) = registry.declare(group, view.virtual_name()) {
                findings.fatal(Event::GroupDeclaredTwice {
                    process_group: group.name.clone(),
                    origin: group.origin.to_string(),
                    earlier: earlier.origin.to_string(),
                });
            }
        }
    }
    registry
}

/// Who the processes of a group are to be, and what only root can do.
fn check_group(group: &Group, accounts: &dyn Accounts, findings: &mut Findings) {
    let options = &group.options;
    let mut refuse = |problem: String, fix: &str| {
        findings.fatal(Event::GroupUnbuildable {
            process_group: group.name.clone(),
            origin: group.origin.to_string(),
            problem,
            fix: fix.to_owned(),
        });
    };
    let users = [("user", &options.user), ("socket-user", &options.socket_user), ("script-user", &options.script_user)];
    for (option, name) in users.into_iter().filter_map(|(option, name)| Some((option, name.as_ref()?.as_str()))) {
        match accounts.user(name) {
            None => refuse(format!("{option}={name}: there is no such user"), "create the user or correct the name"),
            Some(user) if user.uid == 0 && option == "user" => {
                refuse(format!("{option}={name}: applications must not run as root"), "name another user");
            }
            Some(_) => {}
        }
    }
    let listed = options.supplementary_groups.iter().flat_map(UserGroupNames::names);
    let named = [("group", &options.group), ("script-group", &options.script_group)];
    let named = named.into_iter().filter_map(|(option, name)| Some((option, name.as_ref()?.as_str())));
    for (option, name) in named.chain(listed.map(|name| ("supplementary-groups", name))) {
        if accounts.group(name).is_none() {
            refuse(format!("{option}={name}: there is no such group"), "create the group or correct the name");
        }
    }
    if options.chroot.is_some() && !accounts.is_root() {
        refuse("chroot needs httpd to be started as root".to_owned(), "start httpd as root or remove the option");
    }
    check_user_groups(group, accounts, findings);
    check_options(group, findings);
}

/// Groups of users that a process group probably does not mean to have.
fn check_user_groups(group: &Group, accounts: &dyn Accounts, findings: &mut Findings) {
    let options = &group.options;
    let (own, own_group) = accounts.httpd();
    let named = options.user.as_ref().and_then(|name| accounts.user(name.as_str()));
    if !accounts.is_root() || named.as_ref().is_some_and(|user| user.uid == 0) {
        return;
    }
    let silent = options.group.is_none();
    if let Some(user) = named.filter(|user| silent && user.uid != own.uid && !user.groups.contains(&own_group)) {
        let problem = format!(
            "user={0} without group= leaves the processes httpd's group, to which '{0}' does not belong",
            user.name
        );
        findings.contradiction(
            "WSGIDaemonProcess",
            &group.origin,
            problem,
            format!("add group=, usually group={}", user.name),
        );
    }
    if identity(Some(group), accounts).groups.contains(&0) {
        let problem =
            format!("the processes of '{}' belong to group 0 and may read and write root's files", group.name);
        findings.contradiction(
            "WSGIDaemonProcess",
            &group.origin,
            problem,
            "choose another group=, and supplementary-groups= if the user belongs to that group",
        );
    }
}

fn check_options(group: &Group, findings: &mut Findings) {
    let options = &group.options;
    let on = |time: crate::directive::number::Seconds| !time.0.is_zero();
    let mut contradiction = |problem: &str, fix: &str| {
        findings.contradiction("WSGIDaemonProcess", &group.origin, problem, fix);
    };
    if on(options.interrupt_timeout()) && !on(options.request_timeout()) {
        contradiction("interrupt-timeout does nothing without request-timeout", "add request-timeout");
    }
    if options.virtual_memory_limit().0 != 0 && options.memory_limit().0 > options.virtual_memory_limit().0 {
        contradiction("memory-limit is above virtual-memory-limit", "raise the latter");
    }
    if options.threads().0 == 0 && (options.maximum_requests().0 != 0 || on(options.request_timeout())) {
        contradiction("threads=0 serves no requests, so limits on requests do nothing", "remove them");
    }
}

/// A process group that something names literally.
struct Reference<'a> {
    directive: &'static str,
    origin: &'a Origin,
    name: &'a str,
    /// Whether requests would be sent to it.
    serves: bool,
}

fn references<'a>(view: &View<'a>) -> impl Iterator<Item = Reference<'a>> {
    let settings = &view.written.settings;
    let fixed = |directive, origin, group: Option<&'a GroupName>| {
        Some(Reference { directive, origin, name: group?.fixed()?, serves: true })
    };
    let aliases = settings.script_aliases().0.iter().filter_map(move |alias| {
        let directive = match alias.location {
            Location::Literal(_) => "WSGIScriptAlias",
            Location::Pattern(_) => "WSGIScriptAliasMatch",
        };
        fixed(directive, &alias.origin, alias.options.process_group.as_ref())
    });
    let imports = settings.import_scripts().0.iter().filter_map(|import| {
        let name = import.options.process_group.as_ref()?.name();
        Some(Reference { directive: "WSGIImportScript", origin: &import.origin, name, serves: false })
    });
    let sections = view.written.interpreters.sections.iter().filter_map(|section| {
        let name = section.selectors.process_group.as_ref()?.name();
        Some(Reference { directive: "<WSGIInterpreterOptions>", origin: &section.origin, name, serves: false })
    });
    let mentions = view.written.mentions.iter().flat_map(move |Mention { settings, .. }| {
        let group = settings.process_group.as_ref();
        let chosen = group.and_then(|set| fixed("WSGIProcessGroup", &set.origin, Some(&set.value)));
        let handlers = settings.handler_scripts.iter().flat_map(|set| set.value.0.values());
        let handlers = handlers.filter_map(move |script| {
            fixed("WSGIHandlerScript", &script.origin, script.options.process_group.as_ref())
        });
        let listed = settings.restrict_process.iter().flat_map(|set| {
            let names = set.value.iter().flat_map(|list| &list.0);
            names.map(|name| Reference {
                directive: "WSGIRestrictProcess",
                origin: &set.origin,
                name: name.name(),
                serves: false,
            })
        });
        chosen.into_iter().chain(handlers).chain(listed)
    });
    aliases.chain(imports).chain(sections).chain(mentions).filter(|reference| !reference.name.is_empty())
}

/// Whether the group exists, can be seen from here, and serves. What the main server says holds for all virtual hosts,
/// so from there any group may be right.
fn check_reference(reference: &Reference<'_>, view: &View<'_>, groups: &Registry, findings: &mut Findings) {
    let Reference { directive, origin, name, serves } = *reference;
    let (problem, fix) = match groups.select(name.as_bytes(), view.name) {
        Ok(group) if serves && group.options.threads().0 == 0 => {
            ("serves no requests, because it has threads=0", "choose another group")
        }
        Ok(_) => return,
        Err(Unselectable::Hidden) if view.virtual_name().is_none() => return,
        Err(Unselectable::Hidden) => (
            "belongs to a virtual host with another ServerName, so requests for it are refused",
            "declare it outside of virtual hosts, or in this one",
        ),
        Err(Unselectable::Unknown) => (
            "does not exist, so requests for it are refused",
            "declare it with WSGIDaemonProcess, or correct the name; capital letters count",
        ),
    };
    findings.warn(Event::GroupUnresolved {
        place: format!("{directive} at {origin}"),
        process_group: name.to_owned(),
        problem: problem.to_owned(),
        fix: fix.to_owned(),
    });
}

fn check_aliases(aliases: &[Alias], findings: &mut Findings) {
    for (position, alias) in aliases.iter().enumerate() {
        let Location::Literal(place) = &alias.location else { continue };
        let mut warn = |problem: String, fix: &str| {
            findings.contradiction("WSGIScriptAlias", &alias.origin, problem, fix);
        };
        if !place.starts_with('/') {
            warn(format!("'{place}' does not begin with /, so no URL matches"), "write a URL path");
            continue;
        }
        if !alias.target.starts_with('/') {
            warn(format!("'{}' is not an absolute path, so it is looked for in /", alias.target), "write it in full");
        }
        if place.ends_with('/') && place != "/" && !alias.target.ends_with('/') {
            let problem = format!("'{place}' ends with / and '{}' does not, so they do not join", alias.target);
            warn(problem, "end both with /, or none");
        }
        let hidden_by = aliases.iter().take(position).find(|earlier| match &earlier.location {
            Location::Literal(earlier) => match_literal(earlier, place.as_bytes()).is_some(),
            Location::Pattern(_) => false,
        });
        if let Some(earlier) = hidden_by {
            let problem =
                format!("'{place}' is never reached: '{}' at {} comes first", earlier.place(), earlier.origin);
            warn(problem, "write longer URL paths before shorter ones");
        }
    }
}

/// Groups that are chosen and not permitted in the same place.
fn check_restrictions(mentions: &[Mention], findings: &mut Findings) {
    for list in mentions {
        let Some(set) = &list.settings.restrict_process else { continue };
        let Some(permitted) = set.value.as_ref().filter(|permitted| !permitted.0.is_empty()) else { continue };
        let here = mentions.iter().filter(|mention| mention.sections == list.sections);
        let chosen = here.filter_map(|mention| mention.settings.process_group.as_ref()?.value.fixed()).next_back();
        if let Some(name) = chosen.filter(|name| !permitted.0.iter().any(|one| one.name() == *name)) {
            let problem = format!("the process group '{name}', chosen in the same place, is not in the list");
            findings.contradiction("WSGIRestrictProcess", &set.origin, problem, "add it, or choose another");
        }
    }
}

/// What asks for embedded mode although that is forbidden.
fn check_embedded(view: &View<'_>, findings: &mut Findings) {
    if *view.written.settings.restrict_embedded() == OnOff::Off {
        return;
    }
    let aliases = view.written.settings.script_aliases().0.iter();
    let aliases = aliases.filter(|alias| alias.options.process_group.as_ref().and_then(GroupName::fixed) == Some(""));
    let mentions = view.written.mentions.iter().filter_map(|mention| mention.settings.process_group.as_ref());
    let mentions = mentions.filter(|set| set.value.fixed() == Some(""));
    let origins = aliases.map(|alias| &alias.origin).chain(mentions.map(|set| &set.origin));
    for origin in origins {
        let problem = "embedded mode is chosen, which WSGIRestrictEmbedded On forbids";
        findings.contradiction("WSGIProcessGroup", origin, problem, "choose a process group");
    }
}

/// Headers that are believed whoever sends them.
fn check_proxies(servers: &[View<'_>], findings: &mut Findings) {
    let says = |view: &View<'_>, asks: fn(&DirectorySettings) -> bool| {
        view.written.mentions.iter().any(|mention| asks(&mention.settings))
    };
    let limits = |settings: &DirectorySettings| settings.trusted_proxies.is_some();
    let everywhere = servers.first().is_some_and(|main| says(main, limits));
    for (server, view) in servers.iter().enumerate() {
        findings.server = server;
        let trusting = view.written.mentions.iter().find_map(|mention| mention.settings.trusted_proxy_headers.as_ref());
        if let Some(set) = trusting.filter(|_| !everywhere && !says(view, limits)) {
            let problem = "without WSGITrustedProxies these headers are believed whoever sends them";
            findings.contradiction(
                "WSGITrustedProxyHeaders",
                &set.origin,
                problem,
                "name the addresses of the proxies with WSGITrustedProxies",
            );
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
