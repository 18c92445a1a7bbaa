// SPDX-License-Identifier: Apache-2.0
//! A connection from one of httpd's children: bytes to frames, and the proof of the right to send them.
//!
//! Whatever arrives, the worst that happens is that the connection is closed; nothing is allocated for bytes that did not
//! arrive.

use model::admission::Incarnation;
use model::launch::Worker;
use model::wire::{HEADER, Header, KEY_LENGTH, ToWorker, WireError};
use std::hint::black_box;
use std::io;
use std::sync::Arc;
use unix::callback::{Private, is_forked};
use unix::connection::{Wait, peek, receive, send, set_send_buffer, set_timeout, shut_down, stop_receiving};

/// How much is received at once.
const CHUNK: usize = 4 << 10;
/// A buffer larger than this is given back after use.
const KEPT: usize = 128 << 10;
/// The longest first frame.
const LONGEST_HELLO: usize = 256;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Whose answer is being sent, and whoever else sends for it, keeps it open.
    socket: Arc<Private>,
    /// What arrived and was not used yet.
    inbox: Vec<u8>,
    /// Whether the right key was shown.
    welcome: bool,
    /// Whether this process is meant, and not one before it whose queue held the connection.
    pub(crate) is_meant: bool,
    /// Whether it is among those that are waited for.
    pub(crate) watched: bool,
}

