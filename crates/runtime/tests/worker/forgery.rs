// SPDX-License-Identifier: Apache-2.0
//! What does not follow the rules closes its connection and does nothing else.

use super::caller::{Caller, End, Request};
use super::each;
use super::pythons::pythons;
use super::supervisor::{Group, KEY};
use model::wire::{Call, HEADER, ToWorker};
use std::io::Write as _;
use std::time::{Duration, Instant};

const HELLO: &str = "def application(environ, start_response):
    start_response('200 OK', [])
    return [b'hello']
";

fn bytes(frame: &ToWorker<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.write(&mut bytes);
    bytes
}

fn hello<'a>() -> ToWorker<'a> {
    ToWorker::Hello { build_id: model::BUILD_ID.as_bytes(), key: KEY, incarnation: 1 }
}

#[test]
fn nobody_is_heard_without_the_key_and_the_build() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("hello.wsgi", HELLO);
        let worker = group.start();
        let mut wrong = KEY;
        wrong[31] ^= 1;
        let openings = [
            bytes(&ToWorker::Hello { build_id: model::BUILD_ID.as_bytes(), key: wrong, incarnation: 1 }),
            bytes(&ToWorker::Hello { build_id: b"0.1.0-other", key: KEY, incarnation: 1 }),
            bytes(&ToWorker::Call(Call { script: script.as_bytes(), ..Call::default() })),
            bytes(&ToWorker::Abort),
        ];
        for opening in openings {
            let mut caller = Caller::silent(&group);
            let call = Call { script: script.as_bytes(), callable: b"application", ..Call::default() };
            caller.stream.write_all(&[opening, bytes(&ToWorker::Call(call))].concat()).unwrap();
            assert!(caller.is_closed());
        }
        assert_eq!(Caller::new(&group).call(Request::to(&script)).end, End::Complete);
        assert_eq!(worker.stop(), []);
    });
}

#[test]
fn only_processes_of_the_named_users_are_heard() {
    each(|python| {
        let mut group = Group::new(python);
        let script = group.script("hello.wsgi", HELLO);
        let own = nix::unistd::getuid().as_raw();
        for (peers, is_heard) in
            [(vec![own], true), (vec![own + 2, own], true), (vec![own + 1], false), (vec![], false)]
        {
            group.settings.peers = Some(peers);
            let mut worker = group.start();
            let mut caller = Caller::silent(&group);
            if is_heard {
                caller.write(&hello());
                assert_eq!(caller.call(Request::to(&script)).end, End::Complete);
                assert_eq!(worker.stop(), []);
            } else {
                assert!(caller.is_closed(), "before it says anything");
                worker.wait_for_line(&format!("WSGIRS0404: a connection of user {own} was closed"));
            }
        }
    });
}

#[test]
fn a_connection_that_was_meant_for_a_predecessor_starts_nothing() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("hello.wsgi", HELLO);
        let worker = group.start();
        let mut caller = Caller::silent(&group);
        caller.write(&ToWorker::Hello { build_id: model::BUILD_ID.as_bytes(), key: KEY, incarnation: 2 });
        assert_eq!(caller.call(Request::to(&script)).end, End::NotStarted);
        assert!(caller.is_closed());
        assert_eq!(worker.stop(), []);
    });
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.next() % most).map(|_| (self.next() % 256) as u8).collect()
    }
}

