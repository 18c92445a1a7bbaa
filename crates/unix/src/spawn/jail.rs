// SPDX-License-Identifier: Apache-2.0
//! Another root for a worker. The directory of the runtime files is outside of it, and whoever has a descriptor of a directory
//! outside can walk out through it. So that descriptor is gone before the interpreter starts, which runs code of the user
//! (`.pth` files) before ours. In its place is the same directory inside the new root, or the extension alone, in memory.

use super::steps::put;
use crate::program;
use model::launch::control::RUNTIME;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The extension that every Python can load which is not free-threaded.
const EXTENSION: &str = "_mod_wsgi_rs.abi3.so";

/// What is brought along from the outside.
pub(super) struct Jail {
    root: String,
    /// The path of the runtime files, outside.
    runtime: PathBuf,
    /// The extension, sealed; closed on exec. There may be only those that were built for one Python each.
    extension: Option<OwnedFd>,
}

/// Makes `root` the root and the working directory. The descriptor of the runtime files is outside until [`Jail::settle`].
pub(super) fn enter(root: &str) -> Result<Jail, String> {
    let failed = |error: io::Error| format!("chroot '{root}': {error}");
    let place = PathBuf::from(format!("/proc/self/fd/{RUNTIME}"));
    let runtime = fs::read_link(&place).map_err(failed)?;
    let content = fs::read(place.join(EXTENSION)).ok();
    let extension = content.map(|content| program::sealed(EXTENSION, &content)).transpose().map_err(failed)?;
    nix::unistd::chroot(root).and_then(|()| nix::unistd::chdir("/")).map_err(|error| failed(error.into()))?;
    Ok(Jail { root: root.to_owned(), runtime, extension })
}

impl Jail {
    /// Replaces the descriptor of the runtime files, as the user, by one that leads nowhere outside.
    pub(super) fn settle(self) -> Result<(), String> {
        let Self { root, runtime, extension } = self;
        let failed = |error: io::Error| format!("chroot '{root}': {error}");
        if has_extension(&runtime) {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
            let inside = OpenOptions::new().read(true).custom_flags(flags).open(&runtime).map_err(failed)?;
            return put(&inside.into(), RUNTIME, 0).map_err(failed);
        }
        if let Some(extension) = extension {
            put(&extension, RUNTIME, 0).map_err(failed)?;
            // Libraries are loaded by name, and this is the only one that a file in memory has.
            if fs::metadata(format!("/proc/self/fd/{RUNTIME}")).is_ok() {
                return Ok(());
            }
        }
        let missing = runtime.join(EXTENSION);
        Err(format!("chroot '{root}' has neither '{}' nor a /proc that is mounted", missing.display()))
    }
}

fn has_extension(directory: &Path) -> bool {
    let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("_mod_wsgi_rs."))
}
