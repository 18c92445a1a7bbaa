// SPDX-License-Identifier: Apache-2.0
//! What each interpreter has of ours: types, interned environ keys, the functions of `prelude.py`.
//!
//! Lives behind the state of that interpreter's instance of the extension module. Made and released on the Python-main
//! thread; between the two it is only read, by threads that hold the interpreter.

use crate::host::{Facts, Host, Options};
use crate::object::{Answer, Attached, Kept, Object, Ref};
use crate::script::Scripts;
use crate::types::input::Input;
use crate::types::log::Log;
use crate::types::start_response::Responder;
use model::environ::KEYS;
use pyo3_ffi as ffi;
use std::ffi::CStr;
use std::ptr::NonNull;

const PRELUDE: &str = include_str!("prelude.py");
/// The file name in tracebacks; `describe` leaves frames of that name out.
const PRELUDE_NAME: &str = "<mod_wsgi_rs>";

/// The objects of one interpreter.
pub struct Tools {
    pub(crate) keys: Vec<Kept>,
    pub(crate) input: Kept,
    pub(crate) log: Kept,
    pub(crate) responder: Kept,
    pub(crate) list: Kept,
    pub(crate) read_error: Kept,
    pub(crate) client_disconnected: Kept,
    pub(crate) read_timeout: Kept,
    pub(crate) read_too_large: Kept,
    pub(crate) file_wrapper: Kept,
    pub(crate) span: Kept,
    pub(crate) rewind: Kept,
    pub(crate) describe: Kept,
    pub(crate) again: Kept,
    pub(crate) stream: Kept,
    pub(crate) warn_text: Kept,
    pub(crate) execute: Kept,
    pub(crate) forget: Kept,
    pub(crate) reload_required: Kept,
    pub(crate) begin_service: Kept,
    pub(crate) end: Kept,
    pub(crate) flush: Kept,
    pub(crate) request_timeout: Kept,
    pub(crate) publish_stopping: Kept,
    pub(crate) publish_signal: Kept,
    pub(crate) stack: Kept,
    /// The name `reload_required`.
    pub(crate) reload_name: Kept,
    prelude: Kept,
    /// Keeps the module, and with it this structure, whatever applications do to `sys.modules`.
    module: Kept,
    pub(crate) scripts: Scripts,
}

/// The way to the [`Tools`] of an interpreter, for whoever holds that interpreter.
#[derive(Debug, Clone, Copy)]
pub struct State(NonNull<Tools>);

// SAFETY: [HOME] the pointer is followed only by threads that hold the interpreter.
unsafe impl Send for State {}
// SAFETY: [HOME] see above.
unsafe impl Sync for State {}

impl State {
    /// The tools of the interpreter that is held, which must be the one this came from.
    #[must_use]
    pub fn tools<'i>(self, _attached: Attached<'i>) -> &'i Tools {
        // SAFETY: [HOME] the interpreter is held, and it keeps the module that owns this until it ends.
        unsafe { self.0.as_ref() }
    }

    /// Gives all objects up, before the interpreter ends.
    pub fn release(self, attached: Attached<'_>) {
        let tools = self.tools(attached);
        tools.scripts.release(attached);
        for kept in tools.all() {
            kept.release(attached);
        }
        // The structure itself stays until the module is freed, or until the process ends: callbacks of objects that
        // are still around may look at it, and find None in every place.
    }
}

/// Interns the known environ keys.
fn keys(attached: Attached<'_>) -> Answer<'_, Vec<Kept>> {
    let intern = attached_module(attached, c"sys")?.attribute(c"intern")?;
    KEYS.iter().map(|key| Ok(intern.call(&[*Object::text(attached, key)?])?.keep())).collect()
}

/// An imported module.
pub fn attached_module<'i>(attached: Attached<'i>, name: &CStr) -> Answer<'i> {
    // SAFETY: [GIL] the name is NUL-terminated.
    let made = unsafe { ffi::PyImport_ImportModule(name.as_ptr()) };
    // SAFETY: [OWNED] the function returns a new reference or null with an exception.
    unsafe { Object::owned(attached, made) }
}

