// SPDX-License-Identifier: Apache-2.0
//! Loading scripts ahead of requests, on a thread that holds no interpreter.

use model::event::Level;
use model::exchange::{Exchange, FileSpan, Head, ReadError, SendError};
use python::call::{self, Job};
use python::process::{self, Process};

/// What a preloaded script can reach: the server's log.
struct NoExchange;

impl Exchange for NoExchange {
    fn read_body(&mut self, _into: &mut [u8]) -> Result<usize, ReadError> {
        Err(ReadError::Failed)
    }

    fn send_head(&mut self, _head: &Head<'_>) -> Result<(), SendError> {
        Err(SendError::Failed)
    }

    fn send_data(&mut self, _data: &[u8]) -> Result<(), SendError> {
        Err(SendError::Failed)
    }

    fn send_file(&mut self, _file: FileSpan) -> Result<(), SendError> {
        Err(SendError::Failed)
    }

    fn flush(&mut self) -> Result<(), SendError> {
        Err(SendError::Failed)
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        process::log(level, line);
    }

    fn is_aborted(&self) -> bool {
        false
    }
}

/// Loads a script into the interpreter of an application group. What goes wrong is logged.
pub(crate) fn load(process: &Process, application_group: &[u8], script: &[u8], mtime: i64) {
    let job = Job {
        application_group,
        script,
        script_mtime: mtime,
        script_reloading: true,
        resource: script,
        ..Job::default()
    };
    call::preload(process, &job, &mut NoExchange);
}
