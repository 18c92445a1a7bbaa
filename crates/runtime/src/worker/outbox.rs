// SPDX-License-Identifier: Apache-2.0
//! What an answer still has to send, and the thread that sends it if the request's own thread is slow to go on.
//!
//! A block that an application yields leaves at once if the one before it left a while ago. Of blocks that come fast each would
//! cost a call to the kernel and wake httpd; they wait for one another, for no longer than `response-flush-delay`. The request's
//! thread gathers them without letting the interpreter go. Because it may do anything before it comes back, another thread, the
//! flusher, sends what has waited.

use model::wire::{ToServer, join_data};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use unix::callback::{Private, is_forked};
use unix::connection::{Wait, send, send_with, shut_down, stop_receiving};

/// An answer is passed on when this much is gathered.
pub(crate) const GATHERED: usize = 64 << 10;
/// Memory beyond this is given back after use.
const KEPT: usize = 128 << 10;
/// How long a client that takes nothing is left in peace.
const SLOW: Duration = Duration::from_millis(50);
/// How often the flusher looks before it sleeps until somebody calls it.
const LOOKS: u32 = 64;

/// Whether an answer was taken from its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was.
    Yes,
    /// It has been given.
    No,
    /// The thread is sending.
    Busy,
}

/// What a request thread has to send.
#[derive(Debug)]
pub(crate) struct Outbox {
    sending: Mutex<Sending>,
    flusher: &'static Flusher,
}

#[derive(Debug, Default)]
struct Sending {
    /// Where to, while there is a request.
    socket: Option<Arc<Private>>,
    frames: Vec<u8>,
    /// The frame of data that more data may join.
    open: Option<usize>,
    /// Since when something waits that should leave.
    waiting: Option<Instant>,
    /// When something left last.
    left: Option<Instant>,
    /// Whether the connection is of no use any more.
    broken: bool,
}

impl Sending {
    /// Sends from the front of the frames.
    fn push(&mut self, wait: Wait) -> io::Result<()> {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.broken && !is_forked()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.open = None;
        let mut sent = 0;
        let result = loop {
            match self.frames.get(sent..) {
                None | Some([]) => break Ok(()),
                Some(rest) => match send(&**socket, rest, wait) {
                    Ok(length) => sent += length,
                    Err(error) => break Err(error),
                },
            }
        };
        self.frames.drain(..sent);
        self.frames.shrink_to(KEPT);
        match &result {
            Ok(()) => (self.waiting, self.left) = (None, Some(Instant::now())),
            Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.broken = true,
        }
        result
    }
}

