// SPDX-License-Identifier: Apache-2.0
//! wsgi.input: every method, its errors, chunked bodies, and 100-continue only when the application reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{End, Httpd, Mode, Protocol, Site, modes};
use std::time::Duration;

modes! {
    read_gives_everything_or_as_much_as_asked,
    readline_gives_lines,
    long_lines_are_not_split,
    lines_across_small_reads_are_whole,
    readlines_stops_at_its_hint,
    iteration_gives_lines,
    reading_zero_bytes_does_nothing,
    after_the_end_everything_is_empty,
    close_does_nothing,
    wrong_arguments_raise,
    use_after_the_request_raises,
    a_body_in_pieces_is_read_as_it_arrives,
    chunked_bodies_are_decoded,
    chunks_in_pieces_are_decoded,
    a_request_without_body_is_empty,
    binary_bodies_arrive_unchanged,
    input_filters_apply,
    an_http2_body_is_read,
    continue_is_sent_when_the_application_reads,
    continue_is_not_sent_when_it_does_not_read,
    continue_is_sent_when_reading_happens_late,
    an_unread_body_does_not_disturb_the_next_request,
    a_short_body_raises_oserror,
    a_malformed_chunk_raises_oserror,
    a_stalled_body_raises_oserror,
    a_large_read_of_a_small_body_is_cheap,
    the_body_arrives_while_the_answer_streams,
}

fn site(mode: Mode) -> Site {
    Site::new(mode)
        .mount("/b", "body.py")
        .mount("/g", "gated.py")
        .config("WSGIScriptAlias /echo \"@APPS@/body.py\" callable-object=echo")
        .config("WSGIScriptAlias /count \"@APPS@/body.py\" callable-object=counting")
        .config("WSGIChunkedRequest On")
}

