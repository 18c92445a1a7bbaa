// SPDX-License-Identifier: Apache-2.0
//! Where the kernel does not make a worker its user, the worker does not start, and the server goes on.

use super::{may_change_users, site, try_run};
use harness::{event, skip};

/// Numbers of `setgroups`, `setresuid` and `setresgid`.
fn calls() -> Option<[u32; 3]> {
    match std::env::consts::ARCH {
        "x86_64" => Some([116, 117, 119]),
        "aarch64" => Some([159, 147, 149]),
        _ => None,
    }
}

/// Starts httpd where the system call does nothing but return `error`, and gives what is said about the group.
fn start(call: u32, error: u32) -> String {
    let httpd = site("WSGIDaemonProcess one user=games group=games connect-timeout=1 socket-timeout=1")
        .without_calls(&[(call, error)])
        .start();
    httpd.tolerate(event::GROUP_UNAVAILABLE).expect(event::WORKER_UNSTARTABLE).tolerate(event::FILES_NOT_EXAMINED);
    let said = httpd.wait_for_log("worker could not be started").line;
    httpd.get("/static.txt").expect(200);
    let answer = try_run(&httpd, "one", "os.getuid()");
    assert!(matches!(answer.status, 503 | 504), "{}", answer.text());
    httpd.get("/static.txt").expect(200);
    said
}

#[test]
fn a_user_that_the_kernel_only_claims_to_have_set_is_noticed() {
    if !may_change_users() {
        return;
    }
    let Some([groups, user, group]) = calls() else { return skip::skipped("numbers of system calls are not known") };
    for call in [groups, user, group] {
        let said = start(call, 0);
        assert!(said.contains("the kernel did not make it user 'games'"), "{call}: {said}");
    }
}

#[test]
fn a_user_that_cannot_be_set_ends_the_start_of_the_worker() {
    if !may_change_users() {
        return;
    }
    let Some([_, user, group]) = calls() else { return skip::skipped("numbers of system calls are not known") };
    // EAGAIN is what a user with too many processes got from old kernels; httpd itself does not use these two calls.
    for (call, name, error) in [(user, "setresuid", 11), (group, "setresgid", 1)] {
        let said = start(call, error);
        assert!(said.contains(&format!("cannot become user 'games': {name}")), "{said}");
    }
}
