// SPDX-License-Identifier: Apache-2.0
//! Where a request goes and what is refused: process groups, restrictions, handler scripts, and scripts that other modules
//! would serve as text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Response, Site, event, modes};

modes! {
    a_group_that_nobody_declares_is_an_error_of_the_request,
    a_group_of_another_virtual_host_is_not_visible,
    a_group_that_is_not_permitted_is_forbidden,
    an_unset_or_empty_variable_never_means_embedded_mode,
    a_dispatch_script_that_cannot_run_refuses_the_request,
    an_access_script_that_cannot_run_lets_nobody_in,
    a_provider_whose_script_cannot_run_lets_nobody_in,
    an_import_script_is_loaded_before_the_first_request,
    a_handler_script_answers_for_files_of_its_handler,
    an_aliased_script_is_run_whatever_handler_its_extension_has,
    a_handler_that_answers_itself_keeps_its_requests,
    doubtful_directives_are_told_in_the_log_with_file_and_line,
    doubtful_lines_of_htaccess_are_told_once,
    a_mistake_in_htaccess_is_an_error_of_the_request,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/e", "environ.py")
}

fn group(answer: &Response) -> String {
    answer.environ().text("mod_wsgi.process_group").to_owned()
}

fn from(httpd: &Httpd, host: &str) -> Response {
    httpd.request("GET", "/e").header("Host", host).send()
}

fn a_group_that_nobody_declares_is_an_error_of_the_request(mode: Mode) {
    let httpd = site(mode).config("WSGIDaemonProcess site\n<Location /e>\nWSGIProcessGroup Site\n</Location>").start();
    httpd.expect(event::GROUP_UNKNOWN).expect(event::GROUP_UNRESOLVED);
    httpd.get("/e").expect(500);
}

fn a_group_of_another_virtual_host_is_not_visible(mode: Mode) {
    let httpd = site(mode)
        .config("WSGIDaemonProcess everywhere")
        .vhost("one.test", "WSGIDaemonProcess one\nWSGIProcessGroup one")
        .vhost("two.test", "WSGIProcessGroup one")
        .vhost("three.test", "WSGIProcessGroup everywhere")
        .start();
    httpd.expect(event::GROUP_UNRESOLVED);
    assert_eq!(group(&from(&httpd, "one.test")), "one");
    assert_eq!(group(&from(&httpd, "three.test")), "everywhere");
    httpd.expect(event::GROUP_NOT_VISIBLE);
    from(&httpd, "two.test").expect(500);
}

fn a_group_that_is_not_permitted_is_forbidden(mode: Mode) {
    let httpd = site(mode)
        .config("WSGIDaemonProcess one\nWSGIDaemonProcess two\nSetEnvIf X-Group (.*) GROUP=$1")
        .config("<Location /e>\nWSGIProcessGroup %{ENV:GROUP}\nWSGIRestrictProcess one\n</Location>")
        .start();
    let ask = |name: &str| httpd.request("GET", "/e").header("X-Group", name).send();
    assert_eq!(group(&ask("one")), "one");
    httpd.expect(event::GROUP_RESTRICTED);
    for name in ["two", "ONE", "%{GLOBAL}"] {
        ask(name).expect(403);
    }
}

fn an_unset_or_empty_variable_never_means_embedded_mode(mode: Mode) {
    let httpd = site(mode)
        .config("<Location /e>\nWSGIProcessGroup %{ENV:GROUP}\n</Location>")
        .config("<Location /e/empty>\nSetEnv GROUP \"\"\n</Location>")
        .start();
    httpd.expect(event::VARIABLE_UNSET);
    httpd.get("/e").expect(500);
    httpd.get("/e/empty").expect(500);
    httpd.wait_for_log("'GROUP'");
}

fn a_dispatch_script_that_cannot_run_refuses_the_request(mode: Mode) {
    let httpd = site(mode).config("<Location /e>\nWSGIDispatchScript /srv/dispatch.py\n</Location>").start();
    httpd.expect(event::DISPATCH_MISSING).expect(event::FILE_DOUBTFUL);
    httpd.get("/e").expect(500);
}

fn an_access_script_that_cannot_run_lets_nobody_in(mode: Mode) {
    let httpd = site(mode).config("<Location /static.txt>\nWSGIAccessScript /srv/access.py\n</Location>").start();
    httpd.expect(event::HOOK_SCRIPT_MISSING).expect(event::FILE_DOUBTFUL);
    httpd.get("/static.txt").expect(500);
    httpd.get("/e").expect(200);
}

fn a_provider_whose_script_cannot_run_lets_nobody_in(mode: Mode) {
    let httpd = ["auth_basic", "authn_core", "authz_user"]
        .into_iter()
        .fold(site(mode), Site::with)
        .file("apps/auth.py", "")
        .config("<Location /static.txt>\nAuthType Basic\nAuthName x\nAuthBasicProvider wsgi\nRequire valid-user")
        .config("WSGIAuthUserScript \"@APPS@/auth.py\"\nWSGIAuthGroupScript \"@APPS@/auth.py\"\n</Location>")
        .config(
            "<Location /e>\nAuthType Basic\nAuthName x\nAuthBasicProvider wsgi\nRequire wsgi-group staff\n</Location>",
        )
        .start();
    httpd.expect(event::HOOK_SCRIPT_MISSING).tolerate_text("AH0");
    httpd.request("GET", "/static.txt").header("Authorization", "Basic eDp5").send().expect(500);
    httpd.get("/static.txt").expect(401);
    httpd.get("/e").expect(401);
}

