// SPDX-License-Identifier: Apache-2.0
//! What the directives for Python's start and end do to applications in httpd's children, with each Python that suites use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Python, Site, embedded, event, modes, wait};

modes! {
    assertions_and_documentation_are_left_out,
    without_a_level_the_environment_decides,
    warnings_are_configured_in_order,
    a_seed_fixes_hashes,
    a_random_seed_is_random_whatever_the_environment_says,
    compiled_files_are_written_unless_forbidden,
    nothing_of_python_runs_at_the_end_if_it_is_not_destroyed,
    standard_streams_can_be_forbidden,
    signal_handlers_are_not_registered,
    signal_handlers_can_be_allowed,
    a_fork_has_signals_of_its_own,
    capital_letters_need_not_count,
}

embedded! {
    eggs_have_their_place,
    a_single_process_keeps_its_streams,
    the_record_of_the_request_is_shown_on_demand,
    free_threading_needs_another_python,
}

/// `/m` runs in the main interpreter, `/s` in another one.
fn site(mode: Mode, python: &Python, config: &str) -> Site {
    Site::new(mode)
        .python(python)
        .app("evaluate.py")
        .config("WSGIScriptAlias /m \"@APPS@/evaluate.py\" application-group=%{GLOBAL}")
        .config("WSGIScriptAlias /s \"@APPS@/evaluate.py\" application-group=sub")
        .config(config)
}

/// The value of a Python expression, or what a piece of code leaves in `result`.
#[track_caller]
fn ask(httpd: &Httpd, target: &str, code: &str) -> String {
    let answer = httpd.request("POST", target).body(code).send();
    answer.expect(200);
    answer.text()
}

/// Asks in both interpreters.
#[track_caller]
fn assert_in_both(httpd: &Httpd, code: &str, expected: &str) {
    for target in ["/m", "/s"] {
        assert_eq!(ask(httpd, target, code), expected, "{target}: {code}");
    }
}

/// Replaces the children and waits until the former one is gone.
fn replace_child(httpd: &Httpd) {
    let former = httpd.children()[0];
    httpd.graceful();
    wait::until_true("the former child ends", || !httpd.children().contains(&former));
}

const DOCUMENTED: &str = "def f():\n    'text'\nresult = (sys.flags.optimize, __debug__, f.__doc__)\n";

fn assertions_and_documentation_are_left_out(mode: Mode) {
    for python in Python::versions() {
        for (level, seen) in [
            ("0", "(0, True, 'text')"),
            ("1", "(1, False, 'text')"),
            ("2", "(2, False, None)"),
            ("7", "(2, False, None)"),
        ] {
            let httpd = site(mode, &python, &format!("WSGIPythonOptimize {level}")).start();
            if level == "7" {
                httpd.expect(event::ARGUMENT_DOUBTFUL);
            }
            assert_in_both(&httpd, DOCUMENTED, seen);
        }
    }
}

fn without_a_level_the_environment_decides(mode: Mode) {
    for python in Python::versions() {
        let site = site(mode, &python, "").variable("PYTHONOPTIMIZE", "1").variable("PYTHONDONTWRITEBYTECODE", "1");
        assert_in_both(&site.start(), "sys.flags.optimize, sys.flags.dont_write_bytecode", "(1, 1)");
    }
}

fn warnings_are_configured_in_order(mode: Mode) {
    let lines = "WSGIPythonWarnings ignore::UserWarning\nWSGIPythonWarnings \"error:what é:UserWarning\"";
    for python in Python::versions() {
        let httpd = site(mode, &python, lines).start();
        assert_in_both(&httpd, "sys.warnoptions", "['ignore::UserWarning', 'error:what é:UserWarning']");
        assert_in_both(&httpd, "__import__('warnings').warn('what else')", "None");
        assert_in_both(&httpd, "__import__('warnings').warn('what é there')", "UserWarning: what é there");
    }
}

fn a_seed_fixes_hashes(mode: Mode) {
    for python in Python::versions() {
        for (seed, randomised) in [("42", 1), ("0", 0), ("4294967295", 1)] {
            let mut command = python.command();
            let output = command.env("PYTHONHASHSEED", seed).args(["-c", "print(hash('some text'), end='')"]).output();
            let hash = String::from_utf8(output.unwrap().stdout).unwrap();
            let site = site(mode, &python, &format!("WSGIPythonHashSeed {seed}"));
            let httpd = site.variable("PYTHONHASHSEED", "7").start();
            assert_in_both(
                &httpd,
                "hash('some text'), sys.flags.hash_randomization",
                &format!("({hash}, {randomised})"),
            );
        }
    }
}

