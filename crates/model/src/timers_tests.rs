// SPDX-License-Identifier: Apache-2.0
//! Every timer of a worker with a clock of the tests' own, each alone and with others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const fn at(milliseconds: u64) -> Moment {
    Duration::from_millis(milliseconds)
}

const fn patience(milliseconds: u64) -> Patience {
    Patience(Some(at(milliseconds)))
}

fn timers(limits: Limits) -> Timers {
    let mut timers = Timers::new(limits, 2, 0);
    timers.open(at(0));
    timers
}

/// When something is due, without the look that is only taken so as not to be woken.
fn looks(timers: &mut Timers) -> Option<Moment> {
    timers.look_at(Moment::from_secs(1 << 40)).filter(|moment| *moment < Moment::from_secs(1 << 39))
}

/// What is due at each moment at which something is, without anything else happening; as it is with a thread that looks.
fn story(timers: &mut Timers, until: u64) -> Vec<(u64, Due)> {
    let (mut told, mut now) = (Vec::new(), Moment::ZERO);
    while let Some(moment) = timers.look_at(now).map(|moment| moment.max(now)).filter(|moment| *moment <= at(until)) {
        now = moment;
        let due = timers.due(moment);
        assert!(!due.is_empty(), "nothing is due at {moment:?}, when it was to be looked: {timers:?}");
        for one in due {
            if let Due::Take(number) = one {
                timers.lose(number);
            }
            told.push((u64::try_from(moment.as_millis()).unwrap(), one));
        }
    }
    told
}

#[test]
fn without_limits_nothing_is_ever_due() {
    let mut timers = timers(Limits::default());
    let number = timers.begin(at(5), Sign::Life).unwrap();
    assert_eq!((looks(&mut timers), timers.due(at(9_999_999))), (None, vec![]));
    assert!(!timers.has_to_look());
    assert!(!timers.end(number, at(9_999_999)));
    assert_eq!((looks(&mut timers), timers.due(at(99_999_999))), (None, vec![]));
}

#[test]
fn each_timer_works_when_all_others_are_off() {
    let request = |limits: Limits| {
        let mut timers = timers(limits);
        timers.begin(at(0), Sign::Life).unwrap();
        story(&mut timers, 10_000)
    };
    let idle = |limits: Limits| {
        let mut timers = timers(limits);
        let number = timers.begin(at(0), Sign::Life).unwrap();
        timers.end(number, at(1000));
        story(&mut timers, 10_000)
    };
    let tired = |reason| Due::Tired(reason);
    assert_eq!(
        request(Limits { request_timeout: 2000, ..Limits::default() }),
        [(2000, Due::Overdue(1)), (2000, Due::Stuck(1)), (2000, tired(Reason::RequestTimeout)), (2100, Due::Take(1))]
    );
    assert_eq!(
        request(Limits { request_timeout: 2000, interrupt_timeout: 3000, ..Limits::default() }),
        [(2000, Due::Overdue(1)), (2100, Due::Take(1)), (5000, Due::Stuck(1)), (5000, tired(Reason::RequestTimeout))]
    );
    assert_eq!(request(Limits { interrupt_timeout: 3000, ..Limits::default() }), []);
    let recycled = [(0, tired(Reason::MaximumRequests))];
    assert_eq!(request(Limits { maximum_requests: 1, ..Limits::default() }), recycled);
    let restarted = [(700, tired(Reason::RestartInterval))];
    assert_eq!(request(Limits { restart_interval: 700, ..Limits::default() }), restarted);
    assert_eq!(idle(Limits { restart_interval: 700, ..Limits::default() }), restarted);
    assert_eq!(request(Limits { inactivity_timeout: 700, ..Limits::default() }), [], "it is busy");
    let inactive = [(1700, tired(Reason::InactivityTimeout))];
    assert_eq!(idle(Limits { inactivity_timeout: 700, ..Limits::default() }), inactive);
}

