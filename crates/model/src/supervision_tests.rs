// SPDX-License-Identifier: Apache-2.0
//! The life of groups by a clock that the tests move.

use super::*;

const fn at(milliseconds: u64) -> Moment {
    Duration::from_millis(milliseconds)
}

const fn within(milliseconds: u64) -> Patience {
    Patience(Some(at(milliseconds)))
}

const CLEAN: Option<How> = Some(How::Status(0));
const FAILURE: Option<How> = Some(How::Signal(11));
const KILLED: Option<How> = Some(How::Signal(9));
const START: Action = Action::Start;
const GRACEFUL: Action = Action::Stop(within(15_000), Why::Replaced);
const OVERDUE: Action = Action::Kill(How::Overdue);

const fn terms(shutdown: u64) -> Terms {
    let shutdown = if shutdown > 0 { Some(at(shutdown)) } else { None };
    Terms { startup: None, graceful: at(15_000), shutdown, work: Work::Requests, overlap: Overlap::Never }
}

fn all(roster: &mut Roster, now: Moment) -> Vec<(usize, Action)> {
    std::iter::from_fn(|| roster.act(now)).collect()
}

/// One process that must not have another one beside it.
fn alone(terms: Terms) -> Roster {
    let mut roster = Roster::new(at(0), 1, terms);
    assert_eq!((roster.places(), all(&mut roster, at(0))), (1, vec![(0, START)]));
    assert_eq!((roster.due(at(1)), roster.act(at(1))), (terms.startup, None));
    roster
}

/// So many processes, all of them ready, and a place to spare.
fn several(processes: usize) -> Roster {
    let terms = Terms { overlap: Overlap::Allowed, ..terms(5000) };
    let mut roster = Roster::new(at(0), processes, terms);
    let started: Vec<_> = (0..processes).map(|number| (number, START)).collect();
    assert_eq!((roster.places(), all(&mut roster, at(0))), (processes + 1, started));
    assert!((0..processes).all(|number| roster.ready(number, at(0))));
    assert_eq!((roster.due(at(1)), all(&mut roster, at(1))), (None, vec![]));
    roster
}

#[test]
fn failures_before_ready_wait_longer_and_longer() {
    for mut roster in [alone(terms(0)), {
        let mut roster = several(1);
        roster.leaves(0, at(0), within(0));
        roster.ended(0, at(0), CLEAN);
        assert_eq!(roster.act(at(0)), Some((0, START)));
        roster
    }] {
        let (mut now, mut delays) = (at(0), Vec::new());
        for _ in 0..9 {
            let delay = roster.ended(0, now, FAILURE).unwrap();
            delays.push(delay.as_millis());
            assert_eq!((roster.act(now), roster.due(now)), (None, Some(now + delay)));
            now += delay;
            assert_eq!(all(&mut roster, now), [(0, START)]);
        }
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }
}

#[test]
fn a_process_that_served_is_replaced_at_once() {
    let mut roster = alone(terms(0));
    roster.ready(0, at(5000));
    assert_eq!(roster.ended(0, at(6000), FAILURE), Some(Duration::ZERO));
    assert_eq!(roster.act(at(6000)), Some((0, START)));
    assert_eq!(roster.ended(0, at(90_000), CLEAN), Some(FIRST_DELAY), "it was never ready");
}

#[test]
fn a_process_that_keeps_dying_waits_until_one_is_stable() {
    let mut roster = alone(terms(0));
    let mut start = at(0);
    for delay in [0, 250, 500] {
        roster.act(start);
        roster.ready(0, start);
        assert_eq!(roster.ended(0, start + at(999), CLEAN), Some(at(delay)));
        start += at(999 + delay);
    }
    roster.act(at(10_000));
    roster.ready(0, at(10_000));
    assert_eq!(roster.ended(0, at(11_000), FAILURE), Some(Duration::ZERO), "the delay is kept, not used");
    roster.act(at(11_000));
    assert_eq!(roster.ended(0, at(11_000), FAILURE), Some(at(1000)));
    roster.act(at(12_000));
    roster.ready(0, at(12_000));
    assert_eq!(roster.ended(0, at(72_000), FAILURE), Some(Duration::ZERO));
    roster.act(at(72_000));
    assert_eq!(roster.ended(0, at(72_000), FAILURE), Some(FIRST_DELAY));
}

