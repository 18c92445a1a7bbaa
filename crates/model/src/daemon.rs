// SPDX-License-Identifier: Apache-2.0
//! Process groups as they are declared: `WSGIDaemonProcess` and its options (configuration §5).

use crate::directive::account::{UserGroupName, UserGroupNames, UserName};
use crate::directive::number::{
    Count, HeaderBuffer, Interval, Limit, Milliseconds, Priority, Processes, ResponseBuffer, Seconds, SocketBuffer,
    StackSize, Threads, Umask,
};
use crate::directive::options::{self, Options, options};
use crate::directive::retired::RetiredName;
use crate::directive::value::{AbsolutePath, Directory, Kept, Name, OnOff, PythonHome, SearchPath, Written, quoted};
use crate::directive::words::Words;
use crate::directive::{ArgumentError, Origin, Reading};
use std::collections::HashMap;
use std::time::Duration;

options! {
    /// The options of `WSGIDaemonProcess`.
    pub struct GroupOptions;

    /// How many processes the group has.
    ///
    /// Written at all, even as 1, it makes `wsgi.multiprocess` true.
    "processes" => processes: Processes = Processes(1), since "2.0";
    /// How many threads of each process serve requests.
    ///
    /// 0 makes the group run the scripts that `WSGIImportScript` loads into it, and serve no requests.
    "threads" => threads: Threads = Threads(15), since "2.0";
    /// The user that the processes run as; httpd's `User` when not given.
    "user" => user: UserName = UserName::default(), since "2.0";
    /// The group of users that the processes run as; httpd's `Group` when not given, not that of `user`.
    "group" => group: UserGroupName = UserGroupName::default(), since "2.0";
    /// The supplementary groups, instead of those that the user belongs to.
    "supplementary-groups" => supplementary_groups: UserGroupNames = UserGroupNames::default(), since "3.4";
    /// Permission bits that new files do not get.
    "umask" => umask: Umask = None, since "2.0";
    /// The directory that becomes the root of the file system for the processes.
    "chroot" => chroot: AbsolutePath = AbsolutePath::default(), since "3.4";
    /// The working directory, which also becomes the first entry of `sys.path`.
    "home" => home: AbsolutePath = AbsolutePath::default(), since "2.0";
    /// The variable `LANG` of the processes.
    "lang" => lang: Name = Name::default(), since "4.0";
    /// The locale of the processes: the variable `LC_ALL`.
    "locale" => locale: Name = Name::default(), since "4.0";
    /// The Python installation or virtual environment of the group; `WSGIPythonHome` when not given.
    "python-home" => python_home: PythonHome = PythonHome::default(), since "3.4";
    /// Directories to search for Python modules.
    "python-path" => python_path: SearchPath = SearchPath::default(), since "2.0";
    /// Where Python eggs are unpacked.
    "python-eggs" => python_eggs: Directory = Directory::default(), since "2.0";
    /// How long a Python thread runs before another gets its turn.
    "switch-interval" => switch_interval: Interval = None, since "6.0.0";
    /// The stack of each thread, in bytes.
    "stack-size" => stack_size: StackSize = StackSize(8 << 20), since "2.0";
    /// After how many requests a process is replaced; 0 is never.
    "maximum-requests" => maximum_requests: Count = Count(0), since "2.0";
    /// Up to how many requests fewer than `maximum-requests` a process serves before it is replaced.
    ///
    /// Each process chooses for itself, so that the processes of a group are not replaced one right after the other.
    "maximum-requests-jitter" => maximum_requests_jitter: Count = Count(0), since "";
    /// Whether a replacement of the only process of a group is started before that one ends.
    ///
    /// Without it a group of one process never has two at the same time. Groups of several processes always overlap.
    "overlap" => overlap: OnOff = OnOff::Off, since "";
    /// How long the application may take to load before its process is replaced; 0 is for ever.
    "startup-timeout" => startup_timeout: Seconds = Seconds(Duration::ZERO), since "4.5.6";
    /// How long a process may take to end before it is killed; 0 is for ever.
    "shutdown-timeout" => shutdown_timeout: Seconds = Seconds(Duration::from_secs(5)), since "2.0";
    /// After how long a process whose interpreter is stuck is replaced; 0 is never.
    "deadlock-timeout" => deadlock_timeout: Seconds = Seconds(Duration::from_secs(300)), since "2.0";
    /// After how long without requests a process is replaced; 0 is never.
    "inactivity-timeout" => inactivity_timeout: Seconds = Seconds(Duration::ZERO), since "2.0";
    /// How long a request may take; 0 is for ever.
    "request-timeout" => request_timeout: Seconds = Seconds(Duration::ZERO), since "4.0";
    /// How long a request that took too long may take to notice it is interrupted; 0 replaces the process at once.
    "interrupt-timeout" => interrupt_timeout: Seconds = Seconds(Duration::ZERO), since "6.0.0";
    /// How long a process that is to be replaced waits for its requests.
    "graceful-timeout" => graceful_timeout: Seconds = Seconds(Duration::from_secs(15)), since "4.0";
    /// The same after SIGUSR1; 0 is `graceful-timeout`.
    "eviction-timeout" => eviction_timeout: Seconds = Seconds(Duration::ZERO), since "4.4.7";
    /// After how long a process is replaced in any case; 0 is never.
    "restart-interval" => restart_interval: Seconds = Seconds(Duration::ZERO), since "4.5.12";
    /// How long a request waits for a connection to the group.
    "connect-timeout" => connect_timeout: Seconds = Seconds(Duration::from_secs(15)), since "4.0";
    /// How long a request waits for the next bytes from the group; 0 is httpd's `Timeout`.
    "socket-timeout" => socket_timeout: Seconds = Seconds(Duration::ZERO), since "4.0";
    /// How long a request may wait for a free thread of the group; 0 is for ever.
    "queue-timeout" => queue_timeout: Seconds = Seconds(Duration::ZERO), since "4.0";
    /// How many requests may wait for the group to take them.
    "listen-backlog" => listen_backlog: Count = Count(100), since "4.0";
    /// The owner of the group's socket; httpd's `User` when not given.
    "socket-user" => socket_user: UserName = UserName::default(), since "4.4.1";
    /// The title of the processes; `%{GROUP}` stands for `(wsgi:name)`.
    "display-name" => display_name: Name = Name::default(), since "2.0";
    /// The kernel's buffer for what is sent to the group; 0 is its own choice.
    "send-buffer-size" => send_buffer_size: SocketBuffer = SocketBuffer(0), since "4.0";
    /// The kernel's buffer for what is received from the group; 0 is its own choice.
    "receive-buffer-size" => receive_buffer_size: SocketBuffer = SocketBuffer(0), since "4.0";
    /// The longest header line of an answer; 0 is 32768.
    "header-buffer-size" => header_buffer_size: HeaderBuffer = HeaderBuffer(0), since "4.0";
    /// How much of an answer may wait in memory for its client; 0 is 8 MiB.
    "response-buffer-size" => response_buffer_size: ResponseBuffer = ResponseBuffer(0), since "4.4.7";
    /// How long a client may take nothing of an answer before its connection is closed; 0 is `socket-timeout`, and where that is
    /// 0, too, httpd's `Timeout`. Streams of HTTP/2 have httpd's.
    "response-socket-timeout" => response_socket_timeout: Seconds = Seconds(Duration::ZERO), since "4.5.13";
    /// How long a part of an answer may wait for the next one before it is sent, in milliseconds.
    "response-flush-delay" => response_flush_delay: Milliseconds = Milliseconds(Duration::from_millis(5)), since "6.0.2";
    /// The user that must own the script.
    "script-user" => script_user: UserName = UserName::default(), since "4.0";
    /// The group of users that must own the script.
    "script-group" => script_group: UserGroupName = UserGroupName::default(), since "4.0";
    /// How many seconds of processor time a process may use; 0 is no limit.
    "cpu-time-limit" => cpu_time_limit: Seconds = Seconds(Duration::ZERO), since "3.4";
    /// The nice value of the processes.
    "cpu-priority" => cpu_priority: Priority = Priority(0), since "3.4";
    /// How much memory a process may allocate; 0 is no limit.
    "memory-limit" => memory_limit: Limit = Limit(0), since "3.4";
    /// How much address space a process may use; 0 is no limit.
    "virtual-memory-limit" => virtual_memory_limit: Limit = Limit(0), since "3.4";
    /// Whether the processes, and programs that they run, are kept from gaining privileges.
    ///
    /// With it, programs that change their user, such as `sudo` and some versions of `sendmail`, do not work.
    "no-new-privs" => no_new_privs: OnOff = OnOff::Off, since "";
    /// Whether the processes leave core dumps, and other processes of the same user may debug them.
    ///
    /// They also do where httpd has a `CoreDumpDirectory` and this option is not written. With it, processes of the same user
    /// are not separated from these.
    "dumpable" => dumpable: OnOff = OnOff::Off, since "";
    /// Whether `mod_wsgi.server_metrics()` tells about the server.
    "server-metrics" => server_metrics: OnOff = OnOff::Off, since "4.2.0";
    /// Once the configuration file of a monitoring agent.
    ///
    /// Retired: accepted with a warning, without effect.
    "newrelic-config-file" => newrelic_config_file: RetiredName = RetiredName::default(), since "4.0";
    /// Once the environment of a monitoring agent.
    ///
    /// Retired: accepted with a warning, without effect.
    "newrelic-environment" => newrelic_environment: RetiredName = RetiredName::default(), since "4.0";
}

