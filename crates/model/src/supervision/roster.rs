// SPDX-License-Identifier: Apache-2.0
//! The processes of a group: as many as it wants, their replacements one at a time, and how they end with their generation.

use super::place::Place;
use super::post::Post;
use super::{AT_ONCE, Action, GLANCE, IDLE, LOCK_PAUSE, Moment, Overlap, Terms, Why, Work};
use crate::admission::How;
use crate::launch::Patience;
use std::collections::VecDeque;
use std::time::Duration;

/// Whether requests wait for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Some do.
    Waiting,
    /// None does.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The group always has its processes.
    Present,
    /// It has them only as long as requests need them.
    Old,
    /// It will have none; requests may take so long.
    Closing(Patience),
}

/// The processes of a group. Each is known by the number of its place.
#[derive(Debug, Clone)]
pub struct Roster {
    terms: Terms,
    stage: Stage,
    posts: Vec<Post>,
    /// One more than posts where a replacement may be there beside its predecessor; else each is of its post.
    places: Vec<Place>,
    /// What was decided and not yet told.
    decided: VecDeque<(usize, Action)>,
    /// Whether an old generation needs a process that it does not have.
    wanted: bool,
}

impl Roster {
    /// A group that wants so many processes at once, all of which start at once.
    #[must_use]
    pub fn new(now: Moment, processes: usize, terms: Terms) -> Self {
        let spare = usize::from(terms.overlap == Overlap::Allowed);
        Self {
            terms,
            stage: Stage::Present,
            posts: vec![Post::new(now); processes],
            places: vec![Place::default(); processes + spare],
            decided: VecDeque::new(),
            wanted: false,
        }
    }

    /// How many processes there can be in total.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// What is due, which the caller does; until there is nothing.
    pub fn act(&mut self, now: Moment) -> Option<(usize, Action)> {
        let overdue =
            self.places.iter_mut().enumerate().find_map(|(number, place)| Some((number, place.overdue(now)?)));
        if let Some((number, how)) = overdue {
            return Some((number, Action::Kill(how)));
        }
        if let Some(decided) = self.decided.pop_front() {
            return Some(decided);
        }
        if let Stage::Closing(patience) = self.stage {
            self.give_up(now);
            return (0..self.places.len()).find_map(|number| self.stop(number, now, patience, Why::Over));
        }
        self.fill(now).or_else(|| self.relieve(now))
    }

    /// Forgets processes that were killed and do not end.
    fn give_up(&mut self, now: Moment) {
        self.places.iter_mut().filter(|place| place.burial().is_some_and(|due| due <= now)).for_each(Place::vacate);
    }

    fn stop(&mut self, number: usize, now: Moment, patience: Patience, why: Why) -> Option<(usize, Action)> {
        let terms = self.terms;
        let told = self.places.get_mut(number)?.leave(now, patience, &terms);
        told.then_some((number, Action::Stop(patience, why)))
    }

    /// How long requests may take when their process is replaced. A service has none.
    const fn graceful(&self) -> Patience {
        match self.terms.work {
            Work::Requests => Patience(Some(self.terms.graceful)),
            Work::Service => AT_ONCE,
        }
    }

    /// A post that nobody holds gets a process.
    fn fill(&mut self, now: Moment) -> Option<(usize, Action)> {
        let rests = || self.posts.iter().any(|post| post.holder.is_none() && post.due > now);
        // Where one failed, the next one is tried later, whosever post it is.
        if self.stage == Stage::Old && (!self.wanted || rests()) {
            return None;
        }
        let (post, place) =
            self.vacancies().find(|(post, _)| self.posts.get(*post).is_some_and(|post| post.due <= now))?;
        self.wanted = false;
        self.posts.get_mut(post)?.holder = Some(place);
        self.start(place, now)
    }

    /// A process that is to be replaced gets its replacement, or ends first.
    fn relieve(&mut self, now: Moment) -> Option<(usize, Action)> {
        let number = self.tired().filter(|_| self.stage == Stage::Present)?;
        let post = self.posts.get_mut(number)?;
        if self.terms.overlap == Overlap::Never {
            (post.tired, post.due) = (false, now);
            let holder = post.holder.take()?;
            return self.stop(holder, now, self.graceful(), Why::Replaced);
        }
        if post.due > now {
            return None;
        }
        let place = self.spare()?;
        self.posts.get_mut(number)?.successor = Some(place);
        self.start(place, now)
    }

