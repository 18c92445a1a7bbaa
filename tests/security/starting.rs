// SPDX-License-Identifier: Apache-2.0
//! A worker that starts is closed to others of its user from its first instruction on.

use super::{may_change_users, pid, run, site, try_run};
use harness::server::send_signal;
use harness::{event, wait};

const ATTEMPTS: &str = concat!(include_str!("neighbours.py"), "\n", include_str!("starting.py"));
/// How many workers are watched while they start.
const STARTS: usize = 20;

/// How many new workers of a group with these options another group of the same user saw, and how it reached any of them.
fn watched(options: &str) -> (usize, String) {
    let httpd =
        site(&format!("WSGIDaemonProcess spy processes=1 threads=4\nWSGIDaemonProcess victim {options}")).start();
    httpd.tolerate(event::WORKER_ENDED).tolerate(event::WORKER_LOST);
    let mut worker = pid(&httpd, "victim");
    // What both requests to the spy see: they are threads of one process.
    let told = "sys.__dict__.setdefault('told', {})";
    run(&httpd, "spy", told);
    let found = std::thread::scope(|scope| {
        let spy = scope.spawn(|| run(&httpd, "spy", &format!("{ATTEMPTS}\nresult = '%d %s' % watch({told})")));
        wait::until_true("the spy to watch", || run(&httpd, "spy", &format!("'watching' in {told}")) == "True");
        for _ in 0..STARTS {
            send_signal(worker, "KILL");
            worker = wait::until("a new worker", || {
                let answer = try_run(&httpd, "victim", "os.getpid()");
                let next = answer.text().parse().ok().filter(|_| answer.status == 200);
                next.filter(|next| *next != worker)
            });
            // So that none is gone before it was tried.
            let is_seen = format!("{worker} in {told}['seen']");
            wait::until_true("the spy to see it", || run(&httpd, "spy", &is_seen) == "True");
        }
        run(&httpd, "spy", &format!("{told}.update(enough=True)"));
        spy.join().expect("the spy answers")
    });
    let (seen, reached) = found.split_once(' ').expect("a number and names");
    (seen.parse().expect("a number"), reached.to_owned())
}

#[test]
fn a_worker_is_closed_to_its_user_from_its_first_instruction_on() {
    if !may_change_users() {
        return;
    }
    let (seen, reached) = watched("");
    assert!(seen >= STARTS, "only {seen} workers were seen");
    assert_eq!(reached, "[]", "of {seen} workers");
}

#[test]
fn a_worker_that_may_be_debugged_is_open_to_its_user() {
    if !may_change_users() {
        return;
    }
    let (seen, reached) = watched("dumpable=On");
    assert!(seen >= STARTS, "only {seen} workers were seen");
    assert_eq!(reached, "['environ', 'maps', 'mem', 'mem for writing', 'pidfd_getfd']", "of {seen} workers");
}

/// What the kernel says of a worker: its program, its name, and what Python and its children think it is.
const PROGRAM: &str = "
import subprocess, multiprocessing
result = '\\n'.join([
    os.readlink('/proc/self/exe').split(' ')[0],
    open('/proc/self/comm').read().strip(),
    sys.executable,
    sys.prefix,
    subprocess.check_output([sys.executable, '-c', 'import sys; print(sys.prefix)']).decode().strip(),
])
";

#[test]
fn a_worker_of_a_virtual_environment_is_a_copy_and_does_not_notice() {
    if !may_change_users() {
        return;
    }
    for python in harness::Python::all() {
        let place = harness::Site::new(harness::Mode::Embedded).start();
        let venv = place.root().join("venv");
        python.make_venv(&venv);
        let httpd = site(&format!("WSGIDaemonProcess one python-home={}", venv.display())).start();
        let answer = run(&httpd, "one", PROGRAM);
        let lines: Vec<_> = answer.lines().collect();
        let prefix = venv.display().to_string();
        let program = format!("{prefix}/bin/python");
        assert_eq!(lines, ["/memfd:python", "python", &program, &prefix, &prefix], "3.{}", python.minor);
    }
}

/// What pools of processes answer, for each way to start them, and whether their processes are copies, too.
const POOLS: &str = "
import multiprocessing
result = []
for way in 'spawn', 'forkserver':
    with multiprocessing.get_context(way).Pool(2) as pool:
        numbers = pool.map_async(len, ['abc', 'de']).get(60)
        program = pool.apply_async(os.readlink, ('/proc/self/exe',)).get(60)
    result.append((way, numbers, program.startswith('/memfd:')))
result = os.readlink('/proc/self/exe').startswith('/memfd:'), result
";

#[test]
fn a_worker_that_is_a_copy_can_start_processes_by_multiprocessing() {
    if !may_change_users() {
        return;
    }
    for python in harness::Python::all() {
        let httpd = site(&format!("WSGIDaemonProcess one python-home={}", python.prefix.display())).start();
        let wanted = "(True, [('spawn', [3, 2], False), ('forkserver', [3, 2], False)])";
        assert_eq!(run(&httpd, "one", POOLS), wanted, "3.{}", python.minor);
    }
}
