// SPDX-License-Identifier: Apache-2.0
//! The types of directive values: how each is written, merged, shown and sampled.

use super::words::Words;
use super::{ArgumentError, Origin};
use std::fmt::Debug;

/// How a value is written in a configuration file.
pub trait Written {
    /// What is kept.
    type Value: Kept;
    /// The manual's syntax of the arguments.
    const SYNTAX: &'static str;
    /// Arguments that are accepted.
    const GOOD: &'static str;
    /// Arguments that are refused.
    const BAD: &'static str;

    /// Reads the arguments as httpd hands them over.
    fn parse(arguments: &str, origin: &Origin) -> Result<Self::Value, ArgumentError>;
}

/// How a value behaves once read.
pub trait Kept: Clone + PartialEq + Debug {
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

/// A value that is a choice of words, case-insensitively.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $syntax:literal { $($(#[$doc:meta])* $variant:ident),+ }, good $good:literal, bad $bad:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl Written for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: &'static str = $bad;

            fn parse(arguments: &str, _: &Origin) -> Result<Self, ArgumentError> {
                let word = one(arguments, Self::SYNTAX)?;
                $(if word.eq_ignore_ascii_case(stringify!($variant)) { return Ok(Self::$variant); })+
                Err(ArgumentError::Word { syntax: Self::SYNTAX, word })
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

/// A value that is one word, kept as written.
macro_rules! text {
    ($(#[$meta:meta])* $name:ident: $syntax:literal, good $good:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Written for $name {
            type Value = Option<Self>;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: &'static str = "one two";

            fn parse(arguments: &str, _: &Origin) -> Result<Option<Self>, ArgumentError> {
                one(arguments, Self::SYNTAX).map(|word| Some(Self(word)))
            }
        }

        impl Kept for Option<$name> {
            fn render(&self) -> String {
                self.as_ref().map_or_else(|| "(not set)".to_owned(), |text| text.0.clone())
            }
        }
    };
}

text! {
    /// The name of an application group, or a variable that gives it.
    GroupName: "name|%{GLOBAL}|%{SERVER}|%{HOST}|%{RESOURCE}|%{ENV:variable}", good "%{RESOURCE}"
}
text! {
    /// The name of a global of a script, or a variable that gives it.
    CallableName: "name|%{ENV:variable}", good "application"
}
text! {
    /// The prefix or virtual environment of a Python, or its executable.
    PythonHome: "directory|executable", good "/usr/local/pythonenv"
}
text! {
    /// Directories separated by `:`.
    SearchPath: "directory[:directory…]", good "/usr/local/app:/usr/local/lib/app"
}
