// SPDX-License-Identifier: Apache-2.0
//! A request that runs in a worker: the call goes there, the body as it is asked for, the answer comes back.
//!
//! In a child, on the request's thread.

#![forbid(unsafe_code)]

use super::admission::{Admitted, Patience, Rejection, admit};
use super::connection::{Connection, Lost};
use super::linger::linger;
use super::{Channel, GLANCE};
use crate::apache::log;
use crate::apache::request::Request;
use crate::embedded::table::slice;
use crate::embedded::{self, Script};
use crate::environ::Environ;
use crate::exchange::Exchange;
use model::admission::Ending;
use model::daemon::Ownership;
use model::event::Event;
use model::exchange::{FileSpan, Head, Outcome, SendError};
use model::resolve::{Refusal, Target};
use model::wire::{Call, Entry, Failure, ToServer, ToWorker, WireError};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How long the supervisor may take to notice that a worker has ended.
const NOTICE: Duration = Duration::from_secs(1);
/// How long a worker that has ended may seem to say something: processes that it left behind may hold the connection.
const ECHO: Duration = Duration::from_secs(1);

/// Runs the request in the group of `channel`.
pub fn run(
    channel: &Channel,
    request: Request<'_>,
    script: Script<'_>,
    environ: &Environ<'_>,
    exchange: &mut Exchange<'_>,
) -> Result<Outcome, Refusal> {
    let group = || String::from_utf8_lossy(&script.target.process_group).into_owned();
    check_owner(channel, request).map_err(|problem| Refusal::ScriptOwner { process_group: group(), problem })?;
    let mut call = call(request, script, environ);
    if let Some(root) = &channel.root {
        let outside = || Refusal::OutsideRoot { process_group: group(), root: root.clone() };
        super::root::enter(root, &mut call).ok_or_else(outside)?;
    }
    let silence = channel.socket_timeout.or_else(|| request.server().map(|server| server.timeout()));
    let silence = silence.unwrap_or(Duration::from_secs(60));
    let patience = Patience::new(silence);
    loop {
        let admitted = match admit(channel, &patience, &|| request.client_has_left()) {
            Ok(admitted) => admitted,
            Err(Rejection::ClientGone) => return Ok(Outcome::ClientGone),
            Err(rejection) => return Err(refusal(group(), &rejection)),
        };
        let connection = match channel.connection(&admitted, silence) {
            Ok(connection) => connection,
            Err(error) => return Err(refusal(group(), &Rejection::Unavailable(error.to_string()))),
        };
        let relay = Relay {
            connection,
            admitted,
            exchange: &mut *exchange,
            silence,
            heard: false,
            aborted: false,
            flush_due: false,
        };
        if let Some(outcome) = relay.finish(channel, script.target, &call) {
            return Ok(outcome);
        }
    }
}

fn refusal(process_group: String, rejection: &Rejection) -> Refusal {
    let reason = rejection.to_string();
    match rejection {
        Rejection::Unavailable(_) | Rejection::ClientGone => Refusal::GroupUnavailable { process_group, reason },
        Rejection::Crowded(_) | Rejection::QueueTimeout(_) => Refusal::GroupBusy { process_group, reason },
        Rejection::Overdue(_) => Refusal::GroupOverdue { process_group, reason },
    }
}

/// Whether the file asked for and its directory belong to whom the group wants.
fn check_owner(channel: &Channel, request: Request<'_>) -> Result<(), String> {
    let Some(owner) = channel.owner else { return Ok(()) };
    let file = Path::new(OsStr::from_bytes(request.file_name()));
    let ownership = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some(Ownership { uid: data.uid(), gid: data.gid(), mode: data.mode() })
    };
    let directory = file.parent().unwrap_or(file);
    for path in [file, directory] {
        if let Some(problem) = owner.objection(&path.display().to_string(), ownership(path)) {
            return Err(problem);
        }
    }
    Ok(())
}

fn call<'c>(request: Request<'c>, script: Script<'c>, environ: &'c Environ<'c>) -> Call<'c> {
    let target = script.target;
    let entry = |entry: &model::embedded::Entry<'c>| Entry {
        key: entry.key,
        kind: entry.kind,
        name: slice(entry.name),
        value: slice(entry.value),
    };
    Call {
        application_group: &target.application_group,
        script: target.script,
        script_mtime: embedded::modified(&request, target.script),
        callable: &target.callable,
        resource: request.file_name(),
        script_reloading: script.reloading.is_on(),
        https: environ.is_https(),
        head_request: request.is_head(),
        ignore_activity: script.ignore_activity.is_on(),
        request_start: request.received(),
        queue_start: now(),
        environ: environ.entries().iter().map(entry).collect(),
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(0)
}

