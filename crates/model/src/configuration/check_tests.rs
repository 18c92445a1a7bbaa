// SPDX-License-Identifier: Apache-2.0
//! Tests of the checks: each finding is shown once, and well-formed configurations give none.

use super::*;
use crate::configuration::files::plan;
use crate::configuration::report::report;
use crate::configuration::{Server, Told, User};
use crate::directive::{Reading, Row};
use crate::settings::ServerSettings;

/// A machine with the users `root`, `bob` and `www-data`, which httpd runs as.
struct Machine {
    root: bool,
}

impl Accounts for Machine {
    fn user(&self, name: &str) -> Option<User> {
        let uid = [("root", 0), ("bob", 1000), ("www-data", 33)].into_iter().find(|(known, _)| *known == name)?.1;
        Some(User { name: name.to_owned(), uid, groups: vec![uid] })
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.user(name).map(|user| user.uid)
    }

    fn httpd(&self) -> (User, u32) {
        (self.user("www-data").expect("a user"), 33)
    }

    fn is_root(&self) -> bool {
        self.root
    }
}

/// One server: lines of `directive arguments`, those after a line that begins with `<` inside that section, up to `</`.
fn server(lines: &str) -> Server {
    let (mut server, mut sections) = (Server::default(), Vec::new());
    for (line, text) in (1..).zip(lines.lines().map(str::trim).filter(|text| !text.is_empty())) {
        if text.starts_with("</") {
            sections.clear();
            continue;
        }
        if text.starts_with('<') {
            sections.push(text.to_owned());
            continue;
        }
        let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
        let mut reading = Reading::at(Origin { file: "httpd.conf".into(), line });
        if let Some(row) = find(ServerSettings::ROWS, name) {
            (row.set)(&mut server.settings, arguments, &mut reading).expect(text);
        } else {
            let row = find(DirectorySettings::ROWS, name).expect(name);
            let mut settings = DirectorySettings::default();
            (row.set)(&mut settings, arguments, &mut reading).expect(text);
            server.mentions.push(Mention { sections: sections.clone(), settings });
        }
        let origin = reading.origin.clone();
        server.doubts.extend(reading.doubts.into_iter().map(|doubt| Told::new("directive", &origin, doubt)));
    }
    server
}

