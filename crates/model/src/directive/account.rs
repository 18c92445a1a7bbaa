// SPDX-License-Identifier: Apache-2.0
//! Users, and groups of users, by name or number.

use super::Reading;
use super::value::{Kept, Word, quoted};

/// A name or `#number`, where what follows the number is read over, as the reference does.
fn account(word: &str, reading: &mut Reading) -> Option<String> {
    let Some(number) = word.strip_prefix('#') else { return (!word.is_empty()).then(|| word.to_owned()) };
    let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    let digits = number.get(..end).filter(|digits| !digits.is_empty())?;
    if end < number.len() {
        reading.doubt(format!("'{word}' is not a number; it is read as #{digits}"), format!("write #{digits}"));
    }
    Some(format!("#{digits}"))
}

/// The name of an account: of a user or of a group of users.
macro_rules! account {
    ($(#[$meta:meta])* $name:ident: $syntax:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name(String);

        impl Word for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = "www-data";
            const BAD: Option<&'static str> = Some("#x");

            fn read(word: &str, reading: &mut Reading) -> Option<Self> {
                account(word, reading).map(Self)
            }
        }

        impl Kept for $name {
            fn render(&self) -> String {
                quoted(&self.0)
            }
        }

        impl $name {
            /// The name or `#number`; empty if not set.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

account! {
    /// A user by name or number.
    UserName: "name|#uid"
}
account! {
    /// A group of users by name or number.
    UserGroupName: "name|#gid"
}

/// Groups of users, by names or numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserGroupNames(Vec<String>);

impl Word for UserGroupNames {
    type Value = Self;
    const SYNTAX: &'static str = "group[,group…]";
    const GOOD: &'static str = "www-data,#1000";
    const BAD: Option<&'static str> = Some("www-data,#x");
    const EMPTY: bool = true;

    fn read(word: &str, reading: &mut Reading) -> Option<Self> {
        let items: Vec<_> = word.split(',').map(str::trim).collect();
        if items.contains(&"") {
            reading.doubt(format!("'{word}' has an item without a name; it is left out"), "remove the comma");
        }
        let named = items.into_iter().filter(|item| !item.is_empty());
        named.map(|item| account(item, reading)).collect::<Option<_>>().map(Self)
    }
}

impl Kept for UserGroupNames {
    fn render(&self) -> String {
        quoted(&self.0.join(","))
    }
}

impl UserGroupNames {
    /// Each name or `#number`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
