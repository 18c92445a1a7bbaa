// SPDX-License-Identifier: Apache-2.0
//! What the configuration asks of embedded mode.

#![forbid(unsafe_code)]

use crate::apache::directive;
use crate::apache::process::Parent;
use crate::apache::server::Server;
use crate::verify;
use model::configuration::effective::{Runs, runs_embedded};
use model::configuration::handlers::{DIRECTIVES, may_run_embedded};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// What the configuration asks of embedded mode.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// The scripts that each child loads ahead of requests, each with its interpreter.
    pub preloads: Vec<(String, String)>,
    /// Whether requests of an alias, or such a script, certainly run there.
    pub certainly: bool,
    /// Whether requests of an alias may, or those that a handler leads to.
    pub perhaps: bool,
}

/// Those of the present configuration, which children inherit.
static PRESENT: Mutex<Option<Needs>> = Mutex::new(None);

/// Those of the present configuration.
pub fn present() -> Needs {
    PRESENT.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

/// In the parent, when the configuration is complete: looks at it.
pub fn look(parent: Parent, main: Server<'_>) {
    let mut needs = Needs::default();
    verify::with_views(main, |views| {
        let Some(main) = views.first() else { return };
        needs.perhaps = may_run_embedded(views, &directive::written(parent, &DIRECTIVES));
        for view in views {
            for import in &view.written.settings.import_scripts().0 {
                if import.options.process_group().name().is_empty() {
                    needs.certainly = true;
                    needs.preloads.push((import.options.application_group().name().to_owned(), import.path.clone()));
                }
            }
            for alias in &view.written.settings.script_aliases().0 {
                let runs = runs_embedded(main, view, alias);
                needs.certainly |= runs == Runs::Always;
                needs.perhaps |= runs != Runs::Never;
                if let Some(("", application_group)) = alias.preload() {
                    needs.preloads.push((application_group.to_owned(), alias.target.clone()));
                }
            }
        }
    });
    needs.perhaps |= needs.certainly;
    let mut known = HashSet::new();
    needs.preloads.retain(|preload| known.insert(preload.clone()));
    *PRESENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(needs);
}
