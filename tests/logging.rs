// SPDX-License-Identifier: Apache-2.0
//! wsgi.errors, the standard streams, and whose log they go to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::ledger::Entry;
use harness::{Httpd, Mode, Site, modes};

modes! {
    each_line_becomes_one_record_of_the_request,
    an_unfinished_line_is_logged_at_the_end_of_the_request,
    a_flush_logs_at_once,
    text_outside_ascii_is_logged,
    a_nul_does_not_cut_a_line,
    long_lines_lose_nothing,
    control_characters_cannot_forge_records,
    print_goes_to_the_log_of_the_request,
    print_from_a_thread_goes_to_the_servers_log,
    print_while_loading_is_logged,
    each_virtual_host_has_its_own_lines,
    the_streams_have_their_attributes,
    argv_and_encodings_are_set,
    the_main_module_is_empty,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/s", "streams.py")
}

fn start(site: Site) -> Httpd {
    let httpd = site.start();
    httpd.tolerate_text("printed while loading").tolerate_text("[script ");
    httpd
}

/// The records that hold `text`.
fn records(httpd: &Httpd, text: &str) -> Vec<Entry> {
    httpd.log().into_iter().filter(|entry| entry.message.contains(text)).collect()
}

fn prefixed(httpd: &Httpd, text: &str) -> String {
    format!("[script {}] {text}", httpd.app_path("streams.py").display())
}

#[track_caller]
fn assert_record(httpd: &Httpd, text: &str) {
    let expected = prefixed(httpd, text);
    let entry = httpd.wait_for_log(text);
    assert_eq!(
        (entry.message.as_str(), entry.module.as_str(), entry.level.as_str()),
        (expected.as_str(), "wsgi", "error")
    );
    assert!(entry.line.contains("[client 127.0.0.1:"), "{}", entry.line);
}

fn each_line_becomes_one_record_of_the_request(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/lines").expect(200);
    for line in ["first line", "second line", "third line"] {
        assert_record(&httpd, line);
        assert_eq!(records(&httpd, line).len(), 1, "{line}");
    }
}

fn an_unfinished_line_is_logged_at_the_end_of_the_request(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/lines").expect(200);
    assert_record(&httpd, "unfinished");
}

fn a_flush_logs_at_once(mode: Mode) {
    let httpd = start(site(mode));
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/s/flush").bytes());
    assert_record(&httpd, "flushed early");
    httpd.open_gate("seen");
    connection.read_response("GET").expect(200);
    assert_eq!(records(&httpd, "flushed early").len(), 1);
}

fn text_outside_ascii_is_logged(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/unicode").expect(200);
    let entry = httpd.wait_for_log("surrogate");
    // httpd writes bytes outside ASCII as \xhh.
    assert!(entry.line.contains(r"\xe2\x98\x83") || entry.line.contains('\u{2603}'), "{}", entry.line);
}

fn a_nul_does_not_cut_a_line(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/nul").expect(200);
    let entry = httpd.wait_for_log("before");
    assert!(entry.line.contains("after"), "{}", entry.line);
}

fn long_lines_lose_nothing(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/very-long").expect(200);
    httpd.wait_for_log(" end");
    let count: usize = httpd.log().iter().map(|entry| entry.message.matches('x').count()).sum();
    assert!(count >= 20_000, "{count}");
}

fn control_characters_cannot_forge_records(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/forged").expect(200);
    httpd.wait_for_log("escape");
    let raw = std::fs::read(httpd.root().join("logs/error.log")).unwrap();
    assert!(!raw.contains(&0x1b) && !raw.contains(&b'\r'));
}

fn print_goes_to_the_log_of_the_request(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/print").expect(200);
    assert_record(&httpd, "to stdout");
    assert_record(&httpd, "to stderr");
}

fn print_from_a_thread_goes_to_the_servers_log(mode: Mode) {
    let httpd = Site::new(mode).app("streams.py").vhost("one.test", "WSGIScriptAlias /s \"@APPS@/streams.py\"");
    let httpd = start(httpd);
    httpd.expect_text("from a thread");
    httpd.request("GET", "/s/thread").header("Host", "one.test").send().expect(200);
    httpd.wait_for_log("from a thread");
    assert!(httpd.log_of("error").iter().any(|entry| entry.message.ends_with("from a thread")), "{:?}", httpd.log());
}

fn print_while_loading_is_logged(mode: Mode) {
    let httpd = start(site(mode));
    httpd.get("/s/std").expect(200);
    httpd.wait_for_log("printed while loading");
    assert_eq!(records(&httpd, "printed while loading").len(), 1);
}

fn each_virtual_host_has_its_own_lines(mode: Mode) {
    let alias = "WSGIScriptAlias /s \"@APPS@/streams.py\" application-group=shared";
    let httpd = start(Site::new(mode).app("streams.py").vhost("one.test", alias).vhost("two.test", alias));
    for (host, path, line) in [("one.test", "/s/print", "to stdout"), ("two.test", "/s/lines", "first line")] {
        httpd.request("GET", path).header("Host", host).send().expect(200);
        httpd.wait_for_log(line);
        for log in ["one.test", "two.test", "error"] {
            let has = httpd.log_of(log).iter().any(|entry| entry.message.contains(line));
            assert_eq!(has, log == host, "{line} in {log}");
        }
    }
}

fn the_streams_have_their_attributes(mode: Mode) {
    let httpd = start(site(mode));
    let expected = "['utf-8', 'replace', False, False, True, False, True, True, True]";
    httpd.get("/s/attributes").expect_body(expected.as_bytes());
}

fn argv_and_encodings_are_set(mode: Mode) {
    let httpd = start(site(mode).variable("LC_ALL", "C"));
    httpd.get("/s/std").expect_body(b"[['mod_wsgi'], '<stdout>', '<stderr>', 'utf-8', False]");
}

fn the_main_module_is_empty(mode: Mode) {
    let httpd = start(site(mode).config("WSGIApplicationGroup %{GLOBAL}"));
    httpd.get("/s/main-module").expect_body(b"[]");
}
