// SPDX-License-Identifier: Apache-2.0
//! The environ: every key, its type and where its value comes from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Environ, Httpd, Mode, Protocol, Site, modes};

modes! {
    every_key_is_there_with_its_type,
    request_line_keys_hold_what_the_client_sent,
    server_and_client_keys_hold_addresses_and_names,
    wsgi_keys_hold_what_pep_3333_asks_for,
    module_keys_describe_the_request,
    nothing_is_taken_from_the_process_environment,
    headers_become_keys,
    duplicate_headers_are_joined,
    the_proxy_header_never_arrives,
    headers_with_ambiguous_names_are_dropped,
    header_values_are_latin1,
    hop_by_hop_headers_are_passed,
    content_type_and_length_have_no_prefix,
    authorization_is_withheld_by_default,
    authorization_is_passed_when_asked_for,
    proxy_authorization_is_passed_only_by_cgipassauth,
    an_alias_can_pass_authorization,
    remote_user_and_auth_type_come_from_authentication,
    setenv_variables_arrive_and_cgi_keys_win,
    path_from_setenv_is_dropped,
    https_is_consumed_and_sets_the_scheme,
    https_off_leaves_the_scheme_http,
    a_redirect_leaves_its_traces,
    an_unset_query_string_is_empty,
    the_request_uri_is_raw,
    http2_requests_have_the_same_keys,
    a_request_without_host_is_served,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/e", "environ.py")
}

fn environ(httpd: &Httpd, target: &str) -> Environ {
    httpd.get(target).environ()
}

fn every_key_is_there_with_its_type(mode: Mode) {
    let httpd = site(mode).start();
    let environ = environ(&httpd, "/e");
    let strings = [
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_URI",
        "REQUEST_SCHEME",
        "SERVER_PROTOCOL",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_ADDR",
        "SERVER_SOFTWARE",
        "SERVER_ADMIN",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "DOCUMENT_ROOT",
        "SCRIPT_FILENAME",
        "CONTEXT_PREFIX",
        "CONTEXT_DOCUMENT_ROOT",
        "mod_wsgi.script_name",
        "mod_wsgi.path_info",
        "mod_wsgi.process_group",
        "mod_wsgi.application_group",
        "mod_wsgi.callable_object",
        "mod_wsgi.request_handler",
        "mod_wsgi.handler_script",
        "mod_wsgi.listener_host",
        "mod_wsgi.listener_port",
        "mod_wsgi.server_pid",
        "mod_wsgi.request_id",
        "wsgi.url_scheme",
    ];
    for key in strings {
        assert_eq!(environ.value(key).kind, "str", "{key}");
    }
    for key in ["request_start", "queue_start", "daemon_start", "application_start"] {
        assert_eq!(environ.value(&format!("mod_wsgi.{key}")).kind, "float", "{key}");
    }
    for key in ["wsgi.version", "mod_wsgi.version", "apache.version"] {
        assert_eq!(environ.value(key).kind, "tuple", "{key}");
    }
    for key in ["wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.input_terminated"] {
        assert_eq!(environ.value(key).kind, "bool", "{key}");
    }
    assert_eq!(environ.value("mod_wsgi.thread_id").kind, "int");
    assert_eq!(environ.repr("test.exact_dict"), "True");
    for key in [
        "PATH_TRANSLATED",
        "REMOTE_HOST",
        "REMOTE_IDENT",
        "GATEWAY_INTERFACE",
        "SERVER_SIGNATURE",
        "PATH",
        "REMOTE_USER",
        "AUTH_TYPE",
        "HTTPS",
        "apache.request_rec",
        "mod_wsgi.mount_point",
    ] {
        assert!(!environ.has(key), "{key}");
    }
    assert!(!environ.0.keys().any(|key| key.starts_with("mod_wsgi.x-")));
}

