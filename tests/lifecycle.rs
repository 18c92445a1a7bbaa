// SPDX-License-Identifier: Apache-2.0
//! Starting, restarting, stopping: under every MPM, losing nothing, leaking nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Census, Environ, Httpd, Mode, Module, Mpm, Site, census, embedded, modes, stress, wait};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

modes! {
    fifty_graceful_restarts_leak_nothing,
    fifty_restarts_leak_nothing,
    a_graceful_restart_loses_no_request,
    a_request_in_flight_survives_a_graceful_restart,
}

embedded! {
    every_mpm_serves,
    a_request_that_waits_for_python_survives_a_graceful_restart,
    children_that_retire_are_replaced,
    a_killed_child_is_replaced,
    the_parent_never_loads_python,
    a_child_loads_python_only_when_needed,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/e", "environ.py").mount("/a", "answers.py").mount("/g", "gated.py")
}

fn environ(httpd: &Httpd) -> Environ {
    httpd.get("/e").environ()
}

fn every_mpm_serves(mode: Mode) {
    for (mpm, threaded) in [(Mpm::Event, "True"), (Mpm::Worker, "True"), (Mpm::Prefork, "False")] {
        for (processes, several) in [(1, "False"), (3, "True")] {
            let httpd = site(mode).mpm(mpm).workers(processes, 4).start();
            let environ = environ(&httpd);
            assert_eq!(environ.repr("wsgi.multithread"), threaded, "{mpm:?}");
            assert_eq!(environ.repr("wsgi.multiprocess"), several, "{mpm:?} with {processes}");
            httpd.get("/a/hello").expect_body(b"Hello, world\n");
            httpd.request("POST", "/a/generator").body("x").send().expect_body(b"abcd");
            let wrong = stress::hammer(httpd.port(), "/a/hello", 60, 3, |answer| answer.status == 200);
            assert!(wrong.is_empty(), "{mpm:?}: {wrong:?}");
            httpd.graceful();
            httpd.get("/a/hello").expect(200);
            httpd.restart();
            httpd.get("/a/hello").expect(200);
        }
    }
}

/// The census of the parent once it has one child again and nothing more happens.
fn settled(httpd: &Httpd) -> Census {
    let mut last = httpd.census();
    let mut same = 0;
    wait::until("the parent to settle", || {
        let now = httpd.census();
        // httpd's child, and the supervisor if there are groups.
        let children = if httpd.mode() == Mode::Daemon { 2 } else { 1 };
        same = if now == last && now.children == children { same + 1 } else { 0 };
        last = now;
        (same == 5).then_some(now)
    })
}

fn assert_restarts_leak_nothing(mode: Mode, restart: fn(&Httpd)) {
    let httpd = site(mode).start();
    httpd.tolerate_text("AH");
    for _ in 0..2 {
        httpd.get("/a/hello").expect(200);
        restart(&httpd);
    }
    httpd.get("/a/hello").expect(200);
    let (before, memory) = (settled(&httpd), census::private_memory(httpd.pid()).unwrap());
    for number in 1..=50 {
        restart(&httpd);
        // httpd takes up to a second to start children; not every generation has to serve.
        if number % 5 == 0 {
            httpd.get("/a/hello").expect(200);
        }
    }
    assert_eq!(settled(&httpd), before);
    let growth = census::private_memory(httpd.pid()).unwrap().saturating_sub(memory);
    assert!(growth < 2048, "the parent grew by {growth} KiB");
}

fn fifty_graceful_restarts_leak_nothing(mode: Mode) {
    assert_restarts_leak_nothing(mode, Httpd::graceful);
}

fn fifty_restarts_leak_nothing(mode: Mode) {
    assert_restarts_leak_nothing(mode, Httpd::restart);
}

fn a_graceful_restart_loses_no_request(mode: Mode) {
    let httpd = site(mode).workers(2, 8).start();
    httpd.tolerate_text("AH");
    let over = AtomicBool::new(false);
    let port = httpd.port();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            stress::hammer_until(
                port,
                "/a/hello",
                4,
                || over.load(Ordering::Relaxed),
                |answer| answer.status == 200 && answer.end == harness::End::Complete,
            )
        });
        for _ in 0..5 {
            httpd.graceful();
            httpd.get("/e").expect(200);
        }
        over.store(true, Ordering::Relaxed);
        let (right, wrong) = client.join().unwrap();
        assert!(wrong.is_empty(), "{} of {} failed, first {:?}", wrong.len(), right + wrong.len(), wrong.first());
        // httpd starts the children of a new generation within a second; requests wait that long and no longer.
        assert!(right > 20, "{right}");
    });
}

fn a_request_in_flight_survives_a_graceful_restart(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/g/waiting").bytes());
    let old: u32 = httpd.wait_for_journal("waiting in").rsplit(' ').next().unwrap().parse().unwrap();
    httpd.graceful();
    if mode == Mode::Embedded {
        // A group of one process has another one when the first one is gone.
        assert_ne!(environ(&httpd).text("mod_wsgi.server_pid"), old.to_string());
    }
    httpd.open_gate("go");
    connection.read_response("GET").expect_body(b"waited");
    assert_ne!(environ(&httpd).text("mod_wsgi.server_pid"), old.to_string());
    wait::until_true("the old child to end", || !census::is_running(old));
}

