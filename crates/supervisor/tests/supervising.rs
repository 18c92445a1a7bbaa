// SPDX-License-Identifier: Apache-2.0
//! The real supervisor with workers that only speak the control protocol: copies of this program, called `python`. One thread
//! only, because descriptors are handed on under their numbers; hence without the test harness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "test code")]

#[path = "supervising/bench.rs"]
mod bench;
#[path = "supervising/pretender.rs"]
mod pretender;

use bench::{Bench, has_ended, is_root, skip, until};
use model::event::Level;
use model::launch::control;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

type Test = (&'static str, fn());

fn main() {
    if std::env::args().next().is_some_and(|name| name.ends_with("/python")) {
        return pretender::main();
    }
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let tests: &[Test] = &[
        ("workers_become_ready_and_end_with_httpd", workers_become_ready_and_end_with_httpd),
        ("a_stop_and_a_signal_end_the_workers_too", a_stop_and_a_signal_end_the_workers_too),
        ("a_worker_is_who_it_should_be", a_worker_is_who_it_should_be),
        ("a_worker_has_no_descriptor_but_its_own", a_worker_has_no_descriptor_but_its_own),
        ("a_worker_gets_limits_mask_directory_and_variables", a_worker_gets_limits_mask_directory_and_variables),
        ("what_keeps_a_worker_from_starting_is_said", what_keeps_a_worker_from_starting_is_said),
        ("a_worker_that_fails_is_tried_again_later_and_later", a_worker_that_fails_is_tried_again_later_and_later),
        ("a_worker_that_dies_is_replaced", a_worker_that_dies_is_replaced),
        ("a_worker_that_stays_is_killed_with_its_group", a_worker_that_stays_is_killed_with_its_group),
        (
            "what_a_dead_worker_left_behind_ends_with_the_supervisor",
            what_a_dead_worker_left_behind_ends_with_the_supervisor,
        ),
        ("a_worker_that_never_spoke_does_not_hold_up_the_end", a_worker_that_never_spoke_does_not_hold_up_the_end),
        ("a_log_that_nobody_reads_holds_up_nobody", a_log_that_nobody_reads_holds_up_nobody),
        ("a_worker_starts_in_another_root", a_worker_starts_in_another_root),
        ("a_worker_that_breaks_the_protocol_is_killed", a_worker_that_breaks_the_protocol_is_killed),
        ("a_limit_is_named_as_the_likely_cause", a_limit_is_named_as_the_likely_cause),
        ("lines_reach_the_log_and_a_flood_does_not", lines_reach_the_log_and_a_flood_does_not),
        ("a_killed_supervisor_leaves_nobody", a_killed_supervisor_leaves_nobody),
        ("a_plan_of_another_build_is_refused", a_plan_of_another_build_is_refused),
        ("a_descriptor_that_is_not_open_is_an_error", a_descriptor_that_is_not_open_is_an_error),
        ("the_default_level_is_quiet", the_default_level_is_quiet),
    ];
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
    bench::tidy();
}

fn workers_become_ready_and_end_with_httpd() {
    let mut bench = Bench::new();
    bench.group("one", "serve").processes = 2;
    bench.group("two", "serve");
    let mut run = bench.start();
    let workers = run.ready(3);
    assert!(run.log().contains("process group 'two': worker is ready"), "{}", run.log());
    for pid in &workers {
        assert_eq!(nix_group(*pid), *pid, "each leads a process group");
        // The worker says what it was given: its own group's settings, and a listener.
        let told = run.line_of(*pid, "told ");
        assert!(
            told.contains("listener=socket:") && (told.contains("group=one") || told.contains("group=two")),
            "{told}"
        );
    }
    run.release();
    assert_eq!(run.status(), Some(0));
    assert!(workers.iter().all(|pid| has_ended(*pid)));
    assert_eq!(run.log().matches("ended with status 0").count(), 3, "{}", run.log());
}

fn a_stop_and_a_signal_end_the_workers_too() {
    for way in ["stop", "SIGTERM"] {
        let mut bench = Bench::new();
        bench.group("one", "serve");
        let mut run = bench.start();
        let workers = run.ready(1);
        for ignored in ["HUP", "USR1", "INT", "WINCH"] {
            run.signal(ignored);
        }
        if way == "stop" {
            run.say(b'S');
        } else {
            run.signal("TERM");
        }
        assert_eq!(run.status(), Some(0), "{way}");
        assert!(workers.iter().all(|pid| has_ended(*pid)));
    }
}

fn a_worker_is_who_it_should_be() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let mut bench = Bench::new();
    bench.privileged = true;
    bench.group("one", "serve").identity = bench::nobody();
    let mut run = bench.start();
    let pid = run.ready(1)[0];
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((line("Uid:"), line("Gid:")), ("65534 65534 65534 65534".into(), "65533 65533 65533 65533".into()));
    assert_eq!(line("Groups:"), "65532 65534");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&line(set), 16), Ok(0), "{set}");
    }
    // Two numbers belong to the C library, which does not let anybody touch them; SIGPIPE is ignored by Rust.
    let signals = |name: &str| u64::from_str_radix(&line(name), 16).unwrap() & !(3 << 31);
    assert_eq!((signals("SigBlk:"), signals("SigIgn:")), (0, 1 << 12));
    assert!(run.line_of(pid, "stderr ").contains("stderr opens"), "{}", run.log());
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let home = unix::spawn::account(65534).unwrap().home;
    assert!(environment.split('\0').any(|variable| variable == format!("HOME={}", home.display())), "{environment}");
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert!(directory == home || directory == Path::new("/"), "{directory:?}");
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_worker_has_no_descriptor_but_its_own() {
    let mut bench = Bench::new();
    bench.group("one", "wait");
    let mut run = bench.start();
    let pid = run.pids("worker starts", 1)[0];
    let folder = format!("/proc/{pid}/fd");
    until("a silent worker", || {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.contains("wait"))
    });
    let mut found: Vec<i32> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, control::SOCKET, control::RUNTIME]);
    let leads = |number: i32| fs::read_link(format!("{folder}/{number}")).unwrap().to_str().unwrap().to_owned();
    assert_eq!((leads(0), leads(4)), ("/dev/null".to_owned(), bench::runtime().display().to_string()));
    assert!(leads(1).starts_with("pipe:") && leads(1) == leads(2) && leads(3).starts_with("socket:"));
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_worker_gets_limits_mask_directory_and_variables() {
    let mut bench = Bench::new();
    let home = bench.folder.join("home");
    fs::create_dir(&home).unwrap();
    let group = bench.group("one", "serve");
    group.shutdown_timeout = 1500;
    group.process.umask = Some(0o027);
    group.process.home = Some(home.to_str().unwrap().to_owned());
    group.process.environment = vec![("LANG".into(), "xx_YY".into()), ("PYTHONHASHSEED".into(), "7".into())];
    group.process.cpu_priority = 3;
    group.process.cpu_time_limit = 100;
    group.process.memory_limit = 1 << 30;
    group.process.virtual_memory_limit = 1 << 34;
    group.process.no_new_privileges = true;
    let before = nice_of(std::process::id());
    let mut run = bench.start();
    let pid = run.ready(1)[0];
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limit("Max cpu time"), ["100", "103"]);
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let files = |limits: &str| limits.lines().find(|line| line.starts_with("Max open files")).map(str::to_owned);
    assert_eq!(files(&limits), files(&own), "the supervisor raises its own only");
    assert_eq!(limit("Max data size"), ["1073741824", "1073741824"]);
    assert_eq!(limit("Max address space"), ["17179869184", "17179869184"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Umask:\t0027") && status.contains("NoNewPrivs:\t1"), "{status}");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), home);
    assert_eq!(nice_of(u32::try_from(pid).unwrap()), (before + 3).min(19));
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let variables: Vec<_> = environment.split('\0').collect();
    for wanted in ["LANG=xx_YY", "PYTHONHASHSEED=7"] {
        assert!(variables.contains(&wanted), "{variables:?}");
    }
    assert!(variables.iter().any(|variable| variable.starts_with("PATH=")), "httpd's own are kept");
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let words: Vec<_> = line.split('\0').collect();
    assert!(words[0].ends_with("/bin/python") && words[1..3] == ["serve", "-c"], "{words:?}");
    assert_eq!(words[3], model::launch::BOOTSTRAP);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn what_keeps_a_worker_from_starting_is_said() {
    let mut bench = Bench::new();
    bench.group("home", "serve").process.home = Some("/no/such/home".into());
    bench.group("python", "serve").python = "/no/such/python".into();
    let script = bench.folder.join("script");
    fs::write(&script, "no program").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    bench.group("format", "serve").python = script.to_str().unwrap().to_owned();
    bench.group("fine", "serve");
    let mut run = bench.start();
    run.ready(1);
    for text in [
        "process group 'home': worker could not be started: home '/no/such/home' cannot be entered: No such file",
        "process group 'python': worker could not be started: '/no/such/python': No such file",
        "process group 'format': worker could not be started:",
        "process group 'home': worker ended with status 1 before it was ready; the next one starts in 500ms",
    ] {
        run.sees(text, 1);
    }
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_fails_is_tried_again_later_and_later() {
    let mut bench = Bench::new();
    bench.group("one", "fail");
    let begun = Instant::now();
    let mut run = bench.start();
    run.sees("worker cannot work: there is no application", 4);
    assert!(begun.elapsed() >= Duration::from_millis(250 + 500 + 1000), "{:?}", begun.elapsed());
    for delay in ["in 250ms", "in 500ms", "in 1s"] {
        run.sees(delay, 1);
    }
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_dies_is_replaced() {
    let mut bench = Bench::new();
    bench.group("one", "serve");
    let mut run = bench.start();
    let first = run.ready(1)[0];
    bench::kill(first, "ABRT");
    run.sees("worker was ended by SIGABRT; the next one starts in 250ms", 1);
    let second = run.ready(2)[1];
    assert_ne!(first, second);
    bench::kill(second, "KILL");
    run.sees("worker was ended by SIGKILL, perhaps because memory ran out; the next one starts in 500ms", 1);
    let third = run.ready(3)[2];
    run.release();
    assert_eq!(run.status(), Some(0));
    assert!(has_ended(third));
}

fn a_worker_that_stays_is_killed_with_its_group() {
    let mut bench = Bench::new();
    bench.group("one", "stay").shutdown_timeout = 300;
    let mut run = bench.start();
    let pid = run.ready(1)[0];
    let child: i32 = run.line_of(pid, "child ").rsplit(' ').next().unwrap().parse().unwrap();
    let begun = Instant::now();
    run.release();
    assert_eq!(run.status(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(has_ended(pid) && has_ended(child));
    run.sees("worker did not end in time and is killed", 1);
    run.sees("was ended by SIGKILL by the supervisor", 1);
}

fn what_a_dead_worker_left_behind_ends_with_the_supervisor() {
    let mut bench = Bench::new();
    bench.group("one", "stay").shutdown_timeout = 100;
    let mut run = bench.start();
    let pid = run.ready(1)[0];
    let child: i32 = run.line_of(pid, "child ").rsplit(' ').next().unwrap().parse().unwrap();
    bench::kill(pid, "KILL");
    run.ready(2);
    assert!(!has_ended(child), "an application's own processes outlive its worker");
    run.release();
    assert_eq!(run.status(), Some(0));
    assert!(has_ended(child));
}

fn a_worker_that_never_spoke_does_not_hold_up_the_end() {
    let mut bench = Bench::new();
    bench.group("one", "deaf").shutdown_timeout = 0;
    let mut run = bench.start();
    let pid = run.pids("worker starts", 1)[0];
    run.release();
    assert_eq!(run.status(), Some(0));
    assert!(has_ended(pid) && !run.log().contains("[wsgi:warn]"), "{}", run.log());
}

fn a_log_that_nobody_reads_holds_up_nobody() {
    let mut bench = Bench::new();
    bench.group("flood", "flood");
    bench.group("beat", "beat");
    let (log, writer) = unix::program::pipe().unwrap();
    bench.stderr = Some(writer);
    let mut run = bench.start();
    // The other worker goes on dying and being replaced while the pipe is full.
    let beats = bench.folder.join("log.beats");
    until("workers that come and go", || fs::read_to_string(&beats).unwrap_or_default().len() >= 3);
    run.release();
    assert_eq!(run.status(), Some(0));
    drop(log);
}

fn a_worker_starts_in_another_root() {
    if !is_root() {
        return skip("only root can change the root");
    }
    let mut bench = Bench::new();
    let script = bench.folder.join("inside");
    fs::write(&script, "no program").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let root = bench.folder.to_str().unwrap().to_owned();
    // The runtime files are there as well, or the worker would not come as far as to the program.
    let files = bench.folder.join(bench::runtime().strip_prefix("/").unwrap());
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("_mod_wsgi_rs.abi3.so"), "").unwrap();
    let group = bench.group("one", "serve");
    group.process.chroot = Some(root);
    group.python = "/inside".to_owned();
    bench.group("two", "serve").process.chroot = Some("/no/such/root".to_owned());
    let mut run = bench.start();
    run.sees("process group 'one': worker could not be started: '/inside' cannot be started: Exec format error", 1);
    run.sees("process group 'two': worker could not be started: chroot '/no/such/root': No such file", 1);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_breaks_the_protocol_is_killed() {
    let mut bench = Bench::new();
    bench.group("one", "stranger");
    bench.group("two", "hasty");
    let mut run = bench.start();
    run.sees("process group 'one': worker does not keep to the protocol: it is build 'another'", 1);
    run.sees("process group 'two': worker does not keep to the protocol: message 3 is out of turn", 1);
    run.sees("was ended by SIGKILL by the supervisor before it was ready", 2);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_limit_is_named_as_the_likely_cause() {
    let mut bench = Bench::new();
    bench.group("one", "burn").process.cpu_time_limit = 1;
    let mut run = bench.start();
    run.sees("worker was ended by SIGXCPU, most likely because of its limit on processor time", 1);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn lines_reach_the_log_and_a_flood_does_not() {
    let mut bench = Bench::new();
    bench.group("talk", "talk");
    bench.group("flood", "flood");
    let mut run = bench.start();
    let talker = run.pid_of("talk", "worker is ready");
    for (text, level) in [("on stdout", "error"), ("on stderr", "error"), ("by message", "notice")] {
        let line = run.line_of(talker, text);
        let middle = format!("[wsgi:{level}] [pid {talker}] process group 'talk': ");
        assert!(line.starts_with('[') && line.contains(&middle) && line.ends_with(text), "{line}");
    }
    assert!(run.line_of(talker, "escape").ends_with("\\x1b[31m escape"), "{}", run.log());
    assert_eq!(run.line_of(talker, "yyyy").matches('y').count(), 8192);
    run.sees("process group 'talk': last words without an end", 0);
    let flooder = run.pid_of("flood", "worker is ready");
    run.sees("lines were dropped, there were too many", 1);
    let lines = run.log().lines().filter(|line| line.ends_with("drip")).count();
    assert!((1000..20_000).contains(&lines), "{lines}");
    assert!(!has_ended(flooder));
    run.release();
    assert_eq!(run.status(), Some(0));
    run.sees("process group 'talk': last words without an end", 1);
}

fn a_killed_supervisor_leaves_nobody() {
    let mut bench = Bench::new();
    bench.group("one", "serve").processes = 2;
    let mut run = bench.start();
    let workers = run.ready(2);
    run.signal("KILL");
    assert_eq!(run.status(), None);
    until("the workers' end", || workers.iter().all(|pid| has_ended(*pid)));
}

fn a_plan_of_another_build_is_refused() {
    let mut bench = Bench::new();
    bench.build = "another".to_owned();
    bench.group("one", "serve");
    let mut run = bench.start_unanswered();
    assert_eq!(run.status(), Some(1));
    assert_eq!(run.log().lines().count(), 1, "{}", run.log());
    run.sees("httpd's module is build 'another'", 1);
}

fn a_descriptor_that_is_not_open_is_an_error() {
    let mut bench = Bench::new();
    bench.group("one", "serve").listener = 999;
    let mut run = bench.start_unanswered();
    assert_eq!(run.status(), Some(1));
    run.sees("[wsgi:crit]", 1);
    run.sees("descriptor 999: Bad file descriptor", 1);
}

fn the_default_level_is_quiet() {
    let mut bench = Bench::new();
    bench.level = None;
    bench.group("one", "talk");
    let mut run = bench.start();
    run.sees("by message", 1);
    assert!(!run.log().contains("worker starts"), "{}", run.log());
    bench.level = Some(Level::Debug);
    run.release();
    assert_eq!(run.status(), Some(0));
}

/// The process group of a process.
fn nix_group(pid: i32) -> i32 {
    field(u32::try_from(pid).unwrap(), 2)
}

fn nice_of(pid: u32) -> i32 {
    field(pid, 16)
}

/// A field of `/proc/N/stat`, counted from the state.
fn field(pid: u32, number: usize) -> i32 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit(") ").next().unwrap().split(' ').nth(number).unwrap().parse().unwrap()
}