/// Runs `prelude.py` and answers its namespace.
fn run_prelude(attached: Attached<'_>) -> Answer<'_> {
    let builtins = attached_module(attached, c"builtins")?;
    let (source, name) = (Object::text(attached, PRELUDE)?, Object::text(attached, PRELUDE_NAME)?);
    let mode = Object::text(attached, "exec")?;
    let code = builtins.call_method(c"compile", &[*source, *name, *mode])?;
    let namespace = Object::dict(attached)?;
    namespace.set_named("__name__", &*Object::text(attached, "_mod_wsgi_rs.prelude")?)?;
    builtins.call_method(c"exec", &[*code, *namespace])?;
    Ok(namespace)
}

impl Tools {
    fn all(&self) -> impl Iterator<Item = &Kept> {
        let single = [
            &self.input,
            &self.log,
            &self.responder,
            &self.list,
            &self.read_error,
            &self.client_disconnected,
            &self.read_timeout,
            &self.read_too_large,
            &self.file_wrapper,
            &self.span,
            &self.rewind,
            &self.describe,
            &self.again,
            &self.stream,
            &self.warn_text,
            &self.execute,
            &self.forget,
            &self.reload_required,
            &self.begin_service,
            &self.end,
            &self.flush,
            &self.request_timeout,
            &self.publish_stopping,
            &self.publish_signal,
            &self.stack,
            &self.reload_name,
            &self.prelude,
            &self.module,
        ];
        self.keys.iter().chain(single)
    }

    /// Makes everything that an interpreter needs before its set-up.
    fn new<'i>(attached: Attached<'i>, module: &Ref<'i>) -> Answer<'i, Self> {
        let prelude = run_prelude(attached)?;
        let named = |name: &str| -> Answer<'i, Kept> {
            let found = prelude.dict_item(&*Object::text(attached, name)?)?;
            Ok(found.unwrap_or_else(|| Object::none(attached)).keep())
        };
        Ok(Self {
            keys: keys(attached)?,
            input: Input::class(attached, module)?.keep(),
            log: Log::class(attached, module)?.keep(),
            responder: Responder::class(attached, module)?.keep(),
            list: attached_module(attached, c"builtins")?.attribute(c"list")?.keep(),
            read_error: named("RequestDataError")?,
            client_disconnected: named("ClientDisconnected")?,
            read_timeout: named("RequestDataTimeout")?,
            read_too_large: named("RequestDataTooLarge")?,
            file_wrapper: named("FileWrapper")?,
            span: named("span")?,
            rewind: named("rewind")?,
            describe: named("describe")?,
            again: named("again")?,
            stream: named("stream")?,
            warn_text: named("warn_text")?,
            execute: named("execute")?,
            forget: named("forget")?,
            reload_required: named("reload_required")?,
            begin_service: named("begin_service")?,
            end: named("end")?,
            flush: named("flush")?,
            request_timeout: named("RequestTimeout")?,
            publish_stopping: named("publish_stopping")?,
            publish_signal: named("publish_signal")?,
            stack: named("stack")?,
            reload_name: Object::text(attached, "reload_required")?.keep(),
            prelude: prelude.keep(),
            module: module.keep(),
            scripts: Scripts::default(),
        })
    }

    fn function<'i>(&self, attached: Attached<'i>, name: &str) -> Answer<'i> {
        let found = self.prelude.borrow(attached).dict_item(&*Object::text(attached, name)?)?;
        Ok(found.unwrap_or_else(|| Object::none(attached)))
    }
}

/// A directory or module that could not be used, and why.
pub(crate) type Failures = Vec<(String, String)>;

/// What went wrong in setting an interpreter up without making it unusable.
#[derive(Debug, Default)]
pub(crate) struct Blemishes {
    pub(crate) companions: Failures,
    pub(crate) directories: Failures,
    /// A switch interval that this interpreter cannot have.
    pub(crate) interval: Option<f64>,
}

