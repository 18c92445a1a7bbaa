// SPDX-License-Identifier: Apache-2.0
//! A disk without room for the log of one virtual host: its group goes on, and logs again when there is room.

use crate::{pid, recover, while_others_answer};
use harness::site::is_root;
use harness::{Mode, Site, event, server, skip, wait};
use std::fs;
use std::path::PathBuf;

/// Mounts a small file system, which nobody else sees and which ends with the server.
const MOUNT: &str = "mkdir -p @ROOT@/small && mount -t tmpfs -o size=256k tmpfs @ROOT@/small && exec \"$@\"";

#[test]
fn a_full_disk_for_its_log_holds_up_no_group() {
    if !is_root() {
        return skip::skipped("only root can mount");
    }
    let group = |name: &str| {
        format!(
            "WSGIDaemonProcess {name} threads=3 python-path=@APPS@\n\
             WSGIScriptAlias /{name} \"@APPS@/greedy.py\" process-group={name} application-group=%{{GLOBAL}}"
        )
    };
    let httpd = Site::new(Mode::Embedded)
        .app("greedy.py")
        .config(&group("other"))
        .config(&format!(
            "<VirtualHost *:@PORT@>\nServerName localhost\nErrorLog \"@ROOT@/small/full.log\"\n{}\n</VirtualHost>",
            group("short")
        ))
        .config("MaxKeepAliveRequests 0")
        .through(&["unshare", "--mount", "--", "sh", "-c", MOUNT, "sh"])
        .start();
    httpd.tolerate(event::LOG_UNUSABLE).tolerate(event::LINES_DROPPED);
    let inside = PathBuf::from(format!("/proc/{}/root", httpd.pid()));
    let log = inside.join(httpd.root().join("small/full.log").strip_prefix("/").unwrap());
    let text = || fs::read_to_string(&log).unwrap_or_default();
    let worker = pid(&httpd, "short");
    while_others_answer(&httpd, || {
        httpd.get("/short/say/2/before").expect(200);
        wait::until_true("lines in the log", || text().contains("said before"));
        for _ in 0..10 {
            httpd.get("/short/say/100/meanwhile").expect(200);
        }
        assert!(fs::write(log.with_file_name("more"), [b'x'; 8192]).is_err(), "the disk is full");
        // A process that starts meanwhile works, too.
        server::send_signal(worker, "KILL");
        recover(&httpd);
        httpd.get("/short/say/2/meanwhile").expect(200);
        fs::remove_file(log.with_file_name("more")).expect("a file");
        fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        wait::until_true("lines in the log", || {
            httpd.get("/short/say/0/after").expect(200);
            text().contains("said after")
        });
    });
}
