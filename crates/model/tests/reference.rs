// SPDX-License-Identifier: Apache-2.0
//! The committed reference pages are those that the tables give.

#[test]
fn the_reference_pages_are_up_to_date() {
    let pages = [("directives.md", model::reference::directives()), ("events.md", model::reference::events())];
    for (name, expected) in pages {
        let path = format!("{}/../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{path} is out of date: run `make reference`");
    }
}
