// SPDX-License-Identifier: Apache-2.0
//! The extension module `_mod_wsgi_rs`: one shared object that every CPython from 3.9 on imports.
//!
//! Importing it does nothing but offer the [`Table`](model::embedded::Table) of embedded mode as the capsule
//! `embedded`, with the build id as `build_id`. The httpd module imports it in the thread that initialised Python.

mod embedded;
mod exchange;

use model::embedded::CAPSULE;
use pyo3_ffi as ffi;
use python::object::{Answer, Attached, Object, Ref};
use python::process::ModuleDefinition;
use python::raised::{Kind, Raised};
use python::{abi, callback};
use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

python::module_function!(fill, fill_module);

/// Adds the attributes of the module. Called by Python for each interpreter's instance.
fn fill_module<'i>(attached: Attached<'i>, module: Ref<'i>) -> Answer<'i, ()> {
    module.set_attribute(c"build_id", &*Object::text(attached, model::BUILD_ID)?)?;
    static NAME: OnceLock<CString> = OnceLock::new();
    let name = NAME.get_or_init(|| CString::new(CAPSULE).unwrap_or_default());
    let table = ptr::from_ref(embedded::table()).cast_mut().cast::<c_void>();
    // SAFETY: [STATIC] table and name are never freed; nobody writes to the table.
    let made = unsafe { ffi::PyCapsule_New(table, name.as_ptr(), None) };
    // SAFETY: [OWNED] the function returns a new reference or null with an exception.
    let capsule = unsafe { Object::owned(attached, made) }?;
    module.set_attribute(c"embedded", &capsule)
}

/// The definition of the module, made at the first import because its slots depend on the version of Python.
pub(crate) fn definition() -> Option<ModuleDefinition> {
    static DEFINITION: OnceLock<ModuleDefinition> = OnceLock::new();
    let abi = abi::table()?;
    Some(*DEFINITION.get_or_init(|| {
        let mut slots = vec![ffi::PyModuleDef_Slot { slot: ffi::Py_mod_exec, value: fill as *const () as *mut c_void }];
        // Numbers and values of slots that the limited API of 3.9 does not know: several interpreters, each with its own
        // GIL (3.12); no need for the GIL to be enabled in builds that can do without (3.13).
        if abi.minor >= 12 {
            slots.push(ffi::PyModuleDef_Slot { slot: 3, value: ptr::without_provenance_mut(2) });
        }
        if abi.minor >= 13 {
            slots.push(ffi::PyModuleDef_Slot { slot: 4, value: ptr::without_provenance_mut(1) });
        }
        slots.push(ffi::PyModuleDef_Slot::default());
        let definition = Box::new(ffi::PyModuleDef {
            m_base: ffi::PyModuleDef_HEAD_INIT,
            m_name: c"_mod_wsgi_rs".as_ptr(),
            m_doc: c"The part of mod_wsgi_rs that runs inside Python.".as_ptr(),
            m_size: 0,
            m_methods: ptr::null_mut(),
            m_slots: slots.leak().as_mut_ptr(),
            m_traverse: None,
            m_clear: None,
            m_free: None,
        });
        // SAFETY: [STATIC] the definition is leaked.
        unsafe { ModuleDefinition::new(NonNull::from(Box::leak(definition))) }
    }))
}

/// Entry point of `import _mod_wsgi_rs`. Called by Python, holding an interpreter.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "Python prescribes the name")]
pub extern "C" fn PyInit__mod_wsgi_rs() -> *mut ffi::PyObject {
    callback::silence_panics();
    if let Err(error) = abi::fill(unix::library::symbol) {
        let message = CString::new(error.to_string()).unwrap_or_default();
        // SAFETY: [STATIC] a static of Python, set before any module is imported.
        let class = unsafe { ffi::PyExc_ImportError };
        // SAFETY: [GIL] Python calls this function.
        unsafe { ffi::PyErr_SetString(class, message.as_ptr()) };
        return ptr::null_mut();
    }
    // SAFETY: [GIL] Python calls this function.
    let entered = unsafe { callback::Entered::by_python() };
    entered.fence("PyInit__mod_wsgi_rs", ptr::null_mut(), |attached| {
        let definition =
            definition().ok_or_else(|| Raised::new(attached, Kind::System, "the module has no definition"))?;
        // SAFETY: [STATIC] the definition lives as long as the process.
        Ok(unsafe { ffi::PyModuleDef_Init(definition.as_ptr()) })
    })
}
