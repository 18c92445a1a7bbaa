// SPDX-License-Identifier: Apache-2.0
//! The body of an answer: iteration, Content-Length, HEAD, answers without a body, flushing, filters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::response::Framing;
use harness::{End, Mode, Protocol, Response, Site, event, modes};
use std::time::Duration;

modes! {
    any_iterable_of_bytes_is_sent,
    only_bytes_are_taken,
    none_is_not_an_answer,
    a_list_gets_its_content_length,
    a_generator_is_chunked,
    http10_gets_the_length_or_the_end_of_the_connection,
    a_declared_length_is_kept,
    what_exceeds_the_declared_length_is_not_sent,
    an_answer_shorter_than_declared_is_visibly_cut,
    an_empty_answer_has_length_zero,
    head_has_the_headers_of_get,
    head_is_iterated_and_closed,
    head_is_shown_as_get_behind_a_filter,
    head_mapping_can_be_chosen,
    no_content_and_not_modified_have_no_body,
    a_body_where_none_may_be_does_no_harm,
    keep_alive_survives_every_whole_answer,
    blocks_leave_as_they_are_yielded,
    output_filters_apply,
    error_documents_do_not_replace_answers,
    error_documents_replace_answers_on_request,
    conditions_are_left_to_the_application,
    a_large_answer_arrives_whole,
    many_small_blocks_arrive_whole,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/a", "answers.py").mount("/g", "gated.py")
}

fn any_iterable_of_bytes_is_sent(mode: Mode) {
    let httpd = site(mode).start();
    for (path, body) in [
        ("hello", "Hello, world\n"),
        ("many", "abcd"),
        ("tuple", "abcd"),
        ("generator", "abcd"),
        ("iterable", "ab"),
        ("subclass", "sub"),
        ("empty", ""),
        ("empty-item", ""),
        ("empty-generator", ""),
    ] {
        httpd.get(&format!("/a/{path}")).expect_body(body.as_bytes());
    }
}

fn only_bytes_are_taken(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::APPLICATION_FAILED);
    // A bytes object is an iterable of integers.
    for path in ["text-item", "bytearray-item", "bytes"] {
        httpd.get(&format!("/a/{path}")).expect(500);
    }
    let answer = httpd.get("/a/text-later");
    assert_eq!((answer.status, &answer.end), (200, &End::Cut), "{answer:?}");
    assert_eq!(httpd.count(event::APPLICATION_FAILED), 4);
}

fn none_is_not_an_answer(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::APPLICATION_FAILED);
    httpd.get("/a/returns-none").expect(500);
}

fn a_list_gets_its_content_length(mode: Mode) {
    let httpd = site(mode).start();
    for (path, length) in [("hello", "13"), ("many", "4"), ("tuple", "4"), ("empty", "0"), ("empty-item", "0")] {
        let answer = httpd.get(&format!("/a/{path}"));
        assert_eq!(answer.header("Content-Length"), Some(length), "{path}");
        assert_eq!(answer.framing, Framing::Length);
    }
    // Data was written before the list was seen, so its length says nothing.
    assert_eq!(httpd.get("/a/writes").framing, Framing::Chunked);
}

fn a_generator_is_chunked(mode: Mode) {
    let httpd = site(mode).start();
    for path in ["generator", "iterable"] {
        let answer = httpd.get(&format!("/a/{path}"));
        assert_eq!((answer.framing, answer.header("Content-Length")), (Framing::Chunked, None), "{path}");
    }
}

fn http10_gets_the_length_or_the_end_of_the_connection(mode: Mode) {
    let httpd = site(mode).start();
    let old = |path: &str| httpd.request("GET", path).over(Protocol::Http10).header("Connection", "Keep-Alive").send();
    let listed = old("/a/hello");
    assert_eq!((listed.framing, listed.header("Connection")), (Framing::Length, Some("Keep-Alive")));
    let generated = old("/a/generator");
    generated.expect_body(b"abcd");
    assert_eq!((generated.framing, generated.header("Connection")), (Framing::UntilClose, Some("close")));
}

fn a_declared_length_is_kept(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/a/exact");
    answer.expect_body(b"12345");
    assert_eq!((answer.framing, answer.header("Content-Length")), (Framing::Length, Some("5")));
    httpd.get("/a/zero").expect_body(b"");
}

fn what_exceeds_the_declared_length_is_not_sent(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::LONG_ANSWER);
    let mut connection = httpd.connect();
    for (path, body) in [("/a/long", "12345"), ("/a/zero-with-body", "")] {
        connection.send(&httpd.request("GET", path).bytes());
        connection.read_response("GET").expect_body(body.as_bytes());
    }
    httpd.get("/a/noted-long").expect_body(b"123");
    httpd.wait_for_journal("closed long");
    assert_eq!(httpd.count(event::LONG_ANSWER), 3);
}

