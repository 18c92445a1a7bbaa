// SPDX-License-Identifier: Apache-2.0
//! Loud skips: what this machine lacks is printed and collected, never passed over in silence.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;

/// Prints that a test did not run and why, and appends the line to the file named by `MOD_WSGI_RS_SKIPPED`.
///
/// With `MOD_WSGI_RS_NO_SKIP` set, as where everything is known to be installed, a skip is a failure.
pub fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {test}: {reason}\n");
    // Not the captured print macros: a skip is seen even though the test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os("MOD_WSGI_RS_SKIPPED") {
        if let Some(folder) = std::path::Path::new(&path).parent() {
            let _ = fs::create_dir_all(folder);
        }
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
    assert!(env::var_os("MOD_WSGI_RS_NO_SKIP").is_none(), "{line}");
}
