// SPDX-License-Identifier: Apache-2.0
//! What a child says to a worker: see the head of `frames`.

use crate::frames::{self, Direction, Words};
use crate::subject::Subject;
use model::embedded::ValueKind;
use model::environ::Key;
use model::exchange::ReadError;
use model::wire::{Call, Entry, Header, KEY_LENGTH, ToServer, ToWorker, WireError};

/// This direction.
pub struct Requests;

/// Reads any input.
pub fn check(input: &[u8], subject: Subject) {
    frames::check::<Requests>(input, subject);
}

impl Direction for Requests {
    type Frame<'a> = ToWorker<'a>;
    const VARIANTS: usize = 6;

    fn variant(frame: &ToWorker<'_>) -> usize {
        match frame {
            ToWorker::Hello { .. } => 0,
            ToWorker::Call(_) => 1,
            ToWorker::Body(_) => 2,
            ToWorker::BodyEnd => 3,
            ToWorker::BodyFailed(_) => 4,
            ToWorker::Abort => 5,
        }
    }

    fn described<'a>(letter: u8, words: &mut Words<'a>) -> ToWorker<'a> {
        match letter {
            b'h' => ToWorker::Hello {
                build_id: words.text(),
                key: [words.number(); KEY_LENGTH],
                incarnation: words.number(),
            },
            b'c' => ToWorker::Call(call(words)),
            b'b' => ToWorker::Body(words.rest()),
            b'f' => ToWorker::BodyFailed(error(words.number())),
            b'a' => ToWorker::Abort,
            _ => ToWorker::BodyEnd,
        }
    }

    fn may_be(frame: &ToWorker<'_>) -> bool {
        !matches!(frame, ToWorker::Body([]))
    }

    fn has_spellings(_: &ToWorker<'_>) -> bool {
        false
    }

    fn same(one: &ToWorker<'_>, other: &ToWorker<'_>) -> bool {
        one == other
    }

    fn write(frame: &ToWorker<'_>, into: &mut Vec<u8>) {
        frame.write(into);
    }

    fn parse(header: Header, payload: &[u8], subject: Subject) -> Result<ToWorker<'_>, WireError> {
        let found = ToWorker::parse(header, payload);
        match (subject, payload) {
            // The bug: what comes after the reason why a body failed is passed over.
            (Subject::Planted, [reason, _, ..]) if found == Err(WireError::Malformed) => {
                let cut = ToWorker::parse(header, std::slice::from_ref(reason));
                if matches!(cut, Ok(ToWorker::BodyFailed(_))) { cut } else { found }
            }
            _ => found,
        }
    }

    fn is_taken_by_the_other(header: Header, payload: &[u8]) -> bool {
        ToServer::parse(header, payload).is_ok()
    }
}

fn error(number: u8) -> ReadError {
    match number {
        1 => ReadError::ClientGone,
        2 => ReadError::TimedOut,
        3 => ReadError::TooLarge,
        4 => ReadError::Malformed,
        _ => ReadError::Failed,
    }
}

fn call<'a>(words: &mut Words<'a>) -> Call<'a> {
    let mut call = Call {
        application_group: words.text(),
        script: words.text(),
        callable: words.text(),
        resource: words.text(),
        script_mtime: words.number(),
        request_start: words.number(),
        ..Call::default()
    };
    let flags = words.text();
    call.script_reloading = flags.contains(&b'r');
    call.https = flags.contains(&b's');
    call.head_request = flags.contains(&b'h');
    call.ignore_activity = flags.contains(&b'i');
    while !words.is_empty() {
        let key = Key::numbered(words.number()).unwrap_or(Key::TEXT);
        let kind = match words.text() {
            b"f" => ValueKind::FileSystem,
            b"a" => ValueKind::Absent,
            _ => ValueKind::Latin1,
        };
        // The name of a known key does not travel.
        let name = if key == Key::TEXT { words.text() } else { b"" };
        call.environ.push(Entry { key, kind, name, value: words.text() });
    }
    call
}
