// SPDX-License-Identifier: Apache-2.0
//! The one small interface between the WSGI code and whatever server it runs under.
//!
//! There are three implementations: a C table filled by the httpd module (embedded mode), a socket (daemon
//! mode), and a `Vec` (tests). The WSGI code calls these methods from the thread that runs the request, or, when an
//! application hands `wsgi.input` or `write()` to another thread, from that one while the request is alive; never from
//! two at once. Every method but one may block and is called without holding an interpreter.

use crate::event::Level;
use std::os::fd::RawFd;
use thiserror::Error;

/// One request as the WSGI code sees it from the server's side: a body to pull, an answer to give.
///
/// Order of calls: `send_head` at most once and before any `send_data`, `send_file` or `flush`. How the answer
/// ended is not a call but the [`Outcome`] that the WSGI code returns.
pub trait Exchange {
    /// Reads the next bytes of the request body, waiting for at least one; 0 is the end of the body.
    ///
    /// The first call is what makes the server send `100 Continue`.
    fn read_body(&mut self, into: &mut [u8]) -> Result<usize, ReadError>;

    /// Takes the status and headers of the answer. They leave with the first data, flush, or the end.
    fn send_head(&mut self, head: &Head<'_>) -> Result<(), SendError>;

    /// Takes a block of the answer. It may be kept until [`Exchange::flush`] or the end of the answer.
    fn send_data(&mut self, data: &[u8]) -> Result<(), SendError>;

    /// Takes a part of a regular file. The implementation duplicates the descriptor if it keeps it.
    fn send_file(&mut self, file: FileSpan) -> Result<(), SendError>;

    /// Takes a block that is to leave soon, unless that would mean waiting; the only call that the interpreter may be held for.
    ///
    /// Answers whether it was taken. If not, [`Exchange::send_data`] and [`Exchange::flush`] are the way.
    fn offer(&mut self, _data: &[u8]) -> bool {
        false
    }

    /// Lets everything taken so far leave for the client.
    fn flush(&mut self) -> Result<(), SendError>;

    /// Writes one line to the request's own error log.
    fn log(&mut self, level: Level, line: &[u8]);

    /// Whether the client is known to be gone.
    fn is_aborted(&self) -> bool;
}

/// Status line and headers, already validated by [`crate::response`].
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The three-digit status code.
    pub status: u16,
    /// The reason phrase, without the code; may be empty.
    pub reason: &'a [u8],
    /// Names and values in the application's order, duplicates kept.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// A range of an open regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSpan {
    /// A descriptor of the file, owned by the caller.
    pub descriptor: RawFd,
    /// First byte.
    pub offset: u64,
    /// Number of bytes; the caller has clamped it to the size of the file.
    pub length: u64,
}

/// Why reading the request body ended without its end. The numbers cross the C table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[repr(C)]
pub enum ReadError {
    /// The client closed or reset its connection.
    #[error("client closed the connection before the whole body was received")]
    ClientGone = 1,
    /// The client sent nothing for the server's `Timeout`.
    #[error("timed out waiting for the body")]
    TimedOut = 2,
    /// The body is larger than `LimitRequestBody` allows.
    #[error("body exceeds the configured limit")]
    TooLarge = 3,
    /// The body is not well-formed (for instance a bad chunk header).
    #[error("body is malformed")]
    Malformed = 4,
    /// Anything else an input filter reported.
    #[error("input filter reported an error")]
    Failed = 5,
}

/// Why a part of the answer could not be sent. The numbers cross the C table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[repr(C)]
pub enum SendError {
    /// The client closed or reset its connection.
    #[error("client closed the connection")]
    ClientGone = 1,
    /// An output filter reported an error.
    #[error("output filter reported an error")]
    Failed = 2,
}

/// How a request ended, told by the WSGI code to its server once `close()` has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The head was sent and everything the application produced after it.
    Complete,
    /// Nothing was sent; the server answers with this status and its own page.
    Refused(u16),
    /// The head was sent, but the answer is not whole: the client must be able to see that.
    Truncated,
    /// The client went away; nothing more can be told to it.
    ClientGone,
    /// The application was not called, because another process has to be asked: the script has changed.
    NotStarted,
}
