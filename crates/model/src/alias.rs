// SPDX-License-Identifier: Apache-2.0
//! Script aliases: how they are written, which one a URL selects, and the file name that results (configuration §6.1).

use crate::directive::options::{self, Options, options};
use crate::directive::value::{CallableName, GroupName, Kept, OnOff, Written, quoted};
use crate::directive::words::Words;
use crate::directive::{ArgumentError, Origin, Reading};
use std::collections::HashMap;

/// How an alias recognises a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `WSGIScriptAlias`: a URL path.
    Literal(String),
    /// `WSGIScriptAliasMatch`: a regular expression in httpd's own syntax.
    Pattern(String),
}

options! {
    /// The options of `WSGIScriptAlias` and `WSGIScriptAliasMatch`; they win over the directives of the same meaning.
    pub struct AliasOptions;

    /// The process group; `%{GLOBAL}` is embedded mode.
    "process-group" => process_group: GroupName = GroupName::default(), since "3.0";
    /// The application group; `%{GLOBAL}` is the main interpreter.
    "application-group" => application_group: GroupName = GroupName::default(), since "3.0";
    /// The global of the script that is called, literally.
    "callable-object" => callable_object: CallableName = CallableName::default(), since "3.0";
    /// Whether the application gets the `Authorization` header.
    "pass-authorization" => pass_authorization: OnOff = OnOff::Off, since "3.0";
}

/// One script alias as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// Which URLs it is for.
    pub location: Location,
    /// The script, or the directory of scripts; `$1` to `$9` stand for groups of a pattern.
    pub target: String,
    /// What was said about it.
    pub options: AliasOptions,
    /// Where it was written.
    pub origin: Origin,
}

/// All aliases of a server in the order they are tried.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aliases(pub Vec<Alias>);

/// The arguments of `WSGIScriptAlias`.
#[derive(Debug)]
pub struct LiteralAlias;

/// The arguments of `WSGIScriptAliasMatch`.
#[derive(Debug)]
pub struct PatternAlias;

fn parse(
    arguments: &str,
    syntax: &'static str,
    reading: &mut Reading,
    location: fn(String) -> Location,
) -> Result<Aliases, ArgumentError> {
    let mut words = Words::new(arguments);
    let missing = |found| ArgumentError::Missing { syntax, found };
    let place = words.next().filter(|word| !word.is_empty()).ok_or(missing(0))?;
    let target = words.next().filter(|word| !word.is_empty()).ok_or(missing(1))?;
    let mut options = AliasOptions::default();
    options.take_all(&mut words, reading)?;
    Ok(Aliases(vec![Alias { location: location(place), target, options, origin: reading.origin.clone() }]))
}

impl Alias {
    /// The process group and application group, if the script is to be loaded when a process starts: both are given,
    /// neither depends on a request, and the target does not either.
    #[must_use]
    pub fn preload(&self) -> Option<(&str, &str)> {
        let process_group = self.options.process_group.as_ref()?.fixed()?;
        let application_group = self.options.application_group.as_ref()?.fixed()?;
        self.fixed_target().map(|_| (process_group, application_group))
    }

    /// The target, unless it depends on the URL.
    #[must_use]
    pub fn fixed_target(&self) -> Option<&str> {
        let fixed = matches!(self.location, Location::Literal(_)) || !self.target.contains('$');
        fixed.then_some(&self.target)
    }

    /// The URL path or the expression.
    #[must_use]
    pub fn place(&self) -> &str {
        let (Location::Literal(place) | Location::Pattern(place)) = &self.location;
        place
    }

    fn render(&self) -> String {
        let options = options::render(&self.options.written());
        format!("{} {}{options}", quoted(self.place()), quoted(&self.target))
    }
}

impl GroupName {
    /// The name if no variable is in it; empty for `%{GLOBAL}`.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        if self.0 == crate::group::GLOBAL {
            return Some("");
        }
        (!self.0.contains("%{")).then_some(&self.0)
    }
}

impl Written for LiteralAlias {
    type Value = Aliases;
    const SYNTAX: &'static str = "URL-path file|directory [option=value …]";
    const GOOD: &'static str = "/app /srv/app.wsgi application-group=%{GLOBAL} pass-authorization=On";
    const BAD: Option<&'static str> = Some("/app /srv/app.wsgi user=bob");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Aliases, ArgumentError> {
        parse(arguments, Self::SYNTAX, reading, Location::Literal)
    }
}

