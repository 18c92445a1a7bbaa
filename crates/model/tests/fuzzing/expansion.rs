// SPDX-License-Identifier: Apache-2.0
//! Names of groups: what `%{...}` stands for is what the specification says (configuration §3.2 and §3.3), but that an
//! unset or empty variable is refused, and that the port is never the client's.
//!
//! The lines of the input are: what is written, `ServerName`, the host asked for, the port (with `i` behind it when
//! capital letters do not count), the URL's path, the path info, and the value of every variable, if it is set.

use crate::subject::Subject;
use model::directive::value::OnOff;
use model::group::{Place, Unset, callable, collapse_slashes, expand, script_name};
use std::borrow::Cow;
use std::cell::RefCell;

/// Expands what is written in both ways.
pub fn check(input: &[u8], subject: Subject) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let written = String::from_utf8_lossy(line());
    let (server, host, port) = (line(), line(), String::from_utf8_lossy(line()));
    let case_sensitivity = if port.ends_with('i') { OnOff::Off } else { OnOff::On };
    let port = port.trim_end_matches('i').parse().unwrap_or(8080);
    let place = Place { server, host, port, uri: line(), path_info: line(), case_sensitivity };
    let value = lines.next();
    check_paths(&place);

    let asked = RefCell::new(Vec::new());
    let variables = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        value.map(<[u8]>::to_vec)
    };
    let found = match (subject, expand(&written, &place, &variables)) {
        // The bug: a variable inside a variable is expanded, too.
        (Subject::Planted, Ok(name)) if name.starts_with(b"%{ENV:") => Ok(Vec::new()),
        (_, found) => found,
    };
    assert_eq!(found, expected(&written, &place, value), "{written}");
    let variable = inside(&written);
    if let (Some(_), Ok(name)) = (variable, &found) {
        assert!(!name.is_empty() || value == Some(b"%{GLOBAL}") || server.is_empty(), "{written}");
    }
    let wanted: Vec<_> = variable.into_iter().collect();
    assert_eq!(*asked.borrow(), wanted, "the variables that were asked for");

    let called = callable(&written, &variables);
    let expected = match variable {
        Some(_) => value.unwrap_or(b"application"),
        None if written.starts_with('%') => b"application",
        None => written.as_bytes(),
    };
    assert_eq!(called, expected, "{written}");
}

/// The name of the variable, if that is all that is written.
fn inside(written: &str) -> Option<&str> {
    let long_enough = written.len() > "%{ENV:".len();
    (long_enough && written.starts_with("%{ENV:") && written.ends_with('}'))
        .then(|| &written["%{ENV:".len()..written.len() - 1])
}

fn expected(written: &str, place: &Place<'_>, value: Option<&[u8]>) -> Result<Vec<u8>, Unset> {
    let Some(name) = inside(written) else { return Ok(token(written.as_bytes(), place)) };
    match value {
        None | Some(b"") => Err(Unset(name.to_owned())),
        Some(value) if value.starts_with(b"%{ENV:") => Ok(value.to_vec()),
        Some(value) => Ok(token(value, place)),
    }
}

fn token(written: &[u8], place: &Place<'_>) -> Vec<u8> {
    let port = if [80, 443].contains(&place.port) { String::new() } else { format!(":{}", place.port) };
    let host = if place.host.is_empty() { place.server } else { place.host };
    match written {
        b"%{GLOBAL}" => Vec::new(),
        b"%{SERVER}" => [place.server, port.as_bytes()].concat(),
        b"%{HOST}" => [host, port.as_bytes()].concat(),
        b"%{RESOURCE}" => {
            let mut script = collapse_slashes(script_name(place.uri, place.path_info)).into_owned();
            if !place.case_sensitivity.is_on() {
                script.make_ascii_lowercase();
            }
            [place.server, port.as_bytes(), b"|", &script].concat()
        }
        literal => literal.to_vec(),
    }
}

/// The path of the script and the collapsing of slashes, which `%{RESOURCE}` is made of.
fn check_paths(place: &Place<'_>) {
    let Place { uri, path_info, .. } = *place;
    let script = script_name(uri, path_info);
    let rest = uri.strip_prefix(script).expect("the script is the beginning of the URL's path");
    assert!(rest.is_empty() || rest.starts_with(b"/"), "{} {}", uri.escape_ascii(), path_info.escape_ascii());
    if path_info.is_empty() || path_info.starts_with(b"/") {
        assert_eq!(script.len(), walked(uri, path_info), "{} {}", uri.escape_ascii(), path_info.escape_ascii());
    }

    let collapsed = collapse_slashes(uri);
    let mut expected = uri.to_vec();
    expected.dedup_by(|next, previous| *next == b'/' && *previous == b'/');
    assert_eq!(*collapsed, *expected);
    assert_eq!(matches!(collapsed, Cow::Borrowed(_)), *collapsed == *uri, "a path without runs is not copied");
}

/// The length of the script's path, by a walk from the right over both texts, in which a run of slashes of the URL is
/// one, and which then extends forward to the next slash.
fn walked(uri: &[u8], path_info: &[u8]) -> usize {
    if path_info.is_empty() {
        return uri.len();
    }
    let (mut at, mut left) = (uri.len(), path_info.len());
    while at > 0 {
        at -= 1;
        if left == 0 || uri[at] != path_info[left - 1] {
            break;
        }
        left -= 1;
        while path_info[left] == b'/' && at > 0 && uri[at - 1] == b'/' {
            at -= 1;
        }
    }
    at + uri[at..].iter().take_while(|byte| **byte != b'/').count()
}