impl Outbox {
    /// `None` in a process that the application forked while another thread, which that process has not, was sending.
    fn sending(&self) -> Option<MutexGuard<'_, Sending>> {
        if is_forked() {
            return self.sending.try_lock().ok();
        }
        Some(self.sending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request begins, whose answer goes there.
    pub(crate) fn begin(&self, socket: &Arc<Private>) {
        let Some(mut sending) = self.sending() else { return };
        sending.frames.clear();
        *sending = Sending {
            socket: Some(Arc::clone(socket)),
            frames: std::mem::take(&mut sending.frames),
            ..Sending::default()
        };
    }

    /// The request is over.
    pub(crate) fn end(&self) {
        if let Some(mut sending) = self.sending() {
            sending.socket = None;
        }
    }

    /// Adds frames to what will leave.
    pub(crate) fn add(&self, frames: impl FnOnce(&mut Vec<u8>)) {
        let Some(mut sending) = self.sending() else { return };
        sending.open = None;
        frames(&mut sending.frames);
    }

    /// Bytes that did not leave yet.
    pub(crate) fn length(&self) -> usize {
        self.sending().map_or(0, |sending| sending.frames.len())
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.sending().is_none_or(|sending| sending.broken)
    }

    /// The other side broke the rules.
    pub(crate) fn give_up(&self) {
        if let Some(mut sending) = self.sending() {
            sending.broken = true;
        }
    }

    /// Lets everything leave.
    pub(crate) fn push(&self, wait: Wait) -> io::Result<()> {
        self.sending().ok_or(io::ErrorKind::NotConnected)?.push(wait)
    }

    /// Adds frames in the name of the thread, and lets leave what can without waiting. Answers whether there was a request, and nobody
    /// was sending for it.
    pub(crate) fn speak(&self, frames: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Ok(mut sending) = self.sending.try_lock() else { return false };
        if sending.socket.is_none() || sending.broken {
            return false;
        }
        sending.open = None;
        frames(&mut sending.frames);
        let _who_goes_on_finds_out = sending.push(Wait::Never);
        true
    }

    /// Ends the answer with these frames in place of the thread, whose calls fail from now on.
    pub(crate) fn take(&self, frames: impl FnOnce(&mut Vec<u8>)) -> Taken {
        let Ok(mut sending) = self.sending.try_lock() else { return Taken::Busy };
        let Some(socket) = sending.socket.clone() else { return Taken::No };
        // Before httpd's child knows that it is over, so that it sends no other request.
        stop_receiving(&*socket);
        sending.open = None;
        frames(&mut sending.frames);
        let _it_ends_anyway = sending.push(Wait::Never);
        shut_down(&*socket);
        sending.broken = true;
        Taken::Yes
    }

    /// Lets everything leave, and after it a frame with a descriptor, which comes with its first byte.
    pub(crate) fn push_with(&self, frame: &ToServer<'_>, descriptor: i32) -> io::Result<()> {
        let mut sending = self.sending().ok_or(io::ErrorKind::NotConnected)?;
        sending.push(Wait::Allowed)?;
        frame.write(&mut sending.frames);
        let Some(socket) = sending.socket.clone() else { return Err(io::ErrorKind::NotConnected.into()) };
        let sent = send_with(&*socket, &sending.frames, descriptor);
        sending.broken |= sent.is_err();
        sending.frames.drain(..sent?);
        sending.push(Wait::Allowed)
    }

    /// Takes data that follows other data soon. Never waits; answers whether it was taken.
    pub(crate) fn offer(&self, data: &[u8]) -> bool {
        let Ok(mut sending) = self.sending.try_lock() else { return false };
        let now = Instant::now();
        let recent = sending.left.is_some_and(|left| now.duration_since(left) < self.flusher.delay);
        if !recent || sending.broken || sending.frames.len() + data.len() >= GATHERED {
            return false;
        }
        let open = sending.open;
        sending.open = Some(join_data(&mut sending.frames, open, data));
        let first = sending.waiting.is_none();
        sending.waiting.get_or_insert(now);
        drop(sending);
        if first {
            self.flusher.call();
        }
        true
    }

    /// Lets leave what has waited for so long. Answers whether something waits.
    fn look(&self, patience: Duration) -> bool {
        // Whoever has it is sending.
        let Ok(mut sending) = self.sending.try_lock() else { return true };
        if sending.waiting.is_some_and(|since| since.elapsed() >= patience) && sending.push(Wait::Never).is_err() {
            // The request's thread finds out why, if it is not only that the client is slow.
            sending.waiting = Some(Instant::now() + SLOW);
        }
        sending.waiting.is_some() && !sending.broken && sending.socket.is_some()
    }
}

/// Sends what waits in outboxes.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// How long a block may wait.
    delay: Duration,
    outboxes: Mutex<Vec<Arc<Outbox>>>,
    thread: OnceLock<Option<Thread>>,
    asleep: AtomicBool,
}

impl Flusher {
    /// A flusher that lets no block wait longer than so many milliseconds. There is one for the life of a process.
    pub(crate) fn new(milliseconds: u64) -> &'static Self {
        Box::leak(Box::new(Self {
            delay: Duration::from_millis(milliseconds),
            outboxes: Mutex::default(),
            thread: OnceLock::new(),
            asleep: AtomicBool::new(false),
        }))
    }

    /// The outbox of a new request thread.
    pub(crate) fn outbox(&'static self) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox { sending: Mutex::default(), flusher: self });
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&outbox));
        outbox
    }

    /// Something waits.
    fn call(&'static self) {
        let thread = self.thread.get_or_init(|| {
            let builder = thread::Builder::new().name("wsgi-flush".to_owned()).stack_size(64 << 10);
            builder.spawn(move || self.run()).ok().map(|handle| handle.thread().clone())
        });
        if self.asleep.swap(false, Ordering::SeqCst) {
            thread.as_ref().inspect(|thread| thread.unpark());
        }
    }

    fn look(&self) -> bool {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.iter().fold(false, |waits, outbox| outbox.look(self.delay / 2) | waits)
    }

    fn run(&self) {
        loop {
            let mut idle = 0;
            while idle < LOOKS {
                thread::sleep(self.delay / 2);
                idle = if self.look() { 0 } else { idle + 1 };
            }
            self.asleep.store(true, Ordering::SeqCst);
            // Who began to wait before that did not call.
            while !self.look() && self.asleep.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}
