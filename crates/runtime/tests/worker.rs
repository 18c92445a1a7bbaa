// SPDX-License-Identifier: Apache-2.0
//! Tier 3: the worker without httpd. The test plays the supervisor and httpd's child for every Python on this machine.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests speak to whoever runs them")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "worker/answers.rs"]
mod answers;
#[path = "worker/caller.rs"]
mod caller;
#[path = "worker/ending.rs"]
mod ending;
#[path = "worker/forgery.rs"]
mod forgery;
#[path = "worker/limits.rs"]
mod limits;
mod pythons;
#[path = "worker/reload.rs"]
mod reload;
#[path = "worker/signals.rs"]
mod signals;
#[path = "worker/supervisor.rs"]
mod supervisor;
#[path = "worker/surroundings.rs"]
mod surroundings;

use pythons::pythons;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Runs a test with every Python.
fn each(test: impl Fn(&Path)) {
    for (_, python) in pythons() {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| test(python))) {
            eprintln!("with {}", python.display());
            resume_unwind(failure);
        }
    }
}
