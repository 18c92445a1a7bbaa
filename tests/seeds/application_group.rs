// SPDX-License-Identifier: Apache-2.0
//! WSGIApplicationGroup: where it may stand, what its default and its forms mean, and what it has to do with processes.
//! Ports are in `ports.rs`, variables in `variables.rs`, the example in `user_folders.rs`.

use crate::*;
use harness::{Connection, Mpm, Request};
use std::collections::BTreeSet;
use std::thread;

/// It sets the application group of an application; context: server configuration.
#[test]
fn it_assigns_applications_at_the_server() {
    let httpd = site().config(&format!("WSGIApplicationGroup one\n{}", mounts(&["/a"]))).start();
    assert_application_group(&httpd, "/a", "one");
}

/// Context: virtual host. What it says wins over the server.
#[test]
fn it_assigns_applications_of_a_virtual_host() {
    let httpd = site()
        .config("WSGIApplicationGroup one")
        .vhost("one.test", &mounts(&["/a"]))
        .vhost("two.test", &format!("WSGIApplicationGroup two\n{}", mounts(&["/a"])))
        .start();
    assert_eq!(facts_of(&httpd, "one.test", "/a").application_group(), "one");
    assert_eq!(facts_of(&httpd, "two.test", "/a").application_group(), "two");
}

/// Context: directory. What it says wins over the server.
#[test]
fn it_assigns_applications_of_a_directory() {
    let httpd = site()
        .config(&format!("WSGIApplicationGroup one\n{}", mounts(&["/a"])))
        .config("WSGIScriptAlias /b \"@APPS@/inner/identity.py\"")
        .config("<Directory \"@APPS@/inner\">\nWSGIApplicationGroup two\n</Directory>")
        .file("apps/inner/identity.py", include_str!("../apps/identity.py"))
        .start();
    assert_application_group(&httpd, "/a", "one");
    assert_application_group(&httpd, "/b", "two");
}

/// The contexts leave `.htaccess` out.
#[test]
fn it_is_refused_in_htaccess() {
    assert_refused_in_htaccess("WSGIApplicationGroup one");
}

/// Syntax: one argument.
#[test]
fn it_takes_exactly_one_argument() {
    for line in ["WSGIApplicationGroup", "WSGIApplicationGroup one two"] {
        assert_config_error(line, "WSGIApplicationGroup takes one argument");
    }
}

/// The default is `%{RESOURCE}`.
#[test]
fn without_it_the_group_is_the_resource() {
    let httpd = site()
        .config(&mounts(&["/a", "/b"]))
        .config("<Location /b>\nWSGIApplicationGroup %{RESOURCE}\n</Location>")
        .start();
    let port = httpd.port();
    assert_application_group(&httpd, "/a/x", &format!("localhost:{port}|/a"));
    assert_application_group(&httpd, "/b/x", &format!("localhost:{port}|/b"));
}

/// All applications of a group run in one interpreter of the process that has the request: the group is a name of one's
/// own choosing.
#[test]
fn applications_of_one_group_share_an_interpreter() {
    let httpd = site()
        .config(&mounts(&["/a", "/b", "/c"]))
        .config("WSGIApplicationGroup one\n<Location /c>\nWSGIApplicationGroup two\n</Location>")
        .start();
    let [a, b, c] = ["/a", "/b", "/c"].map(|target| facts(&httpd, target));
    assert_eq!((a.python(), b.number("seen")), (b.python(), 2));
    assert_eq!((a.number("pid"), c.number("seen")), (c.number("pid"), 1));
    assert_ne!(a.number("interpreter"), c.number("interpreter"));
}

/// The name is of one's own choosing.
#[test]
fn any_name_will_do() {
    let names = ["plain", "two words", "www.example.com:8080|/x", "~user", "50%", "{GLOBAL}"];
    let section = |at: usize| format!("<Location /{at}>\nWSGIApplicationGroup \"{}\"\n</Location>\n", names[at]);
    let sections: String = (0..names.len()).map(section).collect();
    let httpd = site().config(&format!("WSGIScriptAliasMatch ^/[0-9] {SCRIPT}\n{sections}")).start();
    for (at, name) in names.iter().enumerate() {
        let facts = facts(&httpd, &format!("/{at}"));
        assert_eq!((facts.application_group(), facts.number("seen")), (*name, 1));
    }
}

