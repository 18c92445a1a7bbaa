// SPDX-License-Identifier: Apache-2.0
//! Every row of the directive tables as a real httpd sees it: its name and contexts, its good sample accepted and its bad
//! sample refused, in every place where it may stand and in none where it may not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::configtest::each;
use harness::{Mode, Site, event};
use model::directive::{Row, Scope};
use model::interpreter::InterpreterSettings;
use model::settings::{DirectorySettings, ServerSettings};

/// What the tests need of a row.
#[derive(Debug, Clone, Copy)]
struct Directive {
    name: &'static str,
    scope: Scope,
    good: &'static str,
    bad: Option<&'static str>,
    /// Whether `<WSGIInterpreterOptions>` may hold it.
    of_interpreters: bool,
}

fn directives() -> Vec<Directive> {
    fn of<S>(rows: &[Row<S>], of_interpreters: bool) -> impl Iterator<Item = Directive> {
        rows.iter().map(move |row| Directive {
            name: row.name,
            scope: row.scope,
            good: row.good,
            bad: row.bad,
            of_interpreters,
        })
    }
    let server = of(ServerSettings::ROWS, false).chain(of(DirectorySettings::ROWS, false));
    server.chain(of(InterpreterSettings::ROWS, true)).collect()
}

/// A place for directives: what stands before and after them, and which scopes httpd allows there.
struct Place {
    before: &'static str,
    after: &'static str,
    allows: &'static [Scope],
}

const PLACES: [Place; 6] = [
    Place { before: "", after: "", allows: &[Scope::Global, Scope::Server, Scope::Directory, Scope::FileInfo] },
    Place {
        before: "<VirtualHost *:80>",
        after: "</VirtualHost>",
        allows: &[Scope::Server, Scope::Directory, Scope::FileInfo],
    },
    Place { before: "<Directory /srv>", after: "</Directory>", allows: IN_SECTIONS },
    Place { before: "<Location /x>", after: "</Location>", allows: IN_SECTIONS },
    Place { before: "<Files x.py>", after: "</Files>", allows: IN_SECTIONS },
    Place { before: "<If \"true\">", after: "</If>", allows: IN_SECTIONS },
];

const IN_SECTIONS: &[Scope] = &[Scope::Directory, Scope::FileInfo, Scope::AuthConfig];

fn site() -> Site {
    Site::new(Mode::Embedded)
}

fn line(directive: &Directive, arguments: &str) -> String {
    format!("{} {arguments}\n", directive.name)
}

#[test]
fn httpd_lists_what_the_tables_have() {
    let mut listed: Vec<_> = site().declared().into_iter().map(|one| (one.name, one.allowed)).collect();
    let allowed = |scope: Scope| match scope {
        Scope::Global | Scope::Server => "Allowed in *.conf only outside <Directory>, <Files>, <Location>, or <If>",
        Scope::Directory => "Allowed in *.conf anywhere",
        Scope::FileInfo => "Allowed in *.conf anywhere and in .htaccess when AllowOverride includes FileInfo",
        Scope::AuthConfig => {
            "Allowed in *.conf only inside <Directory>, <Files>, <Location>, or <If> and in .htaccess when \
             AllowOverride includes AuthConfig"
        }
    };
    let mut ours: Vec<_> =
        directives().iter().map(|one| (one.name.to_owned(), allowed(one.scope).to_owned())).collect();
    ours.push(("<WSGIInterpreterOptions".to_owned(), allowed(Scope::Global).to_owned()));
    listed.sort();
    ours.sort();
    assert_eq!(listed, ours);
}

#[test]
fn good_samples_are_accepted_wherever_their_directive_may_stand() {
    for place in PLACES {
        let lines: String = directives()
            .iter()
            .filter(|one| place.allows.contains(&one.scope))
            .map(|one| line(one, one.good))
            .collect();
        let said = site().config(&format!("{}\n{lines}{}", place.before, place.after)).configtest(&[]);
        assert!(said.accepted, "{}: {}", place.before, said.output);
    }
}

