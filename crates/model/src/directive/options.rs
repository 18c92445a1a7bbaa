// SPDX-License-Identifier: Apache-2.0
//! `name=value` options of directives, each declared once.
//!
//! A row of [`options!`] names the option, the field that keeps it, its type, default and age. From it come the struct, the
//! accessors with the default, parsing, the reference page, and the tests over the whole table.

use super::value::NOT_SET;
use super::words::{OptionError, Words, next_option};
use super::{Doubt, Reading};

/// One row of a table of options that are kept in `S`.
pub struct OptionRow<S: 'static> {
    /// The option's name, as written before the `=`.
    pub name: &'static str,
    /// The manual's text: a summary, then paragraphs.
    pub text: &'static [&'static str],
    /// The first release of the reference that had it; empty if none had.
    pub since: &'static str,
    /// How its value is written.
    pub syntax: &'static str,
    /// The default, as it would be written.
    pub default: fn() -> String,
    /// A value that is accepted.
    pub good: &'static str,
    /// A value that is refused; `None` if all are taken.
    pub bad: Option<&'static str>,
    /// Whether the value may be empty.
    pub empty: bool,
    /// Takes the value; `None` if it is refused, else whether the option was written before.
    pub set: fn(&mut S, &str, &mut Reading) -> Option<bool>,
}

/// A struct of options.
pub trait Options: Sized + 'static {
    /// The table.
    const ROWS: &'static [OptionRow<Self>];

    /// Takes one option.
    fn take(&mut self, name: String, value: String, reading: &mut Reading) -> Result<(), OptionError> {
        let row = Self::ROWS.iter().find(|row| row.name == name).ok_or_else(|| OptionError::Unknown(name.clone()))?;
        if value.is_empty() && !row.empty {
            return Err(OptionError::Empty(name));
        }
        let told = reading.doubts.len();
        let Some(again) = (row.set)(self, &value, reading) else {
            return Err(OptionError::Value { name, syntax: row.syntax, value });
        };
        for Doubt { problem, .. } in reading.doubts.iter_mut().skip(told) {
            *problem = format!("option {name}: {problem}");
        }
        if again {
            reading.doubt(format!("option {name} is given twice; the last one counts"), "remove the others");
        }
        Ok(())
    }

    /// Takes the options that are left in `words`.
    fn take_all(&mut self, words: &mut Words<'_>, reading: &mut Reading) -> Result<(), OptionError> {
        while let Some((name, value)) = next_option(words)? {
            self.take(name, value, reading)?;
        }
        Ok(())
    }
}

