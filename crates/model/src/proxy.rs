// SPDX-License-Identifier: Apache-2.0
//! Trusted proxies: which headers of which peers replace facts of the connection (configuration §10.1).

pub mod correction;
pub mod header;

use crate::directive::value::{Kept, NOT_SET, Written};
use crate::directive::words::Words;
use crate::directive::{ArgumentError, Reading};
use std::net::{IpAddr, Ipv4Addr};

pub use correction::{Correction, Trust};
pub use header::{Header, Headers};

/// Names of headers in the order written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedHeaders {
    names: Vec<String>,
    known: Vec<Header>,
}

impl TrustedHeaders {
    /// Those that mean something.
    #[must_use]
    pub fn known(&self) -> &[Header] {
        &self.known
    }
}

impl Written for TrustedHeaders {
    type Value = Self;
    const SYNTAX: &'static str = "header …";
    const GOOD: &'static str = "X-Forwarded-For X-Forwarded-Proto";
    const BAD: Option<&'static str> = None;
    const BARE: bool = true;

    /// A name that no header can have is left out with a doubt; the reference crashes at the first request.
    fn parse(arguments: &str, reading: &mut Reading) -> Result<Self, ArgumentError> {
        let mut headers = Self::default();
        for name in Words::new(arguments) {
            if !crate::environ::may_be_header(name.as_bytes()) {
                reading.doubt(format!("'{name}' cannot be the name of a header; it is left out"), "correct the name");
                continue;
            }
            match Header::named(name.as_bytes()) {
                Some(header) => headers.known.push(header),
                None => {
                    let all: Vec<_> = Header::all().map(Header::name).collect();
                    reading.doubt(
                        format!("header '{name}' means nothing to this directive"),
                        format!("use some of {}", all.join(", ")),
                    );
                }
            }
            headers.names.push(name);
        }
        Ok(headers)
    }
}

impl Kept for TrustedHeaders {
    fn repeat(earlier: &Self, later: Self) -> Self {
        Self {
            names: [earlier.names.as_slice(), &later.names].concat(),
            known: [earlier.known.as_slice(), &later.known].concat(),
        }
    }

    fn render(&self) -> String {
        if self.names.is_empty() { NOT_SET.to_owned() } else { self.names.join(" ") }
    }
}

/// The addresses that have the bits of `mask` in common with `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// As [`number`] counts.
    mask: u128,
}

/// The address as a number, those of IPv4 in the highest bits.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

impl Network {
    /// Reads `address`, `address/bits` or `address/mask`, and parts of an IPv4 address such as `10.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
        let (address, whole) = match address.parse::<IpAddr>() {
            Ok(address @ IpAddr::V4(_)) => (address, 32),
            Ok(address @ IpAddr::V6(_)) => (address, 128),
            Err(_) => partial(address)?,
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let mask = match mask {
            None => leading(whole),
            Some(mask) => match mask.parse::<u8>() {
                Ok(bits) => leading(Some(bits).filter(|bits| (1..=most).contains(bits))?),
                Err(_) if address.is_ipv4() => number(mask.parse::<Ipv4Addr>().ok()?.into()),
                Err(_) => return None,
            },
        };
        Some(Self { address, mask }.canonical())
    }

    /// IPv4 addresses written as part of IPv6 are IPv4 addresses.
    fn canonical(self) -> Self {
        match (self.address.to_canonical(), self.mask << 96) {
            (address @ IpAddr::V4(_), mask) if self.address.is_ipv6() && mask != 0 => Self { address, mask },
            _ => self,
        }
    }

    /// Whether `address` belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.address.is_ipv4() == address.is_ipv4() && number(self.address) & self.mask == number(address) & self.mask
    }

    fn render(&self) -> String {
        let bits = self.mask.leading_ones();
        if bits > 0 && self.mask.count_ones() == bits {
            return format!("{}/{bits}", self.address);
        }
        // Only masks of IPv4 addresses have holes or no bits; as a number of bits, 0 is refused.
        format!("{}/{}", self.address, Ipv4Addr::from(u32::try_from(self.mask >> 96).unwrap_or(0)))
    }
}

/// A mask of that many bits.
fn leading(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// Whether one of the networks holds `address`.
fn among(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// The beginning of an IPv4 address, one to three of its numbers, possibly with a dot at the end.
fn partial(text: &str) -> Option<(IpAddr, u8)> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut octets = [0_u8; 4];
    let mut count = 0_u8;
    let mut places = octets.iter_mut();
    for number in text.split('.') {
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        *places.next()? = if digits { number.parse().ok()? } else { return None };
        count += 1;
    }
    Some((IpAddr::from(octets), count * 8))
}

/// The peers whose headers are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(pub Vec<Network>);

impl Written for TrustedProxies {
    type Value = Self;
    const SYNTAX: &'static str = "address[/bits|/mask] …";
    const GOOD: &'static str = "127.0.0.1 10.0.0.0/8 fd00::/8";
    const BAD: Option<&'static str> = Some("proxy.example.com");
    const BARE: bool = true;

    fn parse(arguments: &str, _: &mut Reading) -> Result<Self, ArgumentError> {
        let read = |word: String| Network::parse(&word).ok_or(ArgumentError::Word { syntax: Self::SYNTAX, word });
        Words::new(arguments).map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl Kept for TrustedProxies {
    fn repeat(earlier: &Self, later: Self) -> Self {
        Self([earlier.0.as_slice(), &later.0].concat())
    }

    fn render(&self) -> String {
        let all: Vec<_> = self.0.iter().map(Network::render).collect();
        if all.is_empty() { NOT_SET.to_owned() } else { all.join(" ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_in_several_ways() {
        let within = |network: &str, address: &str| {
            Network::parse(network).expect(network).contains(address.parse().expect("an address"))
        };
        assert!(within("10.0.0.0/8", "10.1.2.3") && !within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("10.1", "10.1.2.3") && !within("10.1", "10.2.2.3"));
        assert!(within("192.168.1.0/255.255.255.0", "192.168.1.77"));
        assert!(within("127.0.0.1", "127.0.0.1") && within("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(within("fd00::/8", "fd12::1") && !within("fd00::/8", "fe12::1"));
        assert!(within("FE80::1", "fe80::1"));
        assert!(within("10.0.3.0/255.0.255.0", "10.7.3.9") && !within("10.0.3.0/255.0.255.0", "10.7.4.9"));
        for text in ["10.0.3.0/255.0.255.0", "50.0.0.0/0.0.0.0", "10.0.0.0/8", "fd00::/8", "::1/128"] {
            assert_eq!(Network::parse(text).expect(text).render(), text);
        }
        assert!(within("::ffff:10.0.0.0/104", "10.1.2.3") && !within("::ffff:10.0.0.0/104", "11.1.2.3"));
        assert!(within("::ffff:10.0.0.1", "::ffff:10.0.0.1") && within("::ffff:10.0.0.1", "10.0.0.1"));
        for bad in ["", "host", "1.2.3.4.5", "10.0.0.0/33", "10.0.0.0/0", "1.2.3.4/255.0", "::1/129", "::1/::"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_that_no_header_can_have_is_left_out() {
        let mut reading = Reading::default();
        let headers = TrustedHeaders::parse("X-Forwarded-For X_Bad X-Other", &mut reading).expect("accepted");
        assert_eq!(headers.render(), "X-Forwarded-For X-Other");
        assert_eq!(headers.known().iter().map(|header| header.name()).collect::<Vec<_>>(), ["x-forwarded-for"]);
        assert_eq!(reading.doubts.len(), 2);
    }
}
