// SPDX-License-Identifier: Apache-2.0
//! Where our module deliberately answers otherwise than the reference. `*` as the scenario stands for all of them, and as
//! the item for the whole answer.

use harness::Module;
use harness::differential::Deviation;

const BOTH: &[Module] = &[Module::Reference4, Module::Reference6];
const RELEASE_4: &[Module] = &[Module::Reference4];
const RELEASE_6: &[Module] = &[Module::Reference6];

const fn row(
    scenario: &'static str,
    item: &'static str,
    references: &'static [Module],
    reason: &'static str,
) -> Deviation {
    Deviation { scenario, item, references, reason }
}

/// The table, by topic.
pub const TABLE: &[Deviation] = &[
    row(
        "*",
        "framing",
        BOTH,
        "The length of a list or tuple is known, so it is sent: connections stay usable and HTTP/1.0 clients keep theirs.",
    ),
    row("head", "header:content-length", BOTH, "HEAD tells the length that GET would have."),
    row(
        "environ of a head",
        "header:content-length",
        BOTH,
        "The environ printed has other keys and another server banner, so another length.",
    ),
    row("*", "environ:SERVER_SOFTWARE", BOTH, "The banner names this module."),
    row("*", "environ:mod_wsgi.application_start", RELEASE_4, "Release 6 has this key; release 4 did not."),
    row("*", "environ:mod_wsgi.daemon_start", RELEASE_4, "Release 6 has this key; release 4 did not."),
    row("*", "environ:mod_wsgi.queue_start", RELEASE_4, "Release 6 has this key; release 4 did not."),
    row("*", "environ:mod_wsgi.request_start", RELEASE_4, "Release 6 changed it to seconds as a float; so do we."),
    row("*", "environ:mod_wsgi.enable_sendfile", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:mod_wsgi.ignore_activity", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:mod_wsgi.script_reloading", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:mod_wsgi.script_start", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:mod_wsgi.thread_requests", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:mod_wsgi.total_requests", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:GATEWAY_INTERFACE", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:PATH_TRANSLATED", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row("*", "environ:SERVER_SIGNATURE", RELEASE_4, "Release 6 dropped this key from the environ; so do we."),
    row(
        "no type",
        "header:content-type",
        BOTH,
        "The type that httpd derives from the script's own file name says nothing about the answer.",
    ),
    row(
        "value with tab",
        "header:content-type",
        BOTH,
        "The type that httpd derives from the script's own file name says nothing about the answer.",
    ),
    row(
        "bare status",
        "*",
        RELEASE_4,
        "A status without a reason is well-formed (RFC 9112) and accepted since release 6.",
    ),
    row("bare status", "status", RELEASE_6, "A status without a reason is sent as the application gave it."),
    row(
        "too short",
        "end",
        BOTH,
        "An answer shorter than promised closes the connection, so the client need not wait.",
    ),
    row("transfer encoding", "body", BOTH, "Transfer-Encoding is the server's; passing it on breaks the framing."),
    row("transfer encoding", "end", BOTH, "Transfer-Encoding is the server's; passing it on breaks the framing."),
    row("raises in the middle", "end", BOTH, "A cut-off answer looks cut off at once: the connection is closed."),
    row(
        "raises in the middle with length",
        "end",
        BOTH,
        "A cut-off answer looks cut off at once: the connection is closed.",
    ),
    row("raises after write", "body", BOTH, "No error page is appended to an answer that has begun."),
    row("raises after write", "end", BOTH, "A cut-off answer looks cut off at once: the connection is closed."),
    row(
        "missing callable",
        "*",
        BOTH,
        "A script without its callable is a broken application (500), not a missing resource (404).",
    ),
    row("size None", "body", BOTH, "read(None) reads everything, as for every other file in Python."),
    row("huge size", "body", BOTH, "Memory is taken as data arrives, not for the size that was asked for."),
    row("readinto", "body", BOTH, "wsgi.input has readinto(), which release 6 lacks."),
    row(
        "expectation not read",
        "header:connection",
        BOTH,
        "The client was never told to send the body, so the connection cannot be used again.",
    ),
    row("informational status", "*", BOTH, "1xx is not a final answer; the client would wait for one."),
    row("status below 100", "*", BOTH, "Codes below 100 mean nothing in HTTP."),
    row("name with colon", "*", BOTH, "The application learns of the malformed name where it makes the mistake."),
    row(
        "name outside the token grammar",
        "*",
        BOTH,
        "The application learns of the malformed name where it makes the mistake.",
    ),
    row("value with NUL", "*", BOTH, "Nothing hides behind a NUL: whole values are checked and sent."),
    row("bad content length", "*", BOTH, "The application learns of the malformed length where it makes the mistake."),
    row(
        "position beyond the file",
        "*",
        BOTH,
        "Nothing is left of the file, so the answer is empty; the reference cuts the connection.",
    ),
    row(
        "more than the file",
        "*",
        BOTH,
        "What the file has is sent and the answer is visibly cut; the reference sends NULs or nothing, or crashes.",
    ),
    row("wrapper attributes", "*", RELEASE_4, "Release 4 crashes the child here; release 6 and we do not."),
];
