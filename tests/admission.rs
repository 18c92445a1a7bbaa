// SPDX-License-Identifier: Apache-2.0
//! Which requests reach an application, and what the others get.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{End, Httpd, Mode, Site, event, modes};

modes! {
    a_handler_needs_execcgi,
    both_handler_names_run_a_script,
    a_missing_script_is_not_found,
    a_directory_is_forbidden,
    path_info_can_be_refused,
    an_unknown_transfer_encoding_is_not_implemented,
    a_chunked_body_needs_permission,
    a_chunked_body_is_taken_with_permission,
    content_length_with_chunked_never_confuses,
    a_malformed_content_length_is_a_bad_request,
    a_body_over_the_limit_is_refused_before_the_application_runs,
    a_chunked_body_over_the_limit_gets_one_answer,
    an_unread_chunked_body_over_the_limit_does_not_matter,
    embedded_mode_can_be_forbidden,
    the_global_process_group_is_embedded_mode,
    static_files_are_served_beside,
    malformed_requests_do_no_harm,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/b", "body.py").mount("/e", "environ.py")
}

/// Sends raw bytes and gives the status of the one answer; fails when more than one answer comes back.
fn status_of(httpd: &Httpd, bytes: &[u8]) -> u16 {
    let mut connection = httpd.connect();
    connection.send(bytes);
    let answer = connection.read_response("GET");
    assert_eq!(answer.end, End::Complete, "{answer:?}");
    answer.status
}

fn with_handler(mode: Mode, handler: &str, options: &str) -> Site {
    Site::new(mode)
        .app("environ.py")
        .config("Alias /files \"@APPS@\"")
        .config(&format!("<Directory \"@APPS@\">\nOptions {options}\nAddHandler {handler} .py\n</Directory>"))
}

fn a_handler_needs_execcgi(mode: Mode) {
    let httpd = with_handler(mode, "wsgi-script", "-ExecCGI").start();
    httpd.expect(event::EXECUTION_FORBIDDEN);
    httpd.get("/files/environ.py").expect(403);
}

fn both_handler_names_run_a_script(mode: Mode) {
    for handler in ["wsgi-script", "application/x-httpd-wsgi"] {
        let httpd = with_handler(mode, handler, "+ExecCGI").start();
        let environ = httpd.get("/files/environ.py/more?q").environ();
        assert_eq!(environ.text("SCRIPT_NAME"), "/files/environ.py");
        assert_eq!(environ.text("PATH_INFO"), "/more");
        assert_eq!(environ.text("mod_wsgi.request_handler"), handler);
        assert_eq!(environ.text("CONTEXT_PREFIX"), "/files");
    }
}

fn a_missing_script_is_not_found(mode: Mode) {
    let httpd = Site::new(mode).config("WSGIScriptAlias /gone \"@APPS@/gone.py\"").start();
    httpd.expect(event::FILE_DOUBTFUL);
    httpd.expect(event::SCRIPT_MISSING);
    httpd.get("/gone").expect(404);
    httpd.get("/gone/deeper").expect(404);
}

fn a_directory_is_forbidden(mode: Mode) {
    let httpd = Site::new(mode).app("environ.py").config("WSGIScriptAlias /d/ \"@APPS@/\"").start();
    httpd.expect(event::SCRIPT_IS_DIRECTORY);
    httpd.get("/d/").expect(403);
    httpd.get("/d/environ.py/x").expect(200);
}

fn path_info_can_be_refused(mode: Mode) {
    let httpd = site(mode).config("<Directory \"@APPS@\">\nAcceptPathInfo Off\n</Directory>").start();
    httpd.expect(event::PATH_INFO_REFUSED);
    httpd.get("/e").expect(200);
    httpd.get("/e/more").expect(404);
}

