// SPDX-License-Identifier: Apache-2.0
//! The environ as `tests/apps/environ.py` prints it: one line per key, with the value's type and `repr`.

use std::collections::BTreeMap;

/// A printed environ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environ(pub BTreeMap<String, Value>);

/// One value of an environ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The name of its Python type.
    pub kind: String,
    /// Its `ascii()`.
    pub repr: String,
}

impl Environ {
    /// Reads what the application printed.
    pub fn parse(text: &str) -> Self {
        let entries = text.lines().map(|line| {
            let mut parts = line.splitn(3, '\t');
            let mut next = || parts.next().unwrap_or_else(|| panic!("not a line of an environ: {line:?}")).to_owned();
            (next(), Value { kind: next(), repr: next() })
        });
        Self(entries.collect())
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The value of a key that must be there.
    #[track_caller]
    pub fn value(&self, key: &str) -> &Value {
        self.0.get(key).unwrap_or_else(|| panic!("no {key} in {:?}", self.0.keys()))
    }

    /// The `ascii()` of a key that must be there.
    #[track_caller]
    pub fn repr(&self, key: &str) -> &str {
        &self.value(key).repr
    }

    /// The text of a key that must be there and hold a plain ASCII string.
    #[track_caller]
    pub fn text(&self, key: &str) -> &str {
        let value = self.value(key);
        assert_eq!(value.kind, "str", "{key} is {value:?}");
        let inner = value.repr.get(1..value.repr.len() - 1).unwrap_or_default();
        assert!(!inner.contains('\\'), "{key} is {value:?}; compare its repr");
        inner
    }
}
