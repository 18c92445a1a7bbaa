// SPDX-License-Identifier: Apache-2.0
//! APR memory pools: text for httpd, and Rust values that live as long as a pool.

use crate::boundary::callbacks;
use crate::ffi;
use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

/// A pool that lives for `'p`.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'p> {
    pool: *mut ffi::apr_pool_t,
    alive: PhantomData<&'p ()>,
}

impl<'p> Pool<'p> {
    /// Wraps the pool that a hook was given or that a structure holds.
    ///
    /// # Safety
    ///
    /// [POOL] the pool lives for `'p` and is used by this thread only.
    pub unsafe fn new(pool: *mut ffi::apr_pool_t) -> Self {
        Self { pool, alive: PhantomData }
    }

    /// The pool for C.
    pub fn as_ptr(self) -> *mut ffi::apr_pool_t {
        self.pool
    }

    /// Copies `text` into the pool as a C string. What follows a NUL would be invisible to C; callers have no NUL.
    pub fn text(self, text: &[u8]) -> *mut c_char {
        self.concat(&[text])
    }

    /// Copies the parts, one after the other, into the pool as one C string.
    pub fn concat(self, parts: &[&[u8]]) -> *mut c_char {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // SAFETY: [POOL] the pool is alive; APR ends the process itself when memory runs out, so this is never null.
        let start = unsafe { ffi::apr_palloc(self.pool, length + 1) }.cast::<u8>();
        let mut end = start;
        for part in parts {
            // SAFETY: [POOL] `length` bytes were allocated, and the parts together have that many.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), end, part.len()) };
            // SAFETY: [POOL] still inside the allocation, or at its last byte.
            end = unsafe { end.add(part.len()) };
        }
        // SAFETY: [POOL] the last of the `length + 1` bytes.
        unsafe { end.write(0) };
        start.cast()
    }

    /// Copies `part`s into the pool and borrows the result.
    pub fn bytes(self, parts: &[&[u8]]) -> &'p [u8] {
        let start = self.concat(parts);
        let length = parts.iter().map(|part| part.len()).sum();
        // SAFETY: [POOL] just allocated with that length, and never written again while the pool lives.
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }

    /// Moves a value into memory that is dropped when the pool is cleared.
    pub fn keep<T>(self, value: T) -> *mut T {
        let kept = Box::into_raw(Box::new(value));
        // SAFETY: [POOL] the pool is alive; the cleanup runs once, with this pointer.
        unsafe {
            ffi::apr_pool_cleanup_register(
                self.pool,
                kept.cast(),
                Some(drop_kept::<T>),
                Some(ffi::apr_pool_cleanup_null),
            );
        }
        kept
    }

    /// Runs `action` when the pool is cleared, in this process only, not in one forked from it.
    pub fn on_clear(self, action: fn()) {
        // SAFETY: [POOL] the pool is alive; the data is a function pointer, turned back by the callback.
        unsafe {
            ffi::apr_pool_cleanup_register(
                self.pool,
                action as *const c_void,
                Some(run_action),
                Some(ffi::apr_pool_cleanup_null),
            );
        }
    }
}

callbacks! {
    /// Runs what [`Pool::on_clear`] was given.
    fn run_action(action: *mut c_void) -> c_int, or 0; {
        // SAFETY: [POOL] `on_clear` registered this callback with a `fn()` as data.
        let action = unsafe { std::mem::transmute::<*mut c_void, fn()>(action) };
        action();
        0
    }
}

/// Drops a value that [`Pool::keep`] moved to the heap; generic, hence written out beside the macro.
///
/// # Safety
///
/// Called by APR once, with the pointer that `keep` registered.
unsafe extern "C" fn drop_kept<T>(kept: *mut c_void) -> c_int {
    crate::boundary::fence(
        "pool cleanup",
        || 0,
        || {
            // SAFETY: [POOL] the pointer came from `Box::into_raw` in `keep` and is dropped once.
            drop(unsafe { Box::from_raw(kept.cast::<T>()) });
            0
        },
    )
}
