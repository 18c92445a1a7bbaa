// SPDX-License-Identifier: Apache-2.0
//! Settings that differ from interpreter to interpreter: `<WSGIInterpreterOptions>`, search paths, switch intervals, and
//! interpreters with a GIL of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Python, Site, embedded, event, modes, skip, wait};
use std::thread;

modes! {
    an_interpreter_can_have_a_gil_of_its_own,
    sections_choose_who_has_a_gil,
    interpreters_with_gils_serve_many_requests,
    interpreters_with_gils_end_like_others,
}

embedded! {
    search_paths_come_in_layers,
    the_interval_is_that_of_the_process,
    an_interval_for_one_of_several_has_no_effect,
    an_own_gil_needs_a_newer_python,
}

fn site(mode: Mode, python: &Python, config: &str) -> Site {
    let site = Site::new(mode).python(python).app("evaluate.py");
    let aliases = [("/m", "%{GLOBAL}"), ("/s", "sub"), ("/o", "other")];
    let alias = |(url, group)| format!("WSGIScriptAlias {url} \"@APPS@/evaluate.py\" application-group={group}\n");
    site.config(&aliases.map(alias).concat()).config(config)
}

#[track_caller]
fn ask(httpd: &Httpd, target: &str, code: &str) -> String {
    let answer = httpd.request("POST", target).body(code).send();
    answer.expect(200);
    answer.text()
}

fn section(selectors: &str, lines: &str) -> String {
    format!("<WSGIInterpreterOptions {selectors}>\n{lines}\n</WSGIInterpreterOptions>\n")
}

/// Pythons that can give interpreters GILs: 3.12, where few extension modules allow it, and the newest.
fn newer() -> Vec<Python> {
    let found: Vec<_> = [12, 13].into_iter().filter_map(Python::find).collect();
    if found.is_empty() {
        skip::skipped("no Python whose interpreters can have GILs");
    }
    found
}

fn search_paths_come_in_layers(mode: Mode) {
    let sections = [
        section("process-group=%{GLOBAL} application-group=sub", "WSGIPythonPath \"@ROOT@/four\""),
        section("process-group=%{GLOBAL}", "WSGIPythonPath \"@ROOT@/one\""),
        section("application-group=sub", "WSGIPythonPath \"@ROOT@/two:@ROOT@/three\""),
        section("process-group=apart", "WSGIPythonPath \"@ROOT@/never\""),
        "WSGIDaemonProcess apart\n".to_owned(),
    ];
    for python in Python::versions() {
        let folders = ["one", "two", "three", "four", "never", "linked"];
        let site = site(mode, &python, &sections.concat()).file("two/more.pth", "@ROOT@/linked\n");
        let site = folders.into_iter().fold(site, |site, name| site.file(&format!("{name}/in_{name}.py"), ""));
        let httpd = site.start();
        let found = |target: &str| {
            let code = format!("[os.path.basename(path) for path in sys.path if path.startswith({:?})]", httpd.root());
            ask(&httpd, target, &code)
        };
        assert_eq!(found("/m"), "['one', 'apps']");
        assert_eq!(found("/s"), "['four', 'two', 'linked', 'three', 'one', 'apps']");
        assert_eq!(found("/o"), "['one', 'apps']");
        assert_eq!(ask(&httpd, "/s", "import in_linked\nresult = 'there'"), "there");
    }
}

fn the_interval_is_that_of_the_process(mode: Mode) {
    for python in Python::versions() {
        let everywhere = site(mode, &python, "WSGISwitchInterval 0.25").start();
        let main = section("application-group=%{GLOBAL}", "WSGISwitchInterval 0.125");
        let of_main = site(mode, &python, &format!("WSGISwitchInterval 0.25\n{main}")).start();
        let group = section("process-group=%{GLOBAL}", "WSGISwitchInterval 0.5");
        let of_group = site(mode, &python, &format!("WSGISwitchInterval 0.25\n{group}")).start();
        let silent = site(mode, &python, "").start();
        for (httpd, seconds) in [(everywhere, "0.25"), (of_main, "0.125"), (of_group, "0.5"), (silent, "0.005")] {
            for target in ["/m", "/s", "/m"] {
                assert_eq!(ask(&httpd, target, "sys.getswitchinterval()"), seconds);
            }
        }
    }
}

fn an_interval_for_one_of_several_has_no_effect(mode: Mode) {
    let lines = section("application-group=sub", "WSGISwitchInterval 0.5");
    for python in Python::versions() {
        let httpd = site(mode, &python, &format!("WSGISwitchInterval 0.25\n{lines}")).start();
        httpd.expect(event::SWITCH_INTERVAL_SHARED);
        for target in ["/s", "/s", "/o", "/m"] {
            assert_eq!(ask(&httpd, target, "sys.getswitchinterval()"), "0.25", "{target}");
        }
        assert_eq!(httpd.count(event::SWITCH_INTERVAL_SHARED), 1);
    }
}

/// Holds the GIL until the gate is open, for ten seconds at most: functions called in this way do not let go of it.
const HOG: &str = "import ctypes\nlibc = ctypes.PyDLL(None)\ngate = os.path.join(journal.STATE, 'gate').encode()\n\
                   journal.note('hogging')\nfor _ in range(500):\n    if libc.access(gate, 0) == 0: break\n    \
                   libc.usleep(20000)\njournal.note('done')\nresult = 'done'\n";

