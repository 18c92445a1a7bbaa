// SPDX-License-Identifier: Apache-2.0
//! Settings of what is measured and to whom it is reported (configuration §12).

use crate::directive::number::Interval;
use crate::directive::value::{Kept, NOT_SET, Word, Written, quoted};
use crate::directive::words::{OptionError, Words, next_option};
use crate::directive::{ArgumentError, Reading};

/// Where figures are sent, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryService {
    /// The path of the socket.
    pub socket: String,
    /// Seconds between two reports.
    pub interval: f64,
}

impl Written for TelemetryService {
    type Value = Option<Self>;
    const SYNTAX: &'static str = "unix:path [interval=seconds from 0.5]";
    const GOOD: &'static str = "unix:/run/telemetry.sock interval=2";
    const BAD: Option<&'static str> = Some("udp:127.0.0.1:8125");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Option<Self>, ArgumentError> {
        let mut words = Words::new(arguments);
        let target = words.next().ok_or(ArgumentError::Missing { syntax: Self::SYNTAX, found: 0 })?;
        let socket = target.strip_prefix("unix:").map(str::to_owned);
        let socket = socket.ok_or(ArgumentError::Word { syntax: Self::SYNTAX, word: target })?;
        if socket.is_empty() {
            reading.doubt("a service without a path is never reached", "write the path of its socket after unix:");
        }
        let interval = match next_option(&mut words)? {
            None => 1.0,
            Some((name, value)) if name == "interval" => {
                let seconds = interval(&value, reading);
                let syntax = "seconds from 0.5";
                seconds.filter(|seconds| *seconds >= 0.5).ok_or(OptionError::Value { name, syntax, value })?
            }
            Some((name, _)) => return Err(OptionError::Unknown(name).into()),
        };
        if !words.rest().is_empty() {
            return Err(ArgumentError::Combination("takes at most two arguments"));
        }
        Ok(Some(Self { socket, interval }))
    }
}

/// The number of seconds at the start of `value`; the usual one if that is endless.
fn interval(value: &str, reading: &mut Reading) -> Option<f64> {
    const USUAL: f64 = 1.0;
    if let Some(found) = <Interval as Word>::read(value, reading) {
        return Some(found.map_or(USUAL, |interval| interval.0));
    }
    let text = value.trim_start();
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let found: f64 = text.get(..end)?.parse().ok()?;
    reading.doubt(format!("'{value}' is not a number; it is read as {found}"), format!("write {found}"));
    Some(found)
}

impl Kept for Option<TelemetryService> {
    fn render(&self) -> String {
        let one = |service: &TelemetryService| {
            format!("{} interval={}", quoted(&format!("unix:{}", service.socket)), service.interval)
        };
        self.as_ref().map_or_else(|| NOT_SET.to_owned(), one)
    }
}

/// What reports contain besides figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelemetryOptions {
    /// Nothing.
    None,
    /// The client's `User-Agent`.
    CaptureUserAgent,
}

impl Written for TelemetryOptions {
    type Value = Self;
    const SYNTAX: &'static str = "None|All|[+|-]CaptureUserAgent …";
    const GOOD: &'static str = "+CaptureUserAgent";
    const BAD: Option<&'static str> = Some("+CaptureUserAgent All");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Self, ArgumentError> {
        let words: Vec<_> = Words::new(arguments).collect();
        if words == [""] {
            reading.doubt("an empty word names no option", "write one or remove the line");
            return Ok(Self::None);
        }
        let missing = ArgumentError::Missing { syntax: Self::SYNTAX, found: 0 };
        let relative = words.first().ok_or(missing)?.starts_with(['+', '-']);
        let mut options = Self::None;
        for word in words {
            let flag = word.strip_prefix(['+', '-']);
            let name = flag.unwrap_or(&word);
            let known = name.eq_ignore_ascii_case("CaptureUserAgent");
            let alone = !relative && (name.eq_ignore_ascii_case("None") || name.eq_ignore_ascii_case("All"));
            if flag.is_some() != relative || !(known || alone) {
                return Err(ArgumentError::Word { syntax: Self::SYNTAX, word });
            }
            let off = word.starts_with('-') || name.eq_ignore_ascii_case("None");
            options = if off { Self::None } else { Self::CaptureUserAgent };
        }
        Ok(options)
    }
}

impl Kept for TelemetryOptions {
    fn render(&self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_all_relative_or_all_absolute() {
        let parse = |text: &str| TelemetryOptions::parse(text, &mut Reading::default());
        assert_eq!(parse("All"), Ok(TelemetryOptions::CaptureUserAgent));
        assert_eq!(parse("none"), Ok(TelemetryOptions::None));
        assert_eq!(parse("-captureuseragent"), Ok(TelemetryOptions::None));
        for bad in ["", "+", "+All", "CaptureUserAgent -CaptureUserAgent", "Other", "None +CaptureUserAgent"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_interval_has_a_least_value() {
        let parse = |text: &str| TelemetryService::parse(text, &mut Reading::default());
        assert_eq!(parse("unix:/s").expect("accepted").map(|service| service.interval), Some(1.0));
        for bad in
            ["/s", "unix:/s interval=x", "unix:/s interval=0.4", "unix:/s 2", "unix:/s interval=1 interval=1", ""]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