#[test]
fn forged_frames_close_their_connection() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("hello.wsgi", HELLO);
        let worker = group.start();
        let call = bytes(&ToWorker::Call(Call { script: script.as_bytes(), ..Call::default() }));
        let mut forged = vec![
            vec![255; 64],
            vec![2, 0, 0, 0, 255, 255, 255, 255],
            vec![2, 1, 0, 0, 0, 0, 0, 0],
            vec![3, 0, 0, 0, 0, 0, 0, 0],
            [&[2, 0, 0, 0, 0, 0, 0, 1][..], &[255; 100_000]].concat(),
            bytes(&ToWorker::BodyEnd),
            bytes(&hello()),
        ];
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..200 {
            // A whole frame of a wrong kind, and one with some bytes exchanged.
            let payload = dice.bytes(200);
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            forged.push([&[(dice.next() % 80) as u8, 0, 0, 0][..], &length, &payload].concat());
            let mut changed = call.clone();
            for _ in 0..1 + dice.next() % 4 {
                let place = HEADER + (dice.next() as usize) % (changed.len() - HEADER);
                changed[place] = (dice.next() % 256) as u8;
            }
            forged.push(changed);
        }
        for frame in forged {
            let mut caller = Caller::new(&group);
            // The worker may have closed already.
            let _sent = caller.stream.write_all(&frame);
            let _ended = caller.stream.shutdown(std::net::Shutdown::Write);
            while !caller.is_closed() {}
        }
        assert_eq!(Caller::new(&group).call(Request::to(&script)).end, End::Complete);
        worker.stop();
    });
}

#[test]
fn a_frame_in_the_place_of_a_body_ends_the_request() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "body.wsgi",
            "def application(environ, start_response):
    environ['wsgi.input'].read(10)
    start_response('200 OK', [])
    return []
",
        );
        let worker = group.start();
        for frame in [bytes(&hello()), bytes(&ToWorker::Body(&[b'x'; 500_000])), vec![77; 9]] {
            let mut caller = Caller::new(&group);
            caller.send(&Request::to(&script));
            // The worker may have closed already.
            let _sent = caller.stream.write_all(&frame);
            while !caller.is_closed() {}
        }
        assert_eq!(Caller::new(&group).call(Request::to(&script)).end, End::Complete);
        worker.stop();
    });
}

#[test]
fn whoever_says_half_occupies_no_thread() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 1;
        let script = group.script("hello.wsgi", HELLO);
        let worker = group.start();
        let _silent = Caller::silent(&group);
        let mut slow = Caller::new(&group);
        let call =
            bytes(&ToWorker::Call(Call { script: script.as_bytes(), callable: b"application", ..Call::default() }));
        slow.stream.write_all(&call[..20]).unwrap();
        assert_eq!(Caller::new(&group).call(Request::to(&script)).end, End::Complete);
        slow.stream.write_all(&call[20..]).unwrap();
        assert_eq!(slow.finish(Request::default()).text(), "hello");
        worker.stop();
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let group = Group::new(&pythons()[0].1);
    let script = group.script("hello.wsgi", HELLO);
    let worker = group.start();
    let mut caller = Caller::new(&group);
    assert_eq!(caller.call(Request::to(&script)).end, End::Complete);
    let start = Instant::now();
    assert!(caller.is_closed());
    let waited = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(13)).contains(&waited), "{waited:?}");
    worker.stop();
}

/// Lets the process have no further descriptor, says `full`, then waits for the file `go`.
const FULL: &str = "import os, resource, time
def application(environ, start_response):
    last = os.dup(2)
    os.close(last)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print('full')
    while not os.path.exists(os.path.join(os.path.dirname(__file__), 'go')):
        time.sleep(0.01)
    start_response('200 OK', [])
    return [b'done']
";

#[test]
fn a_request_over_a_connection_that_is_given_up_may_be_sent_over_another_one() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 1;
        let (hello, full) = (group.script("hello.wsgi", HELLO), group.script("full.wsgi", FULL));
        let worker = group.start();
        let mut idle = Caller::new(&group);
        assert_eq!(idle.call(Request::to(&hello)).end, End::Complete);
        let mut running = Caller::new(&group);
        let mut request = Request::to(&full);
        running.send(&request);
        assert!(!running.until(&mut request, |answer| answer.log.iter().any(|(_, line)| line.contains("full"))));
        let mut new = Caller::new(&group);
        idle.send(&Request::to(&hello));
        std::fs::write(group.directory.join("go"), "").unwrap();
        assert_eq!(running.finish(request).end, End::Complete);
        let refused = idle.finish(Request::default());
        assert_eq!((refused.end, refused.leaving), (End::NotStarted, false));
        assert_eq!(new.call(Request::to(&hello)).end, End::Complete);
        assert_eq!(worker.stop(), []);
    });
}
