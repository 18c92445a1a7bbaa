// SPDX-License-Identifier: Apache-2.0
//! The example of WSGIProcessGroup: a map of httpd's rewriting engine says which group serves which path.

use crate::*;
use harness::skip;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENTRIES: &str = "/one first\n/two second\n/two/deeper first\n/odd absent\n";

/// The example, with another kind of map.
fn site_with_map(map: &str) -> Site {
    site()
        .with("rewrite")
        .config(&groups(&["first", "second"]))
        .config(&mounts(&["/one", "/two", "/odd", "/unlisted"]))
        .config(&format!("RewriteEngine On\nRewriteMap wsgiprocmap \"{map}\""))
        .config("RewriteRule . - [E=PROCESS_GROUP:${wsgiprocmap:%{REQUEST_URI}}]")
        .config("WSGIProcessGroup %{ENV:PROCESS_GROUP}")
}

fn assert_map_decides(httpd: &Httpd) {
    for (target, group) in [("/one", "first"), ("/two", "second"), ("/two/deeper", "first"), ("/one?query", "first")] {
        assert_process_group(httpd, target, group);
    }
    httpd.expect(event::GROUP_UNKNOWN);
    httpd.get("/odd").expect(500);
}

/// Entries of a file decide: here of a text file.
#[test]
fn a_text_map_selects_the_process_group() {
    let httpd = site_with_map("txt:@ROOT@/wsgiprocmap.txt").file("wsgiprocmap.txt", ENTRIES).start();
    assert_map_decides(&httpd);
}

/// A path that has no entry makes the variable empty. The value must identify a group, so the request is refused; the
/// reference takes the empty name for the global group.
#[test]
fn a_path_without_entry_selects_no_group() {
    let httpd = site_with_map("txt:@ROOT@/wsgiprocmap.txt").file("wsgiprocmap.txt", ENTRIES).start();
    if Module::Ours.is_ours() {
        httpd.expect(event::VARIABLE_UNSET);
        httpd.get("/unlisted").expect(500);
    } else {
        assert_process_group(&httpd, "/unlisted", "");
    }
}

/// The program that makes database files for maps, if it is here.
fn program() -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/apache2/bin"];
    folders.iter().map(|folder| Path::new(folder).join("httxt2dbm")).find(|program| program.is_file())
}

/// Makes a database of `kind` from [`ENTRIES`] and gives its files: what follows the database's name, and the content.
fn database(program: &Path, kind: Option<&str>) -> Option<Vec<(String, Vec<u8>)>> {
    let folder = std::env::temp_dir().join(format!("mwrs-map-{}-{}", std::process::id(), kind.unwrap_or("default")));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("entries.txt"), ENTRIES).expect("a file");
    let mut command = Command::new(program);
    if let Some(kind) = kind {
        command.args(["-f", kind]);
    }
    let made = command.args(["-i", "entries.txt", "-o", "database"]).current_dir(&folder).output().expect("it runs");
    let files: Vec<_> = fs::read_dir(&folder)
        .expect("a folder")
        .flatten()
        .filter_map(|entry| {
            let suffix = entry.file_name().to_str()?.strip_prefix("database")?.to_owned();
            Some((suffix, fs::read(entry.path()).ok()?))
        })
        .collect();
    fs::remove_dir_all(&folder).expect("the folder");
    (made.status.success() && !files.is_empty()).then_some(files)
}

/// Entries of a database file decide, as written in the example: `dbm:` and the program's own choice of a kind.
#[test]
fn a_database_map_selects_the_process_group() {
    let Some(program) = program() else { return skip::skipped("httxt2dbm is missing: install apache2-utils") };
    let files = database(&program, None).expect("a database of the usual kind");
    let httpd = with_files(site_with_map("dbm:@ROOT@/wsgiprocmap.dbm"), files).start();
    assert_map_decides(&httpd);
}

/// The kind of database makes no difference. SDBM is part of every APR.
#[test]
fn every_kind_of_database_selects_the_process_group() {
    let Some(program) = program() else { return skip::skipped("httxt2dbm is missing: install apache2-utils") };
    let mut tried = Vec::new();
    for kind in ["SDBM", "DB", "GDBM"] {
        let Some(files) = database(&program, Some(kind)) else { continue };
        let map = format!("dbm={}:@ROOT@/wsgiprocmap.dbm", kind.to_lowercase());
        assert_map_decides(&with_files(site_with_map(&map), files).start());
        tried.push(kind);
    }
    assert!(tried.contains(&"SDBM"), "{tried:?}");
}

fn with_files(site: Site, files: Vec<(String, Vec<u8>)>) -> Site {
    files.into_iter().fold(site, |site, (suffix, content)| site.file(&format!("wsgiprocmap.dbm{suffix}"), content))
}
