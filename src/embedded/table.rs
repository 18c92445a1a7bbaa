// SPDX-License-Identifier: Apache-2.0
//! The exchange of a request that runs in this process, as the C table through which the WSGI code calls it.
//!
//! Called on the request's thread, from inside `Table::handle`.

use crate::boundary::callbacks;
use crate::exchange::Exchange;
use model::embedded::{Ending, EndingKind, ExchangeTable, Flag, Pair, Text};
use model::event::Level;
use model::exchange::{FileSpan, Head, Outcome, ReadError, SendError};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

/// The functions that a pointer to an [`Exchange`] is handed over with.
pub static TABLE: ExchangeTable =
    ExchangeTable { read_body, send_head, send_data, send_file, flush, log: write_log, is_aborted };

/// The outcome that an ending stands for.
pub fn outcome(ending: Ending) -> Outcome {
    match ending.kind {
        EndingKind::Complete => Outcome::Complete,
        EndingKind::Refused => Outcome::Refused(ending.status),
        EndingKind::Truncated => Outcome::Truncated,
        EndingKind::ClientGone => Outcome::ClientGone,
    }
}

/// Does something with the exchange behind a context.
fn with<R>(context: *mut c_void, work: impl FnOnce(&mut Exchange<'_>) -> R) -> R {
    // SAFETY: [EXCHANGE] the pointer that was handed over with the table; one thread at a time uses it, during a request.
    work(unsafe { &mut *context.cast::<Exchange<'_>>() })
}

/// The bytes of a text.
pub fn slice<'c>(text: Text<'c>) -> &'c [u8] {
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
        send_code(with(context, |exchange| exchange.head(&head)))
    }

    fn send_data(context: *mut c_void, data: Text<'_>) -> c_int, or FAILED; {
        send_code(with(context, |exchange| exchange.data(slice(data))))
    }

    fn send_file(context: *mut c_void, descriptor: RawFd, offset: u64, length: u64) -> c_int, or FAILED; {
        // With a position of its own, if that is possible: httpd may read it later than the application does.
        let copy = unix::descriptor::reopen(descriptor).or_else(|_| unix::descriptor::duplicate(descriptor));
        let Ok(copy) = copy else { return FAILED };
        let span = FileSpan { descriptor, offset, length };
        send_code(with(context, |exchange| exchange.file(copy, span)))
    }

    fn flush(context: *mut c_void) -> c_int, or FAILED; {
        send_code(with(context, |exchange| exchange.flush()))
    }

    fn write_log(context: *mut c_void, level: Level, line: Text<'_>), or (); {
        with(context, |exchange| exchange.log(level, slice(line)));
    }

    fn is_aborted(context: *mut c_void) -> Flag, or 0; {
        with(context, |exchange| exchange.request.is_aborted().into())
    }
}