#[test]
fn directives_are_refused_where_they_may_not_stand() {
    let places = PLACES.iter().flat_map(|place| {
        let refused = directives().into_iter().filter(|one| !place.allows.contains(&one.scope));
        refused.map(move |one| (place, one))
    });
    let cases: Vec<_> = places.collect();
    let said = each(&cases, |(place, one)| {
        site().config(&format!("{}\n{}{}", place.before, line(one, one.good), place.after)).configtest(&[])
    });
    for ((place, one), said) in cases.iter().zip(said) {
        assert!(!said.accepted && said.output.contains(one.name), "{} in {}: {}", one.name, place.before, said.output);
    }
}

#[test]
fn bad_samples_are_refused_and_named() {
    let cases: Vec<_> = directives().into_iter().filter_map(|one| Some((one, one.bad?))).collect();
    assert!(cases.len() > 40);
    let said = each(&cases, |(one, bad)| {
        let place = &PLACES[if one.scope == Scope::AuthConfig { 2 } else { 0 }];
        site().config(&format!("{}\n{}{}", place.before, line(one, bad), place.after)).configtest(&[])
    });
    for ((one, bad), said) in cases.iter().zip(said) {
        let named = said.output.contains(one.name) && said.output.contains("httpd.conf:");
        assert!(!said.accepted && named, "{} {bad}: {}", one.name, said.output);
    }
}

#[test]
fn the_section_holds_directives_of_interpreters_and_doubts_others() {
    let lines: String = directives().iter().filter(|one| one.of_interpreters).map(|one| line(one, one.good)).collect();
    let section =
        |inside: &str| format!("<WSGIInterpreterOptions application-group=x>\n{inside}</WSGIInterpreterOptions>");
    let said = site().config(&section(&lines)).configtest(&["WSGI_STRICT_CHECK"]);
    assert!(!said.output.contains("does not belong into it"), "{}", said.output);
    let said = site().config(&section("ServerAdmin me@localhost\nWSGIPythonOptimize 1\n")).configtest(&[]);
    assert!(said.accepted && said.output.contains("ServerAdmin does not belong into it"), "{}", said.output);
    assert!(said.output.contains("WSGIPythonOptimize does not belong into it"), "{}", said.output);
    for bad in
        ["<WSGIInterpreterOptions application-group=x", "<WSGIInterpreterOptions x>", "<WSGIInterpreterOptions user=x>"]
    {
        let said = site().config(&format!("{bad}\n</WSGIInterpreterOptions>")).configtest(&[]);
        assert!(!said.accepted, "{bad}: {}", said.output);
    }
    let said = site().vhost("one.test", &section("")).configtest(&[]);
    assert!(!said.accepted && said.output.contains("main server only"), "{}", said.output);
}

#[test]
fn htaccess_files_may_hold_what_their_overrides_allow() {
    let mut site = site().with("rewrite").config(
        "<Directory \"@ROOT@/htdocs/file\">\nAllowOverride FileInfo\n</Directory>\n\
         <Directory \"@ROOT@/htdocs/auth\">\nAllowOverride AuthConfig\n</Directory>\n\
         <Directory \"@ROOT@/htdocs/none\">\nAllowOverride None\n</Directory>",
    );
    let folders = [("file", Some(Scope::FileInfo)), ("auth", Some(Scope::AuthConfig)), ("none", None)];
    for one in directives() {
        for (folder, _) in folders {
            site = site.file(&format!("htdocs/{folder}/{}/.htaccess", one.name), line(&one, one.good));
        }
    }
    let httpd = site.start();
    httpd.tolerate_text("not allowed here").tolerate(event::HOOK_SCRIPT_MISSING).tolerate(event::ARGUMENT_DOUBTFUL);
    for (folder, scope) in folders {
        for one in directives() {
            let answer = httpd.get(&format!("/{folder}/{}/x", one.name));
            let refused = format!("/htdocs/{folder}/{}/.htaccess: {} not allowed here", one.name, one.name);
            let refused = httpd.log().iter().any(|entry| entry.message.contains(&refused));
            let allowed = scope.is_none() || scope == Some(one.scope);
            assert_eq!(!refused, allowed, "{} under {folder}: {}", one.name, answer.status);
            assert!(
                refused == (answer.status == 500) || one.name == "WSGIAccessScript",
                "{} {}",
                one.name,
                answer.status
            );
        }
    }
}