#[test]
fn a_service_script_that_ends_well_runs_again_after_a_second() {
    let mut roster = alone(Terms { work: Work::Service, ..terms(0) });
    for start in 0..3 {
        roster.ready(0, at(start * 1000));
        assert_eq!(roster.ended(0, at(start * 1000), CLEAN), Some(SERVICE_DELAY));
        assert_eq!(roster.act(at(start * 1000 + 1000)), Some((0, START)));
    }
    roster.ready(0, at(9000));
    assert_eq!(roster.ended(0, at(9000), FAILURE), Some(Duration::ZERO));
    roster.act(at(9000));
    roster.ready(0, at(9000));
    assert_eq!(roster.ended(0, at(9000), FAILURE), Some(FIRST_DELAY));
}

#[test]
fn a_process_that_somebody_kills_is_replaced_at_once_however_often() {
    let mut roster = alone(terms(0));
    for second in 0..200 {
        roster.ready(0, at(second));
        assert_eq!(roster.ended(0, at(second), KILLED), Some(Duration::ZERO));
        assert_eq!(roster.act(at(second)), Some((0, START)));
    }
    assert_eq!(roster.ended(0, at(300), KILLED), Some(FIRST_DELAY), "it was not ready");
}

#[test]
fn closing_stops_then_kills_then_gives_up() {
    let mut roster = alone(terms(3000));
    roster.close(AT_ONCE);
    let over = Action::Stop(AT_ONCE, Why::Over);
    assert_eq!(all(&mut roster, at(100)), [(0, over)]);
    assert_eq!((roster.due(at(101)), all(&mut roster, at(4099))), (Some(at(4100)), vec![]));
    assert_eq!(all(&mut roster, at(4100)), [(0, OVERDUE)]);
    assert!(!roster.is_closed());
    assert_eq!((roster.due(at(4100)), roster.act(at(4100) + BURIAL)), (Some(at(4100) + BURIAL), None));
    assert!(roster.is_closed());
}

#[test]
fn closing_ends_with_the_process() {
    let mut roster = alone(terms(0));
    roster.ready(0, at(1));
    roster.close(AT_ONCE);
    assert_eq!(roster.act(at(2)), Some((0, Action::Stop(AT_ONCE, Why::Over))));
    assert_eq!((roster.due(at(3)), roster.act(at(9_999_999))), (None, None), "no patience is for ever");
    assert_eq!(roster.ended(0, at(9_999_999), CLEAN), None);
    assert!(roster.is_closed());
    let mut empty = Roster::new(at(0), 2, terms(0));
    empty.close(AT_ONCE);
    assert!(empty.is_closed());
    assert_eq!(empty.act(at(1)), None);
}

#[test]
fn an_end_can_be_hastened_and_not_delayed() {
    let mut roster = several(1);
    roster.close(within(9000));
    assert_eq!(all(&mut roster, at(0)), [(0, Action::Stop(within(9000), Why::Over))]);
    roster.close(Patience(None));
    roster.close(within(10_000));
    assert_eq!((all(&mut roster, at(1000)), roster.due(at(1000))), (vec![], Some(at(15_000))));
    roster.close(AT_ONCE);
    assert_eq!(all(&mut roster, at(2000)), [(0, Action::Stop(AT_ONCE, Why::Over))]);
    assert_eq!((all(&mut roster, at(2001)), roster.due(at(2001))), (vec![], Some(at(8000))));
}

