// SPDX-License-Identifier: Apache-2.0
//! Where the fields that we set lie in CPython's `PyConfig`, which has another layout in each minor version but never
//! changes within one. A test compares the numbers with the headers of every Python on the machine.

#![forbid(unsafe_code)]

/// Minor version, offset of `program_name`, offset of `home`.
pub const TEXTS: [(u32, usize, usize); 5] =
    [(9, 112, 240), (10, 240, 256), (11, 264, 280), (12, 272, 288), (13, 280, 296)];

/// Offset of `install_signal_handlers` in all of them.
pub const SIGNAL_HANDLERS: usize = 16;

/// Bytes set aside for a `PyConfig`; the largest of these versions has 448.
pub const ROOM: usize = 1024;
