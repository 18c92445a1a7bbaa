// SPDX-License-Identifier: Apache-2.0
//! What httpd's children see on the board while workers come and go.

use crate::Test;
use crate::bench::{self, Bench, until};
use model::admission::{Ending, Entry, How, Shape, State};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering;

pub const TESTS: &[Test] = &[
    ("the_board_follows_the_life_of_a_worker", the_board_follows_the_life_of_a_worker),
    ("each_end_is_on_the_board", each_end_is_on_the_board),
    ("each_process_has_a_listener_of_its_own", each_process_has_a_listener_of_its_own),
    ("a_group_that_cannot_work_says_why_until_it_can", a_group_that_cannot_work_says_why_until_it_can),
    ("a_worker_that_works_outweighs_one_that_does_not", a_worker_that_works_outweighs_one_that_does_not),
    ("who_waits_is_woken", who_waits_is_woken),
    ("a_new_supervisor_goes_on_with_the_board", a_new_supervisor_goes_on_with_the_board),
    ("a_board_that_does_not_fit_is_an_error", a_board_that_does_not_fit_is_an_error),
];

fn the_board_follows_the_life_of_a_worker() {
    let mut bench = Bench::new();
    bench.group("one", "leave").shutdown_timeout = 0;
    let before = bench.board();
    assert_eq!(before.groups()[0].places[0].state(), (State::Empty, 0));
    let mut run = bench.start();
    let place = run.group(0).places[0].clone();
    let pid = run.ready(1)[0].unsigned_abs();
    assert_eq!((place.state(), place.pid()), ((State::Ready, 1), pid));
    assert!(run.line_of(run.ready(1)[0], "told ").contains("incarnation=1 "), "{}", run.log());
    let holder = before.enlist(1).unwrap();
    assert!(matches!(run.group(0).enter(holder), Entry::Admitted(0, seat) if seat.incarnation == 1));
    bench.poke("one", 0);
    run.sees("process group 'one': worker leaves: there is a newer script", 1);
    assert_eq!((place.state(), place.pid()), ((State::Leaving, 1), pid));
    assert!(matches!(run.group(0).enter(holder), Entry::Starting), "another one is on its way");
    bench.poke("one", 0);
    let next = run.ready(2)[1].unsigned_abs();
    assert_eq!((place.state(), place.pid()), ((State::Ready, 2), next));
    assert!(matches!(place.ending(1), Some(Ending { how: How::Status(0), pid: of, .. }) if of == pid));
    assert!(run.line_of(run.ready(2)[1], "told ").contains("incarnation=2 "), "{}", run.log());
    run.sees("WSGIRS", 0);
    run.release();
    until("a worker that was told to end", || place.state() == (State::Leaving, 2));
    bench.poke("one", 0);
    bench.poke("one", 0);
    assert_eq!(run.status(), Some(0));
    assert_eq!(place.state(), (State::Empty, 2));
    assert!(matches!(place.ending(2), Some(Ending { how: How::Status(0), .. })));
}

fn each_end_is_on_the_board() {
    let mut bench = Bench::new();
    bench.group("quit", "quit");
    bench.group("crash", "fault");
    bench.group("stranger", "stranger");
    bench.group("burn", "burn").process.cpu_time_limit = 1;
    let slow = bench.group("slow", "slow");
    (slow.startup_timeout, slow.shutdown_timeout) = (500, 100);
    bench.group("stay", "stay").shutdown_timeout = 100;
    bench.group("absent", "serve").process.home = Some("/no/such/home".into());
    let mut run = bench.start();
    run.pid_of("quit", "worker is ready");
    bench.poke("quit", 0);
    run.pid_of("crash", "worker is ready");
    bench.poke("crash", 0);
    let how = |group: usize| run.group(group).places[0].ending(1).map(|ending| ending.how);
    let wanted = [How::Status(7), How::Signal(11), How::Misbehaved, How::CpuTime(24), How::Late];
    for (number, wanted) in wanted.into_iter().enumerate() {
        until("an end", || how(number).is_some());
        assert_eq!(how(number), Some(wanted));
    }
    until("the end of one that was no interpreter", || how(6).is_some());
    assert_eq!(how(6), Some(How::Status(1)));
    run.sees("worker ended unexpectedly: it ended by itself with status 7 (pid ", 1);
    run.pid_of("stay", "worker is ready");
    let stay = run.group(5).places[0].clone();
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
    assert!(matches!(stay.ending(1), Some(Ending { how: How::Overdue, .. })));
    for group in 0..7 {
        assert_eq!(run.group(group).places[0].state().0, State::Empty);
    }
}

