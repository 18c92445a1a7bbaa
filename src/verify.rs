// SPDX-License-Identifier: Apache-2.0
//! The configuration as a whole: which process groups there are, what is wrong or doubtful, and the report about it.
//!
//! Called in the parent once the configuration has been read, also by `httpd -t`. Only what cannot be built stops the
//! server; files are looked at as the users who need them, for a limited time, and only warned about.

#![forbid(unsafe_code)]

mod files;

use crate::apache::log;
use crate::apache::process::{self, Parent};
use crate::apache::server::Server;
use crate::config::ServerConfig;
use model::configuration::check::{as_httpd, check, registry};
use model::configuration::report::report;
use model::configuration::{Accounts, Server as Written, User, View};
use model::directive::Origin;
use model::event::{Event, Level};
use std::io::Write;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// How long the server's start may wait for answers about files, and how long a test of the configuration may.
const PATIENCE: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// Looks at the configuration of the servers that begin with `main`; whether httpd can be started with it.
///
/// Tells what is found on standard error if the configuration is read for the first time or only tested. What is found
/// when it is read for good is told by [`tell`], when the logs are open.
pub fn configuration(parent: Parent, main: Server<'_>) -> bool {
    let around = Around::of(main);
    let views = views(main, &around);
    ServerConfig::share_groups(parent, main, &Arc::new(registry(&views)));
    // The servers' records were changed; look at them again.
    let views = self::views(main, &around);
    if !process::is_rehearsal() {
        let fatal: Vec<_> = check(&views, &Machine).into_iter().filter(|finding| finding.fatal).collect();
        fatal.iter().for_each(|finding| log::startup_line(Level::Error, finding.event.to_string().as_bytes()));
        return fatal.is_empty();
    }
    let mut events: Vec<(bool, Event)> =
        check(&views, &Machine).into_iter().map(|finding| (finding.fatal, finding.event)).collect();
    let testing = process::is_testing();
    if testing {
        let [_, patience] = PATIENCE;
        let found = files::look(parent, &views, &Machine, patience);
        events.extend(found.into_iter().map(|(_, event)| (false, event)));
    }
    let strict = testing && process::is_defined(c"WSGI_STRICT_CHECK");
    for (fatal, event) in &events {
        let level = if *fatal || strict { Level::Error } else { event.level() };
        log::startup_line(level, event.to_string().as_bytes());
    }
    !events.iter().any(|(fatal, _)| *fatal || strict)
}

/// Logs what is doubtful, for each server in its own log.
pub fn tell(parent: Parent, main: Server<'_>) {
    let around = Around::of(main);
    let views = views(main, &around);
    let found = check(&views, &Machine).into_iter().map(|finding| (finding.server, finding.event));
    let [patience, _] = PATIENCE;
    let found = found.chain(files::look(parent, &views, &Machine, patience));
    let servers: Vec<_> = main.chain().collect();
    for (server, event) in found {
        if let Some(server) = servers.get(server) {
            log::line(server, event.level(), event.to_string().as_bytes());
        }
    }
    if process::generation() == 0 {
        as_httpd(&views, &Machine).iter().for_each(log::server_event);
    }
}

/// Writes the report that `-D DUMP_WSGI -t` asks for.
pub fn dump(_parent: Parent, main: Server<'_>) {
    if process::is_defined(c"DUMP_WSGI") {
        let around = Around::of(main);
        let views = views(main, &around);
        let text = report(&views, &registry(&views), &Machine, env!("MOD_WSGI_RS_DEFAULT_PYTHON"));
        // Nobody is left to tell if standard output is closed.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

/// Shows `work` the servers of the configuration that begin with `main`.
pub fn with_views(main: Server<'_>, work: impl FnOnce(&[View<'_>])) {
    let around = Around::of(main);
    work(&views(main, &around));
}

/// What views of servers borrow besides the servers' own records.
struct Around {
    /// Where each server begins; `None` for the main server.
    hosts: Vec<Option<Origin>>,
    /// What holds for a virtual host that says nothing.
    silent: Written,
}

impl Around {
    fn of(main: Server<'_>) -> Self {
        let written = ServerConfig::of(&main).map(|config| Written::merge(&config.written, &Written::default()));
        let hosts = main.chain().map(|server| server.is_virtual().then(|| server.origin())).collect();
        Self { hosts, silent: written.unwrap_or_default() }
    }
}

/// A virtual host without a directive of ours shares the main server's settings, so what was written for it is nothing.
fn views<'a>(main: Server<'a>, around: &'a Around) -> Vec<View<'a>> {
    let of_main = ServerConfig::of(&main).map(ptr::from_ref);
    let view = |(server, host): (Server<'a>, &'a Option<Origin>)| {
        let config = ServerConfig::of(&server)?;
        let shared = host.is_some() && of_main == Some(ptr::from_ref(config));
        let written = if shared { &around.silent } else { &config.written };
        Some(View { name: server.name(), port: server.port().unwrap_or(0), host: host.as_ref(), written })
    };
    main.chain().zip(&around.hosts).filter_map(view).collect()
}

/// The users of this machine, and httpd's own.
pub struct Machine;

impl Accounts for Machine {
    fn user(&self, name: &str) -> Option<User> {
        unix::accounts::user(name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        unix::accounts::group(name)
    }

    fn httpd(&self) -> (User, u32) {
        let (uid, gid) = if self.is_root() { process::user() } else { unix::accounts::own() };
        (unix::accounts::user_with_id(uid), gid)
    }

    fn is_root(&self) -> bool {
        unix::accounts::is_root()
    }
}
