// SPDX-License-Identifier: Apache-2.0
//! Scripts that are not chosen by the URL of an application: imported at start, handlers, dispatch, access and
//! authentication (configuration §6.2 to 6.4, §11).

use crate::directive::options::{self, Options, options};
use crate::directive::value::{FixedGroupName, GroupName, HookGroupName, Kept, NOT_SET, OnOff, Written, quoted};
use crate::directive::words::Words;
use crate::directive::{ArgumentError, Origin, Reading};
use std::collections::BTreeMap;

options! {
    /// The options of `WSGIImportScript`; both must be given.
    pub struct ImportOptions;

    /// The process group whose processes load the script; `%{GLOBAL}` is httpd's children.
    "process-group" => process_group: FixedGroupName = FixedGroupName::default(), since "2.0";
    /// The interpreter that loads it; `%{GLOBAL}` is the main interpreter.
    "application-group" => application_group: FixedGroupName = FixedGroupName::default(), since "2.0";
}

options! {
    /// The options of `WSGIHandlerScript`; they win over the directives of the same meaning.
    pub struct HandlerOptions;

    /// The process group; `%{GLOBAL}` is embedded mode.
    "process-group" => process_group: GroupName = GroupName::default(), since "3.0";
    /// The application group; `%{GLOBAL}` is the main interpreter.
    "application-group" => application_group: GroupName = GroupName::default(), since "3.0";
    /// Whether the script gets the `Authorization` header.
    "pass-authorization" => pass_authorization: OnOff = OnOff::Off, since "3.0";
}

options! {
    /// The options of `WSGIDispatchScript`, `WSGIAccessScript`, `WSGIAuthUserScript` and `WSGIAuthGroupScript`.
    pub struct HookOptions;

    /// The interpreter that runs the script; the main one when not given.
    "application-group" => application_group: HookGroupName = HookGroupName(crate::group::GLOBAL.to_owned()), since "2.0";
}

fn path(words: &mut Words<'_>, syntax: &'static str, found: usize) -> Result<String, ArgumentError> {
    words.next().filter(|path| !path.is_empty()).ok_or(ArgumentError::Missing { syntax, found })
}

/// A script that processes load when they start.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The script.
    pub path: String,
    /// Which processes, and which interpreter.
    pub options: ImportOptions,
    /// Where it was written.
    pub origin: Origin,
}

/// The imports written for one server, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imports(pub Vec<Import>);

impl Written for Imports {
    type Value = Self;
    const SYNTAX: &'static str = "file process-group=name application-group=name";
    const GOOD: &'static str = "/srv/app.wsgi process-group=site application-group=%{GLOBAL}";
    const BAD: Option<&'static str> = Some("/srv/app.wsgi process-group=site");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Self, ArgumentError> {
        let mut words = Words::new(arguments);
        let path = path(&mut words, Self::SYNTAX, 0)?;
        let mut options = ImportOptions::default();
        options.take_all(&mut words, reading)?;
        if options.process_group.is_none() || options.application_group.is_none() {
            return Err(ArgumentError::Combination("needs both process-group and application-group"));
        }
        Ok(Self(vec![Import { path, options, origin: reading.origin.clone() }]))
    }
}

impl Kept for Imports {
    const INHERITED: bool = false;

    fn repeat(earlier: &Self, later: Self) -> Self {
        Self([earlier.0.as_slice(), &later.0].concat())
    }

    fn render(&self) -> String {
        let one = |import: &Import| quoted(&import.path) + &options::render(&import.options.written());
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// A script that answers requests of a handler's name.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerScript {
    /// The script.
    pub path: String,
    /// What was said about it.
    pub options: HandlerOptions,
    /// Where it was written.
    pub origin: Origin,
}

/// Handler scripts by the handler's name, which httpd writes in small letters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HandlerScripts(pub BTreeMap<String, HandlerScript>);

impl Written for HandlerScripts {
    type Value = Self;
    const SYNTAX: &'static str = "handler-name file [option=value …]";
    const GOOD: &'static str = "report-script /srv/report.py process-group=site";
    const BAD: Option<&'static str> = Some("report-script /srv/report.py callable-object=main");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Self, ArgumentError> {
        let mut words = Words::new(arguments);
        let name = path(&mut words, Self::SYNTAX, 0)?.to_ascii_lowercase();
        let path = path(&mut words, Self::SYNTAX, 1)?;
        let mut options = HandlerOptions::default();
        options.take_all(&mut words, reading)?;
        if crate::resolve::HANDLERS.contains(&name.as_str()) {
            reading.doubt(format!("the handler '{name}' cannot be replaced"), "choose another handler name");
        }
        let script = HandlerScript { path, options, origin: reading.origin.clone() };
        Ok(Self(BTreeMap::from([(name, script)])))
    }
}

impl Kept for HandlerScripts {
    fn repeat(earlier: &Self, later: Self) -> Self {
        let mut all = earlier.0.clone();
        all.extend(later.0);
        Self(all)
    }

    fn inherit(outer: &Self, inner: &Self) -> Option<Self> {
        Some(Self::repeat(outer, inner.clone()))
    }

    fn render(&self) -> String {
        let one = |(name, script): (&String, &HandlerScript)| {
            format!("{} {}{}", quoted(name), quoted(&script.path), options::render(&script.options.written()))
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// A script that takes part in a request before its application: dispatch, access, authentication.
#[derive(Debug, Clone, PartialEq)]
pub struct HookScript {
    /// The script.
    pub path: String,
    /// Its interpreter.
    pub options: HookOptions,
}

impl Written for HookScript {
    type Value = Option<Self>;
    const SYNTAX: &'static str = "file [application-group=name]";
    const GOOD: &'static str = "/srv/hook.py application-group=hooks";
    const BAD: Option<&'static str> = Some("/srv/hook.py process-group=site");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Option<Self>, ArgumentError> {
        let mut words = Words::new(arguments);
        let path = path(&mut words, Self::SYNTAX, 0)?;
        let mut options = HookOptions::default();
        options.take_all(&mut words, reading)?;
        Ok(Some(Self { path, options }))
    }
}

impl Kept for Option<HookScript> {
    fn render(&self) -> String {
        let one = |script: &HookScript| quoted(&script.path) + &options::render(&script.options.written());
        self.as_ref().map_or_else(|| NOT_SET.to_owned(), one)
    }
}
