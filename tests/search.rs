// SPDX-License-Identifier: Apache-2.0
//! Which shared library a configured Python leads to, on directories made for the purpose.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test may stop and speak")]

#[path = "../src/embedded/search.rs"]
mod search;

use model::event::Event;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mod_wsgi_rs-search-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        Self(path.canonicalize().expect("a scratch directory"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    /// An installation of Python 3.`minor` under `prefix`, with a shared library.
    fn python(&self, prefix: &str, minor: u32) -> PathBuf {
        self.file(&format!("{prefix}/bin/python3.{minor}"), "");
        symlink(format!("python3.{minor}"), self.0.join(prefix).join("bin/python3")).expect("a link");
        self.file(&format!("{prefix}/lib/python3.{minor}/os.py"), "");
        self.file(&format!("{prefix}/lib/libpython3.{minor}.so.1.0"), "")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn find(path: &Path) -> Result<search::Installation, Event> {
    search::find(path.to_str().expect("a path in UTF-8"))
}

#[test]
fn a_prefix_is_started_by_its_interpreter() {
    let scratch = Scratch::new();
    let library = scratch.python("usr", 11);
    let found = find(&scratch.0.join("usr")).expect("found");
    assert_eq!((found.version, &found.library, &found.home), ((3, 11), &library, &None));
    assert_eq!(found.program, scratch.0.join("usr/bin/python3"));
    assert_eq!(found.configured, scratch.0.join("usr").to_str().expect("a path"));
}

#[test]
fn an_executable_may_be_named_itself() {
    let scratch = Scratch::new();
    let library = scratch.python("usr", 13);
    let found = find(&scratch.0.join("usr/bin/python3.13")).expect("found");
    assert_eq!((found.version, found.library), ((3, 13), library));
}

#[test]
fn a_virtual_environment_leads_to_the_library_of_its_base() {
    let scratch = Scratch::new();
    let library = scratch.python("opt/python", 12);
    let program = scratch.0.join("venv/bin/python");
    scratch.file("venv/pyvenv.cfg", "home = /elsewhere\nversion = 3.12.1\n");
    fs::create_dir_all(scratch.0.join("venv/bin")).expect("a directory");
    symlink(scratch.0.join("opt/python/bin/python3"), &program).expect("a link");
    let found = find(&scratch.0.join("venv")).expect("found");
    assert_eq!((found.version, found.library, found.program), ((3, 12), library, program));
}

#[test]
fn a_virtual_environment_with_a_copied_interpreter_leads_to_its_home() {
    let scratch = Scratch::new();
    let library = scratch.python("opt/python", 12);
    let home = scratch.0.join("opt/python/bin");
    scratch.file("venv/pyvenv.cfg", &format!("home = {}\nversion = 3.12.1\n", home.display()));
    scratch.file("venv/bin/python", "");
    let found = find(&scratch.0.join("venv")).expect("found");
    assert_eq!((found.version, found.library), ((3, 12), library));
}

#[test]
fn a_prefix_without_an_interpreter_is_known_by_its_standard_library() {
    let scratch = Scratch::new();
    let library = scratch.file("opt/lib/libpython3.10.so", "");
    scratch.file("opt/lib/python3.10/os.py", "");
    let found = find(&scratch.0.join("opt")).expect("found");
    assert_eq!((found.version, found.library, found.home), ((3, 10), library, Some(scratch.0.join("opt"))));
}

#[test]
fn prefix_and_exec_prefix_may_be_given_together() {
    let scratch = Scratch::new();
    scratch.python("usr", 11);
    let both = format!("{0}:{0}", scratch.0.join("usr").display());
    assert_eq!(search::find(&both).expect("found").version, (3, 11));
}

#[test]
fn each_fault_has_its_event() {
    let scratch = Scratch::new();
    let missing = find(&scratch.0.join("nowhere"));
    assert!(matches!(missing, Err(Event::PythonHomeUnreadable { .. })), "{missing:?}");
    fs::create_dir_all(scratch.0.join("empty")).expect("a directory");
    let empty = find(&scratch.0.join("empty"));
    assert!(matches!(empty, Err(Event::PythonHomeUnreadable { .. })), "{empty:?}");
    scratch.file("static/bin/python3.11", "");
    scratch.file("static/lib/python3.11/os.py", "");
    let without = find(&scratch.0.join("static"));
    assert!(
        matches!(&without, Err(Event::PythonLibraryMissing { searched, .. }) if searched.contains("libpython3.11.so"))
    );
    for old in ["3.8", "2.7"] {
        scratch.file(&format!("old{old}/bin/python{old}"), "");
        let found = find(&scratch.0.join(format!("old{old}/bin/python{old}")));
        assert!(matches!(&found, Err(Event::PythonVersionUnsupported { version, .. }) if version == old), "{found:?}");
    }
}

#[test]
fn a_dangling_interpreter_is_passed_over() {
    let scratch = Scratch::new();
    scratch.python("usr", 11);
    fs::create_dir_all(scratch.0.join("usr/bin")).expect("a directory");
    symlink("gone", scratch.0.join("usr/bin/python")).expect("a link");
    assert_eq!(find(&scratch.0.join("usr")).expect("found").program, scratch.0.join("usr/bin/python3"));
}
