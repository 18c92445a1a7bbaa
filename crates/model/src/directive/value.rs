// SPDX-License-Identifier: Apache-2.0
//! The types of directive values: how each is written, merged, shown and sampled.

use super::words::{Words, is_blank};
use super::{ArgumentError, Reading};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// How the arguments of a directive are written in a configuration file.
pub trait Written {
    /// What is kept.
    type Value: Kept;
    /// The manual's syntax of the arguments.
    const SYNTAX: &'static str;
    /// Arguments that are accepted.
    const GOOD: &'static str;
    /// Arguments that are refused; `None` if all are taken, some of them with a warning.
    const BAD: Option<&'static str>;
    /// Whether it may be written without arguments.
    const BARE: bool = false;

    /// Reads the arguments as httpd hands them over.
    fn parse(arguments: &str, reading: &mut Reading) -> Result<Self::Value, ArgumentError>;
}

/// How a value that is one word is written: as the only argument of a directive, or in an option.
pub trait Word {
    /// What is kept.
    type Value: Kept;
    /// The manual's syntax of the word.
    const SYNTAX: &'static str;
    /// A word that is accepted.
    const GOOD: &'static str;
    /// A word that is refused; `None` if all are taken.
    const BAD: Option<&'static str>;
    /// Whether an option may have it empty.
    const EMPTY: bool = false;

    /// Reads the word; `None` if it is not one of these.
    fn read(word: &str, reading: &mut Reading) -> Option<Self::Value>;
}

impl<W: Word> Written for W {
    type Value = W::Value;
    const SYNTAX: &'static str = W::SYNTAX;
    const GOOD: &'static str = W::GOOD;
    const BAD: Option<&'static str> = match W::BAD {
        Some(bad) => Some(bad),
        None => Some("one two"),
    };

    fn parse(arguments: &str, reading: &mut Reading) -> Result<W::Value, ArgumentError> {
        let word = one(arguments, W::SYNTAX)?;
        W::read(&word, reading).ok_or(ArgumentError::Word { syntax: W::SYNTAX, word })
    }
}

/// How a value behaves once read.
pub trait Kept: Clone + PartialEq + Debug {
    /// Whether a silent inner context has the outer value; the declarations of processes and imports are not inherited.
    const INHERITED: bool = true;

    /// The value after it was written a second time in the same context; the later one replaces the earlier one.
    fn repeat(earlier: &Self, later: Self) -> Self {
        let _ = earlier;
        later
    }

    /// The value inside a section; `None` says that the inner value replaces the outer one.
    fn inherit(outer: &Self, inner: &Self) -> Option<Self> {
        let _ = (outer, inner);
        None
    }

    /// The value as it would be written.
    fn render(&self) -> String;
}

/// Reads exactly one argument, which may not be empty.
pub(crate) fn one(arguments: &str, syntax: &'static str) -> Result<String, ArgumentError> {
    let mut words = Words::new(arguments);
    match (words.next(), words.rest()) {
        (Some(word), "") if !word.is_empty() => Ok(word),
        _ => Err(ArgumentError::Count { syntax, found: Words::new(arguments).filter(|word| !word.is_empty()).count() }),
    }
}

/// A word as it would be written: quoted if httpd would otherwise split or change it, `(not set)` if there is none.
#[must_use]
pub fn quoted(word: &str) -> String {
    if word.is_empty() { NOT_SET.to_owned() } else { listed(word) }
}

/// The same for a word among others, where an empty one counts.
pub(crate) fn listed(word: &str) -> String {
    let split = word.contains(|character| is_blank(character) || character == '"');
    if split || word.is_empty() || word.starts_with('\'') || word.contains(r"\\") {
        format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\""))
    } else {
        word.to_owned()
    }
}

/// How reports show the absence of a value.
pub const NOT_SET: &str = "(not set)";

/// A value that is a choice of words, case-insensitively.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $syntax:literal { $($(#[$doc:meta])* $variant:ident),+ }, good $good:literal, bad $bad:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl Word for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: Option<&'static str> = Some($bad);

            fn read(word: &str, _: &mut Reading) -> Option<Self> {
                $(if word.eq_ignore_ascii_case(stringify!($variant)) { return Some(Self::$variant); })+
                None
            }
        }

        impl Kept for $name {
            fn render(&self) -> String {
                format!("{self:?}")
            }
        }
    };
}

words! {
    /// A switch.
    OnOff: "On|Off" {
        /// Yes.
        On,
        /// No.
        Off
    }, good "on", bad "maybe"
}

