// SPDX-License-Identifier: Apache-2.0
//! The time of day where this machine is.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time of day as httpd's error log shows it, `Sat Nov 21 08:30:34.123456 2026`.
#[must_use]
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    local(libc::time_t::try_from(since.as_secs()).unwrap_or(0), since.subsec_micros())
}

fn local(seconds: libc::time_t, micros: u32) -> String {
    // SAFETY: [KERNEL] the structure is plain memory for which zeroes are a value.
    let mut found: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: [KERNEL] reads and writes memory of ours.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut found) };
    let name = |names: &[&'static str], index: i32| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("???")
    };
    format!(
        "{} {} {:02} {:02}:{:02}:{:02}.{micros:06} {}",
        name(&DAYS, found.tm_wday),
        name(&MONTHS, found.tm_mon),
        found.tm_mday,
        found.tm_hour,
        found.tm_min,
        found.tm_sec,
        found.tm_year + 1900,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_looks_like_httpds() {
        let text = local(1_794_219_034, 7);
        assert!(text.contains(".000007 2026") && text.len() == "Sat Nov 21 08:30:34.123456 2026".len(), "{text}");
        assert_eq!(now().len(), text.len());
    }
}
