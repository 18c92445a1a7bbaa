// SPDX-License-Identifier: Apache-2.0
//! Limits of requests and of processes: what is interrupted, answered, logged, and when a process asks for a replacement.

use super::caller::{Answer, Caller, End, Request};
use super::each;
use super::pythons::pythons;
use super::supervisor::{Group, Running};
use model::directive::value::OnOff;
use model::directive::{Origin, Set};
use model::event::Level;
use model::launch::{Limits, Patience};
use model::wire::Failure;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const OVERDUE: End = End::Failed(Failure::Refused(504));

/// Does what `X` says.
const WORK: &str = "import os, time
import mod_wsgi
def spin(limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        pass
def application(environ, start_response):
    what = environ['X']
    if what == 'spin':
        spin()
    if what == 'caught':
        try:
            spin()
        except mod_wsgi.RequestTimeout:
            start_response('503 Busy', [])
            return [b'too slow']
    if what == 'stubborn':
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                spin()
            except BaseException:
                pass
    if what == 'sleep':
        time.sleep(30)
    if what == 'body':
        environ['wsgi.input'].read()
    if what == 'brief':
        time.sleep(0.05)
    if what == 'match':
        import re
        re.match('(a+)+$', 'a' * 60 + 'b')
    if what.startswith('hold'):
        import ctypes
        print('holds')
        ctypes.PyDLL(None).sleep(int(what[4:] or 30))
    start_response('200 OK', [])
    if what == 'flood':
        return (b'x' * 65536 for _ in range(1000000))
    if what == 'who':
        time.sleep(0.05)
        return [b'%d' % os.getpid()]
    if what == 'stream':
        def stream():
            yield b'x' * 100
            spin()
            yield b'y'
        return stream()
    return [b'done']
";

fn doing(script: &str, what: &str) -> Request {
    let environ = [("X", what), ("mod_wsgi.request_id", "the-request")];
    let environ = environ.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Request { environ, ..Request::to(script) }
}

fn group(python: &std::path::Path, limits: Limits) -> (Group, String) {
    let mut group = Group::new(python);
    group.settings.limits = limits;
    let script = group.script("work.wsgi", WORK);
    (group, script)
}

/// Makes a request, and says how long its answer took.
fn timed(group: &Group, request: Request) -> (Answer, Duration) {
    let mut caller = Caller::new(group);
    let start = Instant::now();
    let answer = caller.call(request);
    (answer, start.elapsed())
}

/// The application is loaded before anything is measured.
fn warm(group: &Group, script: &str) {
    assert_eq!(timed(group, doing(script, "nothing")).0.end, End::Complete);
}

fn says(log: &[(Level, String)], texts: &[&str]) -> bool {
    texts.iter().all(|text| log.iter().any(|(_, line)| line.contains(text)))
}

fn count(running: &Running, event: &str) -> usize {
    running.log.iter().filter(|(_, line)| line.contains(event)).count()
}

const SHORT: Limits = Limits {
    request_timeout: 500,
    interrupt_timeout: 20_000,
    maximum_requests: 0,
    maximum_requests_jitter: 0,
    restart_interval: 0,
    inactivity_timeout: 0,
    deadlock_timeout: 0,
    graceful_timeout: 0,
    eviction_timeout: 0,
};

#[test]
fn an_interrupted_request_gets_504_and_its_siblings_and_process_live() {
    each(|python| {
        let (mut group, script) = group(python, SHORT);
        group.settings.threads = 3;
        let mut worker = group.start();
        warm(&group, &script);
        thread::scope(|scope| {
            let overdue = scope.spawn(|| timed(&group, doing(&script, "spin")));
            let caught = scope.spawn(|| timed(&group, doing(&script, "caught")));
            for _ in 0..10 {
                assert_eq!(timed(&group, doing(&script, "brief")).0.text(), "done");
            }
            let (answer, took) = overdue.join().unwrap();
            assert_eq!((answer.end, answer.status), (OVERDUE, 0), "{answer:?}");
            assert!(took >= Duration::from_millis(500), "{took:?}");
            let said = ["WSGIRS0430: request the-request of", "in spin", "work.wsgi", "application group '', process"];
            assert!(says(&answer.log, &said), "{:?}", answer.log);
            let (answer, _) = caught.join().unwrap();
            assert_eq!((answer.end, answer.status, answer.text()), (End::Complete, 503, "too slow"));
        });
        // The exception met nobody else.
        for _ in 0..20 {
            assert_eq!(timed(&group, doing(&script, "nothing")).0.text(), "done");
        }
        worker.tell_stop();
        assert!(worker.finish().success());
        assert_eq!(count(&worker, "WSGIRS043"), 0, "{:?}", worker.log);
    });
}

#[test]
fn an_answer_that_has_begun_is_cut() {
    each(|python| {
        let (group, script) = group(python, SHORT);
        let worker = group.start();
        let (answer, _) = timed(&group, doing(&script, "stream"));
        assert_eq!((answer.status, answer.data.len()), (200, 100));
        // The thread says so, or the watch if the thread is slow; httpd's child cuts a part that has left in either case.
        assert!(matches!(answer.end, OVERDUE | End::Failed(Failure::Truncated)), "{answer:?}");
        worker.stop();
    });
}

#[test]
fn a_thread_in_c_loses_its_request_in_time_and_another_one_works_for_it() {
    each(|python| {
        for interpreter in ["", "other"] {
            let (mut group, script) = group(python, SHORT);
            group.settings.threads = 1;
            let mut worker = group.start();
            warm(&group, &script);
            let request = |what| Request { application_group: interpreter.to_owned(), ..doing(&script, what) };
            assert_eq!(timed(&group, request("nothing")).0.end, End::Complete);
            let (answer, took) = timed(&group, request("sleep"));
            assert_eq!(answer.end, OVERDUE, "{answer:?}");
            assert!(took >= Duration::from_millis(600), "{took:?}");
            assert!(says(&answer.log, &["WSGIRS0430", "work.wsgi\", line 25, in application"]), "{:?}", answer.log);
            for _ in 0..3 {
                assert_eq!(timed(&group, request("nothing")).0.text(), "done");
            }
            // Nobody waits for the lost one.
            let start = Instant::now();
            worker.tell_stop_within(Patience(None));
            assert!(worker.finish().success());
            assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
            assert_eq!(count(&worker, "WSGIRS0113"), 0, "{:?}", worker.log);
        }
    });
}

#[test]
fn a_request_that_waits_for_its_body_is_ended_too() {
    each(|python| {
        let (group, script) = group(python, SHORT);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        caller.send(&doing(&script, "body"));
        // The frame that asks for the body is passed over; there is no body.
        let mut request = Request { silent: true, ..Request::default() };
        assert!(caller.until(&mut request, |_| false));
        assert_eq!(caller.finish(request).end, OVERDUE);
        assert_eq!(timed(&group, doing(&script, "nothing")).0.text(), "done");
        worker.stop();
    });
}

#[test]
fn a_request_whose_client_takes_nothing_is_cut() {
    each(|python| {
        let (mut group, script) = group(python, SHORT);
        group.settings.threads = 1;
        let mut worker = group.start();
        let mut caller = Caller::new(&group);
        caller.send(&doing(&script, "flood"));
        // The only thread is sending until it is cut, and another one works for it.
        assert_eq!(timed(&group, doing(&script, "nothing")).0.text(), "done");
        assert_eq!(caller.finish(Request::default()).end, End::Closed);
        worker.tell_stop();
        assert!(worker.finish().success());
        assert_eq!(count(&worker, "WSGIRS0430"), 1, "{:?}", worker.log);
    });
}

#[test]
fn a_request_that_does_not_react_makes_the_process_ask_for_another() {
    each(|python| {
        for (interrupt_timeout, what) in [(300, "stubborn"), (300, "sleep"), (0, "spin")] {
            let (group, script) = group(python, Limits { interrupt_timeout, ..SHORT });
            let mut worker = group.start();
            warm(&group, &script);
            let (answer, _) = timed(&group, doing(&script, what));
            assert_eq!(answer.end, OVERDUE);
            assert!(worker.tired().contains("request-timeout"));
            // It goes on until it is told to stop.
            for _ in 0..3 {
                assert_eq!(timed(&group, doing(&script, "nothing")).0.text(), "done");
            }
            worker.wait_for_line("in application");
            assert!(says(&worker.log, &["WSGIRS0431", "thread 1 of"]), "{:?}", worker.log);
            worker.tell_stop_within(Patience(Some(Duration::from_secs(60))));
            assert!(worker.finish().success());
            assert_eq!(count(&worker, "WSGIRS0431"), 1, "{:?}", worker.log);
        }
    });
}

#[test]
fn a_request_that_is_overdue_before_it_has_an_interpreter_is_interrupted_when_it_has_one() {
    each(|python| {
        let limits = Limits { request_timeout: 300, interrupt_timeout: 3000, ..Limits::default() };
        let (mut group, script) = group(python, limits);
        group.settings.threads = 5;
        let worker = group.start();
        warm(&group, &script);
        let (mut holding, mut hold) = (Caller::new(&group), doing(&script, "hold1"));
        holding.send(&hold);
        holding.until(&mut hold, |answer| answer.log.iter().any(|(_, line)| line.contains("holds")));
        let start = Instant::now();
        assert_eq!(timed(&group, doing(&script, "spin")).0.end, OVERDUE);
        // It would have been reported by then.
        while start.elapsed() < Duration::from_millis(4500) {
            timed(&group, doing(&script, "brief"));
        }
        let log = worker.stop();
        assert!(!log.iter().any(|(_, line)| line.contains("WSGIRS0431")), "{log:?}");
    });
}

#[test]
fn a_process_that_loses_thread_after_thread_leaves() {
    each(|python| {
        let limits = Limits { request_timeout: 100, graceful_timeout: 700, ..SHORT };
        let (mut group, script) = group(python, limits);
        group.settings.threads = 1;
        let mut worker = group.start();
        warm(&group, &script);
        for _ in 0..5 {
            assert_eq!(timed(&group, doing(&script, "sleep")).0.end, OVERDUE);
        }
        assert!(worker.tired().contains("request-timeout"));
        let (patience, reason) = worker.leaving();
        assert_eq!(patience, Some(Duration::from_millis(700)));
        assert!(reason.contains("request-timeout"), "{reason}");
        assert!(worker.finish().success());
    });
}

#[test]
fn exactly_so_many_requests_are_run_and_the_others_can_be_repeated() {
    each(|python| {
        let (mut group, script) = group(python, Limits { maximum_requests: 50, ..Limits::default() });
        group.settings.threads = 15;
        let mut worker = group.start();
        let run = |_| {
            let (group, script) = (&group, &script);
            move || {
                let mut ends = Vec::new();
                // Whoever comes when it has left the listener is served by nobody.
                for _ in 0..6 {
                    let answer = Caller::attempt(group, doing(script, "who"));
                    ends.push((answer.end, answer.text().to_owned()));
                    if answer.end == End::NotStarted {
                        break;
                    }
                }
                ends
            }
        };
        let ends: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..15).map(|number| scope.spawn(run(number))).collect();
            assert!(worker.tired().contains("maximum-requests"));
            let (patience, _) = worker.leaving();
            assert_eq!(patience, Some(Duration::ZERO));
            assert!(worker.finish().success());
            // Those who wait in the queue of the listener are the next process's.
            let next = group.start();
            let ends = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            drop(next);
            ends
        });
        let by_first = ends.iter().filter(|(_, process)| *process == worker.pid().to_string()).count();
        assert_eq!(by_first, 50, "{ends:?}");
        assert!(ends.iter().all(|(end, _)| matches!(end, End::Complete | End::NotStarted)), "{ends:?}");
    });
}

