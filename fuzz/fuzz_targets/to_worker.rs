// SPDX-License-Identifier: Apache-2.0
//! Any frames from a child to a worker: see the head of the check.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::to_worker::check(input, checks::SUBJECT));
