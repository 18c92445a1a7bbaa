// SPDX-License-Identifier: Apache-2.0
//! start_response and write(): what they accept, what they refuse, when they may be called.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Response, Site, event, modes};

modes! {
    well_formed_arguments_are_accepted,
    statuses_are_checked,
    headers_are_checked,
    nothing_hides_behind_a_nul,
    content_length_is_checked_at_once,
    arguments_are_positional,
    a_refused_call_leaves_the_one_before,
    a_second_call_with_exc_info_replaces_the_first,
    a_second_call_without_exc_info_replaces_the_first,
    a_call_after_output_raises,
    a_call_after_output_with_exc_info_raises_that_exception,
    an_empty_write_commits_the_headers,
    write_takes_bytes_only,
    written_data_comes_before_the_result,
    the_header_list_is_copied,
    use_after_the_request_raises,
    output_without_start_response_is_an_error,
    start_response_may_be_called_while_iterating,
    statuses_and_headers_arrive_as_given,
    duplicate_headers_stay_separate,
    headers_of_the_server_win,
    a_missing_content_type_stays_missing,
    transfer_encoding_is_left_out,
    location_is_not_followed,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/v", "validation.py").mount("/a", "answers.py")
}

/// Calls start_response with these arguments (Python source, latin-1) and gives the answer.
fn call(httpd: &Httpd, arguments: &str) -> Response {
    let mut target = String::from("/v?");
    for character in arguments.chars() {
        target.push_str(&format!("%{:02X}", u8::try_from(u32::from(character)).expect("latin-1")));
    }
    httpd.get(&target)
}

#[track_caller]
fn assert_refused(httpd: &Httpd, arguments: &str, exception: &str) {
    let answer = call(httpd, arguments);
    assert_eq!(answer.text(), exception, "start_response({arguments})");
    assert_eq!(answer.header("X-Refused"), Some("1"));
}

#[track_caller]
fn assert_accepted(httpd: &Httpd, arguments: &str, status: u16) -> Response {
    let answer = call(httpd, arguments);
    assert_eq!((answer.status, answer.text().as_str()), (status, "accepted"), "start_response({arguments})");
    answer
}

fn well_formed_arguments_are_accepted(mode: Mode) {
    let httpd = site(mode).start();
    for (arguments, status) in [
        ("'200 OK', []", 200),
        ("'200', []", 200),
        ("'200 ', []", 200),
        ("'599 Strange', []", 599),
        ("'404 Not Found', [('X-A', 'b')]", 404),
        ("'200 OK', [], None", 200),
        ("'200 OK', Words([('X-A', 'b')])", 200),
        ("'200 OK', [('X-A', '')]", 200),
        ("'200 OK', [('x!#$%&*+.^_`|~-1', 'b')]", 200),
        ("'200 Caf\\xe9', [('X-A', '\\xe9')]", 200),
    ] {
        assert_accepted(&httpd, arguments, status);
    }
}

fn statuses_are_checked(mode: Mode) {
    let httpd = site(mode).start();
    for (status, exception) in [
        ("b'200 OK'", "TypeError"),
        ("200", "TypeError"),
        ("None", "TypeError"),
        ("'200 \\u2603'", "UnicodeEncodeError"),
        ("''", "ValueError"),
        ("'20'", "ValueError"),
        ("'2000 OK'", "ValueError"),
        ("'200OK'", "ValueError"),
        ("' 200 OK'", "ValueError"),
        ("'abc OK'", "ValueError"),
        ("'\\xb2\\xb2\\xb2 OK'", "ValueError"),
        ("'200 O\\rK'", "ValueError"),
        ("'200 O\\nK'", "ValueError"),
        ("'200 O\\x00K'", "ValueError"),
        ("'200 O\\x7fK'", "ValueError"),
        ("'100 Continue'", "ValueError"),
        ("'000 x'", "ValueError"),
    ] {
        assert_refused(&httpd, &format!("{status}, []"), exception);
    }
}

fn headers_are_checked(mode: Mode) {
    let httpd = site(mode).start();
    for (headers, exception) in [
        ("()", "TypeError"),
        ("None", "TypeError"),
        ("{}", "TypeError"),
        ("iter([])", "TypeError"),
        ("['ab']", "TypeError"),
        ("[['X-A', 'b']]", "TypeError"),
        ("[()]", "ValueError"),
        ("[('X-A',)]", "ValueError"),
        ("[('X-A', 'b', 'c')]", "ValueError"),
        ("[(b'X-A', 'b')]", "TypeError"),
        ("[('X-A', b'b')]", "TypeError"),
        ("[('X-A', 1)]", "TypeError"),
        ("[('X-A', None)]", "TypeError"),
        ("[('X-\\u2603', 'b')]", "UnicodeEncodeError"),
        ("[('X-A', '\\u2603')]", "UnicodeEncodeError"),
        ("[('', 'b')]", "ValueError"),
        ("[('X A', 'b')]", "ValueError"),
        ("[('X\\tA', 'b')]", "ValueError"),
        ("[('X\\nA', 'b')]", "ValueError"),
        ("[('X:A', 'b')]", "ValueError"),
        ("[('X\\xe9', 'b')]", "ValueError"),
        ("[('X-A', 'b\\r')]", "ValueError"),
        ("[('X-A', 'b\\nSet-Cookie: a=b')]", "ValueError"),
        ("[('X-A', 'good'), ('X-B', 'b\\r\\n')]", "ValueError"),
    ] {
        assert_refused(&httpd, &format!("'200 OK', {headers}"), exception);
    }
}

