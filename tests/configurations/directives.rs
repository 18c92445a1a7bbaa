// SPDX-License-Identifier: Apache-2.0
//! Every directive, and the arguments that it is tried with: good ones, bad ones and those at the edge.

use crate::arguments::*;
use crate::cases::{Age, Case, Place};
use Age::{Old, Since6};
use Place::{Directory, Server};

/// A directive and its arguments; the first arguments are good.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    place: Place,
    /// Which releases know it.
    pub age: Age,
    arguments: &'static [&'static str],
    more: &'static [&'static str],
}

const fn row(name: &'static str, place: Place, age: Age, arguments: &'static [&'static str]) -> Row {
    Row { name, place, age, arguments, more: &[] }
}

/// All directives, in the order of the manual.
pub const TABLE: &[Row] = &[
    row("WSGIScriptAlias", Server, Old, ALIASES),
    row("WSGIScriptAliasMatch", Server, Old, MATCHES),
    row("WSGIImportScript", Server, Old, IMPORTS),
    row("WSGIHandlerScript", Server, Old, HANDLERS),
    row("WSGIDispatchScript", Server, Old, SCRIPTS),
    row("WSGIProcessGroup", Server, Old, NAMES),
    row("WSGIApplicationGroup", Server, Old, NAMES),
    row("WSGICallableObject", Server, Old, NAMES),
    row("WSGIRestrictProcess", Server, Old, RESTRICT),
    row("WSGIRestrictEmbedded", Server, Old, FLAGS),
    row("WSGIDaemonProcess", Server, Old, &["other"]),
    row("WSGISocketPrefix", Server, Old, PATHS),
    Row { more: MORE_FLAGS, ..row("WSGISocketRotation", Server, Old, FLAGS) },
    row("WSGIAcceptMutex", Server, Old, MUTEXES),
    row("WSGIPythonHome", Server, Old, PATHS),
    row("WSGIPythonPath", Server, Old, PATHS),
    row("WSGIPythonEggs", Server, Old, PATHS),
    row("WSGIPythonOptimize", Server, Old, INTEGERS),
    row("WSGIPythonWarnings", Server, Old, NAMES),
    row("WSGIPythonHashSeed", Server, Old, SEEDS),
    row("WSGIDontWriteBytecode", Server, Old, FLAGS),
    row("WSGIDestroyInterpreter", Server, Old, FLAGS),
    row("WSGISwitchInterval", Server, Since6, SECONDS),
    row("WSGIPerInterpreterGIL", Server, Since6, FLAGS),
    row("WSGIFreeThreading", Server, Since6, FLAGS),
    row("WSGIRestrictStdin", Server, Old, FLAGS),
    row("WSGIRestrictStdout", Server, Old, FLAGS),
    row("WSGIRestrictSignal", Server, Old, FLAGS),
    row("WSGICaseSensitivity", Server, Old, FLAGS),
    Row { more: MORE_FLAGS, ..row("WSGIScriptReloading", Server, Old, FLAGS) },
    row("WSGIPassAuthorization", Server, Old, FLAGS),
    row("WSGIPassApacheRequest", Server, Old, FLAGS),
    row("WSGIErrorOverride", Server, Old, FLAGS),
    row("WSGIChunkedRequest", Server, Old, FLAGS),
    Row { more: MORE_FLAGS, ..row("WSGIMapHEADToGET", Server, Old, FLAGS) },
    row("WSGIIgnoreActivity", Server, Old, FLAGS),
    row("WSGIEnableSendfile", Server, Old, FLAGS),
    row("WSGITrustedProxyHeaders", Server, Old, HEADERS),
    row("WSGITrustedProxies", Server, Old, PROXIES),
    row("WSGIAccessScript", Directory, Old, SCRIPTS),
    row("WSGIAuthUserScript", Directory, Old, SCRIPTS),
    row("WSGIAuthGroupScript", Directory, Old, SCRIPTS),
    row("WSGIGroupAuthoritative", Directory, Old, FLAGS),
    row("WSGIServerMetrics", Server, Old, FLAGS),
    row("WSGITelemetryService", Server, Since6, TELEMETRY),
    row("WSGISlowRequests", Server, Since6, INTEGERS),
    row("WSGITelemetryOptions", Server, Since6, TELEMETRY_OPTIONS),
    row("WSGIVerboseDebugging", Server, Old, FLAGS),
    row("WSGILazyInitialization", Server, Old, FLAGS),
    row("WSGINewRelicConfigFile", Server, Old, &["/a/path", "", "/a /b"]),
    row("WSGINewRelicEnvironment", Server, Old, &["name", "\"a name\"", "", "a b"]),
    row("WSGIPy3kWarningFlag", Server, Old, FLAGS),
    row("WSGIUserAuthoritative", Directory, Old, FLAGS),
];

impl Row {
    /// An argument that is good.
    pub fn good(&self) -> &'static str {
        self.arguments[0]
    }
}

/// Every directive with every argument, where it belongs.
pub fn with_arguments() -> Vec<Case> {
    let all = |row: &'static Row| {
        let arguments = row.arguments.iter().chain(row.more);
        arguments
            .map(|text| Case::line(row.place, row.name, format!("{} {text}", row.name).trim_end_matches('\n'), row.age))
    };
    TABLE.iter().flat_map(all).collect()
}

/// Every directive with its first argument, where it belongs.
pub fn good() -> Vec<Case> {
    let line = |row: &'static Row| Case::line(row.place, row.name, &format!("{} {}", row.name, row.good()), row.age);
    TABLE.iter().map(line).collect()
}

/// Where every directive is tried; the others differ in nothing that httpd tells a module.
const PLACES: [Place; 7] =
    [Place::Server, Place::Host, Place::Directory, Place::Location, Place::Files, Place::If, Place::Limit];

/// Every directive with its first argument in every place.
pub fn in_places() -> Vec<Case> {
    let everywhere = |row: &'static Row| {
        let others = PLACES.into_iter().filter(|place| *place != row.place);
        others.map(|place| Case::line(place, row.name, &format!("{} {}", row.name, row.good()), row.age))
    };
    TABLE.iter().flat_map(everywhere).collect()
}