#[test]
fn a_process_that_should_have_ended_is_killed_and_replaced() {
    let mut roster = alone(terms(500));
    roster.leaves(0, at(1000), within(7000));
    assert_eq!((roster.act(at(9499)), roster.act(at(9500))), (None, Some((0, OVERDUE))));
    assert_eq!(roster.due(at(9500)), None);
    assert_eq!(roster.ended(0, at(9501), FAILURE), Some(FIRST_DELAY), "it was never ready");
    let mut roster = alone(terms(0));
    roster.condemn(0, at(7), How::Misbehaved);
    roster.leaves(0, at(7), within(9000));
    assert_eq!(roster.act(at(7)), Some((0, Action::Kill(How::Misbehaved))));
    roster.close(AT_ONCE);
    assert_eq!((roster.act(at(8)), roster.ended(0, at(9), FAILURE)), (None, None));
    assert!(roster.is_closed());
}

#[test]
fn a_process_that_is_not_ready_in_time_is_killed_and_tried_again() {
    let mut roster = alone(Terms { startup: Some(at(5000)), ..terms(0) });
    assert_eq!((roster.due(at(1)), roster.act(at(4999))), (Some(at(5000)), None));
    assert_eq!(roster.act(at(5000)), Some((0, Action::Kill(How::Late))));
    assert_eq!((roster.due(at(5001)), roster.act(at(5001))), (None, None), "once");
    assert!(!roster.ready(0, at(5002)) && !roster.serves(), "too late");
    assert_eq!(roster.ended(0, at(5003), Some(How::Late)), Some(FIRST_DELAY));
    assert_eq!(roster.act(at(6000)), Some((0, START)));
    assert_eq!(roster.due(at(6000)), Some(at(11_000)), "each has the time again");
    assert!(roster.ready(0, at(10_999)), "in time");
    assert_eq!((roster.due(at(11_000)), roster.act(at(99_999))), (None, None));
    assert!(roster.serves());
}

#[test]
fn a_process_that_ends_meanwhile_is_not_late() {
    let start = || alone(Terms { startup: Some(at(5000)), ..terms(9000) });
    let mut failed = start();
    failed.leaves(0, at(4000), AT_ONCE);
    assert_eq!((failed.act(at(5000)), failed.act(at(14_000))), (None, Some((0, OVERDUE))));
    let mut closed = start();
    closed.close(AT_ONCE);
    assert_eq!(closed.act(at(1000)), Some((0, Action::Stop(AT_ONCE, Why::Over))));
    assert_eq!((closed.act(at(10_999)), closed.act(at(11_000))), (None, Some((0, OVERDUE))));
}

#[test]
fn only_a_process_that_was_ready_serves() {
    let mut roster = alone(terms(0));
    assert!(!roster.serves());
    roster.leaves(0, at(1), AT_ONCE);
    assert!(!roster.serves(), "it leaves without ever having been ready");
    roster.ended(0, at(2), FAILURE);
    roster.act(at(1000));
    roster.ready(0, at(1000));
    assert!(roster.serves());
    roster.leaves(0, at(1001), Patience(None));
    assert!(roster.serves(), "it finishes its requests");
    roster.ended(0, at(1002), CLEAN);
    assert!(!roster.serves());
}

#[test]
fn processes_that_are_tired_are_replaced_one_after_the_other() {
    let mut roster = several(3);
    roster.tires(2);
    roster.tires(0);
    assert_eq!(all(&mut roster, at(10)), [(3, START)], "the spare place");
    roster.ready(3, at(20));
    assert_eq!(all(&mut roster, at(20)), [(0, GRACEFUL)], "not before its replacement is ready");
    assert_eq!(all(&mut roster, at(30)), [], "the other one waits for a place");
    assert_eq!(roster.ended(0, at(40), CLEAN), None, "it has its replacement");
    assert_eq!(all(&mut roster, at(40)), [(0, START)]);
    roster.ready(0, at(50));
    assert_eq!(all(&mut roster, at(50)), [(2, GRACEFUL)]);
    assert_eq!((roster.ended(2, at(60), CLEAN), all(&mut roster, at(60)), roster.due(at(60))), (None, vec![], None));
}

