// SPDX-License-Identifier: Apache-2.0
//! The boards that httpd's children look at: one for the groups of a generation, and one for each group that generations share.

use crate::plan::copy;
use model::admission::{Board, Group, Shape};
use model::launch::Plan;
use unix::shared::{Shared, ring};

/// What the boards of a plan say about each of its groups, whose places they have to fit.
pub fn open(plan: &Plan) -> Result<Vec<Group<'static>>, String> {
    let common = plan.groups.iter().filter(|group| group.shared.is_none()).map(|group| group.listeners.len());
    if !common.eq(plan.shape.groups.iter().map(|(places, _)| *places)) {
        return Err("board: it is not divided as the groups are".to_owned());
    }
    let mut together = map(plan.board, &plan.shape)?.into_iter();
    let mut groups = Vec::new();
    for group in &plan.groups {
        let found = match &group.shared {
            None => together.next(),
            Some(shared) => {
                map(shared.board, &shared.shape)?.pop().filter(|_| shared.locks.len() == group.listeners.len())
            }
        };
        let fits = |found: &Group<'_>| found.places.len() == group.listeners.len();
        groups.push(found.filter(fits).ok_or_else(|| format!("board: it does not fit group '{}'", group.name))?);
    }
    Ok(groups)
}

fn map(descriptor: i32, shape: &Shape) -> Result<Vec<Group<'static>>, String> {
    let file = copy(descriptor).map_err(|error| format!("board: {error}"))?;
    let words = Shared::map(&file, shape.length()).map_err(|error| format!("board: {error}"))?;
    let board = Board::new(words.leak(), shape).ok_or_else(|| "board: its shape is not one".to_owned())?;
    Ok(board.groups().to_vec())
}

/// Lets whoever waits first look again.
pub fn wake(group: &Group<'_>) {
    if let Some(bell) = group.queue.first() {
        ring(bell);
    }
}
