// SPDX-License-Identifier: Apache-2.0
//! The one fence between Python and our code: every C function that Python may call is made here.
//!
//! A panic ends at the fence: it is logged as an event, Python sees `RuntimeError` and that callback's failure value.
//! Python calls these functions on any thread, holding the interpreter that the object belongs to.

use crate::abi;
use crate::live::lock;
use crate::object::{Answer, Attached, Object, Ref};
use crate::raised::{Kind, Raised};
use crate::{process, streams};
use model::event::Event;
use pyo3_ffi as ffi;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, Once};
use std::{mem, ptr, slice};

thread_local! {
    /// Where the last panic of this thread happened.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics silent: whoever catches one logs it. Other panics of the process keep their hook, because this shared
/// object has a standard library of its own.
pub fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|information| {
            let place = information.location().map(ToString::to_string).unwrap_or_default();
            // The thread may be on its way out; then the place is simply not known.
            let _unknown = PLACE.try_with(|last| *last.borrow_mut() = place);
        }));
    });
}

/// Turns a caught panic into the event that reports it.
#[must_use]
pub fn panicked(place: &str, payload: &(dyn Any + Send)) -> Event {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let source = PLACE.try_with(|last| mem::take(&mut *last.borrow_mut())).unwrap_or_default();
    Event::Panicked { place: format!("{place} ({source})"), message }
}

/// Shows that Python called the running function, so that the thread holds an interpreter.
#[derive(Debug)]
pub struct Entered(());

impl Entered {
    /// # Safety
    ///
    /// Python called the function that runs, or the thread holds an interpreter for another reason, until the value is
    /// used up.
    #[must_use]
    pub unsafe fn by_python() -> Self {
        Self(())
    }

    /// Runs the body of a callback.
    pub fn fence<T>(self, place: &str, failure: T, body: impl for<'i> FnOnce(Attached<'i>) -> Answer<'i, T>) -> T {
        let Some(abi) = abi::table() else { return failure };
        fence(abi, place, failure, body)
    }
}

fn fence<T>(
    abi: &'static abi::Abi,
    place: &str,
    failure: T,
    body: impl for<'i> FnOnce(Attached<'i>) -> Answer<'i, T>,
) -> T {
    // SAFETY: [GIL] shown by the `Entered` that was used up.
    let attached = unsafe { Attached::assume(abi) };
    match panic::catch_unwind(AssertUnwindSafe(|| body(attached))) {
        Ok(Ok(value)) => value,
        Ok(Err(raised)) => {
            raised.restore();
            failure
        }
        Err(payload) => {
            let event = panicked(place, &*payload);
            streams::report(attached, &event);
            Raised::new(attached, Kind::Runtime, "internal error of mod_wsgi_rs; see the error log").restore();
            failure
        }
    }
}

/// The arguments of a call by position.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a, 'i> {
    pointers: &'a [*mut ffi::PyObject],
    this: Ref<'i>,
}

impl<'a, 'i> Arguments<'a, 'i> {
    /// # Safety
    ///
    /// `this`, `start` and `count` are what Python passed to a `METH_FASTCALL` function that is still running.
    pub unsafe fn new(
        attached: Attached<'i>,
        this: *mut ffi::PyObject,
        start: *const *mut ffi::PyObject,
        count: isize,
    ) -> Self {
        // SAFETY: [ARGS] Python keeps the object alive during the call.
        let this = unsafe { Ref::borrowed(attached, this) };
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            return Self { pointers: &[], this };
        }
        // SAFETY: [ARGS] promised by the caller.
        Self { pointers: unsafe { slice::from_raw_parts(start, count) }, this }
    }

    /// The object that the function is bound to.
    pub fn this(self) -> Ref<'i> {
        self.this
    }

    /// The argument at a position.
    pub fn get(self, index: usize) -> Option<Ref<'i>> {
        // SAFETY: [ARGS] Python keeps its arguments alive during the call.
        self.pointers.get(index).map(|pointer| unsafe { Ref::borrowed(self.this.attached(), *pointer) })
    }

    /// Checks how many there are.
    pub fn count(self, name: &str, least: usize, most: usize) -> Answer<'i, Self> {
        let count = self.pointers.len();
        if (least..=most).contains(&count) {
            return Ok(self);
        }
        let expected = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        let message = format!("{name}() takes {expected} positional arguments but {count} were given");
        Err(Raised::new(self.this.attached(), Kind::Type, &message))
    }
}

