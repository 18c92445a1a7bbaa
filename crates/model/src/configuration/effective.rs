// SPDX-License-Identifier: Apache-2.0
//! Which settings hold for the requests of an alias, as far as that can be told without a request.

use super::{Mention, View};
use crate::alias::{Alias, Location, match_literal};
use crate::settings::DirectorySettings;

/// What holds for an alias.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective<'a> {
    /// The settings of the servers, and of the sections that contain all requests of the alias.
    pub settings: DirectorySettings,
    /// What sections say that contain some of its requests, or of which that cannot be told.
    pub sometimes: Vec<&'a Mention>,
}

/// Whether requests run in embedded mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// None of them.
    Never,
    /// Some may, or that cannot be told without a request.
    Perhaps,
    /// All of them.
    Always,
}

/// Whether requests of `alias`, of the server `own`, run in embedded mode.
#[must_use]
pub fn runs_embedded(main: &View<'_>, own: &View<'_>, alias: &Alias) -> Runs {
    let certainly = |name: Option<&str>| name.map(|name| if name.is_empty() { Runs::Always } else { Runs::Never });
    if let Some(group) = &alias.options.process_group {
        return certainly(group.fixed()).unwrap_or(Runs::Perhaps);
    }
    let Effective { settings, sometimes } = effective(main, own, alias);
    let usual = settings.process_group().fixed();
    let others = sometimes.iter().filter_map(|mention| mention.settings.process_group.as_ref());
    let differ = others.map(|set| set.value.fixed()).any(|other| other != usual);
    certainly(usual).filter(|_| !differ).unwrap_or(Runs::Perhaps)
}

/// Whether a section contains the requests of an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Never,
    Sometimes,
    Always,
}

/// The settings for `alias` of the server `own`; `main` is the main server.
#[must_use]
pub fn effective<'a>(main: &View<'a>, own: &View<'a>, alias: &Alias) -> Effective<'a> {
    let servers = if own.host.is_some() { vec![main, own] } else { vec![own] };
    let mentions = || servers.iter().flat_map(|view| &view.written.mentions);
    let mut layers: Vec<(Layer, &Mention)> = Vec::new();
    let mut sometimes = Vec::new();
    for mention in mentions() {
        match mention.sections.iter().map(|section| holds(section, alias)).min().unwrap_or(Holds::Always) {
            Holds::Always => layers.push((layer(&mention.sections), mention)),
            Holds::Sometimes => sometimes.push(mention),
            Holds::Never => {}
        }
    }
    layers.sort_by_key(|(layer, _)| *layer);
    let settings = layers
        .iter()
        .fold(DirectorySettings::default(), |outer, (_, mention)| DirectorySettings::merge(&outer, &mention.settings));
    Effective { settings, sometimes }
}

/// The order in which httpd merges: servers, directories from short to long, files, locations.
type Layer = (u8, usize);

fn layer(sections: &[String]) -> Layer {
    let Some((name, argument)) = sections.last().map(|section| split(section)) else { return (0, 0) };
    match name {
        "<directory" => (1, argument.matches('/').count()),
        "<files" => (2, 0),
        _ => (3, 0),
    }
}

