// SPDX-License-Identifier: Apache-2.0
//! The translate phase: the first alias that matches the URL gives the request its file and its handler.
//!
//! Called for every request in a child, between mod_alias and mod_userdir.

use crate::apache::request::Request;
use crate::config::ServerConfig;
use crate::{ffi, module};
use model::alias::{Alias, Location, match_literal};
use model::resolve::HANDLERS;
use std::ffi::c_int;

/// Sends the request to the script of the first alias that matches.
pub fn translate(mut request: Request<'_>) -> c_int {
    let uri = request.uri();
    if !uri.is_empty() && !uri.starts_with(b"/") {
        return ffi::DECLINED;
    }
    let Some(config) = request.server().and_then(|server| ServerConfig::of(&server)) else { return ffi::DECLINED };
    for alias in &config.settings.script_aliases().0 {
        if let Some(file_name) = file_of(alias, config, &request) {
            request.map_to(&file_name, c"wsgi-script");
            request.notes().set(request.pool(), b"alias-forced-type", b"wsgi-script");
            remember(&request, alias);
            return ffi::OK;
        }
    }
    ffi::DECLINED
}

/// The alias that led to the script, if its handler is still in force.
pub fn in_force<'r>(request: &Request<'r>) -> Option<&'r Alias> {
    let forced =
        request.notes().find("alias-forced-type").is_some_and(|kind| kind.eq_ignore_ascii_case(b"wsgi-script"));
    if !forced {
        return None;
    }
    // SAFETY: [REQ] the vector of module records of a live request.
    let alias = unsafe { ffi::ap_get_module_config(request.module_records(), module()) };
    // SAFETY: [CONF] null, or the alias that `remember` put there, which lives as long as the configuration.
    unsafe { alias.cast::<Alias>().as_ref() }
}

fn remember(request: &Request<'_>, alias: &Alias) {
    // SAFETY: [REQ] the vector of module records of a live request; read back by `in_force` with the same type.
    unsafe { ffi::ap_set_module_config(request.module_records(), module(), (&raw const *alias).cast_mut().cast()) };
}

fn file_of(alias: &Alias, config: &ServerConfig, request: &Request<'_>) -> Option<Vec<u8>> {
    let uri = request.uri();
    match &alias.location {
        Location::Literal(place) => {
            let matched = match_literal(place, uri)?;
            Some(Alias::file_name(alias.target.as_bytes(), place == "/", uri, matched))
        }
        Location::Pattern(pattern) => {
            let mut found = config.pattern(pattern)?.find(uri)?;
            let (_, end) = found.range();
            if end == 0 {
                return None;
            }
            let target = found.substitute(request.pool(), &alias.target, request.uri_c()?)?;
            Some(Alias::file_name(target, uri.get(..end) == Some(b"/"), uri, end))
        }
    }
}

/// Whether the request's handler is one of ours.
pub fn is_ours(request: &Request<'_>) -> bool {
    request.handler().is_some_and(|handler| HANDLERS.iter().any(|ours| ours.as_bytes() == handler))
}
