// SPDX-License-Identifier: Apache-2.0
//! Scripts that are found through a handler: `wsgi-script`, `application/x-httpd-wsgi` and those of `WSGIHandlerScript`.

use super::{Target, World, target};

/// One server for all.
pub const WORLD: World = World {
    name: "handler",
    main: "<Directory \"@APPS@/cgi\">\nOptions +ExecCGI\n</Directory>\nWSGIHandlerScript everywhere {app}",
    files: &[
        ("apps/cgi/t.wsgi", ""),
        ("apps/cgi/t.py", ""),
        ("apps/cgi/note.data", "data\n"),
        ("apps/no/t.wsgi", ""),
        ("htdocs/page.data", "data\n"),
        ("htdocs/below/page.data", "data\n"),
        ("apps/other.wsgi", ""),
    ],
    cases: CASES,
};

const CASES: &[Target] = &[
    target("wsgi-script by extension", "Alias /c \"@APPS@/cgi\"\nAddHandler wsgi-script .wsgi", "/c/t.wsgi/rest"),
    target("wsgi-script without ExecCGI", "Alias /c \"@APPS@/no\"\nAddHandler wsgi-script .wsgi", "/c/t.wsgi"),
    target("wsgi-script, missing file", "Alias /c \"@APPS@/cgi\"\nAddHandler wsgi-script .wsgi", "/c/none.wsgi"),
    target("wsgi-script, folder", "Alias /c \"@APPS@/cgi\"\n<Location /c>\nSetHandler wsgi-script\n</Location>", "/c/"),
    target(
        "wsgi-script, set",
        "Alias /c \"@APPS@/cgi\"\n<Location /c>\nSetHandler wsgi-script\n</Location>",
        "/c/t.py/rest",
    ),
    target(
        "wsgi-script, set in capitals",
        "Alias /c \"@APPS@/cgi\"\n<Location /c>\nSetHandler WSGI-Script\n</Location>",
        "/c/t.py",
    ),
    target(
        "wsgi-script without path info",
        "Alias /c \"@APPS@/cgi\"\nAddHandler wsgi-script .wsgi\nAcceptPathInfo Off",
        "/c/t.wsgi/rest",
    ),
    target(
        "wsgi-script with a group",
        "Alias /c \"@APPS@/cgi\"\nAddHandler wsgi-script .wsgi\nWSGIProcessGroup g",
        "/c/t.wsgi/rest",
    ),
    target(
        "wsgi-script with a group by folder",
        "Alias /c \"@APPS@/cgi\"\nAddHandler wsgi-script .wsgi\n<Directory \"@APPS@/cgi\">\nWSGIProcessGroup h\nWSGIApplicationGroup by-folder\n</Directory>",
        "/c/t.wsgi",
    ),
    target(
        "wsgi-script with a callable by file",
        "Alias /c \"@APPS@/cgi\"\nAddHandler wsgi-script .wsgi\n<Files t.wsgi>\nWSGICallableObject second\n</Files>",
        "/c/t.wsgi",
    ),
    target("by type", "Alias /c \"@APPS@/cgi\"\nAddType application/x-httpd-wsgi .wsgi", "/c/t.wsgi/rest"),
    target(
        "by forced type",
        "Alias /c \"@APPS@/cgi\"\n<Files t.wsgi>\nForceType application/x-httpd-wsgi\n</Files>",
        "/c/t.wsgi/rest",
    ),
    target("by type without ExecCGI", "Alias /c \"@APPS@/no\"\nAddType application/x-httpd-wsgi .wsgi", "/c/t.wsgi"),
    target("by type as handler", "Alias /c \"@APPS@/cgi\"\nAddHandler application/x-httpd-wsgi .wsgi", "/c/t.wsgi"),
    target(
        "by type and handler",
        "Alias /c \"@APPS@/cgi\"\nAddType application/x-httpd-wsgi .wsgi\nAddHandler wsgi-script .wsgi",
        "/c/t.wsgi",
    ),
    target("alias without path info", "WSGIScriptAlias /x {app}\nAcceptPathInfo Off", "/x/y"),
    target("alias without path info, none", "WSGIScriptAlias /x {app}\nAcceptPathInfo Off", "/x"),
    target(
        "alias with a handler for its extension",
        "WSGIScriptAlias /x {app} callable-object=second\nAddHandler wsgi-script .wsgi",
        "/x/y",
    ),
    target("alias with another handler", "WSGIScriptAlias /x {app}\nAddHandler default-handler .wsgi", "/x"),
    target("alias with an unknown handler", "WSGIScriptAlias /x {app}\nAddHandler cgi-script .wsgi", "/x"),
    target(
        "alias with a set handler",
        "WSGIScriptAlias /x {app}\n<Location /x>\nSetHandler default-handler\n</Location>",
        "/x",
    ),
    target(
        "alias with the handler none",
        "WSGIScriptAlias /x {app}\n<Location /x>\nSetHandler none\n</Location>",
        "/x",
    ),
    target("alias with a removed handler", "WSGIScriptAlias /x {app}\nRemoveHandler .wsgi", "/x"),
    target("alias with a handler script", "WSGIScriptAlias /x {app}\nAddHandler everywhere .wsgi", "/x/y"),
    target(
        "alias with a type",
        "WSGIScriptAlias /x {app} callable-object=second\nAddType application/x-httpd-wsgi .wsgi",
        "/x/y",
    ),
    target(
        "alias with the type as handler",
        "WSGIScriptAlias /x {app} callable-object=second\nAddHandler application/x-httpd-wsgi .wsgi",
        "/x/y",
    ),
    target("own, set", "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler own\n</Location>", "/z/any/thing"),
    target("own, set, itself", "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler own\n</Location>", "/z"),
    target("own, by extension", "WSGIHandlerScript own {app}\nAddHandler own .data", "/page.data"),
    target("own, by extension with path", "WSGIHandlerScript own {app}\nAddHandler own .data", "/below/page.data/more"),
    target("own, by extension, missing file", "WSGIHandlerScript own {app}\nAddHandler own .data", "/none.data"),
    target("own, by extension, unmatched", "WSGIHandlerScript own {app}\nAddHandler own .data", "/static.txt"),
    target("own, unknown name", "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler other\n</Location>", "/z"),
    target("own, name in capitals", "WSGIHandlerScript Own {app}\n<Location /z>\nSetHandler Own\n</Location>", "/z"),
    target("own, capitals asked for", "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler OWN\n</Location>", "/z"),
    target(
        "own, name of the built-in",
        "WSGIHandlerScript wsgi-script {app}\n<Location /z>\nSetHandler wsgi-script\n</Location>",
        "/z",
    ),
    target(
        "own, missing script",
        "WSGIHandlerScript own \"@APPS@/none.wsgi\"\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, with a group",
        "WSGIHandlerScript own {app} process-group=g\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, with an unknown group",
        "WSGIHandlerScript own {app} process-group=nope\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, with both groups",
        "WSGIHandlerScript own {app} process-group=h application-group=named\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, with the main interpreter",
        "WSGIHandlerScript own {app} application-group=%{GLOBAL}\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, with the resource",
        "WSGIHandlerScript own {app} application-group=%{RESOURCE}\n<Location /z>\nSetHandler own\n</Location>",
        "/z/y",
    ),
    target(
        "own, with a variable",
        "SetEnv P g\nWSGIHandlerScript own {app} process-group=%{ENV:P}\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, group of the location",
        "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler own\nWSGIProcessGroup g\n</Location>",
        "/z",
    ),
    target(
        "own, option before the location",
        "WSGIHandlerScript own {app} process-group=%{GLOBAL}\n<Location /z>\nSetHandler own\nWSGIProcessGroup g\n</Location>",
        "/z",
    ),
    target(
        "own, application of the location",
        "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler own\nWSGIApplicationGroup here\n</Location>",
        "/z",
    ),
    target(
        "own, callable of the location",
        "WSGIHandlerScript own {app}\n<Location /z>\nSetHandler own\nWSGICallableObject second\n</Location>",
        "/z",
    ),
    target(
        "own, declared in the location",
        "<Location /z>\nWSGIHandlerScript own {app}\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, declared elsewhere",
        "<Location /y>\nWSGIHandlerScript own {app}\n</Location>\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, declared in both",
        "WSGIHandlerScript own \"@APPS@/other.wsgi\"\n<Location /z>\nWSGIHandlerScript own {app}\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, declared twice",
        "WSGIHandlerScript own \"@APPS@/other.wsgi\"\nWSGIHandlerScript own {app} application-group=a\n<Location /z>\nSetHandler own\n</Location>",
        "/z",
    ),
    target(
        "own, two names",
        "WSGIHandlerScript one {app}\n<Location /z>\nWSGIHandlerScript two \"@APPS@/other.wsgi\"\nSetHandler one\n</Location>",
        "/z",
    ),
    target(
        "own, without path info",
        "WSGIHandlerScript own {app}\nAcceptPathInfo Off\nAddHandler own .data",
        "/page.data/more",
    ),
    target("of the main server", "<Location /z>\nSetHandler everywhere\n</Location>", "/z"),
    target(
        "of the main server, overridden",
        "WSGIHandlerScript everywhere \"@APPS@/other.wsgi\"\n<Location /z>\nSetHandler everywhere\n</Location>",
        "/z",
    ),
    Target {
        headers: &[("Authorization", "Basic eDp5")],
        ..target(
            "own, with authorization",
            "WSGIHandlerScript own {app} pass-authorization=On\n<Location /z>\nSetHandler own\n</Location>",
            "/z",
        )
    },
    Target {
        headers: &[("Authorization", "Basic eDp5")],
        ..target(
            "own, without authorization",
            "WSGIPassAuthorization On\nWSGIHandlerScript own {app} pass-authorization=Off\n<Location /z>\nSetHandler own\n</Location>",
            "/z",
        )
    },
];