#[test]
fn a_process_that_has_run_long_enough_asks_for_another() {
    each(|python| {
        let (group, script) = group(python, Limits { restart_interval: 300, ..Limits::default() });
        let start = Instant::now();
        let mut worker = group.start();
        assert!(worker.tired().contains("restart-interval"));
        assert!(start.elapsed() >= Duration::from_millis(300));
        assert_eq!(timed(&group, doing(&script, "nothing")).0.text(), "done");
        worker.stop();
    });
}

#[test]
fn inactivity_is_what_counts_as_such() {
    each(|python| {
        let limits = Limits { inactivity_timeout: 1500, ..Limits::default() };
        let (group, script) = group(python, limits);
        let mut worker = group.start();
        let start = Instant::now();
        warm(&group, &script);
        // These are no sign of life.
        while start.elapsed() < Duration::from_millis(1300) {
            let request = Request { ignore_activity: true, ..doing(&script, "brief") };
            assert_eq!(timed(&group, request).0.end, End::Complete);
        }
        assert!(worker.tired().contains("inactivity-timeout"));
        assert!(start.elapsed() >= Duration::from_millis(1500), "{:?}", start.elapsed());
        worker.stop();
    });
}

#[test]
fn a_lock_that_is_held_in_c_ends_the_process_in_time() {
    each(|python| {
        let limits =
            Limits { deadlock_timeout: 1000, request_timeout: 400, interrupt_timeout: 200, ..Limits::default() };
        for interpreter in ["", "other"] {
            let (group, script) = group(python, limits);
            let mut worker = group.start();
            let request = |what| Request { application_group: interpreter.to_owned(), ..doing(&script, what) };
            assert_eq!(timed(&group, request("nothing")).0.end, End::Complete);
            let request = request("hold");
            let start = Instant::now();
            let (answer, took) = timed(&group, request);
            assert_eq!(answer.end, OVERDUE, "{answer:?}");
            assert!(took < Duration::from_millis(1000), "the request has its own limit: {took:?}");
            assert!(says(&answer.log, &["WSGIRS0430"]), "{:?}", answer.log);
            assert!(worker.tired().contains("request-timeout"));
            let (patience, reason) = worker.leaving();
            assert_eq!((patience, reason.contains("deadlock-timeout")), (Some(Duration::ZERO), true), "{reason}");
            assert!(start.elapsed() >= Duration::from_millis(1000), "{:?}", start.elapsed());
            assert_eq!(worker.finish().code(), Some(1));
            assert!(says(&worker.log, &["WSGIRS0432", "deadlock-timeout"]), "{:?}", worker.log);
            let output = worker.output();
            assert!(output.contains("work.wsgi") && output.contains("in application"), "{output}");
        }
    });
}

