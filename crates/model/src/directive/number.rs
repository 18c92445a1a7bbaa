// SPDX-License-Identifier: Apache-2.0
//! Numbers, durations and sizes. What the reference reads as a number is taken as one, with a warning where it is not.

use super::Reading;
use super::value::{Kept, Word};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The number at the start of `word`, as C's `atoi` finds it, and what follows; 0 and the whole word if there is none.
fn leading(word: &str) -> (i64, &str) {
    let text = word.trim_start_matches(|character: char| character.is_ascii_whitespace());
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, text.get(1..).unwrap_or_default()),
        Some(b'+') => (1, text.get(1..).unwrap_or_default()),
        _ => (1, text),
    };
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return (0, word);
    }
    let (digits, rest) = digits.split_at(end);
    (digits.parse::<i64>().map_or(i64::MAX, |number| number) * sign, rest)
}

/// A unit and how many of the basic one it is.
type Unit = (&'static str, i64);

const NO_UNITS: &[Unit] = &[];
const TIMES: &[Unit] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[Unit] = &[
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1 << 40),
    ("tib", 1 << 40),
];

/// Reads a number with one of `units`, or without one in units of `bare`. Anything else is read as the reference would,
/// with a doubt.
fn number(word: &str, units: &[Unit], bare: i64, reading: &mut Reading) -> i64 {
    let (number, rest) = leading(word);
    let unit = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)).map(|(_, factor)| *factor);
    if rest.is_empty() {
        return number.saturating_mul(bare);
    }
    if let Some(factor) = unit {
        return number.saturating_mul(factor);
    }
    let known: Vec<_> = units.iter().map(|(name, _)| *name).collect();
    let fix = if known.is_empty() {
        format!("write {number}")
    } else {
        format!("write a whole number, with or without a unit ({})", known.join(", "))
    };
    reading.doubt(format!("'{word}' is not a number; it is read as {number}"), fix);
    number.saturating_mul(bare)
}

/// Whole numbers of a range.
macro_rules! whole {
    ($(#[$meta:meta])* $name:ident: $syntax:literal, $type:ty, $least:expr, $most:expr, good $good:literal, bad $bad:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $type);

        impl Word for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: Option<&'static str> = $bad;

            fn read(word: &str, reading: &mut Reading) -> Option<Self> {
                let number = number(word, NO_UNITS, 1, reading);
                <$type>::try_from(number).ok().filter(|number| ($least..=$most).contains(number)).map(Self)
            }
        }

        impl Kept for $name {
            fn render(&self) -> String {
                self.0.to_string()
            }
        }
    };
}

whole! {
    /// How many processes.
    Processes: "number from 1", u32, 1, i32::MAX.unsigned_abs(), good "2", bad Some("0")
}
whole! {
    /// How many threads; 0 is a process that runs a script and serves no requests.
    Threads: "number from 0 to 65533", u32, 0, 65533, good "5", bad Some("65534")
}
whole! {
    /// How many of something; 0 may have a meaning of its own.
    Count: "number from 0", u32, 0, i32::MAX.unsigned_abs(), good "1000", bad Some("-1")
}
whole! {
    /// A nice value.
    Priority: "number", i32, i32::MIN, i32::MAX, good "5", bad None
}

/// Python's level of optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Optimisation(pub u32);

impl Word for Optimisation {
    type Value = Self;
    const SYNTAX: &'static str = "0|1|2";
    const GOOD: &'static str = "2";
    const BAD: Option<&'static str> = None;

    fn read(word: &str, reading: &mut Reading) -> Option<Self> {
        let level = number(word, NO_UNITS, 1, reading);
        if !(0..=2).contains(&level) {
            reading.doubt(format!("Python has no optimisation level {level}"), "write 0, 1 or 2");
        }
        Some(Self(u32::try_from(level.clamp(0, i64::from(i32::MAX))).unwrap_or(0)))
    }
}

impl Kept for Optimisation {
    fn render(&self) -> String {
        self.0.to_string()
    }
}

/// The time in units of `bare` milliseconds, or in milliseconds if that would not be exact.
fn duration(time: Duration, bare: u128) -> String {
    let milliseconds = time.as_millis();
    if milliseconds % bare == 0 { (milliseconds / bare).to_string() } else { format!("{milliseconds}ms") }
}

/// Durations, kept exactly.
macro_rules! duration {
    ($(#[$meta:meta])* $name:ident: $syntax:literal, bare $bare:literal, good $good:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub Duration);

        impl Word for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: Option<&'static str> = Some("-1");

            fn read(word: &str, reading: &mut Reading) -> Option<Self> {
                u64::try_from(number(word, TIMES, $bare, reading)).ok().map(Duration::from_millis).map(Self)
            }
        }

        impl Kept for $name {
            fn render(&self) -> String {
                duration(self.0, $bare)
            }
        }
    };
}

duration! {
    /// A time, in seconds unless a unit says otherwise.
    Seconds: "seconds|number with ms, s, m, h or d", bare 1_000, good "2m"
}
duration! {
    /// A time, in milliseconds unless a unit says otherwise.
    Milliseconds: "milliseconds|number with ms, s, m, h or d", bare 1, good "20"
}

/// Sizes in bytes.
macro_rules! size {
    ($(#[$meta:meta])* $name:ident: $syntax:literal, $valid:expr, good $good:literal, bad $bad:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl Word for $name {
            type Value = Self;
            const SYNTAX: &'static str = $syntax;
            const GOOD: &'static str = $good;
            const BAD: Option<&'static str> = Some($bad);

            fn read(word: &str, reading: &mut Reading) -> Option<Self> {
                let valid: fn(u64) -> bool = $valid;
                u64::try_from(number(word, SIZES, 1, reading)).ok().filter(|size| valid(*size)).map(Self)
            }
        }

        impl Kept for $name {
            fn render(&self) -> String {
                self.0.to_string()
            }
        }
    };
}

