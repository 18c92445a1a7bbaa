// SPDX-License-Identifier: Apache-2.0
//! Every row and rule of configuration §10.1, and what holds for random requests.

use super::*;
use crate::proxy::header::Category;

const PROXY: &str = "10.0.0.1";
const STRANGER: &str = "203.0.113.7";

/// A request's correction, with the lists of the configuration as words.
struct Case {
    headers: Vec<Header>,
    proxies: Option<Vec<Network>>,
    sent: Vec<(Header, Vec<u8>)>,
}

fn header(name: &str) -> Header {
    Header::named(name.as_bytes()).unwrap_or_else(|| panic!("no header {name}"))
}

/// Proxies in 10.0.0.0/8 and fd00::/8 may send `headers`.
fn trusting(headers: &str) -> Case {
    let proxies = ["10.0.0.0/8", "fd00::/8", "fe80::/10"].map(|text| Network::parse(text).expect(text));
    Case { proxies: Some(proxies.into()), ..trusting_everybody(headers) }
}

fn trusting_everybody(headers: &str) -> Case {
    Case { headers: headers.split_whitespace().map(header).collect(), proxies: None, sent: Vec::new() }
}

impl Case {
    fn sends(mut self, name: &str, value: &str) -> Self {
        self.sent.push((header(name), value.into()));
        self
    }

    fn correct(&self, peer: &str) -> Correction<'_> {
        let trust = Trust { headers: &self.headers, proxies: self.proxies.as_deref() };
        trust.correct(peer.as_bytes(), self.sent.iter().map(|(header, value)| (*header, value.as_slice())))
    }
}

/// The value that wins for `key`.
fn value<'c>(correction: &'c Correction<'_>, key: Key) -> Option<&'c str> {
    let last = correction.entries.iter().rev().find(|(entry, _)| *entry == key)?;
    Some(std::str::from_utf8(&last.1).expect("ASCII"))
}

fn withheld(correction: &Correction<'_>) -> Vec<&'static str> {
    Header::all().filter(|header| correction.withheld.has(*header)).map(Header::name).collect()
}

/// REMOTE_ADDR and the rewritten X-Forwarded-For.
fn chain(case: Case, sent: &str) -> (Option<String>, Option<String>) {
    let case = case.sends("x-forwarded-for", sent);
    let correction = case.correct(PROXY);
    let find = |key| value(&correction, key).map(str::to_owned);
    (find(Key::REMOTE_ADDR), find(Key::HTTP_X_FORWARDED_FOR))
}

#[test]
fn a_header_replaces_what_it_is_about() {
    let rows = [
        ("x-client-ip", vec![Key::REMOTE_ADDR]),
        ("x-real-ip", vec![Key::REMOTE_ADDR]),
        ("x-forwarded-host", vec![Key::HTTP_HOST]),
        ("x-host", vec![Key::HTTP_HOST]),
        ("x-forwarded-server", vec![Key::SERVER_NAME]),
        ("x-forwarded-port", vec![Key::SERVER_PORT]),
        ("x-script-name", vec![Key::SCRIPT_NAME, Key::MOD_WSGI_MOUNT_POINT]),
        ("x-forwarded-script-name", vec![Key::SCRIPT_NAME, Key::MOD_WSGI_MOUNT_POINT]),
    ];
    for (name, keys) in rows {
        let case = trusting(name).sends(name, "as sent, verbatim");
        let correction = case.correct(PROXY);
        let entries: Vec<_> = keys.into_iter().map(|key| (key, Cow::Borrowed(&b"as sent, verbatim"[..]))).collect();
        assert_eq!(correction.entries, entries, "{name}");
        assert_eq!(correction.https, None, "{name}");
        assert!(!withheld(&correction).contains(&name), "{name}");
    }
}

#[test]
fn a_scheme_header_decides_with_the_words_it_knows() {
    let schemes = [("https", Some(true)), ("HTTPS", Some(true)), ("http", Some(false)), ("on", None), ("wss", None)];
    let switches = [
        ("On", Some(true)),
        ("TRUE", Some(true)),
        ("1", Some(true)),
        ("off", Some(false)),
        ("False", Some(false)),
        ("0", Some(false)),
        ("https", None),
        ("", None),
        ("on, on", None),
    ];
    let named = |names: [&'static str; 3], words: &[(&'static str, Option<bool>)]| -> Vec<_> {
        names.into_iter().flat_map(|name| words.iter().map(move |(word, https)| (name, *word, *https))).collect()
    };
    let mut rows = named(["x-forwarded-proto", "x-forwarded-scheme", "x-scheme"], &schemes);
    rows.extend(named(["x-forwarded-https", "x-forwarded-ssl", "x-https"], &switches));
    for (name, word, https) in rows {
        let case = trusting(name).sends(name, word);
        let correction = case.correct(PROXY);
        assert_eq!(correction.https, https, "{name}: {word}");
        assert_eq!(correction.entries, [], "{name}");
    }
}

