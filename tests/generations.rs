// SPDX-License-Identifier: Apache-2.0
//! What becomes of the processes of groups when httpd reads its configuration again: nothing is lost, nothing that must exist
//! once exists twice, and nothing idle stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Connection, Httpd, Mode, Site, census, event, stress, wait};

/// Waits for the gate in the query, if there is one, and answers the number of its process.
const APPLICATION: &str = "import journal, os


def application(environ, start_response):
    gate = environ['QUERY_STRING']
    if gate:
        journal.note('begun %s in %d' % (gate, os.getpid()))
        journal.wait_for_gate(gate)
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

fn site(groups: &str) -> Site {
    Site::new(Mode::Embedded)
        .app("journal.py")
        .file("apps/g.py", APPLICATION)
        .file("apps/e.py", APPLICATION)
        .config(groups)
        .config("WSGIScriptAlias /embedded \"@APPS@/e.py\" process-group=%{GLOBAL}")
        .config("WSGIScriptAliasMatch \"^/([a-z]+)\" \"@APPS@/g.py\" process-group=%{ENV:GROUP} application-group=%{GLOBAL}")
        .config("SetEnvIf Request_URI \"^/([a-z]+)\" GROUP=$1")
        .workers(8, 4)
}

/// Begins a request that ends when its gate is opened; the process that has it.
fn begin(httpd: &Httpd, group: &str, gate: &str) -> (Connection, u32) {
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", &format!("/{group}?{gate}")).bytes());
    let line = httpd.wait_for_journal(&format!("begun {gate} in "));
    (connection, line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn pid(httpd: &Httpd, group: &str) -> u32 {
    let answer = httpd.get(&format!("/{group}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().parse().unwrap()
}

#[test]
fn an_old_generation_keeps_no_idle_process() {
    let httpd = site(
        "WSGIDaemonProcess busy processes=2 python-path=@APPS@\nWSGIDaemonProcess idle processes=2 python-path=@APPS@",
    )
    .start();
    let idle = pid(&httpd, "idle");
    let (mut connection, busy) = begin(&httpd, "busy", "go");
    let supervisor = census::parent(busy).unwrap();
    assert_eq!(census::parent(idle), Some(supervisor));
    httpd.graceful();
    wait::until_true("the end of what is idle", || census::children(supervisor) == [busy]);
    assert!(pid(&httpd, "busy") != busy && census::parent(pid(&httpd, "idle")) != Some(supervisor));
    httpd.open_gate("go");
    connection.read_response("GET").expect_body(busy.to_string().as_bytes());
    wait::until_true("the end of the old generation", || !census::is_running(supervisor));
}

#[test]
fn there_are_at_most_three_old_generations() {
    let httpd = site("WSGIDaemonProcess one processes=2 python-path=@APPS@ graceful-timeout=30").start();
    httpd.expect(event::GENERATION_EXPIRED).tolerate_text("AH");
    let mut held: Vec<(Connection, u32, Option<u32>)> = Vec::new();
    for round in 0..4 {
        // For a moment, children of the generation before still accept connections.
        let is_new = |supervisor, held: &[(_, _, Option<u32>)]| held.iter().all(|(_, _, other)| *other != supervisor);
        loop {
            let (connection, pid) = begin(&httpd, "one", &format!("gate{}", held.len()));
            let supervisor = census::parent(pid);
            let found = is_new(supervisor, &held);
            held.push((connection, pid, supervisor));
            if found {
                break;
            }
        }
        httpd.graceful();
        assert_eq!(httpd.count(event::GENERATION_EXPIRED), usize::from(round == 3));
    }
    httpd.get("/one").expect(200);
    // What runs has its time, in the oldest generation too.
    for (number, (mut connection, pid, _)) in held.into_iter().enumerate() {
        httpd.open_gate(&format!("gate{number}"));
        connection.read_response("GET").expect_body(pid.to_string().as_bytes());
    }
    wait::until_true("one generation", || supervisors(&httpd).len() == 1);
}

fn supervisors(httpd: &Httpd) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("wsgi-supervisor".get(..15).unwrap())
    };
    httpd.children().into_iter().filter(is_one).collect()
}

#[test]
fn a_supervisor_that_is_told_to_end_is_replaced_in_old_generations_too() {
    let httpd = site("WSGIDaemonProcess one processes=2 python-path=@APPS@ shutdown-timeout=20").start();
    httpd.expect(event::SUPERVISOR_LOST);
    // Without Python in a process of its own: it keeps a child of the old generation.
    let (mut child, _) = begin(&httpd, "embedded", "child");
    let (mut connection, busy) = begin(&httpd, "one", "go");
    let old = census::parent(busy).unwrap();
    httpd.graceful();
    wait::until_true("two generations", || supervisors(&httpd).len() == 2);
    harness::server::send_signal(old, "TERM");
    httpd.open_gate("go");
    connection.read_response("GET").expect_body(busy.to_string().as_bytes());
    httpd.wait_for_log("has ended; another one is started");
    wait::until_true("another supervisor", || !census::is_running(old) && supervisors(&httpd).len() == 2);
    httpd.open_gate("child");
    child.read_response("GET").expect(200);
    wait::until_true("one generation", || supervisors(&httpd).len() == 1);
    httpd.get("/one").expect(200);
}

/// Takes a file that must not be there as long as its process lives, and waits for the gate in the query, if there is one.
const ALONE: &str = "import atexit, journal, os
path = os.path.join(journal.STATE, 'alone')
try:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    journal.note('two at once')
atexit.register(os.unlink, path)


def application(environ, start_response):
    gate = environ['QUERY_STRING']
    if gate:
        journal.note('begun %s in %d' % (gate, os.getpid()))
        journal.wait_for_gate(gate)
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

fn alone(options: &str) -> Site {
    site("Include @ROOT@/groups.conf\nWSGIImportScript @APPS@/g.py process-group=one application-group=%{GLOBAL}")
        .file("apps/g.py", ALONE)
        .file("groups.conf", group(options))
}

fn group(options: &str) -> String {
    format!("WSGIDaemonProcess one python-path=@APPS@ {options}\n")
}

fn assert_alone(httpd: &Httpd) {
    assert!(!httpd.journal().iter().any(|line| line.contains("two at once")), "{:?}", httpd.journal());
}

/// Asks all the time until `during` is done; every answer must be right, and how many were.
fn under_load(httpd: &Httpd, during: impl FnOnce()) -> usize {
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let is_over = || over.load(std::sync::atomic::Ordering::Relaxed);
            stress::hammer_until(httpd.port(), "/one", 3, is_over, |answer| answer.status == 200)
        });
        during();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        let (right, wrong) = client.join().unwrap();
        assert!(wrong.is_empty(), "{} of {} failed, first {:?}", wrong.len(), right + wrong.len(), wrong.first());
        right
    })
}

