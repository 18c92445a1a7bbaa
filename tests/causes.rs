// SPDX-License-Identifier: Apache-2.0
//! Every failure names its cause in the log of the virtual host that had it, and in no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::ledger::Entry;
use harness::{End, Httpd, Mode, Python, Response, Site, event, skip, wait};
use std::os::unix::fs::symlink;
use std::thread;
use std::time::{Duration, Instant};

/// Does what the path names.
const APPLICATION: &str = "import ctypes, journal, os, sys


def spin():
    while True:
        pass


ACTIONS = {
    'nothing': lambda: None,
    'crash': lambda: ctypes.string_at(0),
    'abort': os.abort,
    'exit': lambda: os._exit(3),
    'sys-exit': lambda: sys.exit(4),
    'spin': spin,
    'fill': lambda: bytearray(1 << 30),
}


def application(environ, start_response):
    wish, headers = environ['PATH_INFO'][1:], []
    if wish == 'wait':
        journal.note('waits %d' % os.getpid())
        journal.wait_for_gate('never')
    elif wish == 'header':
        headers.append(('X-Long', 'x' * 9000))
    else:
        ACTIONS[wish]()
    start_response('200 OK', headers)
    return [b'%d' % os.getpid()]
";

/// Which process the log line about a failure comes from, or names.
#[derive(Clone, Copy, PartialEq)]
enum Process {
    /// The worker's, which is gone afterwards.
    Gone,
    /// The worker's, which goes on.
    Stays,
    /// None was there.
    None,
}

/// A failure and what must be known of it.
struct Row {
    /// The name of the virtual host and of its group.
    name: &'static str,
    /// Options of the group.
    options: &'static str,
    /// What the application is asked to do.
    wish: &'static str,
    status: u16,
    /// The event that the request leaves, if it is one.
    number: Option<u16>,
    /// What the line of the request says.
    words: &'static [&'static str],
    process: Process,
}

const ROWS: [Row; 10] = [
    row("crashes", "", "crash", 502, Some(event::WORKER_LOST), &["SIGSEGV"], Process::Gone),
    row("aborts", "", "abort", 502, Some(event::WORKER_LOST), &["SIGABRT"], Process::Gone),
    row("killed", "", "wait", 502, Some(event::WORKER_LOST), &["SIGKILL"], Process::Gone),
    row("exits", "", "exit", 502, Some(event::WORKER_LOST), &["by itself with status 3"], Process::Gone),
    row(
        "sys-exits",
        "",
        "sys-exit",
        500,
        Some(event::APPLICATION_FAILED),
        &["SystemExit", "process group 'sys-exits'"],
        Process::Stays,
    ),
    row(
        "fills",
        "memory-limit=300MB",
        "fill",
        500,
        Some(event::APPLICATION_FAILED),
        &["MemoryError", "process group 'fills'"],
        Process::Stays,
    ),
    row(
        "spins",
        "cpu-time-limit=1",
        "spin",
        502,
        Some(event::WORKER_LOST),
        &["cpu-time-limit", "SIGKILL"],
        Process::Gone,
    ),
    row(
        "long",
        "header-buffer-size=8192",
        "header",
        500,
        Some(event::HEADER_TOO_LONG),
        &["'X-Long'", "8192", "header-buffer-size"],
        Process::Stays,
    ),
    row(
        "homeless",
        "python-home=/nonexistent",
        "nothing",
        503,
        Some(event::GROUP_UNAVAILABLE),
        &["python-home", "'/nonexistent': No such file or directory", "httpd.conf:"],
        Process::None,
    ),
    row("refused", "script-user=games", "nothing", 403, Some(event::SCRIPT_OWNER), &["script-user"], Process::None),
];

const fn row(
    name: &'static str,
    options: &'static str,
    wish: &'static str,
    status: u16,
    number: Option<u16>,
    words: &'static [&'static str],
    process: Process,
) -> Row {
    Row { name, options, wish, status, number, words, process }
}

