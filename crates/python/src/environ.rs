// SPDX-License-Identifier: Apache-2.0
//! The environ dictionary: a copy of what never changes, then what this request brings (requests §3).

use crate::call::{Job, Run};
use crate::host::Facts;
use crate::live::lock;
use crate::object::{Answer, Attached, Object, Ref};
use crate::script::{Shape, Site};
use crate::state::{State, version};
use crate::thread;
use crate::types::input::Input;
use model::embedded::{Entry, Text, ValueKind};
use model::environ::{KEYS, Key};
use std::slice;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The bytes of a text that came through the C table.
#[must_use]
pub fn bytes(text: Text<'_>) -> &[u8] {
    let (start, length) = text.parts();
    // SAFETY: [TEXT] a Text is only made from a slice, so its parts are one for the same lifetime.
    unsafe { slice::from_raw_parts(start, length) }
}

fn set<'i>(state: State, environ: &Ref<'i>, key: Key, value: &Ref<'i>) -> Answer<'i, ()> {
    match state.tools(environ.attached()).keys.get(key.index()) {
        Some(name) => environ.set_dict_item(&name.borrow(environ.attached()), value),
        None => Ok(()),
    }
}

/// Keys whose values are made here: entries of these names, for instance from `SetEnv`, are left out.
const OURS: [Key; 21] = [
    Key::APACHE_REQUEST_REC,
    Key::WSGI_INPUT,
    Key::WSGI_ERRORS,
    Key::MOD_WSGI_REQUEST_START,
    Key::MOD_WSGI_APPLICATION_START,
    Key::MOD_WSGI_THREAD_ID,
    Key::WSGI_VERSION,
    Key::WSGI_URL_SCHEME,
    Key::WSGI_MULTITHREAD,
    Key::WSGI_MULTIPROCESS,
    Key::WSGI_RUN_ONCE,
    Key::WSGI_INPUT_TERMINATED,
    Key::WSGI_FILE_WRAPPER,
    Key::MOD_WSGI_VERSION,
    Key::APACHE_VERSION,
    Key::MOD_WSGI_PROCESS_GROUP,
    Key::MOD_WSGI_APPLICATION_GROUP,
    Key::MOD_WSGI_CALLABLE_OBJECT,
    Key::MOD_WSGI_SERVER_PID,
    Key::MOD_WSGI_QUEUE_START,
    Key::MOD_WSGI_DAEMON_START,
];

/// Whether the server may set the value of an entry.
fn is_the_server_s(entry: &Entry<'_>) -> bool {
    if entry.key == Key::TEXT {
        let name = bytes(entry.name);
        // All of ours have a dot, and few others do.
        return !name.contains(&b'.')
            || !OURS.iter().any(|key| KEYS.get(key.index()).map(|text| text.as_bytes()) == Some(name));
    }
    // Keys are numbered in groups; most are below the first of ours. Where a request runs is for the server to say.
    entry.key < Key::MOD_WSGI_SCRIPT_NAME || entry.key == Key::MOD_WSGI_PROCESS_GROUP || !OURS.contains(&entry.key)
}

/// The entries that are the same for every request to a callable of a script.
pub(crate) fn template<'i>(attached: Attached<'i>, state: State, facts: &Facts, job: &Job<'_>) -> Answer<'i> {
    let environ = Object::dict(attached)?;
    let set = |key, value: Answer<'i>| set(state, &environ, key, &*value?);
    let flag = |value| Object::boolean(attached, value);
    // Places for what each request sets; so the copy has its final size at once.
    for key in [
        Key::WSGI_INPUT,
        Key::WSGI_ERRORS,
        Key::MOD_WSGI_REQUEST_START,
        Key::MOD_WSGI_APPLICATION_START,
        Key::MOD_WSGI_THREAD_ID,
    ] {
        set(key, Ok(Object::none(attached)))?;
    }
    let one_zero = [Object::integer(attached, 1)?, Object::integer(attached, 0)?];
    let [one, zero] = &one_zero;
    set(Key::WSGI_VERSION, Object::tuple(attached, &[**one, **zero]))?;
    set(Key::WSGI_URL_SCHEME, Object::text(attached, if job.https { "https" } else { "http" }))?;
    set(Key::WSGI_MULTITHREAD, flag(facts.multithread))?;
    set(Key::WSGI_MULTIPROCESS, flag(facts.multiprocess))?;
    set(Key::WSGI_RUN_ONCE, flag(facts.run_once))?;
    set(Key::WSGI_INPUT_TERMINATED, flag(true))?;
    set(Key::WSGI_FILE_WRAPPER, Ok(state.tools(attached).file_wrapper.bind(attached)))?;
    set(Key::MOD_WSGI_VERSION, version(attached, model::INTERFACE_VERSION))?;
    set(Key::APACHE_VERSION, version(attached, facts.server_version))?;
    set(Key::MOD_WSGI_PROCESS_GROUP, Object::text(attached, &facts.process_group))?;
    set(Key::MOD_WSGI_APPLICATION_GROUP, Object::latin1(attached, job.application_group))?;
    set(Key::MOD_WSGI_CALLABLE_OBJECT, Object::latin1(attached, job.callable))?;
    set(Key::MOD_WSGI_SERVER_PID, Object::text(attached, &std::process::id().to_string()))?;
    set(Key::MOD_WSGI_QUEUE_START, Object::float(attached, 0.0))?;
    set(Key::MOD_WSGI_DAEMON_START, Object::float(attached, 0.0))?;
    Ok(environ)
}

