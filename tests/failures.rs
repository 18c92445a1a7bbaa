// SPDX-License-Identifier: Apache-2.0
//! Applications that fail at each stage: what the client sees, what the log says, and that the child lives on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{End, Httpd, Mode, Protocol, Response, Site, event, modes};

modes! {
    an_exception_before_start_response_is_a_500,
    an_exception_after_start_response_is_a_500_without_its_headers,
    an_exception_before_the_first_block_is_a_500,
    an_exception_after_a_block_cuts_the_answer,
    an_exception_with_a_declared_length_cuts_the_answer,
    an_exception_after_the_whole_length_is_not_hidden_by_a_hang,
    an_exception_after_write_cuts_the_answer_and_adds_nothing,
    a_cut_answer_is_a_reset_stream_in_http2,
    a_cut_answer_closes_an_http10_connection_early,
    an_exception_in_close_is_only_logged,
    close_is_called_whatever_happens,
    system_exit_ends_the_request_only,
    keyboard_interrupt_ends_the_request_only,
    deep_recursion_ends_the_request_only,
    the_log_names_the_exception_and_where_it_came_from,
    the_traceback_goes_to_the_virtual_host_of_the_request,
    the_access_log_has_the_status_that_was_sent,
    a_panic_in_the_module_is_a_500,
    exceptions_with_strange_texts_are_logged,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/a", "answers.py").mount("/e", "environ.py")
}

/// Runs `request` and fails unless the same child serves afterwards.
fn in_a_living_child(httpd: &Httpd, request: impl FnOnce() -> Response) -> Response {
    let pid = || httpd.get("/e").environ().text("mod_wsgi.server_pid").to_owned();
    let before = pid();
    let answer = request();
    assert_eq!(pid(), before, "the child has changed");
    answer
}

#[track_caller]
fn assert_500(httpd: &Httpd, path: &str) -> Response {
    httpd.expect(event::APPLICATION_FAILED);
    let before = httpd.count(event::APPLICATION_FAILED);
    let answer = in_a_living_child(httpd, || httpd.get(path));
    answer.expect(500);
    assert_eq!(httpd.count(event::APPLICATION_FAILED), before + 1, "one event for {path}");
    answer
}

#[track_caller]
fn assert_cut(httpd: &Httpd, path: &str, body: &str) {
    httpd.expect(event::APPLICATION_FAILED);
    let answer = in_a_living_child(httpd, || httpd.get(path));
    assert_eq!((answer.status, &answer.end, answer.text().as_str()), (200, &End::Cut, body), "{path}");
}

fn an_exception_before_start_response_is_a_500(mode: Mode) {
    assert_500(&site(mode).start(), "/a/raises");
}

fn an_exception_after_start_response_is_a_500_without_its_headers(mode: Mode) {
    let answer = assert_500(&site(mode).start(), "/a/raises-after-start");
    assert_eq!(answer.header("X-Lost"), None);
    assert!(answer.header("Content-Type").unwrap().starts_with("text/html"));
}

fn an_exception_before_the_first_block_is_a_500(mode: Mode) {
    assert_500(&site(mode).start(), "/a/fail-generator-at-once");
}

fn an_exception_after_a_block_cuts_the_answer(mode: Mode) {
    assert_cut(&site(mode).start(), "/a/fail-generator", "part ");
}

fn an_exception_with_a_declared_length_cuts_the_answer(mode: Mode) {
    let httpd = site(mode).start();
    httpd.tolerate(event::SHORT_ANSWER);
    assert_cut(&httpd, "/a/fail-with-length", "part ");
}

fn an_exception_after_the_whole_length_is_not_hidden_by_a_hang(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::APPLICATION_FAILED);
    // The last block may have left or not; either way the client has an answer at once.
    let answer = httpd.get("/a/fail-after-all");
    let whole = answer.status == 200 && answer.text() == "12345";
    assert!(whole || answer.status == 500, "{answer:?}");
    assert_eq!(answer.end, End::Complete);
}

fn an_exception_after_write_cuts_the_answer_and_adds_nothing(mode: Mode) {
    assert_cut(&site(mode).start(), "/a/raises-after-write", "written ");
}

fn a_cut_answer_is_a_reset_stream_in_http2(mode: Mode) {
    let httpd = site(mode).with("http2").config("Protocols h2c http/1.1").start();
    httpd.expect(event::APPLICATION_FAILED).tolerate(event::SHORT_ANSWER);
    for path in ["/a/fail-generator", "/a/fail-with-length", "/a/raises-after-write", "/a/short-generator"] {
        let answer = in_a_living_child(&httpd, || httpd.request("GET", path).over(Protocol::Http2).send());
        assert_eq!(answer.end, End::Cut, "{path}: {answer:?}");
    }
    httpd.request("GET", "/a/raises").over(Protocol::Http2).send().expect(500);
}

fn a_cut_answer_closes_an_http10_connection_early(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::APPLICATION_FAILED).tolerate(event::SHORT_ANSWER);
    let answer = httpd.request("GET", "/a/fail-with-length").over(Protocol::Http10).send();
    assert_eq!(answer.end, End::Cut, "{answer:?}");
}

fn an_exception_in_close_is_only_logged(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::CLOSE_FAILED);
    in_a_living_child(&httpd, || httpd.get("/a/close-fails")).expect_body(b"whole");
    httpd.wait_for_journal("closing broken");
}