/// A declared process group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name, unique in the whole configuration.
    pub name: String,
    /// What was said about it.
    pub options: GroupOptions,
    /// Where it was declared.
    pub origin: Origin,
}

/// The groups declared for one server, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Groups(pub Vec<Group>);

impl Written for Groups {
    type Value = Self;
    const SYNTAX: &'static str = "name [option=value …]";
    const GOOD: &'static str = "site user=www-data processes=2 threads=15 display-name=%{GROUP}";
    const BAD: Option<&'static str> = Some("site threads = 5");

    fn parse(arguments: &str, reading: &mut Reading) -> Result<Self, ArgumentError> {
        let mut words = Words::new(arguments);
        let missing = ArgumentError::Missing { syntax: Self::SYNTAX, found: 0 };
        let name = words.next().filter(|name| !name.is_empty()).ok_or(missing)?;
        let mut options = GroupOptions::default();
        options.take_all(&mut words, reading)?;
        if options.script_user.is_some() && options.script_group.is_some() {
            return Err(ArgumentError::Combination("takes only one of script-user and script-group"));
        }
        Ok(Self(vec![Group { name, options, origin: reading.origin.clone() }]))
    }
}

impl Kept for Groups {
    const INHERITED: bool = false;

    fn repeat(earlier: &Self, later: Self) -> Self {
        Self([earlier.0.as_slice(), &later.0].concat())
    }

