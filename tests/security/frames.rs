// SPDX-License-Identifier: Apache-2.0
//! Whatever one side says to the other, the other goes on. `crates/runtime/tests/worker/forgery.rs` tries more frames on a worker.

use super::{may_change_users, pid, run, site, try_run};
use harness::response::End;
use harness::{Httpd, census, event};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The descriptors of sockets that can be dialled, which `pid` holds: they have a path.
fn addresses(pid: u32) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the descriptors").flatten();
    let paths = descriptors.map(|entry| entry.path());
    let sockets = paths.filter(|path| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("wsgi.")));
    sockets.map(|path| path.display().to_string()).collect()
}

/// One of httpd's children, which is not the supervisor.
fn child(httpd: &Httpd, group: &str) -> u32 {
    let supervisor = census::parent(pid(httpd, group));
    *httpd.children().iter().find(|pid| Some(**pid) != supervisor).expect("a child")
}

#[test]
fn a_worker_closes_a_connection_that_makes_no_sense_and_goes_on() {
    if !may_change_users() {
        return;
    }
    let httpd = site("WSGIDaemonProcess one").start();
    let worker = pid(&httpd, "one");
    let addresses = addresses(child(&httpd, "one"));
    assert!(!addresses.is_empty(), "a child holds a descriptor of the group's socket");
    let mut random = vec![0; 100_000];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).expect("random bytes");
    let garbage = [
        vec![255; 64],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        // A greeting that promises more than it may, one that ends early, and a request without a greeting.
        vec![1, 0, 0, 0, 255, 255, 255, 255],
        vec![1, 0, 0, 0, 40, 0, 0, 0, 1, 2, 3],
        vec![2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        random,
    ];
    for (address, bytes) in addresses.iter().flat_map(|address| garbage.iter().map(move |bytes| (address, bytes))) {
        let mut stream = UnixStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        // The worker may have closed already.
        let _sent = stream.write_all(bytes);
        let _ended = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "still open after {bytes:?}");
        assert!(answer.is_empty(), "{answer:?}");
    }
    assert_eq!(run(&httpd, "one", "os.getpid()"), worker.to_string(), "the same process serves");
}

/// In an application: says something on the connection to httpd's child before it answers.
const SAY: &str = "
import array, socket
def connections():
    for name in os.listdir('/proc/self/fd'):
        try:
            if int(name) > 3 and os.readlink('/proc/self/fd/' + name).startswith('socket:'):
                one = socket.socket(fileno=os.dup(int(name)))
                if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield one
        except OSError:
            pass
def say(content, *descriptors):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', descriptors))] if descriptors else []
    # Those of earlier requests may not be closed yet.
    for one in connections():
        one.settimeout(5)
        try:
            one.sendmsg([content], rights)
        except OSError:
            pass
        one.close()
def file(*descriptors):
    say(bytes([68, 0, 0, 0, 16, 0, 0, 0]) + bytes(8) + (5).to_bytes(8, 'little'), *descriptors)
HEAD = bytes([66, 0, 0, 0])
";

#[test]
fn a_child_of_httpd_gives_up_a_worker_that_makes_no_sense_and_goes_on() {
    let httpd = site("WSGIDaemonProcess one threads=1").start();
    httpd.expect(event::WORKER_LOST).tolerate(event::SHORT_ANSWER);
    let child = child(&httpd, "one");
    let said = [
        "say(os.urandom(100000))",
        "say(bytes([99, 0, 0, 0, 0, 0, 0, 0]))",
        "say(bytes([67, 0, 0, 0, 255, 255, 255, 255]))",
        "say(HEAD + bytes([4, 0, 0, 0, 255, 255, 255, 255]))",
        "say(bytes([67, 1, 2, 3, 4, 0, 0, 0]) + b'data')",
        // A file that is none, two files, and no file at all.
        "file(os.pipe()[0])",
        "file(next(connections()).detach())",
        "file(os.open('/', os.O_RDONLY), os.open('/etc/passwd', os.O_RDONLY))",
        "file(os.open('/etc/passwd', os.O_RDONLY), os.open('/etc/passwd', os.O_RDONLY))",
        "file(*[os.open('/etc/passwd', os.O_RDONLY) for _ in range(60)])",
        "file()",
    ];
    for code in said {
        let answer = try_run(&httpd, "one", &format!("{SAY}\n{code}\nresult = 'answer'"));
        let cut_off = answer.end != End::Complete;
        assert!(answer.status == 502 || cut_off, "{code}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("root:"), "{code}: {}", answer.text());
        assert_eq!(run(&httpd, "one", "1 + 1"), "2", "after {code}");
    }
    assert!(httpd.children().contains(&child), "httpd's child is the same process");
    let open = fs::read_dir(format!("/proc/{child}/fd")).map_or(0, Iterator::count);
    if open > 0 {
        let files = fs::read_dir(format!("/proc/{child}/fd")).expect("descriptors").flatten();
        let passed = files.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("etc/passwd")));
        assert_eq!(passed.count(), 0, "what was passed is closed again");
    }
}
