// SPDX-License-Identifier: Apache-2.0
//! `wsgi.input`: pulls the request body (requests §4).
//!
//! Used by application code on the request's thread and, if the application likes, on others; each method takes the
//! body's lock without holding the interpreter, so calls from two threads follow one another.

use crate::callback::{Arguments, Definition, create, getter, method, next};
use crate::live::{Live, lock};
use crate::object::{Answer, Attached, Object, Ref};
use crate::raised::{Kind, Raised};
use crate::state::State;
use crate::{abi, live};
use model::exchange::ReadError;
use pyo3_ffi as ffi;
use std::slice;
use std::sync::Arc;

/// What is read from the server at once when the application asks for less.
const BLOCK: usize = 16 * 1024;
/// How much a result grows at first; it doubles after that, so a huge size costs nothing until the data is there.
const GROWTH: usize = 64 * 1024;
/// Results up to this size are read straight into their `bytes` object.
const DIRECT: usize = 1024 * 1024;

/// The body of the Python object.
pub struct Input {
    live: Arc<Live>,
    state: State,
}

/// Why reading stopped.
enum Stop {
    Over,
    Again,
    Failed(ReadError),
}

impl live::Body {
    fn available(&self) -> &[u8] {
        self.residual.get(self.start..).unwrap_or_default()
    }

    /// Moves up to `most` bytes that are at hand into `result`.
    fn move_to(&mut self, result: &mut Vec<u8>, most: usize) {
        let count = self.available().len().min(most);
        result.extend_from_slice(self.available().get(..count).unwrap_or_default());
        self.start += count;
        if self.start == self.residual.len() {
            self.residual.clear();
            self.start = 0;
        }
    }

    fn check(&self) -> Result<(), Stop> {
        if self.error.is_some() { Err(Stop::Again) } else { Ok(()) }
    }

    /// One read from the server into `place`; notes the end or the error.
    fn pull(&mut self, live: &Live, place: &mut [u8]) -> Result<usize, Stop> {
        if live.is_over() {
            return Err(Stop::Over);
        }
        match live.read_body(place) {
            Ok(0) => {
                self.ended = true;
                Ok(0)
            }
            Ok(count) => Ok(count.min(place.len())),
            Err(error) => {
                self.error = Some(error);
                Err(Stop::Failed(error))
            }
        }
    }

    /// Makes at least one more byte available, unless the body has ended.
    fn refill(&mut self, live: &Live) -> Result<(), Stop> {
        let mut block = std::mem::take(&mut self.residual);
        let kept = block.len();
        block.resize(kept + BLOCK, 0);
        let pulled = self.pull(live, block.get_mut(kept..).unwrap_or_default());
        block.truncate(kept + pulled.as_ref().map_or(0, |count| *count));
        self.residual = block;
        pulled.map(drop)
    }

    fn read(&mut self, live: &Live, most: usize) -> Result<Vec<u8>, Stop> {
        self.check()?;
        let mut result = Vec::new();
        self.move_to(&mut result, most);
        while result.len() < most && !self.ended {
            let missing = most - result.len();
            if missing < BLOCK {
                self.refill(live)?;
                self.move_to(&mut result, missing);
                continue;
            }
            let length = result.len();
            result.resize(length + missing.min(length.max(GROWTH)), 0);
            let count = self.pull(live, result.get_mut(length..).unwrap_or_default())?;
            result.truncate(length + count);
        }
        Ok(result)
    }

    /// Fills as much of `place` as the body has.
    fn read_into(&mut self, live: &Live, place: &mut [u8]) -> Result<usize, Stop> {
        self.check()?;
        let at_hand = self.available().len().min(place.len());
        let (first, _) = place.split_at_mut(at_hand);
        first.copy_from_slice(self.available().get(..at_hand).unwrap_or_default());
        self.move_to(&mut Vec::new(), at_hand);
        let mut filled = at_hand;
        while filled < place.len() && !self.ended {
            filled += self.pull(live, place.get_mut(filled..).unwrap_or_default())?;
        }
        Ok(filled)
    }

    fn read_line(&mut self, live: &Live, most: usize) -> Result<Vec<u8>, Stop> {
        self.check()?;
        let mut seen = 0;
        loop {
            let available = self.available();
            let end = available.iter().skip(seen).position(|byte| *byte == b'\n').map(|place| seen + place + 1);
            let length = end.unwrap_or(available.len());
            if end.is_some() || length >= most || self.ended {
                let mut line = Vec::new();
                self.move_to(&mut line, length.min(most));
                return Ok(line);
            }
            seen = available.len();
            self.refill(live)?;
        }
    }
}

fn usize_of(size: isize) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

