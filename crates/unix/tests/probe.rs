// SPDX-License-Identifier: Apache-2.0
//! Looking at something as another user. One thread only, hence without the test harness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use model::configuration::files::Identity;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;
use std::time::{Duration, Instant};
use unix::probe::{ProbeError, look_as};

const PATIENCE: Duration = Duration::from_secs(20);

fn nobody() -> Identity {
    Identity { name: "nobody".into(), uid: 65534, gid: 65534, groups: vec![65534] }
}

fn main() {
    let tests: [(&str, fn()); 5] = [
        ("an_answer_comes_back_whole", an_answer_comes_back_whole),
        ("whoever_looks_is_the_user", whoever_looks_is_the_user),
        ("a_look_that_hangs_is_ended", a_look_that_hangs_is_ended),
        ("a_look_that_panics_is_an_error", a_look_that_panics_is_an_error),
        ("a_process_with_threads_is_not_copied", a_process_with_threads_is_not_copied),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

fn an_answer_comes_back_whole() {
    let (answers, error) = look_as(&[&nobody(), &nobody()], PATIENCE, |number| vec![7; 300_000 * number]);
    assert!(error.is_none());
    assert_eq!(answers, [Vec::new(), vec![7; 300_000]]);
    assert!(matches!(look_as(&[], PATIENCE, |_| Vec::new()), (answers, None) if answers.is_empty()));
}

fn whoever_looks_is_the_user() {
    if fs::metadata("/proc/self").expect("proc").uid() != 0 {
        return println!("skipped: only root can become another user");
    }
    let folder = std::env::temp_dir().join(format!("mwrs-probe-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("permissions");
    let look = || u8::from(fs::read_dir(&folder).is_ok());
    let root = Identity { name: "root".into(), uid: 0, gid: 0, groups: vec![0] };
    let who = || vec![look(), u8::from(nix::unistd::geteuid().is_root())];
    let (answers, error) = look_as(&[&nobody(), &root, &nobody()], PATIENCE, |_| who());
    assert!(error.is_none());
    assert_eq!(answers, [[0, 0], [1, 1], [0, 0]]);
    assert_eq!(who(), [1, 1]);
    let _ = fs::remove_dir(&folder);
}

fn a_look_that_hangs_is_ended() {
    let before = Instant::now();
    let (answers, error) = look_as(&[&nobody(), &nobody()], Duration::from_millis(500), |number| {
        if number == 1 {
            thread::sleep(PATIENCE);
        }
        vec![1]
    });
    assert!(matches!(error, Some(ProbeError::Late(_))));
    assert_eq!(answers, [[1]], "what was seen before counts");
    assert!(before.elapsed() < PATIENCE);
}

fn a_look_that_panics_is_an_error() {
    std::panic::set_hook(Box::new(|_| {}));
    let (_, error) = look_as(&[&nobody()], PATIENCE, |_| panic!("on purpose"));
    assert!(matches!(error, Some(ProbeError::Silent)));
    let _ = std::panic::take_hook();
}

fn a_process_with_threads_is_not_copied() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || receive.recv());
    let (_, error) = look_as(&[&nobody()], PATIENCE, |_| Vec::new());
    assert!(matches!(error, Some(ProbeError::Threads)));
    drop(send);
    let _ = other.join();
}
