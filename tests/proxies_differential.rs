// SPDX-License-Identifier: Apache-2.0
//! Trusted proxies: the same requests on our module and on two releases of the reference. Every difference is listed
//! here, with its reason; one that is no longer true fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::differential::{Deviation, Scenario, compare};
use harness::{Httpd, Mode, Module, Protocol, Response, Site};

const HEADERS: [&str; 15] = [
    "X-Forwarded-For",
    "X-Client-IP",
    "X-Real-IP",
    "X-Forwarded-Host",
    "X-Host",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Script-Name",
    "X-Forwarded-Script-Name",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Scheme",
    "X-Forwarded-HTTPS",
    "X-Forwarded-SSL",
    "X-HTTPS",
];

/// The peer is 127.0.0.1, or what `X-Peer` says: mod_remoteip's word is taken for the connection's.
fn site(site: Site) -> Site {
    let all = HEADERS.join(" ");
    let reversed: Vec<_> = HEADERS.into_iter().rev().collect();
    let reversed = reversed.join(" ");
    let one = HEADERS.map(|name| format!("<Location /p/one/{name}>\nWSGITrustedProxyHeaders {name}\n</Location>\n"));
    site.with("http2")
        .with("remoteip")
        .with("headers")
        .mount("/p", "proxied.py")
        .config("Protocols h2c http/1.1\nRemoteIPHeader X-Peer\nRemoteIPInternalProxy 127.0.0.1")
        .config("SetEnvIf X-HTTPS-Is (.+) HTTPS=$1\nSetEnvIf X-Sets-Proto (.+) HTTP_X_FORWARDED_PROTO=$1")
        .config(&one.concat())
        .config(&format!("<Location /p/all>\nWSGITrustedProxyHeaders {all}\n</Location>"))
        .config(&format!("<Location /p/reversed>\nWSGITrustedProxyHeaders {reversed}\n</Location>"))
        .config("<Location /p/list>\nWSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto x-forwarded-host")
        .config("WSGITrustedProxies 127.0.0.1 10.0.0.0/8\nWSGITrustedProxies fd00::/8 192.0.2.0/255.255.255.0 172.16 fe80::/10")
        .config("</Location>")
        .config("<Location /p/list/inner>\nWSGITrustedProxyHeaders X-Real-IP\n</Location>")
        .config("<Location /p/list/bare-proxies>\nWSGITrustedProxies\n</Location>")
        .config("<Location /p/list/bare-headers>\nWSGITrustedProxyHeaders\n</Location>")
        .config("<LocationMatch ^/p/.*/stranger$>\nWSGITrustedProxies 192.0.2.1\n</LocationMatch>")
        .config("<Location /p/proxies>\nWSGITrustedProxies 127.0.0.1\n</Location>")
        .config("<Location /p/unknown>\nWSGITrustedProxyHeaders X-Other\n</Location>")
        .config("<Location /p/added>\nWSGITrustedProxyHeaders X-Host\nRequestHeader add X-Host two.test\n</Location>")
}

/// One request with these headers, `Name: value` each.
fn ask(httpd: &Httpd, target: &str, headers: &[&str]) -> Response {
    let mut request = httpd.request("GET", target);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.send()
}

/// The answers to several requests as one.
fn together(answers: impl IntoIterator<Item = Response>) -> Response {
    let mut answers = answers.into_iter();
    let mut all = answers.next().unwrap();
    all.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Length"));
    for answer in answers {
        all.body.extend_from_slice(format!("--- {} {:?}\n", answer.status, answer.end).as_bytes());
        all.body.extend_from_slice(&answer.body);
    }
    all
}

/// X-Forwarded-For with these values where proxies are listed.
fn chains(httpd: &Httpd, values: &[&str]) -> Response {
    together(values.iter().map(|value| httpd.request("GET", "/p/list").header("X-Forwarded-For", value).send()))
}

fn all_of_them() -> Vec<String> {
    HEADERS.map(|name| format!("{name}: of-{name}")).to_vec()
}

fn everything(httpd: &Httpd, target: &str) -> Response {
    ask(httpd, target, &all_of_them().iter().map(String::as_str).collect::<Vec<_>>())
}

macro_rules! scenarios {
    ($($name:literal => $run:expr),+ $(,)?) => { &[$(Scenario { name: $name, run: $run }),+] };
}

