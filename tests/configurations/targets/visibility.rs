// SPDX-License-Identifier: Apache-2.0
//! Which host may use which group, what `WSGIRestrictProcess` lets through, and `WSGIRestrictEmbedded`.

use super::{Target, World, target};

/// Groups that belong to hosts.
pub const WORLD: World = World { name: "visibility", main: "", files: &[], cases: CASES };

const CASES: &[Target] = &[
    target(
        "own group",
        "ServerName own.test\nWSGIDaemonProcess of-own threads=1\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-own",
        "/x",
    ),
    target(
        "group of a host of the same name",
        "ServerName own.test\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-own",
        "/x",
    ),
    target("group of a host of another name", "WSGIScriptAlias /x {app}\nWSGIProcessGroup of-own", "/x"),
    target(
        "group of a host of the same name with a port",
        "ServerName own.test:8080\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-own",
        "/x",
    ),
    target(
        "group of a host of the same name in capitals",
        "ServerName OWN.test\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-own",
        "/x",
    ),
    target(
        "group of a host that is this one's alias",
        "ServerAlias own.test\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-own",
        "/x",
    ),
    target("group of a host by option", "WSGIScriptAlias /x {app} process-group=of-own", "/x"),
    target(
        "group of a host by option and name",
        "ServerName own.test\nWSGIScriptAlias /x {app} process-group=of-own",
        "/x",
    ),
    target("group of a host by variable", "SetEnv P of-own\nWSGIScriptAlias /x {app}\nWSGIProcessGroup %{ENV:P}", "/x"),
    target("group of the main server", "WSGIScriptAlias /x {app}\nWSGIProcessGroup g", "/x"),
    target("group of a later host", "ServerName later.test\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-later", "/x"),
    target(
        "later host",
        "ServerName later.test\nWSGIDaemonProcess of-later threads=1\nWSGIScriptAlias /x {app}\nWSGIProcessGroup of-later",
        "/x",
    ),
    target(
        "group of a host by handler script",
        "WSGIHandlerScript own {app} process-group=of-own\n<Location /x>\nSetHandler own\n</Location>",
        "/x",
    ),
    target("restricted, admitted", "WSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess g h", "/x"),
    target("restricted, second admitted", "WSGIScriptAlias /x {app} process-group=h\nWSGIRestrictProcess g h", "/x"),
    target("restricted, not admitted", "WSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess h", "/x"),
    target("restricted, other case", "WSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess G", "/x"),
    target(
        "restricted, capitals admitted",
        "WSGIScriptAlias /x {app} process-group=Mixed\nWSGIRestrictProcess Mixed",
        "/x",
    ),
    target(
        "restricted, capitals in small letters",
        "WSGIScriptAlias /x {app} process-group=Mixed\nWSGIRestrictProcess mixed",
        "/x",
    ),
    target(
        "restricted, blank in name",
        "WSGIScriptAlias /x {app} process-group=\"two words\"\nWSGIRestrictProcess \"two words\"",
        "/x",
    ),
    target("restricted, embedded not admitted", "WSGIScriptAlias /x {app}\nWSGIRestrictProcess g", "/x"),
    target("restricted, embedded admitted", "WSGIScriptAlias /x {app}\nWSGIRestrictProcess g %{GLOBAL}", "/x"),
    target(
        "restricted, embedded only",
        "WSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess %{GLOBAL}",
        "/x",
    ),
    target("restricted to nothing", "WSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess", "/x"),
    target("restricted to nothing, embedded", "WSGIScriptAlias /x {app}\nWSGIRestrictProcess", "/x"),
    target(
        "restricted, by variable",
        "SetEnv P g\nWSGIScriptAlias /x {app} process-group=%{ENV:P}\nWSGIRestrictProcess g",
        "/x",
    ),
    target(
        "restricted, by variable not admitted",
        "SetEnv P h\nWSGIScriptAlias /x {app} process-group=%{ENV:P}\nWSGIRestrictProcess g",
        "/x",
    ),
    target(
        "restricted, variable in the list",
        "SetEnv P g\nWSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess %{ENV:P}",
        "/x",
    ),
    target(
        "restricted, unknown but listed",
        "WSGIScriptAlias /x {app} process-group=nope\nWSGIRestrictProcess nope",
        "/x",
    ),
    target(
        "restricted, unknown and not listed",
        "WSGIScriptAlias /x {app} process-group=nope\nWSGIRestrictProcess g",
        "/x",
    ),
    target(
        "restricted, invisible but listed",
        "WSGIScriptAlias /x {app} process-group=of-own\nWSGIRestrictProcess of-own",
        "/x",
    ),
    target(
        "restricted by location",
        "WSGIScriptAlias /x {app} process-group=g\n<Location /x>\nWSGIRestrictProcess h\n</Location>",
        "/x",
    ),
    target(
        "restricted, relaxed by location",
        "WSGIScriptAlias /x {app} process-group=g\nWSGIRestrictProcess h\n<Location /x>\nWSGIRestrictProcess g\n</Location>",
        "/x",
    ),
    target(
        "restricted, handler script",
        "WSGIHandlerScript own {app} process-group=g\nWSGIRestrictProcess h\n<Location /x>\nSetHandler own\n</Location>",
        "/x",
    ),
];

/// A server whose children run no Python.
pub const RESTRICTED: World = World {
    name: "no embedded",
    main: "WSGIRestrictEmbedded On",
    files: &[],
    cases: &[
        target("embedded", "WSGIScriptAlias /x {app}", "/x"),
        target("embedded by name", "WSGIScriptAlias /x {app} process-group=%{GLOBAL}", "/x"),
        target("group", "WSGIScriptAlias /x {app} process-group=g", "/x"),
        target("group by directive", "WSGIScriptAlias /x {app}\nWSGIProcessGroup h", "/x/y"),
        target("unknown group", "WSGIScriptAlias /x {app} process-group=nope", "/x"),
        target("variable that is empty", "SetEnv P \"\"\nWSGIScriptAlias /x {app} process-group=%{ENV:P}", "/x"),
        target("handler script", "WSGIHandlerScript own {app}\n<Location /x>\nSetHandler own\n</Location>", "/x"),
        target("missing script", "WSGIScriptAlias /x \"@APPS@/none.wsgi\"", "/x"),
        target("static file", "WSGIScriptAlias /x {app}", "/static.txt"),
    ],
};