#[test]
fn an_interpreter_with_a_lock_of_its_own_is_looked_after_as_well() {
    for (_, python) in pythons().iter().filter(|(minor, _)| *minor >= 12) {
        let limits =
            Limits { deadlock_timeout: 1000, request_timeout: 300, interrupt_timeout: 20_000, ..Limits::default() };
        let (mut group, script) = group(python, limits);
        let on = Set { value: OnOff::On, origin: Origin::default() };
        group.settings.interpreters.general.per_interpreter_gil = Some(Arc::new(on));
        group.settings.threads = 3;
        let mut worker = group.start();
        let own = |what| Request { application_group: "own".to_owned(), ..doing(&script, what) };
        // Making the interpreter may take longer than a request may.
        while timed(&group, own("nothing")).0.end != End::Complete {}
        let (answer, _) = timed(&group, own("spin"));
        assert_eq!(answer.end, OVERDUE);
        assert!(says(&answer.log, &["WSGIRS0430"]), "{:?}", answer.log);
        // Its stack is the request's as long as that lasts, which is not long.
        if !says(&answer.log, &["in spin"]) {
            worker.wait_for_line("in spin");
        }
        thread::scope(|scope| {
            let held = scope.spawn(|| timed(&group, own("match")));
            // The main interpreter has another lock.
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(700) {
                assert_eq!(timed(&group, doing(&script, "nothing")).0.text(), "done");
            }
            assert_eq!(held.join().unwrap().0.end, OVERDUE);
        });
        assert!(worker.leaving().1.contains("deadlock-timeout"));
        assert_eq!(worker.finish().code(), Some(1));
        assert!(says(&worker.log, &["WSGIRS0432", "application group 'own'"]), "{:?}", worker.log);
    }
}