impl Written for PatternAlias {
    type Value = Aliases;
    const SYNTAX: &'static str = "regular-expression file|directory [option=value …]";
    const GOOD: &'static str = "^/([a-z]+) /srv/$1.wsgi callable-object=main";
    const BAD: Option<&'static str> = Some("^/([a-z]+)");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Aliases, ArgumentError> {
        parse(arguments, Self::SYNTAX, reading, Location::Pattern)
    }
}

impl Kept for Aliases {
    /// Those of the main server are tried after those of a virtual host, so the lists stay apart.
    const INHERITED: bool = false;

    fn repeat(earlier: &Self, later: Self) -> Self {
        Self([earlier.0.as_slice(), later.0.as_slice()].concat())
    }

    fn render(&self) -> String {
        self.0.iter().map(Alias::render).collect::<Vec<_>>().join("; ")
    }
}

/// Finds the first of many aliases for a URL without trying each: literal ones by the segments of their paths.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AliasIndex {
    root: Segment,
    patterns: Vec<usize>,
}

/// What the aliases have after the segments that lead here.
#[derive(Debug, Clone, PartialEq, Default)]
struct Segment {
    next: HashMap<Box<[u8]>, Segment>,
    /// The first alias that ends here without a slash.
    here: Option<usize>,
    /// The first alias that ends here with a slash.
    below: Option<usize>,
}

impl AliasIndex {
    /// Adds the alias at `position` of its list; positions rise.
    pub fn add(&mut self, position: usize, location: &Location) {
        let place = match location {
            // A path that does not begin with a slash matches nothing.
            Location::Literal(place) if place.starts_with('/') => place.as_bytes(),
            Location::Literal(_) => return,
            Location::Pattern(_) => return self.patterns.push(position),
        };
        let mut segment = &mut self.root;
        for name in segments(place) {
            segment = segment.next.entry(name.into()).or_default();
        }
        let end = if place.ends_with(b"/") { &mut segment.below } else { &mut segment.here };
        end.get_or_insert(position);
    }

    /// The first literal alias for `uri`.
    #[must_use]
    pub fn literal(&self, uri: &[u8]) -> Option<usize> {
        if !uri.starts_with(b"/") {
            return None;
        }
        let mut first = self.root.below;
        let mut segment = &self.root;
        let mut names = segments(uri).peekable();
        while let Some(name) = names.next() {
            let Some(next) = segment.next.get(name) else { break };
            let below = next.below.filter(|_| names.peek().is_some() || uri.ends_with(b"/"));
            first = [first, next.here, below].into_iter().flatten().min();
            segment = next;
        }
        first
    }

    /// The positions of patterns, those before `position` only.
    #[must_use]
    pub fn patterns_before(&self, position: Option<usize>) -> &[usize] {
        let end = position.map_or(self.patterns.len(), |end| self.patterns.partition_point(|pattern| *pattern < end));
        self.patterns.get(..end).unwrap_or_default()
    }
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

/// What of `uri` is appended to the target if the literal alias `place` matches: the part that it does not consume, or
/// all of it for the alias `/`.
///
/// A run of slashes equals a run of slashes; the match ends at the end of the URI, before a slash, or anywhere if the
/// alias itself ends with one.
#[must_use]
pub fn match_literal<'u>(place: &str, uri: &'u [u8]) -> Option<&'u [u8]> {
    let (mut alias, mut rest) = (place.as_bytes(), uri);
    while let Some((&byte, after)) = alias.split_first() {
        if byte == b'/' {
            rest.first().filter(|next| **next == b'/')?;
            alias = skip_slashes(after);
            rest = skip_slashes(rest);
        } else {
            let (&next, remaining) = rest.split_first()?;
            if next != byte {
                return None;
            }
            alias = after;
            rest = remaining;
        }
    }
    let whole = place.ends_with('/') || rest.first().is_none_or(|next| *next == b'/');
    whole.then_some(if place == "/" { uri } else { rest })
}

/// What of `uri` is appended to the target of a pattern whose match ends at `end`; an empty match at the start is none.
#[must_use]
pub fn rest_after_pattern(uri: &[u8], end: usize) -> Option<&[u8]> {
    let (consumed, rest) = uri.split_at_checked(end).filter(|(consumed, _)| !consumed.is_empty())?;
    Some(if consumed == b"/" { uri } else { rest })
}

