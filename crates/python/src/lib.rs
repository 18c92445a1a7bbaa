// SPDX-License-Identifier: Apache-2.0
//! Everything of mod_wsgi_rs that touches CPython: interpreters, thread states, objects, the WSGI call.
//!
//! Only the raw C API is used, under the thin layer of [`object`]. No Python object lies in a static: what an
//! interpreter has of ours hangs on its own instance of the extension module. The server is reached through
//! [`model::exchange::Exchange`] for a request and through [`host::Host`] otherwise, so embedded mode, daemon mode and
//! tests run the same code. The tags in `SAFETY` comments are explained in `SAFETY.md`.

pub mod abi;
pub mod call;
pub mod callback;
mod capsule;
mod container;
pub mod environ;
pub mod host;
pub mod interpreter;
pub mod interrupt;
pub mod live;
pub mod module;
pub mod object;
pub mod output;
pub mod process;
pub mod raised;
mod script;
pub mod shutdown;
pub mod state;
pub mod streams;
pub mod thread;
pub mod types;
