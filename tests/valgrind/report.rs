// SPDX-License-Identifier: Apache-2.0
//! Reads what valgrind reports, and tells what of it is ours.
//!
//! Python's own one-time allocations are told from leaks by number: each request is sent [`ROUNDS`] times, so what leaks
//! with each leaks at least as many blocks.

/// How often everything is done.
pub const ROUNDS: usize = 8;

/// Frames from the top in which our code must be for an error to be ours.
const NEAR: usize = 6;

/// How valgrind is called; the name of the report's file is to be added.
pub const VALGRIND: [&str; 8] = [
    "valgrind",
    "--quiet",
    "--vgdb=no",
    "--error-limit=no",
    "--num-callers=40",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--xml=yes",
];

/// Whether the process wrote its report to the end.
pub fn is_whole(report: &str) -> bool {
    report.trim_end().ends_with("</valgrindoutput>")
}

/// What of the report of `who` is ours. The report is kept where `MOD_WSGI_RS_VALGRIND_REPORT` says.
pub fn complaints(who: &str, report: &str) -> Vec<String> {
    assert!(is_whole(report), "the report of {who} is not whole: {} bytes", report.len());
    if let Some(mut file) = std::env::var_os("MOD_WSGI_RS_VALGRIND_REPORT") {
        file.push(format!(".{who}"));
        std::fs::write(file, report).unwrap();
    }
    let errors: Vec<&str> = report.split("<error>").skip(1).collect();
    let complaints: Vec<String> = errors.iter().filter_map(|error| complaint(error)).collect();
    println!("{who}: {} errors and leaks in all, {} of them ours", errors.len(), complaints.len());
    complaints.into_iter().map(|complaint| format!("{who}: {complaint}")).collect()
}

/// The text of an element's first occurrence.
fn element<'t>(text: &'t str, name: &str) -> &'t str {
    text.split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map_or("", |(inside, _)| inside)
}

fn is_ours(object: &str) -> bool {
    object.rsplit('/').next().is_some_and(|file| file.contains("mod_wsgi_rs") || file == "wsgi-supervisor")
}

/// What is wrong with one error of the report, if it is ours.
fn complaint(error: &str) -> Option<String> {
    let stack = element(error, "stack");
    let frames: Vec<&str> = stack.split("<frame>").skip(1).collect();
    let ours = frames.iter().position(|frame| is_ours(element(frame, "obj")))?;
    let kind = element(error, "kind");
    let guilty = if kind.starts_with("Leak_") {
        element(error, "leakedblocks").parse::<usize>().is_ok_and(|blocks| blocks >= ROUNDS)
    } else {
        ours < NEAR
    };
    let calls: Vec<String> = frames
        .iter()
        .take(ours + 10)
        .map(|frame| format!("    {} ({}:{})", element(frame, "fn"), element(frame, "file"), element(frame, "line")))
        .collect();
    let what = [element(error, "what"), element(error, "text")].concat();
    guilty.then(|| format!("{kind}: {what}\n{}", calls.join("\n")))
}

#[test]
fn errors_are_told_apart() {
    let frame = |object: &str| format!("<frame><obj>{object}</obj><fn>f</fn></frame>");
    let error = |kind: &str, blocks: usize, objects: &[&str]| {
        let frames: String = objects.iter().map(|object| frame(object)).collect();
        format!("<kind>{kind}</kind><leakedblocks>{blocks}</leakedblocks><stack>{frames}</stack>")
    };
    let python = "/var/tmp/mod_wsgi_rs-pythons/lib/libpython3.11.so";
    let ours = "/x/mod_wsgi_rs.so";
    for object in ["/x/mod_wsgi_rs.d/1/_mod_wsgi_rs.abi3.so", "/x/wsgi-supervisor"] {
        assert!(complaint(&error("InvalidRead", 0, &[object])).is_some(), "{object}");
    }
    assert!(complaint(&error("InvalidRead", 0, &[python, ours])).is_some());
    assert!(complaint(&error("InvalidRead", 0, &[python; 3])).is_none());
    assert!(
        complaint(&error("UninitCondition", 0, &[python, python, python, python, python, python, python, ours]))
            .is_none()
    );
    assert!(complaint(&error("Leak_DefinitelyLost", ROUNDS, &[python, ours])).is_some());
    assert!(complaint(&error("Leak_DefinitelyLost", 1, &[python, ours])).is_none());
}
