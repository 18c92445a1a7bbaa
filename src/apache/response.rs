// SPDX-License-Identifier: Apache-2.0
//! The answer on its way into httpd's output filters.
//!
//! Blocks are gathered in a brigade and passed on when they are many, when asked, or at the end, so that a small answer
//! leaves in one system call. Until something was passed on, the answer can still be replaced by an error page.

use super::brigade::Brigade;
use super::client::Slowness;
use super::request::{Request, StatusLine};
use crate::ffi;
use model::directive::value::OnOff;
use model::exchange::{FileSpan, Head, SendError};
use model::response::parse_length;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

/// Blocks below this size are copied and gathered; larger ones are passed on at once without a copy of ours.
const SMALL: usize = 8 * 1024;
/// Gathered bytes at which the brigade is passed on.
const GATHERED: usize = 64 * 1024;

/// An answer under construction.
#[derive(Debug)]
pub struct Answer<'r> {
    request: Request<'r>,
    brigade: Option<Brigade<'r>>,
    gathered: usize,
    /// What the status was before the application's.
    before: Option<StatusLine>,
    /// `WWW-Authenticate` headers, which go where error pages would have them, too, once the answer is certain.
    challenges: Vec<Vec<u8>>,
    passed: bool,
    broken: Option<SendError>,
    /// What is done about a client that takes its time.
    slowness: Slowness,
    /// Whether everything is to leave as soon as the client takes it.
    flush_due: bool,
}

impl<'r> Answer<'r> {
    /// No answer yet. While the client takes its time, bytes wait in memory rather than whoever makes them.
    pub fn new(request: Request<'r>, slowness: Slowness) -> Self {
        Self {
            request,
            brigade: None,
            gathered: 0,
            before: None,
            challenges: Vec::new(),
            passed: false,
            broken: None,
            slowness,
            flush_due: false,
        }
    }

    /// Whether anything went to the output filters.
    pub fn has_left(&self) -> bool {
        self.passed
    }

    /// Takes the status and headers.
    pub fn head(&mut self, head: &Head<'_>) -> Result<(), SendError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let pool = self.request.pool();
        self.before = Some(self.request.set_status(head.status, head.reason));
        for &(name, value) in head.headers {
            if name.eq_ignore_ascii_case(b"content-type") {
                self.request.set_content_type(value);
            } else if name.eq_ignore_ascii_case(b"content-length") {
                self.request.set_content_length(parse_length(value).unwrap_or(0));
            } else if name.eq_ignore_ascii_case(b"www-authenticate") {
                self.challenges.push(value.to_vec());
            } else {
                self.request.headers_out().add(pool, name, value);
            }
        }
        Ok(())
    }

