// SPDX-License-Identifier: Apache-2.0
//! Where a request goes, or why it is refused: facts of the request and settings in, target or refusal out.

use crate::alias::Alias;
use crate::directive::value::OnOff;
use crate::event::Event;
use crate::group::{self, Place, Unset, Variables};
use crate::response::parse_length;
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

/// What counts for the decision, read from the request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
    /// The alias that led to the script, if its handler is still in force.
    pub alias: Option<&'r Alias>,
    /// `Options ExecCGI`
    pub execution: OnOff,
    /// `AcceptPathInfo`, as it applies to scripts.
    pub path_info_accepted: OnOff,
    /// The script's path.
    pub script: &'r [u8],
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
pub struct Target {
    /// The interpreter's name; empty for the main interpreter.
    pub application_group: Vec<u8>,
    /// The global to call.
    pub callable: Vec<u8>,
    /// Whether the application gets the `Authorization` header.
    pub pass_authorization: OnOff,
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
    #[error("daemon mode missing")]
    DaemonModeMissing(String),
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
            Self::ExecutionForbidden | Self::ScriptIsDirectory => 403,
            Self::ScriptMissing | Self::PathInfoRefused => 404,
            Self::TransferEncodingUnknown => 501,
            Self::ChunkedRefused => 411,
            Self::ContentLengthInvalid => 400,
            Self::BodyTooLarge => 413,
            Self::EmbeddedRestricted
            | Self::VariableUnset { .. }
            | Self::DaemonModeMissing(_)
            | Self::PythonUnavailable => 500,
            Self::PythonStarting { .. } => 503,
        }
    }

    /// After how many seconds the client may try again.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        matches!(self, Self::PythonStarting { .. }).then_some(5)
    }

    /// What is logged.
    #[must_use]
    pub fn event(&self, facts: &Facts<'_>) -> Event {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let script = text(facts.script);
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
            Self::DaemonModeMissing(process_group) => Event::DaemonModeMissing { process_group: process_group.clone() },
            Self::PythonUnavailable => Event::PythonUnavailable { script },
            Self::PythonStarting { seconds } => Event::PythonStarting { script, seconds: *seconds },
        }
    }
}

/// Decides about a request for a WSGI script. The checks are in the reference's order; the first that fails counts.
pub fn resolve(
    facts: &Facts<'_>,
    server: &ServerSettings,
    directory: &DirectorySettings,
    variables: &Variables<'_>,
) -> Result<Target, Refusal> {
    admit_script(facts)?;
    admit_body(facts, *directory.chunked_request())?;
    let option = |pick: fn(&Alias) -> Option<&String>| facts.alias.and_then(pick).map(String::as_str);
    if let Some(name) = option(|alias| alias.process_group.as_ref()).filter(|name| !name.is_empty()) {
        return Err(Refusal::DaemonModeMissing(name.to_owned()));
    }
    if server.restrict_embedded().is_on() {
        return Err(Refusal::EmbeddedRestricted);
    }
    let group = match option(|alias| alias.application_group.as_ref()) {
        Some("") => Some("%{GLOBAL}"),
        Some(name) => Some(name),
        None => directory.application_group().as_ref().map(|name| name.0.as_str()),
    };
    let application_group = group::application_group(group, &facts.place, variables)
        .map_err(|Unset(variable)| Refusal::VariableUnset { directive: "WSGIApplicationGroup", variable })?;
    let callable = match option(|alias| alias.callable_object.as_ref()) {
        Some(name) => name.as_bytes().to_vec(),
        None => group::callable(directory.callable_object().as_ref().map(|name| name.0.as_str()), variables),
    };
    let pass_authorization =
        facts.alias.and_then(|alias| alias.pass_authorization).unwrap_or(*directory.pass_authorization());
    Ok(Target { application_group, callable, pass_authorization })
}

fn admit_script(facts: &Facts<'_>) -> Result<(), Refusal> {
    if facts.alias.is_none() && !facts.execution.is_on() {
        return Err(Refusal::ExecutionForbidden);
    }
    match facts.file {
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
