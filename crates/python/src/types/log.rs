// SPDX-License-Identifier: Apache-2.0
//! The raw streams under `wsgi.errors`, `sys.stderr` and `sys.stdout` (requests §9.1 to 9.3).
//!
//! Python's own `io.TextIOWrapper` is put on top by `prelude.py`. Called on any thread; the log is written without
//! holding the interpreter.

use crate::abi;
use crate::callback::{Arguments, Definition, body, create, getter, method};
use crate::host::Host;
use crate::live::{Live, each_line, lock, pieces};
use crate::object::{Answer, Attached, Object, Ref};
use crate::raised::{Kind, Raised};
use crate::state::State;
use crate::streams;
use crate::types::input::View;
use model::event::Level;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Where a stream goes.
enum Target {
    /// The log of one request, replaced when the stream is used again for the next one.
    Request(Mutex<Arc<Live>>),
    /// The log of whatever request the calling thread runs, else the server's.
    Standard(&'static dyn Host, Mutex<Vec<u8>>),
}

/// The body of the Python object.
pub struct Log {
    target: Target,
    name: &'static str,
    state: State,
    /// Whether any method was called since the stream was given to a request.
    touched: AtomicBool,
}

impl Log {
    /// The raw stream of one request.
    pub fn of_request<'i>(state: State, attached: Attached<'i>, live: &Arc<Live>) -> Answer<'i> {
        let target = Target::Request(Mutex::new(Arc::clone(live)));
        Self::object(state, attached, target, "<wsgi.errors>")
    }

    /// A raw standard stream.
    pub fn standard<'i>(
        state: State,
        attached: Attached<'i>,
        host: &'static dyn Host,
        name: &'static str,
    ) -> Answer<'i> {
        Self::object(state, attached, Target::Standard(host, Mutex::default()), name)
    }

    fn object<'i>(state: State, attached: Attached<'i>, target: Target, name: &'static str) -> Answer<'i> {
        let class = state.tools(attached).log.borrow(attached);
        // SAFETY: [SELF] the class was defined for this body.
        unsafe { create(&class, Self { target, name, state, touched: AtomicBool::new(false) }) }
    }

    /// Gives a request's raw stream to another request. Answers whether that is possible: not if it was used.
    pub fn hand_over<'i>(state: State, stream: &Ref<'i>, live: &Arc<Live>) -> bool {
        if stream.kind().cast() != state.tools(stream.attached()).log.borrow(stream.attached()).as_ptr() {
            return false;
        }
        // SAFETY: [SELF] the type was just compared.
        let log: &Self = unsafe { body(stream.as_ptr()) };
        let Target::Request(current) = &log.target else { return false };
        if log.touched.load(Ordering::Relaxed) {
            return false;
        }
        *lock(current) = Arc::clone(live);
        true
    }

    /// The type, for [`crate::state`].
    pub(crate) fn class<'i>(attached: Attached<'i>, module: &Ref<'i>) -> Answer<'i> {
        Definition::<Self>::new(c"mod_wsgi.Log")
            .method(c"write", write)
            .method(c"writelines", writelines)
            .method(c"flush", flush)
            .method(c"close", flush)
            .method(c"isatty", negative)
            .method(c"readable", negative)
            .method(c"seekable", negative)
            .method(c"writable", positive)
            .method(c"fileno", fileno)
            .method(c"note", note)
            .getter(c"closed", closed)
            .getter(c"name", name)
            .getter(c"encoding", encoding)
            .getter(c"errors", errors)
            .create(attached, module)
    }

    /// The request this call belongs to, or an exception when it is over.
    fn request<'i>(&self, attached: Attached<'i>, method: &str) -> Answer<'i, Option<Arc<Live>>> {
        self.touched.store(true, Ordering::Relaxed);
        let live = match &self.target {
            Target::Standard(..) => return Ok(streams::current()),
            Target::Request(live) => Arc::clone(&lock(live)),
        };
        if !live.is_over() {
            return Ok(Some(live));
        }
        let message = format!("{method}() called on wsgi.errors after request completed");
        Err(Raised::new(attached, Kind::Runtime, &message))
    }

    fn print<'i>(&self, attached: Attached<'i>, method: &str, data: &[u8]) -> Answer<'i, ()> {
        let live = self.request(attached, method)?;
        attached.detached(|| match (&live, &self.target) {
            (Some(live), _) => {
                live.print(data);
            }
            (None, Target::Standard(host, partial)) => {
                each_line(&mut lock(partial), data, |line| pieces(line, |piece| host.log(Level::Error, piece)));
            }
            (None, Target::Request(_)) => {}
        });
        Ok(())
    }

    fn write<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        let Some(text) = arguments.count("write", 1, 1)?.get(0) else { return Ok(Object::none(attached)) };
        let data = self.data(attached, &text)?;
        self.print(attached, "write", &data)?;
        Object::integer(attached, i64::try_from(data.len()).unwrap_or(i64::MAX))
    }

    fn data<'i>(&self, attached: Attached<'i>, text: &Ref<'i>) -> Answer<'i, Vec<u8>> {
        if let Some(bytes) = text.as_bytes() {
            return Ok(bytes.to_vec());
        }
        if text.is_text() {
            self.state.tools(attached).warn_text.borrow(attached).call(&[])?;
            return text.as_utf8().map(<[u8]>::to_vec);
        }
        View::of(text, abi::BUFFER_SIMPLE).map(|view| view.to_vec())
    }

    fn writelines<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        let Some(lines) = arguments.count("writelines", 1, 1)?.get(0) else { return Ok(Object::none(attached)) };
        self.request(attached, "writelines")?;
        let lines = lines.iterator()?;
        while let Some(line) = lines.next()? {
            let data = self.data(attached, &line)?;
            self.print(attached, "writelines", &data)?;
        }
        Ok(Object::none(attached))
    }

    /// `flush()` and `close()`: both write an unfinished line and never fail.
    fn flush<'i>(&self, attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
        if let Ok(live) = self.request(attached, "flush") {
            attached.detached(|| match live {
                Some(live) => live.flush_partial(),
                None => self.flush_partial(),
            });
        }
        Ok(Object::none(attached))
    }

    fn flush_partial(&self) {
        if let Target::Standard(host, partial) = &self.target {
            let line = std::mem::take(&mut *lock(partial));
            if !line.is_empty() {
                pieces(&line, |piece| host.log(Level::Error, piece));
            }
        }
    }

    /// `note(line)`: a remark of ours at level info, used by `prelude.py`.
    fn note<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        let Some(line) = arguments.count("note", 1, 1)?.get(0) else { return Ok(Object::none(attached)) };
        let line = line.to_utf8()?;
        let live = self.request(attached, "note")?;
        attached.detached(|| match (live, &self.target) {
            (Some(live), _) => {
                live.log(Level::Info, &[line]);
            }
            (None, Target::Standard(host, _)) => host.log(Level::Info, line.as_bytes()),
            (None, Target::Request(_)) => {}
        });
        Ok(Object::none(attached))
    }

    fn negative<'i>(&self, attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
        Object::boolean(attached, false)
    }

    fn positive<'i>(&self, attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
        Object::boolean(attached, true)
    }

    fn fileno<'i>(&self, attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
        Err(Raised::new(attached, Kind::Os, "a log has no file descriptor"))
    }

    fn closed<'i>(&self, attached: Attached<'i>) -> Answer<'i> {
        Object::boolean(attached, false)
    }

    fn name<'i>(&self, attached: Attached<'i>) -> Answer<'i> {
        Object::text(attached, self.name)
    }

    fn encoding<'i>(&self, attached: Attached<'i>) -> Answer<'i> {
        Object::text(attached, "utf-8")
    }

    fn errors<'i>(&self, attached: Attached<'i>) -> Answer<'i> {
        Object::text(attached, "replace")
    }
}

method!(write for Log, Log::write);
method!(writelines for Log, Log::writelines);
method!(flush for Log, Log::flush);
method!(note for Log, Log::note);
method!(negative for Log, Log::negative);
method!(positive for Log, Log::positive);
method!(fileno for Log, Log::fileno);
getter!(closed for Log, Log::closed);
getter!(name for Log, Log::name);
getter!(encoding for Log, Log::encoding);
getter!(errors for Log, Log::errors);