fn skip_slashes(text: &[u8]) -> &[u8] {
    let slashes = text.iter().take_while(|byte| **byte == b'/').count();
    text.get(slashes..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(place: &str, uri: &str) -> Option<String> {
        match_literal(place, uri.as_bytes()).map(|rest| String::from_utf8(rest.to_vec()).expect("text"))
    }

    #[test]
    fn a_literal_alias_matches_whole_segments() {
        let some = |rest: &str| Some(rest.to_owned());
        assert_eq!(matched("/a", "/a"), some(""));
        assert_eq!(matched("/a", "/a/b"), some("/b"));
        assert_eq!(matched("/a", "/ab"), None);
        assert_eq!(matched("/", "/anything"), some("/anything"));
        assert_eq!(matched("/sl/", "/sl"), None);
        assert_eq!(matched("/sl/", "/sl/foo"), some("foo"));
        assert_eq!(matched("/c//d", "/c/d/e"), some("/e"));
        assert_eq!(matched("/c/d", "//c///d/e"), some("/e"));
        assert_eq!(matched("/A", "/a"), None);
        assert_eq!(matched("/a", ""), None);
    }

    #[test]
    fn a_pattern_consumes_up_to_the_end_of_its_match() {
        assert_eq!(rest_after_pattern(b"/m/app/rest", 6), Some(&b"/rest"[..]));
        assert_eq!(rest_after_pattern(b"/foo", 1), Some(&b"/foo"[..]));
        assert_eq!(rest_after_pattern(b"/foo", 0), None);
        assert_eq!(rest_after_pattern(b"/foo", 9), None);
    }

    #[test]
    fn an_alias_with_two_fixed_groups_is_loaded_ahead() {
        let parse = |arguments| LiteralAlias::parse(arguments, &mut Reading::default()).expect(arguments).0.remove(0);
        assert_eq!(parse("/a /a.wsgi process-group=%{GLOBAL} application-group=x").preload(), Some(("", "x")));
        assert_eq!(parse("/a /a.wsgi process-group=%{GLOBAL} application-group=%{SERVER}").preload(), None);
        assert_eq!(parse("/a /a.wsgi application-group=x").preload(), None);
        let pattern = PatternAlias::parse("^/(a) /$1 process-group=g application-group=x", &mut Reading::default());
        assert_eq!(pattern.expect("pattern").0[0].preload(), None);
    }

    #[test]
    fn options_of_an_alias_are_checked() {
        for bad in
            ["/a /b process-group=", "/a /b pass-authorization=yes", "/a /b threads=5", "/a /b process-group = x", "/a"]
        {
            assert!(LiteralAlias::parse(bad, &mut Reading::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_index_finds_what_trying_each_finds() {
        let places = ["/a/b", "/a", "/a/", "/", "//x///y", "/x", "/x/y/", "z", "/a/b/c", "/A", "/sl/"];
        for skip in 0..places.len() {
            let places: Vec<_> = places.iter().cycle().skip(skip).take(places.len()).collect();
            for without in 0..places.len() {
                let kept = || places.iter().enumerate().filter(|(at, _)| *at != without);
                let mut index = AliasIndex::default();
                kept().for_each(|(at, place)| index.add(at, &Location::Literal((**place).to_owned())));
                for uri in
                    ["", "/", "/a", "/a/", "//a//b", "/a/b/c/d", "/ab", "/x/y", "/x/y/", "/x//y/z", "/sl", "/sl/q"]
                {
                    let tried = kept().find(|(_, place)| match_literal(place, uri.as_bytes()).is_some());
                    assert_eq!(index.literal(uri.as_bytes()), tried.map(|(at, _)| at), "{uri} in {places:?}");
                }
            }
        }
    }

    #[test]
    fn only_patterns_before_a_literal_alias_are_tried() {
        let mut index = AliasIndex::default();
        index.add(0, &Location::Pattern("^/x".into()));
        index.add(1, &Location::Literal("/a".into()));
        index.add(2, &Location::Pattern("^/a".into()));
        assert_eq!(index.patterns_before(Some(1)), [0]);
        assert_eq!(index.patterns_before(None), [0, 2]);
    }
}
