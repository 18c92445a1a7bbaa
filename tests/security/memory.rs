// SPDX-License-Identifier: Apache-2.0
//! Secrets of the server are not in the memory of workers.

use super::{may_change_users, outside, run, site};
use harness::module::modules_folder;
use harness::{census, skip};
use std::fs;
use std::process::Command;

const SEARCH: &str = include_str!("memory.py");
/// What stands in httpd's configuration, of another virtual host.
const MARKER: &str = "marker-which-no-worker-may-know";

/// A key with its certificate, and numbers of the key.
struct Key {
    key: String,
    certificate: String,
    /// Private exponent and first prime, highest byte first.
    numbers: [Vec<u8>; 2],
}

fn key() -> Option<Key> {
    let folder = std::env::temp_dir().join(format!("mwrs-key-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let made = (|| {
        openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out certificate.pem")?;
        openssl("rsa -in key.pem -traditional -out traditional.pem")?;
        let integers = openssl("asn1parse -in traditional.pem")?;
        let integers: Vec<_> = integers.lines().filter(|line| line.contains("INTEGER")).collect();
        let number = |place: usize| bytes(integers[place].rsplit(':').next().expect("a number"));
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file");
        // Version, modulus, public exponent, then these.
        Some(Key { key: read("key.pem"), certificate: read("certificate.pem"), numbers: [number(3), number(4)] })
    })();
    fs::remove_dir_all(&folder).expect("the folder");
    made
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("digits")).collect()
}

/// A Python dictionary of what is looked for, all bits turned.
fn needles(key: &Key) -> String {
    let line = key.key.lines().nth(5).expect("a line of the key").as_bytes().to_vec();
    let mut all = vec![("marker", MARKER.as_bytes().to_vec()), ("pem", line)];
    for (number, [straight, reversed]) in
        key.numbers.iter().zip([["exponent", "exponent of a big number"], ["prime", "prime of a big number"]])
    {
        // Libraries keep big numbers with the lowest byte first.
        all.push((straight, number.clone()));
        all.push((reversed, number.iter().rev().copied().collect()));
    }
    let entry = |(name, needle): &(&str, Vec<u8>)| {
        let turned: String = needle.iter().map(|byte| format!("{:02x}", byte ^ 255)).collect();
        format!("'{name}': bytes.fromhex('{turned}')")
    };
    format!("{{{}}}", all.iter().map(entry).collect::<Vec<_>>().join(", "))
}

#[test]
fn no_key_of_the_server_is_in_the_memory_of_a_worker() {
    if !may_change_users() {
        return;
    }
    if !modules_folder().join("mod_ssl.so").is_file() {
        return skip::skipped("mod_ssl is missing");
    }
    let Some(key) = key() else { return skip::skipped("openssl is missing") };
    let httpd = site("WSGIDaemonProcess one\nWSGIDaemonProcess two user=games group=games")
        .with("ssl")
        .config("SSLSessionCache none\nSSLCertificateFile \"@ROOT@/certificate.pem\"\nSSLCertificateKeyFile \"@ROOT@/key.pem\"")
        .vhost("plain.test", "")
        .vhost("secure.test", &format!("SSLEngine On\nSetEnv SECRET {MARKER}"))
        .file_with_mode("key.pem", key.key.as_str(), 0o600)
        .file("certificate.pem", key.certificate.as_str())
        .start();
    httpd.tolerate_text("AH01873").tolerate_text("AH01882").tolerate_text("AH");
    let needles = needles(&key);
    let looked = |answer: &str| answer.rsplit_once(", ").and_then(|(_, size)| size.trim_end_matches(')').parse().ok());
    for group in ["one", "two"] {
        let answer = run(&httpd, group, &format!("{SEARCH}\nresult = search(os.getpid(), {needles})"));
        assert!(answer.starts_with("([], "), "in a worker of {group}: {answer}");
        let size: usize = looked(&answer).expect("a size");
        assert!(size > 4 << 20, "{size} bytes are not the memory of a Python");
    }
    let search = |pid: u32| outside(&format!("{SEARCH}\nresult = search({pid}, {needles})"));
    let worker: u32 = super::pid(&httpd, "one");
    let supervisor = census::parent(worker).expect("a parent");
    for pid in [worker, supervisor] {
        assert!(search(pid).starts_with("([], "), "{}", search(pid));
    }
    let child = *httpd.children().iter().find(|pid| **pid != supervisor).expect("a child");
    for pid in [child, httpd.pid()] {
        let found = search(pid);
        assert!(found.contains("'marker'"), "the search finds nothing: {found}");
        assert!(found.contains("'prime") || found.contains("'exponent") || found.contains("'pem'"), "{found}");
    }
}
