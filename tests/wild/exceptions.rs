// SPDX-License-Identifier: Apache-2.0
//! Where our module judges a line or a fragment of the corpus otherwise than mod_wsgi 4.9.4. What is listed and no longer
//! true fails.

/// A difference that is meant.
pub struct Exception {
    /// `<context> <line>`, or `fragment <number>`.
    pub what: &'static str,
    /// Why ours is better.
    pub reason: &'static str,
}

const fn row(what: &'static str, reason: &'static str) -> Exception {
    Exception { what, reason }
}

const SINCE_6: &str = "The directive exists since release 6.0.0.";
const UNDECLARED: &str =
    "A reference to a group that is declared nowhere is a warning at the configuration test; requests for it get 500.";

/// What 4.9.4 refused and ours accepts. There is no table the other way round: ours accepts all that 4.9.4 accepted.
pub const ACCEPTED: &[Exception] = &[
    row("server WSGIFreeThreading On", SINCE_6),
    row("fragment 207", SINCE_6),
    row("fragment 19", UNDECLARED),
    row("fragment 172", UNDECLARED),
];
