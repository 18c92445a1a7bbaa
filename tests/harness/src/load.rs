// SPDX-License-Identifier: Apache-2.0
//! Clients that ask for things of several kinds until they are told to end, and an account of every request.
//!
//! What HTTP itself lets a client repeat is repeated and counted apart: a stream that the server says it did not touch, and a
//! request on a kept connection that the server closed without a byte of an answer, as it may do with an idle one. Anything
//! else that is no whole and right answer is a loss.

use crate::client::{Connection, Request};
use crate::multiplex::{Multiplex, Outcome};
use crate::response::End;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How a client uses connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// HTTP/1.1, a connection for each request.
    Close,
    /// HTTP/1.1, connections that are kept.
    Keep,
    /// HTTP/2, three requests at a time.
    Streams,
}

/// Something to ask for.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What it is called in reports.
    pub name: &'static str,
    /// In how many of a hundred requests.
    pub share: usize,
    /// The path, to which the number of the request is added.
    pub target: String,
}

/// A client.
#[derive(Debug, Clone)]
pub struct Client {
    /// How it uses connections.
    pub way: Way,
    /// What it asks for.
    pub kinds: Vec<Kind>,
}

/// A request that did not get its answer.
#[derive(Debug, Clone)]
pub struct Loss {
    /// When it was sent, from the beginning of the load.
    pub at: Duration,
    /// How long it took to fail.
    pub after: Duration,
    /// What was asked for, and how.
    pub target: String,
    /// The client's way.
    pub way: Way,
    /// What came instead.
    pub what: String,
}

/// The account.
#[derive(Debug, Default)]
pub struct Tally {
    /// Right answers by kind, and the longest time that one took.
    pub right: BTreeMap<&'static str, (usize, Duration)>,
    /// What was lost.
    pub losses: Vec<Loss>,
    /// Requests on kept connections that the server closed at that moment, by the first part of their path; asked again.
    pub races: BTreeMap<String, usize>,
    /// Streams that the server said it did not touch; asked again.
    pub refused: usize,
}

impl Tally {
    /// All right answers.
    pub fn total(&self) -> usize {
        self.right.values().map(|(count, _)| count).sum()
    }

    fn add(&mut self, other: Self) {
        for (name, (count, longest)) in other.right {
            let sum = self.right.entry(name).or_default();
            *sum = (sum.0 + count, sum.1.max(longest));
        }
        self.losses.extend(other.losses);
        other.races.into_iter().for_each(|(name, count)| *self.races.entry(name).or_default() += count);
        self.refused += other.refused;
    }

    fn race(&mut self, target: &str) {
        let mount = target.split('/').nth(1).unwrap_or_default();
        *self.races.entry(mount.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} right, {} lost, {} refused and asked again", self.total(), self.losses.len(), self.refused)?;
        write!(f, ", kept connections closed under a request: {:?}", self.races)?;
        for (name, (count, longest)) in &self.right {
            write!(f, "\n  {name}: {count}, the longest {longest:?}")?;
        }
        let mut kinds: BTreeMap<(Way, String, &str), usize> = BTreeMap::new();
        for loss in &self.losses {
            let mount = loss.target.split('/').nth(1).unwrap_or_default();
            let what = loss.what.get(..60).unwrap_or(&loss.what);
            *kinds.entry((loss.way, mount.to_owned(), what)).or_default() += 1;
        }
        for ((way, mount, what), count) in kinds.into_iter().take(30) {
            write!(f, "\n  lost {count} of {mount} ({way:?}): {what}")?;
        }
        Ok(())
    }
}

/// What is right: told the target with its number, the status and the body, it says what is wrong.
pub type Check<'c> = dyn Fn(&str, u16, &[u8]) -> Result<(), String> + Sync + 'c;

/// Clients at work.
pub struct Load<'c> {
    port: u16,
    check: &'c Check<'c>,
    patience: Duration,
    begun: Instant,
    is_over: AtomicBool,
    done: AtomicUsize,
    stamp: AtomicUsize,
    lost: Mutex<Vec<String>>,
}