/// One attempt to run a request in one worker.
struct Relay<'e, 'r> {
    connection: Connection,
    admitted: Admitted,
    exchange: &'e mut Exchange<'r>,
    /// How long the worker may say nothing.
    silence: Duration,
    /// Whether it has said anything.
    heard: bool,
    /// Whether it was told that the client is gone.
    aborted: bool,
    /// Whether what was received is to leave for the client before anything is waited for.
    flush_due: bool,
}

/// What an attempt led to.
enum Attempt {
    /// The worker said its last word about the request.
    Ended(Outcome),
    /// The application was certainly not called.
    NotStarted,
    /// The worker is of no use any more.
    Lost(Lost),
}

/// What a frame led to.
enum Step {
    Go,
    Ended(Outcome),
    NotStarted { leaving: bool },
    Want(u32),
}

impl Relay<'_, '_> {
    /// The outcome, or `None` if another worker may be asked.
    fn finish(mut self, channel: &Channel, target: &Target<'_>, call: &Call<'_>) -> Option<Outcome> {
        let attempt = self.run(channel, call).unwrap_or_else(Attempt::Lost);
        match attempt {
            Attempt::Ended(outcome) => {
                channel.keep(self.connection, &self.admitted);
                Some(outcome)
            }
            Attempt::NotStarted => None,
            Attempt::Lost(lost) => {
                let outcome = self.give_up(target, &lost);
                if matches!(lost, Lost::Silent(_)) {
                    let _it_may_be_gone = self.abort();
                    linger(self.connection, self.admitted);
                }
                Some(outcome)
            }
        }
    }

    fn run(&mut self, channel: &Channel, call: &Call<'_>) -> Result<Attempt, Lost> {
        let hello = ToWorker::Hello {
            build_id: model::BUILD_ID.as_bytes(),
            key: channel.sockets.key,
            incarnation: self.admitted.seat.incarnation,
        };
        let frames = [hello, ToWorker::Call(call.clone())];
        let first = if self.connection.introduced { frames.get(1..) } else { frames.get(..) };
        self.connection.introduced = true;
        self.connection.heard = Instant::now();
        if let Err(unsent) = self.connection.send(first.unwrap_or_default()) {
            // Nobody acts on a part of a call.
            let unheard = unsent.sent == 0 || unsent.error.kind() != ErrorKind::WouldBlock;
            return if unheard { Ok(Attempt::NotStarted) } else { Err(self.lost(unsent.error)) };
        }
        // Nothing but the call has been sent, all of it.
        let mut only_call = true;
        loop {
            match self.wait() {
                Err(Lost::Unread) if only_call && !self.heard && !self.aborted => return Ok(Attempt::NotStarted),
                other => other?,
            }
            match self.step()? {
                Step::Go => {}
                Step::Ended(outcome) => return Ok(Attempt::Ended(outcome)),
                Step::NotStarted { leaving } => {
                    if leaving {
                        self.admitted.place.retire(self.admitted.seat.incarnation);
                    }
                    return Ok(Attempt::NotStarted);
                }
                Step::Want(most) => {
                    only_call = false;
                    self.send_body(most)?;
                }
            }
        }
    }

    fn lost(&self, error: std::io::Error) -> Lost {
        if error.kind() == std::io::ErrorKind::WouldBlock { Lost::Silent(self.silence.as_secs()) } else { error.into() }
    }

    fn send(&mut self, frame: ToWorker<'_>) -> Result<(), Lost> {
        self.connection.send(&[frame]).map_err(|unsent| self.lost(unsent.error))
    }

    /// Waits for a frame, and meanwhile looks after client and worker.
    fn wait(&mut self) -> Result<(), Lost> {
        while !self.connection.has_frame()? {
            if std::mem::take(&mut self.flush_due) {
                let flushed = self.exchange.flush();
                self.note(flushed)?;
                self.connection.heard = Instant::now();
            }
            let rest = self.silence.saturating_sub(self.connection.heard.elapsed());
            // The last moments are not rounded up to a glance.
            if rest < GLANCE && !self.connection.hears_within(rest) {
                return Err(Lost::Silent(self.silence.as_secs()));
            }
            if self.connection.receive()? {
                continue;
            }
            let resumed = self.exchange.resume();
            self.note(resumed)?;
            if self.connection.heard.elapsed() >= ECHO && self.ending().is_some() {
                return Err(Lost::Ended);
            }
            if !self.aborted && self.exchange.request.client_has_left() {
                self.abort()?;
            }
        }
        Ok(())
    }