impl Input {
    /// `wsgi.input` of a request.
    pub fn object<'i>(state: State, attached: Attached<'i>, live: &Arc<Live>) -> Answer<'i> {
        let input = Self { live: Arc::clone(live), state };
        let class = state.tools(attached).input.borrow(attached);
        // SAFETY: [SELF] the class was defined for this body.
        unsafe { create(&class, input) }
    }

    /// The type, for [`crate::state`].
    pub(crate) fn class<'i>(attached: Attached<'i>, module: &Ref<'i>) -> Answer<'i> {
        Definition::<Self>::new(c"mod_wsgi.Input")
            .method(c"read", read)
            .method(c"readline", readline)
            .method(c"readlines", readlines)
            .method(c"readinto", readinto)
            .method(c"readable", readable)
            .method(c"close", close)
            .getter(c"closed", closed)
            .iterator(next_line)
            .create(attached, module)
    }

    fn check<'i>(&self, attached: Attached<'i>, method: &str) -> Answer<'i, ()> {
        if !self.live.is_over() {
            return Ok(());
        }
        let message = format!("{method}() called on wsgi.input after request completed");
        Err(Raised::new(attached, Kind::Runtime, &message))
    }

    fn raise<'i>(&self, attached: Attached<'i>, stop: &Stop, method: &str) -> Raised<'i> {
        let tools = self.state.tools(attached);
        let (class, cause) = match stop {
            Stop::Over => match self.check(attached, method) {
                Err(raised) => return raised,
                Ok(()) => (&tools.read_error, "the request is over".to_owned()),
            },
            Stop::Again => (&tools.read_error, "input is already in error state".to_owned()),
            Stop::Failed(ReadError::ClientGone) => (&tools.client_disconnected, ReadError::ClientGone.to_string()),
            Stop::Failed(ReadError::TimedOut) => (&tools.read_timeout, ReadError::TimedOut.to_string()),
            Stop::Failed(ReadError::TooLarge) => (&tools.read_too_large, ReadError::TooLarge.to_string()),
            Stop::Failed(other) => (&tools.read_error, other.to_string()),
        };
        Raised::of(&class.borrow(attached), &format!("mod_wsgi request data read error: {cause}"))
    }

    /// Runs `work` on the body without the interpreter.
    fn with<'i, T: Send>(
        &self,
        attached: Attached<'i>,
        method: &str,
        work: impl FnOnce(&mut live::Body, &Live) -> Result<T, Stop> + Send,
    ) -> Answer<'i, T> {
        let live = &self.live;
        let done = attached.detached(|| work(&mut lock(&live.body), live));
        done.map_err(|stop| self.raise(attached, &stop, method))
    }

    fn read<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "read")?;
        let size = size(arguments.count("read", 0, 1)?)?;
        match usize::try_from(size) {
            Ok(0) => Object::bytes(attached, b""),
            Ok(most) if (BLOCK..=DIRECT).contains(&most) => self.read_direct(attached, most),
            _ => {
                let data = self.with(attached, "read", |body, live| body.read(live, usize_of(size)))?;
                Object::bytes(attached, &data)
            }
        }
    }

    /// Reads into the memory of the `bytes` object to be returned.
    fn read_direct<'i>(&self, attached: Attached<'i>, most: usize) -> Answer<'i> {
        // SAFETY: [GIL] null makes an uninitialised object of that size.
        let mut made = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), most as isize) };
        // SAFETY: [OWNED] the function returns a new reference or null with an exception.
        let bytes = unsafe { Object::owned(attached, made) }?;
        // SAFETY: [GIL] it is a bytes object.
        let start = unsafe { ffi::PyBytes_AsString(made) }.cast::<u8>();
        // SAFETY: [BYTES] the object is new and has room for `most` bytes; zeroed so that all are initialised.
        unsafe { start.write_bytes(0, most) };
        // SAFETY: [BYTES] nobody else has seen the object yet, so nobody else reads or writes its data.
        let place = unsafe { slice::from_raw_parts_mut(start, most) };
        let filled = self.with(attached, "read", |body, live| body.read_into(live, place))?;
        if filled == most {
            return Ok(bytes);
        }
        let _given_away = bytes.into_ptr();
        // SAFETY: [OWNED] the only reference is given away and replaced, by null with an exception on failure.
        let _checked_below = unsafe { (attached.abi().resize_bytes)(&raw mut made, filled as isize) };
        // SAFETY: [OWNED] see above.
        unsafe { Object::owned(attached, made) }
    }

    fn readline<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "readline")?;
        let size = size(arguments.count("readline", 0, 1)?)?;
        let line = self.with(attached, "readline", |body, live| body.read_line(live, usize_of(size)))?;
        Object::bytes(attached, &line)
    }

    fn readlines<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "readlines")?;
        let hint = size(arguments.count("readlines", 0, 1)?)?;
        let lines = self.with(attached, "readlines", |body, live| {
            let (mut lines, mut total) = (Vec::new(), 0);
            loop {
                let line = body.read_line(live, usize::MAX)?;
                total += line.len();
                if line.is_empty() {
                    return Ok(lines);
                }
                lines.push(line);
                if hint > 0 && total >= usize_of(hint) {
                    return Ok(lines);
                }
            }
        })?;
        let list = self.state.tools(attached).list.borrow(attached).call(&[])?;
        for line in lines {
            list.append(&*Object::bytes(attached, &line)?)?;
        }
        Ok(list)
    }

    fn readinto<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "readinto")?;
        let arguments = arguments.count("readinto", 1, 1)?;
        let Some(target) = arguments.get(0) else { return Ok(Object::none(attached)) };
        let mut view = View::of(&target, abi::BUFFER_WRITABLE)?;
        let place = view.as_mut();
        let filled = self.with(attached, "readinto", |body, live| body.read_into(live, place))?;
        Object::integer(attached, i64::try_from(filled).unwrap_or(i64::MAX))
    }

    fn next<'i>(&self, attached: Attached<'i>) -> Answer<'i, Option<Object<'i>>> {
        if self.live.is_over() {
            let message = "iteration of wsgi.input attempted after request completed";
            return Err(Raised::new(attached, Kind::Runtime, message));
        }
        let line = self.with(attached, "__next__", |body, live| body.read_line(live, usize::MAX))?;
        if line.is_empty() { Ok(None) } else { Object::bytes(attached, &line).map(Some) }
    }

    fn readable<'i>(&self, attached: Attached<'i>, _arguments: Arguments<'_, 'i>) -> Answer<'i> {
        Object::boolean(attached, true)
    }

    fn close<'i>(&self, attached: Attached<'i>, arguments: Arguments<'_, 'i>) -> Answer<'i> {
        self.check(attached, "close")?;
        arguments.count("close", 0, 0)?;
        Ok(Object::none(attached))
    }

    fn closed<'i>(&self, attached: Attached<'i>) -> Answer<'i> {
        Object::boolean(attached, false)
    }
}