fn a_random_seed_is_random_whatever_the_environment_says(mode: Mode) {
    for python in Python::versions() {
        for line in ["WSGIPythonHashSeed random", ""] {
            let environment = if line.is_empty() { "random" } else { "0" };
            let httpd = site(mode, &python, line).variable("PYTHONHASHSEED", environment).start();
            assert_in_both(&httpd, "sys.flags.hash_randomization", "1");
            let former = ask(&httpd, "/m", "hash('some text')");
            replace_child(&httpd);
            assert_ne!(ask(&httpd, "/m", "hash('some text')"), former);
        }
    }
}

fn compiled_files_are_written_unless_forbidden(mode: Mode) {
    let code =
        "sys.path.insert(0, journal.STATE)\nimport lonely\nresult = os.path.isdir(journal.STATE + '/__pycache__')\n";
    for python in Python::versions() {
        for (line, expected) in [("WSGIDontWriteBytecode On", "False"), ("WSGIDontWriteBytecode Off", "True")] {
            let httpd = site(mode, &python, line).file("state/lonely.py", "").start();
            assert_in_both(&httpd, code, expected);
        }
    }
}

fn eggs_have_their_place(mode: Mode) {
    for python in Python::versions() {
        let httpd = site(mode, &python, "WSGIPythonEggs \"@ROOT@/state\"").start();
        let expected = httpd.root().join("state").display().to_string();
        assert_in_both(&httpd, "os.environ['PYTHON_EGG_CACHE']", &expected);
        assert_in_both(&httpd, "os.popen('echo $PYTHON_EGG_CACHE').read().strip()", &expected);
        let silent = site(mode, &python, "").start();
        assert_in_both(&silent, "os.environ.get('PYTHON_EGG_CACHE')", "None");
    }
}

fn nothing_of_python_runs_at_the_end_if_it_is_not_destroyed(mode: Mode) {
    let code = "import atexit, threading\natexit.register(journal.note, 'ended')\n\
                thread = threading.Thread(target=sys.stdout.write, args=('begun but not ended',))\n\
                thread.start()\nthread.join()\n";
    for python in Python::versions() {
        for (line, ended) in [("WSGIDestroyInterpreter Off", 0), ("WSGIDestroyInterpreter On", 2)] {
            let httpd = site(mode, &python, line).start();
            httpd.expect_text("begun but not ended");
            assert_in_both(&httpd, code, "None");
            replace_child(&httpd);
            assert_eq!(httpd.journal().len(), ended, "{line}: {:?}", httpd.journal());
            assert_in_both(&httpd, "1 + 1", "2");
        }
    }
}

fn standard_streams_can_be_forbidden(mode: Mode) {
    let lines = "WSGIRestrictStdin On\nWSGIRestrictStdout On\n\
                 <WSGIInterpreterOptions application-group=free>\nWSGIRestrictStdin Off\nWSGIRestrictStdout Off\n\
                 </WSGIInterpreterOptions>\nWSGIScriptAlias /f \"@APPS@/evaluate.py\" application-group=free";
    for python in Python::versions() {
        let httpd = site(mode, &python, lines).start();
        for name in ["stdin", "stdout"] {
            let refusal = format!("OSError: sys.{name} access restricted by mod_wsgi");
            for code in ["X.fileno()", "X.x", "X.__class__", "setattr(X, 'x', 1)", "delattr(X, 'x')", "X.encoding"] {
                assert_in_both(&httpd, &code.replace('X', &format!("sys.{name}")), &refusal);
            }
        }
        assert_in_both(&httpd, "print('x')", "OSError: sys.stdout access restricted by mod_wsgi");
        assert_in_both(&httpd, "input()", "OSError: sys.stdin access restricted by mod_wsgi");
        assert_in_both(&httpd, "sys.stderr.writable()", "True");
        httpd.expect_text("said freely");
        assert_eq!(ask(&httpd, "/f", "print('said freely'), sys.stdin.read()"), "(None, '')");
        replace_child(&httpd);
    }
}

fn a_single_process_keeps_its_streams(mode: Mode) {
    for python in Python::versions() {
        let site = site(mode, &python, "WSGIRestrictStdin On\nWSGIRestrictStdout On").under(&["env"]);
        assert_in_both(&site.start(), "sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__", "(True, True)");
    }
}

const HANDLE: &str = "def handler(*arguments): pass\nbefore = signal.getsignal(signal.SIGUSR2)\n\
                      returned = signal.signal(signal.SIGUSR2, handler)\n\
                      result = returned is handler, signal.getsignal(signal.SIGUSR2) == before";

fn signal_handlers_are_not_registered(mode: Mode) {
    for python in Python::versions() {
        for line in ["LogLevel wsgi:info", "LogLevel wsgi:info\nWSGIRestrictSignal On"] {
            let httpd = site(mode, &python, line).start();
            assert_in_both(&httpd, HANDLE, "(True, True)");
            let entry = httpd.wait_for_log("signal.signal(");
            assert_eq!(entry.level, "info", "{}", entry.line);
            assert_eq!(httpd.wait_for_log("evaluate.py\", line").level, "info", "where it was called");
        }
    }
}

