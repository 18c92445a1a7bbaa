// SPDX-License-Identifier: Apache-2.0
//! A Python exception as a Rust value. No function of this crate returns with an exception pending, except the
//! callbacks when they return to Python.

use crate::object::{Answer, Attached, Object, Ref};
use crate::state::State;
use pyo3_ffi as ffi;
use std::ptr;

/// An exception, taken from the thread state.
#[derive(Debug, Clone)]
pub struct Raised<'i> {
    exception: Object<'i>,
}

/// The built-in exceptions that our own code raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `TypeError`
    Type,
    /// `ValueError`
    Value,
    /// `RuntimeError`
    Runtime,
    /// `OSError`
    Os,
    /// `SystemError`
    System,
}

impl Kind {
    fn class(self) -> *mut ffi::PyObject {
        match self {
            // SAFETY: [STATIC] a static of Python, set before any module is imported.
            Self::Type => unsafe { ffi::PyExc_TypeError },
            // SAFETY: [STATIC] a static of Python, set before any module is imported.
            Self::Value => unsafe { ffi::PyExc_ValueError },
            // SAFETY: [STATIC] a static of Python, set before any module is imported.
            Self::Runtime => unsafe { ffi::PyExc_RuntimeError },
            // SAFETY: [STATIC] a static of Python, set before any module is imported.
            Self::Os => unsafe { ffi::PyExc_OSError },
            // SAFETY: [STATIC] a static of Python, set before any module is imported.
            Self::System => unsafe { ffi::PyExc_SystemError },
        }
    }
}

impl<'i> Raised<'i> {
    /// Takes the pending exception out of the thread state.
    pub(crate) fn take(attached: Attached<'i>) -> Self {
        let pointer = match attached.abi().raised {
            // SAFETY: [GIL] no arguments; returns a reference that we own, or null.
            Some((get, _)) => unsafe { get() },
            None => take_before_3_12(),
        };
        if pointer.is_null() {
            return Self::new(attached, Kind::System, "a Python function failed without an exception");
        }
        // SAFETY: [OWNED] not null, and ours.
        match unsafe { Object::owned(attached, pointer) } {
            Ok(exception) => Self { exception },
            Err(raised) => raised,
        }
    }

    /// A new exception.
    pub fn new(attached: Attached<'i>, kind: Kind, message: &str) -> Self {
        // SAFETY: [STATIC] the built-in exceptions live as long as Python.
        let class = unsafe { Ref::borrowed(attached, kind.class()) };
        Self::of(&class, message)
    }

    /// A new exception of a class, or the exception that making it raised.
    pub fn of(class: &Ref<'i>, message: &str) -> Self {
        let made = Object::text(class.attached(), message).and_then(|text| class.call(&[*text]));
        match made {
            Ok(exception) => Self { exception },
            Err(raised) => raised,
        }
    }

    /// Makes the exception pending, for return to Python.
    #[allow(deprecated, reason = "before 3.12 there is nothing else")]
    pub(crate) fn restore(self) {
        let Self { exception } = self;
        if let Some((_, set)) = exception.attached().abi().raised {
            // SAFETY: [GIL] the reference is given away.
            unsafe { set(exception.into_ptr()) };
            return;
        }
        let kind = exception.kind().cast::<ffi::PyObject>();
        // SAFETY: [GIL] the exception is alive; the result is a reference that we own, or null.
        let traceback = unsafe { ffi::PyException_GetTraceback(exception.as_ptr()) };
        // SAFETY: [GIL] a type is alive as long as its instance.
        unsafe { ffi::Py_IncRef(kind) };
        // SAFETY: [GIL] all three references are given away.
        unsafe { ffi::PyErr_Restore(kind, exception.into_ptr(), traceback) };
    }

    /// The exception object.
    #[must_use]
    pub fn exception(&self) -> &Object<'i> {
        &self.exception
    }

    pub(crate) fn is_attribute_error(&self) -> bool {
        // SAFETY: [STATIC] a static of Python, set before any module is imported.
        let class = unsafe { ffi::PyExc_AttributeError };
        // SAFETY: [GIL] both are alive.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.exception.as_ptr(), class) != 0 }
    }

    /// Whether it is `SystemExit`.
    pub(crate) fn is_exit(&self) -> bool {
        // SAFETY: [STATIC] a static of Python, set before any module is imported.
        let class = unsafe { ffi::PyExc_SystemExit };
        // SAFETY: [GIL] both are alive.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.exception.as_ptr(), class) != 0 }
    }

    /// A line for a log: type and message, as far as they can be had.
    #[must_use]
    pub fn summary(&self) -> String {
        let kind = self.exception.kind_name();
        match self.message() {
            Ok(message) if message.is_empty() => kind,
            Ok(message) => format!("{kind}: {}", message.replace(['\n', '\r'], " ")),
            Err(_) => kind,
        }
    }

    /// Summary and traceback for a log; the summary alone when Python cannot format more.
    #[must_use]
    pub fn describe(&self, state: State) -> (String, Vec<Vec<u8>>) {
        let attached = self.exception.attached();
        let described = state.tools(attached).describe.borrow(attached).call(&[*self.exception]);
        let text = described.ok().and_then(|text| text.as_bytes().map(<[u8]>::to_vec));
        let Some(text) = text else { return (self.summary(), Vec::new()) };
        let mut lines = text.split(|byte| *byte == b'\n');
        let summary = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        (summary, lines.map(<[u8]>::to_vec).collect())
    }

    fn message(&self) -> Answer<'i, String> {
        // SAFETY: [GIL] the exception is alive.
        let made = unsafe { ffi::PyObject_Str(self.exception.as_ptr()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Object::owned(self.exception.attached(), made) }?.to_utf8()
    }
}

#[allow(deprecated, reason = "before 3.12 there is nothing else")]
fn take_before_3_12() -> *mut ffi::PyObject {
    let (mut kind, mut value, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: [GIL] the three places are written with references that we then own.
    unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback) };
    if kind.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: [GIL] the three places hold references of ours or null, and are written with such.
    unsafe { ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback) };
    if !traceback.is_null() && !value.is_null() {
        // SAFETY: [GIL] the value is an exception after normalising, the traceback one.
        unsafe { ffi::PyException_SetTraceback(value, traceback) };
    }
    // SAFETY: [OWNED] our reference or null, given up once.
    unsafe { ffi::Py_DecRef(traceback) };
    // SAFETY: [OWNED] our reference or null, given up once.
    unsafe { ffi::Py_DecRef(kind) };
    value
}
