// SPDX-License-Identifier: Apache-2.0
//! What is copied into a memory file, and what is not. Behind the program stands the key of the file that it was copied from; a
//! file without seals is not finished.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::statfs::{FUSE_SUPER_MAGIC, fstatfs};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Larger files are not interpreters.
const LARGEST: u64 = 256 << 20;
/// How much is copied at once.
const PIECE: usize = 64 << 10;
const NUMBERS: usize = 7;
/// The bytes of a key.
const LENGTH: usize = 8 * NUMBERS;

/// A file with the content that it has now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key([u64; NUMBERS]);

impl Key {
    /// Device, number, size, and when content and attributes were changed.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let data = file.metadata()?;
        let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()]
            .map(|time| u64::from_ne_bytes(time.to_ne_bytes()));
        let [modified, modified_part, changed, changed_part] = times;
        Ok(Self([data.dev(), data.ino(), data.size(), modified, modified_part, changed, changed_part]))
    }

    /// A place that hardly any two of them have in common.
    pub(super) fn place(&self) -> libc::off_t {
        let mixed = self.0.iter().fold(0_u64, |mixed, number| mixed.rotate_left(9).wrapping_mul(31) ^ number);
        libc::off_t::try_from(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap_or(0)
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }
}

/// The key of what a finished copy was copied from.
pub(super) fn key(copy: &OwnedFd) -> Option<Key> {
    let seals = SealFlag::from_bits_truncate(fcntl(copy, FcntlArg::F_GET_SEALS).ok()?);
    if !seals.contains(SealFlag::F_SEAL_WRITE) {
        return None;
    }
    let copy = File::from(copy.try_clone().ok()?);
    let mut bytes = [0; LENGTH];
    copy.read_exact_at(&mut bytes, copy.metadata().ok()?.len().checked_sub(LENGTH as u64)?).ok()?;
    let numbers = bytes.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(*word.first_chunk()?)));
    Some(Key(numbers.collect::<Vec<_>>().try_into().ok()?))
}

/// Whether a copy would do what the file does, as far as that can be said without reading it.
pub(super) fn check(file: &File) -> Result<(), &'static str> {
    let Ok(data) = file.metadata() else { return Err("it cannot be looked at") };
    if !data.is_file() {
        return Err("it is not a regular file");
    }
    if data.size() > LARGEST {
        return Err("it is too large to be copied");
    }
    if data.mode() & 0o6000 != 0 || has_capabilities(file) {
        return Err("it has privileges that a copy would not have");
    }
    // A user who is the file system can make up keys.
    match fstatfs(file) {
        Ok(system) if system.filesystem_type() != FUSE_SUPER_MAGIC => Ok(()),
        _ => Err("its file system belongs to a process"),
    }
}

fn has_capabilities(file: &File) -> bool {
    let (descriptor, nothing) = (std::os::fd::AsRawFd::as_raw_fd(file), std::ptr::null_mut());
    // SAFETY: [KERNEL] the name ends with NUL; with size 0 nothing is written.
    unsafe { libc::fgetxattr(descriptor, c"security.capability".as_ptr(), nothing, 0) > 0 }
}

/// Looks through a program while it goes by, piece by piece.
#[derive(Default)]
struct Look {
    begun: bool,
    /// The end of the last piece, in which a word may begin.
    rest: Vec<u8>,
}

impl Look {
    /// Says why what has gone by cannot be executed as a copy.
    fn at(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        const ORIGINS: [&[u8]; 2] = [b"$ORIGIN", b"${ORIGIN}"];
        if !std::mem::replace(&mut self.begun, true) && !piece.starts_with(b"\x7fELF") {
            return Err("it is not an ELF program");
        }
        self.rest.extend_from_slice(piece);
        let dollars = self.rest.iter().enumerate().filter(|(_, byte)| **byte == b'$');
        let mut tails = dollars.filter_map(|(at, _)| self.rest.get(at..));
        if tails.any(|tail| ORIGINS.iter().any(|word| tail.starts_with(word))) {
            return Err("it looks for libraries where it is ($ORIGIN)");
        }
        let done = self.rest.len().saturating_sub(8);
        self.rest.drain(..done);
        Ok(())
    }
}

/// Copies the file, and seals the copy if the file is still the same.
pub(super) fn fill(copy: &OwnedFd, mut file: File, key: &Key) -> io::Result<()> {
    let mut copy = File::from(copy.try_clone()?);
    let (mut look, mut piece, mut length) = (Look::default(), vec![0; PIECE], 0);
    loop {
        let count = match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(piece) = piece.get(..count).filter(|piece| !piece.is_empty()) else { break };
        look.at(piece).map_err(io::Error::other)?;
        copy.write_all(piece)?;
        length += piece.len() as u64;
        if length > LARGEST {
            break;
        }
    }
    if Key::of(&file)? != *key || file.metadata()?.len() != length {
        return Err(io::Error::other("it changes"));
    }
    copy.write_all(&key.bytes())?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(pieces: &[&[u8]]) -> Result<(), &'static str> {
        let mut look = Look::default();
        pieces.iter().try_for_each(|piece| look.at(piece))
    }

    #[test]
    fn a_program_that_does_not_ask_where_it_is_can_be_copied() {
        assert_eq!(looked(&[b"\x7fELF and more", b"ORIGIN $ORIGI", b"$ {ORIGIN}", b"$"]), Ok(()));
    }

    #[test]
    fn a_script_is_not_copied() {
        assert_eq!(looked(&[b"#!/usr/bin/python3\n"]), Err("it is not an ELF program"));
        assert_eq!(looked(&[b"\x7fEL"]), Err("it is not an ELF program"));
    }

    #[test]
    fn a_program_that_asks_where_it_is_is_not_copied() {
        let asks = Err("it looks for libraries where it is ($ORIGIN)");
        assert_eq!(looked(&[b"\x7fELF\0/lib:$ORIGIN/../lib\0"]), asks);
        assert_eq!(looked(&[b"\x7fELF\0${ORIGIN}/lib"]), asks);
        for word in [b"$ORIGIN".as_slice(), b"${ORIGIN}"] {
            for border in 0..=word.len() {
                let (one, two) = word.split_at(border);
                let first = [b"\x7fELF, long enough that something is dropped ", one].concat();
                assert_eq!(looked(&[&first, two]), asks, "a border at {border}");
            }
        }
    }
}