#[test]
fn a_request_has_its_own_time_however_many_threads_there_are() {
    let limits = Limits { request_timeout: 2000, interrupt_timeout: 1000, ..Limits::default() };
    let mut timers = Timers::new(limits, 15, 0);
    for start in 0..15 {
        timers.begin(at(start * 10), Sign::Life).unwrap();
    }
    let told = story(&mut timers, 3000);
    let overdue: Vec<_> = (0..15).map(|number| (2000 + number * 10, Due::Overdue(number + 1))).collect();
    assert_eq!(told.iter().copied().filter(|(_, due)| matches!(due, Due::Overdue(_))).collect::<Vec<_>>(), overdue);
    let taken: Vec<_> = (0..15).map(|number| (2100 + number * 10, Due::Take(number + 1))).collect();
    assert_eq!(told.iter().copied().filter(|(_, due)| matches!(due, Due::Take(_))).collect::<Vec<_>>(), taken);
    assert_eq!(told.iter().filter(|(_, due)| matches!(due, Due::Tired(_) | Due::Stuck(_))).count(), 2, "said once");
}

#[test]
fn an_interrupted_request_that_ends_is_not_taken() {
    let limits = Limits { request_timeout: 2000, interrupt_timeout: 1000, ..Limits::default() };
    let mut timers = timers(limits);
    let (first, second) = (timers.begin(at(0), Sign::Life).unwrap(), timers.begin(at(1999), Sign::Life).unwrap());
    assert_eq!(timers.due(at(2000)), [Due::Overdue(first)]);
    assert_eq!(timers.due(at(2050)), [], "said once");
    assert!(!timers.end(first, at(2099)), "its thread was not given up");
    assert_eq!((looks(&mut timers), timers.due(at(3998))), (Some(at(3999)), vec![]));
    assert!(!timers.end(second, at(3998)));
    assert_eq!(story(&mut timers, 99_999), []);
}

#[test]
fn a_lost_thread_is_no_request_and_comes_back_as_lost() {
    let limits = Limits { request_timeout: 100, interrupt_timeout: 5000, inactivity_timeout: 50, ..Limits::default() };
    let mut timers = timers(limits);
    let number = timers.begin(at(0), Sign::Life).unwrap();
    assert_eq!(
        story(&mut timers, 200),
        [(100, Due::Overdue(1)), (200, Due::Take(1)), (200, Due::Tired(Reason::InactivityTimeout))]
    );
    timers.ask(Call::Stop(Patience(None)), at(300));
    assert_eq!(timers.due(at(300)), [Due::End(Reason::InactivityTimeout)], "nobody waits for the lost one");
    assert!(timers.end(number, at(400)));
}

#[test]
fn a_process_leaves_before_it_drowns_in_lost_threads() {
    let limits = Limits { request_timeout: 100, interrupt_timeout: 60_000, graceful_timeout: 900, ..Limits::default() };
    let mut timers = timers(limits);
    for _ in 0..=2 * LOST_FOR_EACH {
        timers.begin(at(0), Sign::Life).unwrap();
    }
    let sibling = timers.begin(at(150), Sign::Life).unwrap();
    let told = story(&mut timers, 200);
    assert_eq!(told.iter().filter(|(_, due)| matches!(due, Due::Take(_))).count(), 9);
    let leave = Due::Leave(patience(900), Reason::RequestTimeout);
    assert_eq!(timers.due(at(200)), [Due::Tired(Reason::RequestTimeout), leave]);
    assert_eq!(timers.begin(at(201), Sign::Life), None);
    assert!(!timers.end(sibling, at(220)));
    assert_eq!(timers.due(at(220)), [Due::End(Reason::RequestTimeout)]);
}

#[test]
fn as_many_lost_threads_as_there_are_threads_make_a_process_tired() {
    let mut timers = timers(Limits { request_timeout: 100, interrupt_timeout: 60_000, ..Limits::default() });
    timers.begin(at(0), Sign::Life).unwrap();
    assert_eq!(story(&mut timers, 500), [(100, Due::Overdue(1)), (200, Due::Take(1))]);
    assert_eq!(timers.due(at(500)), []);
    timers.begin(at(500), Sign::Life).unwrap();
    assert_eq!(story(&mut timers, 900), [(600, Due::Overdue(2)), (700, Due::Take(2))]);
    assert_eq!(timers.due(at(900)), [Due::Tired(Reason::RequestTimeout)]);
    assert!(timers.begin(at(901), Sign::Life).is_some(), "it goes on");
}

