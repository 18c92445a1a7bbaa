// SPDX-License-Identifier: Apache-2.0
//! Starting Python from a shared library that was found at run time.
//!
//! Called on the dedicated Python thread of a child. Functions are looked up by name, so the module has no Python symbol. The
//! configuration interface is used because the older calls end the whole process when Python cannot start.

use super::layout::{self, LAYOUTS};
use super::search::Installation;
use super::settings::{Configuration, Number};
use model::embedded::{CAPSULE, Table};
use model::event::Event;
use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use unix::library::{self, Library};

/// A started interpreter; this thread holds its main interpreter.
#[derive(Debug)]
pub struct Started {
    library: Library,
}

type Object = *mut c_void;

/// CPython's `PyStatus`; layout unchanged since 3.8.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Status {
    kind: c_int,
    function: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

/// CPython's `PyPreConfig` on POSIX; layout unchanged since 3.8.
#[derive(Debug, Default)]
#[repr(C)]
struct PreConfig {
    origin: c_int,
    parse_argv: c_int,
    isolated: c_int,
    use_environment: c_int,
    configure_locale: c_int,
    coerce_c_locale: c_int,
    coerce_c_locale_warn: c_int,
    utf8_mode: c_int,
    dev_mode: c_int,
    allocator: c_int,
}

/// Looks a function up and gives it its type.
macro_rules! function {
    ($library:expr, $name:literal as $type:ty) => {{
        let address = $library.symbol($name).ok_or_else(|| format!("{} is missing", $name.to_string_lossy()))?;
        // SAFETY: [SYMBOL] CPython's function of that name has this type in all supported versions.
        unsafe { std::mem::transmute::<NonNull<c_void>, $type>(address) }
    }};
}

/// Loads the library and starts the interpreter.
pub fn start(installation: &Installation, configuration: &Configuration) -> Result<Started, Event> {
    refuse_second(&installation.library)?;
    let path = c_path(&installation.library);
    let library = Library::load(&path).map_err(|reason| Event::PythonLibraryUnloadable {
        library: installation.library.display().to_string(),
        reason,
    })?;
    let started = match installation.version {
        (3, minor @ ..=13) => initialise(library, installation, minor, configuration),
        _ => initialise_by_name(library, installation, configuration),
    };
    started.map_err(|reason| Event::PythonStartFailed { home: installation.configured.clone(), reason })?;
    Ok(Started { library })
}

