// SPDX-License-Identifier: Apache-2.0
//! Processes that are killed under load: only what they were executing is lost, its cause is told, and nothing is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use harness::{Connection, End, Httpd, Mode, Response, Site, census, event, server, wait};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Requests that take 5 ms and 50 ms, one that starts a program, and one that leaves a copy of the process that holds all of
/// its descriptors: Python's own `os.fork()` would let go of ours.
const APPLICATION: &str = "import ctypes, journal, os, platform, subprocess, time

CLONE = {'x86_64': 56, 'aarch64': 220}


def copy():
    if ctypes.PyDLL(None).syscall(CLONE[platform.machine()], 17, 0, 0, 0, 0) == 0:
        time.sleep(600)
    journal.note('copied %d' % os.getpid())
    time.sleep(600)


def application(environ, start_response):
    wish = environ['PATH_INFO']
    if wish == '/program':
        journal.note('program %d' % subprocess.Popen(['sleep', '600']).pid)
    elif wish == '/copy':
        copy()
    else:
        time.sleep(0.05 if wish == '/long' else 0.005)
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

const CLIENTS: usize = 8;
const PROCESSES: usize = 2;
const THREADS: usize = 4;

fn start() -> Httpd {
    let group = format!(
        "WSGIDaemonProcess one python-path=@APPS@ processes={PROCESSES} threads={THREADS}\nWSGIProcessGroup one"
    );
    Site::new(Mode::Embedded)
        .file("apps/k.py", APPLICATION)
        .config(&group)
        .config("WSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias /k \"@APPS@/k.py\"\nMaxKeepAliveRequests 0")
        .workers(1, 32)
        .start()
}

fn supervisor(httpd: &Httpd) -> u32 {
    let worker = httpd.get("/k").expect(200).text().parse().expect("a number");
    census::parent(worker).expect("a supervisor")
}

fn workers(supervisor: u32) -> Vec<u32> {
    census::children(supervisor).into_iter().filter(|pid| census::is_running(*pid)).collect()
}

/// What clients do until they are told to end.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    right: AtomicUsize,
}

impl Load {
    /// Sends requests over a kept connection; gives the answers that are no success.
    fn client(&self, httpd: &Httpd, number: usize) -> Vec<Response> {
        let mut connection = httpd.connect();
        let mut wrong = Vec::new();
        let mut asked = number;
        while !self.is_over.load(Ordering::Relaxed) {
            asked += 1;
            let target = if asked % 2 == 0 { "/k/long" } else { "/k/short" };
            let answer = exchange(&mut connection, httpd, target);
            if answer.end != End::Complete || answer.headers_named("connection").contains(&"close") {
                connection = httpd.connect();
            }
            if answer.status == 200 && answer.end == End::Complete {
                self.right.fetch_add(1, Ordering::Relaxed);
            } else {
                wrong.push(answer);
            }
        }
        wrong
    }

    /// Waits until so many more requests have succeeded.
    fn proceed(&self, count: usize) {
        let before = self.right.load(Ordering::Relaxed);
        wait::until_true("requests that succeed", || self.right.load(Ordering::Relaxed) >= before + count);
    }

    /// Does something while clients send requests; gives what was no success.
    fn during(&self, httpd: &Httpd, action: impl FnOnce()) -> Vec<Response> {
        /// Clients end even if the action fails.
        struct End<'l>(&'l Load);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.is_over.store(true, Ordering::Relaxed);
            }
        }
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || self.client(httpd, number))).collect();
            let end = End(self);
            action();
            drop(end);
            clients.into_iter().flat_map(|client| client.join().expect("a client ends")).collect()
        })
    }
}

fn exchange(connection: &mut Connection, httpd: &Httpd, target: &str) -> Response {
    let _ = connection.try_send(&httpd.request("GET", target).bytes());
    connection.read_response("GET")
}

/// How often the log names each process as lost.
fn losses(httpd: &Httpd) -> BTreeMap<u32, usize> {
    let mut losses = BTreeMap::new();
    for entry in httpd.log().iter().filter(|entry| entry.number == Some(event::WORKER_LOST)) {
        let pid = entry.line.split("(pid ").nth(1).and_then(|rest| rest.split([',', ')']).next()?.parse().ok());
        assert!(entry.line.contains("SIGKILL"), "{}", entry.line);
        *losses.entry(pid.unwrap_or_else(|| panic!("no process: {}", entry.line))).or_insert(0) += 1;
    }
    losses
}

