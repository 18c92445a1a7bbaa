// SPDX-License-Identifier: Apache-2.0
//! The translate phase: the first alias that matches the URL gives the request its file and its handler.
//!
//! Called for every request in a child, between mod_alias and mod_userdir.

#![forbid(unsafe_code)]

use crate::apache::regex::Regex;
use crate::apache::request::{Request, Verdict};
use crate::config::ServerConfig;
use model::alias::{Alias, Location, match_literal, rest_after_pattern};
use std::ffi::CStr;

/// The note that says which handler an alias asked for; other modules know it, too.
const FORCED: &CStr = c"alias-forced-type";
/// The note with the position of the alias. A note, because mod_dir carries notes over to the request that it continues.
const POSITION: &CStr = c"mod_wsgi_rs.alias";

/// Sends the request to the script of the first alias that matches.
pub fn translate(mut request: Request<'_>) -> Verdict {
    let uri = request.uri();
    let Some(config) = request.server().and_then(|server| ServerConfig::of(&server)) else { return Verdict::Declined };
    let mut before = 0;
    for routes in config.routes() {
        if let Some((position, file_name)) = routes.first(uri, |alias, pattern| file_of(alias, pattern, &request)) {
            request.map_to(&file_name, c"wsgi-script");
            request.notes().set(request.pool(), FORCED, b"wsgi-script");
            request.notes().set(request.pool(), POSITION, (before + position).to_string().as_bytes());
            return Verdict::Done;
        }
        before += routes.len();
    }
    Verdict::Declined
}

/// The alias that led to the file, if no other module has sent the request elsewhere since.
pub fn in_force<'r>(request: &Request<'r>) -> Option<&'r Alias> {
    let notes = request.notes();
    notes.find(FORCED).filter(|kind| kind.eq_ignore_ascii_case(b"wsgi-script"))?;
    let position: usize = std::str::from_utf8(notes.find(POSITION)?).ok()?.parse().ok()?;
    ServerConfig::of(&request.server()?)?.alias(position)
}

fn file_of(alias: &Alias, pattern: Option<&Regex>, request: &Request<'_>) -> Option<Vec<u8>> {
    let uri = request.uri();
    if !uri.is_empty() && !uri.starts_with(b"/") {
        return None;
    }
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