fn request_line_keys_hold_what_the_client_sent(mode: Mode) {
    let httpd = site(mode).start();
    let environ = httpd.request("PATCH", "/e/a/b?x=1&y=%20").send().environ();
    assert_eq!(environ.text("REQUEST_METHOD"), "PATCH");
    assert_eq!(environ.text("SCRIPT_NAME"), "/e");
    assert_eq!(environ.text("PATH_INFO"), "/a/b");
    assert_eq!(environ.text("QUERY_STRING"), "x=1&y=%20");
    assert_eq!(environ.text("REQUEST_URI"), "/e/a/b?x=1&y=%20");
    assert_eq!(environ.text("SERVER_PROTOCOL"), "HTTP/1.1");
    let old = httpd.request("GET", "/e").over(Protocol::Http10).send().environ();
    assert_eq!(old.text("SERVER_PROTOCOL"), "HTTP/1.0");
}

fn server_and_client_keys_hold_addresses_and_names(mode: Mode) {
    let httpd = site(mode).start();
    let environ = environ(&httpd, "/e/x");
    let port = httpd.port().to_string();
    assert_eq!(environ.text("SERVER_NAME"), "localhost");
    assert_eq!(environ.text("SERVER_PORT"), port);
    assert_eq!(environ.text("SERVER_ADDR"), "127.0.0.1");
    assert_eq!(environ.text("REMOTE_ADDR"), "127.0.0.1");
    assert!(environ.text("REMOTE_PORT").parse::<u16>().is_ok());
    assert!(environ.text("SERVER_SOFTWARE").starts_with("Apache"));
    assert_eq!(environ.text("SERVER_ADMIN"), "admin@localhost");
    assert_eq!(environ.text("REQUEST_SCHEME"), "http");
    assert_eq!(environ.text("DOCUMENT_ROOT"), httpd.root().join("htdocs").to_str().unwrap());
    assert_eq!(environ.text("SCRIPT_FILENAME"), httpd.app_path("environ.py").to_str().unwrap());
    assert_eq!(environ.text("CONTEXT_PREFIX"), "");
    assert_eq!(environ.text("CONTEXT_DOCUMENT_ROOT"), httpd.root().join("htdocs").to_str().unwrap());
}

fn wsgi_keys_hold_what_pep_3333_asks_for(mode: Mode) {
    let httpd = site(mode).start();
    let environ = environ(&httpd, "/e");
    assert_eq!(environ.repr("wsgi.version"), "(1, 0)");
    assert_eq!(environ.text("wsgi.url_scheme"), "http");
    assert_eq!(environ.repr("wsgi.multithread"), "True");
    assert_eq!(environ.repr("wsgi.run_once"), "False");
    assert_eq!(environ.repr("wsgi.input_terminated"), "True");
    assert_eq!(environ.value("wsgi.file_wrapper").kind, "type");
    assert_eq!(environ.value("wsgi.errors").kind, "TextIOWrapper");
    assert!(environ.has("wsgi.input"));
}

fn module_keys_describe_the_request(mode: Mode) {
    let httpd = site(mode).config("WSGIScriptAlias /g \"@APPS@/environ.py\" application-group=%{GLOBAL}").start();
    let first = environ(&httpd, "/e/p");
    assert_eq!(first.text("mod_wsgi.script_name"), "/e");
    assert_eq!(first.text("mod_wsgi.path_info"), "/p");
    assert_eq!(first.text("mod_wsgi.process_group"), if mode == Mode::Daemon { "tests" } else { "" });
    assert_eq!(first.text("mod_wsgi.application_group"), format!("localhost:{}|/e", httpd.port()));
    assert_eq!(first.text("mod_wsgi.callable_object"), "application");
    assert_eq!(first.text("mod_wsgi.request_handler"), "wsgi-script");
    assert_eq!(first.text("mod_wsgi.handler_script"), "");
    assert_eq!(first.text("mod_wsgi.listener_port"), httpd.port().to_string());
    assert_eq!(first.text("mod_wsgi.listener_host"), "127.0.0.1");
    let pid: u32 = first.text("mod_wsgi.server_pid").parse().unwrap();
    assert_eq!(httpd.children().contains(&pid), mode == Mode::Embedded);
    let times: Vec<f64> = ["request_start", "application_start"]
        .map(|key| first.repr(&format!("mod_wsgi.{key}")).parse().unwrap())
        .to_vec();
    assert!(times[0] > 1.0e9 && times[1] >= times[0], "{times:?}");
    let second = environ(&httpd, "/g");
    assert_eq!(second.text("mod_wsgi.application_group"), "");
    assert_ne!(first.text("mod_wsgi.request_id"), second.text("mod_wsgi.request_id"));
}

