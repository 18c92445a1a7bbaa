// SPDX-License-Identifier: Apache-2.0
//! The example of WSGIRestrictProcess as it is written: a user delegates scripts to groups of his own. What he may try
//! beyond that is in `attempts.rs`.

use crate::accounts::Accounts;
use crate::*;
use std::collections::BTreeSet;
use std::os::unix::fs::chown;

/// The example's virtual host has this name.
const HOST: &str = "www.site.com";

/// The example's file of its user.
const HTACCESS: &str = "<Files blog.wsgi>\nSetEnv PROCESS_GROUP bob:2\n</Files>\n<Files wiki.wsgi>\nSetEnv PROCESS_GROUP bob:3\n</Files>\n";

const LIST: &str = "WSGIRestrictProcess bob:1 bob:2 bob:3";

/// The example's directory, for one of the two users or for what stands beside it.
pub fn folder(path: &str, options: &str, list: &str, default: &str) -> String {
    format!(
        "<Directory \"@ROOT@/home/{path}\">\nOptions {options}\nAddHandler wsgi-script .wsgi\n{list}\n\
         SetEnv PROCESS_GROUP {default}\n</Directory>\n"
    )
}

/// The directory of the user in the example, word for word.
pub fn of_bob() -> String {
    folder("bob/public_html", "ExecCGI\nAllowOverride FileInfo", LIST, "bob:1")
}

/// The example. `inside` is what its virtual host has beside it. Where users can be made the groups have their owners.
pub fn example(accounts: Option<&Accounts>, inside: &str) -> Site {
    let owner = |user: &str| accounts.map_or_else(String::new, |accounts| accounts.options(user));
    let group = |user: &str, number: u32| format!("WSGIDaemonProcess {user}:{number} {}threads=25\n", owner(user));
    let three = |user: &str| (1..=3).map(|number| group(user, number)).collect::<String>();
    let joe = folder("joe/public_html", "ExecCGI\nAllowOverride FileInfo", "WSGIRestrictProcess joe:1 joe:2", "joe:1");
    let host = format!(
        "{}{}SetEnv PROCESS_GROUP default\nWSGIProcessGroup %{{ENV:PROCESS_GROUP}}\n{}{joe}\
         Alias /~bob \"@ROOT@/home/bob/public_html\"\nAlias /~joe \"@ROOT@/home/joe/public_html\"\n{}{inside}",
        three("bob"),
        three("joe"),
        of_bob(),
        mounts(&["/site"])
    );
    // The users' scripts are closed to all others.
    let script = include_str!("../apps/identity.py");
    [
        "bob/public_html/index.wsgi",
        "bob/public_html/blog.wsgi",
        "bob/public_html/wiki.wsgi",
        "joe/public_html/page.wsgi",
    ]
    .iter()
    .fold(site(), |site, path| site.file_with_mode(&format!("home/{path}"), script, script_mode(accounts)))
    .config("WSGIDaemonProcess default processes=2 threads=25")
    .vhost(HOST, &host)
}

fn script_mode(accounts: Option<&Accounts>) -> u32 {
    if accounts.is_some() { 0o600 } else { 0o644 }
}

/// Starts the server and gives the users their files.
pub fn start(site: &Site, accounts: Option<&Accounts>) -> Httpd {
    let httpd = site.start();
    for user in ["bob", "joe"] {
        let Some((uid, gid)) = accounts.map(|accounts| accounts.numbers(user)) else { continue };
        let home = httpd.root().join("home").join(user).join("public_html");
        for entry in fs::read_dir(home).expect("a home").flatten() {
            chown(entry.path(), Some(uid), Some(gid)).expect("another owner");
        }
    }
    httpd
}

pub fn visit(httpd: &Httpd, target: &str) -> Response {
    httpd.request("GET", target).header("Host", HOST).header("User-Agent", "test").header("X-Group", "joe:1").send()
}

/// Whether the request ran in processes of `group` that belong to its owner.
pub fn ran_in(facts: &Facts, group: &str, accounts: Option<&Accounts>) -> bool {
    let owner = accounts.map(|accounts| match group.split_once(':') {
        Some((user, _)) => accounts.numbers(user),
        None => account("www-data").expect("the user of httpd's children"),
    });
    let is_owner = owner.is_none_or(|owner| (facts.number("uid"), facts.number("gid")) == owner);
    is_owner && facts.process_group() == group
}

/// The host's default, the folder's default, and what the user's `.htaccess` delegates: each runs in the processes of its
/// group, as the user who owns that.
#[test]
fn the_example_runs_as_it_says() {
    let accounts = Accounts::make();
    let site = example(accounts.as_deref(), "").file("home/bob/public_html/.htaccess", HTACCESS);
    let httpd = start(&site, accounts.as_deref());
    let selected = [
        ("/site", "default"),
        ("/~bob/index.wsgi", "bob:1"),
        ("/~bob/blog.wsgi", "bob:2"),
        ("/~bob/wiki.wsgi", "bob:3"),
        ("/~joe/page.wsgi", "joe:1"),
    ];
    let mut processes = BTreeSet::from([standard_child(&httpd)]);
    for (target, group) in selected {
        let facts = Facts::read(&visit(&httpd, target));
        assert!(ran_in(&facts, group, accounts.as_deref()), "{target}: {:?}", facts.0);
        assert!(processes.insert(facts.number("pid")), "{target} shares the process of another group or of httpd");
    }
}

/// The folder's default is the group of what the user's file does not name, and the group that the file names is the one
/// of its script only.
#[test]
fn a_refused_script_leaves_the_others_alone() {
    let lines = "<Files wiki.wsgi>\nSetEnv PROCESS_GROUP joe:1\n</Files>\n";
    let httpd = start(&example(None, "").file("home/bob/public_html/.htaccess", lines), None);
    httpd.expect(event::GROUP_RESTRICTED);
    visit(&httpd, "/~bob/wiki.wsgi").expect(restricted());
    for (target, group) in [("/~bob/blog.wsgi", "bob:1"), ("/site", "default")] {
        assert_eq!(Facts::read(&visit(&httpd, target)).process_group(), group, "{target}");
    }
}
