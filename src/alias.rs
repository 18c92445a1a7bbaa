// SPDX-License-Identifier: Apache-2.0
//! The translate phase: the first alias that matches the URL gives the request its file and its handler.
//!
//! Called for every request in a child, between mod_alias and mod_userdir.

#![forbid(unsafe_code)]

use crate::apache::regex::Regex;
use crate::apache::request::{Request, Verdict};
use crate::config::ServerConfig;
use model::alias::{Alias, Location, match_literal, rest_after_pattern};
use model::resolve::HANDLERS;
use std::ffi::CStr;

/// The note that says which handler an alias asked for; other modules know it, too.
const FORCED: &CStr = c"alias-forced-type";
/// The note with the position of the alias. A note, because mod_dir carries notes over to the request that it continues.
const POSITION: &CStr = c"mod_wsgi_rs.alias";

/// Sends the request to the script of the first alias that matches.
pub fn translate(mut request: Request<'_>) -> Verdict {
    let uri = request.uri();
    if !uri.is_empty() && !uri.starts_with(b"/") {
        return Verdict::Declined;
    }
    let Some(config) = request.server().and_then(|server| ServerConfig::of(&server)) else { return Verdict::Declined };
    for (position, (alias, pattern)) in config.aliases().enumerate() {
        if let Some(file_name) = file_of(alias, pattern, &request) {
            request.map_to(&file_name, c"wsgi-script");
            request.notes().set(request.pool(), FORCED, b"wsgi-script");
            request.notes().set(request.pool(), POSITION, position.to_string().as_bytes());
            return Verdict::Done;
        }
    }
    Verdict::Declined
}

/// The alias that led to the script, if its handler is still in force.
pub fn in_force<'r>(request: &Request<'r>) -> Option<&'r Alias> {
    let notes = request.notes();
    notes.find(FORCED).filter(|kind| kind.eq_ignore_ascii_case(b"wsgi-script"))?;
    let position: usize = std::str::from_utf8(notes.find(POSITION)?).ok()?.parse().ok()?;
    ServerConfig::of(&request.server()?)?.settings.script_aliases().0.get(position)
}

fn file_of(alias: &Alias, pattern: Option<&Regex>, request: &Request<'_>) -> Option<Vec<u8>> {
    let uri = request.uri();
    match &alias.location {
        Location::Literal(place) => Some([alias.target.as_bytes(), match_literal(place, uri)?].concat()),
        Location::Pattern(_) => {
            let mut found = pattern?.find(uri)?;
            let rest = rest_after_pattern(uri, found.end())?;
            let target = found.substitute(request.pool(), &alias.target, request.uri_c()?)?;
            Some([target, rest].concat())
        }
    }
}

/// Whether the request's handler is one of ours.
pub fn is_ours(request: &Request<'_>) -> bool {
    request.handler().is_some_and(|handler| HANDLERS.iter().any(|ours| ours.as_bytes() == handler))
}
