// SPDX-License-Identifier: Apache-2.0
//! `wsgi-supervisor`: the process that starts the workers of one generation's process groups, watches them, replaces those that
//! end, and ends them all when httpd needs them no more.
//!
//! httpd's parent starts it as `wsgi-supervisor <plan> <acknowledgement> <alive> [<level> [<uid>]]`: three descriptors, the most
//! talkative level that is logged, and the user that httpd's children run as. It runs as whoever httpd's parent is, has one
//! thread, and reads nothing from applications but lines for the log. It ends with status 0 or 1: httpd gives others a meaning.

#![forbid(unsafe_code)]

mod board;
mod journal;
mod life;
mod lines;
mod log;
mod output;
mod plan;
mod recipe;
mod seat;
mod supervisor;
mod worker;

use log::Log;
use model::event::Event;
use std::process::ExitCode;
use std::time::Instant;
use supervisor::{Ending, Supervisor};

fn main() -> ExitCode {
    match std::panic::catch_unwind(run) {
        Ok(Ok(Ending::Needless)) => ExitCode::SUCCESS,
        // So that httpd's parent starts another one.
        Ok(Ok(Ending::Told)) => ExitCode::FAILURE,
        Ok(Err(reason)) => {
            if let Ok(mut log) = Log::open(2) {
                log.event(None, &Event::SupervisorUnfit { reason });
                log.finish(Instant::now() + journal::PATIENCE);
            }
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> Result<Ending, String> {
    let start = plan::Start::from_arguments()?;
    let signals = unix::children::prepare().map_err(|error| error.to_string())?;
    let mut supervisor = Supervisor::new(start, signals)?;
    supervisor.run().map_err(|error| error.to_string())
}
