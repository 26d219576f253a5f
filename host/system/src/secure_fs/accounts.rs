//! Users and groups of this machine, read from `/etc/passwd` and `/etc/group`. Name
//! services are not queried: the caller must not wait for a network.

use std::path::Path;

use crate::input_file::{self, Kind};

/// Enough for a line for each of 100,000 accounts.
const ACCOUNTS: Kind = Kind::new("list of accounts", 16 << 20);

/// The accounts of this machine.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Name, user id and primary group.
    users: Vec<(String, u32, u32)>,
    /// Name, id and the names of members.
    groups: Vec<(String, u32, Vec<String>)>,
}

impl Accounts {
    /// Reads the system's files; an unreadable file counts as empty.
    pub(super) fn of_system() -> Self {
        let read = |path| input_file::read_text(Path::new(path), ACCOUNTS).unwrap_or_default();
        Self::parse(&read("/etc/passwd"), &read("/etc/group"))
    }

    pub(super) fn parse(passwd: &str, group: &str) -> Self {
        let user = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let &[name, _, id, group, ..] = fields.as_slice() else {
                return None;
            };
            Some((name.to_owned(), id.parse().ok()?, group.parse().ok()?))
        };
        let group_of = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let &[name, _, id, members, ..] = fields.as_slice() else {
                return None;
            };
            let members = members.split(',').filter(|member| !member.is_empty());
            let members = members.map(|member| member.trim().to_owned()).collect();
            Some((name.to_owned(), id.parse().ok()?, members))
        };
        Self {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(group_of).collect(),
        }
    }

    /// Whether a user is the only member of a group, as in the private group that
    /// most systems create for each user.
    pub(super) fn is_own_group(&self, group: u32, user: u32) -> bool {
        let is_primary = self
            .users
            .iter()
            .any(|&(_, id, primary)| id == user && primary == group);
        let others_primary = self
            .users
            .iter()
            .any(|&(_, id, primary)| id != user && primary == group);
        let names: Vec<&str> = self
            .users
            .iter()
            .filter(|(_, id, _)| *id == user)
            .map(|(name, ..)| name.as_str())
            .collect();
        let others_member = self
            .groups
            .iter()
            .filter(|(_, id, _)| *id == group)
            .flat_map(|(_, _, members)| members)
            .any(|member| !names.contains(&member.as_str()));
        is_primary && !others_primary && !others_member
    }

    /// The name of a user, or the number if it has none.
    pub(super) fn user(&self, user: u32) -> String {
        match self.users.iter().find(|(_, id, _)| *id == user) {
            Some((name, ..)) => name.clone(),
            None => user.to_string(),
        }
    }

    /// The name of a group, or the number if it has none.
    pub(super) fn group(&self, group: u32) -> String {
        match self.groups.iter().find(|(_, id, _)| *id == group) {
            Some((name, ..)) => name.clone(),
            None => group.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_users_own_when_nobody_else_is_in_it() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n\
             eve:x:1002:1001::/:/bin/sh\nbroken line\n",
            "root:x:0:\nann:x:1000:ann\nbob:x:1001:\nmail:x:8:ann,bob\n",
        );
        assert!(accounts.is_own_group(0, 0));
        assert!(accounts.is_own_group(1000, 1000));
        assert!(!accounts.is_own_group(1001, 1001), "also eve's primary one");
        assert!(!accounts.is_own_group(8, 1000), "it has members");
        assert!(!accounts.is_own_group(1000, 1001), "another's");
        assert!(!accounts.is_own_group(77, 77), "not known");
        let shared = Accounts::parse("ann:x:5:5::/:/bin/sh", "ann:x:5:bob");
        assert!(!shared.is_own_group(5, 5), "bob was added");
        assert_eq!(
            (accounts.user(1000), accounts.group(8), accounts.user(7)),
            ("ann".into(), "mail".into(), "7".into())
        );
    }
}
