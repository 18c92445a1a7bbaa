// SPDX-License-Identifier: Apache-2.0
//! What a worker is: its descriptors, its identity, its privileges.

use super::{may_change_users, run, site};
use harness::{Httpd, skip};
use std::collections::BTreeMap;

/// Every open descriptor with what it is, in the worker and in a program that it starts.
const DESCRIPTORS: &str = "
import socket
result = []
for name in os.listdir('/proc/self/fd'):
    number = int(name)
    try:
        what = os.readlink('/proc/self/fd/' + name)
    except OSError:
        continue
    if what.startswith('socket:'):
        one = socket.socket(fileno=os.dup(number))
        listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        what = '%s %s %s' % (one.family.name, one.type.name, 'listening' if listens else 'connected')
        one.close()
    result.append('%d %s%s' % (number, what, ' inherited' if os.get_inheritable(number) else ''))
result = '\\n'.join(result)
";

fn descriptors(text: &str) -> (Vec<String>, BTreeMap<String, usize>) {
    let mut streams = Vec::new();
    let mut others = BTreeMap::new();
    for line in text.lines() {
        let (number, what) = line.split_once(' ').expect("a number and what it is");
        let what = what.split(":[").next().expect("a word").to_owned();
        match number.parse().expect("a number") {
            0..=2 => streams.push(format!("{number} {what}")),
            _ => *others.entry(what).or_default() += 1,
        }
    }
    streams.sort();
    (streams, others)
}

#[test]
fn a_worker_has_exactly_the_descriptors_that_it_needs() {
    check_descriptors(&site("WSGIDaemonProcess one\nWSGIDaemonProcess two").start());
}

/// `pidfd_open` and `close_range`, which have the same numbers everywhere.
const YOUNG: [u32; 2] = [434, 436];

#[test]
fn a_worker_has_the_same_descriptors_where_the_kernel_cannot_close_ranges() {
    // An old kernel, and a container whose rules are older than the call.
    for (error, name) in [(38, "ENOSYS"), (1, "EPERM")] {
        let httpd = site("WSGIDaemonProcess one\nWSGIDaemonProcess two")
            .without_calls(&YOUNG.map(|call| (call, error)))
            .start();
        let tried = format!(
            "libc = __import__('ctypes').CDLL(None, use_errno=True)\n\
             result = [__import__('errno').errorcode[__import__('ctypes').get_errno()] for call in {YOUNG:?} if libc.syscall(call, 900, 900, 0)]"
        );
        assert_eq!(run(&httpd, "one", &tried), format!("['{name}', '{name}']"), "the calls fail here");
        check_descriptors(&httpd);
    }
}

fn check_descriptors(httpd: &Httpd) {
    let open = run(httpd, "one", DESCRIPTORS);
    let (streams, others) = descriptors(&open);
    assert_eq!(streams, ["0 /dev/null inherited", "1 pipe", "2 pipe"], "{open}");
    let wanted = [
        ("AF_UNIX SOCK_SEQPACKET connected", 1),
        ("AF_UNIX SOCK_STREAM connected", 1),
        ("AF_UNIX SOCK_STREAM listening", 1),
        ("/memfd:mod_wsgi_rs lock (deleted)", 1),
    ];
    for (what, count) in wanted {
        assert_eq!(others.get(what), Some(&count), "{what}: {open}");
    }
    let known = [
        "AF_UNIX ",
        "/memfd:mod_wsgi_rs lock (deleted)",
        "anon_inode:[eventpoll]",
        "anon_inode:[eventfd]",
        "anon_inode",
    ];
    assert!(others.keys().all(|what| known.iter().any(|known| what.starts_with(known))), "{open}");
    assert!(others.keys().all(|what| !what.ends_with("inherited")), "nothing goes on to programs: {open}");
    let program = "result = __import__('subprocess').check_output(['ls', '/proc/self/fd'], close_fds=False).split()";
    // The fourth is the directory that is listed.
    assert_eq!(run(httpd, "one", program), "[b'0', b'1', b'2', b'3']");
    let forked = "
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    links = []
    for name in os.listdir('/proc/self/fd'):
        try:
            links.append(os.readlink('/proc/self/fd/' + name))
        except OSError:
            pass
    os.write(writer, ' '.join(links).encode())
    os._exit(0)
os.close(writer)
result = os.read(reader, 10000).decode()
os.close(reader)
os.waitpid(pid, 0)
";
    let links = run(httpd, "one", forked);
    let ours = ["socket:", "anon_inode:", "memfd:"].iter().any(|kind| links.contains(kind));
    assert!(links.contains("pipe:") && !ours, "nor to processes that the application forks: {links}");
}

