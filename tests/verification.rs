// SPDX-License-Identifier: Apache-2.0
//! The configuration as a whole: what `httpd -t` says about it, what stops a start, what is only told in the log, and the
//! report of the effective configuration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::library::Library;
use harness::{Httpd, Mode, Python, Site, event, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn site() -> Site {
    Site::new(Mode::Embedded).mount("/e", "environ.py")
}

/// Tests the configuration of a running server; whether httpd accepts it, and what it says.
fn test(httpd: &Httpd, defines: &[&str]) -> (bool, String) {
    let mut command = Command::new(harness::module::httpd_program());
    command.arg("-f").arg(httpd.root().join("httpd.conf")).arg("-t");
    command.args(defines.iter().flat_map(|name| ["-D", name]));
    let output = command.output().expect("httpd runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn number(event: u16) -> String {
    format!("WSGIRS{event:04}")
}

#[track_caller]
fn assert_refuses(site: Site, parts: &[&str]) {
    let said = site.try_start().err().expect("httpd must not start");
    for part in parts {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn a_group_declared_twice_stops_the_start_and_names_both_places() {
    let site = site().vhost("one.test", "WSGIDaemonProcess site").vhost("two.test", "WSGIDaemonProcess site");
    assert_refuses(
        site,
        &[&number(event::GROUP_DECLARED_TWICE), "there is a process group 'site' already", "httpd.conf:"],
    );
}

#[test]
fn a_group_of_nobody_and_a_group_of_root_stop_the_start() {
    for (user, problem) in [("no-such-user", "there is no such user"), ("root", "must not run as root")] {
        let site = site().config(&format!("WSGIDaemonProcess site user={user}"));
        assert_refuses(site, &[&number(event::GROUP_UNBUILDABLE), problem]);
    }
}

#[test]
fn a_malformed_directive_stops_the_start_and_is_named() {
    assert_refuses(site().config("WSGIDaemonProcess site threads=-1"), &["line", "WSGIDaemonProcess option 'threads'"]);
    assert_refuses(
        site().vhost("one.test", "WSGIPythonHome /usr"),
        &["WSGIPythonHome is for the main server only; move it out of <VirtualHost>"],
    );
}

#[test]
fn a_number_with_a_tail_is_told_and_the_server_starts() {
    let httpd = site().config("WSGIDaemonProcess site threads=1x").start();
    httpd.expect(event::ARGUMENT_DOUBTFUL);
    httpd.get("/e").expect(200);
    assert!(test(&httpd, &[]).0);
    let (accepted, said) = test(&httpd, &["WSGI_STRICT_CHECK"]);
    assert!(!accepted && said.contains("WSGIRS0601"), "{said}");
}

#[test]
fn a_reference_to_a_missing_group_is_told_and_the_server_starts() {
    let httpd = site()
        .vhost("one.test", "<Location /x>\nWSGIProcessGroup nobody\n</Location>")
        .vhost("two.test", "WSGIDaemonProcess late\nWSGIDaemonProcess own")
        .vhost("three.test", "WSGIScriptAlias /l \"@APPS@/environ.py\" process-group=late")
        .start();
    httpd.expect(event::GROUP_UNRESOLVED);
    let told = |name: &str, text: &str| httpd.log_of(name).iter().any(|entry| entry.message.contains(text));
    assert!(told("one.test", "process group 'nobody' does not exist"));
    assert!(told("three.test", "process group 'late' belongs to a virtual host with another ServerName"));
    assert!(!told("two.test", "WSGIRS"));
    httpd.get("/e").expect(200);
}

#[test]
fn the_order_of_alias_and_group_does_not_matter() {
    let alias = "WSGIScriptAlias /g \"@APPS@/environ.py\" process-group=site application-group=x";
    let httpd = site().vhost("one.test", &format!("{alias}\nWSGIDaemonProcess site")).start();
    let answer = httpd.request("GET", "/g").header("Host", "one.test").send();
    assert_eq!(answer.environ().text("mod_wsgi.process_group"), "site");
}

#[test]
fn contradictions_are_told() {
    let httpd = site().config("WSGIScriptAlias /e/below \"@APPS@/environ.py\"").start();
    httpd.expect(event::CONFIGURATION_CONTRADICTORY);
    httpd.wait_for_log("'/e/below' is never reached: '/e' at ");
}

#[test]
fn files_that_are_missing_closed_or_of_the_wrong_kind_are_warnings() {
    let httpd = site()
        .file("closed/a.wsgi", "")
        .config("WSGIScriptAlias /missing \"@APPS@/missing.wsgi\"\nWSGIScriptAlias /folder \"@APPS@\"")
        .config("WSGIScriptAlias /nowhere @ROOT@/no/such/folder/a.wsgi\nWSGIScriptAlias /scripts/ \"@APPS@/\"")
        .config("WSGIDaemonProcess site python-home=@ROOT@/htdocs python-path=@ROOT@/lost home=@APPS@/environ.py")
        .start();
    httpd.expect(event::FILE_DOUBTFUL).expect(event::WORKER_UNSTARTABLE);
    for text in [
        "missing.wsgi' does not exist",
        "/apps' is a directory",
        "does not exist: there is no '",
        "/htdocs' is no usable Python",
        "/lost' does not exist",
        "/environ.py' is not a directory",
    ] {
        httpd.wait_for_log(text);
    }
    assert_eq!(httpd.count(event::FILE_DOUBTFUL), 6);
    let (accepted, said) = test(&httpd, &[]);
    assert!(accepted && said.contains("WSGIRS0606") && said.contains("Syntax OK"), "{said}");
    let (accepted, said) = test(&httpd, &["WSGI_STRICT_CHECK"]);
    assert!(!accepted && said.contains("WSGIRS0606"), "{said}");
}

#[test]
fn a_strict_check_of_a_good_configuration_passes() {
    let httpd = site().start();
    let (accepted, said) = test(&httpd, &["WSGI_STRICT_CHECK"]);
    assert!(accepted && !said.contains("WSGIRS"), "{said}");
}

#[test]
fn a_strict_check_looks_as_the_user_concerned() {
    if !harness::site::is_root() {
        return skip::skipped("only root can look as another user");
    }
    let httpd = site()
        .file("closed/a.wsgi", "")
        .config("WSGIDaemonProcess site user=nobody group=nogroup home=/")
        .config("WSGIScriptAlias /a @ROOT@/closed/a.wsgi process-group=site")
        .start();
    let folder = httpd.root().join("closed");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o710)).expect("permissions");
    std::os::unix::fs::chown(&folder, Some(0), Some(33)).expect("another group");
    let (accepted, said) = test(&httpd, &["WSGI_STRICT_CHECK"]);
    assert!(!accepted, "{said}");
    assert!(said.contains("/closed' is closed to that user (looked at as user 'nobody')"), "{said}");
    assert!(!said.contains("looked at as user 'www-data'"), "{said}");
}

#[test]
fn files_are_left_alone_where_httpd_s_parent_has_other_threads() {
    let source = "#include <pthread.h>\n#include <unistd.h>\nstatic void *wait(void *x) { for (;;) pause(); }\n\
                  __attribute__((constructor)) static void begin(void) { pthread_t t; pthread_create(&t, 0, wait, 0); }\n";
    let library = Library::build("thread", source);
    let httpd = site().before_module(&format!("LoadFile \"{}\"", library.path().display())).start();
    httpd.expect(event::FILES_NOT_EXAMINED);
    httpd.wait_for_log("more than one thread");
    httpd.get("/e").expect(200);
}

#[test]
fn a_script_that_becomes_python_is_a_python() {
    let Some(python) = Python::usual() else { return };
    let library = python.library();
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}/bin/python3.{}' \"$@\"\n",
        library.parent().expect("a folder").display(),
        python.prefix.display(),
        python.minor
    );
    let group = "WSGIDaemonProcess site python-home=@ROOT@/wrapper\nWSGIProcessGroup site";
    let site = site().config(group).file_with_mode("wrapper", script, 0o755);
    let httpd = site.start();
    assert_eq!(httpd.get("/e").expect(200).environ().text("mod_wsgi.process_group"), "site");
    fs::set_permissions(httpd.root().join("wrapper"), fs::Permissions::from_mode(0o644)).expect("permissions");
    let (_, said) = test(&httpd, &[]);
    assert!(said.contains("/wrapper' is no usable Python"), "{said}");
}