    fn render(&self) -> String {
        self.0.iter().map(Group::render).collect::<Vec<_>>().join("; ")
    }
}

impl Group {
    fn render(&self) -> String {
        quoted(&self.name) + &options::render(&self.options.written())
    }
}

impl GroupOptions {
    /// Whether there must never be two processes in one place, not even of two generations of the configuration.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.threads().0 == 0 || (self.processes().0 == 1 && !self.overlap().is_on())
    }
}

/// A group and the server that declared it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// The group.
    pub group: Group,
    /// `ServerName` of the virtual host that declared it; `None` for the main server.
    pub server: Option<Vec<u8>>,
}

/// Why a process group cannot be selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unselectable {
    /// No group has the name.
    Unknown,
    /// A virtual host with another name declared it.
    Hidden,
}

/// All groups of a configuration by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registry(HashMap<String, Declared>);

impl Registry {
    /// Adds a group; gives back the earlier one of the same name, which stays.
    pub fn declare(&mut self, group: &Group, server: Option<&[u8]>) -> Result<(), &Declared> {
        let declared = Declared { group: group.clone(), server: server.map(<[u8]>::to_vec) };
        match self.0.entry(group.name.clone()) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(declared);
                Ok(())
            }
            std::collections::hash_map::Entry::Occupied(place) => Err(place.into_mut()),
        }
    }

    /// The group `name` for requests of the server `from`: declared by the main server, or by a virtual host with
    /// exactly the same `ServerName`.
    pub fn select(&self, name: &[u8], from: &[u8]) -> Result<&Group, Unselectable> {
        let name = std::str::from_utf8(name).map_err(|_| Unselectable::Unknown)?;
        let declared = self.0.get(name).ok_or(Unselectable::Unknown)?;
        let visible = declared.server.as_ref().is_none_or(|server| server == from);
        visible.then_some(&declared.group).ok_or(Unselectable::Hidden)
    }

    /// All groups, by where they were declared.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Declared> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by(|one, other| (&one.group.origin, &one.group.name).cmp(&(&other.group.origin, &other.group.name)));
        all
    }

    /// All groups, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Declared> {
        self.0.values()
    }
}