/// Declares a struct of options from rows; see the module's text.
macro_rules! options {
    (
        $(#[$meta:meta])* $visibility:vis struct $options:ident;
        $(
            $(#[doc = $text:literal])+
            $name:literal => $field:ident: $word:ty = $default:expr, since $since:literal;
        )+
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        $visibility struct $options {
            $(
                $(#[doc = $text])+
                pub $field: Option<<$word as $crate::directive::value::Word>::Value>,
            )+
        }

        impl $crate::directive::options::Options for $options {
            const ROWS: &'static [$crate::directive::options::OptionRow<Self>] = &[$(
                $crate::directive::options::OptionRow {
                    name: $name,
                    text: &[$($text),+],
                    since: $since,
                    syntax: <$word as $crate::directive::value::Word>::SYNTAX,
                    default: || {
                        let value: <$word as $crate::directive::value::Word>::Value = $default;
                        $crate::directive::value::Kept::render(&value)
                    },
                    good: <$word as $crate::directive::value::Word>::GOOD,
                    bad: <$word as $crate::directive::value::Word>::BAD,
                    empty: <$word as $crate::directive::value::Word>::EMPTY,
                    set: |options, word, reading| {
                        let value = <$word as $crate::directive::value::Word>::read(word, reading)?;
                        Some(options.$field.replace(value).is_some())
                    },
                },
            )+];
        }

        impl $options {
            $(
                $(#[doc = $text])+
                #[must_use]
                pub fn $field(&self) -> <$word as $crate::directive::value::Word>::Value {
                    self.$field.clone().unwrap_or_else(|| $default)
                }
            )+

            /// The options that were written, with their values.
            #[must_use]
            pub fn written(&self) -> Vec<(&'static str, String)> {
                let pairs = [$((
                    $name,
                    <$word as $crate::directive::value::Word>::EMPTY,
                    self.$field.as_ref().map($crate::directive::value::Kept::render),
                ),)+];
                // An option whose value was read over is as if it were not written.
                let counts = |(_, empty, value): &(_, bool, String)| *empty || value != $crate::directive::value::NOT_SET;
                let written = pairs.into_iter().filter_map(|(name, empty, value)| Some((name, empty, value?)));
                written.filter(counts).map(|(name, _, value)| (name, value)).collect()
            }
        }
    };
}

pub(crate) use options;

/// The written options as one text, each after a blank.
pub(crate) fn render(written: &[(&'static str, String)]) -> String {
    let shown = |value| if value == NOT_SET { "\"\"" } else { value };
    written.iter().map(|(name, value)| format!(" {name}={}", shown(value.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alias::AliasOptions;
    use crate::daemon::GroupOptions;
    use crate::interpreter::Selectors;
    use crate::script::{HandlerOptions, HookOptions, ImportOptions};

    fn check<S: Options + Default + PartialEq + std::fmt::Debug>() {
        for row in S::ROWS {
            let take = |value: &str| {
                let (mut options, mut reading) = (S::default(), Reading::default());
                options.take(row.name.to_owned(), value.to_owned(), &mut reading).map(|()| (options, reading.doubts))
            };
            let (options, _) = take(row.good).unwrap_or_else(|error| panic!("{}={}: {error}", row.name, row.good));
            assert_ne!(options, S::default(), "{} keeps nothing", row.name);
            if let Some(bad) = row.bad {
                assert!(matches!(take(bad), Err(OptionError::Value { .. })), "{}={bad}", row.name);
            }
            assert_eq!(take("").is_ok(), row.empty, "{}=", row.name);
            let default = (row.default)();
            if default != crate::directive::value::NOT_SET {
                take(&default).unwrap_or_else(|error| panic!("{}={default}: {error}", row.name));
            }
            assert!(row.text.first().is_some_and(|line| !line.trim().is_empty()), "{}", row.name);
            let mut twice = S::default();
            let mut reading = Reading::default();
            for _ in 0..2 {
                twice.take(row.name.to_owned(), row.good.to_owned(), &mut reading).expect(row.name);
            }
            assert!(reading.doubts.iter().any(|doubt| doubt.problem.contains("twice")), "{}", row.name);
        }
        assert_eq!(
            S::default().take("no-such-option".into(), "x".into(), &mut Reading::default()),
            Err(OptionError::Unknown("no-such-option".into()))
        );
    }

    #[test]
    fn every_option_takes_its_good_sample_and_refuses_its_bad_one() {
        check::<GroupOptions>();
        check::<AliasOptions>();
        check::<ImportOptions>();
        check::<HandlerOptions>();
        check::<HookOptions>();
        check::<Selectors>();
    }

    #[test]
    fn an_empty_value_is_shown_as_such() {
        let mut options = GroupOptions::default();
        options.take_all(&mut Words::new("python-path=\"\" lang='a b'"), &mut Reading::default()).expect("accepted");
        assert_eq!(render(&options.written()), " lang=\"a b\" python-path=\"\"");
    }

    #[test]
    fn an_option_whose_value_is_read_over_is_not_shown() {
        let mut options = GroupOptions::default();
        options.take_all(&mut Words::new("switch-interval=inf lang=C"), &mut Reading::default()).expect("accepted");
        assert_eq!(render(&options.written()), " lang=C");
    }

    #[test]
    fn a_doubt_names_its_option() {
        let mut reading = Reading::default();
        GroupOptions::default().take_all(&mut Words::new("threads=5x"), &mut reading).expect("accepted");
        assert_eq!(reading.doubts[0].problem, "option threads: '5x' is not a number; it is read as 5");
    }
}