#[test]
fn only_what_a_killed_worker_was_executing_is_lost() {
    let kills = std::env::var("MOD_WSGI_RS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let httpd = start();
    httpd.expect(event::WORKER_LOST).expect(event::WORKER_ENDED);
    let supervisor = supervisor(&httpd);
    let (load, mut killed) = (Load::default(), Vec::new());
    let wrong = load.during(&httpd, || {
        for _ in 0..kills {
            load.proceed(50);
            let all = wait::until("all workers", || Some(workers(supervisor)).filter(|all| all.len() == PROCESSES));
            // The oldest has served for a while.
            let pid = all.into_iter().min_by_key(|pid| census::started(*pid)).expect("a worker");
            server::send_signal(pid, "KILL");
            killed.push(pid);
        }
        load.proceed(50);
    });
    let strange: Vec<_> = wrong.iter().filter(|one| one.status != 502 || one.end != End::Complete).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let losses = losses(&httpd);
    println!("{kills} kills: {} requests lost, {} succeeded", wrong.len(), load.right.load(Ordering::Relaxed));
    assert_eq!(losses.values().sum::<usize>(), wrong.len(), "every 502 has its cause: {losses:?}");
    assert!(!wrong.is_empty(), "no worker was busy when it was killed");
    for (pid, count) in losses {
        assert!(killed.contains(&pid) && count <= THREADS, "{count} requests were lost with {pid}");
    }
    wait::until_true("the end of each worker in the log", || httpd.count(event::WORKER_ENDED) >= kills);
    assert_eq!(httpd.count(event::WORKER_ENDED), kills, "each end is told once");
}

#[test]
fn when_the_supervisor_is_killed_service_resumes_and_nothing_is_orphaned() {
    let httpd = start();
    httpd.expect(event::SUPERVISOR_LOST).tolerate(event::WORKER_LOST).tolerate(event::GROUP_UNAVAILABLE);
    let first = supervisor(&httpd);
    let old = workers(first);
    let load = Load::default();
    let wrong = load.during(&httpd, || {
        load.proceed(100);
        server::send_signal(first, "KILL");
        wait::until_true("the workers to end", || !old.iter().any(|pid| census::is_running(*pid)));
        load.proceed(100);
    });
    println!("supervisor killed: {} requests lost, {} succeeded", wrong.len(), load.right.load(Ordering::Relaxed));
    // Visibly: a whole error page, no answer that looks complete and is not, and no silence.
    let silent: Vec<_> =
        wrong.iter().filter(|one| !matches!(one.status, 502..=504) || one.end != End::Complete).collect();
    assert!(silent.is_empty(), "{silent:?}");
    assert!(wrong.len() <= PROCESSES * THREADS, "{wrong:?}");
    let second = supervisor(&httpd);
    assert_ne!(second, first);
    wait::until_true("all new workers", || workers(second).len() == PROCESSES);
    let family = census::descendants(httpd.pid()).into_iter().filter(|pid| census::is_running(*pid)).count();
    assert_eq!(family, httpd.children().len() + PROCESSES, "children, one supervisor and its workers");
    assert!(!census::is_running(first));
}

#[test]
fn when_httpd_is_killed_nothing_of_ours_is_left() {
    let mut httpd = start();
    httpd.get("/k/program").expect(200);
    let supervisor = supervisor(&httpd);
    let line = httpd.wait_for_journal("program");
    let program: u32 = line.rsplit(' ').next().unwrap().parse().expect("a number");
    wait::until_true("all workers", || workers(supervisor).len() == PROCESSES);
    let mut ours = workers(supervisor);
    ours.extend([supervisor, program]);
    assert!(ours.iter().all(|pid| census::is_running(*pid)), "{ours:?}");
    let ours: Vec<_> = ours.into_iter().map(|pid| (pid, census::started(pid))).collect();
    let left = || ours.iter().filter(|(pid, start)| census::started(*pid) == *start).collect::<Vec<_>>();
    let begun = Instant::now();
    httpd.kill_parent();
    let gone = wait::poll(Duration::from_secs(5), || left().is_empty().then_some(()));
    println!("gone {:?} after httpd", begun.elapsed());
    assert!(gone.is_some(), "still there: {:?}", left());
}

#[test]
fn the_end_of_a_worker_is_noticed_although_a_copy_of_it_holds_the_connection() {
    let httpd = start();
    httpd.expect(event::WORKER_LOST).expect(event::WORKER_ENDED);
    thread::scope(|scope| {
        let asked = scope.spawn(|| httpd.get("/k/copy"));
        let line = httpd.wait_for_journal("copied");
        let begun = Instant::now();
        server::send_signal(line.rsplit(' ').next().unwrap().parse().expect("a number"), "KILL");
        asked.join().expect("an answer").expect(502);
        println!("noticed after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10), "before any timeout");
    });
    assert_eq!(losses(&httpd).len(), 1);
    httpd.get("/k/short").expect(200);
}
