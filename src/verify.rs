// SPDX-License-Identifier: Apache-2.0
//! The configuration as a whole: which process groups there are, and what is doubtful or wrong.
//!
//! Called in the parent once the configuration has been read, also by `httpd -t`.

#![forbid(unsafe_code)]

use crate::apache::log;
use crate::apache::process::{self, Parent};
use crate::apache::server::Server;
use crate::config::ServerConfig;
use model::daemon::Registry;
use std::sync::Arc;

/// Looks at the servers that begin with `main`; whether the server can be started. What is found is told to whoever
/// starts or tests it.
pub fn configuration(parent: Parent, main: Server<'_>) -> bool {
    let mut groups = Registry::default();
    for server in main.chain() {
        let Some(config) = ServerConfig::of(&server) else { continue };
        let name = server.is_virtual().then(|| server.name());
        for group in &config.written.settings.daemon_processes().0 {
            let _ = groups.declare(group, name);
        }
    }
    ServerConfig::share_groups(parent, main, &Arc::new(groups));
    if process::is_rehearsal() {
        tell(parent, main);
    }
    true
}

/// Logs what is doubtful, for each server in its own log.
pub fn tell(_parent: Parent, main: Server<'_>) {
    for server in main.chain() {
        for told in ServerConfig::of(&server).iter().flat_map(|config| &config.written.doubts) {
            let event = told.event();
            log::line(&server, event.level(), event.to_string().as_bytes());
        }
    }
}
