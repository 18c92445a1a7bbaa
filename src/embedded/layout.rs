// SPDX-License-Identifier: Apache-2.0
//! Where the fields that we set lie in CPython's `PyConfig`, which has another layout in each minor version but never
//! changes within one. A test compares the numbers with the headers of every Python on the machine.
//!
//! CPython's global variables for the same settings (`Py_OptimizeFlag` and so on) are no way around this: a configuration
//! that was made by `PyConfig_InitPythonConfig` does not read them.

#![forbid(unsafe_code)]

/// Offsets of the fields that move from version to version.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Minor version.
    pub minor: u32,
    /// `program_name`
    pub program_name: usize,
    /// `home`
    pub home: usize,
    /// `warnoptions`
    pub warnings: usize,
    /// `optimization_level`
    pub optimisation: usize,
    /// `write_bytecode`
    pub write_bytecode: usize,
}

/// All of them.
pub const LAYOUTS: [Layout; 5] = [
    Layout { minor: 9, program_name: 112, home: 240, warnings: 136, optimisation: 168, write_bytecode: 176 },
    Layout { minor: 10, program_name: 240, home: 256, warnings: 136, optimisation: 172, write_bytecode: 180 },
    Layout { minor: 11, program_name: 264, home: 280, warnings: 152, optimisation: 188, write_bytecode: 196 },
    Layout { minor: 12, program_name: 272, home: 288, warnings: 160, optimisation: 196, write_bytecode: 204 },
    Layout { minor: 13, program_name: 280, home: 296, warnings: 160, optimisation: 196, write_bytecode: 204 },
];

/// Offset of `install_signal_handlers` in all of them.
pub const SIGNAL_HANDLERS: usize = 16;
/// Offset of `use_hash_seed` in all of them.
pub const USE_HASH_SEED: usize = 20;
/// Offset of `hash_seed`, an `unsigned long`, in all of them.
pub const HASH_SEED: usize = 24;

/// Bytes set aside for a `PyConfig`; the largest of these versions has 448.
pub const ROOM: usize = 1024;
