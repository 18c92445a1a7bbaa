// SPDX-License-Identifier: Apache-2.0
//! The request body, pulled from the input filters as the application asks for it.

use super::brigade::Brigade;
use super::request::Request;
use crate::ffi;
use model::exchange::ReadError;

/// Reads a request's body. Nothing is read before the first call, so `100 Continue` is not sent before it either.
#[derive(Debug)]
pub struct Body<'r> {
    request: Request<'r>,
    brigade: Option<Brigade<'r>>,
    /// How much of the first bucket was handed out already.
    consumed: usize,
    state: State,
}

/// Whether asking may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Allowed,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed(ReadError),
    /// An input filter has sent its own answer, to which nothing may be added.
    Answered(ReadError),
}

impl<'r> Body<'r> {
    /// The body of `request`, unread.
    pub fn new(request: Request<'r>) -> Self {
        Self { request, brigade: None, consumed: 0, state: State::Open }
    }

    /// Reads at least one byte; 0 is the end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Ended => return Ok(0),
                State::Failed(error) | State::Answered(error) => return Err(error),
                State::Open => {}
            }
            let request = self.request;
            let brigade = *self.brigade.get_or_insert_with(|| request.new_brigade());
            let read = match brigade.first() {
                Some(_) => self.take(brigade, into),
                None => self.fill(brigade, into.len(), Wait::Allowed).and_then(|_| self.take(brigade, into)),
            };
            match read {
                Ok(0) => {}
                Ok(length) => return Ok(length + self.read_more(into.get_mut(length..).unwrap_or_default())),
                Err(status) => self.fail(status),
            }
        }
    }

    /// Reads what else has arrived of what was asked for.
    fn read_more(&mut self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        let Some(brigade) = self.brigade.filter(|_| self.request.reads_directly()) else { return 0 };
        while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty() && self.state == State::Open) {
            let there = match brigade.first() {
                Some(_) => Ok(true),
                None => self.fill(brigade, room.len(), Wait::Never),
            };
            match there.and_then(|there| if there { self.take(brigade, room).map(Some) } else { Ok(None) }) {
                Ok(Some(length)) => filled += length,
                Ok(None) => break,
                // The next read says so.
                Err(status) => self.fail(status),
            }
        }
        filled
    }

    /// Asks the input filters for up to `length` bytes; whether some came.
    fn fill(&self, brigade: Brigade<'r>, length: usize, wait: Wait) -> Result<bool, ffi::apr_status_t> {
        let length = ffi::apr_off_t::try_from(length).unwrap_or(ffi::apr_off_t::MAX);
        // SAFETY: [REQ] the request and its filters are alive; [BRIGADE] so is the brigade.
        let status = unsafe {
            ffi::ap_get_brigade(
                self.request.input_filters(),
                brigade.as_ptr(),
                ffi::AP_MODE_READBYTES,
                if wait == Wait::Allowed { ffi::APR_BLOCK_READ } else { ffi::APR_NONBLOCK_READ },
                length,
            )
        };
        match (status, brigade.first()) {
            (0, Some(_)) => Ok(true),
            (0 | ffi::APR_EAGAIN, None) if wait == Wait::Never => Ok(false),
            (0, None) => Err(ffi::APR_EOF),
            _ => Err(status),
        }
    }

    /// Copies what the brigade holds; what does not fit stays in it.
    fn take(&mut self, brigade: Brigade<'r>, into: &mut [u8]) -> Result<usize, ffi::apr_status_t> {
        let mut filled = 0;
        while let Some(bucket) = brigade.first() {
            if bucket.is_end() {
                self.state = State::Ended;
                brigade.clear();
                break;
            }
            if !bucket.is_metadata() {
                let data = bucket.read()?.get(self.consumed..).unwrap_or_default();
                let room = into.get_mut(filled..).unwrap_or_default();
                let length = data.len().min(room.len());
                if let (Some(room), Some(data)) = (room.get_mut(..length), data.get(..length)) {
                    room.copy_from_slice(data);
                }
                filled += length;
                if length < data.len() {
                    self.consumed += length;
                    break;
                }
            }
            self.consumed = 0;
            bucket.delete();
        }
        Ok(filled)
    }

    fn fail(&mut self, status: ffi::apr_status_t) {
        let error = match status {
            ffi::APR_TIMEUP => ReadError::TimedOut,
            ffi::APR_EOF | ffi::APR_INCOMPLETE | ffi::APR_ECONNABORTED | ffi::APR_ECONNRESET | EPIPE => {
                ReadError::ClientGone
            }
            ffi::AP_FILTER_ERROR if self.request.status() == ffi::HTTP_REQUEST_ENTITY_TOO_LARGE => ReadError::TooLarge,
            ffi::AP_FILTER_ERROR => ReadError::Malformed,
            ENOSPC => ReadError::TooLarge,
            _ if self.request.is_aborted() => ReadError::ClientGone,
            _ => ReadError::Failed,
        };
        self.request.close_after();
        self.state = if status == ffi::AP_FILTER_ERROR { State::Answered(error) } else { State::Failed(error) };
    }

    /// Whether an input filter has already sent its own answer, so that nothing may be added to it.
    pub fn was_answered(&self) -> bool {
        matches!(self.state, State::Answered(_))
    }
}

/// Numbers of Linux that APR passes through.
const EPIPE: ffi::apr_status_t = 32;
const ENOSPC: ffi::apr_status_t = 28;