#[test]
fn of_those_that_say_the_same_the_last_one_declared_wins_and_the_others_vanish() {
    let case = || trusting("X-Forwarded-For X-Real-IP X-Forwarded-Proto").sends("x-client-ip", "9.9.9.9");
    let both = case().sends("x-real-ip", "1.1.1.1").sends("x-forwarded-for", "2.2.2.2");
    let correction = both.correct(PROXY);
    assert_eq!(value(&correction, Key::REMOTE_ADDR), Some("1.1.1.1"));
    assert_eq!(value(&correction, Key::HTTP_X_FORWARDED_FOR), None, "it is not rewritten but gone");
    assert_eq!(withheld(&correction)[..2], ["x-forwarded-for", "x-client-ip"]);
    let one = case().sends("x-forwarded-for", "2.2.2.2");
    let correction = one.correct(PROXY);
    assert_eq!(value(&correction, Key::REMOTE_ADDR), Some("2.2.2.2"));
    assert_eq!(withheld(&correction)[..2], ["x-client-ip", "x-real-ip"]);
    assert!(!withheld(&correction).contains(&"x-host"), "nothing was declared about hosts");
    assert_eq!(withheld(&correction).len(), 2 + 6, "no scheme was sent, so none may be seen");
}

#[test]
fn a_later_header_that_says_nothing_leaves_what_an_earlier_one_said() {
    let case = trusting("X-Scheme X-HTTPS X-Real-IP X-Forwarded-For").sends("x-scheme", "https").sends("x-https", "?");
    let case = case.sends("x-real-ip", "1.1.1.1").sends("x-forwarded-for", " , ");
    let correction = case.correct(PROXY);
    assert_eq!(correction.https, Some(true));
    assert_eq!(value(&correction, Key::REMOTE_ADDR), Some("1.1.1.1"));
    assert!(!withheld(&correction).contains(&"x-https"));
}

#[test]
fn headers_of_a_stranger_change_nothing_and_vanish() {
    let case = trusting("X-Forwarded-For X-Forwarded-Host").sends("x-forwarded-for", "1.1.1.1").sends("x-host", "evil");
    for peer in [STRANGER, "", "unknown", "10.0.0.1.", "localhost", "11.0.0.1", "::1", "::ffff:11.0.0.1", "[10.0.0.1]"]
    {
        let correction = case.correct(peer);
        assert_eq!((correction.entries.len(), correction.https), (0, None), "{peer}");
        assert_eq!(
            withheld(&correction),
            ["x-forwarded-for", "x-client-ip", "x-real-ip", "x-forwarded-host", "x-host"]
        );
    }
}

#[test]
fn a_peer_is_known_by_its_address_however_that_is_written() {
    let case = trusting("X-Real-IP").sends("x-real-ip", "1.1.1.1");
    for peer in [PROXY, "::ffff:10.0.0.1", "::FFFF:a00:1", "fd00::7", "FD00:0::7", "fe80::1%eth0"] {
        assert_eq!(value(&case.correct(peer), Key::REMOTE_ADDR), Some("1.1.1.1"), "{peer}");
    }
}

#[test]
fn without_a_list_everybody_is_believed_and_with_an_empty_one_nobody() {
    let case = trusting_everybody("X-Real-IP").sends("x-real-ip", "1.1.1.1");
    assert_eq!(value(&case.correct(STRANGER), Key::REMOTE_ADDR), Some("1.1.1.1"));
    let nobody = Case { proxies: Some(Vec::new()), ..case };
    assert_eq!(value(&nobody.correct(STRANGER), Key::REMOTE_ADDR), None);
}

#[test]
fn without_a_list_the_first_item_is_the_client_and_the_header_stays() {
    let first = |sent: &str| chain(trusting_everybody("X-Forwarded-For"), sent);
    let is = |address: &str| (Some(address.to_owned()), None);
    assert_eq!(first("1.1.1.1, 2.2.2.2,10.0.0.1"), is("1.1.1.1"));
    assert_eq!(first(" ,, 1.1.1.1"), is("1.1.1.1"));
    assert_eq!(first("unknown, 2.2.2.2"), is("unknown"));
    assert_eq!(first("1.1.1.1:4711"), is("1.1.1.1"));
    assert_eq!(first("[2001:db8::1]:4711, 2.2.2.2"), is("2001:db8::1"));
    assert_eq!(first(", "), (None, None));
    assert_eq!(first(""), (None, None));
}

