// SPDX-License-Identifier: Apache-2.0
//! The CGI part of a WSGI environ (requests §3), built from httpd's record. What only Python can add is added there.

#![forbid(unsafe_code)]

use crate::apache::process;
use crate::apache::request::Request;
use model::directive::value::{HeadMapping, OnOff};
use model::embedded::{Entry, Text, ValueKind};
use model::environ::{HeaderKey, Key, header_key, spell};
use model::group::{collapse_slashes, script_name};
use model::proxy::{Correction, Header, Headers, Trust};
use model::resolve::{Facts, Route, Target};
use std::borrow::Cow;

/// The entries of an environ, in an order in which later ones win.
#[derive(Debug)]
pub struct Environ<'r> {
    entries: Vec<Entry<'r>>,
    request: Request<'r>,
    https: bool,
}

/// What the configuration says about the environ.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'c> {
    /// Whether `Authorization` is passed on.
    pub pass_authorization: OnOff,
    /// When HEAD is shown as GET.
    pub map_head_to_get: HeadMapping,
    /// Which headers of which proxies replace facts of the connection.
    pub proxies: Option<Trust<'c>>,
}

impl<'r> Environ<'r> {
    /// Builds the entries for `request`.
    pub fn build(request: Request<'r>, choices: Choices<'_>, facts: &Facts<'r>, target: &Target<'_>) -> Self {
        let mut environ = Self { entries: Vec::with_capacity(64), request, https: false };
        let correction = choices.proxies.map(|trust| correct(request, trust));
        let withheld = correction.as_ref().map(|correction| correction.withheld);
        environ.add_environment(withheld);
        environ.add_headers(choices.pass_authorization, withheld);
        environ.add_request(choices.map_head_to_get);
        environ.add_paths();
        environ.add_server();
        environ.add_client();
        environ.add_details();
        environ.add_target(facts.route, target);
        let said = correction.as_ref().and_then(|correction| correction.https);
        environ.https = said.unwrap_or_else(|| environ.https || request.is_encrypted());
        for (key, value) in correction.into_iter().flat_map(|correction| correction.entries) {
            let value = environ.kept(value);
            environ.add(key, value);
        }
        environ
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry<'r>] {
        &self.entries
    }

