// SPDX-License-Identifier: Apache-2.0
//! The server's side of a request: its body, its answer, its log. Both modes use it, on the request's thread.

#![forbid(unsafe_code)]

use crate::apache::body::Body;
use crate::apache::client::Slowness;
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
    choices: Choices,
    /// The status of an answer that gives way to httpd's own page.
    overridden: Option<u16>,
}

/// What the configuration says about an answer.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    /// Whether files may be sent by the kernel.
    pub sendfile: OnOff,
    /// Whether httpd's page takes the place of an answer that tells of an error.
    pub error_override: OnOff,
    /// What is done about a client that takes its time.
    pub slowness: Slowness,
}

impl<'r> Exchange<'r> {
    /// Nothing read, nothing answered.
    pub fn new(request: Request<'r>, choices: Choices) -> Self {
        let answer = Answer::new(request, choices.slowness);
        Self { request, body: Body::new(request), answer, choices, overridden: None }
    }

    /// Does what the outcome asks for. As long as nothing has left, httpd can make an error page instead.
    pub fn finish(&mut self, outcome: Outcome) -> Verdict {
        if self.body.was_answered() && !self.answer.has_left() {
            return Verdict::Done;
        }
        if let Some(status) = self.overridden {
            return Verdict::Status(status);
        }
        let left = self.answer.has_left();
        match outcome {
            // The client's absence is no failure of the answer; whatever was queued cannot reach it.
            Outcome::Complete => {
                let _ = self.answer.end();
            }
            Outcome::Refused(status) if !left => return self.replace(status),
            Outcome::NotStarted if !left => return self.replace(503),
            Outcome::Truncated if !left => return self.replace(500),
            Outcome::ClientGone if !left => return self.replace(400),
            Outcome::Refused(_) | Outcome::NotStarted | Outcome::Truncated | Outcome::ClientGone => {
                self.answer.cut_off()
            }
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
        if self.choices.error_override.is_on() && head.status >= 400 {
            self.overridden = Some(head.status);
            self.request.keep_challenges(head.headers);
            return Ok(());
        }
        self.open_answer()?.head(head)
    }

    /// Takes a block.
    pub fn data(&mut self, data: &[u8]) -> Result<(), SendError> {
        if self.overridden.is_some() {
            return Ok(());
        }
        self.open_answer()?.data(data)
    }

    /// Takes a part of a file.
    pub fn file(&mut self, descriptor: OwnedFd, span: FileSpan) -> Result<(), SendError> {
        if self.overridden.is_some() {
            return Ok(());
        }
        let sendfile = self.choices.sendfile;
        self.open_answer()?.file(descriptor, span, sendfile)
    }

    /// Lets everything leave.
    pub fn flush(&mut self) -> Result<(), SendError> {
        if self.overridden.is_some() {
            return Ok(());
        }
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
