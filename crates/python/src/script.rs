// SPDX-License-Identifier: Apache-2.0
//! Script files as modules: loaded once per interpreter, loaded again when they change (requests §11).
//!
//! Called on request threads that hold the interpreter. There is one lock per interpreter and script; whoever waits
//! for it does not hold the interpreter, so a slow import blocks nobody else.

use crate::call::{Job, Reload, Run};
use crate::host::Facts;
use crate::live::lock;
use crate::object::{Answer, Attached, Kept, Object};
use crate::raised::Raised;
use model::environ::Key;
use model::event::Event;
use model::exchange::Outcome;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The scripts of one interpreter.
#[derive(Default)]
pub struct Scripts {
    by_path: Mutex<HashMap<Vec<u8>, Arc<Script>>>,
}

/// A script file in one interpreter.
pub(crate) struct Script {
    path: Vec<u8>,
    module_name: String,
    loaded: Mutex<Option<Loaded>>,
    loading: Mutex<bool>,
    loading_ended: Condvar,
    /// Callables that were asked for.
    pub(crate) sites: Mutex<Vec<Arc<Site>>>,
}

/// A script that ran: its namespace.
struct Loaded {
    namespace: Arc<Kept>,
    modified: i64,
}

/// A callable of a script, called for one URL scheme: what requests to it have in common.
pub(crate) struct Site {
    pub(crate) callable: Vec<u8>,
    pub(crate) https: bool,
    /// The name of the callable as `str`.
    pub(crate) name: Kept,
    /// The environ entries that never change.
    pub(crate) template: Kept,
    /// Templates with places for all entries, for the sets of entries that requests were seen to have.
    pub(crate) shapes: Mutex<Vec<Shape>>,
}

/// The known keys that a request brings, in order, and a dictionary that has a place for each.
pub(crate) struct Shape {
    pub(crate) keys: Vec<Key>,
    pub(crate) template: Arc<Kept>,
}

impl Scripts {
    /// The script at `path`. Where capital letters do not count, it is read from the path that was asked for first.
    pub(crate) fn find(&self, path: &[u8], facts: &Facts) -> Arc<Script> {
        let known: Cow<'_, [u8]> = if facts.case_sensitive { path.into() } else { path.to_ascii_lowercase().into() };
        let mut by_path = lock(&self.by_path);
        if let Some(script) = by_path.get(&*known) {
            return Arc::clone(script);
        }
        let script = Arc::new(Script {
            path: path.to_vec(),
            module_name: format!("_mod_wsgi_{:x}", md5::compute(&known)),
            loaded: Mutex::default(),
            loading: Mutex::default(),
            loading_ended: Condvar::new(),
            sites: Mutex::default(),
        });
        by_path.insert(known.into_owned(), Arc::clone(&script));
        script
    }

    /// Gives all objects up.
    pub(crate) fn release(&self, attached: Attached<'_>) {
        let scripts = std::mem::take(&mut *lock(&self.by_path));
        for script in scripts.into_values() {
            let loaded = lock(&script.loaded).take();
            if let Some(loaded) = loaded {
                loaded.namespace.release(attached);
            }
            let sites = std::mem::take(&mut *lock(&script.sites));
            for site in sites {
                site.name.release(attached);
                site.template.release(attached);
                let shapes = std::mem::take(&mut *lock(&site.shapes));
                shapes.iter().for_each(|shape| shape.template.release(attached));
            }
        }
    }
}

/// The right to load a script, given back when dropped.
struct Loading<'s>(&'s Script);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        *lock(&self.0.loading) = false;
        self.0.loading_ended.notify_all();
    }
}

