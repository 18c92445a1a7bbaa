// SPDX-License-Identifier: Apache-2.0
//! Bodies in both directions at once: uploads that are echoed, refused or left, and downloads that are slow or abandoned.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use harness::{End, Httpd, Mode, Request, Site, event, frames, modes, wait};
use std::time::{Duration, Instant};

modes! {
    an_answer_streams_while_its_upload_still_arrives,
    a_refusal_before_the_body_is_read_is_always_delivered,
    a_refusal_before_the_body_is_read_is_always_delivered_over_http2,
}

const APPLICATION: &str = "import itertools, journal, os, time


class Endless:
    def __init__(self, name, block, pause):
        self.name, self.block, self.pause, self.sent = name, block, pause, 0

    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(self.pause)
        self.sent += len(self.block)
        if self.sent % (1 << 20) == 0 and self.block:
            journal.note('sent %d' % self.sent)
        return self.block

    def close(self):
        journal.note('closed ' + self.name)


ENDLESS = {'ticks': (b'x' * 100, 0.01), 'floods': (b'x' * 65536, 0), 'says nothing': (b'', 0.02)}


def application(environ, start_response):
    wish = environ['PATH_INFO'][1:].replace('-', ' ')
    if wish == 'echo':
        start_response('200 OK', [])
        return iter(lambda: environ['wsgi.input'].read(65536), b'')
    if wish == 'refuse':
        start_response('403 Forbidden', [('Content-Length', '6')])
        return [b'denied']
    if wish == 'file':
        file = open(os.path.join('@ROOT@', 'large.bin'), 'rb')
        start_response('200 OK', [('Content-Length', str(os.fstat(file.fileno()).st_size))])
        return environ['wsgi.file_wrapper'](file)
    start_response('200 OK', [])
    if wish in ENDLESS:
        journal.note('begun ' + wish)
        return Endless(wish, *ENDLESS[wish])
    return [b'here']
";

fn site(mode: Mode) -> Site {
    Site::new(mode).file("apps/d.py", APPLICATION).config("WSGIScriptAlias /d \"@APPS@/d.py\"\nWSGIChunkedRequest On")
}

/// Runs in a group whose only process has one thread.
fn with_one_thread() -> Site {
    let group = "WSGIDaemonProcess one python-path=\"@APPS@\" threads=1\nWSGIProcessGroup one";
    site(Mode::Embedded).config(group)
}

const MEBIBYTE: usize = 1 << 20;

/// Bytes that differ from block to block.
fn block(number: usize) -> Vec<u8> {
    (0..MEBIBYTE).map(|index| ((index * 7 + number * 31) % 251) as u8).collect()
}

fn an_answer_streams_while_its_upload_still_arrives(mode: Mode) {
    const BLOCKS: usize = 100;
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    let head = format!("POST /d/echo HTTP/1.0\r\nContent-Length: {}\r\n\r\n", BLOCKS * MEBIBYTE);
    connection.send(head.as_bytes());
    for number in 0..BLOCKS {
        let sent = block(number);
        connection.send(&sent);
        if number == 0 {
            assert_eq!(connection.read_head().expect("a head").status, 200);
        }
        // The next block is not sent before this one has come back.
        let back = connection.read_some(MEBIBYTE);
        assert!(back == sent, "block {number}: {} bytes", back.len());
    }
    assert!(connection.is_closed_by_server(), "that was all");
}

const UPLOAD: usize = 10_000_000;

/// Refused requests with bodies that the client sends whatever it is told.
fn refused(httpd: &Httpd) -> [(&'static str, Request); 3] {
    let request = httpd.request("POST", "/d/refuse");
    let body = vec![b'u'; UPLOAD];
    [
        ("a length", request.clone().body(body.clone())),
        ("chunks", request.clone().chunks(body.chunks(100_000))),
        ("100-continue", request.header("Expect", "100-continue").body(body)),
    ]
}

fn a_refusal_before_the_body_is_read_is_always_delivered(mode: Mode) {
    let httpd = site(mode).start();
    for (what, request) in refused(&httpd) {
        for number in 0..100 {
            let answer = request.send();
            let seen = (answer.status, answer.text(), &answer.end);
            assert_eq!(seen, (403, "denied".to_owned(), &End::Complete), "{what}, number {number}");
            assert!(answer.interim.is_empty(), "{what}: nobody asked for the body");
        }
    }
    httpd.get("/d").expect_body(b"here");
}

fn a_refusal_before_the_body_is_read_is_always_delivered_over_http2(mode: Mode) {
    let httpd = site(mode).with("http2").config("Protocols h2c http/1.1").start();
    let length = UPLOAD.to_string();
    let kinds: [&[(&str, &str)]; 3] =
        [&[("content-length", &length)], &[], &[("content-length", &length), ("expect", "100-continue")]];
    for headers in kinds {
        for number in 0..100 {
            let answer = frames::upload(httpd.port(), "/d/refuse", headers, UPLOAD);
            let seen = (answer.is_whole, String::from_utf8_lossy(&answer.body));
            assert_eq!(seen, (true, "denied".into()), "{headers:?}, number {number}");
            assert!(answer.shows(403), "{headers:?}: {:?}", answer.head);
        }
    }
    httpd.get("/d").expect_body(b"here");
}

#[test]
fn a_slow_download_of_a_file_occupies_no_thread() {
    let content: Vec<u8> = (0..20).flat_map(block).collect();
    let httpd = with_one_thread().file("large.bin", content.clone()).start();
    let mut slow = httpd.connect();
    slow.send(b"GET /d/file HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = slow.read_head().expect("a head");
    assert_eq!(head.status, 200);
    for _ in 0..5 {
        httpd.get("/d").expect_body(b"here");
    }
    let arrived = slow.read_some(content.len());
    assert!(arrived == content, "{} bytes", arrived.len());
}

/// How long after the client has gone the application is told.
fn time_to_close(httpd: &Httpd, name: &str) -> Duration {
    let mut client = httpd.connect();
    client.send(format!("GET /d/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", name.replace(' ', "-")).as_bytes());
    httpd.wait_for_journal(&format!("begun {name}"));
    if name == "floods" {
        // Until nobody takes any more, as the client reads nothing.
        let (mut seen, mut since) = (0, Instant::now());
        wait::until("the flood to stop", || {
            let now = httpd.journal().len();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            (since.elapsed() > Duration::from_millis(500)).then_some(())
        });
        assert!(seen > 1, "it flowed before");
    }
    let line = format!("closed {name}");
    assert!(!httpd.journal().contains(&line), "{name}: closed too early");
    let begun = Instant::now();
    client.drop_dead();
    let closed = wait::poll(Duration::from_secs(5), || httpd.journal().contains(&line).then_some(()));
    assert!(closed.is_some(), "{name}: not closed after {:?}", begun.elapsed());
    begun.elapsed()
}

#[test]
fn the_application_is_told_soon_that_its_client_has_gone() {
    let httpd = with_one_thread().start();
    httpd.tolerate(event::WORKER_LOST);
    for name in ["ticks", "floods", "says nothing"] {
        println!("an answer that {name} is closed after {:?}", time_to_close(&httpd, name));
        // The only thread is free again.
        httpd.get("/d").expect_body(b"here");
    }
}
