// SPDX-License-Identifier: Apache-2.0
//! Who may send requests to a process of a group, and how many connections it has from how many children.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::site::is_root;
use harness::{Httpd, Mode, Mpm, Python, Site, census, event, skip};
use std::fs;
use std::thread;

/// Answers the value of the expression in the query.
const EVALUATE: &str = "import os, resource, subprocess, sys, urllib.parse\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [str(eval(urllib.parse.unquote(environ['QUERY_STRING']))).encode()]\n";

fn site(groups: &str) -> Site {
    Site::new(Mode::Embedded)
        .file("apps/v.py", EVALUATE)
        .config(groups)
        .config("WSGIProcessGroup one\nWSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias /v \"@APPS@/v.py\"")
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

/// How many children httpd has.
const CHILDREN: u32 = 60;
/// Tells the limit that a program of the application gets, and a process that it forks.
const LIMITS: &str = "[resource.getrlimit(7), [os.write(1, b'') for pid in [os.fork()] if pid == 0 and os._exit(resource.getrlimit(7)[0])] \
    or os.waitstatus_to_exitcode(os.wait()[1]), int(subprocess.check_output(['sh', '-c', 'ulimit -Sn']))]";
/// The numbers of the connections that the worker has.
const CONNECTIONS: &str = "[int(n) for n in os.listdir('/proc/self/fd') if int(n) > 3 and os.path.lexists('/proc/self/fd/' + n) and \
    os.readlink('/proc/self/fd/' + n).startswith('socket:')]";

/// A server with many children and one worker, started with these limits on descriptors.
fn crowded(limits: &str, options: &str) -> Httpd {
    site(&format!("WSGIDaemonProcess one python-path=\"@APPS@\" {options}"))
        .mpm(Mpm::Prefork)
        .workers(CHILDREN + 2, 1)
        .through(&["prlimit", &format!("--nofile={limits}"), "--"])
        .start()
}

fn numbers(text: &str) -> Vec<u32> {
    let words = text.split(|character: char| !character.is_ascii_digit());
    words.filter(|word| !word.is_empty()).map(|word| word.parse().expect("a number")).collect()
}

#[test]
fn a_worker_has_connections_of_more_children_than_its_limit_on_descriptors_allows() {
    let httpd = crowded("50:4000", "threads=64");
    thread::scope(|scope| {
        let wait = "[journal.note('waits') or journal.wait_for_gate('open') and os.getpid() for journal in [__import__('journal')]]";
        let asked: Vec<_> = (0..CHILDREN).map(|_| scope.spawn(|| value(&httpd, wait))).collect();
        harness::wait::until_true("all to wait", || httpd.journal().len() == CHILDREN as usize);
        let open = numbers(&value(&httpd, CONNECTIONS));
        let out_of_the_way = open.iter().filter(|number| **number >= 50).count();
        assert!(out_of_the_way > CHILDREN as usize, "{open:?}");
        assert!(open.len() - out_of_the_way <= 2, "the application keeps the numbers below: {open:?}");
        httpd.open_gate("open");
        let workers: Vec<_> = asked.into_iter().map(|one| one.join().expect("an answer")).collect();
        assert!(workers.windows(2).all(|two| two[0] == two[1]), "one worker: {workers:?}");
    });
    let raised = 50 + 64 + 1024;
    // How `subprocess` starts programs depends on Python; those that are not forked get what the worker has.
    let limits = numbers(&value(&httpd, LIMITS));
    assert_eq!(limits[..3], [raised, 4000, 50], "its own, and that of a forked process");
    assert!([50, raised].contains(&limits[3]), "{limits:?}");
}

#[test]
fn a_worker_that_may_not_have_more_descriptors_gives_up_idle_connections() {
    let httpd = crowded("50:50", "threads=2");
    // Each of them has a child of httpd for itself as long as it is open.
    let mut clients: Vec<_> = (0..CHILDREN).map(|_| httpd.connect()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.send(b"GET /v?6*7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(client.read_response("GET").expect(200).text(), "42");
        }
    }
    let limits = numbers(&value(&httpd, LIMITS));
    assert_eq!(limits, [50, 50, 50, 50]);
}
