// SPDX-License-Identifier: Apache-2.0
//! The checks that the fuzz targets run. They live with the tests of the crate that they are about, which drive them for
//! a moment.

#[path = "../../crates/model/tests/fuzzing/aliases.rs"]
pub mod aliases;
#[path = "../../crates/model/tests/fuzzing/arguments.rs"]
pub mod arguments;
#[path = "../../crates/model/tests/fuzzing/expansion.rs"]
pub mod expansion;
#[path = "../../crates/model/tests/fuzzing/subject.rs"]
pub mod subject;

/// What the targets of this build are held against.
pub const SUBJECT: subject::Subject =
    if cfg!(feature = "planted") { subject::Subject::Planted } else { subject::Subject::Real };
