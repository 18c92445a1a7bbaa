// SPDX-License-Identifier: Apache-2.0
//! WSGIRestrictProcess: where it may stand, and the page's example of a user who delegates scripts to groups.

use crate::*;

/// The example's virtual host has this name.
const HOST: &str = "www.site.com";

/// The example's files of its user.
const HTACCESS: &str = "<Files blog.wsgi>\nSetEnv PROCESS_GROUP bob:2\n</Files>\n<Files wiki.wsgi>\nSetEnv PROCESS_GROUP bob:3\n</Files>\n";

/// Accounts of this machine that stand for bob and joe.
const ACCOUNTS: [(&str, &str); 2] = [("bob", "games"), ("joe", "man")];

/// `user=` and `group=` of one of the two, as far as this machine has the account.
fn owner(name: &str) -> String {
    let account_name = ACCOUNTS.iter().find(|(user, _)| *user == name).expect("one of the two").1;
    let known = account(account_name).is_some();
    if known { format!("user={account_name} group={account_name} ") } else { String::new() }
}

/// The example, with `list` where the folder's groups are restricted, and with the user's `.htaccess`.
fn example(list: &str, htaccess: &str) -> Site {
    let group = |user: &str, number: u32| format!("WSGIDaemonProcess {user}:{number} {}threads=25\n", owner(user));
    let three = |user: &str| (1..=3).map(|number| group(user, number)).collect::<String>();
    let script = include_str!("../apps/identity.py");
    let folder = format!(
        "<Directory \"@ROOT@/home/bob/public_html\">\nOptions ExecCGI\nAllowOverride FileInfo\n\
         AddHandler wsgi-script .wsgi\n{list}\nSetEnv PROCESS_GROUP bob:1\n</Directory>\n"
    );
    site()
        .config("WSGIDaemonProcess default processes=2 threads=25")
        .vhost(
            HOST,
            &format!(
                "{}{}SetEnv PROCESS_GROUP default\nWSGIProcessGroup %{{ENV:PROCESS_GROUP}}\n{folder}\
                 Alias /~bob \"@ROOT@/home/bob/public_html\"\n{}",
                three("bob"),
                three("joe"),
                mounts(&["/site"])
            ),
        )
        .file("home/bob/public_html/index.wsgi", script)
        .file("home/bob/public_html/blog.wsgi", script)
        .file("home/bob/public_html/wiki.wsgi", script)
        .file("home/bob/public_html/.htaccess", htaccess)
}

const LIST: &str = "WSGIRestrictProcess bob:1 bob:2 bob:3";

/// What the example selects.
const SELECTED: [(&str, &str); 4] =
    [("/site", "default"), ("/~bob/index.wsgi", "bob:1"), ("/~bob/blog.wsgi", "bob:2"), ("/~bob/wiki.wsgi", "bob:3")];

fn visit(httpd: &Httpd, target: &str) -> Response {
    httpd.request("GET", target).header("Host", HOST).send()
}

/// The example as a whole: the host's default, the folder's default, and what the user's `.htaccess` delegates.
#[test]
fn the_example_selects_as_it_says() {
    let httpd = example(LIST, HTACCESS).start();
    for (target, group) in SELECTED {
        assert_eq!(Facts::read(&visit(&httpd, target)).process_group(), group, "{target}");
    }
}

/// The example on its processes: the groups run as their owners, and no two of them share a process.
#[test]
fn the_example_runs_in_the_processes_of_its_groups() {
    let httpd = example(LIST, HTACCESS).start();
    let facts = SELECTED.map(|(target, _)| Facts::read(&visit(&httpd, target)));
    let pids: std::collections::BTreeSet<u32> = facts.iter().map(|facts| facts.number("pid")).collect();
    assert_eq!(pids.len(), 4);
    if let Some((user, group)) = account("games").filter(|_| is_root()) {
        assert_eq!(facts[0].number("uid"), standard_user());
        for one in &facts[1..] {
            assert_eq!((one.number("uid"), one.number("gid")), (user, group), "{}", one.process_group());
        }
    }
}

/// With `SetEnv` in `.htaccess` a user selects the group; the list limits the choice to the user's own groups.
#[test]
fn a_htaccess_file_cannot_select_a_group_that_is_not_listed() {
    let httpd = example(LIST, HTACCESS).start();
    httpd.expect(event::GROUP_RESTRICTED);
    for group in ["joe:1", "joe:2", "default", "%{GLOBAL}", "absent"] {
        httpd.rewrite(
            "home/bob/public_html/.htaccess",
            &format!("<Files wiki.wsgi>\nSetEnv PROCESS_GROUP {group}\n</Files>\n"),
        );
        visit(&httpd, "/~bob/wiki.wsgi").expect(restricted());
        assert_eq!(Facts::read(&visit(&httpd, "/~bob/blog.wsgi")).process_group(), "bob:1", "beside {group}");
    }
}

/// Nor does taking the variable away lead out of the list: with `UnsetEnv` httpd falls back to the host's value, and an
/// empty value names no group.
#[test]
fn a_htaccess_file_cannot_leave_the_list_without_the_variable() {
    let httpd = example(LIST, "UnsetEnv PROCESS_GROUP\n").start();
    httpd.expect(event::GROUP_RESTRICTED);
    visit(&httpd, "/~bob/index.wsgi").expect(restricted());
    httpd.rewrite("home/bob/public_html/.htaccess", "SetEnv PROCESS_GROUP\n");
    httpd.expect(event::VARIABLE_UNSET);
    visit(&httpd, "/~bob/index.wsgi").expect(500);
}

/// It is the list that stops them: without it any group that the host may select can be selected.
#[test]
fn without_a_list_a_htaccess_file_can_select_any_group() {
    let httpd = example("", "SetEnv PROCESS_GROUP joe:1\n").start();
    assert_eq!(Facts::read(&visit(&httpd, "/~bob/wiki.wsgi")).process_group(), "joe:1");
    httpd.rewrite("home/bob/public_html/.htaccess", "SetEnv PROCESS_GROUP default\n");
    assert_eq!(Facts::read(&visit(&httpd, "/~bob/wiki.wsgi")).process_group(), "default");
}

/// The contexts leave `.htaccess` out, so a user cannot change the list.
#[test]
fn the_list_cannot_be_changed_in_htaccess() {
    let httpd = example(LIST, "WSGIRestrictProcess joe:1\nSetEnv PROCESS_GROUP joe:1\n").start();
    httpd.expect_text("WSGIRestrictProcess not allowed here");
    visit(&httpd, "/~bob/wiki.wsgi").expect(500);
    assert_eq!(Facts::read(&visit(&httpd, "/site")).process_group(), "default");
}

/// Also where `AllowOverride` allows everything.
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
