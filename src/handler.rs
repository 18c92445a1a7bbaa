// SPDX-License-Identifier: Apache-2.0
//! The story of a request: facts → resolve → environ → Python → answer. Refusals become one event and one status here.

#![forbid(unsafe_code)]

use crate::alias::is_ours;
use crate::apache::log;
use crate::apache::request::Request;
use crate::config::{ServerConfig, directory_settings};
use crate::embedded::{self, Script};
use crate::environ::{Choices, Environ};
use crate::exchange::{Exchange, Result as Exchanged};
use crate::{facts, ffi};
use model::resolve::{Facts, Refusal, resolve};
use model::settings::DirectorySettings;
use std::ffi::c_int;

/// Handles a request whose handler is one of ours; others are declined before anything else is looked at.
pub fn handle(request: Request<'_>) -> c_int {
    if !is_ours(&request) {
        return ffi::DECLINED;
    }
    embedded::panic_for_a_test(&request);
    let facts = facts::read(&request);
    let silent = DirectorySettings::default();
    let settings = directory_settings(&request).unwrap_or(&silent);
    match serve(request, &facts, settings) {
        Ok(Exchanged::Answered) => ffi::OK,
        Ok(Exchanged::Status(status)) => c_int::from(status),
        Err(refusal) => {
            log::request_event(&request, &refusal.event(&facts));
            c_int::from(refusal.status())
        }
    }
}

fn serve(mut request: Request<'_>, facts: &Facts<'_>, settings: &DirectorySettings) -> Result<Exchanged, Refusal> {
    let silent = ServerConfig::default();
    let server = request.server().and_then(|server| ServerConfig::of(&server)).unwrap_or(&silent);
    let variables = |name: &str| facts::variable(&request, name);
    let target = resolve(facts, &server.settings, settings, &variables)?;
    let python = embedded::python().ok_or(Refusal::PythonUnavailable)?;

    request.clear_content_type();
    let choices =
        Choices { pass_authorization: target.pass_authorization, map_head_to_get: *settings.map_head_to_get() };
    let environ = Environ::build(request, choices);
    let mut exchange = Exchange::new(request, settings.enable_sendfile().is_on() && request.may_use_sendfile());
    let script = Script { path: facts.script, target: &target, reloading: *settings.script_reloading() };
    let ending = python.run(&request, script, &environ, &mut exchange);
    Ok(exchange.finish(ending))
}
