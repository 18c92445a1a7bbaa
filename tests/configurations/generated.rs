// SPDX-License-Identifier: Apache-2.0
//! Configurations put together by chance, always the same ones: some lines in some places, most of them good.

use crate::cases::{Age, Case, Place};
use crate::{deviations, directives, groups};
use harness::Chance;

/// How many there are.
const COUNT: u64 = 150;

/// All of them.
pub fn all() -> Vec<Case> {
    let (good, any) = (lines(directives::good()), lines(directives::with_arguments()));
    let options = lines(groups::all());
    (1..=COUNT).map(|number| generate(number, &good, &any, &options)).collect()
}

/// What the judgement of a single line is listed for says nothing about the lines around it.
fn lines(cases: Vec<Case>) -> Vec<Case> {
    let is_listed = |case: &Case| {
        let ending = |pattern: &str| pattern.split_once(": ").map(|(_, line)| line.to_owned());
        let patterns = deviations::TABLE.iter().flat_map(|row| row.cases).filter_map(|pattern| ending(pattern));
        patterns.into_iter().any(|pattern| deviations::matches(&pattern, &case.line))
    };
    cases.into_iter().filter(|case| !is_listed(case)).collect()
}

fn generate(number: u64, good: &[Case], any: &[Case], options: &[Case]) -> Case {
    let mut chance = Chance::new(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut config = String::new();
    let mut age = Age::Old;
    for line in 0..2 + chance.below(6) {
        let kind = chance.below(20);
        let (from, place) = match kind {
            0 => (any, chance.below(3)),
            1..4 => (options, chance.below(3)),
            4..16 => (good, 0),
            _ => (good, chance.below(Place::ALL.len())),
        };
        let case = chance.pick(from);
        if case.age == Age::Since6 {
            age = Age::Since6;
        }
        // Groups need names of their own.
        let text = case.line.replacen("WSGIDaemonProcess g", &format!("WSGIDaemonProcess g{line}"), 1);
        let text = text.replacen("WSGIDaemonProcess other", &format!("WSGIDaemonProcess other{line}"), 1);
        config.push_str(&case.place.unless_section(Place::ALL[place]).wrap(&text));
        config.push('\n');
    }
    Case::text(format!("generated {number}"), &config, "WSGI", age)
}
