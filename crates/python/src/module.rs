// SPDX-License-Identifier: Apache-2.0
//! Extension modules: definitions, made at run time because their slots depend on the version of Python, and instances.
//!
//! Called when Python imports the shared object, and on the Python-main thread for each further interpreter.

use crate::abi::Abi;
use crate::callback::{Fill, Function, row};
use crate::object::{Answer, Attached, Object};
use crate::raised::Raised;
use crate::state::attached_module;
use pyo3_ffi as ffi;
use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

/// The definition of an extension module, which lives as long as the process.
#[derive(Debug, Clone, Copy)]
pub struct ModuleDefinition(NonNull<ffi::PyModuleDef>);

// SAFETY: [STATIC] the definition is never freed, and only CPython writes to it, under its own lock.
unsafe impl Send for ModuleDefinition {}
// SAFETY: [STATIC] see above.
unsafe impl Sync for ModuleDefinition {}

impl ModuleDefinition {
    /// Defines a module by the function that fills an instance and by functions of its own. Each call makes another one.
    #[must_use]
    pub fn new(abi: &Abi, name: &'static CStr, fill: Option<Fill>, functions: &[(&'static CStr, Function)]) -> Self {
        let mut slots = Vec::new();
        if let Some(fill) = fill {
            slots.push(ffi::PyModuleDef_Slot { slot: ffi::Py_mod_exec, value: fill as *mut c_void });
        }
        // Numbers and values of slots that the limited API of 3.9 does not know: several interpreters, each with its own
        // GIL (3.12); no need for the GIL to be enabled in builds that can do without (3.13).
        if abi.minor >= 12 {
            slots.push(ffi::PyModuleDef_Slot { slot: 3, value: ptr::without_provenance_mut(2) });
        }
        if abi.minor >= 13 {
            slots.push(ffi::PyModuleDef_Slot { slot: 4, value: ptr::without_provenance_mut(1) });
        }
        slots.push(ffi::PyModuleDef_Slot::default());
        let mut methods: Vec<_> = functions.iter().map(|(name, function)| row(name, *function)).collect();
        methods.push(ffi::PyMethodDef::zeroed());
        let definition = Box::new(ffi::PyModuleDef {
            m_base: ffi::PyModuleDef_HEAD_INIT,
            m_name: name.as_ptr(),
            m_doc: ptr::null(),
            m_size: 0,
            m_methods: methods.leak().as_mut_ptr(),
            m_slots: slots.leak().as_mut_ptr(),
            m_traverse: None,
            m_clear: None,
            m_free: None,
        });
        Self(NonNull::from(Box::leak(definition)))
    }

    /// What the entry point of the shared object returns to Python.
    #[must_use]
    pub fn entry(self, _attached: Attached<'_>) -> *mut ffi::PyObject {
        // SAFETY: [STATIC] the definition lives as long as the process.
        unsafe { ffi::PyModuleDef_Init(self.0.as_ptr()) }
    }

    /// A new instance for the interpreter that is held, made without looking at the file system.
    pub(crate) fn instance<'i>(self, attached: Attached<'i>) -> Answer<'i> {
        let name = Object::text(attached, "_mod_wsgi_rs")?;
        let machinery = attached_module(attached, c"importlib.machinery")?;
        let specification = machinery.call_method(c"ModuleSpec", &[*name, *Object::none(attached)])?;
        let (definition, version) = (self.0.as_ptr(), ffi::PYTHON_ABI_VERSION);
        // SAFETY: [STATIC] the definition lives as long as the process.
        let made = unsafe { ffi::PyModule_FromDefAndSpec2(definition, specification.as_ptr(), version) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        let module = unsafe { Object::owned(attached, made) }?;
        // SAFETY: [GIL] the module was just made from this definition.
        match unsafe { ffi::PyModule_ExecDef(module.as_ptr(), definition) } {
            0 => Ok(module),
            _ => Err(Raised::take(attached)),
        }
    }
}

/// Leaves an `ImportError` for Python, from an entry point that cannot go on.
pub fn refuse_import(message: &CStr) -> *mut ffi::PyObject {
    // SAFETY: [STATIC] a static of Python, set before any module is imported.
    let class = unsafe { ffi::PyExc_ImportError };
    // SAFETY: [GIL] Python calls the entry point.
    unsafe { ffi::PyErr_SetString(class, message.as_ptr()) };
    ptr::null_mut()
}
