// SPDX-License-Identifier: Apache-2.0
//! The committed reference pages are those that the tables give, and the guides name only what exists.
#![allow(clippy::expect_used, clippy::panic, reason = "test code")]

use model::interpreter::InterpreterSettings;
use model::settings::{DirectorySettings, ServerSettings};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

#[test]
fn the_reference_pages_are_up_to_date() {
    let pages = [("directives.md", model::reference::directives()), ("events.md", model::reference::events())];
    for (name, expected) in pages {
        let path = format!("{}/../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{path} is out of date: run `make reference`");
    }
}

/// The words of the guides that begin with `start`, without what follows their letters and digits.
fn words<'t>(text: &'t str, start: &str) -> impl Iterator<Item = &'t str> {
    let starts: Vec<_> = text.match_indices(start).map(|(at, _)| at).collect();
    starts.into_iter().filter_map(move |at| {
        let rest = text.get(at..)?;
        let end = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
        rest.get(..end).filter(|_| !rest.get(end..).is_some_and(|after| after.starts_with('…')))
    })
}

#[test]
fn the_guides_name_directives_and_events_that_exist() {
    let rows = ServerSettings::ROWS.iter().map(|row| row.name);
    let rows = rows.chain(DirectorySettings::ROWS.iter().map(|row| row.name));
    let known: HashSet<_> =
        rows.chain(InterpreterSettings::ROWS.iter().map(|row| row.name)).chain(["WSGIInterpreterOptions"]).collect();
    let numbers: HashSet<_> = model::event::TABLE.iter().map(|entry| format!("WSGIRS{:04}", entry.number)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let mut pages = 0;
    for page in fs::read_dir(folder).expect("the guides").flatten() {
        let text = fs::read_to_string(page.path()).expect("a page");
        for word in words(&text, "WSGI").filter(|word| *word != "WSGI") {
            let number = word.starts_with("WSGIRS") && numbers.contains(word);
            assert!(number || known.contains(word), "{word} in {}", page.path().display());
        }
        pages += 1;
    }
    assert!(pages >= 2);
}
