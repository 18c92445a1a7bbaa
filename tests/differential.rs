// SPDX-License-Identifier: Apache-2.0
//! The same requests on our module and on two releases of the reference. Every difference is listed, with its reason,
//! in `differential/deviations.rs`; one that is no longer true fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

#[path = "differential/deviations.rs"]
mod deviations;

use harness::differential::{Scenario, brief, compare};
use harness::{Httpd, Mode, Module, Protocol, Response, Site};

fn site(site: Site) -> Site {
    site.with("http2")
        .with("headers")
        .mount("/e", "environ.py")
        .mount("/a", "answers.py")
        .mount("/b", "body.py")
        .mount("/v", "validation.py")
        .mount("/f", "files.py")
        .config("WSGIScriptAlias /missing \"@APPS@/missing.py\"\nWSGIScriptAlias /absent \"@APPS@/answers.py\" callable-object=absent")
        .config("WSGIScriptAlias /broken \"@APPS@/broken.py\"\nWSGIScriptAliasMatch ^/m/([a-z]+) \"@APPS@/$1.py\"")
        .config("<Location /b>\nWSGIChunkedRequest On\n</Location>\n<Location /e/auth>\nWSGIPassAuthorization On\n</Location>")
        .config("SetEnv my.variable value\nSetEnvIf X-HTTPS-Is (.+) HTTPS=$1\nProtocols h2c http/1.1")
        .file("apps/broken.py", "raise ValueError\n")
}

fn get(httpd: &Httpd, target: &str) -> Response {
    brief(httpd.request("GET", target))
}

/// Calls start_response with these arguments.
fn call(httpd: &Httpd, arguments: &str) -> Response {
    let encoded: String = arguments.bytes().map(|byte| format!("%{byte:02X}")).collect();
    get(httpd, &format!("/v?{encoded}"))
}

fn post(httpd: &Httpd, expressions: &str) -> Response {
    brief(httpd.request("POST", &format!("/b?{expressions}")).body("one\ntwo\nthree"))
}

macro_rules! scenarios {
    ($($name:literal => $run:expr),+ $(,)?) => { &[$(Scenario { name: $name, run: $run }),+] };
}

