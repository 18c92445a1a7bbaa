// SPDX-License-Identifier: Apache-2.0
//! What an httpd child and a worker process say to each other about requests: typed frames over a stream socket.
//!
//! A frame is a kind, three zero bytes, the length of its payload (32 bits, little-endian), and the payload. Numbers are
//! little-endian, texts are their length and their bytes. Lengths are checked before anything is allocated; a frame that is not
//! well-formed is an error and ends the connection. The end of a stream is never a success: answers end with
//! [`ToServer::End`], [`ToServer::Failed`] or [`ToServer::NotStarted`].
//!
//! A connection begins with [`ToWorker::Hello`]. Then each request is one [`ToWorker::Call`], followed by body frames, each
//! of them asked for with [`ToServer::Want`].

mod reader;

use crate::admission::Incarnation;
use crate::embedded::ValueKind;
use crate::environ::Key;
use crate::event::Level;
use crate::exchange::ReadError;
use reader::{Reader, put_text};
use thiserror::Error;

/// Bytes of a frame before its payload.
pub const HEADER: usize = 8;
/// The longest payload of a call or a head.
pub const LONGEST_HEAD: usize = 16 << 20;
/// The longest payload of any other frame.
pub const LONGEST_DATA: usize = 1 << 20;
/// Bytes of the key that opens a connection to a group.
pub const KEY_LENGTH: usize = 32;

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// The kind is not one of this direction, or the reserved bytes are not zero.
    #[error("unknown frame")]
    Unknown,
    /// The payload is longer than its kind allows.
    #[error("frame of {0} bytes is too long")]
    TooLong(usize),
    /// The payload is not what its kind says.
    #[error("malformed frame")]
    Malformed,
}

/// One environ entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// A known key, or [`Key::TEXT`] with the name in `name`.
    pub key: Key,
    /// How the value is to be read.
    pub kind: ValueKind,
    /// The key's bytes when it travels as text, else empty.
    pub name: &'a [u8],
    /// The value's bytes.
    pub value: &'a [u8],
}

/// One request, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call<'a> {
    /// The interpreter's name; empty for the main interpreter.
    pub application_group: &'a [u8],
    /// Path of the script file.
    pub script: &'a [u8],
    /// Modification time of the script in microseconds since the epoch, as httpd saw it.
    pub script_mtime: i64,
    /// Name of the global to call.
    pub callable: &'a [u8],
    /// The file named by the URL.
    pub resource: &'a [u8],
    /// Whether a changed script is loaded again.
    pub script_reloading: bool,
    /// Whether `wsgi.url_scheme` is `https`.
    pub https: bool,
    /// Whether the client sent HEAD.
    pub head_request: bool,
    /// Whether the request is no sign of life: `WSGIIgnoreActivity`.
    pub ignore_activity: bool,
    /// When httpd received the request, microseconds since the epoch.
    pub request_start: i64,
    /// When it began to look for a worker, microseconds since the epoch.
    pub queue_start: i64,
    /// The environ; later entries win over earlier ones.
    pub environ: Vec<Entry<'a>>,
}

/// What a child says to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker<'a> {
    /// Opens a connection: the build of the httpd module, and the group's key.
    Hello {
        /// [`BUILD_ID`](crate::BUILD_ID)
        build_id: &'a [u8],
        /// Proves the right to send requests where the socket has a name.
        key: [u8; KEY_LENGTH],
        /// The process that is meant. Another one, which found the connection in its predecessor's queue, starts nothing.
        incarnation: Incarnation,
    },
    /// A request to run.
    Call(Call<'a>),
    /// Bytes of the body, at least one.
    Body(&'a [u8]),
    /// The body is complete.
    BodyEnd,
    /// The body cannot be read any further.
    BodyFailed(ReadError),
    /// The client is gone; nothing that follows is of use.
    Abort,
}

/// Why an answer is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent; the server makes a page of this status.
    Refused(u16),
    /// The head was sent.
    Truncated,
    /// The worker noticed that the client is gone.
    ClientGone,
}

