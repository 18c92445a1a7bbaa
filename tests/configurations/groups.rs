// SPDX-License-Identifier: Apache-2.0
//! Every option of `WSGIDaemonProcess` with values inside, at and outside the limits of what is valid.

use crate::cases::{Age, Case, Place};
use Age::{Old, Since6};

const DIRECTIVE: &str = "WSGIDaemonProcess";

type Options = (&'static [&'static str], Age, &'static [&'static str]);

/// What every option gets beside its own values.
const ALWAYS: &[&str] = &["", "\"\""];

const COUNTS: &[&str] = &["1", "0", "-1", "5x", "30s"];

const MORE_COUNTS: &[&str] = &[
    "banana",
    "1.5",
    "+3",
    "\" 3\"",
    "007",
    "2147483647",
    "2147483648",
    "2m",
    "1h",
    "1d",
    "30 s",
    "100ms",
    "5S",
    "1e3",
];

const SIZES: &[&str] = &["512MB", "1G", "64k", "9223372036854775807", "9223372036854775808"];

const WORDS: &[&str] = &["x", "\"a b\"", "/a:/b", "%{GLOBAL}", "%{GROUP}", "relative/path", "'x'", "\"x"];

const OPTIONS: &[Options] = &[
    (&["processes"], Old, COUNTS),
    (&["threads"], Old, COUNTS),
    (&["threads", "processes", "request-timeout", "maximum-requests", "memory-limit"], Old, MORE_COUNTS),
    (&["threads"], Old, &["65533", "65534", "65535", "65536"]),
    (
        &["user", "socket-user", "script-user"],
        Old,
        &[
            "www-data",
            "#33",
            "nobody-of-that-name",
            "#",
            "#x",
            "#4000000000",
            "33",
            "root",
            "#0",
            "\"www-data \"",
            "#33x",
            "#-1",
        ],
    ),
    (
        &["group", "script-group"],
        Old,
        &["www-data", "#33", "nobody-of-that-name", "#", "#x", "root", "#0", "#54321", "33", "#-1"],
    ),
    (
        &["supplementary-groups"],
        Old,
        &[
            "www-data",
            "www-data,daemon",
            "#33",
            "www-data,",
            ",www-data",
            "nobody-of-that-name",
            "www-data,#33",
            "a b",
            ",",
            "#",
        ],
    ),
    (
        &["umask"],
        Old,
        &["0022", "22", "0", "777", "0o22", "8", "-1", "x", "07777", "77777", "022x", "\" 022\"", "+022"],
    ),
    (&["chroot"], Old, &["/", "@ROOT@", "relative", "@ROOT@/nothing"]),
    (&["home"], Old, &["/", "@ROOT@", "relative", "@ROOT@/nothing", "~"]),
    (&["lang", "locale", "python-home", "python-path", "python-eggs", "display-name"], Old, WORDS),
    (
        &["switch-interval"],
        Since6,
        &["0.005", "1", "0", "-1", "x", "1x", "1e-3", "inf", "nan", "1e400", "\" 1\"", "\"1 \"", ".5", "0x1", "5ms"],
    ),
    (&["stack-size"], Old, &["1", "0", "-1", "1048576", "8M", "512k", "x", "99999999999"]),
    (
        &[
            "maximum-requests",
            "startup-timeout",
            "shutdown-timeout",
            "deadlock-timeout",
            "inactivity-timeout",
            "request-timeout",
            "graceful-timeout",
            "eviction-timeout",
            "restart-interval",
            "connect-timeout",
            "socket-timeout",
            "queue-timeout",
            "listen-backlog",
            "response-socket-timeout",
            "cpu-time-limit",
        ],
        Old,
        COUNTS,
    ),
    (&["interrupt-timeout", "response-flush-delay"], Since6, COUNTS),
    (
        &["send-buffer-size", "receive-buffer-size"],
        Old,
        &["0", "1", "511", "512", "513", "-1", "x", "1k", "512k", "99999999999"],
    ),
    (&["header-buffer-size"], Old, &["0", "1", "8191", "8192", "-1", "x", "8k", "64KB", "99999999999"]),
    (&["response-buffer-size"], Old, &["0", "1", "65535", "65536", "-1", "x", "64k", "8M", "99999999999"]),
    (&["memory-limit", "virtual-memory-limit"], Old, COUNTS),
    (&["memory-limit", "virtual-memory-limit"], Old, SIZES),
    (&["cpu-priority"], Old, &["0", "5", "-5", "20", "100", "x", "1.5", "5x", "+5"]),
    (&["server-metrics"], Old, &["On", "Off", "oN", "Yes", "1", "true"]),
    (&["newrelic-config-file", "newrelic-environment"], Old, &["/x", "x"]),
    (&["proxy-buffer-size"], Old, &["65536"]),
    (&["process", "thread", "Threads", "thread-count", "callable-object", "maximum-request", "nice"], Old, &["1"]),
];

/// Lines whose form is of interest, rather than a value.
const LINES: &[&str] = &[
    "",
    "name",
    "name threads",
    "name threads=",
    "name threads =5",
    "name threads = 5",
    "name threads= 5",
    "name =5",
    "name 5",
    "threads=5",
    "name threads=5 threads=6",
    "name threads=5 processes=2 display-name=%{GROUP}",
    "name threads=\"5\"",
    "name threads='5'",
    "name threads=\"5",
    "\"two words\" threads=5",
    "\"two words\"",
    "\"\" threads=5",
    "\"\"",
    "%{GLOBAL}",
    "%{ENV:X} threads=1",
    "%{SERVER}",
    "name threads=5\tprocesses=2",
    "name   threads=5   ",
    "name threads=5,processes=2",
    "name script-user=www-data script-group=www-data",
    "name user=www-data group=www-data",
    "name user=www-data user=www-data",
    "name threads=5 #comment",
    "name \"threads=5\"",
    "name threads=5\"6\"",
    "name python-path=/a:/b python-home=/c",
    "name home=@ROOT@ chroot=/",
    "name lang=C.UTF-8 locale=C.UTF-8",
    "nâme",
    "name/with/slashes",
    "name:with:colons",
    "#name",
    "name user=\"www-data\" threads=1",
    "name home=\"/a b\" python-path='/c d'",
    "name display-name='%{GROUP}'",
    "name socket-timeout=30 response-socket-timeout=10 queue-timeout=5 connect-timeout=2",
    "name server-metrics=On threads=0",
];

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> =
        LINES.iter().map(|line| Case::line(Place::Server, DIRECTIVE, &format!("{DIRECTIVE} {line}"), Old)).collect();
    for (names, age, values) in OPTIONS {
        for name in *names {
            let first = OPTIONS.iter().position(|(others, ..)| others.contains(name));
            let is_first = first.is_some_and(|index| std::ptr::eq(OPTIONS[index].2, *values));
            let always = ALWAYS.iter().filter(|_| is_first);
            cases.extend(
                values
                    .iter()
                    .chain(always)
                    .map(|value| Case::line(Place::Server, DIRECTIVE, &format!("{DIRECTIVE} g {name}={value}"), *age)),
            );
        }
    }
    cases
}
