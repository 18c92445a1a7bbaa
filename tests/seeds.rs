// SPDX-License-Identifier: Apache-2.0
//! The pages on WSGIProcessGroup, WSGIApplicationGroup and WSGIRestrictProcess, sentence by sentence.
//!
//! These are the pages that the project began with, from the manual of release 4.7.1. Each test names the sentence it
//! holds us to, in other words. Where the pages' paths (`/home`, `/etc/httpd`) or ports would need a machine of its own,
//! the same configuration stands below the test's root.
//!
//! With `MOD_WSGI_RS_MODULE` set to the reference module they ask the reference the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

#[path = "seeds/accounts.rs"]
mod accounts;
#[path = "seeds/application_group.rs"]
mod application_group;
#[path = "seeds/attempts.rs"]
mod attempts;
#[path = "seeds/delegation.rs"]
mod delegation;
#[path = "seeds/ports.rs"]
mod ports;
#[path = "seeds/process_group.rs"]
mod process_group;
#[path = "seeds/restrict_process.rs"]
mod restrict_process;
#[path = "seeds/rewriting.rs"]
mod rewriting;
#[path = "seeds/user_folders.rs"]
mod user_folders;
#[path = "seeds/variables.rs"]
mod variables;
#[path = "seeds/virtual_hosts.rs"]
mod virtual_hosts;

use harness::site::is_root;
use harness::{Httpd, Mode, Module, Response, Site, event, wait};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

/// The script that most configurations here mount.
const SCRIPT: &str = "\"@APPS@/identity.py\"";

/// A site in whose configuration process groups can be named; its children are those of one process.
fn site() -> Site {
    Site::new(Mode::Embedded)
        .app("identity.py")
        .config("WSGISocketPrefix \"@ROOT@/wsgi\"\nCustomLog \"@LOGS@/access.log\" \"%P %U\"")
}

/// `WSGIDaemonProcess` lines with one small process each.
fn groups(names: &[&str]) -> String {
    names.iter().map(|name| format!("WSGIDaemonProcess {name} threads=1\n")).collect()
}

/// `WSGIScriptAlias` lines of the script that tells where it runs.
fn mounts(urls: &[&str]) -> String {
    urls.iter().map(|url| format!("WSGIScriptAlias {url} {SCRIPT}\n")).collect()
}

/// A section for the folder of applications.
fn directory(text: &str) -> String {
    format!("<Directory \"@APPS@\">\n{text}\n</Directory>\n")
}

/// What `tests/apps/identity.py` tells.
struct Facts(BTreeMap<String, String>);

impl Facts {
    #[track_caller]
    fn read(answer: &Response) -> Self {
        answer.expect(200);
        Self::of(&answer.text())
    }

    fn of(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    #[track_caller]
    fn text(&self, key: &str) -> &str {
        self.0.get(key).unwrap_or_else(|| panic!("no {key} in {:?}", self.0))
    }

    #[track_caller]
    fn number(&self, key: &str) -> u32 {
        self.text(key).parse().unwrap_or_else(|_| panic!("{key} of {:?}", self.0))
    }

    fn process_group(&self) -> &str {
        self.text("process_group")
    }

    fn application_group(&self) -> &str {
        self.text("application_group")
    }

    /// Process and interpreter: equal for two requests that shared one Python.
    fn python(&self) -> (u32, u32) {
        (self.number("pid"), self.number("interpreter"))
    }
}

#[track_caller]
fn facts(httpd: &Httpd, target: &str) -> Facts {
    Facts::read(&httpd.get(target))
}

#[track_caller]
fn facts_of(httpd: &Httpd, host: &str, target: &str) -> Facts {
    Facts::read(&httpd.request("GET", target).header("Host", host).send())
}

#[track_caller]
fn assert_process_group(httpd: &Httpd, target: &str, group: &str) {
    assert_eq!(facts(httpd, target).process_group(), group, "{target}");
}

#[track_caller]
fn assert_application_group(httpd: &Httpd, target: &str, group: &str) {
    assert_eq!(facts(httpd, target).application_group(), group, "{target}");
}

/// The process that serves a static file. The sites here have one child, so it is the only one.
fn standard_child(httpd: &Httpd) -> u32 {
    httpd.get("/static.txt").expect(200);
    wait::until("a static file in the access log", || {
        let log = fs::read_to_string(httpd.root().join("logs/access.log")).unwrap_or_default();
        log.lines().find_map(|line| line.strip_suffix(" /static.txt")?.parse().ok())
    })
}

/// The number of a user of this machine, and of its group.
fn account(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))?;
    let mut fields = line.split(':').skip(1).map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

/// The user that httpd's children run as here.
fn standard_user() -> u32 {
    if is_root() {
        return account("www-data").expect("the user of httpd's children").0;
    }
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap())
}

/// Another free port of 127.0.0.1 than the site's own.
fn another_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The status of a request whose group the list of allowed ones does not hold: the reference answers 500.
fn restricted() -> u16 {
    if Module::Ours.is_ours() { 403 } else { 500 }
}

/// The directive is not allowed in a `.htaccess` file, whatever `AllowOverride` says.
fn assert_refused_in_htaccess(line: &str) {
    let name = line.split(' ').next().unwrap_or_default();
    let httpd = site()
        .config(&format!("{}{}{}", groups(&["one"]), mounts(&["/a"]), directory("AllowOverride All")))
        .file("apps/.htaccess", "SetEnv HARMLESS 1\n")
        .start();
    httpd.get("/a").expect(200);
    httpd.expect_text(&format!("{name} not allowed here"));
    httpd.rewrite("apps/.htaccess", &format!("{line}\n"));
    httpd.get("/a").expect(500);
}

/// httpd does not start with this configuration and says why.
fn assert_config_error(config: &str, reason: &str) {
    match site().config(config).try_start() {
        Ok(_) => panic!("httpd takes {config:?}"),
        Err(said) => assert!(said.contains(reason), "{config:?}: {said}"),
    }
}
