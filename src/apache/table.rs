// SPDX-License-Identifier: Apache-2.0
//! APR tables: case-insensitive multimaps of C strings.

use super::bytes;
use super::pool::Pool;
use crate::ffi;
use std::ffi::CStr;
use std::marker::PhantomData;

/// A table of a request, alive for `'r`.
#[derive(Debug, Clone, Copy)]
pub struct Table<'r> {
    table: *mut ffi::apr_table_t,
    alive: PhantomData<&'r ()>,
}

impl<'r> Table<'r> {
    /// Wraps a table that a structure holds.
    ///
    /// # Safety
    ///
    /// [REQ] the table lives for `'r` and is used by this thread only.
    pub unsafe fn new(table: *mut ffi::apr_table_t) -> Self {
        Self { table, alive: PhantomData }
    }

    /// The first value of `name`.
    pub fn find(self, name: &CStr) -> Option<&'r [u8]> {
        // SAFETY: [REQ] the table is alive.
        let value = unsafe { ffi::apr_table_get(self.table, name.as_ptr()) };
        // SAFETY: [CSTR] values of tables are null or C strings that live as long as the table.
        unsafe { bytes(value) }
    }

    /// Adds a pair and keeps those of the same name.
    pub fn add(self, pool: Pool<'r>, name: &[u8], value: &[u8]) {
        let (name, value) = (pool.text(name), pool.text(value));
        // SAFETY: [REQ] the table is alive; [POOL] both texts live as long as it.
        unsafe { ffi::apr_table_addn(self.table, name, value) };
    }

    /// Sets a pair that replaces those of the same name.
    pub fn set(self, pool: Pool<'r>, name: &'static CStr, value: &[u8]) {
        let value = pool.text(value);
        // SAFETY: [REQ] the table is alive; the name is static and [POOL] the value lives as long as the table.
        unsafe { ffi::apr_table_setn(self.table, name.as_ptr(), value) };
    }

    /// All pairs in order; a value may be absent.
    pub fn pairs(self) -> impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)> {
        // SAFETY: [REQ] the table is alive.
        let array = unsafe { ffi::apr_table_elts(self.table) };
        // SAFETY: [REQ] the array is part of the table.
        let (elements, count) =
            unsafe { array.as_ref() }.map_or((std::ptr::null(), 0), |array| (array.elts, array.nelts));
        let count = if elements.is_null() { 0 } else { usize::try_from(count).unwrap_or(0) };
        let entries: &'r [ffi::apr_table_entry_t] = if count == 0 {
            &[]
        } else {
            // SAFETY: [REQ] a table's array holds that many entries, and nobody adds to it while it is read.
            unsafe { std::slice::from_raw_parts(elements.cast(), count) }
        };
        entries.iter().filter_map(|entry| {
            // SAFETY: [CSTR] keys of tables are null or C strings that live as long as the table.
            let name = unsafe { bytes(entry.key) }?;
            // SAFETY: [CSTR] so are values.
            Some((name, unsafe { bytes(entry.val) }))
        })
    }
}