/// The memory of an object whose type [`Definition::create`] made.
#[repr(C)]
pub(crate) struct Instance<B> {
    head: ffi::PyObject,
    body: B,
}

/// The body of `object`.
///
/// # Safety
///
/// `object` is an instance of a type whose definition is for bodies of type `B`, and alive for `'a`.
pub(crate) unsafe fn body<'a, B>(object: *mut ffi::PyObject) -> &'a B {
    let instance = object.cast::<Instance<B>>();
    // SAFETY: [SELF] promised by the caller; bodies are written before anyone sees the object.
    unsafe { &(*instance).body }
}

/// A new object with this body.
///
/// # Safety
///
/// `class` was created from a definition for bodies of type `B`.
pub(crate) unsafe fn create<'i, B>(class: &Ref<'i>, content: B) -> Answer<'i> {
    // SAFETY: [GIL] the class is a type that is alive.
    let made = unsafe { ffi::PyType_GenericAlloc(class.as_ptr().cast(), 0) };
    // SAFETY: [OWNED] the function returns a new reference or null with an exception.
    let object = unsafe { Object::owned(class.attached(), made) }?;
    let instance = made.cast::<Instance<B>>();
    // SAFETY: [SELF] the memory has the size of an instance, so the place is inside it.
    let place = unsafe { &raw mut (*instance).body };
    // SAFETY: [SELF] nobody else has seen the object yet.
    unsafe { place.write(content) };
    Ok(object)
}

