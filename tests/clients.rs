// SPDX-License-Identifier: Apache-2.0
//! Clients that go away at each stage: close() runs, the thread is free again, the child lives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Site, modes};

modes! {
    a_client_that_leaves_before_its_request_is_complete,
    a_client_that_leaves_while_the_body_is_read,
    a_client_that_leaves_before_the_answer_begins,
    a_client_that_leaves_while_blocks_are_yielded,
    a_client_that_leaves_while_the_application_writes,
    a_client_that_leaves_while_a_file_is_sent,
    a_client_that_resets_its_connection,
    many_clients_that_leave_do_not_use_threads_up,
    a_client_that_reads_slowly_gets_everything,
    a_half_closed_client_gets_its_answer,
    pipelined_requests_are_answered_in_order,
}

fn start(mode: Mode) -> Httpd {
    let httpd =
        Site::new(mode).mount("/g", "gated.py").mount("/e", "environ.py").mount("/b", "body.py").workers(1, 3).start();
    httpd.tolerate_text("AH");
    httpd
}

/// Every thread of the child answers, in the child that answered at first.
fn assert_alive(httpd: &Httpd, pid: &str) {
    for _ in 0..6 {
        assert_eq!(httpd.get("/e").environ().text("mod_wsgi.server_pid"), pid);
    }
}

fn pid(httpd: &Httpd) -> String {
    httpd.get("/e").environ().text("mod_wsgi.server_pid").to_owned()
}

fn a_client_that_leaves_before_its_request_is_complete(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    for part in ["", "GET", "GET /e HTTP/1.1\r\n", "GET /e HTTP/1.1\r\nHost: localhost\r\nX-Half"] {
        let mut connection = httpd.connect();
        connection.send(part.as_bytes());
        connection.drop_dead();
    }
    assert_alive(&httpd, &pid);
}

fn a_client_that_leaves_while_the_body_is_read(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    let mut connection = httpd.connect();
    connection.send(b"POST /g/reading HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome");
    httpd.wait_for_journal("started reading");
    connection.drop_dead();
    let raised = httpd.wait_for_journal("read raised");
    assert!(raised.contains("OSError"), "{raised}");
    httpd.wait_for_journal("closed reading");
    assert_alive(&httpd, &pid);
}

fn a_client_that_leaves_before_the_answer_begins(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/g/before_anything").bytes());
    httpd.wait_for_journal("started before");
    connection.drop_dead();
    httpd.open_gate("go");
    httpd.wait_for_journal("closed before");
    assert_alive(&httpd, &pid);
}

/// Starts an endless answer, reads a little and leaves.
fn leave_during(httpd: &Httpd, path: &str) {
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", path).bytes());
    assert!(connection.read_some(100_000).len() >= 100_000);
    connection.drop_dead();
}

fn a_client_that_leaves_while_blocks_are_yielded(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    leave_during(&httpd, "/g/endless");
    httpd.wait_for_journal("closed endless");
    assert!(!httpd.journal().iter().any(|line| line.contains("came to its end")));
    assert_alive(&httpd, &pid);
}

fn a_client_that_leaves_while_the_application_writes(mode: Mode) {
    let httpd = start(mode);
    httpd.tolerate(harness::event::APPLICATION_FAILED);
    let pid = pid(&httpd);
    leave_during(&httpd, "/g/endless_write");
    httpd.wait_for_journal("write raised");
    assert_alive(&httpd, &pid);
}

fn a_client_that_leaves_while_a_file_is_sent(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    leave_during(&httpd, "/g/big_file");
    httpd.wait_for_journal("closed big file");
    assert_alive(&httpd, &pid);
}

fn a_client_that_resets_its_connection(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/g/endless").bytes());
    httpd.wait_for_journal("started endless");
    // Unread bytes in the receive buffer make the kernel send a reset.
    drop(connection);
    httpd.wait_for_journal("closed endless");
    assert_alive(&httpd, &pid);
}

fn many_clients_that_leave_do_not_use_threads_up(mode: Mode) {
    let httpd = start(mode);
    let pid = pid(&httpd);
    for _ in 0..12 {
        leave_during(&httpd, "/g/endless");
    }
    harness::wait::until_true("twelve closes", || {
        httpd.journal().iter().filter(|line| line.contains("closed endless")).count() == 12
    });
    assert_alive(&httpd, &pid);
}

fn a_client_that_reads_slowly_gets_everything(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/large.py", "def application(environ, start_response):\n    start_response('200 OK', [])\n    return (b'%08d' % number * 1024 for number in range(1000))\n")
        .config("WSGIScriptAlias /l \"@APPS@/large.py\"")
        .start();
    let mut connection = httpd.connect();
    connection.send(&httpd.request("GET", "/l").bytes());
    assert!(httpd.get("/l").body.len() == 8 * 1024 * 1000, "another client is served meanwhile");
    let answer = connection.read_response("GET");
    answer.expect(200);
    assert_eq!(answer.body.len(), 8 * 1024 * 1000);
}

fn a_half_closed_client_gets_its_answer(mode: Mode) {
    let httpd = start(mode);
    let mut connection = httpd.connect();
    connection.send(&httpd.request("POST", "/b?i.read()").body("abc").bytes()).half_close();
    connection.read_response("POST").expect_body(b"b'abc'");
}

fn pipelined_requests_are_answered_in_order(mode: Mode) {
    let httpd = start(mode);
    let mut connection = httpd.connect();
    let requests: Vec<u8> = (0..20)
        .flat_map(|number| httpd.request("POST", "/b?i.read()").body(format!("number {number}")).bytes())
        .collect();
    connection.send(&requests);
    for number in 0..20 {
        connection.read_response("POST").expect_body(format!("b'number {number}'").as_bytes());
    }
}