#[test]
fn a_process_stays_as_long_as_its_replacement_cannot_start() {
    let mut roster = several(1);
    roster.tires(0);
    assert_eq!(all(&mut roster, at(0)), [(1, START)]);
    for (now, delay) in [(0, 250), (250, 500), (750, 1000)] {
        assert_eq!(roster.ended(1, at(now), FAILURE), Some(at(delay)));
        assert_eq!((all(&mut roster, at(now)), roster.due(at(now))), (vec![], Some(at(now + delay))));
        assert_eq!(all(&mut roster, at(now + delay)), [(1, START)]);
        assert!(roster.serves());
    }
    roster.ready(1, at(2000));
    assert_eq!(all(&mut roster, at(2000)), [(0, GRACEFUL)]);
}

#[test]
fn a_process_that_dies_before_its_replacement_is_ready_needs_no_other() {
    let mut roster = several(2);
    roster.tires(1);
    assert_eq!(all(&mut roster, at(0)), [(2, START)]);
    assert_eq!(roster.ended(1, at(5000), FAILURE), None);
    assert_eq!(all(&mut roster, at(5000)), []);
    roster.ready(2, at(5100));
    assert_eq!(all(&mut roster, at(5100)), []);
    assert_eq!(roster.ended(2, at(9000), FAILURE), Some(Duration::ZERO));
    assert_eq!(all(&mut roster, at(9000)), [(1, START)]);
}

#[test]
fn processes_that_leave_are_replaced_at_once_as_far_as_there_is_room() {
    let mut roster = several(2);
    roster.leaves(0, at(0), within(15_000));
    assert_eq!(all(&mut roster, at(0)), [(2, START)]);
    roster.leaves(1, at(1), within(15_000));
    assert_eq!((all(&mut roster, at(1)), roster.due(at(1))), (vec![], Some(at(21_000))), "each place is taken");
    assert_eq!(roster.ended(0, at(2), CLEAN), None);
    assert_eq!(all(&mut roster, at(2)), [(0, START)]);
    assert_eq!((roster.ended(1, at(3), CLEAN), all(&mut roster, at(3))), (None, vec![]));
}

#[test]
fn a_vacant_post_comes_before_a_tired_process() {
    let mut roster = several(2);
    assert_eq!((roster.ended(0, at(0), FAILURE), roster.ended(1, at(0), FAILURE)), (Some(at(0)), Some(at(0))));
    assert_eq!(all(&mut roster, at(0)), [(0, START), (1, START)]);
    roster.ready(1, at(10));
    assert_eq!(roster.ended(0, at(20), FAILURE), Some(FIRST_DELAY));
    roster.tires(1);
    assert_eq!(all(&mut roster, at(20)), [(2, START)], "there is room for both");
    assert_eq!(all(&mut roster, at(270)), [(0, START)]);
    roster.leaves(1, at(300), within(0));
    assert_eq!(all(&mut roster, at(300)), [], "its replacement was on its way");
}

#[test]
fn what_must_not_overlap_ends_before_the_next_one_starts() {
    let mut roster = alone(terms(5000));
    roster.ready(0, at(0));
    roster.tires(0);
    assert_eq!(all(&mut roster, at(2000)), [(0, GRACEFUL)]);
    assert_eq!((all(&mut roster, at(3000)), roster.due(at(3000))), (vec![], Some(at(23_000))));
    assert_eq!(roster.ended(0, at(4000), CLEAN), Some(Duration::ZERO));
    assert_eq!(all(&mut roster, at(4000)), [(0, START)]);
    roster.ready(0, at(4100));
    roster.leaves(0, at(4200), within(1000));
    assert_eq!(all(&mut roster, at(4200)), []);
    assert_eq!(roster.ended(0, at(4300), CLEAN), Some(Duration::ZERO));
    assert_eq!(all(&mut roster, at(4300)), [(0, START)]);
}

#[test]
fn a_service_is_replaced_without_time_for_requests() {
    let mut roster = alone(Terms { work: Work::Service, ..terms(5000) });
    roster.ready(0, at(0));
    roster.tire_all();
    assert_eq!(all(&mut roster, at(0)), [(0, Action::Stop(AT_ONCE, Why::Replaced))]);
}

