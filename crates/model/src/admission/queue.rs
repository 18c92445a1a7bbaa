// SPDX-License-Identifier: Apache-2.0
//! Who waits for a group, first come, first served.
//!
//! A ring of cells. A cell says which ticket it is for and who holds it; taking, holding and giving up a ticket is one change
//! of that word each, so a child that dies leaves nothing half done. The two ends of the ring may lag behind the cells:
//! whoever sees that moves them on.

use super::{Holder, LINE, Ordering, Word, fence, line};

/// Bits of a cell that say who holds it.
pub const HOLDER: u32 = 24;

/// Words of a queue: two ends, each in a line of its own, the cells and their bells.
pub fn length(cells: usize) -> usize {
    2 * LINE + line(2 * cells)
}

/// Who waits for a group.
#[derive(Debug, Clone)]
pub struct Queue<'m> {
    /// The first ticket that is not given up.
    head: &'m Word,
    /// The next ticket.
    tail: &'m Word,
    cells: &'m [Word],
    bells: &'m [Word],
}

/// A place in a queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    holder: Holder,
}

fn cell(number: u64, holder: u32) -> u64 {
    number << HOLDER | u64::from(holder)
}

impl<'m> Queue<'m> {
    pub(super) fn new(words: &'m [Word], cells: usize) -> Option<Self> {
        let (ends, rest) = words.split_at_checked(2 * LINE)?;
        let (of_cells, bells) = rest.get(..2 * cells)?.split_at_checked(cells)?;
        Some(Self { head: ends.first()?, tail: ends.get(LINE)?, cells: of_cells, bells })
    }

    pub(super) fn clear(&self) {
        for (number, word) in self.cells.iter().enumerate() {
            word.store(cell(number as u64, 0), Ordering::SeqCst);
        }
    }

    fn size(&self) -> u64 {
        self.cells.len() as u64
    }

    fn at<'w>(&self, words: &'w [Word], number: u64) -> Option<&'w Word> {
        words.get(usize::try_from(number % self.size()).ok()?)
    }

    /// How many wait, a few of whom may have given up.
    #[must_use]
    pub fn length(&self) -> usize {
        let (head, tail) = (self.head.load(Ordering::SeqCst), self.tail.load(Ordering::SeqCst));
        usize::try_from(tail.saturating_sub(head)).unwrap_or(0).min(self.cells.len())
    }

    /// The last place; `None` if too many wait.
    #[must_use]
    pub fn join(&self, holder: Holder) -> Option<Ticket> {
        loop {
            let number = self.tail.load(Ordering::SeqCst);
            let word = self.at(self.cells, number)?;
            let taken =
                word.compare_exchange(cell(number, 0), cell(number, holder.0), Ordering::SeqCst, Ordering::SeqCst);
            // Whoever got the ticket, the next one is the next number.
            let behind = match taken {
                Ok(_) => true,
                Err(found) if found >> HOLDER == number => false,
                // A ticket of the round before is still held: the ring is full.
                Err(found) if found >> HOLDER < number => return None,
                Err(_) => false,
            };
            let _ = self.tail.compare_exchange(number, number + 1, Ordering::SeqCst, Ordering::SeqCst);
            if behind {
                // Who waits looks for a free thread after this, and who frees one looks for who waits after its own
                // fence: one of the two sees the other.
                fence(Ordering::SeqCst);
                return Some(Ticket { number, holder });
            }
        }
    }

    /// Whether it is this ticket's turn.
    #[must_use]
    pub fn is_first(&self, ticket: &Ticket) -> bool {
        self.advance();
        self.head.load(Ordering::SeqCst) == ticket.number
    }

    /// Where the holder of a ticket waits.
    #[must_use]
    pub fn bell(&self, ticket: &Ticket) -> Option<&'m Word> {
        self.at(self.bells, ticket.number)
    }

    /// Gives a ticket back, and answers the bell of who is first then.
    pub fn leave(&self, ticket: &Ticket) -> Option<&'m Word> {
        self.give_up(ticket.number, ticket.holder);
        self.first()
    }

    fn give_up(&self, number: u64, holder: Holder) {
        let (held, free) = (cell(number, holder.0), cell(number + self.size(), 0));
        if let Some(word) = self.at(self.cells, number) {
            let _ = word.compare_exchange(held, free, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// The bell of whoever is first.
    #[must_use]
    pub fn first(&self) -> Option<&'m Word> {
        self.advance();
        let head = self.head.load(Ordering::SeqCst);
        if head == self.tail.load(Ordering::SeqCst) { None } else { self.at(self.bells, head) }
    }

    /// Moves the first end over tickets that were given up.
    fn advance(&self) {
        loop {
            let (head, tail) = (self.head.load(Ordering::SeqCst), self.tail.load(Ordering::SeqCst));
            let given_up = |word: &Word| word.load(Ordering::SeqCst) >> HOLDER > head;
            if head >= tail || !self.at(self.cells, head).is_some_and(given_up) {
                return;
            }
            let _ = self.head.compare_exchange(head, head + 1, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    pub(super) fn forget(&self, holder: Holder) {
        for word in self.cells {
            let found = word.load(Ordering::SeqCst);
            if found & ((1 << HOLDER) - 1) == u64::from(holder.0) {
                self.give_up(found >> HOLDER, holder);
            }
        }
    }
}
