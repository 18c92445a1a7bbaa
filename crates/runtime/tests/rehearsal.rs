// SPDX-License-Identifier: Apache-2.0
//! Tier 2: the extension module in a real CPython, without httpd.
//!
//! The very binary that is installed is loaded into every interpreter found: `/usr/bin/python3.*` and those of pyenv, from
//! 3.9 on. Each Python file of `tests/rehearsal/` is one process per interpreter, run by `host.py`.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests speak to whoever runs them")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, io, thread};

const OLDEST: u32 = 9;
/// Versions whose absence is said aloud.
const EXPECTED: [u32; 5] = [9, 10, 11, 12, 13];
const DEADLINE: Duration = Duration::from_secs(120);

/// An interpreter: its minor version and its path.
type Python = (u32, PathBuf);

fn minor(python: &Path) -> Option<u32> {
    let code = "import sys; print(sys.implementation.name, sys.version_info[1], getattr(sys, '_is_gil_enabled', lambda: True)())";
    let output = Command::new(python).args(["-I", "-c", code]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    (words.next() == Some("cpython")).then_some(())?;
    let minor = words.next()?.parse().ok()?;
    (words.next() == Some("True")).then_some(minor)
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Whether a path is `python3.<minor>`, not `python3.11-config` or the like.
fn is_versioned(path: &Path) -> bool {
    let minor = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("python3."));
    minor.is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
}

fn pythons() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
        let root = root.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
        let versions = root.map(|root| children(&root.join("versions"))).unwrap_or_default();
        let mut candidates: Vec<PathBuf> = versions.iter().map(|version| version.join("bin/python3")).collect();
        candidates.extend(children(Path::new("/usr/bin")).into_iter().filter(|path| is_versioned(path)));
        let known = candidates.into_iter().filter_map(|path| Some((minor(&path)?, path)));
        let mut found: Vec<Python> = known.filter(|(minor, _)| *minor >= OLDEST).collect();
        found.sort();
        for missing in EXPECTED.iter().filter(|minor| !found.iter().any(|(found, _)| found == *minor)) {
            skipped(&format!("no CPython 3.{missing} on this machine: the extension was not tried in it"));
        }
        assert!(!found.is_empty(), "no CPython of 3.{OLDEST} or later found");
        found
    })
}

fn skipped(reason: &str) {
    eprintln!("SKIPPED {reason}");
    if let Some(list) = env::var_os("MOD_WSGI_RS_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(list);
        let _only_a_report = list.and_then(|mut list| writeln!(list, "SKIPPED {reason}"));
    }
}

/// The directory with the extension and the rehearsal, under the names by which every version finds them.
fn modules() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/<profile>/deps/rehearsal-<hash>
        let test = env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "wsgi-runtime", "--lib", "--example", "rehearsal"]);
        build.args(["--target-dir".as_ref(), profile.parent().unwrap().as_os_str()]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the extension does not build");
        let directory = profile.join("rehearsal-modules");
        fs::create_dir_all(&directory).unwrap();
        for (from, to) in
            [("lib_mod_wsgi_rs.so", "_mod_wsgi_rs.abi3.so"), ("examples/librehearsal.so", "rehearsal.abi3.so")]
        {
            place(&profile.join(from), &directory.join(to)).unwrap();
        }
        directory
    })
}

/// Puts a file in its place at once: another test run may have the former one loaded.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    let new = to.with_extension(format!("new{}", std::process::id()));
    fs::copy(from, &new)?;
    fs::rename(new, to)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rehearsal")
}

/// Runs a file of tests in one interpreter; answers what went wrong.
fn run(python: &Path, file: &str) -> Result<(), String> {
    let directory = sources();
    let log = env::temp_dir().join(format!("rehearsal-{}-{file}-{:?}.log", std::process::id(), thread::current().id()));
    let output = File::create(&log).unwrap();
    let mut command = Command::new(python);
    command.args(["-B", "-X", "faulthandler"]).arg(directory.join("host.py")).arg(modules());
    command.arg(directory.join(file).with_extension("py"));
    // A directory of the same name holds modules for that file alone.
    if directory.join(file).is_dir() {
        command.env("PYTHONPATH", directory.join(file));
    }
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
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
    fs::remove_file(&log).unwrap();
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