method!(read for Input, Input::read);
method!(readline for Input, Input::readline);
method!(readlines for Input, Input::readlines);
method!(readinto for Input, Input::readinto);
method!(readable for Input, Input::readable);
method!(close for Input, Input::close);
getter!(closed for Input, Input::closed);
next!(next_line for Input, Input::next);

/// The optional size argument: missing, `None` and negative numbers mean everything.
fn size<'i>(arguments: Arguments<'_, 'i>) -> Answer<'i, isize> {
    match arguments.get(0) {
        None => Ok(-1),
        Some(size) if size.is_none() => Ok(-1),
        Some(size) => size.to_index(),
    }
}

/// A view of the memory of a bytes-like object.
pub(crate) struct View<'i> {
    buffer: abi::Buffer,
    attached: Attached<'i>,
}

impl<'i> View<'i> {
    pub(crate) fn of(object: &Ref<'i>, flags: std::ffi::c_int) -> Answer<'i, Self> {
        let attached = object.attached();
        let mut view = Self { buffer: abi::Buffer::empty(), attached };
        // SAFETY: [GIL] the object is alive; on failure the view stays empty, which releasing it accepts.
        match unsafe { (attached.abi().get_buffer)(object.as_ptr(), &raw mut view.buffer, flags) } {
            0 => Ok(view),
            _ => Err(Raised::take(attached)),
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        if self.buffer.length == 0 {
            return Vec::new();
        }
        // SAFETY: [BYTES] the exporter keeps this memory in place until the view is released.
        unsafe { slice::from_raw_parts(self.buffer.data.cast::<u8>(), self.buffer.length as usize) }.to_vec()
    }

    /// The memory to write to. Python code that writes to the same object meanwhile would garble its own data; CPython's
    /// own `readinto` methods have the same property.
    fn as_mut(&mut self) -> &mut [u8] {
        if self.buffer.length == 0 {
            return &mut [];
        }
        // SAFETY: [BYTES] a writable view was asked for, and it stays in place until the view is released.
        unsafe { slice::from_raw_parts_mut(self.buffer.data.cast::<u8>(), self.buffer.length as usize) }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // SAFETY: [GIL] the view was filled by get_buffer, or is empty.
        unsafe { (self.attached.abi().release_buffer)(&raw mut self.buffer) };
    }
}