/// What a worker says to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToServer<'a> {
    /// Asks for up to so many bytes of the body.
    Want(u32),
    /// Status and headers of the answer.
    Head {
        /// The three-digit status code.
        status: u16,
        /// The reason phrase.
        reason: &'a [u8],
        /// Names and values, duplicates kept.
        headers: Vec<(&'a [u8], &'a [u8])>,
    },
    /// Bytes of the answer.
    Data(&'a [u8]),
    /// A part of the file whose descriptor comes with the frame.
    File {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// Everything so far is to leave for the client.
    Flush,
    /// A line for the request's log.
    Log {
        /// At which level.
        level: Level,
        /// The line.
        line: &'a [u8],
    },
    /// The answer is complete.
    End,
    /// The answer is not.
    Failed(Failure),
    /// The application was not called; another connection may be tried.
    NotStarted {
        /// Whether the process starts no further request, so that only others may be asked.
        leaving: bool,
    },
}

/// A frame's kind and the length of its payload, for [`ToWorker::parse`] and [`ToServer::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: u8,
    /// Bytes of the payload.
    pub length: usize,
}

impl Header {
    /// Reads the first bytes of a frame.
    pub fn parse(bytes: [u8; HEADER]) -> Result<Self, WireError> {
        let [kind, reserved @ .., a, b, c, d] = bytes;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if reserved != [0; 3] {
            return Err(WireError::Unknown);
        }
        let longest = if matches!(kind, kind::CALL | kind::HEAD) { LONGEST_HEAD } else { LONGEST_DATA };
        if length > longest {
            return Err(WireError::TooLong(length));
        }
        Ok(Self { kind, length })
    }

    /// Whether the payload is bytes of the body, as [`ToWorker::Body`] has them.
    #[must_use]
    pub fn is_body(self) -> bool {
        self.kind == kind::BODY && self.length > 0
    }

    /// Whether a descriptor comes with the frame.
    #[must_use]
    pub fn has_descriptor(self) -> bool {
        self.kind == kind::FILE
    }
}

mod kind {
    pub const HELLO: u8 = 1;
    pub const CALL: u8 = 2;
    pub const BODY: u8 = 3;
    pub const BODY_END: u8 = 4;
    pub const BODY_FAILED: u8 = 5;
    pub const ABORT: u8 = 6;
    pub const WANT: u8 = 65;
    pub const HEAD: u8 = 66;
    pub const DATA: u8 = 67;
    pub const FILE: u8 = 68;
    pub const FLUSH: u8 = 69;
    pub const LOG: u8 = 70;
    pub const END: u8 = 71;
    pub const FAILED: u8 = 72;
    pub const NOT_STARTED: u8 = 73;
}

/// Appends a frame whose payload `payload` writes.
fn frame(into: &mut Vec<u8>, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
    payload(into);
    set_length(into, start);
}

/// Lets the frame at `start` reach to the end.
fn set_length(into: &mut [u8], start: usize) {
    let length = u32::try_from(into.len() - start - HEADER).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = into.get_mut(start + 4..start + HEADER) {
        place.copy_from_slice(&length);
    }
}

impl<'a> ToWorker<'a> {
    /// Appends the frame.
    pub fn write(&self, into: &mut Vec<u8>) {
        match self {
            Self::Hello { build_id, key, incarnation } => frame(into, kind::HELLO, |to| {
                put_text(to, build_id);
                to.extend_from_slice(key);
                to.extend_from_slice(&incarnation.to_le_bytes());
            }),
            Self::Call(call) => frame(into, kind::CALL, |to| call.write(to)),
            Self::Body(data) => frame(into, kind::BODY, |to| to.extend_from_slice(data)),
            Self::BodyEnd => frame(into, kind::BODY_END, |_| ()),
            Self::BodyFailed(error) => frame(into, kind::BODY_FAILED, |to| to.push(*error as u8)),
            Self::Abort => frame(into, kind::ABORT, |_| ()),
        }
    }