#[test]
fn with_a_list_the_client_is_whom_the_farthest_trailing_proxy_names() {
    let rows = [
        // One proxy, several, none; a spoofed beginning is cut off.
        ("1.1.1.1", "1.1.1.1", "1.1.1.1"),
        ("6.6.6.6, 1.1.1.1", "1.1.1.1", "1.1.1.1"),
        ("6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1", "1.1.1.1, 10.0.0.2"),
        ("6.6.6.6,10.9.9.9 , 1.1.1.1 ,10.0.0.2,  fd00::2 ", "1.1.1.1", "1.1.1.1, 10.0.0.2, fd00::2"),
        // Proxies all the way: the first of them is the client.
        ("10.0.0.2", "10.0.0.2", "10.0.0.2"),
        (" , 10.0.0.3, 10.0.0.2", "10.0.0.3", "10.0.0.3, 10.0.0.2"),
        // Empty items are none.
        ("1.1.1.1,,10.0.0.2,", "1.1.1.1", "1.1.1.1, 10.0.0.2"),
        // What is no address is no proxy.
        ("1.1.1.1, unknown", "unknown", "unknown"),
        ("1.1.1.1, proxy.test, 10.0.0.2", "proxy.test", "proxy.test, 10.0.0.2"),
        ("1.1.1.1, 010.0.0.2", "010.0.0.2", "010.0.0.2"),
        ("1.1.1.1, 10.2", "10.2", "10.2"),
        // IPv4 as IPv6, brackets, ports.
        ("1.1.1.1, ::ffff:10.0.0.2", "1.1.1.1", "1.1.1.1, ::ffff:10.0.0.2"),
        ("1.1.1.1:99, 10.0.0.2:4711", "1.1.1.1", "1.1.1.1:99, 10.0.0.2:4711"),
        ("[2001:db8::1]:99, [fd00::2], [fd00::3]:80", "2001:db8::1", "[2001:db8::1]:99, [fd00::2], [fd00::3]:80"),
        ("1.1.1.1, 10.0.0.2:port", "10.0.0.2:port", "10.0.0.2:port"),
        ("1.1.1.1, [10.0.0.2]", "[10.0.0.2]", "[10.0.0.2]"),
        ("1.1.1.1, [fd00::2", "[fd00::2", "[fd00::2"),
        ("1.1.1.1, [fd00::2]80", "[fd00::2]80", "[fd00::2]80"),
        // An interface is part of local addresses only.
        ("1.1.1.1, fe80::2%eth0", "1.1.1.1", "1.1.1.1, fe80::2%eth0"),
        ("1.1.1.1, fe80::2%", "fe80::2%", "fe80::2%"),
        ("1.1.1.1, fd00::2%eth0", "fd00::2%eth0", "fd00::2%eth0"),
    ];
    for (sent, client, rest) in rows {
        let expected = (Some(client.to_owned()), Some(rest.to_owned()));
        assert_eq!(chain(trusting("X-Forwarded-For"), sent), expected, "{sent}");
    }
    assert_eq!(chain(trusting("X-Forwarded-For"), " ,"), (None, None));
}

#[test]
fn of_several_values_of_one_header_the_last_counts() {
    let case = trusting("X-Host").sends("x-host", "one").sends("x-host", "two");
    assert_eq!(value(&case.correct(PROXY), Key::HTTP_HOST), Some("two"));
}

#[test]
fn what_is_withheld_is_known_by_header_and_by_key() {
    let case = trusting("X-Real-IP");
    let correction = case.correct(STRANGER);
    assert!(correction.withheld.has_name(b"X-REAL-ip") && correction.withheld.has_key(b"HTTP_X_CLIENT_IP"));
    assert!(!correction.withheld.has_name(b"X-Host") && !correction.withheld.has_key(b"REMOTE_ADDR"));
}

