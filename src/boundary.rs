// SPDX-License-Identifier: Apache-2.0
//! The one fence between C and us: every function that httpd, APR or the extension module calls is made here.
//!
//! A panic must not leave a C callback, because that aborts the process with all its requests. The fence catches it,
//! logs it as one numbered event, and returns the value by which that callback tells failure.

use crate::apache::log;
use model::event::Event;
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Makes functions for C: `name(arguments) -> result, or value-if-it-panics { body }`.
///
/// The result is an `unsafe extern "C" fn`: its caller promises what the documentation of the C callback says.
macro_rules! callbacks {
    ($($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?, or $failure:expr; $body:block)+) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        ///
        /// Called by C only, with the arguments that the callback of this type is documented to get.
        $visibility unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            $crate::boundary::fence(concat!(module_path!(), "::", stringify!($name)), || $failure, || $body)
        }
    )+};
}

pub(crate) use callbacks;

thread_local! {
    /// Where and why the thread panicked last; set by the panic hook, read by the fence.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; if it panics, logs the event and returns what `failure` gives.
pub fn fence<R>(place: &'static str, failure: impl FnOnce() -> R, body: impl FnOnce() -> R) -> R {
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            let message = LAST_PANIC.take().unwrap_or_else(|| describe(&*payload));
            log::server_event(&Event::Panicked { place: place.to_owned(), message });
            failure()
        }
    }
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".to_owned())
}

/// Keeps panics from being printed to standard error in several lines; the fence logs them in one.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place =
                info.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
            let message = describe(info.payload()) + &place;
            LAST_PANIC.with_borrow_mut(|last| *last = Some(message));
        }));
    });
}