#[test]
fn a_group_of_one_process_is_handed_over_and_never_has_two() {
    let httpd = alone("").start();
    httpd.tolerate_text("AH");
    let right = under_load(&httpd, || {
        for round in 0..5 {
            let (mut connection, old) = begin(&httpd, "one", &format!("gate{round}"));
            httpd.graceful();
            httpd.open_gate(&format!("gate{round}"));
            connection.read_response("GET").expect_body(old.to_string().as_bytes());
            wait::until_true("another process", || pid(&httpd, "one") != old && !census::is_running(old));
        }
    });
    assert!(right > 5, "{right}");
    assert_alone(&httpd);
    wait::until_true("one generation", || supervisors(&httpd).len() == 1);
}

#[test]
fn requests_of_old_children_reach_the_process_of_the_new_generation() {
    let httpd = alone("").start();
    let old = pid(&httpd, "one");
    let request = httpd.request("GET", "/one").bytes();
    let (first, rest) = request.split_at(10);
    let children = || httpd.children().into_iter().filter(|child| census::connections(*child) > 0).collect::<Vec<_>>();
    wait::until_true("no connection", || children().is_empty());
    let mut late = httpd.connect();
    late.send(first);
    wait::until_true("a child that has the connection", || children().len() == 1);
    let child = children()[0];
    httpd.graceful();
    wait::until_true("the end of the old process", || !census::is_running(old));
    let new = pid(&httpd, "one");
    assert!(new != old && census::connections(child) == 1, "the old child has the connection");
    late.send(rest);
    late.read_response("GET").expect_body(new.to_string().as_bytes());
    drop(late);
    wait::until_true("the end of the old child", || !census::is_running(child));
    assert_alone(&httpd);
}

#[test]
fn a_change_of_threads_keeps_what_generations_share() {
    let httpd = alone("threads=15").start();
    httpd.tolerate_text("AH");
    for threads in [3, 40, 1, 15] {
        let (mut connection, old) = begin(&httpd, "one", &format!("gate{threads}"));
        httpd.rewrite("groups.conf", &group(&format!("threads={threads}")));
        httpd.graceful();
        httpd.open_gate(&format!("gate{threads}"));
        connection.read_response("GET").expect_body(old.to_string().as_bytes());
        wait::until_true("another process", || pid(&httpd, "one") != old);
    }
    assert_alone(&httpd);
}

