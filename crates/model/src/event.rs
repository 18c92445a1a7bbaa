// SPDX-License-Identifier: Apache-2.0
//! Everything that is logged at level warning or above, and notices about the configuration, as numbered events.
//!
//! A row of the table is the event's whole definition. Numbers are stable: wording may change under a number, a retired
//! number stays listed in [`RETIRED`] and is never used again. 01xx: starting Python; 02xx: scripts and applications;
//! 03xx: requests refused before an application runs; 04xx: answers; 05xx: the module itself; 06xx: the configuration.

mod level;
mod row;

pub use level::Level;
pub use row::Entry;

row::events! {
    101 Critical PythonLibraryMissing { home: String, searched: String }
        "no shared Python library for '{home}' (searched: {searched}); install the distribution's libpython package or a Python built with --enable-shared, or set WSGIPythonHome to one"
        cause "The configured Python has no libpython*.so that can be loaded, for instance because Debian's libpython3.x package is not installed or the Python was built without --enable-shared."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Install the shared library of that Python, or point WSGIPythonHome to a Python that has one.";
    102 Critical PythonHomeUnreadable { home: String, reason: String }
        "WSGIPythonHome '{home}' cannot be used: {reason}"
        cause "The directory or interpreter named by WSGIPythonHome does not exist or cannot be read by httpd's user."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Correct the path, or let httpd's user search the directories that lead to it.";
    103 Critical PythonVersionUnsupported { home: String, version: String }
        "Python {version} of '{home}' is not supported: mod_wsgi_rs needs CPython 3.9 or later"
        cause "The configured Python is older than 3.9."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Point WSGIPythonHome to CPython 3.9 or later.";
    104 Critical PythonAlreadyLoaded { loaded: String, wanted: String }
        "'{loaded}' is already loaded into this process, so '{wanted}' cannot be; remove the LoadFile directive or the module that brings it"
        cause "Another libpython is in the httpd process, from a LoadFile directive or another module; two of them crash."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Remove the LoadFile directive for libpython, or the other module that embeds Python.";
    105 Critical PythonLibraryUnloadable { library: String, reason: String }
        "'{library}' cannot be loaded: {reason}"
        cause "The dynamic linker refused the shared Python library."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Read the linker's reason: usually a missing dependency or another architecture.";
    106 Critical PythonStartFailed { home: String, reason: String }
        "Python of '{home}' did not start: {reason}"
        cause "The interpreter could not initialise itself, usually because its standard library cannot be found or read."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Check that httpd's user can read the installation, and PYTHONHOME and PYTHONPATH in httpd's environment.";
    107 Critical RuntimeMissing { searched: String }
        "the runtime files of this build of mod_wsgi_rs are missing (searched: {searched})"
        cause "The directory with the extension module that belongs to this build of the httpd module is not installed."
        outcome "Requests for embedded mode get 500; everything else is served."
        action "Install the package again, or restart httpd after an upgrade.";
    108 Critical RuntimeMismatch { expected: String, found: String }
        "the runtime is of build {found}, this httpd module of build {expected}; restart httpd after an upgrade"
        cause "The extension module comes from another build than the httpd module in memory."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Stop and start httpd after upgrading the module.";
    109 Critical RuntimeUnusable { reason: String }
        "the runtime could not be imported: {reason}"
        cause "Importing the extension module failed inside the interpreter."
        outcome "Requests for embedded mode get 500 in this child; everything else is served."
        action "Read the Python error in the message.";
    110 Error PythonUnavailable { script: String }
        "'{script}' cannot run: Python did not start in this child (see the critical message before)"
        cause "A request for embedded mode reached a child whose Python did not start."
        outcome "500 for this request."
        action "Find the critical message of the same child and follow it.";
    111 Error InterpreterLimit { application_group: String, limit: usize }
        "application group '{application_group}' refused: this process already has {limit} interpreters"
        cause "More application groups were asked for than one process may have interpreters."
        outcome "503 for this request."
        action "Name application groups explicitly with WSGIApplicationGroup.";
    112 Error InterpreterFailed { application_group: String, reason: String }
        "the interpreter for application group '{application_group}' could not be created: {reason}"
        cause "CPython refused to create a sub-interpreter."
        outcome "500 for this request; the next one tries again."
        action "Read the reason; memory limits are the usual cause.";
    113 Warning ShutdownOverdue { milliseconds: u64, waiting: usize }
        "Python is left as it is: after {milliseconds} ms {waiting} requests or threads were still inside it"
        cause "At the end of a process some request or non-daemon thread did not finish within the shutdown time."
        outcome "The process ends without finalising Python; atexit callbacks may not have run."
        action "Look for requests or threads that never end.";
    114 Warning PythonPathFailed { entry: String, reason: String }
        "'{entry}' of WSGIPythonPath could not be added: {reason}"
        cause "site.addsitedir() failed for a directory of WSGIPythonPath."
        outcome "The entry is skipped; the others are used."
        action "Correct the directory.";
    115 Warning CompanionFailed { module: String, reason: String }
        "a module '{module}' was found on the path but could not be imported: {reason}"
        cause "A package that the built-in module of the same name extends exists but fails to import."
        outcome "The built-in module is used alone."
        action "Repair or remove the package.";

    116 Error PythonStarting { script: String, seconds: u64 }
        "'{script}' was not run: Python is still starting in this child after {seconds} s"
        cause "Starting Python takes long, usually because of a .pth file or a sitecustomize module that blocks."
        outcome "503 with Retry-After."
        action "Look at what the Python installation runs at start-up.";
    118 Warning OwnGilUnsupported { version: String }
        "WSGIPerInterpreterGIL has no effect: it needs Python 3.12 or later, and this is {version}"
        cause "WSGIPerInterpreterGIL is On for some interpreter, and the configured Python cannot give interpreters locks of their own."
        outcome "All interpreters of the process share one lock."
        action "Use Python 3.12 or later, or remove the directive.";
    119 Warning FreeThreadingUnsupported { home: String }
        "WSGIFreeThreading has no effect: Python of '{home}' is not a free-threaded build"
        cause "WSGIFreeThreading is On, and the configured Python is of the usual kind, which always has a global lock."
        outcome "Python runs with its global lock."
        action "Remove the directive.";
    120 Warning SwitchIntervalShared { application_group: String, seconds: String }
        "the switch interval of {seconds} s for application group '{application_group}' has no effect: its interpreter shares the lock of the main interpreter"
        cause "A section <WSGIInterpreterOptions> that names an application group sets WSGISwitchInterval, but the interval belongs to the lock, which all interpreters of the process share."
        outcome "The interval of the process counts."
        action "Set the interval for the process, or give the interpreter a lock of its own with WSGIPerInterpreterGIL.";

    121 Warning EmbeddedInGroup { reason: String }
        "embedded mode runs in a process of its own: {reason}"
        cause "Some alias or handler (`AddHandler`, `SetHandler`) leads to embedded mode, or only `.htaccess` files can lead to applications, and the configured Python has no shared library that httpd's children could load. A group that nobody declared, with one process and 15 threads as httpd's user, does the work instead."
        outcome "Requests for embedded mode are served by that process."
        action "Nothing need be done. Install the shared library, or declare a process group, to choose where the applications run.";

    201 Error ScriptUnreadable { script: String, reason: String }
        "script '{script}' cannot be read: {reason}"
        cause "The script file cannot be opened or read by the user that runs it."
        outcome "500 for this request; the next one tries again."
        action "Correct the file's permissions.";
    202 Error ScriptFailed { script: String, interpreter: String, exception: String }
        "script '{script}' failed to load in {interpreter}: {exception}"
        cause "Compiling or executing the script raised an exception; the traceback follows."
        outcome "500 for this request; the next one tries again."
        action "Correct the script.";
    203 Error CallableMissing { script: String, callable: String }
        "script '{script}' has no global named '{callable}'"
        cause "The script does not define the callable, or WSGICallableObject names another one."
        outcome "500 for this request."
        action "Define the callable, or set WSGICallableObject.";
    204 Error ApplicationFailed { script: String, interpreter: String, exception: String }
        "application '{script}' in {interpreter} raised {exception}"
        cause "The application, its iterable or its start_response() arguments raised an exception; the traceback follows."
        outcome "500 if nothing was sent, else the answer is cut off visibly."
        action "Correct the application.";
    205 Error CloseFailed { script: String, interpreter: String, exception: String }
        "close() of the result of '{script}' in {interpreter} raised {exception}"
        cause "The close() method of the application's iterable raised an exception; the traceback follows."
        outcome "The answer is not changed."
        action "Correct the application.";
    206 Error ReloadHookFailed { script: String, exception: String }
        "reload_required() of '{script}' raised {exception}"
        cause "The script's reload_required() function raised an exception; the traceback follows."
        outcome "The script is not loaded again."
        action "Correct the function.";
    207 Warning ShortAnswer { script: String, declared: u64, produced: u64 }
        "'{script}' promised Content-Length {declared} but produced {produced} bytes; the answer was cut off"
        cause "The application produced fewer bytes than its Content-Length says."
        outcome "The client sees a cut-off answer and a closed connection, or a 500 page if nothing had been sent yet."
        action "Correct the application's Content-Length.";
    208 Warning LongAnswer { script: String, declared: u64, produced: u64 }
        "'{script}' promised Content-Length {declared} but produced {produced} bytes; the rest was not sent"
        cause "The application produced more bytes than its Content-Length says."
        outcome "The client receives the promised number of bytes."
        action "Correct the application's Content-Length.";
    209 Warning HeaderIgnored { script: String, header: String }
        "'{script}' set the header '{header}', which belongs to the server; it was left out"
        cause "The application set Transfer-Encoding, which describes the connection and would break its framing."
        outcome "The header is not sent; the rest of the answer is."
        action "Do not set it in the application.";
    210 Error PreloadFailed { script: String, application_group: String, reason: String }
        "'{script}' could not be loaded ahead of requests into application group '{application_group}': {reason}"
        cause "An alias asks for its script to be loaded when the process starts, and that failed."
        outcome "The first request tries again."
        action "Correct the script.";
    211 Error HeaderTooLong { process_group: String, problem: String }
        "process group '{process_group}': the answer was refused: {problem}"
        cause "A header line of an answer is longer than header-buffer-size allows (32768 bytes where nothing is said), or all headers together are longer than httpd takes from a process."
        outcome "500 for this request."
        action "Let the application send less in headers, or raise header-buffer-size.";

    301 Error ExecutionForbidden { script: String }
        "'{script}' must not be executed here: Options ExecCGI is off and no WSGIScriptAlias leads to it"
        cause "A file with the handler wsgi-script lies in a directory without Options ExecCGI."
        outcome "403."
        action "Set Options +ExecCGI for the directory, or use WSGIScriptAlias.";
    302 Error ScriptMissing { script: String }
        "script '{script}' does not exist or cannot be examined"
        cause "The script file is missing, or httpd's user cannot reach it."
        outcome "404."
        action "Correct the path or the permissions of the directories that lead to it.";
    303 Error ScriptIsDirectory { script: String }
        "'{script}' is a directory, not a script"
        cause "A WSGIScriptAlias for a directory was asked for the directory itself."
        outcome "403."
        action "Ask for a script inside it.";
    304 Error PathInfoRefused { script: String, path_info: String }
        "'{script}' was asked for '{path_info}' beyond it, and AcceptPathInfo is off"
        cause "AcceptPathInfo Off forbids additional path information."
        outcome "404."
        action "Remove AcceptPathInfo Off if the application routes URLs itself.";
    305 Error TransferEncodingUnknown { encoding: String }
        "transfer encoding '{encoding}' is not supported"
        cause "The client sent a Transfer-Encoding other than chunked."
        outcome "501."
        action "None; the client is at fault.";
    306 Error ChunkedRefused { script: String }
        "a request with a chunked body for '{script}' was refused; WSGIChunkedRequest On accepts them"
        cause "The client sent a chunked body and WSGIChunkedRequest is off."
        outcome "411."
        action "Set WSGIChunkedRequest On if the application can read bodies of unknown length.";
    307 Error ContentLengthInvalid { value: String }
        "Content-Length '{value}' is not a number"
        cause "The client sent a malformed Content-Length."
        outcome "400."
        action "None; the client is at fault.";
    308 Error EmbeddedRestricted { script: String }
        "'{script}' would run in embedded mode, which WSGIRestrictEmbedded On forbids"
        cause "The request resolves to no process group while WSGIRestrictEmbedded is On."
        outcome "500."
        action "Set WSGIProcessGroup for this location.";
    309 Error BodyTooLarge { script: String }
        "the body of the request for '{script}' exceeds LimitRequestBody"
        cause "The client sent a body larger than LimitRequestBody: noticed by its Content-Length, or while the application read a chunked body."
        outcome "413, before the application runs or in place of its answer."
        action "Raise LimitRequestBody if such bodies are wanted.";
    310 Error ServerStopping { script: String }
        "'{script}' was not run: this process is ending"
        cause "A request reached the interpreter while its process was shutting down."
        outcome "503."
        action "None; the client may repeat the request.";
    311 Error VariableUnset { directive: String, variable: String }
        "{directive} refers to '{variable}', which is not set for this request or is empty"
        cause "A name is taken from %{{ENV:...}} and the variable is unset or empty."
        outcome "500; an unset variable never selects embedded mode or an interpreter."
        action "Set the variable, for instance with SetEnv, wherever the directive applies.";
    313 Error GroupUnknown { process_group: String, script: String }
        "'{script}' was not run: no WSGIDaemonProcess declares a process group named '{process_group}'"
        cause "A request selects a process group that the configuration does not have; names are compared exactly."
        outcome "500."
        action "Declare the group with WSGIDaemonProcess, or correct the name in WSGIProcessGroup or the process-group option.";
    314 Error GroupNotVisible { process_group: String, server: String, script: String }
        "'{script}' was not run: process group '{process_group}' belongs to a virtual host with another ServerName than '{server}'"
        cause "A process group that a virtual host declares can be used by virtual hosts of the same ServerName only."
        outcome "500."
        action "Declare the group outside of virtual hosts, or in the one that uses it.";
    315 Error GroupRestricted { process_group: String, script: String }
        "'{script}' was not run: WSGIRestrictProcess does not permit process group '{process_group}'"
        cause "The selected process group, or embedded mode if the name is empty, is not in the list of WSGIRestrictProcess."
        outcome "403."
        action "Select a permitted group, or add this one to the list (%{{GLOBAL}} for embedded mode).";
    316 Error DispatchMissing { hook: String, script: String }
        "'{script}' was not run: this version cannot run the dispatch script '{hook}' yet"
        cause "WSGIDispatchScript decides where the request goes, and this version does not run dispatch scripts."
        outcome "500."
        action "Name the groups in the configuration, or keep using the reference module for this site for now.";
    317 Error HookScriptMissing { directive: String, script: String }
        "the request was refused: this version cannot run the script '{script}' of {directive} yet"
        cause "A script decides who may come in, and this version does not run scripts for access and authentication."
        outcome "500, or 403 where a group is required; nobody is let in unasked."
        action "Use httpd's own access rules, or keep using the reference module for this site for now.";

    318 Error GroupUnavailable { process_group: String, script: String, reason: String }
        "'{script}' was not run: process group '{process_group}' cannot be reached: {reason}"
        cause "No process of the group accepted the request within connect-timeout: none could be started, or all are busy and the queue is full."
        outcome "503 with Retry-After."
        action "Look for messages about the group's processes; raise processes, threads or listen-backlog if they are busy.";

    319 Error ScriptOwner { process_group: String, problem: String }
        "a script was not run in process group '{process_group}', because of its script-user or script-group: {problem}"
        cause "The script or its directory does not belong to the user or group that the process group asks for, or others may write to it."
        outcome "403."
        action "Correct owner and permissions of the script and its directory.";

    320 Error GroupBusy { process_group: String, script: String, reason: String }
        "'{script}' was not run: process group '{process_group}' is busy: {reason}"
        cause "All threads of the group were busy for as long as queue-timeout lets a request wait, or too many requests waited already."
        outcome "503 with Retry-After."
        action "Raise processes or threads, find out what keeps the application busy, or raise queue-timeout.";
    321 Error GroupOverdue { process_group: String, script: String, reason: String }
        "'{script}' was not run: process group '{process_group}' is busy: {reason}"
        cause "The group has no queue-timeout, and all of its threads were busy for as long as socket-timeout or Timeout lets a request wait for anything."
        outcome "504."
        action "Raise processes or threads, find out what keeps the application busy, or set queue-timeout so that clients get an answer sooner.";
    322 Error ScriptOutsideRoot { process_group: String, script: String, root: String }
        "'{script}' was not run: process group '{process_group}' has the root '{root}', and the file is not in it"
        cause "The processes of the group see nothing outside of the directory that chroot names, and the URL leads to a file that is."
        outcome "500."
        action "Move the file into that directory, or choose another process group for the URL.";

    401 Error WorkerLost { process_group: String, script: String, reason: String }
        "the process of group '{process_group}' that ran '{script}' is lost: {reason}"
        cause "The process died, was killed, was silent for longer than socket-timeout, or said something that makes no sense."
        outcome "502, or 504 if it was silent; a visibly cut-off answer if a part of it had left."
        action "Look for messages about the group's processes just before.";
    402 Critical SupervisorFailed { reason: String }
        "the processes of the process groups could not be started: {reason}"
        cause "The supervisor of the process groups could not be started or did not answer."
        outcome "Requests for process groups get 503; everything else is served."
        action "Read the reason; is the package completely installed?";

    403 Error SupervisorLost { pid: u32 }
        "the supervisor of the process groups (pid {pid}) has ended; another one is started"
        cause "The process that watches over the processes of the groups was killed or has stopped at a defect."
        outcome "A new one starts the groups' processes again; requests that were running are lost, others wait."
        action "Find out what killed it; report it if nothing did.";

    404 Warning PeerRefused { user: u32 }
        "a connection of user {user} was closed: it is not httpd's"
        cause "A process of another user than httpd's has got hold of the way to a process of the group."
        outcome "The connection is closed; nothing was read from it."
        action "Find out which program the user runs and how it got a descriptor of httpd's. A module that makes httpd's children other users and that mod_wsgi_rs does not know has the same effect: report it.";
    405 Warning GenerationExpired { generation: u32 }
        "more than three old generations of the configuration still have children: the processes of generation {generation} end"
        cause "httpd was restarted gracefully again and again while some of its children had requests that last."
        outcome "Requests of that generation's groups that run may finish within graceful-timeout; its children's further ones get 503."
        action "Restart less often, or limit how long old children may stay: GracefulShutdownTimeout, Timeout, KeepAliveTimeout.";

    410 Error WorkerEnded { process_group: String, ending: String, next: String }
        "process group '{process_group}': worker ended unexpectedly: {ending}{next}"
        cause "A process of the group crashed, was killed, ended by itself without being asked, or ended before it was ready."
        outcome "Another one takes its place, after a growing delay if that happens again and again; requests that it ran are lost."
        action "Read how it ended, and the lines before: a crash, a limit, and memory that ran out have different cures.";
    411 Error WorkerUnstartable { process_group: String, origin: String, problem: String, fix: String }
        "process group '{process_group}', declared at {origin}: worker could not be started: {problem}; {fix}"
        cause "A process of the group could not be made what its options say: the interpreter, a directory, the user, or a limit of the system."
        outcome "It is tried again after a growing delay; as long as the group has no other process, its requests get 503."
        action "Follow the message.";
    412 Error WorkerUnfit { process_group: String, reason: String }
        "process group '{process_group}': worker cannot work: {reason}"
        cause "A process of the group started and found that it cannot work, for instance because its Python cannot load the extension."
        outcome "It is tried again after a growing delay; as long as the group has no other process, its requests get 503."
        action "Read the reason.";
    413 Warning WorkerHampered { process_group: String, trouble: String }
        "process group '{process_group}': worker starts, but: {trouble}"
        cause "An option of the group could not be applied to the process."
        outcome "The process starts without it."
        action "Correct the option, or the limits that httpd itself runs under.";
    414 Error ProtocolBroken { process_group: String, problem: String }
        "process group '{process_group}': worker does not keep to the protocol: {problem}"
        cause "A process of the group said something to the supervisor that makes no sense, for instance because the package was replaced while httpd ran."
        outcome "It is killed; another one takes its place."
        action "Restart httpd after an upgrade; otherwise find out what writes to the control socket, descriptor 3 of the process.";
    415 Warning WorkerOverdue { process_group: String, patience: String }
        "process group '{process_group}': worker did not end within {patience} and is killed (shutdown-timeout)"
        cause "A process of the group was to end, and requests, threads or exit functions of the application did not finish in time."
        outcome "It is killed with its process group; requests that it ran are lost."
        action "Raise shutdown-timeout, or correct what does not finish.";
    416 Error WorkerLate { process_group: String, patience: String }
        "process group '{process_group}': worker was not ready within {patience} and is killed (startup-timeout)"
        cause "A process of the group took longer than startup-timeout to start, for instance because a script hangs while it is loaded."
        outcome "It is killed with its process group and tried again after a growing delay."
        action "Find out what hangs, or raise startup-timeout.";
    417 Warning LinesDropped { origin: String, count: u64, problem: String }
        "{origin}: {count} lines were dropped, {problem}"
        cause "A process wrote more than 1000 lines in a second, or the error log did not take lines as fast as they came."
        outcome "These lines are lost; nothing waits for the log."
        action "Let the application write less, or find out what holds up the error log.";
    418 Error SettingsUndelivered { process_group: String, problem: String }
        "process group '{process_group}': worker cannot be given its settings: {problem}"
        cause "The settings of the group are too long, usually because of very many scripts to load ahead or interpreter options."
        outcome "The process is killed and tried again after a growing delay."
        action "Shorten the settings, or divide the group.";
    419 Warning LogUnusable { process_group: String, reason: String }
        "process group '{process_group}': its error log cannot be used, httpd's main one is: {reason}"
        cause "The supervisor cannot write to the ErrorLog of the virtual host that declares the group."
        outcome "The lines of the group's processes go to httpd's main error log."
        action "Correct the ErrorLog of that virtual host.";
    420 Critical SupervisorUnfit { reason: String }
        "the supervisor of the process groups cannot work: {reason}"
        cause "The supervisor was given something that it cannot use, or the kernel refuses it what it needs."
        outcome "It ends; httpd starts another one, and requests for process groups wait or get 503."
        action "Read the reason; restart httpd after an upgrade.";

    430 Error RequestOverdue { script: String, place: String, pid: u32, request: String, milliseconds: u64, outcome: String }
        "request {request} of '{script}' in {place}, process {pid}, takes longer than {milliseconds} ms (request-timeout): {outcome}"
        cause "The application has not finished a request within request-timeout; the Python stack of its thread follows, if it can be had."
        outcome "With interrupt-timeout mod_wsgi.RequestTimeout is raised in the thread. The client gets 504, or an answer that is cut off visibly if a part of it had left."
        action "Find out from the stack what takes so long, or raise request-timeout.";
    431 Warning RequestStuck { script: String, application_group: String, pid: u32, request: String, problem: String }
        "process {pid} wants to be replaced: request {request} of '{script}' (application group '{application_group}') {problem}"
        cause "A request that took longer than request-timeout did not end within interrupt-timeout, or is not to be interrupted because there is none. The Python stacks of all threads of its interpreter follow."
        outcome "Another process takes the place of this one, which finishes its other requests."
        action "Find out from the stacks where the thread is; code in C that waits cannot be interrupted.";
    432 Error InterpreterDeadlocked { application_group: String, pid: u32, milliseconds: u64 }
        "process {pid} ends: the lock of the interpreter of application group '{application_group}' was not free for {milliseconds} ms (deadlock-timeout)"
        cause "Code in C holds the interpreter's lock and does not let it go, so no Python code of that interpreter can run. The Python stacks of its threads follow, as far as they can be had without the lock."
        outcome "The process is ended at once and replaced; requests that it ran get 502 or a visibly cut-off answer."
        action "Find out from the stacks which extension module holds the lock.";

    501 Critical Panicked { place: String, message: String }
        "a defect in mod_wsgi_rs was caught at {place}: {message}"
        cause "A part of the module stopped at a violated assumption."
        outcome "500 for the request; the process goes on."
        action "Report it with this line.";

    601 Warning ArgumentDoubtful { place: String, problem: String, fix: String }
        "{place}: {problem}; {fix}"
        cause "A directive is written in a way that the reference accepts but that probably means something else, or has no effect any more."
        outcome "It is understood as the message says."
        action "Correct the line.";
    602 Error GroupDeclaredTwice { process_group: String, origin: String, earlier: String }
        "WSGIDaemonProcess at {origin}: there is a process group '{process_group}' already, declared at {earlier}; give one of them another name"
        cause "Two WSGIDaemonProcess directives have the same name; names are unique in the whole configuration."
        outcome "httpd does not start."
        action "Give one of them another name.";
    603 Error GroupUnbuildable { process_group: String, origin: String, problem: String, fix: String }
        "WSGIDaemonProcess at {origin}: process group '{process_group}' cannot be built: {problem}; {fix}"
        cause "A process group names a user or group that does not exist, runs as root, or needs httpd to be root."
        outcome "httpd does not start."
        action "Follow the message.";
    604 Warning GroupUnresolved { place: String, process_group: String, problem: String, fix: String }
        "{place}: process group '{process_group}' {problem}; {fix}"
        cause "A directive names a process group that does not exist, cannot be seen from there, or serves no requests."
        outcome "Requests for it are refused with 500."
        action "Follow the message.";
    605 Warning ConfigurationContradictory { place: String, problem: String, fix: String }
        "{place}: {problem}; {fix}"
        cause "Directives or options do not go together, or one of them can have no effect."
        outcome "As the message says."
        action "Follow the message.";
    606 Warning FileDoubtful { place: String, path: String, problem: String, fix: String }
        "{place}: '{path}' {problem}; {fix}"
        cause "A file or directory that the configuration names is missing, of the wrong kind, or closed to the user who needs it."
        outcome "Requests that need it fail; everything else is served. An error under -D WSGI_STRICT_CHECK -t."
        action "Follow the message.";
    607 Warning FilesNotExamined { user: String, reason: String }
        "the files that the configuration names could not be examined as user '{user}' and those after: {reason}"
        cause "Looking at the files took too long, for instance because a network file system does not answer, or was impossible."
        outcome "Nothing is known about these files; the server starts."
        action "Check the file systems.";
    608 Notice GroupsAsHttpd { user: String, process_groups: String }
        "httpd's own user '{user}' runs {process_groups}"
        cause "Process groups have no user=, or name the user that httpd's children run as. Their applications have the rights of that user: they may end httpd's children, and read and write what httpd may."
        outcome "Nothing changes. Logged once when httpd starts as root, not when it is restarted."
        action "Nothing need be done where all applications are trusted alike. Otherwise give each group a user of its own with user= and group=.";
}

/// Numbers that were used once and mean nothing any more.
pub const RETIRED: &[u16] = &[312];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_retired_ones_are_not_used_again() {
        assert!(TABLE.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(TABLE.iter().all(|entry| !RETIRED.contains(&entry.number)));
    }

    #[test]
    fn warning_and_above_are_what_the_table_holds_and_notices_about_the_configuration() {
        assert!(TABLE.iter().all(|entry| entry.level <= Level::Warning || entry.number == 608));
    }

    #[test]
    fn a_line_begins_with_its_number() {
        let event = Event::ScriptMissing { script: "/a".into() };
        assert_eq!(event.to_string(), "WSGIRS0302: script '/a' does not exist or cannot be examined");
        assert_eq!((event.number(), event.level()), (302, Level::Error));
    }
}