/// A method of a type, or a free function: `METH_FASTCALL`, so the same shape for any number of arguments.
pub type Function =
    unsafe extern "C" fn(*mut ffi::PyObject, *const *mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject;
/// The function that fills a module.
pub type Fill = unsafe extern "C" fn(*mut ffi::PyObject) -> c_int;
type Unary = unsafe extern "C" fn(*mut ffi::PyObject) -> *mut ffi::PyObject;
type Getter = unsafe extern "C" fn(*mut ffi::PyObject, *mut c_void) -> *mut ffi::PyObject;

/// Defines `$name`, the C function of a method: `$path(body, attached, arguments) -> Answer`.
macro_rules! method {
    ($name:ident for $body:ty, $path:path) => {
        unsafe extern "C" fn $name(
            this: *mut pyo3_ffi::PyObject,
            arguments: *const *mut pyo3_ffi::PyObject,
            count: pyo3_ffi::Py_ssize_t,
        ) -> *mut pyo3_ffi::PyObject {
            // SAFETY: [GIL] Python calls this.
            let entered = unsafe { $crate::callback::Entered::by_python() };
            entered.fence(stringify!($path), std::ptr::null_mut(), |attached| {
                // SAFETY: [SELF] it is a method of the type with this body.
                let body = unsafe { $crate::callback::body::<$body>(this) };
                // SAFETY: [ARGS] they are passed on as Python passed them.
                let arguments = unsafe { $crate::callback::Arguments::new(attached, this, arguments, count) };
                $path(body, attached, arguments).map($crate::object::Object::into_ptr)
            })
        }
    };
}

/// Defines `$name`, the C function of an attribute: `$path(body, attached) -> Answer`.
macro_rules! getter {
    ($name:ident for $body:ty, $path:path) => {
        unsafe extern "C" fn $name(
            this: *mut pyo3_ffi::PyObject,
            _closure: *mut std::ffi::c_void,
        ) -> *mut pyo3_ffi::PyObject {
            // SAFETY: [GIL] Python calls this.
            let entered = unsafe { $crate::callback::Entered::by_python() };
            entered.fence(stringify!($path), std::ptr::null_mut(), |attached| {
                // SAFETY: [SELF] it is an attribute of the type with this body.
                let this = unsafe { $crate::callback::body::<$body>(this) };
                $path(this, attached).map($crate::object::Object::into_ptr)
            })
        }
    };
}

/// Defines `$name`, the C function of `__next__`: `$path(body, attached) -> Answer<Option<Object>>`.
macro_rules! next {
    ($name:ident for $body:ty, $path:path) => {
        unsafe extern "C" fn $name(this: *mut pyo3_ffi::PyObject) -> *mut pyo3_ffi::PyObject {
            // SAFETY: [GIL] Python calls this.
            let entered = unsafe { $crate::callback::Entered::by_python() };
            entered.fence(stringify!($path), std::ptr::null_mut(), |attached| {
                // SAFETY: [SELF] it is a slot of the type with this body.
                let this = unsafe { $crate::callback::body::<$body>(this) };
                let found = $path(this, attached)?;
                Ok(found.map_or(std::ptr::null_mut(), $crate::object::Object::into_ptr))
            })
        }
    };
}

/// Defines `$name`, the C function that fills a module: `$path(attached, module) -> Answer<()>`.
#[macro_export]
macro_rules! module_fill {
    ($name:ident, $path:path) => {
        unsafe extern "C" fn $name(module: *mut $crate::callback::PyObject) -> std::ffi::c_int {
            // SAFETY: [GIL] Python calls this.
            let entered = unsafe { $crate::callback::Entered::by_python() };
            entered.fence(stringify!($path), -1, |attached| {
                // SAFETY: [ARGS] Python keeps its argument alive during the call.
                let module = unsafe { $crate::object::Ref::borrowed(attached, module) };
                $path(attached, module).map(|()| 0)
            })
        }
    };
}

/// Defines `$name`, the C function of a function in a module: `$path(attached, arguments) -> Answer`.
#[macro_export]
macro_rules! module_function {
    ($name:ident, $path:path) => {
        unsafe extern "C" fn $name(
            this: *mut $crate::callback::PyObject,
            arguments: *const *mut $crate::callback::PyObject,
            count: isize,
        ) -> *mut $crate::callback::PyObject {
            // SAFETY: [GIL] Python calls this.
            let entered = unsafe { $crate::callback::Entered::by_python() };
            entered.fence(stringify!($path), std::ptr::null_mut(), |attached| {
                // SAFETY: [ARGS] they are passed on as Python passed them.
                let arguments = unsafe { $crate::callback::Arguments::new(attached, this, arguments, count) };
                $path(attached, arguments).map($crate::object::Object::into_ptr)
            })
        }
    };
}

/// Defines `$name`, the function by which Python imports the shared object: fills the table of functions, then asks
/// `$path() -> Option<ModuleDefinition>`.
#[macro_export]
macro_rules! module_entry {
    ($name:ident, $lookup:path, $path:path) => {
        /// Called by Python, holding an interpreter, when the shared object is imported.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "Python prescribes the name")]
        pub extern "C" fn $name() -> *mut $crate::callback::PyObject {
            if let Err(error) = $crate::abi::fill($lookup) {
                let message = std::ffi::CString::new(error.to_string()).unwrap_or_default();
                return $crate::module::refuse_import(&message);
            }
            // SAFETY: [GIL] Python calls this.
            let entered = unsafe { $crate::callback::Entered::by_python() };
            entered.fence(stringify!($name), std::ptr::null_mut(), |attached| {
                let definition: $crate::module::ModuleDefinition = $path(attached)?;
                Ok(definition.entry(attached))
            })
        }
    };
}

/// Defines `$name`, a function of one of the tables that cross between httpd and the extension: calls `$path` with its
/// arguments; a panic is logged and answered with `$failure`.
#[macro_export]
macro_rules! table_function {
    ($name:ident($($argument:ident: $type:ty),*) -> $result:ty, or $failure:expr, $path:path) => {
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            $crate::callback::guard(stringify!($name), || $path($($argument),*)).unwrap_or($failure)
        }
    };
}

/// Runs the body of a function that the server calls; a panic is logged.
pub fn guard<T>(place: &str, body: impl FnOnce() -> T) -> Option<T> {
    let caught = panic::catch_unwind(AssertUnwindSafe(body));
    caught.map_err(|payload| process::report(&panicked(place, &*payload))).ok()
}

/// An object as C sees it, for the macros above.
pub use pyo3_ffi::PyObject;

pub(crate) use {getter, method, next};

unsafe extern "C" fn deallocate<B>(this: *mut ffi::PyObject) {
    // SAFETY: [GIL] Python calls this.
    let entered = unsafe { Entered::by_python() };
    entered.fence("deallocate", (), |_| {
        let instance = this.cast::<Instance<B>>();
        // SAFETY: [SELF] the instance is of this type, and nobody refers to it any more.
        let place = unsafe { &raw mut (*instance).body };
        // SAFETY: [SELF] the body was written when the object was made, and is dropped once.
        unsafe { place.drop_in_place() };
        Ok(())
    });
    // SAFETY: [GIL] the object's head is still intact.
    let kind = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: [GIL] the type is alive: its instance holds it.
    unsafe { ffi::PyObject_Free(this.cast()) };
    // SAFETY: [OWNED] an instance of a heap type owns a reference to it, given up here.
    unsafe { ffi::Py_DecRef(kind.cast()) };
}

