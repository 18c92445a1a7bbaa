// SPDX-License-Identifier: Apache-2.0
//! Which shared library belongs to a configured Python: looks at files only, runs nothing.
//!
//! Called in a child, hence with the permissions of httpd's user.

#![forbid(unsafe_code)]

use model::event::Event;
use std::fs;
use std::path::{Path, PathBuf};

/// A Python that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// What the configuration said, for messages.
    pub configured: String,
    /// The interpreter's executable, by which Python finds its prefix or virtual environment.
    pub program: PathBuf,
    /// Set where there is no executable to go by: the prefix itself.
    pub home: Option<PathBuf>,
    /// The shared library.
    pub library: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The oldest version that the extension module runs in.
const OLDEST: (u32, u32) = (3, 9);

/// Finds the Python that `configured` names: a prefix, a virtual environment, or an executable.
pub fn find(configured: &str) -> Result<Installation, Event> {
    let place =
        locate(configured).map_err(|reason| Event::PythonHomeUnreadable { home: configured.to_owned(), reason })?;
    let version = place.version().ok_or_else(|| Event::PythonHomeUnreadable {
        home: configured.to_owned(),
        reason: "it is no Python installation: no bin/python and no lib/python3.N".to_owned(),
    })?;
    if version < OLDEST {
        let version = format!("{}.{}", version.0, version.1);
        return Err(Event::PythonVersionUnsupported { home: configured.to_owned(), version });
    }
    let library = library(&place.base, version).map_err(|searched| Event::PythonLibraryMissing {
        home: configured.to_owned(),
        searched: searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    })?;
    let home = place.executable.is_none().then(|| place.base.clone());
    Ok(Installation { configured: configured.to_owned(), program: place.program, home, library, version })
}

/// Where a Python lies.
struct Place {
    /// The path to start it by: not resolved, because a virtual environment is recognised by it.
    program: PathBuf,
    /// The file that the program really is, if there is one.
    executable: Option<PathBuf>,
    /// The prefix of the installation itself, also for a virtual environment.
    base: PathBuf,
    /// The settings of a virtual environment.
    environment: Option<String>,
}

fn locate(configured: &str) -> Result<Place, String> {
    let path = Path::new(configured);
    let path = match (fs::metadata(path), configured.split_once(':')) {
        (Ok(_), _) => path,
        (Err(_), Some((prefix, _))) if fs::metadata(prefix).is_ok() => Path::new(prefix),
        (Err(error), _) => return Err(error.to_string()),
    };
    if !path.is_dir() {
        return placed(path.to_owned());
    }
    fs::read_dir(path).map_err(|error| error.to_string())?;
    let names = ["python".to_owned(), "python3".to_owned()];
    let versioned = libraries_of(path).into_iter().map(|(major, minor)| format!("python{major}.{minor}"));
    let programs = names.into_iter().chain(versioned).map(|name| path.join("bin").join(name));
    match programs.into_iter().find(|program| program.is_file()) {
        Some(program) => placed(program),
        None => Ok(Place {
            program: path.join("bin/python3"),
            executable: None,
            base: path.to_owned(),
            environment: fs::read_to_string(path.join("pyvenv.cfg")).ok(),
        }),
    }
}

fn placed(program: PathBuf) -> Result<Place, String> {
    let executable = program.canonicalize().map_err(|error| error.to_string())?;
    let prefix = |path: &Path| path.parent().and_then(Path::parent).map(Path::to_owned);
    let environment = prefix(&program).and_then(|prefix| fs::read_to_string(prefix.join("pyvenv.cfg")).ok());
    let base = prefix(&executable).ok_or("it has no prefix")?;
    Ok(Place { program, executable: Some(executable), base, environment })
}

impl Place {
    /// From the settings of the environment, the executable's name, or the one standard library of the prefix.
    fn version(&self) -> Option<(u32, u32)> {
        let from_environment = self.environment.as_deref().and_then(|text| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                matches!(key.trim(), "version" | "version_info").then(|| parse_version(value.trim()))?
            })
        });
        let name = self.executable.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let from_name = name.and_then(|name| parse_version(name.strip_prefix("python")?));
        from_environment.or(from_name).or_else(|| match *libraries_of(&self.base) {
            [only] => Some(only),
            _ => None,
        })
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|part| part.trim_end_matches(|character: char| !character.is_ascii_digit()));
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The versions whose standard library lies in `prefix/lib`.
fn libraries_of(prefix: &Path) -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir(prefix.join("lib")) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut versions: Vec<_> = names.filter_map(|name| parse_version(name.strip_prefix("python")?)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn library(base: &Path, version: (u32, u32)) -> Result<PathBuf, Vec<PathBuf>> {
    let (major, minor) = version;
    let multiarch = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut searched = Vec::new();
    for directory in ["lib", "lib64", &multiarch] {
        for suffix in ["so.1.0", "so"] {
            let path = base.join(directory).join(format!("libpython{major}.{minor}.{suffix}"));
            if fs::File::open(&path).is_ok() {
                return Ok(path);
            }
            searched.push(path);
        }
    }
    Err(searched)
}
