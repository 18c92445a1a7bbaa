// SPDX-License-Identifier: Apache-2.0
//! The reference pages, written from the tables. `docs/reference/` holds the result; a test compares them.

use crate::directive::Row;
use crate::event;
use crate::settings::{DirectorySettings, ServerSettings};
use std::fmt::Write;

/// The page of directives.
#[must_use]
pub fn directives() -> String {
    let mut page =
        String::from("# Directives\n\nWritten from the directive tables by `make reference`; do not edit.\n");
    for row in ServerSettings::ROWS {
        directive(&mut page, row);
    }
    for row in DirectorySettings::ROWS {
        directive(&mut page, row);
    }
    page
}

fn directive<S>(page: &mut String, row: &Row<S>) {
    let default = (row.default)();
    let default = if default.is_empty() { "(none)" } else { &default };
    let paragraphs: Vec<String> = row.text.split(|line| line.trim().is_empty()).map(join).collect();
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n## {name}\n\n| | |\n|---|---|\n| Syntax | `{name} {syntax}` |\n| Default | `{default}` |\n| Context | {context} |\n\
         | Since | {since} of the reference |\n\n{text}\n\nExample: `{name} {example}`\n",
        name = row.name,
        syntax = row.syntax.replace('|', "\\|"),
        context = row.scope.describe(),
        since = row.since,
        text = paragraphs.join("\n\n"),
        example = row.good,
    );
}

fn join(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The page of log events.
#[must_use]
pub fn events() -> String {
    let mut page = String::from(
        "# Log events\n\nWritten from the event table by `make reference`; do not edit. Numbers are stable; wording may change.\n",
    );
    for entry in event::TABLE {
        let _ = write!(
            page,
            "\n## WSGIRS{:04} {}\n\n* Level: {:?}\n* Cause: {}\n* Outcome: {}\n* What to do: {}\n",
            entry.number, entry.name, entry.level, entry.cause, entry.outcome, entry.action
        );
    }
    page
}