impl State {
    /// Fills the state of a new module instance and sets its interpreter up (requests §10.2).
    pub(crate) fn create<'i>(
        attached: Attached<'i>,
        module: &Ref<'i>,
        name: &[u8],
        facts: &Facts,
        options: &Options,
        host: &'static dyn Host,
    ) -> Answer<'i, (Self, Blemishes)> {
        let tools = Box::new(Tools::new(attached, module)?);
        // Leaked on purpose: see `release`. There are as many as interpreters.
        let state = Self(NonNull::from(Box::leak(tools)));
        let blemishes = state.set_up(attached, name, facts, options, host)?;
        Ok((state, blemishes))
    }

    fn set_up<'i>(
        self,
        attached: Attached<'i>,
        name: &[u8],
        facts: &Facts,
        options: &Options,
        host: &'static dyn Host,
    ) -> Answer<'i, Blemishes> {
        let tools = self.tools(attached);
        let interval = set_switch_interval(attached, name, options)?;
        let stderr = Log::standard(self, attached, host, "<stderr>")?;
        let stdout = Log::standard(self, attached, host, "<stdout>")?;
        tools.function(attached, "take_over_errors")?.call(&[*stderr])?;
        if !facts.single_process {
            let restricted = [options.restrict_stdin, options.restrict_stdout];
            let [stdin_restricted, stdout_restricted] = restricted.map(|value| Object::boolean(attached, value));
            let take_over = tools.function(attached, "take_over_streams")?;
            take_over.call(&[*stdout, *stdin_restricted?, *stdout_restricted?])?;
        }
        let description = describe_server(attached, name, facts)?;
        let note = stderr.attribute(c"note")?;
        let companions = tools.function(attached, "build_modules")?.call(&[*description, *note])?;
        if options.restrict_signal {
            tools.function(attached, "restrict_signals")?.call(&[*note])?;
        }
        if !facts.python_eggs.is_empty() {
            let directory = Object::file_system(attached, &facts.python_eggs)?;
            tools.function(attached, "set_egg_cache")?.call(&[*directory])?;
        }
        let extend_path = tools.function(attached, "extend_path")?;
        let mut directories = Failures::new();
        for layer in &options.python_path {
            let entries = tools.list.borrow(attached).call(&[])?;
            for directory in layer {
                entries.append(&*Object::file_system(attached, directory)?)?;
            }
            let failed = extend_path.call(&[*entries])?;
            directories.extend(failures(&failed)?);
        }
        if let Some(home) = &options.home {
            let path = attached_module(attached, c"sys")?.attribute(c"path")?;
            path.call_method(c"insert", &[*Object::integer(attached, 0)?, *Object::file_system(attached, home)?])?;
        }
        Ok(Blemishes { companions: failures(&companions)?, directories, interval })
    }
}

/// Sets the interval of the GIL that the interpreter has. A shared one has the interval of the process, which the main
/// interpreter set; one that was meant for this interpreter alone is answered and not set.
fn set_switch_interval<'i>(attached: Attached<'i>, name: &[u8], options: &Options) -> Answer<'i, Option<f64>> {
    let Some(seconds) = options.switch_interval else { return Ok(None) };
    if !name.is_empty() && !options.own_gil {
        return Ok(options.switch_interval_by_name.then_some(seconds));
    }
    let interval = Object::float(attached, seconds.min(LONGEST_INTERVAL))?;
    attached_module(attached, c"sys")?.call_method(c"setswitchinterval", &[*interval])?;
    Ok(None)
}

/// In seconds; Python keeps microseconds in a number of 64 bits.
const LONGEST_INTERVAL: f64 = 1e9;

fn failures<'i>(list: &Ref<'i>) -> Answer<'i, Failures> {
    let pair = |index| {
        let pair = list.item(index)?;
        Ok((pair.item(0)?.to_utf8()?, pair.item(1)?.to_utf8()?))
    };
    (0..list.sequence_length()).map(pair).collect()
}

pub(crate) fn version<'i>(attached: Attached<'i>, parts: [u32; 3]) -> Answer<'i> {
    let [major, minor, patch] = parts.map(|part| Object::integer(attached, part.into()));
    Object::tuple(attached, &[*major?, *minor?, *patch?])
}

/// The attributes of the modules `mod_wsgi` and `apache` (python-api §§1.1, 2).
fn describe_server<'i>(attached: Attached<'i>, name: &[u8], facts: &Facts) -> Answer<'i> {
    let processes = Object::integer(attached, facts.maximum_processes.into())?;
    let threads = Object::integer(attached, facts.threads_per_process.into())?;
    let module = Object::dict(attached)?;
    module.set_named("version", &*version(attached, model::INTERFACE_VERSION)?)?;
    module.set_named("process_group", &*Object::text(attached, &facts.process_group)?)?;
    module.set_named("application_group", &*Object::latin1(attached, name)?)?;
    module.set_named("maximum_processes", &processes)?;
    module.set_named("threads_per_process", &threads)?;
    let apache = Object::dict(attached)?;
    apache.set_named("version", &*version(attached, facts.server_version)?)?;
    apache.set_named("description", &*Object::text(attached, &facts.server_description)?)?;
    apache.set_named("mpm_name", &*Object::text(attached, &facts.mpm_name)?)?;
    apache.set_named("build_date", &*Object::text(attached, &facts.server_built)?)?;
    apache.set_named("maximum_processes", &processes)?;
    apache.set_named("threads_per_process", &threads)?;
    let both = Object::dict(attached)?;
    both.set_named("mod_wsgi", &module)?;
    both.set_named("apache", &apache)?;
    both.set_named("embedded", &*Object::boolean(attached, facts.process_group.is_empty())?)?;
    Ok(both)
}