#[test]
fn exactly_so_many_requests_begin() {
    let mut timers = timers(Limits { maximum_requests: 3, ..Limits::default() });
    let numbers: Vec<_> = (0..3).map(|_| timers.begin(at(1), Sign::Life).unwrap()).collect();
    assert_eq!(timers.begin(at(2), Sign::Life), None);
    assert!(timers.has_to_look());
    assert_eq!(timers.due(at(2)), [Due::Tired(Reason::MaximumRequests)]);
    assert_eq!((timers.due(at(900)), looks(&mut timers)), (vec![], None), "it waits for the others");
    for number in numbers {
        assert!(!timers.has_to_look());
        timers.end(number, at(1000));
    }
    assert!(timers.has_to_look());
    let leave = Due::Leave(patience(0), Reason::MaximumRequests);
    assert_eq!(timers.due(at(1000)), [leave, Due::End(Reason::MaximumRequests)]);
    assert_eq!((timers.due(at(2000)), looks(&mut timers)), (vec![], None));
}

#[test]
fn the_interval_counts_from_when_requests_are_accepted() {
    let mut timers = Timers::new(Limits { restart_interval: 100, ..Limits::default() }, 2, 0);
    assert_eq!((timers.due(at(5000)), looks(&mut timers)), (vec![], None));
    timers.open(at(5000));
    assert!(timers.has_to_look());
    assert_eq!((looks(&mut timers), timers.due(at(5099))), (Some(at(5100)), vec![]));
    assert_eq!(timers.due(at(5100)), [Due::Tired(Reason::RestartInterval)]);
}

#[test]
fn chance_takes_some_requests_off_but_never_all() {
    let count = |maximum_requests, maximum_requests_jitter, chance| {
        let limits = Limits { maximum_requests, maximum_requests_jitter, ..Limits::default() };
        let mut timers = Timers::new(limits, 2, chance);
        (0..100).filter(|_| timers.begin(at(0), Sign::Life).is_some()).count()
    };
    for (maximum, jitter, chance, expected) in [
        (50, 0, 12_345, 50),
        (50, 10, 0, 50),
        (50, 10, 10, 40),
        (50, 10, 11, 50),
        (5, 90, 90, 1),
        (5, u64::MAX, u64::MAX - 1, 1),
        (0, 10, 5, 100),
    ] {
        assert_eq!(count(maximum, jitter, chance), expected, "{maximum} {jitter} {chance}");
    }
}

#[test]
fn inactivity_counts_from_the_first_request_and_not_while_busy() {
    let mut timers = timers(Limits { inactivity_timeout: 1000, ..Limits::default() });
    assert_eq!((looks(&mut timers), timers.due(at(99_999))), (None, vec![]), "it was never used");
    let number = timers.begin(at(100_000), Sign::Life).unwrap();
    assert_eq!((looks(&mut timers), timers.due(at(199_999))), (None, vec![]), "it is busy");
    timers.end(number, at(200_000));
    assert!(timers.has_to_look());
    assert_eq!((looks(&mut timers), timers.due(at(200_999))), (Some(at(201_000)), vec![]));
    let number = timers.begin(at(200_999), Sign::Life).unwrap();
    timers.end(number, at(200_999));
    assert_eq!((timers.due(at(201_500)), looks(&mut timers)), (vec![], Some(at(201_999))));
    assert_eq!(timers.due(at(201_999)), [Due::Tired(Reason::InactivityTimeout)]);
}

