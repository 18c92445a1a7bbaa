// SPDX-License-Identifier: Apache-2.0
//! Whether handlers lead to embedded mode, which httpd's own directives choose, or let `.htaccess` files choose.

use super::View;
use crate::directive::Origin;

/// The directives of httpd's that are of interest.
pub const DIRECTIVES: [&str; 5] = [ALLOW, "SetHandler", "AddHandler", "ForceType", "AddType"];
const ALLOW: &str = "AllowOverride";
/// The handlers that run the file that was asked for; the second is meant as a type, which httpd takes for a handler, too.
const SCRIPTS: [&str; 2] = ["wsgi-script", "application/x-httpd-wsgi"];

/// One of them, as it stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The directive.
    pub name: String,
    /// What follows it.
    pub arguments: String,
    /// Where the virtual host begins that it stands in.
    pub host: Option<Origin>,
    /// The first lines of the sections around it, the nearest first.
    pub sections: Vec<String>,
}

/// Whether requests may run in embedded mode because of these directives.
///
/// `.htaccess` files count only where they are the only way to an application: many servers allow them and have none that
/// matters here.
#[must_use]
pub fn may_run_embedded(servers: &[View<'_>], written: &[Written]) -> bool {
    let idle = |view: &View<'_>| view.written.settings.script_aliases().0.is_empty() && view.groups().next().is_none();
    let only_files_choose = servers.iter().all(idle);
    written.iter().any(|one| {
        let allows = one.name.eq_ignore_ascii_case(ALLOW) && only_files_choose && lets_choose(&one.arguments);
        (allows || is_ours(servers, one)) && chooses_nobody(servers, one)
    })
}

/// Whether `AllowOverride` lets files choose handlers.
fn lets_choose(arguments: &str) -> bool {
    arguments.split_whitespace().any(|word| ["All", "FileInfo"].iter().any(|all| word.eq_ignore_ascii_case(all)))
}

/// Whether it sets a handler of ours that does not name its process group.
fn is_ours(servers: &[View<'_>], written: &Written) -> bool {
    let name = written.arguments.split_whitespace().next().unwrap_or_default();
    let name = name.trim_matches(['"', '\'']).to_ascii_lowercase();
    let mentions = servers.iter().flat_map(|view| &view.written.mentions);
    let mut scripts = mentions.filter_map(|mention| mention.settings.handler_scripts().0.get(&name));
    let scripted =
        scripts.any(|script| script.options.process_group.as_ref().is_none_or(|group| group.fixed() == Some("")));
    !written.name.eq_ignore_ascii_case(ALLOW) && (SCRIPTS.contains(&name.as_str()) || scripted)
}

/// Whether no process group is chosen where it stands: in the same section, or else by the server.
fn chooses_nobody(servers: &[View<'_>], written: &Written) -> bool {
    let of = |host: Option<&Origin>, sections: &[String]| {
        let view = servers.iter().find(|view| view.host == host)?;
        let mut set = view.written.mentions.iter().filter(|mention| mention.sections == sections);
        set.rfind(|mention| mention.settings.process_group.is_some())?.settings.process_group.as_ref()
    };
    let host = written.host.as_ref();
    let chosen = of(host, &written.sections).or_else(|| of(host, &[])).or_else(|| of(None, &[]));
    chosen.is_none_or(|set| set.value.fixed() == Some(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Mention, Server};
    use crate::directive::{Reading, Row};
    use crate::settings::{DirectorySettings, ServerSettings};

    /// A server with such lines, each `section;directive arguments`.
    fn server(lines: &[&str]) -> Server {
        let mut server = Server::default();
        for (number, line) in (1..).zip(lines) {
            let (section, line) = line.split_once(';').expect("a section");
            let (name, arguments) = line.split_once(' ').expect("arguments");
            let mut reading = Reading::at(Origin { file: "httpd.conf".into(), line: number });
            if let Some(row) = find(DirectorySettings::ROWS, name) {
                let mut settings = DirectorySettings::default();
                (row.set)(&mut settings, arguments, &mut reading).expect(line);
                let sections = [section].iter().filter(|one| !one.is_empty()).map(|one| (*one).to_owned()).collect();
                server.mentions.push(Mention { sections, settings });
            } else {
                let row = find(ServerSettings::ROWS, name).expect(name);
                (row.set)(&mut server.settings, arguments, &mut reading).expect(line);
            }
        }
        server
    }

    fn find<S>(rows: &'static [Row<S>], name: &str) -> Option<&'static Row<S>> {
        rows.iter().find(|row| row.name == name)
    }

    /// Whether the last of the lines, one of httpd's in a virtual host, leads to embedded mode.
    fn runs(main: &[&str], own: &[&str], line: &str) -> bool {
        let (main, own) = (server(main), server(own));
        let host = Origin { file: "httpd.conf".into(), line: 7 };
        let views = [
            View { name: b"localhost", port: 0, host: None, written: &main },
            View { name: b"site", port: 0, host: Some(&host), written: &own },
        ];
        let (section, line) = line.split_once(';').expect("a section");
        let (name, arguments) = line.split_once(' ').expect("arguments");
        let sections = [section].iter().filter(|one| !one.is_empty()).map(|one| (*one).to_owned()).collect();
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        may_run_embedded(&views, &[Written { name, arguments, host: Some(host.clone()), sections }])
    }

    #[test]
    fn handlers_lead_to_embedded_mode_unless_a_group_is_chosen() {
        let add = "<Directory /srv>;AddHandler wsgi-script .wsgi";
        assert!(runs(&[], &[], add) && runs(&[], &[], ";sethandler \"WSGI-Script\""));
        assert!(!runs(&[], &[], ";SetHandler server-status") && !runs(&[], &[], ";AddType text/plain .x"));
        assert!(runs(&[], &[], ";AddType application/x-httpd-wsgi .x"));
        for group in [";WSGIProcessGroup one", "<Directory /srv>;WSGIProcessGroup one", ";WSGIProcessGroup %{ENV:X}"] {
            assert!(!runs(&[], &[group], add), "{group}");
        }
        assert!(!runs(&[";WSGIProcessGroup one"], &[], add), "of the main server");
        assert!(runs(&[";WSGIProcessGroup one"], &[";WSGIProcessGroup %{GLOBAL}"], add));
        assert!(runs(&[], &["<Directory /opt>;WSGIProcessGroup one"], add), "another directory");
    }

    #[test]
    fn handler_scripts_are_handlers() {
        let script = |options: &str| format!(";WSGIHandlerScript Report /srv/report.py{options}");
        let set = "<Location /r>;SetHandler report";
        assert!(runs(&[], &[&script("")], set) && runs(&[], &[&script(" process-group=%{GLOBAL}")], set));
        assert!(!runs(&[], &[&script(" process-group=one")], set));
    }

    #[test]
    fn files_that_may_choose_count_where_nothing_else_does() {
        for (arguments, may) in
            [("All", true), ("Options FileInfo", true), ("None", false), ("AuthConfig Limit", false)]
        {
            assert_eq!(runs(&[], &[], &format!("<Directory /srv>;AllowOverride {arguments}")), may, "{arguments}");
        }
        let allow = "<Directory /srv>;AllowOverride All";
        assert!(!runs(&[";WSGIDaemonProcess one"], &[], allow));
        assert!(!runs(&[], &[";WSGIScriptAlias /x /srv/x.wsgi"], allow));
        assert!(!runs(&[], &[";WSGIProcessGroup one"], allow));
    }
}
