// SPDX-License-Identifier: Apache-2.0
//! The server's side of a request that came over a connection.

use super::connection::Connection;
use super::outbox::{GATHERED, Outbox};
use model::event::{Event, Level};
use model::exchange::{Exchange, FileSpan, Head, Outcome, ReadError, SendError};
use model::launch::Worker;
use model::wire::{Failure, LONGEST_HEAD, ToServer, ToWorker};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use unix::callback::is_forked;
use unix::connection::Wait;
use unix::descriptor::{duplicate, reopen};

/// The most of a body that is asked for at once.
const WANTED: usize = 256 << 10;
/// How often an answer that is being sent looks whether its client has gone.
const LOOK: Duration = Duration::from_millis(50);
/// Log lines that nobody takes are kept up to here.
const LOG_LIMIT: usize = 256 << 10;

/// What became of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadState {
    /// Not given yet.
    Missing,
    /// Given.
    Sent,
    /// Not passed on, because a line is too long.
    Refused,
}

/// An [`Exchange`] over a connection.
pub(crate) struct SocketExchange<'c> {
    connection: &'c mut Connection,
    outbox: &'c Outbox,
    /// The payload of the last frame.
    payload: Vec<u8>,
    settings: &'static Worker,
    pub(crate) head: HeadState,
    /// Log lines that were left out.
    lost: u32,
    /// When it was last looked whether the client has gone.
    looked: Instant,
}

impl<'c> SocketExchange<'c> {
    pub(crate) fn new(connection: &'c mut Connection, outbox: &'c Outbox, settings: &'static Worker) -> Self {
        outbox.begin(connection.socket());
        let head = HeadState::Missing;
        Self { connection, outbox, payload: Vec::new(), settings, head, lost: 0, looked: Instant::now() }
    }

    /// Lets everything leave.
    fn push(&self) -> Result<(), SendError> {
        self.outbox.push(Wait::Allowed).map_err(|_| SendError::ClientGone)
    }

    fn write(&self, frame: &ToServer<'_>) {
        self.outbox.add(|frames| frame.write(frames));
    }

    /// Looks now and then whether the client has gone.
    fn look(&mut self) -> Result<(), SendError> {
        let now = Instant::now();
        if now.duration_since(self.looked) < LOOK {
            return Ok(());
        }
        self.looked = now;
        if self.connection.is_aborted() { Err(SendError::ClientGone) } else { Ok(()) }
    }

    fn ready_for_answer(&self) -> Result<(), SendError> {
        match self.head {
            _ if self.outbox.is_broken() => Err(SendError::ClientGone),
            HeadState::Sent => Ok(()),
            HeadState::Missing | HeadState::Refused => Err(SendError::Failed),
        }
    }

    /// Says how the answer ended. Answers whether the connection can be used for another request.
    pub(crate) fn finish(&mut self, outcome: Outcome) -> bool {
        let failed = |failure| ToServer::Failed(failure);
        let end = match outcome {
            _ if self.head == HeadState::Refused => failed(Failure::Refused(500)),
            Outcome::Complete => ToServer::End,
            Outcome::Refused(status) => failed(Failure::Refused(status)),
            Outcome::Truncated => failed(Failure::Truncated),
            Outcome::ClientGone => failed(Failure::ClientGone),
            Outcome::NotStarted => ToServer::NotStarted { leaving: true },
        };
        self.tell_lost();
        self.write(&end);
        let sent = self.push();
        self.outbox.end();
        sent.is_ok()
    }

