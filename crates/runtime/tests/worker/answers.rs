// SPDX-License-Identifier: Apache-2.0
//! Requests, bodies and answers.

use super::caller::{Caller, End, Request};
use super::each;
use super::supervisor::Group;
use model::event::Level;
use model::exchange::ReadError;
use model::wire::{Failure, ToWorker};
use std::fs;
use std::thread;
use std::time::Duration;

const HELLO: &str = "def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')])
    return [b'hello ', environ['mod_wsgi.process_group'].encode()]
";

const ECHO: &str = "def application(environ, start_response):
    start_response('200 OK', [])
    stream = environ['wsgi.input']
    while True:
        data = stream.read(50000)
        if not data:
            break
        yield data
";

#[test]
fn a_small_answer_leaves_at_once_and_the_connection_is_used_again() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("hello.wsgi", HELLO);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        for _ in 0..3 {
            let answer = caller.call(Request::to(&script));
            assert_eq!((answer.end, answer.status, answer.reason.as_str()), (End::Complete, 200, "OK"), "{answer:?}");
            assert_eq!((answer.text(), answer.receptions), ("hello shop", 1));
            let cookies =
                answer.headers.iter().filter(|(name, _)| name == "Set-Cookie").map(|(_, value)| value.as_str());
            assert_eq!(cookies.collect::<Vec<_>>(), ["a=1", "b=2"]);
        }
        assert_eq!(worker.stop(), []);
    });
}

#[test]
fn bodies_are_pulled() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script("echo.wsgi", ECHO);
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let known = caller.call(Request {
            body: vec![b"abc".to_vec()],
            environ: vec![("CONTENT_LENGTH".to_owned(), "3".to_owned())],
            ..Request::to(&script)
        });
        assert_eq!((known.end, known.text()), (End::Complete, "abc"));
        let pieces = caller.call(Request { body: vec![b"ab".to_vec(), b"cd".to_vec()], ..Request::to(&script) });
        assert_eq!((pieces.end, pieces.text()), (End::Complete, "abcd"));
        let empty = caller.call(Request::to(&script));
        assert_eq!((empty.end, empty.text()), (End::Complete, ""));
        // Much in both directions at once.
        let piece: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        let large = caller.call(Request { body: vec![piece.clone(); 30], ..Request::to(&script) });
        assert_eq!((large.end, large.data.len()), (End::Complete, 30_000_000));
        assert!(large.data.chunks(piece.len()).all(|chunk| chunk == piece));
        worker.stop();
    });
}

#[test]
fn a_body_that_cannot_be_read_is_the_applications_to_handle() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "body.wsgi",
            "def application(environ, start_response):
    environ['wsgi.input'].read()
    start_response('200 OK', [])
    return []
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let mut status = |failure| {
            let body = vec![b"x".to_vec()];
            caller.call(Request { body, failure: Some(failure), ..Request::to(&script) }).end
        };
        assert_eq!(status(ReadError::TooLarge), End::Failed(Failure::Refused(413)));
        assert_eq!(status(ReadError::TimedOut), End::Failed(Failure::Refused(408)));
        assert_eq!(status(ReadError::ClientGone), End::Failed(Failure::ClientGone));
        let gone = caller.call(Request { abort: true, ..Request::to(&script) });
        assert_eq!(gone.end, End::Failed(Failure::ClientGone));
        worker.stop();
    });
}

#[test]
fn files_go_by_descriptor() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "file.wsgi",
            "def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '100000')])
    file = open(environ['X'], 'rb')
    file.seek(5)
    return environ['wsgi.file_wrapper'](file)
",
        );
        let content: Vec<u8> = (0..100_005_u32).map(|number| (number % 249) as u8).collect();
        fs::write(group.directory.join("data"), &content).unwrap();
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let path = group.directory.join("data").to_str().unwrap().to_owned();
        for _ in 0..2 {
            let answer = caller.call(Request { environ: vec![("X".to_owned(), path.clone())], ..Request::to(&script) });
            assert_eq!((answer.end, answer.files), (End::Complete, 1), "{} {:?}", answer.status, answer.log);
            assert!(answer.data == content[5..]);
        }
        worker.stop();
    });
}

