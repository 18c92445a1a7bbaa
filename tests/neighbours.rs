// SPDX-License-Identifier: Apache-2.0
//! Requests that httpd's other modules hand over, look at, or hand back: mod_dir, error documents, mod_mime, listeners.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Site, event, modes};

modes! {
    a_directory_index_may_be_an_application,
    a_fallback_resource_may_be_an_application,
    options_of_the_alias_survive_a_fallback,
    a_failing_error_document_is_tried_once,
    an_error_document_may_be_an_application,
    nothing_of_the_scripts_name_describes_the_answer,
    each_of_two_listeners_on_one_port_is_told_by_its_own_address,
    many_patterns_are_tried_in_order,
    a_server_side_include_runs_an_application,
}

/// Notes how often it ran; `refuse` answers 500 by raising after it has committed its head.
const COUNTED: &str = "
import journal

def application(environ, start_response):
    journal.note('ran %s' % environ['PATH_INFO'])
    write = start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/refuse':
        write(b'')
        raise ValueError('after its head')
    return [b'counted']
";

fn runs(httpd: &Httpd) -> usize {
    httpd.journal().iter().filter(|line| line.contains("ran ")).count()
}

fn a_directory_index_may_be_an_application(mode: Mode) {
    let httpd = Site::new(mode).mount("/app", "environ.py").config("DirectoryIndex /app").start();
    let environ = httpd.get("/").expect(200).environ();
    assert_eq!(environ.text("SCRIPT_NAME"), "/app");
}

fn a_fallback_resource_may_be_an_application(mode: Mode) {
    let httpd = Site::new(mode).mount("/app", "environ.py").config("FallbackResource /app/fallback").start();
    let environ = httpd.get("/nothing/here?q=1").expect(200).environ();
    assert_eq!((environ.text("SCRIPT_NAME"), environ.text("PATH_INFO")), ("/app", "/fallback"));
    httpd.get("/static.txt").expect(200).expect_body(b"static\n");
}

fn options_of_the_alias_survive_a_fallback(mode: Mode) {
    let httpd = Site::new(mode)
        .app("environ.py")
        .config("WSGIScriptAlias /app \"@APPS@/environ.py\" application-group=chosen")
        .config("FallbackResource /app")
        .start();
    let environ = httpd.get("/nothing").expect(200).environ();
    assert_eq!(environ.text("mod_wsgi.application_group"), "chosen");
}

fn a_failing_error_document_is_tried_once(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/counted.py", COUNTED)
        .config("WSGIScriptAlias /app \"@APPS@/counted.py\"\nErrorDocument 500 /app/refuse")
        .start();
    httpd.expect(event::APPLICATION_FAILED);
    httpd.get("/app/refuse").expect(500);
    assert_eq!(runs(&httpd), 2, "once for the request, once for the error document");
}

fn an_error_document_may_be_an_application(mode: Mode) {
    let httpd = Site::new(mode)
        .file("apps/counted.py", COUNTED)
        .config("WSGIScriptAlias /app \"@APPS@/counted.py\"\nErrorDocument 404 /app/missing")
        .start();
    httpd.get("/nothing").expect_body(b"counted");
    assert_eq!(runs(&httpd), 1);
}

fn nothing_of_the_scripts_name_describes_the_answer(mode: Mode) {
    let script = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'plain']\n";
    let httpd = Site::new(mode)
        .file("apps/page.fr.gz.py", script)
        .config("AddLanguage fr .fr\nAddEncoding x-gzip .gz\nWSGIScriptAlias /app \"@APPS@/page.fr.gz.py\"")
        .start();
    let answer = httpd.get("/app");
    answer.expect(200).expect_body(b"plain");
    for name in ["Content-Type", "Content-Language", "Content-Encoding"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

fn each_of_two_listeners_on_one_port_is_told_by_its_own_address(mode: Mode) {
    let httpd = Site::new(mode).mount("/app", "environ.py").config("Listen 127.0.0.2:@PORT@").start();
    let environ = httpd.get("/app").expect(200).environ();
    assert_eq!(environ.text("mod_wsgi.listener_host"), "127.0.0.1");
    assert_eq!(environ.text("mod_wsgi.listener_port"), httpd.port().to_string());
}

fn many_patterns_are_tried_in_order(mode: Mode) {
    let patterns: String =
        (0..50).map(|number| format!("WSGIScriptAliasMatch ^/p{number}$ \"@APPS@/nowhere{number}.py\"\n")).collect();
    let httpd = Site::new(mode)
        .app("environ.py")
        .config(&patterns)
        .config("WSGIScriptAliasMatch ^/p([0-9]+) \"@APPS@/environ.py\"")
        .start();
    httpd.expect(event::FILE_DOUBTFUL);
    httpd.expect(event::SCRIPT_MISSING);
    httpd.get("/p49").expect(404);
    httpd.get("/p50").expect(200);
}

fn a_server_side_include_runs_an_application(mode: Mode) {
    let httpd = Site::new(mode)
        .with("filter")
        .with("include")
        .app("environ.py")
        .file("htdocs/page.shtml", "before <!--#include virtual=\"/app/inside\" --> after")
        .file("apps/included.py", COUNTED)
        .config("WSGIScriptAlias /app \"@APPS@/included.py\"")
        .config("<Directory \"@ROOT@/htdocs\">\nRequire all granted\nOptions +Includes\n</Directory>")
        .config("AddType text/html .shtml\nAddOutputFilter INCLUDES .shtml")
        .start();
    httpd.get("/page.shtml").expect(200).expect_body(b"before counted after");
}