    /// Sends what a file holds if nobody may open it any more, without moving the position of the one that is open.
    fn copy_file(&mut self, span: FileSpan) -> Result<(), SendError> {
        let file = File::from(duplicate(span.descriptor).map_err(|_| SendError::Failed)?);
        let (mut offset, end) = (span.offset, span.offset.saturating_add(span.length));
        let mut buffer = vec![0; GATHERED];
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(GATHERED).min(GATHERED);
            let piece = buffer.get_mut(..wanted).unwrap_or_default();
            let length = file.read_at(piece, offset).map_err(|_| SendError::Failed)?;
            let data = piece.get(..length).filter(|data| !data.is_empty()).ok_or(SendError::Failed)?;
            self.send_data(data)?;
            offset += length as u64;
        }
        Ok(())
    }

    fn tell_lost(&mut self) {
        if self.lost > 0 {
            let line = format!("{} lines of this request's log were lost: nobody took them in time", self.lost);
            self.write(&ToServer::Log { level: Level::Warning, line: line.as_bytes() });
            self.lost = 0;
        }
    }

    fn received(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        let most = into.len().min(WANTED);
        self.write(&ToServer::Want(u32::try_from(most).unwrap_or(u32::MAX)));
        self.push().map_err(|_| ReadError::ClientGone)?;
        let lost = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => ReadError::TimedOut,
            _ => ReadError::ClientGone,
        };
        if let Some(length) = self.connection.wait_for_body(into).map_err(lost)? {
            return Ok(length);
        }
        let header = self.connection.wait(most.max(1), &mut self.payload).map_err(lost);
        let frame = header.and_then(|header| ToWorker::parse(header, &self.payload).map_err(|_| ReadError::ClientGone));
        match frame {
            // More than was asked for.
            Ok(ToWorker::Body(_)) => Err(ReadError::Failed),
            Ok(ToWorker::BodyEnd) => Ok(0),
            Ok(ToWorker::BodyFailed(error)) => Err(error),
            Ok(ToWorker::Abort) => Err(ReadError::ClientGone),
            Ok(ToWorker::Hello { .. } | ToWorker::Call(_)) => {
                self.outbox.give_up();
                Err(ReadError::ClientGone)
            }
            Err(error) => {
                self.outbox.give_up();
                Err(error)
            }
        }
    }
}

/// The name of the first header whose line would be longer than `limit`.
fn too_long<'h>(head: &Head<'h>, limit: usize) -> Option<&'h [u8]> {
    // `: ` and the end of the line count.
    let line = |(name, value): &&(&[u8], &[u8])| name.len() + value.len() + 4 > limit;
    let status = (head.reason.len() + 4 > limit).then_some(&b"Status"[..]);
    status.or_else(|| head.headers.iter().find(line).map(|(name, _)| *name))
}

impl Exchange for SocketExchange<'_> {
    fn read_body(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        if self.outbox.is_broken() {
            return Err(ReadError::ClientGone);
        }
        if into.is_empty() {
            return Ok(0);
        }
        self.received(into)
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), SendError> {
        let limit = self.settings.header_limit;
        let long = too_long(head, limit).map(|name| {
            let name = String::from_utf8_lossy(name);
            format!("header '{name}' is too long: a line may have {limit} bytes (header-buffer-size)")
        });
        let mut length = 0;
        if long.is_none() {
            let headers = head.headers.to_vec();
            let frame = ToServer::Head { status: head.status, reason: head.reason, headers };
            self.outbox.add(|frames| {
                let before = frames.len();
                frame.write(frames);
                length = frames.len() - before;
                if length > LONGEST_HEAD {
                    frames.truncate(before);
                }
            });
        }
        let long = long.or_else(|| {
            (length > LONGEST_HEAD)
                .then(|| format!("the headers have {length} bytes together, and may have {LONGEST_HEAD}"))
        });
        if let Some(problem) = long {
            self.head = HeadState::Refused;
            let event = Event::HeaderTooLong { process_group: self.settings.group.clone(), problem };
            self.log(event.level(), event.to_string().as_bytes());
            return Err(SendError::Failed);
        }
        self.head = HeadState::Sent;
        Ok(())
    }

    fn send_data(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.ready_for_answer()?;
        for part in data.chunks(GATHERED) {
            self.write(&ToServer::Data(part));
            if self.outbox.length() >= GATHERED {
                self.push()?;
            }
        }
        if data.len() >= GATHERED { self.look() } else { Ok(()) }
    }

    fn send_file(&mut self, file: FileSpan) -> Result<(), SendError> {
        self.ready_for_answer()?;
        let frame = ToServer::File { offset: file.offset, length: file.length };
        // What httpd reads must not depend on where the application, which goes on, reads the file that it has open.
        match reopen(file.descriptor) {
            Ok(own) => self.outbox.push_with(&frame, own.as_raw_fd()).map_err(|_| SendError::ClientGone),
            Err(_) => self.copy_file(file),
        }
    }

    fn offer(&mut self, data: &[u8]) -> bool {
        self.head == HeadState::Sent && self.outbox.offer(data)
    }

    fn flush(&mut self) -> Result<(), SendError> {
        self.ready_for_answer()?;
        self.write(&ToServer::Flush);
        self.push()?;
        self.look()
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        if is_forked() {
            return python::process::log(level, line);
        }
        if self.outbox.length() > LOG_LIMIT {
            self.lost += 1;
            return;
        }
        self.tell_lost();
        self.write(&ToServer::Log { level, line });
        // At once, because the process may not live to the end of the request; but a slow client holds up no logging.
        let _who_goes_on_finds_out = self.outbox.push(Wait::Never);
    }

    fn is_aborted(&self) -> bool {
        self.outbox.is_broken() || self.connection.is_aborted()
    }
}