fn an_interpreter_can_have_a_gil_of_its_own(mode: Mode) {
    let Some(python) = Python::find(13) else { return };
    let httpd = site(mode, &python, "WSGIPerInterpreterGIL On").start();
    assert_eq!(ask(&httpd, "/m", "sys.setswitchinterval(1000)"), "None");
    thread::scope(|scope| {
        // With an interval that never ends, whoever shares this lock waits until the hog is done.
        let hog = scope.spawn(|| ask(&httpd, "/s", &format!("sys.setswitchinterval(1000)\n{HOG}")));
        httpd.wait_for_journal("hogging");
        for target in ["/m", "/o"] {
            assert_eq!(ask(&httpd, target, "sum(range(1000))"), "499500");
        }
        assert_eq!(httpd.journal(), ["hogging"]);
        httpd.open_gate("gate");
        assert_eq!(hog.join().unwrap(), "done");
    });
    for module in ["datetime", "decimal", "ssl", "hashlib", "sqlite3", "zoneinfo", "asyncio", "ctypes", "json"] {
        for target in ["/m", "/s", "/o"] {
            assert_eq!(ask(&httpd, target, &format!("__import__({module:?}).__name__")), module, "{target}");
        }
    }
    let many = "import datetime, threading\nresult = []\nthreads = [threading.Thread(target=lambda: result.append(\
                datetime.datetime.now().year > 2000), daemon=True) for _ in range(4)]\n\
                for thread in threads: thread.start()\nfor thread in threads: thread.join()\n";
    assert_eq!(ask(&httpd, "/s", many), "[True, True, True, True]");
}

fn an_own_gil_needs_a_newer_python(mode: Mode) {
    let Some(python) = Python::find(11) else { return };
    let named = section("application-group=sub", "WSGIPerInterpreterGIL On");
    for lines in ["WSGIPerInterpreterGIL On", &named] {
        let httpd = site(mode, &python, lines).start();
        httpd.expect(event::OWN_GIL_UNSUPPORTED);
        assert_eq!(ask(&httpd, "/s", "6 * 7"), "42");
        assert_eq!(httpd.count(event::OWN_GIL_UNSUPPORTED), 1, "once in each child");
    }
    let elsewhere = section("process-group=apart", "WSGIPerInterpreterGIL On") + "WSGIDaemonProcess apart";
    let httpd = site(mode, &python, &elsewhere).start();
    // The processes of that group say so, and only they.
    httpd.expect(event::OWN_GIL_UNSUPPORTED);
    assert_eq!(ask(&httpd, "/s", "6 * 7"), "42");
    httpd.wait_for_log("WSGIRS0118: process group 'apart'");
}

/// Intervals belong to GILs, so they tell who has one.
fn sections_choose_who_has_a_gil(mode: Mode) {
    let lines = section("application-group=sub", "WSGIPerInterpreterGIL On\nWSGISwitchInterval 0.5");
    let main = section("application-group=%{GLOBAL}", "WSGIPerInterpreterGIL On");
    for python in newer() {
        let httpd = site(mode, &python, &format!("WSGISwitchInterval 0.25\n{lines}{main}")).start();
        for _ in 0..2 {
            for (target, seconds) in [("/m", "0.25"), ("/s", "0.5"), ("/o", "0.25")] {
                assert_eq!(ask(&httpd, target, "sys.getswitchinterval()"), seconds, "{target}");
            }
        }
    }
}

fn interpreters_with_gils_serve_many_requests(mode: Mode) {
    for python in newer() {
        let httpd = site(mode, &python, "WSGIPerInterpreterGIL On").start();
        thread::scope(|scope| {
            for number in 0..6 {
                let (httpd, target) = (&httpd, ["/m", "/s", "/o"][number % 3]);
                scope.spawn(move || {
                    for round in 0..60 {
                        let code = format!("sum(len(str(number)) for number in range({round} * 40))\n");
                        let digits = (0..round * 40).map(|number: usize| number.to_string().len()).sum::<usize>();
                        assert_eq!(ask(httpd, target, &code), digits.to_string());
                    }
                });
            }
        });
        assert_eq!(ask(&httpd, "/s", "raise ValueError('x')"), "ValueError: x");
    }
}

fn interpreters_with_gils_end_like_others(mode: Mode) {
    let code = "import atexit, threading, time\natexit.register(journal.note, 'ended')\n\
                def work():\n    time.sleep(0.3)\n    journal.note('worked')\n\
                threading.Thread(target=work, daemon=False).start()\n";
    for python in newer() {
        let httpd = site(mode, &python, "WSGIPerInterpreterGIL On").start();
        for target in ["/m", "/s", "/o"] {
            ask(&httpd, target, code);
        }
        let former = httpd.children()[0];
        httpd.graceful();
        wait::until_true("the former child ends", || !httpd.children().contains(&former));
        let journal = httpd.journal();
        assert_eq!(journal.iter().filter(|line| *line == "worked").count(), 3, "{journal:?}");
        assert_eq!(journal.iter().filter(|line| *line == "ended").count(), 3, "{journal:?}");
    }
}
