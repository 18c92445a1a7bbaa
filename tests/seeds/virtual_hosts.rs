// SPDX-License-Identifier: Apache-2.0
//! Which process groups a virtual host may select: its own, those of hosts with its name, and those outside of all hosts.

use crate::*;
use harness::Request;

/// One host with a group of its own, one without, and a group outside.
fn two_hosts() -> Site {
    site()
        .config(&format!("{}WSGIProcessGroup %{{ENV:GROUP}}\nSetEnvIf X-Group (.+) GROUP=$1", groups(&["outside"])))
        .config(&mounts(&["/a"]))
        .vhost("localhost", "")
        .vhost("one.test", &format!("ServerAlias other.test\n{}", groups(&["inside"])))
        .vhost("two.test", &groups(&["elsewhere"]))
}

fn select(httpd: &Httpd, host: &str, group: &str) -> Response {
    httpd.request("GET", "/a").header("Host", host).header("X-Group", group).send()
}

/// Groups defined in the host itself can be selected.
#[test]
fn a_host_selects_its_own_groups() {
    let httpd = two_hosts().start();
    assert_eq!(Facts::read(&select(&httpd, "one.test", "inside")).process_group(), "inside");
    assert_eq!(Facts::read(&select(&httpd, "two.test", "elsewhere")).process_group(), "elsewhere");
}

/// That does not depend on where in the host its name stands, nor on its having a name.
#[test]
fn a_host_selects_its_own_groups_whatever_its_name() {
    let (late, nameless) = (another_port(), another_port());
    let text = |group: &str| format!("{}WSGIProcessGroup {group}\n{}", groups(&[group]), mounts(&["/a"]));
    let host = |port: u16, text: &str| {
        format!("Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\n{text}</VirtualHost>")
    };
    let httpd = site()
        .config(&host(late, &format!("{}ServerName late.test\n", text("late"))))
        .config(&host(nameless, &text("nameless")))
        .start();
    // httpd looks for a name of its own, which not every machine has.
    httpd.tolerate_text("AH00549");
    for (port, group) in [(late, "late"), (nameless, "nameless")] {
        let answer = Request::new(port, "GET", "/a").header("Host", "late.test").send();
        assert_eq!(Facts::read(&answer).process_group(), group);
    }
    httpd.get("/a").expect(404);
}

/// Groups defined outside of any virtual host can be selected everywhere.
#[test]
fn every_host_selects_groups_of_global_scope() {
    let httpd = two_hosts().start();
    for host in ["localhost", "one.test", "other.test", "two.test"] {
        assert_eq!(Facts::read(&select(&httpd, host, "outside")).process_group(), "outside", "{host}");
    }
}

/// A group defined within another virtual host cannot be selected.
#[test]
fn no_host_selects_groups_of_another_host() {
    let httpd = two_hosts().start();
    httpd.expect(event::GROUP_NOT_VISIBLE);
    for (host, group) in
        [("one.test", "elsewhere"), ("two.test", "inside"), ("localhost", "inside"), ("localhost", "elsewhere")]
    {
        select(&httpd, host, group).expect(500);
    }
}

/// Nor can the server outside of all virtual hosts select it.
#[test]
fn the_server_selects_no_group_of_a_host() {
    let port = another_port();
    let httpd = site()
        .config(&format!("WSGIProcessGroup inside\n{}", mounts(&["/a"])))
        .vhost("one.test", &groups(&["inside"]))
        .config(&format!("Listen 127.0.0.1:{port}"))
        .start();
    assert_eq!(facts_of(&httpd, "one.test", "/a").process_group(), "inside");
    httpd.expect(event::GROUP_NOT_VISIBLE);
    Request::new(port, "GET", "/a").send().expect(500);
}

/// Virtual hosts on two ports, the group in the first.
fn two_ports(first: &str, second: &str, port: u16) -> Site {
    let text = format!("WSGIProcessGroup shared\n{}", mounts(&["/a"]));
    site()
        .vhost(first, &format!("{}{text}", groups(&["shared"])))
        .config(&format!("Listen 127.0.0.1:{port}\n<VirtualHost *:{port}>\nServerName {second}\n{text}</VirtualHost>"))
}

/// Groups of virtual hosts with the same server name can be selected: here one host on two ports.
#[test]
fn hosts_of_one_name_select_each_others_groups() {
    let port = another_port();
    let httpd = two_ports("www.site.test", "www.site.test", port).start();
    assert_eq!(facts_of(&httpd, "www.site.test", "/a").process_group(), "shared");
    let second = Request::new(port, "GET", "/a").header("Host", "www.site.test").send();
    assert_eq!(Facts::read(&second).process_group(), "shared");
}

/// It is the server name that must be the same: a host of another name on the second port is refused.
#[test]
fn hosts_of_two_names_do_not() {
    let port = another_port();
    let httpd = two_ports("www.site.test", "www.other.test", port).start();
    assert_eq!(facts_of(&httpd, "www.site.test", "/a").process_group(), "shared");
    httpd.expect(event::GROUP_NOT_VISIBLE).tolerate(event::GROUP_UNRESOLVED);
    Request::new(port, "GET", "/a").header("Host", "www.site.test").send().expect(500);
}

/// The ports of one server name then share the group's processes.
#[test]
fn hosts_of_one_name_share_the_processes() {
    let port = another_port();
    let httpd = two_ports("www.site.test", "www.site.test", port).start();
    let first = facts_of(&httpd, "www.site.test", "/a");
    let second = Facts::read(&Request::new(port, "GET", "/a").header("Host", "www.site.test").send());
    assert_eq!(first.number("pid"), second.number("pid"));
    assert_ne!(first.number("pid"), standard_child(&httpd));
}
