// SPDX-License-Identifier: Apache-2.0
//! Numbers of the log events that tests announce. They are written out here a second time on purpose: a number that
//! changes its meaning is a defect, and `tests/events.rs` holds them against the table.

macro_rules! numbers {
    ($($name:ident = $number:literal $variant:literal),+ $(,)?) => {
        $( #[doc = $variant] pub const $name: u16 = $number; )+
        /// Every number with the name its event has in the module's table.
        pub const NUMBERS: &[(u16, &str)] = &[$(($number, $variant)),+];
    };
}

numbers! {
    PYTHON_LIBRARY_MISSING = 101 "PythonLibraryMissing",
    PYTHON_HOME_UNREADABLE = 102 "PythonHomeUnreadable",
    PYTHON_VERSION_UNSUPPORTED = 103 "PythonVersionUnsupported",
    PYTHON_ALREADY_LOADED = 104 "PythonAlreadyLoaded",
    PYTHON_LIBRARY_UNLOADABLE = 105 "PythonLibraryUnloadable",
    PYTHON_START_FAILED = 106 "PythonStartFailed",
    RUNTIME_MISSING = 107 "RuntimeMissing",
    RUNTIME_MISMATCH = 108 "RuntimeMismatch",
    RUNTIME_UNUSABLE = 109 "RuntimeUnusable",
    PYTHON_UNAVAILABLE = 110 "PythonUnavailable",
    INTERPRETER_LIMIT = 111 "InterpreterLimit",
    SHUTDOWN_OVERDUE = 113 "ShutdownOverdue",
    PYTHON_PATH_FAILED = 114 "PythonPathFailed",
    COMPANION_FAILED = 115 "CompanionFailed",
    PYTHON_STARTING = 116 "PythonStarting",
    OWN_GIL_UNSUPPORTED = 118 "OwnGilUnsupported",
    FREE_THREADING_UNSUPPORTED = 119 "FreeThreadingUnsupported",
    SWITCH_INTERVAL_SHARED = 120 "SwitchIntervalShared",
    SCRIPT_UNREADABLE = 201 "ScriptUnreadable",
    SCRIPT_FAILED = 202 "ScriptFailed",
    CALLABLE_MISSING = 203 "CallableMissing",
    APPLICATION_FAILED = 204 "ApplicationFailed",
    CLOSE_FAILED = 205 "CloseFailed",
    RELOAD_HOOK_FAILED = 206 "ReloadHookFailed",
    SHORT_ANSWER = 207 "ShortAnswer",
    LONG_ANSWER = 208 "LongAnswer",
    HEADER_IGNORED = 209 "HeaderIgnored",
    PRELOAD_FAILED = 210 "PreloadFailed",
    EXECUTION_FORBIDDEN = 301 "ExecutionForbidden",
    SCRIPT_MISSING = 302 "ScriptMissing",
    SCRIPT_IS_DIRECTORY = 303 "ScriptIsDirectory",
    PATH_INFO_REFUSED = 304 "PathInfoRefused",
    TRANSFER_ENCODING_UNKNOWN = 305 "TransferEncodingUnknown",
    CHUNKED_REFUSED = 306 "ChunkedRefused",
    CONTENT_LENGTH_INVALID = 307 "ContentLengthInvalid",
    EMBEDDED_RESTRICTED = 308 "EmbeddedRestricted",
    BODY_TOO_LARGE = 309 "BodyTooLarge",
    VARIABLE_UNSET = 311 "VariableUnset",
    GROUP_UNKNOWN = 313 "GroupUnknown",
    GROUP_NOT_VISIBLE = 314 "GroupNotVisible",
    GROUP_RESTRICTED = 315 "GroupRestricted",
    DISPATCH_MISSING = 316 "DispatchMissing",
    HOOK_SCRIPT_MISSING = 317 "HookScriptMissing",
    GROUP_UNAVAILABLE = 318 "GroupUnavailable",
    SCRIPT_OWNER = 319 "ScriptOwner",
    SCRIPT_OUTSIDE_ROOT = 322 "ScriptOutsideRoot",
    WORKER_LOST = 401 "WorkerLost",
    SUPERVISOR_FAILED = 402 "SupervisorFailed",
    SUPERVISOR_LOST = 403 "SupervisorLost",
    PANICKED = 501 "Panicked",
    ARGUMENT_DOUBTFUL = 601 "ArgumentDoubtful",
    GROUP_DECLARED_TWICE = 602 "GroupDeclaredTwice",
    GROUP_UNBUILDABLE = 603 "GroupUnbuildable",
    GROUP_UNRESOLVED = 604 "GroupUnresolved",
    CONFIGURATION_CONTRADICTORY = 605 "ConfigurationContradictory",
    FILE_DOUBTFUL = 606 "FileDoubtful",
    FILES_NOT_EXAMINED = 607 "FilesNotExamined",
}
