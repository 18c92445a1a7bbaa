// SPDX-License-Identifier: Apache-2.0
//! What becomes of the processes of groups when httpd reads its configuration again: nothing is lost, nothing that must exist
//! once exists twice, and nothing idle stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Connection, Httpd, Mode, Site, census, event, wait};

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
        .config(groups)
        .config("WSGIScriptAliasMatch \"^/([a-z]+)\" \"@APPS@/g.py\" process-group=%{ENV:GROUP} application-group=%{GLOBAL}")
        .config("SetEnvIf Request_URI \"^/([a-z]+)\" GROUP=$1\nSetEnvIf Request_URI \"^/embedded\" GROUP=%{GLOBAL}")
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
    let httpd = site("WSGIDaemonProcess one processes=2 python-path=@APPS@").start();
    httpd.expect(event::GENERATION_EXPIRED).tolerate_text("AH");
    let mut held = Vec::new();
    for gate in ["a", "b", "c"] {
        held.push(begin(&httpd, "one", gate));
        httpd.graceful();
    }
    assert_eq!(httpd.count(event::GENERATION_EXPIRED), 0);
    held.push(begin(&httpd, "one", "d"));
    httpd.graceful();
    assert_eq!(httpd.count(event::GENERATION_EXPIRED), 1);
    httpd.get("/one").expect(200);
    // What runs has its time, in the oldest generation too.
    for ((mut connection, pid), gate) in held.into_iter().zip(["a", "b", "c", "d"]) {
        httpd.open_gate(gate);
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
