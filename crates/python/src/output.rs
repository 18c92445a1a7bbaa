// SPDX-License-Identifier: Apache-2.0
//! The answer of an application on its way to the server: head, blocks, files, and what `Content-Length` promised
//! (requests §§5.4, 6, 8). Runs on the request's thread.

use crate::call::Run;
use crate::live::{Flush, Live, lock};
use crate::object::{self, Object, Ref};
use crate::raised::{Kind, Raised};
use model::exchange::{FileSpan, SendError};
use model::response::{Budget, Measure, is_bodiless};
use std::cell::RefCell;
use std::mem;
use std::ops::Range;

/// Bodies up to this size are copied, so that the interpreter is let go before they are sent.
const COPY_LIMIT: usize = 64 * 1024;

thread_local! {
    /// The memory of the last small body, for the next one.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Status and headers as `start_response` took them, in one piece of memory.
#[derive(Debug, Default)]
pub struct HeadBuffer {
    pub(crate) status: u16,
    bytes: Vec<u8>,
    reason: Range<usize>,
    pairs: Vec<(Range<usize>, Range<usize>)>,
    /// Position among the pairs, and value, of `Content-Length`.
    length: Option<(usize, u64)>,
}

impl HeadBuffer {
    pub(crate) fn new(status: u16, reason: &[u8]) -> Self {
        // Enough for most answers, so that neither grows.
        let mut bytes = Vec::with_capacity(512.max(reason.len()));
        bytes.extend_from_slice(reason);
        Self { status, bytes, reason: 0..reason.len(), pairs: Vec::with_capacity(8), length: None }
    }

    /// Adds a header; of several `Content-Length`s the last one counts, as it does for the reference.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8], length: Option<u64>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        if let Some(length) = length {
            if let Some((former, _)) = self.length {
                self.pairs.remove(former);
            }
            self.length = Some((self.pairs.len(), length));
        }
        self.pairs.push((start..middle, middle..end));
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    pub(crate) fn reason(&self) -> &[u8] {
        self.part(&self.reason)
    }

    pub(crate) fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (self.part(name), self.part(value))).collect()
    }
}

/// How far the answer is.
#[derive(Debug)]
pub struct Answer {
    head: Option<HeadBuffer>,
    status: u16,
    committed: bool,
    wrote: bool,
    budget: Budget,
    head_request: bool,
    failed: Option<SendError>,
}

impl Answer {
    pub(crate) fn new(head_request: bool) -> Self {
        let budget = Budget::new(None);
        Self { head: None, status: 0, committed: false, wrote: false, budget, head_request, failed: None }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.committed || self.head.is_some()
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.committed
    }

    pub(crate) fn failed(&self) -> Option<SendError> {
        self.failed
    }

    /// Takes or replaces the head, which must not be committed.
    pub(crate) fn start(&mut self, head: HeadBuffer) {
        self.status = head.status;
        self.head = Some(head);
    }

    /// The head, the first time.
    fn commit(&mut self) -> Option<HeadBuffer> {
        if self.committed {
            return None;
        }
        let head = self.head.take()?;
        self.committed = true;
        self.budget = Budget::new(head.length.map(|(_, length)| length));
        Some(head)
    }

    /// Adds a `Content-Length` if the application gave none and the answer may have one.
    fn add_length(&mut self, total: u64) {
        if self.wrote || is_bodiless(self.status) || (self.head_request && total == 0) {
            return;
        }
        if let Some(head) = self.head.as_mut().filter(|head| head.length.is_none()) {
            head.add(b"Content-Length", total.to_string().as_bytes(), Some(total));
        }
    }

    /// Counts a block and answers how much of it is to be sent.
    fn take(&mut self, length: usize) -> usize {
        let allowed = self.budget.take(length.try_into().unwrap_or(u64::MAX));
        if is_bodiless(self.status) { 0 } else { usize::try_from(allowed).unwrap_or(usize::MAX).min(length) }
    }

    /// Whether the client can see the end of the answer already.
    fn is_whole(&self) -> bool {
        self.budget.room() == Some(0)
    }

