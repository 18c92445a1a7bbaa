// SPDX-License-Identifier: Apache-2.0
//! `%{SERVER}` and `%{RESOURCE}`: the host's name, the port unless it is a standard one, and where the application is.

use crate::*;
use harness::module::modules_folder;
use harness::response::{Head, latin1};
use harness::skip;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

/// Hosts that name their port, and the group that `%{SERVER}` makes of them.
const NAMED: [(&str, &str, &str); 4] = [
    ("www.example.com", "80", "www.example.com"),
    ("secure.example.com", "443", "secure.example.com"),
    ("other.example.com", "8080", "other.example.com:8080"),
    ("odd.example.com", "8443", "odd.example.com:8443"),
];

fn named_hosts(group: &str) -> Httpd {
    let site = site().config(&format!("WSGIApplicationGroup {group}"));
    let host = |site: Site, (name, port): (&str, &str)| {
        site.config(&format!(
            "<VirtualHost *:@PORT@>\nServerName {name}:{port}\n{}</VirtualHost>",
            mounts(&["/wsgi-scripts/foo", "/bar"])
        ))
    };
    NAMED.iter().map(|(name, port, _)| (*name, *port)).fold(site, host).start()
}

/// The name is the server's host; the port of a server that names it follows after a colon, but 80 and 443 do not.
#[test]
fn a_server_that_names_a_standard_port_has_no_suffix() {
    let httpd = named_hosts("%{SERVER}");
    for (name, _, group) in NAMED {
        assert_eq!(facts_of(&httpd, name, "/bar").application_group(), group);
    }
}

/// `%{RESOURCE}` is the same, a separator, and the application's `SCRIPT_NAME`, without what follows in the path.
#[test]
fn a_resource_is_the_server_and_the_script_name() {
    let httpd = named_hosts("%{RESOURCE}");
    for (name, _, group) in NAMED {
        for script_name in ["/wsgi-scripts/foo", "/bar"] {
            for target in [script_name.to_owned(), format!("{script_name}/deeper/path?query=1")] {
                let facts = facts_of(&httpd, name, &target);
                assert_eq!(facts.application_group(), format!("{group}|{script_name}"), "{target}");
                assert_eq!(facts.text("script_name"), script_name);
            }
        }
    }
}

/// An application at the root has an empty `SCRIPT_NAME`: the name ends with the separator.
#[test]
fn the_resource_at_the_root_ends_with_the_separator() {
    let httpd = site()
        .config(&format!("WSGIApplicationGroup %{{RESOURCE}}\nServerName www.example.com:80\n{}", mounts(&["/"])))
        .start();
    assert_eq!(facts_of(&httpd, "www.example.com", "/wsgi-scripts/foo").application_group(), "www.example.com|");
}

/// A client cannot choose the suffix with its `Host` header, as it could with the reference.
#[test]
fn the_host_header_does_not_change_the_port() {
    let httpd = named_hosts("%{SERVER}");
    if Module::Ours.is_ours() {
        assert_eq!(facts_of(&httpd, "www.example.com:4242", "/bar").application_group(), "www.example.com");
        assert_eq!(facts_of(&httpd, "other.example.com:80", "/bar").application_group(), "other.example.com:8080");
    }
}

/// Whether a test may listen on the standard ports of `address`; says so when not.
fn may_listen(address: Ipv4Addr) -> bool {
    let refused = [80, 443, 8080].map(|port| TcpListener::bind((address, port)).err().map(|error| (port, error)));
    if let Some((port, error)) = refused.into_iter().flatten().next() {
        skip::skipped(&format!("cannot listen on {address}:{port}: {error}"));
        return false;
    }
    true
}

/// The application group that a request to `address` has, whose `Host` header is as browsers write it.
fn group_at(address: Ipv4Addr, port: u16, target: &str) -> String {
    let host = if port == 80 || port == 443 { "www.example.com".to_owned() } else { format!("www.example.com:{port}") };
    let address = SocketAddr::from((address, port));
    let mut stream = TcpStream::connect_timeout(&address, wait::PATIENCE).expect("connects");
    stream.set_read_timeout(Some(wait::PATIENCE)).expect("a timeout");
    stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).expect("sends");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("reads");
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let body = latin1(&bytes[at + 4..]);
    assert_eq!(Head::parse(&bytes[..at]).expect("a head").status, 200, "{body}");
    body.lines().find_map(|line| line.strip_prefix("application_group=")).expect("a group").to_owned()
}

/// What a group is called on each of three real ports.
const EXPECTED: [(u16, &str); 3] = [(80, "www.example.com"), (443, "www.example.com"), (8080, "www.example.com:8080")];