/// A virtual host with a log and a group of its own for each name.
fn site<'n>(hosts: impl IntoIterator<Item = (&'n str, &'n str)>) -> Site {
    let site = Site::new(Mode::Embedded).file("apps/f.py", APPLICATION);
    hosts.into_iter().fold(site, |site, (name, options)| {
        let group = format!(
            "WSGIDaemonProcess {name} python-path=\"@APPS@\" {options}\nWSGIProcessGroup {name}\n\
             WSGIScriptAlias / \"@APPS@/f.py\""
        );
        site.vhost(name, &group)
    })
}

fn ask(httpd: &Httpd, host: &str, wish: &str) -> Response {
    httpd.request("GET", &format!("/{wish}")).header("Host", host).send()
}

/// The process of a group that works.
fn worker(httpd: &Httpd, host: &str) -> u32 {
    let answer =
        wait::until("the group to serve", || Some(ask(httpd, host, "nothing")).filter(|one| one.status == 200));
    answer.text().parse().expect("a number")
}

/// Lets the failure happen.
fn fail(httpd: &Httpd, row: &Row) -> Response {
    if row.wish != "wait" {
        return ask(httpd, row.name, row.wish);
    }
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(httpd, row.name, row.wish));
        let line = httpd.wait_for_journal("waits");
        harness::server::send_signal(line.rsplit(' ').next().unwrap().parse().unwrap(), "KILL");
        asked.join().expect("an answer")
    })
}

fn is_about_request(entry: &Entry, row: &Row) -> bool {
    match row.number {
        Some(number) => entry.number == Some(number),
        None => entry.message.contains(row.words[0]),
    }
}

fn check(httpd: &Httpd, row: &Row) {
    let name = row.name;
    let pid = (row.process != Process::None).then(|| worker(httpd, name));
    let answer = fail(httpd, row);
    assert_eq!((answer.status, &answer.end), (row.status, &End::Complete), "{name}: {}", answer.text());
    let mut about = Vec::new();
    // Lines of a process may come after the answer.
    let found = wait::poll(wait::PATIENCE, || {
        about = httpd.log_of(name);
        let text: Vec<_> = about.iter().map(|entry| entry.line.as_str()).collect();
        let text = text.join("\n");
        let complete = about.iter().any(|entry| is_about_request(entry, row))
            && row.words.iter().all(|word| text.contains(word))
            && (row.process != Process::Gone || about.iter().any(|entry| entry.number == Some(event::WORKER_ENDED)));
        complete.then_some(())
    });
    assert!(found.is_some(), "{name}: {about:#?}");
    match row.process {
        Process::Stays => assert_eq!(worker(httpd, name), pid.unwrap(), "{name}: the process goes on"),
        Process::None => {}
        Process::Gone => {
            let pid = pid.unwrap();
            let request = about.iter().find(|entry| is_about_request(entry, row)).expect("looked for before");
            assert!(request.line.contains(&format!("'{name}'")), "{name}: {}", request.line);
            assert!(request.line.contains(&format!("(pid {pid},")), "{name}: {}", request.line);
            assert!(row.words.iter().all(|word| request.line.contains(word)), "{name}: {}", request.line);
            let ended =
                about.iter().find(|entry| entry.number == Some(event::WORKER_ENDED)).expect("looked for before");
            assert!(ended.line.contains(&format!("[pid {pid}]")), "{name}: {}", ended.line);
            assert!(ended.line.contains(&format!("'{name}'")), "{name}: {}", ended.line);
            assert!(row.words.iter().all(|word| ended.line.contains(word)), "{name}: {}", ended.line);
            assert_ne!(worker(httpd, name), pid, "{name}: another process takes its place");
        }
    }
}