    /// Takes a block.
    pub fn data(&mut self, data: &[u8]) -> Result<(), SendError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let may_wait = self.gathered + data.len() >= GATHERED.min(SMALL) && self.may_wait(data.len());
        let brigade = self.brigade();
        if data.len() < SMALL || may_wait {
            brigade.append(data);
            self.gathered += data.len();
            return if self.gathered < GATHERED || may_wait { Ok(()) } else { self.pass() };
        }
        // SAFETY: [BRIGADE] the filters copy what they keep of a transient bucket, so `data` need not outlive the call.
        let bucket = unsafe {
            ffi::apr_bucket_transient_create(data.as_ptr().cast(), data.len(), self.request.bucket_allocator())
        };
        // SAFETY: [BRIGADE] just created.
        unsafe { brigade.push(bucket) };
        self.pass()
    }

    /// Takes a part of a file, whose descriptor is kept open for as long as the request lives.
    pub fn file(&mut self, descriptor: OwnedFd, span: FileSpan, sendfile: OnOff) -> Result<(), SendError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let pool = self.request.pool();
        let brigade = self.brigade();
        let mut number = descriptor.as_raw_fd();
        pool.keep(descriptor);
        let mut file = ptr::null_mut();
        let flags = ffi::APR_FOPEN_READ | if sendfile.is_on() { ffi::APR_FOPEN_SENDFILE_ENABLED } else { 0 };
        // SAFETY: [POOL] the file record goes to the request's pool, which also owns the descriptor.
        let status = unsafe { ffi::apr_os_file_put(&raw mut file, &raw mut number, flags, pool.as_ptr()) };
        if status != 0 {
            return Err(self.break_off(SendError::Failed));
        }
        let (Ok(offset), Ok(length)) = (i64::try_from(span.offset), i64::try_from(span.length)) else {
            return Err(self.break_off(SendError::Failed));
        };
        // SAFETY: [BRIGADE] brigade, file and pool are alive.
        let bucket = unsafe { ffi::apr_brigade_insert_file(brigade.as_ptr(), file, offset, length, pool.as_ptr()) };
        // SAFETY: [BRIGADE] the bucket just inserted. A mapped file that somebody truncates would kill the process.
        unsafe { ffi::apr_bucket_file_enable_mmap(bucket, 0) };
        self.pass()
    }

    /// Lets everything leave.
    pub fn flush(&mut self) -> Result<(), SendError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        if self.may_wait(0) {
            self.flush_due = true;
            return Ok(());
        }
        self.flush_due = false;
        // SAFETY: [BRIGADE] the connection's allocator is alive.
        let bucket = unsafe { ffi::apr_bucket_flush_create(self.request.bucket_allocator()) };
        // SAFETY: [BRIGADE] just created.
        unsafe { self.brigade().push(bucket) };
        self.pass()
    }

    /// Lets leave what waited for the client, if it takes more now.
    pub fn resume(&mut self) -> Result<(), SendError> {
        if self.flush_due { self.flush() } else { Ok(()) }
    }

    /// Whether so much more can wait, and has a reason to.
    fn may_wait(&self, more: usize) -> bool {
        self.passed && self.gathered + more <= self.slowness.room && self.request.client_is_slow()
    }

    /// Ends a whole answer.
    pub fn end(&mut self) -> Result<(), SendError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        self.push_end();
        self.pass()
    }

    /// Ends an answer that is not whole so that the client sees it: httpd leaves out the last chunk, resets the HTTP/2
    /// stream, stores nothing in caches, and closes the connection.
    pub fn cut_off(&mut self) {
        self.request.close_after();
        let (pool, allocator) = (self.request.pool(), self.request.bucket_allocator());
        // SAFETY: [BRIGADE] pool and allocator are alive.
        let bucket =
            unsafe { ffi::ap_bucket_error_create(ffi::HTTP_BAD_GATEWAY, ptr::null(), pool.as_ptr(), allocator) };
        // SAFETY: [BRIGADE] just created.
        unsafe { self.brigade().push(bucket) };
        self.push_end();
        // The connection ends here whether or not this still reaches the client.
        let _ = self.pass();
    }

    /// Forgets an answer of which nothing has left, so that httpd can make an error page.
    pub fn withdraw(&mut self) {
        if let Some(brigade) = self.brigade {
            brigade.clear();
        }
        self.challenges.clear();
        if let Some(before) = self.before.take() {
            self.request.restore_status(before);
            self.request.clear_content_type();
        }
    }

    fn brigade(&mut self) -> Brigade<'r> {
        let request = self.request;
        *self.brigade.get_or_insert_with(|| request.new_brigade())
    }

    fn push_end(&mut self) {
        // SAFETY: [BRIGADE] the connection's allocator is alive.
        let bucket = unsafe { ffi::apr_bucket_eos_create(self.request.bucket_allocator()) };
        // SAFETY: [BRIGADE] just created.
        unsafe { self.brigade().push(bucket) };
    }

    fn pass(&mut self) -> Result<(), SendError> {
        let brigade = self.brigade();
        self.gathered = 0;
        self.passed = true;
        for challenge in self.challenges.drain(..) {
            self.request.challenge(&challenge);
        }
        let status = self.request.with_patience(self.slowness.patience, || {
            // SAFETY: [REQ] the request's filters are alive; [BRIGADE] so is the brigade, which they empty.
            unsafe { ffi::ap_pass_brigade(self.request.output_filters(), brigade.as_ptr()) }
        });
        brigade.clear();
        if self.request.is_aborted() {
            return Err(self.break_off(SendError::ClientGone));
        }
        if status != 0 {
            return Err(self.break_off(SendError::Failed));
        }
        Ok(())
    }

    fn break_off(&mut self, error: SendError) -> SendError {
        self.broken = Some(error);
        error
    }
}
