// SPDX-License-Identifier: Apache-2.0
//! How workers end, and what they leave to processes that applications start.

use super::caller::{Caller, End, Request};
use super::each;
use super::supervisor::{DEADLINE, Group};
use model::launch::control;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Says `started`, then waits for the file `go`.
const WAITING: &str = "import atexit, os, time
directory = os.path.dirname(__file__)
atexit.register(lambda: open(os.path.join(directory, 'atexit'), 'w').close())
def application(environ, start_response):
    print('started')
    while not os.path.exists(os.path.join(directory, 'go')):
        time.sleep(0.01)
    start_response('200 OK', [])
    return [b'done']
";

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < DEADLINE, "no {}", path.display());
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_started(caller: &mut Caller, request: &mut Request) {
    assert!(!caller.until(request, |answer| answer.log.iter().any(|(_, line)| line.contains("started"))));
}

#[test]
fn a_stop_lets_requests_finish_and_starts_no_more() {
    each(|python| {
        for way in ["message", "end of file", "signal"] {
            let mut group = Group::new(python);
            group.settings.threads = 1;
            let script = group.script("waiting.wsgi", WAITING);
            fs::write(group.directory.join("go"), "").unwrap();
            let mut worker = group.start();
            let mut waiting = Caller::new(&group);
            assert_eq!(waiting.call(Request::to(&script)).end, End::Complete);
            let mut idle = Caller::new(&group);
            assert_eq!(idle.call(Request::to(&script)).end, End::Complete);
            fs::remove_file(group.directory.join("go")).unwrap();
            let mut running = Caller::new(&group);
            let mut request = Request::to(&script);
            running.send(&request);
            is_started(&mut running, &mut request);
            waiting.send(&Request::to(&script));
            match way {
                "message" => worker.tell_stop(),
                "end of file" => worker.hang_up(),
                _ => kill(Pid::from_raw(worker.pid() as i32), Signal::SIGUSR1).unwrap(),
            }
            let refused = waiting.finish(Request::default());
            assert_eq!((refused.end, refused.leaving), (End::NotStarted, true));
            assert!(idle.is_closed());
            fs::write(group.directory.join("go"), "").unwrap();
            let answer = running.finish(request);
            assert_eq!((answer.end, answer.text()), (End::Complete, "done"));
            let status = worker.ended();
            assert!(status.success(), "{status} {}", worker.output());
            assert!(group.directory.join("atexit").exists());
            // The listener is the supervisor's: whoever connects now is served by the next process.
            let mut late = Caller::new(&group);
            late.send(&Request::to(&script));
            let next = group.start();
            assert_eq!(late.finish(Request::default()).end, End::Complete);
            next.stop();
        }
    });
}

#[test]
fn a_signal_to_end_waits_only_so_long() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.shutdown_milliseconds = 800;
        let script = group.script("waiting.wsgi", WAITING);
        let mut worker = group.start();
        let mut caller = Caller::new(&group);
        let mut request = Request::to(&script);
        caller.send(&request);
        is_started(&mut caller, &mut request);
        let start = Instant::now();
        kill(Pid::from_raw(worker.pid() as i32), Signal::SIGTERM).unwrap();
        let status = worker.ended();
        assert!(status.success(), "{status} {}", worker.output());
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        assert_eq!(caller.finish(request).end, End::Closed);
        assert!(group.directory.join("atexit").exists());
        while worker.message().0 != 0 {}
        assert!(worker.log.iter().any(|(_, line)| line.contains("WSGIRS0113")), "{:?}", worker.log);
    });
}

#[test]
fn forked_processes_hold_no_connection() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "fork.wsgi",
            "import os, signal, time
def application(environ, start_response):
    start_response('200 OK', [])
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    return [str(child).encode()]
",
        );
        let mut worker = group.start();
        let mut caller = Caller::new(&group);
        let forked = caller.call(Request::to(&script)).text().to_owned();
        let sockets = |pid: &str| {
            let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
            // Pipes are of whoever runs the tests.
            let is_ours = |target: &PathBuf| !target.starts_with("/") && !target.to_string_lossy().starts_with("pipe:");
            targets.filter(is_ours).collect::<Vec<_>>()
        };
        let start = Instant::now();
        while !sockets(&forked).is_empty() {
            assert!(start.elapsed() < DEADLINE, "{:?}", sockets(&forked));
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!sockets(&worker.pid().to_string()).is_empty());
        // A signal that it gets is not for the worker.
        let second = caller.call(Request::to(&script)).text().to_owned();
        kill(Pid::from_raw(second.parse().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(caller.call(Request::to(&script)).end, End::Complete);
        worker.child.kill().unwrap();
        worker.ended();
        assert!(caller.is_closed());
        for pid in fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok()) {
            let working_directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            if pid.bytes().all(|byte| byte.is_ascii_digit()) && working_directory == group.directory {
                kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
            }
        }
    });
}

#[test]
fn a_copy_of_the_process_writes_to_nothing_of_ours() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "fork.wsgi",
            "import os, sys
