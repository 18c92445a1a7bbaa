// SPDX-License-Identifier: Apache-2.0
//! Every order in which two children can touch a small board: `make loom`.

use super::*;
use loom::sync::Arc;
use loom::thread;

const SHAPE: (usize, usize, usize) = (2, 2, 1);

fn shape() -> Shape {
    let (rows, queue, threads) = SHAPE;
    Shape { rows, queue, groups: vec![(1, threads)] }
}

fn words() -> Arc<Vec<Word>> {
    let shape = shape();
    let words: Vec<_> = std::iter::repeat_with(|| Word::new(0)).take(shape.length()).collect();
    let board = Board::new(&words, &shape).unwrap();
    board.clear();
    let place = &board.groups()[0].places[0];
    place.set(State::Ready, place.begin(9));
    Arc::new(words)
}

fn board(words: &[Word]) -> Board<'_> {
    Board::new(words, &shape()).unwrap()
}

#[test]
fn two_children_never_have_the_same_thread() {
    loom::model(|| {
        let words = words();
        let (one, two) = (board(&words).enlist(1).unwrap(), board(&words).enlist(2).unwrap());
        let inside = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let others = (words.clone(), inside.clone());
        let enter = move |words: &[Word], inside: &loom::sync::atomic::AtomicUsize, child| {
            if let Entry::Admitted(_, seat) = board(words).groups()[0].enter(child) {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                inside.fetch_sub(1, Ordering::SeqCst);
                seat.leave();
            }
        };
        let thread = thread::spawn(move || enter(&others.0, &others.1, two));
        enter(&words, &inside, one);
        thread.join().unwrap();
        assert_eq!(board(&words).groups()[0].places[0].load(1), 0);
    });
}

#[test]
fn whoever_waits_is_admitted_or_woken() {
    loom::model(|| {
        let words = words();
        let (one, two) = (board(&words).enlist(1).unwrap(), board(&words).enlist(2).unwrap());
        let others = words.clone();
        let thread = thread::spawn(move || {
            // What a child does with a request, up to where it would sleep.
            let board = board(&others);
            let group = &board.groups()[0];
            let ticket = group.queue.join(two).unwrap();
            let seen = group.queue.bell(&ticket).unwrap().load(Ordering::SeqCst);
            let admitted = group.queue.is_first(&ticket) && matches!(group.enter(two), Entry::Admitted(..));
            (admitted, seen)
        });
        let own = board(&words);
        let group = &own.groups()[0];
        if let Entry::Admitted(_, seat) = group.enter(one) {
            seat.leave();
            if let Some(bell) = group.queue.first() {
                bell.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (admitted, seen) = thread.join().unwrap();
        let rung = group.queue.first().is_some_and(|bell| bell.load(Ordering::SeqCst) != seen);
        assert!(admitted || rung, "it would sleep beside a free thread");
    });
}

#[test]
fn two_tickets_are_two_places_in_the_queue() {
    loom::model(|| {
        let words = words();
        let (one, two) = (board(&words).enlist(1).unwrap(), board(&words).enlist(2).unwrap());
        let others = words.clone();
        let thread = thread::spawn(move || board(&others).groups()[0].queue.join(two).unwrap());
        let own = board(&words);
        let queue = &own.groups()[0].queue;
        let mine = queue.join(one).unwrap();
        let other = thread.join().unwrap();
        assert!(queue.is_first(&mine) != queue.is_first(&other));
        queue.leave(&mine);
        assert!(queue.is_first(&other));
        assert!(queue.leave(&other).is_none());
    });
}
