//! Accounts, read from /etc/passwd and /etc/group as files: the daemon loads no NSS.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use session0_model::logon::name::AccountName;
use session0_model::logon::wire::User;

use super::file::{self, Links, Unreadable};

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// All of the machine's accounts and groups.
#[derive(Debug, Default)]
pub struct Accounts {
    by_name: HashMap<String, Account>,
    groups: Vec<Group>,
    /// Uids of ours.
    built_in: Vec<u32>,
}

#[derive(Debug)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// The account of services that name none: uid 0 within the session's bounds (windows-semantics 3.7).
pub const LOCAL_SYSTEM: &str = "LocalSystem";
/// Larger files are not read: no machine's passwd is.
const FILE_MAX: u64 = 64 << 20;

impl Accounts {
    /// Reads the machine's and, where there is one, the published list of built-in ones. A file that is missing (a small container)
    /// has no accounts in it.
    pub fn load(published: Option<&Path>) -> Accounts {
        let mut accounts = Accounts::parse(&read(Path::new("/etc/passwd")), &read(Path::new("/etc/group")));
        let built_in = published.map(built_in).unwrap_or_default();
        for account in built_in.lines().filter_map(passwd_line) {
            accounts.built_in.push(account.uid);
            accounts.by_name.entry(account.name.clone()).or_insert(account);
        }
        accounts
    }

    /// From the two files' texts. Lines that are not as passwd(5) and group(5) say are skipped, as libc does.
    pub fn parse(passwd: &str, group: &str) -> Accounts {
        let mut accounts = Accounts::default();
        for account in passwd.lines().filter_map(passwd_line) {
            // The first line with a name wins, as in libc.
            accounts.by_name.entry(account.name.clone()).or_insert(account);
        }
        accounts.groups = group.lines().filter_map(group_line).collect();
        accounts
    }

    /// What a session with this user in it shows of accounts: the machine's, the built-in ones, and him, whose account may be in
    /// neither (a directory's).
    pub fn shown(published: &Path, user: &User) -> Shown {
        let mut passwd = ended(read(Path::new("/etc/passwd")));
        let mut group = ended(read(Path::new("/etc/group")));
        let machine = Accounts::parse(&passwd, &group);
        let built_in = built_in(published);
        let mut taken: HashSet<String> = machine.by_name.into_keys().collect();
        let gids: HashSet<u32> = machine.groups.iter().map(|group| group.gid).collect();
        let groups: HashSet<&str> = machine.groups.iter().map(|group| group.name.as_str()).collect();
        let own = format!("{0}:*:{1}:{2}::{3}:{4}", user.name, user.uid, user.gid, user.home, user.shell);
        for line in built_in.lines().chain([own.as_str()]) {
            let Some(account) = passwd_line(line).filter(|account| !taken.contains(&account.name)) else {
                continue;
            };
            passwd.push_str(line);
            passwd.push('\n');
            if !gids.contains(&account.gid) && !groups.contains(account.name.as_str()) {
                group.push_str(&format!("{}:x:{}:\n", account.name, account.gid));
            }
            taken.insert(account.name);
        }
        Shown { passwd, group }
    }

    /// An account by name; `LocalSystem` (in any case) is uid 0.
    pub fn find(&self, name: &str) -> Option<Account> {
        if !name.eq_ignore_ascii_case(LOCAL_SYSTEM) {
            return self.by_name.get(name).cloned();
        }
        let root = self.by_name.values().find(|account| account.uid == 0);
        let or = |text: Option<&String>, default: &str| match text {
            Some(text) if !text.is_empty() => text.clone(),
            _ => default.to_owned(),
        };
        Some(Account {
            name: root.map_or_else(|| "root".to_owned(), |account| account.name.clone()),
            uid: 0,
            gid: 0,
            home: or(root.map(|account| &account.home), "/root"),
            shell: or(root.map(|account| &account.shell), "/bin/sh"),
        })
    }