#[test]
fn a_group_that_is_gone_serves_its_old_children_and_comes_back() {
    let httpd = alone("").start();
    let old = pid(&httpd, "one");
    let (mut child, _) = begin(&httpd, "embedded", "child");
    httpd.rewrite("groups.conf", &group("").replace(" one ", " other "));
    httpd.tolerate(event::GROUP_UNRESOLVED);
    httpd.graceful();
    wait::until_true("the end of the idle process", || !census::is_running(old));
    httpd.expect(event::GROUP_UNKNOWN);
    // For a moment, children of the generation before still accept connections.
    let answers = |path: &str, status| wait::until_true("the new configuration", || httpd.get(path).status == status);
    answers("/one", 500);
    httpd.rewrite("groups.conf", &group(""));
    httpd.graceful();
    answers("/one", 200);
    httpd.open_gate("child");
    child.read_response("GET").expect(200);
    wait::until_true("one generation", || supervisors(&httpd).len() == 1);
}

#[test]
fn a_supervisor_that_is_killed_during_the_hand_over_leaves_one_process() {
    let httpd = alone("").start();
    httpd.tolerate_text("AH").tolerate(event::SUPERVISOR_LOST).tolerate(event::WORKER_LOST);
    for (gate, victim) in [("a", 0), ("b", 1)] {
        let (mut connection, old) = begin(&httpd, "one", gate);
        httpd.graceful();
        wait::until_true("two generations", || supervisors(&httpd).len() == 2);
        let parent = census::parent(old).unwrap();
        let mut both = supervisors(&httpd);
        both.sort_by_key(|pid| *pid != parent);
        harness::server::send_signal(both[victim], "KILL");
        httpd.open_gate(gate);
        connection.read_response("GET").expect_body(old.to_string().as_bytes());
        wait::until_true("another process", || pid(&httpd, "one") != old && !census::is_running(old));
        wait::until_true("one generation", || supervisors(&httpd).len() == 1);
    }
    assert_alone(&httpd);
}

#[test]
fn when_httpd_is_killed_during_a_hand_over_nothing_is_left() {
    let mut httpd = alone("").start();
    httpd.tolerate(event::WORKER_LOST).tolerate(event::SHUTDOWN_OVERDUE);
    let (_connection, old) = begin(&httpd, "one", "never");
    httpd.graceful();
    let supervisors = supervisors(&httpd);
    assert_eq!(supervisors.len(), 2);
    httpd.kill_parent();
    wait::until_true("the end", || !supervisors.iter().chain([&old]).any(|pid| census::is_running(*pid)));
}

#[test]
fn a_service_is_handed_over_and_never_runs_twice() {
    let service = "import atexit, journal, os, time\npath = os.path.join(journal.STATE, 'service')\ntry:\n    os.close(os.open(path, os.O_CREAT | os.O_EXCL))\nexcept FileExistsError:\n    journal.note('two at once')\natexit.register(os.unlink, path)\njournal.note('service %d' % os.getpid())\nwhile True:\n    time.sleep(60)\n";
    let httpd = site("WSGIDaemonProcess service threads=0 python-path=@APPS@\nWSGIDaemonProcess one processes=2 python-path=@APPS@\nWSGIImportScript @APPS@/s.py process-group=service application-group=%{GLOBAL}")
        .file("apps/s.py", service)
        .start();
    httpd.tolerate_text("AH");
    let services = || httpd.journal().iter().filter(|line| line.contains("service ")).count();
    for round in 1..4 {
        wait::until_true("the service", || services() == round);
        // Old children do not hold it up.
        let (mut connection, _) = begin(&httpd, "one", &format!("gate{round}"));
        httpd.graceful();
        wait::until_true("the service of the new generation", || services() == round + 1);
        httpd.open_gate(&format!("gate{round}"));
        connection.read_response("GET").expect(200);
    }
    assert_alone(&httpd);
}

#[test]
fn a_restart_never_has_two_either() {
    let httpd = alone("").start();
    httpd.tolerate_text("AH");
    for _ in 0..3 {
        let old = pid(&httpd, "one");
        httpd.restart();
        wait::until_true("another process", || pid(&httpd, "one") != old && !census::is_running(old));
    }
    assert_alone(&httpd);
}
