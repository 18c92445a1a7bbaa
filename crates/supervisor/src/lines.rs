// SPDX-License-Identifier: Apache-2.0
//! Bytes that a worker writes, as lines for the log.

use std::fmt::Write;

/// The longest line; the rest of a longer one is another line.
pub const LONGEST: usize = 8 << 10;

/// What was written since the last end of a line.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes what was written and gives each line that it completes.
    pub fn take(&mut self, mut written: &[u8], mut give: impl FnMut(&[u8])) {
        while let Some(end) = written.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = written.split_at(end);
            self.add(line, &mut give);
            // An empty line is told by the end alone.
            give(&std::mem::take(&mut self.begun));
            written = rest.get(1..).unwrap_or_default();
        }
        self.add(written, &mut give);
    }

    fn add(&mut self, mut piece: &[u8], give: &mut impl FnMut(&[u8])) {
        while self.begun.len() + piece.len() > LONGEST {
            let (now, later) = piece.split_at(LONGEST - self.begun.len());
            self.begun.extend_from_slice(now);
            give(&std::mem::take(&mut self.begun));
            piece = later;
        }
        self.begun.extend_from_slice(piece);
    }

    /// Gives what is left when nothing more comes.
    pub fn finish(&mut self, mut give: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            give(&std::mem::take(&mut self.begun));
        }
    }
}

/// Whether a character ends a line for some viewer, or changes the order or place of what follows.
fn misleads(character: char) -> bool {
    let moves = matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    moves || (character.is_control() && character != '\t')
}

/// A line as text in which nothing looks like the end of a line or moves a terminal's cursor.
pub fn printable(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for character in String::from_utf8_lossy(line).chars() {
        if misleads(character) {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{:02x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.take(piece, |line| found.push(printable(line)));
        }
        lines.finish(|line| found.push(printable(line)));
        found
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(lines(&[b"one\ntw", b"o\n\nthree"]), ["one", "two", "", "three"]);
        assert_eq!(lines(&[b"end\n"]), ["end"]);
        assert_eq!(lines(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; LONGEST * 2 + 1];
        let lengths: Vec<_> = lines(&[&long, b"\n"]).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 1]);
        let exact = vec![b'x'; LONGEST];
        assert_eq!(lines(&[&exact, b"\nnext\n"]).len(), 2);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(printable(b"a\x1b[2J\tb\r\xff"), "a\\x1b[2J\tb\\x0d\u{fffd}");
        assert_eq!(printable("a\u{2028}b\u{202e}c".as_bytes()), "a\\x2028b\\x202ec");
    }
}
