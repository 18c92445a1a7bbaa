// SPDX-License-Identifier: Apache-2.0
//! Lists, tuples, dictionaries and iterators. Like everything on objects: for threads that hold the interpreter.

use crate::object::{Answer, Object, Ref};
use crate::raised::Raised;
use pyo3_ffi as ffi;

impl<'i> Ref<'i> {
    /// Length of a `list` or `tuple`.
    #[must_use]
    pub fn sequence_length(&self) -> usize {
        let length = if self.is_list() {
            // SAFETY: [GIL] it is a list.
            unsafe { ffi::PyList_Size(self.as_ptr()) }
        } else {
            // SAFETY: [GIL] the object is alive; other types than tuple are refused with an exception.
            unsafe { ffi::PyTuple_Size(self.as_ptr()) }
        };
        usize::try_from(length).unwrap_or(0)
    }

    /// An item of a `list` or `tuple`; `IndexError` beyond its end (a list can shrink at any time).
    pub fn item(&self, index: usize) -> Answer<'i> {
        let found = if self.is_list() {
            // SAFETY: [GIL] it is a list; the result is borrowed and owned before anything else can run.
            unsafe { ffi::PyList_GetItem(self.as_ptr(), index as isize) }
        } else {
            // SAFETY: [GIL] the object is alive; other types than tuple are refused with an exception.
            unsafe { ffi::PyTuple_GetItem(self.as_ptr(), index as isize) }
        };
        if found.is_null() {
            return Err(Raised::take(self.attached()));
        }
        // SAFETY: [GIL] not null, and alive in its container.
        Ok(unsafe { Ref::borrowed(self.attached(), found) }.own())
    }

    /// Appends to a `list`.
    pub fn append(&self, item: &Ref<'i>) -> Answer<'i, ()> {
        // SAFETY: [GIL] both are alive; anything but a list is refused with an exception.
        match unsafe { ffi::PyList_Append(self.as_ptr(), item.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Raised::take(self.attached())),
        }
    }

    /// A value of a `dict` by key; `None` when it is missing.
    pub fn dict_item(&self, key: &Ref<'i>) -> Answer<'i, Option<Object<'i>>> {
        // SAFETY: [GIL] both are alive; anything but a dict is refused with an exception.
        let found = unsafe { ffi::PyDict_GetItemWithError(self.as_ptr(), key.as_ptr()) };
        if !found.is_null() {
            // SAFETY: [GIL] not null, and alive in its dict.
            return Ok(Some(unsafe { Ref::borrowed(self.attached(), found) }.own()));
        }
        // SAFETY: [GIL] no arguments.
        if unsafe { ffi::PyErr_Occurred() }.is_null() { Ok(None) } else { Err(Raised::take(self.attached())) }
    }

    /// Sets a value of a `dict`.
    pub fn set_dict_item(&self, key: &Ref<'i>, value: &Ref<'i>) -> Answer<'i, ()> {
        // SAFETY: [GIL] all are alive; anything but a dict is refused with an exception.
        match unsafe { ffi::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Raised::take(self.attached())),
        }
    }

    /// Sets a value of a `dict` by name.
    pub fn set_named(&self, key: &str, value: &Ref<'i>) -> Answer<'i, ()> {
        self.set_dict_item(&*Object::text(self.attached(), key)?, value)
    }

    /// A copy of a `dict`.
    pub fn copy_dict(&self) -> Answer<'i> {
        // SAFETY: [GIL] the object is alive; anything but a dict is refused with an exception.
        let made = unsafe { ffi::PyDict_Copy(self.as_ptr()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Object::owned(self.attached(), made) }
    }

    /// `iter(object)`
    pub fn iterator(&self) -> Answer<'i> {
        // SAFETY: [GIL] the object is alive.
        let made = unsafe { ffi::PyObject_GetIter(self.as_ptr()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Object::owned(self.attached(), made) }
    }

    /// `next(iterator)`; `None` at the end.
    pub fn next(&self) -> Answer<'i, Option<Object<'i>>> {
        // SAFETY: [GIL] the object came from `iterator`.
        let made = unsafe { ffi::PyIter_Next(self.as_ptr()) };
        // SAFETY: [GIL] no arguments.
        if made.is_null() && unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Ok(None);
        }
        // SAFETY: [OWNED] the function returned a new reference, or null with an exception.
        unsafe { Object::owned(self.attached(), made) }.map(Some)
    }
}
