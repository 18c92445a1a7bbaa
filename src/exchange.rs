// SPDX-License-Identifier: Apache-2.0
//! The server's side of a request: its body, its answer, its log. Both modes use it, on the request's thread.

#![forbid(unsafe_code)]

use crate::apache::body::Body;
use crate::apache::log;
use crate::apache::request::{Request, Verdict};
use crate::apache::response::Answer;
use model::directive::value::OnOff;
use model::event::Level;
use model::exchange::{FileSpan, Head, Outcome, ReadError, SendError};
use std::os::fd::OwnedFd;

/// A request's body, answer and log.
#[derive(Debug)]
pub struct Exchange<'r> {
    /// The request.
    pub request: Request<'r>,
    body: Body<'r>,
    answer: Answer<'r>,
    sendfile: OnOff,
}

impl<'r> Exchange<'r> {
    /// Nothing read, nothing answered. Up to `room` bytes of the answer may wait for a slow client.
    pub fn new(request: Request<'r>, sendfile: OnOff, room: usize) -> Self {
        Self { request, body: Body::new(request), answer: Answer::new(request, room), sendfile }
    }

    /// Does what the outcome asks for. As long as nothing has left, httpd can make an error page instead.
    pub fn finish(&mut self, outcome: Outcome) -> Verdict {
        if self.body.was_answered() && !self.answer.has_left() {
            return Verdict::Done;
        }
        let left = self.answer.has_left();
        match outcome {
            // The client's absence is no failure of the answer; whatever was queued cannot reach it.
            Outcome::Complete => {
                let _ = self.answer.end();
            }
            Outcome::Refused(status) if !left => return self.replace(status),
            Outcome::Truncated if !left => return self.replace(500),
            Outcome::ClientGone if !left => return self.replace(400),
            Outcome::Refused(_) | Outcome::Truncated | Outcome::ClientGone => self.answer.cut_off(),
        }
        Verdict::Done
    }

    /// Whether a part of the answer has gone to the client.
    pub fn has_left(&self) -> bool {
        self.answer.has_left()
    }

    /// Reads the body.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        if self.answer.has_left() {
            self.request.forget_continue();
        }
        self.body.read(into)
    }

    /// Takes the status and headers.
    pub fn head(&mut self, head: &Head<'_>) -> Result<(), SendError> {
        self.open_answer()?.head(head)
    }

    /// Takes a block.
    pub fn data(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.open_answer()?.data(data)
    }

    /// Takes a part of a file.
    pub fn file(&mut self, descriptor: OwnedFd, span: FileSpan) -> Result<(), SendError> {
        let sendfile = self.sendfile;
        self.open_answer()?.file(descriptor, span, sendfile)
    }

    /// Lets everything leave.
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.open_answer()?.flush()
    }

    /// Lets leave what waited for a slow client, if it takes more now.
    pub fn resume(&mut self) -> Result<(), SendError> {
        self.answer.resume()
    }

    /// Writes a line to the request's log.
    pub fn log(&self, level: Level, line: &[u8]) {
        log::request_line(&self.request, level, line);
    }

    /// The answer, unless an input filter has given its own, to which nothing may be added.
    fn open_answer(&mut self) -> Result<&mut Answer<'r>, SendError> {
        if self.body.was_answered() { Err(SendError::Failed) } else { Ok(&mut self.answer) }
    }

    fn replace(&mut self, status: u16) -> Verdict {
        self.answer.withdraw();
        Verdict::Status(status)
    }
}
