// SPDX-License-Identifier: Apache-2.0
//! Tier 2: the extension module in a real CPython, without httpd.
//!
//! The very binary that is installed is loaded into every interpreter found: `/usr/bin/python3.*` and those of pyenv, from
//! 3.9 on. Each Python file of `tests/rehearsal/` is one process per interpreter, run by `host.py`.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests speak to whoever runs them")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod pythons;

use pythons::{children, modules, pythons, skipped};
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(120);

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rehearsal")
}

/// Runs a file of tests in one interpreter; answers what went wrong.
fn run(python: &Path, file: &str) -> Result<(), String> {
    let directory = sources();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Everything that the file's tests leave behind, some of which end without a chance to tidy up.
    let scratch = env::temp_dir().join(format!("rehearsal-{}-{file}-{number}", std::process::id()));
    fs::create_dir(&scratch).unwrap();
    let log = scratch.join("log");
    let output = File::create(&log).unwrap();
    let mut command = Command::new(python);
    command.args(["-B", "-X", "faulthandler"]).arg(directory.join("host.py")).arg(modules());
    command.arg(directory.join(file).with_extension("py"));
    // A directory of the same name holds modules for that file alone.
    if directory.join(file).is_dir() {
        command.env("PYTHONPATH", directory.join(file));
    }
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).env("TMPDIR", &scratch);
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let said = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_dir_all(&scratch).unwrap();
    match status {
        Some(status) if status.success() && said.contains(" tests in ") => Ok(()),
        Some(status) => Err(format!("{status}\n{said}")),
        None => Err(format!("did not end\n{said}")),
    }
}

fn rehearse(file: &str) {
    let mut failures = String::new();
    for (_, python) in pythons() {
        if let Err(failure) = run(python, file) {
            writeln!(failures, "{} under {}: {failure}", file, python.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

macro_rules! rehearsals {
    ($($(#[$meta:meta])* $name:ident = $file:literal;)+) => {
        $(#[test] $(#[$meta])* fn $name() { rehearse($file); })+

        #[test]
        fn every_file_of_tests_is_run() {
            let mut found: Vec<_> = children(&sources())
                .into_iter()
                .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
                .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
                .filter(|name| name != "host")
                .collect();
            found.sort();
            let mut run = vec![$($file),+];
            run.sort_unstable();
            assert_eq!(found, run);
        }
    };
}

rehearsals! {
    answers_follow_the_specification = "answers";
    companion_packages_lend_their_path = "companions";
    request_bodies_are_pulled = "bodies";
    environs_hold_what_they_should = "environs";
    an_interpreter_that_cannot_be_made_is_tried_again = "failing_interpreter";
    files_are_sent_by_the_server = "files";
    interpreters_and_threads_are_kept = "interpreters";
    interpreters_can_be_left_as_they_are = "leaving";
    interpreters_follow_their_settings = "settings";
    output_goes_to_the_right_log = "logs";
    scripts_are_loaded_once_and_again = "scripts";
    everything_ends_in_order = "ending";
    a_request_that_never_ends_is_left_alone = "overdue_request";
    a_thread_that_outlives_the_deadline_is_reported_on_time = "overdue_thread";
    daemon_threads_are_left_alone = "daemon_threads";
    subscribers_hear_of_the_end = "subscribers";
}

/// What `readelf -d` says: the binary names no libpython and is never unloaded.
#[test]
fn one_binary_serves_every_version() {
    let library = modules().join("_mod_wsgi_rs.abi3.so");
    let output = Command::new("readelf").args(["-dW".as_ref(), library.as_os_str()]).output();
    let Ok(output) = output else {
        skipped("no readelf on this machine: the dynamic section of the extension was not read");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("libpython"), "{text}");
    assert!(text.contains("NODELETE"), "{text}");
}
