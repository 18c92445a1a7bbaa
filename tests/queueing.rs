// SPDX-License-Identifier: Apache-2.0
//! Admission: requests go to free threads only, others wait in their order and not for ever, and nothing that dies keeps a
//! thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{End, Httpd, Mode, Response, Site, event};
use std::thread;
use std::time::{Duration, Instant};

/// Sleeps as the query says, or until a gate is opened, and remembers how many requests its process had at a time.
const APPLICATION: &str = "import journal, os, threading, time
lock, busy, most, served = threading.Lock(), 0, 0, []


def application(environ, start_response):
    global busy, most
    if environ['PATH_INFO'] == '/most':
        start_response('200 OK', [])
        return [b'%d' % most]
    if environ['PATH_INFO'] == '/order':
        start_response('200 OK', [])
        return [' '.join(served).encode()]
    with lock:
        busy += 1
        most = max(most, busy)
        served.append(environ.get('HTTP_X_NUMBER', ''))
    wish = environ['QUERY_STRING']
    if wish == 'gate':
        journal.note('begun')
        journal.wait_for_gate('gate')
    else:
        time.sleep(float(wish or 0))
    with lock:
        busy -= 1
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

const BIG: &str = "import journal


class Endless:
    def __iter__(self):
        journal.note('endless')
        while True:
            yield b'x' * 100000

    def close(self):
        journal.note('closed')


def application(environ, start_response):
    if environ['QUERY_STRING'] == 'endless':
        start_response('200 OK', [])
        return Endless()
    journal.note('big')
    start_response('200 OK', [('Content-Length', '4000000')])
    return [b'x' * 4000000]
";

fn start(options: &str) -> Httpd {
    let group = format!(
        "WSGIDaemonProcess one python-path=@APPS@ {options}\nWSGIProcessGroup one\nWSGIApplicationGroup %{{GLOBAL}}"
    );
    Site::new(Mode::Embedded)
        .file("apps/q.py", APPLICATION)
        .file("apps/big.py", BIG)
        .config(&group)
        .config("WSGIScriptAlias /q \"@APPS@/q.py\"\nWSGIScriptAlias /big \"@APPS@/big.py\"")
        .workers(1, 64)
        .start()
}

fn ask(httpd: &Httpd, seconds: f64) -> Response {
    httpd.get(&format!("/q?{seconds}"))
}

/// Asks so many times at once.
fn ask_together(httpd: &Httpd, count: usize, seconds: f64) -> Vec<Response> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..count).map(|_| scope.spawn(|| ask(httpd, seconds))).collect();
        asked.into_iter().map(|one| one.join().expect("an answer")).collect()
    })
}

fn most(httpd: &Httpd) -> usize {
    httpd.get("/q/most").text().parse().expect("a number")
}

#[test]
fn a_process_never_has_more_requests_than_threads() {
    let httpd = start("processes=2 threads=3");
    let answers = ask_together(&httpd, 40, 0.05);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let mut processes: Vec<_> = answers.iter().map(Response::text).collect();
    processes.sort_unstable();
    processes.dedup();
    assert_eq!(processes.len(), 2, "both processes serve");
    for _ in 0..20 {
        assert!(most(&httpd) <= 3);
    }
}

#[test]
fn a_burst_is_served_however_few_threads_there_are() {
    let httpd = start("threads=2 listen-backlog=5");
    assert!(ask_together(&httpd, 60, 0.02).iter().all(|answer| answer.status == 200));
    assert_eq!(most(&httpd), 2);
}

#[test]
fn who_comes_first_is_served_first() {
    let httpd = start("threads=1");
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(occupy(&httpd).status, 200));
        httpd.wait_for_journal("begun");
        for number in 0..8 {
            let asked = &httpd;
            let numbered = move || asked.request("GET", "/q").header("X-Number", &number.to_string()).send().status;
            scope.spawn(move || assert_eq!(numbered(), 200));
            // The order of clients that come at once is not defined.
            thread::sleep(Duration::from_millis(150));
        }
        open_gate(&httpd);
    });
    assert_eq!(httpd.get("/q/order").text().trim(), "0 1 2 3 4 5 6 7");
}

/// Occupies a thread until [`open_gate`].
fn occupy(httpd: &Httpd) -> Response {
    httpd.get("/q?gate")
}

fn open_gate(httpd: &Httpd) {
    std::fs::write(httpd.root().join("state/gate"), "").expect("a file");
}