fn nothing_is_taken_from_the_process_environment(mode: Mode) {
    let httpd = site(mode).variable("MWRS_CANARY", "x").start();
    assert!(!environ(&httpd, "/e").has("MWRS_CANARY"));
}

fn headers_become_keys(mode: Mode) {
    let httpd = site(mode).start();
    let request =
        httpd.request("GET", "/e").header("x-lower-CASE", "a b").header("User-Agent", "u").header("Cookie", "a=1; b=2");
    let environ = request.header("X-Digits-123", "").send().environ();
    assert_eq!(environ.text("HTTP_X_LOWER_CASE"), "a b");
    assert_eq!(environ.text("HTTP_USER_AGENT"), "u");
    assert_eq!(environ.text("HTTP_COOKIE"), "a=1; b=2");
    assert_eq!(environ.text("HTTP_X_DIGITS_123"), "");
    assert_eq!(environ.text("HTTP_HOST"), format!("localhost:{}", httpd.port()));
}

fn duplicate_headers_are_joined(mode: Mode) {
    let httpd = site(mode).start();
    let environ = httpd.request("GET", "/e").header("X-Twice", "1").header("x-twice", "2").send().environ();
    assert_eq!(environ.text("HTTP_X_TWICE"), "1, 2");
}

fn the_proxy_header_never_arrives(mode: Mode) {
    let httpd = site(mode).start();
    let environ = httpd.request("GET", "/e").header("Proxy", "http://evil").header("PROXY", "x").send().environ();
    assert!(!environ.has("HTTP_PROXY"));
}

fn headers_with_ambiguous_names_are_dropped(mode: Mode) {
    let httpd = site(mode).config("HttpProtocolOptions Unsafe").start();
    let request = httpd.request("GET", "/e").header("X_Foo", "1").header("X.Foo", "2").header("X-Good", "3");
    let environ = request.header("Content_Length", "7").send().environ();
    assert_eq!(environ.text("HTTP_X_GOOD"), "3");
    assert!(!environ.0.keys().any(|key| key.starts_with("HTTP_X") && key.contains("FOO")), "{environ:?}");
    assert!(!environ.has("CONTENT_LENGTH") && !environ.has("HTTP_CONTENT_LENGTH"));
}

fn header_values_are_latin1(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(b"GET /e/caf%C3%A9?q=\xe9 HTTP/1.1\r\nHost: localhost\r\nX-Raw: caf\xc3\xa9 \xff\r\n\r\n");
    let answer = connection.read_response("GET");
    if answer.status == 400 {
        panic!("httpd refused the header: {}", answer.text());
    }
    let environ = answer.environ();
    assert_eq!(environ.repr("HTTP_X_RAW"), r"'caf\xc3\xa9 \xff'");
    assert_eq!(environ.repr("PATH_INFO"), r"'/caf\xc3\xa9'");
    assert_eq!(environ.repr("QUERY_STRING"), r"'q=\xe9'");
}

fn hop_by_hop_headers_are_passed(mode: Mode) {
    let httpd = site(mode).start();
    let request =
        httpd.request("GET", "/e").header("Connection", "TE, close").header("TE", "trailers").header("Upgrade", "x/1");
    let environ = request.send().environ();
    assert_eq!(environ.text("HTTP_CONNECTION"), "TE, close");
    assert_eq!(environ.text("HTTP_TE"), "trailers");
    assert_eq!(environ.text("HTTP_UPGRADE"), "x/1");
}

