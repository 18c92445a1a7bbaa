// SPDX-License-Identifier: Apache-2.0
//! Python objects as values: what holds an interpreter, what owns a reference, and the conversions between Python and
//! Rust that the WSGI code needs.
//!
//! Reference counts change only through the functions `Py_IncRef` and `Py_DecRef` of the running Python, because how
//! they are kept differs from version to version.

use crate::abi::Abi;
use crate::raised::Raised;
use pyo3_ffi as ffi;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Shows that the calling thread holds an interpreter, for as long as `'i`.
#[derive(Debug, Clone, Copy)]
pub struct Attached<'i> {
    abi: &'static Abi,
    bound: PhantomData<(&'i (), *mut ())>,
}

/// Takes the interpreter back when a detached section ends, also by a panic.
struct Detached(*mut ffi::PyThreadState);

impl Drop for Detached {
    fn drop(&mut self) {
        // SAFETY: [THREAD] the state was saved by this thread in `Attached::detached` and is its own.
        unsafe { ffi::PyEval_RestoreThread(self.0) };
    }
}

impl<'i> Attached<'i> {
    /// # Safety
    ///
    /// The calling thread holds an interpreter and keeps it for `'i`, except inside [`Attached::detached`].
    #[must_use]
    pub unsafe fn assume(abi: &'static Abi) -> Self {
        Self { abi, bound: PhantomData }
    }

    /// The functions outside the limited API.
    #[must_use]
    pub fn abi(self) -> &'static Abi {
        self.abi
    }

    /// Runs `work` without the interpreter, so that other threads can have it.
    ///
    /// `Send` keeps Python objects out of `work`: none of ours is.
    pub fn detached<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        // SAFETY: [GIL] this thread holds the interpreter; it is taken back before the token can be used again.
        let held = Detached(unsafe { ffi::PyEval_SaveThread() });
        let result = work();
        drop(held);
        result
    }
}

/// A borrowed view of a Python object that somebody else keeps alive for `'i`.
#[derive(Debug, Clone, Copy)]
pub struct Ref<'i> {
    pointer: NonNull<ffi::PyObject>,
    attached: Attached<'i>,
}

/// An owned reference to a Python object, given up when dropped.
#[derive(Debug)]
pub struct Object<'i>(Ref<'i>);

impl<'i> Deref for Object<'i> {
    type Target = Ref<'i>;

    fn deref(&self) -> &Ref<'i> {
        &self.0
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: [OWNED] the reference is ours and is given up once; the token shows that the interpreter is held.
        unsafe { ffi::Py_DecRef(self.0.pointer.as_ptr()) };
    }
}

impl Clone for Object<'_> {
    fn clone(&self) -> Self {
        self.0.own()
    }
}

/// The result of an operation that can raise a Python exception.
pub type Answer<'i, T = Object<'i>> = Result<T, Raised<'i>>;