fn an_unknown_transfer_encoding_is_not_implemented(mode: Mode) {
    let httpd = site(mode).config("WSGIChunkedRequest On").start();
    // httpd itself answers most of these with 400 or 501 before a handler runs.
    httpd.tolerate(event::TRANSFER_ENCODING_UNKNOWN).tolerate_text("AH");
    for coding in ["gzip, chunked", "gzip", "identity"] {
        let request = format!("POST /b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        let status = status_of(&httpd, request.as_bytes());
        assert!(matches!(status, 400 | 501), "{coding}: {status}");
    }
    httpd.get("/e").expect(200);
}

fn a_chunked_body_needs_permission(mode: Mode) {
    let httpd = site(mode).start();
    httpd.expect(event::CHUNKED_REFUSED);
    httpd.request("POST", "/b?i.read()").chunks(["abc"]).send().expect(411);
}

fn a_chunked_body_is_taken_with_permission(mode: Mode) {
    let httpd = site(mode).config("<Location /b>\nWSGIChunkedRequest On\n</Location>").start();
    httpd.request("POST", "/b?i.read()").chunks(["abc", "defg"]).send().expect_body(b"b'abcdefg'");
    httpd.expect(event::CHUNKED_REFUSED);
    httpd.request("POST", "/e").chunks(["abc"]).send().expect(411);
}

fn content_length_with_chunked_never_confuses(mode: Mode) {
    let httpd = site(mode).config("WSGIChunkedRequest On").start();
    httpd.tolerate_text("AH");
    let mut connection = httpd.connect();
    connection.send(b"POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let answer = connection.read_response("POST");
    // Either refused, or the length is not shown to the application.
    if answer.status != 400 {
        let environ = answer.environ();
        assert!(!environ.has("CONTENT_LENGTH"));
        assert_eq!(environ.text("HTTP_TRANSFER_ENCODING"), "chunked");
    }
}

fn a_malformed_content_length_is_a_bad_request(mode: Mode) {
    let httpd = site(mode).config("HttpProtocolOptions Unsafe").start();
    httpd.tolerate(event::CONTENT_LENGTH_INVALID).tolerate_text("AH");
    for length in ["x", "-1", "1x", "99999999999999999999", ""] {
        let request = format!(
            "POST /b?i.read() HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let status = status_of(&httpd, request.as_bytes());
        assert!(matches!(status, 400 | 413), "{length:?}: {status}");
    }
    httpd.get("/e").expect(200);
}

fn a_body_over_the_limit_is_refused_before_the_application_runs(mode: Mode) {
    let httpd = site(mode).mount("/g", "gated.py").config("LimitRequestBody 10").start();
    httpd.tolerate_text("AH").tolerate(event::BODY_TOO_LARGE);
    let mut connection = httpd.connect();
    connection.send(&httpd.request("POST", "/g/reading").body("12345678901").bytes());
    let answer = connection.read_response("POST");
    answer.expect(413);
    assert!(connection.is_closed_by_server(), "the unread body must not be taken for a request");
    assert_eq!(httpd.journal(), Vec::<String>::new());
    httpd.request("POST", "/b?i.read()").body("1234567890").send().expect_body(b"b'1234567890'");
}

fn a_chunked_body_over_the_limit_gets_one_answer(mode: Mode) {
    let httpd = site(mode).mount("/g", "gated.py").config("LimitRequestBody 10\nWSGIChunkedRequest On").start();
    httpd.tolerate_text("AH").tolerate(event::BODY_TOO_LARGE).tolerate(event::APPLICATION_FAILED);
    let mut connection = httpd.connect();
    connection.send(&httpd.request("POST", "/g/reading").chunks(["12345", "67890", "more"]).bytes());
    let answer = connection.read_response("POST");
    answer.expect(413);
    assert!(!answer.text().contains("done"), "{}", answer.text());
    assert!(connection.is_closed_by_server(), "nothing may follow the answer");
    let raised = httpd.wait_for_journal("read raised");
    assert!(raised.contains("OSError"), "{raised}");
    httpd.wait_for_journal("closed reading");
}

fn an_unread_chunked_body_over_the_limit_does_not_matter(mode: Mode) {
    let httpd = site(mode).config("LimitRequestBody 10\nWSGIChunkedRequest On").start();
    httpd.tolerate_text("AH");
    httpd.request("POST", "/e").chunks(["12345678901234567890"]).send().expect(200);
}

fn embedded_mode_can_be_forbidden(mode: Mode) {
    if mode != Mode::Embedded {
        return;
    }
    let httpd = site(mode).config("WSGIRestrictEmbedded On").start();
    httpd.expect(event::EMBEDDED_RESTRICTED);
    httpd.get("/e").expect(500);
    httpd.get("/static.txt").expect_body(b"static\n");
}

fn the_global_process_group_is_embedded_mode(mode: Mode) {
    let httpd = site(mode).config("WSGIScriptAlias /d \"@APPS@/environ.py\" process-group=%{GLOBAL}").start();
    httpd.get("/d").expect(200);
}

fn static_files_are_served_beside(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/static.txt").expect_body(b"static\n");
    httpd.get("/nothing").expect(404);
}

fn malformed_requests_do_no_harm(mode: Mode) {
    let httpd = site(mode).start();
    httpd.tolerate_text("AH");
    let pid = httpd.get("/e").environ().text("mod_wsgi.server_pid").to_owned();
    let requests: [&[u8]; 12] = [
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /e\0x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /e%00x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /e%2fx HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /e HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /e HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /e HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n",
        b"GET /e HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n",
        b"POST /b?i.read() HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /e/../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    httpd.tolerate(event::CHUNKED_REFUSED);
    for request in requests {
        let mut connection = httpd.connect();
        connection.send(request).half_close();
        connection.read_some(1_000_000);
    }
    let long = format!("GET /e/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let mut connection = httpd.connect();
    let _ = connection.try_send(long.as_bytes());
    connection.read_some(1_000_000);
    assert_eq!(httpd.get("/e").environ().text("mod_wsgi.server_pid"), pid);
}
