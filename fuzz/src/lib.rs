// SPDX-License-Identifier: Apache-2.0
//! The checks that the fuzz targets run. They live with the tests of the crate that they are about, which drive them for
//! a moment.

#[path = "../../crates/model/tests/fuzzing/aliases.rs"]
pub mod aliases;
#[path = "../../crates/model/tests/fuzzing/arguments.rs"]
pub mod arguments;
#[path = "../../crates/supervisor/tests/fuzzing/control.rs"]
pub mod control;
#[path = "../../crates/model/tests/fuzzing/expansion.rs"]
pub mod expansion;
#[path = "../../crates/model/tests/fuzzing/frames.rs"]
#[allow(dead_code, reason = "only the driver counts variants")]
mod frames;
// The supervisor is a program, so the files that listen to workers are part of this crate.
#[path = "../../crates/supervisor/src/lines.rs"]
mod lines;
#[path = "../../crates/model/tests/fuzzing/subject.rs"]
pub mod subject;
#[path = "../../crates/model/tests/fuzzing/to_server.rs"]
pub mod to_server;
#[path = "../../crates/model/tests/fuzzing/to_worker.rs"]
pub mod to_worker;
#[path = "../../crates/supervisor/src/worker.rs"]
#[allow(dead_code, reason = "the check only listens")]
mod worker;

/// What the targets of this build are held against.
pub const SUBJECT: subject::Subject =
    if cfg!(feature = "planted") { subject::Subject::Planted } else { subject::Subject::Real };
