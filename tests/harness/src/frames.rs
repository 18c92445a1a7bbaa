// SPDX-License-Identifier: Apache-2.0
//! Uploads over cleartext HTTP/2, frame by frame: curl forgets an answer that comes before the end of an upload when the
//! server ends the stream as RFC 9113 (8.1) has it.

use crate::client::Connection;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What may be sent before the server says anything.
const WINDOW: usize = 65_535;
/// The longest frame that every server takes.
const LONGEST: usize = 16_384;

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    /// The header section, packed.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the server ended it, and did not break it off.
    pub is_whole: bool,
}

impl Answer {
    /// Whether the header section holds this status, written out as servers do with those that have no number of their own.
    pub fn shows(&self, status: u16) -> bool {
        let status = status.to_string();
        // A literal after the number of the name, `:status`.
        self.head.windows(5).any(|five| matches!(five, [0x08 | 0x48, 3, rest @ ..] if rest == status.as_bytes()))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn head(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let first = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", target)];
    let mut packed = Vec::new();
    for (name, value) in first.iter().chain(headers) {
        packed.push(0);
        for text in [name, value] {
            packed.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text"));
            packed.extend_from_slice(text.as_bytes());
        }
    }
    packed
}

/// One upload on a connection of its own.
struct Upload {
    connection: Connection,
    /// How much is left to be sent, and how much the server takes.
    left: usize,
    window: usize,
    answer: Answer,
    is_over: bool,
}

/// Posts `size` bytes, as far as the server takes them, until it has answered.
pub fn upload(port: u16, target: &str, headers: &[(&str, &str)], size: usize) -> Answer {
    let connection = Connection::open(port);
    let mut upload = Upload { connection, left: size, window: WINDOW, answer: Answer::default(), is_over: false };
    let open = frame(HEADERS, END_HEADERS, 1, &head(target, headers));
    upload.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &open].concat());
    let mut received = Vec::new();
    while !upload.is_over {
        upload.send_data();
        let more = upload.connection.read_some(1);
        if more.is_empty() {
            break;
        }
        received.extend(more);
        while let Some(length) = received.get(..3).map(|size| u32::from_be_bytes([0, size[0], size[1], size[2]])) {
            let end = 9 + usize::try_from(length).expect("a length that fits");
            if received.len() < end {
                break;
            }
            let whole: Vec<u8> = received.drain(..end).collect();
            upload.take(whole[3], whole[4], whole[5..9] == 1_u32.to_be_bytes(), &whole[9..]);
        }
    }
    upload.answer
}

impl Upload {
    fn send(&mut self, bytes: &[u8]) {
        // The server may have closed the connection; what it said before is what counts.
        let _ = self.connection.try_send(bytes);
    }

    fn send_data(&mut self) {
        while self.left > 0 && self.window > 0 {
            let size = self.left.min(self.window).min(LONGEST);
            (self.left, self.window) = (self.left - size, self.window - size);
            let flags = if self.left == 0 { END_STREAM } else { 0 };
            self.send(&frame(DATA, flags, 1, &vec![b'u'; size]));
        }
    }

    fn take(&mut self, kind: u8, flags: u8, is_ours: bool, payload: &[u8]) {
        match kind {
            SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, &[])),
            PING if flags & ACK == 0 => self.send(&frame(PING, ACK, 0, payload)),
            GOAWAY => self.is_over = true,
            WINDOW_UPDATE if is_ours => {
                let more: [u8; 4] = payload.try_into().expect("four bytes");
                self.window += usize::try_from(u32::from_be_bytes(more)).expect("a size that fits");
            }
            HEADERS if is_ours => self.answer.head.extend_from_slice(payload),
            DATA if is_ours => self.answer.body.extend_from_slice(payload),
            RST_STREAM if is_ours => self.is_over = true,
            _ => {}
        }
        if is_ours && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            (self.answer.is_whole, self.is_over) = (true, true);
        }
    }
}
