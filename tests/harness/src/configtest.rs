// SPDX-License-Identifier: Apache-2.0
//! httpd's own test of a site's configuration, and its listing of what a module declares. Nothing is started: one process
//! reads the configuration, says what it thinks of it, and ends.

use crate::module::httpd_program;
use crate::server::{new_root, quiet};
use crate::site::Site;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// No port is opened by a test.
const PORT: u16 = 8000;

/// What httpd said of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigTest {
    /// Whether httpd would start with it.
    pub accepted: bool,
    /// Everything it printed; the site's root reads `@ROOT@`.
    pub output: String,
}

/// A directive as httpd knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name, with `<` when it is a section.
    pub name: String,
    /// Where httpd says it may stand.
    pub allowed: String,
}

impl Site {
    /// Tests the configuration, with these names defined for `<IfDefine>`.
    pub fn configtest(&self, defines: &[&str]) -> ConfigTest {
        let mut words = vec!["-t"];
        words.extend(defines.iter().flat_map(|name| ["-D", name]));
        self.ask(&words)
    }

    /// The directives that the WSGI module declares, as httpd lists them.
    pub fn declared(&self) -> Vec<Declared> {
        let listing = self.ask(&["-L"]).output;
        let mut declared: Vec<Declared> = Vec::new();
        let mut ours = false;
        for line in listing.lines() {
            if let Some(text) = line.strip_prefix('\t') {
                if let Some(last) = declared.last_mut().filter(|_| ours && !text.is_empty()) {
                    // The description comes first, the place after it, on one line or two.
                    let place = text.starts_with("Allowed in") || text.starts_with("Not allowed");
                    if place {
                        last.allowed = text.to_owned();
                    } else if !last.allowed.is_empty() {
                        last.allowed = format!("{} {}", last.allowed, text.trim());
                    }
                }
            } else if let Some((name, source)) = line.split_once(" (") {
                ours = source.contains("wsgi");
                if ours {
                    declared.push(Declared { name: name.to_owned(), allowed: String::new() });
                }
            }
        }
        declared
    }

    fn ask(&self, words: &[&str]) -> ConfigTest {
        let root = new_root();
        // Nobody looks at more folders, or at an application.
        let _ = ["apps", "htdocs", "logs"].map(|folder| fs::create_dir_all(root.join(folder)).expect("a folder"));
        self.write_files(&root, PORT, "apps/");
        self.write_configuration(&root, PORT);
        let mut command = Command::new(httpd_program());
        command.arg("-f").arg(root.join("httpd.conf")).args(words).stdin(Stdio::null());
        quiet(&mut command);
        command.envs(self.variables.iter().map(|(name, value)| (name, Self::replace(value, &root, PORT))));
        let output = command.output().expect("httpd runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace(&root.display().to_string(), "@ROOT@");
        let _ = fs::remove_dir_all(&root);
        ConfigTest { accepted: output.status.success(), output: said }
    }
}

/// Processes that read a configuration mostly wait, so there may be more of them than processors.
const AT_A_TIME: usize = 6;

/// Does independent work on all items, several at a time, and gives the results in the items' order.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((index, item)) = take(items, &next) {
                    let result = work(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, items.get(index)?))
}
