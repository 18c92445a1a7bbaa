// SPDX-License-Identifier: Apache-2.0
//! Any arguments of any directive: see the head of the check.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::arguments::check(input, checks::SUBJECT));
