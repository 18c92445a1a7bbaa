// SPDX-License-Identifier: Apache-2.0
//! Where a request goes, or why it is refused: facts of the request and settings in, target or refusal out.

use crate::alias::{Alias, AliasOptions};
use crate::daemon::{Registry, Unselectable};
use crate::directive::value::{GroupName, OnOff};
use crate::event::Event;
use crate::group::{self, Place, Unset, Variables};
use crate::response::parse_length;
use crate::script::HandlerScript;
use crate::settings::{DirectorySettings, ServerSettings};
use thiserror::Error;

/// The handler names of WSGI scripts.
pub const HANDLERS: [&str; 2] = ["wsgi-script", "application/x-httpd-wsgi"];

/// What the script's path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing, or it cannot be examined.
    Missing,
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// Which directive or option led to the script.
#[derive(Debug, Clone, Copy)]
pub enum Route<'r> {
    /// The handler of the file alone.
    File,
    /// An alias, whose handler is still in force.
    Alias(&'r Alias),
    /// The name of a `WSGIHandlerScript`.
    Handler(&'r HandlerScript),
}

/// What counts for the decision, read from the request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
    /// What led here.
    pub route: Route<'r>,
    /// `Options ExecCGI`
    pub execution: OnOff,
    /// `AcceptPathInfo`, as it applies to scripts.
    pub path_info_accepted: OnOff,
    /// The file that the URL leads to: the script itself, unless a handler script answers for it.
    pub file_name: &'r [u8],
    /// What that path leads to.
    pub file: FileKind,
    /// What group names are made from.
    pub place: Place<'r>,
    /// The `Transfer-Encoding` header.
    pub transfer_encoding: Option<&'r [u8]>,
    /// The `Content-Length` header.
    pub content_length: Option<&'r [u8]>,
    /// `LimitRequestBody`; 0 is no limit.
    pub body_limit: u64,
}

/// What is to run, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'r> {
    /// The process group; empty for embedded mode.
    pub process_group: Vec<u8>,
    /// The interpreter's name; empty for the main interpreter.
    pub application_group: Vec<u8>,
    /// The global to call.
    pub callable: Vec<u8>,
    /// The script's path.
    pub script: &'r [u8],
    /// Whether the application gets the `Authorization` header.
    pub pass_authorization: OnOff,
}

/// The settings that a request's target depends on.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// Of the main server.
    pub global: &'r ServerSettings,
    /// Of the sections that apply.
    pub directory: &'r DirectorySettings,
    /// All process groups.
    pub groups: &'r Registry,
}

