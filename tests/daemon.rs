// SPDX-License-Identifier: Apache-2.0
//! Process groups: who their processes are, what happens when they die or cannot start, and what they can reach.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Module, Python, Response, Site, census, event, server, skip, wait};
use std::collections::HashSet;

/// Answers the value of the expression in the query.
const EVALUATE: &str = "import os, sys, threading, urllib.parse\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [str(eval(urllib.parse.unquote(environ['QUERY_STRING']))).encode()]\n";

fn site(groups: &str) -> Site {
    Site::new(Mode::Embedded).file("apps/v.py", EVALUATE).config(groups).config("WSGIScriptAlias /v \"@APPS@/v.py\"")
}

fn one(options: &str) -> Site {
    site(&format!("WSGIDaemonProcess one {options}\nWSGIProcessGroup one"))
}

fn ask(httpd: &Httpd, expression: &str) -> Response {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    httpd.get(&format!("/v?{encoded}"))
}

#[track_caller]
fn value(httpd: &Httpd, expression: &str) -> String {
    let answer = ask(httpd, expression);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

fn pid(httpd: &Httpd) -> u32 {
    value(httpd, "os.getpid()").parse().expect("a number")
}

#[test]
fn an_application_runs_outside_of_httpd() {
    let httpd = one("").start();
    assert!(!httpd.children().contains(&pid(&httpd)));
    assert_eq!(value(&httpd, "environ['mod_wsgi.process_group']"), "one");
    assert_eq!(value(&httpd, "sys.argv"), "['mod_wsgi']");
    assert_eq!(value(&httpd, "environ['wsgi.multithread'], environ['wsgi.multiprocess']"), "(True, False)");
}

#[test]
fn a_group_runs_as_its_user() {
    if !harness::site::is_root() {
        return skip::skipped("only root can change users");
    }
    let httpd = one("user=games group=games supplementary-groups=man umask=0027 home=/tmp processes=1").start();
    assert_eq!(value(&httpd, "os.getresuid() == (__import__('pwd').getpwnam('games').pw_uid,) * 3"), "True");
    assert_eq!(value(&httpd, "__import__('grp').getgrgid(os.getegid()).gr_name"), "games");
    assert_eq!(
        value(&httpd, "sorted(__import__('grp').getgrgid(gid).gr_name for gid in os.getgroups())"),
        "['games', 'man']"
    );
    assert_eq!(value(&httpd, "oct(os.umask(0o27))"), "0o27");
    assert_eq!(value(&httpd, "os.getcwd()"), "/tmp");
    assert_eq!(value(&httpd, "environ['wsgi.multiprocess']"), "True");
}

#[test]
fn options_of_a_group_reach_its_processes() {
    let httpd = one("lang=C.UTF-8 locale=C.UTF-8 python-eggs=/tmp/eggs stack-size=16777216 cpu-priority=5 \
                     virtual-memory-limit=8000000000 memory-limit=4000000000 cpu-time-limit=5000")
    .start();
    assert_eq!(value(&httpd, "os.environ['LANG'], os.environ['PYTHON_EGG_CACHE']"), "('C.UTF-8', '/tmp/eggs')");
    assert_eq!(value(&httpd, "__import__('locale').setlocale(6)"), "C.UTF-8");
    assert_eq!(value(&httpd, "os.nice(0)"), "5");
    let limits = "[__import__('resource').getrlimit(kind)[0] for kind in (0, 2, 9)]";
    assert_eq!(value(&httpd, limits), "[5000, 4000000000, 8000000000]");
    // The thread's own stack, and not by chance another mapping.
    let sizes = "[int(end, 16) - int(begin, 16) for begin, end in (line.split()[0].split('-') for line in open('/proc/self/maps'))]";
    let count = |httpd: &Httpd| value(httpd, &format!("{sizes}.count(16777216)")).parse::<usize>().expect("a number");
    assert!(count(&httpd) >= 15, "{}", value(&httpd, sizes));
    assert_eq!(count(&one("").start()), 0);
}

#[test]
fn processes_may_end_before_their_number_by_chance() {
    let httpd = one("processes=4 threads=2 maximum-requests=40 maximum-requests-jitter=39").workers(1, 16).start();
    let mut served = std::collections::HashMap::<u32, usize>::new();
    wait::until_true("different numbers", || {
        *served.entry(pid(&httpd)).or_default() += 1;
        let ended: HashSet<_> =
            served.iter().filter(|(pid, _)| !census::is_running(**pid)).map(|(_, count)| *count).collect();
        ended.len() > 2
    });
    assert!(served.values().all(|count| (1..=40).contains(count)), "{served:?}");
}

#[test]
fn a_group_of_one_process_may_be_replaced_without_a_pause() {
    for (overlap, together) in [("On", true), ("Off", false)] {
        let httpd = one(&format!("overlap={overlap} python-path=@APPS@ eviction-timeout=50"))
            .app("journal.py")
            .config("LogLevel wsgi:info")
            .start();
        let first = pid(&httpd);
        let journal = "__import__('journal')";
        let held = format!("[{journal}.note('held'), {journal}.wait_for_gate('go'), os.getpid()][2]");
        std::thread::scope(|scope| {
            let last = scope.spawn(|| value(&httpd, &held));
            wait::until_true("the request to run", || httpd.journal() == ["held"]);
            server::send_signal(first, "USR1");
            httpd.wait_for_log("worker leaves: SIGUSR1 (eviction-timeout)");
            let next = scope.spawn(|| pid(&httpd));
            if !together {
                httpd.open_gate("go");
            }
            assert_ne!(next.join().expect("an answer"), first);
            assert_eq!(census::is_running(first), together, "{overlap}");
            httpd.open_gate("go");
            assert_eq!(last.join().expect("an answer"), first.to_string());
        });
    }
}

#[test]
fn processes_of_a_group_share_the_requests() {
    let httpd = one("processes=3 threads=1").workers(1, 16).start();
    let seen = wait::poll(wait::PATIENCE, || {
        let answers = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..12)
                .map(|_| scope.spawn(|| value(&httpd, "__import__('time').sleep(0.02) or os.getpid()")))
                .collect();
            asked.into_iter().map(|one| one.join().expect("an answer")).collect::<HashSet<_>>()
        });
        (answers.len() == 3).then_some(answers)
    });
    assert!(seen.is_some(), "not all three processes were used");
}

