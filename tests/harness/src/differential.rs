// SPDX-License-Identifier: Apache-2.0
//! The same scenario on our module and on a reference; whatever differs is in the table of deviations, with a reason.

use crate::client::Request;
use crate::module::Module;
use crate::python::Python;
use crate::response::{End, Response};
use crate::server::Httpd;
use crate::site::{Mode, Site};
use crate::skip;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One request on a site of its own kind, by name.
pub struct Scenario {
    /// The name used in the table of deviations.
    pub name: &'static str,
    /// Gives the answer of the running site.
    pub run: fn(&Httpd) -> Response,
}

/// A difference that is meant.
pub struct Deviation {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What differs: `status`, `end`, `body`, `framing`, `header:<name>`, `environ:<key>`, or `*` for
    /// the whole answer.
    pub item: &'static str,
    /// The references it differs from.
    pub references: &'static [Module],
    /// Why ours is better, or why it cannot be the same.
    pub reason: &'static str,
}

/// Answers as named items, so that differences can be listed.
pub type Observation = BTreeMap<String, String>;

/// Takes an answer apart. What differs from run to run is left out, and so is a Content-Length that says no more than
/// the body does.
pub fn observe(answer: &Response) -> Observation {
    let mut items = BTreeMap::new();
    let mut add = |key: String, value: String| {
        items.entry(key).and_modify(|text: &mut String| *text = format!("{text}\n{value}")).or_insert(value);
    };
    add("status".into(), format!("{} {}", answer.status, answer.reason));
    let end = if matches!(answer.end, End::Malformed(_)) { "Malformed".into() } else { format!("{:?}", answer.end) };
    add("end".into(), end);
    add("framing".into(), format!("{:?}", answer.framing));
    if !answer.interim.is_empty() {
        add("interim".into(), format!("{:?}", answer.interim));
    }
    let length = answer.body.len().to_string();
    for (name, value) in &answer.headers {
        let name = name.to_ascii_lowercase();
        let says_nothing = name == "content-length" && *value == length;
        if !UNSTEADY.contains(&name.as_str()) && !says_nothing {
            add(format!("header:{name}"), value.clone());
        }
    }
    let text = answer.text();
    if text.lines().next().is_some_and(|line| line.matches('\t').count() == 2) {
        for line in text.lines() {
            let (key, value) = line.split_once('\t').unwrap_or((line, ""));
            if !CHANGING.contains(&key) {
                add(format!("environ:{key}"), without_numbers(value));
            }
        }
    } else {
        // Pages that httpd makes are compared by their status.
        add("body".into(), if text.starts_with("<!DOCTYPE HTML PUBLIC") { "(a page of httpd)".into() } else { text });
    }
    items
}

/// Replaces addresses and runs of digits, which are never the same twice.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let run = if let Some(address) = rest.strip_prefix("0x") {
            2 + address.chars().take_while(char::is_ascii_hexdigit).count()
        } else {
            rest.chars().take_while(char::is_ascii_digit).count()
        };
        result.push(if run > 0 { '9' } else { character });
        rest = &rest[run.max(character.len_utf8())..];
    }
    result
}

/// Headers that are never the same twice, or are part of the framing.
const UNSTEADY: [&str; 6] = ["date", "server", "etag", "last-modified", "transfer-encoding", "accept-ranges"];

/// Keys whose values are never the same twice. Digits of all others are compared by their number.
const CHANGING: [&str; 13] = [
    "LD_LIBRARY_PATH",
    "REMOTE_PORT",
    "SERVER_PORT",
    "HTTP_HOST",
    "DOCUMENT_ROOT",
    "CONTEXT_DOCUMENT_ROOT",
    "SCRIPT_FILENAME",
    "mod_wsgi.server_pid",
    "mod_wsgi.request_id",
    "mod_wsgi.connection_id",
    "mod_wsgi.thread_id",
    "mod_wsgi.listener_port",
    "mod_wsgi.application_group",
];

/// Runs all scenarios on ours and on `reference` and gives the complaints: unlisted differences, and listed ones that
/// are no longer true. A missing reference is a loud skip.
pub fn compare(
    mode: Mode,
    reference: Module,
    site: fn(Site) -> Site,
    scenarios: &[Scenario],
    deviations: &[Deviation],
) -> Vec<String> {
    let (Some(system), Ok(_)) = (Python::system(), reference.file()) else {
        skip::skipped(&format!("no reference module {}: {:?}", reference.name(), reference.file().err()));
        return Vec::new();
    };
    let observe_all = |module: Module| -> Vec<Observation> {
        let server = site(Site::new(mode).module(module));
        let server = if module == Module::Ours { server.python(&system) } else { server.no_python_home() };
        let httpd = server.start();
        // What is logged is the business of the suites.
        httpd.tolerate_all();
        scenarios.iter().map(|scenario| observe(&(scenario.run)(&httpd))).collect()
    };
    let (theirs, ours) = (observe_all(reference), observe_all(Module::Ours));
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    for ((scenario, theirs), ours) in scenarios.iter().zip(&theirs).zip(&ours) {
        let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for key in keys.into_iter().filter(|key| theirs.get(*key) != ours.get(*key)) {
            let listed = deviations.iter().position(|one| {
                (one.scenario == "*" || one.scenario == scenario.name)
                    && (one.item == "*" || one.item == key)
                    && one.references.contains(&reference)
            });
            match listed {
                Some(index) => drop(seen.insert(index)),
                None => complaints.push(format!(
                    "{} on {}: {key} is {:?}, ours {:?}",
                    scenario.name,
                    reference.name(),
                    theirs.get(key),
                    ours.get(key)
                )),
            }
        }
    }
    for (index, one) in deviations.iter().enumerate() {
        if one.references.contains(&reference) && !seen.contains(&index) {
            complaints.push(format!("listed but not true on {}: {} {}", reference.name(), one.scenario, one.item));
        }
    }
    complaints
}

/// A request whose answer may stall.
pub fn brief(request: Request) -> Response {
    request.patience(Duration::from_millis(1500)).send()
}
