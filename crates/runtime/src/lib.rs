// SPDX-License-Identifier: Apache-2.0
//! The extension module `_mod_wsgi_rs`: one shared object that every CPython from 3.9 on imports.
//!
//! Importing it does nothing but offer the [`Table`](model::embedded::Table) of embedded mode as the capsule
//! `embedded`, with the build id as `build_id`, and `serve`, the whole life of a worker process. The httpd module imports it in
//! the thread that initialised Python; a worker's [`BOOTSTRAP`](model::launch::BOOTSTRAP) on Python's main thread.

mod embedded;
mod exchange;
mod preload;
mod worker;

use model::embedded::CAPSULE;
use python::callback;
use python::module::ModuleDefinition;
use python::object::{Answer, Attached, Object, Ref};
use std::ffi::CString;
use std::sync::OnceLock;

python::module_function!(c_serve, worker::serve);
python::module_fill!(fill, fill_module);
python::module_entry!(PyInit__mod_wsgi_rs, unix::library::symbol, definition);

/// Adds the attributes of the module. Called by Python for each interpreter's instance.
fn fill_module<'i>(attached: Attached<'i>, module: Ref<'i>) -> Answer<'i, ()> {
    static NAME: OnceLock<CString> = OnceLock::new();
    let name = NAME.get_or_init(|| CString::new(CAPSULE).unwrap_or_default());
    module.set_attribute(c"build_id", &*Object::text(attached, model::BUILD_ID)?)?;
    module.set_attribute(c"embedded", &*Object::capsule(attached, embedded::table(), name)?)
}

/// The definition of the module, made at the first import.
pub(crate) fn definition(attached: Attached<'_>) -> Answer<'_, ModuleDefinition> {
    static DEFINITION: OnceLock<ModuleDefinition> = OnceLock::new();
    callback::silence_panics();
    let make = || ModuleDefinition::new(attached.abi(), c"_mod_wsgi_rs", Some(fill), &[(c"serve", c_serve)]);
    Ok(*DEFINITION.get_or_init(make))
}
