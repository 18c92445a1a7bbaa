// SPDX-License-Identifier: Apache-2.0
//! Who may send requests to a process of a group, and how many connections it has from how many children.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::site::is_root;
use harness::{Httpd, Mode, Python, Site, census, event, skip};
use std::fs;

/// Answers the value of the expression in the query.
const EVALUATE: &str = "import os, sys, urllib.parse\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [str(eval(urllib.parse.unquote(environ['QUERY_STRING']))).encode()]\n";

fn site(groups: &str) -> Site {
    Site::new(Mode::Embedded)
        .file("apps/v.py", EVALUATE)
        .config(groups)
        .config("WSGIProcessGroup one\nWSGIScriptAlias /v \"@APPS@/v.py\"")
}

#[track_caller]
fn value(httpd: &Httpd, expression: &str) -> String {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    httpd.get(&format!("/v?{encoded}")).expect(200).text()
}

/// The path of a descriptor of the group's socket that a child of httpd has.
fn address(httpd: &Httpd) -> String {
    let worker = value(httpd, "os.getpid()").parse().expect("a number");
    let supervisor = census::parent(worker);
    let child = *httpd.children().iter().find(|pid| Some(**pid) != supervisor).expect("a child");
    let descriptors = fs::read_dir(format!("/proc/{child}/fd")).expect("the descriptors").flatten();
    let mut paths = descriptors.map(|entry| entry.path());
    let found = paths.find(|path| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("wsgi.")));
    found.expect("a descriptor of the group's socket").display().to_string()
}

/// As root, takes the descriptor of a socket and becomes a program of another user that has it.
const LEAK: &str = "
import os, sys
address, user, group, then = sys.argv[1:]
number = os.open(address, os.O_PATH)
os.set_inheritable(number, True)
os.execvp('setpriv', ['setpriv', '--reuid=' + user, '--regid=' + group, '--clear-groups', '--',
    sys.executable, '-c', then, str(number)])
";

/// Connects through the descriptor, says something that makes no sense, and hears what comes back.
const SPEAK: &str = "
import os, socket, sys
one = socket.socket(socket.AF_UNIX)
one.settimeout(20)
one.connect('/proc/self/fd/' + sys.argv[1])
try:
    one.sendall(bytes(64))
    heard = one.recv(100)
except (BrokenPipeError, ConnectionResetError):
    heard = b''
print(os.getuid(), heard)
";

/// What a program of the account hears that has the descriptor of the socket.
fn speak(python: &Python, address: &str, account: &str) -> String {
    let users = fs::read_to_string("/etc/passwd").expect("the accounts");
    let line = users.lines().find(|line| line.starts_with(&format!("{account}:"))).expect("an account");
    let fields: Vec<_> = line.split(':').collect();
    let output = python.command().args(["-c", LEAK, address, fields[2], fields[3], SPEAK]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn another_user_who_has_a_descriptor_of_the_socket_is_refused() {
    let Some(python) = Python::usual() else { return };
    if !is_root() {
        return skip::skipped("only root can change users");
    }
    let httpd = site("WSGIDaemonProcess one user=games group=games").start();
    httpd.expect(event::PEER_REFUSED);
    let address = address(&httpd);
    // httpd's own user is heard and makes no sense; what is logged comes in the order in which it happened.
    let own = speak(&python, &address, "www-data");
    assert!(own.ends_with(" b''"), "{own}");
    // Not even the user of the group itself has anything to say here.
    for account in ["nobody", "games"] {
        let said = speak(&python, &address, account);
        let user = said.strip_suffix(" b''").expect("nothing is heard");
        httpd.wait_for_log(&format!("process group 'one': a connection of user {user} was closed"));
    }
    assert_eq!(httpd.count(event::PEER_REFUSED), 2);
    assert_eq!(value(&httpd, "6 * 7"), "42");
}

#[test]
fn groups_that_run_as_httpd_are_told_of_once() {
    if !is_root() {
        return skip::skipped("only root can give groups users");
    }
    let groups = "WSGIDaemonProcess one\nWSGIDaemonProcess two user=games group=games\nWSGIDaemonProcess three";
    let httpd = site(groups).config("LogLevel warn").start();
    httpd.expect(event::GROUPS_AS_HTTPD);
    httpd.wait_for_log("'www-data' runs process groups 'one', 'three'");
    httpd.graceful();
    assert_eq!(value(&httpd, "6 * 7"), "42");
    assert_eq!(httpd.count(event::GROUPS_AS_HTTPD), 1);
}
