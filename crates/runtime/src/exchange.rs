// SPDX-License-Identifier: Apache-2.0
//! The server's side of a request behind the C table of embedded mode.

use model::embedded::{ExchangeTable, Pair, Text};
use model::event::Level;
use model::exchange::{Exchange, FileSpan, Head, ReadError, SendError};
use std::ffi::{c_int, c_void};

/// An [`Exchange`] over an [`ExchangeTable`].
pub(crate) struct TableExchange<'t> {
    table: &'t ExchangeTable,
    context: *mut c_void,
    /// Whether the head was given to the server.
    pub(crate) head_sent: bool,
}

impl<'t> TableExchange<'t> {
    /// # Safety
    ///
    /// The functions of the table may be called with `context` for as long as `'t`.
    pub(crate) unsafe fn new(table: &'t ExchangeTable, context: *mut c_void) -> Self {
        Self { table, context, head_sent: false }
    }
}

fn sent(answer: c_int) -> Result<(), SendError> {
    match answer {
        0 => Ok(()),
        answer if answer == -(SendError::ClientGone as c_int) => Err(SendError::ClientGone),
        _ => Err(SendError::Failed),
    }
}

fn read(answer: isize) -> Result<usize, ReadError> {
    usize::try_from(answer).map_err(|_| match answer {
        -1 => ReadError::ClientGone,
        -2 => ReadError::TimedOut,
        -3 => ReadError::TooLarge,
        -4 => ReadError::Malformed,
        _ => ReadError::Failed,
    })
}

impl Exchange for TableExchange<'_> {
    fn read_body(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        // SAFETY: [TABLE] the place is a live slice of that length.
        read(unsafe { (self.table.read_body)(self.context, into.as_mut_ptr(), into.len()) })
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), SendError> {
        self.head_sent = true;
        let headers = head.headers.iter();
        let pairs: Vec<Pair<'_>> =
            headers.map(|(name, value)| Pair { name: Text::new(name), value: Text::new(value) }).collect();
        let reason = Text::new(head.reason);
        // SAFETY: [TABLE] the pairs are a live slice of that length.
        sent(unsafe { (self.table.send_head)(self.context, head.status, reason, pairs.as_ptr(), pairs.len()) })
    }

    fn send_data(&mut self, data: &[u8]) -> Result<(), SendError> {
        // SAFETY: [TABLE] the text is a live slice.
        sent(unsafe { (self.table.send_data)(self.context, Text::new(data)) })
    }

    fn send_file(&mut self, file: FileSpan) -> Result<(), SendError> {
        // SAFETY: [TABLE] the server duplicates the descriptor if it keeps it.
        sent(unsafe { (self.table.send_file)(self.context, file.descriptor, file.offset, file.length) })
    }

    fn flush(&mut self) -> Result<(), SendError> {
        // SAFETY: [TABLE] no arguments but the context.
        sent(unsafe { (self.table.flush)(self.context) })
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        // SAFETY: [TABLE] the text is a live slice.
        unsafe { (self.table.log)(self.context, level, Text::new(line)) };
    }

    fn is_aborted(&self) -> bool {
        // SAFETY: [TABLE] no arguments but the context.
        unsafe { (self.table.is_aborted)(self.context) != 0 }
    }
}
