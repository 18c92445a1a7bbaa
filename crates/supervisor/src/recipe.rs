// SPDX-License-Identifier: Apache-2.0
//! How a group's workers are started: what the plan says, and what this machine knows about the user.

use model::launch::{BOOTSTRAP, Group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use unix::spawn::{Account, Directory, Launch, account};

/// What recipes have in common.
#[derive(Debug, Clone, Copy)]
pub struct Kitchen {
    /// Whether workers become other users.
    pub privileged: bool,
    /// The user that httpd's children run as.
    pub httpd: u32,
    /// How many descriptors a worker may open.
    pub open_files: Option<u64>,
}

/// The recipe for workers of `group`. Asks the system about the account.
pub fn recipe(group: &Group, kitchen: Kitchen) -> Launch {
    let Kitchen { privileged, httpd, open_files } = kitchen;
    let uid = if privileged { group.identity.uid } else { unix::accounts::own().0 };
    let account = account(uid);
    let home = account.as_ref().map(|account| account.home.clone());
    let directory = match (&group.process.home, home) {
        (Some(home), _) => Directory::Wanted(home.into()),
        (None, Some(home)) if uid != httpd => Directory::Usual(home),
        (None, _) => Directory::Unchanged,
    };
    let inherited = std::env::vars_os().collect();
    let mut arguments = group.python_arguments.clone();
    arguments.extend(["-c".to_owned(), BOOTSTRAP.to_owned()]);
    Launch {
        identity: privileged.then(|| group.identity.clone()),
        process: group.process.clone(),
        cpu_grace: 1 + group.shutdown_timeout.div_ceil(1000),
        open_files,
        directory,
        environment: environment(inherited, account.as_ref(), &group.process.environment),
        python: group.python.clone(),
        arguments,
        hidden: privileged && group.identity.uid != 0 && !group.worker.dumpable,
    }
}

type Variables = BTreeMap<OsString, OsString>;

fn environment(mut all: Variables, account: Option<&Account>, set: &[(String, String)]) -> Vec<(OsString, OsString)> {
    if let Some(account) = account {
        all.insert("HOME".into(), account.home.clone().into());
        for name in ["USER", "USERNAME", "LOGNAME"] {
            all.entry(name.into()).and_modify(|value| *value = account.name.clone().into());
        }
    }
    all.extend(set.iter().map(|(name, value)| (name.into(), value.into())));
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_tells_of_the_user_and_keeps_the_rest() {
        let inherited = [("USER", "root"), ("HOME", "/root"), ("PATH", "/bin"), ("LANG", "C")];
        let inherited = inherited.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let account = Account { name: "bob".to_owned(), home: "/home/bob".into() };
        let set = [("LANG".to_owned(), "de_DE.UTF-8".to_owned()), ("PYTHONHASHSEED".to_owned(), "7".to_owned())];
        let found = environment(inherited, Some(&account), &set);
        let found: Vec<_> =
            found.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect();
        let wanted = [
            ("HOME", "/home/bob"),
            ("LANG", "de_DE.UTF-8"),
            ("PATH", "/bin"),
            ("PYTHONHASHSEED", "7"),
            ("USER", "bob"),
        ];
        assert_eq!(found, wanted, "LOGNAME was not there and is not added");
    }
}
