// SPDX-License-Identifier: Apache-2.0
//! Process groups where httpd is one process, the first process of a container, stopped as service managers do it, or short of
//! memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Mpm, Site, event, skip, wait};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Answers the value of the body, or of `result` after it. Its interpreter needs half a second to end, and says when it has.
const EVALUATE: &str = "import atexit, journal, os, sys, time

@atexit.register
def end():
    time.sleep(0.5)
    journal.note('ended %d' % os.getpid())

def application(environ, start_response):
    source, names = environ['wsgi.input'].read().decode(), {'os': os, 'journal': journal}
    exec(source, names)
    start_response('200 OK', [])
    return [str(names['result']).encode()]
";

fn site(options: &str) -> Site {
    Site::new(Mode::Embedded)
        .file("apps/v.py", EVALUATE)
        .config(&format!("WSGIDaemonProcess one python-path=\"@APPS@\" {options}\nWSGIProcessGroup one"))
        .config("WSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias /v \"@APPS@/v.py\"")
}

#[track_caller]
fn run(httpd: &Httpd, code: &str) -> String {
    httpd.request("POST", "/v").body(code).send().expect(200).text()
}

fn pid(httpd: &Httpd) -> String {
    run(httpd, "result = os.getpid()")
}

#[test]
fn httpd_as_one_process_serves_and_leaves_nothing() {
    for mpm in Mpm::ALL {
        for signal in ["INT", "TERM"] {
            let mut httpd = site("").mpm(mpm).under(&["env"]).start();
            let worker = pid(&httpd);
            assert_eq!(run(&httpd, "result = os.getppid()"), httpd.children()[0].to_string(), "the supervisor's child");
            assert_eq!(pid(&httpd), worker, "the same process");
            assert_eq!(httpd.end_by(signal), [], "{mpm:?} {signal}");
            assert_eq!(httpd.journal(), [format!("ended {worker}")], "{mpm:?} {signal}");
        }
    }
}

#[test]
fn when_the_parent_has_ended_all_workers_have_ended_well() {
    for mpm in Mpm::ALL {
        let mut httpd = site("processes=2").mpm(mpm).workers(2, 4).start();
        let mut seen = std::collections::BTreeSet::new();
        wait::until_true("both processes to be seen", || {
            let both = std::thread::scope(|scope| {
                let slow = || pid(&httpd);
                let two = [scope.spawn(slow), scope.spawn(slow)];
                two.map(|one| one.join().expect("an answer"))
            });
            seen.extend(both);
            seen.len() == 2
        });
        // Service managers kill what is left when the main process has gone.
        assert_eq!(httpd.end_within(Duration::ZERO, "TERM"), [], "{mpm:?}");
        let journal = httpd.journal();
        assert!(seen.iter().all(|pid| journal.contains(&format!("ended {pid}"))), "{mpm:?} {seen:?}: {journal:?}");
    }
}

/// Whether processes can be the first of a namespace here; says so if not.
fn has_containers() -> bool {
    let made = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    let possible = harness::site::is_root() && made.is_ok_and(|output| output.status.success());
    if !possible {
        skip::skipped("no process can be the first of a namespace");
    }
    possible
}

/// Leaves a process in a session of its own that nobody of the application waits for, and that ends with status 15: from a
/// child, this tells httpd's parent to end.
const ORPHAN: &str = "
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while not os.path.exists(os.path.join(journal.STATE, 'go')):
            __import__('time').sleep(0.01)
        journal.note('orphan %d of %d goes' % (os.getpid(), os.getppid()))
        os._exit(15)
    os._exit(0)
result = os.wait()[1]
";

#[test]
fn as_the_first_process_httpd_serves_and_survives_orphans_of_applications() {
    if !has_containers() {
        return;
    }
    for mpm in [Mpm::Event, Mpm::Prefork] {
        let mut httpd = site("").mpm(mpm).as_first_process().start();
        let first = run(&httpd, "result = open('/proc/1/comm').read().strip()");
        assert!(["apache2", "httpd"].contains(&first.as_str()), "{first}");
        let worker = pid(&httpd);
        run(&httpd, ORPHAN);
        httpd.open_gate("go");
        let line = httpd.wait_for_journal("goes");
        let [orphan, parent] = line.split(' ').filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()[..] else {
            panic!("{line}")
        };
        assert_eq!(run(&httpd, "result = os.getppid()"), parent.to_string(), "the supervisor takes it over");
        let is_there = format!("result = os.path.exists('/proc/{orphan}')");
        wait::until_true("the orphan to be buried", || run(&httpd, &is_there) == "False");
        assert_eq!(pid(&httpd), worker, "{mpm:?}");
        assert_eq!(httpd.end_within(Duration::ZERO, "TERM"), [], "{mpm:?}");
        assert_eq!(httpd.journal().iter().filter(|line| **line == format!("ended {worker}")).count(), 1, "{mpm:?}");
    }
}

/// A control group of this test's own, below the one that it is in.
struct Cage(PathBuf);

impl Cage {
    /// One whose processes may have so much memory together; `None` where that cannot be made.
    fn of(megabytes: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let place =
            |name: &str| own.lines().find_map(|line| line.split_once(name)?.1.strip_prefix('/').map(str::to_owned));
        let (old, new) = (place(":memory:"), place("0::"));
        let (base, limit) = match (old, new) {
            (Some(place), _) => (PathBuf::from("/sys/fs/cgroup/memory").join(place), "memory.limit_in_bytes"),
            (None, place) => (PathBuf::from("/sys/fs/cgroup").join(place?), "memory.max"),
        };
        // Needed by the new kind, where it may be done already; the old one does not know it.
        let _there_or_not = fs::write(base.join("cgroup.subtree_control"), "+memory");
        let cage = Self(base.join(format!("mwrs-{}", std::process::id())));
        fs::create_dir(&cage.0).ok()?;
        fs::write(cage.0.join(limit), (megabytes << 20).to_string()).ok()?;
        for (file, most) in [("memory.memsw.limit_in_bytes", megabytes << 20), ("memory.swap.max", 0)] {
            let _there_is_no_swap = fs::write(cage.0.join(file), most.to_string());
        }
        Some(cage)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        wait::poll(wait::PATIENCE, || (!self.0.exists() || fs::remove_dir(&self.0).is_ok()).then_some(()));
    }
}

#[test]
fn a_worker_that_the_kernel_kills_for_want_of_memory_is_told_of() {
    let Some(cage) = Cage::of(200) else { return skip::skipped("no control group with limited memory can be made") };
    let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", cage.0.display());
    let httpd = site("").through(&["sh", "-c", &enter, "sh"]).start();
    let worker = pid(&httpd);
    httpd.expect(event::WORKER_LOST).expect(event::WORKER_ENDED);
    httpd.request("POST", "/v").body("result = len(bytearray(b'x') * (1 << 30))").send().expect(502);
    for number in [event::WORKER_LOST, event::WORKER_ENDED] {
        let entry = wait::until("the cause", || httpd.log().into_iter().find(|entry| entry.number == Some(number)));
        assert!(entry.line.contains("memory") && entry.line.contains(&format!("(pid {worker},")), "{}", entry.line);
    }
    wait::until_true("another process", || {
        let answer = httpd.request("POST", "/v").body("result = os.getpid()").send();
        answer.status == 200 && answer.text() != worker
    });
}
