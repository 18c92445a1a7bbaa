// SPDX-License-Identifier: Apache-2.0
//! Groups with `chroot`, in a small root with a real Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::site::is_root;
use harness::{Httpd, Mode, Module, Python, Response, Site, event, skip};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Answers the value of the expression in the query.
const EVALUATE: &str = "import os, sys, urllib.parse\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [str(eval(urllib.parse.unquote(environ['QUERY_STRING']))).encode()]\n";

/// Runs when the interpreter starts, before our code: tries to walk out through every descriptor.
const ESCAPE: &str = "
import os
found = []
for number in range(64):
    try:
        os.close(os.open('../' * 40 + 'etc/passwd', os.O_RDONLY, dir_fd=number))
        found.append(number)
    except OSError:
        pass
";

/// A root with a Python and what that needs; taken down at the end.
struct Jail {
    root: PathBuf,
    python: Python,
    mounted: bool,
}

impl Jail {
    fn build(name: &str) -> Option<Self> {
        if !is_root() {
            skip::skipped("only root can change the root");
            return None;
        }
        let python = Python::usual()?;
        let root = PathBuf::from(format!("/tmp/mwrs-jail-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let jail = Self { root, python, mounted: false };
        let prefix = jail.python.prefix.clone();
        jail.make(Path::new("srv"));
        jail.make(prefix.parent().expect("a folder above"));
        let copied = Command::new("cp").arg("-a").arg(&prefix).arg(jail.inside(&prefix)).status();
        assert!(copied.expect("cp runs").success());
        let extensions = runtime_files().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "so"));
        let programs = [prefix.join(format!("bin/python3.{}", jail.python.minor)), jail.python.library()];
        let modules = fs::read_dir(jail.standard().join("lib-dynload")).expect("modules").flatten();
        let all = programs.into_iter().chain(extensions).chain(modules.map(|entry| entry.path()));
        for library in libraries(all.collect()).into_iter().filter(|path| !jail.inside(path).exists()) {
            jail.bring(&library);
        }
        fs::write(jail.root.join("srv/app.py"), EVALUATE).expect("a script");
        let site = jail.inside(&jail.standard()).join("site-packages");
        fs::write(site.join("escape.py"), ESCAPE).expect("a module");
        fs::write(site.join("escape.pth"), "import escape\n").expect("a file");
        Some(jail)
    }

    /// The folder of the standard library, outside.
    fn standard(&self) -> PathBuf {
        self.python.prefix.join(format!("lib/python3.{}", self.python.minor))
    }