fn signal_handlers_can_be_allowed(mode: Mode) {
    let lines = "WSGIRestrictSignal Off\n<WSGIInterpreterOptions application-group=sub>\nWSGIRestrictSignal On\n\
                 </WSGIInterpreterOptions>";
    for python in Python::versions() {
        let httpd = site(mode, &python, lines).start();
        // Python itself takes handlers on its main thread only, where no request runs.
        assert!(ask(&httpd, "/m", HANDLE).starts_with("ValueError: signal only works in main thread"));
        assert_eq!(ask(&httpd, "/s", HANDLE), "(True, True)");
    }
}

fn a_fork_has_signals_of_its_own(mode: Mode) {
    let code = "import warnings\nwarnings.simplefilter('ignore')\nread, write = os.pipe()\nchild = os.fork()\n\
                if child == 0:\n    before = signal.getsignal(signal.SIGUSR2)\n    \
                returned = signal.signal(signal.SIGUSR2, signal.SIG_IGN)\n    \
                now = signal.getsignal(signal.SIGUSR2)\n    \
                os.write(write, repr((returned == before, now == signal.SIG_IGN)).encode())\n    os._exit(0)\n\
                os.waitpid(child, 0)\nresult = os.read(read, 100).decode()\n";
    for python in Python::versions() {
        let httpd = site(mode, &python, "").start();
        assert_eq!(ask(&httpd, "/m", code), "(True, True)");
        assert_eq!(ask(&httpd, "/m", HANDLE), "(True, True)");
    }
}

fn capital_letters_need_not_count(mode: Mode) {
    let aliases = "WSGIScriptAlias /a \"@APPS@/Counted.py\" application-group=one\n\
                   WSGIScriptAlias /b \"@APPS@/counteD.py\" application-group=one\n";
    let source = "import hashlib\n\nCOUNT = [0]\n\n\ndef application(environ, start_response):\n    COUNT[0] += 1\n    \
                  start_response('200 OK', [])\n    plain, small = __file__, __file__.lower()\n    \
                  names = ['_mod_wsgi_' + hashlib.md5(text.encode()).hexdigest() for text in (plain, small)]\n    \
                  return [('%d %d' % (COUNT[0], names.index(__name__))).encode()]\n";
    for python in Python::versions() {
        for (line, answers) in [("WSGICaseSensitivity On", ["1 0", "1 0"]), ("WSGICaseSensitivity Off", ["1 1", "2 1"])]
        {
            let site = site(mode, &python, &format!("{aliases}{line}"));
            let httpd = site.file("apps/Counted.py", source).file("apps/counteD.py", source).start();
            httpd.get("/a").expect_body(answers[0].as_bytes());
            httpd.get("/b").expect_body(answers[1].as_bytes());
        }
    }
}

fn the_record_of_the_request_is_shown_on_demand(mode: Mode) {
    let lines = "<Location /m/on>\nWSGIPassApacheRequest On\n</Location>\n<Location /s/on>\nWSGIPassApacheRequest On\n</Location>\n\
                 SetEnv apache.request_rec fake";
    // `the_request`, the first text in httpd's structure, comes after six pointers.
    let record = "import ctypes\napi = ctypes.pythonapi\napi.PyCapsule_GetPointer.restype = ctypes.c_void_p\n\
                  api.PyCapsule_GetName.restype = ctypes.c_char_p\n";
    let look = "capsule = kept['capsule'] = environ['apache.request_rec']\nobject = ctypes.py_object(capsule)\n\
                pointer = api.PyCapsule_GetPointer(object, None)\n\
                line = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_char_p))[6]\n\
                result = type(capsule).__name__, api.PyCapsule_GetName(object), line\n";
    for python in Python::versions() {
        let httpd = site(mode, &python, lines).start();
        for target in ["/m", "/s"] {
            assert_eq!(ask(&httpd, target, "'apache.request_rec' in environ"), "False");
            let line = format!("('PyCapsule', None, b'POST {target}/on HTTP/1.1')");
            assert_eq!(ask(&httpd, &format!("{target}/on"), &format!("{record}{look}")), line);
            let late = format!("{record}api.PyCapsule_GetPointer(ctypes.py_object(kept['capsule']), None)\n");
            assert!(
                ask(&httpd, target, &late).starts_with("ValueError: PyCapsule_GetPointer"),
                "a kept capsule is void"
            );
            assert_eq!(ask(&httpd, target, "'apache.request_rec' in environ"), "False");
        }
    }
}

fn free_threading_needs_another_python(mode: Mode) {
    for python in Python::versions() {
        let httpd = site(mode, &python, "WSGIFreeThreading On").start();
        httpd.expect(event::FREE_THREADING_UNSUPPORTED);
        assert_in_both(&httpd, "getattr(sys, '_is_gil_enabled', lambda: True)()", "True");
        assert_eq!(httpd.count(event::FREE_THREADING_UNSUPPORTED), 1, "once in each child");
    }
}
