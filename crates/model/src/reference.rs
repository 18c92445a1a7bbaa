// SPDX-License-Identifier: Apache-2.0
//! The reference pages, written from the tables. `docs/reference/` holds the result; a test compares them.

use crate::alias::AliasOptions;
use crate::daemon::GroupOptions;
use crate::directive::Row;
use crate::directive::options::Options;
use crate::event;
use crate::interpreter::{InterpreterSettings, Selectors};
use crate::script::{HandlerOptions, HookOptions, ImportOptions};
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
    for row in InterpreterSettings::ROWS {
        directive(&mut page, row);
    }
    section(&mut page);
    page
}

/// The section `<WSGIInterpreterOptions>`, the one directive that is not a row.
fn section(page: &mut String) {
    let names: Vec<_> = InterpreterSettings::ROWS.iter().map(|row| format!("`{}`", row.name)).collect();
    let _ = write!(
        page,
        "\n## `<WSGIInterpreterOptions>`\n\n| | |\n|---|---|\n\
         | Syntax | `<WSGIInterpreterOptions [process-group=name] [application-group=name]>` |\n| Context | {} |\n\
         | Since | 6.0.0 of the reference |\n\nHolds, for the interpreters that its selectors name, {}. For each of them the \
         section with the most selectors counts, the later one of two; the directories of `WSGIPythonPath` add up. \
         A selector and its value are one word: quote the whole word if the value has blanks.\n",
        crate::directive::Scope::Global.describe(),
        names.join(", "),
    );
    options::<Selectors>(page);
}

/// The options of one directive.
fn options<S: Options>(page: &mut String) {
    page.push_str("\n| Option | Value | Default | Since | Meaning |\n|---|---|---|---|---|\n");
    for row in S::ROWS {
        let text: Vec<_> = row.text.split(|line| line.trim().is_empty()).map(join).collect();
        let _ = writeln!(
            page,
            "| `{}` | `{}` | `{}` | {} | {} |",
            row.name,
            row.syntax.replace('|', "\\|"),
            (row.default)(),
            if row.since.is_empty() { "not in the reference" } else { row.since },
            text.join(" ")
        );
    }
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
    match row.name {
        "WSGIDaemonProcess" => options::<GroupOptions>(page),
        "WSGIScriptAlias" => options::<AliasOptions>(page),
        "WSGIImportScript" => options::<ImportOptions>(page),
        "WSGIHandlerScript" => options::<HandlerOptions>(page),
        "WSGIDispatchScript" | "WSGIAccessScript" | "WSGIAuthUserScript" | "WSGIAuthGroupScript" => {
            options::<HookOptions>(page);
        }
        _ => {}
    }
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
