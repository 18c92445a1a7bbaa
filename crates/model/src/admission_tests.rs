// SPDX-License-Identifier: Apache-2.0
//! The board with one thread, and with many that take and give back at random.

use super::*;
use std::sync::atomic::AtomicUsize;

/// Words for a board of one group.
fn words(shape: &Shape) -> Vec<Word> {
    let words = std::iter::repeat_with(|| Word::new(0)).take(shape.length()).collect::<Vec<_>>();
    Board::new(&words, shape).expect("a board").clear();
    words
}

fn shape(processes: usize, threads: usize) -> Shape {
    Shape { rows: 4, queue: 4, groups: vec![(processes, threads)] }
}

fn start(board: &Board<'_>, place: usize) -> Incarnation {
    let place = &board.groups()[0].places[place];
    let incarnation = place.begin(9);
    place.set(State::Ready, incarnation);
    incarnation
}

fn admitted(entry: Entry<'_>) -> Seat<'_> {
    match entry {
        Entry::Admitted(_, seat) => seat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_board_needs_all_of_its_words() {
    let shape = shape(2, 3);
    let words = words(&shape);
    assert!(Board::new(&words, &shape).is_some());
    assert!(Board::new(&words[1..], &shape).is_none());
    assert!(Board::new(&words, &Shape { queue: 3, ..shape }).is_none());
}

#[test]
fn requests_go_to_the_process_with_the_fewest_and_never_exceed_its_threads() {
    let shape = shape(2, 2);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let (child, group) = (board.enlist(77).unwrap(), &board.groups()[0]);
    assert!(matches!(group.enter(child), Entry::Absent));
    let _ = group.places[0].begin(9);
    assert!(matches!(group.enter(child), Entry::Starting));
    start(&board, 0);
    start(&board, 1);
    let seats: Vec<_> = (0..4).map(|_| admitted(group.enter(child))).collect();
    assert_eq!(group.places.iter().map(|place| place.load(place.state().1)).collect::<Vec<_>>(), [2, 2]);
    assert!(matches!(group.enter(child), Entry::Full));
    for seat in seats {
        seat.leave();
        assert!(group.has_room());
    }
    let mut found: Vec<_> = (0..3).map(|_| admitted(group.enter(child))).collect();
    found.remove(0).leave();
    assert_eq!(group.places.iter().map(|place| place.load(place.state().1)).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn what_belonged_to_a_process_that_is_gone_holds_up_nobody() {
    let shape = shape(1, 1);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let (child, group) = (board.enlist(77).unwrap(), &board.groups()[0]);
    let first = start(&board, 0);
    let old = admitted(group.enter(child));
    let ending = Ending { how: How::Signal(11), pid: 5, seconds: 9 };
    group.places[0].end(first, ending);
    assert!(matches!(group.enter(child), Entry::Absent));
    assert_eq!(group.places[0].ending(first), Some(ending));
    let second = start(&board, 0);
    let new = admitted(group.enter(child));
    assert_eq!((old.incarnation, new.incarnation, group.places[0].ending(second)), (first, second, None));
    old.leave();
    assert!(matches!(group.enter(child), Entry::Full), "the old seat is not the new one");
    new.leave();
    assert!(group.has_room());
}

#[test]
fn endings_are_forgotten_when_others_follow() {
    let shape = shape(1, 1);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let place = &board.groups()[0].places[0];
    let incarnations: Vec<_> = (0..9)
        .map(|status| {
            let incarnation = place.begin(9);
            place.name(100);
            place.end(incarnation, Ending { how: How::Status(status), pid: place.pid(), seconds: 1 });
            incarnation
        })
        .collect();
    assert_eq!(place.ending(incarnations[0]), None);
    for (number, incarnation) in incarnations.iter().enumerate().skip(1) {
        assert_eq!(place.ending(*incarnation).unwrap().how, How::Status(u8::try_from(number).unwrap()));
    }
}

#[test]
fn every_way_to_end_travels_and_reads_well() {
    let all =
        [How::Status(3), How::Signal(9), How::OutOfMemory, How::CpuTime(9), How::Overdue, How::Misbehaved, How::Late];
    for how in all {
        assert_eq!(How::numbered(how.number()), Some(how));
    }
    assert_eq!(How::numbered(0), None);
    let text = Ending { how: How::Signal(11), pid: 7, seconds: 60 }.to_string();
    assert_eq!(text, "it was ended by SIGSEGV (pid 7, after 60 s)");
    assert_eq!(
        (signal_name(31), signal_name(0), signal_name(34)),
        ("SIGSYS".into(), "signal 0".into(), "signal 34".into())
    );
}

#[test]
fn a_process_that_refuses_is_not_asked_again() {
    let shape = shape(1, 2);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let (child, group) = (board.enlist(77).unwrap(), &board.groups()[0]);
    let incarnation = start(&board, 0);
    group.places[0].retire(incarnation + 1);
    assert!(group.has_room());
    group.places[0].retire(incarnation);
    assert!(matches!(group.enter(child), Entry::Starting));
    assert_eq!(group.places[0].state(), (State::Leaving, incarnation));
}

#[test]
fn a_process_has_the_threads_that_its_own_generation_gives_it() {
    let shape = shape(1, 4);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let (child, group) = (board.enlist(77).unwrap(), &board.groups()[0]);
    let place = &group.places[0];
    for (given, had) in [(2, 2), (4, 4), (9, 4), (0, 0), (1, 1)] {
        place.set(State::Ready, place.begin(given));
        place.name(100);
        let seats: Vec<_> = std::iter::from_fn(|| match group.enter(child) {
            Entry::Admitted(_, seat) => Some(seat),
            _ => None,
        })
        .collect();
        assert_eq!((seats.len(), place.threads(), place.pid()), (had, had, 100), "{given}");
    }
    assert_eq!(group.owner(), 0);
    group.set_owner(3);
    assert_eq!(group.owner(), 3);
}

#[test]
fn those_who_wait_are_served_in_their_order() {
    let shape = shape(1, 1);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let (child, queue) = (board.enlist(77).unwrap(), &board.groups()[0].queue);
    for round in 0..10 {
        let tickets: Vec<_> = (0..4).map(|_| queue.join(child).unwrap()).collect();
        assert_eq!((queue.join(child), queue.length(), board.waiting()), (None, 4, 4), "round {round}");
        // The second one gives up, and nobody waits for it.
        assert!(queue.leave(&tickets[1]).is_some());
        assert_eq!(queue.join(child), None, "the ring has no gaps");
        for (number, ticket) in tickets.iter().enumerate() {
            assert_eq!(queue.is_first(ticket), number != 1);
            let next = queue.leave(ticket);
            assert_eq!(next.is_some(), number != 3);
        }
        assert_eq!(queue.length(), 0);
    }
}

#[test]
fn a_child_that_dies_gives_everything_back() {
    let shape = Shape { rows: 2, queue: 4, groups: vec![(1, 2), (1, 1)] };
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let (dead, alive) = (board.enlist(1).unwrap(), board.enlist(2).unwrap());
    assert_eq!(board.enlist(3), None);
    start(&board, 0);
    let group = &board.groups()[0];
    let (_lost, kept) = (admitted(group.enter(dead)), admitted(group.enter(alive)));
    let (_first, second) = (group.queue.join(dead).unwrap(), group.queue.join(alive).unwrap());
    assert!(!group.queue.is_first(&second));
    let bells = board.forget(|name| name == 1);
    assert_eq!(bells.len(), 1);
    assert!(std::ptr::eq(bells[0], group.queue.bell(&second).unwrap()));
    assert!(group.queue.is_first(&second));
    assert_eq!(group.places[0].load(kept.incarnation), 1);
    assert!(board.enlist(3).is_some(), "its row is free");
    assert!(board.forget(|name| name == 1).is_empty());
}

#[test]
fn the_reason_of_a_failure_is_read_as_it_was_written() {
    let shape = shape(1, 1);
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    let group = &board.groups()[0];
    assert_eq!(group.failure(), None);
    let long = "é".repeat(300);
    for (text, found) in [("python-home is missing", "python-home is missing"), (&long, &long[..512])] {
        group.set_failure(text);
        assert_eq!(group.failure().as_deref(), Some(found));
    }
    group.set_failure("");
    assert_eq!(group.failure(), None);
}

#[test]
fn many_threads_never_exceed_the_limit_and_all_get_their_turn() {
    const LIMIT: usize = 3;
    let shape = Shape { rows: 8, queue: 8, groups: vec![(1, LIMIT)] };
    let words = words(&shape);
    let board = Board::new(&words, &shape).unwrap();
    start(&board, 0);
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for process in 1..=8 {
            let (board, inside, most) = (&board, &inside, &most);
            scope.spawn(move || {
                let (child, group) = (board.enlist(process).unwrap(), &board.groups()[0]);
                for _ in 0..2000 {
                    let ticket = group.queue.join(child).unwrap();
                    let seat = loop {
                        if group.queue.is_first(&ticket)
                            && let Entry::Admitted(_, seat) = group.enter(child)
                        {
                            break seat;
                        }
                        std::thread::yield_now();
                    };
                    group.queue.leave(&ticket);
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    seat.leave();
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    assert_eq!((board.waiting(), board.groups()[0].places[0].load(1)), (0, 0));
}