words! {
    /// When a HEAD request is shown to the application as GET.
    HeadMapping: "Auto|On|Off" {
        /// When an output filter needs the body.
        Auto,
        /// Always.
        On,
        /// Never.
        Off
    }, good "Auto", bad "GET"
}

words! {
    /// How processes of a group agree on who accepts the next connection.
    AcceptMutex: "default|flock|fcntl|sysvsem|posixsem|pthread" {
        /// What the platform prefers.
        Default,
        /// A lock on a file.
        Flock,
        /// A lock on a part of a file.
        Fcntl,
        /// A System V semaphore.
        Sysvsem,
        /// A POSIX semaphore.
        Posixsem,
        /// A mutex in shared memory.
        Pthread
    }, good "flock", bad "none"
}

impl From<bool> for OnOff {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl OnOff {
    /// Whether it is `On`.
    #[must_use]
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// Doubts a word that looks like a variable and is none of these; one that ends with `:` takes a name and a brace.
fn doubt_variable(word: &str, known: &[&str], reading: &mut Reading) {
    let is_known = |variable: &&str| word == *variable || variable.ends_with(':') && named(word, variable);
    let named = known.iter().any(is_known);
    if word.contains("%{") && !named {
        let known = known.iter().map(|one| if one.ends_with(':') { format!("{one}name}}") } else { (*one).to_owned() });
        let known: Vec<_> = known.collect();
        reading.doubt(
            format!("'{word}' is no variable of this directive; it is taken literally"),
            format!("write {} or a name", known.join(", ")),
        );
    }
}

/// Whether `word` is the variable that begins with `start`, with a name.
fn named(word: &str, start: &str) -> bool {
    let name = word.strip_prefix(start).and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']))
}

/// A value that is one word, kept as written; empty is not set.
macro_rules! text {
    ($(#[$meta:meta])* $name:ident: $syntax:literal, good $good:literal $(, $empty:ident)? $(; variables $variables:expr)?) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub struct $name(pub String);

        impl Word for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: Option<&'static str> = None;
            $(const EMPTY: bool = stringify!($empty).len() > 0;)?

            fn read(word: &str, reading: &mut Reading) -> Option<Self> {
                $(doubt_variable(word, &$variables, reading);)?
                let _ = &reading;
                Some(Self(word.to_owned()))
            }
        }

        impl Kept for $name {
            fn render(&self) -> String {
                quoted(&self.0)
            }
        }

        impl $name {
            /// The value as text; empty if not set.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text! {
    /// The name of an application group, or a variable that gives it.
    GroupName: "name|%{GLOBAL}|%{SERVER}|%{HOST}|%{RESOURCE}|%{ENV:variable}", good "%{SERVER}"; variables ["%{GLOBAL}", "%{SERVER}", "%{HOST}", "%{RESOURCE}", "%{ENV:"]
}
text! {
    /// The name of an application group for a script that is not chosen by the URL of an application.
    HookGroupName: "name|%{GLOBAL}|%{SERVER}|%{HOST}", good "hooks"; variables ["%{GLOBAL}", "%{SERVER}", "%{HOST}"]
}
text! {
    /// The name of a group, or `%{GLOBAL}` for the one without a name.
    FixedGroupName: "name|%{GLOBAL}", good "main"; variables ["%{GLOBAL}"]
}
text! {
    /// The name of a group that a section is for; empty and `%{GLOBAL}` are the one without a name.
    SelectedGroup: "name|%{GLOBAL}", good "main", empty; variables ["%{GLOBAL}"]
}
text! {
    /// The name of a global of a script, or a variable that gives it.
    CallableName: "name|%{ENV:variable}", good "main"; variables ["%{ENV:"]
}
text! {
    /// The prefix or virtual environment of a Python, or its executable.
    PythonHome: "directory|executable", good "/usr/local/pythonenv", empty
}
text! {
    /// Directories separated by `:`.
    SearchPath: "directory[:directory…]", good "/usr/local/app:/usr/local/lib/app", empty
}
text! {
    /// A directory.
    Directory: "directory", good "/var/cache/eggs", empty
}
text! {
    /// The beginning of the names of files.
    FilePrefix: "path", good "run/wsgi"
}
text! {
    /// A name that a program other than this one understands.
    Name: "name", good "en_US.UTF-8", empty
}

impl FixedGroupName {
    /// The name; empty for `%{GLOBAL}`.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.0 == crate::group::GLOBAL { "" } else { &self.0 }
    }
}

impl SelectedGroup {
    /// The name; empty for `%{GLOBAL}`.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.0 == crate::group::GLOBAL { "" } else { &self.0 }
    }
}

/// A path that begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbsolutePath(pub String);

impl Word for AbsolutePath {
    type Value = Self;
    const SYNTAX: &'static str = "/path";
    const GOOD: &'static str = "/srv/app";
    const BAD: Option<&'static str> = Some("srv/app");

