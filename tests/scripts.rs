// SPDX-License-Identifier: Apache-2.0
//! Loading and reloading of scripts: names, errors, recovery.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Site, embedded, event, modes};
use std::process::Command;

modes! {
    a_script_is_loaded_once,
    a_changed_script_is_loaded_again,
    an_older_script_is_loaded_again_too,
    reloading_can_be_switched_off,
    other_modules_are_as_old_as_their_process,
    a_script_can_ask_for_reloading,
    a_failing_reload_hook_means_no,
    a_missing_callable_is_a_500,
    the_callable_may_be_anything_callable,
    the_callable_is_looked_up_for_each_request,
    a_syntax_error_is_a_500_until_it_is_corrected,
    an_exception_while_loading_is_a_500_until_it_is_corrected,
    exit_while_loading_is_a_500,
    an_unreadable_script_is_refused,
    the_source_encoding_is_honoured,
    any_suffix_will_do,
    the_folder_of_the_script_is_not_on_the_path,
    the_module_has_its_names,
    a_slow_import_does_not_block_other_scripts,
    concurrent_first_requests_load_once,
}

// `WSGIPythonPath` is for embedded mode; groups have `python-path`.
embedded! {
    python_path_is_at_the_front,
    pth_files_run,
}

const COUNTING: &str = "COUNT = [0]\n\n\ndef application(environ, start_response):\n    COUNT[0] += 1\n    start_response('200 OK', [])\n    return [b'VERSION %d' % COUNT[0]]\n";

fn version(name: &str) -> String {
    COUNTING.replace("VERSION", name)
}

fn scripted(mode: Mode, source: &str) -> Site {
    Site::new(mode).file("apps/s.py", source).config("WSGIScriptAlias /s \"@APPS@/s.py\"")
}

/// Replaces the script and gives it another time of modification, whatever the clock's grain.
fn replace(httpd: &Httpd, source: &str, time: &str) {
    httpd.rewrite("apps/s.py", source);
    touch(httpd, "s.py", time);
}

fn touch(httpd: &Httpd, name: &str, time: &str) {
    assert!(Command::new("touch").args(["-d", time]).arg(httpd.app_path(name)).status().unwrap().success());
}

fn a_script_is_loaded_once(mode: Mode) {
    let httpd = scripted(mode, &version("one")).start();
    for count in 1..=5 {
        httpd.get("/s").expect_body(format!("one {count}").as_bytes());
    }
}

fn a_changed_script_is_loaded_again(mode: Mode) {
    let httpd = scripted(mode, &version("one")).start();
    httpd.get("/s").expect_body(b"one 1");
    replace(&httpd, &version("two"), "2030-01-01");
    httpd.get("/s").expect_body(b"two 1");
    httpd.get("/s").expect_body(b"two 2");
}

fn an_older_script_is_loaded_again_too(mode: Mode) {
    let httpd = scripted(mode, &version("one")).start();
    httpd.get("/s").expect_body(b"one 1");
    replace(&httpd, &version("two"), "2001-01-01");
    httpd.get("/s").expect_body(b"two 1");
}

fn reloading_can_be_switched_off(mode: Mode) {
    let httpd = scripted(mode, &version("one")).config("WSGIScriptReloading Off").start();
    httpd.get("/s").expect_body(b"one 1");
    replace(&httpd, &version("two"), "2030-01-01");
    httpd.get("/s").expect_body(b"one 2");
}

fn other_modules_are_as_old_as_their_process(mode: Mode) {
    let source = "import beside\n\n\ndef application(environ, start_response):\n    beside.COUNT += 1\n    start_response('200 OK', [])\n    return [b'%d' % beside.COUNT]\n";
    let httpd = scripted(mode, source).file("apps/beside.py", "COUNT = 0\n").start();
    httpd.get("/s").expect_body(b"1");
    touch(&httpd, "s.py", "2030-01-01");
    // Embedded mode loads the script again, a group has another process for it.
    let expected: &[u8] = if mode == Mode::Embedded { b"2" } else { b"1" };
    httpd.get("/s").expect_body(expected);
}