fn find<S>(rows: &'static [Row<S>], name: &str) -> Option<&'static Row<S>> {
    rows.iter().find(|row| row.name == name)
}

/// Runs `work` on the views of a main server and of virtual hosts by name.
fn with_views<R>(main: &str, hosts: &[(&str, &str)], work: impl FnOnce(&[View<'_>]) -> R) -> R {
    let main = server(main);
    let hosts: Vec<_> = (1..)
        .zip(hosts)
        .map(|(line, (name, lines))| {
            (*name, Server::merge(&main, &server(lines)), Origin { file: "hosts.conf".into(), line })
        })
        .collect();
    let mut views = vec![View { name: b"localhost", port: 0, host: None, written: &main }];
    views.extend(hosts.iter().map(|(name, written, origin)| View {
        name: name.as_bytes(),
        port: 0,
        host: Some(origin),
        written,
    }));
    work(&views)
}

/// What is found, as text; fatal findings begin with `!`.
fn found(main: &str, hosts: &[(&str, &str)]) -> Vec<String> {
    with_views(main, hosts, |views| {
        let all = check(views, &Machine { root: true }).into_iter();
        all.map(|one| format!("{}{} {}", if one.fatal { "!" } else { "" }, one.server, one.event)).collect()
    })
}

#[track_caller]
fn assert_found(main: &str, hosts: &[(&str, &str)], parts: &[&str]) {
    let found = found(main, hosts);
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    for part in parts {
        assert!(only.contains(part), "{part} is not in {only}");
    }
}

#[test]
fn a_usual_configuration_has_no_finding() {
    let main = "WSGIDaemonProcess global user=bob group=bob threads=5 python-home=/srv/venv display-name=%{GROUP}
        WSGIPythonHome /usr
        WSGIRestrictEmbedded On";
    let site = "WSGIScriptAlias /admin /srv/admin.wsgi process-group=global application-group=%{GLOBAL}
        WSGIScriptAlias / /srv/site.wsgi
        WSGIDaemonProcess site
        <Directory /srv>
        WSGIProcessGroup site
        WSGIRestrictProcess site global
        </Directory>
        WSGIImportScript /srv/site.wsgi process-group=site application-group=%{GLOBAL}";
    assert_eq!(found(main, &[("www.example.com", site), ("other", "")]), Vec::<String>::new());
}

#[test]
fn a_group_is_declared_once() {
    let hosts = [("one", "WSGIDaemonProcess site"), ("two", "WSGIDaemonProcess site")];
    assert_found("", &hosts, &["!2 WSGIRS0602", "httpd.conf:1"]);
}

#[test]
fn a_group_needs_accounts_that_exist_and_are_not_root() {
    for (option, problem) in [
        ("user=joe", "user=joe: there is no such user"),
        ("user=root", "must not run as root"),
        ("group=staff", "group=staff"),
        ("supplementary-groups=bob,staff", "supplementary-groups=staff"),
        ("socket-user=joe", "socket-user=joe"),
        ("script-user=joe", "script-user=joe"),
        ("script-group=staff", "script-group=staff"),
    ] {
        assert_found(&format!("WSGIDaemonProcess site {option}"), &[], &["!0 WSGIRS0603", problem, "httpd.conf:1"]);
    }
}

#[test]
fn a_user_that_keeps_the_group_of_httpd_is_told() {
    let fix = ["0 WSGIRS0605", "user=bob without group= leaves", "usually group=bob", "httpd.conf:1"];
    assert_found("WSGIDaemonProcess site user=bob", &[], &fix);
    for fine in ["user=bob group=bob", "user=bob group=www-data", "user=www-data", "group=bob", ""] {
        assert_eq!(found(&format!("WSGIDaemonProcess site {fine}"), &[]), Vec::<String>::new(), "{fine}");
    }
    let found =
        with_views("WSGIDaemonProcess site user=bob group=root", &[], |views| check(views, &Machine { root: false }));
    assert_eq!(found, [], "who cannot change users is told nothing about them");
}

#[test]
fn a_group_that_belongs_to_root_is_told() {
    for options in [
        "group=root",
        "user=bob group=root",
        "supplementary-groups=root",
        "user=bob group=bob supplementary-groups=root",
    ] {
        let line = format!("WSGIDaemonProcess site {options}");
        assert_found(&line, &[], &["0 WSGIRS0605", "belong to group 0", "choose another group=", "httpd.conf:1"]);
    }
}

#[test]
fn only_root_can_change_the_root() {
    let lines = "WSGIDaemonProcess site chroot=/srv";
    assert_eq!(found(lines, &[]), Vec::<String>::new());
    let found = with_views(lines, &[], |views| check(views, &Machine { root: false }));
    assert!(matches!(found.as_slice(), [Finding { fatal: true, event: Event::GroupUnbuildable { .. }, .. }]));
}

#[test]
fn a_reference_to_a_group_is_checked_whatever_the_order() {
    let later = "WSGIScriptAlias /a /a.wsgi process-group=site application-group=x\nWSGIDaemonProcess site";
    assert_eq!(found(later, &[]), Vec::<String>::new());
    for line in [
        "WSGIProcessGroup Site",
        "WSGIScriptAlias /a /a.wsgi process-group=Site",
        "WSGIScriptAliasMatch ^/a /a.wsgi process-group=Site",
        "WSGIImportScript /a.wsgi process-group=Site application-group=x",
        "WSGIHandlerScript name /a.py process-group=Site",
        "WSGIRestrictProcess Site",
    ] {
        let directive = line.split(' ').next().expect("a word");
        assert_found(&format!("{line}\nWSGIDaemonProcess site"), &[], &["0 WSGIRS0604", directive, "does not exist"]);
    }
    assert_eq!(found("WSGIProcessGroup %{ENV:GROUP}", &[]), Vec::<String>::new());
}

#[test]
fn a_group_of_another_virtual_host_is_told() {
    let hosts = [("one", "WSGIDaemonProcess site"), ("two", "WSGIProcessGroup site"), ("one", "WSGIProcessGroup site")];
    assert_found("", &hosts, &["2 WSGIRS0604", "another ServerName"]);
    assert_eq!(found("WSGIProcessGroup site", &hosts[..1]), Vec::<String>::new());
}

#[test]
fn a_group_that_serves_no_requests_is_not_to_be_chosen() {
    let lines = "WSGIDaemonProcess work threads=0\nWSGIProcessGroup work";
    assert_found(lines, &[], &["WSGIRS0604", "threads=0"]);
    let import = "WSGIDaemonProcess work threads=0\nWSGIImportScript /w.py process-group=work application-group=x";
    assert_eq!(found(import, &[]), Vec::<String>::new());
}

#[test]
fn options_that_do_nothing_together_are_told() {
    for (options, problem) in [
        ("interrupt-timeout=5", "without request-timeout"),
        ("memory-limit=2G virtual-memory-limit=1G", "above virtual-memory-limit"),
        ("threads=0 maximum-requests=5", "serves no requests"),
    ] {
        assert_found(&format!("WSGIDaemonProcess site {options}"), &[], &["WSGIRS0605", problem]);
    }
}

#[test]
fn aliases_that_cannot_work_are_told() {
    for (lines, problem) in [
        ("WSGIScriptAlias a /a.wsgi", "does not begin with /"),
        ("WSGIScriptAlias /a a.wsgi", "not an absolute path"),
        ("WSGIScriptAlias /a/ /a.wsgi", "do not join"),
        ("WSGIScriptAlias / /a.wsgi\nWSGIScriptAlias /b /b.wsgi", "'/b' is never reached: '/' at httpd.conf:1"),
        ("WSGIScriptAlias /a /a.wsgi\nWSGIScriptAlias /a /b.wsgi", "never reached"),
    ] {
        assert_found(lines, &[], &["WSGIRS0605", problem]);
    }
    assert_eq!(found("WSGIScriptAlias /a/b /a.wsgi\nWSGIScriptAlias /a /b.wsgi", &[]), Vec::<String>::new());
}

#[test]
fn a_list_and_a_choice_of_one_place_should_agree() {
    let groups = "WSGIDaemonProcess one\nWSGIDaemonProcess two\n";
    let lines = format!("{groups}<Location /x>\nWSGIRestrictProcess one\nWSGIProcessGroup two\n</Location>");
    assert_found(&lines, &[], &["WSGIRS0605", "'two', chosen in the same place"]);
    let apart = format!("{groups}WSGIProcessGroup two\n<Location /x>\nWSGIRestrictProcess one\n</Location>");
    assert_eq!(found(&apart, &[]), Vec::<String>::new());
}

#[test]
fn embedded_mode_is_not_chosen_where_it_is_forbidden() {
    for line in ["WSGIProcessGroup %{GLOBAL}", "WSGIScriptAlias / /a.wsgi process-group=%{GLOBAL}"] {
        assert_found(&format!("WSGIRestrictEmbedded On\n{line}"), &[], &["WSGIRS0605", "embedded mode"]);
    }
}

#[test]
fn headers_that_anybody_can_send_are_told() {
    let line = "WSGITrustedProxyHeaders X-Forwarded-For";
    assert_found(line, &[], &["WSGIRS0605", "whoever sends them"]);
    assert_found("", &[("one", line)], &["1 WSGIRS0605"]);
    assert_eq!(found("WSGITrustedProxies 10.0.0.1", &[("one", line)]), Vec::<String>::new());
}

#[test]
fn a_doubt_is_a_finding() {
    assert_found("WSGIPythonOptimize banana", &[], &["0 WSGIRS0601"]);
}

#[test]
fn files_are_looked_at_as_whoever_needs_them() {
    let main = "WSGIDaemonProcess bob user=bob group=bob python-home=/srv/venv python-path=/srv/a:/srv/b home=/srv
        WSGIDaemonProcess jailed chroot=/jail python-home=/venv
        WSGIScriptAlias /one /srv/one.wsgi process-group=bob
        WSGIScriptAlias /two /srv/two.wsgi
        WSGIScriptAlias /three /srv/three.wsgi process-group=jailed
        WSGIScriptAlias /four /srv/four.wsgi process-group=%{ENV:X}
        WSGIScriptAliasMatch ^/(.*) /srv/$1.wsgi process-group=bob
        WSGIImportScript /srv/one.wsgi process-group=bob application-group=x";
    let probes = with_views(main, &[("one", "")], |views| plan(views, &registry(views), &Machine { root: true }));
    let seen: Vec<_> =
        probes.iter().map(|probe| format!("{} {:?} {}", probe.identity.name, probe.wanted, probe.path)).collect();
    let expected = [
        "bob Python /srv/venv",
        "bob Directory /srv",
        "bob Modules /srv/a",
        "bob Modules /srv/b",
        "www-data Reached /srv/one.wsgi",
        "bob Script /srv/one.wsgi",
        "www-data Script /srv/two.wsgi",
        "www-data Reached /srv/three.wsgi",
        "www-data Reached /srv/four.wsgi",
        "bob Script /srv/one.wsgi",
    ];
    assert_eq!(seen, expected);
    let probes = with_views(main, &[], |views| plan(views, &registry(views), &Machine { root: false }));
    assert!(probes.iter().all(|probe| probe.identity.name == "www-data"));
}

#[test]
fn the_report_says_where_each_alias_leads_and_who_said_so() {
    let main = "WSGIDaemonProcess global user=bob python-home=/srv/venv\nWSGIPythonHome /usr";
    let site = "WSGIScriptAlias / /srv/site.wsgi application-group=%{GLOBAL}
        WSGIScriptAlias /embedded /srv/other.wsgi process-group=%{GLOBAL} callable-object=main
        <Directory /srv>
        WSGIProcessGroup global
        </Directory>";
    let text = with_views(main, &[("www.example.com", site)], |views| {
        report(views, &registry(views), &Machine { root: true }, "/default")
    });
    for part in [
        "process group global (httpd.conf:1)",
        "virtual host www.example.com (hosts.conf:1)",
        "alias / -> /srv/site.wsgi (httpd.conf:1)",
        "process group      global (httpd.conf:4)",
        "user               bob (uid 1000, gid 33)",
        "python             /srv/venv (httpd.conf:1)",
        "application group  %{GLOBAL} (httpd.conf:1)",
        "callable           application (default)",
        "user               www-data (uid 33, gid 33, in httpd's children)",
        "python             /usr (httpd.conf:2)",
        "callable           main (httpd.conf:2)",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn groups_that_run_as_httpd_are_told_of_together() {
    let declared = |names: &str| {
        let lines: Vec<_> =
            names.split(' ').map(|name| format!("WSGIDaemonProcess {}", name.replace(':', " user="))).collect();
        server(&lines.join("\n"))
    };
    let told = |names: &str, root: bool| {
        let server = declared(names);
        let view = View { name: b"localhost", port: 0, host: None, written: &server };
        as_httpd(&[view], &Machine { root }).map(|event| event.to_string())
    };
    assert_eq!(told("a:bob", true), None);
    assert_eq!(told("a b", false), None, "they cannot be others");
    let one = told("a:bob b", true).expect("an event");
    assert_eq!(one, "WSGIRS0608: httpd's own user 'www-data' runs process group 'b'");
    let some = told("a b:www-data c:bob", true).expect("an event");
    assert!(some.ends_with("runs process groups 'a', 'b'"), "{some}");
    let many: Vec<_> = (0..12).map(|number| format!("g{number}")).collect();
    let many = told(&many.join(" "), true).expect("an event");
    assert!(many.ends_with("'g8', 'g9' and 2 more"), "{many}");
}
