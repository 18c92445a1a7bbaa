// SPDX-License-Identifier: Apache-2.0
//! Trusted proxies: whose headers replace facts of the connection, and whose never arrive.
//!
//! The peer is always 127.0.0.1. Where another one is needed, mod_remoteip puts the address of the header `X-Peer` in its
//! place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::module::modules_folder;
use harness::{Chance, Environ, Httpd, Mode, Protocol, Site, event, modes, skip};
use std::process::Command;

modes! {
    a_trusted_proxy_speaks_for_the_connection,
    nothing_happens_unless_headers_are_declared,
    headers_of_a_stranger_change_nothing_and_never_arrive,
    no_random_set_of_headers_gets_past_the_list_of_proxies,
    without_a_list_every_peer_is_believed,
    an_empty_list_believes_nobody,
    a_spoofed_beginning_of_the_chain_is_cut_off,
    addresses_with_ports_and_brackets_are_addresses,
    names_are_never_looked_up,
    the_last_declared_header_wins,
    the_lists_hold_for_the_whole_server,
    the_lists_hold_for_a_virtual_host,
    the_lists_hold_for_a_directory,
    the_lists_hold_for_an_htaccess_file,
    an_inner_list_replaces_the_outer_one,
    repeated_lines_add_to_each_other,
    a_name_that_no_header_can_have_does_no_harm,
    a_peer_is_whom_mod_remoteip_says,
    the_proxys_scheme_replaces_that_of_the_environment,
    the_proxys_scheme_replaces_that_of_an_encrypted_connection,
    http2_requests_are_treated_alike,
}

const LISTS: &str =
    "WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto\nWSGITrustedProxies 127.0.0.1 10.0.0.0/8";

const NAMES: [&str; 15] = [
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

/// What proxies may change, apart from their headers.
const CHANGED: [&str; 6] = ["REMOTE_ADDR", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "wsgi.url_scheme"];

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/e", "environ.py")
}

fn key(name: &str) -> String {
    format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"))
}

fn ask(httpd: &Httpd, target: &str, headers: &[(&str, &str)]) -> Environ {
    let request = httpd.request("GET", target);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().environ()
}

