// SPDX-License-Identifier: Apache-2.0
//! What directives of httpd's own say about a request.

use super::request::Request;
use crate::ffi;

impl<'r> Request<'r> {
    /// httpd core's own configuration for this request.
    pub fn core(&self) -> Option<&ffi::core_dir_config> {
        // SAFETY: [HTTPD] core's record exists before any request does.
        let index = unsafe { ffi::core_module.module_index };
        let position = usize::try_from(index).ok()?;
        let vector = self.record().per_dir_config.cast::<*const ffi::core_dir_config>();
        // SAFETY: [CONF] the vector has a place for every loaded module; core is loaded.
        let place = unsafe { vector.add(position) };
        // SAFETY: [CONF] as above.
        let configuration = unsafe { place.read() };
        // SAFETY: [CONF] null, or core's merged configuration, alive as long as the request.
        unsafe { configuration.as_ref() }
    }

    /// Whether `EnableSendfile On` holds.
    pub fn may_use_sendfile(&self) -> bool {
        self.core().is_some_and(|core| core.enable_sendfile() == ffi::ENABLE_SENDFILE_ON as u32)
    }

    /// Whether `CGIPassAuth On` holds.
    pub fn passes_credentials(&self) -> bool {
        self.core().is_some_and(|core| core.cgi_pass_auth() == ffi::AP_CGI_PASS_AUTH_ON as u32)
    }

    /// The URL that a later request was redirected from, in full where `QualifyRedirectURL On` says so.
    pub fn redirect_url(&self) -> &'r [u8] {
        if self.core().is_none_or(|core| core.qualify_redirect_url() != ffi::AP_CORE_CONFIG_ON as u32) {
            return self.uri();
        }
        // SAFETY: [REQ] alive; the pool is the request's.
        let url = unsafe { ffi::ap_construct_url(self.record().pool, self.record().uri, self.as_ptr()) };
        self.text(url).unwrap_or_default()
    }

    /// Whether `CGIVar REQUEST_URI current-uri` holds.
    pub fn uses_current_uri(&self) -> bool {
        let Some(rules) = self.core().map(|core| core.cgi_var_rules).filter(|rules| !rules.is_null()) else {
            return false;
        };
        let key = c"REQUEST_URI".as_ptr().cast();
        // SAFETY: [CONF] the table belongs to core's configuration; the key is a C string.
        let rule = unsafe { ffi::apr_hash_get(rules, key, ffi::APR_HASH_KEY_STRING as ffi::apr_ssize_t) };
        self.text(rule.cast()) == Some(b"current-uri")
    }

    /// Whether `Options ExecCGI` holds.
    pub fn may_execute(&self) -> bool {
        // SAFETY: [REQ] alive; only reads.
        let options = unsafe { ffi::ap_allow_options(self.as_ptr()) };
        options & ffi::OPT_EXECCGI != 0
    }

    /// `LimitRequestBody`; 0 is no limit.
    pub fn body_limit(&self) -> u64 {
        // SAFETY: [REQ] alive; only reads.
        let limit = unsafe { ffi::ap_get_limit_req_body(self.as_ptr()) };
        u64::try_from(limit).unwrap_or(0)
    }
}
