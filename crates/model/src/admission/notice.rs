// SPDX-License-Identifier: Apache-2.0
//! A text that one process writes and others read while it changes.

use super::{Ordering, Word};

/// Bytes of the text.
const ROOM: usize = 512;
/// Words: the version, the length, and the text.
pub const LENGTH: usize = super::line(2 + ROOM / 8);
/// How often a reader tries while the writer writes.
const ATTEMPTS: u32 = 8;

#[derive(Debug, Clone)]
pub struct Notice<'m> {
    /// Odd while the text changes.
    version: &'m Word,
    length: &'m Word,
    text: &'m [Word],
}

impl<'m> Notice<'m> {
    pub fn new(words: &'m [Word]) -> Option<Self> {
        let (version, rest) = words.split_first()?;
        let (length, text) = rest.split_first()?;
        Some(Self { version, length, text: text.get(..ROOM / 8)? })
    }

    pub fn write(&self, text: &str) {
        let mut end = text.len().min(ROOM);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let bytes = text.as_bytes().get(..end).unwrap_or_default();
        // A writer that died in the middle left an odd number, which stays odd here.
        let version = self.version.load(Ordering::SeqCst) | 1;
        self.version.store(version, Ordering::SeqCst);
        self.length.store(bytes.len() as u64, Ordering::SeqCst);
        for (word, piece) in self.text.iter().zip(bytes.chunks(8)) {
            let mut value = [0; 8];
            value.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            word.store(u64::from_ne_bytes(value), Ordering::SeqCst);
        }
        self.version.store(version.wrapping_add(1), Ordering::SeqCst);
    }

    /// The text, unless it is empty.
    pub fn read(&self) -> Option<String> {
        if self.length.load(Ordering::SeqCst) == 0 {
            return None;
        }
        for _ in 0..ATTEMPTS {
            let version = self.version.load(Ordering::SeqCst);
            let length = usize::try_from(self.length.load(Ordering::SeqCst)).unwrap_or(0).min(ROOM);
            let mut bytes: Vec<u8> =
                self.text.iter().flat_map(|word| word.load(Ordering::SeqCst).to_ne_bytes()).collect();
            bytes.truncate(length);
            if version % 2 == 0 && self.version.load(Ordering::SeqCst) == version {
                return (length > 0).then(|| String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Some("the reason is being written".to_owned())
    }
}