const SCENARIOS: &[Scenario] = scenarios! {
    "no headers" => |httpd| ask(httpd, "/p/all", &[]),
    "nothing declared" => |httpd| everything(httpd, "/p"),
    "proxies without headers" => |httpd| everything(httpd, "/p/proxies"),
    "unknown header declared" => |httpd| everything(httpd, "/p/unknown"),
    "each alone" => |httpd| together(HEADERS.map(|name| {
        httpd.request("GET", &format!("/p/one/{name}/path")).header(name, "1.2.3.4").send()
    })),
    "each among all" => |httpd| together(HEADERS.map(|name| everything(httpd, &format!("/p/one/{name}/path")))),
    "all" => |httpd| everything(httpd, "/p/all/path"),
    "all in reverse" => |httpd| everything(httpd, "/p/reversed/path"),
    "words of the scheme" => |httpd| together(HEADERS[9..].iter().flat_map(|name| {
        ["https", "HTTPS", "http", "Http", "on", "ON", "off", "true", "True", "false", "1", "0", "2", "wss", "", "on,on"]
            .map(|word| httpd.request("GET", &format!("/p/one/{name}")).header(name, word).send())
    })),
    "words of the scheme over HTTPS from the environment" => |httpd| together(HEADERS[9..].iter().flat_map(|name| {
        ["https", "http", "on", "off", "unknown"].map(|word| {
            httpd.request("GET", &format!("/p/one/{name}")).header(name, word).header("X-HTTPS-Is", "on").send()
        })
    })),
    "schemes that disagree" => |httpd| together([
        ask(httpd, "/p/all", &["X-Forwarded-Proto: https", "X-HTTPS: unknown"]),
        ask(httpd, "/p/all", &["X-Forwarded-Proto: https", "X-HTTPS: off"]),
        ask(httpd, "/p/reversed", &["X-Forwarded-Proto: https", "X-HTTPS: off"]),
    ]),
    "empty values" => |httpd| together(HEADERS.map(|name| {
        httpd.request("GET", &format!("/p/one/{name}/path")).header(name, "").send()
    })),
    "twice" => |httpd| ask(httpd, "/p/all", &["X-Host: one.test", "X-Host: two.test", "X-HTTPS: on", "x-https: on"]),
    "added by httpd" => |httpd| ask(httpd, "/p/added", &["X-Host: one.test"]),
    "from the environment" => |httpd| together([
        ask(httpd, "/p/list", &["X-Sets-Proto: https"]),
        ask(httpd, "/p/list", &["X-Sets-Proto: https", "X-Forwarded-Proto: http"]),
        ask(httpd, "/p/list/stranger", &["X-Sets-Proto: https"]),
        ask(httpd, "/p", &["X-Sets-Proto: https"]),
    ]),
    "chains without a list" => |httpd| together(
        ["1.1.1.1", "1.1.1.1, 2.2.2.2", " , ,1.1.1.1,2.2.2.2", "unknown, 1.1.1.1", ",", "::1, 1.1.1.1", "1.1.1.1 2.2.2.2"]
            .map(|value| httpd.request("GET", "/p/all").header("X-Forwarded-For", value).send()),
    ),
    "chains of addresses" => |httpd| chains(httpd, &[
        "1.1.1.1", "6.6.6.6, 1.1.1.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "6.6.6.6,1.1.1.1,10.0.0.2,192.0.2.9",
        "10.0.0.2", "10.0.0.3, 10.0.0.2", "fd00::1", "1.1.1.1, fd00::1", "1.1.1.1, FD00::A", "2001:db8::1, 127.0.0.1",
        "1.1.1.1, ::ffff:10.0.0.2", "1.1.1.1, 172.16.9.9", "1.1.1.1, 172.17.9.9", "10.0.0.2, 6.6.6.6",
    ]),
    "chains with empty items" => |httpd| chains(httpd, &["", ",", " , ", "1.1.1.1,,10.0.0.2,", ",1.1.1.1 ,\t10.0.0.2 "]),
    "chains with other items" => |httpd| chains(httpd, &["6.6.6.6, unknown", "6.6.6.6, un known", "6.6.6.6, 1.1.1.1 10.0.0.2"]),
    "chains with names" => |httpd| chains(httpd, &["6.6.6.6, localhost"]),
    "chains with short numbers" => |httpd| chains(httpd, &["6.6.6.6, 127.1", "6.6.6.6, 012.0.0.2", "6.6.6.6, 167772162"]),
    "chains with ports" => |httpd| chains(httpd, &["6.6.6.6, 1.1.1.1:80", "1.1.1.1:80, 10.0.0.2:80", "1.1.1.1, [fd00::1]:80"]),
    "chains with brackets" => |httpd| chains(httpd, &["1.1.1.1, [fd00::1]"]),
    "chains with zones" => |httpd| chains(httpd, &["1.1.1.1, fd00::1%lo", "1.1.1.1, fe80::1%lo", "1.1.1.1, fe80::1%", "1.1.1.1, fe80::1"]),
    "ports without a list" => |httpd| ask(httpd, "/p/all", &["X-Forwarded-For: 1.1.1.1:80"]),
    "listed over http2" => |httpd| {
        let request = httpd.request("GET", "/p/list").over(Protocol::Http2).header("X-Forwarded-For", "6.6.6.6, 1.1.1.1");
        request.header("X-Forwarded-Proto", "https").header("X-Client-IP", "6.6.6.6").send()
    },
    "stranger" => |httpd| everything(httpd, "/p/list/stranger"),
    "each alone of a stranger" => |httpd| together(HEADERS.map(|name| {
        everything(httpd, &format!("/p/one/{name}/stranger"))
    })),
    "all of a stranger" => |httpd| everything(httpd, "/p/all/stranger"),
    "inner headers replace outer ones" => |httpd| everything(httpd, "/p/list/inner"),
    "proxies without addresses" => |httpd| everything(httpd, "/p/list/bare-proxies"),
    "headers without names" => |httpd| everything(httpd, "/p/list/bare-headers"),
    "peers" => |httpd| together(
        ["10.1.1.1", "11.1.1.1", "::ffff:10.1.1.1", "::ffff:11.1.1.1", "fd00::1", "fe00::1", "fe80::1%lo", "192.0.2.255", "192.0.3.1"]
            .map(|peer| ask(httpd, "/p/list", &[&format!("X-Peer: {peer}"), "X-Forwarded-For: 1.1.1.1, 10.0.0.2"])),
    ),
};

