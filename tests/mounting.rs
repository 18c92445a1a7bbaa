// SPDX-License-Identifier: Apache-2.0
//! WSGIScriptAlias and WSGIScriptAliasMatch: which script, which SCRIPT_NAME, which PATH_INFO.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Site, event, modes};

modes! {
    an_alias_at_the_root_takes_everything,
    an_alias_at_a_path_ends_at_a_slash,
    a_trailing_slash_is_taken_literally,
    a_directory_alias_finds_scripts,
    a_pattern_chooses_the_script,
    an_unanchored_pattern_consumes_to_the_end_of_its_match,
    runs_of_slashes_count_as_one,
    slashes_collapse_in_script_name_and_path_info,
    the_first_matching_alias_wins,
    aliases_of_a_virtual_host_come_first,
    encoded_paths_arrive_decoded,
    encoded_slashes_follow_httpd,
    dots_are_resolved_by_httpd,
    a_callable_can_be_named,
    an_alias_option_beats_the_directive,
    the_callable_can_come_from_a_variable,
    fixups_of_httpd_see_the_script,
    a_subrequest_without_leading_slash_is_not_ours,
    access_rules_of_httpd_apply,
}

fn names(httpd: &Httpd, target: &str) -> (String, String) {
    let environ = httpd.get(target).environ();
    (environ.text("SCRIPT_NAME").to_owned(), environ.text("PATH_INFO").to_owned())
}

#[track_caller]
fn assert_names(httpd: &Httpd, target: &str, script_name: &str, path_info: &str) {
    assert_eq!(names(httpd, target), (script_name.to_owned(), path_info.to_owned()), "{target}");
}

fn aliased(mode: Mode, alias: &str, target: &str) -> Site {
    Site::new(mode).app("environ.py").config(&format!("WSGIScriptAlias {alias} \"@APPS@/{target}\""))
}

fn an_alias_at_the_root_takes_everything(mode: Mode) {
    let httpd = aliased(mode, "/", "environ.py").start();
    assert_names(&httpd, "/foo/bar", "", "/foo/bar");
    assert_names(&httpd, "/", "", "/");
    assert_names(&httpd, "/static.txt", "", "/static.txt");
}

fn an_alias_at_a_path_ends_at_a_slash(mode: Mode) {
    let httpd = aliased(mode, "/x", "environ.py").start();
    assert_names(&httpd, "/x/y", "/x", "/y");
    assert_names(&httpd, "/x", "/x", "");
    assert_names(&httpd, "/x/", "/x", "/");
    httpd.get("/xy").expect(404);
    httpd.get("/X").expect(404);
}

fn a_trailing_slash_is_taken_literally(mode: Mode) {
    let httpd = aliased(mode, "/sl/", "environ.py").config("WSGIScriptAlias /sl2/ \"@APPS@/environ.py/\"").start();
    httpd.expect(event::CONFIGURATION_CONTRADICTORY);
    httpd.expect(event::SCRIPT_MISSING);
    httpd.get("/sl/foo").expect(404);
    assert_names(&httpd, "/sl2/foo", "/sl2", "/foo");
}

fn a_directory_alias_finds_scripts(mode: Mode) {
    let httpd = aliased(mode, "/d/", "").config("WSGIScriptAlias /n \"@APPS@/\"").start();
    assert_names(&httpd, "/d/environ.py/q", "/d/environ.py", "/q");
    assert_names(&httpd, "/n/environ.py/q", "/n/environ.py", "/q");
}

fn a_pattern_chooses_the_script(mode: Mode) {
    let httpd = Site::new(mode)
        .app("environ.py")
        .config("WSGIScriptAliasMatch ^/m/([a-z]+) \"@APPS@/$1.py\"")
        .config("WSGIScriptAliasMatch ^/n/(x|y) \"@APPS@/environ.py/$1\"")
        .start();
    assert_names(&httpd, "/m/environ/rest", "/m/environ", "/rest");
    assert_names(&httpd, "/n/x/y", "/n", "/x/y");
    httpd.expect(event::SCRIPT_MISSING);
    httpd.get("/m/absent").expect(404);
}

fn an_unanchored_pattern_consumes_to_the_end_of_its_match(mode: Mode) {
    let httpd = Site::new(mode).app("environ.py").config("WSGIScriptAliasMatch /un[0-9] \"@APPS@/environ.py\"").start();
    assert_names(&httpd, "/foo/un1/z", "/foo/un1", "/z");
}

fn runs_of_slashes_count_as_one(mode: Mode) {
    let httpd = aliased(mode, "/c//d", "environ.py").start();
    assert_names(&httpd, "/c/d/e", "/c/d", "/e");
    assert_names(&httpd, "/c///d/e", "/c/d", "/e");
}

fn slashes_collapse_in_script_name_and_path_info(mode: Mode) {
    let httpd = aliased(mode, "/emb", "environ.py").start();
    assert_names(&httpd, "//emb///q", "/emb", "/q");
    assert_names(&httpd, "/emb/q//r///s", "/emb", "/q/r/s");
    let environ = httpd.get("//emb///q").environ();
    assert_eq!(environ.text("REQUEST_URI"), "//emb///q");
    assert_eq!(environ.text("mod_wsgi.application_group"), format!("localhost:{}|/emb", httpd.port()));
}

