// SPDX-License-Identifier: Apache-2.0
//! What the built files depend on and export, read from their dynamic sections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::Module;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn module() -> PathBuf {
    Module::Ours.file().unwrap_or_else(|reason| panic!("{reason}"))
}

/// The extension modules beside the module.
fn extensions() -> Vec<PathBuf> {
    let folder = module().with_extension("d");
    let builds = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = builds.flatten().flat_map(|build| fs::read_dir(build.path()).into_iter().flatten().flatten());
    files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "so")).collect()
}

fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{program} {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Names of dynamic symbols, without versions.
fn symbols(kind: &str, file: &Path) -> Vec<String> {
    let text = output("nm", &["-D", kind], file);
    let name =
        |line: &str| line.split_whitespace().last().map(|name| name.split('@').next().unwrap_or(name).to_owned());
    text.lines().filter_map(name).collect()
}

fn needed(file: &Path) -> Vec<String> {
    let dynamic = output("readelf", &["-d"], file);
    dynamic.lines().filter(|line| line.contains("(NEEDED)")).map(str::to_owned).collect()
}

#[test]
fn the_module_has_no_python_symbol() {
    let undefined = symbols("--undefined-only", &module());
    assert!(undefined.iter().any(|name| name.starts_with("ap_")), "{undefined:?}");
    let python: Vec<_> = undefined.iter().filter(|name| name.starts_with("Py") || name.starts_with("_Py")).collect();
    assert!(python.is_empty(), "{python:?}");
}

#[test]
fn neither_file_needs_a_libpython() {
    for file in extensions().iter().chain([&module()]) {
        let needed = needed(file);
        assert!(!needed.is_empty());
        assert!(!needed.iter().any(|line| line.contains("python")), "{}: {needed:?}", file.display());
        assert!(!output("readelf", &["-d"], file).contains("RUNPATH"), "{}", file.display());
    }
}

#[test]
fn the_module_is_never_unloaded() {
    let dynamic = output("readelf", &["-d"], &module());
    assert!(dynamic.lines().any(|line| line.contains("FLAGS_1") && line.contains("NODELETE")), "{dynamic}");
}

#[test]
fn the_module_exports_its_record_only() {
    assert_eq!(symbols("--defined-only", &module()), ["wsgi_module"]);
}

#[test]
fn the_extension_exports_its_initialiser_and_knows_nothing_of_httpd() {
    let extensions = extensions();
    assert!(!extensions.is_empty(), "no extension beside {}", module().display());
    for file in extensions {
        assert_eq!(symbols("--defined-only", &file), ["PyInit__mod_wsgi_rs"], "{}", file.display());
        let undefined = symbols("--undefined-only", &file);
        let foreign: Vec<_> =
            undefined.iter().filter(|name| name.starts_with("ap_") || name.starts_with("apr_")).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}

#[test]
fn the_stable_abi_binary_uses_nothing_outside_it() {
    for file in extensions().iter().filter(|path| path.to_string_lossy().contains(".abi3.")) {
        let undefined = symbols("--undefined-only", file);
        let private: Vec<_> = undefined
            .iter()
            .filter(|name| {
                name.starts_with("_Py")
                    && ![
                        "_Py_NoneStruct",
                        "_Py_TrueStruct",
                        "_Py_FalseStruct",
                        "_Py_Dealloc",
                        "_Py_IncRef",
                        "_Py_DecRef",
                    ]
                    .contains(&name.as_str())
            })
            .collect();
        assert!(private.is_empty(), "{private:?}");
    }
}

#[test]
fn neither_file_has_an_executable_stack_or_text_relocations() {
    for file in extensions().iter().chain([&module()]) {
        let headers = output("readelf", &["-lW"], file);
        let stack = headers.lines().find(|line| line.contains("GNU_STACK")).unwrap();
        assert!(!stack.contains("RWE"), "{}: {stack}", file.display());
        assert!(!output("readelf", &["-d"], file).contains("TEXTREL"), "{}", file.display());
    }
}
