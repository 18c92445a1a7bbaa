// SPDX-License-Identifier: Apache-2.0
//! WSGIProcessGroup: where it may stand, what its default and its three forms mean.

use crate::*;

/// It sets the process group of an application; context: server configuration.
#[test]
fn it_assigns_applications_at_the_server() {
    let httpd = site().config(&format!("{}WSGIProcessGroup one\n{}", groups(&["one", "two"]), mounts(&["/a"]))).start();
    assert_process_group(&httpd, "/a", "one");
}

/// Context: virtual host. What it says wins over the server.
#[test]
fn it_assigns_applications_of_a_virtual_host() {
    let httpd = site()
        .config(&format!("{}WSGIProcessGroup one", groups(&["one", "two"])))
        .vhost("one.test", &mounts(&["/a"]))
        .vhost("two.test", &format!("WSGIProcessGroup two\n{}", mounts(&["/a"])))
        .start();
    assert_eq!(facts_of(&httpd, "one.test", "/a").process_group(), "one");
    assert_eq!(facts_of(&httpd, "two.test", "/a").process_group(), "two");
}

/// Context: directory. What it says wins over the server.
#[test]
fn it_assigns_applications_of_a_directory() {
    let httpd = site()
        .config(&format!("{}WSGIProcessGroup one\n{}", groups(&["one", "two"]), mounts(&["/a"])))
        .config("WSGIScriptAlias /b \"@APPS@/inner/identity.py\"")
        .config("<Directory \"@APPS@/inner\">\nWSGIProcessGroup two\n</Directory>")
        .file("apps/inner/identity.py", include_str!("../apps/identity.py"))
        .start();
    assert_process_group(&httpd, "/a", "one");
    assert_process_group(&httpd, "/b", "two");
}

/// The contexts leave `.htaccess` out.
#[test]
fn it_is_refused_in_htaccess() {
    assert_refused_in_htaccess("WSGIProcessGroup one");
}

/// Syntax: one argument.
#[test]
fn it_takes_exactly_one_argument() {
    for line in ["WSGIProcessGroup", "WSGIProcessGroup one two"] {
        assert_config_error(line, "WSGIProcessGroup takes one argument");
    }
}

/// The default is the global group.
#[test]
fn without_it_applications_are_in_the_global_group() {
    let httpd = site().config(&format!("{}{}", groups(&["one"]), mounts(&["/a"]))).start();
    let facts = facts(&httpd, "/a");
    assert_eq!(facts.process_group(), "");
    assert_eq!(facts.number("pid"), standard_child(&httpd));
}

/// It can assign one application or a set of them.
#[test]
fn one_line_assigns_a_set_of_applications() {
    let httpd = site()
        .config(&groups(&["one", "two"]))
        .config(&mounts(&["/set/a", "/set/b", "/alone"]))
        .config("<Location /set>\nWSGIProcessGroup one\n</Location>")
        .config("<Location /alone>\nWSGIProcessGroup two\n</Location>")
        .start();
    for (target, group) in [("/set/a", "one"), ("/set/b", "one"), ("/alone", "two")] {
        assert_process_group(&httpd, target, group);
    }
}

/// All applications of a process group run in the same daemon processes.
#[test]
fn applications_of_one_group_share_its_processes() {
    let httpd = site()
        .config(&groups(&["one", "two"]))
        .config(&mounts(&["/a", "/b", "/c"]))
        .config("WSGIProcessGroup one\n<Location /c>\nWSGIProcessGroup two\n</Location>")
        .start();
    let [a, b, c] = ["/a", "/b", "/c"].map(|target| facts(&httpd, target).number("pid"));
    assert_eq!(a, b);
    assert_ne!(a, c);
    assert_ne!(a, standard_child(&httpd));
}

/// The argument is the actual name of a group that WSGIDaemonProcess set up: another name selects nothing.
#[test]
fn the_name_of_no_group_is_refused() {
    let httpd = site()
        .config(&format!("{}WSGIProcessGroup absent\n{}", groups(&["one"]), mounts(&["/a", "/b"])))
        .config("<Location /b>\nWSGIProcessGroup ONE\n</Location>")
        .start();
    httpd.expect(event::GROUP_UNKNOWN).tolerate(event::GROUP_UNRESOLVED);
    httpd.get("/a").expect(500);
    httpd.get("/b").expect(500);
}

/// `%{GLOBAL}` makes the name of the group empty, also where a group was selected outside.
#[test]
fn the_global_group_has_the_empty_name() {
    let httpd = site()
        .config(&format!("{}WSGIProcessGroup one\n{}", groups(&["one"]), mounts(&["/a", "/b"])))
        .config("<Location /b>\nWSGIProcessGroup %{GLOBAL}\n</Location>")
        .start();
    assert_process_group(&httpd, "/a", "one");
    assert_process_group(&httpd, "/b", "");
}

/// Applications in the global group are always executed in httpd's children, and so share the process that serves static
/// files.
#[test]
fn the_global_group_is_the_process_that_serves_static_files() {
    let httpd =
        site().config(&format!("{}WSGIProcessGroup %{{GLOBAL}}\n{}", groups(&["one"]), mounts(&["/a", "/b"]))).start();
    let child = standard_child(&httpd);
    for target in ["/a", "/b"] {
        assert_eq!(facts(&httpd, target).number("pid"), child, "{target}");
    }
    assert!(httpd.children().contains(&child));
}

/// In httpd's children an application runs as the user that httpd runs as.
#[test]
fn the_global_group_runs_as_the_user_of_httpd() {
    let httpd = site().config(&format!("WSGIProcessGroup %{{GLOBAL}}\n{}", mounts(&["/a"]))).start();
    assert_eq!(facts(&httpd, "/a").number("uid"), standard_user());
}

/// The processes of a group are those that its WSGIDaemonProcess line sets up: here as a user of their own.
#[test]
fn the_processes_of_a_group_run_as_its_user() {
    let Some((user, group)) = account("games").filter(|_| is_root()) else {
        harness::skip::skipped("needs root and the user games");
        return;
    };
    let httpd = site()
        .config("WSGIDaemonProcess own user=games group=games threads=1\nWSGIDaemonProcess plain threads=1")
        .config(&mounts(&["/own", "/plain"]))
        .config("<Location /own>\nWSGIProcessGroup own\n</Location>\n<Location /plain>\nWSGIProcessGroup plain\n</Location>")
        .start();
    let own = facts(&httpd, "/own");
    assert_eq!((own.number("uid"), own.number("gid")), (user, group));
    assert_eq!(facts(&httpd, "/plain").number("uid"), standard_user());
}