/// Two Python libraries in one process share symbols and crash; one that somebody else started is not ours to use.
fn refuse_second(wanted: &Path) -> Result<(), Event> {
    let real = |path: &str| Path::new(path).canonicalize().ok();
    let is_python = |path: &str| {
        Path::new(path).file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libpython"))
    };
    let refused = |loaded| Event::PythonAlreadyLoaded { loaded, wanted: wanted.display().to_string() };
    let ours = wanted.canonicalize().ok();
    for path in library::mapped().into_iter().filter(|path| is_python(path)) {
        if real(&path) != ours {
            return Err(refused(path));
        }
    }
    let running = library::symbol(c"Py_IsInitialized").is_some_and(|address| {
        // SAFETY: [SYMBOL] CPython's function of that name takes nothing and returns int.
        let is_initialised =
            unsafe { std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn() -> c_int>(address) };
        // SAFETY: [SYMBOL] may be called at any time.
        unsafe { is_initialised() != 0 }
    });
    if running { Err(refused("a Python started by another module".to_owned())) } else { Ok(()) }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn check(status: Status) -> Result<(), String> {
    if status.kind == 0 {
        return Ok(());
    }
    // SAFETY: [SYMBOL] null or static text of CPython's.
    let message = unsafe { crate::apache::bytes(status.message) };
    Err(message
        .map_or_else(|| format!("exit status {}", status.exit_code), |text| String::from_utf8_lossy(text).into_owned()))
}

/// Versions 3.9 to 3.13: `PyConfig`, of which some fields are set at known places.
fn initialise(
    library: Library,
    installation: &Installation,
    minor: u32,
    configuration: &Configuration,
) -> Result<(), String> {
    let known = LAYOUTS.into_iter().find(|known| known.minor == minor).ok_or("its configuration is unknown")?;
    let prepare = function!(library, c"PyPreConfig_InitPythonConfig" as unsafe extern "C" fn(*mut PreConfig));
    let preinitialise = function!(library, c"Py_PreInitialize" as unsafe extern "C" fn(*const PreConfig) -> Status);
    let defaults = function!(library, c"PyConfig_InitPythonConfig" as unsafe extern "C" fn(*mut c_void));
    let set_text = function!(
        library,
        c"PyConfig_SetBytesString" as unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *const c_char) -> Status
    );
    let append =
        function!(library, c"PyWideStringList_Append" as unsafe extern "C" fn(*mut c_void, *const u32) -> Status);
    let initialise = function!(library, c"Py_InitializeFromConfig" as unsafe extern "C" fn(*const c_void) -> Status);
    let clear = function!(library, c"PyConfig_Clear" as unsafe extern "C" fn(*mut c_void));

    let mut before = PreConfig::default();
    // SAFETY: [PYCONFIG] fills the record.
    unsafe { prepare(&raw mut before) };
    before.utf8_mode = 1;
    // Coercing the locale would set an environment variable while other threads read the environment.
    before.coerce_c_locale = 0;
    before.coerce_c_locale_warn = 0;
    // SAFETY: [PYCONFIG] the record was filled.
    check(unsafe { preinitialise(&raw const before) })?;

    let mut config = [0_u64; layout::ROOM / size_of::<u64>()];
    let start: *mut u8 = config.as_mut_ptr().cast();
    // SAFETY: [PYCONFIG] the buffer is larger than the record of any of these versions, and aligned for it.
    unsafe { defaults(start.cast()) };
    // SAFETY: [PYCONFIG] an int of the record.
    let signal_handlers = unsafe { start.add(layout::SIGNAL_HANDLERS) }.cast::<c_int>();
    // SAFETY: [PYCONFIG] as above.
    unsafe { signal_handlers.write(0) };
    let mut result = Ok(());
    for (number, value) in configuration.numbers() {
        // SAFETY: [PYCONFIG] a number of the record.
        let place = unsafe { start.add(number.offset(&known)) };
        // SAFETY: [PYCONFIG] as above.
        unsafe { write_number(place, number, value) };
    }
    for option in configuration.warnings() {
        let wide: Vec<u32> = option.chars().map(u32::from).chain([0]).collect();
        // SAFETY: [PYCONFIG] a list of texts of the record.
        let list = unsafe { start.add(known.warnings) }.cast();
        // SAFETY: [PYCONFIG] the text is NUL-terminated; the function copies it.
        result = result.and_then(|()| check(unsafe { append(list, wide.as_ptr()) }));
    }
    let texts = [(known.program_name, Some(&installation.program)), (known.home, installation.home.as_ref())];
    for (offset, path) in texts.into_iter().filter_map(|(offset, path)| Some((offset, c_path(path?)))) {
        // SAFETY: [PYCONFIG] a text pointer of the record.
        let place = unsafe { start.add(offset) }.cast();
        // SAFETY: [PYCONFIG] the function decodes and copies the text.
        result = result.and_then(|()| check(unsafe { set_text(start.cast(), place, path.as_ptr()) }));
    }
    // SAFETY: [PYCONFIG] the record is complete; this thread becomes Python's main thread.
    result = result.and_then(|()| check(unsafe { initialise(start.cast()) }));
    // SAFETY: [PYCONFIG] frees what the functions above allocated.
    unsafe { clear(start.cast()) };
    result
}

/// Writes a number of a `PyConfig`.
///
/// # Safety
///
/// [PYCONFIG] `place` is where the field lies in a record.
unsafe fn write_number(place: *mut u8, number: Number, value: u32) {
    if number == Number::HashSeed {
        // SAFETY: [PYCONFIG] promised by the caller; the one field that is an unsigned long.
        unsafe { place.cast::<c_ulong>().write(value.into()) };
    } else {
        let value = c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: [PYCONFIG] promised by the caller; an int.
        unsafe { place.cast::<c_int>().write(value) };
    }
}

