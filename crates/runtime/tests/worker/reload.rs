// SPDX-License-Identifier: Apache-2.0
//! Scripts that change: the process is replaced, and no request meets old code.

use super::caller::{Caller, End, Request};
use super::each;
use super::supervisor::Group;
use model::launch::Limits;
use std::fs;
use std::time::{Duration, SystemTime};

fn version(number: u32) -> String {
    format!(
        "def application(environ, start_response):
    start_response('200 OK', [])
    return [b'{number}']
"
    )
}

/// Writes a script with a time of its own.
fn write(path: &str, text: &str, seconds: i64) {
    fs::write(path, text).unwrap();
    let shift = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let time = if seconds < 0 { now - shift } else { now + shift };
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_changed_script_is_never_run_by_the_process_that_has_the_old_one() {
    each(|python| {
        // An older time is a change, too.
        for shift in [100, -100] {
            let mut group = Group::new(python);
            group.settings.limits = Limits { graceful_timeout: 9000, ..Limits::default() };
            let script = group.script("changing.wsgi", &version(1));
            let slow = group.script(
                "slow.wsgi",
                "import time
def application(environ, start_response):
    print('started')
    time.sleep(0.5)
    start_response('200 OK', [])
    return [b'slow']
",
            );
            let mut worker = group.start();
            let mut caller = Caller::new(&group);
            assert_eq!(caller.call(Request::to(&script)).text(), "1");
            let mut sibling = Caller::new(&group);
            let mut request = Request::to(&slow);
            sibling.send(&request);
            sibling.until(&mut request, |answer| answer.log.iter().any(|(_, line)| line.contains("started")));
            write(&script, &version(2), shift);
            let answer = caller.call(Request::to(&script));
            assert_eq!((answer.end, answer.log.len(), answer.status), (End::NotStarted, 0, 0));
            let (patience, reason) = worker.leaving();
            assert!(patience.is_some_and(|time| time > Duration::from_secs(8)), "{patience:?}");
            assert!(reason.contains("changing.wsgi' has changed"), "{reason}");
            assert_eq!(sibling.finish(request).text(), "slow");
            assert!(worker.finish().success());
            let next = group.start();
            assert_eq!(Caller::new(&group).call(Request::to(&script)).text(), "2");
            next.stop();
        }
    });
}

#[test]
fn what_httpd_saw_of_a_file_that_has_not_changed_restarts_nothing() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("same.wsgi", &version(1));
        let worker = group.start();
        for seen in [None, Some(1), Some(i64::MAX), None] {
            let mut caller = Caller::new(&group);
            let answer = caller.call(Request { mtime: seen, ..Request::to(&script) });
            assert_eq!((answer.end, answer.text()), (End::Complete, "1"));
        }
        worker.stop();
    });
}

#[test]
fn a_script_that_failed_is_loaded_again_by_the_same_process() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("broken.wsgi", "raise ValueError('not yet')\n");
        let worker = group.start();
        let mut caller = Caller::new(&group);
        for round in 0..2 {
            let answer = caller.call(Request::to(&script));
            assert_eq!(answer.end, End::Failed(model::wire::Failure::Refused(500)));
            assert!(answer.log.iter().any(|(_, line)| line.contains("not yet")), "{round} {:?}", answer.log);
        }
        write(&script, &version(3), 100);
        assert_eq!(caller.call(Request::to(&script)).text(), "3");
        worker.stop();
    });
}

#[test]
fn a_script_can_ask_for_another_process() {
    each(|python| {
        let group = Group::new(python);
        let text = "import os
def reload_required(resource):
    return os.path.exists(resource + '.changed')
";
        let script = group.script("asking.wsgi", &(text.to_owned() + &version(1)));
        let mut worker = group.start();
        let mut caller = Caller::new(&group);
        for _ in 0..2 {
            assert_eq!(caller.call(Request::to(&script)).text(), "1");
        }
        fs::write(script.clone() + ".changed", "").unwrap();
        assert_eq!(caller.call(Request::to(&script)).end, End::NotStarted);
        assert!(worker.leaving().1.contains("asking.wsgi"));
        assert!(worker.finish().success());
    });
}
