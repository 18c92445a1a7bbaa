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
    let version = place
        .version()
        .ok_or_else(|| Event::PythonHomeUnreadable { home: configured.to_owned(), reason: unusable(configured) })?;
    if version < OLDEST {
        let version = format!("{}.{}", version.0, version.1);
        return Err(Event::PythonVersionUnsupported { home: configured.to_owned(), version });
    }
    let library = library(&place.bases, version).map_err(|searched| Event::PythonLibraryMissing {
        home: configured.to_owned(),
        searched: searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    })?;
    let home = if place.executable.is_none() { place.bases.first().cloned() } else { None };
    Ok(Installation { configured: configured.to_owned(), program: place.program, home, library, version })
}

/// Why a directory without any sign of a Python cannot be used.
fn unusable(configured: &str) -> String {
    match fs::metadata(Path::new(configured).join("bin")) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => error.to_string(),
        _ => "it is no Python installation: no bin/python and no lib/python3.N".to_owned(),
    }
}

/// Where a Python lies.
struct Place {
    /// The path to start it by: not resolved, because a virtual environment is recognised by it.
    program: PathBuf,
    /// The file that the program really is, if there is one.
    executable: Option<PathBuf>,
    /// Prefixes of the installation itself, also for a virtual environment: whose executable it really is, and where the
    /// environment says that its base is, which counts when the executable was copied.
    bases: Vec<PathBuf>,
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
    let names = ["python".to_owned(), "python3".to_owned()];
    let versioned = libraries_of(path).into_iter().map(|(major, minor)| format!("python{major}.{minor}"));
    let programs = names.into_iter().chain(versioned).map(|name| path.join("bin").join(name));
    match programs.into_iter().find(|program| program.is_file()) {
        Some(program) => placed(program),
        None => Ok(Place {
            program: path.join("bin/python3"),
            executable: None,
            bases: bases(Some(path.to_owned()), environment_of(path).as_deref()),
            environment: environment_of(path),
        }),
    }
}

fn placed(program: PathBuf) -> Result<Place, String> {
    let executable = program.canonicalize().map_err(|error| error.to_string())?;
    let prefix = |path: &Path| path.parent().and_then(Path::parent).map(Path::to_owned);
    let environment = prefix(&program).and_then(|prefix| environment_of(&prefix));
    let bases = bases(prefix(&executable), environment.as_deref());
    Ok(Place { program, executable: Some(executable), bases, environment })
}

/// The settings of the virtual environment at `prefix`, if it is one.
fn environment_of(prefix: &Path) -> Option<String> {
    fs::read_to_string(prefix.join("pyvenv.cfg")).ok()
}

/// The value of a setting of a virtual environment.
fn setting<'e>(environment: &'e str, name: &str) -> Option<&'e str> {
    environment.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn bases(prefix: Option<PathBuf>, environment: Option<&str>) -> Vec<PathBuf> {
    let home = environment.and_then(|text| setting(text, "home")).map(Path::new);
    prefix.into_iter().chain(home.and_then(Path::parent).map(Path::to_owned)).collect()
}

impl Place {
    /// From the settings of the environment, the executable's name, or the one standard library of the prefix.
    fn version(&self) -> Option<(u32, u32)> {
        let environment = self.environment.as_deref();
        let written = environment.and_then(|text| setting(text, "version").or_else(|| setting(text, "version_info")));
        let from_environment = written.and_then(parse_version);
        let name = self.executable.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let from_name = name.and_then(|name| parse_version(name.strip_prefix("python")?));
        let from_library = || match *self.bases.iter().flat_map(|base| libraries_of(base)).collect::<Vec<_>>() {
            [only] => Some(only),
            _ => None,
        };
        from_environment.or(from_name).or_else(from_library)
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

fn library(bases: &[PathBuf], version: (u32, u32)) -> Result<PathBuf, Vec<PathBuf>> {
    let (major, minor) = version;
    let multiarch = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut searched = Vec::new();
    let directories = bases.iter().flat_map(|base| ["lib", "lib64", &multiarch].map(|name| base.join(name)));
    for directory in directories {
        for suffix in ["so.1.0", "so"] {
            let path = directory.join(format!("libpython{major}.{minor}.{suffix}"));
            if fs::File::open(&path).is_ok() {
                return Ok(path);
            }
            searched.push(path);
        }
    }
    Err(searched)
}
