// SPDX-License-Identifier: Apache-2.0
//! The offsets by which the loader sets fields of `PyConfig` are those in the headers of every Python found here.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a test may stop and speak")]

#[path = "../src/embedded/layout.rs"]
mod layout;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Directories with a `Python.h`, by minor version.
fn headers() -> Vec<(u32, PathBuf)> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")).unwrap_or_default();
    let versions = env::var_os("PYENV_ROOT").map_or(home, PathBuf::from).join("versions");
    let installed =
        fs::read_dir(versions).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path().join("include")));
    let includes: Vec<_> = installed.chain([PathBuf::from("/usr/include")]).collect();
    let candidates = includes.iter().flat_map(|include| {
        layout::LAYOUTS.map(|known| (known.minor, include.join(format!("python3.{}", known.minor))))
    });
    candidates.filter(|(_, directory)| directory.join("Python.h").is_file()).collect()
}

fn compiles(include: &Path, condition: &str) -> bool {
    let scratch = env::temp_dir().join(format!("mod_wsgi_rs-layout-{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("a scratch directory");
    let source = scratch.join("layout.c");
    fs::write(&source, format!("#include <Python.h>\n#include <stddef.h>\n_Static_assert({condition}, \"layout\");\n"))
        .expect("a source file");
    let output =
        Command::new("cc").arg("-fsyntax-only").arg("-I").arg(include).arg(&source).output().expect("a C compiler");
    fs::remove_dir_all(&scratch).expect("the scratch directory");
    output.status.success()
}

#[test]
fn the_offsets_are_those_of_the_headers() {
    let headers = headers();
    if headers.is_empty() {
        println!("SKIPPED: no Python headers on this machine");
    }
    for (minor, include) in headers {
        let known = layout::LAYOUTS.into_iter().find(|known| known.minor == minor).expect("a known version");
        let condition = |program_name: usize| {
            let fields = [
                ("program_name", program_name),
                ("home", known.home),
                ("warnoptions", known.warnings),
                ("optimization_level", known.optimisation),
                ("write_bytecode", known.write_bytecode),
                ("install_signal_handlers", layout::SIGNAL_HANDLERS),
                ("use_hash_seed", layout::USE_HASH_SEED),
                ("hash_seed", layout::HASH_SEED),
            ];
            let offsets = fields.map(|(name, offset)| format!("offsetof(PyConfig, {name}) == {offset}")).join(" && ");
            format!(
                "{offsets} && sizeof(((PyConfig *)0)->hash_seed) == 8 && sizeof(PyConfig) < {room} && \
                 sizeof(PyPreConfig) == 40 && offsetof(PyPreConfig, utf8_mode) == 28",
                room = layout::ROOM,
            )
        };
        if minor >= 12 {
            // What crates/python knows of it.
            let fields = [
                "use_main_obmalloc",
                "allow_fork",
                "allow_exec",
                "allow_threads",
                "allow_daemon_threads",
                "check_multi_interp_extensions",
                "gil",
            ];
            let places = fields.iter().enumerate();
            let offsets = places.map(|(place, name)| format!("offsetof(PyInterpreterConfig, {name}) == {}", place * 4));
            let offsets = offsets.collect::<Vec<_>>().join(" && ");
            let own = format!("{offsets} && sizeof(PyInterpreterConfig) == 28 && PyInterpreterConfig_OWN_GIL == 2");
            assert!(compiles(&include, &own), "{}", include.display());
        }
        assert!(compiles(&include, &condition(known.program_name)), "{}", include.display());
        assert!(
            !compiles(&include, &condition(known.program_name + 8)),
            "the check cannot fail: {}",
            include.display()
        );
    }
}