#[test]
fn a_place_that_somebody_else_has_is_asked_for_again() {
    let mut roster = alone(terms(5000));
    for round in 0..5 {
        let now = at(20 * round);
        roster.blocked(0, now);
        assert_eq!((roster.act(now + at(19)), roster.due(now)), (None, Some(now + LOCK_PAUSE)));
        assert_eq!(roster.act(now + LOCK_PAUSE), Some((0, START)));
    }
    assert_eq!(roster.ended(0, at(100), FAILURE), Some(FIRST_DELAY), "that was no failure");
}

#[test]
fn all_are_replaced_when_that_is_wanted() {
    let mut roster = several(2);
    roster.tire_all();
    assert_eq!(all(&mut roster, at(0)), [(2, START)]);
    roster.ready(2, at(1));
    assert_eq!(all(&mut roster, at(1)), [(0, GRACEFUL)]);
    roster.ended(0, at(2), CLEAN);
    assert_eq!(all(&mut roster, at(2)), [(0, START)]);
    roster.ready(0, at(3));
    assert_eq!(all(&mut roster, at(3)), [(1, GRACEFUL)]);
    roster.ended(1, at(4), CLEAN);
    assert_eq!(all(&mut roster, at(4)), []);
}

#[test]
fn an_old_generation_keeps_what_requests_need() {
    let mut roster = several(2);
    roster.retire(at(1000));
    assert!(roster.is_old());
    let idle = Action::Stop(Patience(None), Why::Idle);
    roster.look(at(1000), Demand::None, |place| place == 1);
    assert_eq!((all(&mut roster, at(1499)), roster.due(at(1499))), (vec![], Some(at(1499) + GLANCE)));
    roster.look(at(1500), Demand::None, |place| place == 1);
    assert_eq!(all(&mut roster, at(1500)), [(0, idle)]);
    assert_eq!((roster.ended(0, at(1600), CLEAN), all(&mut roster, at(1600))), (None, vec![]));
    roster.look(at(1600), Demand::Waiting, |_| true);
    assert_eq!(all(&mut roster, at(1600)), [], "there is one");
    roster.look(at(1700), Demand::Waiting, |_| false);
    roster.look(at(2300), Demand::Waiting, |_| false);
    assert_eq!(all(&mut roster, at(2300)), [], "somebody is about to come");
    roster.look(at(2300), Demand::None, |_| false);
    roster.look(at(2800), Demand::None, |_| false);
    assert_eq!(all(&mut roster, at(2800)), [(1, idle)]);
    assert_eq!(roster.due(at(2800)), Some(at(2850)), "nothing hurries it");
    roster.look(at(3300), Demand::None, |_| false);
    assert_eq!(all(&mut roster, at(9299)), []);
    assert_eq!(all(&mut roster, at(9300)), [(1, OVERDUE)], "it has no reason to stay");
}

#[test]
fn an_old_generation_starts_one_process_when_requests_wait() {
    let mut roster = several(3);
    roster.retire(at(0));
    assert_eq!((0..3).map(|place| roster.ended(place, at(100), KILLED)).collect::<Vec<_>>(), [None; 3]);
    assert_eq!(all(&mut roster, at(100)), []);
    for now in [200, 250] {
        roster.look(at(now), Demand::Waiting, |_| false);
        assert_eq!(all(&mut roster, at(now)), if now == 200 { vec![(0, START)] } else { vec![] });
    }
    assert_eq!(roster.ended(0, at(260), FAILURE), None);
    for now in [300, 510] {
        roster.look(at(now), Demand::Waiting, |_| false);
        assert_eq!(all(&mut roster, at(now)), if now == 510 { vec![(0, START)] } else { vec![] });
    }
}

#[test]
fn an_old_service_ends_and_is_not_started_again() {
    let mut roster = alone(Terms { work: Work::Service, ..terms(5000) });
    roster.ready(0, at(0));
    roster.retire(at(10));
    assert_eq!(all(&mut roster, at(10)), [(0, Action::Stop(AT_ONCE, Why::Over))]);
    assert_eq!((roster.ended(0, at(20), CLEAN), all(&mut roster, at(5000))), (None, vec![]));
    assert!(!roster.is_closed());
    roster.close(AT_ONCE);
    assert!(roster.is_closed());
}
