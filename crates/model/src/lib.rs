// SPDX-License-Identifier: Apache-2.0
//! The rules of mod_wsgi_rs: what directives mean, where a request goes, what an environ holds, which
//! answers are well-formed, what is logged under which number, and what the parts say to each other.
//!
//! Nothing here does I/O, reads a clock or contains unsafe code, so all of it is tested anywhere.

#![forbid(unsafe_code)]

pub mod admission;
pub mod alias;
pub mod configuration;
pub mod daemon;
pub mod directive;
pub mod embedded;
pub mod environ;
pub mod event;
pub mod exchange;
pub mod group;
pub mod interpreter;
pub mod launch;
pub mod proxy;
pub mod reference;
pub mod resolve;
pub mod response;
pub mod script;
pub mod settings;
pub mod supervision;
pub mod telemetry;
pub mod timers;
pub mod wire;

/// Identifies builds whose parts may talk to each other: package version and a hash of this crate.
pub const BUILD_ID: &str = env!("MOD_WSGI_RS_BUILD_ID");

/// The version reported to applications as `mod_wsgi.version`: the reference release whose interface
/// this module offers, because libraries compare it (python-api §1.1).
pub const INTERFACE_VERSION: [u32; 3] = [6, 1, 1];
