// SPDX-License-Identifier: Apache-2.0
//! The story of a request: facts → resolve → environ → Python → answer. Refusals become one event and one status here.

#![forbid(unsafe_code)]

use crate::alias::is_ours;
use crate::apache::log;
use crate::apache::process::Child;
use crate::apache::request::{Request, Verdict};
use crate::config::{ServerConfig, directory_settings};
use crate::embedded::exchange::Exchange;
use crate::embedded::{self, Script};
use crate::environ::{Choices, Environ};
use crate::facts;
use model::directive::value::OnOff;
use model::resolve::{Facts, Refusal, resolve};
use model::settings::DirectorySettings;

/// Handles a request whose handler is one of ours; others are declined before anything else is looked at.
pub fn handle(child: Child, request: Request<'_>) -> Verdict {
    if !is_ours(&request) {
        return Verdict::Declined;
    }
    embedded::panic_for_a_test(&request);
    let facts = facts::read(&request);
    let silent = DirectorySettings::default();
    let settings = directory_settings(&request).unwrap_or(&silent);
    serve(child, request, &facts, settings).unwrap_or_else(|refusal| refuse(&request, &facts, &refusal))
}

fn serve(
    child: Child,
    mut request: Request<'_>,
    facts: &Facts<'_>,
    settings: &DirectorySettings,
) -> Result<Verdict, Refusal> {
    let silent = ServerConfig::default();
    let server = request.server().and_then(|server| ServerConfig::of(&server)).unwrap_or(&silent);
    let variables = |name: &str| facts::variable(&request, name);
    let target = resolve(facts, &server.settings, settings, &variables)?;
    let python = embedded::python(child)?;

    request.clear_content_type();
    let choices =
        Choices { pass_authorization: target.pass_authorization, map_head_to_get: *settings.map_head_to_get() };
    let environ = Environ::build(request, choices);
    let sendfile = OnOff::from(settings.enable_sendfile().is_on() && request.may_use_sendfile());
    let mut exchange = Exchange::new(request, sendfile);
    let script = Script { path: facts.script, target: &target, reloading: *settings.script_reloading() };
    let ending = python.run(&request, script, &environ, &mut exchange);
    Ok(exchange.finish(ending))
}

fn refuse(request: &Request<'_>, facts: &Facts<'_>, refusal: &Refusal) -> Verdict {
    log::request_event(request, &refusal.event(facts));
    if let Some(seconds) = refusal.retry_after() {
        request.error_headers_out().set(request.pool(), c"Retry-After", seconds.to_string().as_bytes());
    }
    Verdict::Status(refusal.status())
}
