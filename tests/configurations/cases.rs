// SPDX-License-Identifier: Apache-2.0
//! A configuration that is accepted or refused, and the places where its lines may stand.

/// One configuration.
pub struct Case {
    /// The name used in the table of deviations: `<place>: <line>`, or a sentence.
    pub name: String,
    /// Its line, if it is one.
    pub line: String,
    /// Where that stands.
    pub place: Place,
    /// What is added to the site.
    pub config: String,
    /// The directive that a refusal must name.
    pub directive: &'static str,
    /// Whether release 4.9.4 knows all that is used.
    pub age: Age,
}

/// Which releases know something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// All of them.
    Old,
    /// Those from 6.0.0 on.
    Since6,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Outside everything.
    Server,
    /// `<VirtualHost>`.
    Host,
    /// `<Directory>`.
    Directory,
    /// `<Directory>` in `<VirtualHost>`.
    HostDirectory,
    /// `<DirectoryMatch>`.
    DirectoryMatch,
    /// `<Location>`.
    Location,
    /// `<LocationMatch>`.
    LocationMatch,
    /// `<Files>`.
    Files,
    /// `<Files>` in `<Directory>`.
    DirectoryFiles,
    /// `<If>`.
    If,
    /// `<Limit>` in `<Location>`.
    Limit,
    /// `<IfModule>`.
    IfModule,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Server,
        Self::Host,
        Self::Directory,
        Self::HostDirectory,
        Self::DirectoryMatch,
        Self::Location,
        Self::LocationMatch,
        Self::Files,
        Self::DirectoryFiles,
        Self::If,
        Self::Limit,
        Self::IfModule,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Host => "host",
            Self::Directory => "directory",
            Self::HostDirectory => "directory in host",
            Self::DirectoryMatch => "directory match",
            Self::Location => "location",
            Self::LocationMatch => "location match",
            Self::Files => "files",
            Self::DirectoryFiles => "files in directory",
            Self::If => "if",
            Self::Limit => "limit",
            Self::IfModule => "if module",
        }
    }

    /// The other place, unless lines of this one belong to sections only.
    pub fn unless_section(self, other: Self) -> Self {
        if self == Self::Server { other } else { self }
    }

    /// Lines of this place.
    pub fn wrap(self, lines: &str) -> String {
        let around = |open: &str, close: &str| format!("{open}\n{lines}\n{close}");
        let host = "<VirtualHost *:@PORT@>\nServerName one.test";
        match self {
            Self::Server => lines.to_owned(),
            Self::Host => around(host, "</VirtualHost>"),
            Self::Directory => around("<Directory \"@APPS@\">", "</Directory>"),
            Self::HostDirectory => around(&format!("{host}\n<Directory \"@APPS@\">"), "</Directory>\n</VirtualHost>"),
            Self::DirectoryMatch => around("<DirectoryMatch apps>", "</DirectoryMatch>"),
            Self::Location => around("<Location /x>", "</Location>"),
            Self::LocationMatch => around("<LocationMatch ^/x>", "</LocationMatch>"),
            Self::Files => around("<Files x.py>", "</Files>"),
            Self::DirectoryFiles => around("<Directory \"@APPS@\">\n<Files x.py>", "</Files>\n</Directory>"),
            Self::If => around("<If \"true\">", "</If>"),
            Self::Limit => around("<Location /x>\n<Limit GET>", "</Limit>\n</Location>"),
            Self::IfModule => around("<IfModule wsgi_module>", "</IfModule>"),
        }
    }
}

impl Case {
    /// No line at all.
    pub fn nothing() -> Self {
        Self::text("nothing".into(), "", "WSGI", Age::Old)
    }

    /// Lines outside everything.
    pub fn text(name: String, lines: &str, directive: &'static str, age: Age) -> Self {
        Self { name, line: lines.to_owned(), place: Place::Server, config: lines.to_owned(), directive, age }
    }

    /// One line in one place.
    pub fn line(place: Place, directive: &'static str, line: &str, age: Age) -> Self {
        let name = format!("{}: {line}", place.name());
        Self { place, config: place.wrap(line), ..Self::text(name, line, directive, age) }
    }
}