/// Versions from 3.14: settings by name.
fn initialise_by_name(
    library: Library,
    installation: &Installation,
    configuration: &Configuration,
) -> Result<(), String> {
    let create = function!(library, c"PyInitConfig_Create" as unsafe extern "C" fn() -> *mut c_void);
    let free = function!(library, c"PyInitConfig_Free" as unsafe extern "C" fn(*mut c_void));
    let set_number =
        function!(library, c"PyInitConfig_SetInt" as unsafe extern "C" fn(*mut c_void, *const c_char, i64) -> c_int);
    let set_text = function!(
        library,
        c"PyInitConfig_SetStr" as unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int
    );
    let set_texts = function!(
        library,
        c"PyInitConfig_SetStrList"
            as unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const *const c_char) -> c_int
    );
    let initialise = function!(library, c"Py_InitializeFromInitConfig" as unsafe extern "C" fn(*mut c_void) -> c_int);
    let explain =
        function!(library, c"PyInitConfig_GetError" as unsafe extern "C" fn(*mut c_void, *mut *const c_char) -> c_int);
    // SAFETY: [PYCONFIG] takes nothing.
    let config = unsafe { create() };
    if config.is_null() {
        return Err("out of memory".to_owned());
    }
    // The interface begins with CPython's isolated settings; these make it the usual interpreter's.
    let numbers = [
        (c"isolated", 0),
        (c"use_environment", 1),
        (c"user_site_directory", 1),
        (c"safe_path", 0),
        (c"utf8_mode", 1),
        (c"configure_locale", 1),
        (c"install_signal_handlers", 0),
    ];
    let said = configuration.numbers().into_iter().map(|(number, value)| (number.name(), i64::from(value)));
    let mut failed = numbers.into_iter().chain(said).any(|(name, value)| {
        // SAFETY: [PYCONFIG] the configuration is alive; the name is NUL-terminated.
        unsafe { set_number(config, name.as_ptr(), value) != 0 }
    });
    let texts = [(c"program_name", Some(&installation.program)), (c"home", installation.home.as_ref())];
    for (name, path) in texts.into_iter().filter_map(|(name, path)| Some((name, c_path(path?)))) {
        // SAFETY: [PYCONFIG] the configuration is alive; both texts are NUL-terminated and copied.
        failed |= unsafe { set_text(config, name.as_ptr(), path.as_ptr()) != 0 };
    }
    let warnings: Vec<_> =
        configuration.warnings().iter().filter_map(|text| CString::new(text.as_str()).ok()).collect();
    let starts: Vec<_> = warnings.iter().map(|text| text.as_ptr()).collect();
    if !starts.is_empty() {
        // SAFETY: [PYCONFIG] the configuration is alive; the texts are NUL-terminated, and copied.
        failed |= unsafe { set_texts(config, c"warnoptions".as_ptr(), starts.len(), starts.as_ptr()) != 0 };
    }
    // SAFETY: [PYCONFIG] the configuration is alive; this thread becomes Python's main thread.
    failed = failed || unsafe { initialise(config) != 0 };
    let mut message = ptr::null();
    // SAFETY: [PYCONFIG] the message belongs to the configuration.
    let explained = failed && unsafe { explain(config, &raw mut message) != 0 };
    // SAFETY: [PYCONFIG] null or text of the configuration.
    let text = if explained { unsafe { crate::apache::bytes(message) } } else { None };
    let reason = text.map_or_else(|| "no reason given".to_owned(), |text| String::from_utf8_lossy(text).into_owned());
    // SAFETY: [PYCONFIG] not used any more.
    unsafe { free(config) };
    if failed { Err(reason) } else { Ok(()) }
}

const BOOTSTRAP: &str = include_str!("bootstrap.py");
/// CPython's `Py_file_input`.
const FILE_INPUT: c_int = 257;

impl Started {
    /// Imports the extension module from `directory` and takes its table.
    pub fn import(&self, directory: &Path) -> Result<&'static Table, Event> {
        let table = self.capsule(directory).map_err(|reason| Event::RuntimeUnusable { reason })?;
        // SAFETY: [TABLE] the capsule's pointer is a static table that begins with its build id.
        let found = unsafe { (*table.as_ptr()).build_id };
        if found != model::embedded::build_id() {
            let found = String::from_utf8_lossy(found.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
            return Err(Event::RuntimeMismatch { expected: model::BUILD_ID.to_owned(), found });
        }
        // SAFETY: [TABLE] the build ids are equal, so this is the structure that we know; it is static.
        Ok(unsafe { table.as_ref() })
    }

