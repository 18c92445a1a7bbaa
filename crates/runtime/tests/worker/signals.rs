// SPDX-License-Identifier: Apache-2.0
//! What signals do to a worker, and what applications hear of them and of the end.

use super::caller::{Caller, End, Request};
use super::each;
use super::supervisor::{Group, Running};
use model::launch::{Limits, Patience};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Says `started`, then sleeps; notes in a file what it is told.
const SUBSCRIBER: &str = "import os, time
import mod_wsgi
notes = os.path.join(os.path.dirname(__file__), 'notes')
def note(text):
    with open(notes, 'a') as file:
        file.write(text + chr(10))
@mod_wsgi.subscribe_events
def general(name, **facts):
    note('%s %s general %r' % (mod_wsgi.application_group, name, sorted(facts.items())))
    return {'added': 1}
@mod_wsgi.subscribe_events
def failing(name, **facts):
    raise ValueError('a subscriber fails')
@mod_wsgi.subscribe_shutdown
def stopping(name, **facts):
    note('%s %s stopping %r' % (mod_wsgi.application_group, name, sorted(facts.items())))
@mod_wsgi.subscribe_signals
def told(name, **facts):
    note('%s %s told %r' % (mod_wsgi.application_group, name, sorted(facts.items())))
assert mod_wsgi.shutdown_callbacks == [stopping] and mod_wsgi.signal_callbacks == [told]
def application(environ, start_response):
    print('started')
    time.sleep(float(environ['X']))
    start_response('200 OK', [])
    return [b'done']
";

fn sleeping(script: &str, time: &str, interpreter: &str) -> Request {
    let environ = vec![("X".to_owned(), time.to_owned())];
    Request { environ, application_group: interpreter.to_owned(), ..Request::to(script) }
}

fn signal(running: &Running, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(running.pid()).unwrap()), signal).unwrap();
}

fn group(python: &Path) -> (Group, String) {
    let mut group = Group::new(python);
    group.settings.limits = Limits { graceful_timeout: 20_000, ..Limits::default() };
    let script = group.script("subscriber.wsgi", SUBSCRIBER);
    (group, script)
}

fn notes(group: &Group) -> String {
    fs::read_to_string(group.directory.join("notes")).unwrap_or_default()
}

/// Begins a request that takes so many seconds.
fn begin(group: &Group, script: &str, time: &str) -> (Caller, Request) {
    let mut caller = Caller::new(group);
    let mut request = sleeping(script, time, "");
    caller.send(&request);
    assert!(!caller.until(&mut request, |answer| answer.log.iter().any(|(_, line)| line.contains("started"))));
    (caller, request)
}

#[test]
fn applications_hear_of_signals_and_of_the_end_in_every_interpreter() {
    each(|python| {
        let (group, script) = group(python);
        let mut worker = group.start();
        for interpreter in ["", "other"] {
            assert_eq!(Caller::new(&group).call(sleeping(&script, "0", interpreter)).end, End::Complete);
        }
        for (number, name) in [(Signal::SIGHUP, "SIGHUP"), (Signal::SIGUSR2, "SIGUSR2")] {
            signal(&worker, number);
            let start = Instant::now();
            let last = format!("other process_signal told [('added', 1), ('signame', '{name}'), ");
            while !notes(&group).contains(&last) {
                assert!(start.elapsed() < Duration::from_secs(20), "{}", notes(&group));
                std::thread::sleep(Duration::from_millis(5));
            }
            let first =
                format!(" process_signal told [('added', 1), ('signame', '{name}'), ('signum', {})]\n", number as i32);
            assert!(notes(&group).contains(&first), "{}", notes(&group));
        }
        signal(&worker, Signal::SIGUSR1);
        let (patience, reason) = worker.leaving();
        assert!(patience.is_some_and(|time| time > Duration::from_secs(15)) && reason == "SIGUSR1", "{reason}");
        assert!(worker.finish().success());
        for interpreter in ["", "other"] {
            for line in [
                format!("{interpreter} process_stopping general [('shutdown_reason', 'graceful_signal')]"),
                format!(
                    "{interpreter} process_stopping stopping [('added', 1), ('shutdown_reason', 'graceful_signal')]"
                ),
            ] {
                assert_eq!(
                    notes(&group).lines().filter(|found| **found == line).count(),
                    1,
                    "{line}: {}",
                    notes(&group)
                );
            }
        }
        assert!(worker.log.iter().any(|(_, line)| line.contains("a subscriber fails")), "{:?}", worker.log);
    });
}

