// SPDX-License-Identifier: Apache-2.0
//! Rare troubles, each of which has a log event of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Module, Site, event};
use std::fs;
use std::path::PathBuf;

fn site() -> Site {
    Site::new(Mode::Embedded).mount("/e", "environ.py").mount("/s", "state.py")
}

/// The extension module of this build: its file name, its build id, its bytes.
fn extension() -> (String, String, Vec<u8>) {
    let folder: PathBuf = Module::Ours.file().unwrap().with_extension("d");
    let mut builds: Vec<PathBuf> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    builds.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    let build = builds.pop().unwrap();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let file = fs::read_dir(&build)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| name(path).ends_with(".abi3.so"))
        .unwrap();
    (name(&file), name(&build), fs::read(&file).unwrap())
}

/// A copy of the module beside an extension with this content.
fn with_extension(content: impl FnOnce(&str, Vec<u8>) -> Vec<u8>) -> Httpd {
    let (file, build, bytes) = extension();
    let module = fs::read(Module::Ours.file().unwrap()).unwrap();
    site()
        .file("copy/mod_wsgi_rs.so", module)
        .file(&format!("copy/mod_wsgi_rs.d/{build}/{file}"), content(&build, bytes))
        .module_path("@ROOT@/copy/mod_wsgi_rs.so")
        .start()
}

#[test]
fn a_copied_module_runs_in_place() {
    with_extension(|_, bytes| bytes).get("/e").expect(200);
}

#[test]
fn an_extension_of_another_build_is_refused() {
    let httpd = with_extension(|build, mut bytes| {
        let id = build.as_bytes();
        let mut replaced = 0;
        for start in 0..bytes.len() - id.len() {
            if &bytes[start..start + id.len()] == id {
                bytes[start + id.len() - 1] ^= 1;
                replaced += 1;
            }
        }
        assert!(replaced > 0, "the extension holds its build id");
        bytes
    });
    httpd.expect(event::RUNTIME_MISMATCH);
    httpd.expect(event::PYTHON_UNAVAILABLE);
    httpd.get("/e").expect(500);
    httpd.get("/static.txt").expect(200);
}

#[test]
fn an_extension_that_cannot_be_imported_is_explained() {
    let httpd = with_extension(|_, _| b"not a library".to_vec());
    httpd.expect(event::RUNTIME_UNUSABLE);
    httpd.expect(event::PYTHON_UNAVAILABLE);
    httpd.get("/e").expect(500);
    httpd.get("/static.txt").expect(200);
}

#[test]
fn the_number_of_interpreters_is_limited() {
    let httpd = site()
        .config("WSGIScriptAlias /i \"@APPS@/state.py\" application-group=%{ENV:GROUP}\nSetEnvIf X-Group (.+) GROUP=$1")
        .start();
    httpd.expect(event::INTERPRETER_LIMIT);
    let status = |number: u32| httpd.request("GET", "/i").header("X-Group", &format!("g{number}")).send().status;
    let refused = (0..400).find(|number| status(*number) == 503).expect("some number is the last");
    assert!(refused > 100, "{refused}");
    assert_eq!(status(refused + 1), 503);
    assert_eq!(status(0), 200, "those that exist go on");
    assert_eq!(httpd.count(event::INTERPRETER_LIMIT), 2);
}

#[test]
fn a_broken_pth_file_is_skipped_with_a_warning() {
    // Later versions of Python decode such a file in another way.
    let Some(python) = harness::Python::find(11) else { return };
    let httpd = site()
        .python(&python)
        .file("odd/broken.pth", b"\xff\xfe\xff\n".to_vec())
        .config("WSGIPythonPath \"@ROOT@/odd:@APPS@\"")
        .start();
    httpd.expect(event::PYTHON_PATH_FAILED);
    httpd.get("/e").expect(200);
}

#[test]
fn a_broken_companion_package_is_left_out_with_a_warning() {
    let httpd = site()
        .file("companion/mod_wsgi.py", "raise ValueError('broken companion')\n")
        .variable("PYTHONPATH", "@ROOT@/companion")
        .start();
    httpd.expect(event::COMPANION_FAILED);
    httpd.get("/e").expect(200);
}

#[test]
fn a_request_does_not_wait_for_ever_while_python_starts() {
    let httpd = site()
        .file(
            "start/sitecustomize.py",
            "import os\nimport time\n\nwhile not os.path.exists('@STATE@/go'):\n    time.sleep(0.01)\n",
        )
        .variable("PYTHONPATH", "@ROOT@/start")
        .start();
    httpd.expect(event::PYTHON_STARTING);
    let answer = httpd.get("/e");
    assert_eq!((answer.status, answer.header("Retry-After").is_some()), (503, true), "{answer:?}");
    httpd.get("/static.txt").expect(200);
    httpd.open_gate("go");
    httpd.get("/e").expect(200);
}

#[test]
fn a_script_that_cannot_be_preloaded_is_tried_again_by_a_request() {
    let httpd = Site::new(Mode::Embedded)
        .file("apps/p.py", "import broken_beside\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'loaded']\n")
        .config("WSGIScriptAlias /p \"@APPS@/p.py\" process-group=%{GLOBAL} application-group=%{GLOBAL}")
        .start();
    httpd.expect(event::PRELOAD_FAILED);
    httpd.expect(event::SCRIPT_FAILED);
    httpd.wait_for_log("WSGIRS0210");
    httpd.rewrite("apps/broken_beside.py", "\n");
    httpd.get("/p").expect_body(b"loaded");
}

#[test]
fn headers_set_by_other_modules_are_checked_too() {
    let httpd = site()
        .with("headers")
        .config("<Location /e/coding>\nRequestHeader set Transfer-Encoding gzip\n</Location>")
        .config("<Location /e/length>\nRequestHeader set Content-Length many\n</Location>")
        .start();
    httpd.expect(event::TRANSFER_ENCODING_UNKNOWN);
    httpd.expect(event::CONTENT_LENGTH_INVALID);
    httpd.get("/e/coding").expect(501);
    httpd.get("/e/length").expect(400);
}

#[test]
fn a_thread_that_never_ends_is_reported_when_the_child_ends() {
    let source = "import threading\nimport time\n\nthreading.Thread(target=time.sleep, args=(600,), daemon=False).start()\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n";
    let httpd = Site::new(Mode::Embedded)
        .file("apps/t.py", source)
        .config("WSGIScriptAlias /t \"@APPS@/t.py\" application-group=%{GLOBAL}")
        .start();
    httpd.expect(event::SHUTDOWN_OVERDUE);
    // httpd asks again every two seconds while a child takes its time.
    httpd.tolerate_text("AH00045");
    httpd.get("/t").expect(200);
    let start = std::time::Instant::now();
    httpd.finish();
    assert!(start.elapsed().as_secs() < 9, "{:?}", start.elapsed());
}

#[test]
fn a_body_found_too_large_while_it_is_read_is_reported() {
    let httpd = Site::new(Mode::Embedded)
        .mount("/b", "body.py")
        .config(
            "LimitRequestBody 10\nWSGIChunkedRequest On\nWSGIScriptAlias /echo \"@APPS@/body.py\" callable-object=echo",
        )
        .start();
    httpd.tolerate_text("AH");
    httpd.tolerate(event::APPLICATION_FAILED);
    httpd.expect(event::BODY_TOO_LARGE);
    httpd.request("POST", "/echo").chunks(["12345678901234"]).send().expect(413);
}
