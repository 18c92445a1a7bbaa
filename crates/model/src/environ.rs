// SPDX-License-Identifier: Apache-2.0
//! The keys of a WSGI environ and the rules by which request headers become keys (requests §3).
//!
//! Keys that most requests have are known by number, so that an interpreter keeps them ready-made and a name is
//! neither built nor hashed for each request.

/// A number for a key of [`KEYS`]; 0 means that the key travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Key(u16);

macro_rules! keys {
    ($($(#[$meta:meta])* $constant:ident = $text:literal),+ $(,)?) => {
        /// The texts of all known keys; index 0 is not a key.
        pub const KEYS: &[&str] = &["", $($text),+];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "named after the keys")]
        #[repr(u16)]
        enum Number { TEXT, $($constant),+ }

        impl Key {
            $(
                #[doc = concat!("`", $text, "`")]
                $(#[$meta])*
                pub const $constant: Key = Key(Number::$constant as u16);
            )+
        }
    };
}

keys! {
    REQUEST_METHOD = "REQUEST_METHOD",
    SCRIPT_NAME = "SCRIPT_NAME",
    PATH_INFO = "PATH_INFO",
    QUERY_STRING = "QUERY_STRING",
    REQUEST_URI = "REQUEST_URI",
    REQUEST_SCHEME = "REQUEST_SCHEME",
    SERVER_PROTOCOL = "SERVER_PROTOCOL",
    SERVER_NAME = "SERVER_NAME",
    SERVER_PORT = "SERVER_PORT",
    SERVER_ADDR = "SERVER_ADDR",
    SERVER_SOFTWARE = "SERVER_SOFTWARE",
    SERVER_ADMIN = "SERVER_ADMIN",
    REMOTE_ADDR = "REMOTE_ADDR",
    REMOTE_PORT = "REMOTE_PORT",
    REMOTE_USER = "REMOTE_USER",
    AUTH_TYPE = "AUTH_TYPE",
    DOCUMENT_ROOT = "DOCUMENT_ROOT",
    SCRIPT_FILENAME = "SCRIPT_FILENAME",
    CONTEXT_PREFIX = "CONTEXT_PREFIX",
    CONTEXT_DOCUMENT_ROOT = "CONTEXT_DOCUMENT_ROOT",
    REDIRECT_URL = "REDIRECT_URL",
    REDIRECT_QUERY_STRING = "REDIRECT_QUERY_STRING",
    CONTENT_TYPE = "CONTENT_TYPE",
    CONTENT_LENGTH = "CONTENT_LENGTH",
    HTTPS = "HTTPS",
    UNIQUE_ID = "UNIQUE_ID",
    HTTP_HOST = "HTTP_HOST",
    HTTP_USER_AGENT = "HTTP_USER_AGENT",
    HTTP_ACCEPT = "HTTP_ACCEPT",
    HTTP_ACCEPT_ENCODING = "HTTP_ACCEPT_ENCODING",
    HTTP_ACCEPT_LANGUAGE = "HTTP_ACCEPT_LANGUAGE",
    HTTP_ACCEPT_CHARSET = "HTTP_ACCEPT_CHARSET",
    HTTP_AUTHORIZATION = "HTTP_AUTHORIZATION",
    HTTP_CACHE_CONTROL = "HTTP_CACHE_CONTROL",
    HTTP_CONNECTION = "HTTP_CONNECTION",
    HTTP_COOKIE = "HTTP_COOKIE",
    HTTP_DNT = "HTTP_DNT",
    HTTP_EXPECT = "HTTP_EXPECT",
    HTTP_FORWARDED = "HTTP_FORWARDED",
    HTTP_IF_MATCH = "HTTP_IF_MATCH",
    HTTP_IF_MODIFIED_SINCE = "HTTP_IF_MODIFIED_SINCE",
    HTTP_IF_NONE_MATCH = "HTTP_IF_NONE_MATCH",
    HTTP_IF_RANGE = "HTTP_IF_RANGE",
    HTTP_IF_UNMODIFIED_SINCE = "HTTP_IF_UNMODIFIED_SINCE",
    HTTP_KEEP_ALIVE = "HTTP_KEEP_ALIVE",
    HTTP_ORIGIN = "HTTP_ORIGIN",
    HTTP_PRAGMA = "HTTP_PRAGMA",
    HTTP_PRIORITY = "HTTP_PRIORITY",
    HTTP_PROXY_AUTHORIZATION = "HTTP_PROXY_AUTHORIZATION",
    HTTP_RANGE = "HTTP_RANGE",
    HTTP_REFERER = "HTTP_REFERER",
    HTTP_SEC_CH_UA = "HTTP_SEC_CH_UA",
    HTTP_SEC_CH_UA_MOBILE = "HTTP_SEC_CH_UA_MOBILE",
    HTTP_SEC_CH_UA_PLATFORM = "HTTP_SEC_CH_UA_PLATFORM",
    HTTP_SEC_FETCH_DEST = "HTTP_SEC_FETCH_DEST",
    HTTP_SEC_FETCH_MODE = "HTTP_SEC_FETCH_MODE",
    HTTP_SEC_FETCH_SITE = "HTTP_SEC_FETCH_SITE",
    HTTP_SEC_FETCH_USER = "HTTP_SEC_FETCH_USER",
    HTTP_TE = "HTTP_TE",
    HTTP_TRANSFER_ENCODING = "HTTP_TRANSFER_ENCODING",
    HTTP_UPGRADE = "HTTP_UPGRADE",
    HTTP_UPGRADE_INSECURE_REQUESTS = "HTTP_UPGRADE_INSECURE_REQUESTS",
    HTTP_VIA = "HTTP_VIA",
    HTTP_X_CSRFTOKEN = "HTTP_X_CSRFTOKEN",
    HTTP_X_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR",
    HTTP_X_FORWARDED_HOST = "HTTP_X_FORWARDED_HOST",
    HTTP_X_FORWARDED_PORT = "HTTP_X_FORWARDED_PORT",
    HTTP_X_FORWARDED_PROTO = "HTTP_X_FORWARDED_PROTO",
    HTTP_X_REAL_IP = "HTTP_X_REAL_IP",
    HTTP_X_REQUEST_ID = "HTTP_X_REQUEST_ID",
    HTTP_X_REQUESTED_WITH = "HTTP_X_REQUESTED_WITH",
    MOD_WSGI_SCRIPT_NAME = "mod_wsgi.script_name",
    MOD_WSGI_PATH_INFO = "mod_wsgi.path_info",
    MOD_WSGI_MOUNT_POINT = "mod_wsgi.mount_point",
    MOD_WSGI_PROCESS_GROUP = "mod_wsgi.process_group",
    MOD_WSGI_APPLICATION_GROUP = "mod_wsgi.application_group",
    MOD_WSGI_CALLABLE_OBJECT = "mod_wsgi.callable_object",
    MOD_WSGI_REQUEST_HANDLER = "mod_wsgi.request_handler",
    MOD_WSGI_HANDLER_SCRIPT = "mod_wsgi.handler_script",
    MOD_WSGI_LISTENER_HOST = "mod_wsgi.listener_host",
    MOD_WSGI_LISTENER_PORT = "mod_wsgi.listener_port",
    MOD_WSGI_SERVER_PID = "mod_wsgi.server_pid",
    MOD_WSGI_REQUEST_ID = "mod_wsgi.request_id",
    MOD_WSGI_CONNECTION_ID = "mod_wsgi.connection_id",
    MOD_WSGI_REQUEST_START = "mod_wsgi.request_start",
    MOD_WSGI_QUEUE_START = "mod_wsgi.queue_start",
    MOD_WSGI_DAEMON_START = "mod_wsgi.daemon_start",
    MOD_WSGI_APPLICATION_START = "mod_wsgi.application_start",
    MOD_WSGI_THREAD_ID = "mod_wsgi.thread_id",
    MOD_WSGI_VERSION = "mod_wsgi.version",
    APACHE_VERSION = "apache.version",
    APACHE_REQUEST_REC = "apache.request_rec",
    WSGI_VERSION = "wsgi.version",
    WSGI_URL_SCHEME = "wsgi.url_scheme",
    WSGI_MULTITHREAD = "wsgi.multithread",
    WSGI_MULTIPROCESS = "wsgi.multiprocess",
    WSGI_RUN_ONCE = "wsgi.run_once",
    WSGI_INPUT = "wsgi.input",
    WSGI_INPUT_TERMINATED = "wsgi.input_terminated",
    WSGI_ERRORS = "wsgi.errors",
    WSGI_FILE_WRAPPER = "wsgi.file_wrapper",
}

impl Key {
    /// Marks an entry whose key travels as text.
    pub const TEXT: Key = Key(Number::TEXT as u16);

    /// The key itself; empty for [`Key::TEXT`].
    #[must_use]
    pub fn text(self) -> &'static str {
        KEYS.get(self.index()).copied().unwrap_or_default()
    }

    /// The position in [`KEYS`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The number by which both sides of a connection know the key.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The key of that number.
    #[must_use]
    pub fn numbered(number: u16) -> Option<Self> {
        (usize::from(number) < KEYS.len()).then_some(Self(number))
    }
}

