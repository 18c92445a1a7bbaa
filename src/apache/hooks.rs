// SPDX-License-Identifier: Apache-2.0
//! Which of httpd's hooks we take part in, and where.

use super::auth;
use super::pool::Pool;
use super::process::{self, Child, Parent};
use super::request::{Request, Verdict};
use super::server::Server;
use crate::boundary::{callbacks, quiet_panics};
use crate::{alias, daemon, embedded, ffi, handler, verify};
use std::ffi::{c_char, c_int};
use std::ptr;

/// Names of modules, ended with null, as httpd wants them.
struct Modules<const N: usize>([*const c_char; N]);

// SAFETY: [HTTPD] static text, only read.
unsafe impl<const N: usize> Sync for Modules<N> {}

/// Whose mapping of URLs comes before ours, and whose after it.
static EARLIER: Modules<2> = Modules([c"mod_alias.c".as_ptr(), ptr::null()]);
static LATER: Modules<3> = Modules([c"mod_userdir.c".as_ptr(), c"mod_vhost_alias.c".as_ptr(), ptr::null()]);

callbacks! {
    /// Registers the other hooks. Called whenever the module is loaded, which is more than once in a process.
    pub fn register(pool: *mut ffi::apr_pool_t), or (); {
        quiet_panics();
        auth::register(pool);
        // SAFETY: [HTTPD] the function has the hook's type; the names are static, as httpd keeps pointers to them.
        unsafe {
            ffi::ap_hook_translate_name(
                Some(translate),
                EARLIER.0.as_ptr(),
                LATER.0.as_ptr(),
                ffi::APR_HOOK_MIDDLE,
            );
        }
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_handler(Some(handle), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_handler(Some(rescue), ptr::null(), ptr::null(), ffi::APR_HOOK_LAST) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_access_checker(Some(check_access), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_check_config(Some(check), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_test_config(Some(report), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_post_config(Some(configured), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_child_status(Some(child_changed), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
        // SAFETY: [HTTPD] as above.
        unsafe { ffi::ap_hook_child_init(Some(child_started), ptr::null(), ptr::null(), ffi::APR_HOOK_MIDDLE) };
    }

    /// In the parent, once the configuration has been read, also when it is only tested: looks at it as a whole.
    fn check(
        _pool: *mut ffi::apr_pool_t, _log: *mut ffi::apr_pool_t, _temporary: *mut ffi::apr_pool_t, server: *mut ffi::server_rec,
    ) -> c_int, or ffi::HTTP_INTERNAL_SERVER_ERROR; {
        // SAFETY: [CONF] the main server, alive until the configuration is read again.
        let Some(main) = (unsafe { Server::new(server) }) else { return ffi::OK };
        if verify::configuration(Parent(()), main) { ffi::OK } else { ffi::HTTP_INTERNAL_SERVER_ERROR }
    }

    /// In the parent, when the configuration is only tested.
    fn report(_pool: *mut ffi::apr_pool_t, server: *mut ffi::server_rec), or (); {
        // SAFETY: [CONF] the main server, alive until the process ends.
        if let Some(main) = unsafe { Server::new(server) } {
            verify::dump(Parent(()), main);
        }
    }

    /// In the parent, after that, when the server will run: opens what children inherit.
    fn configured(
        pool: *mut ffi::apr_pool_t, _log: *mut ffi::apr_pool_t, _temporary: *mut ffi::apr_pool_t, server: *mut ffi::server_rec,
    ) -> c_int, or ffi::OK; {
        if !process::is_rehearsal() {
            // SAFETY: [CONF] the main server, alive until the configuration is read again.
            if let Some(main) = unsafe { Server::new(server) } {
                verify::tell(Parent(()), main);
                embedded::needs::look(Parent(()), main);
            }
            // SAFETY: [POOL] the configuration pool, in the parent's only thread.
            let pool = unsafe { Pool::new(pool) };
            process::add_to_banner(pool, c"mod_wsgi_rs/0.1.0");
            embedded::open_runtime(Parent(()), pool);
            // SAFETY: [CONF] as above.
            if let Some(main) = unsafe { Server::new(server) } {
                daemon::start(Parent(()), pool, main);
            }
        }
        ffi::OK
    }

    /// In the parent, when a child was started or has ended.
    fn child_changed(
        _server: *mut ffi::server_rec, pid: ffi::pid_t, generation: ffi::ap_generation_t, _slot: c_int, state: ffi::mpm_child_status,
    ), or (); {
        let generation = u32::try_from(generation).unwrap_or(0);
        match state {
            ffi::MPM_CHILD_STARTED => daemon::child_forked(Parent(()), generation),
            ffi::MPM_CHILD_EXITED => daemon::child_ended(Parent(()), u32::try_from(pid).unwrap_or(0), generation),
            _ => {}
        }
    }

    /// In a child that has just been forked, before it has threads.
    fn child_started(pool: *mut ffi::apr_pool_t, server: *mut ffi::server_rec), or (); {
        // SAFETY: [CONF] the main server, alive as long as the child.
        let Some(server) = (unsafe { Server::new(server) }) else { return };
        // SAFETY: [POOL] the child's pool, in its only thread.
        embedded::child_started(Child(()), unsafe { Pool::new(pool) }, server);
        daemon::child_started(Child(()));
    }

    /// Maps a URL to a script.
    fn translate(request: *mut ffi::request_rec) -> c_int, or ffi::HTTP_INTERNAL_SERVER_ERROR; {
        // SAFETY: [REQ] the request of this hook.
        unsafe { Request::new(request) }.map_or(Verdict::Declined, alias::translate).into()
    }

    /// Decides who may come in, where a script should.
    fn check_access(request: *mut ffi::request_rec) -> c_int, or ffi::HTTP_INTERNAL_SERVER_ERROR; {
        // SAFETY: [REQ] the request of this hook.
        unsafe { Request::new(request) }.map_or(Verdict::Declined, handler::check_access).into()
    }

    /// Answers a request for a script that nobody else took.
    fn rescue(request: *mut ffi::request_rec) -> c_int, or ffi::HTTP_INTERNAL_SERVER_ERROR; {
        // SAFETY: [REQ] the request of this hook.
        let request = unsafe { Request::new(request) };
        request.map_or(Verdict::Declined, |request| handler::rescue(Child(()), request)).into()
    }

    /// Answers a request for a script.
    fn handle(request: *mut ffi::request_rec) -> c_int, or ffi::HTTP_INTERNAL_SERVER_ERROR; {
        // SAFETY: [REQ] the request of this hook.
        let request = unsafe { Request::new(request) };
        request.map_or(Verdict::Declined, |request| handler::handle(Child(()), request)).into()
    }
}