const BOTH: &[Module] = &[Module::Reference4, Module::Reference6];

const RELEASE_4: &[Module] = &[Module::Reference4];
const RELEASE_6: &[Module] = &[Module::Reference6];

const fn row(
    scenario: &'static str,
    item: &'static str,
    references: &'static [Module],
    reason: &'static str,
) -> Deviation {
    Deviation { scenario, item, references, reason }
}

const DEVIATIONS: &[Deviation] = &[
    row(
        "added by httpd",
        "body",
        RELEASE_6,
        "Release 6 believes the first of two equal headers and shows the application the second; release 4 and we use one.",
    ),
    row(
        "chains without a list",
        "body",
        RELEASE_4,
        "Release 4 takes an empty item for the client's address; release 6 and we pass over it.",
    ),
    row(
        "chains with empty items",
        "body",
        RELEASE_4,
        "Release 4 takes an empty item for the client's address; release 6 and we pass over it.",
    ),
    row(
        "chains with names",
        "body",
        BOTH,
        "The reference looks names up while the request waits, and whoever answers for a name decides who is trusted.",
    ),
    row(
        "chains with short numbers",
        "body",
        BOTH,
        "Numbers that programs read differently, such as 012.0.0.2, are no addresses.",
    ),
    row(
        "each alone of a stranger",
        "body",
        RELEASE_4,
        "Release 4 lets X-Forwarded-Server and X-Forwarded-Port of strangers through; release 6 and we do not.",
    ),
    row(
        "all of a stranger",
        "body",
        RELEASE_4,
        "Release 4 lets X-Forwarded-Server and X-Forwarded-Port of strangers through; release 6 and we do not.",
    ),
    row(
        "chains with ports",
        "body",
        BOTH,
        "Some proxies write ports; the address is what counts, and the port is no part.",
    ),
    row("chains with brackets", "body", BOTH, "Brackets are a way of writing IPv6 addresses and no part of them."),
    row("ports without a list", "body", BOTH, "REMOTE_ADDR is an address (RFC 3875), so the port is left out."),
];

fn check(reference: Module) {
    let complaints = compare(Mode::Embedded, reference, site, SCENARIOS, DEVIATIONS);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn proxies_are_believed_as_by_release_4_but_for_the_listed_deviations() {
    check(Module::Reference4);
}

#[test]
fn proxies_are_believed_as_by_release_6_but_for_the_listed_deviations() {
    check(Module::Reference6);
}

#[test]
fn every_deviation_has_a_reason_and_a_scenario() {
    for one in DEVIATIONS {
        assert!(one.reason.len() > 20, "{} {}", one.scenario, one.item);
        assert!(
            one.scenario == "*" || SCENARIOS.iter().any(|scenario| scenario.name == one.scenario),
            "{}",
            one.scenario
        );
        assert!(!one.references.is_empty());
    }
}
