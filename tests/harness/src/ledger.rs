// SPDX-License-Identifier: Apache-2.0
//! The error log as a ledger: every warning and error in it was announced, and everything announced is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Text that is never acceptable, announced or not.
const DISASTERS: [&str; 6] =
    ["panicked at", "exit signal", "AH00052", "Fatal Python error", "double free", "Segmentation fault"];

/// httpd's advice on sizing (event, worker, prefork): test servers are small on purpose.
const SIZING: [&str; 7] = ["AH00484", "AH10159", "AH00485", "AH00286", "AH00287", "AH00161", "AH00162"];

/// Log events whose message is followed by a Python traceback.
const WITH_TRACEBACK: [u16; 5] = [114, 202, 204, 205, 206];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Announcement {
    Number(u16),
    Text(String),
}

impl Announcement {
    fn covers(&self, entry: &Entry) -> bool {
        match self {
            Self::Number(number) => entry.number == Some(*number),
            Self::Text(text) => entry.number.is_none() && entry.line.contains(text.as_str()),
        }
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole line.
    pub line: String,
    /// `wsgi`, `core` and so on; empty when the line did not come through httpd.
    pub module: String,
    /// `error`, `warn` and so on; empty when the line did not come through httpd.
    pub level: String,
    /// The number, when it is one of our events.
    pub number: Option<u16>,
    /// What follows httpd's decorations.
    pub message: String,
}

impl Entry {
    fn parse(line: &str) -> Self {
        let mut rest = line;
        let mut label = ("", "");
        let mut position = 0;
        while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            position += 1;
            match position {
                2 => label = inside.split_once(':').unwrap_or(("", "")),
                3.. if !["pid ", "client ", "remote ", "tid "].iter().any(|word| inside.starts_with(word)) => break,
                _ => {}
            }
            rest = after;
        }
        if label.1.is_empty() {
            rest = line;
        }
        // httpd puts the cause of an error before the message of other modules: "(2)No such file: AH00035: ...".
        let number = rest.strip_prefix("WSGIRS").and_then(|rest| rest.get(..4)?.parse().ok());
        let owned = |text: &str| text.to_owned();
        Self { line: owned(line), module: owned(label.0), level: owned(label.1), number, message: owned(rest) }
    }

    fn is_serious(&self) -> bool {
        !matches!(self.level.as_str(), "notice" | "info" | "debug") && !self.level.starts_with("trace")
    }

    fn is_traceback(&self) -> bool {
        let text = self.message.as_str();
        let name = text.split([':', ' ']).next().unwrap_or_default();
        let is_exception = name.ends_with("Error")
            || name.ends_with("Exception")
            || name.ends_with("Exit")
            || name.ends_with("Interrupt")
            || name.ends_with("Warning");
        self.number.is_none()
            && self.module == "wsgi"
            && (text.is_empty()
                || text.starts_with("Traceback (most recent")
                || text.starts_with(' ')
                || is_exception
                || text.starts_with("During handling of")
                || text.starts_with("The above exception"))
    }
}

/// What a test expects to find in its logs.
#[derive(Debug, Default)]
pub struct Ledger {
    expected: Mutex<Vec<Announcement>>,
    tolerated: Mutex<Vec<Announcement>>,
    killing: AtomicBool,
}

impl Ledger {
    /// The event will be there, at least once.
    pub fn expect(&self, number: u16) {
        lock(&self.expected).push(Announcement::Number(number));
    }

    /// An unnumbered line with this text will be there, at least once.
    pub fn expect_text(&self, text: &str) {
        lock(&self.expected).push(Announcement::Text(text.to_owned()));
    }

    /// The event may be there.
    pub fn tolerate(&self, number: u16) {
        lock(&self.tolerated).push(Announcement::Number(number));
    }

    /// An unnumbered line with this text may be there.
    pub fn tolerate_text(&self, text: &str) {
        lock(&self.tolerated).push(Announcement::Text(text.to_owned()));
    }

    /// The test itself kills a child.
    pub fn announce_killing(&self) {
        self.killing.store(true, Ordering::Relaxed);
    }

