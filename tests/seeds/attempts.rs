// SPDX-License-Identifier: Apache-2.0
//! What bob of WSGIRestrictProcess's example may write into his `.htaccess` to get at joe's groups, and what comes of it.
//!
//! Each attempt is made in three folders: bob's own, which is the example's; `wide`, which has his list as well, but where
//! `.htaccess` may say everything that a directive of ours can be allowed to say there; and `free`, which has no list. What
//! happens in `free` shows that the lines would select something, were they not stopped.

use crate::accounts::Accounts;
use crate::delegation::{example, folder, ran_in, start, visit};
use crate::*;
use End::{Default, Disabled, Nameless, Page, Restricted, Runs};
use harness::module::modules_folder;
use harness::skip;
use std::os::unix::fs::symlink;

/// What comes of a request.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The list stops it: 403.
    Restricted,
    /// httpd does not let the lines be written there, or not follow them.
    Disabled,
    /// The value is empty or names no group: 500. A variable's value is not expanded again.
    Nameless,
    /// It runs in this group.
    Runs(&'static str),
    /// It runs in bob's default group, and the answer says this, which shows that the line was not without effect.
    Default(&'static str),
    /// It is a visit to joe's page, in the group that joe's folder chooses.
    Page,
}

struct Attempt {
    /// In the `.htaccess` file. `{here}` is where the folder is mounted, `{folder}` is its path.
    lines: &'static str,
    /// The file that is asked for.
    file: &'static str,
    /// In the folders.
    ends: [End; 3],
}

const fn attempt(lines: &'static str, file: &'static str, ends: [End; 3]) -> Attempt {
    Attempt { lines, file, ends }
}

/// Lines that a user may write, and that select joe's group where there is no list.
const fn stopped(lines: &'static str) -> Attempt {
    attempt(lines, "wiki.wsgi", [Restricted, Restricted, Runs("joe:1")])
}

/// The same for lines that need more than the example allows.
const fn kept_out(lines: &'static str) -> Attempt {
    attempt(lines, "wiki.wsgi", [Disabled, Restricted, Runs("joe:1")])
}

const ATTEMPTS: &[Attempt] = &[
    // The variable, by the directive of the example.
    stopped("SetEnv PROCESS_GROUP joe:1"),
    stopped("SetEnv process_group joe:1"),
    stopped("SetEnv PROCESS_GROUP bob:1\nSetEnv PROCESS_GROUP joe:1"),
    stopped("<Files wiki.wsgi>\nSetEnv PROCESS_GROUP joe:1\n</Files>"),
    stopped("<FilesMatch \"^w\">\nSetEnv PROCESS_GROUP joe:1\n</FilesMatch>"),
    stopped("<If \"true\">\nSetEnv PROCESS_GROUP joe:1\n</If>"),
    stopped("<If \"%{HTTP:X-Group} == 'joe:1'\">\nSetEnv PROCESS_GROUP joe:1\n</If>"),
    stopped("<Files wiki.wsgi>\n<If \"true\">\nSetEnv PROCESS_GROUP joe:1\n</If>\n</Files>"),
    stopped("<IfModule env_module>\nSetEnv PROCESS_GROUP joe:1\n</IfModule>"),
    attempt("SetEnv PROCESS_GROUP default", "wiki.wsgi", [Restricted, Restricted, Runs("default")]),
    attempt("SetEnv PROCESS_GROUP %{GLOBAL}", "wiki.wsgi", [Restricted, Restricted, Runs("")]),
    attempt("SetEnv PROCESS_GROUP", "wiki.wsgi", [Nameless; 3]),
    // By the other directives that set variables.
    stopped("PassEnv PROCESS_GROUP"),
    stopped("SetEnvIf Request_URI . PROCESS_GROUP=joe:1"),
    stopped("SetEnvIfNoCase request_method GET PROCESS_GROUP=joe:1"),
    stopped("SetEnvIf X-Group (.+) PROCESS_GROUP=$1"),
    stopped("SetEnvIfExpr \"true\" PROCESS_GROUP=joe:1"),
    stopped("SetEnvIfExpr \"%{HTTP:X-Group} =~ /(.+)/\" PROCESS_GROUP=$1"),
    stopped("BrowserMatch . PROCESS_GROUP=joe:1"),
    stopped("UnsetEnv PROCESS_GROUP\nSetEnvIf Request_URI . PROCESS_GROUP=joe:1"),
    kept_out("RewriteEngine On\nRewriteRule . - [E=PROCESS_GROUP:joe:1]"),
    kept_out("RewriteEngine On\nRewriteCond %{HTTP:X-Group} (.+)\nRewriteRule . - [E=PROCESS_GROUP:%1]"),
    // By way of another variable or a header.
    attempt("SetEnv OTHER joe:1\nSetEnv PROCESS_GROUP %{ENV:OTHER}", "wiki.wsgi", [Restricted, Restricted, Nameless]),
    attempt(
        "RequestHeader set X-Chosen joe:1\nSetEnvIf X-Chosen (.+) PROCESS_GROUP=$1\nErrorDocument 404 {here}/wiki.wsgi",
        "absent",
        [Restricted, Restricted, Runs("joe:1")],
    ),
    attempt(
        "SetEnv CHOSEN joe:1\nSetEnvIf REDIRECT_CHOSEN (.+) PROCESS_GROUP=$1\nErrorDocument 404 {here}/wiki.wsgi",
        "absent",
        [Restricted, Restricted, Runs("joe:1")],
    ),
    attempt(
        "RewriteEngine On\nRewriteBase {here}\nRewriteRule ^start$ wiki.wsgi [E=CHOSEN:joe:1]\nSetEnvIf REDIRECT_CHOSEN (.+) PROCESS_GROUP=$1",
        "start",
        [Disabled, Restricted, Runs("joe:1")],
    ),
    // By another handler or another file.
    attempt(
        "AddHandler wsgi-script .txt\nSetEnv PROCESS_GROUP joe:1",
        "note.txt",
        [Restricted, Restricted, Runs("joe:1")],
    ),
    attempt("SetHandler wsgi-script\nSetEnv PROCESS_GROUP joe:1", "note.txt", [Restricted, Restricted, Runs("joe:1")]),
    attempt(
        "AddType application/x-httpd-wsgi .txt\nSetEnv PROCESS_GROUP joe:1",
        "note.txt",
        [Restricted, Restricted, Runs("joe:1")],
    ),
    attempt(
        "ForceType application/x-httpd-wsgi\nSetEnv PROCESS_GROUP joe:1",
        "note.txt",
        [Restricted, Restricted, Runs("joe:1")],
    ),
    attempt("AddHandler wsgi-script .txt", "note.txt", [Default("script=note.txt"); 3]),
    attempt("SetHandler wsgi-script", "note.txt", [Default("script=note.txt"); 3]),
    stopped("SetHandler joes"),
    stopped("AddHandler joes .wsgi"),
    attempt("AddHandler joes .txt", "note.txt", [Restricted, Restricted, Runs("joe:1")]),
    // By directives of ours.
    kept_out("WSGIProcessGroup joe:1"),
    kept_out("<Files wiki.wsgi>\nWSGIProcessGroup joe:1\n</Files>"),
    kept_out("<If \"true\">\nWSGIProcessGroup joe:1\n</If>"),
    kept_out("WSGIProcessGroup %{ENV:OTHER}\nSetEnv OTHER joe:1"),
    kept_out("WSGIHandlerScript own \"{folder}/own.py\" process-group=joe:1\nSetHandler own"),
    attempt("WSGIProcessGroup %{GLOBAL}", "wiki.wsgi", [Disabled, Restricted, Runs("")]),
    attempt(
        "WSGIApplicationGroup joes",
        "wiki.wsgi",
        [Disabled, Default("application_group=joes"), Default("application_group=joes")],
    ),
    attempt(
        "WSGIApplicationGroup %{ENV:PROCESS_GROUP}\nSetEnv PROCESS_GROUP joe:1",
        "wiki.wsgi",
        [Disabled, Restricted, Runs("joe:1")],
    ),
    attempt("WSGIRestrictProcess joe:1\nSetEnv PROCESS_GROUP joe:1", "wiki.wsgi", [Disabled, Disabled, Runs("joe:1")]),
    // By leading the request elsewhere: that is a visit to joe, and takes nothing of bob's with it.
    attempt("SetEnv PROCESS_GROUP joe:2\nErrorDocument 404 /~joe/page.wsgi", "absent", [Page; 3]),
    attempt(
        "SetEnv PROCESS_GROUP joe:2\nAction joes-page /~joe/page.wsgi\nSetHandler joes-page",
        "note.txt",
        [Page; 3],
    ),
    attempt(
        "RewriteEngine On\nRewriteRule . /~joe/page.wsgi [E=PROCESS_GROUP:joe:2]",
        "wiki.wsgi",
        [Disabled, Page, Page],
    ),
];

/// What only another module can write: the notes of the request, which are looked up before its environment.
const WITH_LUA: &[Attempt] = &[
    stopped("LuaHookFixups \"{folder}/choose.lua\" choose"),
    // For the module under test this forges the note that names the alias which led here, and so its options.
    stopped("LuaHookFixups \"{folder}/choose.lua\" pretend"),
];

const LUA: &str = "require 'apache2'\n\nfunction choose(r)\n    r.notes['PROCESS_GROUP'] = 'joe:1'\n    return apache2.DECLINED\nend\n\nfunction pretend(r)\n    for name, value in pairs({\n        ['alias-forced-type'] = 'wsgi-script',\n        ['mod_wsgi_rs.alias'] = '1',\n        ['mod_wsgi.process_group'] = 'joe:1',\n    }) do\n        r.notes[name] = value\n    end\n    return apache2.DECLINED\nend\n";

/// Path below `home`, URL, and what the file may say.
const FOLDERS: [(&str, &str, &str); 3] = [
    ("bob/public_html", "/~bob", ""),
    (
        "wide",
        "/wide",
        "ExecCGI FollowSymLinks\nAllowOverride All\nAllowOverrideList WSGIProcessGroup WSGIApplicationGroup WSGIHandlerScript",
    ),
    (
        "free",
        "/free",
        "ExecCGI FollowSymLinks\nAllowOverride All\nAllowOverrideList WSGIProcessGroup WSGIApplicationGroup WSGIHandlerScript WSGIRestrictProcess",
    ),
];

/// The example with the two folders beside it, a handler script and an alias of joe's, and all that the attempts use.
fn three_folders(accounts: Option<&Accounts>, with_lua: bool) -> Site {
    let script = include_str!("../apps/identity.py");
    let handler = format!("{script}\n\nhandle_request = application\n");
    let mut inside = "WSGIHandlerScript joes \"@APPS@/joes.py\" process-group=joe:1\n".to_owned();
    for ((path, url, options), list) in FOLDERS[1..].iter().zip(["WSGIRestrictProcess bob:1 bob:2 bob:3", ""]) {
        inside.push_str(&folder(path, options, list, "bob:1"));
        inside.push_str(&format!("Alias {url} \"@ROOT@/home/{path}\"\n"));
    }
    // The second alias of the host, which a forged note names.
    inside.push_str(&format!("WSGIScriptAlias /joes {SCRIPT} process-group=joe:1\n"));
    let mut site = example(accounts, &inside).variable("PROCESS_GROUP", "joe:1").file("apps/joes.py", handler.clone());
    for name in ["rewrite", "headers", "actions"].into_iter().chain(with_lua.then_some("lua")) {
        site = site.with(name);
    }
    for (path, ..) in FOLDERS {
        for (name, content) in [("note.txt", script), ("own.py", &handler), ("choose.lua", LUA)] {
            site = site.file(&format!("home/{path}/{name}"), content);
        }
        if path != "bob/public_html" {
            site = site.file(&format!("home/{path}/wiki.wsgi"), script);
        }
    }
    site
}

/// The list's status, and that of the missing file whose error page it stops.
const REFUSED: [u16; 2] = [403, 404];

/// Whether an attempt ended as the table says. `was_restricted` tells that the list stopped it.
fn fits(end: End, answer: &Response, was_restricted: bool, accounts: Option<&Accounts>) -> bool {
    let text = answer.text();
    let facts = text.contains("process_group=").then(|| Facts::of(&text));
    let runs = |group: &str, fact: &str| {
        let says = fact.is_empty() || text.lines().any(|line| line == fact);
        says && facts.as_ref().is_some_and(|facts| ran_in(facts, group, accounts))
    };
    match end {
        Restricted if Module::Ours.is_ours() => was_restricted && REFUSED.contains(&answer.status),
        Restricted => facts.is_none() && answer.status >= 400,
        Disabled => facts.is_none() && [403, 500].contains(&answer.status) && !was_restricted,
        Nameless if Module::Ours.is_ours() => facts.is_none() && answer.status == 500,
        // The reference takes an empty value for the global group.
        Nameless => answer.status == 500 || runs("", ""),
        Runs(group) => runs(group, ""),
        Default(fact) => runs("bob:1", fact),
        Page => runs("joe:1", "script=page.wsgi"),
    }
}

/// Makes one attempt in the three folders; gives what did not end as the table says.
fn make(httpd: &Httpd, attempt: &Attempt, accounts: Option<&Accounts>) -> Vec<String> {
    let in_folder = |((path, url, _), end): (&(&str, &str, &str), End)| {
        let folder = format!("@ROOT@/home/{path}");
        let lines = attempt.lines.replace("{here}", url).replace("{folder}", &folder);
        httpd.rewrite(&format!("home/{path}/.htaccess"), &format!("{lines}\n"));
        let before = httpd.count(event::GROUP_RESTRICTED);
        let answer = visit(httpd, &format!("{url}/{}", attempt.file));
        let was_restricted = httpd.count(event::GROUP_RESTRICTED) > before;
        let said = || format!("{lines:?} in {url} is not {end:?} but {}: {}", answer.status, answer.text());
        (!fits(end, &answer, was_restricted, accounts)).then(said)
    };
    FOLDERS.iter().zip(attempt.ends).filter_map(in_folder).collect()
}

/// bob does not get at joe's groups, nor out of his own ones.
#[test]
fn no_line_of_a_user_selects_the_groups_of_another() {
    let accounts = Accounts::make();
    let with_lua = modules_folder().join("mod_lua.so").is_file();
    let httpd = start(&three_folders(accounts.as_deref(), with_lua), accounts.as_deref());
    httpd.expect(event::GROUP_RESTRICTED).expect(event::VARIABLE_UNSET).expect(event::GROUP_UNKNOWN);
    // Lines where they are not allowed, in themselves and in sections, and rewriting where links are not followed.
    httpd.expect_text("not allowed here").expect_text("not allowed in <").expect_text("AH00670");
    let more = if with_lua { WITH_LUA } else { &[] };
    if !with_lua {
        skip::skipped("mod_lua is missing, which writes notes");
    }
    let attempts = ATTEMPTS.iter().chain(more);
    let complaints: Vec<String> = attempts.flat_map(|one| make(&httpd, one, accounts.as_deref())).collect();
    assert!(complaints.is_empty(), "{}:\n{}", complaints.len(), complaints.join("\n"));
    assert_links_lead_nowhere(&httpd, accounts.as_deref());
}

/// A link to joe's page is a script of the folder that it is in: where links are followed bob's processes are asked to
/// run it, and cannot read it.
fn assert_links_lead_nowhere(httpd: &Httpd, accounts: Option<&Accounts>) {
    let page = httpd.root().join("home/joe/public_html/page.wsgi");
    for (path, ..) in FOLDERS {
        httpd.rewrite(&format!("home/{path}/.htaccess"), "");
        symlink(&page, httpd.root().join(format!("home/{path}/link.wsgi"))).expect("a link");
    }
    httpd.expect_text("AH00037");
    visit(httpd, "/~bob/link.wsgi").expect(403);
    for url in ["/wide/link.wsgi", "/free/link.wsgi"] {
        let answer = visit(httpd, url);
        if accounts.is_some() {
            answer.expect(500);
        } else {
            assert_eq!(Facts::read(&answer).process_group(), "bob:1");
        }
    }
    if accounts.is_some() {
        httpd.expect(event::SCRIPT_UNREADABLE);
    }
}
