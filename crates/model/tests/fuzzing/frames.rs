// SPDX-License-Identifier: Apache-2.0
//! Frames of either direction: a stream of any bytes is read as its readers do, header and then payload, until something is
//! no frame. What is read is written as the same bytes, or as an equal frame where the format has several spellings; room is
//! made only for what is there; the other direction reads nothing of it. And a frame that may be is read as it was written.
//!
//! An input that begins with `=` describes frames, one in each line: the first letter chooses which, and the words after the
//! first are its texts and numbers. A line `~ <place> <byte>` damages the stream that is made of them. Any other input is a
//! stream.

use crate::subject::Subject;
use allocation_counter::measure;
use model::wire::{Call, HEADER, Header, LONGEST_DATA, LONGEST_HEAD, ToServer, ToWorker, WireError};
use std::fmt::Debug;
use std::str::FromStr;

/// How many bytes may be allocated for each byte of a payload, and how many in any case.
const FOR_EACH: usize = 8;
const IN_ANY_CASE: usize = 256;

/// One direction of the wire.
pub trait Direction {
    type Frame<'a>: Debug;
    /// How many variants a frame has, and which of them this one is.
    const VARIANTS: usize;
    fn variant(frame: &Self::Frame<'_>) -> usize;
    /// The frame that a line describes.
    fn described<'a>(letter: u8, words: &mut Words<'a>) -> Self::Frame<'a>;
    /// Whether the receiver takes it.
    fn may_be(frame: &Self::Frame<'_>) -> bool;
    /// Whether other bytes mean the same.
    fn has_spellings(frame: &Self::Frame<'_>) -> bool;
    fn same(one: &Self::Frame<'_>, other: &Self::Frame<'_>) -> bool;
    fn write(frame: &Self::Frame<'_>, into: &mut Vec<u8>);
    fn parse(header: Header, payload: &[u8], subject: Subject) -> Result<Self::Frame<'_>, WireError>;
    /// Whether the other direction takes it.
    fn is_taken_by_the_other(header: Header, payload: &[u8]) -> bool;
}

/// The words of a line.
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn text(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b' ').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        word
    }

    pub fn number<N: FromStr + Default>(&mut self) -> N {
        std::str::from_utf8(self.text()).ok().and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// What an input describes.
#[derive(Debug)]
struct Description<F> {
    frames: Vec<F>,
    /// Places and the bytes that are put there.
    damage: Vec<(usize, u8)>,
}

fn description<D: Direction>(input: &[u8]) -> Option<Description<D::Frame<'_>>> {
    let mut found = Description { frames: Vec::new(), damage: Vec::new() };
    for line in input.strip_prefix(b"=")?.split(|byte| *byte == b'\n') {
        let mut words = Words(line);
        words.text();
        match line.first() {
            None => {}
            Some(b'~') => found.damage.push((words.number(), words.number())),
            Some(letter) => found.frames.push(D::described(*letter, &mut words)),
        }
    }
    Some(found)
}

/// Reads any input.
pub fn check<D: Direction>(input: &[u8], subject: Subject) {
    let Some(Description { frames, damage }) = description::<D>(input) else { return read::<D>(input, subject) };
    let mut stream = Vec::new();
    for frame in frames {
        let start = stream.len();
        D::write(&frame, &mut stream);
        let (header, payload) = stream[start..].split_first_chunk().expect("a header");
        let header = Header::parse(*header).expect("a header that can be read");
        assert_eq!(header.length, payload.len(), "{frame:?}");
        match D::parse(header, payload, subject) {
            Ok(again) => assert!(D::may_be(&frame) && D::same(&again, &frame), "{frame:?} is read as {again:?}"),
            Err(error) => assert!(!D::may_be(&frame), "{frame:?} is refused: {error}"),
        }
    }
    let length = stream.len();
    for (place, byte) in damage {
        if let Some(damaged) = stream.get_mut(place % length.max(1)) {
            *damaged = byte;
        }
    }
    read::<D>(&stream, subject);
}

/// Reads frames as long as there are any.
fn read<D: Direction>(stream: &[u8], subject: Subject) {
    let mut rest = stream;
    while let Some((bytes, after)) = rest.split_first_chunk() {
        let header = Header::parse(*bytes).ok();
        assert_eq!(header.is_some(), is_header(*bytes), "{bytes:?}");
        let Some(header) = header else { return };
        let Some((payload, after)) = after.split_at_checked(header.length) else { return };
        let mut found = Err(WireError::Unknown);
        let room = measure(|| found = D::parse(header, payload, subject)).bytes_max;
        let most = payload.len() * FOR_EACH + IN_ANY_CASE;
        assert!(room <= most as u64, "{room} bytes for {}", payload.escape_ascii());
        let Ok(frame) = found else { return };
        assert!(D::may_be(&frame), "{frame:?}");
        assert!(!D::is_taken_by_the_other(header, payload), "{frame:?} may be said in both directions");

        let mut written = Vec::new();
        D::write(&frame, &mut written);
        let (first, words) = written.split_first_chunk().expect("a header");
        if D::has_spellings(&frame) {
            let again = Header::parse(*first).and_then(|header| D::parse(header, words, subject));
            assert!(again.is_ok_and(|again| D::same(&again, &frame)), "{frame:?} becomes another");
        } else {
            assert!(first == bytes && words == payload, "{frame:?} was {}", payload.escape_ascii());
        }
        rest = after;
    }
}

/// Whether the length is one that the kind may have, and nothing is where nothing should be.
fn is_header(bytes: [u8; HEADER]) -> bool {
    let mut long = Vec::new();
    ToWorker::Call(Call::default()).write(&mut long);
    let call = long[0];
    long.clear();
    ToServer::Head { status: 200, reason: b"", headers: Vec::new() }.write(&mut long);
    let [kind, one, two, three, length @ ..] = bytes;
    let longest = if [call, long[0]].contains(&kind) { LONGEST_HEAD } else { LONGEST_DATA };
    [one, two, three] == [0; 3] && u32::from_le_bytes(length) as usize <= longest
}

/// The variants that an input describes which the receiver takes.
pub fn variants<D: Direction>(input: &[u8]) -> Vec<usize> {
    let frames = description::<D>(input).map(|found| found.frames).unwrap_or_default();
    frames.iter().filter(|frame| D::may_be(frame)).map(D::variant).collect()
}
