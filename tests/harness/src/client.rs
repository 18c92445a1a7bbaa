// SPDX-License-Identifier: Apache-2.0
//! Two HTTP/1 clients in one: raw bytes in and strict answers out, and ordinary requests built on that.

use crate::http2;
use crate::response::{End, Framing, Head, Response};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Which protocol a request is sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0, no keep-alive.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 over cleartext, with prior knowledge.
    Http2,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http10, Self::Http11, Self::Http2];
}

/// What kept an answer from being read to its end.
enum Interruption {
    Closed,
    Silent,
    Malformed(String),
}

impl Interruption {
    fn end(self) -> End {
        match self {
            Self::Closed => End::Cut,
            Self::Silent => End::Stalled,
            Self::Malformed(what) => End::Malformed(what),
        }
    }
}

/// A TCP connection to a server under test.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    patience: Duration,
}

impl Connection {
    /// Connects to a port of the loopback interface.
    pub fn open(port: u16) -> Self {
        Self::try_open(port).expect("connects to the server")
    }

    /// As [`open`](Self::open), or tells that the server takes no connection.
    pub fn try_open(port: u16) -> std::io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, crate::wait::PATIENCE)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), patience: crate::wait::PATIENCE })
    }

    /// Whether a kept connection still waits for a request: nothing came unasked, and the server has not closed it.
    pub fn is_idle(&mut self) -> bool {
        let nothing = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            peeked
        };
        self.buffer.is_empty() && nothing(&self.stream).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether there are bytes that belong to no answer that was read.
    pub fn has_rest(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// How long the server may be silent before an answer counts as stalled.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.try_send(bytes).expect("the server takes what is sent");
        self
    }

    /// Sends bytes as they are, or tells that the server does not take them.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.set_write_timeout(Some(self.patience))?;
        self.stream.write_all(bytes)
    }

    /// Ends the sending direction only.
    pub fn half_close(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("half closes");
        self
    }

    /// Ends the connection; with unread bytes in the receive buffer this is a reset.
    pub fn drop_dead(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether nothing arrives for `time`.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.buffer.is_empty() && matches!(self.fill(Instant::now() + time), Err(Interruption::Silent))
    }

    /// Whether the server closes the connection in time, having sent nothing more.
    pub fn is_closed_by_server(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill(Instant::now() + self.patience), Err(Interruption::Closed))
    }

    /// Waits for at least `count` bytes of anything and gives all that came.
    pub fn read_some(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + self.patience;
        while self.buffer.len() < count && self.fill(deadline).is_ok() {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads one head, interim or final.
    pub fn read_head(&mut self) -> Result<Head, End> {
        self.head(Instant::now() + self.patience).map_err(Interruption::end)
    }

    /// Reads one final answer to a request that had `method`.
    pub fn read_response(&mut self, method: &str) -> Response {
        let mut interim = Vec::new();
        let head = loop {
            match self.read_head() {
                Ok(head) if (100..200).contains(&head.status) && head.status != 101 => interim.push(head.status),
                Ok(head) => break head,
                Err(end) => return unanswered(end, interim),
            }
        };
        let mut body = Vec::new();
        let (framing, end) = match head.framing(method) {
            Err(what) => (Framing::None, End::Malformed(what)),
            Ok((framing, length)) => {
                (framing, self.body(framing, length, &mut body).map_or_else(Interruption::end, |()| End::Complete))
            }
        };
        let Head { version, status, reason, headers } = head;
        Response { version, status, reason, headers, body, interim, framing, end }
    }

    fn body(&mut self, framing: Framing, length: u64, body: &mut Vec<u8>) -> Result<(), Interruption> {
        match framing {
            Framing::None | Framing::Stream => Ok(()),
            Framing::Length => self.take(length, body),
            Framing::Chunked => self.chunks(body),
            Framing::UntilClose => loop {
                body.append(&mut self.buffer);
                match self.fill(Instant::now() + self.patience) {
                    Ok(()) => {}
                    Err(Interruption::Closed) => return Ok(()),
                    Err(other) => return Err(other),
                }
            },
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Interruption> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                u64::from_str_radix(size, 16).map_err(|_| Interruption::Malformed(format!("chunk size {line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.take(size, body)?;
            let after = self.line()?;
            if !after.is_empty() {
                return Err(Interruption::Malformed(format!("{after:?} after a chunk")));
            }
        }
    }

    fn take(&mut self, length: u64, body: &mut Vec<u8>) -> Result<(), Interruption> {
        let mut missing = usize::try_from(length).expect("a length that fits");
        loop {
            let count = missing.min(self.buffer.len());
            body.extend(self.buffer.drain(..count));
            missing -= count;
            if missing == 0 {
                return Ok(());
            }
            self.fill(Instant::now() + self.patience)?;
        }
    }

    fn line(&mut self) -> Result<String, Interruption> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).take(at).collect();
                return Ok(crate::response::latin1(&line));
            }
            self.fill(deadline)?;
        }
    }

    fn head(&mut self, deadline: Instant) -> Result<Head, Interruption> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).take(at).collect();
                return Head::parse(&head).map_err(Interruption::Malformed);
            }
            if !self.buffer.is_empty() && !b"HTTP/".starts_with(&self.buffer[..self.buffer.len().min(5)]) {
                return Err(Interruption::Malformed(crate::response::latin1(&self.buffer)));
            }
            self.fill(deadline)?;
        }
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), Interruption> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("sets a timeout");
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(Interruption::Closed),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Interruption::Silent)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(Interruption::Closed),
        }
    }
}

