// SPDX-License-Identifier: Apache-2.0
//! Which answers of an application are well-formed (PEP 3333, RFC 9110), and how Content-Length is kept.
//!
//! All checks work on whole byte ranges, so nothing hides behind a NUL.

use thiserror::Error;

/// Why a status string was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StatusError {
    /// It does not begin with three digits followed by the end or a space.
    #[error("status must be three digits, optionally followed by a space and a reason")]
    Form,
    /// 1xx and codes below it cannot be the final answer.
    #[error("status code must be 200 or above, as codes below are not final answers")]
    NotFinal,
    /// The reason holds a control character.
    #[error("status reason must not contain control characters")]
    ControlCharacter,
}

/// Why a header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The name is empty.
    #[error("header name must not be empty")]
    EmptyName,
    /// The name is not a token (RFC 9110 §5.6.2), for instance because it contains `:`.
    #[error("header name must consist of token characters")]
    NameCharacter,
    /// The value contains CR, LF or NUL.
    #[error("header value must not contain carriage return, line feed or NUL")]
    ValueCharacter,
    /// `Content-Length` is not one non-negative decimal number.
    #[error("Content-Length must be a non-negative decimal number")]
    ContentLength,
}

/// A status line split into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// 200 to 999.
    pub code: u16,
    /// Text after the code, without the space; may be empty.
    pub reason: &'a [u8],
}

impl<'a> Status<'a> {
    /// Splits and checks the latin-1 bytes of a WSGI status such as `200 OK`.
    pub fn parse(text: &'a [u8]) -> Result<Self, StatusError> {
        let (digits, rest) = text.split_at_checked(3).ok_or(StatusError::Form)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(StatusError::Form);
        }
        let reason = match rest.split_first() {
            None => rest,
            Some((b' ', reason)) => reason,
            Some(_) => return Err(StatusError::Form),
        };
        if reason.iter().any(|byte| byte.is_ascii_control()) {
            return Err(StatusError::ControlCharacter);
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if code < 200 {
            return Err(StatusError::NotFinal);
        }
        Ok(Self { code, reason })
    }
}

/// Checks one header as an application gave it (latin-1 bytes).
///
/// Returns the number when the header is `Content-Length`.
pub fn check_header(name: &[u8], value: &[u8]) -> Result<Option<u64>, HeaderError> {
    if name.is_empty() {
        return Err(HeaderError::EmptyName);
    }
    if !name.iter().copied().all(is_token) {
        return Err(HeaderError::NameCharacter);
    }
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(HeaderError::ValueCharacter);
    }
    if name.eq_ignore_ascii_case(b"content-length") {
        return parse_length(value).map(Some).ok_or(HeaderError::ContentLength);
    }
    Ok(None)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads a non-negative decimal number the way the reference does: blanks and one plus sign may lead.
#[must_use]
pub fn parse_length(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (number <= i64::MAX.unsigned_abs()).then_some(number)
}

/// Whether a status never has a body on the wire (RFC 9110 §6.4.1).
#[must_use]
pub fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// Holds what is sent against what `Content-Length` promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    declared: Option<u64>,
    produced: u64,
}

/// How the body compares with its `Content-Length` at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// As promised, or nothing was promised.
    Exact,
    /// Fewer bytes than promised: the client waits for more.
    Short {
        /// Bytes promised.
        declared: u64,
        /// Bytes produced.
        produced: u64,
    },
    /// More bytes than promised; the rest was not sent.
    Long {
        /// Bytes promised.
        declared: u64,
        /// Bytes produced.
        produced: u64,
    },
}

impl Budget {
    /// A budget for a body whose `Content-Length`, if any, is `declared`.
    #[must_use]
    pub fn new(declared: Option<u64>) -> Self {
        Self { declared, produced: 0 }
    }

    /// Counts `length` produced bytes and answers how many of them may be sent.
    pub fn take(&mut self, length: u64) -> u64 {
        let room = self.declared.map_or(length, |declared| declared.saturating_sub(self.produced).min(length));
        self.produced = self.produced.saturating_add(length);
        room
    }

    /// Bytes that may still be sent; `None` when nothing was promised.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.declared.map(|declared| declared.saturating_sub(self.produced))
    }

    /// Compares what was produced with what was promised.
    #[must_use]
    pub fn measure(&self) -> Measure {
        let produced = self.produced;
        match self.declared {
            Some(declared) if produced < declared => Measure::Short { declared, produced },
            Some(declared) if produced > declared => Measure::Long { declared, produced },
            _ => Measure::Exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_and_a_reason() {
        assert_eq!(Status::parse(b"200 OK"), Ok(Status { code: 200, reason: b"OK" }));
        assert_eq!(Status::parse(b"404"), Ok(Status { code: 404, reason: b"" }));
        assert_eq!(Status::parse(b"599 "), Ok(Status { code: 599, reason: b"" }));
        for bad in [&b""[..], b"20", b"2x0 OK", b"200OK", b"2000 OK", b" 200 OK"] {
            assert_eq!(Status::parse(bad), Err(StatusError::Form), "{bad:?}");
        }
        assert_eq!(Status::parse(b"200 O\rK"), Err(StatusError::ControlCharacter));
        assert_eq!(Status::parse(b"200 O\0K"), Err(StatusError::ControlCharacter));
        assert_eq!(Status::parse(b"100 Continue"), Err(StatusError::NotFinal));
        assert_eq!(Status::parse(b"000 x"), Err(StatusError::NotFinal));
    }

    #[test]
    fn nothing_is_smuggled_in_a_header() {
        assert_eq!(check_header(b"X-A", b"b c"), Ok(None));
        assert_eq!(check_header(b"", b"b"), Err(HeaderError::EmptyName));
        for name in [&b"X:A"[..], b"X A", b"X\0A", b"X\nA", b"X\x80"] {
            assert_eq!(check_header(name, b"b"), Err(HeaderError::NameCharacter), "{name:?}");
        }
        for value in [&b"a\rb"[..], b"a\nb", b"a\0b"] {
            assert_eq!(check_header(b"X-A", value), Err(HeaderError::ValueCharacter), "{value:?}");
        }
    }

    #[test]
    fn content_length_is_a_decimal_number() {
        assert_eq!(check_header(b"content-LENGTH", b" +12"), Ok(Some(12)));
        for bad in [&b""[..], b"+", b"-1", b"1x", b"1 2", b"9223372036854775808", b"99999999999999999999"] {
            assert_eq!(check_header(b"Content-Length", bad), Err(HeaderError::ContentLength), "{bad:?}");
        }
        assert_eq!(parse_length(b"9223372036854775807"), Some(9_223_372_036_854_775_807));
    }

    #[test]
    fn a_budget_cuts_what_is_too_long_and_sees_what_is_too_short() {
        let mut budget = Budget::new(Some(5));
        assert_eq!(budget.take(3), 3);
        assert_eq!(budget.measure(), Measure::Short { declared: 5, produced: 3 });
        assert_eq!(budget.take(3), 2);
        assert_eq!(budget.room(), Some(0));
        assert_eq!(budget.measure(), Measure::Long { declared: 5, produced: 6 });
        let mut free = Budget::new(None);
        assert_eq!(free.take(9), 9);
        assert_eq!(free.measure(), Measure::Exact);
    }
}
