// SPDX-License-Identifier: Apache-2.0
//! A directive that httpd hands over: its arguments, where it stands, and what is around it.
//!
//! In the parent while the configuration is read; in a child for `.htaccess`.

use super::bytes;
use super::pool::Pool;
use super::process::Parent;
use super::server::Server;
use crate::ffi;
use model::configuration::handlers::Written;
use model::directive::{Origin, Row};
use std::ffi::{c_char, c_int};
use std::ptr;

/// One directive, for the length of the call that hands it over.
#[derive(Clone, Copy)]
pub struct Line<'c> {
    parms: *mut ffi::cmd_parms,
    /// What follows the directive's name.
    arguments: &'c [u8],
    /// The pool of the configuration, or of the request for `.htaccess`.
    pub pool: Pool<'c>,
    /// The server it is written for.
    pub server: Server<'c>,
}

impl<'c> Line<'c> {
    /// Wraps the arguments of a setter.
    ///
    /// # Safety
    ///
    /// [CONF] what httpd gave to a setter of ours that is still running.
    pub unsafe fn new(parms: *mut ffi::cmd_parms, arguments: *const c_char) -> Option<Self> {
        // SAFETY: [CONF] alive for the length of the call.
        let record = unsafe { parms.as_ref() }?;
        // SAFETY: [CSTR] the rest of the line.
        let arguments = unsafe { bytes(arguments) }.unwrap_or_default();
        // SAFETY: [POOL] of the configuration or of the request.
        let pool = unsafe { Pool::new(record.pool) };
        // SAFETY: [CONF] the server that the directive is written for.
        let server = unsafe { Server::new(record.server) }?;
        Some(Self { parms, arguments, pool, server })
    }

    fn record(&self) -> &'c ffi::cmd_parms {
        // SAFETY: [CONF] alive for 'c, as `new` was promised.
        unsafe { &*self.parms }
    }

    /// The row that the command table has for the directive.
    ///
    /// # Safety
    ///
    /// [ROW] the setter that is running is the one of the table whose settings are `S`.
    pub unsafe fn row<S>(&self) -> &'static Row<S> {
        // SAFETY: [ROW] promised by the caller; tables are static.
        unsafe { &*self.record().info.cast::<Row<S>>() }
    }

    /// The arguments as text.
    pub fn text(&self) -> Result<&'c str, String> {
        std::str::from_utf8(self.arguments).map_err(|_| "is not written in UTF-8".to_owned())
    }

    /// Where it stands.
    pub fn origin(&self) -> Origin {
        self.directive().map(origin).unwrap_or_default()
    }

    fn directive(&self) -> Option<&'c ffi::ap_directive_t> {
        // SAFETY: [CONF] part of the tree that is being read.
        unsafe { self.record().directive.as_ref() }
    }

    /// Whether it stands in an `.htaccess` file.
    pub fn is_htaccess(&self) -> bool {
        self.record().override_ & (ffi::RSRC_CONF | ffi::ACCESS_CONF) as c_int == 0
    }

    /// The sections around it, the nearest first.
    fn around(&self) -> impl Iterator<Item = &'c ffi::ap_directive_t> {
        self.directive().into_iter().flat_map(around)
    }

    /// The first lines of the sections that narrow down where the directive applies, the nearest first.
    pub fn sections(&self) -> Vec<String> {
        narrowing(self.around())
    }

    /// Where the nearest section `name` around it begins.
    pub fn inside(&self, name: &str) -> Option<Origin> {
        self.around().find(|section| is_named(section, name)).map(origin)
    }

    /// The names of the directives inside this section.
    pub fn children(&self) -> impl Iterator<Item = String> {
        // SAFETY: [CONF] children and what follows them are null or part of the tree.
        let first = self.directive().and_then(|section| unsafe { section.first_child.as_ref() });
        // SAFETY: [CONF] as above.
        std::iter::successors(first, |one| unsafe { one.next.as_ref() }).map(name)
    }

    /// Takes the directives inside this section; gives httpd's complaint or null.
    pub fn walk(&self) -> *const c_char {
        let Some(section) = self.directive() else { return ptr::null() };
        // SAFETY: [CONF] the tree and the parameters of this call, with the context that they have.
        unsafe { ffi::ap_walk_config(section.first_child, self.parms, self.record().context) }
    }

    /// The complaint that a setter answers.
    pub fn complaint(&self, directive: &str, problem: &str) -> *const c_char {
        self.pool.concat(&[directive.as_bytes(), b" ", problem.replace('\0', " ").as_bytes()])
    }
}

/// Sections that leave open where a directive applies; virtual hosts are told by their server.
const NEUTRAL: [&str; 3] = ["<VirtualHost", "<WSGIInterpreterOptions", "<Macro"];

/// The sections around a directive, the nearest first.
fn around(directive: &ffi::ap_directive_t) -> impl Iterator<Item = &ffi::ap_directive_t> {
    // SAFETY: [CONF] parents are null or part of the tree.
    std::iter::successors(Some(directive), |one| unsafe { one.parent.as_ref() }).skip(1)
}

fn narrowing<'c>(sections: impl Iterator<Item = &'c ffi::ap_directive_t>) -> Vec<String> {
    let sections = sections.filter(|section| !NEUTRAL.iter().any(|name| is_named(section, name)));
    let first_line = |section: &ffi::ap_directive_t| {
        let arguments = arguments(section);
        let end = if arguments.ends_with('>') { "" } else { ">" };
        format!("{} {arguments}{end}", name(section))
    };
    sections.map(first_line).collect()
}

fn arguments(directive: &ffi::ap_directive_t) -> String {
    // SAFETY: [CSTR] what follows the directive's name, for a section up to its `>`.
    text(unsafe { bytes(directive.args) })
}

/// In the parent, when the configuration is complete: all directives of these names, whichever module they belong to.
pub fn written(_parent: Parent, names: &[&str]) -> Vec<Written> {
    // SAFETY: [HTTPD] written while the configuration is read, which is over.
    let tree = unsafe { ffi::ap_conftree };
    // SAFETY: [CONF] null, or what httpd keeps as long as the configuration.
    let mut open: Vec<_> = unsafe { tree.as_ref() }.into_iter().collect();
    let mut found = Vec::new();
    while let Some(directive) = open.pop() {
        if names.iter().any(|name| is_named(directive, name)) {
            let host = around(directive).find(|section| is_named(section, "<VirtualHost")).map(origin);
            let (name, arguments, sections) = (name(directive), arguments(directive), narrowing(around(directive)));
            found.push(Written { name, arguments, host, sections });
        }
        for next in [directive.next, directive.first_child] {
            // SAFETY: [CONF] null or part of the tree.
            open.extend(unsafe { next.as_ref() });
        }
    }
    found
}

fn name(directive: &ffi::ap_directive_t) -> String {
    // SAFETY: [CSTR] the directive's name.
    text(unsafe { bytes(directive.directive) })
}

fn is_named(directive: &ffi::ap_directive_t, wanted: &str) -> bool {
    name(directive).eq_ignore_ascii_case(wanted)
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

fn origin(directive: &ffi::ap_directive_t) -> Origin {
    // SAFETY: [CSTR] the name of the file it stands in.
    let file = text(unsafe { bytes(directive.filename) });
    Origin { file: file.into(), line: u32::try_from(directive.line_num).unwrap_or(0) }
}
