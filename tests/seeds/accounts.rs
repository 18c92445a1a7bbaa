// SPDX-License-Identifier: Apache-2.0
//! The users of the page's example, bob and joe: they exist while a test runs.

use crate::account;
use harness::site::is_root;
use harness::skip;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bob and joe. The accounts go with the last one who holds them, after the servers whose processes they own.
pub struct Accounts {
    bob: String,
    joe: String,
}

/// Those of this test process.
static PRESENT: Mutex<Weak<Accounts>> = Mutex::new(Weak::new());

impl Accounts {
    /// Makes them. Where that is impossible it says so, and there are none.
    pub fn make() -> Option<Arc<Self>> {
        if !is_root() {
            skip::skipped("only root can make users and start processes as them");
            return None;
        }
        let mut present = PRESENT.lock().unwrap_or_else(PoisonError::into_inner);
        let found = present.upgrade().unwrap_or_else(|| {
            // Made one by one, so that the first goes again when the second cannot be made.
            let mut both = Self { bob: String::new(), joe: String::new() };
            both.bob = add("bob");
            both.joe = add("joe");
            Arc::new(both)
        });
        *present = Arc::downgrade(&found);
        Some(found)
    }

    /// What the account is called here, whose name in the example is `user`.
    pub fn name(&self, user: &str) -> &str {
        match user {
            "bob" => &self.bob,
            "joe" => &self.joe,
            _ => panic!("{user} is not in the example"),
        }
    }

    /// Its user and its group.
    pub fn numbers(&self, user: &str) -> (u32, u32) {
        account(self.name(user)).expect("an account that was made")
    }

    /// `user=` and `group=` of a process group.
    pub fn options(&self, user: &str) -> String {
        let name = self.name(user);
        format!("user={name} group={name} ")
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        for name in [&self.bob, &self.joe].into_iter().filter(|name| !name.is_empty()) {
            let said = Command::new("userdel").arg(name).output().expect("userdel runs");
            let gone = said.status.success() && account(name).is_none();
            assert!(gone || std::thread::panicking(), "{name} stays: {}", String::from_utf8_lossy(&said.stderr));
        }
    }
}

/// Makes a user of that name with a group of its own; of a similar name where the machine has such a user already.
fn add(user: &str) -> String {
    let others = (0..9).map(|number| format!("{user}-{}-{number}", std::process::id()));
    let mut said = String::new();
    for name in std::iter::once(user.to_owned()).chain(others).filter(|name| account(name).is_none()) {
        let output = Command::new("useradd")
            .args(["--system", "--user-group", "--no-create-home", "--home-dir", "/"])
            .args(["--comment", "made by a test", &name])
            .output()
            .expect("useradd runs");
        if output.status.success() {
            return name;
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    panic!("there is no {user}: {said}");
}
