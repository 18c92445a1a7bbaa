// SPDX-License-Identifier: Apache-2.0
//! What becomes of workers when the configuration is not the present one any more.

use crate::Test;
use crate::bench::{self, Bench, has_ended, until};
use model::admission::{Entry, State};
use model::launch::order;

pub const TESTS: &[Test] = &[
    ("an_old_generation_keeps_no_idle_worker", an_old_generation_keeps_no_idle_worker),
    ("an_old_generation_starts_a_worker_for_who_waits", an_old_generation_starts_a_worker_for_who_waits),
    ("a_supervisor_that_begins_when_it_is_old_starts_nothing", a_supervisor_that_begins_when_it_is_old_starts_nothing),
    ("a_generation_that_expires_refuses_requests", a_generation_that_expires_refuses_requests),
    ("two_generations_never_have_a_worker_each", two_generations_never_have_a_worker_each),
    ("a_worker_keeps_its_place_when_its_supervisor_is_killed", a_worker_keeps_its_place_when_its_supervisor_is_killed),
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

fn two_generations_never_have_a_worker_each() {
    let mut bench = Bench::new();
    bench.group("one", "serve").worker.threads = 5;
    let (board, lock) = bench.share();
    let (group, place) = (&board.groups()[0], &board.groups()[0].places[0]);
    let mut first = bench.start();
    first.sees("supervisor of generation 0 starts 1 workers", 1);
    first.sees("worker starts", 0);
    group.set_owner(1);
    let old = first.ready(1)[0];
    assert_eq!((place.state(), place.threads()), ((State::Ready, 1), 5));
    assert!(unix::descriptor::try_lock(&lock).unwrap().is_none(), "the worker has it");
    bench.next_generation();
    let mut second = bench.start();
    group.set_owner(2);
    assert_eq!((place.state(), place.pid()), ((State::Ready, 1), old.unsigned_abs()));
    first.say(order::OLD);
    let new = second.ready(2)[1];
    assert!(has_ended(old) && !has_ended(new));
    assert_eq!((place.state(), place.pid()), ((State::Ready, 2), new.unsigned_abs()));
    let log = second.log();
    assert!(log.find("worker ended").unwrap() < log.rfind("worker starts").unwrap(), "{log}");
    // The first one starts none for requests that wait: that is the second one's affair.
    second.say(order::STOP);
    assert_eq!(second.status(), Some(0));
    let ticket = group.queue.join(board.enlist(1).unwrap()).unwrap();
    first.release();
    assert_eq!(first.status(), Some(0));
    first.sees("worker starts", 2);
    assert_eq!(first.log().matches("worker starts").count(), 2);
    group.queue.leave(&ticket);
}

fn a_worker_keeps_its_place_when_its_supervisor_is_killed() {
    let mut bench = Bench::new();
    // It does not notice that its supervisor is gone.
    bench.group("one", "overstay");
    let (board, lock) = bench.share();
    board.groups()[0].set_owner(1);
    let mut first = bench.start();
    let old = first.ready(1)[0];
    first.signal("KILL");
    assert_eq!(first.status(), None);
    assert!(unix::descriptor::try_lock(&lock).unwrap().is_none(), "it has its place");
    bench.change("serve");
    let mut second = bench.start();
    second.sees("supervisor of generation 0 starts 1 workers", 2);
    assert_eq!(second.log().matches("worker starts").count(), 1);
    bench::kill(old, "KILL");
    second.ready(2);
    assert_eq!(board.groups()[0].places[0].state(), (State::Ready, 2));
    second.release();
    assert_eq!(second.status(), Some(0));
    assert!(unix::descriptor::try_lock(&lock).unwrap().is_some(), "nobody is left");
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
