// SPDX-License-Identifier: Apache-2.0
//! Safe views of httpd's and APR's structures. Apart from `config.rs` and the loader, only here httpd's functions are called.

mod auth;
pub mod body;
pub mod brigade;
pub mod client;
pub mod directive;
pub mod hooks;
pub mod log;
pub mod options;
pub mod pool;
pub mod process;
pub mod regex;
pub mod request;
pub mod response;
pub mod server;
pub mod table;

use std::ffi::{CStr, c_char};

/// The bytes of a C string of httpd's; `None` for a null pointer.
///
/// # Safety
///
/// [CSTR] `text` is null or a C string that lives unchanged for `'a`.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: [CSTR] promised by the caller, and not null.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}