size! {
    /// A limit on memory; 0 is none.
    Limit: "bytes|number with K, M, G or T", |_| true, good "512MB", bad "-1"
}
size! {
    /// The size of a stack.
    StackSize: "bytes|number with K, M or G, not 0", |size| size > 0, good "524288", bad "0"
}
size! {
    /// The size of a buffer of the kernel's; 0 is its own choice.
    SocketBuffer: "0|bytes from 512|number with K or M", |size| size == 0 || size >= 512, good "64K", bad "511"
}
size! {
    /// The longest header line; 0 is the default.
    HeaderBuffer: "0|bytes from 8192|number with K or M", |size| size == 0 || size >= 8192, good "32768", bad "8191"
}
size! {
    /// How much of an answer may wait in memory; 0 is the default.
    ResponseBuffer: "0|bytes from 65536|number with K or M", |size| size == 0 || size >= 65536, good "8MB", bad "65535"
}

/// A length of time in seconds with decimals, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval(pub f64);

impl Word for Interval {
    type Value = Option<Self>;
    const SYNTAX: &'static str = "seconds above 0, with decimals";
    const GOOD: &'static str = "0.01";
    const BAD: Option<&'static str> = Some("0");

    fn read(word: &str, reading: &mut Reading) -> Option<Option<Self>> {
        let seconds: f64 = word.trim_start().parse().ok()?;
        if !seconds.is_finite() {
            reading.doubt(format!("'{word}' is no time; it is read over"), "write a number of seconds");
            return Some(None);
        }
        (seconds > 0.0).then_some(Some(Self(seconds)))
    }
}

impl Kept for Option<Interval> {
    fn render(&self) -> String {
        self.map_or_else(|| super::value::NOT_SET.to_owned(), |interval| interval.0.to_string())
    }
}

/// Permission bits that new files do not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u32);

impl Word for Umask {
    type Value = Option<Self>;
    const SYNTAX: &'static str = "octal number";
    const GOOD: &'static str = "0027";
    const BAD: Option<&'static str> = Some("0o9");

    fn read(word: &str, _: &mut Reading) -> Option<Option<Self>> {
        u32::from_str_radix(word.trim_start(), 8).ok().map(Self).map(Some)
    }
}

impl Kept for Option<Umask> {
    fn render(&self) -> String {
        self.map_or_else(|| super::value::NOT_SET.to_owned(), |mask| format!("{:04o}", mask.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<W: Word>(word: &str) -> (Option<W::Value>, usize) {
        let mut reading = Reading::default();
        let value = W::read(word, &mut reading);
        (value, reading.doubts.len())
    }

    #[test]
    fn plain_numbers_are_taken_without_a_doubt() {
        assert_eq!(read::<Count>("5"), (Some(Count(5)), 0));
        assert_eq!(read::<Count>(" +5"), (Some(Count(5)), 0));
        assert_eq!(read::<Processes>("0"), (None, 0));
        assert_eq!(read::<Priority>("-5"), (Some(Priority(-5)), 0));
        assert_eq!(read::<Count>("99999999999"), (None, 0));
    }

    #[test]
    fn what_the_reference_reads_as_a_number_is_doubtful() {
        assert_eq!(read::<Count>("5x"), (Some(Count(5)), 1));
        assert_eq!(read::<Count>("banana"), (Some(Count(0)), 1));
        assert_eq!(read::<Seconds>("1.5"), (Some(Seconds(Duration::from_secs(1))), 1));
        assert_eq!(read::<Limit>("12 apples"), (Some(Limit(12)), 1));
        assert_eq!(read::<Optimisation>("banana"), (Some(Optimisation(0)), 1));
    }

    #[test]
    fn units_are_understood() {
        assert_eq!(read::<Seconds>("30s"), (Some(Seconds(Duration::from_secs(30))), 0));
        assert_eq!(read::<Seconds>("2m"), (Some(Seconds(Duration::from_secs(120))), 0));
        assert_eq!(read::<Seconds>("1500ms"), (Some(Seconds(Duration::from_millis(1500))), 0));
        assert_eq!(read::<Milliseconds>("5"), (Some(Milliseconds(Duration::from_millis(5))), 0));
        assert_eq!(read::<Limit>("512MB"), (Some(Limit(512 << 20)), 0));
        assert_eq!(read::<SocketBuffer>("64k"), (Some(SocketBuffer(65536)), 0));
        assert_eq!(read::<SocketBuffer>("511"), (None, 0));
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        assert_eq!(read::<Limit>("99999999999999999999"), (Some(Limit(i64::MAX.unsigned_abs())), 0));
        assert_eq!(read::<Limit>("-99999999999999999999"), (None, 0));
        assert!(read::<Seconds>("9223372036854775807d").0.is_some());
    }

    #[test]
    fn decimals_are_for_intervals() {
        assert_eq!(read::<Interval>("0.005"), (Some(Some(Interval(0.005))), 0));
        for bad in ["0", "-1", "x", "0.1s", "0x1p-3"] {
            assert_eq!(read::<Interval>(bad).0, None, "{bad}");
        }
        for endless in ["inf", "nan", "1e400"] {
            assert_eq!(read::<Interval>(endless), (Some(None), 1), "{endless}");
        }
    }

    #[test]
    fn values_are_shown_as_they_would_be_written() {
        assert_eq!(Seconds(Duration::from_secs(30)).render(), "30");
        assert_eq!(Seconds(Duration::from_millis(1500)).render(), "1500ms");
        assert_eq!(Some(Umask(0o27)).render(), "0027");
    }
}
