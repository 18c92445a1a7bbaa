// SPDX-License-Identifier: Apache-2.0
//! The functional applications under valgrind: no error and no growing leak with our code in its stack.
//!
//! Ignored by default; `tests/valgrind.sh` runs it. Python's own one-time allocations are told from leaks by number: each
//! request is sent [`ROUNDS`] times, so what leaks with each leaks at least as many blocks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use harness::{Httpd, Mode, Protocol, Site};
use std::fs;

const ROUNDS: usize = 8;

/// Frames from the top in which our code must be for an error to be ours.
const NEAR: usize = 6;

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
        .under(&[
            "valgrind",
            "--quiet",
            "--vgdb=no",
            "--error-limit=no",
            "--num-callers=40",
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--xml=yes",
            "--xml-file=@STATE@/valgrind.xml",
        ])
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

/// The text of an element's first occurrence.
fn element<'t>(text: &'t str, name: &str) -> &'t str {
    text.split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map_or("", |(inside, _)| inside)
}

fn is_ours(object: &str) -> bool {
    object.rsplit('/').next().is_some_and(|file| file.contains("mod_wsgi_rs"))
}

/// What is wrong with one error of the report, if it is ours.
fn complaint(error: &str) -> Option<String> {
    let stack = element(error, "stack");
    let frames: Vec<&str> = stack.split("<frame>").skip(1).collect();
    let ours = frames.iter().position(|frame| is_ours(element(frame, "obj")))?;
    let kind = element(error, "kind");
    let guilty = if kind.starts_with("Leak_") {
        element(error, "leakedblocks").parse::<usize>().is_ok_and(|blocks| blocks >= ROUNDS)
    } else {
        ours < NEAR
    };
    let calls: Vec<String> = frames
        .iter()
        .take(ours + 4)
        .map(|frame| format!("    {} ({}:{})", element(frame, "fn"), element(frame, "file"), element(frame, "line")))
        .collect();
    let what = [element(error, "what"), element(error, "text")].concat();
    guilty.then(|| format!("{kind}: {what}\n{}", calls.join("\n")))
}

#[test]
#[ignore = "takes minutes; tests/valgrind.sh runs it"]
fn no_error_and_no_growing_leak_is_ours() {
    let httpd = site().start();
    for number in harness::event::NUMBERS {
        httpd.tolerate(number.0);
    }
    httpd.tolerate_text("");
    exercise(&httpd);
    let report = httpd.stop_and_read("state/valgrind.xml");
    let errors: Vec<&str> = report.split("<error>").skip(1).collect();
    assert!(report.contains("</valgrindoutput>"), "the report is whole: {} bytes", report.len());
    let complaints: Vec<String> = errors.iter().filter_map(|error| complaint(error)).collect();
    println!("{} errors and leaks in all, {} of them ours", errors.len(), complaints.len());
    if let Some(folder) = std::env::var_os("MOD_WSGI_RS_VALGRIND_REPORT") {
        fs::write(folder, &report).unwrap();
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[test]
fn errors_are_told_apart() {
    let frame = |object: &str| format!("<frame><obj>{object}</obj><fn>f</fn></frame>");
    let error = |kind: &str, blocks: usize, objects: &[&str]| {
        let frames: String = objects.iter().map(|object| frame(object)).collect();
        format!("<kind>{kind}</kind><leakedblocks>{blocks}</leakedblocks><stack>{frames}</stack>")
    };
    let python = "/var/tmp/mod_wsgi_rs-pythons/lib/libpython3.11.so";
    let ours = "/x/mod_wsgi_rs.so";
    assert!(complaint(&error("InvalidRead", 0, &[python, ours])).is_some());
    assert!(complaint(&error("InvalidRead", 0, &[python; 3])).is_none());
    assert!(
        complaint(&error("UninitCondition", 0, &[python, python, python, python, python, python, python, ours]))
            .is_none()
    );
    assert!(complaint(&error("Leak_DefinitelyLost", ROUNDS, &[python, ours])).is_some());
    assert!(complaint(&error("Leak_DefinitelyLost", 1, &[python, ours])).is_none());
}
