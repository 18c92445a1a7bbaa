// SPDX-License-Identifier: Apache-2.0
//! The board that httpd's children look at.

use crate::plan::copy;
use model::admission::{Board, Group};
use model::launch::Plan;
use unix::shared::{Shared, ring};

/// The board of a plan, which has to fit its groups.
pub fn open(plan: &Plan) -> Result<Board<'static>, String> {
    let places = plan.shape.groups.iter().map(|(processes, _)| *processes);
    if !places.eq(plan.groups.iter().map(|group| group.listeners.len())) {
        return Err("board: it is not divided as the groups are".to_owned());
    }
    let file = copy(plan.board).map_err(|error| format!("board: {error}"))?;
    let words = Shared::map(&file, plan.shape.length()).map_err(|error| format!("board: {error}"))?;
    Board::new(words.leak(), &plan.shape).ok_or_else(|| "board: its shape is not one".to_owned())
}

/// Lets whoever waits first look again.
pub fn wake(group: &Group<'_>) {
    if let Some(bell) = group.queue.first() {
        ring(bell);
    }
}
