// SPDX-License-Identifier: Apache-2.0
//! Any URL and any aliases: see the head of the check.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::aliases::check(input, checks::SUBJECT));
