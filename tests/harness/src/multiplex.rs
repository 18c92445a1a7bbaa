// SPDX-License-Identifier: Apache-2.0
//! One connection of cleartext HTTP/2 with several requests on it at a time. Spoken here (RFC 9113), not by a program,
//! because what counts is how each single stream ended and whether the protocol lets a client ask again.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No dynamic table, so that heads can be read without one, and windows that never fill.
const SETTINGS: &[u8] = &[0, 1, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff];

const END_STREAM: u8 = 1;
const ACKNOWLEDGED: u8 = 1;
const REFUSED_STREAM: u32 = 7;

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With its end.
    Whole(u16, Vec<u8>),
    /// The server says that it has done nothing with it (RFC 9113, 8.7): any client asks again.
    Refused,
    /// The server reset it with this error.
    Reset(u32),
    /// The connection ended; whether the server had announced the end, and whether anything of an answer had come.
    Lost(bool, bool),
    /// Nothing came for too long.
    Stalled,
}

#[derive(Debug, Default)]
struct Partial {
    status: Option<u16>,
    body: Vec<u8>,
}

/// A connection.
pub struct Multiplex {
    stream: TcpStream,
    port: u16,
    buffer: Vec<u8>,
    next: u32,
    open: BTreeMap<u32, Partial>,
    ended: Vec<(u32, Outcome)>,
    is_leaving: bool,
}

