// SPDX-License-Identifier: Apache-2.0
//! Small libraries in C that change the world of a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A library in a folder of its own, which is gone when it is dropped.
#[derive(Debug)]
pub struct Library {
    folder: PathBuf,
    path: PathBuf,
}

impl Library {
    /// Compiles a library, which stays in memory once it was loaded.
    pub fn build(name: &str, source: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mwrs-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (code, path) = (folder.join("library.c"), folder.join("library.so"));
        fs::write(&code, source).expect("a file");
        // httpd unloads what it loads between its two readings of the configuration; a thread needs its code.
        let arguments = ["-shared", "-fPIC", "-pthread", "-Wl,-z,nodelete", "-o"];
        let built = Command::new("cc").args(arguments).arg(&path).arg(&code).status();
        assert!(built.expect("a C compiler").success());
        Self { folder, path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
