// SPDX-License-Identifier: Apache-2.0
//! Configurations found in public repositories: what mod_wsgi accepts of them, ours accepts as well. The corpus is in
//! `wild/`, with the verdicts of release 4.9.4; `wild/exceptions.rs` lists where ours knows better.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

#[path = "wild/exceptions.rs"]
mod exceptions;

use harness::configtest::each;
use harness::{Mode, Module, Site, skip};
use std::collections::BTreeSet;
use std::fs;

const LINES: &str = include_str!("wild/directives.tsv");
const FRAGMENTS: &str = include_str!("wild/fragments.txt");

/// A configuration of the corpus, made ready to be read by httpd.
struct Case {
    /// `<context> <line>`, or `fragment <number>`.
    name: String,
    config: String,
    htaccess: String,
    accepted: bool,
}

#[test]
fn every_line_in_the_wild_is_judged_like_by_release_4() {
    judge(Module::Ours, lines());
}

#[test]
fn every_fragment_in_the_wild_is_judged_like_by_release_4() {
    judge(Module::Ours, fragments());
}

#[test]
fn the_recorded_verdicts_are_those_of_release_4() {
    if let Err(reason) = Module::Reference4.file() {
        skip::skipped(&reason);
        return;
    }
    judge(Module::Reference4, lines());
    judge(Module::Reference4, fragments());
}

#[test]
fn the_corpus_is_whole() {
    assert_eq!(lines().len(), 471);
    assert_eq!(fragments().len(), 219);
    let names: BTreeSet<String> = lines().into_iter().chain(fragments()).map(|case| case.name).collect();
    for one in exceptions::ACCEPTED {
        assert!(names.contains(one.what), "{} is not in the corpus", one.what);
        assert!(one.reason.len() > 20, "{}", one.what);
    }
}

/// Every verdict that is neither the recorded one nor listed, and every listed one that is the recorded one, fails.
fn judge(module: Module, cases: Vec<Case>) {
    let complaints: Vec<String> = each(&cases, |case| {
        let said = said(module, case);
        let listed = module == Module::Ours && exceptions::ACCEPTED.iter().any(|one| one.what == case.name);
        match (said, case.accepted) {
            (None, true) | (Some(_), false) if listed => Some(format!("listed but not true: {}", case.name)),
            (None, false) if !listed => Some(format!("accepted, against the record: {}", case.name)),
            (Some(said), true) => Some(format!("refused, against the record: {}\n    {}", case.name, said.trim())),
            _ => None,
        }
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(complaints.is_empty(), "{} against {}:\n{}", complaints.len(), module.name(), complaints.join("\n"));
}

/// What a module has to object to.
fn said(module: Module, case: &Case) -> Option<String> {
    let site = Site::new(Mode::Embedded).module(module).config(&case.config);
    if case.htaccess.is_empty() {
        let test = site.configtest(&[]);
        return (!test.accepted).then_some(test.output);
    }
    let site = site
        .config("<Directory \"@ROOT@/htdocs/below\">\nAllowOverride All\n</Directory>")
        .file("htdocs/below/.htaccess", case.htaccess.as_str())
        .file("htdocs/below/page.txt", "page");
    let httpd = site.start();
    let answer = httpd.get("/below/page.txt");
    (answer.status != 200).then(|| format!("{} {}", answer.status, answer.reason))
}

fn lines() -> Vec<Case> {
    let known = Accounts::read();
    let rows = LINES.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        let [context, line, verdict, ..] = columns[..] else { panic!("{row:?}") };
        let text = known.substitute(line);
        let groups: String = groups_of(line).iter().map(|name| format!("WSGIDaemonProcess {name}\n")).collect();
        let config = match context {
            "server" => format!("{groups}{text}"),
            "vhost" => host(&format!("{groups}{text}")),
            "directory" => format!("<Directory \"@APPS@\">\n{text}\n</Directory>"),
            _ => panic!("{row:?}"),
        };
        Case { name: format!("{context} {line}"), config, htaccess: String::new(), accepted: verdict == "accepted" }
    })
    .collect()
}

/// The groups that an alias or an import names, which must have been declared.
fn groups_of(line: &str) -> Vec<&str> {
    let words = line.split_whitespace().filter_map(|word| word.strip_prefix("process-group="));
    words.filter(|name| !name.starts_with('%')).collect()
}

fn host(text: &str) -> String {
    format!("<VirtualHost *:@PORT@>\nServerName wild.test\n{text}\n</VirtualHost>")
}

fn fragments() -> Vec<Case> {
    let known = Accounts::read();
    let mut cases: Vec<Case> = Vec::new();
    let (mut blocks, mut header) = (Vec::new(), "");
    for line in FRAGMENTS.lines().skip_while(|line| !line.ends_with("accepted")).chain(["# end"]) {
        let Some(next) = line.strip_prefix("# ") else {
            let (context, text) = line.split_at(2);
            blocks.push((context.trim(), known.substitute(text)));
            continue;
        };
        if let Some((number, verdict)) = header.split_once(' ') {
            cases.push(fragment(number, verdict, &blocks));
        }
        (blocks, header) = (Vec::new(), next);
    }
    cases
}

/// The server's lines stay where they were; all lines of virtual hosts become one host, which also holds the sections.
fn fragment(number: &str, verdict: &str, blocks: &[(&str, String)]) -> Case {
    let section = |text: &str| format!("<Directory \"@APPS@\">\n{text}\n</Directory>\n");
    let has_host = blocks.iter().any(|(context, _)| *context == "v");
    let (mut before, mut inside, mut after, mut htaccess) = Default::default();
    for (context, text) in blocks {
        let (place, text): (&mut String, String) = match *context {
            "s" if inside == String::new() => (&mut before, format!("{text}\n")),
            "s" => (&mut after, format!("{text}\n")),
            "v" => (&mut inside, format!("{text}\n")),
            "d" if has_host => (&mut inside, section(text)),
            "d" => (&mut before, section(text)),
            _ => (&mut htaccess, format!("{text}\n")),
        };
        place.push_str(&text);
    }
    let host = if has_host { host(&inside) } else { String::new() };
    Case {
        name: format!("fragment {number}"),
        config: format!("{before}{host}\n{after}"),
        htaccess,
        accepted: verdict == "accepted",
    }
}

/// The users and groups of this machine: a line that names others is tried with one of these.
struct Accounts {
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Accounts {
    fn read() -> Self {
        let names = |path: &str| {
            let text = fs::read_to_string(path).expect("a file of accounts");
            text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
        };
        Self { users: names("/etc/passwd"), groups: names("/etc/group") }
    }

    /// Puts a known account where a daemon group names an unknown one.
    fn substitute(&self, line: &str) -> String {
        if !line.starts_with("WSGIDaemonProcess") {
            return line.to_owned();
        }
        let words = line.split(' ').map(|word| {
            let Some((option, name)) = word.split_once('=') else { return word.to_owned() };
            let known = match option {
                "user" | "socket-user" | "script-user" => &self.users,
                "group" | "script-group" | "supplementary-groups" => &self.groups,
                _ => return word.to_owned(),
            };
            let keeps = name.starts_with('#') || known.contains(name);
            if keeps { word.to_owned() } else { format!("{option}=www-data") }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