impl Multiplex {
    /// Connects to a port of the loopback interface.
    pub fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), crate::wait::PATIENCE)?;
        stream.set_nodelay(true)?;
        let (buffer, ended) = (Vec::new(), Vec::new());
        let mut new = Self { stream, port, buffer, next: 1, open: BTreeMap::new(), ended, is_leaving: false };
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(4, 0, 0, SETTINGS));
        hello.extend(frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
        // What the server does not take shows when the first answer is read.
        let _ = new.stream.write_all(&hello);
        Ok(new)
    }

    /// Whether another request may be sent: the server has neither announced the end of the connection nor ended it.
    pub fn is_open(&mut self) -> bool {
        let alive = loop {
            match self.fill(Instant::now()) {
                Ok(()) => {}
                Err(error) => break error == ErrorKind::WouldBlock,
            }
        };
        while self.digest() {}
        alive && !self.is_leaving
    }

    /// Sends a GET and gives the number of its stream.
    pub fn ask(&mut self, target: &str) -> u32 {
        let number = self.next;
        self.next += 2;
        self.open.insert(number, Partial::default());
        let authority = format!("localhost:{}", self.port);
        // GET, http, and two literals: path and authority.
        let mut head = vec![0x82, 0x86];
        for (name, value) in [(0x04, target), (0x01, authority.as_str())] {
            head.extend([name, u8::try_from(value.len()).expect("a short text")]);
            head.extend_from_slice(value.as_bytes());
        }
        assert!(target.len() < 127, "longer lengths are not written here");
        // A connection that the server has closed may refuse what is sent; reading tells.
        let _ = self.stream.write_all(&frame(1, 4 | END_STREAM, number, &head));
        number
    }

    /// Waits until a stream ends, or for `patience` without any byte.
    pub fn wait(&mut self, patience: Duration) -> (u32, Outcome) {
        loop {
            while self.ended.is_empty() && self.digest() {}
            if let Some(one) = self.ended.pop() {
                return one;
            }
            let number = *self.open.keys().next().expect("a stream that is open");
            match self.fill(Instant::now() + patience) {
                Ok(()) => {}
                Err(ErrorKind::WouldBlock) => {
                    self.open.remove(&number);
                    return (number, Outcome::Stalled);
                }
                Err(_) => {
                    let begun = self.open.remove(&number).is_some_and(|partial| partial.status.is_some());
                    return (number, Outcome::Lost(self.is_leaving, begun));
                }
            }
        }
    }

    /// Reads what has come until `deadline`; what did not come in time is [`ErrorKind::WouldBlock`].
    fn fill(&mut self, deadline: Instant) -> Result<(), ErrorKind> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.stream.set_nonblocking(left.is_zero()).map_err(|error| error.kind())?;
        if !left.is_zero() {
            self.stream.set_read_timeout(Some(left)).map_err(|error| error.kind())?;
        }
        let mut piece = vec![0; 16 * 1024];
        let read = self.stream.read(&mut piece);
        let _ = self.stream.set_nonblocking(false);
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(ErrorKind::WouldBlock),
            Err(error) => Err(error.kind()),
        }
    }

    /// Takes one frame out of the buffer, if there is a whole one.
    fn digest(&mut self) -> bool {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = match self.buffer.first_chunk::<9>() {
            Some(head) => *head,
            None => return false,
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        if self.buffer.len() < 9 + length {
            return false;
        }
        let payload: Vec<u8> = self.buffer.drain(..9 + length).skip(9).collect();
        self.take(kind, flags, stream, &payload);
        true
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let number = |bytes: Option<&[u8; 4]>| bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match kind {
            0 | 1 => {
                let content = content(flags, kind == 1, payload);
                if let Some(partial) = self.open.get_mut(&stream) {
                    match (kind, partial.status) {
                        (0, _) => partial.body.extend_from_slice(content),
                        (_, None) => partial.status = Some(status(content)),
                        // Trailers.
                        (_, Some(_)) => {}
                    }
                }
                if flags & END_STREAM != 0 {
                    if let Some(Partial { status, body }) = self.open.remove(&stream) {
                        self.ended.push((stream, Outcome::Whole(status.unwrap_or(0), body)));
                    }
                }
            }
            3 if self.open.remove(&stream).is_some() => {
                let error = number(payload.first_chunk());
                let outcome = if error == REFUSED_STREAM { Outcome::Refused } else { Outcome::Reset(error) };
                self.ended.push((stream, outcome));
            }
            4 | 6 if flags & ACKNOWLEDGED == 0 => {
                let answer = if kind == 4 { &[] } else { payload };
                let _ = self.stream.write_all(&frame(kind, ACKNOWLEDGED, 0, answer));
            }
            7 => {
                self.is_leaving = true;
                let last = number(payload.first_chunk()) & 0x7fff_ffff;
                let refused: Vec<u32> = self.open.keys().copied().filter(|open| *open > last).collect();
                for stream in refused {
                    self.open.remove(&stream);
                    self.ended.push((stream, Outcome::Refused));
                }
            }
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload without padding and priority.
fn content(flags: u8, is_head: bool, payload: &[u8]) -> &[u8] {
    let padding = if flags & 8 != 0 { usize::from(*payload.first().unwrap_or(&0)) } else { 0 };
    let start = usize::from(flags & 8 != 0) + if is_head && flags & 0x20 != 0 { 5 } else { 0 };
    payload.get(start..payload.len().saturating_sub(padding)).unwrap_or_default()
}

/// The status that a block of headers (RFC 7541) begins with; 0 when it cannot be read.
fn status(block: &[u8]) -> u16 {
    // New sizes of the dynamic table may come first.
    let mut rest = block;
    while let [0x20..0x3f, after @ ..] = rest {
        rest = after;
    }
    match rest {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        // A literal whose name is one of the table's entries for `:status`.
        [0x08..=0x0e | 0x18..=0x1e | 0x48..=0x4e, length, value @ ..] => {
            let value = value.get(..usize::from(length & 0x7f)).unwrap_or_default();
            let plain = || std::str::from_utf8(value).unwrap_or_default().parse().unwrap_or(0);
            if length & 0x80 == 0 { plain() } else { digits(value) }
        }
        _ => 0,
    }
}

/// Three digits in the code of RFC 7541, appendix B: 0 to 2 have five bits, 3 to 9 six.
fn digits(coded: &[u8]) -> u16 {
    let bits: Vec<u16> = coded.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1))).collect();
    let read = |at: usize, count: usize| bits.iter().skip(at).take(count).fold(0, |sum, bit| sum * 2 + bit);
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let (digit, width) = if read(at, 5) < 3 { (read(at, 5), 5) } else { (read(at, 6).wrapping_sub(0x16), 6) };
        (at, number) = (at + width, number * 10 + digit % 10);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_head_is_read() {
        assert_eq!(status(&[0x88]), 200);
        assert_eq!(status(&[0x20, 0x8e]), 500);
        assert_eq!(status(&[0x48, 3, b'5', b'0', b'4']), 504);
        // 011011 00000 011001, filled up with ones.
        assert_eq!(status(&[0x08, 0x83, 0b0110_1100, 0b0000_1100, 0b1111_1111]), 503);
        assert_eq!(status(&[0x0e, 0x82, 0b0110_1100, 0b0000_0010]), 502);
        assert_eq!(status(&[]), 0);
    }

    #[test]
    fn padding_and_priority_are_no_content() {
        assert_eq!(content(0, false, b"abc"), b"abc");
        assert_eq!(content(8, false, b"\x01abc"), b"ab");
        assert_eq!(content(0x28, true, b"\x01pppppab."), b"ab");
    }
}