fn unanswered(end: End, interim: Vec<u16>) -> Response {
    let (version, reason) = (String::new(), String::new());
    Response { version, status: 0, reason, headers: Vec::new(), body: Vec::new(), interim, framing: Framing::None, end }
}

/// How the body of a request is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Not at all.
    None,
    /// With a `Content-Length`.
    Whole(Vec<u8>),
    /// As these chunks.
    Chunks(Vec<Vec<u8>>),
}

impl Body {
    /// The bytes without framing.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Whole(bytes) => bytes.clone(),
            Self::Chunks(chunks) => chunks.concat(),
        }
    }
}

/// An ordinary request, sent on a connection of its own.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) port: u16,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    protocol: Protocol,
    patience: Duration,
}

impl Request {
    /// A request for `target`, as written on the request line, to a port of the loopback interface.
    pub fn new(port: u16, method: &str, target: &str) -> Self {
        Self {
            port,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Body::None,
            protocol: Protocol::Http11,
            patience: crate::wait::PATIENCE,
        }
    }

    /// Adds a header. `Host` replaces the usual one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a body sent with its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// Sets a body sent in chunks.
    pub fn chunks<C: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.body = Body::Chunks(chunks.into_iter().map(Into::into).collect());
        self
    }

    /// Chooses the protocol; HTTP/1.1 unless said otherwise.
    pub fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// How long the server may be silent.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The bytes of the request in HTTP/1.
    pub fn bytes(&self) -> Vec<u8> {
        let version = if self.protocol == Protocol::Http10 { "1.0" } else { "1.1" };
        let mut head = format!("{} {} HTTP/{version}\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: localhost:{}\r\n", self.port));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes: Vec<u8>;
        match &self.body {
            Body::None => bytes = latin1_bytes(&(head + "\r\n")),
            Body::Whole(body) => {
                bytes = latin1_bytes(&format!("{head}Content-Length: {}\r\n\r\n", body.len()));
                bytes.extend_from_slice(body);
            }
            Body::Chunks(chunks) => {
                bytes = latin1_bytes(&(head + "Transfer-Encoding: chunked\r\n\r\n"));
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// Sends the request and reads the answer.
    pub fn send(&self) -> Response {
        if self.protocol == Protocol::Http2 {
            return http2::send(self);
        }
        let mut connection = Connection::open(self.port).patience(self.patience);
        // A server may answer and close before it has read everything; the answer is what counts.
        let _ = connection.try_send(&self.bytes());
        connection.read_response(&self.method)
    }
}

/// Encodes text whose characters are all below U+0100 as latin-1; anything else as UTF-8.
fn latin1_bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(u32::from(character)).ok())
        .collect::<Option<_>>()
        .unwrap_or_else(|| text.as_bytes().to_vec())
}
