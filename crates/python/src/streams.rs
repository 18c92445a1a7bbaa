// SPDX-License-Identifier: Apache-2.0
//! Which request a thread is running, so that what its code prints goes to that request's log.

use crate::live::Live;
use crate::object::Attached;
use crate::process;
use model::event::Event;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Live>>> = const { RefCell::new(None) };
}

/// Puts the former request back when dropped.
pub struct Running(Option<Arc<Live>>);

impl Drop for Running {
    fn drop(&mut self) {
        let former = self.0.take();
        let _thread_is_ending = CURRENT.try_with(|current| current.replace(former));
    }
}

/// Makes `live` the request of the calling thread until the result is dropped.
#[must_use]
pub fn run(live: &Arc<Live>) -> Running {
    Running(CURRENT.try_with(|current| current.replace(Some(Arc::clone(live)))).ok().flatten())
}

/// The request that the calling thread runs.
#[must_use]
pub fn current() -> Option<Arc<Live>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Logs an event to the request of the calling thread, else to the server.
pub fn report(attached: Attached<'_>, event: &Event) {
    attached.detached(|| match current() {
        Some(live) => live.report(event),
        None => process::report(event),
    });
}
