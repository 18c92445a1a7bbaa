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
    let answer = look_as(&nobody(), PATIENCE, || vec![7; 300_000]).expect("an answer");
    assert_eq!(answer, vec![7; 300_000]);
    assert_eq!(look_as(&nobody(), PATIENCE, Vec::new).expect("an empty answer"), Vec::<u8>::new());
}

fn whoever_looks_is_the_user() {
    if fs::metadata("/proc/self").expect("proc").uid() != 0 {
        return println!("skipped: only root can become another user");
    }
    let folder = std::env::temp_dir().join(format!("mwrs-probe-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("permissions");
    let look = || vec![u8::from(fs::read_dir(&folder).is_ok())];
    assert_eq!(look_as(&nobody(), PATIENCE, look).expect("an answer"), [0]);
    assert_eq!(look(), [1]);
    let _ = fs::remove_dir(&folder);
}

fn a_look_that_hangs_is_ended() {
    let before = Instant::now();
    let answer = look_as(&nobody(), Duration::from_millis(50), || {
        thread::sleep(PATIENCE);
        Vec::new()
    });
    assert!(matches!(answer, Err(ProbeError::Late(_))));
    assert!(before.elapsed() < PATIENCE);
}

fn a_look_that_panics_is_an_error() {
    std::panic::set_hook(Box::new(|_| {}));
    let answer = look_as(&nobody(), PATIENCE, || panic!("on purpose"));
    assert!(matches!(answer, Err(ProbeError::Silent)));
    let _ = std::panic::take_hook();
}

fn a_process_with_threads_is_not_copied() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || receive.recv());
    assert!(matches!(look_as(&nobody(), PATIENCE, Vec::new), Err(ProbeError::Threads)));
    drop(send);
    let _ = other.join();
}
