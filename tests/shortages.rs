// SPDX-License-Identifier: Apache-2.0
//! When something runs out for one group (descriptors, memory, room for its log, processes), the other groups answer all along,
//! and the group answers again as soon as the shortage is over, without anybody's help.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

#[path = "seeds/accounts.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod accounts;
#[path = "shortages/logs.rs"]
mod logs;
#[path = "shortages/memory.rs"]
mod memory;

use accounts::Accounts;
use harness::load::{Client, Kind, Load, Way};
use harness::site::is_root;
use harness::{End, Httpd, Mode, Response, Site, census, event, server, skip, wait};
use std::process::Command;
use std::time::{Duration, Instant};

/// User and group of an account.
fn account(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))?;
    let mut fields = line.split(':').skip(1).map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

/// Two groups: `short`, with these options, will lack something, and `other` must not notice.
fn site(options: &str) -> Site {
    let group = |name: &str, options: &str| {
        format!(
            "WSGIDaemonProcess {name} threads=3 python-path=@APPS@ {options}\n\
             WSGIScriptAlias /{name} \"@APPS@/greedy.py\" process-group={name} application-group=%{{GLOBAL}}"
        )
    };
    Site::new(Mode::Embedded)
        .app("greedy.py")
        .config(&group("short", options))
        .config(&group("other", ""))
        .config("Timeout 5\nMaxKeepAliveRequests 0")
        .workers(1, 32)
}

/// Asks the other group all along while `action` runs: each request is answered, by the same process, and soon.
fn while_others_answer(httpd: &Httpd, action: impl FnOnce()) {
    let pid = httpd.get("/other").expect(200).text();
    let check = |_: &str, status: u16, body: &[u8]| match status == 200 && body == pid.as_bytes() {
        true => Ok(()),
        false => Err(format!("status {status}, {:?}", String::from_utf8_lossy(body))),
    };
    let client = |way| Client { way, kinds: vec![Kind { name: "other", share: 100, target: "/other/".to_owned() }] };
    let all = [client(Way::Close), client(Way::Keep)];
    let tally = Load::run(httpd.port(), &all, wait::PATIENCE, &check, |load| {
        load.proceed(5);
        action();
        load.proceed(5);
    });
    println!("{tally}");
    assert!(tally.losses.is_empty(), "{:?}", tally.losses);
    let longest = tally.right["other"].1;
    assert!(longest < Duration::from_secs(3), "the other group was held up for {longest:?}");
}

/// Waits until the group answers again.
fn recover(httpd: &Httpd) -> u32 {
    let begun = Instant::now();
    let pid = wait::until("the group to answer again", || {
        let answer = httpd.get("/short");
        if answer.status == 200 { answer.text().parse().ok() } else { None }
    });
    println!("answers again after {:?}", begun.elapsed());
    pid
}

fn pid(httpd: &Httpd, group: &str) -> u32 {
    httpd.get(&format!("/{group}")).expect(200).text().parse().expect("a number")
}

/// Sets a soft limit of a process, and gives what it was.
fn limit(pid: u32, what: &str, soft: &str) -> String {
    let pid = pid.to_string();
    let columns = ["--noheadings", "--raw", "--output", "SOFT"];
    let told = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--{what}")])
        .args(columns)
        .output()
        .expect("prlimit runs");
    let set =
        Command::new("prlimit").args(["--pid", &pid, &format!("--{what}={soft}:")]).status().expect("prlimit runs");
    assert!(told.status.success() && set.success());
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

fn highest_descriptor(pid: u32) -> u32 {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max().expect("a descriptor")
}

/// An answer of a group in need: whole, and either what was asked for or an error that is the server's.
fn is_honest(answer: &Response) -> bool {
    answer.end == End::Complete && matches!(answer.status, 200 | 500 | 502..=504)
}

/// Processor time that a process has used, in hundredths of a second.
fn processor_time(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[test]
fn a_worker_out_of_descriptors_answers_again_when_it_has_some() {
    let httpd = site("").start();
    httpd.tolerate(event::GROUP_OVERDUE).tolerate(event::WORKER_LOST);
    let worker = pid(&httpd, "short");
    while_others_answer(&httpd, || {
        let taken = httpd.get("/short/take/descriptors");
        assert!(taken.expect(200).text().ends_with("errno 24"), "{}", taken.text());
        let (used, begun) = (processor_time(worker), Instant::now());
        let during: Vec<Response> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..6).map(|_| scope.spawn(|| httpd.get("/short"))).collect();
            asked.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        let (used, took) = (processor_time(worker) - used, begun.elapsed());
        println!("meanwhile {:?} in {took:?}", during.iter().map(|one| one.status).collect::<Vec<_>>());
        assert!(during.iter().all(is_honest), "{during:?}");
        // It does not try again and again.
        assert!(used < 50, "{used} hundredths of a second in {took:?}");
    });
    assert_eq!(recover(&httpd), worker);
}

#[test]
fn a_supervisor_out_of_descriptors_starts_workers_when_it_has_some() {
    if !is_root() {
        return skip::skipped("only root can limit a process that runs");
    }
    let httpd = site("").start();
    httpd.expect(event::WORKER_ENDED).expect(event::WORKER_UNSTARTABLE).tolerate(event::GROUP_UNAVAILABLE);
    let worker = pid(&httpd, "short");
    let supervisor = census::parent(worker).expect("a supervisor");
    while_others_answer(&httpd, || {
        let before = limit(supervisor, "nofile", &(highest_descriptor(supervisor) + 1).to_string());
        server::send_signal(worker, "KILL");
        wait::until_true("a worker that cannot be started", || httpd.count(event::WORKER_UNSTARTABLE) > 0);
        let answer = httpd.get("/short");
        assert!(is_honest(&answer), "{answer:?}");
        assert!(census::is_running(supervisor));
        limit(supervisor, "nofile", &before);
    });
    recover(&httpd);
    assert_eq!(census::parent(pid(&httpd, "short")), Some(supervisor), "the same supervisor");
}

#[test]
fn a_user_who_may_have_no_more_processes_gets_workers_when_he_may() {
    let Some(accounts) = Accounts::make() else { return };
    let httpd = site(&accounts.options("bob")).start();
    httpd.expect(event::WORKER_ENDED);
    for number in [event::WORKER_UNSTARTABLE, event::WORKER_UNFIT, event::GROUP_UNAVAILABLE, event::WORKER_LOST] {
        httpd.tolerate(number);
    }
    let worker = pid(&httpd, "short");
    let supervisor = census::parent(worker).expect("a supervisor");
    while_others_answer(&httpd, || {
        // A process that runs cannot have another one, and that is all.
        assert_eq!(httpd.get("/short/take/process").expect(200).text(), "errno 11");
        assert_eq!(httpd.get("/short/take/fork").expect(200).text(), "a process");
        // A new one does not get its threads.
        let before = limit(supervisor, "nproc", "2");
        server::send_signal(worker, "KILL");
        let troubles = || {
            httpd.count(event::WORKER_UNSTARTABLE) + httpd.count(event::WORKER_UNFIT) + httpd.count(event::WORKER_ENDED)
        };
        wait::until_true("a worker that cannot work", || troubles() > 1);
        let answer = httpd.get("/short");
        assert!(is_honest(&answer) && answer.status != 200, "{answer:?}");
        limit(supervisor, "nproc", &before);
    });
    recover(&httpd);
}
