// SPDX-License-Identifier: Apache-2.0
//! A connection to a worker: whole frames in, whole frames out.

#![forbid(unsafe_code)]

use model::wire::{HEADER, Header, ToServer, ToWorker, WireError};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use thiserror::Error;
use unix::channel::Stream;

/// Why nothing more is received.
#[derive(Debug, Error)]
pub enum Lost {
    /// The worker closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It said nothing for too long.
    #[error("it said nothing for {0:?}")]
    Silent(Duration),
    /// It said something that is no frame.
    #[error("it sent a {0}")]
    Nonsense(#[from] WireError),
    /// The kernel reported an error.
    #[error(transparent)]
    Kernel(io::Error),
}

/// What is received at a time.
const PIECE: usize = 64 << 10;

/// A connection to a worker.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    received: Vec<u8>,
    /// How much of `received` belongs to frames that were taken.
    taken: usize,
    descriptors: VecDeque<OwnedFd>,
    patience: Duration,
}

impl Connection {
    /// A connection on which everything waits for up to `patience`.
    pub fn new(stream: Stream, patience: Duration) -> Self {
        Self { stream, received: Vec::new(), taken: 0, descriptors: VecDeque::new(), patience }
    }

    /// Sends frames.
    pub fn send(&self, frames: &[ToWorker<'_>]) -> Result<(), Lost> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut bytes));
        self.stream.send(&bytes, self.patience).map_err(|error| self.lost(error))
    }

    fn lost(&self, error: io::Error) -> Lost {
        match error.kind() {
            io::ErrorKind::TimedOut => Lost::Silent(self.patience),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Lost::Closed,
            _ => Lost::Kernel(error),
        }
    }

    /// Whether something is received within `patience`.
    pub fn is_readable(&self, patience: Duration) -> bool {
        self.has_frame() || self.stream.is_readable(patience).unwrap_or(true)
    }

    /// How long everything may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    fn rest(&self) -> &[u8] {
        self.received.get(self.taken..).unwrap_or_default()
    }

    fn header(&self) -> Result<Option<Header>, WireError> {
        self.rest().first_chunk::<HEADER>().map(|bytes| Header::parse(*bytes)).transpose()
    }

    fn has_frame(&self) -> bool {
        matches!(self.header(), Ok(Some(header)) if self.rest().len() >= HEADER + header.length)
    }

    /// The next frame, with the descriptor that came with it.
    pub fn next(&mut self) -> Result<(ToServer<'_>, Option<OwnedFd>), Lost> {
        let header = loop {
            match self.header()? {
                Some(header) if self.rest().len() >= HEADER + header.length => break header,
                _ => self.receive()?,
            }
        };
        let start = self.taken + HEADER;
        self.taken = start + header.length;
        let descriptor = if header.has_descriptor() { self.descriptors.pop_front() } else { None };
        let payload = self.received.get(start..self.taken).unwrap_or_default();
        Ok((ToServer::parse(header, payload)?, descriptor))
    }

    fn receive(&mut self) -> Result<(), Lost> {
        if self.taken > 0 {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
        let before = self.received.len();
        self.received.resize(before + PIECE, 0);
        let room = self.received.get_mut(before..).unwrap_or_default();
        let received = self.stream.receive(room, self.patience);
        self.received.truncate(before + received.as_ref().map_or(0, |received| received.length));
        match received {
            Ok(received) if received.length == 0 => Err(Lost::Closed),
            Ok(received) => {
                self.descriptors.extend(received.descriptors);
                Ok(())
            }
            Err(error) => Err(self.lost(error)),
        }
    }
}
