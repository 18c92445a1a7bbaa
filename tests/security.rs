// SPDX-License-Identifier: Apache-2.0
//! What code that runs in a process group can see and do: of httpd, of the supervisor, of other groups. The attempts are Python
//! in a worker, or in a process of another user beside httpd; each of them is also shown to succeed where it may.
//!
//! As root, because only root can give groups users.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

#[path = "seeds/accounts.rs"]
#[allow(dead_code, reason = "the other tests use more of it")]
mod accounts;
#[path = "security/frames.rs"]
mod frames;
#[path = "security/identity.rs"]
mod identity;
#[path = "security/memory.rs"]
mod memory;
#[path = "security/neighbours.rs"]
mod neighbours;
#[path = "security/process.rs"]
mod process;
#[path = "security/starting.rs"]
mod starting;

use harness::site::is_root;
use harness::{Httpd, Mode, Python, Response, Site, skip};
use std::fs;

/// Runs the body: an expression, or statements that leave something in `result`. Answers that, or the error.
const RUN: &str = "
import os, sys

def application(environ, start_response):
    source, names = environ['wsgi.input'].read().decode(), {'os': os, 'sys': sys}
    try:
        try:
            result = eval(compile(source, '<body>', 'eval'), names)
        except SyntaxError:
            exec(compile(source, '<body>', 'exec'), names)
            result = names['result']
    except Exception as failure:
        result = '%s: %s' % (type(failure).__name__, failure)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(result).encode()]
";

/// A site whose process groups run what they are sent: the header `X-Group` chooses one.
fn site(groups: &str) -> Site {
    Site::new(Mode::Embedded).file("apps/run.py", RUN).config(groups).config(
        "WSGIScriptAlias /run \"@APPS@/run.py\" application-group=%{GLOBAL}\n<Location /run>\nWSGIProcessGroup %{ENV:GROUP}\n</Location>\n\
         SetEnvIf X-Group (.+) GROUP=$1",
    )
}

fn try_run(httpd: &Httpd, group: &str, code: &str) -> Response {
    httpd.request("POST", "/run").header("X-Group", group).body(code).send()
}

/// What the code leaves in `result`, or is the value of.
#[track_caller]
fn run(httpd: &Httpd, group: &str, code: &str) -> String {
    let answer = try_run(httpd, group, code);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

fn pid(httpd: &Httpd, group: &str) -> u32 {
    run(httpd, group, "os.getpid()").parse().expect("a number")
}

/// Whether this is root; says so if not.
fn may_change_users() -> bool {
    if !is_root() {
        skip::skipped("only root can give groups users");
    }
    is_root()
}

/// The usual Python, as root.
fn outside(code: &str) -> String {
    outside_as(&[], code)
}

/// The usual Python, started by `setpriv` with these arguments.
fn outside_as(arguments: &[String], code: &str) -> String {
    let python = Python::usual().expect("a Python");
    let output = std::process::Command::new("setpriv")
        .args(arguments)
        .arg("--")
        .arg(python.prefix.join(format!("bin/python3.{}", python.minor)))
        .args(["-c", &format!("import os, sys\n{code}\nprint(result)")])
        .env("LD_LIBRARY_PATH", Python::libraries())
        .output()
        .expect("setpriv runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// User and group of an account.
fn account(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))?;
    let mut fields = line.split(':').skip(1).map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}
