// SPDX-License-Identifier: Apache-2.0
//! Every CPython on this machine, and a directory with the extension for it.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const OLDEST: u32 = 9;
/// Versions whose absence is said aloud.
const EXPECTED: [u32; 5] = [9, 10, 11, 12, 13];

/// An interpreter: its minor version and its path.
pub type Python = (u32, PathBuf);

fn minor(python: &Path) -> Option<u32> {
    let code = "import sys; print(sys.implementation.name, sys.version_info[1], getattr(sys, '_is_gil_enabled', lambda: True)())";
    let output = Command::new(python).args(["-I", "-c", code]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    (words.next() == Some("cpython")).then_some(())?;
    let minor = words.next()?.parse().ok()?;
    (words.next() == Some("True")).then_some(minor)
}

/// What a directory holds.
pub fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Whether a path is `python3.<minor>`, not `python3.11-config` or the like.
fn is_versioned(path: &Path) -> bool {
    let minor = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("python3."));
    minor.is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The interpreters of 3.9 and later, oldest first.
pub fn pythons() -> &'static [Python] {
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

/// Says what was not tested.
pub fn skipped(reason: &str) {
    eprintln!("SKIPPED {reason}");
    if let Some(list) = env::var_os("MOD_WSGI_RS_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(list);
        let _only_a_report = list.and_then(|mut list| writeln!(list, "SKIPPED {reason}"));
    }
}

/// The directory with the extension and the rehearsal, under the names by which every version finds them.
pub fn modules() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/<profile>/deps/rehearsal-<hash>
        let test = env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(std::env!("CARGO"));
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
