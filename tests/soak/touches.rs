// SPDX-License-Identifier: Apache-2.0
//! Scripts that change under load: none of the requests is lost, and none that is sent after a change is answered by what was
//! there before.

use crate::{clients, either, hold, is_peer, site, workers};
use harness::load::{Load, Way};
use harness::{Httpd, event, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// Answers its version and its process, after the milliseconds that the path begins with.
const SCRIPT: &str = "import os, time

VERSION = @VERSION@


def application(environ, start_response):
    time.sleep(int(environ['PATH_INFO'].split('/')[1]) / 1000)
    start_response('200 OK', [])
    return [b'%d %d' % (VERSION, os.getpid())]
";

fn version(number: usize) -> String {
    SCRIPT.replace("@VERSION@", &number.to_string())
}

fn start() -> Httpd {
    let group = |name: &str, processes: &str| {
        format!(
            "WSGIDaemonProcess {name} {processes} threads=5 python-path=@APPS@\n\
             WSGIScriptAlias /{name} \"@APPS@/{name}.py\" process-group={name} application-group=%{{GLOBAL}}"
        )
    };
    site()
        .file("apps/one.py", version(0))
        .file("apps/three.py", version(0))
        .config(&group("one", ""))
        .config(&group("three", "processes=3"))
        .config("MaxKeepAliveRequests 0")
        .workers(1, 40)
        .start()
}

/// The version and the process of an answer.
fn parts(body: &[u8]) -> Option<(usize, u32)> {
    let text = String::from_utf8_lossy(body);
    let (version, pid) = text.split_once(' ')?;
    Some((version.parse().ok()?, pid.parse().ok()?))
}

#[test]
fn touched_scripts_lose_nothing_and_old_code_answers_nothing() {
    let touches = either(20, 1000);
    let httpd = start();
    // What answered last, by group.
    let newest: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let check = |target: &str, status: u16, body: &[u8]| {
        let floor = target.split('?').nth(1).map_or(0, |text| text.parse().expect("a version"));
        match parts(body).filter(|_| status == 200) {
            None => Err(format!("status {status}, {:?}", String::from_utf8_lossy(body))),
            Some((version, _)) if version < floor => Err(format!("version {version} answers after {floor}")),
            Some((version, _)) => {
                let group = target.split('/').nth(1).unwrap_or_default().to_owned();
                let mut newest = newest.lock().unwrap();
                let last = newest.entry(group).or_default();
                *last = version.max(*last);
                Ok(())
            }
        }
    };
    let kinds = [("short", 80, "5/"), ("medium", 20, "300/")];
    let mut all = clients("/one", 4, &[Way::Close, Way::Keep], &kinds);
    all.extend(clients("/three", 6, &[Way::Close, Way::Keep], &kinds));
    let tally = Load::run(httpd.port(), &all, Duration::from_secs(30), &check, |load| {
        load.proceed(20);
        for number in 1..=touches {
            httpd.rewrite("apps/one.py", &version(number));
            httpd.rewrite("apps/three.py", &version(number));
            load.stamp(number);
            let known = || ["one", "three"].iter().all(|name| newest.lock().unwrap().get(*name) >= Some(&number));
            wait::until_true("an answer of the new code", known);
            load.proceed(20);
        }
    });
    println!("{touches} touches: {tally}");
    hold("touches", &tally.losses.iter().map(|loss| format!("{loss:?}")).collect::<Vec<_>>());
    if !is_peer() {
        wait::until_true("as many processes as before", || workers(&httpd).len() == 4);
    }
}

#[test]
fn a_broken_deploy_says_what_is_wrong_and_its_repair_is_all_that_it_takes() {
    let rounds = either(3, 50);
    let httpd = start();
    // A process may start while the script is broken.
    httpd.expect(event::SCRIPT_FAILED).tolerate(event::PRELOAD_FAILED).tolerate_text("process group 'three': ");
    let ask = |what: &str, status: u16| -> BTreeSet<(usize, u32)> {
        let answers: Vec<_> = (0..12).map(|_| httpd.get("/three/0/")).collect();
        let wrong: Vec<_> = answers.iter().filter(|answer| answer.status != status).collect();
        hold(what, &wrong.iter().map(|answer| format!("{answer:?}")).collect::<Vec<_>>());
        answers.iter().filter_map(|answer| parts(&answer.body)).collect()
    };
    ask("at first", 200);
    for round in 1..=rounds {
        httpd.rewrite("apps/three.py", &format!("raise RuntimeError('deploy {round} is broken')\n"));
        ask("broken", 500);
        httpd.wait_for_log(&format!("RuntimeError: deploy {round} is broken"));
        httpd.rewrite("apps/three.py", &version(round));
        let seen = ask("repaired", 200);
        assert!(is_peer() || seen.iter().all(|(version, _)| *version == round), "{seen:?} in round {round}");
    }
    if !is_peer() {
        wait::until_true("all processes", || workers(&httpd).len() == 4);
        let there: BTreeSet<u32> = workers(&httpd).into_iter().collect();
        let answering = ask("at last", 200);
        assert!(answering.iter().all(|(version, pid)| *version == rounds && there.contains(pid)), "{answering:?}");
    }
}