/// It does not control which processes handle a request, and WSGIProcessGroup does not control the interpreter: each
/// combination of the two names is possible.
#[test]
fn the_two_groups_are_chosen_independently() {
    let httpd = site()
        .config(&format!("{}{}", groups(&["p1", "p2"]), mounts(&["/a"])))
        .config(
            "WSGIProcessGroup %{ENV:P}\nWSGIApplicationGroup %{ENV:A}\nSetEnvIf X-P (.+) P=$1\nSetEnvIf X-A (.+) A=$1",
        )
        .start();
    for process in ["p1", "p2", "%{GLOBAL}"] {
        for application in ["a1", "a2", "%{GLOBAL}"] {
            let answer = httpd.request("GET", "/a").header("X-P", process).header("X-A", application).send();
            let facts = Facts::read(&answer);
            let name = |value: &str| value.replace("%{GLOBAL}", "");
            assert_eq!(facts.process_group(), name(process));
            assert_eq!(facts.application_group(), name(application));
        }
    }
}

/// The same name in two process groups names two interpreters, each in its processes.
#[test]
fn one_name_in_two_process_groups_is_two_interpreters() {
    let httpd = site()
        .config(&format!("{}{}WSGIApplicationGroup same", groups(&["one", "two"]), mounts(&["/one", "/two", "/none"])))
        .config(
            "<Location /one>\nWSGIProcessGroup one\n</Location>\n<Location /two>\nWSGIProcessGroup two\n</Location>",
        )
        .start();
    let all = ["/one", "/two", "/none"].map(|target| facts(&httpd, target));
    let pids: BTreeSet<u32> = all.iter().map(|facts| facts.number("pid")).collect();
    assert_eq!(pids.len(), 3);
    assert!(all.iter().all(|facts| facts.application_group() == "same" && facts.number("seen") == 1));
}

/// `%{GLOBAL}` makes the name empty and always means the interpreter that Python creates first, however many there are.
#[test]
fn the_global_group_is_the_first_interpreter() {
    let httpd = site()
        .config(&mounts(&["/sub", "/main", "/other"]))
        .config("WSGIApplicationGroup %{GLOBAL}\n<Location /sub>\nWSGIApplicationGroup %{RESOURCE}\n</Location>")
        .start();
    assert_ne!(facts(&httpd, "/sub").number("interpreter"), 0);
    for (target, seen) in [("/main", 1), ("/other", 2)] {
        let facts = facts(&httpd, target);
        assert_eq!((facts.application_group(), facts.number("interpreter"), facts.number("seen")), ("", 0, seen));
    }
}

/// In the first interpreter native code can use the simplified API for the GIL: it lands where the application is.
#[test]
fn the_simplified_gil_api_works_in_the_global_group() {
    let httpd = site().config(&format!("WSGIApplicationGroup %{{GLOBAL}}\n{}", mounts(&["/a"]))).start();
    let facts = facts(&httpd, "/a?foreign");
    assert_eq!((facts.number("interpreter"), facts.text("foreign")), (0, "0"));
}

/// `%{RESOURCE}` isolates each application of every server: by its host and by where it is mounted.
#[test]
fn resources_are_isolated_from_each_other() {
    let httpd = site()
        .config("WSGIApplicationGroup %{RESOURCE}")
        .vhost("one.test", &mounts(&["/a", "/b"]))
        .vhost("two.test", &mounts(&["/a"]))
        .start();
    let all = [("one.test", "/a"), ("one.test", "/b"), ("two.test", "/a")];
    let interpreters: BTreeSet<(u32, u32)> = all.map(|(host, target)| facts_of(&httpd, host, target).python()).into();
    assert_eq!(interpreters.len(), 3);
    let again = facts_of(&httpd, "one.test", "/a/deeper?query");
    assert_eq!((again.number("seen"), interpreters.contains(&again.python())), (2, true));
}

/// `%{SERVER}` groups what one server has: applications of a host share an interpreter, those of two hosts do not.
#[test]
fn applications_of_one_server_share_an_interpreter() {
    let httpd = site()
        .config("WSGIApplicationGroup %{SERVER}")
        .vhost("one.test", &format!("ServerAlias alias.test\n{}", mounts(&["/a", "/b"])))
        .vhost("two.test", &mounts(&["/a"]))
        .start();
    let port = httpd.port();
    let [a, b, other] = [("one.test", "/a"), ("alias.test", "/b"), ("two.test", "/a")]
        .map(|(host, target)| facts_of(&httpd, &format!("{host}:{port}"), target));
    assert_eq!(a.application_group(), format!("one.test:{port}"));
    assert_eq!(a.python(), b.python());
    assert_ne!(a.python(), other.python());
}