    /// Reads a frame whose payload is complete.
    pub fn parse(header: Header, payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let frame = match header.kind {
            kind::HELLO => Self::Hello {
                build_id: reader.text()?,
                key: reader.array()?,
                incarnation: Incarnation::from_le_bytes(reader.array()?),
            },
            kind::CALL => Self::Call(Call::parse(&mut reader)?),
            kind::BODY if !payload.is_empty() => Self::Body(reader.rest()),
            kind::BODY_END => Self::BodyEnd,
            kind::BODY_FAILED => Self::BodyFailed(read_error(reader.byte()?)?),
            kind::ABORT => Self::Abort,
            _ => return Err(WireError::Unknown),
        };
        reader.end().map(|()| frame)
    }
}

fn read_error(number: u8) -> Result<ReadError, WireError> {
    use ReadError::{ClientGone, Failed, Malformed, TimedOut, TooLarge};
    let all = [ClientGone, TimedOut, TooLarge, Malformed, Failed];
    all.into_iter().find(|error| *error as u8 == number).ok_or(WireError::Malformed)
}

const RELOADING: u8 = 1;
const HTTPS: u8 = 2;
const HEAD_REQUEST: u8 = 4;
const IGNORE_ACTIVITY: u8 = 8;

impl<'a> Call<'a> {
    fn write(&self, to: &mut Vec<u8>) {
        for text in [self.application_group, self.script, self.callable, self.resource] {
            put_text(to, text);
        }
        to.extend_from_slice(&self.script_mtime.to_le_bytes());
        to.extend_from_slice(&self.request_start.to_le_bytes());
        to.extend_from_slice(&self.queue_start.to_le_bytes());
        let flags = [
            (self.script_reloading, RELOADING),
            (self.https, HTTPS),
            (self.head_request, HEAD_REQUEST),
            (self.ignore_activity, IGNORE_ACTIVITY),
        ];
        to.push(flags.into_iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum());
        to.extend_from_slice(&u32::try_from(self.environ.len()).unwrap_or(u32::MAX).to_le_bytes());
        for entry in &self.environ {
            to.extend_from_slice(&entry.key.number().to_le_bytes());
            to.push(entry.kind as u8);
            if entry.key == Key::TEXT {
                put_text(to, entry.name);
            }
            put_text(to, entry.value);
        }
    }

    fn parse(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let [application_group, script, callable, resource] =
            [reader.text()?, reader.text()?, reader.text()?, reader.text()?];
        let [script_mtime, request_start, queue_start] =
            [reader.array()?, reader.array()?, reader.array()?].map(i64::from_le_bytes);
        let flags = reader.byte()?;
        if flags & !(RELOADING | HTTPS | HEAD_REQUEST | IGNORE_ACTIVITY) != 0 {
            return Err(WireError::Malformed);
        }
        let count = reader.number()?;
        // An entry has at least a key, a kind and a length.
        let mut environ = Vec::with_capacity(count.min(reader.left() / 7));
        for _ in 0..count {
            let key = Key::numbered(u16::from_le_bytes(reader.array()?)).ok_or(WireError::Malformed)?;
            let kind = match reader.byte()? {
                0 => ValueKind::Latin1,
                1 => ValueKind::FileSystem,
                2 => ValueKind::Absent,
                _ => return Err(WireError::Malformed),
            };
            let name = if key == Key::TEXT { reader.text()? } else { b"" };
            environ.push(Entry { key, kind, name, value: reader.text()? });
        }
        Ok(Self {
            application_group,
            script,
            script_mtime,
            callable,
            resource,
            script_reloading: flags & RELOADING != 0,
            https: flags & HTTPS != 0,
            head_request: flags & HEAD_REQUEST != 0,
            ignore_activity: flags & IGNORE_ACTIVITY != 0,
            request_start,
            queue_start,
            environ,
        })
    }
}

