// SPDX-License-Identifier: Apache-2.0
//! Limits of requests and processes of groups, as clients and the log see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::library::Library;
use harness::{End, Httpd, Mode, Response, Site, event, wait};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Does what the path names.
const APPLICATION: &str = "import os, re, time


def spin():
    while True:
        pass


def streamed():
    yield b'x' * 100
    spin()


def application(environ, start_response):
    wish = environ['PATH_INFO'][1:]
    if wish == 'sleep':
        time.sleep(60)
    elif wish == 'nap':
        time.sleep(4)
    elif wish == 'spin':
        spin()
    elif wish == 'brief':
        time.sleep(0.02)
    elif wish == 'body':
        environ['wsgi.input'].read()
    elif wish == 'time':
        start_response('200 OK', [])
        return [b'%f' % time.time()]
    elif wish == 'hold':
        # A system call would be interrupted when the stacks are asked for.
        re.match('(a+)+$', 'a' * 60 + 'b')
    start_response('200 OK', [('X-Process', str(os.getpid()))])
    return streamed() if wish == 'stream' else [b'%d' % os.getpid()]
";

fn site(options: &str) -> Site {
    let group = format!(
        "WSGIDaemonProcess limited {options}\nWSGIProcessGroup limited\nWSGIScriptAlias / \"@APPS@/limited.py\""
    );
    Site::new(Mode::Embedded).workers(1, 40).file("apps/limited.py", APPLICATION).vhost("limited", &group)
}

fn ask(httpd: &Httpd, wish: &str) -> Response {
    httpd.request("GET", &format!("/{wish}")).header("Host", "limited").send()
}

fn worker(httpd: &Httpd) -> u32 {
    let answer = ask(httpd, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().parse().expect("a number")
}

fn timed(httpd: &Httpd, wish: &str) -> (Response, Duration) {
    let start = Instant::now();
    let answer = ask(httpd, wish);
    (answer, start.elapsed())
}

/// The lines of the virtual host's log.
fn log(httpd: &Httpd) -> String {
    httpd.log_of("limited").iter().map(|entry| entry.line.clone() + "\n").collect()
}

#[test]
fn overdue_requests_are_answered_in_time_and_others_are_not_harmed() {
    let httpd = site("threads=12 request-timeout=2 interrupt-timeout=60").start();
    httpd.expect(event::REQUEST_OVERDUE).tolerate_text("  File \"");
    let pid = worker(&httpd);
    let mut uploading = httpd.connect();
    uploading.send(b"POST /body HTTP/1.1\r\nHost: limited\r\nContent-Length: 4\r\n\r\nab");
    assert!((0..20).all(|_| worker(&httpd) == pid), "it has begun long before that");
    thread::scope(|scope| {
        let asked: Vec<_> = ["sleep", "sleep", "spin", "sleep", "stream"]
            .map(|wish| (wish, scope.spawn(|| timed(&httpd, wish))))
            .into_iter()
            .collect();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(2500) {
            assert_eq!(worker(&httpd), pid);
            assert_eq!(ask(&httpd, "brief").status, 200);
        }
        for (wish, asked) in asked {
            let (answer, took) = asked.join().expect("an answer");
            let expected = if wish == "stream" { 200 } else { 504 };
            assert_eq!(answer.status, expected, "{wish}: {}", answer.text());
            assert_eq!(answer.end == End::Complete, wish != "stream", "{wish}: {:?}", answer.end);
            assert!(took >= Duration::from_secs(2), "{wish}: {took:?}");
        }
    });
    // httpd's child hears of it once it does not wait for the client any more.
    uploading.send(b"cd").read_response("POST").expect(504);
    let told = log(&httpd);
    for text in [
        "(request-timeout): it is interrupted",
        "limited.py\", line 5, in spin",
        "limited.py\", line 17, in application",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    assert_eq!(worker(&httpd), pid, "the process lives");
}

#[test]
fn a_request_that_does_not_react_costs_its_process_but_no_other_request() {
    let httpd = site("processes=2 threads=4 request-timeout=1 interrupt-timeout=1").start();
    httpd.expect(event::REQUEST_OVERDUE).tolerate_text("  File \"");
    httpd.expect(event::REQUEST_STUCK).tolerate_text(": thread ");
    let hung: u32 = thread::scope(|scope| {
        let sleeping = scope.spawn(|| ask(&httpd, "sleep"));
        let answer = sleeping.join().expect("an answer");
        assert_eq!(answer.status, 504);
        let stuck = wait::until("word of it", || {
            log(&httpd)
                .split("WSGIRS0431: process group 'limited': process ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next()?.parse().ok())
        });
        assert!(log(&httpd).contains("interrupt-timeout"));
        stuck
    });
    wait::until("the process to be gone", || {
        for _ in 0..4 {
            assert_eq!(ask(&httpd, "brief").status, 200);
        }
        Some(()).filter(|()| !harness::census::is_running(hung))
    });
    assert!(log(&httpd).contains("thread 1 of"), "{}", log(&httpd));
}

#[test]
fn a_held_lock_ends_the_process_within_a_second_of_its_time() {
    let httpd = site("threads=2 deadlock-timeout=2").start();
    httpd.expect(event::INTERPRETER_DEADLOCKED);
    httpd.expect(event::WORKER_LOST).tolerate(event::WORKER_ENDED);
    httpd.tolerate_text("process group 'limited': ");
    let pid = worker(&httpd);
    let (answer, took) = timed(&httpd, "hold");
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_ne!(worker(&httpd), pid);
    let told = log(&httpd);
    assert!(told.contains("deadlock-timeout") && told.contains("in application"), "{told}");
}

#[test]
fn every_process_runs_exactly_its_number_of_requests() {
    let httpd = site("threads=5 maximum-requests=7").start();
    let served = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..5).map(|_| scope.spawn(|| (0..14).map(|_| ask(&httpd, "brief")).collect::<Vec<_>>())).collect();
        let mut served = BTreeMap::<String, usize>::new();
        for answer in clients.into_iter().flat_map(|client| client.join().expect("answers")) {
            assert_eq!(answer.status, 200, "{}", answer.text());
            *served.entry(answer.text()).or_default() += 1;
        }
        served
    });
    assert_eq!(served.values().sum::<usize>(), 70);
    assert!(served.values().all(|count| *count == 7), "{served:?}");
}