/// A section's name in small letters and its argument without quotes.
fn split(section: &str) -> (&'static str, &str) {
    let (name, argument) = section.split_once(' ').unwrap_or((section, ""));
    let known = ["<directory", "<location", "<files"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
    let argument = argument.trim().trim_end_matches('>').trim();
    (known.unwrap_or("<other"), argument.trim_matches(['"', '\'']))
}

fn holds(section: &str, alias: &Alias) -> Holds {
    let (name, argument) = split(section);
    let pattern = argument.starts_with('~') || argument.contains(['*', '?', '[']);
    match (name, &alias.location) {
        _ if pattern => Holds::Sometimes,
        ("<directory", _) => within(argument, &alias.target),
        ("<location", Location::Literal(place)) => within(argument, place),
        ("<location", Location::Pattern(_)) if argument == "/" => Holds::Always,
        ("<files", _) => match alias.fixed_target().and_then(|path| path.rsplit('/').next()) {
            Some(file) if file == argument => Holds::Always,
            Some(file) if !file.is_empty() && file.contains('.') => Holds::Never,
            _ => Holds::Sometimes,
        },
        _ => Holds::Sometimes,
    }
}

/// Whether all, some or none of what is below `path` is below `place`.
fn within(place: &str, path: &str) -> Holds {
    let below = |place: &str, path: &str| {
        let place = if place == "/" { place } else { place.trim_end_matches('/') };
        match_literal(place, path.as_bytes()).is_some()
    };
    if below(place, path) {
        Holds::Always
    } else if below(path, place) {
        Holds::Sometimes
    } else {
        Holds::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Server;
    use crate::directive::value::Written;
    use crate::directive::{Origin, Reading};

    fn alias(text: &str) -> Alias {
        crate::alias::LiteralAlias::parse(text, &mut Reading::default()).expect(text).0.remove(0)
    }

    fn server(lines: &[(&str, &str)]) -> Server {
        let mut server = Server::default();
        for (line, (section, group)) in (1..).zip(lines) {
            let mut settings = DirectorySettings::default();
            let row = DirectorySettings::ROWS.iter().find(|row| row.name == "WSGIProcessGroup").expect("row");
            let origin = Origin { file: "httpd.conf".into(), line };
            (row.set)(&mut settings, group, &mut Reading::at(origin)).expect(group);
            let sections = section.split(';').filter(|section| !section.is_empty()).map(str::to_owned).collect();
            server.mentions.push(Mention { sections, settings });
        }
        server
    }

    fn group(main: &Server, own: &Server, text: &str) -> (String, usize) {
        let host = Origin::default();
        let main = View { name: b"localhost", port: 0, host: None, written: main };
        let own = View { name: b"site", port: 0, host: Some(&host), written: own };
        let found = effective(&main, &own, &alias(text));
        (found.settings.process_group().0.clone(), found.sometimes.len())
    }

    #[test]
    fn sections_hold_for_the_aliases_inside_them() {
        let main = server(&[("", "main"), ("<Directory /srv>", "directory"), ("<Directory \"/srv/a/\">", "deeper")]);
        let silent = Server::default();
        assert_eq!(group(&main, &silent, "/x /opt/x.wsgi"), ("main".into(), 0));
        assert_eq!(group(&main, &silent, "/x /srv/x.wsgi"), ("directory".into(), 0));
        assert_eq!(group(&main, &silent, "/x /srv/a/x.wsgi"), ("deeper".into(), 0));
        let own = server(&[("", "own"), ("<Location /x>", "location"), ("<Location /y/z>", "part")]);
        assert_eq!(group(&main, &own, "/q /opt/x.wsgi"), ("own".into(), 0));
        assert_eq!(group(&main, &own, "/x/y /srv/a/x.wsgi"), ("location".into(), 0));
        assert_eq!(group(&main, &own, "/y /opt/x.wsgi"), ("own".into(), 1));
        assert_eq!(group(&main, &own, "/ /opt/x.wsgi"), ("own".into(), 2));
    }

    #[test]
    fn what_runs_in_embedded_mode_is_told_if_it_can_be() {
        let runs = |own: &Server, text: &str| {
            let (host, main) = (Origin::default(), Server::default());
            let main = View { name: b"localhost", port: 0, host: None, written: &main };
            let own = View { name: b"site", port: 0, host: Some(&host), written: own };
            runs_embedded(&main, &own, &alias(text))
        };
        let silent = Server::default();
        assert_eq!(runs(&silent, "/x /srv/x.wsgi"), Runs::Always);
        assert_eq!(runs(&silent, "/x /srv/x.wsgi process-group=one"), Runs::Never);
        assert_eq!(runs(&silent, "/x /srv/x.wsgi process-group=%{ENV:X}"), Runs::Perhaps);
        let group = server(&[("", "one"), ("<Location /y>", "%{GLOBAL}"), ("<Location /z/w>", "%{GLOBAL}")]);
        assert_eq!(runs(&group, "/x /srv/x.wsgi"), Runs::Never);
        assert_eq!(runs(&group, "/x /srv/x.wsgi process-group=%{GLOBAL}"), Runs::Always);
        assert_eq!((runs(&group, "/y /srv/x.wsgi"), runs(&group, "/z /srv/x.wsgi")), (Runs::Always, Runs::Perhaps));
        let same = server(&[("", "one"), ("<If true>", "one"), ("<LocationMatch x>", "one")]);
        assert_eq!(runs(&same, "/x /srv/x.wsgi"), Runs::Never);
        assert_eq!(runs(&server(&[("", "%{ENV:GROUP}")]), "/x /srv/x.wsgi"), Runs::Perhaps);
    }

    #[test]
    fn what_cannot_be_told_is_said_to_hold_sometimes() {
        let own = server(&[
            ("<LocationMatch ^/x>", "a"),
            ("<Directory ~ ^/srv>", "b"),
            ("<Directory /home/*/www>", "c"),
            ("<If true>", "d"),
            ("<Files other.wsgi>", "e"),
            ("<Files x.wsgi>;<Directory /elsewhere>", "f"),
        ]);
        assert_eq!(group(&Server::default(), &own, "/x /srv/x.wsgi"), ("%{GLOBAL}".into(), 4));
        let own = server(&[("<Files x.wsgi>;<Directory /srv>", "inner")]);
        assert_eq!(group(&Server::default(), &own, "/x /srv/x.wsgi"), ("inner".into(), 0));
    }
}
