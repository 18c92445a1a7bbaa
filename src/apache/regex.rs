// SPDX-License-Identifier: Apache-2.0
//! httpd's own regular expressions, so that patterns mean what they mean in its other directives.

use super::pool::Pool;
use crate::ffi;
use std::ffi::{CStr, CString, c_char};

/// A compiled expression; httpd frees it with the pool it was compiled in.
#[derive(Debug, Clone, Copy)]
pub struct Regex(*mut ffi::ap_regex_t);

// SAFETY: [CONF] a compiled expression is only read, by any thread.
unsafe impl Send for Regex {}
// SAFETY: [CONF] as above.
unsafe impl Sync for Regex {}

/// What a search found.
#[derive(Debug, Clone, Copy)]
pub struct Match([ffi::ap_regmatch_t; GROUPS]);

const GROUPS: usize = ffi::AP_MAX_REG_MATCH as usize;

impl Regex {
    /// Compiles `pattern`; `None` if it is malformed.
    pub fn compile(pool: Pool<'_>, pattern: &str) -> Option<Self> {
        let pattern = CString::new(pattern).ok()?;
        // SAFETY: [POOL] the pool is alive; the pattern is only read during the call.
        let regex = unsafe { ffi::ap_pregcomp(pool.as_ptr(), pattern.as_ptr(), ffi::AP_REG_EXTENDED) };
        (!regex.is_null()).then_some(Self(regex))
    }

    /// Searches `text`, anywhere.
    pub fn find(&self, text: &[u8]) -> Option<Match> {
        let mut groups = [ffi::ap_regmatch_t { rm_so: -1, rm_eo: -1 }; GROUPS];
        // SAFETY: [CONF] the expression lives as long as the configuration; the array has as many places as said.
        let status = unsafe {
            ffi::ap_regexec_len(self.0, text.as_ptr().cast::<c_char>(), text.len(), GROUPS, groups.as_mut_ptr(), 0)
        };
        (status == 0).then_some(Match(groups))
    }
}

impl Match {
    /// Where the whole match ends.
    pub fn end(&self) -> usize {
        let [whole, ..] = self.0;
        usize::try_from(whole.rm_eo).unwrap_or(0)
    }

    /// `template` with `$0` to `$9` replaced by groups of the match in `text`.
    pub fn substitute<'p>(&mut self, pool: Pool<'p>, template: &str, text: &CStr) -> Option<&'p [u8]> {
        let template = CString::new(template).ok()?;
        // SAFETY: [POOL] the pool is alive; the match was made on this text.
        let result =
            unsafe { ffi::ap_pregsub(pool.as_ptr(), template.as_ptr(), text.as_ptr(), GROUPS, self.0.as_mut_ptr()) };
        // SAFETY: [CSTR] null, or a C string in the pool.
        unsafe { super::bytes(result) }
    }
}
