// SPDX-License-Identifier: Apache-2.0
//! Capsules: addresses that pass through Python. For threads that hold the interpreter.

use crate::object::{Answer, Attached, Object, Ref};
use crate::raised::Raised;
use pyo3_ffi as ffi;
use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

impl<'i> Object<'i> {
    /// A capsule around something that lives as long as the process.
    pub fn capsule<T: Sync>(attached: Attached<'i>, content: &'static T, name: &'static CStr) -> Answer<'i> {
        let content = ptr::from_ref(content).cast_mut().cast::<c_void>();
        // SAFETY: [STATIC] content and name are never freed; nobody writes to the content.
        let made = unsafe { ffi::PyCapsule_New(content, name.as_ptr(), None) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// A capsule without a name around an address that means nothing to us.
    pub fn address(attached: Attached<'i>, address: NonNull<c_void>) -> Answer<'i> {
        // SAFETY: [GIL] any address but null is accepted; without name and destructor it is only kept.
        let made = unsafe { ffi::PyCapsule_New(address.as_ptr(), ptr::null(), None) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }
}

impl<'i> Ref<'i> {
    /// The address in a capsule of that name.
    pub fn capsule_content(&self, name: &CStr) -> Answer<'i, NonNull<c_void>> {
        // SAFETY: [GIL] the object is alive and the name NUL-terminated.
        let found = unsafe { ffi::PyCapsule_GetPointer(self.as_ptr(), name.as_ptr()) };
        NonNull::new(found).ok_or_else(|| Raised::take(self.attached()))
    }

    /// Gives a capsule without a name this one, so that whoever asks for the address without a name is refused.
    pub fn expire(&self, name: &'static CStr) {
        // SAFETY: [GIL] the object is alive and the name static; anything but a capsule is refused.
        if unsafe { ffi::PyCapsule_SetName(self.as_ptr(), name.as_ptr()) } != 0 {
            drop(Raised::take(self.attached()));
        }
    }
}
