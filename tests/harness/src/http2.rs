// SPDX-License-Identifier: Apache-2.0
//! Requests over cleartext HTTP/2, sent by curl.

use crate::client::{Body, Request};
use crate::response::{End, Framing, Head, Response};
use std::io::Write;
use std::process::{Command, Stdio};

/// Curl's exit status for a stream that was not closed cleanly, and those for a connection that broke.
const BROKEN: [i32; 5] = [16, 18, 52, 56, 92];

/// Sends a request with prior knowledge of HTTP/2. A reset stream gives an answer whose end is [`End::Cut`].
pub fn send(request: &Request) -> Response {
    let mut curl = Command::new("curl");
    curl.args(["--http2-prior-knowledge", "-sS", "-i", "-g", "--path-as-is", "--max-time", "60"]);
    curl.args(if request.method == "HEAD" { vec!["--head"] } else { vec!["-X", &request.method] });
    for header in ["Accept:", "User-Agent:", "Content-Type:"] {
        curl.args(["-H", header]);
    }
    for (name, value) in &request.headers {
        // Curl removes a header written with an empty value; a semicolon sends it empty.
        let line = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        curl.args(["-H", &line]);
    }
    match &request.body {
        Body::None => {}
        Body::Whole(_) => drop(curl.args(["--data-binary", "@-"])),
        // An upload of unknown length has no Content-Length in HTTP/2 either.
        Body::Chunks(_) => drop(curl.args(["-T", "-"])),
    }
    curl.arg(format!("http://127.0.0.1:{}{}", request.port, request.target));
    let mut child =
        curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("curl is installed");
    let mut input = child.stdin.take().expect("a pipe");
    let body = request.body.bytes();
    let writer = std::thread::spawn(move || drop(input.write_all(&body)));
    let output = child.wait_with_output().expect("curl ends");
    let _ = writer.join();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let end = match output.status.code() {
        Some(0) => End::Complete,
        Some(code) if BROKEN.contains(&code) => End::Cut,
        Some(28) => End::Stalled,
        other => End::Malformed(format!("curl ended with {other:?}: {message}")),
    };
    parse(&output.stdout, end)
}

fn parse(mut bytes: &[u8], end: End) -> Response {
    let mut interim = Vec::new();
    loop {
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return finish(None, Vec::new(), interim, if end == End::Complete { End::Cut } else { end });
        };
        let (head, rest) = (Head::parse(&bytes[..at]), &bytes[at + 4..]);
        match head {
            Ok(head) if (100..200).contains(&head.status) => {
                interim.push(head.status);
                bytes = rest;
            }
            Ok(head) => return finish(Some(head), rest.to_vec(), interim, end),
            Err(what) => return finish(None, Vec::new(), interim, End::Malformed(what)),
        }
    }
}

fn finish(head: Option<Head>, body: Vec<u8>, interim: Vec<u16>, end: End) -> Response {
    let head = head.unwrap_or(Head { version: String::new(), status: 0, reason: String::new(), headers: Vec::new() });
    let Head { version, status, reason, headers } = head;
    Response { version, status, reason, headers, body, interim, framing: Framing::Stream, end }
}
