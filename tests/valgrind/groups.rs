// SPDX-License-Identifier: Apache-2.0
//! Daemon mode: httpd runs as always, the supervisor and the worker of one group under valgrind. Another group's workers,
//! which die and are replaced, are there for the supervisor.
//!
//! `python-home=` names a script that becomes valgrind with the real Python, and the runtime directory is a copy whose
//! supervisor is such a script. Neither is under valgrind after a restart at the end, so their reports are complete when
//! the old generation has gone.

use crate::report::{self, ROUNDS, VALGRIND};
use harness::{Httpd, Mode, Module, Python, Request, Site, wait};
use std::fs;
use std::time::Duration;

/// How long anything may take: valgrind is slow, and so may the machine be.
const PATIENCE: Duration = Duration::from_secs(300);

/// Streams, and writes past Python to what the supervisor reads.
const STREAM: &str = "import os

import journal


def application(environ, start_response):
    os.write(2, b'written\\nin lines\\n')
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return journal.Result('stream', endless() if environ['PATH_INFO'] == '/endless' else (b'piece %d\\n' % n for n in range(50)))


def endless():
    while True:
        yield b'x' * 65536
";

/// A script that becomes `program` under valgrind, unless the gate `plain` is open.
fn under_valgrind(name: &str, program: &str, before: &str, options: &str) -> String {
    let valgrind = VALGRIND.join(" ");
    format!(
        "#!/bin/sh\n[ -e @STATE@/plain ] && exec {program} \"$@\"\n{before}\nexec {valgrind} {options} \
         --xml-file=@STATE@/{name}.%p.xml {program} \"$@\"\n"
    )
}

fn site(python: &Python) -> Site {
    let module = Module::Ours.file().expect("the module");
    let runtime = format!("mod_wsgi_rs.d/{}", model::BUILD_ID);
    let built = |name: &str| fs::read(module.with_file_name(&runtime).join(name)).expect(name);
    let python = format!("{}/bin/python3.{}", python.prefix.display(), python.minor);
    // httpd waits a moment only for the word that the supervisor has read its plan, so the script says it. The copies of
    // the supervisor that become workers write no reports of their own.
    let supervisor = under_valgrind(
        "supervisor",
        "@ROOT@/wsgi-supervisor",
        "echo > /proc/self/fd/$2",
        "--child-silent-after-fork=yes",
    );
    let patient = "connect-timeout=300 socket-timeout=300 shutdown-timeout=300";
    Site::new(Mode::Embedded)
        .file("module/mod_wsgi_rs.so", fs::read(&module).expect("the module"))
        .file(&format!("module/{runtime}/_mod_wsgi_rs.abi3.so"), built("_mod_wsgi_rs.abi3.so"))
        .file_with_mode(&format!("module/{runtime}/wsgi-supervisor"), supervisor, 0o755)
        .file_with_mode("wsgi-supervisor", built("wsgi-supervisor"), 0o755)
        .module_path("@ROOT@/module/mod_wsgi_rs.so")
        .file_with_mode("python", under_valgrind("worker", &python, "export PYTHONMALLOC=malloc", ""), 0o755)
        .config(&format!("WSGIDaemonProcess slow threads=3 python-path=@APPS@ python-home=@ROOT@/python {patient}"))
        .config(&format!("WSGIDaemonProcess mortal processes={ROUNDS} threads=1 {patient}"))
        .config("WSGIProcessGroup slow\nWSGIChunkedRequest On\nWSGIEnableSendfile On\nEnableSendfile On\nTimeout 300")
        .config("WSGIScriptAlias /mortal \"@APPS@/mortal.py\" process-group=mortal")
        .file(
            "apps/mortal.py",
            "import os\n\n\ndef application(environ, start_response):\n    os.kill(os.getpid(), 9)\n",
        )
        .config("WSGIScriptAlias /broken \"@APPS@/broken.py\"")
        .file("apps/broken.py", "raise ValueError('broken')\n")
        .config("WSGIScriptAlias /stream \"@APPS@/stream.py\"")
        .file("apps/stream.py", STREAM)
        .mount("/a", "answers.py")
        .mount("/b", "body.py")
        .mount("/f", "files.py")
        .mount("/s", "streams.py")
}

