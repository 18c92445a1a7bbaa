// SPDX-License-Identifier: Apache-2.0
//! One request through one application: find the interpreter, the script and the callable, call it, send what it
//! returns, close it, and say how it ended (requests §6).
//!
//! Runs on the server's request thread, which holds no interpreter before and after.

use crate::environ;
use crate::interrupt::Ticket;
use crate::live::{Live, lock};
use crate::object::{Answer, Attached, Object};
use crate::output::{Remainder, Stop, note_failure, produce};
use crate::process::{Process, Unavailable};
use crate::raised::Raised;
use crate::script::Site;
use crate::state::State;
use crate::streams;
use crate::thread::Seat;
use crate::types::log::Log;
use crate::types::start_response::Responder;
use model::embedded::Entry;
use model::event::{Event, Level};
use model::exchange::{Exchange, Outcome, ReadError, SendError};
use model::response::Measure;
use std::cell::OnceCell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

/// What becomes of a request for a script that has changed since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reload {
    /// The script is loaded again.
    #[default]
    InPlace,
    /// The request is not started: another process has the new script.
    Elsewhere,
}

/// One request, resolved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Job<'a> {
    /// The interpreter's name; empty for the main interpreter.
    pub application_group: &'a [u8],
    /// Path of the script file.
    pub script: &'a [u8],
    /// Modification time of the script in microseconds since the epoch.
    pub script_mtime: i64,
    /// Name of the global to call.
    pub callable: &'a [u8],
    /// Whether a changed script counts.
    pub script_reloading: bool,
    /// What it leads to.
    pub reload: Reload,
    /// How the request can be interrupted.
    pub ticket: Option<&'a Ticket>,
    /// Whether `wsgi.url_scheme` is `https`.
    pub https: bool,
    /// Whether the client sent HEAD.
    pub head_request: bool,
    /// When the server received the request, microseconds since the epoch.
    pub request_start: i64,
    /// When it was given to the process group, and when a process of it took it; 0 where there is none.
    pub handed_over: [i64; 2],
    /// The environ, except what is added here.
    pub environ: &'a [Entry<'a>],
    /// Argument of `reload_required()`.
    pub resource: &'a [u8],
    /// The server's record of the request, if the application is to see it.
    pub record: Option<NonNull<c_void>>,
}

/// A request while its thread holds the interpreter.
pub(crate) struct Run<'i, 'r> {
    pub(crate) attached: Attached<'i>,
    pub(crate) state: State,
    pub(crate) live: &'r Arc<Live>,
    pub(crate) seat: &'r Seat,
    pub(crate) process: &'r Process,
    /// The capsule in which the application sees the server's record.
    pub(crate) record: OnceCell<Object<'i>>,
}

/// How a request goes on once the interpreter was let go.
enum Next {
    Ended(Outcome),
    /// Send the rest; then this is how it ended, if sending works.
    Send(Remainder, Outcome),
}

/// Handles one request.
pub fn handle(process: &Process, job: &Job<'_>, exchange: &mut dyn Exchange) -> Outcome {
    let opened = Live::open(exchange, job.script, job.head_request);
    let live = opened.live();
    let Some(_inside) = process.enter() else {
        live.report(&Event::ServerStopping { script: live.script() });
        return Outcome::Refused(503);
    };
    let _present = job.ticket.map(Ticket::present);
    let seat = match process.seat(job.application_group) {
        Ok(seat) => seat,
        Err(unavailable) => return refuse(live, job, unavailable),
    };
    let next = seat.attach(|attached| {
        let _seated = job.ticket.map(|ticket| ticket.sit(attached, &seat));
        let state = seat.interpreter.state();
        Run { attached, state, live, seat: &seat, process, record: OnceCell::new() }.request(job)
    });
    match next {
        Next::Ended(outcome) => outcome,
        Next::Send(remainder, outcome) => match note_failure(live, remainder.send(live)) {
            Ok(()) => outcome,
            Err(SendError::ClientGone) => Outcome::ClientGone,
            Err(SendError::Failed) => Outcome::Truncated,
        },
    }
}

/// Loads a script ahead of requests.
pub fn preload(process: &Process, job: &Job<'_>, exchange: &mut dyn Exchange) {
    let opened = Live::open(exchange, job.script, false);
    let live = opened.live();
    let Some(_inside) = process.enter() else { return };
    let loaded = match process.seat(job.application_group) {
        Err(unavailable) => {
            refuse(live, job, unavailable);
            false
        }
        Ok(seat) => seat.attach(|attached| {
            let _running = streams::run(live);
            let state = seat.interpreter.state();
            let run = Run { attached, state, live, seat: &seat, process, record: OnceCell::new() };
            let loaded = state.tools(attached).scripts.find(job.script, process.facts()).namespace(&run, job);
            matches!(loaded, Ok(_) | Err(Outcome::Complete))
        }),
    };
    live.flush_partial();
    if !loaded {
        live.report(&Event::PreloadFailed {
            script: live.script(),
            application_group: String::from_utf8_lossy(job.application_group).into_owned(),
            reason: "see the messages before".to_owned(),
        });
    }
}