/// A site with two children that serve one request at a time, and all of whose applications are in one group.
fn two_children() -> Site {
    site().mpm(Mpm::Prefork).workers(2, 1).config(&format!("WSGIApplicationGroup same\n{}", mounts(&["/a"])))
}

/// Asks both children, then the first again: a kept connection holds its child, so the second one gets the other.
fn ask_both(httpd: &Httpd) -> [Facts; 3] {
    let ask = |connection: &mut Connection| {
        connection.send(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Facts::read(&connection.read_response("GET"))
    };
    let [mut first, mut second] = [httpd.connect(), httpd.connect()];
    let (one, two) = (ask(&mut first), ask(&mut second));
    [one, two, ask(&mut first)]
}

/// In embedded mode each of httpd's children has an interpreter of the name: the directive holds within the process only.
#[test]
fn each_child_has_its_own_instance() {
    let httpd = two_children().start();
    let [one, two, again] = ask_both(&httpd);
    assert_ne!(one.number("pid"), two.number("pid"));
    assert_eq!((one.application_group(), two.application_group()), ("same", "same"));
    assert_eq!((one.number("seen"), two.number("seen"), again.number("seen")), (1, 1, 2));
    assert_eq!(one.python(), again.python());
}

/// In a process group of several processes each has an instance of the named interpreter, for the requests it accepts.
#[test]
fn each_process_of_a_group_has_its_own_instance() {
    let httpd = site()
        .config("WSGIDaemonProcess pair processes=2 threads=1\nWSGIProcessGroup pair\nWSGIApplicationGroup same")
        .config(&mounts(&["/a"]))
        .start();
    let port = httpd.port();
    let two: Vec<Facts> = thread::scope(|scope| {
        let requests: Vec<_> =
            (0..2).map(|_| scope.spawn(move || Request::new(port, "GET", "/a?wait=gate").send())).collect();
        wait::until_true("both processes to have a request", || {
            let state = fs::read_dir(httpd.root().join("state")).unwrap().flatten();
            state.filter(|entry| entry.file_name().to_string_lossy().starts_with("arrived-")).count() == 2
        });
        httpd.open_gate("gate");
        requests.into_iter().map(|request| Facts::read(&request.join().unwrap())).collect()
    });
    assert_ne!(two[0].number("pid"), two[1].number("pid"));
    assert!(two.iter().all(|facts| facts.application_group() == "same" && facts.number("seen") == 1));
}

/// To get back to exactly the same interpreter takes a group of one process, whichever child has the request.
#[test]
fn a_group_of_one_process_always_uses_the_same_interpreter() {
    let httpd = two_children().config(&format!("{}WSGIProcessGroup one", groups(&["one"]))).start();
    let [one, two, again] = ask_both(&httpd);
    assert_eq!([&one, &two, &again].map(|facts| facts.number("seen")), [1, 2, 3]);
    assert_eq!((one.python(), two.python()), (two.python(), again.python()));
}

fn sticky() -> Site {
    site()
        .config(&format!("{}{}", groups(&["sticky:1", "sticky:2", "sticky:3"]), mounts(&["/a"])))
        .config("SetEnvIf Cookie route=([123]) ROUTE=sticky:$1")
        .config("WSGIProcessGroup %{ENV:ROUTE}\nWSGIApplicationGroup same")
}

fn visit(httpd: &Httpd, route: &str) -> Facts {
    Facts::read(&httpd.request("GET", "/a").header("Cookie", &format!("route={route}")).send())
}

/// Or sticky sessions over several groups of one process: the session selects its group.
#[test]
fn a_session_can_select_its_process_group() {
    let httpd = sticky().start();
    for route in ["1", "3", "2", "3"] {
        assert_eq!(visit(&httpd, route).process_group(), format!("sticky:{route}"));
    }
}

/// The same, and each session comes back to its own interpreter.
#[test]
fn a_session_comes_back_to_its_own_interpreter() {
    let httpd = sticky().start();
    let all = ["1", "2", "3", "1", "2", "3"].map(|route| visit(&httpd, route));
    let pythons: BTreeSet<(u32, u32)> = all.iter().map(Facts::python).collect();
    assert_eq!(pythons.len(), 3);
    assert!((0..3).all(|at| all[at].python() == all[at + 3].python() && all[at + 3].number("seen") == 2));
}