impl<'i> Object<'i> {
    /// Takes over the reference that a C function returned, or the exception that it left when it returned null.
    ///
    /// # Safety
    ///
    /// `pointer` is null with an exception set, or a reference that the caller owns.
    pub unsafe fn owned(attached: Attached<'i>, pointer: *mut ffi::PyObject) -> Answer<'i> {
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Self(Ref { pointer, attached })),
            None => Err(Raised::take(attached)),
        }
    }

    /// Gives the reference to a C caller.
    #[must_use]
    pub fn into_ptr(self) -> *mut ffi::PyObject {
        let pointer = self.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// `str` of the text.
    pub fn text(attached: Attached<'i>, text: &str) -> Answer<'i> {
        let (start, length) = parts(text.as_bytes());
        // SAFETY: [GIL] start and length are those of a live slice, which the function copies.
        let made = unsafe { ffi::PyUnicode_FromStringAndSize(start, length) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// `str` with one character per byte.
    pub fn latin1(attached: Attached<'i>, text: &[u8]) -> Answer<'i> {
        let (start, length) = parts(text);
        // SAFETY: [GIL] start and length are those of a live slice, which the function copies.
        let made = unsafe { ffi::PyUnicode_DecodeLatin1(start, length, ptr::null()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// `str` decoded with the file system encoding, as latin-1 where that fails.
    pub fn file_system(attached: Attached<'i>, text: &[u8]) -> Answer<'i> {
        let (start, length) = parts(text);
        // SAFETY: [GIL] start and length are those of a live slice, which the function copies.
        let made = unsafe { ffi::PyUnicode_DecodeFSDefaultAndSize(start, length) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }.or_else(|_| Self::latin1(attached, text))
    }

    /// `bytes`
    pub fn bytes(attached: Attached<'i>, data: &[u8]) -> Answer<'i> {
        let (start, length) = parts(data);
        // SAFETY: [GIL] start and length are those of a live slice, which the function copies.
        let made = unsafe { ffi::PyBytes_FromStringAndSize(start, length) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// `int`
    pub fn integer(attached: Attached<'i>, number: i64) -> Answer<'i> {
        // SAFETY: [GIL] any number is accepted.
        let made = unsafe { ffi::PyLong_FromLongLong(number) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// `float`
    pub fn float(attached: Attached<'i>, number: f64) -> Answer<'i> {
        // SAFETY: [GIL] any number is accepted.
        let made = unsafe { ffi::PyFloat_FromDouble(number) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// `True` or `False`
    pub fn boolean(attached: Attached<'i>, value: bool) -> Answer<'i> {
        // SAFETY: [GIL] any number is accepted.
        let made = unsafe { ffi::PyBool_FromLong(value.into()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }

    /// `None`
    pub fn none(attached: Attached<'i>) -> Self {
        // SAFETY: [STATIC] None lives as long as Python.
        let none = unsafe { ffi::Py_None() };
        // SAFETY: [STATIC] see above.
        unsafe { Ref::borrowed(attached, none) }.own()
    }

    /// A `tuple` of the items.
    pub fn tuple(attached: Attached<'i>, items: &[Ref<'i>]) -> Answer<'i> {
        // SAFETY: [GIL] any length is accepted.
        let made = unsafe { ffi::PyTuple_New(items.len() as isize) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        let tuple = unsafe { Self::owned(attached, made) }?;
        for (index, item) in items.iter().enumerate() {
            let given = item.own().into_ptr();
            // SAFETY: [GIL] the tuple is new and seen by nobody else; the reference is given away.
            unsafe { ffi::PyTuple_SetItem(tuple.as_ptr(), index as isize, given) };
        }
        Ok(tuple)
    }

    /// An empty `dict`.
    pub fn dict(attached: Attached<'i>) -> Answer<'i> {
        // SAFETY: [GIL] no arguments.
        let made = unsafe { ffi::PyDict_New() };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Self::owned(attached, made) }
    }
}

fn parts(data: &[u8]) -> (*const c_char, isize) {
    (data.as_ptr().cast(), data.len() as isize)
}

impl<'i> Ref<'i> {
    /// # Safety
    ///
    /// `pointer` is an object (not null) that stays alive for `'i`.
    pub unsafe fn borrowed(attached: Attached<'i>, pointer: *mut ffi::PyObject) -> Self {
        // SAFETY: [OWNED] the caller promises that it is not null.
        let pointer = unsafe { NonNull::new_unchecked(pointer) };
        Self { pointer, attached }
    }

    /// A reference of one's own.
    #[must_use]
    pub fn own(&self) -> Object<'i> {
        // SAFETY: [GIL] the object is alive for 'i.
        unsafe { ffi::Py_IncRef(self.as_ptr()) };
        Object(*self)
    }

    /// Keeps the object beyond this attachment.
    #[must_use]
    pub fn keep(&self) -> Kept {
        Kept(AtomicPtr::new(self.own().into_ptr()))
    }

    /// The token this was made with.
    #[must_use]
    pub fn attached(&self) -> Attached<'i> {
        self.attached
    }

    /// The object for a C function.
    #[must_use]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.pointer.as_ptr()
    }

    /// The object's type.
    #[must_use]
    pub(crate) fn kind(&self) -> *mut ffi::PyTypeObject {
        // SAFETY: [GIL] the object is alive.
        unsafe { ffi::Py_TYPE(self.as_ptr()) }
    }

    fn has_flag(&self, flag: std::ffi::c_ulong) -> bool {
        // SAFETY: [GIL] an object's type is alive with it.
        let flags = unsafe { ffi::PyType_GetFlags(self.kind()) };
        flags & flag != 0
    }

    /// Whether this is `bytes` or a subclass.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        self.kind() == &raw mut ffi::PyBytes_Type || self.has_flag(ffi::Py_TPFLAGS_BYTES_SUBCLASS)
    }

    /// Whether this is `str` or a subclass.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.kind() == &raw mut ffi::PyUnicode_Type || self.has_flag(ffi::Py_TPFLAGS_UNICODE_SUBCLASS)
    }

    /// Whether this is `list` or a subclass.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.kind() == &raw mut ffi::PyList_Type || self.has_flag(ffi::Py_TPFLAGS_LIST_SUBCLASS)
    }

    /// Whether this is `tuple` or a subclass.
    #[must_use]
    pub fn is_tuple(&self) -> bool {
        self.kind() == &raw mut ffi::PyTuple_Type || self.has_flag(ffi::Py_TPFLAGS_TUPLE_SUBCLASS)
    }

    /// Whether this is a `list` and no subclass.
    #[must_use]
    pub fn is_exactly_list(&self) -> bool {
        self.kind() == &raw mut ffi::PyList_Type
    }

    /// Whether this is a `tuple` and no subclass.
    #[must_use]
    pub fn is_exactly_tuple(&self) -> bool {
        self.kind() == &raw mut ffi::PyTuple_Type
    }

    /// Whether this is `None`.
    #[must_use]
    pub fn is_none(&self) -> bool {
        // SAFETY: [STATIC] None lives as long as Python.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// The name of the object's type, for messages.
    #[must_use]
    pub fn kind_name(&self) -> String {
        // SAFETY: [GIL] a type is an object and alive as long as its instance.
        let kind = unsafe { Ref::borrowed(self.attached, self.kind().cast()) };
        kind.attribute(c"__name__").and_then(|name| name.to_utf8()).unwrap_or_else(|_| "object".to_owned())
    }

    /// The data of a `bytes` object, borrowed from it; `None` for anything else.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if !self.is_bytes() {
            return None;
        }
        // SAFETY: [GIL] it is a bytes object.
        let start = unsafe { ffi::PyBytes_AsString(self.as_ptr()) };
        // SAFETY: [GIL] it is a bytes object.
        let length = unsafe { ffi::PyBytes_Size(self.as_ptr()) };
        // SAFETY: [BYTES] bytes never change and live as long as their object, which this borrow keeps.
        Some(unsafe { slice::from_raw_parts(start.cast(), length as usize) })
    }

    /// The UTF-8 form of a `str`, borrowed from it; an exception for lone surrogates and other types.
    pub fn as_utf8(&self) -> Answer<'i, &[u8]> {
        let mut length = 0;
        // SAFETY: [GIL] the object is alive; other types raise TypeError.
        let start = unsafe { (self.attached.abi.utf8)(self.as_ptr(), &raw mut length) };
        if start.is_null() {
            return Err(Raised::take(self.attached));
        }
        // SAFETY: [BYTES] the form is cached in the object and lives as long as it, which this borrow keeps.
        Ok(unsafe { slice::from_raw_parts(start.cast(), length as usize) })
    }

    /// A copy of a `str`.
    pub fn to_utf8(&self) -> Answer<'i, String> {
        self.as_utf8().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Appends the latin-1 form of a `str`; `UnicodeEncodeError` if it has none.
    pub fn append_latin1(&self, into: &mut Vec<u8>) -> Answer<'i, ()> {
        if let Ok(text) = self.as_utf8() {
            if text.is_ascii() {
                into.extend_from_slice(text);
                return Ok(());
            }
        }
        // SAFETY: [GIL] the object is alive; other types raise TypeError.
        let made = unsafe { ffi::PyUnicode_AsLatin1String(self.as_ptr()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        let encoded = unsafe { Object::owned(self.attached, made) }?;
        into.extend_from_slice(encoded.as_bytes().unwrap_or_default());
        Ok(())
    }

    /// The value of an `int` or of anything with `__index__`.
    pub fn to_index(&self) -> Answer<'i, isize> {
        // SAFETY: [GIL] the object is alive; null makes huge numbers clip instead of raising.
        let number = unsafe { ffi::PyNumber_AsSsize_t(self.as_ptr(), ptr::null_mut()) };
        // SAFETY: [GIL] no arguments.
        if number == -1 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(Raised::take(self.attached));
        }
        Ok(number)
    }

    /// Whether Python counts the object as true.
    pub fn is_true(&self) -> Answer<'i, bool> {
        // SAFETY: [GIL] the object is alive.
        match unsafe { ffi::PyObject_IsTrue(self.as_ptr()) } {
            -1 => Err(Raised::take(self.attached)),
            answer => Ok(answer != 0),
        }
    }

    /// An attribute.
    pub fn attribute(&self, name: &CStr) -> Answer<'i> {
        // SAFETY: [GIL] the object is alive and the name NUL-terminated.
        let found = unsafe { ffi::PyObject_GetAttrString(self.as_ptr(), name.as_ptr()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Object::owned(self.attached, found) }
    }

    /// An attribute that may be missing (`AttributeError`).
    pub fn optional_attribute(&self, name: &CStr) -> Answer<'i, Option<Object<'i>>> {
        match self.attribute(name) {
            Ok(found) => Ok(Some(found)),
            Err(raised) if raised.is_attribute_error() => Ok(None),
            Err(raised) => Err(raised),
        }
    }

    /// Calls the object with positional arguments.
    pub fn call<const N: usize>(&self, arguments: &[Ref<'i>; N]) -> Answer<'i> {
        let pointers = arguments.map(|argument| argument.as_ptr());
        // SAFETY: [GIL] callable and arguments are alive, and there are N of them.
        let made = unsafe { (self.attached.abi.call)(self.as_ptr(), pointers.as_ptr(), N, ptr::null_mut()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Object::owned(self.attached, made) }
    }

    /// Calls a method.
    pub fn call_method<const N: usize>(&self, name: &CStr, arguments: &[Ref<'i>; N]) -> Answer<'i> {
        self.attribute(name)?.call(arguments)
    }

    /// Sets an attribute.
    pub fn set_attribute(&self, name: &CStr, value: &Ref<'i>) -> Answer<'i, ()> {
        // SAFETY: [GIL] all are alive and the name NUL-terminated.
        match unsafe { ffi::PyObject_SetAttrString(self.as_ptr(), name.as_ptr(), value.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Raised::take(self.attached)),
        }
    }

    /// `isinstance(object, kind)`
    pub fn is_instance(&self, kind: &Ref<'i>) -> Answer<'i, bool> {
        if self.kind().cast() == kind.as_ptr() {
            return Ok(true);
        }
        // SAFETY: [GIL] both are alive.
        match unsafe { ffi::PyObject_IsInstance(self.as_ptr(), kind.as_ptr()) } {
            -1 => Err(Raised::take(self.attached)),
            answer => Ok(answer != 0),
        }
    }

    /// How many references there are to the object.
    #[must_use]
    pub fn reference_count(&self) -> isize {
        match self.attached.abi.reference_count {
            // SAFETY: [GIL] the object is alive.
            Some(function) => unsafe { function(self.as_ptr()) },
            // SAFETY: [GIL] the object is alive; before 3.14 the count is its first field.
            None => unsafe { self.as_ptr().cast::<isize>().read() },
        }
    }
}

/// A reference that outlives an attachment.
///
/// It can move between threads because it is only touched through a token, and each is reached only through the
/// interpreter it lives in ([HOME] in SAFETY.md). It is given up by [`Kept::release`]; one that is dropped without
/// is leaked, which is the only thing possible without holding its interpreter.
#[derive(Debug)]
pub struct Kept(AtomicPtr<ffi::PyObject>);

impl Kept {
    /// The object; `None` (the Python one) once it was released.
    #[must_use]
    pub fn bind<'i>(&self, attached: Attached<'i>) -> Object<'i> {
        self.borrow(attached).own()
    }

    /// The object without a reference of one's own; whoever holds `self` keeps it alive.
    #[must_use]
    pub fn borrow<'i>(&self, attached: Attached<'i>) -> Ref<'i> {
        let pointer = self.0.load(Ordering::Relaxed);
        if pointer.is_null() {
            // SAFETY: [STATIC] None lives as long as Python.
            let none = unsafe { ffi::Py_None() };
            // SAFETY: [STATIC] see above.
            return unsafe { Ref::borrowed(attached, none) };
        }
        // SAFETY: [HOME] the reference is ours and of the interpreter that the token stands for.
        unsafe { Ref::borrowed(attached, pointer) }
    }

    /// Gives the reference up.
    pub fn release(&self, attached: Attached<'_>) {
        let pointer = self.0.swap(ptr::null_mut(), Ordering::Relaxed);
        if !pointer.is_null() {
            // SAFETY: [HOME] the reference was ours, and was taken out by one thread.
            let _given_up = unsafe { Object::owned(attached, pointer) };
        }
    }
}