fn each_process_has_a_listener_of_its_own() {
    let mut bench = Bench::new();
    let listeners = bench.group_of(2, "one", "serve").listeners.clone();
    let lead = |number: i32| fs::read_link(format!("/proc/self/fd/{number}")).unwrap().display().to_string();
    let mut run = bench.start();
    run.ready(2);
    for (place, listener) in run.group(0).places.iter().zip(&listeners) {
        assert_eq!(place.state(), (State::Ready, 1));
        let told = run.line_of(i32::try_from(place.pid()).unwrap(), "told ");
        assert!(told.ends_with(&format!("listener={}", lead(*listener))), "{told}");
    }
    assert_ne!(lead(listeners[0]), lead(listeners[1]));
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_group_that_cannot_work_says_why_until_it_can() {
    let mut bench = Bench::new();
    let python = bench.folder.join("later");
    let group = bench.group("late", "quit");
    group.python = python.display().to_string();
    group.origin = "httpd.conf:12".to_owned();
    bench.group("fail", "fail");
    bench.group("beat", "crash");
    bench.group("fine", "serve");
    let mut run = bench.start();
    let failure = |group: usize| {
        until("a reason", || run.group(group).failure().is_some());
        run.group(group).failure().unwrap()
    };
    let (late, place) = (failure(0), run.group(0).places[0].clone());
    assert!(late.starts_with(&format!("'{}': No such file or directory", python.display())), "{late}");
    assert!(late.contains("(declared at httpd.conf:12): create "), "{late}");
    assert_eq!(failure(1), "there is no application");
    let crash = failure(2);
    assert!(crash.starts_with("a worker could not start: it was ended by SIGABRT (pid "), "{crash}");
    run.pid_of("fine", "worker is ready");
    assert_eq!(run.group(3).failure(), None, "other groups work");
    symlink(bench::runtime(), &python).unwrap();
    run.pid_of("late", "worker is ready");
    assert_eq!((run.group(0).failure(), place.state().0), (None, State::Ready));
    let incarnation = place.state().1;
    bench.poke("late", 0);
    until("its successor", || place.state() == (State::Ready, incarnation + 1));
    assert_eq!(run.group(0).failure(), None, "a worker that served is replaced");
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_works_outweighs_one_that_does_not() {
    let mut bench = Bench::new();
    bench.group_of(2, "one", "first");
    let mut run = bench.start();
    run.ready(1);
    let failures = run.log().matches("there is no application").count();
    run.sees("there is no application", failures + 1);
    assert_eq!(run.group(0).failure(), None);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn who_waits_is_woken() {
    let mut bench = Bench::new();
    bench.group("fine", "quit");
    bench.group("fail", "fail");
    let board = bench.board();
    let holder = board.enlist(1).unwrap();
    let groups = board.groups();
    let tickets = [&groups[0], &groups[1]].map(|group| group.queue.join(holder).unwrap());
    let rung = |group: usize| groups[group].queue.bell(&tickets[group]).unwrap().load(Ordering::SeqCst);
    let mut run = bench.start();
    run.pid_of("fine", "worker is ready");
    until("the bell of a group that cannot work", || rung(1) > 0 && groups[1].failure().is_some());
    let ready = rung(0);
    assert!(ready > 0);
    bench.poke("fine", 0);
    until("the bell of an end", || rung(0) > ready);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_new_supervisor_goes_on_with_the_board() {
    let mut bench = Bench::new();
    bench.group("one", "serve");
    let mut first = bench.start();
    let old = first.ready(1)[0];
    let place = first.group(0).places[0].clone();
    // So that the worker is still there when the next supervisor comes.
    bench::kill(old, "STOP");
    first.signal("KILL");
    assert_eq!(first.status(), None);
    assert_eq!(place.state(), (State::Ready, 1), "nobody could say that it is gone");
    let mut second = bench.start();
    let new = second.ready(2)[1];
    assert_eq!((place.state(), place.pid()), ((State::Ready, 2), new.unsigned_abs()));
    assert_eq!(place.ending(1), None, "nobody knows how it ended");
    bench::kill(old, "KILL");
    second.release();
    assert_eq!(second.status(), Some(0));
    assert_eq!(place.state(), (State::Empty, 2));
}

fn a_board_that_does_not_fit_is_an_error() {
    let shape = |queue, processes| Some(Shape { rows: 4, queue, groups: vec![(processes, 2)] });
    let null = || Some(File::open("/dev/null").unwrap().into());
    let small = || Some(unix::shared::create("board", 8).unwrap());
    let cases = [
        (null(), None, "board: "),
        (small(), None, "board: "),
        (None, shape(4, 2), "board: it is not divided as the groups are"),
        (None, shape(3, 1), "board: its shape is not one"),
    ];
    for (board, shape, text) in cases {
        let mut bench = Bench::new();
        bench.group("one", "serve");
        (bench.board, bench.shape) = (board, shape);
        let mut run = bench.start_unanswered();
        assert_eq!(run.status(), Some(1), "{text}");
        run.sees(&format!("WSGIRS0420: the supervisor of the process groups cannot work: {text}"), 1);
    }
}