    fn capsule(&self, directory: &Path) -> Result<NonNull<Table>, String> {
        let library = &self.library;
        let compile = function!(
            library,
            c"Py_CompileString" as unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> Object
        );
        let evaluate = function!(library, c"PyEval_EvalCode" as unsafe extern "C" fn(Object, Object, Object) -> Object);
        let new_dict = function!(library, c"PyDict_New" as unsafe extern "C" fn() -> Object);
        let set =
            function!(library, c"PyDict_SetItemString" as unsafe extern "C" fn(Object, *const c_char, Object) -> c_int);
        let find = function!(library, c"PyDict_GetItemString" as unsafe extern "C" fn(Object, *const c_char) -> Object);
        let decode = function!(library, c"PyUnicode_DecodeFSDefault" as unsafe extern "C" fn(*const c_char) -> Object);
        let builtins = function!(library, c"PyEval_GetBuiltins" as unsafe extern "C" fn() -> Object);
        let pointer =
            function!(library, c"PyCapsule_GetPointer" as unsafe extern "C" fn(Object, *const c_char) -> *mut c_void);
        let text = CString::new(BOOTSTRAP).map_err(|error| error.to_string())?;
        // SAFETY: [STARTED] this thread holds the main interpreter; new references are kept for the life of the process.
        let code = unsafe { compile(text.as_ptr(), c"<mod_wsgi_rs>".as_ptr(), FILE_INPUT) };
        // SAFETY: [STARTED] as above.
        let names = unsafe { new_dict() };
        // SAFETY: [STARTED] as above.
        let place = unsafe { decode(c_path(directory).as_ptr()) };
        if code.is_null() || names.is_null() || place.is_null() {
            return Err("out of memory".to_owned());
        }
        // SAFETY: [STARTED] the objects are live.
        unsafe { set(names, c"directory".as_ptr(), place) };
        // SAFETY: [STARTED] borrowed from the interpreter.
        let builtins = unsafe { builtins() };
        // SAFETY: [STARTED] the objects are live.
        unsafe { set(names, c"__builtins__".as_ptr(), builtins) };
        // SAFETY: [STARTED] the objects are live; the code catches its own exceptions.
        if unsafe { evaluate(code, names, names) }.is_null() {
            return Err("the bootstrap code failed".to_owned());
        }
        // SAFETY: [STARTED] the dictionary is live.
        let capsule = unsafe { find(names, c"capsule".as_ptr()) };
        if capsule.is_null() {
            return Err(self.text(names, c"error")?);
        }
        let name = CString::new(CAPSULE).map_err(|error| error.to_string())?;
        // SAFETY: [STARTED] the capsule is live; CPython compares the names.
        NonNull::new(unsafe { pointer(capsule, name.as_ptr()) }.cast())
            .ok_or_else(|| "its capsule has another name".to_owned())
    }

    fn text(&self, names: Object, name: &CStr) -> Result<String, String> {
        let find =
            function!(self.library, c"PyDict_GetItemString" as unsafe extern "C" fn(Object, *const c_char) -> Object);
        let encode = function!(self.library, c"PyUnicode_AsUTF8String" as unsafe extern "C" fn(Object) -> Object);
        let bytes = function!(self.library, c"PyBytes_AsString" as unsafe extern "C" fn(Object) -> *const c_char);
        // SAFETY: [STARTED] the dictionary is live.
        let value = unsafe { find(names, name.as_ptr()) };
        // SAFETY: [STARTED] the value is live.
        let encoded = if value.is_null() { ptr::null_mut() } else { unsafe { encode(value) } };
        if encoded.is_null() {
            return Err("no reason given".to_owned());
        }
        // SAFETY: [STARTED] a live bytes object.
        let start = unsafe { bytes(encoded) };
        // SAFETY: [CSTR] the text of a bytes object is NUL-terminated.
        let text = unsafe { crate::apache::bytes(start) };
        Ok(String::from_utf8_lossy(text.unwrap_or_default()).into_owned())
    }

    /// Lets go of the interpreter without ending it, for a process that goes on without Python.
    pub fn abandon(self) {
        if let Ok(save) = self.save_thread() {
            // SAFETY: [STARTED] this thread holds the main interpreter.
            unsafe { save() };
        }
    }

    fn save_thread(&self) -> Result<unsafe extern "C" fn() -> *mut c_void, String> {
        Ok(function!(self.library, c"PyEval_SaveThread" as unsafe extern "C" fn() -> *mut c_void))
    }

    /// Ends Python. No other thread may be inside it.
    pub fn finalise(self) {
        if let Ok(finalise) = self.finalise_function() {
            // SAFETY: [STARTED] this thread initialised Python and holds the main interpreter; the runtime has seen to
            // it that no other thread has a state any more.
            unsafe { finalise() };
        }
    }

    fn finalise_function(&self) -> Result<unsafe extern "C" fn() -> c_int, String> {
        Ok(function!(self.library, c"Py_FinalizeEx" as unsafe extern "C" fn() -> c_int))
    }
}

const _: () = assert!(size_of::<PreConfig>() == 40 && size_of::<c_ulong>() == 8);
