// SPDX-License-Identifier: Apache-2.0
//! A connection to a worker: whole frames in, whole frames out.

#![forbid(unsafe_code)]

use model::exchange::ReadError;
use model::wire::{HEADER, Header, ToServer, ToWorker, WireError};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use thiserror::Error;
use unix::channel::{Stream, Unsent};

/// Why nothing more is received.
#[derive(Debug, Error)]
pub enum Lost {
    /// The worker, or its end, closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// The same, and it had not read all that was sent.
    #[error("it closed the connection")]
    Unread,
    /// It is known to have ended.
    #[error("it has ended")]
    Ended,
    /// It said nothing for too long.
    #[error("it said nothing for {0} s (socket-timeout)")]
    Silent(u64),
    /// It said something that is no frame.
    #[error("it sent a {0}")]
    Nonsense(#[from] WireError),
    /// The kernel reported an error.
    #[error(transparent)]
    Kernel(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::ConnectionReset => Self::Unread,
            _ => Self::Kernel(error),
        }
    }
}

/// What is received at a time.
const PIECE: usize = 128 << 10;

/// A connection to a worker.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Whether the worker was told who this is.
    pub introduced: bool,
    /// What was received lies in `begin..end`.
    received: Vec<u8>,
    begin: usize,
    end: usize,
    descriptors: VecDeque<OwnedFd>,
    /// What is sent, kept for its memory.
    outgoing: Vec<u8>,
    /// A part of the body, kept for its memory.
    body: Vec<u8>,
    /// When the worker said something last.
    pub heard: Instant,
}

impl Connection {
    /// A connection that was just opened.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            introduced: false,
            received: Vec::new(),
            begin: 0,
            end: 0,
            descriptors: VecDeque::new(),
            outgoing: Vec::new(),
            body: Vec::new(),
            heard: Instant::now(),
        }
    }

    /// Sends frames.
    pub fn send(&mut self, frames: &[ToWorker<'_>]) -> Result<(), Unsent> {
        self.outgoing.clear();
        frames.iter().for_each(|frame| frame.write(&mut self.outgoing));
        self.stream.send(&self.outgoing)
    }

    /// Sends the part of the body that `read` gives, of up to `most` bytes.
    pub fn send_body(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, ReadError>,
    ) -> Result<(), Unsent> {
        let mut body = std::mem::take(&mut self.body);
        body.resize(PIECE, 0);
        let sent = match read(body.get_mut(..most.clamp(1, PIECE)).unwrap_or_default()) {
            Ok(0) => self.send(&[ToWorker::BodyEnd]),
            Ok(length) => self.send(&[ToWorker::Body(body.get(..length).unwrap_or_default())]),
            Err(error) => self.send(&[ToWorker::BodyFailed(error)]),
        };
        self.body = body;
        sent
    }

    fn rest(&self) -> &[u8] {
        self.received.get(self.begin..self.end).unwrap_or_default()
    }

    fn header(&self) -> Result<Option<Header>, WireError> {
        self.rest().first_chunk::<HEADER>().map(|bytes| Header::parse(*bytes)).transpose()
    }

    /// Whether all of a frame is here.
    pub fn has_frame(&self) -> Result<bool, WireError> {
        Ok(self.header()?.is_some_and(|header| self.rest().len() >= HEADER + header.length))
    }

    /// The next frame, all of which must be here, with the descriptor that came with it.
    pub fn take(&mut self) -> Result<(ToServer<'_>, Option<OwnedFd>), WireError> {
        let header = self.header()?.ok_or(WireError::Malformed)?;
        let start = self.begin + HEADER;
        self.begin = start + header.length;
        let descriptor = if header.has_descriptor() { self.descriptors.pop_front() } else { None };
        let payload = self.received.get(start..self.begin).ok_or(WireError::Malformed)?;
        Ok((ToServer::parse(header, payload)?, descriptor))
    }

    /// Receives something, for as long as that may take at a time; whether something came.
    pub fn receive(&mut self) -> Result<bool, Lost> {
        self.make_room()?;
        let room = self.received.get_mut(self.end..).unwrap_or_default();
        match self.stream.receive(room, &mut self.descriptors) {
            Ok(0) => Err(Lost::Closed),
            Ok(length) => {
                self.end += length;
                self.heard = Instant::now();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is something to receive within `patience`.
    pub fn hears_within(&self, patience: Duration) -> bool {
        self.stream.hears_within(patience)
    }

    fn make_room(&mut self) -> Result<(), WireError> {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        let wanted = self.header()?.map_or(0, |header| HEADER + header.length);
        if self.begin > 0 && self.begin + wanted.max(PIECE / 2) > self.received.len() {
            self.received.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        let size = wanted.max(PIECE);
        if self.received.len() < size {
            self.received.resize(size, 0);
        }
        Ok(())
    }

    /// Whether everything that was received was taken, so that another request may follow.
    pub fn is_empty(&self) -> bool {
        self.begin == self.end && self.descriptors.is_empty()
    }

    /// Gives back memory that only unusual requests need.
    pub fn shrink(&mut self) {
        for buffer in [&mut self.received, &mut self.outgoing, &mut self.body] {
            if buffer.len() > PIECE {
                buffer.truncate(PIECE);
                buffer.shrink_to(PIECE);
            }
        }
    }
}
