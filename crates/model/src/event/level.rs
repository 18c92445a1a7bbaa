// SPDX-License-Identifier: Apache-2.0
//! How important an event is.

use serde::{Deserialize, Serialize};

/// httpd's log levels, with httpd's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(C)]
pub enum Level {
    /// Action must be taken at once.
    Alert = 1,
    /// A part of the service is not available.
    Critical = 2,
    /// A request failed.
    Error = 3,
    /// Something works, but not as asked for.
    Warning = 4,
    /// Normal but worth a line.
    Notice = 5,
    /// For whoever follows what happens.
    Info = 6,
    /// For whoever develops.
    Debug = 7,
}

impl Level {
    /// The level of that number.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        use Level::{Alert, Critical, Debug, Error, Info, Notice, Warning};
        [Alert, Critical, Error, Warning, Notice, Info, Debug].into_iter().find(|level| *level as u8 == number)
    }
}