#[test]
fn a_wait_ends_on_time_with_a_hint_to_come_back() {
    let httpd = start("threads=1 queue-timeout=1");
    httpd.expect(event::GROUP_BUSY);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(occupy(&httpd).status, 200));
        httpd.wait_for_journal("begun");
        let begun = Instant::now();
        let answers = ask_together(&httpd, 5, 0.0);
        for answer in answers {
            assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
        }
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        open_gate(&httpd);
    });
    assert_eq!(ask(&httpd, 0.0).status, 200);
}

#[test]
fn when_too_many_wait_others_are_told_at_once_if_waits_are_limited() {
    let httpd = start("threads=1 queue-timeout=20 listen-backlog=2");
    httpd.expect(event::GROUP_BUSY);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(occupy(&httpd).status, 200));
        httpd.wait_for_journal("begun");
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&httpd, 0.0))).collect();
        httpd.wait_for_log("requests wait already");
        open_gate(&httpd);
        let answers: Vec<_> = waiting.into_iter().map(|one| one.join().expect("an answer")).collect();
        let refused = answers.iter().filter(|answer| answer.status == 503).count();
        let served = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(
            (refused + served, served >= 2, refused >= 1),
            (8, true, true),
            "{refused} refused, {served} served"
        );
    });
}

#[test]
fn without_a_limit_a_wait_ends_with_the_socket_timeout() {
    let httpd = start("threads=1 socket-timeout=2");
    httpd.expect(event::GROUP_OVERDUE).tolerate(event::WORKER_LOST);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(occupy(&httpd).status, 504));
        httpd.wait_for_journal("begun");
        assert_eq!(ask(&httpd, 0.0).status, 504);
        open_gate(&httpd);
    });
}

#[test]
fn a_thread_that_is_too_slow_stays_taken_until_it_is_free() {
    let httpd = start("threads=1 socket-timeout=2 queue-timeout=20");
    httpd.expect(event::WORKER_LOST);
    let begun = Instant::now();
    assert_eq!(ask(&httpd, 5.0).status, 504);
    assert!(begun.elapsed() < Duration::from_millis(4900), "{:?}", begun.elapsed());
    // It is not sent to the busy thread, where it would be silent for too long as well.
    assert_eq!(ask(&httpd, 0.0).status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(most(&httpd), 1);
}

#[test]
fn a_child_that_is_killed_gives_its_threads_back() {
    let httpd = start("threads=1");
    httpd.tolerate_text("AH");
    let children = httpd.children();
    thread::scope(|scope| {
        scope.spawn(|| occupy(&httpd));
        httpd.wait_for_journal("begun");
        let supervisor = |pid: &u32| harness::census::children(*pid).is_empty();
        children.iter().filter(|pid| supervisor(pid)).for_each(|pid| harness::server::send_signal(*pid, "KILL"));
        open_gate(&httpd);
    });
    ask(&httpd, 0.0).expect(200);
}

#[test]
fn a_slow_client_occupies_no_thread() {
    let httpd = start("threads=1");
    let mut slow = httpd.connect();
    slow.send(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    httpd.wait_for_journal("big");
    for _ in 0..5 {
        ask(&httpd, 0.0).expect(200);
    }
    let answer = slow.read_response("GET");
    assert_eq!((answer.status, answer.body.len(), answer.end), (200, 4_000_000, End::Complete));
}

#[test]
fn a_client_that_takes_nothing_is_left_after_its_time() {
    for options in ["response-socket-timeout=1", "response-socket-timeout=1 socket-timeout=60", "socket-timeout=1"] {
        let httpd = start(&format!("threads=1 {options}"));
        let mut deaf = httpd.connect();
        deaf.send(b"GET /big?endless HTTP/1.1\r\nHost: localhost\r\n\r\n");
        httpd.wait_for_journal("endless");
        let begun = Instant::now();
        httpd.wait_for_journal("closed");
        assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
        ask(&httpd, 0.0).expect(200);
    }
}

#[test]
fn a_group_that_serves_nothing_says_so() {
    let httpd = start("threads=0");
    httpd.expect(event::GROUP_UNAVAILABLE).tolerate(event::GROUP_UNRESOLVED);
    ask(&httpd, 0.0).expect(503);
    httpd.wait_for_log("it serves no requests (threads=0)");
}
