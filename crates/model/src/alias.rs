// SPDX-License-Identifier: Apache-2.0
//! Script aliases: how they are written, which one a URL selects, and the file name that results (configuration §6.1).

use crate::directive::value::{Kept, OnOff, Written};
use crate::directive::words::{OptionError, Words, next_option};
use crate::directive::{ArgumentError, Origin};

/// How an alias recognises a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `WSGIScriptAlias`: a URL path.
    Literal(String),
    /// `WSGIScriptAliasMatch`: a regular expression in httpd's own syntax.
    Pattern(String),
}

/// One script alias as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Which URLs it is for.
    pub location: Location,
    /// The script, or the directory of scripts; `$1` to `$9` stand for groups of a pattern.
    pub target: String,
    /// `process-group=`; the empty name is embedded mode.
    pub process_group: Option<String>,
    /// `application-group=`; the empty name is the main interpreter.
    pub application_group: Option<String>,
    /// `callable-object=`, taken literally.
    pub callable_object: Option<String>,
    /// `pass-authorization=`
    pub pass_authorization: Option<OnOff>,
    /// Where it was written.
    pub origin: Origin,
}

/// All aliases of a server in the order they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(pub Vec<Alias>);

/// The arguments of `WSGIScriptAlias`.
#[derive(Debug)]
pub struct LiteralAlias;

/// The arguments of `WSGIScriptAliasMatch`.
#[derive(Debug)]
pub struct PatternAlias;

const GLOBAL: &str = "%{GLOBAL}";

fn parse(
    arguments: &str,
    syntax: &'static str,
    origin: &Origin,
    location: fn(String) -> Location,
) -> Result<Aliases, ArgumentError> {
    let mut words = Words::new(arguments);
    let missing = |found| ArgumentError::Missing { syntax, found };
    let place = words.next().filter(|word| !word.is_empty()).ok_or(missing(0))?;
    let target = words.next().filter(|word| !word.is_empty()).ok_or(missing(1))?;
    let mut alias = Alias {
        location: location(place),
        target,
        process_group: None,
        application_group: None,
        callable_object: None,
        pass_authorization: None,
        origin: origin.clone(),
    };
    while let Some((name, value)) = next_option(&mut words)? {
        alias.set_option(name, value)?;
    }
    Ok(Aliases(vec![alias]))
}

impl Alias {
    fn set_option(&mut self, name: String, value: String) -> Result<(), OptionError> {
        let group = |value: String| if value == GLOBAL { String::new() } else { value };
        let known =
            matches!(name.as_str(), "process-group" | "application-group" | "callable-object" | "pass-authorization");
        if known && value.is_empty() {
            return Err(OptionError::Empty(name));
        }
        match name.as_str() {
            "process-group" => self.process_group = Some(group(value)),
            "application-group" => self.application_group = Some(group(value)),
            "callable-object" => self.callable_object = Some(value),
            "pass-authorization" if value.eq_ignore_ascii_case("on") => self.pass_authorization = Some(OnOff::On),
            "pass-authorization" if value.eq_ignore_ascii_case("off") => self.pass_authorization = Some(OnOff::Off),
            "pass-authorization" => return Err(OptionError::Value { name, syntax: OnOff::SYNTAX, value }),
            _ => return Err(OptionError::Unknown(name)),
        }
        Ok(())
    }

    /// The process group and application group, if the script is to be loaded when a process starts: both are given,
    /// neither depends on a request, and the target does not either.
    #[must_use]
    pub fn preload(&self) -> Option<(&str, &str)> {
        let fixed = |name: &str| !name.contains("%{");
        let process_group = self.process_group.as_deref().filter(|name| fixed(name))?;
        let application_group = self.application_group.as_deref().filter(|name| fixed(name))?;
        let target_fixed = matches!(self.location, Location::Literal(_)) || !self.target.contains('$');
        target_fixed.then_some((process_group, application_group))
    }

    fn render(&self) -> String {
        let (Location::Literal(place) | Location::Pattern(place)) = &self.location;
        let mut text = format!("{place} {}", self.target);
        let options = [
            ("process-group", &self.process_group),
            ("application-group", &self.application_group),
            ("callable-object", &self.callable_object),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                let value = if value.is_empty() { GLOBAL } else { value };
                text.push_str(&format!(" {name}={value}"));
            }
        }
        if let Some(pass) = self.pass_authorization {
            text.push_str(&format!(" pass-authorization={pass:?}"));
        }
        text
    }
}

impl Written for LiteralAlias {
    type Value = Aliases;
    const SYNTAX: &'static str = "URL-path file|directory [option=value …]";
    const GOOD: &'static str = "/app /srv/app.wsgi application-group=%{GLOBAL} pass-authorization=On";
    const BAD: &'static str = "/app /srv/app.wsgi user=bob";

    fn parse(arguments: &str, origin: &Origin) -> Result<Aliases, ArgumentError> {
        parse(arguments, Self::SYNTAX, origin, Location::Literal)
    }
}

impl Written for PatternAlias {
    type Value = Aliases;
    const SYNTAX: &'static str = "regular-expression file|directory [option=value …]";
    const GOOD: &'static str = "^/([a-z]+) /srv/$1.wsgi callable-object=main";
    const BAD: &'static str = "^/([a-z]+)";

    fn parse(arguments: &str, origin: &Origin) -> Result<Aliases, ArgumentError> {
        parse(arguments, Self::SYNTAX, origin, Location::Pattern)
    }
}

impl Kept for Aliases {
    fn repeat(earlier: &Self, later: Self) -> Self {
        Self([earlier.0.as_slice(), later.0.as_slice()].concat())
    }

    /// The virtual host's own come before those of the main server.
    fn inherit(outer: &Self, inner: &Self) -> Option<Self> {
        Some(Self([inner.0.as_slice(), outer.0.as_slice()].concat()))
    }

    fn render(&self) -> String {
        self.0.iter().map(Alias::render).collect::<Vec<_>>().join("; ")
    }
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
        let parse = |arguments| LiteralAlias::parse(arguments, &Origin::default()).expect(arguments).0.remove(0);
        assert_eq!(parse("/a /a.wsgi process-group=%{GLOBAL} application-group=x").preload(), Some(("", "x")));
        assert_eq!(parse("/a /a.wsgi process-group=%{GLOBAL} application-group=%{SERVER}").preload(), None);
        assert_eq!(parse("/a /a.wsgi application-group=x").preload(), None);
        let pattern = PatternAlias::parse("^/(a) /$1 process-group=g application-group=x", &Origin::default());
        assert_eq!(pattern.expect("pattern").0[0].preload(), None);
    }

    #[test]
    fn options_of_an_alias_are_checked() {
        for bad in
            ["/a /b process-group=", "/a /b pass-authorization=yes", "/a /b threads=5", "/a /b process-group = x", "/a"]
        {
            assert!(LiteralAlias::parse(bad, &Origin::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn aliases_of_a_virtual_host_come_first() {
        let one = LiteralAlias::parse("/one /1", &Origin::default()).expect("one");
        let two = LiteralAlias::parse("/two /2", &Origin::default()).expect("two");
        let merged = Aliases::inherit(&one, &two).expect("a list");
        assert_eq!(merged.render(), "/two /2; /one /1");
    }
}