#[test]
fn a_changed_script_is_answered_by_another_process_and_no_request_is_lost() {
    let text = |number: u32| {
        format!(
            "import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'{number} %d' % os.getpid()]
"
        )
    };
    let site = Site::new(Mode::Embedded).file("apps/changing.py", text(0)).config(
        "WSGIDaemonProcess changing threads=3\nWSGIProcessGroup changing\nWSGIScriptAlias / \"@APPS@/changing.py\"",
    );
    let httpd = site.start();
    let mut processes = Vec::new();
    for number in 0..4 {
        httpd.rewrite("apps/changing.py", &text(number));
        for _ in 0..3 {
            let answer = httpd.get("/");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = answer.text();
            let (seen, process) = answer.split_once(' ').expect("two words");
            assert_eq!(seen, number.to_string());
            processes.push(process.to_owned());
        }
    }
    processes.dedup();
    assert!(processes.len() >= 4, "{processes:?}");
}

#[test]
fn requests_that_are_no_sign_of_life_do_not_keep_a_process() {
    let timeout = Duration::from_secs(3);
    let mount = "WSGIProcessGroup limited\nWSGIScriptAlias / \"@APPS@/limited.py\"";
    let httpd = Site::new(Mode::Embedded)
        .file("apps/limited.py", APPLICATION)
        .config("WSGIDaemonProcess limited threads=2 inactivity-timeout=3")
        .vhost("limited", mount)
        .vhost("ignored", &format!("{mount}\nWSGIIgnoreActivity On"))
        .start();
    let pid = worker(&httpd);
    let (mut last, mut gap) = (Instant::now(), Duration::ZERO);
    let start = last;
    while start.elapsed() < timeout + Duration::from_secs(1) {
        let now = worker(&httpd);
        gap = gap.max(last.elapsed());
        last = Instant::now();
        assert!(now == pid || gap >= timeout, "a process with requests ended");
    }
    let pid = worker(&httpd);
    wait::until_true("another process", || {
        let answer = httpd.request("GET", "/").header("Host", "ignored").send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text() != pid.to_string()
    });
}

#[test]
fn a_process_that_does_not_get_ready_in_its_time_is_killed() {
    let hangs = "import journal\njournal.note('loading')\njournal.wait_for_gate('loaded')\n";
    let httpd = Site::new(Mode::Embedded)
        .app("journal.py")
        .file("apps/hangs.py", hangs)
        .config("WSGIDaemonProcess slow startup-timeout=1 shutdown-timeout=1 python-path=@APPS@")
        .config("WSGIImportScript @APPS@/hangs.py process-group=slow application-group=%{GLOBAL}")
        .start();
    httpd.expect(event::WORKER_LATE).tolerate(event::SHUTDOWN_OVERDUE);
    httpd.wait_for_log("worker was not ready within 1s and is killed (startup-timeout)");
    wait::until_true("another one", || httpd.journal().iter().filter(|line| *line == "loading").count() > 1);
}

#[test]
fn moving_the_clock_on_the_wall_changes_nothing() {
    let library = Library::build("clock", include_str!("apps/clock.c"));
    let options = "threads=3 request-timeout=5 interrupt-timeout=60 inactivity-timeout=600 deadlock-timeout=60 \
                   restart-interval=600 queue-timeout=1 shutdown-timeout=60";
    let httpd = &site(options)
        .file("clock", [0; 8])
        .variable("LD_PRELOAD", &library.path().display().to_string())
        .variable("MOVED_CLOCK", "@ROOT@/clock")
        .start();
    httpd.expect(event::REQUEST_OVERDUE).expect(event::GROUP_BUSY).tolerate_text("  File \"");
    let file = fs::OpenOptions::new().write(true).open(httpd.root().join("clock")).expect("the clock");
    let pid = worker(httpd);
    for hours in [1_i32, -1] {
        let move_clock = || file.write_all_at(&i64::from(hours * 3600).to_ne_bytes(), 0).expect("the clock is moved");
        let moved = || {
            let told: f64 = ask(httpd, "time").text().parse().expect("seconds");
            let real = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
            ((told - real) / 3600.0).round()
        };
        thread::scope(|scope| {
            let asked = ["nap", "nap", "sleep"].map(|wish| scope.spawn(move || timed(httpd, wish)));
            // All threads are taken, so this one waits for its own time.
            let busy = wait::until("a request that waits in vain", || {
                let (answer, took) = timed(httpd, "brief");
                if answer.status == 200 {
                    return None;
                }
                move_clock();
                Some((answer.status, took))
            });
            assert_eq!(busy.0, 503);
            assert!((1..3).contains(&busy.1.as_secs()), "{busy:?}");
            let begun = Instant::now();
            assert_eq!(ask(httpd, "brief").status, 503);
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
            let [first, second, overdue] = asked.map(|asked| asked.join().expect("an answer"));
            assert_eq!((first.0.status, second.0.status, overdue.0.status), (200, 200, 504));
            assert!((5..8).contains(&overdue.1.as_secs()), "{overdue:?}");
        });
        assert_eq!(moved(), f64::from(hours), "it does move");
        assert_eq!(worker(httpd), pid, "the process lives");
    }
}