fn a_script_can_ask_for_reloading(mode: Mode) {
    let hook = "\nimport os\n\n\ndef reload_required(path):\n    return os.path.exists('@STATE@/again')\n";
    let httpd = scripted(mode, &(version("one") + hook)).start();
    httpd.get("/s").expect_body(b"one 1");
    httpd.get("/s").expect_body(b"one 2");
    httpd.open_gate("again");
    httpd.get("/s").expect_body(b"one 1");
}

fn a_failing_reload_hook_means_no(mode: Mode) {
    let hook = "\n\ndef reload_required(path):\n    raise ValueError(path)\n";
    let httpd = scripted(mode, &(version("one") + hook)).start();
    httpd.expect(event::RELOAD_HOOK_FAILED);
    httpd.get("/s").expect_body(b"one 1");
    httpd.get("/s").expect_body(b"one 2");
}

fn a_missing_callable_is_a_500(mode: Mode) {
    let httpd = scripted(mode, "app = None\n").start();
    httpd.expect(event::CALLABLE_MISSING);
    httpd.get("/s").expect(500);
    replace(&httpd, &version("one"), "2030-01-01");
    httpd.get("/s").expect_body(b"one 1");
    assert_eq!(httpd.count(event::CALLABLE_MISSING), 1);
}

fn the_callable_may_be_anything_callable(mode: Mode) {
    let source = "class Application:\n    def __init__(self, environ, start_response):\n        self.start = start_response\n\n    def __iter__(self):\n        self.start('200 OK', [])\n        yield b'instance'\n\n\napplication = Application\nnumber = 3\n";
    let httpd = scripted(mode, source).config("WSGIScriptAlias /n \"@APPS@/s.py\" callable-object=number").start();
    httpd.get("/s").expect_body(b"instance");
    httpd.expect(event::APPLICATION_FAILED);
    httpd.get("/n").expect(500);
}

fn the_callable_is_looked_up_for_each_request(mode: Mode) {
    let source = "def second(environ, start_response):\n    start_response('200 OK', [])\n    return [b'second']\n\n\ndef application(environ, start_response):\n    global application\n    application = second\n    start_response('200 OK', [])\n    return [b'first']\n";
    let httpd = scripted(mode, source).start();
    httpd.get("/s").expect_body(b"first");
    httpd.get("/s").expect_body(b"second");
}

/// The script fails to load, twice, and runs once it is corrected.
fn assert_recovers(mode: Mode, source: &str, in_log: &str) {
    let httpd = scripted(mode, source).start();
    httpd.expect(event::SCRIPT_FAILED);
    httpd.get("/s").expect(500);
    httpd.get("/s").expect(500);
    assert_eq!(httpd.count(event::SCRIPT_FAILED), 2);
    assert!(httpd.log().iter().any(|entry| entry.message.contains(in_log)), "{in_log}");
    replace(&httpd, &version("good"), "2030-01-01");
    httpd.get("/s").expect_body(b"good 1");
    replace(&httpd, source, "2031-01-01");
    httpd.get("/s").expect(500);
    replace(&httpd, &version("better"), "2032-01-01");
    httpd.get("/s").expect_body(b"better 1");
}

fn a_syntax_error_is_a_500_until_it_is_corrected(mode: Mode) {
    assert_recovers(mode, "def broken(:\n", "SyntaxError");
}

fn an_exception_while_loading_is_a_500_until_it_is_corrected(mode: Mode) {
    assert_recovers(mode, "import absent_module\n", "ModuleNotFoundError");
}

fn exit_while_loading_is_a_500(mode: Mode) {
    assert_recovers(mode, "import sys\nsys.exit(1)\n", "SystemExit");
}

fn an_unreadable_script_is_refused(mode: Mode) {
    if !harness::site::is_root() {
        harness::skip::skipped("permissions need root");
        return;
    }
    let httpd = Site::new(mode)
        .file_with_mode("apps/s.py", version("one"), 0o600)
        .config("WSGIScriptAlias /s \"@APPS@/s.py\"")
        .start();
    httpd.expect(event::FILE_DOUBTFUL);
    httpd.expect(event::SCRIPT_UNREADABLE);
    httpd.get("/s").expect(500);
}