fn nothing_hides_behind_a_nul(mode: Mode) {
    let httpd = site(mode).start();
    for header in
        ["('X-A', 'a\\x00b')", "('X-A\\x00:', 'b')", "('X-A\\x00\\r\\n', 'b')", "('X-A', 'a\\x00\\r\\nX-B: c')"]
    {
        assert_refused(&httpd, &format!("'200 OK', [{header}]"), "ValueError");
    }
}

fn content_length_is_checked_at_once(mode: Mode) {
    let httpd = site(mode).start();
    for length in ["", "x", "-1", "1.0", "1 2", "0x10", "9223372036854775808"] {
        assert_refused(&httpd, &format!("'200 OK', [('content-length', '{length}')]"), "ValueError");
    }
    assert_eq!(assert_accepted(&httpd, "'200 OK', [('Content-Length', '8')]", 200).header("content-length"), Some("8"));
}

fn arguments_are_positional(mode: Mode) {
    let httpd = site(mode).start();
    for arguments in ["", "'200 OK'", "status='200 OK', headers=[]", "'200 OK', [], None, 1"] {
        assert_refused(&httpd, arguments, "TypeError");
    }
    let odd = call(&httpd, "'200 OK', [], 'text'");
    assert!(["TypeError", "RuntimeError"].contains(&odd.text().as_str()), "{}", odd.text());
}

fn a_refused_call_leaves_the_one_before(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/twice.py", "def application(environ, start_response):\n    start_response('201 Created', [('X-A', 'b')])\n    try:\n        start_response('bad', [])\n    except ValueError:\n        pass\n    return [b'x']\n")
        .config("WSGIScriptAlias /t \"@APPS@/twice.py\"")
        .start();
    let answer = httpd.get("/t");
    answer.expect(201);
    assert_eq!(answer.header("X-A"), Some("b"));
}

fn a_second_call_with_exc_info_replaces_the_first(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/a/replaced-with-exc-info");
    answer.expect(503);
    assert_eq!((answer.header("X-First"), answer.header("X-Second")), (None, Some("2")));
    assert_eq!(answer.text(), "replaced");
}

fn a_second_call_without_exc_info_replaces_the_first(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/replaced-plainly").expect(202);
}

fn a_call_after_output_raises(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/restarted-after-output").expect_body(b"first RuntimeError");
}

fn a_call_after_output_with_exc_info_raises_that_exception(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/exc-info-after-output").expect_body(b"first raised again: 'original'");
}

fn an_empty_write_commits_the_headers(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/write-empty-then-restart").expect_body(b"RuntimeError");
}

fn write_takes_bytes_only(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/bad-writes").expect_body(b"TypeError TypeError TypeError TypeError TypeError");
}

fn written_data_comes_before_the_result(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/writes").expect_body(b"one two three");
}

fn the_header_list_is_copied(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/copy.py", "def application(environ, start_response):\n    headers = [('X-A', 'b')]\n    start_response('200 OK', headers)\n    headers.append(('X-Late', 'c'))\n    headers[0] = ('X-A', 'bad\\r\\n')\n    return [b'x']\n")
        .config("WSGIScriptAlias /c \"@APPS@/copy.py\"")
        .start();
    let answer = httpd.get("/c");
    answer.expect_body(b"x");
    assert_eq!((answer.header("X-A"), answer.header("X-Late")), (Some("b"), None));
}

fn use_after_the_request_raises(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/keeps").expect_body(b"kept");
    httpd.get("/a/uses-kept").expect_body(b"RuntimeError RuntimeError RuntimeError RuntimeError None");
}

fn output_without_start_response_is_an_error(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::APPLICATION_FAILED);
    httpd.get("/a/never-starts").expect(500);
    httpd.get("/a/never-starts-and-is-empty").expect(500);
    httpd.get("/a/closed-though-never-started").expect(500);
    httpd.wait_for_journal("closed unstarted");
    assert_eq!(httpd.count(event::APPLICATION_FAILED), 3);
}

fn start_response_may_be_called_while_iterating(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/a/lazily-started").expect_body(b"late");
}

fn statuses_and_headers_arrive_as_given(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/a/teapot");
    assert_eq!((answer.status, answer.reason.as_str()), (418, "I'm a teapot"));
    let own = httpd.get("/a/own-404");
    assert_eq!((own.status, own.reason.as_str(), own.text().as_str()), (404, "Not Here", "mine"));
    httpd.get("/a/bare-code").expect_body(b"x");
    assert_eq!(httpd.get("/a/latin").header("X-Latin"), Some("caf\u{e9}"));
}

fn duplicate_headers_stay_separate(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/a/duplicates");
    assert_eq!(answer.headers_named("Set-Cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.headers_named("X-D"), ["1", "2"]);
    assert_eq!(answer.headers_named("WWW-Authenticate"), ["Basic"]);
}

fn headers_of_the_server_win(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/a/date");
    assert!(answer.header("Server").unwrap().starts_with("Apache"));
    assert!(answer.header("Date").unwrap().ends_with("GMT"));
}

fn a_missing_content_type_stays_missing(mode: Mode) {
    let httpd = site(mode).start();
    assert_eq!(httpd.get("/a/no-type").header("Content-Type"), None);
}

fn transfer_encoding_is_left_out(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::HEADER_IGNORED);
    let answer = httpd.get("/a/hop");
    answer.expect_body(b"x");
    assert!(answer.headers_named("Transfer-Encoding").len() < 2);
}

fn location_is_not_followed(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/a/location");
    answer.expect_body(b"x");
    assert_eq!(answer.header("Location"), Some("/elsewhere"));
}