#[test]
fn requests_that_are_no_sign_of_life_do_not_keep_a_process() {
    let mut timers = timers(Limits { inactivity_timeout: 1000, ..Limits::default() });
    let number = timers.begin(at(0), Sign::Nothing).unwrap();
    timers.end(number, at(1));
    assert_eq!(looks(&mut timers), None, "as if there had been none");
    let number = timers.begin(at(10), Sign::Life).unwrap();
    timers.end(number, at(10));
    for moment in [300, 600, 900] {
        let number = timers.begin(at(moment), Sign::Nothing).unwrap();
        timers.end(number, at(moment + 20));
    }
    assert_eq!(looks(&mut timers), Some(at(1010)));
    let number = timers.begin(at(1000), Sign::Nothing).unwrap();
    assert_eq!(timers.due(at(1010)), [], "it is busy");
    assert_eq!(looks(&mut timers), None);
    timers.end(number, at(1300));
    assert!(timers.has_to_look());
    assert_eq!(timers.due(at(1300)), [Due::Tired(Reason::InactivityTimeout)]);
}

#[test]
fn signals_give_requests_their_time() {
    let all = Limits { graceful_timeout: 3000, eviction_timeout: 7000, ..Limits::default() };
    let none = Limits::default();
    let graceful = Limits { eviction_timeout: 0, ..all };
    for (limits, call, time, reason) in [
        (all, Call::Evict, 7000, Reason::EvictionSignal),
        (graceful, Call::Evict, 3000, Reason::GracefulSignal),
        (none, Call::Evict, 0, Reason::GracefulSignal),
        (all, Call::Processor, 3000, Reason::CpuTimeLimit),
        (none, Call::Processor, 0, Reason::CpuTimeLimit),
        (all, Call::Reload, 3000, Reason::ScriptReload),
        (none, Call::Reload, 0, Reason::ScriptReload),
        (all, Call::End, 0, Reason::ShutdownSignal),
        (none, Call::End, 0, Reason::ShutdownSignal),
    ] {
        let mut timers = timers(limits);
        timers.begin(at(0), Sign::Life).unwrap();
        timers.ask(call, at(500));
        assert_eq!(timers.begin(at(501), Sign::Life), None);
        let expected = [(Due::Leave(patience(time), reason), 500), (Due::End(reason), 500 + time)];
        let mut told = Vec::new();
        for moment in [500, 500 + time] {
            told.extend(timers.due(at(moment)).into_iter().map(|due| (due, moment)));
        }
        assert_eq!(told, expected, "{call:?}");
        assert_eq!((timers.due(at(99_999)), looks(&mut timers)), (vec![], None));
    }
}

#[test]
fn whoever_is_told_to_stop_does_not_say_so() {
    for (call, time) in [(Call::Stop(patience(400)), Some(400)), (Call::Stop(Patience(None)), None)] {
        let mut timers = timers(Limits::default());
        let number = timers.begin(at(0), Sign::Life).unwrap();
        timers.ask(call, at(100));
        assert_eq!((timers.due(at(100)), looks(&mut timers)), (vec![], time.map(|time| at(100 + time))));
        timers.end(number, at(200));
        assert!(timers.has_to_look());
        assert_eq!(timers.due(at(200)), [Due::End(Reason::ShutdownSignal)]);
    }
    let mut orphan = timers(Limits { graceful_timeout: 50, ..Limits::default() });
    orphan.begin(at(0), Sign::Life).unwrap();
    orphan.ask(Call::Orphaned, at(100));
    assert_eq!(story(&mut orphan, 999), [(150, Due::End(Reason::ShutdownSignal))]);
}

#[test]
fn the_shortest_patience_counts_and_is_never_renewed() {
    let limits = Limits { graceful_timeout: 3000, ..Limits::default() };
    let mut timers = timers(limits);
    timers.begin(at(0), Sign::Life).unwrap();
    timers.ask(Call::Stop(Patience(None)), at(0));
    timers.ask(Call::Evict, at(1000));
    timers.ask(Call::Evict, at(2000));
    assert_eq!((timers.due(at(2000)), looks(&mut timers)), (vec![], Some(at(4000))));
    timers.ask(Call::Stop(Patience(None)), at(2500));
    assert_eq!(looks(&mut timers), Some(at(4000)));
    timers.ask(Call::End, at(3000));
    assert_eq!(timers.due(at(3000)), [Due::End(Reason::ShutdownSignal)]);
    timers.ask(Call::End, at(3001));
    assert_eq!(timers.due(at(3001)), []);
}

