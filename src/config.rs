// SPDX-License-Identifier: Apache-2.0
//! The directive tables as httpd wants them: a `command_rec` for each row, create and merge functions for the settings.
//!
//! Called in the parent while the configuration is read, and in children for `.htaccess` and for merging sections.

use crate::apache::directive::Line;
use crate::apache::log;
use crate::apache::pool::Pool;
use crate::apache::process::Parent;
use crate::apache::request::Request;
use crate::apache::server::Server;
use crate::boundary::callbacks;
use crate::routes::Routes;
use crate::{ffi, module};
use model::alias::Alias;
use model::configuration::{self, Mention, Told};
use model::daemon::Registry;
use model::directive::{Reading, Row, Scope};
use model::interpreter::{InterpreterSettings, Section, Selectors};
use model::settings::{DirectorySettings, ServerSettings};
use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

/// A server's settings, ready for requests.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// What was written, merged with the main server.
    pub written: configuration::Server,
    /// All process groups of the configuration.
    pub groups: Arc<Registry>,
    /// Its own aliases.
    routes: Arc<Routes>,
    /// Those of the main server, which are tried after its own.
    outer: Option<Arc<Routes>>,
}

impl ServerConfig {
    /// The settings that apply to `server`.
    pub fn of<'s>(server: &Server<'s>) -> Option<&'s Self> {
        // SAFETY: [CONF] the vector belongs to a live server record.
        let config = unsafe { ffi::ap_get_module_config(server.configurations(), module()) };
        // SAFETY: [CONF] our entry is null or what `create_server` or `merge_server` made.
        unsafe { config.cast::<Self>().as_ref() }
    }

    /// Changes the settings of `server` while the configuration is read.
    fn change<R>(server: &Server<'_>, work: impl FnOnce(&mut Self) -> R) -> Option<R> {
        // SAFETY: [CONF] the vector belongs to a live server record.
        let config = unsafe { ffi::ap_get_module_config(server.configurations(), module()) };
        // SAFETY: [CONF] made by `create_server` or `merge_server`; in the parent's only thread nobody else holds it.
        unsafe { config.cast::<Self>().as_mut() }.map(work)
    }

    /// Tells each of the servers that begin with `main` which process groups there are.
    pub fn share_groups(_parent: Parent, main: Server<'_>, groups: &Arc<Registry>) {
        for server in main.chain() {
            Self::change(&server, |config| config.groups = groups.clone());
        }
    }

    /// Its own aliases, then those of the main server.
    pub fn routes(&self) -> impl Iterator<Item = &Routes> {
        std::iter::once(&*self.routes).chain(self.outer.as_deref())
    }

    /// The alias at `position` of all of them.
    pub fn alias(&self, position: usize) -> Option<&Alias> {
        let own = self.routes.len();
        if position < own { self.routes.get(position) } else { self.outer.as_ref()?.get(position - own) }
    }
}

/// The settings of the sections that apply to `request`, merged.
pub fn directory_settings<'r>(request: &Request<'r>) -> Option<&'r DirectorySettings> {
    // SAFETY: [CONF] the vector belongs to a live request.
    let config = unsafe { ffi::ap_get_module_config(request.configurations(), module()) };
    // SAFETY: [CONF] our entry is null or what `create_directory` or `merge_directory` made.
    unsafe { config.cast::<DirectorySettings>().as_ref() }
}

