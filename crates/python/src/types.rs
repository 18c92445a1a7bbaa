// SPDX-License-Identifier: Apache-2.0
//! The Python types written here. Their instances hold no Python object, so the garbage collector need not know them.

pub mod input;
pub mod log;
pub mod start_response;
