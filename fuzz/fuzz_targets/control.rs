// SPDX-License-Identifier: Apache-2.0
//! Anything that a worker says to the supervisor: see the head of the check.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::control::check(input, checks::SUBJECT));
