// SPDX-License-Identifier: Apache-2.0
//! Which of several values is in force: server, host, sections, `.htaccess`, options.

use super::{Target, World, target};

/// A main server that sets everything.
pub const WORLD: World = World {
    name: "merge",
    main: "WSGIProcessGroup g\nWSGIApplicationGroup of-main\nWSGICallableObject second\nWSGIScriptAlias /main {app}\n\
           WSGIScriptAlias /both {app} application-group=by-main\nWSGIPassAuthorization On\n\
           WSGIHandlerScript shared {app} application-group=handler-of-main\n\
           <Location /loc>\nWSGIApplicationGroup of-main-location\nWSGIProcessGroup h\n</Location>\n\
           <Location /off>\nWSGIPassAuthorization Off\n</Location>\n\
           <Directory \"@APPS@/folder\">\nWSGIApplicationGroup of-main-folder\nAllowOverride FileInfo\n</Directory>",
    files: &[
        ("apps/folder/t.wsgi", ""),
        ("apps/folder/.htaccess", "WSGICallableObject third\nWSGIPassAuthorization Off\n"),
        ("apps/other.wsgi", ""),
    ],
    cases: CASES,
};

const CASES: &[Target] = &[
    target("silent host", "", "/main/x"),
    target("host with groups", "WSGIProcessGroup h\nWSGIApplicationGroup of-host", "/main"),
    target("host with the empty group", "WSGIProcessGroup %{GLOBAL}", "/main"),
    target("host with the main interpreter", "WSGIApplicationGroup %{GLOBAL}", "/main"),
    target("host with the default by name", "WSGIApplicationGroup %{RESOURCE}", "/main/x"),
    target("host with a callable", "WSGICallableObject application", "/main"),
    target("host with another alias", "WSGIScriptAlias /own {app}", "/own"),
    target("host with another alias, main's asked", "WSGIScriptAlias /own {app}", "/main"),
    target("host with the same alias", "WSGIScriptAlias /both {app} application-group=by-host", "/both"),
    target(
        "host with the root hides the main server's aliases",
        "WSGIScriptAlias / {app} application-group=root",
        "/both",
    ),
    target("host with a longer alias", "WSGIScriptAlias /both/x {app} application-group=longer", "/both/x"),
    target("main location and silent host", "WSGIScriptAlias /loc {app}", "/loc"),
    target(
        "main location beats host",
        "WSGIScriptAlias /loc {app}\nWSGIApplicationGroup of-host\nWSGIProcessGroup g",
        "/loc",
    ),
    target(
        "host location beats main location",
        "WSGIScriptAlias /loc {app}\n<Location /loc>\nWSGIApplicationGroup of-host-location\n</Location>",
        "/loc",
    ),
    target(
        "option beats location",
        "WSGIScriptAlias /loc {app} application-group=of-option process-group=%{GLOBAL}",
        "/loc",
    ),
    target("option of one kind", "WSGIScriptAlias /loc {app} application-group=of-option", "/loc"),
    target("main folder", "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"", "/f"),
    target("main folder beats host", "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\nWSGIApplicationGroup of-host", "/f"),
    target(
        "host folder beats main folder",
        "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\n<Directory \"@APPS@/folder\">\nWSGIApplicationGroup of-host-folder\n</Directory>",
        "/f",
    ),
    target(
        "location beats folder",
        "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\n<Location /f>\nWSGIApplicationGroup of-location\n</Location>",
        "/f",
    ),
    target(
        "files beat folder",
        "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\n<Files t.wsgi>\nWSGIApplicationGroup of-files\n</Files>",
        "/f",
    ),
    target(
        "location beats files",
        "WSGIScriptAlias /f {app}\n<Files t.wsgi>\nWSGIApplicationGroup of-files\n</Files>\n<Location /f>\nWSGIApplicationGroup of-location\n</Location>",
        "/f",
    ),
    target(
        "a condition beats location",
        "WSGIScriptAlias /f {app}\n<If \"true\">\nWSGIApplicationGroup of-condition\n</If>\n<Location /f>\nWSGIApplicationGroup of-location\n</Location>",
        "/f",
    ),
    target(
        "a false condition does not",
        "WSGIScriptAlias /f {app}\n<If \"false\">\nWSGIApplicationGroup of-condition\n</If>",
        "/f",
    ),
    target(
        "the later location",
        "WSGIScriptAlias /f {app}\n<Location /f/g>\nWSGIApplicationGroup first\n</Location>\n<Location /f>\nWSGIApplicationGroup second\n</Location>",
        "/f/g",
    ),
    target(
        "a pattern for locations",
        "WSGIScriptAlias /f {app}\n<LocationMatch g$>\nWSGIApplicationGroup by-pattern\n</LocationMatch>",
        "/f/g",
    ),
    target(
        "locations for different values",
        "WSGIScriptAlias /f {app}\n<Location /f>\nWSGIProcessGroup h\n</Location>\n<Location /f/g>\nWSGICallableObject third\n</Location>",
        "/f/g",
    ),
    target("htaccess and host", "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\nWSGICallableObject application", "/f"),
    target(
        "htaccess and host folder",
        "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\n<Directory \"@APPS@/folder\">\nWSGICallableObject application\n</Directory>",
        "/f",
    ),
    target(
        "htaccess and files",
        "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"\n<Files t.wsgi>\nWSGICallableObject application\n</Files>",
        "/f",
    ),
    target("htaccess and option", "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\" callable-object=application", "/f"),
    target("handler script of main", "<Location /z>\nSetHandler shared\n</Location>", "/z"),
    target(
        "handler script of host",
        "WSGIHandlerScript shared \"@APPS@/other.wsgi\"\n<Location /z>\nSetHandler shared\n</Location>",
        "/z",
    ),
    target(
        "handler scripts are joined",
        "WSGIHandlerScript more \"@APPS@/other.wsgi\"\n<Location /z>\nSetHandler shared\n</Location>",
        "/z",
    ),
    target(
        "handler script of a location",
        "WSGIHandlerScript shared \"@APPS@/other.wsgi\"\n<Location /z>\nWSGIHandlerScript shared {app} application-group=handler-of-location\nSetHandler shared\n</Location>",
        "/z",
    ),
    target("restriction of host", "WSGIRestrictProcess g\nWSGIProcessGroup h", "/main"),
    target("restriction of host, admitted", "WSGIRestrictProcess g", "/main"),
    target("restriction and main location", "WSGIRestrictProcess g\nWSGIScriptAlias /loc {app}", "/loc"),
    target(
        "restriction of a location instead of the host's",
        "WSGIRestrictProcess h\n<Location /main>\nWSGIRestrictProcess g\n</Location>",
        "/main",
    ),
    target(
        "restriction of a location is not joined",
        "WSGIRestrictProcess g\n<Location /main>\nWSGIRestrictProcess h\n</Location>",
        "/main",
    ),
    target("restriction twice", "WSGIRestrictProcess g\nWSGIRestrictProcess h", "/main"),
    Target { headers: &[("Authorization", "Basic eDp5")], ..target("authorization by main", "", "/main") },
    Target {
        headers: &[("Authorization", "Basic eDp5")],
        ..target("authorization off in host", "WSGIPassAuthorization Off", "/main")
    },
    Target {
        headers: &[("Authorization", "Basic eDp5")],
        ..target("authorization off in main location", "WSGIScriptAlias /off {app}\nWSGIPassAuthorization On", "/off")
    },
    Target {
        headers: &[("Authorization", "Basic eDp5")],
        ..target("authorization off in htaccess", "WSGIScriptAlias /f \"@APPS@/folder/t.wsgi\"", "/f")
    },
    Target {
        headers: &[("Authorization", "Basic eDp5")],
        ..target("authorization off in location", "<Location /main>\nWSGIPassAuthorization Off\n</Location>", "/main")
    },
];

/// A server for which paths have no case.
pub const INSENSITIVE: World = World {
    name: "insensitive",
    main: "WSGICaseSensitivity Off",
    files: &[("apps/Upper.wsgi", "")],
    cases: &[
        target("path in capitals", "WSGIScriptAlias /Path {app}", "/Path/Info"),
        target("path in other letters", "WSGIScriptAlias /Path {app}", "/path"),
        target("script in capitals", "WSGIScriptAlias /x \"@APPS@/Upper.wsgi\"", "/x/Y"),
        target("folder", "WSGIScriptAlias /D \"@APPS@\"", "/D/Upper.wsgi/Q"),
        target("name in capitals", "WSGIScriptAlias /x {app}\nWSGIApplicationGroup Name", "/x"),
        target("group in capitals", "WSGIScriptAlias /x {app}\nWSGIProcessGroup MIXED", "/x"),
        target("host in capitals", "ServerName UPPER.test\nWSGIScriptAlias /X {app}", "/X"),
    ],
};