fn the_first_matching_alias_wins(mode: Mode) {
    let httpd = aliased(mode, "/a/b", "environ.py")
        .config("WSGIScriptAlias /a \"@APPS@/environ.py\"\nWSGIScriptAlias /a/c \"@APPS@/gone.py\"")
        .start();
    httpd.expect(event::FILE_DOUBTFUL).expect(event::CONFIGURATION_CONTRADICTORY);
    assert_names(&httpd, "/a/b/x", "/a/b", "/x");
    assert_names(&httpd, "/a/c/x", "/a", "/c/x");
}

fn aliases_of_a_virtual_host_come_first(mode: Mode) {
    let httpd = aliased(mode, "/a", "environ.py")
        .vhost("one.test", "WSGIScriptAlias /a \"@APPS@/environ.py\" callable-object=other")
        .vhost("two.test", "")
        .start();
    let from = |host: &str| httpd.request("GET", "/a").header("Host", host).send();
    from("one.test").expect_body(b"other callable");
    assert_eq!(from("two.test").environ().text("SERVER_NAME"), "two.test");
}

fn encoded_paths_arrive_decoded(mode: Mode) {
    let httpd = aliased(mode, "/e", "environ.py").start();
    let environ = httpd.get("/e/a%20b/%E2%98%83?x=%41").environ();
    assert_eq!(environ.repr("PATH_INFO"), r"'/a b/\xe2\x98\x83'");
    assert_eq!(environ.text("QUERY_STRING"), "x=%41");
    assert_eq!(environ.text("REQUEST_URI"), "/e/a%20b/%E2%98%83?x=%41");
    assert_names(&httpd, "/%65/x", "/e", "/x");
}

fn encoded_slashes_follow_httpd(mode: Mode) {
    let httpd = aliased(mode, "/e", "environ.py").start();
    httpd.tolerate_text("AH00026");
    httpd.get("/e/a%2Fb").expect(404);
    let decoding = aliased(mode, "/e", "environ.py").config("AllowEncodedSlashes NoDecode").start();
    assert_names(&decoding, "/e/a%2Fb", "/e", "/a%2Fb");
}

fn dots_are_resolved_by_httpd(mode: Mode) {
    let httpd = aliased(mode, "/e", "environ.py").start();
    assert_names(&httpd, "/e/a/../b/./c", "/e", "/b/c");
    assert_names(&httpd, "/x/../e/y", "/e", "/y");
}

fn a_callable_can_be_named(mode: Mode) {
    let httpd =
        aliased(mode, "/e", "environ.py").config("<Location /e>\nWSGICallableObject other\n</Location>").start();
    httpd.get("/e").expect_body(b"other callable");
}

fn an_alias_option_beats_the_directive(mode: Mode) {
    let httpd = Site::new(mode)
        .app("environ.py")
        .config("WSGIScriptAlias /o \"@APPS@/environ.py\" callable-object=other application-group=chosen")
        .config("WSGIScriptAlias /p \"@APPS@/environ.py\" application-group=chosen")
        .config("WSGICallableObject application\nWSGIApplicationGroup general")
        .start();
    httpd.get("/o").expect_body(b"other callable");
    assert_eq!(httpd.get("/p").environ().text("mod_wsgi.application_group"), "chosen");
}

fn the_callable_can_come_from_a_variable(mode: Mode) {
    let httpd = aliased(mode, "/e", "environ.py")
        .config("WSGICallableObject %{ENV:CALLABLE}\nSetEnvIf X-Callable (.+) CALLABLE=$1")
        .start();
    httpd.request("GET", "/e").header("X-Callable", "other").send().expect_body(b"other callable");
    assert_eq!(httpd.get("/e").environ().text("mod_wsgi.callable_object"), "application");
}

fn fixups_of_httpd_see_the_script(mode: Mode) {
    let httpd = aliased(mode, "/e", "environ.py")
        .with("headers")
        .config("<Files environ.py>\nRequestHeader set X-From-Files yes\nHeader set X-Out yes\n</Files>")
        .start();
    let answer = httpd.get("/e");
    assert_eq!(answer.environ().text("HTTP_X_FROM_FILES"), "yes");
    assert_eq!(answer.header("X-Out"), Some("yes"));
}

fn a_subrequest_without_leading_slash_is_not_ours(mode: Mode) {
    let httpd = aliased(mode, "/", "environ.py").start();
    let mut connection = httpd.connect();
    connection.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = connection.read_response("OPTIONS");
    assert!(!answer.text().contains("PATH_INFO"), "{}", answer.text());
    httpd.get("/").expect(200);
}

fn access_rules_of_httpd_apply(mode: Mode) {
    let httpd = aliased(mode, "/e", "environ.py").config("<Location /e/no>\nRequire all denied\n</Location>").start();
    httpd.tolerate_text("AH01630");
    httpd.get("/e/no").expect(403);
    httpd.get("/e/yes").expect(200);
}