fn a_request_that_waits_for_python_survives_a_graceful_restart(mode: Mode) {
    let httpd = site(mode)
        .file(
            "start/sitecustomize.py",
            "import os\nimport time\n\nopen('@STATE@/starting', 'w').close()\nwhile not os.path.exists('@STATE@/go'):\n    time.sleep(0.01)\n",
        )
        .variable("PYTHONPATH", "@ROOT@/start")
        .start();
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/a/hello").bytes());
    wait::until_true("Python to start", || httpd.root().join("state/starting").exists());
    httpd.graceful();
    // The old child is told to end within the second in which httpd starts another.
    wait::until_true("another child", || httpd.children().len() > 1);
    httpd.open_gate("go");
    connection.read_response("GET").expect_body(b"Hello, world\n");
}

fn children_that_retire_are_replaced(mode: Mode) {
    let httpd = site(mode).config("MaxConnectionsPerChild 5").workers(2, 4).start();
    httpd.tolerate_text("AH");
    // httpd may close a connection that a retiring child has accepted; clients ask again then.
    let answers = (0..40).map(|_| httpd.get("/e")).filter(|answer| answer.status != 0);
    let mut pids: Vec<String> = answers.map(|answer| answer.environ().text("mod_wsgi.server_pid").to_owned()).collect();
    assert!(pids.len() > 35, "{}", pids.len());
    pids.sort();
    pids.dedup();
    assert!(pids.len() > 2, "{pids:?}");
}

fn a_killed_child_is_replaced(mode: Mode) {
    let httpd = site(mode).start();
    let pid: u32 = environ(&httpd).text("mod_wsgi.server_pid").parse().unwrap();
    httpd.kill_child(pid);
    wait::until_true("another child", || {
        httpd.children().iter().any(|child| *child != pid) && !census::is_running(pid)
    });
    assert_ne!(environ(&httpd).text("mod_wsgi.server_pid"), pid.to_string());
}

fn has_python(pid: u32) -> bool {
    census::mapped_files(pid).iter().any(|file| file.contains("libpython"))
}

fn the_parent_never_loads_python(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/hello").expect(200);
    assert!(has_python(httpd.children()[0]), "the child that served has Python");
    httpd.graceful();
    httpd.get("/a/hello").expect(200);
    assert!(!has_python(httpd.pid()));
}

fn a_child_loads_python_only_when_needed(mode: Mode) {
    let httpd = Site::new(mode).start();
    httpd.get("/static.txt").expect(200);
    assert!(!httpd.children().into_iter().any(has_python));
    let restricted = site(mode).config("WSGIRestrictEmbedded On").start();
    restricted.get("/static.txt").expect(200);
    assert!(!restricted.children().into_iter().any(has_python));
}

#[test]
fn names_of_the_module_are_those_of_the_reference() {
    let httpd = Site::new(Mode::Embedded)
        .config("<IfModule !wsgi_module>\nErrorDocument 404 \"no wsgi_module\"\n</IfModule>")
        .config("<IfModule mod_wsgi.c>\nErrorDocument 404 \"found by file\"\n</IfModule>\nLogLevel wsgi:debug")
        .start();
    assert_eq!(httpd.get("/nothing").text(), "found by file");
}

#[test]
fn the_configuration_test_starts_nothing() {
    let httpd = Site::new(Mode::Embedded).mount("/e", "environ.py").start();
    let before = httpd.census();
    let output = Command::new(harness::module::httpd_program())
        .args(["-t", "-f"])
        .arg(httpd.root().join("httpd.conf"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(httpd.census(), before);
}

#[test]
fn directives_outside_their_context_are_refused() {
    for text in [
        "<Location /x>\nWSGIScriptAlias /a \"@APPS@/a.py\"\n</Location>",
        "<Directory \"@APPS@\">\nWSGIPythonHome /usr\n</Directory>",
        "WSGIScriptReloading Perhaps",
        "WSGIMapHEADToGET Sometimes",
        "WSGIScriptAlias /a",
        "WSGIScriptAliasMatch \"^/(\" \"@APPS@/a.py\"",
        "WSGIScriptAlias /a \"@APPS@/a.py\" unknown-option=1",
    ] {
        let refused = Site::new(Mode::Embedded).module(Module::Ours).config(text).try_start().err();
        let said = refused.unwrap_or_else(|| panic!("accepted: {text}"));
        assert!(said.contains("Syntax error") || said.contains("not allowed"), "{text}: {said}");
    }
}

#[test]
fn children_whose_requests_all_go_to_groups_have_no_python() {
    let alias = "WSGIScriptAlias /environ \"@APPS@/environ.py\"";
    let group = "WSGIProcessGroup one";
    for config in [
        format!("{group}\n{alias}"),
        format!("{alias} process-group=one"),
        format!("{alias}\n<Location /environ>\n{group}\n</Location>"),
        format!("{alias}\n<Directory \"@APPS@\">\n{group}\n</Directory>"),
    ] {
        let site = Site::new(Mode::Embedded).app("environ.py").config("WSGIDaemonProcess one threads=2");
        let httpd = site.config(&config).workers(1, 8).start();
        httpd.get("/environ").expect(200);
        assert!(!httpd.children().into_iter().any(has_python), "{config}");
    }
}

#[test]
fn an_application_in_embedded_mode_does_not_let_its_first_request_wait_for_python() {
    let alias = "WSGIScriptAlias /environ \"@APPS@/environ.py\"";
    let httpd = Site::new(Mode::Embedded).app("environ.py").config(alias).workers(1, 8).start();
    wait::until_true("Python starts before there is a request", || httpd.children().into_iter().any(has_python));
}
