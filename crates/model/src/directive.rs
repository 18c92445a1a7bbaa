// SPDX-License-Identifier: Apache-2.0
//! Directives, each declared once.
//!
//! A row of [`directives!`] names the directive, the field that keeps it, its type, default, context and age. From it
//! come the struct with the setting as written, the merge, the accessor with the default, the row that `src/config.rs` turns into a
//! `command_rec`, the reference page, and the tests over the whole table. How a value is written, merged and sampled
//! belongs to its type: see [`value`].

pub mod account;
pub mod number;
pub mod options;
pub mod retired;
pub mod value;
pub mod words;

use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;
use words::OptionError;

/// Where a directive may be written (configuration §0.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The main server only.
    Global,
    /// Main server and virtual hosts.
    Server,
    /// As `Server`, and `<Directory>`-like sections; not `.htaccess`.
    Directory,
    /// Everywhere, and `.htaccess` under `AllowOverride FileInfo`.
    FileInfo,
    /// `<Directory>`-like sections, and `.htaccess` under `AllowOverride AuthConfig`.
    AuthConfig,
}

impl Scope {
    /// The manual's words for the context.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Global => "server config",
            Self::Server => "server config, virtual host",
            Self::Directory => "server config, virtual host, directory",
            Self::FileInfo => "server config, virtual host, directory, .htaccess (FileInfo)",
            Self::AuthConfig => "directory, .htaccess (AuthConfig)",
        }
    }
}

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Path of the configuration file.
    pub file: Arc<str>,
    /// Line in it, from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// A value and who set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// Where it was written last.
    pub origin: Origin,
}

/// Something that is accepted because the reference accepts it, but that probably means something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// What is written and how it is understood.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

/// One directive being read: where it stands, and what is doubtful about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Where it stands.
    pub origin: Origin,
    /// What will be told as warnings.
    pub doubts: Vec<Doubt>,
}

impl Reading {
    /// Begins to read the directive at `origin`.
    #[must_use]
    pub fn at(origin: Origin) -> Self {
        Self { origin, doubts: Vec::new() }
    }

    /// Notes a doubt.
    pub fn doubt(&mut self, problem: impl Into<String>, fix: impl Into<String>) {
        self.doubts.push(Doubt { problem: problem.into(), fix: fix.into() });
    }
}

/// Why the arguments of a directive were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// Not exactly one argument.
    #[error("takes one argument, {syntax}, found {found}")]
    Count {
        /// How it is written.
        syntax: &'static str,
        /// How many arguments there were.
        found: usize,
    },
    /// A word outside the accepted ones.
    #[error("expected {syntax}, found '{word}'")]
    Word {
        /// How it is written.
        syntax: &'static str,
        /// What was found.
        word: String,
    },
    /// Too few arguments before the options.
    #[error("expected {syntax}, found only {found} arguments")]
    Missing {
        /// How it is written.
        syntax: &'static str,
        /// How many arguments there were.
        found: usize,
    },
    /// An option is malformed or unknown.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Options that exclude each other, or that cannot be left out.
    #[error("{0}")]
    Combination(&'static str),
}

/// One row of a directive table whose settings are kept in `S`.
pub struct Row<S: 'static> {
    /// The directive, with the manual's capital letters.
    pub name: &'static str,
    /// The same for C.
    pub c_name: &'static CStr,
    /// The first line of the text for C: what `httpd -L` shows.
    pub c_summary: &'static CStr,
    /// The manual's text: a first line that fits the command table, then paragraphs.
    pub text: &'static [&'static str],
    /// Where it may be written.
    pub scope: Scope,
    /// The first release of the reference that had it.
    pub since: &'static str,
    /// How its arguments are written.
    pub syntax: &'static str,
    /// The default, as it would be written.
    pub default: fn() -> String,
    /// Arguments that are accepted.
    pub good: &'static str,
    /// Arguments that are refused; `None` if all are taken.
    pub bad: Option<&'static str>,
    /// Takes the arguments as httpd hands them over and puts them into the settings.
    pub set: fn(&mut S, &str, &mut Reading) -> Result<(), ArgumentError>,
    /// Whether a silent virtual host or section has the value of what surrounds it.
    pub inherited: bool,
    /// Whether it may be written without arguments.
    pub bare: bool,
}

impl<S> Row<S> {
    /// The one line shown by `httpd -L`.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.text.first().map_or("", |line| line.trim())
    }
}

/// A setting as the effective-configuration report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The field's name.
    pub field: &'static str,
    /// The value as it would be written.
    pub value: String,
    /// Who set it; `None` for the default.
    pub origin: Option<Origin>,
}