#[test]
fn every_failure_names_its_cause_in_the_log_of_its_virtual_host() {
    if !harness::site::is_root() {
        return skip::skipped("only root can make files of other users");
    }
    let httpd = site(ROWS.iter().map(|row| (row.name, row.options))).start();
    for number in ROWS.iter().filter_map(|row| row.number) {
        httpd.expect(number);
    }
    httpd.expect(event::WORKER_ENDED).expect(event::WORKER_UNSTARTABLE).tolerate(event::FILE_DOUBTFUL);
    httpd.expect(event::HEADER_TOO_LONG);
    for row in &ROWS {
        check(&httpd, row);
    }
    for log in ROWS.iter().map(|row| row.name).chain(["error"]) {
        let strange: Vec<_> = httpd
            .log_of(log)
            .into_iter()
            .filter(|entry| {
                let others = ROWS.iter().filter(|row| row.name != log);
                ![Some(event::FILE_DOUBTFUL), Some(event::GROUPS_AS_HTTPD)].contains(&entry.number)
                    && others.into_iter().any(|row| entry.line.contains(&format!("'{}'", row.name)))
            })
            .collect();
        assert!(strange.is_empty(), "{log} tells of others: {strange:#?}");
    }
}

/// Asks a group that cannot start; what its virtual host's log says then.
fn refusal(httpd: &Httpd, host: &str) -> String {
    httpd.expect(event::GROUP_UNAVAILABLE).expect(event::WORKER_UNSTARTABLE).tolerate(event::FILE_DOUBTFUL);
    let begun = Instant::now();
    let answer = ask(httpd, host, "nothing");
    let waited = begun.elapsed();
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    // A request that does not know waits for `connect-timeout`, 15 seconds.
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    let log = httpd.log_of(host);
    let line = |number| log.iter().rev().find(|entry| entry.number == Some(number)).map(|entry| entry.line.clone());
    let (refused, tried) = (line(event::GROUP_UNAVAILABLE), line(event::WORKER_UNSTARTABLE));
    let (refused, tried) = (refused.expect("a line of the request"), tried.expect("a line of the group"));
    for line in [&refused, &tried] {
        assert!(line.contains(&format!("'{host}'")) && line.contains("httpd.conf:"), "{line}");
    }
    refused
}

#[test]
fn a_group_recovers_when_its_python_appears() {
    let Some(python) = Python::usual() else { return };
    let httpd = site([("later", "python-home=@ROOT@/later")]).start();
    let line = refusal(&httpd, "later");
    assert!(line.contains("python-home") && line.contains("No such file or directory"), "{line}");
    symlink(&python.prefix, httpd.root().join("later")).expect("a link");
    worker(&httpd, "later");
}

#[test]
fn a_group_whose_user_may_not_enter_its_python_says_so_and_recovers() {
    let Some(python) = Python::usual() else { return };
    if !harness::site::is_root() {
        return skip::skipped("only root can change users");
    }
    let site = site([("closed", "user=games group=games python-home=@ROOT@/closed/python")]);
    let httpd = site.file_with_mode("closed/note.txt", "", 0o600).start();
    let folder = httpd.root().join("closed");
    let set_mode = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&folder, permissions).expect("permissions");
    };
    set_mode(0o700);
    symlink(&python.prefix, folder.join("python")).expect("a link");
    // At first the directory was open and empty.
    let line = wait::until("the right cause", || {
        Some(refusal(&httpd, "closed")).filter(|line| line.contains("Permission denied"))
    });
    assert!(line.contains("python-home"), "{line}");
    set_mode(0o755);
    worker(&httpd, "closed");
}

#[test]
fn a_group_that_does_not_get_ready_holds_up_neither_start_nor_restart() {
    let slow = "import journal\njournal.note('loading')\njournal.wait_for_gate('loaded')\n";
    let httpd = site([("slow", "")])
        .file("apps/slow.py", slow)
        .config("WSGIImportScript @APPS@/slow.py process-group=slow application-group=%{GLOBAL}")
        .start();
    // Generations hand a group of one process over: the old process is waited for, as long as it may need to end.
    httpd.tolerate(event::SHUTDOWN_OVERDUE);
    let loads = || httpd.journal().iter().filter(|line| line.starts_with("loading")).count();
    wait::until_true("the script to be loaded", || loads() == 1);
    let begun = Instant::now();
    httpd.graceful();
    // The script waits for 20 seconds.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    wait::until_true("the script to be loaded again", || loads() == 2);
    httpd.open_gate("loaded");
    worker(&httpd, "slow");
}