    /// Whether `wsgi.url_scheme` is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    fn add(&mut self, key: Key, value: &'r [u8]) {
        self.push(key, ValueKind::Latin1, b"", value);
    }

    fn add_number(&mut self, key: Key, number: u16) {
        let text = self.request.pool().bytes(&[number.to_string().as_bytes()]);
        self.add(key, text);
    }

    fn push(&mut self, key: Key, kind: ValueKind, name: &'r [u8], value: &'r [u8]) {
        self.entries.push(Entry { key, kind, name: Text::new(name), value: Text::new(value) });
    }

    /// `SetEnv` and everything else that modules put into the request's environment. `HTTPS` decides the scheme and goes
    /// no further; `PATH` is httpd's business.
    fn add_environment(&mut self, withheld: Option<Headers>) {
        for (name, value) in self.request.environment().pairs() {
            match (name, value) {
                (b"HTTPS", value) => {
                    self.https = value.is_some_and(|value| value.eq_ignore_ascii_case(b"on") || value == b"1")
                }
                (b"PATH", _) => {}
                (name, _) if withheld.is_some_and(|headers| headers.has_key(name)) => {}
                (name, Some(value)) => self.push(Key::TEXT, ValueKind::Latin1, name, value),
                (name, None) => self.push(Key::TEXT, ValueKind::Absent, name, b""),
            }
        }
    }

    fn add_headers(&mut self, pass_authorization: OnOff, withheld: Option<Headers>) {
        let pass_all = self.request.passes_credentials();
        for (name, value) in self.request.headers().pairs() {
            let Some(value) = value else { continue };
            if withheld.is_some_and(|headers| headers.has_name(name)) {
                continue;
            }
            match header_key(name) {
                HeaderKey::Known(key) => self.add(key, value),
                HeaderKey::Spelled => {
                    let spelled: Vec<u8> = name.iter().copied().map(spell).collect();
                    let name = self.request.pool().bytes(&[b"HTTP_", &spelled]);
                    self.push(Key::TEXT, ValueKind::Latin1, name, value);
                }
                HeaderKey::Authorization if pass_all || pass_authorization.is_on() => {
                    self.add(Key::HTTP_AUTHORIZATION, value);
                }
                HeaderKey::ProxyAuthorization if pass_all => self.add(Key::HTTP_PROXY_AUTHORIZATION, value),
                HeaderKey::Authorization | HeaderKey::ProxyAuthorization | HeaderKey::Withheld => {}
            }
        }
    }

    fn add_request(&mut self, map_head: HeadMapping) {
        let request = self.request;
        let as_get = request.is_head()
            && match map_head {
                HeadMapping::On => true,
                HeadMapping::Off => false,
                HeadMapping::Auto => request.has_content_filter(),
            };
        self.add(Key::REQUEST_METHOD, if as_get { b"GET" } else { request.method() });
        self.add(Key::QUERY_STRING, request.query());
        self.add(Key::REQUEST_URI, self.request_uri());
        self.add(Key::REQUEST_SCHEME, request.scheme());
        self.add(Key::SERVER_PROTOCOL, request.protocol());
        if let Some(previous) = request.previous() {
            self.add(Key::REDIRECT_URL, previous.redirect_url());
            if !previous.query().is_empty() {
                self.add(Key::REDIRECT_QUERY_STRING, previous.query());
            }
        }
    }

    /// The second word of the request line, or the present path where `CGIVar REQUEST_URI current-uri` says so.
    fn request_uri(&self) -> &'r [u8] {
        if self.request.uses_current_uri() {
            return self.request.uri();
        }
        let line = self.request.request_line();
        line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).nth(1).unwrap_or_default()
    }

    fn add_paths(&mut self) {
        let request = self.request;
        let (uri, path_info) = (request.uri(), request.path_info());
        let script = if request.protocol() == b"INCLUDED" { uri } else { script_name(uri, path_info) };
        let (script, path_info) = (self.collapsed(script), self.collapsed(path_info));
        self.add(Key::SCRIPT_NAME, script);
        self.add(Key::PATH_INFO, path_info);
        self.add(Key::MOD_WSGI_SCRIPT_NAME, script);
        self.add(Key::MOD_WSGI_PATH_INFO, path_info);
        let (prefix, root) = request.context();
        self.add(Key::CONTEXT_PREFIX, prefix);
        self.add(Key::CONTEXT_DOCUMENT_ROOT, root);
        self.push(Key::DOCUMENT_ROOT, ValueKind::FileSystem, b"", request.document_root());
        let mut file_name = request.file_name();
        if request.notes().find(c"proxy-noquery").is_some() {
            file_name = file_name.split(|byte| *byte == b'?').next().unwrap_or_default();
        }
        self.push(Key::SCRIPT_FILENAME, ValueKind::FileSystem, b"", file_name);
    }

    fn collapsed(&self, text: &'r [u8]) -> &'r [u8] {
        self.kept(collapse_slashes(text))
    }

    /// Text that lives as long as the request.
    fn kept(&self, text: Cow<'r, [u8]>) -> &'r [u8] {
        match text {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => self.request.pool().bytes(&[&text]),
        }
    }

    fn add_server(&mut self) {
        let request = self.request;
        self.add(Key::SERVER_NAME, request.server_name());
        self.add_number(Key::SERVER_PORT, request.server_port());
        self.add(Key::SERVER_ADDR, request.local_address());
        if let Some(server) = request.server() {
            self.add(Key::SERVER_SOFTWARE, process::banner(&server));
            if let Some(admin) = server.admin() {
                self.add(Key::SERVER_ADMIN, admin);
            }
        }
    }

    fn add_client(&mut self) {
        let request = self.request;
        self.add(Key::REMOTE_ADDR, request.client_address());
        self.add_number(Key::REMOTE_PORT, request.client_port());
        if let Some(user) = request.user() {
            self.add(Key::REMOTE_USER, user);
        } else if let Some(user) =
            std::iter::successors(request.previous(), |request| request.previous()).find_map(|request| request.user())
        {
            self.push(Key::TEXT, ValueKind::Latin1, b"REDIRECT_REMOTE_USER", user);
        }
        if let Some(kind) = request.auth_type() {
            self.add(Key::AUTH_TYPE, kind);
        }
    }

    fn add_target(&mut self, route: Route<'r>, target: &Target<'_>) {
        let handler_script = if let Route::Handler(handler) = route { handler.path.as_bytes() } else { b"" };
        self.add(Key::MOD_WSGI_HANDLER_SCRIPT, handler_script);
        if !target.process_group.is_empty() {
            let name = self.request.pool().bytes(&[&target.process_group]);
            self.add(Key::MOD_WSGI_PROCESS_GROUP, name);
        }
    }

    fn add_details(&mut self) {
        let mut request = self.request;
        self.add(Key::MOD_WSGI_REQUEST_HANDLER, request.handler().unwrap_or_default());
        self.add(Key::MOD_WSGI_LISTENER_HOST, request.listener_host());
        self.add_number(Key::MOD_WSGI_LISTENER_PORT, request.local_port());
        if let Some(id) = request.log_id() {
            self.add(Key::MOD_WSGI_REQUEST_ID, id);
        }
        if let Some(id) = request.connection_log_id() {
            self.add(Key::MOD_WSGI_CONNECTION_ID, id);
        }
    }
}

/// What proxies say about `request`. A header counts wherever it comes from, as long as an application would see it: the
/// configuration may have set its key itself.
fn correct<'r>(request: Request<'r>, trust: Trust<'_>) -> Correction<'r> {
    let set = request.environment().pairs().filter_map(|(key, value)| Some((Header::of_key(key)?, value?)));
    let sent = request.headers().pairs().filter_map(|(name, value)| Some((Header::named(name)?, value?)));
    trust.correct(request.client_address(), set.chain(sent))
}
