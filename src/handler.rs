// SPDX-License-Identifier: Apache-2.0
//! The story of a request: facts → resolve → environ → Python → answer. Refusals become one event and one status here.

#![forbid(unsafe_code)]

use crate::alias;
use crate::apache::client::Slowness;
use crate::apache::log;
use crate::apache::process::Child;
use crate::apache::request::{Request, Verdict};
use crate::config::{ServerConfig, directory_settings};
use crate::daemon::{self, Channel};
use crate::embedded::{self, Python, Script};
use crate::environ::{self, Environ};
use crate::exchange::{Choices, Exchange};
use crate::facts;
use model::directive::value::OnOff;
use model::event::Event;
use model::proxy::Trust;
use model::resolve::{Facts, Refusal, Route, Rules, Target, resolve};
use model::script::HookScript;
use model::settings::DirectorySettings;
use std::sync::Arc;

/// Handles a request whose handler is one of ours; others are declined before anything else is looked at.
pub fn handle(child: Child, request: Request<'_>) -> Verdict {
    let directory = directory_settings(&request);
    match facts::route(&request, directory) {
        Some(route) => answer(child, request, route, directory),
        None => Verdict::Declined,
    }
}

/// Handles a request that an alias sent to a script but that another handler's name keeps from us, if that handler did
/// not take it: httpd would serve the script's source.
pub fn rescue(child: Child, mut request: Request<'_>) -> Verdict {
    match alias::in_force(&request) {
        Some(alias) => {
            request.set_handler(c"wsgi-script");
            answer(child, request, Route::Alias(alias), directory_settings(&request))
        }
        None => Verdict::Declined,
    }
}

fn answer<'r>(
    child: Child,
    request: Request<'r>,
    route: Route<'r>,
    directory: Option<&'r DirectorySettings>,
) -> Verdict {
    embedded::panic_for_a_test(&request);
    let Some(config) = request.server().and_then(|server| ServerConfig::of(&server)) else { return Verdict::Declined };
    let silent = DirectorySettings::default();
    let directory = directory.unwrap_or(&silent);
    let facts = facts::read(&request, route, config);
    let rules = Rules { global: &config.written.settings, directory, groups: &config.groups };
    serve(child, request, &facts, rules).unwrap_or_else(|refusal| refuse(&request, &facts, &refusal))
}

fn serve(child: Child, mut request: Request<'_>, facts: &Facts<'_>, rules: Rules<'_>) -> Result<Verdict, Refusal> {
    let variables = |name: &str| facts::variable(&request, name);
    let target = resolve(facts, rules, &variables)?;
    let runner = runner(child, &target)?;

    request.clear_content_type();
    let choices = environ::Choices {
        pass_authorization: target.pass_authorization,
        map_head_to_get: *rules.directory.map_head_to_get(),
        proxies: Trust::of(rules.directory),
    };
    let environ = Environ::build(request, choices, facts, &target);
    let sendfile = OnOff::from(rules.directory.enable_sendfile().is_on() && request.may_use_sendfile());
    let slowness = match &runner {
        Runner::Child(_) => Slowness::default(),
        Runner::Group(channel) => channel.slowness,
    };
    let error_override = *rules.directory.error_override();
    let mut exchange = Exchange::new(request, Choices { sendfile, error_override, slowness });
    let script = Script {
        target: &target,
        reloading: *rules.directory.script_reloading(),
        shows_record: *rules.directory.pass_apache_request(),
        ignore_activity: *rules.directory.ignore_activity(),
    };
    let outcome = match &runner {
        Runner::Child(python) => python.run(&request, script, &environ, &mut exchange),
        Runner::Group(channel) => daemon::run(channel, request, script, &environ, &mut exchange)?,
    };
    Ok(exchange.finish(outcome))
}

/// Who runs the application.
enum Runner {
    /// This process.
    Child(Python),
    /// The processes of a group.
    Group(Arc<Channel>),
}

fn runner(child: Child, target: &Target<'_>) -> Result<Runner, Refusal> {
    let process_group = String::from_utf8_lossy(&target.process_group).into_owned();
    match daemon::channel(&process_group) {
        Some(channel) => Ok(Runner::Group(channel)),
        None if process_group.is_empty() => embedded::python(child).map(Runner::Child),
        None => Err(Refusal::GroupUnavailable { process_group, reason: "its processes were not started".to_owned() }),
    }
}

/// Refuses requests whose access a script should decide: access scripts do not run yet, and nobody comes in unasked.
pub fn check_access(request: Request<'_>) -> Verdict {
    let Some(directory) = directory_settings(&request) else { return Verdict::Declined };
    match directory.access_script() {
        Some(script) => {
            refuse_hook(&request, "WSGIAccessScript", Some(script));
            Verdict::Status(500)
        }
        None => Verdict::Declined,
    }
}

/// Says why a user's password is not checked: such scripts do not run yet, and nobody comes in unasked.
pub fn refuse_user(request: &Request<'_>) {
    let script = directory_settings(request).and_then(|directory| directory.auth_user_script().as_ref());
    refuse_hook(request, "WSGIAuthUserScript", script);
}

/// Says why a user's groups are not looked up.
pub fn refuse_group(request: &Request<'_>) {
    let script = directory_settings(request).and_then(|directory| directory.auth_group_script().as_ref());
    refuse_hook(request, "WSGIAuthGroupScript", script);
}

fn refuse_hook(request: &Request<'_>, directive: &str, script: Option<&HookScript>) {
    let script = script.map_or_else(|| "(not set)".to_owned(), |script| script.path.clone());
    log::request_event(request, &Event::HookScriptMissing { directive: directive.to_owned(), script });
}

fn refuse(request: &Request<'_>, facts: &Facts<'_>, refusal: &Refusal) -> Verdict {
    log::request_event(request, &refusal.event(facts));
    if let Some(seconds) = refusal.retry_after() {
        request.error_headers_out().set(request.pool(), c"Retry-After", seconds.to_string().as_bytes());
    }
    Verdict::Status(refusal.status())
}
