// SPDX-License-Identifier: Apache-2.0
//! The example of WSGIApplicationGroup: the scripts of one user, found by mod_userdir, share an interpreter.

use crate::*;

/// The example, with the homes below the root.
fn homes() -> Site {
    let script = include_str!("../apps/identity.py");
    let place = |site: Site, path: &str| site.file(&format!("home/{path}"), script);
    let scripts = [
        "anna/public_html/wsgi-scripts/a.py",
        "anna/public_html/wsgi-scripts/b.py",
        "ben/public_html/wsgi-scripts/a.py",
    ];
    let site = site()
        .with("rewrite")
        .with("userdir")
        .config("UserDir \"@ROOT@/home/*/public_html\"")
        .config("RewriteEngine On\nRewriteCond %{REQUEST_URI} ^/~([^/]+)\nRewriteRule . - [E=APPLICATION_GROUP:~%1]")
        .config("<Directory \"@ROOT@/home/*/public_html/wsgi-scripts/\">\nOptions ExecCGI\nSetHandler wsgi-script")
        .config("WSGIApplicationGroup %{ENV:APPLICATION_GROUP}\n</Directory>");
    scripts.into_iter().fold(site, place).file("home/anna/public_html/page.txt", "anna's page\n")
}

/// All scripts of a user are in one application group, which has the user's name; another user's are not in it.
#[test]
fn scripts_of_one_user_share_an_interpreter() {
    let httpd = homes().start();
    let [a, b, again, other] = [
        "/~anna/wsgi-scripts/a.py",
        "/~anna/wsgi-scripts/b.py/info",
        "/~anna/wsgi-scripts/a.py",
        "/~ben/wsgi-scripts/a.py",
    ]
    .map(|target| facts(&httpd, target));
    assert_eq!([a.text("script"), b.text("script"), other.text("script")], ["a.py", "b.py", "a.py"]);
    assert_eq!([&a, &b, &again].map(Facts::application_group), ["~anna"; 3]);
    assert_eq!(other.application_group(), "~ben");
    assert_eq!([&a, &b, &again].map(|facts| facts.number("seen")), [1, 2, 3]);
    assert_eq!((a.python(), b.python()), (b.python(), again.python()));
    assert_eq!((other.number("seen"), other.number("pid")), (1, a.number("pid")));
    assert_ne!(other.number("interpreter"), a.number("interpreter"));
}

/// The example is about the folder of scripts: other files of a user are served as they are.
#[test]
fn other_files_of_a_user_are_served() {
    let httpd = homes().start();
    httpd.get("/~anna/page.txt").expect_body(b"anna's page\n");
}

/// The example's remark, for scripts of one user in the same place: one process group per user can be chosen alike.
#[test]
fn the_variable_can_choose_the_process_group_too() {
    let httpd = homes()
        .config(&groups(&["~anna", "~ben"]))
        .config("<Directory \"@ROOT@/home\">\nWSGIProcessGroup %{ENV:APPLICATION_GROUP}\n</Directory>")
        .start();
    for (target, group) in [("/~anna/wsgi-scripts/b.py", "~anna"), ("/~ben/wsgi-scripts/a.py", "~ben")] {
        let facts = facts(&httpd, target);
        assert_eq!((facts.process_group(), facts.application_group()), (group, group));
    }
}
