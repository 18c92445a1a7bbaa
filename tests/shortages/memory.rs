// SPDX-License-Identifier: Apache-2.0
//! Memory that runs out for one process: under a limit of its own, and in a control group.

use crate::{is_honest, pid, recover, site, while_others_answer};
use harness::{Response, event, skip, wait};
use std::fs;
use std::path::PathBuf;
use std::thread;

/// Whatever becomes of the process: each request gets an honest answer.
#[test]
fn a_group_out_of_memory_answers_again_when_it_has_some() {
    let httpd = site("memory-limit=300MB").start();
    // Python may need memory where it has none to spare, and the process ends then.
    for number in [event::APPLICATION_FAILED, event::WORKER_LOST, event::WORKER_ENDED] {
        httpd.tolerate(number);
    }
    httpd.tolerate_text("memory allocation of").tolerate_text("backtrace");
    pid(&httpd, "short");
    while_others_answer(&httpd, || {
        let (taken, during): (Response, Vec<Response>) = thread::scope(|scope| {
            let taken = scope.spawn(|| httpd.get("/short/take/memory"));
            httpd.wait_for_journal("memory taken");
            let asked: Vec<_> = (0..12).map(|_| scope.spawn(|| httpd.get("/short"))).collect();
            let during = asked.into_iter().map(|one| one.join().expect("an answer")).collect();
            (taken.join().expect("an answer"), during)
        });
        println!("{}; meanwhile {:?}", taken.text(), during.iter().map(|one| one.status).collect::<Vec<_>>());
        assert!(is_honest(&taken) && during.iter().all(is_honest), "{taken:?}, {during:?}");
    });
    recover(&httpd);
}

/// A control group that may use 100 MiB.
struct Cage(PathBuf);

impl Cage {
    fn make() -> Option<Self> {
        let name = format!("mwrs-{}", std::process::id());
        for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let cage = Self(PathBuf::from(root).join(&name));
            if fs::create_dir(&cage.0).is_ok() && fs::write(cage.0.join(limit), "104857600").is_ok() {
                let _ = fs::write(cage.0.join("memory.swap.max"), "0");
                return Some(cage);
            }
        }
        skip::skipped("no control group for memory can be made");
        None
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // Processes that ended are in it for another moment.
        wait::poll(wait::PATIENCE, || (!self.0.exists() || fs::remove_dir(&self.0).is_ok()).then_some(()));
    }
}

#[test]
fn a_process_that_the_kernel_ends_for_its_memory_is_replaced() {
    let Some(cage) = Cage::make() else { return };
    let httpd = site("").start();
    httpd.expect(event::WORKER_LOST).expect(event::WORKER_ENDED);
    let worker = pid(&httpd, "short");
    while_others_answer(&httpd, || {
        fs::write(cage.0.join("cgroup.procs"), worker.to_string()).expect("the worker moves");
        let answer = httpd.get("/short/take/much");
        answer.expect(502);
    });
    assert_ne!(recover(&httpd), worker);
    assert_eq!(httpd.count(event::WORKER_ENDED), 1);
    drop(httpd);
}