fn request(httpd: &Httpd, method: &str, target: &str) -> Request {
    httpd.request(method, target).patience(PATIENCE)
}

/// What is sent, with the status of the answer.
const GETS: [(&str, u16); 14] = [
    ("/a/hello", 200),
    ("/a/many", 200),
    ("/a/writes", 200),
    ("/a/duplicates", 200),
    ("/a/no-content", 204),
    ("/a/raises", 500),
    ("/a/never-starts", 500),
    ("/stream", 200),
    ("/f/size/1000003", 200),
    ("/f/offset", 200),
    ("/f/pipe", 200),
    ("/s/lines", 200),
    ("/s/print", 200),
    ("/broken", 500),
];

fn exercise(httpd: &Httpd) {
    for (path, status) in GETS {
        for _ in 0..ROUNDS {
            request(httpd, "GET", path).send().expect(status);
        }
    }
    for _ in 0..ROUNDS {
        let upload = request(httpd, "POST", "/b?i.read()");
        let answer = upload.clone().body("y".repeat(300_000)).send();
        assert_eq!(answer.expect(200).body.len(), 300_003, "the body comes back in quotes");
        assert_eq!(upload.chunks(["one\n", "two"]).send().expect(200).text(), r"b'one\ntwo'");
        request(httpd, "HEAD", "/a/hello").send().expect(200);
    }
    disconnect(httpd);
}

/// Clients leave in the middle of an answer and in the middle of a body.
fn disconnect(httpd: &Httpd) {
    let ended = || httpd.journal().iter().filter(|line| *line == "closed stream").count();
    for _ in 0..ROUNDS {
        let before = ended();
        let mut connection = httpd.connect().patience(PATIENCE);
        connection.send(b"GET /stream/endless HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(connection.read_some(200_000).len() >= 200_000, "the answer begins");
        connection.drop_dead();
        let closed = wait::poll(PATIENCE, || (ended() > before).then_some(()));
        assert!(closed.is_some(), "the application's iterable is closed when the client has gone");
        let mut connection = httpd.connect().patience(PATIENCE);
        connection
            .send(b"POST /b?i.read() HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nshort")
            .half_close();
        assert!(connection.read_response("POST").text().contains("request data read error"), "the read fails");
    }
}

/// The reports of that name, complete or not.
fn reports(httpd: &Httpd, name: &str) -> Vec<String> {
    let files =
        fs::read_dir(httpd.root().join("state")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let wanted = files.filter(|file| {
        let file = file.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.starts_with(name) && file.ends_with(".xml")
    });
    wanted.map(|file| String::from_utf8_lossy(&fs::read(file).expect("a report")).into_owned()).collect()
}

#[test]
#[ignore = "takes minutes; tests/valgrind.sh runs it"]
fn no_error_and_no_growing_leak_is_of_a_worker_or_supervisor() {
    let httpd = site(&Python::usual().expect("a Python")).start();
    httpd.expect(harness::event::WORKER_LOST).tolerate_text("");
    for number in harness::event::NUMBERS {
        httpd.tolerate(number.0);
    }
    exercise(&httpd);
    for _ in 0..ROUNDS {
        request(&httpd, "GET", "/mortal").send().expect(502);
    }
    assert_eq!(reports(&httpd, "worker.").len(), 1, "the worker that began has answered all");
    assert_eq!(reports(&httpd, "supervisor.").len(), 1);

    httpd.open_gate("plain");
    httpd.graceful();
    let mut complaints = Vec::new();
    for who in ["worker", "supervisor"] {
        let whole = || {
            let all = reports(&httpd, &format!("{who}."));
            all.iter().all(|report| report::is_whole(report)).then_some(all)
        };
        let found = wait::poll(PATIENCE, whole).unwrap_or_else(|| panic!("the {who} did not end by itself"));
        let [report] = found.as_slice() else { panic!("{} reports of a {who}", found.len()) };
        complaints.extend(report::complaints(who, report));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    request(&httpd, "GET", "/a/hello").send().expect(200);
}