/// The lines of `/proc/self/status`, by name.
fn status(text: &str) -> BTreeMap<String, String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), words(value))).collect()
}

#[test]
fn a_worker_is_its_user_and_nothing_else() {
    if !may_change_users() {
        return;
    }
    let httpd = site(
        "WSGIDaemonProcess one user=games group=games supplementary-groups=man umask=0027\n\
         WSGIDaemonProcess hard user=games group=games no-new-privs=On dumpable=On\n\
         WSGIDaemonProcess plain",
    )
    .start();
    let numbers = "result = [__import__('pwd').getpwnam('games').pw_uid] + [__import__('grp').getgrnam(n).gr_gid for n in ('games', 'man')]";
    let numbers = run(&httpd, "one", numbers);
    let numbers: Vec<u32> = numbers.trim_matches(['[', ']']).split(", ").map(|one| one.parse().unwrap()).collect();
    let dumpable = "__import__('ctypes').CDLL(None).prctl(3)";
    for (group, hardened) in [("one", false), ("hard", true)] {
        let found = status(&run(&httpd, group, "open('/proc/self/status').read()"));
        let [uid, gid, man] = numbers[..] else { panic!("{numbers:?}") };
        assert_eq!(found["Uid"], [uid.to_string(), uid.to_string(), uid.to_string(), uid.to_string()].join(" "));
        assert_eq!(found["Gid"], [gid.to_string(), gid.to_string(), gid.to_string(), gid.to_string()].join(" "));
        let mut groups: Vec<u32> = found["Groups"].split(' ').map(|one| one.parse().unwrap()).collect();
        groups.sort_unstable();
        let mut wanted = if hardened { vec![gid] } else { vec![gid, man] };
        wanted.sort_unstable();
        assert_eq!(groups, wanted, "{group}");
        assert_eq!(found["NoNewPrivs"], if hardened { "1" } else { "0" }, "{group}");
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(found[set], "0000000000000000", "{set} of {group}");
        }
        if !hardened {
            assert_eq!(found["Umask"], "0027");
        }
        assert_eq!(run(&httpd, group, dumpable), if hardened { "1" } else { "0" }, "{group}");
        assert!(run(&httpd, group, "os.setuid(0)").starts_with("PermissionError"), "{group}");
    }
    let found = status(&run(&httpd, "plain", "open('/proc/self/status').read()"));
    assert_eq!((found["CapEff"].as_str(), found["NoNewPrivs"].as_str()), ("0000000000000000", "0"));
    assert_eq!(run(&httpd, "plain", dumpable), "0");
}

#[test]
fn where_httpd_leaves_core_dumps_workers_do_unless_they_must_not() {
    if !may_change_users() {
        return;
    }
    let groups = "CoreDumpDirectory \"@STATE@\"\nWSGIDaemonProcess one\nWSGIDaemonProcess two dumpable=Off";
    let httpd = site(groups).start();
    let dumpable = "__import__('ctypes').CDLL(None).prctl(3)";
    assert_eq!(run(&httpd, "one", dumpable), "1");
    assert_eq!(run(&httpd, "two", dumpable), "0");
}

#[test]
fn a_program_that_would_gain_privileges_does_not_where_that_is_forbidden() {
    if !may_change_users() {
        return;
    }
    let Ok(tool) = std::fs::read("/usr/bin/id").or_else(|_| std::fs::read("/bin/id")) else {
        return skip::skipped("there is no id");
    };
    let httpd = site("WSGIDaemonProcess one\nWSGIDaemonProcess two no-new-privs=On")
        .file_with_mode("tool/id", tool, 0o4755)
        .start();
    let effective =
        format!("__import__('subprocess').check_output(['{}/tool/id', '-u']).strip()", httpd.root().display());
    assert_eq!(run(&httpd, "one", &effective), "b'0'", "a program of root's, for everybody");
    assert_ne!(run(&httpd, "two", &effective), "b'0'");
}
