// SPDX-License-Identifier: Apache-2.0
//! The real supervisor with workers that only speak the control protocol: copies of this program, called `python`. One thread
//! only, because descriptors are handed on under their numbers; hence without the test harness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "test code")]

#[path = "supervising/bench.rs"]
mod bench;
#[path = "supervising/board.rs"]
mod board;
#[path = "supervising/logs.rs"]
mod logs;
#[path = "supervising/old.rs"]
mod old;
#[path = "supervising/pretender.rs"]
mod pretender;
#[path = "supervising/replacement.rs"]
mod replacement;

use bench::{Bench, has_ended, is_root, skip, until};
use model::launch::control;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A test and its name.
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
        ("a_worker_starts_in_another_root", a_worker_starts_in_another_root),
        ("a_worker_that_breaks_the_protocol_is_killed", a_worker_that_breaks_the_protocol_is_killed),
        ("a_limit_is_named_as_the_likely_cause", a_limit_is_named_as_the_likely_cause),
        (
            "a_worker_that_is_not_ready_in_time_is_killed_with_its_group",
            a_worker_that_is_not_ready_in_time_is_killed_with_its_group,
        ),
        ("settings_that_are_too_long_are_said", settings_that_are_too_long_are_said),
        (
            "an_option_that_cannot_be_applied_does_not_keep_a_worker_from_starting",
            an_option_that_cannot_be_applied_does_not_keep_a_worker_from_starting,
        ),
        ("a_killed_supervisor_leaves_nobody", a_killed_supervisor_leaves_nobody),
        ("a_plan_of_another_build_is_refused", a_plan_of_another_build_is_refused),
        ("a_descriptor_that_is_not_open_is_an_error", a_descriptor_that_is_not_open_is_an_error),
    ];
    for (name, test) in tests.iter().chain(board::TESTS).chain(logs::TESTS).chain(replacement::TESTS).chain(old::TESTS)
    {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
    bench::tidy();
}

fn workers_become_ready_and_end_with_httpd() {
    let mut bench = Bench::new();
    bench.group_of(2, "one", "serve");
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
    assert_eq!(run.log().matches("it ended by itself with status 0").count(), 3, "{}", run.log());
}

fn a_stop_and_a_signal_end_the_workers_too() {
    for way in ["stop", "TERM", "INT"] {
        let mut bench = Bench::new();
        bench.group("one", "serve");
        let mut run = bench.start();
        let workers = run.ready(1);
        for ignored in ["USR2", "WINCH"] {
            run.signal(ignored);
        }
        if way == "stop" {
            run.say(b'S');
        } else {
            run.signal(way);
        }
        // httpd starts another one after a signal that is not its own.
        assert_eq!(run.status(), Some(i32::from(way != "stop")), "{way}");
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
        "WSGIRS0411: process group 'home', declared at test:1: worker could not be started: home '/no/such/home' cannot be \
         entered: No such file",
        "let the group's user enter it, or correct home",
        "process group 'python', declared at test:1: worker could not be started: '/no/such/python': No such file",
        "create a virtual environment there, or correct python-home or WSGIPythonHome",
        "process group 'format', declared at test:1: worker could not be started:",
        "before it was ready; the next one starts in 500ms",
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
    run.sees("WSGIRS0412: process group 'one': worker cannot work: there is no application", 4);
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
    run.sees("WSGIRS0410: process group 'one': worker ended unexpectedly: it was ended by SIGABRT", 1);
    run.sees("; the next one starts now", 1);
    let second = run.ready(2)[1];
    assert_ne!(first, second);
    bench::kill(second, "KILL");
    run.sees("; the next one starts now", 2);
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
    run.sees("WSGIRS0415: process group 'one': worker did not end within 300ms and is killed (shutdown-timeout)", 1);
    run.sees("it was to end, did not in time, and was killed", 1);
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
    run.sees("process group 'one', declared at test:1: worker could not be started: '/inside' cannot be started: Exec format error", 1);
    run.sees(
        "process group 'two', declared at test:1: worker could not be started: chroot '/no/such/root': No such file",
        1,
    );
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_breaks_the_protocol_is_killed() {
    let mut bench = Bench::new();
    bench.group("one", "stranger");
    bench.group("two", "hasty");
    let mut run = bench.start();
    let broken = |group| format!("WSGIRS0414: process group '{group}': worker does not keep to the protocol: ");
    run.sees(&format!("{}it is build 'another'", broken("one")), 1);
    run.sees(&format!("{}message 3 is out of turn", broken("two")), 1);
    run.sees("it did not keep to the protocol and was killed", 2);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_limit_is_named_as_the_likely_cause() {
    let mut bench = Bench::new();
    bench.group("one", "burn").process.cpu_time_limit = 1;
    let mut run = bench.start();
    run.sees("worker ended unexpectedly: it used up its limit on processor time (cpu-time-limit)", 1);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn a_worker_that_is_not_ready_in_time_is_killed_with_its_group() {
    let mut bench = Bench::new();
    let group = bench.group("one", "slow");
    (group.startup_timeout, group.shutdown_timeout) = (2000, 100);
    let mut run = bench.start();
    run.sees("WSGIRS0416: process group 'one': worker was not ready within 2s and is killed (startup-timeout)", 1);
    run.sees("] process group 'one': child ", 1);
    let log = run.log();
    let child = log.split("process group 'one': child ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    until("the end of its child", || has_ended(child));
    run.sees("it was not ready in time and was killed", 1);
    assert!(run.group(0).failure().unwrap().contains("was not ready within 2s (startup-timeout)"));
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn settings_that_are_too_long_are_said() {
    let mut bench = Bench::new();
    bench.group("one", "serve").worker.title = "x".repeat(control::LONGEST);
    let mut run = bench.start();
    run.sees("WSGIRS0418: process group 'one': worker cannot be given its settings: they are ", 2);
    assert!(run.group(0).failure().unwrap().contains("its settings: they are "));
    run.sees("it was ended by SIGKILL", 1);
    run.say(b'S');
    assert_eq!(run.status(), Some(0));
}

fn an_option_that_cannot_be_applied_does_not_keep_a_worker_from_starting() {
    let mut bench = Bench::new();
    bench.group("one", "serve").process.cpu_priority = -5;
    if is_root() {
        bench.prefix = "setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice";
    }
    let mut run = bench.start();
    run.ready(1);
    run.sees("WSGIRS0413: process group 'one': worker starts, but: cpu-priority: ", 1);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn a_killed_supervisor_leaves_nobody() {
    let mut bench = Bench::new();
    bench.group_of(2, "one", "serve");
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
    bench.group("one", "serve").listeners = vec![999];
    let mut run = bench.start_unanswered();
    assert_eq!(run.status(), Some(1));
    run.sees("[wsgi:crit]", 1);
    run.sees("WSGIRS0420: the supervisor of the process groups cannot work: ", 1);
    run.sees("descriptor 999: Bad file descriptor", 1);
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
