// SPDX-License-Identifier: Apache-2.0
//! What the checks are held against.

/// The rules of the crate, or the same with one bug each, which shows that the check of that name would find one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// As they are.
    Real,
    /// With the bug.
    #[allow(dead_code, reason = "a fuzz target is built for one of the two")]
    Planted,
}
