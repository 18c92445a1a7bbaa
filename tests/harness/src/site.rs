// SPDX-License-Identifier: Apache-2.0
//! The description of a private httpd: modules, mounts, configuration, files. [`Site::start`] makes it run.

use crate::module::{Module, modules_folder, workspace};
use crate::python::Python;
use crate::server::Httpd;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where applications run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In httpd's children.
    Embedded,
    /// In the processes of a group named `tests`.
    Daemon,
}

/// httpd's ways of spreading work over processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpm {
    /// Threads, with idle connections apart.
    Event,
    /// Threads.
    Worker,
    /// Processes only.
    Prefork,
}

impl Mpm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Event, Self::Worker, Self::Prefork];

    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Worker => "worker",
            Self::Prefork => "prefork",
        }
    }
}

/// Which Python the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Home {
    Usual,
    Path(PathBuf),
    Unset,
}

/// A server to be. In configuration, files and variables `@ROOT@`, `@APPS@`, `@STATE@`, `@PORT@` and `@LOGS@` stand for the real ones.
#[derive(Debug, Clone)]
pub struct Site {
    pub(crate) module: Module,
    mode: Mode,
    mpm: Mpm,
    home: Home,
    modules: Vec<String>,
    early: String,
    config: String,
    files: Vec<(String, Vec<u8>, u32)>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) debugger: Vec<String>,
    pub(crate) launcher: Vec<String>,
    module_path: Option<String>,
    processes: u32,
    threads: u32,
}

impl Site {
    /// A site whose applications run in `mode`: event MPM, one child with eight threads, the usual Python.
    pub fn new(mode: Mode) -> Self {
        let modules = ["authz_core", "mime", "dir", "env", "setenvif", "alias"].map(str::to_owned).to_vec();
        Self {
            module: Module::Ours,
            mode,
            mpm: Mpm::Event,
            home: Home::Usual,
            modules,
            early: String::new(),
            config: String::new(),
            files: vec![("apps/journal.py".to_owned(), read_app("journal.py"), 0o644)],
            variables: Vec::new(),
            debugger: Vec::new(),
            launcher: Vec::new(),
            module_path: None,
            processes: 1,
            threads: 8,
        }
    }

    /// Loads another module than ours.
    pub fn module(mut self, module: Module) -> Self {
        self.module = module;
        self
    }

    /// Loads our module from another place, such as `@ROOT@/mod_wsgi_rs.so`.
    pub fn module_path(mut self, path: &str) -> Self {
        self.module_path = Some(path.to_owned());
        self
    }

    /// Chooses the MPM.
    pub fn mpm(mut self, mpm: Mpm) -> Self {
        self.mpm = mpm;
        self
    }

    /// Sets the number of children, and of threads in each (ignored by prefork).
    pub fn workers(mut self, processes: u32, threads: u32) -> Self {
        (self.processes, self.threads) = (processes, threads);
        self
    }

    /// Loads one of httpd's own modules, such as `headers`.
    pub fn with(mut self, module: &str) -> Self {
        if !self.modules.iter().any(|name| name == module) {
            self.modules.push(module.to_owned());
        }
        self
    }

    /// Names this Python in `WSGIPythonHome`.
    pub fn python(self, python: &Python) -> Self {
        self.python_home(&python.prefix)
    }

