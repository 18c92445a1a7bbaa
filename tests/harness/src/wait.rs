// SPDX-License-Identifier: Apache-2.0
//! The only way tests wait: look again and again until something is so or a deadline has passed.

use std::thread;
use std::time::{Duration, Instant};

/// The deadline of waits that name none: long, because reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks every few milliseconds until `look` finds something; `None` after `patience`.
pub fn poll<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits until `look` finds something and fails the test, naming `what`, when it does not in [`PATIENCE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Waits until `condition` holds and fails the test, naming `what`, when it does not in [`PATIENCE`].
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || condition().then_some(()));
}
