// SPDX-License-Identifier: Apache-2.0
//! Graceful restarts under mixed load: none of the requests is lost, what must be alone is alone, nothing grows.

use crate::{Holdings, clients, either, hold, is_long, is_peer, is_whole, site};
use harness::load::{Load, Way};
use harness::{Httpd, Tally, census, event, wait};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const WAYS: [Way; 3] = [Way::Close, Way::Keep, Way::Streams];

/// httpd's children and the supervisor; with three workers of a group, one of another, and a service.
const FAMILY: (usize, usize) = (3, 3 + 3 + 1 + 1);

fn start() -> Httpd {
    let site = site()
        .with("http2")
        .app("mixed.py")
        .app("alone.py")
        .app("lonely.py")
        .app("steady.py")
        // Old children stay until their last request has ended.
        .config("ServerLimit 200")
        .config("Protocols h2c http/1.1\nMaxKeepAliveRequests 0\nKeepAliveTimeout 5\nTimeout 60")
        .config(
            "WSGIDaemonProcess many processes=3 threads=8 python-path=@APPS@ graceful-timeout=60 shutdown-timeout=60",
        )
        .config("WSGIDaemonProcess single python-path=@APPS@ graceful-timeout=60 shutdown-timeout=60")
        .config("WSGIDaemonProcess service threads=0 python-path=@APPS@")
        .config("WSGIScriptAlias /many \"@APPS@/mixed.py\" process-group=many application-group=%{GLOBAL}")
        .config("WSGIScriptAlias /single \"@APPS@/lonely.py\" process-group=single application-group=%{GLOBAL}")
        .config("WSGIImportScript \"@APPS@/steady.py\" process-group=service application-group=%{GLOBAL}");
    site.workers(2, 64).start()
}

/// 70 % take 5 ms, 25 % 500 ms, and few take long; in the short form not as long.
fn mix() -> [(&'static str, usize, &'static str); 4] {
    let (slow, stream) = if is_long() { ("6000/", "stream/20000/") } else { ("1500/", "stream/3000/") };
    [("short", 70, "5/"), ("medium", 25, "500/"), ("slow", 4, slow), ("stream", 1, stream)]
}

/// Restarts gracefully so often under load; each generation answers before it is replaced.
fn restart_under_load(httpd: &Httpd, restarts: usize) -> Tally {
    let mut all = clients("/many", 12, &WAYS, &mix());
    all.extend(clients("/single", 6, &WAYS, &mix()));
    // What httpd does alone, for comparison.
    all.extend(clients("/static.txt?", 3, &WAYS, &[("static", 100, "")]));
    let answered = AtomicUsize::new(0);
    let check = |target: &str, status: u16, body: &[u8]| match target.starts_with("/static") {
        false => is_whole(target, status, body).inspect(|()| {
            answered.fetch_add(1, Ordering::Relaxed);
        }),
        true if status == 200 && body == b"static\n" => Ok(()),
        true => Err(format!("status {status}")),
    };
    let proceed = |count: usize| {
        let enough = answered.load(Ordering::Relaxed) + count;
        let come = || (answered.load(Ordering::Relaxed) >= enough).then_some(());
        assert!(wait::poll(Duration::from_secs(60), come).is_some(), "applications do not answer any more");
    };
    Load::run(httpd.port(), &all, Duration::from_secs(60), &check, |_| {
        proceed(40);
        for _ in 0..restarts {
            httpd.graceful();
            proceed(40);
        }
    })
}

#[test]
fn graceful_restarts_under_load_lose_nothing() {
    let restarts = either(20, 1000);
    let httpd = start();
    // Restarts come so fast that old generations are told to come to their end, in which nothing is lost either.
    httpd.tolerate_text("AH").tolerate(event::GENERATION_EXPIRED);
    restart_under_load(&httpd, 2);
    let before = (!is_peer()).then(|| Holdings::at_rest(&httpd, FAMILY));
    let memory = census::private_memory(httpd.pid()).unwrap();
    let tally = restart_under_load(&httpd, restarts);
    println!("{restarts} graceful restarts: {tally}");
    let mut problems: Vec<String> = tally.losses.iter().map(|loss| format!("{loss:?}")).collect();
    problems.extend(httpd.journal().into_iter().filter(|line| line.starts_with("twice")));
    hold("restarts", &problems);
    if let Some(before) = before {
        assert_eq!(Holdings::at_rest(&httpd, FAMILY), before);
        let growth = census::private_memory(httpd.pid()).unwrap().saturating_sub(memory);
        assert!(growth < 2048, "the parent grew by {growth} KiB");
    }
}
