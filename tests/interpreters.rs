// SPDX-License-Identifier: Apache-2.0
//! Application groups are interpreters: what they share, what they do not, and how they are named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::python::MINORS;
use harness::{Httpd, Mode, Python, Site, event, modes, skip};
use std::collections::{BTreeMap, BTreeSet};

modes! {
    each_application_has_an_interpreter_of_its_own,
    applications_of_one_group_share_an_interpreter,
    the_global_group_is_the_main_interpreter,
    a_group_shared_by_virtual_hosts_is_one_interpreter,
    group_names_expand,
    a_group_can_come_from_a_variable,
    an_unset_variable_never_selects_an_interpreter,
    the_host_header_makes_no_interpreters,
    thread_locals_last_for_a_thread,
    modules_work_in_every_kind_of_interpreter,
    many_interpreters_in_one_child,
    threads_of_the_application_go_on_between_requests,
    exit_handlers_run_when_the_child_ends,
    threads_are_joined_when_the_child_ends,
    every_version_of_python_serves,
    a_venv_is_a_home,
}

type Facts = BTreeMap<String, String>;

fn facts_of(httpd: &Httpd, host: &str, target: &str) -> Facts {
    let answer = httpd.request("GET", target).header("Host", host).send();
    answer.expect(200);
    answer
        .text()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn facts(httpd: &Httpd, target: &str) -> Facts {
    facts_of(httpd, "localhost", target)
}

fn alias(name: &str, group: &str) -> String {
    let option = if group.is_empty() { String::new() } else { format!(" application-group={group}") };
    format!("WSGIScriptAlias /{name} \"@APPS@/state.py\"{option}\n")
}

fn site(mode: Mode, aliases: &[(&str, &str)]) -> Site {
    let lines: String = aliases.iter().map(|(name, group)| alias(name, group)).collect();
    Site::new(mode).app("state.py").config(&lines)
}

fn each_application_has_an_interpreter_of_its_own(mode: Mode) {
    let httpd = site(mode, &[("a", ""), ("b", "")]).start();
    facts(&httpd, "/a");
    let (a, b) = (facts(&httpd, "/a"), facts(&httpd, "/b"));
    assert_eq!((a["shared"].as_str(), b["shared"].as_str()), ("2", "1"));
    assert_eq!(a["pid"], b["pid"]);
    assert_eq!(a["group"], format!("localhost:{}|/a", httpd.port()));
}

fn applications_of_one_group_share_an_interpreter(mode: Mode) {
    let httpd = site(mode, &[("a", "one"), ("b", "one"), ("c", "two")]).start();
    assert_eq!(facts(&httpd, "/a")["shared"], "1");
    let b = facts(&httpd, "/b");
    assert_eq!((b["shared"].as_str(), b["count"].as_str()), ("2", "2"), "the same script is one module");
    assert_eq!(facts(&httpd, "/c")["shared"], "1");
}

fn the_global_group_is_the_main_interpreter(mode: Mode) {
    let httpd = site(mode, &[("a", "%{GLOBAL}"), ("b", "%{GLOBAL}"), ("c", "")]).start();
    assert_eq!((facts(&httpd, "/a")["group"].as_str(), facts(&httpd, "/b")["shared"].as_str()), ("", "2"));
    assert_eq!(facts(&httpd, "/c")["shared"], "1");
}

fn a_group_shared_by_virtual_hosts_is_one_interpreter(mode: Mode) {
    let httpd = Site::new(mode)
        .app("state.py")
        .vhost("one.test", &alias("a", "same"))
        .vhost("two.test", &alias("a", "same"))
        .vhost("three.test", &alias("a", ""))
        .start();
    assert_eq!(facts_of(&httpd, "one.test", "/a")["shared"], "1");
    assert_eq!(facts_of(&httpd, "two.test", "/a")["shared"], "2");
    assert_eq!(facts_of(&httpd, "three.test", "/a")["shared"], "1");
}

fn group_names_expand(mode: Mode) {
    let aliases = [("r", "%{RESOURCE}"), ("s", "%{SERVER}"), ("h", "%{HOST}"), ("u", "%{UNKNOWN}"), ("l", "plain")];
    let httpd = site(mode, &aliases).start();
    httpd.expect(event::ARGUMENT_DOUBTFUL);
    let port = httpd.port();
    for (name, group) in [
        ("r", format!("localhost:{port}|/r")),
        ("s", format!("localhost:{port}")),
        ("h", format!("other.test:{port}")),
        ("u", "%{UNKNOWN}".to_owned()),
        ("l", "plain".to_owned()),
    ] {
        assert_eq!(facts_of(&httpd, "other.test", &format!("/{name}"))["group"], group, "{name}");
    }
    assert_eq!(facts(&httpd, "/r//deep/path")["group"], format!("localhost:{port}|/r"));
}

fn a_group_can_come_from_a_variable(mode: Mode) {
    let httpd = site(mode, &[("a", "%{ENV:GROUP}")]).config("SetEnvIf X-Group (.+) GROUP=$1").start();
    for (value, group) in [
        ("tenant", "tenant".to_owned()),
        ("%{GLOBAL}", String::new()),
        ("%{SERVER}", format!("localhost:{}", httpd.port())),
    ] {
        let answer = httpd.request("GET", "/a").header("X-Group", value).send();
        assert!(answer.text().contains(&format!("group={group}\n")), "{value}: {}", answer.text());
    }
}

fn an_unset_variable_never_selects_an_interpreter(mode: Mode) {
    let httpd = site(mode, &[("a", "%{ENV:ABSENT}")]).start();
    httpd.expect(event::VARIABLE_UNSET);
    httpd.get("/a").expect(500);
}

fn the_host_header_makes_no_interpreters(mode: Mode) {
    let httpd = site(mode, &[("a", "")]).start();
    let hosts = ["localhost", "localhost:1", "localhost:2", "evil.test", "LOCALHOST"];
    let groups: BTreeSet<String> =
        hosts.map(|host| facts_of(&httpd, host, "/a")["group"].clone()).into_iter().collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(facts(&httpd, "/a")["shared"], "6");
}

fn thread_locals_last_for_a_thread(mode: Mode) {
    let httpd = site(mode, &[("a", "%{GLOBAL}"), ("b", "sub")]).workers(1, 1).start();
    for target in ["/a", "/b"] {
        let seen: Vec<Facts> = (0..4).map(|_| facts(&httpd, target)).collect();
        let counts: Vec<&str> = seen.iter().map(|facts| facts["local"].as_str()).collect();
        assert_eq!(counts, ["1", "2", "3", "4"], "{target}");
        assert!(seen.iter().all(|facts| facts["ident"] == seen[0]["ident"]));
    }
}

fn modules_work_in_every_kind_of_interpreter(mode: Mode) {
    let httpd = site(mode, &[("a", "%{GLOBAL}"), ("b", "one"), ("c", "two")]).start();
    for target in ["/a", "/b", "/c"] {
        assert_eq!(facts(&httpd, target)["extension"], "_json _datetime 2d711642");
    }
}

fn many_interpreters_in_one_child(mode: Mode) {
    let httpd = site(mode, &[("a", "%{ENV:GROUP}")]).config("SetEnvIf X-Group (.+) GROUP=$1").start();
    for number in 0..20 {
        let answer = httpd.request("GET", "/a").header("X-Group", &format!("group{number}")).send();
        answer.expect(200);
        assert!(answer.text().contains("shared=1\n"));
    }
    let again = httpd.request("GET", "/a").header("X-Group", "group7").send();
    assert!(again.text().contains("shared=2\n"));
}

fn threads_of_the_application_go_on_between_requests(mode: Mode) {
    let source = "import threading\nimport time\n\nimport journal\n\n\ndef work():\n    for number in range(5):\n        time.sleep(0.01)\n        journal.note('tick %d' % number)\n\n\nthreading.Thread(target=work, daemon=True).start()\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n";
    for group in ["%{GLOBAL}", "sub"] {
        let httpd = Site::new(mode)
            .file("apps/t.py", source)
            .config(&format!("WSGIScriptAlias /t \"@APPS@/t.py\" application-group={group}"))
            .start();
        httpd.get("/t").expect(200);
        httpd.wait_for_journal("tick 4");
    }
}

/// A site whose child ran `source` in the main interpreter and in another one, and was then told to end.
fn asked_in_two_interpreters_and_replaced(mode: Mode, source: &str) -> Httpd {
    let httpd = Site::new(mode)
        .file("apps/x.py", source)
        .config("WSGIScriptAlias /m \"@APPS@/x.py\" application-group=%{GLOBAL}")
        .config("WSGIScriptAlias /s \"@APPS@/x.py\" application-group=sub")
        .start();
    httpd.get("/m/main").expect(200);
    httpd.get("/s/sub").expect(200);
    httpd.graceful();
    httpd
}

fn exit_handlers_run_when_the_child_ends(mode: Mode) {
    let source = "import atexit\n\nimport journal\n\natexit.register(journal.note, 'exit ' + __name__)\n\n\ndef application(environ, start_response):\n    atexit.register(journal.note, 'exit ' + environ['PATH_INFO'])\n    start_response('200 OK', [])\n    return [b'x']\n";
    let httpd = asked_in_two_interpreters_and_replaced(mode, source);
    httpd.wait_for_journal("exit /main");
    httpd.wait_for_journal("exit /sub");
    harness::wait::until_true("four handlers", || httpd.journal().len() == 4);
}

fn threads_are_joined_when_the_child_ends(mode: Mode) {
    // A thread that a request starts is a daemon unless it says otherwise, as its parent is none of Python's own.
    let source = "import threading\nimport time\n\nimport journal\n\n\ndef work(name):\n    time.sleep(0.3)\n    journal.note('worked for ' + name)\n\n\ndef application(environ, start_response):\n    threading.Thread(target=work, args=(environ['PATH_INFO'],), daemon=False).start()\n    start_response('200 OK', [])\n    return [b'x']\n";
    let httpd = asked_in_two_interpreters_and_replaced(mode, source);
    httpd.wait_for_journal("worked for /main");
    httpd.wait_for_journal("worked for /sub");
}

fn every_version_of_python_serves(mode: Mode) {
    let found = Python::all();
    assert!(!found.is_empty(), "none of 3.{MINORS:?}");
    for python in found {
        let httpd = site(mode, &[("a", ""), ("g", "%{GLOBAL}")]).python(&python).mount("/f", "files.py").start();
        for target in ["/a", "/g"] {
            let facts = facts(&httpd, target);
            assert_eq!(facts["version"], format!("3.{}", python.minor));
            assert_eq!(facts["fsencoding"], "utf-8");
            assert_eq!(facts["prefix"], python.prefix.to_str().unwrap());
            assert!(facts["extension"].ends_with("2d711642"));
        }
        httpd.get("/f/size/4096").expect(200);
        httpd.graceful();
        assert_eq!(facts(&httpd, "/a")["version"], format!("3.{}", python.minor));
    }
}

fn a_venv_is_a_home(mode: Mode) {
    for python in Python::versions() {
        let folder = std::env::temp_dir().join(format!("mwrs-venv-{}-{}", std::process::id(), python.minor));
        python.make_venv(&folder);
        let packages = folder.join(format!("lib/python3.{}/site-packages", python.minor));
        std::fs::write(packages.join("only_in_venv.py"), "VALUE = 7\n").unwrap();
        let source = "import only_in_venv\nimport sys\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [('%d %s %s' % (only_in_venv.VALUE, sys.prefix, sys.base_prefix)).encode()]\n";
        let site = Site::new(mode).file("apps/v.py", source).config("WSGIScriptAlias /v \"@APPS@/v.py\"");
        let httpd = site.python_home(&folder).start();
        let expected = format!("7 {} {}", folder.display(), python.prefix.display());
        let answer = httpd.get("/v");
        drop(httpd);
        std::fs::remove_dir_all(&folder).unwrap();
        answer.expect_body(expected.as_bytes());
    }
    if Python::versions().is_empty() {
        skip::skipped("no Python to make a venv of");
    }
}
