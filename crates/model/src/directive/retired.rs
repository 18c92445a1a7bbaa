// SPDX-License-Identifier: Apache-2.0
//! Values of directives and options that older releases of the reference had (configuration §1.1). They are taken, so
//! that old configurations load, and have no effect.

use super::Reading;
use super::value::{Kept, OnOff, Word, quoted};

/// The fix that every retired directive has.
const REMOVE: &str = "remove it";

/// Any word, taken with a warning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetiredName(pub String);

impl Word for RetiredName {
    type Value = Self;
    const SYNTAX: &'static str = "text";
    const GOOD: &'static str = "/etc/agent.ini";
    const BAD: Option<&'static str> = None;
    const EMPTY: bool = true;

    fn read(word: &str, reading: &mut Reading) -> Option<Self> {
        reading.doubt("it has no effect any more", REMOVE);
        Some(Self(word.to_owned()))
    }
}

impl Kept for RetiredName {
    fn render(&self) -> String {
        quoted(&self.0)
    }
}

/// A switch, taken with a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredSwitch(pub OnOff);

impl Word for RetiredSwitch {
    type Value = Self;
    const SYNTAX: &'static str = OnOff::SYNTAX;
    const GOOD: &'static str = "On";
    const BAD: Option<&'static str> = Some("maybe");

    fn read(word: &str, reading: &mut Reading) -> Option<Self> {
        let switch = <OnOff as Word>::read(word, reading)?;
        reading.doubt("it has no effect any more", REMOVE);
        Some(Self(switch))
    }
}

impl Kept for RetiredSwitch {
    fn render(&self) -> String {
        self.0.render()
    }
}

/// A switch whose `On` is what happens in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlwaysOn(pub OnOff);

impl Word for AlwaysOn {
    type Value = Self;
    const SYNTAX: &'static str = OnOff::SYNTAX;
    const GOOD: &'static str = "Off";
    const BAD: Option<&'static str> = Some("maybe");

    fn read(word: &str, reading: &mut Reading) -> Option<Self> {
        let switch = <OnOff as Word>::read(word, reading)?;
        if !switch.is_on() {
            reading.doubt("Off has no effect: Python is never started in httpd's parent", REMOVE);
        }
        Some(Self(switch))
    }
}

impl Kept for AlwaysOn {
    fn render(&self) -> String {
        self.0.render()
    }
}
