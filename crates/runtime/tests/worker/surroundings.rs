// SPDX-License-Identifier: Apache-2.0
//! What applications find around them in a worker.

use super::caller::{Caller, End, Request};
use super::supervisor::Group;
use super::{each, pythons};
use model::event::Level;
use model::launch::{BOOTSTRAP, control};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Answers the text of an expression.
const EVALUATE: &str = "import sys
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(eval(environ['X'])).encode()]
";

fn evaluate(caller: &mut Caller, script: &str, expression: &str) -> String {
    let answer = caller.call(Request { environ: vec![("X".into(), expression.into())], ..Request::to(script) });
    assert_eq!(answer.end, End::Complete, "{expression}: {answer:?}");
    answer.text().to_owned()
}

#[test]
fn nothing_shows_how_python_was_started() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("evaluate.wsgi", EVALUATE);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let mut value = |expression: &str| evaluate(&mut caller, &script, expression);
        assert_eq!(value("sys.argv"), "['mod_wsgi']");
        let names = "sorted(n for n in vars(sys.modules['__main__']) if not n.startswith('__'))";
        assert_eq!(value(names), "[]");
        assert_eq!(value("sys.modules['__main__'].__name__"), "__main__");
        assert_eq!(value("hasattr(sys.modules['__main__'], '__file__')"), "False");
        assert_eq!(value("'' in sys.path"), "False");
        assert_eq!(value("[p for p in sys.path_importer_cache if 'fd' in p]"), "[]");
        assert_eq!(Path::new(&value("sys.executable")).file_name(), python.file_name());
        assert_eq!(value("__import__('os').getpid()"), worker.pid().to_string());
        let facts = ["mod_wsgi.process_group", "wsgi.multithread", "wsgi.multiprocess", "mod_wsgi.server_pid"];
        let facts = facts.map(|key| value(&format!("environ['{key}']")));
        assert_eq!(facts, ["shop", "True", "False", &worker.pid().to_string()]);
        let server =
            "(lambda m: (m.process_group, m.threads_per_process, m.maximum_processes))(__import__('mod_wsgi'))";
        assert_eq!(value(server), "('shop', 2, 1)");
        worker.stop();
    });
}

#[test]
fn the_descriptors_are_what_they_should_be_and_memory_is_not_readable() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("evaluate.wsgi", EVALUATE);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let mut value = |expression: &str| evaluate(&mut caller, &script, expression);
        // PR_GET_DUMPABLE
        assert_eq!(value("__import__('ctypes').CDLL(None).prctl(3, 0, 0, 0, 0)"), "0");
        let kinds = "sorted(k for k in (os.readlink('/proc/self/fd/%s' % n).split(':')[0] for os in [__import__('os')] \
             for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/%s' % n) or True \
             if int(n) > 2 and os.path.lexists('/proc/self/fd/%s' % n)) if k[0] != '/' and k != 'pipe')";
        // The control socket, the listener, this connection; the epoll instance and four events.
        assert_eq!(
            value(kinds),
            format!("{:?}", ["anon_inode"; 5].into_iter().chain(["socket"; 3]).collect::<Vec<_>>()).replace('"', "'")
        );
        let inheritable = "[os.readlink('/proc/self/fd/%d' % n) for os in [__import__('os')] for n in map(int, os.listdir('/proc/self/fd')) if n > 2 \
             and os.path.lexists('/proc/self/fd/%d' % n) and os.get_inheritable(n) and os.readlink('/proc/self/fd/%d' % n).split(':')[0] not in ('pipe', '/dev/null')]";
        assert_eq!(value(inheritable), "[]");
        worker.stop();
    });
}

#[test]
fn a_virtual_environment_is_recognised() {
    each(|python| {
        let mut group = Group::new(python);
        let place = group.directory.join("venv");
        let made = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&place).output().unwrap();
        if !made.status.success() {
            pythons::skipped(&format!("no venv with {}: a worker's prefix was not tested there", python.display()));
            return;
        }
        group.python = place.join("bin/python");
        let script = group.script("evaluate.wsgi", EVALUATE);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        assert_eq!(Path::new(&evaluate(&mut caller, &script, "sys.prefix")), place);
        assert_eq!(Path::new(&evaluate(&mut caller, &script, "sys.executable")), group.python);
        worker.stop();
    });
}

#[test]
fn processes_can_be_started() {
    each(|python| {
        let mut group = Group::new(python);
        group.script("tasks.py", "def double(number):\n    return 2 * number\n");
        group.settings.python_path = group.directory.to_str().unwrap().to_owned();
        let script = group.script(
            "start.wsgi",
            "import multiprocessing, subprocess, sys
import tasks
def application(environ, start_response):
    said = subprocess.run([sys.executable, '-c', 'print(6)'], capture_output=True, check=True).stdout
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        doubled = pool.apply(tasks.double, (21,))
    start_response('200 OK', [])
    return [said, str(doubled).encode()]
",
        );
        let worker = group.start();
        let answer = Caller::new(&group).call(Request::to(&script));
        assert_eq!((answer.end, answer.text()), (End::Complete, "6\n42"), "{answer:?} {}", worker.output());
        worker.stop();
    });
}

