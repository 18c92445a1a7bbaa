// SPDX-License-Identifier: Apache-2.0
//! Where a request deliberately resolves otherwise than on the reference. A scenario is `<world>: <case>`, in which `*`
//! stands for any text; an item is a key of the environ, `status`, `ran`, or `*` for all.

use harness::Module;
use harness::differential::Deviation;

const BOTH: &[Module] = &[Module::Reference4, Module::Reference6];

const fn row(scenario: &'static str, item: &'static str, reason: &'static str) -> Deviation {
    Deviation { scenario, item, references: BOTH, reason }
}

const PORT: &str =
    "The port is that of ServerName, else of the listener, so that no client chooses the names of interpreters.";
const UNSET: &str = "A variable that is unset or empty is a mistake of that request, not a name and not embedded mode.";
const FORBIDDEN: &str = "The administrator forbids the group: 403, and no failure of the server.";
const EXACT: &str = "Names of groups are compared exactly, here as everywhere else.";
const ALIASED: &str = "What an alias names is run, and never served as source, whatever its extension is mapped to.";

/// The table, by world.
pub const TABLE: &[Deviation] = &[
    row("expansion: process, env empty", "status", UNSET),
    row("expansion: application, env unset", "status", UNSET),
    row("expansion: application, env empty", "status", UNSET),
    row("expansion: application, two envs", "status", UNSET),
    row(
        "expansion: callable, missing",
        "status",
        "A script without its callable is a broken application (500), not a missing resource (404).",
    ),
    row("expansion: application, * in the name", "mod_wsgi.application_group", PORT),
    row("expansion: application, * in Host", "mod_wsgi.application_group", PORT),
    row("expansion: application, default with a canonical name", "mod_wsgi.application_group", PORT),
    row("expansion: application, host without a port", "mod_wsgi.application_group", PORT),
    row("expansion: application, host in capitals", "mod_wsgi.application_group", PORT),
    row(
        "expansion: note, of the alias",
        "status",
        "The notes in which the reference keeps an alias's options are nobody's interface; ours keeps them elsewhere.",
    ),
    row("handler: alias with another handler", "*", ALIASED),
    row("handler: alias with an unknown handler", "*", ALIASED),
    row("handler: alias with a set handler", "*", ALIASED),
    row(
        "handler: own, name in capitals",
        "status",
        "httpd lower-cases the names of handlers, so the directive's is lower-cased as well.",
    ),
    row("merge: restriction of host", "status", FORBIDDEN),
    row("merge: restriction and main location", "status", FORBIDDEN),
    row("merge: restriction of a location is not joined", "status", FORBIDDEN),
    row("merge: restriction twice", "status", FORBIDDEN),
    row("visibility: group of a host of the same name with a port", "mod_wsgi.application_group", PORT),
    row("visibility: restricted, not admitted", "status", FORBIDDEN),
    row("visibility: restricted, other case", "status", EXACT),
    row("visibility: restricted, capitals in small letters", "status", EXACT),
    row("visibility: restricted, embedded not admitted", "status", FORBIDDEN),
    row("visibility: restricted, embedded only", "status", FORBIDDEN),
    row("visibility: restricted to nothing*", "status", FORBIDDEN),
    row("visibility: restricted, by variable not admitted", "status", FORBIDDEN),
    row("visibility: restricted, variable in the list", "status", FORBIDDEN),
    row("visibility: restricted, unknown and not listed", "status", FORBIDDEN),
    row("visibility: restricted by location", "status", FORBIDDEN),
    row("visibility: restricted, handler script", "status", FORBIDDEN),
];
