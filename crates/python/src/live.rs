// SPDX-License-Identifier: Apache-2.0
//! What the Python objects of one request share: the way to the server, the answer so far, the body so far.
//!
//! Made by the thread that runs the request and closed by it before it returns to the server, whatever the
//! application kept; an application may use `wsgi.input`, `write()` and `wsgi.errors` from other threads until then,
//! one at a time. No lock here is held while Python code runs or while an interpreter is waited for, and none but a
//! short one is waited for while an interpreter is held.

use crate::output::{Answer, HeadBuffer};
use model::event::{Event, Level};
use model::exchange::{Exchange, FileSpan, Head, ReadError, SendError};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks even if a thread panicked while it held the lock: what is behind it is checked by whoever uses it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest line given to a log in one piece; longer ones are split. httpd cuts what exceeds 8191 bytes together with
/// its own time, module, process and client fields.
const LINE_LIMIT: usize = 7168;

/// The exchange of a request that is being handled, `None` afterwards.
struct Port(Option<NonNull<dyn Exchange>>);

// SAFETY: [EXCHANGE] the pointer is followed only under the lock around it, by one thread at a time.
unsafe impl Send for Port {}

impl Port {
    fn exchange(&mut self) -> Option<&mut dyn Exchange> {
        // SAFETY: [EXCHANGE] while it is there, the request's thread is inside `Opened` and lends the exchange to it.
        self.0.map(|mut exchange| unsafe { exchange.as_mut() })
    }
}

/// What was read of the request body but not asked for yet, and how reading goes on.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) residual: Vec<u8>,
    pub(crate) start: usize,
    pub(crate) ended: bool,
    pub(crate) error: Option<ReadError>,
}

/// One request.
pub struct Live {
    port: Mutex<Port>,
    over: AtomicBool,
    pub(crate) answer: Mutex<Answer>,
    pub(crate) body: Mutex<Body>,
    /// The line of output that was begun but not ended.
    pub(crate) partial: Mutex<Vec<u8>>,
    script: Box<[u8]>,
}

/// Keeps the way to the server open; closes it when dropped.
pub struct Opened<'e> {
    live: Arc<Live>,
    _lent: &'e mut dyn Exchange,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.live.over.store(true, Ordering::Release);
        // Waits for a thread that is still inside the exchange.
        lock(&self.live.port).0 = None;
    }
}