fn content_type_and_length_have_no_prefix(mode: Mode) {
    let httpd = site(mode).start();
    let environ = httpd.request("POST", "/e").header("Content-Type", "text/x; a=b").body("12345").send().environ();
    assert_eq!(environ.text("CONTENT_TYPE"), "text/x; a=b");
    assert_eq!(environ.text("CONTENT_LENGTH"), "5");
    assert!(!environ.has("HTTP_CONTENT_TYPE") && !environ.has("HTTP_CONTENT_LENGTH"));
    let silent = httpd.get("/e").environ();
    assert!(!silent.has("CONTENT_TYPE") && !silent.has("CONTENT_LENGTH"));
}

fn with_credentials(httpd: &Httpd, target: &str) -> Environ {
    let request = httpd.request("GET", target).header("Authorization", "Bearer abc");
    request.header("Proxy-Authorization", "Bearer def").send().environ()
}

fn authorization_is_withheld_by_default(mode: Mode) {
    let httpd = site(mode).start();
    let environ = with_credentials(&httpd, "/e");
    assert!(!environ.has("HTTP_AUTHORIZATION") && !environ.has("HTTP_PROXY_AUTHORIZATION"));
}

fn authorization_is_passed_when_asked_for(mode: Mode) {
    let httpd = site(mode).config("<Location /e/on>\nWSGIPassAuthorization On\n</Location>").start();
    let environ = with_credentials(&httpd, "/e/on");
    assert_eq!(environ.text("HTTP_AUTHORIZATION"), "Bearer abc");
    assert!(!environ.has("HTTP_PROXY_AUTHORIZATION"));
    assert!(!with_credentials(&httpd, "/e/off").has("HTTP_AUTHORIZATION"));
}

fn proxy_authorization_is_passed_only_by_cgipassauth(mode: Mode) {
    let httpd = site(mode).config("<Location /e>\nCGIPassAuth On\n</Location>").start();
    let environ = with_credentials(&httpd, "/e");
    assert_eq!(environ.text("HTTP_AUTHORIZATION"), "Bearer abc");
    assert_eq!(environ.text("HTTP_PROXY_AUTHORIZATION"), "Bearer def");
}

fn an_alias_can_pass_authorization(mode: Mode) {
    let httpd = site(mode)
        .config("WSGIScriptAlias /p \"@APPS@/environ.py\" pass-authorization=On")
        .config("WSGIPassAuthorization On\nWSGIScriptAlias /q \"@APPS@/environ.py\" pass-authorization=Off")
        .start();
    assert!(with_credentials(&httpd, "/p").has("HTTP_AUTHORIZATION"));
    assert!(!with_credentials(&httpd, "/q").has("HTTP_AUTHORIZATION"));
}

