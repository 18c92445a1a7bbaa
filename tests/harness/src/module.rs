// SPDX-License-Identifier: Apache-2.0
//! Which module file a server loads: ours, or one of the reference modules it is compared with.

use std::env;
use std::path::{Path, PathBuf};

/// A module that answers to the WSGI directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// The one under test.
    Ours,
    /// Release 4.9.4 of the reference, as the distribution packages it.
    Reference4,
    /// Release 6.1.1 of the reference, from `target/reference/venv`.
    Reference6,
}

impl Module {
    /// The file to load, or why there is none.
    pub fn file(self) -> Result<PathBuf, String> {
        match self {
            Self::Ours => ours(),
            Self::Reference4 => present(modules_folder().join("mod_wsgi.so"), "install libapache2-mod-wsgi-py3"),
            Self::Reference6 => reference6(),
        }
    }

    /// Whether the log is ours to audit: a reference may also be named by `MOD_WSGI_RS_MODULE`, to try the tests.
    pub fn is_ours(self) -> bool {
        self == Self::Ours && self.file().is_ok_and(|file| file.ends_with("mod_wsgi_rs.so"))
    }

    /// The name used in the table of deviations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Reference4 => "4.9.4",
            Self::Reference6 => "6.1.1",
        }
    }
}

fn ours() -> Result<PathBuf, String> {
    let path = env::var_os("MOD_WSGI_RS_MODULE")
        .map_or_else(|| workspace().join("target/module/mod_wsgi_rs.so"), PathBuf::from);
    present(path, "run `make build`, or set MOD_WSGI_RS_MODULE to the module")
}

fn reference6() -> Result<PathBuf, String> {
    const ADVICE: &str = "make a venv in target/reference/venv and install mod_wsgi==6.1.1 into it";
    let library = workspace().join("target/reference/venv/lib");
    let mut folders = std::fs::read_dir(&library).into_iter().flatten().flatten();
    let server = folders.find_map(|entry| {
        let server = entry.path().join("site-packages/mod_wsgi/server");
        std::fs::read_dir(server).ok()
    });
    server
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "so"))
        .ok_or_else(|| format!("no module below {}: {ADVICE}", library.display()))
}

fn present(path: PathBuf, advice: &str) -> Result<PathBuf, String> {
    if path.is_file() { Ok(path) } else { Err(format!("{} does not exist: {advice}", path.display())) }
}

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The folder of httpd's own modules.
pub fn modules_folder() -> PathBuf {
    let known = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/local/apache2/modules"];
    let set = env::var_os("MOD_WSGI_RS_HTTPD_MODULES").map(PathBuf::from);
    set.into_iter()
        .chain(known.map(PathBuf::from))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| panic!("httpd's modules are in none of {known:?}; set MOD_WSGI_RS_HTTPD_MODULES"))
}

/// The httpd program.
pub fn httpd_program() -> PathBuf {
    let known = ["/usr/sbin/apache2", "/usr/sbin/httpd", "/usr/local/apache2/bin/httpd"];
    let set = env::var_os("MOD_WSGI_RS_HTTPD").map(PathBuf::from);
    set.into_iter()
        .chain(known.map(PathBuf::from))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("httpd is none of {known:?}; set MOD_WSGI_RS_HTTPD"))
}
