// SPDX-License-Identifier: Apache-2.0
//! The two tables of directives: what holds for a server, and what may differ from request to request.

use crate::alias::{Aliases, LiteralAlias, PatternAlias};
use crate::directive::directives;
use crate::directive::value::{CallableName, GroupName, HeadMapping, OnOff, PythonHome, SearchPath};

directives! {
    /// Settings kept per server; [`Global`](crate::directive::Scope::Global) ones are read from the main server only.
    pub struct ServerSettings;

    /// Map a URL to a WSGI script file, or to a directory of them.
    ///
    /// The first alias that matches wins, those of the virtual host before those of the main server, so write longer
    /// URL paths before shorter ones. Options after the target: `process-group=`, `application-group=`,
    /// `callable-object=`, `pass-authorization=`. They win over the directives of the same name.
    "WSGIScriptAlias" => script_aliases: LiteralAlias = Aliases::default(), in Server, since "2.0";

    /// The Python installation or virtual environment for embedded mode.
    ///
    /// A prefix such as `/usr/local`, the directory of a virtual environment, or a `python` executable; any CPython from
    /// 3.9 that has a shared library. When not set, the default chosen when the module was built is used.
    "WSGIPythonHome" => python_home: PythonHome = None, in Global, since "2.0";

    /// Directories to search for Python modules in embedded mode.
    ///
    /// Each is added with `site.addsitedir()`, so that `.pth` files count, and moved to the front in the order given.
    "WSGIPythonPath" => python_path: SearchPath = None, in Global, since "2.0";

    /// Refuse requests that would run in embedded mode.
    ///
    /// With `On`, a request that resolves to no process group gets 500, and Python is not started in httpd's children.
    "WSGIRestrictEmbedded" => restrict_embedded: OnOff = OnOff::Off, in Global, since "2.4";

    also
        /// Map URLs that match a regular expression to WSGI script files.
        ///
        /// `$1` to `$9` in the target stand for what the groups matched. Everything up to the end of the match is taken as
        /// the path of the application, so anchor the expression with `^`. Options as for `WSGIScriptAlias`.
        "WSGIScriptAliasMatch" => script_aliases: PatternAlias, in Server, since "2.0";
}

directives! {
    /// Settings that may differ from request to request; httpd merges them section by section.
    pub struct DirectorySettings;

    /// The interpreter in which an application runs, by name.
    ///
    /// `%{GLOBAL}` is the main interpreter, `%{SERVER}` one for each server name and port, `%{RESOURCE}` one for each
    /// server name, port and script path, `%{HOST}` one for each host name asked for, `%{ENV:variable}` whatever the
    /// variable holds. Any other text is the name itself.
    "WSGIApplicationGroup" => application_group: GroupName = None, in Directory, since "2.0";

    /// The global of the script that is called.
    ///
    /// A plain name, or `%{ENV:variable}`. `application` when not set.
    "WSGICallableObject" => callable_object: CallableName = None, in FileInfo, since "2.0";

    /// Load a script again when its file has changed.
    ///
    /// In embedded mode only the script file itself is loaded again, into the same interpreter.
    "WSGIScriptReloading" => script_reloading: OnOff = OnOff::On, in FileInfo, since "2.0";

    /// Pass the `Authorization` header to the application.
    ///
    /// Off by default because the header contains credentials that httpd itself may have checked already.
    "WSGIPassAuthorization" => pass_authorization: OnOff = OnOff::Off, in FileInfo, since "2.0";

    /// Accept requests whose body comes in chunks, without `Content-Length`.
    ///
    /// Off by default because applications that trust `CONTENT_LENGTH` would see no body. With `Off` such requests get 411.
    "WSGIChunkedRequest" => chunked_request: OnOff = OnOff::Off, in FileInfo, since "3.0";

    /// Show HEAD requests to the application as GET.
    ///
    /// Output filters that depend on the body would otherwise compute wrong headers. `Auto` does it when such a filter is
    /// in place. httpd leaves the body out in any case.
    "WSGIMapHEADToGET" => map_head_to_get: HeadMapping = HeadMapping::Auto, in FileInfo, since "4.3.0";

    /// Let the kernel copy files of `wsgi.file_wrapper` to the client.
    ///
    /// Counts together with httpd's own `EnableSendfile`. Off by default because sendfile is broken on some file systems.
    "WSGIEnableSendfile" => enable_sendfile: OnOff = OnOff::Off, in FileInfo, since "3.0";
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