    fn start(&mut self, place: usize, now: Moment) -> Option<(usize, Action)> {
        let terms = self.terms;
        self.places.get_mut(place)?.start(now, &terms);
        Some((place, Action::Start))
    }

    /// Posts without a process, and a place for each that there is one for.
    fn vacancies(&self) -> impl Iterator<Item = (usize, usize)> {
        let vacant = self.posts.iter().enumerate().filter(|(_, post)| post.holder.is_none());
        vacant.filter_map(|(post, _)| {
            let place = match self.terms.overlap {
                Overlap::Never => Some(post).filter(|number| self.places.get(*number).is_some_and(Place::is_empty)),
                Overlap::Allowed => self.places.iter().position(Place::is_empty),
            };
            Some((post, place?))
        })
    }

    /// The first post whose process is to be replaced, unless another one is being replaced.
    fn tired(&self) -> Option<usize> {
        if self.posts.iter().any(|post| post.successor.is_some()) {
            return None;
        }
        self.posts.iter().position(|post| post.tired)
    }

    /// A place that no vacant post needs.
    fn spare(&self) -> Option<usize> {
        let needed = self.posts.iter().filter(|post| post.holder.is_none()).count();
        let empty = self.places.iter().enumerate().filter(|(_, place)| place.is_empty());
        empty.map(|(number, _)| number).nth(needed)
    }

    /// When [`act`](Self::act) has to be called again at the latest.
    #[must_use]
    pub fn due(&self, now: Moment) -> Option<Moment> {
        let places = self.places.iter().filter_map(Place::due);
        let burials = self.places.iter().filter_map(Place::burial).filter(|_| matches!(self.stage, Stage::Closing(_)));
        let filled = self.vacancies().filter(|_| self.stage == Stage::Present).map(|(post, _)| post);
        let relieved = self.tired().filter(|_| self.stage == Stage::Present && self.spare().is_some());
        let posts = filled.chain(relieved).filter_map(|post| Some(self.posts.get(post)?.due)).filter(|due| *due > now);
        let look = (self.stage == Stage::Old).then_some(now + GLANCE);
        places.chain(burials).chain(posts).chain(look).min()
    }

    /// The process says that it is ready, and does the work of the one that it replaces. Whether that still counts.
    pub fn ready(&mut self, place: usize, now: Moment) -> bool {
        let Some(found) = self.places.get_mut(place) else { return false };
        found.ready(now);
        if !found.is_ready() {
            return false;
        }
        if let Some(post) = self.posts.iter_mut().find(|post| post.successor == Some(place)) {
            post.tired = false;
            let holder = std::mem::replace(&mut post.holder, post.successor.take());
            let told = holder.and_then(|holder| self.stop(holder, now, self.graceful(), Why::Replaced));
            self.decided.extend(told);
        }
        true
    }

    /// The process wants to be replaced.
    pub fn tires(&mut self, place: usize) {
        if let Some(post) = self.posts.iter_mut().find(|post| post.holder == Some(place)) {
            post.tired = true;
        }
    }

    /// All processes that are ready are to be replaced. The others have just been started.
    pub fn tire_all(&mut self) {
        let is_ready = |number: usize| self.places.get(number).is_some_and(Place::is_ready);
        self.posts.iter_mut().filter(|post| post.holder.is_some_and(is_ready)).for_each(|post| post.tired = true);
    }

    /// The process ends by itself, after its requests have had so long. One that was ready is replaced at once.
    pub fn leaves(&mut self, place: usize, now: Moment, patience: Patience) {
        let terms = self.terms;
        let Some(found) = self.places.get_mut(place) else { return };
        found.leave(now, patience, &terms);
        if found.ready_since().is_some() {
            self.release(place, now);
        }
    }

    /// Its post is free for another process.
    fn release(&mut self, place: usize, now: Moment) {
        for post in &mut self.posts {
            if post.holder == Some(place) {
                (post.holder, post.tired, post.due) = (post.successor.take(), false, now);
            } else if post.successor == Some(place) {
                post.successor = None;
            }
        }
    }

