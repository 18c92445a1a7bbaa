// SPDX-License-Identifier: Apache-2.0
//! Processes of a group, and of users beside httpd, reach neither httpd nor the supervisor nor the workers of other groups.

use super::accounts::Accounts;
use super::{account, outside_as, pid, run, site, try_run};
use harness::{Httpd, census, event, wait};
use std::sync::Arc;

const ATTEMPTS: &str = include_str!("neighbours.py");
/// Everything that is tried, where nothing is in the way.
const EVERYTHING: &str = "['cwd', 'environ', 'fd', 'map_files', 'maps', 'mem', 'pidfd_getfd', 'ptrace', 'root']";

/// A server with two groups of httpd's own user and two of bob, and its processes that are not one of `but`.
struct Scene {
    httpd: Httpd,
    accounts: Arc<Accounts>,
}

impl Scene {
    fn set() -> Option<Self> {
        let accounts = Accounts::make()?;
        let bob = accounts.options("bob");
        let httpd = site(&format!(
            "WSGIDaemonProcess own processes=1\nWSGIDaemonProcess other lang=other-secret\n\
             WSGIDaemonProcess bob processes=1 {bob}\nWSGIDaemonProcess bob-too {bob}"
        ))
        .start();
        Some(Self { httpd, accounts })
    }

    /// httpd's parent, its children, the supervisor, and the workers of other groups than this one.
    fn others(&self, group: &str) -> Vec<u32> {
        let groups = ["own", "other", "bob", "bob-too"].into_iter().filter(|other| *other != group);
        let mut found: Vec<u32> = groups.map(|other| pid(&self.httpd, other)).collect();
        found.extend(self.httpd.children());
        found.push(self.httpd.pid());
        assert!(found.len() >= 6, "three workers, a child, the supervisor, and the parent: {found:?}");
        found
    }

    /// The beginning of the names that sockets of groups have for an instant.
    fn names(&self) -> String {
        format!("wsgi.{}.", self.httpd.pid())
    }
}

fn reach(pids: &[u32]) -> String {
    format!("{ATTEMPTS}\nresult = reached({pids:?})")
}

#[test]
fn a_group_reaches_no_process_but_its_own() {
    let Some(scene) = Scene::set() else { return };
    for group in ["own", "bob"] {
        let others = scene.others(group);
        assert_eq!(run(&scene.httpd, group, &reach(&others)), "[]", "from {group} to {others:?}");
        let control = run(&scene.httpd, group, &format!("{ATTEMPTS}\nresult = own_child()"));
        let everything = EVERYTHING.replace("'map_files', ", "");
        assert!(control == EVERYTHING || control == everything, "of a process that nothing protects: {control}");
    }
}

#[test]
fn a_user_beside_httpd_reaches_none_of_its_processes() {
    let Some(scene) = Scene::set() else { return };
    for name in ["www-data", scene.accounts.name("bob"), scene.accounts.name("joe")] {
        let (uid, gid) = account(name).expect("an account");
        let arguments = [format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()];
        let others = scene.others("");
        assert_eq!(outside_as(&arguments, &reach(&others)), "[]", "as {name} to {others:?}");
        let sockets = outside_as(&arguments, &format!("{ATTEMPTS}\nresult = sockets({:?})", scene.names()));
        assert!(sockets.contains(&scene.names()) && sockets.ends_with("[])"), "as {name}: {sockets}");
        let control = outside_as(&arguments, &format!("{ATTEMPTS}\nresult = own_child()"));
        assert!(control.contains("'mem'") && control.contains("'pidfd_getfd'"), "as {name}: {control}");
    }
}

#[test]
fn no_socket_of_a_group_has_a_name() {
    let Some(scene) = Scene::set() else { return };
    for group in ["own", "bob"] {
        let found = run(&scene.httpd, group, &format!("{ATTEMPTS}\nresult = sockets({:?})", scene.names()));
        assert!(found.contains(&scene.names()), "the kernel still tells how they were called: {found}");
        assert!(found.ends_with("[])"), "{found}");
        let control = format!(
            "{ATTEMPTS}\none = socket.socket(socket.AF_UNIX)\nname = '/tmp/mwrs-name-%d' % os.getpid()\none.bind(name)\n\
             one.listen()\nresult = sockets(name)[1] == [name]\nos.unlink(name)"
        );
        assert_eq!(run(&scene.httpd, group, &control), "True", "a socket that has a name is found");
    }
}

#[test]
fn the_environment_of_a_worker_holds_nothing_of_other_groups() {
    let Some(scene) = Scene::set() else { return };
    assert!(run(&scene.httpd, "other", "dict(os.environ)").contains("other-secret"));
    for group in ["own", "bob"] {
        let environment = run(&scene.httpd, group, "dict(os.environ)");
        assert!(environment.contains("PATH") && !environment.contains("other-secret"), "{environment}");
        let kernel = run(&scene.httpd, group, "result = __import__('subprocess').check_output('env')");
        assert!(kernel.contains("PATH") && !kernel.contains("other-secret"), "{kernel}");
    }
}

#[test]
fn ends_and_signals_of_an_application_stay_in_its_group() {
    let Some(scene) = Scene::set() else { return };
    let httpd = &scene.httpd;
    let children = httpd.children();
    let other = pid(httpd, "other");
    httpd.expect(event::WORKER_LOST).expect(event::WORKER_ENDED);
    let tolerated = |group: &str, code: &str| {
        let before = pid(httpd, group);
        let answer = try_run(httpd, group, code);
        assert_eq!(answer.status, 502, "{group} {code}: {}", answer.text());
        wait::until("a new process", || {
            let now = try_run(httpd, group, "os.getpid()");
            (now.status == 200 && now.text() != before.to_string()).then_some(())
        });
    };
    let supervisor = census::parent(other).expect("a parent");
    for group in ["own", "bob"] {
        // 15 is how a child tells httpd's parent to end the whole server.
        tolerated(group, "os._exit(15)");
        tolerated(group, "os.killpg(0, 9)");
        for victim in ["os.getppid()", &httpd.pid().to_string()] {
            assert!(run(httpd, group, &format!("os.kill({victim}, 9)")).starts_with("PermissionError"), "{group}");
        }
        assert!(run(httpd, group, &format!("os.killpg({supervisor}, 9)")).contains("Error"), "{group}");
    }
    for victim in children.iter().chain([&other]) {
        assert!(run(httpd, "bob", &format!("os.kill({victim}, 9)")).starts_with("PermissionError"));
    }
    assert!(run(httpd, "bob", &format!("os.killpg({}, 9)", httpd.pid())).starts_with("PermissionError"));
    assert_eq!(httpd.children(), children, "the same processes");
    assert_eq!(pid(httpd, "other"), other, "other groups did not notice");
}
