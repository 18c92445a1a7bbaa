// SPDX-License-Identifier: Apache-2.0
//! How workers are replaced that still work.

use crate::Test;
use crate::bench::{self, Bench, has_ended, until};
use model::admission::{How, State};

pub const TESTS: &[Test] = &[
    ("a_tired_worker_ends_when_its_replacement_is_ready", a_tired_worker_ends_when_its_replacement_is_ready),
    ("tired_workers_are_replaced_one_at_a_time", tired_workers_are_replaced_one_at_a_time),
    (
        "a_tired_worker_stays_while_its_replacement_cannot_start",
        a_tired_worker_stays_while_its_replacement_cannot_start,
    ),
    ("a_worker_without_room_beside_it_ends_first", a_worker_without_room_beside_it_ends_first),
    ("a_worker_that_leaves_has_its_replacement_at_once", a_worker_that_leaves_has_its_replacement_at_once),
    ("a_signal_replaces_all_workers", a_signal_replaces_all_workers),
    ("a_worker_that_overstays_is_killed_after_its_time", a_worker_that_overstays_is_killed_after_its_time),
];

fn a_tired_worker_ends_when_its_replacement_is_ready() {
    let mut bench = Bench::new();
    bench.roomy(1, "one", "tire");
    let mut run = bench.start();
    let old = run.ready(1)[0];
    let places = run.group(0).places.clone();
    assert_eq!((places.len(), places[0].state(), places[1].state().0), (2, (State::Ready, 1), State::Empty));
    bench.poke("one", 0);
    run.sees("process group 'one': worker wants to be replaced: it has had enough", 1);
    let new = run.ready(2)[1];
    run.line_of(old, "worker is told to end within 10s: it is replaced");
    run.line_of(old, "told to end within Some(10s)");
    until("the old worker's end", || places[0].state() == (State::Empty, 1));
    assert_eq!((places[1].state(), places[1].pid()), ((State::Ready, 1), new.unsigned_abs()));
    let log = run.log();
    let (ready, told) = (log.rfind("worker is ready").unwrap(), log.find("worker is told to end").unwrap());
    assert!(has_ended(old) && !has_ended(new) && ready < told, "{log}");
    bench.poke("one", 1);
    run.ready(3);
    until("the first place again", || places[0].state() == (State::Ready, 2));
    run.sees("WSGIRS", 0);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn tired_workers_are_replaced_one_at_a_time() {
    let mut bench = Bench::new();
    bench.roomy(3, "one", "tire");
    let mut run = bench.start();
    let old = run.ready(3);
    (0..3).for_each(|number| bench.poke("one", number));
    run.sees("worker wants to be replaced", 3);
    run.ready(6);
    run.sees("worker ended", 3);
    assert!(old.iter().all(|pid| has_ended(*pid)));
    let (mut alive, mut most) = (0_i32, 0);
    for line in run.log().lines() {
        alive += i32::from(line.contains("worker starts")) - i32::from(line.contains("worker ended"));
        most = most.max(alive);
    }
    assert_eq!((alive, most), (3, 4), "{}", run.log());
    run.sees("WSGIRS", 0);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_tired_worker_stays_while_its_replacement_cannot_start() {
    let mut bench = Bench::new();
    bench.roomy(1, "one", "last");
    let mut run = bench.start();
    let pid = run.ready(1)[0];
    bench.poke("one", 0);
    run.sees("worker cannot work: there is no application", 3);
    assert_eq!((run.group(0).places[0].state(), run.group(0).failure()), ((State::Ready, 1), None));
    assert!(!has_ended(pid));
    run.sees("worker is told to end", 0);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_worker_without_room_beside_it_ends_first() {
    let mut bench = Bench::new();
    bench.group("one", "tire");
    let mut run = bench.start();
    let old = run.ready(1)[0];
    bench.poke("one", 0);
    run.ready(2);
    let log = run.log();
    let (ended, next) = (log.find("worker ended").unwrap(), log.rfind("worker starts").unwrap());
    assert!(has_ended(old) && ended < next, "{log}");
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_leaves_has_its_replacement_at_once() {
    let mut bench = Bench::new();
    bench.roomy(1, "one", "leave");
    let mut run = bench.start();
    let old = run.ready(1)[0];
    bench.poke("one", 0);
    let new = run.ready(2)[1];
    let places = &run.group(0).places;
    assert_eq!((places[0].state(), places[1].state()), ((State::Leaving, 1), (State::Ready, 1)));
    assert!(!has_ended(old));
    // With both places taken the next one waits.
    bench.poke("one", 1);
    until("a second one that leaves", || places[1].state() == (State::Leaving, 1));
    bench.poke("one", 0);
    run.ready(3);
    assert_eq!(places[0].state(), (State::Ready, 2));
    bench::kill(new, "KILL");
    until("its end", || places[1].state().0 == State::Empty);
    run.say(b'S');
    until("the word to end", || places[0].state() == (State::Leaving, 2));
    bench.poke("one", 0);
    bench.poke("one", 0);
    assert_eq!(run.status(), Some(0));
}

fn a_signal_replaces_all_workers() {
    for signal in ["USR1", "HUP"] {
        let mut bench = Bench::new();
        bench.roomy(2, "many", "serve");
        bench.group("one", "serve");
        let mut run = bench.start();
        let old = run.ready(3);
        run.signal(signal);
        run.ready(6);
        until("the end of the old ones", || old.iter().all(|pid| has_ended(*pid)));
        run.sees("worker is told to end within 10s: it is replaced", 3);
        run.sees("WSGIRS", 0);
        run.release();
        assert_eq!(run.status(), Some(0));
        run.sees("worker starts", 6);
    }
}

fn a_worker_that_overstays_is_killed_after_its_time() {
    let mut bench = Bench::new();
    let group = bench.roomy(1, "one", "overstay");
    (group.graceful_timeout, group.shutdown_timeout) = (300, 200);
    let mut run = bench.start();
    let old = run.ready(1)[0];
    bench.poke("one", 0);
    run.sees("WSGIRS0415: process group 'one': worker did not end within", 1);
    let ending = |place: usize| run.group(0).places[place].ending(1).map(|ending| ending.how);
    until("its end", || ending(0).is_some());
    assert_eq!((ending(0), has_ended(old)), (Some(How::Overdue), true));
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}
