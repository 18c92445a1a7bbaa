// SPDX-License-Identifier: Apache-2.0
//! When Python cannot be had: one numbered event in each child, 500 for the requests concerned, everything else served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::{Httpd, Mode, Module, Python, Site, event, site, skip, wait};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

fn site() -> Site {
    Site::new(Mode::Embedded).mount("/e", "environ.py").mount("/s", "state.py")
}

/// The server serves files, refuses applications, and says why once in its child.
#[track_caller]
fn assert_explained(httpd: &Httpd, number: u16) {
    httpd.expect(number).expect(event::PYTHON_UNAVAILABLE);
    let pid = httpd.children()[0];
    for _ in 0..3 {
        httpd.get("/e").expect(500);
        httpd.get("/static.txt").expect_body(b"static\n");
    }
    assert_eq!(httpd.count(number), 1, "one explanation for each child");
    assert_eq!(httpd.count(event::PYTHON_UNAVAILABLE), 3, "one line for each request");
    assert_eq!(httpd.children(), [pid], "the child lives");
    httpd.graceful();
    wait::until("the next child to explain itself too", || {
        httpd.get("/e").expect(500);
        (httpd.count(number) == 2).then_some(())
    });
}

fn make(folder: &Path, files: &[&str]) {
    for file in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_home_that_does_not_exist_is_explained() {
    let httpd = site().python_home("/nonexistent/python").start();
    httpd.expect(event::FILE_DOUBTFUL);
    assert_explained(&httpd, event::PYTHON_HOME_UNREADABLE);
}

#[test]
fn a_home_that_is_a_plain_file_is_explained() {
    let httpd = site().file("plain", "x").python_home("@ROOT@/plain").start();
    httpd.expect(event::FILE_DOUBTFUL);
    assert_explained(&httpd, event::PYTHON_HOME_UNREADABLE);
}

#[test]
fn an_unreadable_home_is_explained() {
    if !site::is_root() {
        skip::skipped("permissions need root");
        return;
    }
    let folder = std::env::temp_dir().join(format!("mwrs-closed-{}", std::process::id()));
    make(&folder, &["bin/python3"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let httpd = site().python_home(&folder).start();
    httpd.expect(event::FILE_DOUBTFUL);
    assert_explained(&httpd, event::PYTHON_HOME_UNREADABLE);
    drop(httpd);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_home_without_shared_library_is_explained() {
    // Only a file in the directory leads to embedded mode, and an alias to a group, so nobody foresees that it is needed.
    let httpd = Site::new(Mode::Embedded)
        .app("environ.py")
        .config("WSGIScriptAlias /other \"@APPS@/environ.py\" process-group=missing")
        .config("Alias /e \"@APPS@/environ.py\"\n<Directory \"@APPS@\">\nAllowOverride All\n</Directory>")
        .file("apps/.htaccess", "SetHandler wsgi-script\nOptions ExecCGI\n")
        .file_with_mode("home/bin/python3.11", "#!/bin/sh\nexit 1\n", 0o755)
        .file("home/lib/python3.11/os.py", "")
        .python_home("@ROOT@/home")
        .start();
    httpd.expect(event::GROUP_UNRESOLVED);
    assert_explained(&httpd, event::PYTHON_LIBRARY_MISSING);
    let line = httpd.wait_for_log("WSGIRS0101").line;
    assert!(line.contains("home"), "{line}");
}

/// A Python without a shared library, in this folder until the second value is dropped.
fn static_python() -> Option<(PathBuf, Folder)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (program, library) = (Path::new("/usr/bin/python3.11"), Path::new("/usr/lib/python3.11"));
    if !program.is_file() || !library.is_dir() {
        skip::skipped("no Debian Python 3.11");
        return None;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("mwrs-static-{}-{number}", std::process::id()));
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::copy(program, folder.join("bin/python3")).unwrap();
    symlink(library, folder.join("lib/python3.11")).unwrap();
    Some((folder.clone(), Folder(folder)))
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Tells its process and the name of its process group.
const OWN: &str = "import os\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%d %s' % (os.getpid(), environ['mod_wsgi.process_group'].encode())]\n";

#[test]
fn without_a_shared_library_embedded_mode_runs_in_a_process_of_its_own() {
    let Some((python, _folder)) = static_python() else { return };
    let ways = [
        "WSGIScriptAlias /own.wsgi \"@ROOT@/htdocs/own.wsgi\"\n<Directory \"@ROOT@/htdocs\">\nRequire all granted\n</Directory>",
        "<Directory \"@ROOT@/htdocs\">\nOptions ExecCGI\nAddHandler wsgi-script .wsgi\n</Directory>",
        "WSGIHandlerScript own \"@ROOT@/htdocs/own.wsgi\"\n<Location /own.wsgi>\nSetHandler own\n</Location>",
        "<Directory \"@ROOT@/htdocs\">\nAllowOverride All\n</Directory>",
    ];
    for way in ways {
        let httpd = Site::new(Mode::Embedded)
            .file(
                "htdocs/own.wsgi",
                OWN.replace(
                    "application(",
                    if way.contains("HandlerScript") { "handle_request(" } else { "application(" },
                ),
            )
            .file(
                "htdocs/.htaccess",
                if way.contains("AllowOverride") { "Options ExecCGI\nAddHandler wsgi-script .wsgi\n" } else { "" },
            )
            .config(way)
            .python_home(&python)
            .start();
        httpd.expect(event::EMBEDDED_IN_GROUP);
        let answer = httpd.get("/own.wsgi").expect(200).text();
        let (pid, group) = answer.split_once(' ').unwrap_or_else(|| panic!("two words: {answer}"));
        assert!(group.is_empty() && !httpd.children().contains(&pid.parse().unwrap()), "{way}: {answer}");
        assert_eq!(httpd.get("/own.wsgi").text(), answer, "{way}: it is the same process");
    }
}

#[test]
fn nothing_runs_for_an_embedded_mode_that_nobody_uses() {
    let Some((python, _folder)) = static_python() else { return };
    // The server would tell of it.
    let used = "WSGIDaemonProcess one\nWSGIProcessGroup one\nWSGIScriptAlias /own.wsgi \"@APPS@/own.wsgi\"\n\
                <Directory \"@ROOT@/htdocs\">\nAllowOverride All\nOptions ExecCGI\nAddHandler wsgi-script .wsgi\n</Directory>";
    let httpd = Site::new(Mode::Embedded).file("apps/own.wsgi", OWN).config(used).python_home(&python).start();
    assert!(httpd.get("/own.wsgi").expect(200).text().ends_with(" one"));
    assert_eq!(httpd.count(event::EMBEDDED_IN_GROUP), 0);
}

#[test]
fn a_broken_shared_library_is_explained() {
    let httpd = site()
        .file_with_mode("home/bin/python3.11", "#!/bin/sh\nexit 1\n", 0o755)
        .file("home/lib/python3.11/os.py", "")
        .file_with_mode("home/lib/libpython3.11.so.1.0", "not a library", 0o755)
        .python_home("@ROOT@/home")
        .start();
    assert_explained(&httpd, event::PYTHON_LIBRARY_UNLOADABLE);
}

#[test]
fn a_python_that_is_too_old_is_explained() {
    let Some(old) = [8, 7].into_iter().find_map(Python::find) else { return };
    let httpd = site().python(&old).start();
    httpd.expect(event::FILE_DOUBTFUL);
    assert_explained(&httpd, event::PYTHON_VERSION_UNSUPPORTED);
}

#[test]
fn a_python_without_standard_library_is_explained() {
    // One that was built for /usr finds its standard library there whatever its home says.
    let Some(python) = Python::versions().into_iter().find(|python| python.prefix != Path::new("/usr")) else {
        skip::skipped("no Python outside /usr");
        return;
    };
    let folder = std::env::temp_dir().join(format!("mwrs-bare-{}", std::process::id()));
    let minor = python.minor;
    make(&folder, &[&format!("bin/python3.{minor}")]);
    fs::create_dir_all(folder.join(format!("lib/python3.{minor}"))).unwrap();
    symlink(python.library(), folder.join(format!("lib/libpython3.{minor}.so.1.0"))).unwrap();
    for path in [folder.clone(), folder.join("lib"), folder.join("bin")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let httpd = site().python_home(&folder).start();
    // Python itself writes to the standard error stream when it fails to start.
    httpd.tolerate_text("");
    assert_explained(&httpd, event::PYTHON_START_FAILED);
    drop(httpd);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn another_python_in_the_process_is_explained() {
    let (Some(wanted), Some(other)) = (Python::find(11), Python::find(13)) else { return };
    let load = format!("LoadFile \"{}\"", other.library().display());
    let httpd = site().python(&wanted).before_module(&load).start();
    assert_explained(&httpd, event::PYTHON_ALREADY_LOADED);
    let line = httpd.wait_for_log("WSGIRS0104").line;
    assert!(line.contains("libpython3.13") && line.contains("libpython3.11"), "{line}");
}

#[test]
fn the_same_python_in_the_process_is_used() {
    let Some(python) = Python::usual() else { return };
    let load = format!("LoadFile \"{}\"", python.library().display());
    let httpd = site().python(&python).before_module(&load).start();
    httpd.get("/e").expect(200);
}

#[test]
fn missing_runtime_files_are_explained() {
    let module = fs::read(Module::Ours.file().unwrap()).unwrap();
    let httpd = site().file("alone/mod_wsgi_rs.so", module).module_path("@ROOT@/alone/mod_wsgi_rs.so").start();
    assert_explained(&httpd, event::RUNTIME_MISSING);
}

#[test]
fn without_a_configured_home_the_default_python_is_used() {
    let httpd = site().no_python_home().start();
    let answer = httpd.get("/s");
    answer.expect(200);
    assert!(answer.text().contains("version=3."), "{}", answer.text());
}

#[test]
fn a_missing_folder_of_python_path_is_no_error() {
    let httpd = site().config("WSGIPythonPath \"/nonexistent:@APPS@\"").start();
    httpd.expect(event::FILE_DOUBTFUL);
    httpd.tolerate(event::PYTHON_PATH_FAILED);
    httpd.get("/e").expect(200);
}

#[test]
fn variables_of_the_environment_count_as_for_python() {
    let source = "import sys\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [repr(sys.flags.dont_write_bytecode).encode()]\n";
    let site = Site::new(Mode::Embedded).file("apps/f.py", source).config("WSGIScriptAlias /f \"@APPS@/f.py\"");
    site.clone().variable("PYTHONDONTWRITEBYTECODE", "1").start().get("/f").expect_body(b"1");
    site.start().get("/f").expect_body(b"0");
}

#[test]
fn the_file_system_encoding_is_utf8_whatever_the_locale() {
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1", "nonsense"] {
        let httpd = site().variable("LC_ALL", locale).variable("LANG", locale).start();
        let answer = httpd.get("/s");
        assert!(answer.text().contains("fsencoding=utf-8\n"), "{locale}: {}", answer.text());
    }
}

#[test]
fn names_outside_ascii_work_everywhere() {
    let folder = "apps/\u{fc}mlaut";
    let app = fs::read(harness::module::workspace().join("tests/apps/state.py")).unwrap();
    let httpd = Site::new(Mode::Embedded)
        .file(&format!("{folder}/sn\u{f6}w.py"), app)
        .config("WSGIScriptAlias /u \"@APPS@/\u{fc}mlaut/sn\u{f6}w.py\"")
        .start();
    let answer = httpd.get("/u");
    answer.expect(200);
    assert!(answer.text().contains("\u{fc}mlaut/sn\u{f6}w.py\n"), "{}", answer.text());
}
