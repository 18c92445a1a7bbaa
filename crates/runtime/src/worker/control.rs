// SPDX-License-Identifier: Apache-2.0
//! The worker's end of the control socket: what it is told, and what it tells.

use model::event::Level;
use model::launch::{Patience, Worker, control};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;
use unix::callback::{Private, is_forked};
use unix::connection::{Wait, adopt, receive, receive_with, send, set_timeout};

/// How long the supervisor may take to answer, in milliseconds.
const PATIENCE: u64 = 60_000;
/// How long it is tried to tell the supervisor what it has to know.
const INSISTENCE: Duration = Duration::from_millis(200);
/// The longest line that is passed on.
const LONGEST_LINE: usize = 32 << 10;

/// Why a worker cannot work.
#[derive(Debug, Error)]
pub(crate) enum Unusable {
    /// A call to the kernel.
    #[error("{0}: {1}")]
    Kernel(&'static str, io::Error),
    /// What came is not what was promised.
    #[error("the supervisor sent no usable settings: {0}")]
    Settings(String),
    /// The parts are of different builds.
    #[error("the extension is of build {own}, the supervisor of build {0}", own = model::BUILD_ID)]
    Build(String),
    /// Python raised.
    #[error("{0}")]
    Python(String),
}

/// The control socket.
#[derive(Debug)]
pub(crate) struct Control {
    socket: Private,
    /// Lines that found no room.
    lost: AtomicU32,
}

/// What the supervisor says later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// To finish requests within that time, and end.
    Stop(Patience),
    /// That it is gone.
    Gone,
    /// Nothing of interest.
    Nothing,
}

impl Control {
    /// Takes over the descriptor.
    pub(crate) fn open(descriptor: i32) -> io::Result<Self> {
        Ok(Self { socket: adopt(descriptor)?, lost: AtomicU32::new(0) })
    }

    fn say(&self, kind: u8, text: &[u8], wait: Wait) -> io::Result<()> {
        send(&self.socket, &[&[kind], text].concat(), wait).map(drop)
    }

    /// Says who this is, and takes what it needs to know.
    pub(crate) fn introduce(&self) -> Result<(Worker, Private), Unusable> {
        let failed = |place| move |error| Unusable::Kernel(place, error);
        self.say(control::HELLO, model::BUILD_ID.as_bytes(), Wait::Allowed).map_err(failed("the control socket"))?;
        set_timeout(&self.socket, PATIENCE).map_err(failed("the control socket"))?;
        let mut message = vec![0; control::LONGEST];
        let (length, descriptors) = receive_with(&self.socket, &mut message).map_err(failed("the settings"))?;
        let settings = match message.get(..length) {
            Some([control::SETTINGS, json @ ..]) => {
                serde_json::from_slice::<Worker>(json).map_err(|error| Unusable::Settings(error.to_string()))?
            }
            _ => return Err(Unusable::Settings(format!("{length} bytes of another kind"))),
        };
        if settings.build_id != model::BUILD_ID {
            return Err(Unusable::Build(settings.build_id));
        }
        let mut descriptors = descriptors.into_iter();
        let listener: OwnedFd = descriptors.next().ok_or_else(|| Unusable::Settings("no listener".to_owned()))?;
        // The lock of its place: to be held is all that it is for.
        descriptors.map(Private::new).for_each(std::mem::forget);
        set_timeout(&self.socket, 0).map_err(failed("the control socket"))?;
        Ok((settings, Private::new(listener)))
    }

    /// Says that requests are accepted.
    pub(crate) fn ready(&self) {
        let _the_watch_notices = self.say(control::READY, b"", Wait::Allowed);
    }

    /// Says that a replacement is wanted.
    pub(crate) fn tired(&self, reason: &str) {
        self.insist(control::TIRED, reason.as_bytes());
    }

    /// Says that nothing more is accepted, and that requests have so much time.
    pub(crate) fn leaving(&self, patience: Patience, reason: &str) {
        let text = [&patience.to_bytes()[..], reason.as_bytes()].concat();
        self.insist(control::LEAVING, &text);
    }

    /// Says something that must not be lost among lines, but does not wait long for a supervisor that does not listen.
    fn insist(&self, kind: u8, text: &[u8]) {
        let start = Instant::now();
        while let Err(error) = self.say(kind, text, Wait::Never) {
            if error.kind() != io::ErrorKind::WouldBlock || start.elapsed() >= INSISTENCE {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Says that this process cannot work.
    pub(crate) fn failed(&self, reason: &Unusable) {
        let _nobody_is_there = self.say(control::FAILED, reason.to_string().as_bytes(), Wait::Allowed);
    }

    /// Passes a line on, unless that would mean waiting.
    pub(crate) fn log(&self, level: Level, line: &[u8]) {
        if is_forked() {
            // A process that the application forked has no control socket, but the same standard error.
            let _nobody_reads_it = io::stderr().write_all(&[line, b"\n"].concat());
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} lines of this process were lost: nobody took them in time");
            if self.line(Level::Warning, text.as_bytes()).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if self.line(level, line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn line(&self, level: Level, line: &[u8]) -> io::Result<()> {
        let line = line.get(..LONGEST_LINE).unwrap_or(line);
        self.say(control::LOG, &[&[level as u8], line].concat(), Wait::Never)
    }

    /// Takes what the supervisor said, without waiting.
    pub(crate) fn told(&self) -> Told {
        let mut message = [0; 64];
        match receive(&self.socket, &mut message, Wait::Never) {
            Ok(length @ 1..) => match message.get(..length) {
                Some([control::STOP, rest @ ..]) => {
                    Told::Stop(Patience::take(rest).map_or(Patience(None), |(patience, _)| patience))
                }
                _ => Told::Nothing,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Told::Nothing,
            Ok(0) | Err(_) => Told::Gone,
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