callbacks! {
    /// Makes the settings of a server.
    pub fn create_server(pool: *mut ffi::apr_pool_t, _server: *mut ffi::server_rec) -> *mut c_void, or ptr::null_mut(); {
        // SAFETY: [POOL] the configuration pool.
        unsafe { Pool::new(pool) }.keep(ServerConfig::default()).cast()
    }

    /// Makes the settings of a section.
    pub fn create_directory(pool: *mut ffi::apr_pool_t, _directory: *mut c_char) -> *mut c_void, or ptr::null_mut(); {
        // SAFETY: [POOL] the configuration pool, or the request's for `.htaccess`.
        unsafe { Pool::new(pool) }.keep(DirectorySettings::default()).cast()
    }

    /// Merges a virtual host's settings with those of the main server.
    pub fn merge_server(pool: *mut ffi::apr_pool_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_void, or inner; {
        // SAFETY: [CONF] made by `create_server` or this function.
        let outer = unsafe { outer.cast::<ServerConfig>().as_ref() };
        // SAFETY: [CONF] as above.
        let inner = unsafe { inner.cast::<ServerConfig>().as_ref() };
        let merged = match (outer, inner) {
            (Some(outer), Some(inner)) => ServerConfig {
                written: configuration::Server::merge(&outer.written, &inner.written),
                outer: Some(outer.routes.clone()),
                ..inner.clone()
            },
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => ServerConfig::default(),
        };
        // SAFETY: [POOL] the configuration pool.
        unsafe { Pool::new(pool) }.keep(merged).cast()
    }

    /// Merges the settings of two sections.
    pub fn merge_directory(pool: *mut ffi::apr_pool_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_void, or inner; {
        // SAFETY: [CONF] made by `create_directory` or this function.
        let outer = unsafe { outer.cast::<DirectorySettings>().as_ref() };
        // SAFETY: [CONF] as above.
        let inner = unsafe { inner.cast::<DirectorySettings>().as_ref() };
        let merged = match (outer, inner) {
            (Some(outer), Some(inner)) => DirectorySettings::merge(outer, inner),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => DirectorySettings::default(),
        };
        // SAFETY: [POOL] the pool of the configuration or of the request.
        unsafe { Pool::new(pool) }.keep(merged).cast()
    }

    /// Takes a directive of the server table.
    fn set_server(parms: *mut ffi::cmd_parms, _settings: *mut c_void, arguments: *const c_char) -> *const c_char,
        or DEFECT.as_ptr();
    {
        // SAFETY: [CONF] what httpd gave to this setter.
        let Some(line) = (unsafe { Line::new(parms, arguments) }) else { return ptr::null() };
        // SAFETY: [ROW] cmd_data is a row of the server table.
        let row = unsafe { line.row::<ServerSettings>() };
        take(&line, row.name, row.scope, |config, text, reading| {
            (row.set)(&mut config.written.settings, text, reading).map_err(|error| error.to_string())?;
            let aliases = &config.written.settings.script_aliases().0;
            if aliases.len() == config.routes.len() { Ok(()) } else { Arc::make_mut(&mut config.routes).extend(aliases, line.pool) }
        })
    }

    /// Takes a directive of the interpreter table: into the section around it, or for all interpreters.
    fn set_interpreter(parms: *mut ffi::cmd_parms, _settings: *mut c_void, arguments: *const c_char) -> *const c_char,
        or DEFECT.as_ptr();
    {
        // SAFETY: [CONF] what httpd gave to this setter.
        let Some(line) = (unsafe { Line::new(parms, arguments) }) else { return ptr::null() };
        // SAFETY: [ROW] cmd_data is a row of the interpreter table.
        let row = unsafe { line.row::<InterpreterSettings>() };
        take(&line, row.name, row.scope, |config, text, reading| {
            let options = &mut config.written.interpreters;
            let around = line.inside(SECTION);
            let section = options.sections.iter_mut().rfind(|section| Some(&section.origin) == around.as_ref());
            let settings = section.map_or(&mut options.general, |section| &mut section.settings);
            (row.set)(settings, text, reading).map_err(|error| error.to_string())
        })
    }

    /// Takes `<WSGIInterpreterOptions>` and what is inside.
    fn begin_section(parms: *mut ffi::cmd_parms, _settings: *mut c_void, arguments: *const c_char) -> *const c_char,
        or DEFECT.as_ptr();
    {
        // SAFETY: [CONF] what httpd gave to this setter.
        let Some(line) = (unsafe { Line::new(parms, arguments) }) else { return ptr::null() };
        let refused = take(&line, SECTION, Scope::Global, |config, text, reading| {
            let selectors = Selectors::parse(text, reading).map_err(|error| error.to_string())?;
            let settings = InterpreterSettings::default();
            config.written.interpreters.sections.push(Section { selectors, settings, origin: reading.origin.clone() });
            let ours = |name: &String| {
                InterpreterSettings::ROWS.iter().any(|row| row.name.eq_ignore_ascii_case(name))
            };
            for name in line.children().filter(|name| !ours(name)) {
                reading.doubt(format!("{name} does not belong into it and counts as if written outside"), "move it out");
            }
            Ok(())
        });
        if refused.is_null() { line.walk() } else { refused }
    }

    /// Takes a directive of the directory table.
    fn set_directory(parms: *mut ffi::cmd_parms, settings: *mut c_void, arguments: *const c_char) -> *const c_char,
        or DEFECT.as_ptr();
    {
        // SAFETY: [CONF] what httpd gave to this setter.
        let Some(line) = (unsafe { Line::new(parms, arguments) }) else { return ptr::null() };
        // SAFETY: [ROW] cmd_data is a row of the directory table.
        let row = unsafe { line.row::<DirectorySettings>() };
        // SAFETY: [CONF] made by `create_directory` for this section, which is being read now.
        let Some(settings) = (unsafe { settings.cast::<DirectorySettings>().as_mut() }) else { return ptr::null() };
        take_in_section(&line, row, settings)
    }
}

/// Takes a directive of a server: what it says, what is doubtful about it, or httpd's complaint.
fn take(
    line: &Line<'_>,
    directive: &'static str,
    scope: Scope,
    set: impl FnOnce(&mut ServerConfig, &str, &mut Reading) -> Result<(), String>,
) -> *const c_char {
    if scope == Scope::Global && line.server.is_virtual() {
        return line.complaint(directive, "is for the main server only; move it out of <VirtualHost>");
    }
    let mut reading = Reading::at(line.origin());
    let result = line.text().and_then(|text| {
        ServerConfig::change(&line.server, |config| {
            set(config, text, &mut reading)?;
            let told = reading.doubts.into_iter().map(|doubt| Told::new(directive, &reading.origin, doubt));
            config.written.doubts.extend(told);
            Ok(())
        })
        .unwrap_or(Ok(()))
    });
    result.map_or_else(|problem| line.complaint(directive, &problem), |()| ptr::null())
}

/// Takes a directive of a section, or of an `.htaccess` file.
fn take_in_section(
    line: &Line<'_>,
    row: &'static Row<DirectorySettings>,
    settings: &mut DirectorySettings,
) -> *const c_char {
    let mut reading = Reading::at(line.origin());
    let result = line.text().and_then(|text| {
        (row.set)(settings, text, &mut reading).map_err(|error| error.to_string())?;
        let origin = reading.origin.clone();
        let told = reading.doubts.drain(..).map(|doubt| Told::new(row.name, &origin, doubt));
        if line.is_htaccess() {
            told.for_each(|told| tell_once(line, told));
            return Ok(());
        }
        let mut alone = DirectorySettings::default();
        let told: Vec<_> = told.collect();
        (row.set)(&mut alone, text, &mut reading).map_err(|error| error.to_string())?;
        ServerConfig::change(&line.server, |config| {
            config.written.doubts.extend(told);
            config.written.mentions.push(Mention { sections: line.sections(), settings: alone });
        });
        Ok(())
    });
    result.map_or_else(|problem| line.complaint(row.name, &problem), |()| ptr::null())
}

/// Logs a doubt about an `.htaccess` file, which is read for each request, once in each child.
fn tell_once(line: &Line<'_>, told: Told) {
    static SAID: Mutex<Option<HashSet<Told>>> = Mutex::new(None);
    const MOST: usize = 1000;
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let said = said.get_or_insert_default();
    let event = told.event();
    if said.len() < MOST && said.insert(told) {
        log::line(&line.server, event.level(), event.to_string().as_bytes());
    }
}

/// What httpd says if a setter stopped at a defect.
const DEFECT: &CStr = c"a defect in mod_wsgi_rs was caught; see the error log";
/// The one section of ours.
const SECTION: &str = "<WSGIInterpreterOptions";
const C_SECTION: &CStr = c"<WSGIInterpreterOptions";

/// The command table; httpd only reads it.
struct Commands([ffi::command_rec; COUNT]);

// SAFETY: [ROW] the table and everything it points to is constant.
unsafe impl Sync for Commands {}

const COUNT: usize = ServerSettings::ROWS.len() + DirectorySettings::ROWS.len() + InterpreterSettings::ROWS.len() + 2;

static COMMANDS: Commands = Commands(table());

/// The address of the command table, for the module record.
pub const fn commands() -> *const ffi::command_rec {
    COMMANDS.0.as_ptr()
}

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which has no iterators there")]
const fn table() -> [ffi::command_rec; COUNT] {
    const END: ffi::command_rec = ffi::command_rec {
        name: ptr::null(),
        func: ffi::cmd_func { raw_args: None },
        cmd_data: ptr::null_mut(),
        req_override: 0,
        args_how: ffi::RAW_ARGS,
        errmsg: ptr::null(),
    };
    let mut table = [END; COUNT];
    let mut at = 0;
    while at < ServerSettings::ROWS.len() {
        let row = &ServerSettings::ROWS[at];
        table[at] = command(row.c_name, row.c_summary, (&raw const *row).cast(), row.scope, set_server);
        at += 1;
    }
    let mut place = 0;
    while place < DirectorySettings::ROWS.len() {
        let row = &DirectorySettings::ROWS[place];
        table[at + place] = command(row.c_name, row.c_summary, (&raw const *row).cast(), row.scope, set_directory);
        place += 1;
    }
    at += place;
    place = 0;
    while place < InterpreterSettings::ROWS.len() {
        let row = &InterpreterSettings::ROWS[place];
        table[at + place] = command(row.c_name, row.c_summary, (&raw const *row).cast(), row.scope, set_interpreter);
        place += 1;
    }
    let summary = c"Settings for some interpreters.";
    table[at + place] = command(C_SECTION, summary, ptr::null(), Scope::Global, begin_section);
    table
}

type Setter = unsafe extern "C" fn(*mut ffi::cmd_parms, *mut c_void, *const c_char) -> *const c_char;

const fn command(
    name: &'static CStr,
    summary: &'static CStr,
    row: *const c_void,
    scope: Scope,
    setter: Setter,
) -> ffi::command_rec {
    ffi::command_rec {
        name: name.as_ptr(),
        func: ffi::cmd_func { raw_args: Some(setter) },
        cmd_data: row.cast_mut(),
        req_override: contexts(scope),
        args_how: ffi::RAW_ARGS,
        errmsg: summary.as_ptr(),
    }
}

const fn contexts(scope: Scope) -> c_int {
    match scope {
        Scope::Global | Scope::Server => ffi::RSRC_CONF,
        Scope::Directory => ffi::RSRC_CONF | ffi::ACCESS_CONF,
        Scope::FileInfo => ffi::OR_FILEINFO,
        Scope::AuthConfig => ffi::OR_AUTHCFG,
    }
}