#[test]
fn the_first_reason_counts() {
    let mut timers = timers(Limits { restart_interval: 100, graceful_timeout: 5, ..Limits::default() });
    timers.begin(at(0), Sign::Life).unwrap();
    assert_eq!(timers.due(at(100)), [Due::Tired(Reason::RestartInterval)]);
    timers.ask(Call::Processor, at(200));
    assert_eq!(timers.due(at(200)), [Due::Leave(patience(5), Reason::RestartInterval)]);
    timers.ask(Call::End, at(201));
    assert_eq!(timers.due(at(201)), [Due::End(Reason::RestartInterval)]);
}

#[test]
fn requests_that_drain_are_still_limited() {
    let limits = Limits { request_timeout: 1000, interrupt_timeout: 500, ..Limits::default() };
    let mut timers = timers(limits);
    timers.begin(at(0), Sign::Life).unwrap();
    timers.ask(Call::Stop(Patience(None)), at(10));
    assert_eq!(
        story(&mut timers, 9999),
        [(1000, Due::Overdue(1)), (1100, Due::Take(1)), (1100, Due::End(Reason::ShutdownSignal))]
    );
}

#[test]
fn a_lock_that_cannot_be_had_ends_the_process_whatever_it_does() {
    let limits = Limits { deadlock_timeout: 4000, ..Limits::default() };
    assert_eq!(timers(limits).probe_interval(), Some(at(1000)));
    assert_eq!(timers(Limits { deadlock_timeout: 60_000, ..limits }).probe_interval(), Some(at(1000)));
    assert_eq!(timers(Limits { deadlock_timeout: 1000, ..limits }).probe_interval(), Some(at(250)));
    assert_eq!(timers(Limits::default()).probe_interval(), None);
    for leaving in [false, true] {
        let mut timers = timers(limits);
        timers.begin(at(0), Sign::Life).unwrap();
        timers.probe(0, at(100));
        timers.probe(1, at(150));
        assert_eq!(looks(&mut timers), Some(at(4100)));
        timers.probed(0);
        if leaving {
            timers.ask(Call::Stop(Patience(None)), at(200));
        }
        assert_eq!((timers.due(at(4149)), looks(&mut timers)), (vec![], Some(at(4150))));
        assert_eq!(timers.due(at(4150)), [Due::Deadlock(1)]);
        assert_eq!((timers.due(at(9999)), looks(&mut timers)), (vec![], None));
    }
}

#[test]
fn looking_at_locks_wakes_nobody_each_time() {
    let mut timers = timers(Limits { deadlock_timeout: 5000, ..Limits::default() });
    assert_eq!(timers.look_at(at(0)), Some(at(5000)));
    for second in 0..5 {
        timers.probe(0, at(second * 1000));
        assert!(!timers.has_to_look());
        timers.probed(0);
    }
    assert_eq!((timers.due(at(5000)), timers.look_at(at(5000))), (vec![], Some(at(10_000))));
    timers.probe(0, at(5001));
    assert!(!timers.has_to_look());
    assert_eq!((timers.due(at(10_000)), timers.look_at(at(10_000))), (vec![], Some(at(10_001))));
    assert_eq!(timers.due(at(10_001)), [Due::Deadlock(0)]);
}

#[test]
fn whoever_sleeps_is_woken_only_for_what_is_due_sooner() {
    let mut timers = timers(Limits { request_timeout: 1000, ..Limits::default() });
    assert_eq!(looks(&mut timers), None);
    let first = timers.begin(at(0), Sign::Life).unwrap();
    assert!(timers.has_to_look());
    assert_eq!(looks(&mut timers), Some(at(1000)));
    timers.end(first, at(10));
    timers.begin(at(10), Sign::Life).unwrap();
    assert!(!timers.has_to_look(), "it looks before that");
    assert_eq!((timers.due(at(1000)), looks(&mut timers)), (vec![], Some(at(1010))));
}