    /// Where something from outside is in the jail.
    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn make(&self, folder: &Path) {
        let mut path = self.root.clone();
        fs::create_dir_all(self.inside(folder)).expect("a folder");
        for part in folder.strip_prefix("/").unwrap_or(folder) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
            path = path.join(part);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// Copies a file to the same place in the jail.
    fn bring(&self, file: &Path) {
        self.make(file.parent().expect("a folder"));
        fs::copy(file, self.inside(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Copies the directory of the runtime files.
    fn bring_runtime(&self) {
        runtime_files().iter().for_each(|file| self.bring(file));
    }

    /// Mounts `/proc`; says so where that is impossible.
    fn mount(&mut self) -> bool {
        let place = self.root.join("proc");
        fs::create_dir_all(&place).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "proc", "proc"]).arg(&place).output();
        self.mounted = mounted.is_ok_and(|output| output.status.success());
        if !self.mounted {
            skip::skipped("/proc cannot be mounted");
        }
        self.mounted
    }

    fn site(&self, options: &str) -> Site {
        let (root, prefix) = (self.root.display(), self.python.prefix.display());
        Site::new(Mode::Embedded)
            .config(&format!(
                "WSGIDaemonProcess jail chroot={root} python-home={prefix} {options}\n\
                 <Directory \"{root}\">\nRequire all granted\n</Directory>"
            ))
            .config(&format!(
                "WSGIScriptAlias /v \"{root}/srv/app.py\" process-group=jail application-group=%{{GLOBAL}}"
            ))
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        if self.mounted {
            let status = Command::new("umount").arg(self.root.join("proc")).status();
            // Whatever is still mounted must not be removed.
            assert!(status.is_ok_and(|status| status.success()), "{} stays", self.root.display());
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The files of the directory of this build.
fn runtime_files() -> Vec<PathBuf> {
    let module = Module::Ours.file().unwrap_or_else(|reason| panic!("{reason}"));
    let builds = module.with_extension("d").join(model::BUILD_ID);
    fs::read_dir(&builds).expect("the runtime").flatten().map(|entry| entry.path()).collect()
}

/// What these programs and libraries are loaded with.
fn libraries(files: Vec<PathBuf>) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").args(&files).env("LD_LIBRARY_PATH", Python::libraries()).output();
    let output = output.expect("ldd runs").stdout;
    let text = String::from_utf8_lossy(&output);
    text.lines()
        .filter(|line| line.starts_with('\t'))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from))
        .collect()
}

fn ask(httpd: &Httpd, expression: &str) -> Response {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    httpd.get(&format!("/v?{encoded}"))
}

#[track_caller]
fn value(httpd: &Httpd, expression: &str) -> String {
    let answer = ask(httpd, expression);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// What holds in every jail that works.
fn inspect(httpd: &Httpd, jail: &Jail) {
    assert_eq!(value(httpd, "environ['SCRIPT_FILENAME'], __file__"), "('/srv/app.py', '/srv/app.py')");
    assert_eq!(value(httpd, "'DOCUMENT_ROOT' in environ"), "False", "it is outside");
    assert_eq!(value(httpd, "os.getcwd()"), "/");
    assert_eq!(value(httpd, "sys.prefix"), jail.python.prefix.display().to_string());
    assert_eq!(value(httpd, "os.path.exists('/etc/passwd')"), "False");
    assert_eq!(value(httpd, "__import__('escape').found"), "[]", "no descriptor leads outside");
    assert_eq!(value(httpd, "os.getuid() == 0"), "False");
    assert_eq!(value(httpd, "__import__('json').dumps(sorted(set(os.listdir('/')) - {'proc'}))"), listing(jail));
}

fn listing(jail: &Jail) -> String {
    let entries = fs::read_dir(&jail.root).expect("the jail").flatten();
    let mut names: Vec<_> = entries.map(|entry| format!("{:?}", entry.file_name())).collect();
    names.retain(|name| name != "\"proc\"");
    names.sort();
    format!("[{}]", names.join(", "))
}

#[test]
fn a_group_runs_in_a_root_that_has_the_runtime_files() {
    let Some(jail) = Jail::build("files") else { return };
    jail.bring_runtime();
    let httpd = jail.site("user=games group=games").start();
    inspect(&httpd, &jail);
    // The same files outside of the jail show that the attempt to escape can succeed.
    let outside = jail.site("").config(&format!(
        "WSGIDaemonProcess free python-home={}\nWSGIScriptAlias /free \"{}/srv/app.py\" process-group=free application-group=%{{GLOBAL}}",
        jail.inside(&jail.python.prefix).display(),
        jail.root.display(),
    ));
    let outside = outside.start();
    assert_eq!(outside.get("/free?__import__('escape').found").text(), "[4]");
}

#[test]
fn a_group_runs_in_a_root_that_has_proc() {
    let Some(mut jail) = Jail::build("proc") else { return };
    if !jail.mount() {
        return;
    }
    let httpd = jail.site("user=games group=games home=/srv").start();
    assert_eq!(value(&httpd, "os.getcwd()"), "/srv");
    let httpd = jail.site("").start();
    inspect(&httpd, &jail);
    drop(httpd);
}

#[test]
fn what_is_missing_in_a_root_is_named() {
    let Some(jail) = Jail::build("missing") else { return };
    let fails = |text: &str| {
        let httpd = jail.site("connect-timeout=1 socket-timeout=1").start();
        httpd.expect(event::GROUP_UNAVAILABLE).tolerate(event::WORKER_UNSTARTABLE).tolerate(event::WORKER_ENDED);
        httpd.tolerate(event::WORKER_UNFIT).tolerate(event::RUNTIME_UNUSABLE);
        httpd.tolerate_text("error while loading shared libraries");
        httpd.wait_for_log(text);
        let answer = ask(&httpd, "1");
        assert!(matches!(answer.status, 503 | 504), "{}", answer.text());
        httpd.get("/static.txt").expect(200);
    };
    // No runtime files and no /proc.
    fails("_mod_wsgi_rs.abi3.so' nor a /proc that is mounted");
    jail.bring_runtime();
    let away = |path: &Path, text: &str| {
        let hidden = path.with_extension("away");
        fs::rename(path, &hidden).expect("a rename");
        fails(text);
        fs::rename(&hidden, path).expect("a rename");
    };
    let library = jail.inside(&jail.python.library());
    away(&library, library.file_name().and_then(|name| name.to_str()).expect("a name"));
    away(&jail.inside(&jail.standard()).join("threading.py"), "No module named 'threading'");
    let linker =
        libraries(vec!["/bin/sh".into()]).into_iter().find(|path| path.display().to_string().contains("ld-linux"));
    let linker = linker.expect("a dynamic linker");
    away(&jail.inside(&linker), &format!("it needs '{}', which is missing", linker.display()));
    away(&jail.inside(&jail.python.prefix), &format!("'{}'", jail.python.prefix.display()));
}

#[test]
fn a_script_outside_of_the_root_is_not_run() {
    let Some(jail) = Jail::build("outside") else { return };
    jail.bring_runtime();
    let httpd = jail
        .site("")
        .file("apps/v.py", EVALUATE)
        .config("WSGIScriptAlias /outside \"@APPS@/v.py\" process-group=jail")
        .start();
    httpd.expect(event::SCRIPT_OUTSIDE_ROOT);
    httpd.get("/outside?1").expect(500);
    assert_eq!(value(&httpd, "1 + 1"), "2");
}

/// What a process beside httpd with these numbers of user and group can open of the process that the third one tells.
fn opened(python: &Python, numbers: [&String; 3]) -> String {
    let code = "import os, sys\nos.setgroups([])\nos.setgid(int(sys.argv[2]))\nos.setuid(int(sys.argv[1]))\nfound = []\n\
                for name in 'environ', 'maps', 'mem':\n    try:\n        os.close(os.open('/proc/%s/%s' % (sys.argv[3], name), os.O_RDONLY))\n\
                \x20       found.append(name)\n    except OSError:\n        pass\nprint(found)";
    let output = python.command().args(["-c", code]).args(numbers).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_worker_in_a_root_is_a_copy_and_closed_to_its_user() {
    let Some(jail) = Jail::build("copy") else { return };
    jail.bring_runtime();
    for (options, program, is_open) in [("", "/memfd:python", false), (" dumpable=On", "/bin/python", true)] {
        let httpd = jail.site(&format!("user=games group=games{options}")).start();
        let [pid, user, group] = ["os.getpid()", "os.getuid()", "os.getgid()"].map(|one| value(&httpd, one));
        let found = fs::read_link(format!("/proc/{pid}/exe")).expect("a program").display().to_string();
        assert!(found.contains(program), "{found}");
        let data = fs::metadata(format!("/proc/{pid}/exe")).expect("a program");
        let readable = data.permissions().mode() & 0o444 != 0;
        assert_eq!((readable, opened(&jail.python, [&user, &group, &pid]) != "[]"), (is_open, is_open), "{options}");
    }
}
