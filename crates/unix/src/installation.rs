// SPDX-License-Identifier: Apache-2.0
//! Which executable starts a configured Python: looks at files only, runs nothing.
//!
//! Called in the copy that becomes a worker, hence with the permissions, the root and the time of its user.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The interpreter that `configured` names: an executable, or a directory with one in `bin`. The path is not resolved, because
/// a virtual environment is recognised by it. `prefix:exec_prefix` is the first of the two.
pub fn interpreter(configured: &str) -> Result<PathBuf, String> {
    let path = Path::new(configured);
    let (path, found) = match (fs::metadata(path), configured.split_once(':')) {
        (Ok(found), _) => (path, found),
        (Err(error), Some((prefix, _))) => {
            (Path::new(prefix), fs::metadata(prefix).map_err(|_| format!("'{configured}': {error}"))?)
        }
        (Err(error), None) => return Err(format!("'{configured}': {error}")),
    };
    if !found.is_dir() {
        return Ok(path.to_owned());
    }
    let usual = ["bin/python", "bin/python3"].map(|name| path.join(name)).into_iter().find(|program| program.is_file());
    if let Some(program) = usual {
        return Ok(program);
    }
    let names: Vec<_> = libraries_of(path).into_iter().map(|name| path.join("bin").join(name)).collect();
    let programs: Vec<_> = names.into_iter().filter(|program| program.is_file()).collect();
    match programs.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(format!(
            "'{configured}' has no bin/python, bin/python3, or bin/python3.N that matches its lib/python3.N"
        )),
        several => {
            let names: Vec<_> = several.iter().map(|program| program.display().to_string()).collect();
            Err(format!("'{configured}' has several interpreters, name one of them: {}", names.join(", ")))
        }
    }
}

/// What the kernel starts `program` with: the dynamic linker of a 64-bit executable, or the interpreter of a script.
#[must_use]
pub fn loader(program: &Path) -> Option<PathBuf> {
    let mut start = vec![0; 64 << 10];
    let length = File::open(program).and_then(|mut file| file.read(&mut start)).ok()?;
    start.truncate(length);
    let name = match start.strip_prefix(b"#!") {
        Some(line) => line.trim_ascii_start().split(u8::is_ascii_whitespace).next()?,
        None => linker(&start)?,
    };
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

/// `PT_INTERP` of an ELF file with the byte order of this machine.
fn linker(file: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u32 = 3;
    let word = |at: usize| {
        Some(u64::from_ne_bytes(*file.get(at..)?.first_chunk()?)).and_then(|word| usize::try_from(word).ok())
    };
    let short = |at: usize| Some(usize::from(u16::from_ne_bytes(*file.get(at..)?.first_chunk()?)));
    if !file.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let (table, size, count) = (word(32)?, short(54)?, short(56)?);
    let mut rows = (0..count).filter_map(|row| table.checked_add(row.checked_mul(size)?));
    let row = rows.find(|row| {
        let kind = file.get(*row..).and_then(|row| row.first_chunk());
        kind.is_some_and(|kind| u32::from_ne_bytes(*kind) == PT_INTERP)
    })?;
    let (start, length) = (word(row.checked_add(8)?)?, word(row.checked_add(32)?)?);
    file.get(start..)?.get(..length)?.split(|byte| *byte == 0).next()
}

/// The names of the form `python3.N` in `prefix/lib`.
fn libraries_of(prefix: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(prefix.join("lib")) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut versions: Vec<_> = names
        .filter(|name| {
            let minor = name.strip_prefix("python3.").unwrap_or_default();
            !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit())
        })
        .collect();
    versions.sort_unstable();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(name: &str, files: &[&str]) -> PathBuf {
        let prefix = std::env::temp_dir().join(format!("mwrs-installation-{}-{name}", std::process::id()));
        for file in files {
            let path = prefix.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        prefix
    }

    fn found(name: &str, files: &[&str]) -> Result<String, String> {
        let prefix = prefix(name, files);
        let found = interpreter(prefix.to_str().unwrap());
        fs::remove_dir_all(&prefix).unwrap();
        found.map(|path| path.strip_prefix(&prefix).unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_directory_is_searched_in_the_order_of_names() {
        assert_eq!(found("a", &["bin/python", "bin/python3"]).as_deref(), Ok("bin/python"));
        assert_eq!(found("b", &["bin/python3.9", "bin/python3"]).as_deref(), Ok("bin/python3"));
        assert_eq!(
            found("c", &["bin/python3.9", "bin/python3.12", "lib/python3.12/os.py"]).as_deref(),
            Ok("bin/python3.12")
        );
    }

    #[test]
    fn a_program_needs_its_linker_or_its_interpreter() {
        let linker = loader(&std::env::current_exe().unwrap()).expect("this program has one");
        assert!(linker.is_absolute() && linker.is_file(), "{linker:?}");
        let prefix = prefix("f", &["bin/python"]);
        let script = prefix.join("bin/python");
        assert_eq!(loader(&script), None, "an empty file has none");
        fs::write(&script, "#! /no/such/python -I\n").unwrap();
        assert_eq!(loader(&script), Some("/no/such/python".into()));
        fs::write(&script, [b"\x7fELF\x02".as_slice(), &[255; 60]].concat()).unwrap();
        assert_eq!(loader(&script), None, "numbers that lead nowhere are followed nowhere");
        fs::remove_dir_all(&prefix).unwrap();
    }

    #[test]
    fn what_is_not_one_interpreter_is_refused() {
        assert!(found("d", &["bin/python3.9"]).unwrap_err().contains("has no bin/python"));
        let two = ["bin/python3.9", "bin/python3.12", "lib/python3.12/os.py", "lib/python3.9/os.py"];
        assert!(found("e", &two).unwrap_err().contains("several interpreters"));
        assert!(interpreter("/no/such/python").unwrap_err().contains("No such file"));
    }

    #[test]
    fn an_executable_is_itself_and_the_first_of_two_prefixes_counts() {
        let prefix = prefix("f", &["bin/python"]);
        let program = prefix.join("bin/python");
        assert_eq!(interpreter(program.to_str().unwrap()).as_ref(), Ok(&program));
        assert_eq!(interpreter(&format!("{0}:{0}", prefix.display())).as_ref(), Ok(&program));
        fs::remove_dir_all(&prefix).unwrap();
    }
}