#[test]
fn a_deleted_environment_does_not_stop_a_graceful_restart() {
    let httpd = site().file("venv/bin/python", "").config("WSGIDaemonProcess site python-home=@ROOT@/venv").start();
    httpd.tolerate(event::FILE_DOUBTFUL).expect(event::WORKER_UNSTARTABLE);
    fs::remove_dir_all(httpd.root().join("venv")).expect("a folder");
    httpd.graceful();
    httpd.get("/e").expect(200);
    httpd.wait_for_log("/venv' does not exist");
}

#[test]
fn the_report_shows_where_aliases_lead_and_who_said_so() {
    let httpd = site()
        .config("WSGIDaemonProcess global user=www-data threads=3")
        .vhost(
            "one.test",
            "WSGIScriptAlias /r \"@APPS@/environ.py\" application-group=%{GLOBAL}\n<Location /r>\nWSGIProcessGroup global\n</Location>",
        )
        .start();
    let (accepted, said) = test(&httpd, &["DUMP_WSGI"]);
    assert!(accepted, "{said}");
    for part in [
        "process group global (",
        "virtual host one.test (",
        "alias /r -> ",
        "process group      global (",
        "user               www-data (",
        "application group  %{GLOBAL} (",
        "callable           application (default)",
        "httpd.conf:",
        "alias /e -> ",
        "in httpd's children",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}
