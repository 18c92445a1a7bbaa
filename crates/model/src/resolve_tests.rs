// SPDX-License-Identifier: Apache-2.0
//! Tests of the resolver: each refusal, and where each part of a target comes from.

use super::*;
use crate::alias::{Alias, LiteralAlias};
use crate::daemon::Groups;
use crate::directive::Reading;
use crate::directive::value::Written;

fn alias(options: &str) -> Alias {
    let line = format!("/a /srv/a.wsgi {options}");
    LiteralAlias::parse(&line, &mut Reading::default()).expect(options).0.remove(0)
}

fn facts(alias: Option<&Alias>) -> Facts<'_> {
    Facts {
        route: alias.map_or(Route::File, Route::Alias),
        execution: OnOff::Off,
        path_info_accepted: OnOff::On,
        file_name: b"/srv/a.wsgi",
        file: FileKind::File,
        place: Place {
            server: b"localhost",
            host: b"",
            port: 80,
            uri: b"/a/b",
            path_info: b"/b",
            case_sensitivity: OnOff::On,
        },
        transfer_encoding: None,
        content_length: None,
        body_limit: 0,
    }
}

/// Everything that [`Rules`] borrows.
#[derive(Default)]
struct World {
    global: ServerSettings,
    directory: DirectorySettings,
    groups: Registry,
}

impl World {
    fn with(lines: &[(&str, &str)]) -> Self {
        Self { directory: directory(lines), ..Self::default() }
    }

    fn group(mut self, name: &str, server: Option<&str>) -> Self {
        let group = Groups::parse(name, &mut Reading::default()).expect(name).0.remove(0);
        self.groups.declare(&group, server.map(str::as_bytes)).expect("a new name");
        self
    }

    fn resolve<'r>(&'r self, facts: &Facts<'r>) -> Result<Target<'r>, Refusal> {
        let variables = |name: &str| (name == "SITE").then(|| b"site".to_vec());
        resolve(facts, Rules { global: &self.global, directory: &self.directory, groups: &self.groups }, &variables)
    }
}

fn directory(lines: &[(&str, &str)]) -> DirectorySettings {
    let mut settings = DirectorySettings::default();
    for (name, arguments) in lines {
        let row = DirectorySettings::ROWS.iter().find(|row| row.name == *name).expect(name);
        (row.set)(&mut settings, arguments, &mut Reading::default()).expect(arguments);
    }
    settings
}

fn refused(facts: &Facts<'_>) -> Option<Refusal> {
    World::default().resolve(facts).err()
}

#[test]
fn each_fault_of_a_request_has_its_refusal() {
    let alias = alias("");
    let good = facts(Some(&alias));
    assert_eq!(refused(&good), None);
    let table = [
        (facts(None), Refusal::ExecutionForbidden, 403),
        (Facts { file: FileKind::Missing, ..good }, Refusal::ScriptMissing, 404),
        (Facts { file: FileKind::Directory, ..good }, Refusal::ScriptIsDirectory, 403),
        (Facts { path_info_accepted: OnOff::Off, ..good }, Refusal::PathInfoRefused, 404),
        (Facts { transfer_encoding: Some(b"gzip, chunked"), ..good }, Refusal::TransferEncodingUnknown, 501),
        (Facts { transfer_encoding: Some(b"Chunked"), ..good }, Refusal::ChunkedRefused, 411),
        (Facts { content_length: Some(b"1x"), ..good }, Refusal::ContentLengthInvalid, 400),
        (Facts { content_length: Some(b"-1"), ..good }, Refusal::ContentLengthInvalid, 400),
        (Facts { content_length: Some(b"11"), body_limit: 10, ..good }, Refusal::BodyTooLarge, 413),
    ];
    for (facts, refusal, status) in table {
        assert_eq!(refused(&facts), Some(refusal.clone()));
        assert_eq!(refusal.status(), status);
        assert!(refusal.event(&facts).to_string().starts_with("WSGIRS03"));
    }
}

#[test]
fn what_is_allowed_passes() {
    let alias = alias("");
    let good = facts(Some(&alias));
    let chunked = World::with(&[("WSGIChunkedRequest", "On")]);
    let request = Facts { transfer_encoding: Some(b"chunked"), ..good };
    assert!(chunked.resolve(&request).is_ok());
    assert_eq!(refused(&Facts { content_length: Some(b"10"), body_limit: 10, ..good }), None);
    assert_eq!(refused(&Facts { execution: OnOff::On, ..facts(None) }), None);
}