    /// Names this folder in `WSGIPythonHome`.
    pub fn python_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Home::Path(home.into());
        self
    }

    /// Leaves `WSGIPythonHome` out.
    pub fn no_python_home(mut self) -> Self {
        self.home = Home::Unset;
        self
    }

    /// Mounts an application of `tests/apps` with `WSGIScriptAlias`.
    pub fn mount(self, url: &str, app: &str) -> Self {
        self.app(app).config(&format!("WSGIScriptAlias {url} \"@APPS@/{app}\""))
    }

    /// Copies an application of `tests/apps` to the site's folder of applications.
    pub fn app(self, name: &str) -> Self {
        self.file(&format!("apps/{name}"), read_app(name))
    }

    /// Adds a file below the root.
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    /// Adds a file with permissions below the root.
    pub fn file_with_mode(mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.retain(|(present, ..)| present != path);
        self.files.push((path.to_owned(), content.into(), mode));
        self
    }

    /// Adds configuration before `LoadModule wsgi_module`.
    pub fn before_module(mut self, text: &str) -> Self {
        self.early.push_str(text);
        self.early.push('\n');
        self
    }

    /// Adds configuration at the level of the main server.
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// Adds a virtual host with a log of its own, `<name>.log`.
    pub fn vhost(self, name: &str, text: &str) -> Self {
        self.config(&format!(
            "<VirtualHost *:@PORT@>\nServerName {name}\nErrorLog \"@LOGS@/{name}.log\"\n{text}\n</VirtualHost>"
        ))
    }

    /// Sets a variable in httpd's own environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs httpd as the argument of another program (valgrind), as one process.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.debugger = program.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts httpd through another program, which becomes httpd when it has changed something about itself.
    pub fn through(mut self, program: &[&str]) -> Self {
        self.launcher = program.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts the server and waits until it serves.
    pub fn start(&self) -> Httpd {
        Httpd::start(self)
    }

    /// Starts the server, or gives what it said when it refused to.
    pub fn try_start(&self) -> Result<Httpd, String> {
        Httpd::try_start(self)
    }

    pub(crate) fn replace(text: &str, root: &Path, port: u16) -> String {
        let root = root.display().to_string();
        text.replace("@APPS@", &format!("{root}/apps"))
            .replace("@STATE@", &format!("{root}/state"))
            .replace("@LOGS@", &format!("{root}/logs"))
            .replace("@ROOT@", &root)
            .replace("@PORT@", &port.to_string())
    }

    pub(crate) fn write(&self, root: &Path, port: u16) {
        for (folder, mode) in [("", 0o755), ("apps", 0o755), ("htdocs", 0o755), ("logs", 0o755), ("state", 0o777)] {
            let path = root.join(folder);
            fs::create_dir_all(&path).expect("a folder below the root");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        }
        fs::write(root.join("htdocs/static.txt"), "static\n").expect("a file");
        self.write_files(root, port, "");
        self.write_configuration(root, port);
    }

    /// Writes the files but for those of one folder.
    pub(crate) fn write_files(&self, root: &Path, port: u16, without: &str) {
        for (name, content, mode) in self.files.iter().filter(|file| without.is_empty() || !file.0.starts_with(without))
        {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap_or(root)).expect("a folder below the root");
            let content = String::from_utf8(content.clone())
                .map_or_else(|raw| raw.into_bytes(), |text| Self::replace(&text, root, port).into_bytes());
            fs::write(&path, content).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("permissions");
        }
    }

    pub(crate) fn write_configuration(&self, root: &Path, port: u16) {
        fs::write(root.join("httpd.conf"), Self::replace(&self.render(), root, port)).expect("the configuration");
    }

    fn render(&self) -> String {
        let modules_folder = modules_folder();
        let load = |name: &str| {
            format!("LoadModule {name}_module \"{}\"\n", modules_folder.join(format!("mod_{name}.so")).display())
        };
        let mut text = String::from(
            "ServerRoot \"@ROOT@\"\nServerName localhost\nListen 127.0.0.1:@PORT@\nPidFile \"@ROOT@/httpd.pid\"\n\
             DefaultRuntimeDir \"@ROOT@\"\nDocumentRoot \"@ROOT@/htdocs\"\nErrorLog \"@LOGS@/error.log\"\n\
             LogLevel notice\nTimeout 15\nKeepAliveTimeout 60\nServerAdmin admin@localhost\n",
        );
        text.push_str(&load(&format!("mpm_{}", self.mpm.name())));
        self.modules.iter().for_each(|module| text.push_str(&load(module)));
        text.push_str(&self.early);
        let file = self.module.file().unwrap_or_else(|reason| panic!("{reason}"));
        let file = self.module_path.clone().unwrap_or_else(|| file.display().to_string());
        text.push_str(&format!("LoadModule wsgi_module \"{file}\"\n"));
        text.push_str(&self.capacity());
        if is_root() {
            text.push_str("User www-data\nGroup www-data\n");
        }
        text.push_str("TypesConfig /dev/null\nAddType text/x-python .py\n");
        text.push_str("<Directory \"@ROOT@/apps\">\nRequire all granted\n</Directory>\n");
        let usual = (self.module == Module::Ours).then(|| Python::usual().map(|python| python.prefix)).flatten();
        let home = match &self.home {
            Home::Usual => usual,
            Home::Path(path) => Some(path.clone()),
            Home::Unset => None,
        };
        if let Some(home) = home {
            text.push_str(&format!("WSGIPythonHome \"{}\"\n", home.display()));
        }
        if self.mode == Mode::Daemon {
            text.push_str(&format!("WSGIDaemonProcess tests threads={} python-path=\"@APPS@\"\n", self.threads));
            text.push_str("WSGIProcessGroup tests\n");
        }
        text.push_str("WSGIPythonPath \"@APPS@\"\n");
        text.push_str(&self.config);
        text
    }

    /// Where applications run.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn capacity(&self) -> String {
        let (processes, threads) = (self.processes, self.threads);
        match self.mpm {
            Mpm::Prefork => format!(
                "StartServers {processes}\nMinSpareServers 1\nMaxSpareServers {processes}\nMaxRequestWorkers {processes}\n"
            ),
            Mpm::Event | Mpm::Worker => format!(
                "ServerLimit 16\nStartServers {processes}\nThreadsPerChild {threads}\nThreadLimit {threads}\n\
                 MaxRequestWorkers {0}\nMinSpareThreads 1\nMaxSpareThreads {0}\n",
                processes * threads
            ),
        }
    }
}

fn read_app(name: &str) -> Vec<u8> {
    let path = workspace().join("tests/apps").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether this process may change users.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0)
}
