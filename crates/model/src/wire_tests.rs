// SPDX-License-Identifier: Apache-2.0
//! Tests of the frames: each is read as it was written, and nothing else is read at all.

use super::*;

fn split(bytes: &[u8]) -> Result<(Header, &[u8]), WireError> {
    let (header, payload) = bytes.split_first_chunk().ok_or(WireError::Malformed)?;
    let header = Header::parse(*header)?;
    if payload.len() == header.length { Ok((header, payload)) } else { Err(WireError::Malformed) }
}

fn call() -> Call<'static> {
    Call {
        application_group: b"localhost|/app",
        script: b"/srv/app.wsgi",
        script_mtime: 1_700_000_000_000_001,
        callable: b"application",
        resource: b"/srv/app.wsgi",
        script_reloading: true,
        https: false,
        head_request: true,
        ignore_activity: true,
        request_start: -5,
        queue_start: 6,
        environ: vec![
            Entry { key: Key::REQUEST_METHOD, kind: ValueKind::Latin1, name: b"", value: b"GET" },
            Entry { key: Key::TEXT, kind: ValueKind::FileSystem, name: b"HTTP_X_THING", value: b"\xff" },
            Entry { key: Key::TEXT, kind: ValueKind::Absent, name: b"UNSET", value: b"" },
        ],
    }
}

fn to_worker() -> Vec<ToWorker<'static>> {
    vec![
        ToWorker::Hello { build_id: b"0.1.0-abc", key: [7; KEY_LENGTH], incarnation: 3 },
        ToWorker::Call(call()),
        ToWorker::Call(Call::default()),
        ToWorker::Body(b"data"),
        ToWorker::BodyEnd,
        ToWorker::BodyFailed(ReadError::TooLarge),
        ToWorker::Abort,
    ]
}

fn to_server() -> Vec<ToServer<'static>> {
    vec![
        ToServer::Want(65536),
        ToServer::Head { status: 200, reason: b"OK", headers: vec![(b"X-A", b"1"), (b"X-A", b"2")] },
        ToServer::Data(b""),
        ToServer::Data(b"data"),
        ToServer::File { offset: 1 << 40, length: 5 },
        ToServer::Flush,
        ToServer::Log { level: Level::Error, line: b"a line" },
        ToServer::End,
        ToServer::Failed(Failure::Refused(503)),
        ToServer::Failed(Failure::Truncated),
        ToServer::Failed(Failure::ClientGone),
        ToServer::NotStarted { leaving: false },
        ToServer::NotStarted { leaving: true },
    ]
}

fn written() -> Vec<Vec<u8>> {
    let worker = to_worker().into_iter().map(|frame| {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        bytes
    });
    let server = to_server().into_iter().map(|frame| {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        bytes
    });
    worker.chain(server).collect()
}

#[test]
fn each_frame_is_read_as_it_was_written() {
    for frame in to_worker() {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        let (header, payload) = split(&bytes).expect("a frame");
        assert_eq!(ToWorker::parse(header, payload), Ok(frame));
        assert!(ToServer::parse(header, payload).is_err(), "directions do not mix");
    }
    for frame in to_server() {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        let (header, payload) = split(&bytes).expect("a frame");
        assert_eq!(header.has_descriptor(), matches!(frame, ToServer::File { .. }));
        assert_eq!(ToServer::parse(header, payload), Ok(frame));
        assert!(ToWorker::parse(header, payload).is_err(), "directions do not mix");
    }
}

#[test]
fn a_cut_or_longer_payload_is_an_error_or_another_frame() {
    for bytes in written() {
        let (header, payload) = split(&bytes).expect("a frame");
        for end in 0..payload.len() {
            let cut = payload.get(..end).expect("a part");
            let open_ended = matches!(header.kind, kind::BODY | kind::DATA | kind::LOG);
            assert!(open_ended || ToWorker::parse(header, cut).is_err() && ToServer::parse(header, cut).is_err());
        }
    }
}

#[test]
fn lengths_are_checked_before_anything_is_read() {
    let header = |kind: u8, length: u32| {
        let [a, b, c, d] = length.to_le_bytes();
        Header::parse([kind, 0, 0, 0, a, b, c, d])
    };
    assert!(header(kind::DATA, 1 << 20).is_ok());
    assert_eq!(header(kind::DATA, (1 << 20) + 1), Err(WireError::TooLong((1 << 20) + 1)));
    assert!(header(kind::CALL, 16 << 20).is_ok());
    assert!(header(kind::CALL, u32::MAX).is_err());
    assert_eq!(Header::parse([kind::DATA, 1, 0, 0, 0, 0, 0, 0]), Err(WireError::Unknown));
    // A call that claims four billion entries in a few bytes allocates for those few bytes only.
    let mut bytes = Vec::new();
    ToWorker::Call(Call::default()).write(&mut bytes);
    let place = bytes.len() - 4;
    bytes[place..].copy_from_slice(&u32::MAX.to_le_bytes());
    let (header, payload) = split(&bytes).expect("a frame");
    assert_eq!(ToWorker::parse(header, payload), Err(WireError::Malformed));
}

#[test]
fn damaged_frames_never_panic() {
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let frames = written();
    for _ in 0..50_000 {
        let mut bytes = frames[usize::try_from(random()).unwrap_or(0) % frames.len()].clone();
        for _ in 0..=random() % 3 {
            let place = usize::try_from(random()).unwrap_or(0) % bytes.len();
            bytes[place] = (random() & 0xff) as u8;
        }
        if let Ok((header, payload)) = split(&bytes) {
            let _ = ToWorker::parse(header, payload);
            let _ = ToServer::parse(header, payload);
        }
    }
}

#[test]
fn data_joins_data_that_did_not_leave() {
    let mut bytes = Vec::new();
    ToServer::Want(7).write(&mut bytes);
    let open = join_data(&mut bytes, None, b"one");
    assert_eq!(join_data(&mut bytes, Some(open), b" and two"), open);
    let other = join_data(&mut bytes, None, b"three");
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while let Some((header, tail)) = rest.split_first_chunk::<HEADER>() {
        let header = Header::parse(*header).unwrap();
        let (payload, tail) = tail.split_at(header.length);
        frames.push(ToServer::parse(header, payload).unwrap());
        rest = tail;
    }
    let (first, second) = (ToServer::Data(b"one and two"), ToServer::Data(b"three"));
    assert_eq!(frames, [ToServer::Want(7), first, ToServer::Flush, second, ToServer::Flush]);
    let again = join_data(&mut bytes, Some(other + 1000), b"x");
    assert!(again > other, "what is not there any more is not joined");
}
