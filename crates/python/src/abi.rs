// SPDX-License-Identifier: Apache-2.0
//! The functions of CPython that its limited API of 3.9 lacks, found by name when the module is imported.
//!
//! This is the only file that knows such a name. Filled once per process, before any object of ours exists; read from
//! every thread. Everything else that this crate calls belongs to the limited API of 3.9, so one binary serves every
//! later CPython.

use pyo3_ffi as ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use thiserror::Error;

/// Finds a symbol of the running process by name.
pub type Lookup = fn(&CStr) -> Option<NonNull<c_void>>;

type Object = *mut ffi::PyObject;

/// `Py_buffer`, whose layout has been frozen since 3.0 but which the limited API shows from 3.11 only.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    pub(crate) data: *mut c_void,
    pub(crate) object: Object,
    pub(crate) length: isize,
    pub(crate) item_size: isize,
    pub(crate) read_only: c_int,
    pub(crate) dimensions: c_int,
    pub(crate) format: *mut c_char,
    pub(crate) shape: *mut isize,
    pub(crate) strides: *mut isize,
    pub(crate) suboffsets: *mut isize,
    pub(crate) internal: *mut c_void,
}

impl Buffer {
    pub(crate) const fn empty() -> Self {
        Self {
            data: ptr::null_mut(),
            object: ptr::null_mut(),
            length: 0,
            item_size: 0,
            read_only: 0,
            dimensions: 0,
            format: ptr::null_mut(),
            shape: ptr::null_mut(),
            strides: ptr::null_mut(),
            suboffsets: ptr::null_mut(),
            internal: ptr::null_mut(),
        }
    }
}

/// A contiguous view.
pub(crate) const BUFFER_SIMPLE: c_int = 0;
/// A contiguous view that may be written to.
pub(crate) const BUFFER_WRITABLE: c_int = 1;
/// `METH_FASTCALL`
pub(crate) const METHOD_FASTCALL: c_int = 0x0080;

type Vectorcall = unsafe extern "C" fn(Object, *const Object, usize, Object) -> Object;

/// `PyStatus`, whose layout has not changed since 3.8.
#[repr(C)]
#[derive(Debug)]
pub struct Status {
    /// 0 for success.
    pub(crate) kind: c_int,
    function: *const c_char,
    /// Null, or static text.
    pub(crate) message: *const c_char,
    exit_code: c_int,
}

/// `PyInterpreterConfig`, the same since 3.12.
#[repr(C)]
#[derive(Debug)]
pub struct InterpreterConfig {
    pub(crate) use_main_obmalloc: c_int,
    pub(crate) allow_fork: c_int,
    pub(crate) allow_exec: c_int,
    pub(crate) allow_threads: c_int,
    pub(crate) allow_daemon_threads: c_int,
    pub(crate) check_multi_interp_extensions: c_int,
    pub(crate) gil: c_int,
}

/// `PyInterpreterConfig_OWN_GIL`
pub(crate) const OWN_GIL: c_int = 2;

type NewInterpreter = unsafe extern "C" fn(*mut *mut ffi::PyThreadState, *const InterpreterConfig) -> Status;

/// The functions, by what they do.
#[derive(Debug, Clone, Copy)]
pub struct Abi {
    /// Minor version of the running CPython 3.
    pub minor: u32,
    pub(crate) call: Vectorcall,
    pub(crate) type_from_module_and_spec: unsafe extern "C" fn(Object, *mut ffi::PyType_Spec, Object) -> Object,
    pub(crate) get_buffer: unsafe extern "C" fn(Object, *mut Buffer, c_int) -> c_int,
    pub(crate) release_buffer: unsafe extern "C" fn(*mut Buffer),
    pub(crate) utf8: unsafe extern "C" fn(Object, *mut isize) -> *const c_char,
    pub(crate) resize_bytes: unsafe extern "C" fn(*mut Object, isize) -> c_int,
    pub(crate) first_thread: unsafe extern "C" fn(*mut ffi::PyInterpreterState) -> *mut ffi::PyThreadState,
    pub(crate) next_thread: unsafe extern "C" fn(*mut ffi::PyThreadState) -> *mut ffi::PyThreadState,
    pub(crate) frame: unsafe extern "C" fn(*mut ffi::PyThreadState) -> Object,
    /// 3.12 and later.
    pub(crate) new_interpreter: Option<NewInterpreter>,
    /// 3.12 and later.
    pub(crate) raised: Option<(unsafe extern "C" fn() -> Object, unsafe extern "C" fn(Object))>,
    /// 3.14 and later; a field before.
    pub(crate) reference_count: Option<unsafe extern "C" fn(Object) -> isize>,
}

