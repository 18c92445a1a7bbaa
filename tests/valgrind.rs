// SPDX-License-Identifier: Apache-2.0
//! The functional applications under valgrind: no error and no growing leak with our code in its stack.
//!
//! Ignored by default; `tests/valgrind.sh` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

#[path = "valgrind/groups.rs"]
mod groups;
#[path = "valgrind/report.rs"]
mod report;

use harness::{Httpd, Mode, Protocol, Site};
use report::{ROUNDS, VALGRIND};

fn site() -> Site {
    Site::new(Mode::Embedded)
        .mount("/e", "environ.py")
        .mount("/a", "answers.py")
        .mount("/b", "body.py")
        .mount("/f", "files.py")
        .mount("/v", "validation.py")
        .mount("/c", "checked.py")
        .mount("/s", "streams.py")
        .mount("/main", "state.py")
        .config("WSGIScriptAlias /gone \"@APPS@/gone.py\"\nWSGIScriptAlias /broken \"@APPS@/broken.py\"")
        .config("WSGIScriptAlias /global \"@APPS@/state.py\" application-group=%{GLOBAL}")
        .config("WSGIChunkedRequest On\nWSGIEnableSendfile On\nEnableSendfile On\nTimeout 120")
        .file("apps/broken.py", "raise ValueError('broken')\n")
        .variable("PYTHONMALLOC", "malloc")
        .under(&[&VALGRIND[..], &["--xml-file=@STATE@/valgrind.xml"]].concat())
}

const PATHS: &[&str] = &[
    "/e/path?query",
    "/a/hello",
    "/a/many",
    "/a/generator",
    "/a/iterable",
    "/a/empty",
    "/a/writes",
    "/a/exact",
    "/a/long",
    "/a/short-generator",
    "/a/no-content",
    "/a/duplicates",
    "/a/latin",
    "/a/replaced-with-exc-info",
    "/a/restarted-after-output",
    "/a/exc-info-after-output",
    "/a/bad-writes",
    "/a/keeps",
    "/a/uses-kept",
    "/a/raises",
    "/a/raises-after-write",
    "/a/fail-generator",
    "/a/never-starts",
    "/a/returns-none",
    "/a/exits",
    "/a/close-fails",
    "/a/text-item",
    "/a/noted",
    "/f/size/65537",
    "/f/offset",
    "/f/length-larger",
    "/f/memory",
    "/f/pipe",
    "/f/attributes",
    "/f/written-first",
    "/v?'200%20OK',[('X','y')]",
    "/v?'bad',[]",
    "/v?'200%20OK',[('X:','y')]",
    "/v?()",
    "/s/lines",
    "/s/print",
    "/s/very-long",
    "/s/attributes",
    "/c/generator/nothing",
    "/main",
    "/global",
    "/gone",
    "/broken",
    "/static.txt",
];

fn exercise(httpd: &Httpd) {
    for path in PATHS {
        for _ in 0..ROUNDS {
            let answer = httpd.get(path);
            assert!(answer.status != 0, "{path}: {answer:?}");
        }
    }
    for _ in 0..ROUNDS {
        for expression in ["i.read()", "i.readline();list(i)", "i.readlines(3)", "i.read(2);i.read(2)", "i.read(1.5)"] {
            let request = httpd.request("POST", &format!("/b?{expression}"));
            request.clone().body("one\ntwo\nthree").send().expect(200);
            request.chunks(["one\n", "two"]).send().expect(200);
        }
        httpd.request("HEAD", "/a/hello").send();
        httpd.request("GET", "/a/hello").over(Protocol::Http10).send().expect(200);
        let mut connection = httpd.connect();
        connection
            .send(b"POST /b?i.read() HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nshort")
            .half_close();
        assert!(connection.read_response("POST").text().contains("request data read error"), "the read fails");
    }
}

#[test]
#[ignore = "takes minutes; tests/valgrind.sh runs it"]
fn no_error_and_no_growing_leak_is_ours() {
    let httpd = site().start();
    httpd.tolerate_all();
    exercise(&httpd);
    let complaints = report::complaints("httpd", &httpd.stop_and_read("state/valgrind.xml"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}
