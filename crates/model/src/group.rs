// SPDX-License-Identifier: Apache-2.0
//! Names of groups and callables: what `%{...}` stands for in a request (configuration §3).

use crate::directive::value::OnOff;
use std::borrow::Cow;

/// What group names are made from.
#[derive(Debug, Clone, Copy)]
pub struct Place<'r> {
    /// `ServerName` of the virtual host.
    pub server: &'r [u8],
    /// The host name that was asked for; empty when the client named none.
    pub host: &'r [u8],
    /// The port of `ServerName` when given, else of the listener; never the client's.
    pub port: u16,
    /// The decoded URL path.
    pub uri: &'r [u8],
    /// What follows the script in it.
    pub path_info: &'r [u8],
    /// `WSGICaseSensitivity`
    pub case_sensitivity: OnOff,
}

/// Looks a variable up: request notes, then the request's environment, then httpd's.
pub type Variables<'r> = dyn Fn(&str) -> Option<Vec<u8>> + 'r;

/// A name that could not be given, with the variable that is unset or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset(pub String);

/// The group without a name: embedded mode, the main interpreter.
pub const GLOBAL: &str = "%{GLOBAL}";
/// The application group of each application alone.
pub const RESOURCE: &str = "%{RESOURCE}";

/// The name that a process group or application group has in a request.
pub fn expand(written: &str, place: &Place<'_>, variables: &Variables<'_>) -> Result<Vec<u8>, Unset> {
    let Some(name) = variable(written) else { return Ok(token(written, place)) };
    let value = variables(name).filter(|value| !value.is_empty()).ok_or_else(|| Unset(name.to_owned()))?;
    Ok(match std::str::from_utf8(&value) {
        Ok(text) if variable(text).is_none() => token(text, place),
        _ => value,
    })
}

/// The callable that `written` names; an unset variable and other forms with `%{` give `application`.
#[must_use]
pub fn callable(written: &str, variables: &Variables<'_>) -> Vec<u8> {
    const DEFAULT: &[u8] = b"application";
    if !written.starts_with('%') {
        return written.as_bytes().to_vec();
    }
    variable(written).and_then(variables).unwrap_or_else(|| DEFAULT.to_vec())
}

/// The name inside `%{ENV:name}`.
fn variable(written: &str) -> Option<&str> {
    written.strip_prefix("%{ENV:")?.strip_suffix('}')
}

fn token(written: &str, place: &Place<'_>) -> Vec<u8> {
    match written {
        GLOBAL => Vec::new(),
        "%{SERVER}" => with_port(place.server, place.port),
        "%{HOST}" => with_port(if place.host.is_empty() { place.server } else { place.host }, place.port),
        RESOURCE => resource(place),
        literal => literal.as_bytes().to_vec(),
    }
}

fn resource(place: &Place<'_>) -> Vec<u8> {
    let mut name = with_port(place.server, place.port);
    name.push(b'|');
    let script = collapse_slashes(script_name(place.uri, place.path_info));
    if place.case_sensitivity.is_on() {
        name.extend_from_slice(&script);
    } else {
        name.extend(script.to_ascii_lowercase());
    }
    name
}

fn with_port(host: &[u8], port: u16) -> Vec<u8> {
    let mut name = Vec::with_capacity(host.len() + 40);
    name.extend_from_slice(host);
    if !matches!(port, 80 | 443) {
        name.extend_from_slice(format!(":{port}").as_bytes());
    }
    name
}

/// The part of `uri` before `path_info`, in which runs of slashes may have been collapsed.
#[must_use]
pub fn script_name<'r>(uri: &'r [u8], path_info: &[u8]) -> &'r [u8] {
    let mut end = uri.len();
    for &byte in path_info.iter().rev() {
        match uri.get(..end).and_then(<[u8]>::split_last) {
            Some((&last, before)) if last == byte => {
                end = before.len();
                if byte == b'/' {
                    end = uri.get(..end).map_or(0, |rest| rest.trim_ascii_end_slashes());
                }
            }
            Some((_, before)) => {
                // The byte that differs is passed over, and the rest of its segment with it unless it is a slash.
                end = before.len();
                break;
            }
            None => break,
        }
    }
    let rest = uri.get(end..).unwrap_or_default();
    let to_slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    uri.get(..end + to_slash).unwrap_or(uri)
}

trait TrimSlashes {
    fn trim_ascii_end_slashes(&self) -> usize;
}

