// SPDX-License-Identifier: Apache-2.0
//! What the headers of trusted proxies change in the environ of a request, and which headers are kept from the
//! application because nobody vouches for them (configuration §10.1).
//!
//! Addresses are read as numbers. A name is never looked up, whoever wrote it.

use super::header::{Header, Headers, Meaning};
use super::{Network, among};
use crate::environ::Key;
use crate::settings::DirectorySettings;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// Which headers are believed, and from whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust<'c> {
    /// The headers in the order declared: of those that say the same the last one counts.
    pub headers: &'c [Header],
    /// The proxies that are believed; everybody where no list was written. An empty list is a list.
    pub proxies: Option<&'c [Network]>,
}

/// What changes in an environ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Correction<'h> {
    /// Entries that replace those of the connection; later ones win.
    pub entries: Vec<(Key, Cow<'h, [u8]>)>,
    /// Whether the client's connection is encrypted, if a believed header says so. What the environment and the connection
    /// say does not count then.
    pub https: Option<bool>,
    /// Headers that the application must not see.
    pub withheld: Headers,
}

impl<'c> Trust<'c> {
    /// The settings of a request, if they name any headers.
    #[must_use]
    pub fn of(settings: &'c DirectorySettings) -> Option<Self> {
        let headers = settings.trusted_proxy_headers.as_ref()?.value.known();
        let proxies = settings.trusted_proxies.as_ref().map(|set| set.value.0.as_slice());
        (!headers.is_empty()).then_some(Self { headers, proxies })
    }

    /// Whether this peer is believed.
    #[must_use]
    pub fn believes(&self, peer: &[u8]) -> bool {
        self.proxies.is_none_or(|proxies| is_among(proxies, peer))
    }

    /// Applies what `peer` sent; of several values for one header the last one counts.
    #[must_use]
    pub fn correct<'h>(&self, peer: &[u8], sent: impl Iterator<Item = (Header, &'h [u8])>) -> Correction<'h> {
        let mut correction = Correction::default();
        let mut winners: Vec<Header> = Vec::new();
        if self.believes(peer) {
            let sent: Vec<_> = sent.collect();
            let find = |header: Header| sent.iter().rev().find(|(name, _)| *name == header).map(|(_, value)| *value);
            // All are applied in the order declared, so that a later header that says nothing (a list without items, an
            // unknown scheme) leaves what an earlier one said.
            for (header, value) in self.headers.iter().filter_map(|header| Some((*header, find(*header)?))) {
                correction.apply(header, value, self.proxies);
                winners.retain(|one| one.category() != header.category());
                winners.push(header);
            }
        }
        let is_declared = |header: &Header| self.headers.iter().any(|one| one.category() == header.category());
        for header in Header::all().filter(is_declared).filter(|header| !winners.contains(header)) {
            correction.withheld.insert(header);
        }
        let withheld = correction.withheld;
        correction.entries.retain(|(key, _)| !withheld.has_key(key.text().as_bytes()));
        correction
    }
}

impl<'h> Correction<'h> {
    fn put(&mut self, key: Key, value: &'h [u8]) {
        self.entries.push((key, value.into()));
    }

    fn apply(&mut self, header: Header, value: &'h [u8], proxies: Option<&[Network]>) {
        match header.meaning() {
            Meaning::Chain => self.apply_chain(value, proxies),
            Meaning::Client => self.put(Key::REMOTE_ADDR, value),
            Meaning::Host => self.put(Key::HTTP_HOST, value),
            Meaning::Server => self.put(Key::SERVER_NAME, value),
            Meaning::Port => self.put(Key::SERVER_PORT, value),
            Meaning::ScriptName => {
                self.put(Key::SCRIPT_NAME, value);
                self.put(Key::MOD_WSGI_MOUNT_POINT, value);
            }
            Meaning::Scheme => self.decide(value, &["https"], &["http"]),
            Meaning::Encryption => self.decide(value, &["on", "true", "1"], &["off", "false", "0"]),
        }
    }

    fn decide(&mut self, value: &[u8], yes: &[&str], no: &[&str]) {
        let is_one_of = |words: &[&str]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value));
        if is_one_of(yes) || is_one_of(no) {
            self.https = Some(is_one_of(yes));
        }
    }

    /// With a list of proxies the client is whom the farthest of the trailing proxies names: everything before that was
    /// written by strangers, and is cut off. Without a list the first item is taken for the client.
    fn apply_chain(&mut self, value: &'h [u8], proxies: Option<&[Network]>) {
        let items = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let items: Vec<&[u8]> = items.filter(|item| !item.is_empty()).collect();
        let trailing = |proxies| items.iter().rev().take_while(|item| is_among(proxies, item)).count();
        let start = proxies.map_or(0, |proxies| items.len().saturating_sub(trailing(proxies) + 1));
        let Some((client, _)) = items.get(start..).and_then(<[_]>::split_first) else { return };
        self.put(Key::REMOTE_ADDR, plain(client));
        if proxies.is_some() {
            let rest = items.get(start..).unwrap_or_default().join(&b", "[..]);
            self.entries.push((Key::HTTP_X_FORWARDED_FOR, rest.into()));
        }
    }
}

/// Whether `text` is an address in one of the networks.
fn is_among(networks: &[Network], text: &[u8]) -> bool {
    read(text).is_some_and(|(address, _)| among(networks, address))
}

/// The address in `text` without port and brackets; all of `text` where there is none.
fn plain(text: &[u8]) -> &[u8] {
    read(text).map_or(text, |(_, address)| address)
}

/// Reads `1.2.3.4`, `::1` and `fe80::1%eth0`, and with the port of a connection `1.2.3.4:80`, `[::1]:80`, also `[::1]`.
fn read(text: &[u8]) -> Option<(IpAddr, &[u8])> {
    let is_port = |port: &[u8]| (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    let address = match text {
        [b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| *byte == b']')?;
            let (inside, after) = (rest.get(..end)?, rest.get(end + 1..)?);
            let ended = after.is_empty() || after.strip_prefix(b":").is_some_and(is_port);
            return if ended { version_6(inside).map(|address| (address, inside)) } else { None };
        }
        _ => match text.iter().position(|byte| *byte == b':') {
            Some(colon) if text.get(colon + 1..).is_some_and(is_port) => text.get(..colon)?,
            Some(_) => return version_6(text).map(|address| (address, text)),
            None => text,
        },
    };
    Some((IpAddr::V4(std::str::from_utf8(address).ok()?.parse().ok()?), address))
}

/// An IPv6 address. One of a local network may name the interface that leads there, which says nothing about who it is.
fn version_6(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, interface) = text.split_once('%').map_or((text, None), |(address, name)| (address, Some(name)));
    let address: Ipv6Addr = address.parse().ok()?;
    let known = interface.is_none_or(|name| address.is_unicast_link_local() && !name.is_empty());
    known.then_some(IpAddr::V6(address))
}

#[cfg(test)]
#[path = "correction_tests.rs"]
mod tests;