/// Why a request is not run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "each variant is the event of the same name")]
pub enum Refusal {
    #[error("execution forbidden")]
    ExecutionForbidden,
    #[error("script missing")]
    ScriptMissing,
    #[error("script is a directory")]
    ScriptIsDirectory,
    #[error("path info refused")]
    PathInfoRefused,
    #[error("unknown transfer encoding")]
    TransferEncodingUnknown,
    #[error("chunked body refused")]
    ChunkedRefused,
    #[error("invalid content length")]
    ContentLengthInvalid,
    #[error("body too large")]
    BodyTooLarge,
    #[error("embedded mode restricted")]
    EmbeddedRestricted,
    #[error("variable unset")]
    VariableUnset { directive: &'static str, variable: String },
    #[error("process group unknown")]
    GroupUnknown(String),
    #[error("process group of another virtual host")]
    GroupNotVisible(String),
    #[error("process group not permitted")]
    GroupRestricted(String),
    #[error("dispatch script cannot run yet")]
    DispatchMissing(String),
    #[error("script of the wrong owner")]
    ScriptOwner { process_group: String, problem: String },
    #[error("script outside of the root")]
    OutsideRoot { process_group: String, root: String },
    #[error("process group unavailable")]
    GroupUnavailable { process_group: String, reason: String },
    #[error("process group busy")]
    GroupBusy { process_group: String, reason: String },
    #[error("process group busy for too long")]
    GroupOverdue { process_group: String, reason: String },
    #[error("python unavailable")]
    PythonUnavailable,
    #[error("python starting")]
    PythonStarting { seconds: u64 },
}

impl Refusal {
    /// The HTTP status that the client gets.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::ExecutionForbidden
            | Self::ScriptIsDirectory
            | Self::GroupRestricted(_)
            | Self::ScriptOwner { .. } => 403,
            Self::ScriptMissing | Self::PathInfoRefused => 404,
            Self::TransferEncodingUnknown => 501,
            Self::ChunkedRefused => 411,
            Self::ContentLengthInvalid => 400,
            Self::BodyTooLarge => 413,
            Self::EmbeddedRestricted
            | Self::VariableUnset { .. }
            | Self::GroupUnknown(_)
            | Self::GroupNotVisible(_)
            | Self::DispatchMissing(_)
            | Self::OutsideRoot { .. }
            | Self::PythonUnavailable => 500,
            Self::PythonStarting { .. } | Self::GroupUnavailable { .. } | Self::GroupBusy { .. } => 503,
            Self::GroupOverdue { .. } => 504,
        }
    }

    /// After how many seconds the client may try again.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        (self.status() == 503).then_some(5)
    }

    /// What is logged.
    #[must_use]
    pub fn event(&self, facts: &Facts<'_>) -> Event {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let script = match facts.route {
            Route::Handler(handler) => handler.path.clone(),
            Route::Alias(_) | Route::File => text(facts.file_name),
        };
        let server = text(facts.place.server);
        match self {
            Self::ExecutionForbidden => Event::ExecutionForbidden { script },
            Self::ScriptMissing => Event::ScriptMissing { script },
            Self::ScriptIsDirectory => Event::ScriptIsDirectory { script },
            Self::PathInfoRefused => Event::PathInfoRefused { script, path_info: text(facts.place.path_info) },
            Self::TransferEncodingUnknown => {
                Event::TransferEncodingUnknown { encoding: text(facts.transfer_encoding.unwrap_or_default()) }
            }
            Self::ChunkedRefused => Event::ChunkedRefused { script },
            Self::ContentLengthInvalid => {
                Event::ContentLengthInvalid { value: text(facts.content_length.unwrap_or_default()) }
            }
            Self::BodyTooLarge => Event::BodyTooLarge { script },
            Self::EmbeddedRestricted => Event::EmbeddedRestricted { script },
            Self::VariableUnset { directive, variable } => {
                Event::VariableUnset { directive: (*directive).to_owned(), variable: variable.clone() }
            }
            Self::GroupUnknown(group) => Event::GroupUnknown { process_group: group.clone(), script },
            Self::GroupNotVisible(group) => Event::GroupNotVisible { process_group: group.clone(), server, script },
            Self::GroupRestricted(group) => Event::GroupRestricted { process_group: group.clone(), script },
            Self::DispatchMissing(hook) => Event::DispatchMissing { hook: hook.clone(), script },
            Self::ScriptOwner { process_group, problem } => {
                Event::ScriptOwner { process_group: process_group.clone(), problem: problem.clone() }
            }
            Self::OutsideRoot { process_group, root } => {
                Event::ScriptOutsideRoot { process_group: process_group.clone(), script, root: root.clone() }
            }
            Self::GroupUnavailable { process_group, reason } => {
                Event::GroupUnavailable { process_group: process_group.clone(), script, reason: reason.clone() }
            }
            Self::GroupBusy { process_group, reason } => {
                Event::GroupBusy { process_group: process_group.clone(), script, reason: reason.clone() }
            }
            Self::GroupOverdue { process_group, reason } => {
                Event::GroupOverdue { process_group: process_group.clone(), script, reason: reason.clone() }
            }
            Self::PythonUnavailable => Event::PythonUnavailable { script },
            Self::PythonStarting { seconds } => Event::PythonStarting { script, seconds: *seconds },
        }
    }
}

/// The function that a handler script must have.
const HANDLER_CALLABLE: &[u8] = b"handle_request";

/// Decides about a request for a WSGI script. The checks are in the reference's order; the first that fails counts.
pub fn resolve<'r>(facts: &Facts<'r>, rules: Rules<'r>, variables: &Variables<'_>) -> Result<Target<'r>, Refusal> {
    admit_script(facts)?;
    admit_body(facts, *rules.directory.chunked_request())?;
    if let Some(hook) = rules.directory.dispatch_script() {
        return Err(Refusal::DispatchMissing(hook.path.clone()));
    }
    let target = choose(facts, rules.directory, variables)?;
    admit_group(&target.process_group, facts, rules)?;
    Ok(target)
}

