// SPDX-License-Identifier: Apache-2.0
//! Groups with `chroot`: httpd names files as it sees them, and their processes see them below another root.

#![forbid(unsafe_code)]

use model::environ::Key;
use model::wire::{Call, Entry};

/// The path of something below `root` for those whose root that is.
pub fn inside<'p>(root: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.starts_with('/'))
}

fn inside_bytes<'p>(root: &str, path: &'p [u8]) -> Option<&'p [u8]> {
    path.strip_prefix(root.trim_end_matches('/').as_bytes()).filter(|rest| rest.starts_with(b"/"))
}

/// Gives the call the paths that are right below `root`; `None` if the file that the URL leads to is not there. Directories of
/// documents that are not there are left out. A handler script outside is taken for a path inside, as the reference does.
pub fn enter(root: &str, call: &mut Call<'_>) -> Option<()> {
    let below = |path| inside_bytes(root, path);
    if call.script != call.resource {
        call.script = below(call.script).unwrap_or(call.script);
    } else {
        call.script = below(call.script)?;
    }
    call.resource = below(call.resource)?;
    let directory = |path: &[u8]| path == root.trim_end_matches('/').as_bytes();
    call.environ.retain_mut(|Entry { key, value, .. }| match (*key, below(value)) {
        (Key::SCRIPT_FILENAME | Key::DOCUMENT_ROOT | Key::CONTEXT_DOCUMENT_ROOT, Some(path)) => {
            *value = path;
            true
        }
        (Key::DOCUMENT_ROOT | Key::CONTEXT_DOCUMENT_ROOT, None) if directory(value) => {
            *value = b"/";
            true
        }
        (Key::SCRIPT_FILENAME | Key::DOCUMENT_ROOT | Key::CONTEXT_DOCUMENT_ROOT, None) => false,
        _ => true,
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::embedded::ValueKind;

    fn call<'c>(script: &'c [u8], resource: &'c [u8], documents: &'c [u8]) -> Call<'c> {
        let entry = |key, value| Entry { key, kind: ValueKind::FileSystem, name: b"".as_slice(), value };
        let environ = vec![
            entry(Key::SCRIPT_FILENAME, resource),
            entry(Key::DOCUMENT_ROOT, documents),
            entry(Key::PATH_INFO, resource),
        ];
        Call { script, resource, environ, ..Call::default() }
    }

    #[test]
    fn paths_below_the_root_lose_it() {
        for root in ["/jail", "/jail/"] {
            let mut call = call(b"/jail/srv/a.wsgi", b"/jail/srv/a.wsgi", b"/jail");
            assert_eq!(enter(root, &mut call), Some(()));
            assert_eq!((call.script, call.resource), (&b"/srv/a.wsgi"[..], &b"/srv/a.wsgi"[..]));
            let values: Vec<_> = call.environ.iter().map(|entry| entry.value).collect();
            assert_eq!(values, [&b"/srv/a.wsgi"[..], b"/", b"/jail/srv/a.wsgi"], "what the client says is left alone");
        }
        assert_eq!(inside("/jail", "/jail/x"), Some("/x"));
        assert_eq!(inside("/jail", "/jailer/x"), None);
    }

    #[test]
    fn what_is_outside_is_not_run_and_not_named() {
        for path in [&b"/jailer/a.wsgi"[..], b"/srv/a.wsgi", b"/jail"] {
            assert_eq!(enter("/jail", &mut call(path, path, b"/jail")), None);
        }
        let mut outside = call(b"/jail/a.wsgi", b"/jail/a.wsgi", b"/htdocs");
        assert_eq!(enter("/jail", &mut outside), Some(()));
        assert_eq!(outside.environ.len(), 2, "DOCUMENT_ROOT is left out");
    }

    #[test]
    fn a_handler_script_is_a_path_inside_if_it_is_not_one_outside() {
        for script in [&b"/jail/handler.py"[..], b"/handler.py"] {
            let mut call = call(script, b"/jail/page.html", b"/jail/htdocs");
            assert_eq!(enter("/jail", &mut call), Some(()));
            assert_eq!((call.script, call.resource), (&b"/handler.py"[..], &b"/page.html"[..]));
        }
    }
}
