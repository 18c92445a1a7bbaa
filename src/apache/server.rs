// SPDX-License-Identifier: Apache-2.0
//! A server record: the main server or a virtual host.

use super::bytes;
use crate::ffi;
use model::directive::Origin;
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::time::Duration;

/// A server record that lives for `'s`, at most until the configuration is read again.
#[derive(Debug, Clone, Copy)]
pub struct Server<'s> {
    server: NonNull<ffi::server_rec>,
    alive: PhantomData<&'s ()>,
}

impl<'s> Server<'s> {
    /// Wraps a server record.
    ///
    /// # Safety
    ///
    /// [CONF] null, or a record of the present configuration that lives for `'s`.
    pub unsafe fn new(server: *mut ffi::server_rec) -> Option<Self> {
        NonNull::new(server).map(|server| Self { server, alive: PhantomData })
    }

    /// Does something with the main server of the present configuration, if there is one yet.
    pub fn with_main(work: impl FnOnce(&Server<'_>)) {
        // SAFETY: [CONF] httpd sets this variable before any hook runs and keeps it valid from then on.
        let server = unsafe { ffi::ap_server_conf };
        // SAFETY: [CONF] as above, and the configuration is not replaced while one of our functions runs.
        if let Some(server) = unsafe { Server::new(server) } {
            work(&server);
        }
    }

    /// The record for C.
    pub fn as_ptr(&self) -> *mut ffi::server_rec {
        self.server.as_ptr()
    }

    fn record(&self) -> &'s ffi::server_rec {
        // SAFETY: [CONF] alive for 's; nobody writes to it after the configuration was read.
        unsafe { self.server.as_ref() }
    }

    /// `ServerName`
    pub fn name(&self) -> &'s [u8] {
        // SAFETY: [CSTR] part of the server record.
        unsafe { bytes(self.record().server_hostname) }.unwrap_or_default()
    }

    /// The port of `ServerName`, if it has one.
    pub fn port(&self) -> Option<u16> {
        Some(self.record().port).filter(|port| *port != 0)
    }

    /// `ServerAdmin`
    pub fn admin(&self) -> Option<&'s [u8]> {
        // SAFETY: [CSTR] part of the server record.
        unsafe { bytes(self.record().server_admin) }
    }

    /// `Timeout`
    pub fn timeout(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.record().timeout).unwrap_or(0))
    }

    /// The pool of the whole process.
    pub fn process_pool(&self) -> *mut ffi::apr_pool_t {
        // SAFETY: [CONF] null or the record of the process, which lives as long as it.
        unsafe { self.record().process.as_ref() }.map_or(std::ptr::null_mut(), |process| process.pool)
    }

    /// The descriptor of its error log, unless that is the system's log.
    pub fn log_descriptor(&self) -> Option<RawFd> {
        let log = self.record().error_log;
        if log.is_null() {
            return None;
        }
        let mut descriptor = -1;
        // SAFETY: [CONF] the server's open log; the answer goes to a local.
        let status = unsafe { ffi::apr_os_file_get(&raw mut descriptor, log) };
        (status == 0 && descriptor >= 0).then_some(descriptor)
    }

    /// Whether this is a virtual host.
    pub fn is_virtual(&self) -> bool {
        self.record().is_virtual != 0
    }

    /// Where the virtual host begins.
    pub fn origin(&self) -> Origin {
        // SAFETY: [CSTR] part of the server record.
        let file = unsafe { bytes(self.record().defn_name) }.unwrap_or_default();
        Origin { file: String::from_utf8_lossy(file).into(), line: self.record().defn_line_number }
    }

    /// This server and those after it in httpd's list, which begins with the main server.
    pub fn chain(self) -> impl Iterator<Item = Self> {
        // SAFETY: [CONF] the list's records live as long as each other.
        std::iter::successors(Some(self), |server| unsafe { Self::new(server.record().next) })
    }

    /// The configurations of all modules for this server.
    pub fn configurations(&self) -> *const ffi::ap_conf_vector_t {
        self.record().module_config
    }
}