    /// How the body compares with what was promised, where the client can see a difference.
    pub(crate) fn measure(&self) -> Measure {
        match self.budget.measure() {
            Measure::Short { .. } if self.head_request || is_bodiless(self.status) => Measure::Exact,
            measure => measure,
        }
    }
}

/// Why output ended early.
pub(crate) enum Stop<'i> {
    /// Python code raised.
    Raised(Raised<'i>),
    /// The server did not take it.
    Send(SendError),
}

impl<'i> From<Raised<'i>> for Stop<'i> {
    fn from(raised: Raised<'i>) -> Self {
        Self::Raised(raised)
    }
}

/// What is left to be sent once the interpreter was let go.
#[derive(Debug, Default)]
pub(crate) struct Remainder {
    pub(crate) head: Option<HeadBuffer>,
    pub(crate) data: Vec<u8>,
}

impl Remainder {
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none() && self.data.is_empty()
    }

    /// Sends it. Call without an interpreter.
    pub(crate) fn send(self, live: &Live) -> Result<(), SendError> {
        let Self { head, mut data } = self;
        let sent = live.send(head.as_ref(), &data, Flush::Later);
        data.clear();
        if data.capacity() <= COPY_LIMIT {
            SPARE.with_borrow_mut(|spare| *spare = data);
        }
        sent
    }
}

fn not_started<'i>(run: &Run<'i, '_>) -> Raised<'i> {
    let message = "start_response() must be called before response content is produced";
    Raised::new(run.attached, Kind::Runtime, message)
}

fn not_bytes<'i>(item: &Ref<'i>) -> Raised<'i> {
    let message = format!("the application's iterable must yield bytes, not {}", item.kind_name());
    Raised::new(item.attached(), Kind::Type, &message)
}

/// Sends what the application returned. What can be sent without the interpreter is returned instead.
pub(crate) fn produce<'i>(run: &Run<'i, '_>, result: &Object<'i>) -> Result<Remainder, Stop<'i>> {
    if result.is_exactly_list() || result.is_exactly_tuple() {
        return collect(run, result);
    }
    let wrapper = run.state.tools(run.attached).file_wrapper.borrow(run.attached);
    if result.is_instance(&wrapper)? && send_file(run, result)? {
        return Ok(Remainder::default());
    }
    iterate(run, result)
}

fn collect<'i>(run: &Run<'i, '_>, result: &Object<'i>) -> Result<Remainder, Stop<'i>> {
    let mut items = Vec::with_capacity(result.sequence_length());
    let mut total = 0_usize;
    while items.len() < result.sequence_length() {
        let item = result.item(items.len())?;
        total += item.as_bytes().ok_or_else(|| not_bytes(&item))?.len();
        items.push(item);
    }
    let (head, mut allowed) = {
        let mut answer = lock(&run.live.answer);
        if !answer.is_started() {
            drop(answer);
            return Err(not_started(run).into());
        }
        answer.add_length(total.try_into().unwrap_or(u64::MAX));
        (answer.commit(), answer.take(total))
    };
    let pieces = items.iter().filter_map(|item| item.as_bytes()).map(|data| {
        let part = data.get(..data.len().min(allowed)).unwrap_or_default();
        allowed -= part.len();
        part
    });
    if total <= COPY_LIMIT {
        let mut data = SPARE.with_borrow_mut(mem::take);
        pieces.for_each(|piece| data.extend_from_slice(piece));
        return Ok(Remainder { head, data });
    }
    let pieces: Vec<&[u8]> = pieces.collect();
    send(run, || run.live.send_all(head.as_ref(), &pieces))?;
    Ok(Remainder::default())
}

/// Runs a sending operation without the interpreter and remembers its failure.
fn send<'i>(run: &Run<'i, '_>, work: impl FnOnce() -> Result<(), SendError> + Send) -> Result<(), Stop<'i>> {
    let sent = run.attached.detached(work);
    note_failure(run.live, sent).map_err(Stop::Send)
}

/// Remembers that sending failed.
pub(crate) fn note_failure(live: &Live, sent: Result<(), SendError>) -> Result<(), SendError> {
    if let Err(error) = sent {
        lock(&live.answer).failed = Some(error);
    }
    sent
}

