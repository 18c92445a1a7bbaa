// SPDX-License-Identifier: Apache-2.0
//! The kernel and the dynamic linker behind safe functions.

pub mod accounts;
pub mod callback;
pub mod channel;
pub mod children;
pub mod clock;
pub mod connection;
pub mod descriptor;
pub mod installation;
pub mod library;
pub mod message;
pub mod probe;
pub mod program;
pub mod readiness;
pub mod shared;
pub mod spawn;
pub mod worker;
