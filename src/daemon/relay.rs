// SPDX-License-Identifier: Apache-2.0
//! A request that runs in a worker: the call goes there, the body as it is asked for, the answer comes back.
//!
//! In a child, on the request's thread.

#![forbid(unsafe_code)]

use super::Channel;
use super::connection::{Connection, Lost};
use crate::apache::log;
use crate::apache::request::Request;
use crate::embedded::table::slice;
use crate::embedded::{self, Script};
use crate::environ::Environ;
use crate::exchange::Exchange;
use model::daemon::Ownership;
use model::event::Event;
use model::exchange::{FileSpan, Head, Outcome};
use model::resolve::{Refusal, Target};
use model::wire::{Call, Entry, Failure, ToServer, ToWorker};
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much of a body is read at a time.
const PIECE: usize = 64 << 10;
/// How often a child that waits for a worker looks whether its client is still there.
const GLANCE: Duration = Duration::from_millis(500);
/// How often a request is sent again that no worker has started.
const ATTEMPTS: u32 = 5;

/// Runs the request in the group of `channel`.
pub fn run(
    channel: &Channel,
    request: Request<'_>,
    script: Script<'_>,
    environ: &Environ<'_>,
    exchange: &mut Exchange<'_>,
) -> Result<Outcome, Refusal> {
    let group = || String::from_utf8_lossy(&script.target.process_group).into_owned();
    let unavailable = |reason: String| Refusal::GroupUnavailable { process_group: group(), reason };
    check_owner(channel, request).map_err(|problem| Refusal::ScriptOwner { process_group: group(), problem })?;
    let mut call = call(request, script, environ);
    if let Some(root) = &channel.root {
        let outside = || Refusal::OutsideRoot { process_group: group(), root: root.clone() };
        super::root::enter(root, &mut call).ok_or_else(outside)?;
    }
    let timeout = channel.socket_timeout.or_else(|| request.server().map(|server| server.timeout()));
    let deadline = Instant::now() + channel.connect_timeout;
    for _ in 0..ATTEMPTS {
        let rest = deadline.saturating_duration_since(Instant::now());
        let stream = unix::channel::dial(&channel.address, rest).map_err(|error| unavailable(error.to_string()))?;
        let connection = Connection::new(stream, timeout.unwrap_or(Duration::from_secs(60)));
        let mut relay = Relay { connection, exchange: &mut *exchange, started: false, aborted: false };
        match relay.run(channel, &call) {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(lost) => return Ok(relay.give_up(script.target, &lost)),
        }
    }
    Err(unavailable("its processes do not start the request".to_owned()))
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
        request_start: request.received(),
        environ: environ.entries().iter().map(entry).collect(),
    }
}

struct Relay<'e, 'r> {
    connection: Connection,
    exchange: &'e mut Exchange<'r>,
    /// Whether the worker has said anything.
    started: bool,
    /// Whether it was told that the client is gone.
    aborted: bool,
}

/// What a frame leads to.
enum Step {
    Go,
    Ended(Outcome),
    NotStarted,
    Want(u32),
}

impl Relay<'_, '_> {
    /// The outcome, or `None` if the application was not called.
    fn run(&mut self, channel: &Channel, call: &Call<'_>) -> Result<Option<Outcome>, Lost> {
        let hello = ToWorker::Hello { build_id: model::BUILD_ID.as_bytes(), key: channel.key };
        self.connection.send(&[hello, ToWorker::Call(call.clone())])?;
        loop {
            self.wait()?;
            match self.step()? {
                Step::Go => {}
                Step::Ended(outcome) => return Ok(Some(outcome)),
                Step::NotStarted => return Ok(None),
                Step::Want(most) => self.send_body(most)?,
            }
        }
    }

    /// Waits for a frame, and meanwhile looks after the client.
    fn wait(&mut self) -> Result<(), Lost> {
        let deadline = Instant::now() + self.connection.patience();
        while !self.connection.is_readable(GLANCE) && Instant::now() < deadline {
            if !self.aborted && self.exchange.request.client_has_left() {
                self.abort()?;
            }
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Lost> {
        self.aborted = true;
        self.connection.send(&[ToWorker::Abort])
    }

    fn step(&mut self) -> Result<Step, Lost> {
        let (frame, descriptor) = self.connection.next()?;
        if matches!(frame, ToServer::NotStarted) && !self.started {
            return Ok(Step::NotStarted);
        }
        self.started = true;
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
            ToServer::File { offset, length } => Self::send_file(self.exchange, descriptor, offset, length)?,
            ToServer::Flush => self.exchange.flush(),
            ToServer::End => return Ok(Step::Ended(Outcome::Complete)),
            ToServer::Failed(Failure::Refused(status)) => return Ok(Step::Ended(Outcome::Refused(status))),
            ToServer::Failed(Failure::ClientGone) => return Ok(Step::Ended(Outcome::ClientGone)),
            ToServer::Failed(Failure::Truncated) | ToServer::NotStarted => return Ok(Step::Ended(Outcome::Truncated)),
        };
        if sent.is_err() && !self.aborted {
            self.abort()?;
        }
        Ok(Step::Go)
    }

    fn send_file(
        exchange: &mut Exchange<'_>,
        descriptor: Option<OwnedFd>,
        offset: u64,
        length: u64,
    ) -> Result<Result<(), model::exchange::SendError>, Lost> {
        let regular = descriptor.filter(unix::descriptor::is_regular);
        let descriptor = regular.ok_or(Lost::Nonsense(model::wire::WireError::Malformed))?;
        let span = FileSpan { descriptor: descriptor.as_raw_fd(), offset, length };
        Ok(exchange.file(descriptor, span))
    }

    /// Sends the next part of the body. What is read while the client waits for nothing else is up to the worker.
    fn send_body(&mut self, most: u32) -> Result<(), Lost> {
        let mut piece = vec![0; usize::try_from(most).unwrap_or(PIECE).clamp(1, PIECE)];
        let frame = match self.exchange.read(&mut piece) {
            Ok(0) => ToWorker::BodyEnd,
            Ok(length) => ToWorker::Body(piece.get(..length).unwrap_or_default()),
            Err(error) => ToWorker::BodyFailed(error),
        };
        self.connection.send(&[frame])
    }

    /// The worker is gone or makes no sense: the client sees an error, or an answer that is cut off.
    fn give_up(&mut self, target: &Target<'_>, lost: &Lost) -> Outcome {
        let process_group = String::from_utf8_lossy(&target.process_group).into_owned();
        let script = String::from_utf8_lossy(target.script).into_owned();
        if self.aborted {
            return Outcome::ClientGone;
        }
        let event = Event::WorkerLost { process_group, script, reason: lost.to_string() };
        log::request_event(&self.exchange.request, &event);
        let status = if matches!(lost, Lost::Silent(_)) { 504 } else { 502 };
        if self.exchange.has_left() { Outcome::Truncated } else { Outcome::Refused(status) }
    }
}
