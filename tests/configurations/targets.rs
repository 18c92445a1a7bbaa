// SPDX-License-Identifier: Apache-2.0
//! To which target a request resolves. Each case is a virtual host of its own, asked one thing; many share a server.

#[path = "targets/aliases.rs"]
mod aliases;
#[path = "targets/deviations.rs"]
mod deviations;
#[path = "targets/expansion.rs"]
mod expansion;
#[path = "targets/handlers.rs"]
mod handlers;
#[path = "targets/inheritance.rs"]
mod inheritance;
#[path = "targets/visibility.rs"]
mod visibility;

use crate::deviations::matches;
use harness::differential::Deviation;
use harness::{Mode, Module, Python, Site};
use std::collections::{BTreeMap, BTreeSet};

/// A server with many virtual hosts.
pub struct World {
    /// Its name, with which those of its cases begin.
    name: &'static str,
    /// Lines outside the virtual hosts, before them.
    main: &'static str,
    /// Files below the root.
    files: &'static [(&'static str, &'static str)],
    cases: &'static [Target],
}

/// A virtual host and a request. In its lines `{app}` is the script; the host is called `c<number>.test`, unless it names itself.
pub struct Target {
    name: &'static str,
    lines: &'static str,
    request: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

const fn target(name: &'static str, lines: &'static str, request: &'static str) -> Target {
    Target { name, lines, request, headers: &[] }
}

/// What is compared, beside the status and which callable ran.
const KEYS: &[&str] = &[
    "SCRIPT_NAME",
    "PATH_INFO",
    "SCRIPT_FILENAME",
    "mod_wsgi.process_group",
    "mod_wsgi.application_group",
    "mod_wsgi.callable_object",
    "mod_wsgi.handler_script",
    "mod_wsgi.request_handler",
    "mod_wsgi.mount_point",
    "HTTP_AUTHORIZATION",
];

/// Callables of the script, beside `application`.
const CALLABLES: &[&str] =
    &["second", "third", "handle_request", "%{GLOBAL}", "%{ENV:C}", "%{NOPE}", "%", "a.b", "", "two words"];

/// Daemon groups that every world has.
const GROUPS: &str = "WSGISocketPrefix \"@ROOT@/s\"\nWSGIDaemonProcess g threads=1\n\
    WSGIDaemonProcess h threads=1\nWSGIDaemonProcess Mixed threads=1\n\
    WSGIDaemonProcess \"two words\" threads=1\n";

type Observation = BTreeMap<&'static str, String>;

fn script() -> String {
    format!(
        "KEYS = {KEYS:?}\n\
         def named(name):\n    \
             def run(environ, start_response):\n        \
                 start_response('200 OK', [('Content-Type', 'text/plain')])\n        \
                 lines = ['ran\\t' + name] + [key + '\\t' + ascii(environ.get(key)) for key in KEYS]\n        \
                 return ['\\n'.join(lines).encode()]\n    \
             return run\n\
         for name in ['application'] + {CALLABLES:?}:\n    \
             globals()[name] = named(name)\n"
    )
}

/// Asks every case of a world on one module.
fn observe(world: &World, module: Module) -> Vec<Observation> {
    let mut site = Site::new(Mode::Embedded).module(module).with("rewrite").with("headers");
    site = site.variable("FROM_OUTSIDE", "outside").variable("P", "from-outside").variable("G_OUTSIDE", "g");
    site = match (module, Python::system()) {
        (Module::Ours, Some(system)) => site.python(&system),
        // Release 4.9.4 may hang for ten seconds when it destroys interpreters.
        _ => site.no_python_home().config("WSGIDestroyInterpreter Off"),
    };
    site = site.file("apps/t.wsgi", script()).config(GROUPS).config(&put_app(world.main));
    for (path, content) in world.files {
        let content = if content.is_empty() { script() } else { (*content).to_owned() };
        site = site.file(path, content);
    }
    for (number, case) in world.cases.iter().enumerate() {
        let naming = if case.lines.contains("ServerName ") { "ServerAlias" } else { "ServerName" };
        let lines = put_app(case.lines);
        site = site.config(&format!("<VirtualHost *:@PORT@>\n{naming} c{number}.test\n{lines}\n</VirtualHost>"));
    }
    let httpd = site.start();
    httpd.tolerate_all();
    let (port, root) = (httpd.port().to_string(), httpd.root().display().to_string());
    let ask = |(number, case): (usize, &Target)| {
        let mut request = httpd.request("GET", case.request);
        let own = format!("c{number}.test");
        let host = format!("{own}:{port}");
        if !case.headers.iter().any(|(name, _)| *name == "Host") {
            request = request.header("Host", &host);
        }
        for (name, value) in case.headers {
            request = request.header(name, &value.replace("{name}", &own));
        }
        let answer = request.send();
        let mut seen = Observation::from([("status", answer.status.to_string())]);
        for line in answer.text().replace(&root, "ROOT").replace(&port, "PORT").lines() {
            let (key, value) = line.split_once('\t').unwrap_or((line, ""));
            if let Some(key) = KEYS.iter().chain(&["ran"]).find(|known| **known == key) {
                seen.insert(key, value.to_owned());
            }
        }
        seen
    };
    world.cases.iter().enumerate().map(ask).collect()
}

fn put_app(text: &str) -> String {
    text.replace("{app}", "\"@APPS@/t.wsgi\"")
}

/// Compares a world on ours and on the references.
fn compare(world: &World) {
    let ours = observe(world, Module::Ours);
    assert!(ours.iter().any(|seen| seen["status"] == "200"));
    let mut complaints = Vec::new();
    for reference in crate::references() {
        let theirs = observe(world, reference);
        let mut used = BTreeSet::new();
        for ((case, ours), theirs) in world.cases.iter().zip(&ours).zip(&theirs) {
            let name = format!("{}: {}", world.name, case.name);
            let keys: BTreeSet<&&str> = ours.keys().chain(theirs.keys()).collect();
            // Where the status differs already, what else differs says no more.
            let differing = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
            for key in differing.filter(|key| **key == "status" || ours["status"] == theirs["status"]) {
                let row = listed(&name, reference).find(|(_, row)| [*key, "*"].contains(&row.item));
                match row {
                    Some((index, _)) => _ = used.insert(index),
                    None => complaints.push(format!(
                        "{}: {name}: {key} is {:?}, theirs {:?}",
                        reference.name(),
                        ours.get(key),
                        theirs.get(key)
                    )),
                }
            }
        }
        let start = format!("{}: ", world.name);
        let rows = deviations::TABLE.iter().enumerate();
        let unused = rows.filter(|(index, row)| row.scenario.starts_with(&start) && !used.contains(index));
        let untrue = unused.filter(|(_, row)| row.references.contains(&reference));
        complaints
            .extend(untrue.map(|(_, row)| format!("listed but not true on {}: {}", reference.name(), row.scenario)));
    }
    assert!(complaints.is_empty(), "{}:\n{}", complaints.len(), complaints.join("\n"));
}

/// The table's rows about a case.
fn listed(name: &str, reference: Module) -> impl Iterator<Item = (usize, &'static Deviation)> {
    let rows = deviations::TABLE.iter().enumerate();
    rows.filter(move |(_, row)| row.references.contains(&reference) && matches(row.scenario, name))
}

const WORLDS: [&World; 7] = [
    &aliases::WORLD,
    &expansion::WORLD,
    &handlers::WORLD,
    &inheritance::WORLD,
    &inheritance::INSENSITIVE,
    &visibility::WORLD,
    &visibility::RESTRICTED,
];

#[test]
fn aliases_find_the_same_scripts() {
    compare(&aliases::WORLD);
}

#[test]
fn variables_expand_to_the_same_names() {
    compare(&expansion::WORLD);
}

#[test]
fn handlers_run_the_same_scripts() {
    compare(&handlers::WORLD);
}

#[test]
fn values_merge_in_the_same_order() {
    compare(&inheritance::WORLD);
}

#[test]
fn paths_lose_their_case_in_the_same_names() {
    compare(&inheritance::INSENSITIVE);
}

#[test]
fn groups_are_visible_to_the_same_hosts() {
    compare(&visibility::WORLD);
}

#[test]
fn embedded_mode_is_refused_to_the_same_requests() {
    compare(&visibility::RESTRICTED);
}

#[test]
fn every_deviation_of_a_target_has_a_reason_and_a_case() {
    let names: Vec<String> = WORLDS
        .iter()
        .flat_map(|world| world.cases.iter().map(|case| format!("{}: {}", world.name, case.name)))
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.len() > 150, "{}", names.len());
    for row in deviations::TABLE {
        assert!(row.reason.len() > 20, "{}", row.scenario);
        assert!(names.iter().any(|name| matches(row.scenario, name)), "{} is about no case", row.scenario);
    }
}