fn an_answer_shorter_than_declared_is_visibly_cut(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::SHORT_ANSWER);
    let answer = httpd.get("/a/short-generator");
    assert_eq!((answer.status, &answer.end, answer.body.as_slice()), (200, &End::Cut, b"12345".as_slice()));
    // Where nothing has left yet, an error page is as good a sign.
    for path in ["/a/short", "/a/short-empty", "/a/noted-short"] {
        let answer = httpd.get(path);
        assert!(answer.status == 500 || answer.end == End::Cut, "{path}: {answer:?}");
    }
    httpd.wait_for_journal("closed short");
    assert_eq!(httpd.count(event::SHORT_ANSWER), 4);
}

fn an_empty_answer_has_length_zero(mode: Mode) {
    let httpd = site(mode).start();
    for path in ["empty", "empty-item", "empty-generator"] {
        let answer = httpd.get(&format!("/a/{path}"));
        answer.expect_body(b"");
        assert!(matches!(answer.framing, Framing::Length | Framing::Chunked));
    }
}

/// The headers that a HEAD and a GET of the same resource share.
fn comparable(answer: &Response) -> Vec<(String, String)> {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !["Date", "Transfer-Encoding", "Keep-Alive", "Connection"].contains(&name.as_str()));
    headers.sort();
    headers
}

fn head_has_the_headers_of_get(mode: Mode) {
    let httpd = site(mode).start();
    for path in ["/a/hello", "/a/exact", "/a/generator", "/a/own-404", "/a/duplicates"] {
        let (head, get) = (httpd.request("HEAD", path).send(), httpd.get(path));
        assert_eq!((head.status, head.body.len(), &head.end), (get.status, 0, &End::Complete), "{path}");
        assert_eq!(comparable(&head), comparable(&get), "{path}");
    }
}

fn head_is_iterated_and_closed(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    for _ in 0..2 {
        connection.send(&httpd.request("HEAD", "/a/noted").bytes());
        assert_eq!(connection.read_response("HEAD").status, 200);
    }
    httpd.wait_for_journal("closed whole");
}

fn method_seen(httpd: &harness::Httpd, path: &str) -> String {
    httpd.request("HEAD", path).send().header("X-Method").unwrap_or_default().to_owned()
}

fn method_site(mode: Mode) -> Site {
    let source = "def application(environ, start_response):\n    start_response('200 OK', [('X-Method', environ['REQUEST_METHOD']), ('Content-Type', 'text/plain')])\n    return [b'body']\n";
    Site::new(mode).file("apps/method.py", source).config("WSGIScriptAlias /m \"@APPS@/method.py\"")
}

fn head_is_shown_as_get_behind_a_filter(mode: Mode) {
    let httpd = method_site(mode)
        .with("filter")
        .with("deflate")
        .config("<Location /m/packed>\nSetOutputFilter DEFLATE\n</Location>")
        .start();
    assert_eq!(method_seen(&httpd, "/m"), "HEAD");
    assert_eq!(method_seen(&httpd, "/m/packed"), "GET");
}

fn head_mapping_can_be_chosen(mode: Mode) {
    let httpd = method_site(mode)
        .with("filter")
        .with("deflate")
        .config("<Location /m/on>\nWSGIMapHEADToGET On\n</Location>")
        .config("<Location /m/off>\nWSGIMapHEADToGET Off\nSetOutputFilter DEFLATE\n</Location>")
        .config("<Location /m/auto>\nWSGIMapHEADToGET Auto\n</Location>")
        .start();
    assert_eq!(method_seen(&httpd, "/m/on"), "GET");
    assert_eq!(method_seen(&httpd, "/m/off"), "HEAD");
    assert_eq!(method_seen(&httpd, "/m/auto"), "HEAD");
    assert_eq!(httpd.request("POST", "/m/on").send().header("X-Method"), Some("POST"));
}

fn no_content_and_not_modified_have_no_body(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    for (path, status) in [("/a/no-content", 204), ("/a/not-modified", 304)] {
        connection.send(&httpd.request("GET", path).bytes());
        let answer = connection.read_response("GET");
        assert_eq!(
            (answer.status, answer.header("Content-Length"), answer.header("Transfer-Encoding")),
            (status, None, None)
        );
    }
}

