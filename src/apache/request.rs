// SPDX-License-Identifier: Apache-2.0
//! A request as httpd holds it: reading its facts, and the few fields that we set.

use super::brigade::Brigade;
use super::bytes;
use super::pool::Pool;
use super::process;
use super::server::Server;
use super::table::Table;
use crate::ffi;
use model::resolve::FileKind;
use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// What a handler or translator says to httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not ours.
    Declined,
    /// Done: mapped, or answered.
    Done,
    /// httpd is to answer with this status.
    Status(u16),
}

impl From<Verdict> for c_int {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Declined => ffi::DECLINED,
            Verdict::Done => ffi::OK,
            Verdict::Status(status) => Self::from(status),
        }
    }
}

/// The status of an answer as it was before an application's.
#[derive(Debug, Clone, Copy)]
pub struct StatusLine {
    code: c_int,
    text: *const c_char,
}

/// Reads a field of the request's connection.
macro_rules! field {
    ($request:ident.$name:ident) => {
        // SAFETY: [REQ] only the address of a field of a live connection is taken.
        $request.connection(|connection| unsafe { &raw const (*connection).$name })
    };
}

/// A request that lives for `'r`, longer than the hook that was given it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    request: NonNull<ffi::request_rec>,
    alive: PhantomData<&'r ()>,
}

impl<'r> Request<'r> {
    /// Wraps the record that a hook was given.
    ///
    /// # Safety
    ///
    /// [REQ] null, or a request that lives for `'r` and is handled by this thread only.
    pub unsafe fn new(request: *mut ffi::request_rec) -> Option<Self> {
        NonNull::new(request).map(|request| Self { request, alive: PhantomData })
    }

    /// The record for C.
    pub fn as_ptr(&self) -> *mut ffi::request_rec {
        self.request.as_ptr()
    }

    pub(super) fn record(&self) -> &ffi::request_rec {
        // SAFETY: [REQ] alive, and not written to while this borrow lasts: setters take the pointer afterwards.
        unsafe { self.request.as_ref() }
    }

    fn record_mut(&mut self) -> &mut ffi::request_rec {
        // SAFETY: [REQ] alive and handled by this thread only; no other borrow of the record exists here.
        unsafe { self.request.as_mut() }
    }

    /// Reads a field of the connection. No reference to the whole is made, because mod_http2 sets `aborted` from another
    /// thread.
    fn connection<T: Copy>(&self, field: impl FnOnce(*mut ffi::conn_rec) -> *const T) -> T {
        // SAFETY: [REQ] a request's connection lives longer than the request; the field is one of its.
        unsafe { field(self.record().connection).read_volatile() }
    }