fn the_source_encoding_is_honoured(mode: Mode) {
    let mut source = b"# -*- coding: latin-1 -*-\nTEXT = '\xe9'\n".to_vec();
    source.extend_from_slice(b"\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [TEXT.encode('utf-8')]\n");
    let httpd = Site::new(mode).file("apps/s.py", source).config("WSGIScriptAlias /s \"@APPS@/s.py\"").start();
    httpd.get("/s").expect_body("\u{e9}".as_bytes());
}

fn any_suffix_will_do(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/app.wsgi", version("wsgi"))
        .file("apps/app", version("bare"))
        .config("WSGIScriptAlias /w \"@APPS@/app.wsgi\"\nWSGIScriptAlias /b \"@APPS@/app\"")
        .start();
    httpd.get("/w").expect_body(b"wsgi 1");
    httpd.get("/b").expect_body(b"bare 1");
}

fn the_folder_of_the_script_is_not_on_the_path(mode: Mode) {
    let source = "import sys\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [str(sys.path.count('@ROOT@/else')).encode()]\n";
    let httpd = Site::new(mode)
        .file("else/s.py", source)
        .config(
            "WSGIScriptAlias /s \"@ROOT@/else/s.py\"\n<Directory \"@ROOT@/else\">\nRequire all granted\n</Directory>",
        )
        .start();
    httpd.get("/s").expect_body(b"0");
}

fn python_path_is_at_the_front(mode: Mode) {
    let source = "import sys\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [repr(sys.path[:2]).encode()]\n";
    let site = scripted(mode, source)
        .file("one/x.py", "")
        .file("two/x.py", "")
        .config("WSGIPythonPath \"@ROOT@/one:@ROOT@/two\"");
    let httpd = site.start();
    let root = httpd.root().display();
    httpd.get("/s").expect_body(format!("['{root}/one', '{root}/two']").as_bytes());
}

fn pth_files_run(mode: Mode) {
    let source = "import sys\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [repr('@ROOT@/extra' in sys.path).encode()]\n";
    let site = scripted(mode, source)
        .file("extra/x.py", "")
        .file("one/a.pth", "@ROOT@/extra\n")
        .config("WSGIPythonPath \"@ROOT@/one\"");
    site.start().get("/s").expect_body(b"True");
}

fn the_module_has_its_names(mode: Mode) {
    let httpd = Site::new(mode).mount("/s", "state.py").start();
    let text = httpd.get("/s").text();
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")).map(str::to_owned)).unwrap();
    let name = value("name");
    assert!(name.starts_with("_mod_wsgi_") && name.len() == 10 + 32, "{name}");
    assert_eq!(value("file"), httpd.app_path("state.py").to_str().unwrap());
    assert_eq!(value("registered"), "True");
}

fn a_slow_import_does_not_block_other_scripts(mode: Mode) {
    let slow = "import journal\njournal.note('importing')\njournal.wait_for_gate('go')\n".to_owned() + &version("slow");
    let httpd = scripted(mode, &slow)
        .file("apps/quick.py", version("quick"))
        .config("WSGIScriptAlias /q \"@APPS@/quick.py\" application-group=one\nWSGIScriptAlias /r \"@APPS@/s.py\" application-group=one")
        .start();
    httpd.get("/q").expect_body(b"quick 1");
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/r").bytes());
    httpd.wait_for_journal("importing");
    httpd.get("/q").expect_body(b"quick 2");
    httpd.open_gate("go");
    connection.read_response("GET").expect_body(b"slow 1");
}

fn concurrent_first_requests_load_once(mode: Mode) {
    let source = "import journal, time\njournal.note('importing')\ntime.sleep(0.1)\n".to_owned() + &version("one");
    let httpd = scripted(mode, &source).start();
    let wrong = harness::stress::hammer(httpd.port(), "/s", 12, 6, |answer| answer.status == 200);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(httpd.journal(), ["importing"]);
}
