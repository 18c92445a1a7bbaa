// SPDX-License-Identifier: Apache-2.0
//! Tests of the resolver: each refusal, and where each part of a target comes from.

use super::*;
use crate::alias::{Alias, Location};
use crate::directive::Origin;

fn alias() -> Alias {
    Alias {
        location: Location::Literal("/a".into()),
        target: "/srv/a.wsgi".into(),
        process_group: None,
        application_group: None,
        callable_object: None,
        pass_authorization: None,
        origin: Origin::default(),
    }
}

fn facts(alias: Option<&Alias>) -> Facts<'_> {
    Facts {
        alias,
        execution: OnOff::Off,
        path_info_accepted: OnOff::On,
        script: b"/srv/a.wsgi",
        file: FileKind::File,
        place: Place { server: b"localhost", host: b"", port: 80, uri: b"/a/b", path_info: b"/b" },
        transfer_encoding: None,
        content_length: None,
        body_limit: 0,
    }
}

fn directory(lines: &[(&str, &str)]) -> DirectorySettings {
    let mut settings = DirectorySettings::default();
    for (name, arguments) in lines {
        let row = DirectorySettings::ROWS.iter().find(|row| row.name == *name).expect(name);
        (row.set)(&mut settings, arguments, &Origin::default()).expect(arguments);
    }
    settings
}

fn refused(facts: &Facts<'_>) -> Option<Refusal> {
    resolve(facts, &ServerSettings::default(), &DirectorySettings::default(), &|_| None).err()
}

#[test]
fn each_fault_of_a_request_has_its_refusal() {
    let alias = alias();
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
    let alias = alias();
    let good = facts(Some(&alias));
    let chunked = directory(&[("WSGIChunkedRequest", "On")]);
    let request = Facts { transfer_encoding: Some(b"chunked"), ..good };
    assert!(resolve(&request, &ServerSettings::default(), &chunked, &|_| None).is_ok());
    assert_eq!(refused(&Facts { content_length: Some(b"10"), body_limit: 10, ..good }), None);
    assert_eq!(refused(&Facts { execution: OnOff::On, ..facts(None) }), None);
}

#[test]
fn options_of_the_alias_win_over_directives() {
    let settings = directory(&[
        ("WSGIApplicationGroup", "outer"),
        ("WSGICallableObject", "other"),
        ("WSGIPassAuthorization", "On"),
    ]);
    let resolve = |alias: &Alias| resolve(&facts(Some(alias)), &ServerSettings::default(), &settings, &|_| None);
    let plain = resolve(&alias()).expect("target");
    assert_eq!((plain.application_group, plain.callable), (b"outer".to_vec(), b"other".to_vec()));
    assert_eq!(plain.pass_authorization, OnOff::On);
    let named = Alias {
        application_group: Some(String::new()),
        callable_object: Some("%{ENV:X}".into()),
        pass_authorization: Some(OnOff::Off),
        ..alias()
    };
    let target = resolve(&named).expect("target");
    assert_eq!((target.application_group, target.callable), (Vec::new(), b"%{ENV:X}".to_vec()));
    assert_eq!(target.pass_authorization, OnOff::Off);
}

#[test]
fn an_unset_variable_is_a_refusal_that_names_it() {
    let settings = directory(&[("WSGIApplicationGroup", "%{ENV:GROUP}")]);
    let alias = alias();
    let refusal = resolve(&facts(Some(&alias)), &ServerSettings::default(), &settings, &|_| None).expect_err("unset");
    assert_eq!(refusal, Refusal::VariableUnset { directive: "WSGIApplicationGroup", variable: "GROUP".into() });
}

#[test]
fn embedded_mode_can_be_forbidden_and_daemon_mode_is_not_pretended() {
    let mut server = ServerSettings::default();
    let row = ServerSettings::ROWS.iter().find(|row| row.name == "WSGIRestrictEmbedded").expect("row");
    (row.set)(&mut server, "On", &Origin::default()).expect("on");
    let plain = alias();
    let refusal = resolve(&facts(Some(&plain)), &server, &DirectorySettings::default(), &|_| None);
    assert_eq!(refusal, Err(Refusal::EmbeddedRestricted));
    let daemon = Alias { process_group: Some("site".into()), ..alias() };
    assert_eq!(refused(&facts(Some(&daemon))), Some(Refusal::DaemonModeMissing("site".into())));
}