#[test]
fn a_process_that_dies_is_replaced() {
    let httpd = one("").start();
    let first = pid(&httpd);
    httpd.expect(event::WORKER_LOST).expect(event::WORKER_ENDED);
    ask(&httpd, "os.kill(os.getpid(), 9)").expect(502);
    let second = wait::poll(wait::PATIENCE, || {
        let answer = ask(&httpd, "os.getpid()");
        (answer.status == 200).then(|| answer.text())
    });
    assert_ne!(second.expect("a new process"), first.to_string());
}

#[test]
fn a_group_that_cannot_start_is_unavailable_and_others_are_not() {
    let httpd = site("WSGIDaemonProcess one python-home=/nonexistent connect-timeout=1\nWSGIDaemonProcess two")
        .config("<Location /v>\nWSGIProcessGroup %{ENV:GROUP}\n</Location>\nSetEnvIf X-Group (.+) GROUP=$1")
        .start();
    httpd.expect(event::FILE_DOUBTFUL).expect(event::WORKER_UNSTARTABLE);
    let ask = |group: &str| httpd.request("GET", "/v?1").header("X-Group", group).send();
    ask("two").expect(200);
    httpd.get("/static.txt").expect(200);
}

#[test]
fn each_group_has_its_own_python() {
    let Some(other) = Python::versions()
        .into_iter()
        .find(|python| Some(&python.prefix) != Python::usual().map(|usual| usual.prefix).as_ref())
    else {
        return skip::skipped("only one Python");
    };
    let httpd =
        site(&format!("WSGIDaemonProcess one\nWSGIDaemonProcess two python-home=\"{}\"", other.prefix.display()))
            .config("<Location /v>\nWSGIProcessGroup %{ENV:GROUP}\n</Location>\nSetEnvIf X-Group (.+) GROUP=$1")
            .start();
    let version = |group: &str| httpd.request("GET", "/v?sys.version_info[:2]").header("X-Group", group).send().text();
    assert_ne!(version("one"), version("two"));
}