fn a_body_where_none_may_be_does_no_harm(mode: Mode) {
    let httpd = site(mode).start();
    httpd.tolerate(event::LONG_ANSWER);
    let mut connection = httpd.connect();
    for (path, status) in [("/a/no-content-with-body", 204), ("/a/not-modified-with-body", 304)] {
        connection.send(&httpd.request("GET", path).bytes());
        assert_eq!(connection.read_response("GET").status, status);
        connection.send(&httpd.request("GET", "/a/hello").bytes());
        connection.read_response("GET").expect_body(b"Hello, world\n");
    }
}

fn keep_alive_survives_every_whole_answer(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    for path in ["hello", "many", "generator", "empty", "exact", "writes", "no-content", "own-404", "hello"] {
        connection.send(&httpd.request("GET", &format!("/a/{path}")).bytes());
        assert_eq!(connection.read_response("GET").end, End::Complete, "{path}");
    }
}

fn blocks_leave_as_they_are_yielded(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/g/stepwise").bytes());
    let mut seen = Vec::new();
    while !seen.windows(5).any(|five| five == b"first") {
        let more = connection.read_some(1);
        assert!(!more.is_empty(), "the first block did not arrive: {:?}", String::from_utf8_lossy(&seen));
        seen.extend(more);
    }
    assert!(connection.is_silent_for(Duration::from_millis(50)));
    httpd.open_gate("go");
    let rest = connection.read_some(11);
    assert!(rest.windows(6).any(|six| six == b"second"), "{:?}", String::from_utf8_lossy(&rest));
    httpd.wait_for_journal("closed stepwise");
}

fn output_filters_apply(mode: Mode) {
    let httpd = site(mode)
        .with("filter")
        .with("substitute")
        .config("<Location /a>\nAddOutputFilterByType SUBSTITUTE text/plain\nSubstitute s/world/filter/\n</Location>")
        .start();
    httpd.get("/a/hello").expect_body(b"Hello, filter\n");
}

fn error_documents_do_not_replace_answers(mode: Mode) {
    let httpd = site(mode).config("ErrorDocument 404 \"from httpd\"\nErrorDocument 500 \"failed\"").start();
    assert_eq!(httpd.get("/a/own-404").text(), "mine");
    httpd.expect(event::APPLICATION_FAILED);
    assert_eq!(httpd.get("/a/raises").text(), "failed");
}

fn error_documents_replace_answers_on_request(mode: Mode) {
    const APPLICATION: &str = "def application(environ, start_response):
    status = environ['PATH_INFO'][1:]
    start_response(status + ' Mine', [('X-Own', '1'), ('WWW-Authenticate', 'Own realm=\"a\"')])
    return [b'mine']
";
    let httpd = Site::new(mode)
        .file("apps/status.py", APPLICATION)
        .config("WSGIScriptAlias /s \"@APPS@/status.py\"\nWSGIErrorOverride On\nErrorDocument 401 \"from httpd\"")
        .start();
    let answer = httpd.get("/s/401");
    assert_eq!((answer.status, answer.text().as_str()), (401, "from httpd"));
    assert_eq!((answer.header("WWW-Authenticate"), answer.header("X-Own")), (Some("Own realm=\"a\""), None));
    let answer = httpd.get("/s/503");
    assert!(answer.status == 503 && !answer.text().contains("mine"), "{}", answer.text());
    let answer = httpd.get("/s/302");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("X-Own")), (302, "mine", Some("1")));
}

fn conditions_are_left_to_the_application(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.request("GET", "/a/hello").header("If-None-Match", "*").header("Range", "bytes=0-1").send();
    assert!(matches!(answer.status, 200 | 206), "{answer:?}");
    let plain = httpd.request("GET", "/a/hello").header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT").send();
    plain.expect(200);
}

fn a_large_answer_arrives_whole(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/large.py", "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'0123456789' * 3000000]\n")
        .config("WSGIScriptAlias /l \"@APPS@/large.py\"")
        .start();
    let answer = httpd.get("/l");
    assert_eq!((answer.end.clone(), answer.body.len()), (End::Complete, 30_000_000));
    assert!(answer.body.chunks(10).all(|ten| ten == b"0123456789"));
}

fn many_small_blocks_arrive_whole(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/small.py", "def application(environ, start_response):\n    start_response('200 OK', [])\n    return (b'%06d' % number for number in range(20000))\n")
        .config("WSGIScriptAlias /s \"@APPS@/small.py\"")
        .start();
    let answer = httpd.get("/s");
    let expected: String = (0..20_000).map(|number| format!("{number:06}")).collect();
    answer.expect_body(expected.as_bytes());
}