    fn ending(&self) -> Option<Ending> {
        self.admitted.place.ending(self.admitted.seat.incarnation)
    }

    fn abort(&mut self) -> Result<(), Lost> {
        self.aborted = true;
        self.send(ToWorker::Abort)
    }

    fn step(&mut self) -> Result<Step, Lost> {
        let (frame, descriptor) = self.connection.take()?;
        if let (ToServer::NotStarted { leaving }, false) = (&frame, self.heard) {
            return Ok(Step::NotStarted { leaving: *leaving });
        }
        self.heard = true;
        let sent = match frame {
            ToServer::Want(most) => return Ok(Step::Want(most)),
            ToServer::Log { level, line } => {
                self.exchange.log(level, line);
                Ok(())
            }
            ToServer::Head { status, reason, headers } => {
                self.exchange.head(&Head { status, reason, headers: &headers })
            }
            ToServer::Data(data) => self.exchange.data(data),
            ToServer::File { offset, length } => send_file(self.exchange, descriptor, offset, length)?,
            // Whether an answer has begun to leave must not depend on how fast its parts come.
            ToServer::Flush if !self.exchange.has_left() => self.exchange.flush(),
            ToServer::Flush => {
                self.flush_due = true;
                Ok(())
            }
            ToServer::End => return Ok(Step::Ended(Outcome::Complete)),
            ToServer::Failed(Failure::Refused(status)) => return Ok(Step::Ended(Outcome::Refused(status))),
            ToServer::Failed(Failure::ClientGone) => return Ok(Step::Ended(Outcome::ClientGone)),
            ToServer::Failed(Failure::Truncated) | ToServer::NotStarted { .. } => {
                return Ok(Step::Ended(Outcome::Truncated));
            }
        };
        // The client may have taken its time, which is not the worker's.
        self.connection.heard = Instant::now();
        self.note(sent)?;
        Ok(Step::Go)
    }

    /// Tells the worker if nobody takes its answer any more.
    fn note(&mut self, sent: Result<(), SendError>) -> Result<(), Lost> {
        if sent.is_err() && !self.aborted { self.abort() } else { Ok(()) }
    }

    /// Sends the next part of the body, however long the client takes over it.
    fn send_body(&mut self, most: u32) -> Result<(), Lost> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let exchange = &mut *self.exchange;
        let sent = self.connection.send_body(most, |into| exchange.read(into));
        match sent {
            // It takes no more of the body, and has said why if it is not gone.
            Err(unsent) if unsent.error.kind() == ErrorKind::BrokenPipe => {}
            sent => sent.map_err(|unsent| self.lost(unsent.error))?,
        }
        self.connection.heard = Instant::now();
        Ok(())
    }

    /// The worker is gone or makes no sense: the client sees an error, or an answer that is cut off.
    fn give_up(&mut self, target: &Target<'_>, lost: &Lost) -> Outcome {
        let process_group = String::from_utf8_lossy(&target.process_group).into_owned();
        let script = String::from_utf8_lossy(target.script).into_owned();
        if self.aborted {
            return Outcome::ClientGone;
        }
        let event = Event::WorkerLost { process_group, script, reason: self.cause(lost) };
        log::request_event(&self.exchange.request, &event);
        let status = if matches!(lost, Lost::Silent(_)) { 504 } else { 502 };
        if self.exchange.has_left() { Outcome::Truncated } else { Outcome::Refused(status) }
    }

    /// Why the worker was lost, as the supervisor knows it if it died.
    fn cause(&self, lost: &Lost) -> String {
        if !matches!(lost, Lost::Closed | Lost::Unread | Lost::Ended) {
            return lost.to_string();
        }
        let deadline = Instant::now() + NOTICE;
        loop {
            if let Some(ending) = self.ending() {
                return ending.to_string();
            }
            if Instant::now() >= deadline {
                return format!("{lost} (pid {})", self.admitted.place.pid());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn send_file(
    exchange: &mut Exchange<'_>,
    descriptor: Option<OwnedFd>,
    offset: u64,
    length: u64,
) -> Result<Result<(), SendError>, Lost> {
    let regular = descriptor.filter(unix::descriptor::is_regular);
    let descriptor = regular.ok_or(Lost::Nonsense(WireError::Malformed))?;
    let span = FileSpan { descriptor: descriptor.as_raw_fd(), offset, length };
    Ok(exchange.file(descriptor, span))
}