#[test]
fn exceptions_are_no_answers() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "raise.wsgi",
            "def application(environ, start_response):
    if environ.get('X') == 'before':
        raise KeyError('early')
    start_response('200 OK', [])
    yield b'x' * 10
    raise KeyError('late')
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let mut call =
            |word: &str| caller.call(Request { environ: vec![("X".into(), word.into())], ..Request::to(&script) });
        let before = call("before");
        assert_eq!(before.end, End::Failed(Failure::Refused(500)));
        assert!(before.log.iter().any(|(level, line)| *level == Level::Error && line.contains("early")), "{before:?}");
        let after = call("after");
        assert_eq!((after.end, after.data.len()), (End::Failed(Failure::Truncated), 10));
        assert!(after.log.iter().any(|(_, line)| line.contains("late")), "{after:?}");
        worker.stop();
    });
}

#[test]
fn a_header_that_is_too_long_is_refused() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.header_limit = 1024;
        let script = group.script(
            "long.wsgi",
            "def application(environ, start_response):
    start_response('200 OK', [('X-Long', 'x' * int(environ['X']))])
    return [b'data']
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let mut call =
            |word: &str| caller.call(Request { environ: vec![("X".into(), word.into())], ..Request::to(&script) });
        assert_eq!(call("1000").end, End::Complete);
        let long = call("2000");
        assert_eq!((long.end, long.status), (End::Failed(Failure::Refused(500)), 0));
        assert!(long.log.iter().any(|(_, line)| line.contains("X-Long")), "{long:?}");
        worker.stop();
    });
}

#[test]
fn output_goes_to_the_log_of_the_request_at_once() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "log.wsgi",
            "import sys, time, os
print('loaded')
def application(environ, start_response):
    print('one')
    print('two', file=environ['wsgi.errors'])
    start_response('200 OK', [])
    while not os.path.exists(environ['X']):
        time.sleep(0.01)
    return []
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let go = group.directory.join("go");
        let mut request = Request { environ: vec![("X".into(), go.to_str().unwrap().into())], ..Request::to(&script) };
        caller.send(&request);
        let ended = caller.until(&mut request, |answer| answer.log.iter().any(|(_, line)| line.contains("two")));
        assert!(!ended);
        fs::write(&go, "").unwrap();
        let answer = caller.finish(request);
        assert_eq!(answer.end, End::Complete);
        let lines: Vec<_> = answer.log.iter().map(|(_, line)| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(lines, ["loaded", "one", "two"], "{answer:?}");
        worker.stop();
    });
}

#[test]
fn the_clients_absence_is_noticed() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "endless.wsgi",
            "import time
def application(environ, start_response):
    start_response('200 OK', [])
    try:
        while True:
            yield b'more'
            time.sleep(0.005)
    finally:
        open(environ['X'], 'w').close()
",
        );
        let worker = group.start();
        for says in [true, false] {
            let closed = group.directory.join(format!("closed-{says}"));
            let mut caller = Caller::new(&group);
            let mut request =
                Request { environ: vec![("X".into(), closed.to_str().unwrap().into())], ..Request::to(&script) };
            caller.send(&request);
            caller.until(&mut request, |answer| answer.flushes > 3);
            if says {
                caller.write(&ToWorker::Abort);
                assert_eq!(caller.finish(request).end, End::Failed(Failure::ClientGone));
            }
            drop(caller);
            for _ in 0..1000 {
                if closed.exists() {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
            assert!(closed.exists());
        }
        worker.stop();
    });
}