fn an_import_script_is_loaded_before_the_first_request(mode: Mode) {
    let source = "import journal\njournal.note('imported')\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n";
    let group = match mode {
        Mode::Embedded => "%{GLOBAL}",
        Mode::Daemon => "tests",
    };
    let import = format!("WSGIImportScript \"@APPS@/i.py\" process-group={group} application-group=early");
    let httpd = site(mode)
        .file("apps/i.py", source)
        .config("WSGIScriptAlias /i \"@APPS@/i.py\" application-group=early")
        .vhost("one.test", &import)
        .start();
    httpd.wait_for_journal("imported");
    httpd.get("/i").expect_body(b"x");
    assert_eq!(httpd.journal(), ["imported"]);
}

fn a_handler_script_answers_for_files_of_its_handler(mode: Mode) {
    let source = "import environ\n\n\ndef handle_request(request, start_response):\n    return environ.application(request, start_response)\n";
    let httpd = site(mode)
        .file("apps/report.py", source)
        .file("htdocs/one.report", "never shown")
        .config("WSGIHandlerScript Report-Script \"@APPS@/report.py\" application-group=reports")
        .config("<Directory \"@ROOT@/htdocs\">\nAddHandler Report-Script .report\n</Directory>")
        .start();
    let environ = httpd.get("/one.report/path").environ();
    assert!(environ.text("mod_wsgi.handler_script").ends_with("/apps/report.py"));
    assert!(environ.text("SCRIPT_FILENAME").ends_with("/htdocs/one.report"));
    assert_eq!(environ.text("mod_wsgi.application_group"), "reports");
    assert_eq!(environ.text("mod_wsgi.request_handler"), "report-script");
    assert_eq!((environ.text("SCRIPT_NAME"), environ.text("PATH_INFO")), ("/one.report", "/path"));
    httpd.get("/absent.report").environ();
}

fn an_aliased_script_is_run_whatever_handler_its_extension_has(mode: Mode) {
    let httpd = site(mode)
        .config("AddHandler cgi-script .py\n<Location /e/none>\nSetHandler None\n</Location>")
        .config("<Location /e/default>\nSetHandler default-handler\n</Location>")
        .start();
    for path in ["/e", "/e/none", "/e/x"] {
        let environ = httpd.get(path).environ();
        assert_eq!(environ.text("SCRIPT_NAME"), "/e", "{path}");
        assert_eq!(environ.text("mod_wsgi.request_handler"), "wsgi-script", "{path}");
    }
    assert!(!httpd.get("/e/default").text().contains("def application"));
}

fn a_handler_that_answers_itself_keeps_its_requests(mode: Mode) {
    let httpd = Site::new(mode)
        .with("status")
        .mount("/", "environ.py")
        .config("<Location /server-status>\nSetHandler server-status\n</Location>")
        .start();
    assert!(httpd.get("/server-status").text().contains("Apache Server Status"));
    assert_eq!(httpd.get("/other").environ().text("PATH_INFO"), "/other");
}

fn doubtful_directives_are_told_in_the_log_with_file_and_line(mode: Mode) {
    let httpd = site(mode)
        .vhost("one.test", "WSGIDaemonProcess one threads=5x")
        .config("<Location /x>\nWSGITrustedProxyHeaders X_Bad\n</Location>")
        .config("WSGILazyInitialization Off")
        .start();
    httpd.expect(event::ARGUMENT_DOUBTFUL).expect(event::CONFIGURATION_CONTRADICTORY);
    let main: Vec<_> = httpd.log();
    let told =
        |text: &str| main.iter().any(|entry| entry.message.contains(text) && entry.message.contains("httpd.conf:"));
    assert!(told("WSGITrustedProxyHeaders at "), "{main:?}");
    assert!(told("WSGILazyInitialization at "));
    assert!(
        httpd.log_of("one.test").iter().any(|entry| entry.message.contains("'5x' is not a number; it is read as 5"))
    );
}

fn doubtful_lines_of_htaccess_are_told_once(mode: Mode) {
    let httpd = site(mode)
        .file("htdocs/.htaccess", "WSGITrustedProxyHeaders X_Bad\n")
        .config("<Directory \"@ROOT@/htdocs\">\nAllowOverride FileInfo\n</Directory>")
        .start();
    httpd.expect(event::ARGUMENT_DOUBTFUL);
    for _ in 0..3 {
        httpd.get("/static.txt").expect(200);
    }
    httpd.wait_for_log(".htaccess:1");
    assert_eq!(httpd.count(event::ARGUMENT_DOUBTFUL), 1);
}

fn a_mistake_in_htaccess_is_an_error_of_the_request(mode: Mode) {
    let httpd = site(mode)
        .file("htdocs/.htaccess", "WSGIScriptReloading maybe\n")
        .config("<Directory \"@ROOT@/htdocs\">\nAllowOverride FileInfo\n</Directory>")
        .start();
    httpd.expect_text("WSGIScriptReloading expected On|Off, found 'maybe'");
    httpd.get("/static.txt").expect(500);
    httpd.get("/e").expect(200);
}
