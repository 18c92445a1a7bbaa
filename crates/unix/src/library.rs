// SPDX-License-Identifier: Apache-2.0
//! The dynamic linker, asked by name.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// The address of a symbol that some object of this process exports to all others.
#[must_use]
pub fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: [STATIC] the name is NUL-terminated, and looking a name up runs no code of the library.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// A shared library that stays loaded until the process ends.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    handle: NonNull<c_void>,
}

impl Library {
    /// Loads the library at `path` with its symbols visible to libraries loaded later; the error is the linker's text.
    pub fn load(path: &CStr) -> Result<Self, String> {
        let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL | libc::RTLD_NODELETE;
        // SAFETY: [LINKER] the path is NUL-terminated. Initialisers of the library run: the caller chose a library to trust.
        NonNull::new(unsafe { libc::dlopen(path.as_ptr(), flags) }).map(|handle| Self { handle }).ok_or_else(last_error)
    }

    /// The address of a symbol of this library or one it needs.
    #[must_use]
    pub fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: [LINKER] the handle stays valid because the library is never closed.
        NonNull::new(unsafe { libc::dlsym(self.handle.as_ptr(), name.as_ptr()) })
    }
}

fn last_error() -> String {
    // SAFETY: [LINKER] the text belongs to this thread until its next call of the linker.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "unknown reason".to_owned();
    }
    // SAFETY: [LINKER] not null, and NUL-terminated.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The paths of all files that are mapped into this process.
#[must_use]
pub fn mapped() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut paths: Vec<_> = maps.lines().filter_map(|line| Some(line.get(line.find('/')?..)?.to_owned())).collect();
    paths.dedup();
    paths
}

/// The shared object that contains the data at `place`.
#[must_use]
pub fn file_of<T>(place: &'static T) -> Option<std::path::PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: [LINKER] any address may be asked about; the answer goes to a local.
    let found = unsafe { libc::dladdr(std::ptr::from_ref(place).cast(), &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: [LINKER] the object's name, NUL-terminated, alive as long as the object.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(std::ffi::OsStr::from_bytes(name.to_bytes()).into())
}
