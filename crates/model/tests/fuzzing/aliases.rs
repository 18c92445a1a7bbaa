// SPDX-License-Identifier: Apache-2.0
//! Aliases: what the rules find for a URL is what one finds who tries each alias as the specification says
//! (configuration §6.1.1 and §6.1.2).
//!
//! The first line of the input is the URL's path, each other line an alias: a path, or `^` and the offset at which the
//! match of a pattern ends.

use crate::subject::Subject;
use model::alias::{AliasIndex, Location, match_literal, rest_after_pattern};

/// An alias with what the outside world says about it.
enum Tried {
    Literal(String),
    Pattern(Option<usize>),
}

/// Finds the first alias for the URL in both ways.
pub fn check(input: &[u8], subject: Subject) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let uri = lines.next().unwrap_or_default();
    if !uri.is_empty() && !uri.starts_with(b"/") {
        return;
    }
    let aliases: Vec<_> = lines.filter_map(|line| tried(std::str::from_utf8(line).ok()?)).collect();
    let mut index = AliasIndex::default();
    for (position, alias) in aliases.iter().enumerate() {
        let location = match alias {
            Tried::Literal(place) => Location::Literal(place.clone()),
            Tried::Pattern(_) => Location::Pattern(String::new()),
        };
        index.add(position, &location);
        assert_eq!(rest(alias, uri, subject), expected_rest(alias, uri), "{:?} {}", location, uri.escape_ascii());
    }
    let literal = index.literal(uri);
    let is_literal = |position: &usize| matches!(aliases[*position], Tried::Literal(_));
    let matches = |position: &usize| expected_rest(&aliases[*position], uri).is_some();
    let mut each = 0..aliases.len();
    assert_eq!(literal, (0..aliases.len()).filter(is_literal).find(matches), "{}", uri.escape_ascii());
    let pattern = index.patterns_before(literal).iter().copied().find(matches);
    assert_eq!(pattern.or(literal), each.find(matches), "{}", uri.escape_ascii());
}

fn tried(line: &str) -> Option<Tried> {
    match line.strip_prefix('^') {
        Some(end) => Some(Tried::Pattern(end.parse().ok())),
        None => line.starts_with('/').then(|| Tried::Literal(line.to_owned())),
    }
}

/// What is appended to the target, by the rules of the crate.
fn rest<'u>(alias: &Tried, uri: &'u [u8], subject: Subject) -> Option<&'u [u8]> {
    match alias {
        Tried::Literal(place) => match_literal(place, uri).or_else(|| match subject {
            Subject::Real => None,
            // The bug: a match need not end at a slash for paths of two parts and more.
            Subject::Planted => uri.strip_prefix(place.as_bytes()).filter(|_| place.matches('/').count() > 1),
        }),
        Tried::Pattern(end) => end.and_then(|end| rest_after_pattern(uri, end)),
    }
}

/// A run of slashes, or another byte.
#[derive(PartialEq)]
enum Piece {
    Slashes,
    Byte(u8),
}

/// The pieces of `path`, each with the offset behind it.
fn pieces(path: &[u8]) -> Vec<(Piece, usize)> {
    let mut pieces: Vec<(Piece, usize)> = Vec::new();
    for (at, &byte) in path.iter().enumerate() {
        match pieces.last_mut() {
            Some((Piece::Slashes, end)) if byte == b'/' => *end = at + 1,
            _ => pieces.push((if byte == b'/' { Piece::Slashes } else { Piece::Byte(byte) }, at + 1)),
        }
    }
    pieces
}

/// What is appended to the target, as the specification says it.
fn expected_rest<'u>(alias: &Tried, uri: &'u [u8]) -> Option<&'u [u8]> {
    let consumed = match alias {
        Tried::Pattern(end) => end.filter(|end| (1..=uri.len()).contains(end))?,
        Tried::Literal(place) => {
            let (ours, theirs) = (pieces(place.as_bytes()), pieces(uri));
            let equal = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours.0 == theirs.0).count() == ours.len();
            let boundary = place.ends_with('/') || theirs.get(ours.len()).is_none_or(|next| next.0 == Piece::Slashes);
            if !equal || !boundary {
                return None;
            }
            theirs[ours.len() - 1].1
        }
    };
    let location_is_root = match alias {
        Tried::Literal(place) => place == "/",
        Tried::Pattern(_) => &uri[..consumed] == b"/",
    };
    Some(if location_is_root { uri } else { &uri[consumed..] })
}