/// What becomes of a request header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderKey {
    /// A known key.
    Known(Key),
    /// `HTTP_` and the name in capitals with `_` for `-`, as the caller spells it.
    Spelled,
    /// The header is never passed on: its name has other characters than letters, digits and `-`, or it is `Proxy`,
    /// which libraries take for a setting.
    Withheld,
    /// `Authorization`, passed on only where the configuration says so.
    Authorization,
    /// `Proxy-Authorization`, likewise.
    ProxyAuthorization,
}

/// Whether a request header of this name can be passed on at all.
#[must_use]
pub fn may_be_header(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Decides what becomes of the request header `name`.
#[must_use]
pub fn header_key(name: &[u8]) -> HeaderKey {
    if !may_be_header(name) {
        return HeaderKey::Withheld;
    }
    match name.len() {
        5 if name.eq_ignore_ascii_case(b"proxy") => return HeaderKey::Withheld,
        12 if name.eq_ignore_ascii_case(b"content-type") => return HeaderKey::Known(Key::CONTENT_TYPE),
        13 if name.eq_ignore_ascii_case(b"authorization") => {
            return HeaderKey::Authorization;
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => return HeaderKey::Known(Key::CONTENT_LENGTH),
        19 if name.eq_ignore_ascii_case(b"proxy-authorization") => return HeaderKey::ProxyAuthorization,
        _ => {}
    }
    known_header(name).map_or(HeaderKey::Spelled, HeaderKey::Known)
}

fn known_header(name: &[u8]) -> Option<Key> {
    let (first, last) = (spell(*name.first()?), spell(*name.last()?));
    (Key::HTTP_HOST.0..=Key::HTTP_X_REQUESTED_WITH.0).map(Key).find(|key| {
        let text = key.text().as_bytes().get(5..).unwrap_or_default();
        text.len() == name.len()
            && text.first() == Some(&first)
            && text.last() == Some(&last)
            && text.iter().zip(name).all(|(spelled, byte)| *spelled == spell(*byte))
    })
}

/// One character of a header's name as it stands in its key.
#[must_use]
pub fn spell(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_key_is_found_by_its_number() {
        assert_eq!(Key::REQUEST_METHOD.text(), "REQUEST_METHOD");
        assert_eq!(Key::WSGI_FILE_WRAPPER.text(), "wsgi.file_wrapper");
        assert_eq!(Key::WSGI_FILE_WRAPPER.index() + 1, KEYS.len());
    }

    #[test]
    fn headers_become_keys() {
        assert_eq!(header_key(b"host"), HeaderKey::Known(Key::HTTP_HOST));
        assert_eq!(header_key(b"User-Agent"), HeaderKey::Known(Key::HTTP_USER_AGENT));
        assert_eq!(header_key(b"X-Requested-With"), HeaderKey::Known(Key::HTTP_X_REQUESTED_WITH));
        assert_eq!(header_key(b"CONTENT-type"), HeaderKey::Known(Key::CONTENT_TYPE));
        assert_eq!(header_key(b"Content-Length"), HeaderKey::Known(Key::CONTENT_LENGTH));
        assert_eq!(header_key(b"X-Thing"), HeaderKey::Spelled);
    }

    #[test]
    fn dangerous_and_ambiguous_headers_are_withheld() {
        for name in [&b"Proxy"[..], b"X_Foo", b"X.Foo", b"", b"X Foo", b"X\xe4"] {
            assert_eq!(header_key(name), HeaderKey::Withheld, "{name:?}");
        }
        assert_eq!(header_key(b"Authorization"), HeaderKey::Authorization);
        assert_eq!(header_key(b"proxy-authorization"), HeaderKey::ProxyAuthorization);
    }
}
