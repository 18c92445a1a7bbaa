// SPDX-License-Identifier: Apache-2.0
//! Writes the reference pages into the directory given as argument.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let directory = env::args().nth(1).ok_or_else(|| io::Error::other("usage: reference DIRECTORY"))?;
    fs::create_dir_all(&directory)?;
    fs::write(Path::new(&directory).join("directives.md"), model::reference::directives())?;
    fs::write(Path::new(&directory).join("events.md"), model::reference::events())
}