/// Sends `body` and gives what each of the expressions gave.
fn attempts(httpd: &Httpd, expressions: &str, body: &str) -> Vec<String> {
    let target = format!("/b?{}", expressions.replace(' ', "%20"));
    let answer = httpd.request("POST", &target).body(body).send();
    answer.expect(200);
    answer.text().lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_attempts(httpd: &Httpd, expressions: &str, body: &str, expected: &[&str]) {
    assert_eq!(attempts(httpd, expressions, body), expected, "{expressions}");
}

fn read_gives_everything_or_as_much_as_asked(mode: Mode) {
    let httpd = site(mode).start();
    assert_attempts(&httpd, "i.read()", "abcdef", &["b'abcdef'"]);
    assert_attempts(&httpd, "i.read(-1)", "abcdef", &["b'abcdef'"]);
    assert_attempts(&httpd, "i.read(4);i.read(4);i.read(4)", "abcdef", &["b'abcd'", "b'ef'", "b''"]);
    assert_attempts(&httpd, "i.read(6);i.read()", "abcdef", &["b'abcdef'", "b''"]);
    assert_attempts(&httpd, "i.read(True)", "abc", &["b'a'"]);
}

fn readline_gives_lines(mode: Mode) {
    let httpd = site(mode).start();
    let expected = [r"b'one\n'", r"b'\n'", r"b'three'", "b''"];
    assert_attempts(&httpd, "i.readline();i.readline();i.readline();i.readline()", "one\n\nthree", &expected);
    let expected = ["b'on'", r"b'e\n'", "b'two'"];
    assert_attempts(&httpd, "i.readline(2);i.readline(5);i.readline(-1)", "one\ntwo", &expected);
    assert_attempts(&httpd, "i.readline(0);i.read()", "one\n", &["b''", r"b'one\n'"]);
}

fn long_lines_are_not_split(mode: Mode) {
    let httpd = site(mode).start();
    for size in [8190, 8191, 8192, 8193, 20_000, 100_000] {
        let body = format!("{}\nnext\n", "x".repeat(size));
        let expected = [(size + 1).to_string(), "5".to_owned(), "0".to_owned()];
        assert_eq!(attempts(&httpd, "len(i.readline());len(i.readline());len(i.readline())", &body), expected);
    }
    // Bytes left over from a bounded read, then a line that ends far behind them.
    let body = format!("ab{}\nend", "y".repeat(30_000));
    assert_eq!(attempts(&httpd, "i.readline(2);len(i.readline());i.readline()", &body), ["b'ab'", "30001", "b'end'"]);
}

fn lines_across_small_reads_are_whole(mode: Mode) {
    let httpd = site(mode).start();
    let expected = [r"b'ab'", r"b'c\n'", r"b'd'", r"b'ef\n'", r"b'gh'"];
    assert_attempts(&httpd, "i.read(2);i.readline();i.read(1);i.readline();i.read()", "abc\ndef\ngh", &expected);
}

fn readlines_stops_at_its_hint(mode: Mode) {
    let httpd = site(mode).start();
    assert_attempts(&httpd, "i.readlines()", "a\nb\nc", &[r"[b'a\n', b'b\n', b'c']"]);
    assert_attempts(&httpd, "i.readlines(3);i.readlines(0)", "a\nb\nc", &[r"[b'a\n', b'b\n']", "[b'c']"]);
    assert_attempts(&httpd, "i.readlines(-1)", "", &["[]"]);
}

fn iteration_gives_lines(mode: Mode) {
    let httpd = site(mode).start();
    assert_attempts(&httpd, "list(i);list(i)", "a\nb", &[r"[b'a\n', b'b']", "[]"]);
    assert_attempts(&httpd, "next(i);next(i)", "a\n", &[r"b'a\n'", "StopIteration: "]);
    assert_attempts(&httpd, "iter(i) is i", "", &["True"]);
}

fn reading_zero_bytes_does_nothing(mode: Mode) {
    let httpd = site(mode).start();
    assert_attempts(&httpd, "i.read(0);i.read(0);i.read()", "abc", &["b''", "b''", "b'abc'"]);
}

fn after_the_end_everything_is_empty(mode: Mode) {
    let httpd = site(mode).start();
    let expected = ["b'abc'", "b''", "b''", "b''", "[]", "[]"];
    assert_attempts(&httpd, "i.read();i.read();i.read(5);i.readline();i.readlines();list(i)", "abc", &expected);
}

fn close_does_nothing(mode: Mode) {
    let httpd = site(mode).start();
    assert_attempts(&httpd, "i.close();i.read()", "abc", &["None", "b'abc'"]);
}

fn wrong_arguments_raise(mode: Mode) {
    let httpd = site(mode).start();
    for expression in
        ["i.read(1.5)", "i.read('1')", "i.read(1,2)", "i.readline(1.5)", "i.readline(1,2)", "i.readlines('x')"]
    {
        let outcome = &attempts(&httpd, expression, "abc")[0];
        assert!(outcome.starts_with("TypeError: "), "{expression}: {outcome}");
    }
    let outcome = &attempts(&httpd, "i.read(10**30)", "abc")[0];
    assert!(outcome == "b'abc'" || outcome.starts_with("OverflowError: "), "{outcome}");
}

fn use_after_the_request_raises(mode: Mode) {
    let httpd = site(mode).start();
    attempts(&httpd, "i.read(1)", "abc");
    let target = "/b/after?i.read();i.readline();i.readlines();i.close();next(i)";
    let answer = httpd.get(target);
    let lines: Vec<String> = answer.text().lines().map(str::to_owned).collect();
    let expected = [
        "RuntimeError: read() called on wsgi.input after request completed",
        "RuntimeError: readline() called on wsgi.input after request completed",
        "RuntimeError: readlines() called on wsgi.input after request completed",
        "RuntimeError: close() called on wsgi.input after request completed",
        "RuntimeError: iteration of wsgi.input attempted after request completed",
    ];
    assert_eq!(lines, expected);
}

fn a_body_in_pieces_is_read_as_it_arrives(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(b"POST /g/reading HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345");
    httpd.wait_for_journal("started reading");
    assert!(connection.is_silent_for(Duration::from_millis(100)));
    connection.send(b"67890");
    connection.read_response("POST").expect_body(b"done");
    httpd.wait_for_journal("read 10");
}

fn chunked_bodies_are_decoded(mode: Mode) {
    let httpd = site(mode).start();
    let chunks = ["first\nse", "c", "ond\n", "third"];
    let send = |expressions: &str| httpd.request("POST", &format!("/b?{expressions}")).chunks(chunks).send();
    send("i.read()").expect_body(br"b'first\nsecond\nthird'");
    send("list(i)").expect_body(br"[b'first\n', b'second\n', b'third']");
    send("i.read(7);i.read(100)").expect_body(b"b'first\\ns'\nb'econd\\nthird'");
    httpd.request("POST", "/b?i.read()").chunks([""]).send().expect_body(b"b''");
}

fn chunks_in_pieces_are_decoded(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(b"POST /b?i.read() HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n");
    for byte in b"5;extension=1\r\nhello\r\n00006\r\n world\r\n0\r\nTrailer: x\r\n\r\n" {
        connection.send(&[*byte]);
    }
    connection.read_response("POST").expect_body(b"b'hello world'");
}

fn a_request_without_body_is_empty(mode: Mode) {
    let httpd = site(mode).start();
    for method in ["GET", "POST", "DELETE"] {
        httpd.request(method, "/b?i.read();i.readline();list(i)").send().expect_body(b"b''\nb''\n[]");
    }
    httpd.request("GET", "/b?i.read()").over(Protocol::Http10).send().expect_body(b"b''");
}

fn binary_bodies_arrive_unchanged(mode: Mode) {
    let httpd = site(mode).start();
    let body: Vec<u8> = (0..1_000_000_u32).map(|number| (number * 7 % 256) as u8).collect();
    httpd.request("POST", "/echo").body(body.clone()).send().expect_body(&body);
    httpd.request("POST", "/echo").chunks(body.chunks(70_001)).send().expect_body(&body);
}

fn input_filters_apply(mode: Mode) {
    let httpd = site(mode).with("deflate").config("<Location /echo>\nSetInputFilter DEFLATE\n</Location>").start();
    // "hello, compressed world" by gzip.
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\x51\x28\xcf\x2f\xca\x49\x01\x00\x08\x9e\x34\x35\x17\x00\x00\x00";
    let answer = httpd.request("POST", "/echo").header("Content-Encoding", "gzip").body(packed.to_vec()).send();
    answer.expect_body(b"hello, compressed world");
}

fn an_http2_body_is_read(mode: Mode) {
    let httpd = site(mode).with("http2").config("Protocols h2c http/1.1").start();
    let body = vec![b'z'; 300_000];
    let with_length = httpd.request("POST", "/echo").over(Protocol::Http2).body(body.clone());
    with_length.send().expect_body(&body);
    let without = httpd.request("PUT", "/echo").over(Protocol::Http2).chunks([body.clone()]);
    without.send().expect_body(&body);
}

fn expecting(target: &str) -> Vec<u8> {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .into_bytes()
}

fn continue_is_sent_when_the_application_reads(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(&expecting("/b?i.read()"));
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(b"abc");
    connection.read_response("POST").expect_body(b"b'abc'");
}

fn continue_is_not_sent_when_it_does_not_read(mode: Mode) {
    let httpd = site(mode).start();
    for target in ["/b", "/b?i.readline(0)"] {
        let mut connection = httpd.connect();
        connection.send(&expecting(target));
        let answer = connection.read_response("POST");
        assert_eq!((answer.status, answer.interim.as_slice()), (200, [].as_slice()), "{target}");
    }
}

fn continue_is_sent_when_reading_happens_late(mode: Mode) {
    let httpd = site(mode)
        .file("apps/late.py", "import journal\ndef application(environ, start_response):\n    journal.note('started')\n    journal.wait_for_gate('go')\n    data = environ['wsgi.input'].read()\n    start_response('200 OK', [])\n    return [data]\n")
        .config("WSGIScriptAlias /late \"@APPS@/late.py\"")
        .start();
    let mut connection = httpd.connect();
    connection.send(&expecting("/late"));
    httpd.wait_for_journal("started");
    assert!(connection.is_silent_for(Duration::from_millis(150)));
    httpd.open_gate("go");
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(b"abc");
    connection.read_response("POST").expect_body(b"abc");
}

fn an_unread_body_does_not_disturb_the_next_request(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    for _ in 0..3 {
        connection.send(&httpd.request("POST", "/b").body("GET /forged HTTP/1.1\r\n\r\n").bytes());
        connection.read_response("POST").expect_body(b"");
        connection.send(&httpd.request("POST", "/b?i.read(3)").chunks(["abcdef", "ghi"]).bytes());
        connection.read_response("POST").expect_body(b"b'abc'");
    }
}

#[track_caller]
fn assert_read_fails(httpd: &Httpd) {
    let raised = httpd.wait_for_journal("read raised");
    assert!(raised.contains("OSError"), "{raised}");
    let again = httpd.wait_for_journal("read again raised");
    assert!(again.contains("OSError"), "{again}");
    httpd.wait_for_journal("closed reading");
}

fn a_short_body_raises_oserror(mode: Mode) {
    let httpd = site(mode).start();
    httpd.tolerate_text("AH");
    let mut connection = httpd.connect();
    connection.send(b"POST /g/reading HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345").half_close();
    connection.read_some(1);
    assert_read_fails(&httpd);
}

fn a_malformed_chunk_raises_oserror(mode: Mode) {
    let httpd = site(mode).start();
    httpd.tolerate_text("AH");
    let mut connection = httpd.connect();
    connection.send(
        b"POST /g/reading HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n\r\n",
    );
    let answer = connection.read_response("POST");
    assert_read_fails(&httpd);
    assert!(!matches!(answer.status, 200 if answer.end == End::Stalled), "{answer:?}");
    assert!(connection.is_closed_by_server(), "the connection cannot be used any more");
}

fn a_stalled_body_raises_oserror(mode: Mode) {
    let httpd = site(mode).config("Timeout 1").start();
    httpd.tolerate_text("AH");
    let mut connection = httpd.connect();
    connection.send(b"POST /g/reading HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345");
    assert_read_fails(&httpd);
    connection.read_some(1);
}

fn a_large_read_of_a_small_body_is_cheap(mode: Mode) {
    let httpd = site(mode).start();
    assert_attempts(&httpd, "i.read(2**40)", "abc", &["b'abc'"]);
    assert_attempts(&httpd, "i.readline(2**40)", "abc", &["b'abc'"]);
}

fn the_body_arrives_while_the_answer_streams(mode: Mode) {
    let httpd = site(mode)
        .file("apps/both.py", "def application(environ, start_response):\n    start_response('200 OK', [])\n    return iter(lambda: environ['wsgi.input'].read(65536), b'')\n")
        .config("WSGIScriptAlias /both \"@APPS@/both.py\"")
        .start();
    let body = vec![b'd'; 3_000_000];
    let request = httpd.request("POST", "/both").body(body.clone());
    let mut connection = httpd.connect();
    connection.send(&request.bytes()[..100_000]);
    let first = connection.read_head().expect("the answer begins before the body has ended");
    assert_eq!(first.status, 200);
    connection.send(&request.bytes()[100_000..]);
    httpd.get("/b").expect(200);
}