#[test]
fn a_process_holds_only_its_own_descriptors() {
    let httpd = one("").start();
    let open = value(
        &httpd,
        "sorted(os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n))",
    );
    assert!(!open.contains("error.log") && !open.contains(&format!(":{}", httpd.port())), "{open}");
}

#[test]
fn a_group_that_cannot_start_answers_503_and_says_why() {
    let httpd = one("python-home=/nonexistent").start();
    httpd.expect(event::GROUP_UNAVAILABLE).tolerate(event::FILE_DOUBTFUL).expect(event::WORKER_UNSTARTABLE);
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(|| ask(&httpd, "1"))).collect();
        asked.into_iter().map(|one| one.join().expect("an answer")).collect::<Vec<_>>()
    });
    for answer in answers {
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    }
    httpd.wait_for_log("'/nonexistent': No such file or directory");
    httpd.get("/static.txt").expect(200);
}

#[test]
fn a_killed_supervisor_is_replaced_and_nothing_is_orphaned() {
    let httpd = one("").start();
    let worker = pid(&httpd);
    let supervisor = harness::census::parent(worker).expect("a parent");
    assert!(httpd.children().contains(&supervisor));
    httpd.expect(event::SUPERVISOR_LOST).tolerate(event::WORKER_LOST);
    harness::server::send_signal(supervisor, "KILL");
    let other = wait::poll(wait::PATIENCE, || {
        let answer = ask(&httpd, "os.getpid()");
        (answer.status == 200 && answer.text() != worker.to_string()).then(|| answer.text())
    });
    assert!(other.is_some(), "no new process");
    wait::until("the old process to end", || (!harness::census::is_running(worker)).then_some(()));
}

#[test]
fn a_supervisor_that_cannot_start_is_explained() {
    let module = std::fs::read(Module::Ours.file().expect("the module")).expect("the module");
    let httpd = one("").file("alone/mod_wsgi_rs.so", module).module_path("@ROOT@/alone/mod_wsgi_rs.so").start();
    httpd.expect(event::SUPERVISOR_FAILED).expect(event::GROUP_UNAVAILABLE).tolerate(event::RUNTIME_MISSING);
    ask(&httpd, "1").expect(503);
    httpd.get("/static.txt").expect(200);
}

#[test]
fn a_worker_sends_through_a_buffer_of_the_wanted_size() {
    let httpd = one("receive-buffer-size=30000").start();
    // The kernel doubles what it is asked for. The application's side of the connection is among its descriptors.
    let own = "[s.getsockopt(1, 7) for s in (__import__('socket').socket(fileno=os.dup(int(n))) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n) and os.readlink('/proc/self/fd/' + n).startswith('socket:')) if s.type == 1]";
    let sizes = value(&httpd, own);
    assert!(sizes.contains("60000"), "{sizes}");
}

#[test]
fn a_file_that_nobody_may_open_again_is_sent_all_the_same() {
    let application = "import os, tempfile


def application(environ, start_response):
    file = tempfile.TemporaryFile()
    file.write(b'0123456789' * 30000)
    file.seek(5)
    os.fchmod(file.fileno(), 0)
    start_response('200 OK', [])
    return environ['wsgi.file_wrapper'](file)
";
    let httpd = one("").file("apps/v.py", application).start();
    let answer = httpd.get("/v");
    assert_eq!(answer.status, 200);
    assert!(answer.body == "0123456789".repeat(30000).as_bytes()[5..], "{} bytes", answer.body.len());
}

#[test]
fn scripts_of_another_owner_are_forbidden() {
    if !harness::site::is_root() {
        return skip::skipped("only root can make files of other users");
    }
    one("script-user=root").start().get("/v?1").expect(200);
    one("script-group=root").start().get("/v?1").expect(200);
    for options in ["script-user=games", "script-group=games"] {
        let httpd = one(options).start();
        httpd.expect(event::SCRIPT_OWNER);
        httpd.get("/v?1").expect(403);
    }
}