    fn local(&self) -> Option<&'r ffi::apr_sockaddr_t> {
        let address = field!(self.local_addr);
        // SAFETY: [REQ] part of the connection, never changed.
        unsafe { address.as_ref() }
    }

    pub(super) fn text(&self, text: *const c_char) -> Option<&'r [u8]> {
        // SAFETY: [CSTR] a string that belongs to the request or something that lives longer.
        unsafe { bytes(text) }
    }

    fn table(&self, table: *mut ffi::apr_table_t) -> Table<'r> {
        // SAFETY: [REQ] the request's tables live as long as it.
        unsafe { Table::new(table) }
    }

    /// The request's pool.
    pub fn pool(&self) -> Pool<'r> {
        // SAFETY: [POOL] the request's pool lives as long as it and is used by its thread.
        unsafe { Pool::new(self.record().pool) }
    }

    /// The server that was selected for the request.
    pub fn server(&self) -> Option<Server<'r>> {
        // SAFETY: [CONF] the configuration outlives its requests.
        unsafe { Server::new(self.record().server) }
    }

    /// The handler's name.
    pub fn handler(&self) -> Option<&'r [u8]> {
        self.text(self.record().handler)
    }

    /// The decoded URL path.
    pub fn uri(&self) -> &'r [u8] {
        self.text(self.record().uri).unwrap_or_default()
    }

    /// The decoded URL path as a C string.
    pub fn uri_c(&self) -> Option<&'r CStr> {
        let uri = self.record().uri;
        // SAFETY: [CSTR] not null, and a string of the request.
        (!uri.is_null()).then(|| unsafe { CStr::from_ptr(uri) })
    }

    /// The path that the URL was mapped to.
    pub fn file_name(&self) -> &'r [u8] {
        self.text(self.record().filename).unwrap_or_default()
    }

    /// What follows the file in the URL path.
    pub fn path_info(&self) -> &'r [u8] {
        self.text(self.record().path_info).unwrap_or_default()
    }

    /// The query string.
    pub fn query(&self) -> &'r [u8] {
        self.text(self.record().args).unwrap_or_default()
    }

    /// The method as sent.
    pub fn method(&self) -> &'r [u8] {
        self.text(self.record().method).unwrap_or_default()
    }

    /// Whether the client sent HEAD.
    pub fn is_head(&self) -> bool {
        self.record().header_only != 0
    }

    /// The request line as sent.
    pub fn request_line(&self) -> &'r [u8] {
        self.text(self.record().the_request).unwrap_or_default()
    }

    /// For instance `HTTP/1.1`; `INCLUDED` for server-side includes.
    pub fn protocol(&self) -> &'r [u8] {
        self.text(self.record().protocol).unwrap_or_default()
    }

    /// The host that the client asked for, without port.
    pub fn host(&self) -> &'r [u8] {
        self.text(self.record().hostname).unwrap_or_default()
    }

    /// The authenticated user.
    pub fn user(&self) -> Option<&'r [u8]> {
        self.text(self.record().user)
    }

    /// The kind of authentication that was done.
    pub fn auth_type(&self) -> Option<&'r [u8]> {
        self.text(self.record().ap_auth_type)
    }

    /// The client's address, as mod_remoteip may have corrected it.
    pub fn client_address(&self) -> &'r [u8] {
        self.text(self.record().useragent_ip).unwrap_or_default()
    }

    /// The client's port.
    pub fn client_port(&self) -> u16 {
        let address = field!(self.client_addr);
        // SAFETY: [REQ] part of the connection, never changed.
        unsafe { address.as_ref() }.map_or(0, |address| address.port)
    }

    /// The local address of the connection.
    pub fn local_address(&self) -> &'r [u8] {
        self.text(field!(self.local_ip)).unwrap_or_default()
    }

    /// The local port of the connection.
    pub fn local_port(&self) -> u16 {
        self.local().map_or(0, |address| address.port)
    }

    /// The address of the listener that accepted the connection, as `Listen` has it; empty for any address.
    pub fn listener_host(&self) -> &'r [u8] {
        self.local().map_or(b"", process::listener_host)
    }

    /// The log id of the connection, if one was made.
    pub fn connection_log_id(&self) -> Option<&'r [u8]> {
        self.text(field!(self.log_id))
    }

    /// The log id of the request; makes one if there is none yet.
    pub fn log_id(&mut self) -> Option<&'r [u8]> {
        if self.record().log_id.is_null() {
            let mut id = ptr::null();
            let connection = self.record().connection;
            // SAFETY: [REQ] request and connection are alive; the id goes to a local.
            unsafe { ffi::ap_run_generate_log_id(connection, self.as_ptr(), &raw mut id) };
            self.record_mut().log_id = id;
        }
        self.text(self.record().log_id)
    }

    /// When the request was received, microseconds since the epoch.
    pub fn received(&self) -> i64 {
        self.record().request_time
    }

    /// Request headers.
    pub fn headers(&self) -> Table<'r> {
        self.table(self.record().headers_in)
    }

    /// Answer headers.
    pub fn headers_out(&self) -> Table<'r> {
        self.table(self.record().headers_out)
    }

    /// Answer headers that error pages have, too.
    pub fn error_headers_out(&self) -> Table<'r> {
        self.table(self.record().err_headers_out)
    }

    /// The request's environment: `SetEnv` and its kin.
    pub fn environment(&self) -> Table<'r> {
        self.table(self.record().subprocess_env)
    }

    /// Notes that modules leave for each other.
    pub fn notes(&self) -> Table<'r> {
        self.table(self.record().notes)
    }

    /// The request that was redirected internally to this one.
    pub fn previous(&self) -> Option<Request<'r>> {
        // SAFETY: [REQ] an internally redirected request outlives its successors.
        unsafe { Request::new(self.record().prev) }
    }

    /// What the file name leads to.
    pub fn file_kind(&self) -> FileKind {
        match self.record().finfo.filetype {
            ffi::APR_NOFILE => FileKind::Missing,
            ffi::APR_DIR => FileKind::Directory,
            _ => FileKind::File,
        }
    }

    /// The file's modification time, microseconds since the epoch.
    pub fn file_modified(&self) -> i64 {
        self.record().finfo.mtime
    }

    /// Whether `AcceptPathInfo Off` holds.
    pub fn refuses_path_info(&self) -> bool {
        self.record().used_path_info == ffi::AP_REQ_REJECT_PATH_INFO
    }

    /// The configurations of all modules for this request.
    pub fn configurations(&self) -> *const ffi::ap_conf_vector_t {
        self.record().per_dir_config
    }

    /// The server's name for URLs, as `UseCanonicalName` decides, escaped for HTML.
    pub fn server_name(&self) -> &'r [u8] {
        // SAFETY: [REQ] alive.
        let name = unsafe { ffi::ap_get_server_name_for_url(self.as_ptr()) };
        let plain = self.text(name).unwrap_or_default();
        if !plain.iter().any(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"')) {
            return plain;
        }
        // SAFETY: [POOL] the request's pool; the name is a C string.
        self.text(unsafe { ffi::ap_escape_html2(self.record().pool, name, 0) }).unwrap_or_default()
    }

    /// The server's port for URLs, as `UseCanonicalName` decides.
    pub fn server_port(&self) -> u16 {
        // SAFETY: [REQ] alive; only reads.
        unsafe { ffi::ap_get_server_port(self.as_ptr()) }
    }

    /// The scheme of the connection.
    pub fn scheme(&self) -> &'r [u8] {
        // SAFETY: [REQ] alive; only reads.
        self.text(unsafe { ffi::ap_run_http_scheme(self.as_ptr()) }).unwrap_or_default()
    }

    /// `DocumentRoot`
    pub fn document_root(&self) -> &'r [u8] {
        // SAFETY: [REQ] alive; only reads.
        self.text(unsafe { ffi::ap_document_root(self.as_ptr()) }).unwrap_or_default()
    }

    /// The URL prefix that an alias mapped, and the directory it mapped it to.
    pub fn context(&self) -> (&'r [u8], &'r [u8]) {
        // SAFETY: [REQ] alive; only reads.
        let prefix = unsafe { ffi::ap_context_prefix(self.as_ptr()) };
        // SAFETY: [REQ] alive; only reads.
        let root = unsafe { ffi::ap_context_document_root(self.as_ptr()) };
        (self.text(prefix).unwrap_or_default(), self.text(root).unwrap_or_default())
    }

    /// Whether the first output filter works on the content, so that a HEAD request needs its body.
    pub fn has_content_filter(&self) -> bool {
        self.first_filter_type().is_some_and(|kind| kind < ffi::AP_FTYPE_PROTOCOL)
    }

    fn first_filter_type(&self) -> Option<ffi::ap_filter_type> {
        // SAFETY: [REQ] the request's chain of filters.
        let filter = unsafe { self.record().output_filters.as_ref() }?;
        // SAFETY: [HTTPD] every filter has a registration, which lives as long as the process.
        unsafe { filter.frec.as_ref() }.map(|registration| registration.ftype)
    }

    /// Asks mod_ssl, if it is loaded, whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        type IsHttps = unsafe extern "C" fn(*mut ffi::conn_rec) -> c_int;
        // SAFETY: [HTTPD] a look-up by name among registered functions.
        let Some(function) = (unsafe { ffi::apr_dynamic_fn_retrieve(c"ssl_is_https".as_ptr()) }) else {
            return false;
        };
        // SAFETY: [HTTPD] mod_ssl registers this name with this signature.
        let is_https = unsafe { std::mem::transmute::<unsafe extern "C" fn(), IsHttps>(function) };
        // SAFETY: [REQ] the connection is alive.
        unsafe { is_https(self.record().connection) != 0 }
    }

    /// Sends the request to another file and handler.
    pub fn map_to(&mut self, file_name: &[u8], handler: &'static CStr) {
        self.record_mut().filename = self.pool().text(file_name);
        self.set_handler(handler);
    }

    /// Sends the request to another handler.
    pub fn set_handler(&mut self, handler: &'static CStr) {
        self.record_mut().handler = handler.as_ptr();
    }

    /// Forgets what httpd derived from the script's own file name: media type, encoding, languages.
    pub fn clear_content_type(&mut self) {
        let record = self.record_mut();
        record.content_type = ptr::null();
        record.content_encoding = ptr::null();
        record.content_languages = ptr::null_mut();
    }

    /// The status of the answer.
    pub fn status(&self) -> c_int {
        self.record().status
    }

    /// Closes the connection after this answer.
    pub fn close_after(&mut self) {
        let connection = self.record().connection;
        // SAFETY: [REQ] the connection is alive and used by this thread; no borrow of it exists here.
        unsafe { (*connection).keepalive = ffi::AP_CONN_CLOSE };
    }

    /// Sends no `100 Continue` any more, because it would end up inside the answer.
    pub fn forget_continue(&mut self) {
        self.record_mut().expecting_100 = 0;
    }

    /// A new brigade in the request's pool.
    pub fn new_brigade(&self) -> Brigade<'r> {
        // SAFETY: [POOL] the pool and the connection's allocator are alive and used by this thread.
        let brigade = unsafe { ffi::apr_brigade_create(self.record().pool, self.bucket_allocator()) };
        // SAFETY: [BRIGADE] just created in the request's pool.
        unsafe { Brigade::new(brigade) }
    }

    /// The allocator of the connection's buckets.
    pub fn bucket_allocator(&self) -> *mut ffi::apr_bucket_alloc_t {
        field!(self.bucket_alloc)
    }

    /// The chain that the body comes from.
    pub fn input_filters(&self) -> *mut ffi::ap_filter_t {
        self.record().input_filters
    }

    /// Whether the body comes straight from the connection. Other modules' filters may not bear being asked without waiting.
    pub fn reads_directly(&self) -> bool {
        self.record().input_filters == self.record().proto_input_filters
    }

    /// The chain that the answer goes to.
    pub fn output_filters(&self) -> *mut ffi::ap_filter_t {
        self.record().output_filters
    }

    /// Sets the status line; answers what was there before.
    pub fn set_status(&mut self, code: u16, reason: &[u8]) -> StatusLine {
        let text = self.pool().concat(&[code.to_string().as_bytes(), b" ", reason]);
        let record = self.record_mut();
        let before = StatusLine { code: record.status, text: record.status_line };
        record.status = c_int::from(code);
        record.status_line = text;
        before
    }

    /// Takes the status line back. What was there before matters: httpd knows by it that it is making an error page.
    pub fn restore_status(&mut self, before: StatusLine) {
        let record = self.record_mut();
        record.status = before.code;
        record.status_line = before.text;
    }

    /// Sets the media type, letting httpd add the filters that are configured for it.
    pub fn set_content_type(&mut self, value: &[u8]) {
        let value = self.pool().text(value);
        // SAFETY: [REQ] alive; the text is in its pool.
        unsafe { ffi::ap_set_content_type(self.as_ptr(), value) };
    }

    /// Sets `Content-Length`.
    pub fn set_content_length(&mut self, length: u64) {
        let length = ffi::apr_off_t::try_from(length).unwrap_or(ffi::apr_off_t::MAX);
        // SAFETY: [REQ] alive.
        unsafe { ffi::ap_set_content_length(self.as_ptr(), length) };
    }

    /// The connection's record.
    pub(super) fn connection_record(&self) -> *mut ffi::conn_rec {
        self.record().connection
    }

    /// Whether this is one of several requests that share a connection at a time.
    pub(super) fn is_stream(&self) -> bool {
        !field!(self.master).is_null()
    }

    /// Whether the client is known to be gone.
    pub fn is_aborted(&self) -> bool {
        field!(self.aborted) != 0
    }
}
