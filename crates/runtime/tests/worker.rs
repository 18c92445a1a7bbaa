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

use pythons::{Python, pythons};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

/// Runs a test with every Python, at the same time: most of it is waiting.
fn each(test: impl Fn(&Path) + Sync) {
    let test = &test;
    let failures: Vec<_> = thread::scope(|scope| {
        let begin = |(_, python): &'static Python| (python, scope.spawn(move || test(python)));
        let running: Vec<_> = pythons().iter().map(begin).collect();
        running.into_iter().filter_map(|(python, test)| test.join().err().map(|failure| (python, failure))).collect()
    });
    failures.iter().for_each(|(python, _)| eprintln!("with {}", python.display()));
    if let Some((_, failure)) = failures.into_iter().next() {
        resume_unwind(failure);
    }
}