fn iterate<'i>(run: &Run<'i, '_>, result: &Object<'i>) -> Result<Remainder, Stop<'i>> {
    let iterator = result.iterator()?;
    while let Some(item) = iterator.next()? {
        let data = item.as_bytes().ok_or_else(|| not_bytes(&item))?;
        if data.is_empty() {
            if is_deserted(run) {
                return desert(run);
            }
            continue;
        }
        let (head, allowed, whole) = {
            let mut answer = lock(&run.live.answer);
            if !answer.is_started() {
                drop(answer);
                return Err(not_started(run).into());
            }
            let head = answer.commit();
            (head, answer.take(data.len()), answer.is_whole())
        };
        let data = data.get(..allowed).unwrap_or_default();
        if head.is_none() && !data.is_empty() && !whole && run.live.offer(data) {
            continue;
        }
        if head.is_some() || !data.is_empty() {
            let flush = if whole { Flush::Later } else { Flush::Now };
            send(run, || run.live.send(head.as_ref(), data, flush))?;
        } else if is_deserted(run) {
            return desert(run);
        }
    }
    let mut answer = lock(&run.live.answer);
    if !answer.is_started() {
        drop(answer);
        return Err(not_started(run).into());
    }
    if !answer.is_committed() {
        answer.add_length(0);
    }
    Ok(Remainder { head: answer.commit(), data: Vec::new() })
}

/// Whether nobody waits for the answer. Where nothing is sent, no failure would end an endless iterable.
fn is_deserted(run: &Run<'_, '_>) -> bool {
    run.attached.detached(|| run.live.is_aborted())
}

fn desert<'i>(run: &Run<'i, '_>) -> Result<Remainder, Stop<'i>> {
    send(run, || Err(SendError::ClientGone)).map(|()| Remainder::default())
}

/// Sends the file behind a wrapper, if it can be sent as it lies on disk.
fn send_file<'i>(run: &Run<'i, '_>, wrapper: &Object<'i>) -> Result<bool, Stop<'i>> {
    {
        let answer = lock(&run.live.answer);
        if !answer.is_started() {
            drop(answer);
            return Err(not_started(run).into());
        }
        if answer.wrote {
            return Ok(false);
        }
    }
    let found = run.state.tools(run.attached).span.borrow(run.attached).call(&[**wrapper])?;
    if found.is_none() {
        return Ok(false);
    }
    let number = |index| found.item(index).and_then(|item| item.to_index());
    let (descriptor, offset, size) = (number(0)?, number(1)?, number(2)?);
    let Ok(descriptor) = i32::try_from(descriptor) else { return Ok(false) };
    let offset = offset.max(0) as u64;
    let left = (size.max(0) as u64).saturating_sub(offset);
    let (head, length) = {
        let mut answer = lock(&run.live.answer);
        answer.add_length(left);
        let head = answer.commit();
        // The application asks for the promised part of the file, not for all of it.
        let wanted = answer.budget.room().map_or(left, |room| room.min(left));
        let allowed = answer.budget.take(wanted);
        (head, if is_bodiless(answer.status) { 0 } else { allowed })
    };
    let sent = send(run, || run.live.send_file(head.as_ref(), FileSpan { descriptor, offset, length }));
    run.state.tools(run.attached).rewind.borrow(run.attached).call(&[*found])?;
    sent.map(|()| true)
}

/// `write(data)`
pub(crate) fn write<'i>(live: &Live, data: &Ref<'i>) -> object::Answer<'i, Result<(), SendError>> {
    let attached = data.attached();
    let Some(bytes) = data.as_bytes() else {
        let message = format!("write() takes bytes, not {}", data.kind_name());
        return Err(Raised::new(attached, Kind::Type, &message));
    };
    let (head, allowed) = {
        let mut answer = lock(&live.answer);
        answer.wrote = true;
        let head = answer.commit();
        (head, answer.take(bytes.len()))
    };
    let bytes = bytes.get(..allowed).unwrap_or_default();
    let flush = if bytes.is_empty() { Flush::Later } else { Flush::Now };
    let sent = attached.detached(|| live.send(head.as_ref(), bytes, flush));
    Ok(note_failure(live, sent))
}
