// SPDX-License-Identifier: Apache-2.0
//! How httpd splits the arguments of a directive, and how `name=value` options are written (configuration §0.2).

use thiserror::Error;

/// The words of `arguments`, split and unescaped as httpd does it for its own directives.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// Starts at the beginning of `arguments`.
    #[must_use]
    pub fn new(arguments: &'a str) -> Self {
        Self { rest: arguments.trim_start_matches(is_blank) }
    }

    /// What has not been split yet, without leading blanks.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.rest
    }
}

/// Whether httpd splits words at it.
pub(super) fn is_blank(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\u{b}'
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let first = self.rest.chars().next()?;
        let (raw, rest, quote) = if matches!(first, '"' | '\'') {
            let body = self.rest.get(1..).unwrap_or("");
            let end = closing(body, first);
            let (raw, rest) = body.split_at(end);
            (raw, rest.strip_prefix(first).unwrap_or(rest), Some(first))
        } else {
            let (raw, rest) = self.rest.split_at(self.rest.find(is_blank).unwrap_or(self.rest.len()));
            (raw, rest, None)
        };
        self.rest = rest.trim_start_matches(is_blank);
        Some(unescape(raw, quote))
    }
}

/// Where the quoted text `body` ends: at its closing quote, or at the end if there is none.
fn closing(body: &str, quote: char) -> usize {
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return at;
        }
        let escapes =
            character == '\\' && characters.clone().next().is_some_and(|(_, next)| next == '\\' || next == quote);
        if escapes {
            characters.next();
        }
    }
    body.len()
}

fn unescape(raw: &str, quote: Option<char>) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped =
            if character == '\\' { characters.next_if(|next| *next == '\\' || Some(*next) == quote) } else { None };
        text.push(escaped.unwrap_or(character));
    }
    text
}

/// Why `name=value` options were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionError {
    /// No `=` directly after a name.
    #[error("'{0}' is not an option of the form name=value")]
    Form(String),
    /// A name that does not exist here.
    #[error("unknown option '{0}'")]
    Unknown(String),
    /// An option that needs a value has none.
    #[error("option '{0}' has an empty value")]
    Empty(String),
    /// A value that the option does not take.
    #[error("option '{name}' expects {syntax}, found '{value}'")]
    Value {
        /// The option.
        name: String,
        /// How its value is written.
        syntax: &'static str,
        /// What was found.
        value: String,
    },
}

/// Splits the next `name=value`; `None` at the end. The value may be quoted and may follow the `=` after blanks.
pub fn next_option(words: &mut Words<'_>) -> Result<Option<(String, String)>, OptionError> {
    if words.rest.is_empty() {
        return Ok(None);
    }
    let end = words.rest.find(|character| character == '=' || is_blank(character)).unwrap_or(words.rest.len());
    let (name, rest) = words.rest.split_at(end);
    let Some(value) = rest.strip_prefix('=').filter(|_| !name.is_empty()) else {
        return Err(OptionError::Form(words.rest.split(is_blank).next().unwrap_or_default().to_owned()));
    };
    let mut after = Words::new(value);
    let value = after.next().unwrap_or_default();
    let name = name.to_owned();
    words.rest = after.rest;
    Ok(Some((name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(arguments: &str) -> Vec<String> {
        Words::new(arguments).collect()
    }

    #[test]
    fn words_are_split_as_httpd_does() {
        assert_eq!(split("  a  b\tc "), ["a", "b", "c"]);
        assert_eq!(split(r#""a b" 'c d'"#), ["a b", "c d"]);
        assert_eq!(split(r#""a \"q\" \\ \x" b"#), [r#"a "q" \ \x"#, "b"]);
        assert_eq!(split(r#""a"b"#), ["a", "b"]);
        assert_eq!(split(r#"a"b c""#), [r#"a"b"#, r#"c""#]);
        assert_eq!(split(r#""open"#), ["open"]);
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(split(r#"""#), [""]);
    }

    #[test]
    fn options_are_name_equals_value() {
        let mut words = Words::new(r#"threads=5 processes= 2 name="my group""#);
        assert_eq!(next_option(&mut words), Ok(Some(("threads".into(), "5".into()))));
        assert_eq!(next_option(&mut words), Ok(Some(("processes".into(), "2".into()))));
        assert_eq!(next_option(&mut words), Ok(Some(("name".into(), "my group".into()))));
        assert_eq!(next_option(&mut words), Ok(None));
        for bad in ["threads = 5", "threads", "=5"] {
            assert!(matches!(next_option(&mut Words::new(bad)), Err(OptionError::Form(_))), "{bad}");
        }
    }
}