const PORTS: &str = "Listen 127.0.0.87:80\nListen 127.0.0.87:443 http\nListen 127.0.0.87:8080\n";

fn assert_names_at(address: Ipv4Addr) {
    for (port, group) in EXPECTED {
        assert_eq!(group_at(address, port, "/server/x"), group);
        assert_eq!(group_at(address, port, "/wsgi-scripts/foo/x"), format!("{group}|/wsgi-scripts/foo"));
    }
}

fn two_mounts() -> String {
    let server = "<Location /server>\nWSGIApplicationGroup %{SERVER}\n</Location>\n";
    format!("ServerName www.example.com\n{}{server}", mounts(&["/server", "/wsgi-scripts/foo"]))
}

/// The page's example: a virtual host that takes requests on 80 and 443 has one name, on 8080 it has the suffix.
#[test]
fn a_virtual_host_on_real_ports() {
    let address = Ipv4Addr::new(127, 0, 0, 87);
    if may_listen(address) {
        let host = |port: u16| format!("<VirtualHost 127.0.0.87:{port}>\n{}</VirtualHost>\n", two_mounts());
        let _httpd = site().config(&format!("{PORTS}{}", EXPECTED.map(|(port, _)| host(port)).concat())).start();
        assert_names_at(address);
    }
}

/// The same for one virtual host that is declared for both standard ports.
#[test]
fn one_virtual_host_for_both_standard_ports() {
    let address = Ipv4Addr::new(127, 0, 0, 88);
    if may_listen(address) {
        let both = "127.0.0.88:80 127.0.0.88:443";
        let hosts = [both, "127.0.0.88:8080"].map(|on| format!("<VirtualHost {on}>\n{}</VirtualHost>\n", two_mounts()));
        let _httpd = site().config(&format!("{}{}", PORTS.replace(".87", ".88"), hosts.concat())).start();
        assert_names_at(address);
    }
}

/// The same for the server outside of all virtual hosts.
#[test]
fn the_server_itself_on_real_ports() {
    let address = Ipv4Addr::new(127, 0, 0, 89);
    if may_listen(address) {
        let _httpd = site().config(&format!("{}{}", PORTS.replace(".87", ".89"), two_mounts())).start();
        assert_names_at(address);
    }
}

/// A key and a certificate for the host, or nothing when the program that makes them is missing.
fn certificate() -> Option<[String; 2]> {
    let folder = std::env::temp_dir().join(format!("mwrs-certificate-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=www.example.com"
                .split(' '),
        )
        .args("-addext subjectAltName=DNS:www.example.com -addext basicConstraints=critical,CA:FALSE".split(' '))
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(&folder)
        .output();
    let made = made.is_ok_and(|output| output.status.success());
    let files = made.then(|| ["key.pem", "certificate.pem"].map(|name| fs::read_to_string(folder.join(name)).unwrap()));
    fs::remove_dir_all(&folder).expect("the folder");
    files
}

/// The same for true HTTPS: its standard port leaves no suffix, another one does.
#[test]
fn https_on_real_ports() {
    let address = Ipv4Addr::new(127, 0, 0, 90);
    let Some([key, certificate]) = certificate() else { return skip::skipped("openssl is missing") };
    if !modules_folder().join("mod_ssl.so").is_file() {
        return skip::skipped("mod_ssl is missing");
    }
    if !may_listen(address) {
        return;
    }
    let hosts = [443, 8080].map(|port| {
        let listen = format!("Listen {address}:{port} https\n<VirtualHost {address}:{port}>\nSSLEngine On\n");
        format!("{listen}{}</VirtualHost>\n", two_mounts())
    });
    let httpd = site()
        .with("ssl")
        .config("SSLSessionCache none\nSSLCertificateFile \"@ROOT@/certificate.pem\"\nSSLCertificateKeyFile \"@ROOT@/key.pem\"")
        .config(&hosts.concat())
        .file("key.pem", key)
        .file("certificate.pem", certificate)
        .start();
    // No session cache; and a machine may have another release of the library than mod_ssl was built with.
    httpd.tolerate_text("AH01873").tolerate_text("AH01882");
    for (port, group) in [(443, "www.example.com"), (8080, "www.example.com:8080")] {
        let curl = Command::new("curl")
            .args([
                "-sS",
                "-k",
                "--max-time",
                "20",
                "--connect-to",
                &format!("www.example.com:{port}:{address}:{port}"),
            ])
            .arg(format!("https://www.example.com:{port}/server"))
            .output()
            .expect("curl is installed");
        let said = latin1(&curl.stdout);
        assert!(said.contains(&format!("application_group={group}\n")), "{port}: {said} {}", latin1(&curl.stderr));
    }
}
