// SPDX-License-Identifier: Apache-2.0
//! The directive tables as httpd wants them: a `command_rec` for each row, create and merge functions for the settings.
//!
//! Called in the parent while the configuration is read, and in children for `.htaccess` and for merging sections.

use crate::apache::pool::Pool;
use crate::apache::regex::Regex;
use crate::apache::request::Request;
use crate::apache::server::Server;
use crate::boundary::callbacks;
use crate::{ffi, module};
use model::alias::{Alias, Location};
use model::directive::{Origin, Row, Scope};
use model::settings::{DirectorySettings, ServerSettings};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// A server's settings with its compiled patterns.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// The settings as written and merged.
    pub settings: ServerSettings,
    /// The expression of each alias that has one, in the order of the aliases.
    patterns: Vec<Option<Regex>>,
}

impl ServerConfig {
    /// The settings that apply to `server`.
    pub fn of<'s>(server: &Server<'s>) -> Option<&'s Self> {
        // SAFETY: [CONF] the vector belongs to a live server record.
        let config = unsafe { ffi::ap_get_module_config(server.configurations(), module()) };
        // SAFETY: [CONF] our entry is null or what `create_server` or `merge_server` made.
        unsafe { config.cast::<Self>().as_ref() }
    }

    /// The aliases in the order they are tried, with their expressions.
    pub fn aliases(&self) -> impl Iterator<Item = (&Alias, Option<&Regex>)> {
        self.settings.script_aliases().0.iter().zip(self.patterns.iter().map(Option::as_ref))
    }

    /// Compiles the expressions of aliases that were added; answers the first that is malformed.
    fn compile(&mut self, pool: Pool<'_>) -> Result<(), String> {
        for alias in self.settings.script_aliases().0.iter().skip(self.patterns.len()) {
            self.patterns.push(match &alias.location {
                Location::Literal(_) => None,
                Location::Pattern(text) => {
                    let regex = Regex::compile(pool, text);
                    Some(regex.ok_or_else(|| format!("'{text}' is not a valid regular expression"))?)
                }
            });
        }
        Ok(())
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
                settings: ServerSettings::merge(&outer.settings, &inner.settings),
                patterns: [inner.patterns.as_slice(), outer.patterns.as_slice()].concat(),
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
        or c"a defect in mod_wsgi_rs was caught; see the error log".as_ptr();
    {
        // SAFETY: [CONF] httpd's parameters of this call.
        let parms = unsafe { &*parms };
        // SAFETY: [ROW] cmd_data is a row of the server table.
        let row = unsafe { &*parms.info.cast::<Row<ServerSettings>>() };
        // SAFETY: [CONF] the server that the directive was written for.
        let Some(server) = (unsafe { Server::new(parms.server) }) else { return ptr::null() };
        // SAFETY: [POOL] the configuration pool.
        let pool = unsafe { Pool::new(parms.pool) };
        if row.scope == Scope::Global && server.is_virtual() {
            return complain(pool, row.name, "is for the main server only; move it out of <VirtualHost>");
        }
        // SAFETY: [CONF] the vector belongs to a live server record.
        let config = unsafe { ffi::ap_get_module_config(server.configurations(), module()) };
        // SAFETY: [CONF] made by `create_server`; while the configuration is read nobody else holds it.
        let Some(config) = (unsafe { config.cast::<ServerConfig>().as_mut() }) else { return ptr::null() };
        let result = with_arguments(arguments, |text| {
            (row.set)(&mut config.settings, text, &origin(parms)).map_err(|error| error.to_string())?;
            config.compile(pool)
        });
        result.map_or_else(|error| complain(pool, row.name, &error), |()| ptr::null())
    }

    /// Takes a directive of the directory table.
    fn set_directory(parms: *mut ffi::cmd_parms, settings: *mut c_void, arguments: *const c_char) -> *const c_char,
        or c"a defect in mod_wsgi_rs was caught; see the error log".as_ptr();
    {
        // SAFETY: [CONF] httpd's parameters of this call.
        let parms = unsafe { &*parms };
        // SAFETY: [ROW] cmd_data is a row of the directory table.
        let row = unsafe { &*parms.info.cast::<Row<DirectorySettings>>() };
        // SAFETY: [CONF] made by `create_directory` for this section, which is being read now.
        let Some(settings) = (unsafe { settings.cast::<DirectorySettings>().as_mut() }) else { return ptr::null() };
        let result = with_arguments(arguments, |text| {
            (row.set)(settings, text, &origin(parms)).map_err(|error| error.to_string())
        });
        // SAFETY: [POOL] the pool of the configuration or of the request.
        let pool = unsafe { Pool::new(parms.pool) };
        result.map_or_else(|error| complain(pool, row.name, &error), |()| ptr::null())
    }
}

fn with_arguments(arguments: *const c_char, set: impl FnOnce(&str) -> Result<(), String>) -> Result<(), String> {
    // SAFETY: [CSTR] httpd's rest of the line.
    let bytes = unsafe { crate::apache::bytes(arguments) }.unwrap_or_default();
    set(std::str::from_utf8(bytes).map_err(|_| "is not written in UTF-8".to_owned())?)
}

fn complain(pool: Pool<'_>, directive: &str, problem: &str) -> *const c_char {
    pool.concat(&[directive.as_bytes(), b" ", problem.replace('\0', " ").as_bytes()])
}

fn origin(parms: &ffi::cmd_parms) -> Origin {
    // SAFETY: [CONF] the directive being read.
    let Some(directive) = (unsafe { parms.directive.as_ref() }) else { return Origin::default() };
    // SAFETY: [CSTR] the name of the file it stands in.
    let file = unsafe { crate::apache::bytes(directive.filename) }.unwrap_or_default();
    Origin { file: String::from_utf8_lossy(file).into(), line: u32::try_from(directive.line_num).unwrap_or(0) }
}

/// The command table; httpd only reads it.
struct Commands([ffi::command_rec; COUNT]);

// SAFETY: [ROW] the table and everything it points to is constant.
unsafe impl Sync for Commands {}

const COUNT: usize = ServerSettings::ROWS.len() + DirectorySettings::ROWS.len() + 1;

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
    }
}