/// Declares a settings struct from rows; see the module's text.
macro_rules! directives {
    (
        $(#[$meta:meta])* $visibility:vis struct $settings:ident;
        $(
            $(#[doc = $text:literal])+
            $name:literal => $field:ident: $written:ty = $default:expr, in $scope:ident, since $since:literal;
        )+
        $(also
            $(
                $(#[doc = $also_text:literal])+
                $also_name:literal => $also_field:ident: $also_written:ty, in $also_scope:ident, since $also_since:literal;
            )+
        )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        $visibility struct $settings {
            $(
                $(#[doc = $text])+
                pub $field: Option<std::sync::Arc<$crate::directive::Set<<$written as $crate::directive::value::Written>::Value>>>,
            )+
        }

        impl $settings {
            /// The table, in the order of the reference manual.
            pub const ROWS: &'static [$crate::directive::Row<Self>] = &[
                $($crate::directive::row!(
                    Self, $name, [$($text),+], $field, $written, $scope, $since, || {
                        $crate::directive::value::Kept::render(&{ let value: <$written as $crate::directive::value::Written>::Value = $default; value })
                    }
                ),)+
                $($($crate::directive::row!(
                    Self, $also_name, [$($also_text),+], $also_field, $also_written, $also_scope, $also_since, String::new
                ),)+)?
            ];

            /// What holds inside a section: `inner` where it says something, else `outer`.
            #[must_use]
            pub fn merge(outer: &Self, inner: &Self) -> Self {
                Self { $($field: $crate::directive::inherit(outer.$field.as_ref(), inner.$field.as_ref()),)+ }
            }

            $(
                $(#[doc = $text])+
                #[must_use]
                pub fn $field(&self) -> &<$written as $crate::directive::value::Written>::Value {
                    static DEFAULT: std::sync::LazyLock<<$written as $crate::directive::value::Written>::Value> =
                        std::sync::LazyLock::new(|| $default);
                    self.$field.as_ref().map_or_else(|| &*DEFAULT, |set| &set.value)
                }
            )+

            /// Every setting with its value and who set it.
            #[must_use]
            pub fn report(&self) -> Vec<$crate::directive::Reported> {
                vec![$($crate::directive::Reported {
                    field: stringify!($field),
                    value: $crate::directive::value::Kept::render(self.$field()),
                    origin: self.$field.as_ref().map(|set| set.origin.clone()),
                },)+]
            }
        }
    };
}

macro_rules! row {
    ($settings:ty, $name:literal, [$($text:literal),+], $field:ident, $written:ty, $scope:ident, $since:literal, $default:expr) => {
        $crate::directive::Row {
            name: $name,
            c_name: $crate::directive::c_text(concat!($name, "\0")),
            c_summary: $crate::directive::c_text($crate::directive::first!($($text),+)),
            text: &[$($text),+],
            scope: $crate::directive::Scope::$scope,
            since: $since,
            syntax: <$written as $crate::directive::value::Written>::SYNTAX,
            default: $default,
            good: <$written as $crate::directive::value::Written>::GOOD,
            bad: <$written as $crate::directive::value::Written>::BAD,
            set: |settings, arguments, reading| {
                let value = <$written as $crate::directive::value::Written>::parse(arguments, reading)?;
                $crate::directive::put(&mut settings.$field, value, &reading.origin);
                Ok(())
            },
            inherited: <<$written as $crate::directive::value::Written>::Value as $crate::directive::value::Kept>::INHERITED,
            bare: <$written as $crate::directive::value::Written>::BARE,
        }
    };
}

macro_rules! first {
    ($first:literal $(, $rest:literal)*) => {
        concat!($first, "\0")
    };
}

pub(crate) use {directives, first, row};

/// Text that ends with NUL, without a leading blank, for C.
pub(crate) const fn c_text(text: &'static str) -> &'static CStr {
    let bytes = match text.as_bytes() {
        [b' ', rest @ ..] => rest,
        whole => whole,
    };
    match CStr::from_bytes_with_nul(bytes) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// Puts a value that was written in this context, possibly not for the first time.
pub(crate) fn put<T: value::Kept>(field: &mut Option<Arc<Set<T>>>, value: T, origin: &Origin) {
    let value = match field.take() {
        Some(earlier) => T::repeat(&earlier.value, value),
        None => value,
    };
    *field = Some(Arc::new(Set { value, origin: origin.clone() }));
}

/// Merges one field.
pub(crate) fn inherit<T: value::Kept>(outer: Option<&Arc<Set<T>>>, inner: Option<&Arc<Set<T>>>) -> Option<Arc<Set<T>>> {
    match (outer, inner) {
        _ if !T::INHERITED => inner.cloned(),
        (Some(outer), Some(inner)) => T::inherit(&outer.value, &inner.value)
            .map(|value| Arc::new(Set { value, origin: inner.origin.clone() }))
            .or_else(|| Some(inner.clone())),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}
