// SPDX-License-Identifier: Apache-2.0
//! A row of the table of events, and what is made of the rows.

use super::Level;

/// What the manual says about an event.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The stable number.
    pub number: u16,
    /// The level it is logged at.
    pub level: Level,
    /// The name of its variant.
    pub name: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What becomes of the request or the process.
    pub outcome: &'static str,
    /// What the operator does.
    pub action: &'static str,
}

macro_rules! events {
    ($(
        $number:literal $level:ident $name:ident { $($field:ident: $type:ty),* $(,)? }
        $format:literal
        cause $cause:literal
        outcome $outcome:literal
        action $action:literal;
    )+) => {
        /// A numbered event with its facts. Its `Display` is the log line, number first.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event {
            $(
                #[doc = $cause]
                #[allow(missing_docs, reason = "the fields are the facts named in the message")]
                $name { $($field: $type),* },
            )+
        }

        /// The table, in the order of numbers.
        pub const TABLE: &[Entry] = &[$(
            Entry {
                number: $number,
                level: Level::$level,
                name: stringify!($name),
                cause: $cause,
                outcome: $outcome,
                action: $action,
            },
        )+];

        impl Event {
            /// The stable number.
            #[must_use]
            pub fn number(&self) -> u16 {
                match self { $(Self::$name { .. } => $number,)+ }
            }

            /// The level it is logged at.
            #[must_use]
            pub fn level(&self) -> Level {
                match self { $(Self::$name { .. } => Level::$level,)+ }
            }
        }

        impl std::fmt::Display for Event {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(out, "WSGIRS{:04}: ", self.number())?;
                match self { $(Self::$name { $($field),* } => write!(out, $format),)+ }
            }
        }
    };
}

pub(super) use events;
