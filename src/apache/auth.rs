// SPDX-License-Identifier: Apache-2.0
//! The providers that `AuthBasicProvider wsgi`, `AuthDigestProvider wsgi` and `Require wsgi-group` name.
//!
//! Registered when the module is loaded; called in children, while httpd checks who a client is and what it may do.

use super::request::Request;
use crate::boundary::callbacks;
use crate::{ffi, handler};
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

/// A provider's functions, as httpd keeps them.
struct Provider<T>(T);

// SAFETY: [HTTPD] only read.
unsafe impl<T> Sync for Provider<T> {}

static USERS: Provider<ffi::authn_provider> =
    Provider(ffi::authn_provider { check_password: Some(check_password), get_realm_hash: Some(realm_hash) });
static GROUPS: Provider<ffi::authz_provider> =
    Provider(ffi::authz_provider { check_authorization: Some(check_groups), parse_require_line: None });

/// Registers the providers.
pub(super) fn register(pool: *mut ffi::apr_pool_t) {
    provide(pool, c"authn", c"wsgi", (&raw const USERS.0).cast());
    provide(pool, c"authz", c"wsgi-group", (&raw const GROUPS.0).cast());
}

fn provide(pool: *mut ffi::apr_pool_t, group: &'static CStr, name: &'static CStr, provider: *const c_void) {
    // SAFETY: [HTTPD] while modules are loaded; names and functions are static.
    unsafe {
        ffi::ap_register_auth_provider(
            pool,
            group.as_ptr(),
            name.as_ptr(),
            c"0".as_ptr(),
            provider,
            ffi::AP_AUTH_INTERNAL_PER_CONF,
        );
    }
}

callbacks! {
    fn check_password(request: *mut ffi::request_rec, _user: *const c_char, _password: *const c_char) -> ffi::authn_status,
        or ffi::AUTH_GENERAL_ERROR;
    {
        // SAFETY: [REQ] the request of this check.
        if let Some(request) = unsafe { Request::new(request) } {
            handler::refuse_user(&request);
        }
        ffi::AUTH_GENERAL_ERROR
    }

    fn realm_hash(request: *mut ffi::request_rec, _user: *const c_char, _realm: *const c_char, hash: *mut *mut c_char)
        -> ffi::authn_status, or ffi::AUTH_GENERAL_ERROR;
    {
        if !hash.is_null() {
            // SAFETY: [HTTPD] the place for the answer.
            unsafe { hash.write(ptr::null_mut()) };
        }
        // SAFETY: [REQ] the request of this check.
        if let Some(request) = unsafe { Request::new(request) } {
            handler::refuse_user(&request);
        }
        ffi::AUTH_GENERAL_ERROR
    }

    fn check_groups(request: *mut ffi::request_rec, _line: *const c_char, _parsed: *const c_void) -> ffi::authz_status,
        or ffi::AUTHZ_DENIED;
    {
        // SAFETY: [REQ] the request of this check.
        let Some(request) = (unsafe { Request::new(request) }) else { return ffi::AUTHZ_DENIED };
        if request.user().is_none() {
            return ffi::AUTHZ_DENIED_NO_USER;
        }
        handler::refuse_group(&request);
        ffi::AUTHZ_DENIED
    }
}