/// Whether the headers of [`LISTS`] were believed; the others of their kinds are gone in any case.
fn believes(httpd: &Httpd, target: &str) -> bool {
    let environ = ask(
        httpd,
        target,
        &[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https"), ("X-Real-IP", "6.6.6.6"), ("X-HTTPS", "on")],
    );
    assert!(!environ.has("HTTP_X_REAL_IP") && !environ.has("HTTP_X_HTTPS"), "{target}");
    let believed = environ.text("REMOTE_ADDR") == "1.1.1.1";
    assert_eq!(environ.text("wsgi.url_scheme") == "https", believed, "{target}");
    assert_eq!(environ.has("HTTP_X_FORWARDED_FOR"), believed, "{target}");
    assert_eq!(environ.has("HTTP_X_FORWARDED_PROTO"), believed, "{target}");
    believed
}

fn a_trusted_proxy_speaks_for_the_connection(mode: Mode) {
    let httpd = site(mode)
        .config("WSGITrustedProxies 127.0.0.1\nWSGITrustedProxyHeaders X-Real-IP X-Forwarded-Host X-Forwarded-Server")
        .config("WSGITrustedProxyHeaders X-Forwarded-Port X-Script-Name X-Forwarded-Proto")
        .start();
    let headers = [
        ("X-Real-IP", "1.1.1.1"),
        ("X-Forwarded-Host", "shop.test:8443"),
        ("X-Forwarded-Server", "shop.test"),
        ("X-Forwarded-Port", "8443"),
        ("X-Script-Name", "/shop"),
        ("X-Forwarded-Proto", "https"),
    ];
    let environ = ask(&httpd, "/e/path", &headers);
    let expected = [
        ("REMOTE_ADDR", "1.1.1.1"),
        ("HTTP_HOST", "shop.test:8443"),
        ("SERVER_NAME", "shop.test"),
        ("SERVER_PORT", "8443"),
        ("SCRIPT_NAME", "/shop"),
        ("mod_wsgi.mount_point", "/shop"),
        ("mod_wsgi.script_name", "/e"),
        ("PATH_INFO", "/path"),
        ("wsgi.url_scheme", "https"),
        ("REQUEST_SCHEME", "http"),
    ];
    for (key, value) in expected {
        assert_eq!(environ.text(key), value, "{key}");
    }
    assert!(!environ.has("HTTPS"));
    for (name, value) in headers {
        assert_eq!(environ.text(&key(name)), value, "{name}");
    }
}

fn nothing_happens_unless_headers_are_declared(mode: Mode) {
    let httpd = site(mode)
        .config("<Location /e/proxies>\nWSGITrustedProxies 127.0.0.1\n</Location>")
        .config("<Location /e/other>\nWSGITrustedProxies 127.0.0.1\nWSGITrustedProxyHeaders X-Other\n</Location>")
        .start();
    httpd.expect(event::ARGUMENT_DOUBTFUL);
    for target in ["/e", "/e/proxies", "/e/other"] {
        let environ = ask(&httpd, target, &NAMES.map(|name| (name, "on")));
        for name in NAMES {
            assert_eq!(environ.text(&key(name)), "on", "{target}: {name}");
        }
        assert_eq!(environ.text("REMOTE_ADDR"), "127.0.0.1");
        assert_eq!(environ.text("wsgi.url_scheme"), "http");
        assert!(!environ.has("mod_wsgi.mount_point"));
    }
}

fn headers_of_a_stranger_change_nothing_and_never_arrive(mode: Mode) {
    let each = NAMES.map(|name| format!("<Location /e/{name}>\nWSGITrustedProxyHeaders {name}\n</Location>\n"));
    let httpd = site(mode).config("WSGITrustedProxies 192.0.2.1").config(&each.concat()).start();
    let plain = ask(&httpd, "/e", &[]);
    for name in NAMES {
        let environ = ask(&httpd, &format!("/e/{name}"), &[(name, "on")]);
        assert!(!environ.has(&key(name)), "{name}");
        assert!(!environ.has("mod_wsgi.mount_point"), "{name}");
        for key in CHANGED {
            assert_eq!(environ.repr(key), plain.repr(key), "{name}: {key}");
        }
    }
}

fn no_random_set_of_headers_gets_past_the_list_of_proxies(mode: Mode) {
    let all = NAMES.join(" ");
    let lists = format!("WSGITrustedProxies 192.0.2.1\nWSGITrustedProxyHeaders {all}");
    let httpd = site(mode).config(&lists).start();
    let plain = ask(&httpd, "/e", &[]);
    let mut chance = Chance::new(0x0123_4567_89ab_cdef);
    let mut below = |limit: usize| chance.below(limit);
    for round in 0..200 {
        let count = below(12);
        let headers: Vec<(String, String)> = (0..count)
            .map(|_| {
                let name = NAMES[below(NAMES.len())];
                let name = if below(2) == 0 { name.to_owned() } else { name.to_ascii_lowercase() };
                let values = ["on", "https", "192.0.2.1", "127.0.0.1", "evil.test, 192.0.2.1", "", "/", "1"];
                (name, values[below(values.len())].to_owned())
            })
            .collect();
        let sent: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let environ = ask(&httpd, "/e", &sent);
        assert!(!environ.0.keys().any(|key| key.starts_with("HTTP_X_")), "round {round}: {sent:?}");
        for key in CHANGED {
            assert_eq!(environ.repr(key), plain.repr(key), "round {round}: {key}: {sent:?}");
        }
    }
}

fn without_a_list_every_peer_is_believed(mode: Mode) {
    let httpd = site(mode).config("WSGITrustedProxyHeaders X-Forwarded-For").start();
    httpd.expect(event::CONFIGURATION_CONTRADICTORY);
    let environ = ask(&httpd, "/e", &[("X-Forwarded-For", "1.1.1.1, 2.2.2.2"), ("X-Real-IP", "6.6.6.6")]);
    assert_eq!(environ.text("REMOTE_ADDR"), "1.1.1.1");
    assert_eq!(environ.text("HTTP_X_FORWARDED_FOR"), "1.1.1.1, 2.2.2.2");
    assert!(!environ.has("HTTP_X_REAL_IP"));
}

fn an_empty_list_believes_nobody(mode: Mode) {
    let httpd = site(mode).config(LISTS).config("<Location /e/nobody>\nWSGITrustedProxies\n</Location>").start();
    assert!(believes(&httpd, "/e"));
    assert!(!believes(&httpd, "/e/nobody"));
}

fn chain(httpd: &Httpd, sent: &str) -> (String, String) {
    let environ = ask(httpd, "/e", &[("X-Forwarded-For", sent)]);
    (environ.text("REMOTE_ADDR").to_owned(), environ.text("HTTP_X_FORWARDED_FOR").to_owned())
}

fn check_chains(httpd: &Httpd, rows: &[(&str, &str, &str)]) {
    for (sent, client, rest) in rows {
        assert_eq!(chain(httpd, sent), ((*client).to_owned(), (*rest).to_owned()), "{sent}");
    }
}

fn a_spoofed_beginning_of_the_chain_is_cut_off(mode: Mode) {
    let httpd = site(mode).config(LISTS).start();
    check_chains(
        &httpd,
        &[
            ("1.1.1.1", "1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1", "1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1,10.0.0.2 , 10.0.0.3", "1.1.1.1", "1.1.1.1, 10.0.0.2, 10.0.0.3"),
            ("10.0.0.2, 10.0.0.3", "10.0.0.2", "10.0.0.2, 10.0.0.3"),
            ("10.0.0.2, 6.6.6.6", "6.6.6.6", "6.6.6.6"),
        ],
    );
}

fn addresses_with_ports_and_brackets_are_addresses(mode: Mode) {
    let httpd = site(mode).config(LISTS).config("WSGITrustedProxies fd00::/8").start();
    check_chains(
        &httpd,
        &[
            ("6.6.6.6, 1.1.1.1:4711, 10.0.0.2:80", "1.1.1.1", "1.1.1.1:4711, 10.0.0.2:80"),
            (
                "[2001:db8::1]:4711, [fd00::2]:80, [FD00::3]",
                "2001:db8::1",
                "[2001:db8::1]:4711, [fd00::2]:80, [FD00::3]",
            ),
            ("6.6.6.6, ::ffff:10.0.0.2", "6.6.6.6", "6.6.6.6, ::ffff:10.0.0.2"),
        ],
    );
}

fn names_are_never_looked_up(mode: Mode) {
    let httpd = site(mode).config(LISTS).start();
    check_chains(
        &httpd,
        &[
            ("6.6.6.6, localhost", "localhost", "localhost"),
            ("6.6.6.6, 127.1", "127.1", "127.1"),
            ("6.6.6.6, localhost, 10.0.0.2", "localhost", "localhost, 10.0.0.2"),
        ],
    );
}

fn the_last_declared_header_wins(mode: Mode) {
    let httpd = site(mode)
        .config("WSGITrustedProxies 127.0.0.1\nWSGITrustedProxyHeaders X-HTTPS X-Scheme")
        .config("WSGITrustedProxyHeaders X-Forwarded-For X-Real-IP")
        .start();
    let client = [("X-Real-IP", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2, 3.3.3.3"), ("X-Client-IP", "6.6.6.6")];
    let environ = ask(&httpd, "/e", &client);
    assert_eq!(environ.text("REMOTE_ADDR"), "1.1.1.1");
    assert!(!environ.has("HTTP_X_FORWARDED_FOR") && !environ.has("HTTP_X_CLIENT_IP"));
    let environ = ask(&httpd, "/e", &client[1..]);
    assert_eq!(environ.text("REMOTE_ADDR"), "3.3.3.3");
    assert!(!environ.has("HTTP_X_CLIENT_IP"));
    let environ = ask(&httpd, "/e", &[("X-Scheme", "http"), ("X-HTTPS", "on"), ("X-Forwarded-Proto", "https")]);
    assert_eq!(environ.text("wsgi.url_scheme"), "http");
    assert!(!environ.has("HTTP_X_HTTPS") && !environ.has("HTTP_X_FORWARDED_PROTO"));
}

fn the_lists_hold_for_the_whole_server(mode: Mode) {
    let httpd = site(mode).config(LISTS).start();
    assert!(believes(&httpd, "/e"));
}

fn the_lists_hold_for_a_virtual_host(mode: Mode) {
    let httpd = site(mode)
        .vhost("one.test", LISTS)
        .vhost("two.test", "WSGITrustedProxyHeaders X-Real-IP\nWSGITrustedProxies 192.0.2.1")
        .vhost("three.test", "")
        .start();
    let of = |host: &str| ask(&httpd, "/e", &[("Host", host), ("X-Forwarded-For", "1.1.1.1")]);
    assert_eq!(of("one.test").text("REMOTE_ADDR"), "1.1.1.1");
    assert_eq!(of("two.test").text("REMOTE_ADDR"), "127.0.0.1");
    assert!(!of("two.test").has("HTTP_X_FORWARDED_FOR"));
    assert_eq!(of("three.test").text("HTTP_X_FORWARDED_FOR"), "1.1.1.1");
    assert_eq!(of("three.test").text("REMOTE_ADDR"), "127.0.0.1");
}

fn the_lists_hold_for_a_directory(mode: Mode) {
    let httpd = site(mode).config(&format!("<Directory \"@APPS@\">\n{LISTS}\n</Directory>")).start();
    assert!(believes(&httpd, "/e"));
}

fn the_lists_hold_for_an_htaccess_file(mode: Mode) {
    let httpd = site(mode)
        .config("<Directory \"@APPS@\">\nAllowOverride FileInfo\n</Directory>")
        .config("WSGITrustedProxies 192.0.2.1")
        .file("apps/.htaccess", LISTS)
        .start();
    assert!(believes(&httpd, "/e"));
}

fn an_inner_list_replaces_the_outer_one(mode: Mode) {
    let httpd = site(mode)
        .config(LISTS)
        .config("<Location /e/stranger>\nWSGITrustedProxies 192.0.2.1\n</Location>")
        .config("<Location /e/other>\nWSGITrustedProxyHeaders X-Real-IP\n</Location>")
        .start();
    assert!(believes(&httpd, "/e/silent"));
    assert!(!believes(&httpd, "/e/stranger"));
    let headers = [("X-Real-IP", "1.1.1.1"), ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https")];
    let environ = ask(&httpd, "/e/other", &headers);
    assert_eq!(environ.text("REMOTE_ADDR"), "1.1.1.1");
    assert!(!environ.has("HTTP_X_FORWARDED_FOR"));
    assert_eq!(environ.text("HTTP_X_FORWARDED_PROTO"), "https", "the outer list is gone, so nobody cares about it");
    assert_eq!(environ.text("wsgi.url_scheme"), "http");
}

fn repeated_lines_add_to_each_other(mode: Mode) {
    let httpd = site(mode)
        .config("WSGITrustedProxyHeaders X-Forwarded-For\nWSGITrustedProxies 192.0.2.1")
        .config("WSGITrustedProxyHeaders X-Forwarded-Proto\nWSGITrustedProxies 127.0.0.0/255.0.0.0 10")
        .start();
    assert!(believes(&httpd, "/e"));
    assert_eq!(chain(&httpd, "6.6.6.6, 1.1.1.1, 10.1.1.1, 192.0.2.1").0, "1.1.1.1");
}

fn a_name_that_no_header_can_have_does_no_harm(mode: Mode) {
    let httpd = site(mode)
        .config(LISTS)
        .config(
            "<Location /e/bad>\nWSGITrustedProxyHeaders X_Forwarded_For X-Forwarded-For X-Forwarded-Proto\n</Location>",
        )
        .start();
    httpd.expect(event::ARGUMENT_DOUBTFUL);
    assert!(believes(&httpd, "/e/bad"));
}

fn a_peer_is_whom_mod_remoteip_says(mode: Mode) {
    let httpd = site(mode)
        .with("remoteip")
        .config("RemoteIPHeader X-Peer\nRemoteIPInternalProxy 127.0.0.1")
        .config("WSGITrustedProxyHeaders X-Real-IP\nWSGITrustedProxies 10.0.0.0/8 fd00::/8")
        .start();
    let client = |peer: &str| {
        let environ = ask(&httpd, "/e", &[("X-Peer", peer), ("X-Real-IP", "1.1.1.1")]);
        environ.text("REMOTE_ADDR").to_owned()
    };
    for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7"] {
        assert_eq!(client(peer), "1.1.1.1", "{peer}");
    }
    for peer in ["11.1.2.3", "fe00::7"] {
        assert_eq!(client(peer), peer);
    }
    assert_ne!(client("::ffff:11.1.2.3"), "1.1.1.1");
}

fn the_proxys_scheme_replaces_that_of_the_environment(mode: Mode) {
    let httpd = site(mode).config(LISTS).config("SetEnvIf X-HTTPS-Is (.+) HTTPS=$1").start();
    let scheme = |proxy: &str, environment: &str| {
        let headers = [("X-Forwarded-Proto", proxy), ("X-HTTPS-Is", environment)];
        ask(&httpd, "/e", &headers).text("wsgi.url_scheme").to_owned()
    };
    assert_eq!(scheme("http", "on"), "http");
    assert_eq!(scheme("https", "off"), "https");
    assert_eq!(scheme("unknown", "on"), "https");
    assert_eq!(scheme("unknown", "off"), "http");
}

/// A key and a certificate, or nothing where openssl is missing.
fn certificate() -> Option<[String; 2]> {
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(' '),
        )
        .args("-keyout - -out -".split(' '))
        .output();
    let text = String::from_utf8(made.ok().filter(|made| made.status.success())?.stdout).ok()?;
    let (key, certificate) = text.split_at(text.find("-----BEGIN CERTIFICATE")?);
    Some([key.to_owned(), certificate.to_owned()])
}

fn the_proxys_scheme_replaces_that_of_an_encrypted_connection(mode: Mode) {
    let Some([key, certificate]) = certificate() else { return skip::skipped("openssl is missing") };
    if !modules_folder().join("mod_ssl.so").is_file() {
        return skip::skipped("mod_ssl is missing");
    }
    if Command::new("curl").arg("--version").output().is_err() {
        return skip::skipped("curl is missing");
    }
    let httpd = site(mode)
        .with("ssl")
        .config("SSLSessionCache none\nSSLEngine On")
        .config("SSLCertificateFile \"@ROOT@/certificate.pem\"\nSSLCertificateKeyFile \"@ROOT@/key.pem\"")
        .config(LISTS)
        .config("<Location /e/stranger>\nWSGITrustedProxies 192.0.2.1\n</Location>")
        .file("key.pem", key)
        .file("certificate.pem", certificate)
        .start();
    // No session cache; and a machine may have another release of the library than mod_ssl was built with.
    httpd.tolerate_text("AH01873").tolerate_text("AH01882").tolerate_text("AH01906").tolerate_text("AH01909");
    let scheme = |target: &str, headers: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-k", "--max-time", "20"]);
        curl.args(headers.iter().flat_map(|header| ["-H", *header]));
        let said = curl.arg(format!("https://127.0.0.1:{}{target}", httpd.port())).output().expect("curl runs");
        Environ::parse(&String::from_utf8(said.stdout).expect("ASCII")).text("wsgi.url_scheme").to_owned()
    };
    assert_eq!(scheme("/e", &[]), "https");
    assert_eq!(scheme("/e", &["X-Forwarded-Proto: http"]), "http");
    assert_eq!(scheme("/e", &["X-Forwarded-Proto: https"]), "https");
    assert_eq!(scheme("/e", &["X-Forwarded-Proto: unknown"]), "https");
    assert_eq!(scheme("/e/stranger", &["X-Forwarded-Proto: http"]), "https");
}

fn http2_requests_are_treated_alike(mode: Mode) {
    let httpd = site(mode)
        .with("http2")
        .config("Protocols h2c http/1.1")
        .config(LISTS)
        .config("<Location /e/stranger>\nWSGITrustedProxies 192.0.2.1\n</Location>")
        .start();
    let ask = |target: &str| {
        let request = httpd.request("GET", target).over(Protocol::Http2).header("x-forwarded-for", "6.6.6.6, 1.1.1.1");
        request.header("x-forwarded-proto", "https").header("x-real-ip", "6.6.6.6").send().environ()
    };
    let believed = ask("/e");
    assert_eq!(believed.text("SERVER_PROTOCOL"), "HTTP/2.0");
    assert_eq!(believed.text("REMOTE_ADDR"), "1.1.1.1");
    assert_eq!(believed.text("HTTP_X_FORWARDED_FOR"), "1.1.1.1");
    assert_eq!(believed.text("wsgi.url_scheme"), "https");
    assert!(!believed.has("HTTP_X_REAL_IP"));
    let stranger = ask("/e/stranger");
    assert_eq!(stranger.text("REMOTE_ADDR"), "127.0.0.1");
    assert_eq!(stranger.text("wsgi.url_scheme"), "http");
    assert!(!stranger.0.keys().any(|key| key.starts_with("HTTP_X_")));
}
