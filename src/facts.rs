// SPDX-License-Identifier: Apache-2.0
//! What the resolver needs to know of a request, read from httpd's record.

#![forbid(unsafe_code)]

use crate::alias;
use crate::apache::request::Request;
use crate::config::ServerConfig;
use model::directive::value::OnOff;
use model::group::Place;
use model::resolve::{Facts, HANDLERS, Route};
use model::settings::DirectorySettings;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// What led to the request's handler, if that is one of ours. Asked for every request of the server, so it looks at the
/// handler's name first.
pub fn route<'r>(request: &Request<'r>, directory: Option<&'r DirectorySettings>) -> Option<Route<'r>> {
    let handler = request.handler()?;
    if HANDLERS.iter().any(|ours| ours.as_bytes() == handler) {
        return Some(alias::in_force(request).map_or(Route::File, Route::Alias));
    }
    let scripts = &directory?.handler_scripts.as_ref()?.value.0;
    scripts.get(std::str::from_utf8(handler).ok()?).map(Route::Handler)
}

/// Reads the facts of `request`.
pub fn read<'r>(request: &Request<'r>, route: Route<'r>, config: &ServerConfig) -> Facts<'r> {
    let server = request.server();
    let headers = request.headers();
    Facts {
        route,
        execution: request.may_execute().into(),
        path_info_accepted: OnOff::from(!request.refuses_path_info()),
        file_name: request.file_name(),
        file: request.file_kind(),
        place: Place {
            server: server.map_or(&[], |server| server.name()),
            host: request.host(),
            port: server.and_then(|server| server.port()).unwrap_or_else(|| request.local_port()),
            uri: request.uri(),
            path_info: request.path_info(),
            case_sensitivity: *config.written.settings.case_sensitivity(),
        },
        transfer_encoding: headers.find(c"Transfer-Encoding"),
        content_length: headers.find(c"Content-Length"),
        body_limit: request.body_limit(),
    }
}

/// Looks a variable up as `%{ENV:name}` does: the request's notes, its environment, then httpd's.
pub fn variable(request: &Request<'_>, name: &str) -> Option<Vec<u8>> {
    let key = CString::new(name).ok()?;
    let own = request.notes().find(&key).or_else(|| request.environment().find(&key)).map(<[u8]>::to_vec);
    own.or_else(|| std::env::var_os(name).map(|value| value.as_bytes().to_vec()))
}
