// SPDX-License-Identifier: Apache-2.0
//! Processes that are replaced after so many requests: at their number, and nothing is lost.

use crate::{clients, either, hold, site};
use harness::load::{Load, Way};
use harness::{Httpd, census, wait};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

const MAXIMUM: usize = 50;

fn start() -> Httpd {
    let group = |name: &str, processes: &str| {
        format!(
            "WSGIDaemonProcess {name} {processes} threads=5 maximum-requests={MAXIMUM} python-path=@APPS@\n\
             WSGIScriptAlias /{name} \"@APPS@/mixed.py\" process-group={name} application-group=%{{GLOBAL}}"
        )
    };
    let site = site().app("mixed.py").config(&group("one", "")).config(&group("three", "processes=3"));
    site.config("MaxKeepAliveRequests 0").workers(1, 40).start()
}

#[test]
fn processes_are_replaced_at_their_number_and_nothing_is_lost() {
    let requests = either(500, 20_000);
    let httpd = start();
    let served: Mutex<BTreeMap<(String, u32), usize>> = Mutex::default();
    let check = |target: &str, status: u16, body: &[u8]| {
        crate::is_whole(target, status, body)?;
        let text = String::from_utf8_lossy(body);
        let pid = text.split([' ', '\n']).nth(1).and_then(|pid| pid.parse().ok()).ok_or("no process")?;
        let group = target.split('/').nth(1).unwrap_or_default().to_owned();
        *served.lock().unwrap().entry((group, pid)).or_default() += 1;
        Ok(())
    };
    let kinds = [("short", 90, "5/"), ("medium", 10, "100/")];
    let mut all = clients("/one", 4, &[Way::Close, Way::Keep], &kinds);
    all.extend(clients("/three", 6, &[Way::Close, Way::Keep], &kinds));
    let tally = Load::run(httpd.port(), &all, Duration::from_secs(30), &check, |load| {
        (0..requests / 500).for_each(|_| load.proceed(500));
    });
    let served = served.into_inner().unwrap();
    println!("replaced after {MAXIMUM}: {tally}\n  {:?}", served.values().collect::<Vec<_>>());
    let mut problems: Vec<String> = tally.losses.iter().map(|loss| format!("{loss:?}")).collect();
    let ended = |pid: &u32| wait::poll(Duration::from_secs(2), || (!census::is_running(*pid)).then_some(())).is_some();
    for ((group, pid), count) in &served {
        let is_right = if *count >= MAXIMUM { *count == MAXIMUM && ended(pid) } else { census::is_running(*pid) };
        if !is_right {
            problems.push(format!("process {pid} of {group} answered {count}"));
        }
    }
    for group in ["one", "three"] {
        let full = served.iter().filter(|((name, _), count)| name == group && **count >= MAXIMUM).count();
        assert!(full >= 2, "{full} processes of {group} came to their number: the load was too small");
    }
    hold("recycling", &problems);
}
