// SPDX-License-Identifier: Apache-2.0
//! What the interpreters of a process know about their server, besides the requests.

use model::event::{Event, Level};

/// What the configuration says about one interpreter.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Directories put before `sys.path`, layer by layer, each before the earlier ones.
    pub python_path: Vec<Vec<Vec<u8>>>,
    /// The directory that becomes the first entry of `sys.path`.
    pub home: Option<Vec<u8>>,
    /// How long a thread runs before another gets its turn, in seconds.
    pub switch_interval: Option<f64>,
    /// Whether the interval was set for this interpreter by name.
    pub switch_interval_by_name: bool,
    /// Whether the interpreter gets a GIL of its own; the main one never does.
    pub own_gil: bool,
    /// Whether `sys.stdin` is out of bounds.
    pub restrict_stdin: bool,
    /// Whether `sys.stdout` is out of bounds.
    pub restrict_stdout: bool,
    /// Whether `signal.signal()` registers nothing.
    pub restrict_signal: bool,
}

/// The server outside of requests. Called on any thread, without an interpreter.
pub trait Host: Send + Sync {
    /// Writes a line to the server's error log.
    fn log(&self, level: Level, line: &[u8]);

    /// What the configuration says about the interpreter of that name.
    fn options(&self, application_group: &[u8]) -> Options;

    /// Logs an event.
    fn report(&self, event: &Event) {
        self.log(event.level(), event.to_string().as_bytes());
    }
}

/// What is the same for the whole life of the process.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Name of the process group; empty in embedded mode.
    pub process_group: String,
    /// `PYTHON_EGG_CACHE` for applications; empty to leave it as it is.
    pub python_eggs: Vec<u8>,
    /// Whether interpreters are ended with the process.
    pub destroy_interpreters: bool,
    /// Whether capital letters count in the paths of scripts.
    pub case_sensitive: bool,
    /// `wsgi.multithread`
    pub multithread: bool,
    /// `wsgi.multiprocess`
    pub multiprocess: bool,
    /// `wsgi.run_once`
    pub run_once: bool,
    /// Whether standard input and output stay as they are.
    pub single_process: bool,
    /// `mod_wsgi.maximum_processes`
    pub maximum_processes: u32,
    /// `mod_wsgi.threads_per_process`
    pub threads_per_process: u32,
    /// `apache.version`
    pub server_version: [u32; 3],
    /// `apache.description`
    pub server_description: String,
    /// `apache.mpm_name`
    pub mpm_name: String,
    /// `apache.build_date`
    pub server_built: String,
    /// Interpreters there may be, the main one included.
    pub interpreter_limit: usize,
    /// How long ending may take.
    pub shutdown_milliseconds: u64,
}
