// SPDX-License-Identifier: Apache-2.0
//! The rules of ARCHITECTURE.md and SAFETY.md that a compiler does not hold: who may use what, where unsafe code may stand, which
//! invariants it cites, how large a file may grow.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test may stop and speak")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may use.
const USES: [(&str, &[&str]); 6] = [
    ("crates/model", &[]),
    ("crates/unix", &["model"]),
    ("crates/python", &["model"]),
    ("crates/runtime", &["model", "python", "unix"]),
    ("crates/supervisor", &["model", "unix"]),
    (".", &["model", "unix"]),
];

/// Names that only one place may say.
const WORLDS: [(&str, &str); 3] = [("pyo3_ffi", "crates/python/"), ("libc::", "crates/unix/"), ("ffi::ap_", "src/")];

/// Where unsafe code may stand. Files of the root crate that are not here forbid it themselves.
const UNSAFE: [&str; 12] = [
    "src/apache.rs",
    "src/apache/",
    "src/boundary.rs",
    "src/config.rs",
    "src/embedded.rs",
    "src/embedded/start.rs",
    "src/embedded/table.rs",
    "src/ffi.rs",
    "src/lib.rs",
    "crates/python/",
    "crates/runtime/",
    "crates/unix/",
];

/// Files with a reason to be longer than 500 lines.
const LONG: [&str; 0] = [];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust sources below `directory`, by their path from the root.
fn sources(directory: &str) -> BTreeMap<String, String> {
    fn walk(directory: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).expect("a directory").filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8").to_owned();
                found.insert(name, fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join(directory), &mut found);
    assert!(!found.is_empty(), "no sources in {directory}");
    found
}

fn product() -> BTreeMap<String, String> {
    sources("src").into_iter().chain(sources("crates")).collect()
}

fn is_one_of(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file == *place || (place.ends_with('/') && file.starts_with(place)))
}

/// A line without strings and comments, as far as these checks need it.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn crates_use_only_what_they_may() {
    for (directory, allowed) in USES {
        let manifest = fs::read_to_string(root().join(directory).join("Cargo.toml")).expect("a manifest");
        let dependencies =
            manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
        let ours = ["model", "unix", "python", "runtime"];
        for line in dependencies.lines() {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            assert!(!ours.contains(&name) || allowed.contains(&name), "{directory} must not use {name}");
        }
    }
}

#[test]
fn each_foreign_world_has_one_crate() {
    for (file, text) in product() {
        for (name, place) in WORLDS {
            let used = text.lines().any(|line| code(line).contains(name));
            assert!(!used || file.starts_with(place), "{file} says {name}, which belongs to {place}");
        }
    }
}

#[test]
fn unsafe_code_stands_only_where_it_may() {
    for (file, text) in product() {
        let has = text.lines().any(|line| code(line).contains("unsafe ") || code(line).contains("unsafe("));
        let forbids = text.contains("#![forbid(unsafe_code)]");
        let allowed = is_one_of(&file, &UNSAFE);
        assert!(!has || allowed || file.starts_with("crates/model/"), "{file} has unsafe code");
        if file.starts_with("src/") {
            assert!(allowed != forbids, "{file} must either be in the list or forbid unsafe code");
        }
    }
    assert!(product()["crates/model/src/lib.rs"].contains("#![forbid(unsafe_code)]"));
}

#[test]
fn every_invariant_that_is_cited_is_defined_and_every_defined_one_is_cited() {
    let document = fs::read_to_string(root().join("SAFETY.md")).expect("SAFETY.md");
    let tags = |text: &str, mark: &str| -> BTreeSet<String> {
        let after = text.split(mark).skip(1).filter_map(|rest| rest.split(']').next());
        after.filter(|tag| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_uppercase())).map(str::to_owned).collect()
    };
    let defined = tags(&document, "| [");
    let mut cited = BTreeSet::new();
    for (file, text) in product() {
        for line in text.lines().filter(|line| line.contains("// SAFETY:")) {
            let found = tags(line, "[");
            assert!(!found.is_empty(), "{file}: a safety comment names no invariant: {line}");
            cited.extend(found);
        }
    }
    assert_eq!(cited, defined);
}

#[test]
fn only_the_fences_make_functions_for_c() {
    // Generic cleanups cannot be made by a macro; this one calls the fence itself. What the kernel calls in a worker uses
    // nothing that could panic.
    let allowed = [
        "src/boundary.rs",
        "src/apache/pool.rs",
        "crates/python/src/callback.rs",
        "crates/unix/src/callback.rs",
        "src/ffi.rs",
    ];
    for (file, text) in product() {
        let defines = text.lines().any(|line| {
            let line = code(line);
            line.contains("extern \"C\" fn ") && !line.contains("extern \"C\" fn(")
        });
        assert!(!defines || allowed.contains(&file.as_str()), "{file} makes a function for C without the fence");
    }
}

#[test]
fn files_stay_readable() {
    for (file, text) in product().into_iter().chain(sources("tests")) {
        let lines = text.lines().count();
        assert!(lines <= 500 || LONG.contains(&file.as_str()), "{file} has {lines} lines");
        assert!(text.starts_with("// SPDX-License-Identifier: Apache-2.0\n"), "{file} has no licence line");
        let second = text.lines().nth(1).unwrap_or_default();
        assert!(second.starts_with("//!"), "{file} does not say what it is for");
    }
}