    /// The name of each uid: the first by name where there are several.
    pub fn names(&self) -> HashMap<u32, String> {
        let mut names: HashMap<u32, String> = HashMap::with_capacity(self.by_name.len());
        for account in self.by_name.values() {
            let name = names.entry(account.uid).or_insert_with(|| account.name.clone());
            if account.name < *name {
                name.clone_from(&account.name);
            }
        }
        names
    }

    /// A group's gid by name.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    /// The supplementary groups of an account. Group 0 is never one: its members see all of `/proc` and more.
    pub fn supplementary(&self, account: &Account) -> Vec<u32> {
        let mut gids: Vec<u32> = self
            .groups
            .iter()
            .filter(|group| group.gid != 0 && group.gid != account.gid)
            .filter(|group| group.members.contains(&account.name))
            .map(|group| group.gid)
            .collect();
        gids.sort_unstable();
        gids.dedup();
        gids
    }

    /// Any account of the machine's with a uid in this range.
    pub fn with_uid_in(&self, range: std::ops::RangeInclusive<u32>) -> Option<&Account> {
        let foreign =
            |account: &&Account| range.contains(&account.uid) && !self.built_in.contains(&account.uid);
        self.by_name.values().filter(foreign).min_by_key(|account| account.uid)
    }

    /// Uids of people: the ordinary range of login.defs.
    pub fn people(&self) -> Vec<u32> {
        let mut uids: Vec<u32> = self
            .by_name
            .values()
            .map(|account| account.uid)
            .filter(|uid| (1000..60_000).contains(uid))
            .collect();
        uids.sort_unstable();
        uids.dedup();
        uids
    }
}

/// The uid of a built-in account, by the published list.
pub fn built_in_uid(published: &Path, name: &AccountName) -> Option<u32> {
    let built_in = built_in(published);
    let account = built_in.lines().filter_map(passwd_line).find(|account| account.name == name.as_str())?;
    Some(account.uid)
}

/// The texts of a session's `/etc/passwd` and `/etc/group`.
pub struct Shown {
    /// passwd(5).
    pub passwd: String,
    /// group(5).
    pub group: String,
}

/// A text whose last line is whole.
fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn read(path: &Path) -> String {
    text(path, file::read(path, FILE_MAX, Links::Follow))
}

/// The published list. There is none before the first account was added.
fn built_in(published: &Path) -> String {
    match file::read_trusted(published, FILE_MAX) {
        Err(Unreadable::System(error)) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        list => text(published, list),
    }
}

fn text(path: &Path, read: Result<String, Unreadable>) -> String {
    read.unwrap_or_else(|refusal| {
        crate::message::warn("cannot read accounts", &[("file", &path.display()), ("reason", &refusal)]);
        String::new()
    })
}

fn passwd_line(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    if name.is_empty() || name.starts_with(['+', '-', '#']) {
        return None;
    }
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn group_line(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields[..] else { return None };
    if name.is_empty() || name.starts_with(['+', '-', '#']) {
        return None;
    }
    let members =
        members.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(Group { name: name.to_owned(), gid: gid.parse().ok()?, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n# comment\nredis:x:101:105::/var/lib/redis:/usr/sbin/nologin\n\
        broken:x:no:1::/:/bin/sh\nredis:x:999:999::/:/bin/sh\nanna:x:1000:1000:A:/home/anna:/bin/bash\n";
    const GROUP: &str = "root:x:0:redis\nredis:x:105:\nssl:x:110:redis,anna\ntty:x:5:anna, redis\n";

    #[test]
    fn accounts_and_groups() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        let redis = accounts.find("redis").unwrap();
        assert_eq!((redis.uid, redis.gid), (101, 105));
        assert_eq!(accounts.supplementary(&redis), [5, 110], "never group 0");
        assert_eq!(accounts.find("broken"), None);
        assert_eq!(accounts.find("localsystem").map(|account| account.home), Some("/root".into()));
        assert_eq!(accounts.group("ssl"), Some(110));
        assert_eq!(accounts.people(), [1000]);
    }

    #[test]
    fn local_system_needs_no_passwd() {
        let system = Accounts::default().find("LocalSystem").unwrap();
        assert_eq!((system.uid, system.name.as_str(), system.shell.as_str()), (0, "root", "/bin/sh"));
    }
}
