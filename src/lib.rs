// SPDX-License-Identifier: Apache-2.0
//! `mod_wsgi_rs.so`: the part of mod_wsgi_rs that lives inside Apache httpd.
//!
//! `handler.rs` tells the story of a request; `config.rs` turns the directive tables of the `model` crate into httpd's; `apache/`
//! has safe views of httpd's structures; `embedded/` starts Python inside a child. Nothing here names a Python symbol: Python
//! is reached through a table of C functions that the extension module offers.

mod alias;
mod apache;
mod boundary;
mod config;
mod daemon;
mod embedded;
mod environ;
mod exchange;
mod facts;
mod ffi;
mod handler;
mod routes;
mod verify;

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_ulong};
use std::ptr;

/// The module record in a place that httpd may write to.
#[repr(transparent)]
pub struct ModuleRecord(UnsafeCell<ffi::module>);

// SAFETY: [MODULE] httpd writes to the record only while it loads modules, in one thread; later everybody only reads.
unsafe impl Sync for ModuleRecord {}

/// What `LoadModule wsgi_module` looks for.
// SAFETY: [MODULE] the name is the one that configurations use; nothing else of this process has it.
#[unsafe(no_mangle)]
pub static wsgi_module: ModuleRecord = ModuleRecord(UnsafeCell::new(ffi::module {
    version: ffi::MODULE_MAGIC_NUMBER_MAJOR,
    minor_version: ffi::MODULE_MAGIC_NUMBER_MINOR,
    module_index: -1,
    name: c"mod_wsgi.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: ffi::MODULE_MAGIC_COOKIE as c_ulong,
    rewrite_args: None,
    create_dir_config: Some(config::create_directory),
    merge_dir_config: Some(config::merge_directory),
    create_server_config: Some(config::create_server),
    merge_server_config: Some(config::merge_server),
    cmds: config::commands(),
    register_hooks: Some(apache::hooks::register),
    flags: 0,
}));

/// The module record for httpd's functions.
pub(crate) fn module() -> *mut ffi::module {
    wsgi_module.0.get()
}

/// Where our entry lies in httpd's vectors of module configurations.
pub(crate) fn module_index() -> c_int {
    // SAFETY: [MODULE] set by httpd when it loaded the module, before it calls anything of ours.
    unsafe { (*wsgi_module.0.get()).module_index }
}
