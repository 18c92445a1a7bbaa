// SPDX-License-Identifier: Apache-2.0
//! Configurations that our module deliberately judges otherwise than the reference.

use harness::Module;

/// A difference in judgement that is meant.
pub struct Deviation {
    /// The names of the cases; `*` stands for any text.
    pub cases: &'static [&'static str],
    /// The references it differs from.
    pub references: &'static [Module],
    /// What ours says.
    pub ours: Verdict,
    /// Why ours is better, or why it cannot be the same.
    pub reason: &'static str,
}

/// What a module says of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// httpd would start.
    Accepted,
    /// httpd would not start.
    Refused,
}

const BOTH: &[Module] = &[Module::Reference4, Module::Reference6];
const RELEASE_6: &[Module] = &[Module::Reference6];

const fn accepts(references: &'static [Module], reason: &'static str, cases: &'static [&'static str]) -> Deviation {
    Deviation { cases, references, ours: Verdict::Accepted, reason }
}

const fn refuses(references: &'static [Module], reason: &'static str, cases: &'static [&'static str]) -> Deviation {
    Deviation { cases, references, ours: Verdict::Refused, reason }
}

const RETIRED: &str = "A directive of older releases: accepted with a warning, so that old configurations load.";
const ORDER: &str = "Groups are looked up when everything is read: the order of lines does not matter.";
const UNDECLARED: &str =
    "A group that is declared nowhere is a warning at the configuration test; requests for it get 500.";
const INVISIBLE: &str =
    "A group that the host may not use is refused to its requests, as where the reference cannot see it before either.";
const UNITS: &str = "Sizes may have units: it is the size that is compared with the limit.";
const ADDRESS: &str = "An address is valid in every spelling of its standard.";
const FINITE: &str = "No number of seconds is meant by this; the reference takes what its C library takes.";

const ACCOUNT: &str =
    "The number of an account is digits; for the reference anything else is 0, which is root, or what it begins with.";

/// The table, by topic.
pub const TABLE: &[Deviation] = &[
    accepts(
        RELEASE_6,
        RETIRED,
        &[
            "server: WSGILazyInitialization On",
            "server: WSGILazyInitialization oFF",
            "server: WSGINewRelicConfigFile /a/path",
            "server: WSGINewRelicEnvironment name",
            "server: WSGINewRelicEnvironment \"a name\"",
            "htaccess lenient: WSGILazyInitialization On",
            "htaccess lenient: WSGINewRelic*",
            "server: WSGIDaemonProcess g newrelic-*x",
            "server: WSGIDaemonProcess g newrelic-*=",
            "server: WSGIDaemonProcess g newrelic-*=\"\"",
        ],
    ),
    accepts(
        BOTH,
        RETIRED,
        &[
            "server: WSGIPy3kWarningFlag On",
            "server: WSGIPy3kWarningFlag oFF",
            "htaccess lenient: WSGIPy3kWarningFlag On",
            "directory: WSGIUserAuthoritative On",
            "directory: WSGIUserAuthoritative oFF",
            "location: WSGIUserAuthoritative On",
            "files: WSGIUserAuthoritative On",
            "if: WSGIUserAuthoritative On",
            "limit: WSGIUserAuthoritative On",
            "htaccess authconfig: WSGIUserAuthoritative On",
            "htaccess all: WSGIUserAuthoritative On",
            "htaccess lenient: WSGIUserAuthoritative On",
        ],
    ),
    accepts(
        BOTH,
        ORDER,
        &[
            "an alias before its group",
            "an import before its group",
            "a pattern without a substitution before its group",
            "a group of a later host of the same name",
        ],
    ),
    accepts(
        BOTH,
        UNDECLARED,
        &[
            "an import of another group",
            "server: WSGIScriptAliasMatch ^/y /y.wsgi process-group=undeclared application-group=a",
            "server: WSGIImportScript /x.py process-group=undeclared application-group=a",
            "server: WSGIImportScript /x.py process-group=%{ENV:X} application-group=a",
            "server: WSGIImportScript /x.py process-group=%{SERVER} application-group=a",
        ],
    ),
    accepts(
        BOTH,
        INVISIBLE,
        &[
            "a group of another host",
            "a group of another host of the same name in other letters",
            "a group of another host, whose alias is this one's name",
            "a group of another host, without a name of its own",
            "a group of a host without a name",
            "a group of a host named by the server",
            "an import of a group of another host",
        ],
    ),
    accepts(
        BOTH,
        UNITS,
        &[
            "server: WSGIDaemonProcess g send-buffer-size=1k",
            "server: WSGIDaemonProcess g receive-buffer-size=1k",
            "server: WSGIDaemonProcess g header-buffer-size=8k",
            "server: WSGIDaemonProcess g header-buffer-size=64KB",
            "server: WSGIDaemonProcess g response-buffer-size=64k",
            "server: WSGIDaemonProcess g response-buffer-size=8M",
        ],
    ),
    accepts(
        BOTH,
        ADDRESS,
        &[
            "server: WSGITrustedProxies FE80::1",
            "server: WSGITrustedProxies 2001:DB8::/32",
            "server: WSGITrustedProxies ::ffff:10.0.0.1",
        ],
    ),
    refuses(
        RELEASE_6,
        FINITE,
        &["server: WSGISwitchInterval 0x1p-3", "server: WSGIDaemonProcess g switch-interval=0x1"],
    ),
    refuses(
        BOTH,
        ACCOUNT,
        &[
            "server: WSGIDaemonProcess g so*user=#",
            "server: WSGIDaemonProcess g so*user=#x",
            "server: WSGIDaemonProcess g sc*user=#",
            "server: WSGIDaemonProcess g sc*user=#x",
            "server: WSGIDaemonProcess g group=#",
            "server: WSGIDaemonProcess g group=#-1",
            "server: WSGIDaemonProcess g group=#x",
            "server: WSGIDaemonProcess g script-group=#",
            "server: WSGIDaemonProcess g script-group=#x",
            "server: WSGIDaemonProcess g supplementary-groups=#",
        ],
    ),
    accepts(
        BOTH,
        "A group needs no entry for its number: files may belong to it all the same.",
        &["server: WSGIDaemonProcess g script-group=#54321"],
    ),
    accepts(
        BOTH,
        "The number is kept as it is; in the reference it becomes negative.",
        &["server: WSGIDaemonProcess g request-timeout=2147483648"],
    ),
];

impl Deviation {
    /// Whether the table's row is about a case.
    pub fn is_about(&self, case: &str) -> bool {
        self.cases.iter().any(|pattern| matches(pattern, case))
    }
}

/// Whether the text is the pattern, in which `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(tail) = text.strip_prefix(head) else { return false };
    let starts = tail.char_indices().map(|(index, _)| index).chain([tail.len()]);
    starts.into_iter().any(|start| matches(rest, &tail[start..]))
}
