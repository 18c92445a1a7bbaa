// SPDX-License-Identifier: Apache-2.0
//! Binds httpd's headers: asks `apxs` and `apr-config` where they are, runs bindgen over an allow-list, and lets the C
//! compiler check every size and offset that the bindings assume.
//!
//! `APXS` names another `apxs`; `MOD_WSGI_RS_BINDINGS` names bindings generated elsewhere, for builders without libclang.
//! `MOD_WSGI_RS_PYTHON` and `MOD_WSGI_RS_LIBEXECDIR` are recorded as the defaults of the built module.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    for variable in ["APXS", "MOD_WSGI_RS_BINDINGS", "MOD_WSGI_RS_PYTHON", "MOD_WSGI_RS_LIBEXECDIR"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=apxs");
    let flags = compiler_flags()?;
    let output = PathBuf::from(env::var("OUT_DIR")?);
    let bindings = output.join("httpd.rs");
    if let Some(given) = env::var_os("MOD_WSGI_RS_BINDINGS") {
        fs::copy(&given, &bindings).map_err(|error| format!("{}: {error}", Path::new(&given).display()))?;
    } else {
        generate(&flags, &bindings)?;
    }
    check_layouts(&flags, &bindings, &output)?;
    record_defaults();
    // Statics, threads and callbacks registered with httpd and libc must outlive a configuration reload.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    Ok(())
}

/// Runs a tool and returns what it prints, without the line end.
fn ask(tool: &str, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(tool)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run {tool} ({error}); on Debian, install apache2-dev"))?;
    if !output.status.success() {
        return Err(format!("{tool} {}: {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The `-I` and `-D` flags that httpd and APR were built with. One question per call: `apxs` joins several answers.
fn compiler_flags() -> Result<Vec<String>, Failure> {
    let apxs = env::var("APXS").unwrap_or_else(|_| "apxs".to_owned());
    let mut flags = vec![format!("-I{}", ask(&apxs, &["-q", "INCLUDEDIR"])?)];
    for name in ["APR_CONFIG", "APU_CONFIG"] {
        let tool = ask(&apxs, &["-q", name])?;
        let questions: &[&str] = if name == "APR_CONFIG" { &["--includes", "--cppflags"] } else { &["--includes"] };
        flags.extend(ask(&tool, questions)?.split_whitespace().map(str::to_owned));
    }
    Ok(flags)
}

/// The rows of the allow-list: kind and name.
fn allowed() -> Result<Vec<(String, String)>, Failure> {
    let list = fs::read_to_string("apxs/allow.list")?;
    let rows =
        list.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty());
    rows.map(|row| {
        let (kind, name) = row.split_once(' ').ok_or_else(|| format!("apxs/allow.list: '{row}'"))?;
        Ok((kind.to_owned(), name.to_owned()))
    })
    .collect()
}

fn generate(flags: &[String], to: &Path) -> Result<(), Failure> {
    let mut builder = bindgen::Builder::default()
        .header("apxs/wrapper.h")
        .clang_args(flags)
        .allowlist_recursively(true)
        .default_macro_constant_type(bindgen::MacroTypeVariation::Signed)
        .prepend_enum_name(false)
        .layout_tests(true)
        .generate_comments(false);
    for (kind, name) in allowed()? {
        builder = match kind.as_str() {
            "function" => builder.allowlist_function(name),
            "type" => builder.allowlist_type(name),
            "var" | "const" => builder.allowlist_var(name),
            _ => return Err(format!("apxs/allow.list: '{kind} {name}'").into()),
        };
    }
    builder
        .generate()
        .map_err(|error| format!("{error}; install libclang, or set MOD_WSGI_RS_BINDINGS"))?
        .write_to_file(to)?;
    Ok(())
}

/// Turns the sizes and offsets that the bindings assert for rustc into assertions for the C compiler, so that both
/// compilers agree with what libclang read from the headers. Checked are the types of the allow-list, which C knows by
/// the same names; fields that have no name in C are left out.
fn check_layouts(flags: &[String], bindings: &Path, output: &Path) -> Result<(), Failure> {
    let mut source =
        format!("#include <stddef.h>\n#include \"{}\"\n", Path::new("apxs/wrapper.h").canonicalize()?.display());
    let types: Vec<_> = allowed()?.into_iter().filter(|(kind, _)| kind == "type").map(|(_, name)| name).collect();
    let mut count = 0;
    for line in fs::read_to_string(bindings)?.lines() {
        if let Some((subject, number)) = assertion(line, &types) {
            writeln!(source, "_Static_assert({subject} == {number}, \"{subject}\");")?;
            count += 1;
        }
    }
    if count < types.len() {
        return Err(format!("{} lacks layout assertions to check", bindings.display()).into());
    }
    let file = output.join("layout.c");
    fs::write(&file, source)?;
    let mut compiler = cc::Build::new();
    for flag in flags {
        compiler.flag(flag);
    }
    compiler.cargo_metadata(false).file(file).try_compile("layout")?;
    Ok(())
}

/// Reads `["Size of T"][... - Nusize]` and `["Offset of field: T::f"][... - Nusize]` for a `T` in `types`.
fn assertion<'a>(line: &'a str, types: &[String]) -> Option<(String, &'a str)> {
    let (label, rest) = line.trim().strip_prefix("[\"")?.split_once("\"]")?;
    let number = rest.rsplit_once("- ")?.1.split_once("usize")?.0;
    let listed =
        |name: &str| types.iter().find(|listed| name.strip_suffix("_struct").unwrap_or(name) == *listed).cloned();
    if let Some(name) = label.strip_prefix("Size of ") {
        return Some((format!("sizeof({})", listed(name)?), number));
    }
    let (name, field) = label.strip_prefix("Offset of field: ")?.split_once("::")?;
    let field = field.strip_suffix('_').unwrap_or(field);
    (!field.starts_with("_bindgen") && !field.starts_with("__bindgen"))
        .then_some((format!("offsetof({}, {field})", listed(name)?), number))
}

fn record_defaults() {
    let python = env::var("MOD_WSGI_RS_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let libexec = env::var("MOD_WSGI_RS_LIBEXECDIR").unwrap_or_else(|_| "/usr/libexec/mod_wsgi_rs".to_owned());
    println!("cargo:rustc-env=MOD_WSGI_RS_DEFAULT_PYTHON={python}");
    println!("cargo:rustc-env=MOD_WSGI_RS_DEFAULT_LIBEXECDIR={libexec}");
}
