// SPDX-License-Identifier: Apache-2.0
//! What a worker says to the supervisor: messages in the order of `model::launch::control` are understood as they are meant,
//! and everything else is nonsense; what it writes becomes lines however it is cut; and no line has anything that ends it or
//! moves a cursor.
//!
//! A line of the input is `<what><count>:<content>`: a digit or another byte is a message of that kind, and `o` is written to
//! standard output, where `|` ends a line. The content is repeated that often; `@` stands for the build id.

use crate::lines::{LONGEST, Lines, printable};
use crate::subject::Subject;
use crate::worker::{Said, Worker};
use model::BUILD_ID;
use model::event::Level;
use model::launch::{Patience, control};
use std::os::fd::OwnedFd;
use std::time::Duration;
use unix::children::MemoryKills;
use unix::message;
use unix::spawn::Spawned;

/// How many bytes repetitions may make of one input: a message that is too long, and lines that are.
const SAID: usize = control::LONGEST + 1000;
const WRITTEN: usize = 4 * LONGEST;

/// Says and writes everything.
pub fn check(input: &[u8], subject: Subject) {
    let (mut worker, other) = worker();
    let mut buffer = vec![0; control::LONGEST];
    let (mut before, mut written, mut listens) = (Before::default(), Vec::new(), true);
    let (mut room_to_say, mut room_to_write) = (SAID, WRITTEN);
    for line in input.split(|byte| *byte == b'\n') {
        let Some((what, rest)) = line.split_first() else { continue };
        let content = content(rest, if *what == b'o' { &mut room_to_write } else { &mut room_to_say });
        if *what == b'o' {
            written.push(content.iter().map(|byte| if *byte == b'|' { b'\n' } else { *byte }).collect::<Vec<u8>>());
            continue;
        }
        let kind = if what.is_ascii_digit() { *what - b'0' } else { *what };
        if !listens || message::send(&other, &[&[kind], &*content].concat(), &[]).is_err() {
            continue;
        }
        let said = worker.hear(&mut buffer).expect("something was said");
        let said = match (subject, said) {
            // The bug: a worker that said it cannot work may be ready after all.
            (Subject::Planted, Said::Nonsense(_)) if before.failed && kind == control::READY => Said::Ready,
            (_, said) => said,
        };
        let expected = before.understood(kind, &content);
        let length = match &said {
            Said::Nonsense(text) | Said::Failed(text) | Said::Leaving(_, text) | Said::Tired(text) => text.len(),
            _ => 0,
        };
        assert!(length <= content.len() * 3 + 200, "{length} bytes about {}", content.len());
        match (&said, &expected) {
            (Said::Nonsense(_), None) => listens = false,
            (said, expected) => assert_eq!(Some(said), expected.as_ref(), "{kind} {}", content.escape_ascii()),
        }
    }
    drop(other);
    let end = listens.then_some(Said::End);
    assert_eq!((worker.hear(&mut buffer), worker.hear(&mut buffer)), (end, None));
    check_lines(&written);
}

fn worker() -> (Worker, OwnedFd) {
    let (control, other) = message::pair(control::LONGEST).expect("a pair of sockets");
    let (output, _) = unix::program::pipe().expect("a pipe");
    let trouble = output.try_clone().expect("a descriptor");
    let spawned = Spawned { pid: 7, control, output, trouble };
    (Worker::new(spawned, 1, Duration::ZERO, MemoryKills::default()).0, other)
}

fn content(rest: &[u8], room: &mut usize) -> Vec<u8> {
    let end = rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len());
    let (count, text) = rest.split_at(end);
    let text = text.get(1..).unwrap_or_default();
    let text = if text == b"@" { BUILD_ID.as_bytes() } else { text };
    let count = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).unwrap_or(1);
    let content = text.repeat(count.min(*room / text.len().max(1)).max(1));
    *room = room.saturating_sub(content.len());
    content
}

/// What was said so far.
#[derive(Default)]
struct Before {
    hello: bool,
    ready: bool,
    failed: bool,
    leaving: bool,
}

impl Before {
    /// What a message means; `None` is nonsense.
    fn understood(&mut self, kind: u8, content: &[u8]) -> Option<Said> {
        if 1 + content.len() > control::LONGEST {
            return None;
        }
        let may_fail = !self.ready && !self.failed && !self.leaving;
        match kind {
            control::HELLO if !self.hello && may_fail && content == BUILD_ID.as_bytes() => {
                self.hello = true;
                Some(Said::Hello)
            }
            control::READY if self.hello && may_fail => {
                self.ready = true;
                Some(Said::Ready)
            }
            control::FAILED if may_fail => {
                self.failed = true;
                Some(Said::Failed(String::from_utf8_lossy(content).into_owned()))
            }
            control::LEAVING if self.hello && !self.failed && !self.leaving => {
                let (time, reason) = content.split_first_chunk::<8>()?;
                let time = u64::from_le_bytes(*time);
                self.leaving = true;
                let patience = Patience((time < u64::MAX).then(|| Duration::from_millis(time)));
                Some(Said::Leaving(patience, String::from_utf8_lossy(reason).into_owned()))
            }
            control::TIRED if self.ready && !self.leaving => {
                Some(Said::Tired(String::from_utf8_lossy(content).into_owned()))
            }
            control::LOG => {
                let (level, line) = content.split_first()?;
                let levels = [
                    Level::Alert,
                    Level::Critical,
                    Level::Error,
                    Level::Warning,
                    Level::Notice,
                    Level::Info,
                    Level::Debug,
                ];
                let level = usize::from(*level).checked_sub(1).and_then(|place| levels.get(place))?;
                Some(Said::Line(*level, line.to_vec()))
            }
            _ => None,
        }
    }
}

/// The lines of what was written in pieces are those of the whole, and show what was written.
fn check_lines(written: &[Vec<u8>]) {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in written {
        lines.take(piece, |line| found.push(line.to_vec()));
    }
    lines.finish(|line| found.push(line.to_vec()));
    let whole = written.concat();
    let mut texts: Vec<_> = whole.split(|byte| *byte == b'\n').collect();
    let unfinished = texts.pop().unwrap_or_default();
    let pieces = |text: &[u8]| text.chunks(LONGEST).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut expected: Vec<_> =
        texts.into_iter().flat_map(|text| if text.is_empty() { vec![Vec::new()] } else { pieces(text) }).collect();
    expected.extend(pieces(unfinished));
    assert!(found == expected, "{} lines instead of {}", found.len(), expected.len());
    for line in found {
        check_text(&line);
    }
}

/// The shown text is the line, with each control character but the tabulator as its number.
fn check_text(line: &[u8]) {
    let shown = printable(line);
    let moves = |character| matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let misleads = |character: char| moves(character) || (character.is_control() && character != '\t');
    assert!(!shown.chars().any(misleads), "{shown:?}");
    let mut rest = shown.as_str();
    for character in String::from_utf8_lossy(line).chars() {
        let after = if misleads(character) {
            rest.strip_prefix(&format!("\\x{:02x}", u32::from(character)))
        } else {
            rest.strip_prefix(character)
        };
        rest = after.expect("every character is shown");
    }
    assert_eq!(rest, "");
}
