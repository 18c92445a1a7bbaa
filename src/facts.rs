// SPDX-License-Identifier: Apache-2.0
//! What the resolver needs to know of a request, read from httpd's record.

#![forbid(unsafe_code)]

use crate::apache::request::Request;
use crate::{alias, ffi};
use model::directive::value::OnOff;
use model::group::Place;
use model::resolve::{Facts, FileKind};
use std::os::unix::ffi::OsStrExt;

/// Reads the facts of `request`.
pub fn read<'r>(request: &Request<'r>) -> Facts<'r> {
    let server = request.server();
    let headers = request.headers();
    Facts {
        alias: alias::in_force(request),
        execution: request.may_execute().into(),
        path_info_accepted: OnOff::from(request.path_info_rule() != ffi::AP_REQ_REJECT_PATH_INFO),
        script: request.file_name(),
        file: match request.file_type() {
            ffi::APR_NOFILE => FileKind::Missing,
            ffi::APR_DIR => FileKind::Directory,
            _ => FileKind::File,
        },
        place: Place {
            server: server.map_or(&[], |server| server.name()),
            host: request.host(),
            port: server.and_then(|server| server.port()).unwrap_or_else(|| request.local_port()),
            uri: request.uri(),
            path_info: request.path_info(),
        },
        transfer_encoding: headers.find("Transfer-Encoding"),
        content_length: headers.find("Content-Length"),
        body_limit: request.body_limit(),
    }
}

/// Looks a variable up as `%{ENV:name}` does: the request's notes, its environment, then httpd's.
pub fn variable(request: &Request<'_>, name: &str) -> Option<Vec<u8>> {
    let own = request.notes().find(name).or_else(|| request.environment().find(name)).map(<[u8]>::to_vec);
    own.or_else(|| std::env::var_os(name).map(|value| value.as_bytes().to_vec()))
}