fn refuse(live: &Live, job: &Job<'_>, unavailable: Unavailable) -> Outcome {
    let application_group = String::from_utf8_lossy(job.application_group).into_owned();
    let (event, status) = match unavailable {
        Unavailable::Limit(limit) => (Event::InterpreterLimit { application_group, limit }, 503),
        Unavailable::Failed(reason) => (Event::InterpreterFailed { application_group, reason }, 500),
        Unavailable::Stopping => (Event::ServerStopping { script: live.script() }, 503),
    };
    live.report(&event);
    Outcome::Refused(status)
}

impl<'i> Run<'i, '_> {
    fn request(&self, job: &Job<'_>) -> Next {
        let running = streams::run(self.live);
        let next = match self.prepare(job) {
            Ok((site, application)) => self.serve(job, &site, &application),
            Err(outcome) => Next::Ended(outcome),
        };
        if !lock(&self.live.partial).is_empty() {
            self.attached.detached(|| self.live.flush_partial());
        }
        self.live.finish();
        if let Some(record) = self.record.get() {
            record.expire(c"the record of a request that is over");
        }
        drop(running);
        next
    }

    /// The callable, and what its requests have in common.
    fn prepare(&self, job: &Job<'_>) -> Result<(Arc<Site>, Object<'i>), Outcome> {
        let script = self.state.tools(self.attached).scripts.find(job.script, self.process.facts());
        let namespace = script.namespace(self, job)?;
        let found = script.site(job, || self.site(job)).and_then(|site| {
            let callable = namespace.dict_item(&site.name.borrow(self.attached))?;
            Ok((site, callable))
        });
        match found {
            Ok((site, Some(callable))) => Ok((site, callable)),
            Ok((_, None)) => {
                let callable = String::from_utf8_lossy(job.callable).into_owned();
                let event = Event::CallableMissing { script: self.live.script(), callable };
                self.attached.detached(|| self.live.report(&event));
                Err(Outcome::Refused(500))
            }
            Err(raised) => Err(self.failed(&raised)),
        }
    }

    fn site(&self, job: &Job<'_>) -> Answer<'i, Site> {
        let template = environ::template(self.attached, self.state, self.process.facts(), job)?;
        Ok(Site {
            callable: job.callable.to_vec(),
            https: job.https,
            name: Object::latin1(self.attached, job.callable)?.keep(),
            template: template.keep(),
            shapes: Mutex::default(),
        })
    }

    /// Calls the application and sends its answer.
    fn serve(&self, job: &Job<'_>, site: &Site, application: &Object<'i>) -> Next {
        let (produced, result) = match self.call(job, site, application) {
            Ok(result) => (produce(self, &result), Some(result)),
            Err(raised) => (Err(Stop::Raised(raised)), None),
        };
        let next = match produced {
            Ok(remainder) => Next::Send(remainder, self.measured()),
            Err(Stop::Raised(raised)) => Next::Ended(self.failed(&raised)),
            Err(Stop::Send(SendError::ClientGone)) => Next::Ended(Outcome::ClientGone),
            Err(Stop::Send(SendError::Failed)) => Next::Ended(Outcome::Truncated),
        };
        match result {
            Some(result) if !(result.is_exactly_list() || result.is_exactly_tuple()) => self.close(&result, next),
            _ => next,
        }
    }

    /// Calls `close()` of what the application returned, after everything was sent.
    fn close(&self, result: &Object<'i>, next: Next) -> Next {
        let next = match next {
            Next::Send(remainder, outcome) if remainder.is_empty() => Next::Ended(outcome),
            Next::Send(remainder, outcome) => {
                let sent = self.attached.detached(|| remainder.send(self.live));
                Next::Ended(match note_failure(self.live, sent) {
                    Ok(()) => outcome,
                    Err(SendError::ClientGone) => Outcome::ClientGone,
                    Err(SendError::Failed) => Outcome::Truncated,
                })
            }
            ended @ Next::Ended(_) => ended,
        };
        let closed = result.optional_attribute(c"close").and_then(|close| match close {
            Some(close) => close.call(&[]).map(drop),
            None => Ok(()),
        });
        if let Err(raised) = closed {
            if self.is_timeout(&raised) {
                return next;
            }
            let (script, interpreter) = (self.live.script(), self.seat.interpreter.place());
            self.log_raised(&raised, |exception| Event::CloseFailed { script, interpreter, exception });
        }
        next
    }

    fn call(&self, job: &Job<'_>, site: &Site, application: &Object<'i>) -> Answer<'i> {
        let (errors, raw) = self.errors()?;
        let environ = environ::build(self, site, job, &errors)?;
        let start_response = Responder::start_response(self.state, self.attached, self.live)?;
        let result = application.call(&[*environ, *start_response]);
        drop(start_response);
        drop(environ);
        // Nobody else has them and they were not used (the next user checks that): they can serve another request.
        if errors.reference_count() == 1 && raw.reference_count() == 2 {
            *lock(&self.seat.spare) = Some((errors.keep(), raw.keep()));
        }
        result
    }

    /// `wsgi.errors`, with the raw stream under it.
    fn errors(&self) -> Answer<'i, (Object<'i>, Object<'i>)> {
        let spare = lock(&self.seat.spare).take();
        if let Some((stream, raw)) = spare {
            let pair = (stream.bind(self.attached), raw.bind(self.attached));
            stream.release(self.attached);
            raw.release(self.attached);
            if Log::hand_over(self.state, &pair.1, self.live) {
                return Ok(pair);
            }
        }
        let raw = Log::of_request(self.state, self.attached, self.live)?;
        let stream = self.state.tools(self.attached).stream.borrow(self.attached).call(&[*raw])?;
        Ok((stream, raw))
    }

    /// The outcome of an answer that was produced without an exception.
    fn measured(&self) -> Outcome {
        let measure = lock(&self.live.answer).measure();
        match measure {
            Measure::Exact => Outcome::Complete,
            Measure::Short { .. } if self.attached.detached(|| self.live.is_aborted()) => Outcome::ClientGone,
            Measure::Short { declared, produced } => {
                let event = Event::ShortAnswer { script: self.live.script(), declared, produced };
                self.attached.detached(|| self.live.report(&event));
                Outcome::Truncated
            }
            Measure::Long { declared, produced } => {
                let event = Event::LongAnswer { script: self.live.script(), declared, produced };
                self.attached.detached(|| self.live.report(&event));
                Outcome::Complete
            }
        }
    }

    /// The outcome of a request whose application raised.
    fn failed(&self, raised: &Raised<'i>) -> Outcome {
        let (committed, failed) = {
            let answer = lock(&self.live.answer);
            (answer.is_committed(), answer.failed())
        };
        let unread = lock(&self.live.body).error;
        if self.is_timeout(raised) {
            return if committed { Outcome::Truncated } else { Outcome::Refused(504) };
        }
        match (committed, failed, unread) {
            (_, Some(SendError::ClientGone), _) | (_, _, Some(ReadError::ClientGone)) => {
                let line = format!("client gone; the application raised {}", raised.summary());
                self.attached.detached(|| self.live.log(Level::Debug, &[line]));
                Outcome::ClientGone
            }
            (false, _, Some(ReadError::TooLarge)) => {
                let event = Event::BodyTooLarge { script: self.live.script() };
                self.attached.detached(|| self.live.report(&event));
                Outcome::Refused(413)
            }
            (false, _, Some(ReadError::TimedOut)) => {
                let line = format!("timed out waiting for the body; the application raised {}", raised.summary());
                self.attached.detached(|| self.live.log(Level::Info, &[line]));
                Outcome::Refused(408)
            }
            (committed, ..) => {
                self.log_failure(raised);
                if committed { Outcome::Truncated } else { Outcome::Refused(500) }
            }
        }
    }

    /// Whether the request was interrupted because it takes too long, which whoever did that has logged.
    pub(crate) fn is_timeout(&self, raised: &Raised<'i>) -> bool {
        let class = self.state.tools(self.attached).request_timeout.borrow(self.attached);
        let is_timeout = raised.exception().is_instance(&class).unwrap_or(false);
        if is_timeout {
            let line = format!("'{}' was interrupted", self.live.script());
            self.attached.detached(|| self.live.log(Level::Info, &[line]));
        }
        is_timeout
    }

    fn log_failure(&self, raised: &Raised<'i>) {
        let (script, interpreter) = (self.live.script(), self.seat.interpreter.place());
        self.log_raised(raised, |exception| Event::ApplicationFailed { script, interpreter, exception });
    }

    /// Logs an event about an exception, then its traceback line by line.
    pub(crate) fn log_raised(&self, raised: &Raised<'i>, event: impl FnOnce(String) -> Event) {
        let (summary, lines) = raised.describe(self.state);
        let event = event(summary);
        self.attached.detached(|| {
            self.live.report(&event);
            self.live.log(Level::Error, &lines);
        });
    }
}
