// SPDX-License-Identifier: Apache-2.0
//! The headers that proxies add, what each of them says, and which of them say the same.

/// What a header tells about the client's side of the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The client's address and those of the proxies on the way, nearest last.
    Chain,
    /// The client's address.
    Client,
    /// The host that the client asked for.
    Host,
    /// The server's name.
    Server,
    /// The server's port.
    Port,
    /// The URL path below which the application is mounted.
    ScriptName,
    /// `http` or `https`.
    Scheme,
    /// Whether the client's connection is encrypted: `On`, `true`, `1` or `Off`, `false`, `0`.
    Encryption,
}

/// Headers of one category say the same in other words: at most one of them is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Client,
    Host,
    Server,
    Port,
    ScriptName,
    Scheme,
}

/// All of them, with their names in small letters.
const TABLE: [(&str, Meaning); 15] = [
    ("x-forwarded-for", Meaning::Chain),
    ("x-client-ip", Meaning::Client),
    ("x-real-ip", Meaning::Client),
    ("x-forwarded-host", Meaning::Host),
    ("x-host", Meaning::Host),
    ("x-forwarded-server", Meaning::Server),
    ("x-forwarded-port", Meaning::Port),
    ("x-script-name", Meaning::ScriptName),
    ("x-forwarded-script-name", Meaning::ScriptName),
    ("x-forwarded-proto", Meaning::Scheme),
    ("x-forwarded-scheme", Meaning::Scheme),
    ("x-scheme", Meaning::Scheme),
    ("x-forwarded-https", Meaning::Encryption),
    ("x-forwarded-ssl", Meaning::Encryption),
    ("x-https", Meaning::Encryption),
];

/// One of the headers that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header(u8);

impl Header {
    /// Every one of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0_u8..).take(TABLE.len()).map(Self)
    }

    /// The header of this name, in whatever letters.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::all().find(|header| header.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The header that stands under this key of an environ, such as `HTTP_X_HOST`.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let (prefix, spelled) = key.split_at_checked(5)?;
        let same = |name: &[u8]| {
            name.len() == spelled.len()
                && name.iter().zip(spelled).all(|(byte, key)| crate::environ::spell(*byte) == key.to_ascii_uppercase())
        };
        prefix.eq_ignore_ascii_case(b"HTTP_").then(|| Self::all().find(|header| same(header.name().as_bytes())))?
    }

    /// Its name in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn meaning(self) -> Meaning {
        self.row().1
    }

    /// What it is about.
    pub(super) fn category(self) -> Category {
        match self.meaning() {
            Meaning::Chain | Meaning::Client => Category::Client,
            Meaning::Host => Category::Host,
            Meaning::Server => Category::Server,
            Meaning::Port => Category::Port,
            Meaning::ScriptName => Category::ScriptName,
            Meaning::Scheme | Meaning::Encryption => Category::Scheme,
        }
    }

    fn row(self) -> (&'static str, Meaning) {
        // Only this file makes numbers, and none beyond the table.
        TABLE.get(usize::from(self.0)).copied().unwrap_or(("", Meaning::Client))
    }
}

/// A set of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers(u16);

impl Headers {
    /// Whether `header` is one of them.
    #[must_use]
    pub fn has(self, header: Header) -> bool {
        self.0 & (1 << header.0) != 0
    }

    /// Whether the header of this name is one of them.
    #[must_use]
    pub fn has_name(self, name: &[u8]) -> bool {
        Header::named(name).is_some_and(|header| self.has(header))
    }

    /// Whether the header that stands under this key of an environ is one of them.
    #[must_use]
    pub fn has_key(self, key: &[u8]) -> bool {
        Header::of_key(key).is_some_and(|header| self.has(header))
    }

    /// Puts `header` in.
    pub(super) fn insert(&mut self, header: Header) {
        self.0 |= 1 << header.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_by_its_name_and_by_its_key() {
        for header in Header::all() {
            let name = header.name();
            assert_eq!(Header::named(name.as_bytes()), Some(header));
            assert_eq!(Header::named(name.to_ascii_uppercase().as_bytes()), Some(header));
            let key = format!("HTTP_{}", name.replace('-', "_").to_ascii_uppercase());
            assert_eq!(Header::of_key(key.as_bytes()), Some(header), "{key}");
        }
        for other in ["", "x-forwarded", "x-forwarded-for2", "x_forwarded_for", "forwarded", "HTTP_X_REAL_IP"] {
            assert_eq!(Header::named(other.as_bytes()), None, "{other}");
        }
        for other in ["", "HTTP_", "X_REAL_IP", "HTTP_X_REAL", "HTTP_HOST", "HTTP_X-REAL-IP", "REMOTE_ADDR"] {
            assert_eq!(Header::of_key(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = Headers::default();
        for header in Header::all().filter(|header| header.0 % 2 == 0) {
            set.insert(header);
        }
        assert!(Header::all().all(|header| set.has(header) == (header.0 % 2 == 0)));
    }
}
