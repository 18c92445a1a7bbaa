// SPDX-License-Identifier: Apache-2.0
//! `%{ENV:variable}`: where the variable is looked up, and which directives of httpd set it.

use crate::*;
use harness::module::modules_folder;
use harness::skip;

/// Writes a note of the request, as another module would.
const NOTES: &str = "require 'apache2'\n\nfunction fixups(r)\n    if r.args == 'noted' then\n        r.notes['CHOICE'] = 'noted'\n    end\n    return apache2.DECLINED\nend\n";

const NAMES: [&str; 3] = ["noted", "set", "inherited"];

/// The variable `CHOICE` as a note with the query `noted`, as an environment variable of the request below `/a/set`, and in
/// httpd's own environment always.
fn three_sources(directive: &str) -> Option<Site> {
    if !modules_folder().join("mod_lua.so").is_file() {
        skip::skipped("mod_lua is missing, which writes notes");
        return None;
    }
    let site = site()
        .with("lua")
        .file("notes.lua", NOTES)
        .variable("CHOICE", "inherited")
        .config(&format!("LuaHookFixups \"@ROOT@/notes.lua\" fixups\n{}{}", groups(&NAMES), mounts(&["/a"])))
        .config(&format!("<Location /a/set>\nSetEnv CHOICE set\n</Location>\n{directive} %{{ENV:CHOICE}}"));
    Some(site)
}

const CHOICES: [(&str, &str); 4] =
    [("/a/set?noted", "noted"), ("/a?noted", "noted"), ("/a/set", "set"), ("/a", "inherited")];

/// The process group's name is the value of the variable, looked up in the request's notes, in its environment, and only
/// then in the environment of the server's process.
#[test]
fn a_process_group_is_looked_up_in_notes_then_environment_then_process() {
    let Some(site) = three_sources("WSGIProcessGroup") else { return };
    let httpd = site.start();
    CHOICES.iter().for_each(|(target, group)| assert_process_group(&httpd, target, group));
}

/// The same for the application group.
#[test]
fn an_application_group_is_looked_up_in_notes_then_environment_then_process() {
    let Some(site) = three_sources("WSGIApplicationGroup") else { return };
    let httpd = site.start();
    CHOICES.iter().for_each(|(target, group)| assert_application_group(&httpd, target, group));
}

/// The value must be the name of a group that WSGIDaemonProcess set up.
#[test]
fn the_value_must_name_a_process_group() {
    let httpd = site()
        .config(&format!("{}{}WSGIProcessGroup %{{ENV:CHOICE}}", groups(&["one"]), mounts(&["/a", "/b"])))
        .config("SetEnv CHOICE one\n<Location /b>\nSetEnv CHOICE absent\n</Location>")
        .start();
    assert_process_group(&httpd, "/a", "one");
    httpd.expect(event::GROUP_UNKNOWN);
    httpd.get("/b").expect(500);
}

/// A variable that nobody set names no group either; above all the request does not run in httpd's child.
#[test]
fn an_unset_variable_selects_no_process_group() {
    let httpd =
        site().config(&format!("{}{}WSGIProcessGroup %{{ENV:CHOICE}}", groups(&["one"]), mounts(&["/a"]))).start();
    httpd.expect(event::VARIABLE_UNSET);
    httpd.get("/a").expect(500);
}

/// `SetEnv` sets it: at the server, in a virtual host, in a directory.
#[test]
fn set_env_sets_the_variable_in_every_context() {
    let httpd = site()
        .config(&format!(
            "{}WSGIProcessGroup %{{ENV:CHOICE}}\nWSGIApplicationGroup %{{ENV:CHOICE}}",
            groups(&["one", "two", "three"])
        ))
        .config("SetEnv CHOICE one")
        .vhost("one.test", &mounts(&["/a"]))
        .vhost("two.test", &format!("SetEnv CHOICE two\n{}", mounts(&["/a"])))
        .vhost("three.test", &format!("{}{}", mounts(&["/a"]), directory("SetEnv CHOICE three")))
        .start();
    for name in ["one", "two", "three"] {
        let facts = facts_of(&httpd, &format!("{name}.test"), "/a");
        assert_eq!((facts.process_group(), facts.application_group()), (name, name));
    }
}

/// `RewriteRule` sets it: at the server, in a virtual host, in a directory.
#[test]
fn rewrite_rule_sets_the_variable_in_every_context() {
    let rule = |name: &str| format!("RewriteEngine On\nRewriteRule . - [E=CHOICE:{name}]\n");
    let httpd = site()
        .with("rewrite")
        .config(&format!(
            "{}WSGIProcessGroup %{{ENV:CHOICE}}\nWSGIApplicationGroup %{{ENV:CHOICE}}",
            groups(&["one", "two", "three"])
        ))
        .config(&format!("{}{}", rule("one"), mounts(&["/a"])))
        .vhost("localhost", "RewriteEngine On\nRewriteOptions Inherit")
        .vhost("two.test", &rule("two"))
        .vhost("three.test", &directory(&rule("three")))
        .start();
    for (host, name) in [("localhost", "one"), ("two.test", "two"), ("three.test", "three")] {
        let facts = facts_of(&httpd, host, "/a");
        assert_eq!((facts.process_group(), facts.application_group()), (name, name), "{host}");
    }
}

/// `RewriteRule` in the main server itself, without any virtual host.
#[test]
fn rewrite_rule_sets_the_variable_without_virtual_hosts() {
    let httpd = site()
        .with("rewrite")
        .config(&format!("{}WSGIProcessGroup %{{ENV:CHOICE}}\n{}", groups(&["one", "two"]), mounts(&["/a", "/b"])))
        .config("RewriteEngine On\nRewriteRule ^/a - [E=CHOICE:one]\nRewriteRule ^/b - [E=CHOICE:two]")
        .start();
    assert_process_group(&httpd, "/a", "one");
    assert_process_group(&httpd, "/b", "two");
}
