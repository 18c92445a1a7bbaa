// SPDX-License-Identifier: Apache-2.0
//! Configurations of several lines: sections, order, and which host may name whose group.

use crate::cases::{Age, Case};
use Age::{Old, Since6};

const BOTH_OPTIONS: &str = "process-group=g application-group=a";

/// Name, release, the directive that a refusal names, text. `{}` stands for both group options of an alias.
const TEXTS: &[(&str, Age, &str, &str)] = &[
    ("a group before its alias", Old, "WSGIScriptAlias", "WSGIDaemonProcess g\nWSGIScriptAlias /x /x {}"),
    ("an alias before its group", Old, "WSGIScriptAlias", "WSGIScriptAlias /x /x {}\nWSGIDaemonProcess g"),
    (
        "an alias before its group, group option only",
        Old,
        "WSGIScriptAlias",
        "WSGIScriptAlias /x /x process-group=g\nWSGIDaemonProcess g",
    ),
    ("an import before its group", Old, "WSGIImportScript", "WSGIImportScript /x {}\nWSGIDaemonProcess g"),
    ("an import after its group", Old, "WSGIImportScript", "WSGIDaemonProcess g\nWSGIImportScript /x {}"),
    (
        "an import of another group",
        Old,
        "WSGIImportScript",
        "WSGIDaemonProcess g\nWSGIImportScript /x process-group=G application-group=a",
    ),
    (
        "a pattern with a substitution before its group",
        Old,
        "WSGIScriptAliasMatch",
        "WSGIScriptAliasMatch ^/(.) /$1 {}",
    ),
    (
        "a pattern without a substitution before its group",
        Old,
        "WSGIScriptAliasMatch",
        "WSGIScriptAliasMatch ^/x /x {}\nWSGIDaemonProcess g",
    ),
    ("a handler script of an unknown group", Old, "WSGIHandlerScript", "WSGIHandlerScript h /x {}"),
    ("a process group that is unknown", Old, "WSGIProcessGroup", "WSGIProcessGroup g"),
    ("two groups of one name", Old, "WSGIDaemonProcess", "WSGIDaemonProcess g\nWSGIDaemonProcess g threads=1"),
    ("two groups that differ in case", Old, "WSGIDaemonProcess", "WSGIDaemonProcess g\nWSGIDaemonProcess G"),
    (
        "two groups of one name in two hosts",
        Old,
        "WSGIDaemonProcess",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName two.test\nWSGIDaemonProcess g\n</VirtualHost>",
    ),
    (
        "two groups of one name in server and host",
        Old,
        "WSGIDaemonProcess",
        "WSGIDaemonProcess g\n<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>",
    ),
    (
        "a group of the server named in a host",
        Old,
        "WSGIScriptAlias",
        "WSGIDaemonProcess g\n<VirtualHost *:1>\nServerName one.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of the server named in a host without a name",
        Old,
        "WSGIScriptAlias",
        "WSGIDaemonProcess g\n<VirtualHost *:1>\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of the same host",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of the same host, whose name comes between",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nWSGIDaemonProcess g\nServerName one.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of the same host, whose name comes last",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nWSGIDaemonProcess g\nWSGIScriptAlias /x /x {}\nServerName one.test\n</VirtualHost>",
    ),
    (
        "a group of the same host, which has no name",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nWSGIDaemonProcess g\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName two.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host, group option only",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName two.test\nWSGIScriptAlias /x /x process-group=g\n</VirtualHost>",
    ),
    (
        "a group of another host of the same name",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName one.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host of the same name with a port",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test:1\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName one.test:2\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host of the same name in other letters",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName ONE.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host, whose alias is this one's name",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nServerAlias two.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName two.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of a host without a name",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName two.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host, without a name of its own",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of another host, both without names",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nWSGIScriptAlias /x /x {}\n</VirtualHost>",
    ),
    (
        "a group of a host named by the server",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\nWSGIScriptAlias /x /x {}",
    ),
    (
        "a group of a host of the server's name named by the server",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName localhost\nWSGIDaemonProcess g\n</VirtualHost>\nWSGIScriptAlias /x /x {}",
    ),
    (
        "a group of a later host of the same name",
        Old,
        "WSGIScriptAlias",
        "<VirtualHost *:1>\nServerName one.test\nWSGIScriptAlias /x /x {}\n</VirtualHost>\n<VirtualHost *:2>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>",
    ),
    (
        "an import of a group of another host",
        Old,
        "WSGIImportScript",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\n</VirtualHost>\n<VirtualHost *:2>\nServerName two.test\nWSGIImportScript /x {}\n</VirtualHost>",
    ),
    (
        "an import in the group's host",
        Old,
        "WSGIImportScript",
        "<VirtualHost *:1>\nServerName one.test\nWSGIDaemonProcess g\nWSGIImportScript /x {}\n</VirtualHost>",
    ),
    (
        "an import in the group's host, whose name comes last",
        Old,
        "WSGIImportScript",
        "<VirtualHost *:1>\nWSGIDaemonProcess g\nWSGIImportScript /x {}\nServerName one.test\n</VirtualHost>",
    ),
    (
        "an interpreter section",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions>\nWSGISwitchInterval 1\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a group",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=g>\nWSGIPythonPath /x\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with both selectors",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=g application-group=%{GLOBAL}>\nWSGIRestrictStdin On\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with capitals",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions Process-Group=g APPLICATION-GROUP=a>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a repeated selector",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=g process-group=h>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with an unknown selector",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions callable-object=g>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a bare word",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions g>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with an empty selector",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with an empty quoted selector",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=\"\">\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a quoted word",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions \"process-group=a b\">\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a quoted value",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=\"a b\">\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with blanks around",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions  process-group=g  >\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with an unknown variable",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=%{NOPE}>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section without an end",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions>\nWSGISwitchInterval 1",
    ),
    (
        "an interpreter section without a bracket",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=g\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a word after it",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions process-group=g> x\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section in another",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions>\n<WSGIInterpreterOptions process-group=g>\n</WSGIInterpreterOptions>\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section in a host",
        Since6,
        "WSGIInterpreterOptions",
        "<VirtualHost *:1>\n<WSGIInterpreterOptions>\nWSGISwitchInterval 1\n</WSGIInterpreterOptions>\n</VirtualHost>",
    ),
    (
        "an interpreter section in a directory",
        Since6,
        "WSGIInterpreterOptions",
        "<Directory \"@APPS@\">\n<WSGIInterpreterOptions>\n</WSGIInterpreterOptions>\n</Directory>",
    ),
    (
        "an interpreter section with all that belongs to it",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions application-group=a>\nWSGIPerInterpreterGIL On\nWSGISwitchInterval 0.1\nWSGIPythonPath /x\nWSGIRestrictStdin On\nWSGIRestrictStdout Off\nWSGIRestrictSignal Off\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with free threading",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions>\nWSGIFreeThreading On\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with free threading of one application",
        Since6,
        "WSGIInterpreterOptions",
        "<WSGIInterpreterOptions application-group=a>\nWSGIFreeThreading On\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a bad value",
        Since6,
        "WSGISwitchInterval",
        "<WSGIInterpreterOptions>\nWSGISwitchInterval 0\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with an alias",
        Since6,
        "WSGI",
        "<WSGIInterpreterOptions>\nWSGIScriptAlias /x /x\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a directive of httpd",
        Since6,
        "WSGI",
        "<WSGIInterpreterOptions>\nTimeout 30\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section with a python home",
        Since6,
        "WSGI",
        "<WSGIInterpreterOptions>\nWSGIPythonHome /usr\n</WSGIInterpreterOptions>",
    ),
    (
        "an interpreter section around a condition",
        Since6,
        "WSGI",
        "<WSGIInterpreterOptions>\n<IfModule wsgi_module>\nWSGISwitchInterval 1\n</IfModule>\n</WSGIInterpreterOptions>",
    ),
    ("an unknown directive", Old, "WSGINothing", "WSGINothing On"),
    ("a directive in small letters", Old, "wsgiscriptalias", "wsgiscriptalias /x /x"),
    ("a directive in capitals", Old, "WSGIPYTHONOPTIMIZE", "WSGIPYTHONOPTIMIZE 1"),
    ("a line that goes on", Old, "WSGIDaemonProcess", "WSGIDaemonProcess g \\\n    threads=5 \\\n    processes=2"),
    ("a variable of httpd", Old, "WSGIDaemonProcess", "Define THREADS 5\nWSGIDaemonProcess g threads=${THREADS}"),
    ("a variable of httpd that is not defined", Old, "WSGIDaemonProcess", "WSGIDaemonProcess g threads=${NOT_DEFINED}"),
    (
        "all that restricts at once",
        Old,
        "WSGI",
        "WSGIRestrictEmbedded On\nWSGIRestrictStdin On\nWSGIRestrictStdout On\nWSGIRestrictSignal Off\nWSGIRestrictProcess a b",
    ),
    (
        "one directive twice",
        Old,
        "WSGI",
        "WSGIPythonOptimize 1\nWSGIPythonOptimize 2\nWSGIPythonWarnings a\nWSGIPythonWarnings b",
    ),
    (
        "a trusted list over several lines",
        Old,
        "WSGI",
        "WSGITrustedProxies 10.0.0.1\nWSGITrustedProxies 10.0.0.2\nWSGITrustedProxyHeaders X-Host\nWSGITrustedProxyHeaders X-Real-IP",
    ),
    ("a restriction twice", Old, "WSGI", "WSGIRestrictProcess a\nWSGIRestrictProcess"),
    ("a handler script of one name twice", Old, "WSGI", "WSGIHandlerScript h /x\nWSGIHandlerScript h /y"),
    ("aliases of one path twice", Old, "WSGI", "WSGIScriptAlias /x /x\nWSGIScriptAlias /x /y"),
    (
        "a user that comes after the group",
        Old,
        "WSGI",
        "WSGIDaemonProcess g user=www-data\nUser www-data\nWSGIDaemonProcess h",
    ),
    (
        "the provider for passwords",
        Old,
        "WSGI",
        "<Location /x>\nAuthType Basic\nAuthName x\nAuthBasicProvider wsgi\nWSGIAuthUserScript /x\n</Location>",
    ),
    (
        "the provider for groups",
        Old,
        "WSGI",
        "<Location /x>\nWSGIAuthGroupScript /x\nRequire wsgi-group a b\n</Location>",
    ),
    ("the provider for groups without a group", Old, "WSGI", "<Location /x>\nRequire wsgi-group\n</Location>"),
    (
        "the provider for passwords under another name",
        Old,
        "WSGI",
        "<AuthnProviderAlias wsgi other>\nWSGIAuthUserScript /x\n</AuthnProviderAlias>",
    ),
    (
        "the module's name in a condition",
        Old,
        "WSGI",
        "<IfModule mod_wsgi.c>\nWSGIPythonOptimize 1\n</IfModule>\n<IfModule !wsgi_module>\nNonsense\n</IfModule>",
    ),
];

/// All of them.
pub fn all() -> Vec<Case> {
    let case = |(name, age, directive, text): &(&'static str, Age, &'static str, &'static str)| {
        Case::text((*name).to_owned(), &text.replace("{}", BOTH_OPTIONS), directive, *age)
    };
    TEXTS.iter().map(case).collect()
}
