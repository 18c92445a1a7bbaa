// SPDX-License-Identifier: Apache-2.0
//! WSGIRestrictProcess: where it may stand, and what a list limits. The page's example is in `delegation.rs`.

use crate::*;

/// The contexts leave `.htaccess` out, so a user cannot change the list, also where `AllowOverride` allows everything.
#[test]
fn it_is_refused_in_htaccess() {
    assert_refused_in_htaccess("WSGIRestrictProcess one");
}

/// A site whose requests name their group in a header.
fn chosen_by_header(config: &str) -> Site {
    site()
        .config(&format!(
            "{}WSGIProcessGroup %{{ENV:GROUP}}\nSetEnvIf X-Group (.+) GROUP=$1",
            groups(&["one", "two", "three"])
        ))
        .config(&mounts(&["/a"]))
        .config(config)
}

fn choose(httpd: &Httpd, host: &str, group: &str) -> Response {
    httpd.request("GET", "/a").header("Host", host).header("X-Group", group).send()
}

#[track_caller]
fn assert_choice(httpd: &Httpd, host: &str, allowed: &[&str]) {
    for group in ["one", "two", "three"] {
        let answer = choose(httpd, host, group);
        if allowed.contains(&group) {
            assert_eq!(Facts::read(&answer).process_group(), group);
        } else {
            answer.expect(restricted());
        }
    }
}

/// It restricts which groups can be selected to those listed, one or several. Context: server configuration.
#[test]
fn a_list_at_the_server_holds_everywhere() {
    let httpd = chosen_by_header("WSGIRestrictProcess one two").start();
    httpd.expect(event::GROUP_RESTRICTED);
    assert_choice(&httpd, "localhost", &["one", "two"]);
}

/// Context: virtual host.
#[test]
fn a_list_of_a_virtual_host_holds_in_it() {
    let httpd = chosen_by_header("").vhost("free.test", "").vhost("listed.test", "WSGIRestrictProcess three").start();
    httpd.expect(event::GROUP_RESTRICTED);
    assert_choice(&httpd, "listed.test", &["three"]);
    assert_choice(&httpd, "free.test", &["one", "two", "three"]);
}

/// Context: directory.
#[test]
fn a_list_of_a_directory_holds_in_it() {
    let httpd = chosen_by_header(&directory("WSGIRestrictProcess two three"))
        .config("WSGIScriptAlias /free \"@ROOT@/free/identity.py\"")
        .file("free/identity.py", include_str!("../apps/identity.py"))
        .start();
    httpd.expect(event::GROUP_RESTRICTED);
    assert_choice(&httpd, "localhost", &["two", "three"]);
    let free = httpd.request("GET", "/free").header("X-Group", "one").send();
    assert_eq!(Facts::read(&free).process_group(), "one");
}

/// It limits a group that the administrator names as it limits one from a variable.
#[test]
fn a_list_holds_for_names_in_the_configuration() {
    let httpd = site()
        .config(&format!(
            "{}WSGIProcessGroup one\n{}WSGIRestrictProcess two",
            groups(&["one", "two"]),
            mounts(&["/a", "/b"])
        ))
        .config("<Location /b>\nWSGIProcessGroup two\n</Location>")
        .start();
    httpd.expect(event::GROUP_RESTRICTED).tolerate(event::CONFIGURATION_CONTRADICTORY);
    httpd.get("/a").expect(restricted());
    assert_process_group(&httpd, "/b", "two");
}

/// It limits the groups that are available; listing the group of another virtual host does not make it available.
#[test]
fn a_list_does_not_open_the_groups_of_another_host() {
    let httpd = chosen_by_header("WSGIRestrictProcess one inside")
        .vhost("localhost", "")
        .vhost("one.test", &groups(&["inside"]))
        .start();
    assert_eq!(Facts::read(&choose(&httpd, "one.test", "inside")).process_group(), "inside");
    httpd.expect(event::GROUP_NOT_VISIBLE);
    choose(&httpd, "localhost", "inside").expect(500);
    assert_eq!(Facts::read(&choose(&httpd, "localhost", "one")).process_group(), "one");
}