fn remote_user_and_auth_type_come_from_authentication(mode: Mode) {
    let httpd = site(mode)
        .with("auth_basic")
        .with("authn_core")
        .with("authn_file")
        .with("authz_user")
        // The password is "secret".
        .file("users", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
        .config(
            "<Location /e>\nAuthType Basic\nAuthName x\nAuthUserFile \"@ROOT@/users\"\nRequire valid-user\n</Location>",
        )
        .start();
    let environ = httpd.request("GET", "/e").header("Authorization", "Basic YW5uOnNlY3JldA==").send().environ();
    assert_eq!(environ.text("REMOTE_USER"), "ann");
    assert_eq!(environ.text("AUTH_TYPE"), "Basic");
    assert!(!environ.has("HTTP_AUTHORIZATION"));
    httpd.get("/e").expect(401);
}

fn setenv_variables_arrive_and_cgi_keys_win(mode: Mode) {
    let httpd = site(mode)
        .config("SetEnv my.setting value\nSetEnv REQUEST_METHOD FORGED\nSetEnv PATH_INFO forged\nSetEnv wsgi.version forged")
        .config("SetEnvIf X-Flag (.+) FLAG=$1")
        .start();
    let environ = httpd.request("GET", "/e/real").header("X-Flag", "up").send().environ();
    assert_eq!(environ.text("my.setting"), "value");
    assert_eq!(environ.text("FLAG"), "up");
    assert_eq!(environ.text("REQUEST_METHOD"), "GET");
    assert_eq!(environ.text("PATH_INFO"), "/real");
    assert_eq!(environ.repr("wsgi.version"), "(1, 0)");
}

fn path_from_setenv_is_dropped(mode: Mode) {
    let httpd = site(mode).config("SetEnv PATH /nowhere").start();
    assert!(!environ(&httpd, "/e").has("PATH"));
}

fn https_is_consumed_and_sets_the_scheme(mode: Mode) {
    let httpd = site(mode).config("SetEnvIf X-HTTPS-Is (.+) HTTPS=$1").start();
    for value in ["on", "ON", "1"] {
        let environ = httpd.request("GET", "/e").header("X-HTTPS-Is", value).send().environ();
        assert_eq!(environ.text("wsgi.url_scheme"), "https", "{value}");
        assert_eq!(environ.text("REQUEST_SCHEME"), "http");
        assert!(!environ.has("HTTPS"));
    }
}

fn https_off_leaves_the_scheme_http(mode: Mode) {
    let httpd = site(mode).config("SetEnvIf X-HTTPS-Is (.+) HTTPS=$1").start();
    for value in ["off", "0", "true", "2"] {
        let environ = httpd.request("GET", "/e").header("X-HTTPS-Is", value).send().environ();
        assert_eq!(environ.text("wsgi.url_scheme"), "http", "{value}");
        assert!(!environ.has("HTTPS"));
    }
}

fn a_redirect_leaves_its_traces(mode: Mode) {
    let httpd = site(mode)
        .with("rewrite")
        .config("ErrorDocument 404 /e/missing?from=error")
        .config("RewriteEngine On\nRewriteRule ^/old/(.*)$ /e/$1?q=new [PT,E=MARK:set]")
        .start();
    let answer = httpd.get("/nothing?was=here");
    let environ = Environ::parse(&answer.text());
    assert_eq!(environ.text("REDIRECT_URL"), "/nothing");
    assert_eq!(environ.text("REDIRECT_QUERY_STRING"), "was=here");
    assert_eq!(environ.text("REDIRECT_STATUS"), "404");
    assert_eq!(environ.text("QUERY_STRING"), "from=error");
    assert_eq!(environ.text("REQUEST_URI"), "/nothing?was=here");
    let rewritten = httpd.get("/old/page?x=1").environ();
    assert_eq!(rewritten.text("MARK"), "set");
    assert_eq!(rewritten.text("PATH_INFO"), "/page");
    assert_eq!(rewritten.text("QUERY_STRING"), "q=new");
    assert_eq!(rewritten.text("REQUEST_URI"), "/old/page?x=1");
}

fn an_unset_query_string_is_empty(mode: Mode) {
    let httpd = site(mode).start();
    for target in ["/e", "/e?"] {
        assert_eq!(environ(&httpd, target).text("QUERY_STRING"), "");
    }
}

fn the_request_uri_is_raw(mode: Mode) {
    let httpd = site(mode).start();
    assert_eq!(environ(&httpd, "/e//a%20b/../c?x").text("REQUEST_URI"), "/e//a%20b/../c?x");
    let absolute = environ(&httpd, &format!("http://other.example:{}/e/abs", httpd.port()));
    assert_eq!(absolute.text("REQUEST_URI"), format!("http://other.example:{}/e/abs", httpd.port()));
    assert_eq!(absolute.text("PATH_INFO"), "/abs");
}

fn http2_requests_have_the_same_keys(mode: Mode) {
    let httpd = site(mode).with("http2").config("Protocols h2c http/1.1").start();
    let second = httpd.request("GET", "/e/p?q").over(Protocol::Http2).header("X-Same", "1").send().environ();
    let first = httpd.request("GET", "/e/p?q").header("X-Same", "1").send().environ();
    assert_eq!(second.text("SERVER_PROTOCOL"), "HTTP/2.0");
    assert_eq!(second.text("HTTP_X_SAME"), "1");
    for key in first.0.keys() {
        assert!(second.has(key), "{key} only in HTTP/1.1");
    }
}

fn a_request_without_host_is_served(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    connection.send(b"GET /e/x HTTP/1.0\r\n\r\n");
    let environ = connection.read_response("GET").environ();
    assert!(!environ.has("HTTP_HOST"));
    assert_eq!(environ.text("SERVER_NAME"), "localhost");
}