/// The groups, the callable and the script, as the settings say.
fn choose<'r>(
    facts: &Facts<'r>,
    directory: &DirectorySettings,
    variables: &Variables<'_>,
) -> Result<Target<'r>, Refusal> {
    let (process_group, application_group, pass_authorization) = match facts.route {
        Route::File => (None, None, None),
        Route::Alias(Alias { options, .. }) => {
            (options.process_group.as_ref(), options.application_group.as_ref(), options.pass_authorization)
        }
        Route::Handler(HandlerScript { options, .. }) => {
            (options.process_group.as_ref(), options.application_group.as_ref(), options.pass_authorization)
        }
    };
    let expand = |option: Option<&GroupName>, setting: &GroupName, directive| {
        group::expand(&option.unwrap_or(setting).0, &facts.place, variables)
            .map_err(|Unset(variable)| Refusal::VariableUnset { directive, variable })
    };
    let (callable, script) = match facts.route {
        Route::Handler(handler) => (HANDLER_CALLABLE.to_vec(), handler.path.as_bytes()),
        Route::Alias(Alias { options: AliasOptions { callable_object: Some(name), .. }, .. }) => {
            (name.0.as_bytes().to_vec(), facts.file_name)
        }
        Route::Alias(_) | Route::File => (group::callable(&directory.callable_object().0, variables), facts.file_name),
    };
    Ok(Target {
        process_group: expand(process_group, directory.process_group(), "WSGIProcessGroup")?,
        application_group: expand(application_group, directory.application_group(), "WSGIApplicationGroup")?,
        callable,
        script,
        pass_authorization: pass_authorization.unwrap_or(*directory.pass_authorization()),
    })
}

/// Whether the process group may be used here, and exists.
fn admit_group(name: &[u8], facts: &Facts<'_>, rules: Rules<'_>) -> Result<(), Refusal> {
    let text = || String::from_utf8_lossy(name).into_owned();
    let permitted = rules.directory.restrict_process().as_ref();
    if permitted.is_some_and(|permitted| !permitted.0.iter().any(|one| one.name().as_bytes() == name)) {
        return Err(Refusal::GroupRestricted(text()));
    }
    if name.is_empty() {
        return if rules.global.restrict_embedded().is_on() { Err(Refusal::EmbeddedRestricted) } else { Ok(()) };
    }
    match rules.groups.select(name, facts.place.server) {
        Ok(_) => Ok(()),
        Err(Unselectable::Unknown) => Err(Refusal::GroupUnknown(text())),
        Err(Unselectable::Hidden) => Err(Refusal::GroupNotVisible(text())),
    }
}

fn admit_script(facts: &Facts<'_>) -> Result<(), Refusal> {
    let handled = matches!(facts.route, Route::Handler(_));
    if matches!(facts.route, Route::File) && !facts.execution.is_on() {
        return Err(Refusal::ExecutionForbidden);
    }
    match facts.file {
        _ if handled => {}
        FileKind::Missing => return Err(Refusal::ScriptMissing),
        FileKind::Directory => return Err(Refusal::ScriptIsDirectory),
        FileKind::File => {}
    }
    if !facts.path_info_accepted.is_on() && !facts.place.path_info.is_empty() {
        return Err(Refusal::PathInfoRefused);
    }
    Ok(())
}

fn admit_body(facts: &Facts<'_>, chunked: OnOff) -> Result<(), Refusal> {
    if let Some(encoding) = facts.transfer_encoding {
        if !encoding.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::TransferEncodingUnknown);
        }
        if !chunked.is_on() {
            return Err(Refusal::ChunkedRefused);
        }
    }
    if let Some(length) = facts.content_length {
        let length = parse_length(length).ok_or(Refusal::ContentLengthInvalid)?;
        if facts.body_limit != 0 && length > facts.body_limit {
            return Err(Refusal::BodyTooLarge);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