/// What there is to do for a connection.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame arrived.
    Frame(Header),
    /// Nothing, until more arrives.
    Later,
    /// To close it.
    Close,
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(socket: Private, settings: &Worker) -> io::Result<Self> {
        set_timeout(&socket, settings.socket_timeout)?;
        set_send_buffer(&socket, settings.send_buffer)?;
        let socket = Arc::new(socket);
        Ok(Self { socket, inbox: Vec::new(), welcome: false, is_meant: false, watched: false })
    }

    /// For those who wait for it or send over it.
    pub(crate) fn socket(&self) -> &Arc<Private> {
        &self.socket
    }

    /// Takes nothing more than what has arrived: whoever sends more knows that it was not received.
    pub(crate) fn stop_receiving(&self) {
        stop_receiving(&*self.socket);
    }

    /// Whether something arrived that was not used yet.
    pub(crate) fn has_more(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn header(&self) -> Result<Option<Header>, WireError> {
        let Some(bytes) = self.inbox.first_chunk::<HEADER>() else { return Ok(None) };
        Header::parse(*bytes).map(Some)
    }

    /// Takes the next frame's payload if all of it is there.
    fn take(&mut self, header: Header, payload: &mut Vec<u8>) -> bool {
        let end = HEADER + header.length;
        let Some(found) = self.inbox.get(HEADER..end) else { return false };
        payload.clear();
        payload.extend_from_slice(found);
        if self.inbox.len() == end {
            self.inbox.clear();
            self.inbox.shrink_to(KEPT);
        } else {
            self.inbox.drain(..end);
        }
        true
    }

    /// Receives more; 0 is the end.
    fn fill(&mut self, wait: Wait) -> io::Result<usize> {
        still_ours()?;
        let start = self.inbox.len();
        self.inbox.resize(start + CHUNK, 0);
        let received = receive(&*self.socket, self.inbox.get_mut(start..).unwrap_or_default(), wait);
        self.inbox.truncate(start + received.as_ref().map_or(0, |length| *length));
        received
    }

    /// The next frame of those who have shown the key, without waiting.
    pub(crate) fn next(&mut self, settings: &Worker, payload: &mut Vec<u8>) -> Next {
        loop {
            match self.header() {
                Err(_) => return Next::Close,
                Ok(Some(header)) if !self.welcome && header.length > LONGEST_HELLO => return Next::Close,
                Ok(Some(header)) if self.take(header, payload) => {
                    if self.welcome {
                        return Next::Frame(header);
                    }
                    let Some(incarnation) = welcome(settings, header, payload) else { return Next::Close };
                    (self.welcome, self.is_meant) = (true, incarnation == settings.incarnation);
                    continue;
                }
                Ok(_) => {}
            }
            match self.fill(Wait::Never) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Later,
                Ok(0) | Err(_) => return Next::Close,
            }
        }
    }

    /// Waits for the next part of the body and puts it where it belongs; `None` if another frame comes.
    pub(crate) fn wait_for_body(&mut self, place: &mut [u8]) -> io::Result<Option<usize>> {
        let header = loop {
            match self.header().map_err(io::Error::other)? {
                Some(header) => break header,
                None if self.fill(Wait::Allowed)? == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        };
        let Some(place) = place.get_mut(..header.length).filter(|_| header.is_body()) else { return Ok(None) };
        let at_hand = self.inbox.len().min(HEADER + header.length);
        let (first, rest) = place.split_at_mut(at_hand - HEADER);
        first.copy_from_slice(self.inbox.get(HEADER..at_hand).unwrap_or_default());
        self.inbox.drain(..at_hand);
        let mut filled = 0;
        while let Some(room) = rest.get_mut(filled..).filter(|room| !room.is_empty()) {
            still_ours()?;
            match receive(&*self.socket, room, Wait::Allowed)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => filled += length,
            }
        }
        Ok(Some(header.length))
    }

    /// Waits for the next frame, whose payload may have so many bytes.
    pub(crate) fn wait(&mut self, most: usize, payload: &mut Vec<u8>) -> io::Result<Header> {
        loop {
            if let Some(header) = self.header().map_err(io::Error::other)? {
                if header.length > most {
                    return Err(io::Error::other(WireError::TooLong(header.length)));
                }
                if self.take(header, payload) {
                    return Ok(header);
                }
            }
            if self.fill(Wait::Allowed)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether the other side said that nothing is of use any more, or went away.
    pub(crate) fn is_aborted(&self) -> bool {
        if is_forked() {
            return true;
        }
        let mut place = [0; HEADER];
        let length = if let Some(found) = self.inbox.first_chunk::<HEADER>() {
            place = *found;
            HEADER
        } else {
            match peek(&*self.socket, &mut place) {
                Ok(0) => return true,
                Ok(length) => length,
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        length == HEADER && Header::parse(place).is_ok_and(|header| ToWorker::parse(header, &[]) == Ok(ToWorker::Abort))
    }

    /// Sends from the front of `data`; what was sent is removed.
    pub(crate) fn send(&self, data: &mut Vec<u8>, wait: Wait) -> io::Result<()> {
        still_ours()?;
        let mut sent = 0;
        let result = loop {
            match data.get(sent..) {
                None | Some([]) => break Ok(()),
                Some(rest) => match send(&*self.socket, rest, wait) {
                    Ok(length) => sent += length,
                    Err(error) => break Err(error),
                },
            }
        };
        data.drain(..sent);
        data.shrink_to(KEPT);
        result
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Processes that the application forked may still have a copy.
        shut_down(&*self.socket);
    }
}

/// In a process that the application forked the descriptor is closed, and its number may be that of something else.
fn still_ours() -> io::Result<()> {
    if is_forked() { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) }
}

/// The process that is meant, if the right key is shown.
fn welcome(settings: &Worker, header: Header, payload: &[u8]) -> Option<Incarnation> {
    let Ok(ToWorker::Hello { build_id, key, incarnation }) = ToWorker::parse(header, payload) else { return None };
    // No early end that would tell how much of a guess is right.
    let apart = |one: &[u8; KEY_LENGTH], other: &[u8; KEY_LENGTH]| {
        one.iter().zip(other).fold(0, |all, (one, other)| black_box(all | (one ^ other)))
    };
    let welcome = build_id == model::BUILD_ID.as_bytes() && black_box(apart(&key, &settings.key)) == 0;
    welcome.then_some(incarnation)
}
