// SPDX-License-Identifier: Apache-2.0
//! The script aliases of a server with their compiled expressions. Built in the parent while the configuration is read,
//! used in children by the translate phase.

#![forbid(unsafe_code)]

use crate::apache::pool::Pool;
use crate::apache::regex::Regex;
use model::alias::{Alias, AliasIndex, Location};

/// The aliases of one server, without those of another.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    aliases: Vec<(Alias, Option<Regex>)>,
    index: AliasIndex,
}

impl Routes {
    /// Adds those of `aliases` that are new; answers the first whose expression is malformed.
    pub fn extend(&mut self, aliases: &[Alias], pool: Pool<'_>) -> Result<(), String> {
        for alias in aliases.iter().skip(self.aliases.len()) {
            let pattern = match &alias.location {
                Location::Literal(_) => None,
                Location::Pattern(text) => {
                    let pattern = Regex::compile(pool, text);
                    Some(pattern.ok_or_else(|| format!("'{text}' is not a valid regular expression"))?)
                }
            };
            self.index.add(self.aliases.len(), &alias.location);
            self.aliases.push((alias.clone(), pattern));
        }
        Ok(())
    }

    /// What `try_one` gives for the first alias for `uri` that it does not decline, with the alias's position.
    pub fn first<R>(
        &self,
        uri: &[u8],
        mut try_one: impl FnMut(&Alias, Option<&Regex>) -> Option<R>,
    ) -> Option<(usize, R)> {
        let literal = self.index.literal(uri);
        let patterns = self.index.patterns_before(literal).iter().copied();
        patterns.chain(literal).find_map(|position| {
            let (alias, pattern) = self.aliases.get(position)?;
            Some((position, try_one(alias, pattern.as_ref())?))
        })
    }

    /// The alias at `position`.
    pub fn get(&self, position: usize) -> Option<&Alias> {
        self.aliases.get(position).map(|(alias, _)| alias)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.aliases.len()
    }
}