const SCENARIOS: &[Scenario] = scenarios! {
    "environ" => |httpd| get(httpd, "/e/path/info?query=1"),
    "environ without path" => |httpd| get(httpd, "/e"),
    "environ of a post" => |httpd| httpd.request("POST", "/e").header("Content-Type", "a/b").body("abc").send(),
    "environ over http2" => |httpd| httpd.request("GET", "/e/x").over(Protocol::Http2).send(),
    "environ over http10" => |httpd| httpd.request("GET", "/e/x").over(Protocol::Http10).send(),
    "environ with headers" => |httpd| {
        let request = httpd.request("GET", "/e").header("X-Two", "1").header("X-Two", "2").header("Proxy", "x");
        request.header("Authorization", "Basic eDp5").header("X-HTTPS-Is", "on").header("Cookie", "a=b").send()
    },
    "environ with authorization" => |httpd| httpd.request("GET", "/e/auth").header("Authorization", "Basic eDp5").send(),
    "environ with slashes" => |httpd| get(httpd, "//e///a//b"),
    "environ with escapes" => |httpd| get(httpd, "/e/a%20b/%C3%A9?x=%20"),
    "environ by match" => |httpd| get(httpd, "/m/environ/rest"),
    "environ of a head" => |httpd| httpd.request("HEAD", "/e").send(),
    "environ with a port in Host" => |httpd| httpd.request("GET", "/e").header("Host", "localhost:1").send(),
    "hello" => |httpd| get(httpd, "/a/hello"),
    "hello over http10" => |httpd| httpd.request("GET", "/a/hello").over(Protocol::Http10).send(),
    "hello over http2" => |httpd| httpd.request("GET", "/a/hello").over(Protocol::Http2).send(),
    "head" => |httpd| httpd.request("HEAD", "/a/hello").send(),
    "generator" => |httpd| get(httpd, "/a/generator"),
    "written" => |httpd| get(httpd, "/a/writes"),
    "empty" => |httpd| get(httpd, "/a/empty"),
    "empty generator" => |httpd| get(httpd, "/a/empty-generator"),
    "exact length" => |httpd| get(httpd, "/a/exact"),
    "too long" => |httpd| get(httpd, "/a/long"),
    "too short" => |httpd| get(httpd, "/a/short-generator"),
    "no content" => |httpd| get(httpd, "/a/no-content"),
    "not modified" => |httpd| get(httpd, "/a/not-modified"),
    "no type" => |httpd| get(httpd, "/a/no-type"),
    "duplicates" => |httpd| get(httpd, "/a/duplicates"),
    "strange status" => |httpd| get(httpd, "/a/teapot"),
    "bare status" => |httpd| get(httpd, "/a/bare-code"),
    "own 404" => |httpd| get(httpd, "/a/own-404"),
    "latin-1 header" => |httpd| get(httpd, "/a/latin"),
    "location" => |httpd| get(httpd, "/a/location"),
    "transfer encoding" => |httpd| get(httpd, "/a/hop"),
    "replaced with exc_info" => |httpd| get(httpd, "/a/replaced-with-exc-info"),
    "replaced plainly" => |httpd| get(httpd, "/a/replaced-plainly"),
    "restarted after output" => |httpd| get(httpd, "/a/restarted-after-output"),
    "bad writes" => |httpd| get(httpd, "/a/bad-writes"),
    "raises" => |httpd| get(httpd, "/a/raises"),
    "raises in the middle" => |httpd| get(httpd, "/a/fail-generator"),
    "raises in the middle with length" => |httpd| get(httpd, "/a/fail-with-length"),
    "raises after write" => |httpd| get(httpd, "/a/raises-after-write"),
    "never starts" => |httpd| get(httpd, "/a/never-starts"),
    "close fails" => |httpd| get(httpd, "/a/close-fails"),
    "exits" => |httpd| get(httpd, "/a/exits"),
    "missing script" => |httpd| get(httpd, "/missing"),
    "missing callable" => |httpd| get(httpd, "/absent"),
    "broken script" => |httpd| get(httpd, "/broken"),
    "chunked refused" => |httpd| brief(httpd.request("POST", "/e").chunks(["x"])),
    "read" => |httpd| post(httpd, "i.read(4);i.read()"),
    "lines" => |httpd| post(httpd, "i.readline();i.readline(1);list(i)"),
    "lists of lines" => |httpd| post(httpd, "i.readlines(5);i.readlines()"),
    "wrong size" => |httpd| post(httpd, "i.read(1.5)"),
    "size None" => |httpd| post(httpd, "i.read(None)"),
    "huge size" => |httpd| post(httpd, "i.read(2**45)"),
    "readinto" => |httpd| post(httpd, "i.readinto(bytearray(3))"),
    "chunks" => |httpd| brief(httpd.request("POST", "/b?i.read()").chunks(["ab", "cd"])),
    "expectation not read" => |httpd| brief(httpd.request("POST", "/b").header("Expect", "100-continue").body("")),
    "status with control character" => |httpd| call(httpd, "'200 O\\x01K', []"),
    "informational status" => |httpd| call(httpd, "'100 Continue', []"),
    "status below 100" => |httpd| call(httpd, "'000 x', []"),
    "name with colon" => |httpd| call(httpd, "'200 OK', [('X:A', 'b')]"),
    "name outside the token grammar" => |httpd| call(httpd, "'200 OK', [('X(A)', 'b')]"),
    "value with NUL" => |httpd| call(httpd, "'200 OK', [('X-A', 'a\\x00b')]"),
    "value with tab" => |httpd| call(httpd, "'200 OK', [('X-A', 'a\\tb')]"),
    "bad content length" => |httpd| call(httpd, "'200 OK', [('Content-Length', 'x')]"),
    "headers not a list" => |httpd| call(httpd, "'200 OK', ()"),
    "exc_info not a tuple" => |httpd| call(httpd, "'200 OK', [], 'x'"),
    "file" => |httpd| get(httpd, "/f/size/65537"),
    "part of a file" => |httpd| get(httpd, "/f/offset"),
    "position beyond the file" => |httpd| get(httpd, "/f/offset-beyond"),
    "less than the file" => |httpd| get(httpd, "/f/length-smaller"),
    "more than the file" => |httpd| get(httpd, "/f/length-larger"),
    "file-like" => |httpd| get(httpd, "/f/memory"),
    "wrapper attributes" => |httpd| get(httpd, "/f/attributes"),
    "static" => |httpd| get(httpd, "/static.txt"),
};

fn check(reference: Module) {
    let complaints = compare(Mode::Embedded, reference, site, SCENARIOS, deviations::TABLE);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn ours_behaves_like_release_4_but_for_the_listed_deviations() {
    check(Module::Reference4);
}

#[test]
fn ours_behaves_like_release_6_but_for_the_listed_deviations() {
    check(Module::Reference6);
}

#[test]
fn every_deviation_has_a_reason_and_a_scenario() {
    for one in deviations::TABLE {
        assert!(one.reason.len() > 20, "{} {}", one.scenario, one.item);
        assert!(
            one.scenario == "*" || SCENARIOS.iter().any(|scenario| scenario.name == one.scenario),
            "{}",
            one.scenario
        );
        assert!(!one.references.is_empty());
    }
}