/// Who must own a script and its directory: `script-user` or `script-group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This user; nobody else may write.
    User(u32),
    /// This group of users; the world may not write.
    Group(u32),
}

/// Owner and permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permission bits.
    pub mode: u32,
}

impl Owner {
    /// What is wrong with the owner or the permissions of `name`; missing information is wrong, too.
    #[must_use]
    pub fn objection(self, name: &str, found: Option<Ownership>) -> Option<String> {
        let Some(Ownership { uid, gid, mode }) = found else { return Some(format!("'{name}' cannot be examined")) };
        let (owned, others) = match self {
            Self::User(wanted) => (uid == wanted, 0o022),
            Self::Group(wanted) => (gid == wanted, 0o002),
        };
        if !owned {
            return Some(format!("'{name}' belongs to user {uid} and group {gid}"));
        }
        (mode & others != 0).then(|| format!("others may write to '{name}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(arguments: &str) -> Group {
        Groups::parse(arguments, &mut Reading::default()).expect(arguments).0.remove(0)
    }

    #[test]
    fn a_group_is_seen_from_its_server_name_and_from_everywhere_if_global() {
        let mut registry = Registry::default();
        registry.declare(&group("global"), None).expect("new");
        registry.declare(&group("site"), Some(b"www.example.com")).expect("new");
        assert!(registry.declare(&group("site"), None).is_err());
        let select =
            |name: &str, from: &str| registry.select(name.as_bytes(), from.as_bytes()).map(|group| &*group.name);
        assert_eq!(select("global", "other.example.com"), Ok("global"));
        assert_eq!(select("site", "www.example.com"), Ok("site"));
        assert_eq!(select("site", "WWW.example.com"), Err(Unselectable::Hidden));
        assert_eq!(select("Site", "www.example.com"), Err(Unselectable::Unknown));
        assert_eq!(select("", "www.example.com"), Err(Unselectable::Unknown));
    }

    #[test]
    fn scripts_belong_to_their_owner_and_only_it_may_write() {
        let file = |uid, gid, mode| Some(Ownership { uid, gid, mode });
        let objects = |owner: Owner, found| owner.objection("/s", found).is_some();
        assert!(!objects(Owner::User(5), file(5, 9, 0o755)) && !objects(Owner::Group(9), file(5, 9, 0o775)));
        assert!(objects(Owner::User(5), file(6, 9, 0o755)) && objects(Owner::Group(9), file(5, 8, 0o755)));
        assert!(objects(Owner::User(5), file(5, 9, 0o775)) && objects(Owner::Group(9), file(5, 9, 0o777)));
        assert!(objects(Owner::User(5), None));
    }

    #[test]
    fn a_group_needs_a_name_and_well_formed_options() {
        assert_eq!(group("\"my group\" threads= 5").name, "my group");
        for bad in
            ["", "site threads", "site threads=", "site user=", "site home=rel", "site script-user=a script-group=b"]
        {
            assert!(Groups::parse(bad, &mut Reading::default()).is_err(), "{bad}");
        }
    }
}