    /// Everything wrong with the logs, in words; empty when the books balance.
    pub fn audit(&self, entries: &[Entry]) -> Vec<String> {
        let (expected, tolerated) = (lock(&self.expected), lock(&self.tolerated));
        let traceback = expected
            .iter()
            .chain(tolerated.iter())
            .any(|one| matches!(one, Announcement::Number(number) if WITH_TRACEBACK.contains(number)));
        let mut complaints = Vec::new();
        for entry in entries {
            let killed = entry.line.contains("exit signal Killed") && self.killing.load(Ordering::Relaxed);
            if killed || SIZING.iter().any(|code| entry.message.starts_with(code)) {
                continue;
            }
            if let Some(disaster) = DISASTERS.iter().find(|text| entry.line.contains(**text)) {
                complaints.push(format!("{disaster:?}: {}", entry.line));
            } else if entry.is_serious()
                && !expected.iter().chain(tolerated.iter()).any(|one| one.covers(entry))
                && !(traceback && entry.is_traceback())
            {
                complaints.push(format!("not announced: {}", entry.line));
            }
        }
        for one in expected.iter().filter(|one| !entries.iter().any(|entry| one.covers(entry))) {
            complaints.push(format!("announced but not logged: {one:?}"));
        }
        complaints
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reads every `*.log` file of a folder except access logs.
pub fn read(folder: &Path) -> Vec<Entry> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log") && !path.ends_with("access.log"))
        .flat_map(|path| read_file(&path))
        .collect()
}

/// Reads one log.
pub fn read_file(path: &Path) -> Vec<Entry> {
    let text = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter(|line| !line.trim().is_empty()).map(Entry::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECORATION: &str = "[Sat Nov 21 04:03:47.123456 2026] ";

    fn entry(rest: &str) -> Entry {
        Entry::parse(&format!("{DECORATION}{rest}"))
    }

    #[test]
    fn a_line_is_taken_apart() {
        let found = entry("[wsgi:error] [pid 1:tid 2] [client 127.0.0.1:3] WSGIRS0204: application failed");
        assert_eq!((found.module.as_str(), found.level.as_str(), found.number), ("wsgi", "error", Some(204)));
        let found = entry("[wsgi:error] [pid 1:tid 2] [client 127.0.0.1:3] [script /a/b.py] [x] text");
        assert_eq!(found.message, "[script /a/b.py] [x] text");
        assert_eq!(Entry::parse("thread 'x' died").level, "");
    }

    #[test]
    fn what_was_not_announced_is_a_complaint() {
        let ledger = Ledger::default();
        let entries = [
            entry("[core:notice] [pid 1] fine"),
            entry("[wsgi:warn] [pid 1] WSGIRS0208: long"),
            entry("[core:error] [pid 1] AH1: x"),
        ];
        assert_eq!(ledger.audit(&entries).len(), 2);
        ledger.expect(208);
        ledger.expect_text("AH1");
        assert!(ledger.audit(&entries).is_empty());
        ledger.expect(207);
        assert_eq!(ledger.audit(&entries).len(), 1);
        ledger.tolerate(301);
        assert_eq!(ledger.audit(&entries).len(), 1);
    }

    #[test]
    fn a_number_does_not_excuse_a_text_nor_the_reverse() {
        let ledger = Ledger::default();
        ledger.tolerate_text("WSGIRS0208");
        assert_eq!(ledger.audit(&[entry("[wsgi:warn] [pid 1] WSGIRS0208: long")]).len(), 1);
    }

    #[test]
    fn a_traceback_needs_its_event() {
        let lines = [
            entry("[wsgi:error] [pid 1] Traceback (most recent call last):"),
            entry("[wsgi:error] [pid 1]   File \"x\""),
        ];
        let ledger = Ledger::default();
        assert_eq!(ledger.audit(&lines).len(), 2);
        ledger.tolerate(204);
        assert!(ledger.audit(&lines).is_empty());
    }

    #[test]
    fn disasters_cannot_be_announced() {
        let ledger = Ledger::default();
        ledger.tolerate_text("child");
        assert_eq!(
            ledger.audit(&[entry("[core:notice] [pid 1] AH00052: child pid 3 exit signal Aborted (6)")]).len(),
            1
        );
    }
}
