// SPDX-License-Identifier: Apache-2.0
//! Which lines reach which log.

use crate::Test;
use crate::bench::{Bench, has_ended, until};
use model::event::Level;
use std::fs;

pub const TESTS: &[Test] = &[
    ("lines_reach_the_log_and_a_flood_does_not", lines_reach_the_log_and_a_flood_does_not),
    ("a_log_that_nobody_reads_holds_up_nobody", a_log_that_nobody_reads_holds_up_nobody),
    ("a_full_log_of_one_group_holds_up_no_other", a_full_log_of_one_group_holds_up_no_other),
    ("each_group_has_the_log_of_its_server", each_group_has_the_log_of_its_server),
    ("a_log_that_cannot_be_used_is_said_in_the_main_one", a_log_that_cannot_be_used_is_said_in_the_main_one),
    ("the_default_level_is_quiet", the_default_level_is_quiet),
];

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
    run.sees("WSGIRS0417: process group 'flood': ", 1);
    run.sees("lines were dropped, there were too many", 1);
    let lines = run.log().lines().filter(|line| line.ends_with("drip")).count();
    assert!((1000..20_000).contains(&lines), "{lines}");
    assert!(!has_ended(flooder));
    run.release();
    assert_eq!(run.status(), Some(0));
    run.sees("process group 'talk': last words without an end", 1);
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

fn a_full_log_of_one_group_holds_up_no_other() {
    let mut bench = Bench::new();
    let pipe = bench.pipe();
    bench.group("flood", "flood").log = Some(pipe);
    bench.group("quit", "quit");
    let mut run = bench.start();
    run.pid_of("quit", "worker is ready");
    // Nobody reads the pipe, so at some point it takes no more.
    until("a full pipe", || bench.is_full(pipe));
    for count in 1..=3 {
        bench.poke("quit", 0);
        run.sees("process group 'quit': worker ended unexpectedly: it ended by itself with status 7", count);
        run.ready(count + 1);
    }
    run.sees("process group 'flood'", 0);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn each_group_has_the_log_of_its_server() {
    let mut bench = Bench::new();
    let ((one, first), (other, second)) = (bench.file("one.log"), bench.file("other.log"));
    bench.group("talk", "talk").log = Some(one);
    let group = bench.group("fail", "fail");
    (group.log, group.log_level) = (Some(other), Level::Error);
    bench.group("shared", "serve").log = Some(one);
    bench.group("main", "serve");
    let mut run = bench.start();
    let read = |path: &std::path::Path| fs::read_to_string(path).unwrap();
    until("lines in each log", || {
        let (first, second) = (read(&first), read(&second));
        ["'talk': by message", "'shared': worker is ready"].iter().all(|text| first.contains(text))
            && second.contains("'fail': worker cannot work")
    });
    run.sees("process group 'main': worker is ready", 1);
    run.release();
    assert_eq!(run.status(), Some(0));
    let groups = |text: &str| {
        let names = text.lines().filter_map(|line| line.split("process group '").nth(1)?.split('\'').next());
        let names: std::collections::BTreeSet<_> = names.map(str::to_owned).collect();
        names.into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((groups(&read(&first)), groups(&read(&second))), ("shared talk".to_owned(), "fail".to_owned()));
    assert_eq!(groups(&run.log()), "main");
    assert!(read(&second).lines().all(|line| line.contains("[wsgi:error]")), "{}", read(&second));
    assert!(run.log().contains("supervisor of generation 0 starts 4 workers"), "{}", run.log());
}

fn a_log_that_cannot_be_used_is_said_in_the_main_one() {
    let mut bench = Bench::new();
    bench.group("one", "talk").log = Some(999);
    let mut run = bench.start();
    run.sees("WSGIRS0419: process group 'one': its error log cannot be used, httpd's main one is: Bad file", 1);
    run.sees("process group 'one': by message", 1);
    run.release();
    assert_eq!(run.status(), Some(0));
}

fn the_default_level_is_quiet() {
    let mut bench = Bench::new();
    bench.level = None;
    bench.group("one", "talk").log_level = Level::Notice;
    let mut run = bench.start();
    run.sees("by message", 1);
    assert!(!run.log().contains("worker starts") && !run.log().contains("supervisor of"), "{}", run.log());
    run.release();
    assert_eq!(run.status(), Some(0));
}