#[test]
fn settings_without_known_headers_are_nothing_to_do() {
    let set = |row: &str, arguments: &str, settings: &mut DirectorySettings| {
        let row = DirectorySettings::ROWS.iter().find(|one| one.name == row).expect(row);
        (row.set)(settings, arguments, &mut crate::directive::Reading::default()).expect(arguments);
    };
    let mut settings = DirectorySettings::default();
    set("WSGITrustedProxies", "10.0.0.0/8", &mut settings);
    assert_eq!(Trust::of(&settings), None);
    set("WSGITrustedProxyHeaders", "X-Other", &mut settings);
    assert_eq!(Trust::of(&settings), None);
    set("WSGITrustedProxyHeaders", "X-Forwarded-For", &mut settings);
    set("WSGITrustedProxyHeaders", "X-Forwarded-Proto", &mut settings);
    let trust = Trust::of(&settings).expect("headers");
    assert_eq!(trust.headers, [header("x-forwarded-for"), header("x-forwarded-proto")]);
    assert_eq!(trust.proxies.map(<[_]>::len), Some(1));
}

/// Numbers that are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn case(&mut self) -> Case {
        const ITEMS: [&str; 12] = [
            "1.1.1.1",
            "2.2.2.2:80",
            "10.0.0.2",
            "10.0.0.3:9",
            "[fd00::1]",
            "::ffff:10.1.1.1",
            "fd00::2%lo",
            "unknown",
            "",
            " ",
            "https",
            "[::1",
        ];
        let all: Vec<Header> = Header::all().collect();
        let mut case = if self.below(4) == 0 { trusting_everybody("") } else { trusting("") };
        case.headers = (0..self.below(6)).map(|_| self.one(&all)).collect();
        for header in &all {
            if self.below(2) == 0 {
                let items: Vec<_> = (0..=self.below(5)).map(|_| self.one(&ITEMS)).collect();
                case.sent.push((*header, items.join(self.one(&[",", ", ", " , "])).into_bytes()));
            }
        }
        case
    }
}

#[test]
fn no_header_of_a_declared_category_survives_that_a_stranger_sent() {
    let mut seeded = Seeded(0x0123_4567_89ab_cdef);
    for round in 0..20_000 {
        let mut case = seeded.case();
        case.proxies.get_or_insert_default();
        let correction = case.correct(seeded.one(&[STRANGER, "::ffff:203.0.113.7", "unknown", ""]));
        assert_eq!((correction.entries.len(), correction.https), (0, None), "round {round}");
        let declared: Vec<Category> = case.headers.iter().map(|header| header.category()).collect();
        for header in Header::all() {
            assert_eq!(correction.withheld.has(header), declared.contains(&header.category()), "round {round}");
        }
    }
}

#[test]
fn at_most_one_header_of_a_declared_category_survives_and_others_are_left_alone() {
    let mut seeded = Seeded(0xfeed_0123_4567_89ab);
    for round in 0..20_000 {
        let case = seeded.case();
        let correction = case.correct(PROXY);
        for header in Header::all() {
            let same: Vec<_> = Header::all().filter(|one| one.category() == header.category()).collect();
            let left = same.iter().filter(|one| !correction.withheld.has(**one)).count();
            let sent = |one: &Header| case.sent.iter().any(|(name, _)| name == one);
            let declared = same.iter().any(|one| case.headers.contains(one));
            let wins = case.headers.iter().any(|one| same.contains(one) && sent(one));
            assert_eq!(left, if declared { usize::from(wins) } else { same.len() }, "round {round}");
        }
        assert!(
            correction.entries.iter().all(|(key, _)| !correction.withheld.has_key(key.text().as_bytes())),
            "round {round}"
        );
    }
}

#[test]
fn what_strangers_wrote_never_gets_past_the_trailing_proxies() {
    let mut seeded = Seeded(0x5eed_5eed_5eed_5eed);
    let mut case = trusting("X-Forwarded-For");
    for round in 0..20_000 {
        let list = |seeded: &mut Seeded, of: &[&str]| -> Vec<String> {
            (0..seeded.below(4)).map(|_| seeded.one(of).to_owned()).collect()
        };
        let spoofed = list(&mut seeded, &["6.6.6.6", "10.0.0.9", "fd00::9", "evil", "", "::ffff:10.0.0.8"]);
        let proxies = list(&mut seeded, &["10.0.0.2", "fd00::2", "[fd00::3]:80", "::ffff:10.1.1.1", "10.0.0.4:80"]);
        let whole = [spoofed, vec!["1.2.3.4".to_owned()], proxies.clone()].concat().join(", ");
        case.sent = vec![(header("x-forwarded-for"), whole.clone().into_bytes())];
        let correction = case.correct(PROXY);
        assert_eq!(value(&correction, Key::REMOTE_ADDR), Some("1.2.3.4"), "round {round}: {whole}");
        let rest = [vec!["1.2.3.4".to_owned()], proxies].concat().join(", ");
        assert_eq!(value(&correction, Key::HTTP_X_FORWARDED_FOR), Some(rest.as_str()), "round {round}");
    }
}
