// SPDX-License-Identifier: Apache-2.0
//! Any name of a group in any request: see the head of the check.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::expansion::check(input, checks::SUBJECT));