#[test]
fn options_of_the_alias_win_over_directives() {
    let world = World::with(&[
        ("WSGIProcessGroup", "%{ENV:SITE}"),
        ("WSGIApplicationGroup", "outer"),
        ("WSGICallableObject", "other"),
        ("WSGIPassAuthorization", "On"),
    ])
    .group("site", None);
    let plain = alias("");
    let target = world.resolve(&facts(Some(&plain))).expect("target");
    assert_eq!((target.process_group, target.application_group), (b"site".to_vec(), b"outer".to_vec()));
    assert_eq!((target.callable, target.pass_authorization), (b"other".to_vec(), OnOff::On));
    let named =
        alias("process-group=%{GLOBAL} application-group=%{GLOBAL} callable-object=%{ENV:X} pass-authorization=Off");
    let target = world.resolve(&facts(Some(&named))).expect("target");
    assert_eq!((target.process_group, target.application_group), (Vec::new(), Vec::new()));
    assert_eq!((target.callable, target.pass_authorization), (b"%{ENV:X}".to_vec(), OnOff::Off));
}

#[test]
fn an_unset_variable_is_a_refusal_that_names_it() {
    let alias = alias("");
    for directive in ["WSGIProcessGroup", "WSGIApplicationGroup"] {
        let refusal = World::with(&[(directive, "%{ENV:GROUP}")]).resolve(&facts(Some(&alias))).expect_err("unset");
        assert_eq!(refusal, Refusal::VariableUnset { directive, variable: "GROUP".into() });
        assert_eq!(refusal.status(), 500);
    }
}

#[test]
fn embedded_mode_can_be_forbidden() {
    let mut world = World::default().group("site", None);
    let row = ServerSettings::ROWS.iter().find(|row| row.name == "WSGIRestrictEmbedded").expect("row");
    (row.set)(&mut world.global, "On", &mut Reading::default()).expect("on");
    let plain = alias("");
    assert_eq!(world.resolve(&facts(Some(&plain))), Err(Refusal::EmbeddedRestricted));
    let daemon = alias("process-group=site");
    assert!(world.resolve(&facts(Some(&daemon))).is_ok());
}

#[test]
fn a_group_must_exist_and_be_visible() {
    let world = World::default().group("here", Some("localhost")).group("there", Some("www.example.com"));
    let select = |name: &str| {
        let alias = alias(&format!("process-group={name}"));
        world.resolve(&facts(Some(&alias))).map(|target| String::from_utf8(target.process_group).expect("text"))
    };
    assert_eq!(select("here"), Ok("here".into()));
    assert_eq!(select("there"), Err(Refusal::GroupNotVisible("there".into())));
    assert_eq!(select("Here"), Err(Refusal::GroupUnknown("Here".into())));
    assert_eq!(select("%{OTHER}"), Err(Refusal::GroupUnknown("%{OTHER}".into())));
}

#[test]
fn a_list_restricts_groups_and_embedded_mode_exactly() {
    let select = |list: &str, name: &str| {
        let world = World::with(&[("WSGIRestrictProcess", list)]).group("one", None).group("two", None);
        let alias = alias(&format!("process-group={name}"));
        world.resolve(&facts(Some(&alias))).err()
    };
    assert_eq!(select("one two", "two"), None);
    let refusal = select("one", "two").expect("refused");
    assert_eq!((refusal.clone(), refusal.status()), (Refusal::GroupRestricted("two".into()), 403));
    assert_eq!(select("One", "one"), Some(Refusal::GroupRestricted("one".into())));
    assert_eq!(select("one", "%{GLOBAL}"), Some(Refusal::GroupRestricted(String::new())));
    assert_eq!(select("%{GLOBAL}", "%{GLOBAL}"), None);
    assert_eq!(select("", "one"), Some(Refusal::GroupRestricted("one".into())));
}

#[test]
fn a_handler_script_answers_for_the_file() {
    let world = World::with(&[
        ("WSGIHandlerScript", "Report /srv/report.py application-group=%{GLOBAL}"),
        ("WSGIApplicationGroup", "outer"),
        ("WSGICallableObject", "other"),
    ]);
    let (_, handler) = world.directory.handler_scripts().0.first_key_value().expect("a handler");
    let facts = Facts { route: Route::Handler(handler), file: FileKind::Missing, ..facts(None) };
    let target = world.resolve(&facts).expect("target");
    assert_eq!((target.script, target.callable.as_slice()), (&b"/srv/report.py"[..], &b"handle_request"[..]));
    assert_eq!(target.application_group, b"");
    let inside = Facts { path_info_accepted: OnOff::Off, ..facts };
    assert_eq!(world.resolve(&inside), Err(Refusal::PathInfoRefused));
}

#[test]
fn a_dispatch_script_that_cannot_run_refuses() {
    let world = World::with(&[("WSGIDispatchScript", "/srv/dispatch.py")]);
    let alias = alias("");
    assert_eq!(world.resolve(&facts(Some(&alias))), Err(Refusal::DispatchMissing("/srv/dispatch.py".into())));
}