    /// The process has to end at once, in this way.
    pub fn condemn(&mut self, place: usize, now: Moment, how: How) {
        if let Some(place) = self.places.get_mut(place) {
            place.condemn(now, how);
        }
    }

    /// The process could not be started because somebody else has the place.
    pub fn blocked(&mut self, place: usize, now: Moment) {
        if let Some(place) = self.places.get_mut(place) {
            place.vacate();
        }
        self.release(place, now + LOCK_PAUSE);
    }

    /// The process ended in this way, or could not be started. The delay before the next one, if one starts for it.
    pub fn ended(&mut self, place: usize, now: Moment, how: Option<How>) -> Option<Duration> {
        let found = self.places.get_mut(place).filter(|found| !found.is_empty())?;
        let life = found.ready_since().map(|ready| now.saturating_sub(ready));
        found.vacate();
        if matches!(self.stage, Stage::Closing(_)) {
            return None;
        }
        let work = self.terms.work;
        let post = self.posts.iter_mut().find(|post| post.holder == Some(place) || post.successor == Some(place));
        let delay = match post {
            Some(post) if post.successor == Some(place) => {
                post.successor = None;
                let delay = post.delay(life, how, work);
                post.due = now + delay;
                Some(delay)
            }
            Some(post) => {
                (post.holder, post.tired) = (post.successor.take(), false);
                let delay = post.delay(life, how, work);
                // Its replacement is on its way.
                let is_vacant = post.holder.is_none();
                post.due = now + delay;
                is_vacant.then_some(delay)
            }
            None if self.terms.overlap == Overlap::Never => Some(Duration::ZERO),
            None => None,
        };
        delay.filter(|_| self.stage == Stage::Present)
    }

    /// The generation is old: from now on its processes end when no request needs them.
    pub fn retire(&mut self, now: Moment) {
        if self.stage != Stage::Present {
            return;
        }
        self.stage = Stage::Old;
        self.posts.iter_mut().for_each(|post| post.tired = false);
        if self.terms.work == Work::Service {
            // Nothing ever asks for it.
            (0..self.places.len()).for_each(|number| self.dismiss(number, now, AT_ONCE, Why::Over));
        }
    }

    fn dismiss(&mut self, number: usize, now: Moment, patience: Patience, why: Why) {
        if let Some(told) = self.stop(number, now, patience, why) {
            self.decided.push_back(told);
            self.release(number, now);
        }
    }

    /// Whether the generation is old, so that somebody has to [`look`](Self::look).
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.stage == Stage::Old
    }

    /// In an old generation: whether requests wait, and which processes have any.
    pub fn look(&mut self, now: Moment, demand: Demand, is_busy: impl Fn(usize) -> bool) {
        if self.stage != Stage::Old {
            return;
        }
        for number in 0..self.places.len() {
            let is_busy = is_busy(number);
            let Some(place) = self.places.get_mut(number) else { continue };
            if !place.is_ready() && !place.is_leaving() {
                continue;
            }
            let idle = place.note(now, is_busy || demand == Demand::Waiting);
            if idle.is_some_and(|since| now.saturating_sub(since) >= IDLE) {
                if place.is_ready() {
                    self.dismiss(number, now, Patience(None), Why::Idle);
                } else {
                    // Nothing needs it any more, so it has no reason to stay.
                    let terms = self.terms;
                    place.leave(now, AT_ONCE, &terms);
                }
            }
        }
        let has_one = self.places.iter().any(|place| place.is_ready() || place.is_starting());
        self.wanted = demand == Demand::Waiting && !has_one;
    }

    /// The group ends: nothing is started any more, and requests may take so long.
    pub fn close(&mut self, patience: Patience) {
        if let Stage::Closing(before) = self.stage
            && before.0.is_some_and(|before| patience.0.is_none_or(|new| new >= before))
        {
            return;
        }
        self.stage = Stage::Closing(patience);
    }

    /// Whether some process accepts requests, or did and is not killed yet.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.places.iter().any(|place| place.is_ready() || (place.is_leaving() && place.ready_since().is_some()))
    }

    /// Whether there is no process, and there will be none.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closing(_)) && self.places.iter().all(Place::is_empty)
    }
}
