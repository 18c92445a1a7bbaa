// SPDX-License-Identifier: Apache-2.0
//! Lines in `.htaccess`, under several values of `AllowOverride`. Each stands in a folder of its own; a request for a
//! page in the folder makes httpd read it, and its log tells what it refused.

use crate::cases::{Age, Case};
use crate::deviations::Verdict;
use crate::directives;
use Age::{Old, Since6};
use harness::{Mode, Module, Python, Site};

/// What may be overridden, by the folder it is set for.
const OVERRIDES: &[(&str, &str)] = &[
    ("none", "AllowOverride None"),
    ("fileinfo", "AllowOverride FileInfo"),
    ("authconfig", "AllowOverride AuthConfig"),
    ("options", "AllowOverride Options"),
    ("all", "AllowOverride All"),
    ("list", "AllowOverride None\nAllowOverrideList WSGIPassAuthorization WSGIAccessScript WSGIProcessGroup"),
    ("lenient", "AllowOverride FileInfo Nonfatal=Override"),
];

/// Lines that are tried where everything may be overridden.
const LINES: &[(&str, Age, &str)] = &[
    ("WSGIPassAuthorization", Old, "WSGIPassAuthorization Yes"),
    ("WSGIPassAuthorization", Old, "WSGIPassAuthorization"),
    ("WSGIPassAuthorization", Old, "WSGIPassAuthorization On Off"),
    ("WSGIPassAuthorization", Old, "wsgipassauthorization off"),
    ("WSGICallableObject", Old, "WSGICallableObject"),
    ("WSGICallableObject", Old, "WSGICallableObject \"\""),
    ("WSGICallableObject", Old, "WSGICallableObject %{ENV:X}"),
    ("WSGICallableObject", Old, "WSGICallableObject a b"),
    ("WSGICallableObject", Old, "<Files page.txt>\nWSGICallableObject a\n</Files>"),
    ("WSGICallableObject", Old, "<If \"true\">\nWSGICallableObject a\n</If>"),
    ("WSGIProcessGroup", Old, "<Files page.txt>\nWSGIProcessGroup a\n</Files>"),
    ("WSGIApplicationGroup", Old, "<If \"true\">\nWSGIApplicationGroup a\n</If>"),
    ("WSGIMapHEADToGET", Old, "WSGIMapHEADToGET Auto"),
    ("WSGIMapHEADToGET", Old, "WSGIMapHEADToGET Maybe"),
    ("WSGITrustedProxies", Old, "WSGITrustedProxies 10.0.0.0/8 ::1"),
    ("WSGITrustedProxies", Old, "WSGITrustedProxies localhost"),
    ("WSGITrustedProxies", Old, "WSGITrustedProxies"),
    ("WSGITrustedProxyHeaders", Old, "WSGITrustedProxyHeaders X-Forwarded-For\nWSGITrustedProxyHeaders X-Host"),
    ("WSGIAuthUserScript", Old, "WSGIAuthUserScript /x application-group=a"),
    ("WSGIAuthUserScript", Old, "WSGIAuthUserScript /x application-group="),
    ("WSGIAuthUserScript", Old, "WSGIAuthUserScript /x process-group=a"),
    ("WSGIAuthGroupScript", Old, "WSGIAuthGroupScript"),
    ("WSGIGroupAuthoritative", Old, "WSGIGroupAuthoritative Maybe"),
    ("WSGIInterpreterOptions", Since6, "<WSGIInterpreterOptions>\n</WSGIInterpreterOptions>"),
    ("WSGI", Old, "<IfModule wsgi_module>\nWSGIPassAuthorization On\n</IfModule>"),
    ("WSGI", Old, "Require wsgi-group a"),
    ("WSGINothing", Old, "WSGINothing On"),
];

/// A line and the folder whose `.htaccess` holds it.
pub struct Below {
    /// The line as a case.
    pub case: Case,
    folder: String,
}

/// All of them.
pub fn all() -> Vec<Below> {
    let mut cases: Vec<Below> = Vec::new();
    let mut add = |place: &str, directive, age, text: &str| {
        let name = format!("htaccess {place}: {}", text.replace('\n', "; "));
        let case = Case::text(name, text, directive, age);
        cases.push(Below { case, folder: format!("{place}/{}", cases.len()) });
    };
    for row in directives::TABLE {
        for (place, _) in OVERRIDES {
            add(place, row.name, row.age, &format!("{} {}", row.name, row.good()));
        }
    }
    for (directive, age, text) in LINES {
        add("all", directive, *age, text);
    }
    cases
}

/// What one module says of all of them.
pub fn judge(module: Module, cases: &[&Below]) -> Vec<(Verdict, String)> {
    let mut site = Site::new(Mode::Embedded).module(module).with("auth_basic").with("authn_core");
    if let (Module::Ours, Some(system)) = (module, Python::system()) {
        site = site.python(&system);
    }
    for (place, allow) in OVERRIDES {
        site = site.config(&format!("<Directory \"@ROOT@/htdocs/{place}\">\n{allow}\n</Directory>"));
    }
    for below in cases {
        site = site
            .file(&format!("htdocs/{}/.htaccess", below.folder), format!("{}\n", below.case.config))
            .file(&format!("htdocs/{}/page.txt", below.folder), "page\n");
    }
    let httpd = site.start();
    httpd.tolerate_all();
    cases.iter().for_each(|below| _ = httpd.get(&format!("/{}/page.txt", below.folder)));
    let log: Vec<String> = httpd.log().into_iter().map(|entry| entry.line).collect();
    let said = |below: &&Below| {
        let file = format!("/{}/.htaccess: ", below.folder);
        let line = log.iter().find(|line| line.contains(&file) && !line.contains("[core:info]"));
        line.map_or((Verdict::Accepted, String::new()), |line| (Verdict::Refused, line.clone()))
    };
    cases.iter().map(said).collect()
}