/// Appends data and a wish to flush. If the frame of earlier data at `open` is still the last one but for such a wish, the data
/// joins it. Answers where the frame begins.
pub fn join_data(into: &mut Vec<u8>, open: Option<usize>, data: &[u8]) -> usize {
    let start = match open.filter(|start| start + HEADER < into.len().saturating_sub(HEADER)) {
        Some(start) => {
            into.truncate(into.len() - HEADER);
            into.extend_from_slice(data);
            set_length(into, start);
            start
        }
        None => {
            let start = into.len();
            ToServer::Data(data).write(into);
            start
        }
    };
    ToServer::Flush.write(into);
    start
}

impl<'a> ToServer<'a> {
    /// Appends the frame.
    pub fn write(&self, into: &mut Vec<u8>) {
        match self {
            Self::Want(most) => frame(into, kind::WANT, |to| to.extend_from_slice(&most.to_le_bytes())),
            Self::Head { status, reason, headers } => frame(into, kind::HEAD, |to| {
                to.extend_from_slice(&status.to_le_bytes());
                put_text(to, reason);
                to.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(u32::MAX).to_le_bytes());
                for (name, value) in headers {
                    put_text(to, name);
                    put_text(to, value);
                }
            }),
            Self::Data(data) => frame(into, kind::DATA, |to| to.extend_from_slice(data)),
            Self::File { offset, length } => frame(into, kind::FILE, |to| {
                to.extend_from_slice(&offset.to_le_bytes());
                to.extend_from_slice(&length.to_le_bytes());
            }),
            Self::Flush => frame(into, kind::FLUSH, |_| ()),
            Self::Log { level, line } => frame(into, kind::LOG, |to| {
                to.push(*level as u8);
                to.extend_from_slice(line);
            }),
            Self::End => frame(into, kind::END, |_| ()),
            Self::Failed(failure) => frame(into, kind::FAILED, |to| {
                let (number, status) = match failure {
                    Failure::Refused(status) => (0, *status),
                    Failure::Truncated => (1, 0),
                    Failure::ClientGone => (2, 0),
                };
                to.push(number);
                to.extend_from_slice(&u16::to_le_bytes(status));
            }),
            Self::NotStarted { leaving } => frame(into, kind::NOT_STARTED, |to| to.push(u8::from(*leaving))),
        }
    }

    /// Reads a frame whose payload is complete.
    pub fn parse(header: Header, payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let frame = match header.kind {
            kind::WANT => Self::Want(u32::from_le_bytes(reader.array()?)),
            kind::HEAD => Self::parse_head(&mut reader)?,
            kind::DATA => Self::Data(reader.rest()),
            kind::FILE => {
                let (offset, length) = (u64::from_le_bytes(reader.array()?), u64::from_le_bytes(reader.array()?));
                offset.checked_add(length).ok_or(WireError::Malformed)?;
                Self::File { offset, length }
            }
            kind::FLUSH => Self::Flush,
            kind::LOG => {
                let level = Level::numbered(reader.byte()?).ok_or(WireError::Malformed)?;
                Self::Log { level, line: reader.rest() }
            }
            kind::END => Self::End,
            kind::FAILED => {
                let (number, status) = (reader.byte()?, u16::from_le_bytes(reader.array()?));
                Self::Failed(match number {
                    0 if (400..600).contains(&status) => Failure::Refused(status),
                    1 => Failure::Truncated,
                    2 => Failure::ClientGone,
                    _ => return Err(WireError::Malformed),
                })
            }
            kind::NOT_STARTED => match reader.byte()? {
                leaving @ 0..=1 => Self::NotStarted { leaving: leaving == 1 },
                _ => return Err(WireError::Malformed),
            },
            _ => return Err(WireError::Unknown),
        };
        reader.end().map(|()| frame)
    }

    fn parse_head(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let status = u16::from_le_bytes(reader.array()?);
        let reason = reader.text()?;
        let count = reader.number()?;
        let mut headers = Vec::with_capacity(count.min(reader.left() / 8));
        for _ in 0..count {
            headers.push((reader.text()?, reader.text()?));
        }
        Ok(Self::Head { status, reason, headers })
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
