// SPDX-License-Identifier: Apache-2.0
//! wsgiref.validate wraps the application for every shape of request, over three protocols.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Mode, Protocol, Request, Site, modes};

modes! { the_validator_has_no_complaint }

const KINDS: [&str; 4] = ["list", "length", "generator", "write"];
const READINGS: [&str; 4] = ["all", "lines", "iterating", "mixed"];

/// How a request carries its body.
#[derive(Debug, Clone, Copy)]
enum Carrying {
    Nothing,
    Length,
    Chunks,
}

#[derive(Debug)]
struct Shape {
    method: &'static str,
    target: String,
    carrying: Carrying,
    body: Vec<u8>,
    protocol: Protocol,
}

fn shapes() -> Vec<Shape> {
    let text = b"first line\nsecond line\n\nno end".to_vec();
    let large: Vec<u8> =
        (0..40_000_u32).map(|number| if number % 97 == 0 { b'\n' } else { (number % 256) as u8 }).collect();
    let mut shapes = Vec::new();
    for protocol in Protocol::ALL {
        for kind in KINDS {
            for (method, reading) in
                [("POST", READINGS[0]), ("PUT", READINGS[1]), ("PATCH", READINGS[2]), ("DELETE", READINGS[3])]
            {
                for body in [&text, &large] {
                    let target = format!("/v/{kind}/{reading}?query={kind}");
                    shapes.push(Shape { method, target, carrying: Carrying::Length, body: body.clone(), protocol });
                }
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                let target = format!("/v/{kind}/nothing/more%20path?");
                shapes.push(Shape { method, target, carrying: Carrying::Nothing, body: Vec::new(), protocol });
            }
        }
        if protocol != Protocol::Http10 {
            for reading in READINGS {
                let target = format!("/v/generator/{reading}");
                shapes.push(Shape { method: "PUT", target, carrying: Carrying::Chunks, body: large.clone(), protocol });
            }
        }
        let target = "/v/empty/nothing".to_owned();
        shapes.push(Shape { method: "GET", target, carrying: Carrying::Nothing, body: Vec::new(), protocol });
    }
    shapes
}

fn the_validator_has_no_complaint(mode: Mode) {
    let httpd = Site::new(mode)
        .mount("/v", "checked.py")
        .with("http2")
        .config("Protocols h2c http/1.1\nWSGIChunkedRequest On")
        .start();
    let shapes = shapes();
    assert!(shapes.len() >= 40, "{}", shapes.len());
    for shape in &shapes {
        let request = Request::new(httpd.port(), shape.method, &shape.target).over(shape.protocol).header("X-A", "b");
        let request = match shape.carrying {
            Carrying::Nothing => request,
            Carrying::Length => request.body(shape.body.clone()),
            Carrying::Chunks => request.chunks(shape.body.chunks(7001)),
        };
        let answer = request.send();
        let status = if shape.target.contains("/empty/") { 204 } else { 200 };
        assert_eq!(answer.status, status, "{} {} {:?}: {}", shape.method, shape.target, shape.protocol, answer.text());
        answer.expect(status);
        let body: &[u8] = if shape.method == "HEAD" { b"" } else { &shape.body };
        assert!(answer.body == body, "{} {} {:?}", shape.method, shape.target, shape.protocol);
    }
}
