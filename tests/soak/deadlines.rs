// SPDX-License-Identifier: Apache-2.0
//! Limits on time: each overdue request ends on time and alone, and a process that is stuck is replaced on time.

use crate::{clients, either, hold, is_long, is_peer, is_whole, site};
use harness::load::{Load, Way};
use harness::{End, Httpd, event, wait};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What sleeps in short naps, and what never gives the interpreter's lock back.
const SCRIPT: &str = "import ctypes, os, time

import mixed


def application(environ, start_response):
    wish = environ['PATH_INFO']
    if wish == '/overdue':
        while True:
            time.sleep(0.01)
    if wish == '/sleep':
        ctypes.PyDLL(None).sleep(600)
    if wish == '/number':
        3 ** 10 ** 9
    return mixed.application(environ, start_response)
";

fn start(options: &str) -> Httpd {
    let group = format!("WSGIDaemonProcess one {options} python-path=@APPS@\nWSGIProcessGroup one");
    site()
        .app("mixed.py")
        .file("apps/slow.py", SCRIPT)
        .config(&group)
        .config(
            "WSGIScriptAlias /slow \"@APPS@/slow.py\" application-group=%{GLOBAL}\nMaxKeepAliveRequests 0\nTimeout 60",
        )
        .workers(1, 40)
        .start()
}

/// How much later than on time something may be: in the short form others may keep the machine busy.
fn slack() -> Duration {
    Duration::from_millis(if is_long() { 0 } else { 500 })
}

#[test]
fn each_overdue_request_ends_on_time_and_its_siblings_go_on() {
    let requests = either(60, 1000);
    let httpd = start("threads=15 request-timeout=2 interrupt-timeout=5");
    httpd.expect(event::REQUEST_OVERDUE).tolerate(event::APPLICATION_FAILED);
    let took: Mutex<Vec<(u16, Duration)>> = Mutex::default();
    let siblings = clients("/slow", 3, &[Way::Close, Way::Keep], &[("sibling", 100, "200/")]);
    let tally = Load::run(httpd.port(), &siblings, Duration::from_secs(30), &is_whole, |load| {
        load.proceed(3);
        thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..requests.div_ceil(12) {
                        let begun = Instant::now();
                        let answer = httpd.get("/slow/overdue");
                        let status = if answer.end == End::Complete { answer.status } else { 0 };
                        took.lock().unwrap().push((status, begun.elapsed()));
                    }
                });
            }
        });
    });
    let took = took.into_inner().unwrap();
    let least = took.iter().map(|(_, time)| *time).min().unwrap();
    let most = took.iter().map(|(_, time)| *time).max().unwrap();
    println!("{} overdue requests ended after {least:?} to {most:?}; siblings: {tally}", took.len());
    let limits = Duration::from_secs(2)..=Duration::from_millis(2500) + slack();
    let mut problems: Vec<String> = tally.losses.iter().map(|loss| format!("{loss:?}")).collect();
    problems.extend(
        took.iter().filter(|(status, time)| *status != 504 || !limits.contains(time)).map(|one| format!("{one:?}")),
    );
    hold("deadlines", &problems);
}

#[test]
fn processes_that_keep_the_interpreters_lock_are_replaced_on_time_and_another_answers() {
    // The number is worked on for minutes, and needs a processor.
    let stuck = if is_long() { &["/slow/sleep", "/slow/number"][..] } else { &["/slow/sleep"] };
    let processes = stuck.len() + 1;
    let httpd = start(&format!("processes={processes} threads=1 deadlock-timeout=3 shutdown-timeout=1"));
    httpd
        .expect(event::WORKER_LOST)
        .expect(event::INTERPRETER_DEADLOCKED)
        .tolerate(event::WORKER_ENDED)
        .tolerate(event::WORKER_OVERDUE);
    // The stacks of a process that ends.
    httpd.tolerate_text("process group 'one': ");
    wait::until_true("all processes", || is_peer() || crate::workers(&httpd).len() == processes);
    let others = clients("/slow", 1, &[Way::Close], &[("other", 100, "5/")]);
    let mut answers = Vec::new();
    let tally = Load::run(httpd.port(), &others, Duration::from_secs(30), &is_whole, |load| {
        load.proceed(10);
        answers = thread::scope(|scope| {
            let ask = |target| {
                let begun = Instant::now();
                (httpd.get(target).status, begun.elapsed())
            };
            let asked: Vec<_> = stuck.iter().map(|target| scope.spawn(move || ask(target))).collect();
            asked.into_iter().map(|one| one.join().expect("an answer")).collect::<Vec<_>>()
        });
        load.proceed(10);
    });
    println!("stuck processes were dealt with: {answers:?}; others: {tally}");
    let mut problems: Vec<String> = tally.losses.iter().map(|loss| format!("{loss:?}")).collect();
    let limits = Duration::from_secs(3)..=Duration::from_secs(4) + slack();
    let wrong = answers.iter().filter(|(status, time)| !matches!(status, 502..=504) || !limits.contains(time));
    problems.extend(wrong.map(|one| format!("{one:?}")));
    let longest = tally.right["other"].1;
    if longest > Duration::from_secs(1) {
        problems.push(format!("another process answered after {longest:?}"));
    }
    hold("deadlock", &problems);
    if !is_peer() {
        httpd.wait_for_log("slow.py\", line 12 in application");
    }
    wait::until_true("all processes", || is_peer() || crate::workers(&httpd).len() == processes);
}
