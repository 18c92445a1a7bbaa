// SPDX-License-Identifier: Apache-2.0
//! Answers, parsed strictly: a body that ends before its framing says so is seen.

use crate::environ::Environ;

/// How the body was delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The status or the method forbids a body.
    None,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
    /// A stream of HTTP/2.
    Stream,
}

/// How the answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As its framing demands.
    Complete,
    /// The connection was closed (HTTP/1) or the stream reset (HTTP/2) before its end.
    Cut,
    /// Nothing more came, yet the connection stayed open.
    Stalled,
    /// The bytes are not HTTP.
    Malformed(String),
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// `HTTP/1.1` and the like.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// The reason phrase; empty in HTTP/2.
    pub reason: String,
    /// Names as sent and values decoded as latin-1, in order.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// Codes of interim answers (1xx) that came before.
    pub interim: Vec<u16>,
    /// How the body was delimited.
    pub framing: Framing,
    /// How the answer ended.
    pub end: End,
}

impl Response {
    /// The only value of a header; fails the test when the header comes more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers_named(name);
        assert!(values.len() < 2, "header {name} came {} times: {values:?}", values.len());
        values.first().copied()
    }

    /// All values of a header, in order.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The environ printed by `tests/apps/environ.py`.
    pub fn environ(&self) -> Environ {
        self.expect(200);
        Environ::parse(&self.text())
    }

    /// Fails the test unless the answer is whole and has this status; gives the answer back.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.end, End::Complete, "{self:?}");
        assert_eq!(self.status, status, "body: {}", self.text());
        self
    }

    /// Fails the test unless the answer is whole, has status 200 and this body.
    #[track_caller]
    pub fn expect_body(&self, body: &[u8]) -> &Self {
        self.expect(200);
        assert_eq!(String::from_utf8_lossy(&self.body), String::from_utf8_lossy(body));
        self
    }
}

/// Decodes latin-1.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A parsed status line and header section.
#[derive(Debug, Clone)]
pub struct Head {
    /// `HTTP/1.1` and the like.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// Names as sent and values decoded as latin-1, in order.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// Parses a head without its final empty line.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = latin1(bytes);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let version = words.next().filter(|word| word.starts_with("HTTP/")).ok_or(format!("status line {first:?}"))?;
        let status = words.next().and_then(|word| word.parse().ok()).ok_or(format!("status line {first:?}"))?;
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or(format!("header line {line:?}"))?;
                if name.is_empty() || name.contains([' ', '\t', '\r', '\n']) || value.contains(['\r', '\n', '\0']) {
                    return Err(format!("header line {line:?}"));
                }
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { version: version.to_owned(), status, reason: words.next().unwrap_or_default().to_owned(), headers })
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// How a body after this head is delimited, for a request with `method`.
    pub fn framing(&self, method: &str) -> Result<(Framing, u64), String> {
        if method == "HEAD" || matches!(self.status, 100..200 | 204 | 304) {
            return Ok((Framing::None, 0));
        }
        if let Some(coding) = self.header("transfer-encoding") {
            if !coding.eq_ignore_ascii_case("chunked") {
                return Err(format!("transfer encoding {coding:?}"));
            }
            return Ok((Framing::Chunked, 0));
        }
        match self.header("content-length") {
            Some(length) => Ok((Framing::Length, length.parse().map_err(|_| format!("content length {length:?}"))?)),
            None => Ok((Framing::UntilClose, 0)),
        }
    }
}