#[test]
fn whoever_takes_nothing_holds_up_no_thread_for_ever() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.threads = 1;
        group.settings.socket_timeout = 300;
        let script = group.script(
            "much.wsgi",
            "def application(environ, start_response):
    start_response('200 OK', [])
    if environ.get('X') == 'read':
        environ['wsgi.input'].read()
    if environ.get('X') == 'write':
        return [b'x' * 10000000]
    return []
",
        );
        let worker = group.start();
        let mut lazy = Vec::new();
        for word in ["read", "write"] {
            let mut caller = Caller::new(&group);
            caller.send(&Request { environ: vec![("X".into(), word.into())], ..Request::to(&script) });
            lazy.push(caller);
            assert_eq!(Caller::new(&group).call(Request::to(&script)).end, End::Complete);
        }
        worker.stop();
    });
}

#[test]
fn a_log_that_nobody_takes_holds_up_no_request() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "logs.wsgi",
            "def application(environ, start_response):
    for number in range(20000):
        print('line', number)
    open(environ['X'], 'w').close()
    start_response('200 OK', [])
    return [b'ok']
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let written = group.directory.join("written");
        let request = Request { environ: vec![("X".into(), written.to_str().unwrap().into())], ..Request::to(&script) };
        caller.send(&request);
        for _ in 0..2000 {
            if written.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert!(written.exists());
        let answer = caller.finish(request);
        assert_eq!((answer.end, answer.text()), (End::Complete, "ok"));
        let (level, last) = answer.log.last().unwrap();
        assert!(*level == Level::Warning && last.ends_with("nobody took them in time"), "{last}");
        worker.stop();
    });
}

#[test]
fn times_tell_where_a_request_waited() {
    each(|python| {
        let group = Group::new(python);
        let script = group.script(
            "times.wsgi",
            "def application(environ, start_response):
    start_response('200 OK', [])
    names = ('request_start', 'queue_start', 'daemon_start', 'application_start')
    times = [environ['mod_wsgi.' + name] for name in names]
    return [str(times[0] < times[1] < times[2] <= times[3] and (times[1], environ['mod_wsgi.request_start'])).encode()]
",
        );
        let worker = group.start();
        let answer = Caller::new(&group).call(Request::to(&script));
        assert_eq!(answer.text(), "(1700000001.5, 1700000000.0)");
        worker.stop();
    });
}

#[test]
fn blocks_that_come_fast_wait_for_one_another() {
    each(|python| {
        // For ten minutes, so that the first one leaves at once and the others at the end, or one by one.
        for (delay, flushes) in [(600_000, 2), (0, 50)] {
            let mut group = Group::new(python);
            group.settings.flush_delay = delay;
            let script = group.script(
                "blocks.wsgi",
                "def application(environ, start_response):
    start_response('200 OK', [])
    return (b'%d ' % number for number in range(50))
",
            );
            let worker = group.start();
            let answer = Caller::new(&group).call(Request::to(&script));
            let expected: String = (0..50).map(|number| format!("{number} ")).collect();
            assert_eq!((answer.end, answer.text(), answer.flushes), (End::Complete, expected.as_str(), flushes));
            worker.stop();
        }
    });
}

#[test]
fn no_block_waits_for_an_application_that_takes_its_time() {
    each(|python| {
        let mut group = Group::new(python);
        group.settings.flush_delay = 100;
        let script = group.script(
            "slow.wsgi",
            "import os, time
def application(environ, start_response):
    start_response('200 OK', [])
    for gate in '1', '2':
        yield b'first'
        yield b'second'
        end = time.monotonic() + 30
        while not os.path.exists(environ['X'] + gate):
            assert time.monotonic() < end
            time.sleep(0.01)
",
        );
        let worker = group.start();
        let mut caller = Caller::new(&group);
        let gate = group.directory.join("gate").to_str().unwrap().to_owned();
        let mut request = Request { environ: vec![("X".to_owned(), gate.clone())], ..Request::to(&script) };
        caller.send(&request);
        for number in 1..=2 {
            let all = "firstsecond".len() * number;
            assert!(
                !caller.until(&mut request, |answer| answer.data.len() == all),
                "both are here before the gate opens"
            );
            fs::write(format!("{gate}{number}"), "").unwrap();
        }
        assert_eq!(caller.finish(request).end, End::Complete);
        worker.stop();
    });
}