impl TrimSlashes for [u8] {
    /// The length without the slashes at the end.
    fn trim_ascii_end_slashes(&self) -> usize {
        self.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)
    }
}

/// Replaces each run of slashes by one.
#[must_use]
pub fn collapse_slashes(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(text);
    }
    let mut collapsed = Vec::with_capacity(text.len());
    for &byte in text {
        if byte != b'/' || collapsed.last() != Some(&b'/') {
            collapsed.push(byte);
        }
    }
    Cow::Owned(collapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place<'static> {
        Place {
            server: b"www.example.com",
            host: b"alias.example.com",
            port: 8080,
            uri: b"/a//B/c",
            path_info: b"/c",
            case_sensitivity: OnOff::On,
        }
    }

    fn group(written: &str) -> Result<String, Unset> {
        let variables = |name: &str| match name {
            "NAME" => Some(b"named".to_vec()),
            "TOKEN" => Some(b"%{GLOBAL}".to_vec()),
            "AGAIN" => Some(b"%{ENV:NAME}".to_vec()),
            "EMPTY" => Some(Vec::new()),
            _ => None,
        };
        expand(written, &place(), &variables).map(|name| String::from_utf8(name).expect("text"))
    }

    #[test]
    fn tokens_stand_for_what_the_manual_says() {
        assert_eq!(group("%{GLOBAL}"), Ok(String::new()));
        assert_eq!(group("%{SERVER}"), Ok("www.example.com:8080".into()));
        assert_eq!(group("%{HOST}"), Ok("alias.example.com:8080".into()));
        assert_eq!(group("%{RESOURCE}"), Ok("www.example.com:8080|/a/B".into()));
        assert_eq!(group("%{OTHER}"), Ok("%{OTHER}".into()));
        assert_eq!(group("plain"), Ok("plain".into()));
        let place = Place { case_sensitivity: OnOff::Off, ..place() };
        assert_eq!(expand(RESOURCE, &place, &|_| None), Ok(b"www.example.com:8080|/a/b".to_vec()));
    }

    #[test]
    fn standard_ports_are_left_out() {
        for port in [80, 443] {
            let place = Place { port, ..place() };
            assert_eq!(expand("%{SERVER}", &place, &|_| None), Ok(b"www.example.com".to_vec()));
        }
    }

    #[test]
    fn a_variable_is_expanded_once_and_must_be_set() {
        assert_eq!(group("%{ENV:NAME}"), Ok("named".into()));
        assert_eq!(group("%{ENV:TOKEN}"), Ok(String::new()));
        assert_eq!(group("%{ENV:AGAIN}"), Ok("%{ENV:NAME}".into()));
        assert_eq!(group("%{ENV:EMPTY}"), Err(Unset("EMPTY".into())));
        assert_eq!(group("%{ENV:NOPE}"), Err(Unset("NOPE".into())));
        assert_eq!(group("%{ENV:NAME}x"), Ok("%{ENV:NAME}x".into()));
    }

    #[test]
    fn a_callable_is_named_literally_or_by_a_variable() {
        let variables = |name: &str| (name == "C").then(|| b"main".to_vec());
        assert_eq!(callable("app.py", &variables), b"app.py");
        assert_eq!(callable("%{ENV:C}", &variables), b"main");
        assert_eq!(callable("%{ENV:D}", &variables), b"application");
        assert_eq!(callable("%{GLOBAL}", &variables), b"application");
        assert_eq!(callable("%", &variables), b"application");
    }

    #[test]
    fn the_script_name_is_what_precedes_the_path_info() {
        assert_eq!(script_name(b"/x/y", b"/y"), b"/x");
        assert_eq!(script_name(b"/x", b""), b"/x");
        assert_eq!(script_name(b"/foo/bar", b"/foo/bar"), b"");
        assert_eq!(script_name(b"/x//y///z", b"/y/z"), b"/x");
        assert_eq!(script_name(b"/", b"/"), b"");
        assert_eq!(script_name(b"/abc", b"c"), b"/abc");
        assert_eq!(script_name(b"/p/ab", b"/envab"), b"/p");
        assert_eq!(script_name(b"/p/xab", b"/ab"), b"/p/xab");
    }

    #[test]
    fn runs_of_slashes_collapse() {
        assert_eq!(collapse_slashes(b"//a///b/"), Cow::Borrowed(&b"/a/b/"[..]));
        assert!(matches!(collapse_slashes(b"/a/b"), Cow::Borrowed(_)));
    }
}