#[test]
fn each_signal_leaves_requests_the_time_that_it_says() {
    each(|python| {
        let long = Limits { graceful_timeout: 20_000, eviction_timeout: 30_000, ..Limits::default() };
        let cases = [
            (long, Signal::SIGUSR1, 30_000, "SIGUSR1", "eviction_signal", true),
            (long, Signal::SIGXCPU, 20_000, "cpu-time-limit", "cpu_time_limit", true),
            (
                Limits { graceful_timeout: 200, ..Limits::default() },
                Signal::SIGUSR1,
                200,
                "SIGUSR1",
                "graceful_signal",
                false,
            ),
            (Limits::default(), Signal::SIGXCPU, 0, "cpu-time-limit", "cpu_time_limit", false),
            (long, Signal::SIGTERM, 0, "told to end", "shutdown_signal", false),
            (long, Signal::SIGINT, 0, "told to end", "shutdown_signal", false),
        ];
        for (limits, number, time, words, reason, finishes) in cases {
            let (mut group, script) = group(python);
            group.settings.limits = limits;
            group.settings.shutdown_milliseconds = 400;
            let mut worker = group.start();
            let (mut caller, request) = begin(&group, &script, if finishes { "0.7" } else { "30" });
            let start = Instant::now();
            signal(&worker, number);
            let (patience, told) = worker.leaving();
            assert_eq!(patience, Some(Duration::from_millis(time)), "{number}");
            assert!(told.contains(words), "{told}");
            let answer = caller.finish(request);
            let expected = if finishes { End::Complete } else { End::Closed };
            assert_eq!(answer.end, expected, "{number} {:?}", start.elapsed());
            let status = worker.finish();
            assert!(status.success(), "{status}");
            assert!(notes(&group).contains(&format!("'{reason}'")), "{}", notes(&group));
        }
    });
}

#[test]
fn a_second_signal_shortens_the_time_and_another_of_the_same_kind_does_not_renew_it() {
    each(|python| {
        let (mut group, script) = group(python);
        group.settings.shutdown_milliseconds = 400;
        group.settings.limits.graceful_timeout = 600;
        let mut worker = group.start();
        let (mut caller, request) = begin(&group, &script, "30");
        let start = Instant::now();
        signal(&worker, Signal::SIGUSR1);
        worker.leaving();
        while start.elapsed() < Duration::from_millis(500) {
            signal(&worker, Signal::SIGUSR1);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(caller.finish(request).end, End::Closed);
        assert!(worker.finish().success());
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        group.settings.limits.graceful_timeout = 60_000;
        let mut worker = group.start();
        let (mut caller, request) = begin(&group, &script, "30");
        worker.tell_stop_within(Patience(None));
        let start = Instant::now();
        signal(&worker, Signal::SIGTERM);
        assert_eq!(caller.finish(request).end, End::Closed);
        assert!(worker.finish().success());
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    });
}

#[test]
fn a_stop_gives_requests_the_time_that_the_supervisor_says() {
    each(|python| {
        for (time, finishes) in [(None, true), (Some(20_000), true), (Some(100), false)] {
            let (mut group, script) = group(python);
            group.settings.shutdown_milliseconds = 400;
            let mut worker = group.start();
            let (mut caller, request) = begin(&group, &script, if finishes { "0.7" } else { "30" });
            worker.tell_stop_within(Patience(time.map(Duration::from_millis)));
            let expected = if finishes { End::Complete } else { End::Closed };
            assert_eq!(caller.finish(request).end, expected, "{time:?}");
            assert_eq!(worker.message().0, 0, "it was told, and need not say it: {:?}", worker.log);
            assert!(worker.ended().success());
        }
    });
}

#[test]
fn a_worker_without_supervisor_bounds_its_requests() {
    each(|python| {
        let (mut group, script) = group(python);
        group.settings.limits.graceful_timeout = 300;
        group.settings.shutdown_milliseconds = 400;
        let mut worker = group.start();
        let (mut caller, request) = begin(&group, &script, "30");
        let start = Instant::now();
        worker.hang_up();
        assert_eq!(caller.finish(request).end, End::Closed);
        assert!(worker.ended().success());
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    });
}
