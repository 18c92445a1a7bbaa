// SPDX-License-Identifier: Apache-2.0
//! Counts what processes hold, from `/proc`: descriptors, threads, children, memory.

use std::fs;

/// What one process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Direct child processes.
    pub children: usize,
}

impl Census {
    /// Counts the process `pid`; zeros when it is gone.
    pub fn of(pid: u32) -> Self {
        Self {
            descriptors: entries(&format!("/proc/{pid}/fd")),
            threads: entries(&format!("/proc/{pid}/task")),
            children: children(pid).len(),
        }
    }
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The processes whose parent is `pid`, zombies included, in ascending order.
pub fn children(pid: u32) -> Vec<u32> {
    let mut found: Vec<u32> = processes().filter(|other| parent(*other) == Some(pid)).collect();
    found.sort_unstable();
    found
}

/// The descendants of `pid`, nearest first.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(one) = found.get(next).copied() {
        found.extend(children(one));
        next += 1;
    }
    found
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The fields of `/proc/<pid>/stat` after the command's name: state first, then the parent.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The parent of `pid`.
pub fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Tells one process from a later one with the same number.
pub fn started(pid: u32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// Whether `pid` runs: it exists and is not a zombie.
pub fn is_running(pid: u32) -> bool {
    stat(pid).and_then(|fields| fields.first().cloned()).is_some_and(|state| state != "Z" && state != "X")
}

/// Memory that `pid` alone holds (private, resident), in KiB.
pub fn private_memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let sum = text
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    Some(sum)
}

/// The files mapped into `pid`, without repetition.
pub fn mapped_files(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut files: Vec<String> =
        text.lines().filter_map(|line| line.find('/').map(|at| line[at..].to_owned())).collect();
    files.sort();
    files.dedup();
    files
}

/// How many TCP connections of the loopback interface that process `pid` holds are not merely listening.
pub fn connections(pid: u32) -> usize {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let connected: Vec<&str> = table
        .lines()
        .filter(|line| line.split_whitespace().nth(3) != Some("0A"))
        .filter_map(|line| line.split_whitespace().nth(9))
        .collect();
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|target| target.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .filter(|inode| connected.contains(&inode.as_str()))
        .count()
}