impl<'c> Load<'c> {
    /// Lets clients ask while `action` runs, which is given the load; then they finish what they have begun.
    pub fn run(
        port: u16,
        clients: &[Client],
        patience: Duration,
        check: &'c Check<'c>,
        action: impl FnOnce(&Self),
    ) -> Tally {
        let (is_over, done, stamp) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let load = Self { port, check, patience, begun: Instant::now(), is_over, done, stamp, lost: Mutex::default() };
        let mut sum = Tally::default();
        thread::scope(|scope| {
            let load = &load;
            let asking: Vec<_> = clients
                .iter()
                .enumerate()
                .map(|(number, client)| scope.spawn(move || load.client(number, client)))
                .collect();
            let end = Ending(&load.is_over);
            action(load);
            drop(end);
            asking.into_iter().for_each(|one| sum.add(one.join().expect("a client ends")));
        });
        sum
    }

    /// Right answers so far.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were answered right.
    pub fn proceed(&self, count: usize) {
        let before = self.done();
        let enough = crate::wait::poll(self.patience, || (self.done() >= before + count).then_some(()));
        assert!(enough.is_some(), "{} of {count} answers within {:?}", self.done() - before, self.patience);
    }

    /// From now on requests carry this number as their query, for the check to see.
    pub fn stamp(&self, number: usize) {
        self.stamp.store(number, Ordering::SeqCst);
    }

    /// What was lost so far, in words.
    pub fn lost(&self) -> Vec<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client(&self, number: usize, client: &Client) -> Tally {
        let mut asking = Asking { load: self, client, number, asked: 0, tally: Tally::default() };
        match client.way {
            Way::Close | Way::Keep => asking.one_after_another(),
            Way::Streams => asking.three_at_a_time(),
        }
        asking.tally
    }
}

/// Clients end even if the action fails.
struct Ending<'l>(&'l AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client at work.
struct Asking<'l, 'c> {
    load: &'l Load<'c>,
    client: &'l Client,
    number: usize,
    asked: usize,
    tally: Tally,
}

/// What was asked.
struct Question {
    name: &'static str,
    target: String,
    begun: Instant,
}

impl Asking<'_, '_> {
    fn is_over(&self) -> bool {
        self.load.is_over.load(Ordering::Relaxed)
    }

    /// The next thing to ask for. Each hundred has all kinds in their shares, well mixed and in another order for each client.
    fn next(&mut self) -> Question {
        self.asked += 1;
        let mut place = (self.asked * 61 + self.number * 29) % 100;
        let kinds = &self.client.kinds;
        let kind = kinds.iter().find(|kind| {
            let is_here = place < kind.share;
            place = place.saturating_sub(kind.share);
            is_here
        });
        let kind = kind.unwrap_or(&kinds[0]);
        let stamp = self.load.stamp.load(Ordering::SeqCst);
        let query = if stamp == 0 { String::new() } else { format!("?{stamp}") };
        let target = format!("{}{}-{}{query}", kind.target, self.number, self.asked);
        Question { name: kind.name, target, begun: Instant::now() }
    }

    /// A moment in which a kept connection is idle: 0 to 9 ms.
    fn rest(&self) {
        thread::sleep(Duration::from_millis((self.asked * 7 + self.number) as u64 % 10));
    }

    fn right(&mut self, question: &Question) {
        let entry = self.tally.right.entry(question.name).or_default();
        *entry = (entry.0 + 1, entry.1.max(question.begun.elapsed()));
        self.load.done.fetch_add(1, Ordering::Relaxed);
    }

    fn lose(&mut self, question: &Question, what: String) {
        let (at, after) = (question.begun.duration_since(self.load.begun), question.begun.elapsed());
        let (target, way) = (question.target.clone(), self.client.way);
        self.load.lost.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{target}: {what}"));
        self.tally.losses.push(Loss { at, after, target, way, what });
        // A server that answers nothing is not asked as fast as it fails.
        thread::sleep(Duration::from_millis(20));
    }

