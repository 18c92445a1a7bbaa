// SPDX-License-Identifier: Apache-2.0
//! The server's side of a request that runs in this process: the methods that the WSGI code calls, as a C table.
//!
//! Called on the request's thread, from inside `Table::handle`.

use crate::apache::body::Body;
use crate::apache::log;
use crate::apache::request::{Request, Verdict};
use crate::apache::response::Answer;
use crate::boundary::callbacks;
use model::directive::value::OnOff;
use model::embedded::{Ending, EndingKind, ExchangeTable, Flag, Pair, Text};
use model::event::Level;
use model::exchange::{FileSpan, Head, ReadError, SendError};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

/// A request's body, answer and log.
#[derive(Debug)]
pub struct Exchange<'r> {
    request: Request<'r>,
    body: Body<'r>,
    answer: Answer<'r>,
    sendfile: OnOff,
}

/// The functions that a pointer to an [`Exchange`] is handed over with.
pub static TABLE: ExchangeTable =
    ExchangeTable { read_body, send_head, send_data, send_file, flush, log: write_log, is_aborted };

impl<'r> Exchange<'r> {
    /// Nothing read, nothing answered.
    pub fn new(request: Request<'r>, sendfile: OnOff) -> Self {
        Self { request, body: Body::new(request), answer: Answer::new(request), sendfile }
    }

    /// Does what the WSGI code's ending asks for. As long as nothing has left, httpd can make an error page instead.
    pub fn finish(&mut self, ending: Ending) -> Verdict {
        if self.body.was_answered() && !self.answer.has_left() {
            return Verdict::Done;
        }
        let left = self.answer.has_left();
        match ending.kind {
            // The client's absence is no failure of the answer; whatever was queued cannot reach it.
            EndingKind::Complete => {
                let _ = self.answer.end();
            }
            EndingKind::Refused if !left => return self.replace(ending.status),
            EndingKind::Truncated if !left => return self.replace(500),
            EndingKind::ClientGone if !left => return self.replace(400),
            EndingKind::Refused | EndingKind::Truncated | EndingKind::ClientGone => self.answer.cut_off(),
        }
        Verdict::Done
    }

    /// The answer, unless an input filter has given its own, to which nothing may be added.
    fn open_answer(&mut self) -> Result<&mut Answer<'r>, SendError> {
        if self.body.was_answered() { Err(SendError::Failed) } else { Ok(&mut self.answer) }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        if self.answer.has_left() {
            self.request.forget_continue();
        }
        self.body.read(into)
    }

    fn replace(&mut self, status: u16) -> Verdict {
        self.answer.withdraw();
        Verdict::Status(status)
    }
}

/// Does something with the exchange behind a context.
fn with<R>(context: *mut c_void, work: impl FnOnce(&mut Exchange<'_>) -> R) -> R {
    // SAFETY: [EXCHANGE] the pointer that was handed over with the table; one thread at a time uses it, during a request.
    work(unsafe { &mut *context.cast::<Exchange<'_>>() })
}

fn slice<'c>(text: Text<'c>) -> &'c [u8] {
    let (start, length) = text.parts();
    // SAFETY: [TEXT] made from a slice that lives for 'c.
    unsafe { std::slice::from_raw_parts(start, length) }
}

fn read_code(error: ReadError) -> isize {
    -(error as isize)
}

fn send_code(result: Result<(), SendError>) -> c_int {
    result.map_or_else(|error| -(error as c_int), |()| 0)
}

const FAILED: c_int = -(SendError::Failed as c_int);

callbacks! {
    fn read_body(context: *mut c_void, into: *mut u8, capacity: usize) -> isize, or read_code(ReadError::Failed); {
        // SAFETY: [EXCHANGE] the caller's buffer of that capacity, initialised, for the length of the call.
        let into = unsafe { std::slice::from_raw_parts_mut(into, capacity) };
        let read = with(context, |exchange| exchange.read(into));
        read.map_or_else(read_code, |length| isize::try_from(length).unwrap_or(isize::MAX))
    }

    fn send_head(context: *mut c_void, status: u16, reason: Text<'_>, headers: *const Pair<'_>, count: usize) -> c_int,
        or FAILED;
    {
        // SAFETY: [EXCHANGE] the caller's array of that length, for the length of the call.
        let pairs = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(headers, count) } };
        let headers: Vec<_> = pairs.iter().map(|pair| (slice(pair.name), slice(pair.value))).collect();
        let head = Head { status, reason: slice(reason), headers: &headers };
        send_code(with(context, |exchange| exchange.open_answer()?.head(&head)))
    }

    fn send_data(context: *mut c_void, data: Text<'_>) -> c_int, or FAILED; {
        send_code(with(context, |exchange| exchange.open_answer()?.data(slice(data))))
    }

    fn send_file(context: *mut c_void, descriptor: RawFd, offset: u64, length: u64) -> c_int, or FAILED; {
        let Ok(copy) = unix::descriptor::duplicate(descriptor) else { return FAILED };
        let span = FileSpan { descriptor, offset, length };
        send_code(with(context, |exchange| {
            let sendfile = exchange.sendfile;
            exchange.open_answer()?.file(copy, span, sendfile)
        }))
    }

    fn flush(context: *mut c_void) -> c_int, or FAILED; {
        send_code(with(context, |exchange| exchange.open_answer()?.flush()))
    }

    fn write_log(context: *mut c_void, level: Level, line: Text<'_>), or (); {
        with(context, |exchange| log::request_line(&exchange.request, level, slice(line)));
    }

    fn is_aborted(context: *mut c_void) -> Flag, or 0; {
        with(context, |exchange| exchange.request.is_aborted().into())
    }
}
