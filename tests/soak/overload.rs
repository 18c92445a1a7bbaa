// SPDX-License-Identifier: Apache-2.0
//! Ten times more requests than a group can answer: it answers as many as it can, and the others are told in time.

use crate::{either, hold, is_long, is_peer, site};
use harness::{End, event};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Eight threads, 200 ms each: 40 requests in a second.
const THREADS: usize = 8;
const CAPACITY: usize = 40;

/// The status of an answer, whether it has Retry-After, and how long it took.
type Answer = (u16, bool, Duration);

/// Sends so many requests in a second for a while, however the answers come.
fn flood(port: u16, rate: usize, seconds: usize) -> Vec<Answer> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    thread::scope(|scope| {
        // As many clients as there can be requests that wait, are served, and are being refused.
        for _ in 0..220 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= rate * seconds {
                        return;
                    }
                    let due = Duration::from_secs(1) * u32::try_from(number).unwrap() / u32::try_from(rate).unwrap();
                    thread::sleep((begun + due).saturating_duration_since(Instant::now()));
                    let sent = Instant::now();
                    let request = harness::Request::new(port, "GET", "/slow/200/x").header("Connection", "close");
                    let answer = request.send();
                    let status = if answer.end == End::Complete { answer.status } else { 0 };
                    let advised = answer.header("Retry-After").is_some();
                    answers.lock().unwrap().push((status, advised, sent.elapsed()));
                }
            });
        }
    });
    answers.into_inner().unwrap()
}

/// The time that all but one in a hundred stay below.
fn percentile_99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

#[test]
fn a_group_under_ten_times_its_load_answers_what_it_can_and_refuses_the_rest_in_time() {
    let seconds = either(5, 60);
    let group =
        format!("WSGIDaemonProcess one threads={THREADS} queue-timeout=2 listen-backlog=100 python-path=@APPS@");
    let httpd = site()
        .app("mixed.py")
        .config(&format!("{group}\nWSGIProcessGroup one"))
        .config("WSGIScriptAlias /slow \"@APPS@/mixed.py\" application-group=%{GLOBAL}")
        .workers(2, 128)
        .start();
    httpd.expect(event::GROUP_BUSY);
    httpd.get("/slow/0/x").expect(200);
    let begun = Instant::now();
    let answers = flood(httpd.port(), 10 * CAPACITY, seconds);
    let elapsed = begun.elapsed();
    let served = answers.iter().filter(|(status, ..)| *status == 200).count();
    let refused: Vec<_> = answers.iter().filter(|(status, ..)| *status == 503).collect();
    let at_once: Vec<_> = refused.iter().map(|one| one.2).filter(|time| *time < Duration::from_secs(1)).collect();
    // What is served in the end waits for 2 s at the most, and is then worked on.
    let longest_wait =
        |status: u16| answers.iter().filter(|one| one.0 == status).map(|one| one.2).max().unwrap_or_default();
    let goodput = served as f64 / (CAPACITY as f64 * elapsed.as_secs_f64());
    let refusal = percentile_99(at_once.clone());
    println!(
        "{} requests in {elapsed:?}: {served} served ({:.0} % of what is possible), {} refused, {} of them at once, \
         99 % of these within {refusal:?}; the longest wait {:?}, the longest for an answer {:?}",
        answers.len(),
        goodput * 100.0,
        refused.len(),
        at_once.len(),
        longest_wait(503),
        longest_wait(200)
    );
    let mut problems: Vec<String> = Vec::new();
    let strange =
        answers.iter().filter(|(status, advised, _)| !matches!((status, advised), (200, false) | (503, true)));
    problems.extend(strange.map(|one| format!("{one:?}")));
    // In the short form others may keep the machine busy.
    let slack = Duration::from_millis(if is_long() { 0 } else { 900 });
    if longest_wait(503) > Duration::from_millis(2100) + slack {
        problems.push(format!("refused after {:?}", longest_wait(503)));
    }
    if longest_wait(200) > Duration::from_millis(2300) + slack {
        problems.push(format!("served after {:?}", longest_wait(200)));
    }
    if is_long() && (goodput < 0.9 || refusal > Duration::from_millis(50)) {
        problems.push(format!("goodput {goodput}, refusals within {refusal:?}"));
    }
    if served < CAPACITY || at_once.is_empty() {
        problems.push(format!("{served} served, {} refused at once", at_once.len()));
    }
    hold("overload", &problems);
    if !is_peer() {
        httpd.get("/slow/0/x").expect(200);
    }
}
