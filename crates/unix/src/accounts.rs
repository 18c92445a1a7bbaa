// SPDX-License-Identifier: Apache-2.0
//! Users and groups of this machine.

use model::configuration::User;
use nix::unistd::{Gid, Group, Uid, User as Account};
use std::ffi::CString;

/// The user that a name, or `#` and a number, stands for. A number without an account is none.
#[must_use]
pub fn user(name: &str) -> Option<User> {
    let account = match name.strip_prefix('#') {
        Some(number) => Account::from_uid(Uid::from_raw(number.parse().ok()?)),
        None => Account::from_name(name),
    };
    account.ok().flatten().map(described)
}

/// The user with this number; one without an account has only a number.
#[must_use]
pub fn user_with_id(uid: u32) -> User {
    let account = Account::from_uid(Uid::from_raw(uid)).ok().flatten();
    account.map_or_else(|| User { name: format!("#{uid}"), uid, groups: Vec::new() }, described)
}

fn described(account: Account) -> User {
    let name = CString::new(account.name.as_bytes()).unwrap_or_default();
    let groups = nix::unistd::getgrouplist(&name, account.gid).unwrap_or_default();
    User { name: account.name, uid: account.uid.as_raw(), groups: groups.into_iter().map(Gid::as_raw).collect() }
}

/// The group that a name, or `#` and a number, stands for.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    match name.strip_prefix('#') {
        Some(number) => number.parse().ok(),
        None => Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()),
    }
}

/// The user and group that this process acts as.
#[must_use]
pub fn own() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

/// Whether this process may act as another user.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_go_by_name_and_number() {
        let root = user("root").expect("every machine has it");
        assert_eq!((root.uid, user("#0").map(|user| user.name)), (0, Some("root".to_owned())));
        assert!(root.groups.contains(&0));
        assert_eq!((group("root"), group("#77")), (Some(0), Some(77)));
        assert_eq!(
            (user("no-such-user"), user("#4294967290"), user("#x"), group("no-such-group")),
            (None, None, None, None)
        );
        assert_eq!(user_with_id(4_294_967_290).name, "#4294967290");
    }
}