    fn read(word: &str, _: &mut Reading) -> Option<Self> {
        word.starts_with('/').then(|| Self(word.to_owned()))
    }
}

impl Kept for AbsolutePath {
    fn render(&self) -> String {
        quoted(&self.0)
    }
}

/// The options that Python takes with `-W`, in the order written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings(pub Vec<String>);

impl Word for Warnings {
    type Value = Self;
    const SYNTAX: &'static str = "action:message:category:module:line";
    const GOOD: &'static str = "ignore::DeprecationWarning";
    const BAD: Option<&'static str> = None;

    fn read(word: &str, _: &mut Reading) -> Option<Self> {
        Some(Self(vec![word.to_owned()]))
    }
}

impl Kept for Warnings {
    fn repeat(earlier: &Self, later: Self) -> Self {
        Self([earlier.0.as_slice(), &later.0].concat())
    }

    fn render(&self) -> String {
        if self.0.is_empty() {
            return NOT_SET.to_owned();
        }
        self.0.iter().map(|option| quoted(option)).collect::<Vec<_>>().join(" ")
    }
}

/// What fixes the hashes of text, if anything does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashSeed {
    /// A new seed in each process.
    #[default]
    Random,
    /// This seed; 0 switches randomisation off.
    Fixed(u32),
}

impl Word for HashSeed {
    type Value = Self;
    const SYNTAX: &'static str = "random|number from 0 to 4294967295";
    const GOOD: &'static str = "42";
    const BAD: Option<&'static str> = Some("4294967296");

    fn read(word: &str, _: &mut Reading) -> Option<Self> {
        if word == "random" {
            return Some(Self::Random);
        }
        let number = word.trim_start().parse().ok().filter(|_| !word.trim_start().starts_with('+'));
        number.map(Self::Fixed)
    }
}

impl Kept for HashSeed {
    fn render(&self) -> String {
        match self {
            Self::Random => "random".to_owned(),
            Self::Fixed(seed) => seed.to_string(),
        }
    }
}

/// The names of process groups that may be selected; `%{GLOBAL}` is embedded mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted(pub Vec<FixedGroupName>);

impl Written for Permitted {
    type Value = Option<Self>;
    const SYNTAX: &'static str = "group|%{GLOBAL} …";
    const GOOD: &'static str = "bob:1 %{GLOBAL}";
    const BAD: Option<&'static str> = None;
    const BARE: bool = true;

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Option<Self>, ArgumentError> {
        let names: Vec<_> = Words::new(arguments).map(FixedGroupName).collect();
        if names.is_empty() {
            reading.doubt("an empty list refuses every request", "name the process groups that may be selected");
        }
        Ok(Some(Self(names)))
    }
}

impl Kept for Option<Permitted> {
    fn render(&self) -> String {
        let Some(Permitted(names)) = self else { return NOT_SET.to_owned() };
        names.iter().map(|name| listed(&name.0)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_variable_and_is_none_is_doubtful() {
        let doubts = |word: &str| {
            let mut reading = Reading::default();
            GroupName::read(word, &mut reading).expect("any word");
            reading.doubts.len()
        };
        for word in ["plain", "%", "50%", "%{GLOBAL}", "%{SERVER}", "%{HOST}", "%{RESOURCE}", "%{ENV:X}"] {
            assert_eq!(doubts(word), 0, "{word}");
        }
        for word in ["%{global}", "%{GLOBAL", "x%{GLOBAL}", "%{ENV:}", "%{ENV:A}x", "%{ENV:A}%{ENV:B}", "%{OTHER}"] {
            assert_eq!(doubts(word), 1, "{word}");
        }
    }

    #[test]
    fn a_word_is_shown_so_that_it_is_read_as_the_same() {
        for word in
            ["plain", r"a\d", "a b", "a\u{b}b", "it's", "'quoted'", r"two\\slashes", r"\\", "say \"x\"", "(not set)"]
        {
            assert_eq!(one(&quoted(word), "word").as_deref(), Ok(word), "{}", quoted(word));
        }
        let permitted = Permitted::parse("a \"\" 'b c'", &mut Reading::default()).expect("accepted");
        assert_eq!(permitted.render(), "a \"\" \"b c\"");
        assert_eq!(Warnings(vec!["ignore:a b".to_owned()]).render(), "\"ignore:a b\"");
    }
}
