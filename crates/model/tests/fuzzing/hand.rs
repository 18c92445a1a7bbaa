// SPDX-License-Identifier: Apache-2.0
//! Drives a check for a moment: with its seeds, and with what a pseudo-random hand, the same in every run, makes of them.

use crate::subject::Subject;
use std::path::Path;

/// What a fuzz target runs for each input.
pub type Check = fn(&[u8], Subject);

/// The inputs that fuzzing begins with; of arguments, a line is one.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = directory.read_dir().expect("seeds").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no seeds");
    let whole: Vec<_> = files.iter().map(|file| std::fs::read(file).expect("a seed")).collect();
    if target != "arguments" {
        return whole;
    }
    whole.concat().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Pseudo-random numbers (SplitMix64).
struct Hand(u64);

impl Hand {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) as usize % limit.max(1)
    }

    fn one<'a>(&mut self, all: &'a [Vec<u8>]) -> &'a [u8] {
        &all[self.below(all.len())]
    }

    /// Changes `input` in one place.
    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>], pieces: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(12)).min(input.len());
        match self.below(8) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, b"/ \"'\\=%}0a\n\xff"[self.below(12)]),
            2 => drop(input.splice(at..at, input[at..end].to_vec())),
            3 => {
                let other = self.one(seeds);
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => drop(input.splice(at..end, self.one(pieces).iter().copied())),
            _ => {
                // The rest of a word or the value of an option.
                let parts = |byte: &u8| [b' ', b'=', b'\n'].contains(byte);
                let begin = input[..at].iter().rposition(parts).map_or(0, |before| before + 1);
                let end = input[at..].iter().position(parts).map_or(input.len(), |length| at + length);
                drop(input.splice(begin..end, self.one(pieces).iter().copied()));
            }
        }
    }
}

/// Runs `check` on the seeds, and `rounds` times on changed ones.
pub fn drive(check: Check, subject: Subject, target: &str, pieces: &[&str], rounds: usize) {
    let seeds = seeds(target);
    let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
    seeds.iter().for_each(|seed| check(seed, subject));
    let mut hand = Hand(1);
    for _ in 0..rounds {
        let mut input = hand.one(&seeds).to_vec();
        for _ in 0..=hand.below(6) {
            hand.change(&mut input, &seeds, &pieces);
        }
        check(&input, subject);
    }
}
