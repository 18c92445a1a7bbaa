// SPDX-License-Identifier: Apache-2.0
//! `%{…}` in names of process groups, application groups and callables.

use super::{Target, World, target};

/// One server for all.
pub const WORLD: World = World {
    name: "expansion",
    main: "<Directory \"@APPS@/over\">\nAllowOverride All\n</Directory>",
    files: &[
        ("apps/over/t.wsgi", ""),
        (
            "apps/over/.htaccess",
            "SetEnv BY_HTACCESS g\nWSGICallableObject second\nSetEnvIf Request_URI . IF_HTACCESS=h",
        ),
    ],
    cases: CASES,
};

/// A host with the script at `/x` and these lines.
macro_rules! x {
    ($name:literal, $lines:expr) => {
        target($name, concat!("WSGIScriptAlias /x {app}\n", $lines), "/x/y")
    };
    ($name:literal, $lines:expr, $request:literal) => {
        target($name, concat!("WSGIScriptAlias /x {app}\n", $lines), $request)
    };
    ($name:literal, $lines:expr, $request:literal, host $host:literal) => {
        Target { headers: &[("Host", $host)], ..target($name, concat!("WSGIScriptAlias /x {app}\n", $lines), $request) }
    };
}

const CASES: &[Target] = &[
    x!("process, default", ""),
    x!("process, literal", "WSGIProcessGroup g"),
    x!("process, blank in name", "WSGIProcessGroup \"two words\""),
    x!("process, unknown", "WSGIProcessGroup nope"),
    x!("process, other case", "WSGIProcessGroup G"),
    x!("process, case kept", "WSGIProcessGroup Mixed"),
    x!("process, global", "WSGIProcessGroup %{GLOBAL}"),
    x!("process, global in small letters", "WSGIProcessGroup %{global}"),
    x!("process, server", "WSGIProcessGroup %{SERVER}"),
    x!("process, host", "WSGIProcessGroup %{HOST}"),
    x!("process, resource", "WSGIProcessGroup %{RESOURCE}"),
    x!("process, unknown variable", "WSGIProcessGroup %{NOPE}"),
    x!("process, percent", "WSGIProcessGroup %"),
    x!("process, text after", "WSGIProcessGroup %{GLOBAL}x"),
    x!("process, env", "SetEnv P g\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env in small letters", "SetEnv p g\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env unset", "WSGIProcessGroup %{ENV:NOT_SET_ANYWHERE}"),
    x!("process, env empty", "SetEnv P \"\"\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env without a name", "WSGIProcessGroup %{ENV:}"),
    x!("process, env to global", "SetEnv P %{GLOBAL}\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env to env", "SetEnv Q g\nSetEnv P %{ENV:Q}\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env to unknown", "SetEnv P nope\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env by SetEnvIf", "SetEnvIf Request_URI y P=h\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env by rewriting", "RewriteEngine On\nRewriteRule . - [E=P:h]\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env from outside", "WSGIProcessGroup %{ENV:G_OUTSIDE}"),
    x!("process, env from outside in small letters", "WSGIProcessGroup %{ENV:g_outside}"),
    x!("process, env inside before outside", "SetEnv G_OUTSIDE h\nWSGIProcessGroup %{ENV:G_OUTSIDE}"),
    x!("process, env with text after", "SetEnv P g\nWSGIProcessGroup %{ENV:P}x"),
    x!("process, two envs", "SetEnv P g\nSetEnv Q h\nWSGIProcessGroup %{ENV:P}%{ENV:Q}"),
    x!("process, unset env removed", "SetEnv P g\n<Location /x>\nUnsetEnv P\n</Location>\nWSGIProcessGroup %{ENV:P}"),
    x!("process, env by passing on", "PassEnv G_OUTSIDE\nWSGIProcessGroup %{ENV:G_OUTSIDE}"),
    target("process, option", "WSGIScriptAlias /x {app} process-group=g", "/x"),
    target("process, option unknown", "WSGIScriptAlias /x {app} process-group=nope", "/x"),
    target("process, option global", "WSGIProcessGroup g\nWSGIScriptAlias /x {app} process-group=%{GLOBAL}", "/x"),
    target("process, option env", "SetEnv P h\nWSGIScriptAlias /x {app} process-group=%{ENV:P}", "/x"),
    target("process, option env unset", "WSGIScriptAlias /x {app} process-group=%{ENV:NOT_SET_ANYWHERE}", "/x"),
    target(
        "process, option env to env",
        "SetEnv P %{ENV:Q}\nSetEnv Q g\nWSGIScriptAlias /x {app} process-group=%{ENV:P}",
        "/x",
    ),
    target("process, option blank in name", "WSGIScriptAlias /x {app} process-group=\"two words\"", "/x"),
    target("process, htaccess", "WSGIScriptAlias /x \"@APPS@/over/t.wsgi\"\nWSGIProcessGroup %{ENV:BY_HTACCESS}", "/x"),
    target(
        "process, htaccess by SetEnvIf",
        "WSGIScriptAlias /x \"@APPS@/over/t.wsgi\"\nWSGIProcessGroup %{ENV:IF_HTACCESS}",
        "/x",
    ),
    x!("application, default", ""),
    x!("application, default itself", "", "/x"),
    x!("application, default with slashes", "", "//x//y/z"),
    x!("application, default with slash", "", "/x/"),
    x!("application, default with escapes", "", "/x/%20y//%2e/z"),
    x!("application, default with a repeated name", "", "/x/x/x"),
    x!("application, default with the server's name in capitals", "ServerName UPPER.test"),
    x!("application, default with a port in the name", "ServerName with-port.test:8080"),
    x!("application, default with port 80 in the name", "ServerName with-80.test:80"),
    x!("application, default with port 443 in the name", "ServerName with-443.test:443"),
    x!("application, default with a scheme in the name", "ServerName https://with-scheme.test"),
    x!("application, default with a port in Host", "", "/x", host "{name}:4242"),
    x!("application, default without a port in Host", "", "/x", host "{name}"),
    x!("application, default with port 80 in Host", "", "/x", host "{name}:80"),
    x!("application, default with a canonical name", "UseCanonicalName On", "/x", host "{name}:4242"),
    x!("application, default with the physical port", "UseCanonicalPhysicalPort On", "/x"),
    x!("application, default with an alias", "ServerName other.test"),
    target("application, default at the root", "WSGIScriptAlias / {app}", "/x/y"),
    target("application, default at the root itself", "WSGIScriptAlias / {app}", "/"),
    target("application, default at two steps", "WSGIScriptAlias /a/b {app}", "/a/b/a/b"),
    target("application, default by pattern", "WSGIScriptAliasMatch ^/m/([a-z]+) \"@APPS@/$1.wsgi\"", "/m/t/rest"),
    target("application, default in a folder", "WSGIScriptAlias /d/ \"@APPS@/\"", "/d/t.wsgi/q"),
    target("application, default with a path of the target", "WSGIScriptAlias /x \"@APPS@/t.wsgi/in\"", "/x/y"),
    x!("application, literal", "WSGIApplicationGroup name"),
    x!("application, blank in name", "WSGIApplicationGroup \"a name\""),
    x!("application, global", "WSGIApplicationGroup %{GLOBAL}"),
    x!("application, global in small letters", "WSGIApplicationGroup %{global}"),
    x!("application, server", "WSGIApplicationGroup %{SERVER}"),
    x!("application, server with a port in Host", "WSGIApplicationGroup %{SERVER}", "/x", host "{name}:4242"),
    x!("application, server with a port in the name", "ServerName with-port.test:8081\nWSGIApplicationGroup %{SERVER}"),
    x!("application, host", "WSGIApplicationGroup %{HOST}"),
    x!("application, host without a port", "WSGIApplicationGroup %{HOST}", "/x", host "{name}"),
    x!("application, host in capitals", "ServerName caps.test\nWSGIApplicationGroup %{HOST}", "/x", host "CAPS.test:4242"),
    x!("application, server without a port in Host", "WSGIApplicationGroup %{SERVER}", "/x", host "{name}"),
    x!("application, host with an alias", "ServerName other-too.test\nWSGIApplicationGroup %{HOST}"),
    x!("application, resource", "WSGIApplicationGroup %{RESOURCE}"),
    x!("application, unknown variable", "WSGIApplicationGroup %{NOPE}"),
    x!("application, percent", "WSGIApplicationGroup %"),
    x!("application, text after", "WSGIApplicationGroup %{GLOBAL}x"),
    x!("application, text before", "WSGIApplicationGroup x%{GLOBAL}"),
    x!("application, env", "SetEnv A named\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env unset", "WSGIApplicationGroup %{ENV:NOT_SET_ANYWHERE}"),
    x!("application, env empty", "SetEnv A \"\"\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env to global", "SetEnv A %{GLOBAL}\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env to server", "SetEnv A %{SERVER}\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env to resource", "SetEnv A %{RESOURCE}\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env to env", "SetEnv B x\nSetEnv A %{ENV:B}\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env to percent", "SetEnv A %\nWSGIApplicationGroup %{ENV:A}"),
    x!("application, env from outside", "WSGIApplicationGroup %{ENV:FROM_OUTSIDE}"),
    x!(
        "application, env by location",
        "SetEnv A one\n<Location /x>\nSetEnv A two\n</Location>\nWSGIApplicationGroup %{ENV:A}"
    ),
    x!("application, two envs", "SetEnv A a\nSetEnv B b\nWSGIApplicationGroup %{ENV:A}%{ENV:B}"),
    x!("application, env with text after", "SetEnv A a\nWSGIApplicationGroup %{ENV:A}x"),
    target("application, option", "WSGIScriptAlias /x {app} application-group=named", "/x"),
    target(
        "application, option global",
        "WSGIApplicationGroup a\nWSGIScriptAlias /x {app} application-group=%{GLOBAL}",
        "/x",
    ),
    target("application, option server", "WSGIScriptAlias /x {app} application-group=%{SERVER}", "/x"),
    target("application, option resource", "WSGIScriptAlias /x {app} application-group=%{RESOURCE}", "/x/y"),
    target("application, option env", "SetEnv A b\nWSGIScriptAlias /x {app} application-group=%{ENV:A}", "/x"),
    target("application, in a group", "WSGIScriptAlias /x {app} process-group=g application-group=%{RESOURCE}", "/x/y"),
    target(
        "application, main in a group",
        "WSGIScriptAlias /x {app} process-group=g application-group=%{GLOBAL}",
        "/x/y",
    ),
    x!("callable, literal", "WSGICallableObject second"),
    x!("callable, global", "WSGICallableObject %{GLOBAL}"),
    x!("callable, server", "WSGICallableObject %{SERVER}"),
    x!("callable, unknown variable", "WSGICallableObject %{NOPE}"),
    x!("callable, percent", "WSGICallableObject %"),
    x!("callable, dotted", "WSGICallableObject a.b"),
    x!("callable, blank", "WSGICallableObject \"two words\""),
    x!("callable, missing", "WSGICallableObject missing"),
    x!("callable, missing in a group", "WSGICallableObject missing\nWSGIProcessGroup g"),
    x!("callable, env", "SetEnv C second\nWSGICallableObject %{ENV:C}"),
    x!("callable, env unset", "WSGICallableObject %{ENV:NOT_SET_ANYWHERE}"),
    x!("callable, env empty", "SetEnv C \"\"\nWSGICallableObject %{ENV:C}"),
    x!("callable, env to global", "SetEnv C %{GLOBAL}\nWSGICallableObject %{ENV:C}"),
    x!("callable, env to env", "SetEnv C %{ENV:C}\nWSGICallableObject %{ENV:C}"),
    x!("callable, env in a group", "SetEnv C third\nWSGICallableObject %{ENV:C}\nWSGIProcessGroup h"),
    target("callable, option", "WSGIScriptAlias /x {app} callable-object=second", "/x"),
    target("callable, option global", "WSGIScriptAlias /x {app} callable-object=%{GLOBAL}", "/x"),
    target("callable, option env", "SetEnv C second\nWSGIScriptAlias /x {app} callable-object=%{ENV:C}", "/x"),
    target(
        "callable, option before directive",
        "WSGICallableObject third\nWSGIScriptAlias /x {app} callable-object=second",
        "/x",
    ),
    target("callable, htaccess", "WSGIScriptAlias /x \"@APPS@/over/t.wsgi\"\nWSGICallableObject third", "/x"),
    target(
        "callable, location before htaccess",
        "WSGIScriptAlias /x \"@APPS@/over/t.wsgi\"\n<Location /x>\nWSGICallableObject third\n</Location>",
        "/x",
    ),
    x!("note, of httpd", "WSGIApplicationGroup %{ENV:alias-forced-type}"),
    x!("note, in other letters", "WSGIApplicationGroup %{ENV:ALIAS-Forced-Type}"),
    x!("note, before a variable", "SetEnv alias-forced-type a\nWSGIApplicationGroup %{ENV:alias-forced-type}"),
    target(
        "note, of the alias",
        "WSGIScriptAlias /x {app} process-group=g callable-object=second\nWSGIApplicationGroup %{ENV:mod_wsgi.process_group}",
        "/x",
    ),
    x!(
        "redirect, variable lost",
        "<Directory \"@ROOT@/htdocs\">\nRewriteEngine On\nRewriteRule ^old$ /x/new [E=P:g]\n</Directory>\nWSGIApplicationGroup %{ENV:P}",
        "/old"
    ),
    x!(
        "redirect, variable renamed",
        "<Directory \"@ROOT@/htdocs\">\nRewriteEngine On\nRewriteRule ^old$ /x/new [E=Q:g]\n</Directory>\nWSGIProcessGroup %{ENV:REDIRECT_Q}",
        "/old"
    ),
    x!(
        "redirect, variable of the host",
        "ErrorDocument 404 /x/sorry\nSetEnv Q h\nWSGIProcessGroup %{ENV:Q}",
        "/nothing/here"
    ),
    x!("redirect, default", "ErrorDocument 404 /x/sorry", "/nothing/here"),
    x!("redirect, fallback", "<Location /y>\nFallbackResource /x/fallback\n</Location>", "/y/z"),
    x!("condition, of the request", "<If \"%{REQUEST_URI} =~ /y/\">\nWSGIProcessGroup g\n</If>"),
    x!(
        "condition, of a variable",
        "SetEnvIf Request_URI y Q=1\n<If \"reqenv('Q') == '1'\">\nWSGIApplicationGroup a\n</If>"
    ),
];