/// Why the table could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AbiError {
    /// This Python does not export a function that every CPython from 3.9 does.
    #[error("this Python has no function {0}")]
    Missing(String),
    /// Not a Python 3 of a supported version.
    #[error("Python {0} is not supported: CPython 3.9 or later is needed")]
    Version(String),
}

static TABLE: OnceLock<Abi> = OnceLock::new();

/// The table, once [`fill`] has succeeded.
#[must_use]
pub fn table() -> Option<&'static Abi> {
    TABLE.get()
}

/// Turns the address of a function into a function pointer of the type its C declaration has.
macro_rules! function {
    ($lookup:expr, $name:literal) => {
        // SAFETY: [SYMBOL] the name is that of a C function whose declaration is the type this is assigned to.
        $lookup($name).map(|found| unsafe { mem::transmute::<*mut c_void, _>(found.as_ptr()) })
    };
}

fn required<T>(found: Option<T>, name: &str) -> Result<T, AbiError> {
    found.ok_or_else(|| AbiError::Missing(name.to_owned()))
}

/// Fills the table; later calls find it filled.
pub fn fill(lookup: Lookup) -> Result<&'static Abi, AbiError> {
    if let Some(abi) = TABLE.get() {
        return Ok(abi);
    }
    let abi = find(lookup)?;
    Ok(TABLE.get_or_init(|| abi))
}

fn find(lookup: Lookup) -> Result<Abi, AbiError> {
    // 3.9 and 3.10 have PyObject_Vectorcall only as an inline function around this one.
    let call: Option<Vectorcall> =
        function!(lookup, c"PyObject_Vectorcall").or_else(|| function!(lookup, c"PyObject_VectorcallDict"));
    let get: Option<unsafe extern "C" fn() -> Object> = function!(lookup, c"PyErr_GetRaisedException");
    let set: Option<unsafe extern "C" fn(Object)> = function!(lookup, c"PyErr_SetRaisedException");
    Ok(Abi {
        minor: minor_version()?,
        call: required(call, "PyObject_VectorcallDict")?,
        type_from_module_and_spec: required(
            function!(lookup, c"PyType_FromModuleAndSpec"),
            "PyType_FromModuleAndSpec",
        )?,
        get_buffer: required(function!(lookup, c"PyObject_GetBuffer"), "PyObject_GetBuffer")?,
        release_buffer: required(function!(lookup, c"PyBuffer_Release"), "PyBuffer_Release")?,
        utf8: required(function!(lookup, c"PyUnicode_AsUTF8AndSize"), "PyUnicode_AsUTF8AndSize")?,
        resize_bytes: required(function!(lookup, c"_PyBytes_Resize"), "_PyBytes_Resize")?,
        first_thread: required(function!(lookup, c"PyInterpreterState_ThreadHead"), "PyInterpreterState_ThreadHead")?,
        next_thread: required(function!(lookup, c"PyThreadState_Next"), "PyThreadState_Next")?,
        frame: required(function!(lookup, c"PyThreadState_GetFrame"), "PyThreadState_GetFrame")?,
        new_interpreter: function!(lookup, c"Py_NewInterpreterFromConfig"),
        raised: get.zip(set),
        reference_count: function!(lookup, c"Py_REFCNT"),
    })
}

fn minor_version() -> Result<u32, AbiError> {
    // SAFETY: [STATIC] this C function may be called at any time and returns a static string.
    let text = unsafe { ffi::Py_GetVersion() };
    // SAFETY: [STATIC] see above: it is NUL-terminated and never freed.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let mut parts = text.split(|character: char| !character.is_ascii_digit());
    let version =
        parts.next().zip(parts.next()).and_then(|(major, minor)| (major == "3").then_some(minor)?.parse().ok());
    version.filter(|minor| *minor >= 9).ok_or_else(|| AbiError::Version(text.into_owned()))
}
