// SPDX-License-Identifier: Apache-2.0
//! What a worker says to a child: see the head of `frames`.

use crate::frames::{self, Direction, Words};
use crate::subject::Subject;
use model::event::Level;
use model::wire::{Failure, Header, ToServer, ToWorker, WireError};
use std::hint::black_box;

/// This direction.
pub struct Answers;

/// Reads any input.
pub fn check(input: &[u8], subject: Subject) {
    frames::check::<Answers>(input, subject);
}

impl Direction for Answers {
    type Frame<'a> = ToServer<'a>;
    const VARIANTS: usize = 9;

    fn variant(frame: &ToServer<'_>) -> usize {
        match frame {
            ToServer::Want(_) => 0,
            ToServer::Head { .. } => 1,
            ToServer::Data(_) => 2,
            ToServer::File { .. } => 3,
            ToServer::Flush => 4,
            ToServer::Log { .. } => 5,
            ToServer::End => 6,
            ToServer::Failed(_) => 7,
            ToServer::NotStarted { .. } => 8,
        }
    }

    fn described<'a>(letter: u8, words: &mut Words<'a>) -> ToServer<'a> {
        match letter {
            b'w' => ToServer::Want(words.number()),
            b'h' => {
                let (status, reason, mut headers) = (words.number(), words.text(), Vec::new());
                while !words.is_empty() {
                    headers.push((words.text(), words.text()));
                }
                ToServer::Head { status, reason, headers }
            }
            b'd' => ToServer::Data(words.rest()),
            b'p' => ToServer::File { offset: words.number(), length: words.number() },
            b'f' => ToServer::Flush,
            b'l' => {
                let level = Level::numbered(words.number()).unwrap_or(Level::Debug);
                ToServer::Log { level, line: words.rest() }
            }
            b'r' => ToServer::Failed(Failure::Refused(words.number())),
            b't' => ToServer::Failed(Failure::Truncated),
            b'g' => ToServer::Failed(Failure::ClientGone),
            b'n' => ToServer::NotStarted { leaving: words.number::<u8>() % 2 == 1 },
            _ => ToServer::End,
        }
    }

    fn may_be(frame: &ToServer<'_>) -> bool {
        match frame {
            ToServer::File { offset, length } => offset.checked_add(*length).is_some(),
            ToServer::Failed(Failure::Refused(status)) => (400..600).contains(status),
            _ => true,
        }
    }

    fn has_spellings(frame: &ToServer<'_>) -> bool {
        // The status of a failure that has none.
        matches!(frame, ToServer::Failed(Failure::Truncated | Failure::ClientGone))
    }

    fn same(one: &ToServer<'_>, other: &ToServer<'_>) -> bool {
        one == other
    }

    fn write(frame: &ToServer<'_>, into: &mut Vec<u8>) {
        frame.write(into);
    }

    fn parse(header: Header, payload: &[u8], subject: Subject) -> Result<ToServer<'_>, WireError> {
        if subject == Subject::Planted {
            // The bug: room is made for as many headers as a head claims to have.
            let claimed = claimed(payload).unwrap_or(0).min(1 << 16);
            black_box(Vec::<(&[u8], &[u8])>::with_capacity(claimed));
        }
        ToServer::parse(header, payload)
    }

    fn is_taken_by_the_other(header: Header, payload: &[u8]) -> bool {
        ToWorker::parse(header, payload).is_ok()
    }
}

/// The number of headers, if this is the payload of a head.
fn claimed(payload: &[u8]) -> Option<usize> {
    let (length, rest) = payload.get(2..)?.split_first_chunk()?;
    let count = rest.get(u32::from_le_bytes(*length) as usize..)?.first_chunk()?;
    Some(u32::from_le_bytes(*count) as usize)
}
