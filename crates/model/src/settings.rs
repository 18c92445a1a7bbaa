// SPDX-License-Identifier: Apache-2.0
//! The tables of directives: what holds for a server, and what may differ from request to request. What may differ from
//! interpreter to interpreter is in [`interpreter`](crate::interpreter).

use crate::alias::{Aliases, LiteralAlias, PatternAlias};
use crate::daemon::Groups;
use crate::directive::directives;
use crate::directive::number::{Optimisation, Seconds};
use crate::directive::retired::{AlwaysOn, RetiredName, RetiredSwitch};
use crate::directive::value::{
    AcceptMutex, CallableName, Directory, FilePrefix, GroupName, HashSeed, HeadMapping, OnOff, Permitted, PythonHome,
    Warnings,
};
use crate::group::{GLOBAL, RESOURCE};
use crate::proxy::{TrustedHeaders, TrustedProxies};
use crate::script::{HandlerScripts, HookScript, Imports};
use crate::telemetry::{TelemetryOptions, TelemetryService};
use std::time::Duration;

directives! {
    /// Settings kept per server; [`Global`](crate::directive::Scope::Global) ones are read from the main server only.
    pub struct ServerSettings;

    /// Map a URL to a WSGI script file, or to a directory of them.
    ///
    /// The first alias that matches wins, those of the virtual host before those of the main server, so write longer
    /// URL paths before shorter ones.
    "WSGIScriptAlias" => script_aliases: LiteralAlias = Aliases::default(), in Server, since "2.0";

    /// Load a script when the processes of a group start.
    ///
    /// Both options must be given. A script that fails to load is tried again by the first request that needs it.
    "WSGIImportScript" => import_scripts: Imports = Imports::default(), in Server, since "2.0";

    /// Declare a group of processes that run applications.
    ///
    /// The name must be unique in the whole configuration. The group can be selected with `WSGIProcessGroup` in the main
    /// server, in the virtual host that declares it, and in virtual hosts with the same `ServerName`; if the main server
    /// declares it, everywhere.
    "WSGIDaemonProcess" => daemon_processes: Groups = Groups::default(), in Server, since "2.0";

    /// Refuse requests that would run in embedded mode.
    ///
    /// With `On`, a request that resolves to no process group gets 500, and Python is not started in httpd's children.
    "WSGIRestrictEmbedded" => restrict_embedded: OnOff = OnOff::Off, in Global, since "2.4";

    /// The beginning of the names of sockets and lock files.
    ///
    /// A path relative to `ServerRoot` is allowed. mod_wsgi_rs needs no names for its sockets where the kernel lets it do
    /// without.
    "WSGISocketPrefix" => socket_prefix: FilePrefix = FilePrefix::default(), in Global, since "2.0";

    /// Use new sockets after each restart.
    ///
    /// Kept for configurations that have it: children of every generation reach the processes they were born with.
    "WSGISocketRotation" => socket_rotation: OnOff = OnOff::On, in Global, since "4.6.0";

    /// How the processes of a group agree on who accepts the next request.
    ///
    /// Kept for configurations that have it: mod_wsgi_rs sends a request to a process that has a free thread, so there is
    /// nothing to agree on.
    "WSGIAcceptMutex" => accept_mutex: AcceptMutex = AcceptMutex::Default, in Global, since "2.0";

    /// The Python installation or virtual environment for embedded mode.
    ///
    /// A prefix such as `/usr/local`, the directory of a virtual environment, or a `python` executable; any CPython from
    /// 3.9 that has a shared library. Groups without `python-home` use it, too. When not set, the default chosen when the
    /// module was built is used.
    "WSGIPythonHome" => python_home: PythonHome = PythonHome::default(), in Global, since "2.0";

    /// Where Python eggs are unpacked in embedded mode.
    ///
    /// Sets the variable `PYTHON_EGG_CACHE` for applications. Groups have the option `python-eggs`.
    "WSGIPythonEggs" => python_eggs: Directory = Directory::default(), in Global, since "2.0";

    /// How far Python optimises code.
    ///
    /// As the option `-O` of Python: 1 leaves out assertions, 2 also documentation strings.
    "WSGIPythonOptimize" => python_optimize: Optimisation = Optimisation(0), in Global, since "2.0";

    /// Which warnings Python shows.
    ///
    /// As the option `-W` of Python; may be repeated, and the order counts.
    "WSGIPythonWarnings" => python_warnings: Warnings = Warnings::default(), in Global, since "3.0";

    /// What fixes the hashes of text.
    ///
    /// `random` is a new seed in each process, which is also what happens without the directive. 0 switches
    /// randomisation off, so that clients may be able to slow applications down.
    "WSGIPythonHashSeed" => python_hash_seed: HashSeed = HashSeed::Random, in Global, since "4.0";

    /// Keep Python from writing compiled files.
    ///
    /// As the option `-B` of Python.
    "WSGIDontWriteBytecode" => dont_write_bytecode: OnOff = OnOff::Off, in Global, since "4.0";

    /// Finalise Python when a process ends.
    ///
    /// With `Off` neither interpreters are ended nor functions registered with `atexit` called.
    "WSGIDestroyInterpreter" => destroy_interpreter: OnOff = OnOff::On, in Global, since "4.9.1";

    /// Whether capital letters count in the paths of scripts.
    ///
    /// With `Off`, paths that differ in capital letters only name the same script, and `%{RESOURCE}` is in small letters.
    "WSGICaseSensitivity" => case_sensitivity: OnOff = OnOff::On, in Global, since "2.0";

    /// Let applications in embedded mode ask about the server.
    ///
    /// With `On`, `mod_wsgi.server_metrics()` answers. Groups have the option `server-metrics`.
    "WSGIServerMetrics" => server_metrics: OnOff = OnOff::Off, in Global, since "4.2.0";

    /// Send figures to a service.
    ///
    /// The path of its socket after `unix:`, and how many seconds lie between two reports.
    "WSGITelemetryService" => telemetry_service: TelemetryService = None, in Global, since "6.0.0";

    /// Report requests that take longer than this.
    ///
    /// In seconds; 0 reports none.
    "WSGISlowRequests" => slow_requests: Seconds = Seconds(Duration::ZERO), in Global, since "6.0.0";

    /// What is reported besides figures.
    ///
    /// Words with `+` or `-` in front change what an earlier line says, words without replace it.
    "WSGITelemetryOptions" => telemetry_options: TelemetryOptions = TelemetryOptions::None, in Global, since "6.0.0";

    /// Once: log more.
    ///
    /// Retired: accepted with a warning. Use `LogLevel wsgi:debug`.
    "WSGIVerboseDebugging" => verbose_debugging: RetiredSwitch = RetiredSwitch(OnOff::Off), in Global, since "3.0";

    /// Once: start Python in httpd's parent or in its children.
    ///
    /// Retired: Python is never started in the parent, which is what `On` means. `Off` is accepted with a warning.
    "WSGILazyInitialization" => lazy_initialization: AlwaysOn = AlwaysOn(OnOff::On), in Global, since "3.0";

    /// Once: the configuration file of a monitoring agent.
    ///
    /// Retired: accepted with a warning.
    "WSGINewRelicConfigFile" => newrelic_config_file: RetiredName = RetiredName::default(), in Global, since "4.0";

    /// Once: the environment of a monitoring agent.
    ///
    /// Retired: accepted with a warning.
    "WSGINewRelicEnvironment" => newrelic_environment: RetiredName = RetiredName::default(), in Global, since "4.0";

    /// Once: warn about code that Python 3 does not run.
    ///
    /// Retired: accepted with a warning.
    "WSGIPy3kWarningFlag" => py3k_warning_flag: RetiredSwitch = RetiredSwitch(OnOff::Off), in Global, since "3.0";

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

    /// The group of processes in which an application runs.
    ///
    /// `%{GLOBAL}` is embedded mode: httpd's own children. `%{ENV:variable}` is whatever the variable holds; one that is
    /// unset or empty refuses the request. Any other text is the name of a group declared with `WSGIDaemonProcess`.
    "WSGIProcessGroup" => process_group: GroupName = GLOBAL.into(), in Directory, since "2.0";

    /// The interpreter in which an application runs, by name.
    ///
    /// `%{GLOBAL}` is the main interpreter, `%{SERVER}` one for each server name and port, `%{RESOURCE}` one for each
    /// server name, port and script path, `%{HOST}` one for each host name asked for, `%{ENV:variable}` whatever the
    /// variable holds. Any other text is the name itself.
    "WSGIApplicationGroup" => application_group: GroupName = RESOURCE.into(), in Directory, since "2.0";

    /// The global of the script that is called.
    ///
    /// A plain name, or `%{ENV:variable}`.
    "WSGICallableObject" => callable_object: CallableName = "application".into(), in FileInfo, since "2.0";

    /// Which process groups may be selected.
    ///
    /// A request that resolves to another one gets 403. `%{GLOBAL}` stands for embedded mode, which is refused, too, if it
    /// is not in the list. Names are compared exactly. The list cannot be changed from `.htaccess`.
    "WSGIRestrictProcess" => restrict_process: Permitted = None, in Directory, since "2.0";

    /// Answer requests of a handler with a script.
    ///
    /// Files for which `SetHandler` or `AddHandler` names the handler are answered by the function `handle_request` of the
    /// script. Without options the groups are those of the location.
    "WSGIHandlerScript" => handler_scripts: HandlerScripts = HandlerScripts::default(), in Directory, since "3.0";

    /// Choose groups and callable with a script.
    ///
    /// The functions `process_group`, `application_group` and `callable_object` of the script are asked for each request.
    "WSGIDispatchScript" => dispatch_script: HookScript = None, in Directory, since "2.0";

    /// Show httpd's own record of the request to the application.
    ///
    /// With `On`, applications in embedded mode find it under `apache.request_rec`.
    "WSGIPassApacheRequest" => pass_apache_request: OnOff = OnOff::Off, in Directory, since "2.0";

    /// Load a script again when its file has changed.
    ///
    /// In embedded mode only the script file itself is loaded again, into the same interpreter.
    "WSGIScriptReloading" => script_reloading: OnOff = OnOff::On, in FileInfo, since "2.0";

    /// Pass the `Authorization` header to the application.
    ///
    /// Off by default because the header contains credentials that httpd itself may have checked already.
    "WSGIPassAuthorization" => pass_authorization: OnOff = OnOff::Off, in FileInfo, since "2.0";

    /// Show httpd's error documents instead of the application's.
    ///
    /// With `On`, the body of an answer with a status from 400 is replaced. Counts for process groups only.
    "WSGIErrorOverride" => error_override: OnOff = OnOff::Off, in FileInfo, since "3.0";

    /// Accept requests whose body comes in chunks, without `Content-Length`.
    ///
    /// Off by default because applications that trust `CONTENT_LENGTH` would see no body. With `Off` such requests get 411.
    "WSGIChunkedRequest" => chunked_request: OnOff = OnOff::Off, in FileInfo, since "3.0";

    /// Show HEAD requests to the application as GET.
    ///
    /// Output filters that depend on the body would otherwise compute wrong headers. `Auto` does it when such a filter is
    /// in place. httpd leaves the body out in any case.
    "WSGIMapHEADToGET" => map_head_to_get: HeadMapping = HeadMapping::Auto, in FileInfo, since "4.3.0";

    /// Do not count requests as activity.
    ///
    /// With `On`, requests do not put off the `inactivity-timeout` of their process group.
    "WSGIIgnoreActivity" => ignore_activity: OnOff = OnOff::Off, in FileInfo, since "4.5.8";

    /// Let the kernel copy files of `wsgi.file_wrapper` to the client.
    ///
    /// Counts together with httpd's own `EnableSendfile`. Off by default because sendfile is broken on some file systems.
    "WSGIEnableSendfile" => enable_sendfile: OnOff = OnOff::Off, in FileInfo, since "3.0";

    /// Which headers of proxies replace facts of the connection.
    ///
    /// Only those of the peers that `WSGITrustedProxies` names are believed; without it, those of every peer. May be
    /// repeated in one place.
    "WSGITrustedProxyHeaders" => trusted_proxy_headers: TrustedHeaders = TrustedHeaders::default(), in FileInfo, since "4.4.9";

    /// The peers whose headers are believed.
    ///
    /// Addresses, and networks as `address/bits` or `address/mask`. May be repeated in one place.
    "WSGITrustedProxies" => trusted_proxies: TrustedProxies = TrustedProxies::default(), in FileInfo, since "4.4.10";

    /// Decide with a script who may come in.
    ///
    /// The function `allow_access(environ, host)` of the script answers `True`, `False`, or `None` to leave it to others.
    "WSGIAccessScript" => access_script: HookScript = None, in AuthConfig, since "2.0";

    /// Check passwords with a script.
    ///
    /// For `AuthBasicProvider wsgi` the function `check_password(environ, user, password)`, for `AuthDigestProvider wsgi`
    /// the function `get_realm_hash(environ, user, realm)`.
    "WSGIAuthUserScript" => auth_user_script: HookScript = None, in AuthConfig, since "2.0";

    /// Find the groups of a user with a script.
    ///
    /// For `Require wsgi-group` the function `groups_for_user(environ, user)`.
    "WSGIAuthGroupScript" => auth_group_script: HookScript = None, in AuthConfig, since "2.0";

    /// Once: let other modules authorise, too.
    ///
    /// Accepted without effect, as in the reference: httpd's `Require` decides.
    "WSGIGroupAuthoritative" => group_authoritative: OnOff = OnOff::On, in AuthConfig, since "2.0";

    /// Once: let other modules authenticate, too.
    ///
    /// Retired: accepted with a warning. httpd's providers decide.
    "WSGIUserAuthoritative" => user_authoritative: RetiredSwitch = RetiredSwitch(OnOff::On), in AuthConfig, since "2.0";
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