fn value<'i>(attached: Attached<'i>, entry: &Entry<'_>) -> Answer<'i> {
    match entry.kind {
        ValueKind::Latin1 => Object::latin1(attached, bytes(entry.value)),
        ValueKind::FileSystem => Object::file_system(attached, bytes(entry.value)),
        ValueKind::Absent => Ok(Object::none(attached)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "microseconds since the epoch fit the 53 bits of a float until 2255")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// How many sets of entries are remembered per site; requests with yet another one take a little longer.
const SHAPES: usize = 16;

/// A new dictionary with what never changes, and a place for each known key that the request brings: setting a value
/// that is there costs half of adding one.
fn start<'i>(run: &Run<'i, '_>, site: &Site, job: &Job<'_>) -> Answer<'i> {
    let (attached, state) = (run.attached, run.state);
    let known = |entry: &&Entry<'_>| entry.key != Key::TEXT && is_the_server_s(entry);
    let keys = || job.environ.iter().filter(known).map(|entry| entry.key);
    let (found, room) = {
        let shapes = lock(&site.shapes);
        let found = shapes.iter().find(|shape| shape.keys.iter().copied().eq(keys()));
        (found.map(|shape| Arc::clone(&shape.template)), shapes.len() < SHAPES)
    };
    if let Some(template) = found {
        return template.borrow(attached).copy_dict();
    }
    let environ = site.template.borrow(attached).copy_dict()?;
    if room {
        let places = environ.copy_dict()?;
        let none = Object::none(attached);
        keys().try_for_each(|key| set(state, &places, key, &none))?;
        // A copy has no more memory than it needs, and is what will be copied.
        let template = Arc::new(places.copy_dict()?.keep());
        lock(&site.shapes).push(Shape { keys: keys().collect(), template });
    }
    Ok(environ)
}

/// The environ of one request.
pub(crate) fn build<'i>(run: &Run<'i, '_>, site: &Site, job: &Job<'_>, errors: &Ref<'i>) -> Answer<'i> {
    let (attached, state) = (run.attached, run.state);
    let environ = start(run, site, job)?;
    for entry in job.environ.iter().filter(|entry| is_the_server_s(entry)) {
        let value = value(attached, entry)?;
        if entry.key == Key::TEXT {
            environ.set_dict_item(&*Object::latin1(attached, bytes(entry.name))?, &value)?;
        } else {
            set(state, &environ, entry.key, &value)?;
        }
    }
    set(state, &environ, Key::WSGI_INPUT, &*Input::object(state, attached, run.live)?)?;
    set(state, &environ, Key::WSGI_ERRORS, errors)?;
    set(state, &environ, Key::MOD_WSGI_REQUEST_START, &*Object::float(attached, seconds(job.request_start))?)?;
    set(state, &environ, Key::MOD_WSGI_APPLICATION_START, &*Object::float(attached, now())?)?;
    for (key, time) in [Key::MOD_WSGI_QUEUE_START, Key::MOD_WSGI_DAEMON_START].into_iter().zip(job.handed_over) {
        if time != 0 {
            set(state, &environ, key, &*Object::float(attached, seconds(time))?)?;
        }
    }
    let slot = Object::integer(attached, thread::slot_number().into())?;
    set(state, &environ, Key::MOD_WSGI_THREAD_ID, &slot)?;
    if let Some(record) = job.record {
        let capsule = Object::address(attached, record)?;
        set(state, &environ, Key::APACHE_REQUEST_REC, &capsule)?;
        // A request has one environ.
        let _there_was_none = run.record.set(capsule);
    }
    Ok(environ)
}