unsafe extern "C" fn refuse_new(
    _class: *mut ffi::PyTypeObject,
    _arguments: *mut ffi::PyObject,
    _keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: [GIL] Python calls this.
    let entered = unsafe { Entered::by_python() };
    entered.fence("new", ptr::null_mut(), |attached| {
        Err(Raised::new(attached, Kind::Type, "cannot create instances of this type"))
    })
}

/// Gives memory to Python for ever, but not out of sight of a leak checker.
fn keep<T>(table: &mut Vec<T>) -> *mut T {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let start = mem::take(table).leak().as_mut_ptr();
    lock(&KEPT).push(start.expose_provenance());
    start
}

/// A type under construction; `B` is what its instances hold.
pub(crate) struct Definition<B> {
    name: &'static CStr,
    methods: Vec<ffi::PyMethodDef>,
    getters: Vec<ffi::PyGetSetDef>,
    slots: Vec<ffi::PyType_Slot>,
    body: PhantomData<B>,
}

/// The row of a method table.
pub(crate) fn row(name: &'static CStr, function: Function) -> ffi::PyMethodDef {
    // SAFETY: [STATIC] only the type is another: METH_FASTCALL makes Python call it with its real one.
    let function = unsafe { mem::transmute::<Function, ffi::PyCFunction>(function) };
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: abi::METHOD_FASTCALL,
        ml_doc: ptr::null(),
    }
}

impl<B: Send + Sync + 'static> Definition<B> {
    pub(crate) fn new(name: &'static CStr) -> Self {
        let deallocate: unsafe extern "C" fn(*mut ffi::PyObject) = deallocate::<B>;
        let slots = vec![
            ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: deallocate as *mut c_void },
            ffi::PyType_Slot { slot: ffi::Py_tp_new, pfunc: refuse_new as *mut c_void },
        ];
        Self { name, methods: Vec::new(), getters: Vec::new(), slots, body: PhantomData }
    }

    pub(crate) fn method(mut self, name: &'static CStr, function: Function) -> Self {
        self.methods.push(row(name, function));
        self
    }

    pub(crate) fn getter(mut self, name: &'static CStr, function: Getter) -> Self {
        self.getters.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(function),
            set: None,
            doc: ptr::null(),
            closure: ptr::null_mut(),
        });
        self
    }

    /// Makes instances iterators over themselves.
    pub(crate) fn iterator(mut self, next: Unary) -> Self {
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_iter, pfunc: ffi::PyObject_SelfIter as *mut c_void });
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_iternext, pfunc: next as *mut c_void });
        self
    }

    /// Creates the type in the interpreter that is held. The tables are kept for ever: methods point into them.
    pub(crate) fn create<'i>(self, attached: Attached<'i>, module: &Ref<'i>) -> Answer<'i> {
        let Self { name, mut methods, mut getters, mut slots, .. } = self;
        methods.push(ffi::PyMethodDef::zeroed());
        getters.push(ffi::PyGetSetDef {
            name: ptr::null(),
            get: None,
            set: None,
            doc: ptr::null(),
            closure: ptr::null_mut(),
        });
        slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: keep(&mut methods).cast() });
        slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_getset, pfunc: keep(&mut getters).cast() });
        slots.push(ffi::PyType_Slot::default());
        let mut spec = ffi::PyType_Spec {
            name: name.as_ptr(),
            basicsize: c_int::try_from(mem::size_of::<Instance<B>>()).unwrap_or(c_int::MAX),
            itemsize: 0,
            flags: u32::try_from(ffi::Py_TPFLAGS_DEFAULT).unwrap_or(0),
            slots: slots.as_mut_ptr(),
        };
        let function = attached.abi().type_from_module_and_spec;
        // SAFETY: [GIL] the specification and what it points to is alive, complete and ended with an empty slot.
        let made = unsafe { function(module.as_ptr(), &raw mut spec, ptr::null_mut()) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        unsafe { Object::owned(attached, made) }
    }
}
