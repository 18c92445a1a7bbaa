// SPDX-License-Identifier: Apache-2.0
//! Private httpd servers, strict clients and an audited error log for the tests of mod_wsgi_rs.
//!
//! Used by `tests/*.rs`, in the test process only. A [`Site`] describes a server, [`Httpd`] is a running one: it owns its
//! temporary root, its port, its processes and its log, ends them when dropped, and fails the test when the log holds a
//! warning or error that the test did not announce. Every wait polls for an event with a deadline. Functions here panic
//! when the machine does not do what a test needs: a test has no better use for such an error.
#![forbid(unsafe_code)]

pub mod census;
pub mod chance;
pub mod client;
pub mod configtest;
pub mod differential;
pub mod environ;
pub mod event;
pub mod frames;
pub mod http2;
pub mod launcher;
pub mod ledger;
pub mod library;
pub mod load;
pub mod module;
pub mod multiplex;
pub mod python;
pub mod response;
pub mod server;
pub mod site;
pub mod skip;
pub mod stress;
pub mod wait;

pub use census::Census;
pub use chance::Chance;
pub use client::{Connection, Protocol, Request};
pub use configtest::{ConfigTest, Declared};
pub use environ::Environ;
pub use load::{Load, Tally};
pub use module::Module;
pub use python::Python;
pub use response::{End, Response};
pub use server::Httpd;
pub use site::{Mode, Mpm, Site};

/// Makes one test per mode of each named function, which takes the [`Mode`] to run in.
#[macro_export]
macro_rules! modes {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        mod embedded {
            $( #[test] $(#[$meta])* fn $name() { super::$name($crate::Mode::Embedded) } )+
        }
        mod daemon {
            $( #[test] $(#[$meta])* fn $name() { super::$name($crate::Mode::Daemon) } )+
        }
    };
}

/// Runs each scenario in embedded mode only, for what concerns httpd's children themselves.
#[macro_export]
macro_rules! embedded {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        mod embedded_only {
            $( #[test] $(#[$meta])* fn $name() { super::$name($crate::Mode::Embedded) } )+
        }
    };
}
