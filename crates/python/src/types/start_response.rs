// SPDX-License-Identifier: Apache-2.0
//! `start_response` and `write`: functions bound to one object per request (requests §5).

use crate::callback::{Arguments, Definition, create, method, row};
use crate::live::{Live, lock};
use crate::object::{Answer, Attached, Object, Ref};
use crate::output::{self, HeadBuffer};
use crate::process;
use crate::raised::{Kind, Raised};
use crate::state::State;
use model::event::Event;
use model::exchange::SendError;
use model::response::{Status, check_header};
use pyo3_ffi as ffi;
use std::ptr;
use std::sync::{Arc, OnceLock};

/// The body of the object that both functions are bound to.
pub struct Responder {
    live: Arc<Live>,
    state: State,
}

/// The rows of the two functions, which must live as long as any function made from them.
struct Rows {
    start_response: ffi::PyMethodDef,
    write: ffi::PyMethodDef,
}

// SAFETY: [STATIC] the rows point to static functions and names and are never written.
unsafe impl Sync for Rows {}
// SAFETY: [STATIC] see above.
unsafe impl Send for Rows {}

fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| Rows { start_response: row(c"start_response", start_response), write: row(c"write", write) })
}

fn bind<'i>(row: &'static ffi::PyMethodDef, to: &Ref<'i>) -> Answer<'i> {
    let row = ptr::from_ref(row).cast_mut();
    // SAFETY: [STATIC] the row is static and Python only reads it.
    let made = unsafe { ffi::PyCMethod_New(row, to.as_ptr(), ptr::null_mut(), ptr::null_mut()) };
    // SAFETY: [OWNED] the function returns a new reference or null with an exception.
    unsafe { Object::owned(to.attached(), made) }
}

impl Responder {
    /// `start_response` for a request.
    pub fn start_response<'i>(state: State, attached: Attached<'i>, live: &Arc<Live>) -> Answer<'i> {
        let class = state.tools(attached).responder.borrow(attached);
        // SAFETY: [SELF] the class was defined for this body.
        let responder = unsafe { create(&class, Self { live: Arc::clone(live), state }) }?;
        bind(&rows().start_response, &responder)
    }

    /// The type, for [`crate::state`].
    pub(crate) fn class<'i>(attached: Attached<'i>, module: &Ref<'i>) -> Answer<'i> {
        Definition::<Self>::new(c"mod_wsgi.Adapter")
            .method(c"start_response", start_response)
            .method(c"write", write)
            .create(attached, module)
    }

    fn check<'i>(&self, attached: Attached<'i>, function: &str) -> Answer<'i, ()> {
        if !self.live.is_over() {
            return Ok(());
        }
        let message = format!("{function}() called after request completed");
        Err(Raised::new(attached, Kind::Runtime, &message))
    }

    fn start<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "start_response")?;
        let arguments = arguments.count("start_response", 2, 3)?;
        let (Some(status), Some(headers)) = (arguments.get(0), arguments.get(1)) else {
            return Ok(Object::none(attached));
        };
        if !headers.is_list() {
            let message = format!("headers must be a list, not {}", headers.kind_name());
            return Err(Raised::new(attached, Kind::Type, &message));
        }
        let exception = arguments.get(2).filter(|given| !given.is_none());
        if exception.is_some_and(|given| !given.is_tuple()) {
            return Err(Raised::new(attached, Kind::Runtime, "exc_info must be a tuple or None"));
        }
        if lock(&self.live.answer).is_committed() {
            return Err(match exception {
                Some(given) => match self.state.tools(attached).again.borrow(attached).call(&[given]) {
                    Ok(_) => Raised::new(attached, Kind::Type, "exc_info holds no exception"),
                    Err(raised) => raised,
                },
                None => Raised::new(attached, Kind::Runtime, "start_response() was called after headers were sent"),
            });
        }
        let head = self.head(&status, &headers)?;
        lock(&self.live.answer).start(head);
        bind(&rows().write, &arguments.this())
    }

    fn head<'i>(&self, status: &Ref<'i>, headers: &Ref<'i>) -> Answer<'i, HeadBuffer> {
        let attached = status.attached();
        let mut text = Vec::with_capacity(64);
        latin1(status, "status", &mut text)?;
        let parsed = Status::parse(&text);
        let parsed = parsed.map_err(|error| Raised::new(attached, Kind::Value, &error.to_string()))?;
        let mut head = HeadBuffer::new(parsed.code, parsed.reason);
        let (mut name, mut value) = (Vec::with_capacity(64), Vec::with_capacity(256));
        for index in 0..headers.sequence_length() {
            let header = headers.item(index)?;
            if !header.is_tuple() {
                let message = format!("each header must be a tuple, not {}", header.kind_name());
                return Err(Raised::new(attached, Kind::Type, &message));
            }
            if header.sequence_length() != 2 {
                return Err(Raised::new(attached, Kind::Value, "each header must be a tuple of name and value"));
            }
            name.clear();
            value.clear();
            latin1(&*header.item(0)?, "header name", &mut name)?;
            latin1(&*header.item(1)?, "header value", &mut value)?;
            let length = check_header(&name, &value).map_err(|error| {
                let message = format!("{error}: {}", String::from_utf8_lossy(&name).escape_debug());
                Raised::new(attached, Kind::Value, &message)
            })?;
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.ignore_header(attached, &name);
                continue;
            }
            head.add(&name, &value, length);
        }
        Ok(head)
    }

    fn ignore_header(&self, attached: Attached<'_>, name: &[u8]) {
        let script = self.live.script();
        if process::is_first_ignored_header(&script) {
            let event = Event::HeaderIgnored { script, header: String::from_utf8_lossy(name).into_owned() };
            attached.detached(|| self.live.report(&event));
        }
    }

    fn write<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "write")?;
        let Some(data) = arguments.count("write", 1, 1)?.get(0) else { return Ok(Object::none(attached)) };
        match output::write(&self.live, &data)? {
            Ok(()) => Ok(Object::none(attached)),
            Err(SendError::ClientGone) => {
                let class = self.state.tools(attached).client_disconnected.borrow(attached);
                Err(Raised::of(&class, "mod_wsgi client connection closed"))
            }
            Err(error) => {
                let message = format!("mod_wsgi failed to write response data: {error}");
                Err(Raised::new(attached, Kind::Os, &message))
            }
        }
    }
}

method!(start_response for Responder, Responder::start);
method!(write for Responder, Responder::write);

/// Appends the latin-1 form of a `str`.
fn latin1<'i>(text: &Ref<'i>, what: &str, into: &mut Vec<u8>) -> Answer<'i, ()> {
    if text.is_text() {
        return text.append_latin1(into);
    }
    let message = format!("{what} must be str, not {}", text.kind_name());
    Err(Raised::new(text.attached(), Kind::Type, &message))
}