def application(environ, start_response):
    start_response('200 OK', [])
    child = os.fork()
    if child == 0:
        # Numbers that were ours.
        files = [open(environ['X'] + str(number), 'wb') for number in range(20)]
        print('from the copy')
        print('and more', file=sys.stderr)
        try:
            environ['wsgi.input'].read()
        except OSError:
            os._exit(3)
        os._exit(4)
    return [str(os.waitpid(child, 0)[1] >> 8).encode()]
",
        );
        let mut worker = group.start();
        let file = group.directory.join("file-");
        let environ = vec![("X".to_owned(), file.to_str().unwrap().to_owned())];
        let mut caller = Caller::new(&group);
        let answer = caller.call(Request { environ, ..Request::to(&script) });
        assert_eq!((answer.end, answer.text(), answer.receptions), (End::Complete, "3", 1), "{answer:?}");
        for number in 0..20 {
            assert_eq!(fs::read(format!("{}{number}", file.display())).unwrap(), b"");
        }
        let output = worker.output();
        assert!(output.contains("from the copy\n") && output.contains("and more\n"), "{output}");
        worker.tell_stop();
        assert!(worker.ended().success());
    });
}

#[test]
fn a_copy_of_the_process_that_returns_answers_nothing() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "fork.wsgi",
            "import os
def application(environ, start_response):
    start_response('200 OK', [])
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return [b'x' * 1000]
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        for _ in 0..3 {
            let answer = caller.call(Request::to(&script));
            assert_eq!((answer.end, answer.data.len(), answer.receptions), (End::Complete, 1000, 1));
        }
        worker.stop();
    });
}

#[test]
fn a_worker_that_cannot_work_says_why() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.build_id = "other".to_owned();
        let mut worker = group.spawn();
        worker.introduce(&group);
        let (kind, reason) = worker.message();
        assert_eq!(kind, control::FAILED);
        assert!(String::from_utf8(reason).unwrap().contains("build other"));
        assert_eq!(worker.ended().code(), Some(1));
    });
}

#[test]
fn a_service_hears_once_that_it_is_to_end() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 0;
        let script = group.script(
            "own.py",
            "import signal, sys, time
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
print('begun')
while not heard:
    time.sleep(0.05)
for _ in range(15):
    time.sleep(0.1)
sys.exit(0 if heard == [1] else 'heard %d times' % len(heard))
",
        );
        group.settings.preloads = vec![(String::new(), script)];
        let mut worker = group.start();
        worker.wait_for_line("begun");
        worker.tell_stop();
        assert!(worker.ended().success(), "{}", worker.output());
        while worker.message().0 != 0 {}
        assert!(worker.log.iter().all(|(_, line)| !line.contains("times")), "{:?}", worker.log);
    });
}

#[test]
fn a_service_whose_threads_outlive_its_script_ends_when_it_is_told_to() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 0;
        let script = group.script(
            "threads.py",
            "import atexit, os, threading, time
atexit.register(lambda: open(os.path.join(os.path.dirname(__file__), 'atexit'), 'w').close())
threading.Thread(target=time.sleep, args=(1000,)).start()
print('begun')
",
        );
        group.settings.preloads = vec![(String::new(), script)];
        let mut worker = group.start();
        worker.wait_for_line("begun");
        worker.tell_stop();
        let status = worker.ended();
        assert!(status.success(), "{status} {} {:?}", worker.output(), worker.log);
        assert!(group.directory.join("atexit").exists());
        while worker.message().0 != 0 {}
        assert_eq!(worker.log.len(), 1, "{:?}", worker.log);
    });
}

#[test]
fn a_service_ends_with_its_script_or_by_a_signal() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 0;
        let short = group
            .script("short.py", "import threading\nassert threading.current_thread() is threading.main_thread()\n");
        group.settings.preloads = vec![(String::new(), short)];
        let mut worker = group.start();
        assert!(worker.ended().success());
        while worker.message().0 != 0 {}
        assert_eq!(worker.log, []);
        let long = group.script(
            "long.py",
            "import atexit, os, signal, time
atexit.register(lambda: open(os.path.join(os.path.dirname(__file__), 'atexit'), 'w').close())
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
assert signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
print('begun')
while True:
    time.sleep(1000)
",
        );
        for way in ["message", "end of file", "signal"] {
            group.settings.preloads = vec![(String::new(), long.clone())];
            let mut worker = group.start();
            worker.wait_for_line("begun");
            match way {
                "message" => worker.tell_stop(),
                "end of file" => worker.hang_up(),
                // Python may be about to sleep when the first one comes.
                _ => {
                    while !worker.ended_within(Duration::from_millis(200)) {
                        kill(Pid::from_raw(worker.pid() as i32), Signal::SIGTERM).unwrap();
                    }
                }
            }
            let status = worker.ended();
            assert!(status.success(), "{way}: {status} {} {:?}", worker.output(), worker.log);
            wait_for(&group.directory.join("atexit"));
            fs::remove_file(group.directory.join("atexit")).unwrap();
            if way != "end of file" {
                while worker.message().0 != 0 {}
                assert_eq!(worker.log.len(), 1, "{:?}", worker.log);
            }
        }
    });
}
