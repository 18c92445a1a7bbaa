// SPDX-License-Identifier: Apache-2.0
//! The Pythons of this machine, as prefixes that httpd's user can read.

use crate::skip;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// The minor versions of CPython 3 that the module is shown with.
pub const MINORS: [u32; 5] = [9, 10, 11, 12, 13];

/// One Python installation with a shared library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Minor version, 11 for 3.11.
    pub minor: u32,
    /// The folder above `bin` and `lib`.
    pub prefix: PathBuf,
}

impl Python {
    /// The Python that suites run with: `MOD_WSGI_RS_TEST_PYTHON` (such as `3.13`) or 3.11.
    pub fn usual() -> Option<Self> {
        let minor = env::var("MOD_WSGI_RS_TEST_PYTHON").ok().and_then(|text| text.strip_prefix("3.")?.parse().ok());
        Self::find(minor.unwrap_or(11))
    }

    /// 3.11 and the newest supported version.
    pub fn versions() -> Vec<Self> {
        [11, 13].into_iter().filter_map(Self::find).collect()
    }

    /// The folders of the shared libraries of all versions, as the dynamic linker wants them.
    pub fn libraries() -> String {
        let all = MINORS.into_iter().filter_map(Self::look).filter(|python| python.prefix != Path::new("/usr"));
        all.map(|python| python.prefix.join("lib").display().to_string()).collect::<Vec<_>>().join(":")
    }

    /// Every supported version.
    pub fn all() -> Vec<Self> {
        MINORS.into_iter().filter_map(Self::find).collect()
    }

    /// A Python of that minor version; a loud skip when the machine has none.
    pub fn find(minor: u32) -> Option<Self> {
        let found = Self::look(minor);
        if found.is_none() {
            skip::skipped(&format!("no Python 3.{minor} with a shared library"));
        }
        found
    }

    fn look(minor: u32) -> Option<Self> {
        let installed = candidates(minor).into_iter().find(|prefix| library(prefix, minor).is_some())?;
        let prefix = if is_readable_by_all(&installed) { installed } else { copy(&installed) };
        Some(Self { minor, prefix })
    }

    /// The Python of the operating system, if it has a shared library.
    pub fn system() -> Option<Self> {
        MINORS
            .into_iter()
            .rev()
            .find(|minor| library(Path::new("/usr"), *minor).is_some())
            .map(|minor| Self { minor, prefix: "/usr".into() })
    }

    /// Its shared library.
    pub fn library(&self) -> PathBuf {
        library(&self.prefix, self.minor).expect("found before")
    }

    /// A command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.prefix.join(format!("bin/python3.{}", self.minor)));
        command.env("LD_LIBRARY_PATH", self.prefix.join("lib")).env_remove("PYTHONHOME").env_remove("PYTHONPATH");
        command
    }

    /// Makes a virtual environment of it, without pip, at `folder`.
    pub fn make_venv(&self, folder: &Path) {
        let output = self.command().args(["-m", "venv", "--without-pip"]).arg(folder).output().expect("python runs");
        assert!(output.status.success(), "venv: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn library(prefix: &Path, minor: u32) -> Option<PathBuf> {
    let name = format!("libpython3.{minor}.so.1.0");
    let multiarch = format!("lib/{}-linux-gnu", env::consts::ARCH);
    let standard = prefix.join(format!("lib/python3.{minor}/os.py"));
    ["lib", "lib64", &multiarch]
        .map(|folder| prefix.join(folder).join(&name))
        .into_iter()
        .find(|path| path.is_file() && standard.is_file())
}

fn candidates(minor: u32) -> Vec<PathBuf> {
    let roots =
        [env::var_os("PYENV_ROOT").map(PathBuf::from), env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"))];
    let mut found: Vec<PathBuf> = roots
        .into_iter()
        .flatten()
        .filter_map(|root| fs::read_dir(root.join("versions")).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&format!("3.{minor}.")))
        })
        .collect();
    found.sort();
    found.extend(["/usr/local", "/usr"].map(PathBuf::from));
    found
}

/// Whether every folder on the way lets others search it.
fn is_readable_by_all(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    path.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o005 == 0o005))
}

/// Copies an installation to a place that is kept between runs.
///
/// The copy is complete or not there: it is made under another name and renamed. Of two processes that make it at the
/// same time one loses, and uses the winner's.
fn copy(prefix: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place =
        env::var_os("MOD_WSGI_RS_PYTHONS").map_or_else(|| PathBuf::from("/var/tmp/mod_wsgi_rs-pythons"), PathBuf::from);
    let target = place.join(prefix.file_name().expect("a version"));
    if target.is_dir() {
        return target;
    }
    let draft = place.join(format!(
        ".{}.{}",
        target.file_name().and_then(|name| name.to_str()).unwrap_or("x"),
        std::process::id()
    ));
    fs::create_dir_all(&draft).expect("a folder for the copy");
    let mut pack = Command::new("tar")
        .arg("-C")
        .arg(prefix)
        .args(["--exclude=test", "--exclude=idlelib", "--exclude=tkinter", "--exclude=config-*", "--exclude=*.a"])
        .args(["--exclude=site-packages", "--exclude=turtledemo", "--exclude=ensurepip", "-cf", "-", "bin", "lib"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar runs");
    let unpacked = Command::new("tar")
        .arg("-C")
        .arg(&draft)
        .args(["--no-same-owner", "-xf", "-"])
        .stdin(pack.stdout.take().expect("a pipe"))
        .status();
    assert!(
        pack.wait().expect("tar ends").success() && unpacked.expect("tar runs").success(),
        "copying {}",
        prefix.display()
    );
    finish_copy(&draft, &place);
    if fs::rename(&draft, &target).is_err() {
        let _ = fs::remove_dir_all(&draft);
        assert!(target.is_dir(), "{} could not be made", target.display());
    }
    target
}

fn finish_copy(draft: &Path, place: &Path) {
    for entry in fs::read_dir(draft.join("lib")).expect("a folder").flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("python3.")) {
            fs::create_dir_all(entry.path().join("site-packages")).expect("a folder");
        }
    }
    for folder in [place, draft] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(draft).status().expect("chmod runs").success());
}