fn close_is_called_whatever_happens(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::APPLICATION_FAILED).expect(event::LONG_ANSWER).expect(event::SHORT_ANSWER);
    let cases = [
        ("/a/noted", "closed whole"),
        ("/a/noted-failing", "closed failing"),
        ("/a/noted-failing-at-once", "closed failing at once"),
        ("/a/noted-long", "closed long"),
        ("/a/noted-short", "closed short"),
        ("/a/closed-though-never-started", "closed unstarted"),
    ];
    for (path, line) in cases {
        httpd.get(path);
        httpd.wait_for_journal(line);
    }
    assert_eq!(httpd.journal().len(), cases.len(), "once each: {:?}", httpd.journal());
}

fn system_exit_ends_the_request_only(mode: Mode) {
    let httpd = site(mode).start();
    assert_500(&httpd, "/a/exits");
    assert_cut(&httpd, "/a/exits-while-iterating", "some ");
    assert!(httpd.log().iter().any(|entry| entry.line.contains("SystemExit")));
}

fn keyboard_interrupt_ends_the_request_only(mode: Mode) {
    let httpd = site(mode).start();
    assert_500(&httpd, "/a/interrupted");
    assert!(httpd.log().iter().any(|entry| entry.line.contains("KeyboardInterrupt")));
}

fn deep_recursion_ends_the_request_only(mode: Mode) {
    let httpd = site(mode).start();
    assert_500(&httpd, "/a/recursion");
    assert!(httpd.log().iter().any(|entry| entry.line.contains("RecursionError")));
    assert_500(&httpd, "/a/recursion");
}

fn the_log_names_the_exception_and_where_it_came_from(mode: Mode) {
    let httpd = site(mode).start();
    assert_500(&httpd, "/a/raises");
    let log = httpd.log();
    let header = log.iter().position(|entry| entry.number == Some(event::APPLICATION_FAILED)).unwrap();
    for fact in ["ValueError", httpd.app_path("answers.py").to_str().unwrap()] {
        assert!(log[header].line.contains(fact), "{fact}: {}", log[header].line);
    }
    let follows: Vec<&str> = log[header + 1..].iter().map(|entry| entry.message.as_str()).collect();
    assert!(follows.iter().any(|line| line.contains("Traceback (most recent call last):")), "{follows:?}");
    assert!(follows.iter().any(|line| line.contains("answers.py") && line.contains("in raises")), "{follows:?}");
    assert!(follows.iter().any(|line| line.contains("ValueError: before anything")), "{follows:?}");
    assert!(follows.iter().all(|line| !line.contains('\n') && !line.contains("\\n")), "one record for each line");
}

fn the_traceback_goes_to_the_virtual_host_of_the_request(mode: Mode) {
    let httpd = Site::new(mode)
        .app("answers.py")
        .vhost("one.test", "WSGIScriptAlias /a \"@APPS@/answers.py\"")
        .vhost("two.test", "WSGIScriptAlias /a \"@APPS@/answers.py\"")
        .start();
    httpd.expect(event::APPLICATION_FAILED);
    httpd.request("GET", "/a/raises").header("Host", "two.test").send().expect(500);
    let has = |log: &str| httpd.log_of(log).iter().any(|entry| entry.line.contains("before anything"));
    assert!(has("two.test") && !has("one.test") && !has("error"));
}

fn the_access_log_has_the_status_that_was_sent(mode: Mode) {
    let httpd = site(mode).config("CustomLog \"@LOGS@/access.log\" \"%U %>s %X\"").start();
    httpd.expect(event::APPLICATION_FAILED);
    httpd.get("/a/raises");
    httpd.get("/a/raises-after-write");
    httpd.get("/a/hello");
    let lines = harness::wait::until("three lines in the access log", || {
        let text = std::fs::read_to_string(httpd.root().join("logs/access.log")).ok()?;
        (text.lines().count() == 3).then(|| text.lines().map(str::to_owned).collect::<Vec<_>>())
    });
    // Threads write as they finish, in any order.
    let line = |path: &str| lines.iter().find(|line| line.starts_with(&format!("{path} "))).unwrap().as_str();
    assert!(line("/a/raises").starts_with("/a/raises 500"), "{lines:?}");
    assert_eq!(line("/a/hello"), "/a/hello 200 +");
    assert!(!line("/a/raises-after-write").ends_with('+'), "a cut answer does not keep the connection: {lines:?}");
}

fn a_panic_in_the_module_is_a_500(mode: Mode) {
    let httpd =
        site(mode).variable("MOD_WSGI_RS_PLANT_PANICS", "1").config("SetEnvIf X-Panic yes MOD_WSGI_RS_PANIC=1").start();
    httpd.expect(event::PANICKED);
    for _ in 0..3 {
        let panicking = || httpd.request("GET", "/e").header("X-Panic", "yes").send();
        in_a_living_child(&httpd, panicking).expect(500);
    }
    assert_eq!(httpd.count(event::PANICKED), 3);
}

fn exceptions_with_strange_texts_are_logged(mode: Mode) {
    let source = "class Broken(Exception):\n    def __str__(self):\n        raise ValueError('no text')\n\n\nTEXTS = {'/nul': 'a\\0b', '/surrogate': '\\udc80', '/lines': 'one\\ntwo\\rthree', '/long': 'x' * 100000, '/percent': '%s%n%d', '/empty': ''}\n\n\ndef application(environ, start_response):\n    if environ['PATH_INFO'] == '/broken':\n        raise Broken\n    raise RuntimeError(TEXTS[environ['PATH_INFO']])\n";
    let httpd = site(mode).file("apps/strange.py", source).config("WSGIScriptAlias /x \"@APPS@/strange.py\"").start();
    httpd.tolerate_text("");
    for path in ["/x/nul", "/x/surrogate", "/x/lines", "/x/long", "/x/percent", "/x/empty", "/x/broken"] {
        assert_500(&httpd, path);
    }
    assert!(httpd.log().iter().all(|entry| !entry.level.is_empty()), "every line went through httpd");
}