impl Script {
    fn begin_loading(&self, attached: Attached<'_>) -> Loading<'_> {
        attached.detached(|| {
            let loading = lock(&self.loading);
            let ended = self.loading_ended.wait_while(loading, |loading| *loading);
            *ended.unwrap_or_else(PoisonError::into_inner) = true;
        });
        Loading(self)
    }

    fn loaded(&self) -> Option<(Arc<Kept>, i64)> {
        lock(&self.loaded).as_ref().map(|loaded| (Arc::clone(&loaded.namespace), loaded.modified))
    }

    /// The namespace of the script, loaded if need be.
    pub(crate) fn namespace<'i>(&self, run: &Run<'i, '_>, job: &Job<'_>) -> Result<Object<'i>, Outcome> {
        if let Some(found) = self.fresh(run, job, |modified| modified == job.script_mtime) {
            return Ok(found);
        }
        let _loading = self.begin_loading(run.attached);
        let path = Path::new(OsStr::from_bytes(&self.path));
        let now = run.attached.detached(|| fs::metadata(path).ok().map(|file| modified(&file)));
        if let Some(found) = self.fresh(run, job, |modified| Some(modified) == now) {
            return Ok(found);
        }
        if job.reload == Reload::Elsewhere && lock(&self.loaded).is_some() {
            return Err(Outcome::NotStarted);
        }
        self.load(run, path, now)
    }

    /// The namespace if it may be used as it is: never loaded again, or unchanged and not asking to be loaded again.
    fn fresh<'i>(&self, run: &Run<'i, '_>, job: &Job<'_>, is_current: impl Fn(i64) -> bool) -> Option<Object<'i>> {
        let (namespace, modified) = self.loaded()?;
        let namespace = namespace.bind(run.attached);
        if !job.script_reloading {
            return Some(namespace);
        }
        (is_current(modified) && !self.asks_for_reload(run, job, &namespace)).then_some(namespace)
    }

    fn asks_for_reload<'i>(&self, run: &Run<'i, '_>, job: &Job<'_>, namespace: &Object<'i>) -> bool {
        let tools = run.state.tools(run.attached);
        let asked = || -> Answer<'i, bool> {
            let Some(hook) = namespace.dict_item(&tools.reload_name.borrow(run.attached))? else { return Ok(false) };
            let resource = Object::bytes(run.attached, job.resource)?;
            tools.reload_required.borrow(run.attached).call(&[*hook, *resource])?.is_true()
        };
        asked().unwrap_or_else(|raised| {
            let script = run.live.script();
            run.log_raised(&raised, |exception| Event::ReloadHookFailed { script, exception });
            false
        })
    }

    fn load<'i>(&self, run: &Run<'i, '_>, path: &Path, modified: Option<i64>) -> Result<Object<'i>, Outcome> {
        let attached = run.attached;
        let source = attached.detached(|| fs::read(path)).map_err(|error| {
            let event = Event::ScriptUnreadable { script: run.live.script(), reason: error.to_string() };
            attached.detached(|| run.live.report(&event));
            Outcome::Refused(500)
        })?;
        let former = lock(&self.loaded).take();
        if let Some(former) = former {
            former.namespace.release(attached);
        }
        self.execute(run, &source, modified.unwrap_or(0)).map_err(|raised| {
            if raised.is_exit() && run.process.facts().threads_per_process == 0 {
                // The script of a process that serves no requests is a program, and this is how programs end.
                return Outcome::Complete;
            }
            if run.is_timeout(&raised) {
                return Outcome::Refused(504);
            }
            let (script, interpreter) = (run.live.script(), run.seat.interpreter.place());
            run.log_raised(&raised, |exception| Event::ScriptFailed { script, interpreter, exception });
            Outcome::Refused(500)
        })
    }

    fn execute<'i>(&self, run: &Run<'i, '_>, source: &[u8], modified: i64) -> Answer<'i> {
        let attached = run.attached;
        let tools = run.state.tools(attached);
        let name = Object::text(attached, &self.module_name)?;
        tools.forget.borrow(attached).call(&[*name])?;
        let (path, source) = (Object::bytes(attached, &self.path)?, Object::bytes(attached, source)?);
        let module = tools.execute.borrow(attached).call(&[*name, *path, *source])?;
        module.set_attribute(c"__mtime__", &*Object::integer(attached, modified)?)?;
        let namespace = module.attribute(c"__dict__")?;
        let kept = Arc::new(namespace.keep());
        *lock(&self.loaded) = Some(Loaded { namespace: kept, modified });
        Ok(namespace)
    }

    /// What requests to a callable of this script have in common.
    pub(crate) fn site<'i>(
        &self,
        job: &Job<'_>,
        make: impl FnOnce() -> Result<Site, Raised<'i>>,
    ) -> Answer<'i, Arc<Site>> {
        let matches = |site: &&Arc<Site>| site.https == job.https && site.callable == job.callable;
        let found = lock(&self.sites).iter().find(matches).cloned();
        if let Some(site) = found {
            return Ok(site);
        }
        let site = Arc::new(make()?);
        lock(&self.sites).push(Arc::clone(&site));
        Ok(site)
    }
}

fn modified(file: &fs::Metadata) -> i64 {
    file.mtime().saturating_mul(1_000_000).saturating_add(file.mtime_nsec() / 1000)
}
