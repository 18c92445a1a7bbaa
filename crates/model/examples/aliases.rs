// SPDX-License-Identifier: Apache-2.0
//! Measures how long it takes to find the alias for a URL among 2,000: `make bench-aliases`.
//!
//! What is timed is what a request costs in the translate phase but for httpd's own part: the look-up in the index, the
//! positions of patterns to be tried (not the expressions themselves, which are httpd's), and the file name. Fails if a
//! median is above the limit of 2 µs, but for URLs of 8 KB, where reading the bytes alone takes longer.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use model::alias::{AliasIndex, Location, match_literal};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

const ALIASES: usize = 2_000;
const PATTERNS: usize = 5;
const LIMIT: f64 = 2_000.0;
const LONG: usize = 1_000;
const SAMPLES: usize = 31;
/// A multiple of `ALIASES`, so that each alias has its turn equally often.
const LOOKUPS: usize = 10 * ALIASES;

struct Table {
    index: AliasIndex,
    places: Vec<Location>,
}

impl Table {
    fn new(places: Vec<Location>) -> Self {
        let mut index = AliasIndex::default();
        places.iter().enumerate().for_each(|(position, place)| index.add(position, place));
        Self { index, places }
    }

    /// The file of the first alias for `uri`; no pattern matches.
    fn find(&self, uri: &[u8]) -> Option<Vec<u8>> {
        let literal = self.index.literal(uri);
        for pattern in self.index.patterns_before(literal) {
            black_box(self.places.get(*pattern));
        }
        file(self.places.get(literal?)?, uri)
    }

    /// The same by trying each alias.
    fn try_each(&self, uri: &[u8]) -> Option<Vec<u8>> {
        self.places.iter().find_map(|place| file(place, uri))
    }
}

fn file(place: &Location, uri: &[u8]) -> Option<Vec<u8>> {
    let Location::Literal(place) = place else { return None };
    Some([b"/srv/applications/site.wsgi", match_literal(place, uri)?].concat())
}

/// The path of the alias at `position`: one to five segments, many of which begin alike.
fn place(position: usize) -> String {
    let (area, site) = (position / 40, position % 40);
    match position % 5 {
        0 => format!("/site{position}"),
        1 => format!("/area{area}/site{site}"),
        2 => format!("/customers/area{area}/site{site}"),
        3 => format!("/customers/area{area}/applications/site{site}"),
        _ => format!("/customers/area{area}/applications/internal/site{site}"),
    }
}

fn literals() -> Vec<Location> {
    (0..ALIASES).map(place).map(Location::Literal).collect()
}

/// Nanoseconds of one look-up: median, least and greatest of the samples.
fn measure(uris: &[String], find: impl Fn(&[u8]) -> Option<Vec<u8>>) -> (f64, f64, f64) {
    let mut samples: Vec<_> = (0..=SAMPLES)
        .map(|_| {
            let began = Instant::now();
            for uri in uris.iter().cycle().take(LOOKUPS) {
                black_box(find(black_box(uri.as_bytes())));
            }
            began.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
        })
        .skip(1)
        .collect();
    samples.sort_by(f64::total_cmp);
    let at = |position: usize| samples.get(position).copied().unwrap_or(f64::NAN);
    (at(SAMPLES / 2), at(0), at(SAMPLES - 1))
}

fn main() -> Result<(), Box<dyn Error>> {
    let plain = Table::new(literals());
    let patterns = (0..PATTERNS).map(|number| Location::Pattern(format!("^/pattern{number}/")));
    let mixed = Table::new(patterns.chain(literals()).collect());
    let below = |position: usize| format!("{}/accounts/42/edit", place(position));
    // Steps by a number without a divisor of 2,000, so that neighbours do not follow one another.
    let any: Vec<_> = (0..ALIASES).map(|step| below(step * 1_237 % ALIASES)).collect();
    let cases = [
        ("hit, the first alias", vec![below(0)], true),
        ("hit, the last alias", vec![below(ALIASES - 1)], true),
        ("hit, each alias in turn", any, true),
        ("miss, /static/css/site.css", vec!["/static/css/site.css".to_owned()], false),
        ("miss, /index.html", vec!["/index.html".to_owned()], false),
        ("miss in the fourth segment", vec!["/customers/area7/applications/unknown/x".to_owned()], false),
        ("miss, 8 KB of segments", vec!["/customers/area7/applications/internal".repeat(200)], false),
        ("miss, one segment of 8 KB", vec![format!("/{}", "x".repeat(8_000))], false),
    ];
    println!("{ALIASES} aliases, {SAMPLES} samples of {LOOKUPS} look-ups, ns each: median (least to greatest)\n");
    println!("| URL | {ALIASES} paths | {ALIASES} paths and {PATTERNS} patterns | without index |\n|---|---|---|---|");
    let mut slowest = 0.0_f64;
    for (name, uris, hit) in cases {
        let found = uris.iter().filter(|uri| plain.find(uri.as_bytes()).is_some()).count();
        let alike = uris.iter().all(|uri| {
            let found = plain.find(uri.as_bytes());
            found == plain.try_each(uri.as_bytes()) && found == mixed.find(uri.as_bytes())
        });
        if !alike || found != if hit { uris.len() } else { 0 } {
            return Err(format!("{name}: found {found} of {}", uris.len()).into());
        }
        let show = |(median, least, greatest): (f64, f64, f64)| format!("{median:.0} ({least:.0} to {greatest:.0})");
        let (with_paths, with_patterns) =
            (measure(&uris, |uri| plain.find(uri)), measure(&uris, |uri| mixed.find(uri)));
        let each: Vec<_> = uris.iter().step_by(101).cloned().collect();
        println!("| {name} | {} | {} | {:.0} |", show(with_paths), show(with_patterns), try_each(&plain, &each));
        if uris.iter().all(|uri| uri.len() < LONG) {
            slowest = slowest.max(with_paths.0).max(with_patterns.0);
        }
    }
    println!("\nThe slowest median of a URL below {LONG} bytes is {slowest:.0} ns, the limit {LIMIT:.0} ns.");
    if slowest > LIMIT { Err("above the limit".into()) } else { Ok(()) }
}

/// Nanoseconds of one look-up without the index, of few.
fn try_each(table: &Table, uris: &[String]) -> f64 {
    let began = Instant::now();
    for uri in uris.iter().cycle().take(1_000) {
        black_box(table.try_each(black_box(uri.as_bytes())));
    }
    began.elapsed().as_secs_f64() * 1e9 / 1_000.0
}