    fn judge(&mut self, question: &Question, status: u16, body: &[u8]) {
        match (self.load.check)(&question.target, status, body) {
            Ok(()) => self.right(question),
            Err(what) => self.lose(question, what),
        }
    }

    fn one_after_another(&mut self) {
        let mut kept: Option<Connection> = None;
        while !self.is_over() {
            let question = self.next();
            let idle = kept.take().retain_if(Connection::is_idle);
            kept = self.ask(&question, idle);
            self.rest();
        }
    }

    /// Asks on an idle connection or a new one; gives the connection back if it can be used again.
    fn ask(&mut self, question: &Question, idle: Option<Connection>) -> Option<Connection> {
        let is_fresh = idle.is_none();
        let opened = idle.map_or_else(|| Connection::try_open(self.load.port), Ok);
        let mut connection = match opened {
            Ok(connection) => connection.patience(self.load.patience),
            Err(error) => {
                self.lose(question, format!("no connection: {error}"));
                return None;
            }
        };
        let mut request = Request::new(self.load.port, "GET", &question.target);
        if self.client.way == Way::Close {
            request = request.header("Connection", "close");
        }
        let _ = connection.try_send(&request.bytes());
        let answer = connection.read_response("GET");
        match answer.end {
            End::Complete => {
                self.judge(question, answer.status, &answer.body);
                let closes = answer.headers_named("connection").contains(&"close");
                Some(connection).filter(|_| self.client.way == Way::Keep && !closes)
            }
            End::Cut if answer.status == 0 && !connection.has_rest() && !is_fresh => {
                self.tally.race(&question.target);
                self.ask(question, None)
            }
            end => {
                self.lose(question, format!("{end:?} after status {}", answer.status));
                None
            }
        }
    }

    fn three_at_a_time(&mut self) {
        let mut kept: Option<Multiplex> = None;
        let mut again: Vec<Question> = Vec::new();
        while !self.is_over() || !again.is_empty() {
            let idle = kept.take().retain_if(Multiplex::is_open);
            let is_fresh = idle.is_none();
            let mut connection = match idle.map_or_else(|| Multiplex::open(self.load.port), Ok) {
                Ok(connection) => connection,
                Err(error) => {
                    let questions = std::mem::take(&mut again);
                    questions.iter().for_each(|question| self.lose(question, format!("no connection: {error}")));
                    continue;
                }
            };
            let mut open: BTreeMap<u32, Question> = BTreeMap::new();
            while open.len() < 3 && (!again.is_empty() || !self.is_over()) {
                let question = again.pop().unwrap_or_else(|| self.next());
                open.insert(connection.ask(&question.target), question);
            }
            again = self.volley(&mut connection, open, is_fresh);
            kept = Some(connection);
            self.rest();
        }
    }

    /// Waits for the ends of all streams; gives back what may be asked again.
    fn volley(&mut self, connection: &mut Multiplex, open: BTreeMap<u32, Question>, is_fresh: bool) -> Vec<Question> {
        let (mut open, mut again, mut answered) = (open, Vec::new(), false);
        while !open.is_empty() {
            let (number, outcome) = connection.wait(self.load.patience);
            let Some(question) = open.remove(&number) else { continue };
            match outcome {
                Outcome::Whole(status, body) => {
                    answered = true;
                    self.judge(&question, status, &body);
                }
                Outcome::Refused => {
                    self.tally.refused += 1;
                    again.push(question);
                }
                // As with HTTP/1: an idle connection that was closed without a word.
                Outcome::Lost(false, false) if !is_fresh && !answered => {
                    self.tally.race(&question.target);
                    again.push(question);
                }
                other => self.lose(&question, format!("{other:?}")),
            }
        }
        again
    }
}

/// `Option::filter` for a question that changes what it is asked about.
trait RetainIf<T> {
    fn retain_if(self, is_fit: impl FnOnce(&mut T) -> bool) -> Option<T>;
}

impl<T> RetainIf<T> for Option<T> {
    fn retain_if(self, is_fit: impl FnOnce(&mut T) -> bool) -> Option<T> {
        self.and_then(|mut one| is_fit(&mut one).then_some(one))
    }
}
