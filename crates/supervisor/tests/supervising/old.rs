// SPDX-License-Identifier: Apache-2.0
//! What becomes of workers when the configuration is not the present one any more.

use crate::Test;
use crate::bench::{Bench, has_ended, until};
use model::admission::{Entry, State};
use model::launch::order;

pub const TESTS: &[Test] = &[
    ("an_old_generation_keeps_no_idle_worker", an_old_generation_keeps_no_idle_worker),
    ("an_old_generation_starts_a_worker_for_who_waits", an_old_generation_starts_a_worker_for_who_waits),
    ("a_supervisor_that_begins_when_it_is_old_starts_nothing", a_supervisor_that_begins_when_it_is_old_starts_nothing),
    ("a_generation_that_expires_refuses_requests", a_generation_that_expires_refuses_requests),
    ("a_supervisor_whose_parent_dies_hurries", a_supervisor_whose_parent_dies_hurries),
];

fn an_old_generation_keeps_no_idle_worker() {
    let mut bench = Bench::new();
    bench.roomy(2, "one", "serve");
    bench.group("service", "serve").worker.threads = 0;
    let holder = bench.board().enlist(1).unwrap();
    let mut run = bench.start();
    run.ready(3);
    let Entry::Admitted(busy, seat) = run.group(0).enter(holder) else { panic!("no free thread") };
    let idle = 1 - busy;
    run.say(order::OLD);
    let state = |group: usize, place: usize| run.group(group).places[place].state().0;
    until("the end of the idle ones", || state(0, idle) == State::Empty && state(1, 0) == State::Empty);
    run.sees("worker is told to end after its requests: its generation is old and no request needs it", 1);
    run.sees("worker is told to end at once: its generation needs it no more", 1);
    assert_eq!(state(0, busy), State::Ready);
    seat.leave();
    until("the end of the last one", || state(0, busy) == State::Empty);
    run.sees("worker starts", 3);
    assert!(run.group(0).failure().is_none());
    run.sees("WSGIRS", 0);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn an_old_generation_starts_a_worker_for_who_waits() {
    let mut bench = Bench::new();
    bench.roomy(3, "one", "serve");
    let holder = bench.board().enlist(1).unwrap();
    let mut run = bench.start();
    let old = run.ready(3);
    run.say(order::OLD);
    until("an empty group", || old.iter().all(|pid| has_ended(*pid)));
    for round in 1..=2 {
        let group = run.group(0);
        let ticket = group.queue.join(holder).unwrap();
        until("a worker", || group.has_room());
        let Entry::Admitted(_, seat) = group.enter(holder) else { panic!("no free thread") };
        group.queue.leave(&ticket);
        run.sees("worker is ready", 3 + round);
        seat.leave();
        until("its end", || group.places.iter().all(|place| place.state().0 == State::Empty));
    }
    let starts = run.log().matches("worker starts").count();
    assert_eq!(starts, 5, "{}", run.log());
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_supervisor_that_begins_when_it_is_old_starts_nothing() {
    let mut bench = Bench::new();
    bench.roomy(2, "one", "serve");
    let holder = bench.board().enlist(1).unwrap();
    bench.order = Some(order::OLD);
    let mut run = bench.start();
    run.sees("generation 0 is old", 1);
    let group = run.group(0);
    let ticket = group.queue.join(holder).unwrap();
    until("a worker", || group.has_room());
    group.queue.leave(&ticket);
    run.sees("worker starts", 1);
    assert_eq!(run.log().matches("worker starts").count(), 1);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_generation_that_expires_refuses_requests() {
    let mut bench = Bench::new();
    bench.roomy(1, "one", "stay").shutdown_timeout = 100;
    bench.group("two", "serve").graceful_timeout = 4000;
    let mut run = bench.start();
    let workers = run.ready(2);
    run.say(order::OLD);
    run.say(order::EXPIRE);
    run.sees("told to end within Some(4s)", 1);
    until("a reason", || run.group(0).failure().is_some());
    assert!(run.group(0).failure().unwrap().contains("too many were old"));
    // Whoever hears it stays; nobody needs to wait for it any longer than for the others.
    run.sees("told to end within Some(10s)", 1);
    run.say(order::STOP);
    assert_eq!(run.status(), Some(0));
    assert!(workers.iter().all(|pid| has_ended(*pid)));
}

fn a_supervisor_whose_parent_dies_hurries() {
    let mut bench = Bench::new();
    bench.group("one", "stay").shutdown_timeout = 100;
    let mut run = bench.start();
    let pid = run.ready(1)[0];
    run.signal("TERM");
    run.sees("worker is told to end within 100ms", 1);
    run.release();
    run.sees("worker is told to end at once", 1);
    assert_eq!(run.status(), Some(1));
    assert!(has_ended(pid));
}