impl Opened<'_> {
    /// The shared part.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Live {
    /// Opens the way to `exchange` for a request to `script`.
    pub fn open<'e>(exchange: &'e mut dyn Exchange, script: &[u8], head_request: bool) -> Opened<'e> {
        let mut pointer = NonNull::from(&mut *exchange);
        let pointer: *mut NonNull<dyn Exchange + 'e> = &raw mut pointer;
        // SAFETY: [EXCHANGE] only the lifetime is erased; `Opened` removes the pointer before 'e ends.
        let erased = unsafe { pointer.cast::<NonNull<dyn Exchange>>().read() };
        let live = Self {
            port: Mutex::new(Port(Some(erased))),
            over: AtomicBool::new(false),
            answer: Mutex::new(Answer::new(head_request)),
            body: Mutex::default(),
            partial: Mutex::default(),
            script: script.into(),
        };
        Opened { live: Arc::new(live), _lent: exchange }
    }

    /// The script's path, for messages.
    pub fn script(&self) -> String {
        String::from_utf8_lossy(&self.script).into_owned()
    }

    /// `[script <path>] `, put before each printed line.
    fn prefix(&self) -> Vec<u8> {
        [b"[script ", &*self.script, b"] "].concat()
    }

    /// Whether the request is over, so that nothing of it may be used any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Marks the request as over for the application; the server's side stays open for the rest of the answer.
    pub fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the client is known to be gone. Call without an interpreter.
    pub fn is_aborted(&self) -> bool {
        lock(&self.port).exchange().is_none_or(|exchange| exchange.is_aborted())
    }

    /// Reads from the request body. Call without an interpreter.
    pub fn read_body(&self, into: &mut [u8]) -> Result<usize, ReadError> {
        lock(&self.port).exchange().map_or(Err(ReadError::Failed), |exchange| exchange.read_body(into))
    }

    /// Sends the head if it is given, then data, then flushes if asked to. Call without an interpreter.
    pub fn send(&self, head: Option<&HeadBuffer>, data: &[u8], flush: Flush) -> Result<(), SendError> {
        let mut port = lock(&self.port);
        let exchange = port.exchange().ok_or(SendError::Failed)?;
        send_head(exchange, head)?;
        if !data.is_empty() {
            exchange.send_data(data)?;
        }
        if flush == Flush::Now { exchange.flush() } else { Ok(()) }
    }

    /// Gives the server a block that it sends soon, if it takes it without waiting.
    pub fn offer(&self, data: &[u8]) -> bool {
        // Whoever has the lock may be waiting for the client.
        self.port.try_lock().is_ok_and(|mut port| port.exchange().is_some_and(|exchange| exchange.offer(data)))
    }

    /// Sends the head if it is given, then several pieces. Call without an interpreter.
    pub fn send_all(&self, head: Option<&HeadBuffer>, pieces: &[&[u8]]) -> Result<(), SendError> {
        let mut port = lock(&self.port);
        let exchange = port.exchange().ok_or(SendError::Failed)?;
        send_head(exchange, head)?;
        pieces.iter().filter(|piece| !piece.is_empty()).try_for_each(|piece| exchange.send_data(piece))
    }

    /// Sends the head if it is given, then a part of a file, and waits until the file was read. Call without an
    /// interpreter.
    pub fn send_file(&self, head: Option<&HeadBuffer>, span: FileSpan) -> Result<(), SendError> {
        let mut port = lock(&self.port);
        let exchange = port.exchange().ok_or(SendError::Failed)?;
        send_head(exchange, head)?;
        if span.length == 0 {
            return Ok(());
        }
        exchange.send_file(span)?;
        exchange.flush()
    }

    /// Writes lines to the request's log as they are. Call without an interpreter.
    pub fn log(&self, level: Level, lines: &[impl AsRef<[u8]>]) -> bool {
        let mut port = lock(&self.port);
        let Some(exchange) = port.exchange() else { return false };
        for line in lines {
            pieces(line.as_ref(), |piece| exchange.log(level, piece));
        }
        true
    }

    /// Logs an event. Call without an interpreter.
    pub fn report(&self, event: &Event) {
        self.log(event.level(), &[event.to_string()]);
    }

    /// Writes what the application printed, line by line. Call without an interpreter.
    pub fn print(&self, data: &[u8]) -> bool {
        let mut partial = lock(&self.partial);
        let mut port = lock(&self.port);
        let Some(exchange) = port.exchange() else { return false };
        each_line(&mut partial, data, |line| self.print_line(exchange, line));
        true
    }

    /// Writes the line that was begun but not ended. Call without an interpreter.
    pub fn flush_partial(&self) {
        let line = std::mem::take(&mut *lock(&self.partial));
        if !line.is_empty() {
            if let Some(exchange) = lock(&self.port).exchange() {
                self.print_line(exchange, &line);
            }
        }
    }

    fn print_line(&self, exchange: &mut dyn Exchange, line: &[u8]) {
        let mut whole = self.prefix();
        let start = whole.len();
        let room = LINE_LIMIT.saturating_sub(start).max(1024);
        let escaped = escape(line);
        for piece in chunks(&escaped, room) {
            whole.truncate(start);
            whole.extend_from_slice(piece);
            exchange.log(Level::Error, &whole);
        }
    }
}

/// Whether data is to leave at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Before anything else is asked of the application.
    Now,
    /// With what follows, or at the end.
    Later,
}

fn send_head(exchange: &mut dyn Exchange, head: Option<&HeadBuffer>) -> Result<(), SendError> {
    let Some(head) = head else { return Ok(()) };
    let headers = head.pairs();
    exchange.send_head(&Head { status: head.status, reason: head.reason(), headers: &headers })
}

/// Appends `data` to an unfinished line and passes on each line that is complete, without its end.
pub(crate) fn each_line(partial: &mut Vec<u8>, data: &[u8], mut line: impl FnMut(&[u8])) {
    let mut rest = data;
    while let Some((head, tail)) =
        rest.iter().position(|byte| *byte == b'\n').and_then(|end| rest.split_at_checked(end))
    {
        if partial.is_empty() {
            line(head);
        } else {
            partial.extend_from_slice(head);
            line(partial);
            partial.clear();
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    partial.extend_from_slice(rest);
    // A line without end must not grow for ever.
    if partial.len() > LINE_LIMIT {
        line(partial);
        partial.clear();
    }
}

/// Passes a line on in pieces that a log takes whole, NUL written out.
pub(crate) fn pieces(line: &[u8], mut piece: impl FnMut(&[u8])) {
    for part in chunks(&escape(line), LINE_LIMIT) {
        piece(part);
    }
}

/// `chunks`, but one empty chunk for an empty line.
fn chunks(line: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    line.chunks(size).chain(line.is_empty().then_some(line))
}

fn escape(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !line.contains(&0) {
        return line.into();
    }
    let escaped = line.iter().flat_map(|byte| if *byte == 0 { &b"\\x00"[..] } else { std::slice::from_ref(byte) });
    escaped.copied().collect::<Vec<_>>().into()
}