#[test]
fn settings_of_the_group_hold() {
    each(|python| {
        let mut group = Group::new(python);
        for name in ["path", "home"] {
            fs::create_dir(group.directory.join(name)).unwrap();
        }
        let path = |name: &str| group.directory.join(name).to_str().unwrap().to_owned();
        let (home, path) = (path("home"), path("path"));
        group.settings.title = "(wsgi:shop)".to_owned();
        group.settings.home = Some(home.clone());
        group.settings.python_path = path.clone();
        group.settings.switch_interval = Some(0.25);
        group.settings.locale = "C".to_owned();
        group.settings.threads = 1;
        let script = group.script("evaluate.wsgi", EVALUATE);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        for application_group in ["", "sub"] {
            let mut value = |expression: &str| {
                let environ = vec![("X".to_owned(), expression.to_owned())];
                let application_group = application_group.to_owned();
                caller.call(Request { application_group, environ, ..Request::to(&script) }).text().to_owned()
            };
            assert_eq!(value("sys.path[:2]"), format!("['{home}', '{path}']"));
            assert_eq!(value("sys.getswitchinterval()"), "0.25");
            assert_eq!(value("environ['wsgi.multithread']"), "False");
            assert_eq!(value("environ['mod_wsgi.application_group']"), application_group);
        }
        let shown = fs::read(format!("/proc/{}/cmdline", worker.pid())).unwrap();
        assert_eq!(String::from_utf8(shown).unwrap().trim_end_matches('\0'), "(wsgi:shop)");
        worker.stop();
    });
}

#[test]
fn deep_recursion_is_python_s_to_stop() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "deep.wsgi",
            "import functools, sys
sys.setrecursionlimit(6000)
@functools.lru_cache(maxsize=None)
def down(number):
    return down(number + 1)
def application(environ, start_response):
    start_response('200 OK', [])
    try:
        down(0)
    except RecursionError:
        return [b'stopped']
",
        );
        let worker = group.start();
        assert_eq!(Caller::new(&group).call(Request::to(&script)).text(), "stopped");
        worker.stop();
    });
}

#[test]
fn threads_run_at_once_and_processes_share_a_listener() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 3;
        let script = group.script(
            "together.wsgi",
            "import os, threading
barrier = threading.Barrier(3, timeout=20)
def application(environ, start_response):
    barrier.wait()
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
",
        );
        let first = group.start();
        let ask = || {
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let mut caller = Caller::new(&group);
                    caller.send(&Request::to(&script));
                    caller
                })
                .collect();
            waiting
                .into_iter()
                .map(|mut caller| caller.finish(Request::default()).text().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ask(), vec![first.pid().to_string(); 3]);
        first.stop();
        group.settings.threads = 1;
        let script = group.script(
            "pid.wsgi",
            "import os, time
def application(environ, start_response):
    time.sleep(0.05)
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
",
        );
        let workers = [group.start(), group.start()];
        let ask = || {
            let mut caller = Caller::new(&group);
            caller.call(Request::to(&script)).text().to_owned()
        };
        let found: Vec<String> = thread::scope(|scope| {
            let running: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for worker in workers {
            assert!(found.contains(&worker.pid().to_string()), "{found:?}");
            worker.stop();
        }
    });
}

#[test]
fn scripts_are_loaded_ahead_and_lines_outside_of_requests_are_passed_on() {
    each(|python| {
        let mut group = Group::new(python);
        let script = group.script(
            "ahead.wsgi",
            "import sys, threading, time
print('loaded ahead')
def later():
    print('from a thread')
threading.Thread(target=later).start()
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'ok']
",
        );
        let broken = group.script("broken.wsgi", "raise ValueError('broken')\n");
        group.settings.preloads =
            vec![(String::new(), script.clone()), ("sub".to_owned(), script.clone()), (String::new(), broken)];
        let mut worker = group.start();
        worker.wait_for_line("from a thread");
        let ahead = worker.log.iter().filter(|(_, line)| line.contains("] loaded ahead")).count();
        assert_eq!(ahead, 2, "{:?}", worker.log);
        assert!(worker.log.iter().any(|(level, line)| *level <= Level::Error && line.contains("broken")));
        let answer = Caller::new(&group).call(Request::to(&script));
        assert_eq!((answer.end, answer.log.len()), (End::Complete, 0));
        worker.stop();
    });
}

#[test]
fn a_missing_extension_is_reported() {
    let (_, python) = &pythons::pythons()[0];
    let mut group = Group::new(python);
    group.runtime = group.directory.clone();
    let mut worker = group.spawn();
    let (kind, reason) = worker.message();
    assert_eq!(kind, control::FAILED);
    let reason = String::from_utf8(reason).unwrap();
    assert!(reason.contains("no _mod_wsgi_rs for Python 3."), "{reason}");
    assert_eq!(worker.ended().code(), Some(1));
    assert!(BOOTSTRAP.len() < 2000);
}
