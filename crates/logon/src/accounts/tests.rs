use super::*;
use crate::hash::tests::Random;
use session0_model::logon::wire::{AccountPlace, Sources};
use std::sync::atomic::{AtomicU32, Ordering};

pub const UIDS: (u32, u32) = (70_000, 70_009);

/// A directory of a test's own with accounts in it.
pub struct Corner {
    pub place: AccountPlace,
    top: std::path::PathBuf,
}

impl Corner {
    pub fn new(name: &str) -> Corner {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let top = std::env::temp_dir().join(format!("session0-logon-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&top).unwrap();
        let at = |name: &str| top.join(name).to_str().unwrap().to_owned();
        let place = AccountPlace {
            accounts: at("accounts.toml"),
            published: at("run/passwd"),
            homes: at("home"),
            homes_inside: "/home".into(),
            skeletons: vec![at("no"), at("skel")],
            uids: UIDS,
            sources: Sources { builtin: true, machine: false },
        };
        Corner { place, top }
    }

    pub fn write(&self, accounts: &[Account]) {
        let mut all = Accounts::none(UIDS);
        accounts.iter().for_each(|account| all.add(account.clone()).unwrap());
        store::replace(&self.place.accounts, all.text().as_bytes(), 0o600).unwrap();
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

/// An account with the password `s3cret`.
pub fn account(name: &str, uid: u32) -> Account {
    static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let hash = HASH.get_or_init(|| crate::hash::make(&"s3cret".into()).unwrap());
    Account {
        name: name.into(),
        uid,
        full_name: "Anna \"Ä\" \\ Example".into(),
        shell: "/bin/sh".into(),
        home: format!("/home/{name}"),
        enabled: true,
        password: hash.clone(),
    }
}

fn parse(text: &str) -> Result<Accounts, String> {
    Accounts::parse(text, UIDS).map_err(|problem| problem.to_string())
}

fn file() -> String {
    let mut accounts = Accounts::none(UIDS);
    accounts.add(account("alice", 70_001)).unwrap();
    accounts.add(account("bob", 70_002)).unwrap();
    accounts.text()
}

#[test]
fn what_is_written_is_read_again() {
    let text = file();
    assert!(text.starts_with("# Accounts of session0."), "{text}");
    assert_eq!(text.find("next_uid").map(|at| text.find("[[account]]").unwrap() > at), Some(true));
    let read = parse(&text).unwrap();
    assert_eq!(read.list(), [account("alice", 70_001), account("bob", 70_002)]);
    assert_eq!(read.text(), text);
    assert_eq!(parse("").unwrap().list(), []);
}

#[test]
fn an_administrators_comments_survive_a_change() {
    let hash = account("x", 1).password;
    let text = format!(
        "# top\n\n[[account]] # first\n# the boss\nname = 'alice' # her\nuid = 70_001\nshell = \"/bin/sh\"\nhome=\"/home/alice\"\n\
         password = \"{hash}\" # set in May\nenabled = true # for now\n\n# about bob\n[[account]]\nname = \"bob\"\nuid = 70003\n\
         shell = \"/bin/sh\"\nhome = \"/home/bob\"\npassword = \"{hash}\"\n# the end\n"
    );
    let mut accounts = parse(&text).unwrap();
    accounts.set_password("alice", "$new".into()).unwrap();
    accounts.set_enabled("alice", crate::change::Logons::Refused).unwrap();
    accounts.set_enabled("bob", crate::change::Logons::Refused).unwrap();
    let changed = accounts.text();
    for kept in [
        "# top",
        "# first",
        "# the boss",
        "name = 'alice' # her",
        "password = \"$new\" # set in May",
        "enabled = false # for now",
        "# about bob",
        "# the end",
        "uid = 70_001",
        "home=\"/home/alice\"",
    ] {
        assert!(changed.contains(kept), "{kept} is not in {changed}");
    }
    accounts.add(account("carol", 70_004)).unwrap();
    let added = accounts.text();
    assert!(added.contains("# the end") && added.contains("next_uid = 70005"), "{added}");
    accounts.remove("bob").unwrap();
    let removed = accounts.text();
    assert!(removed.contains("# the boss") && !removed.contains("bob"), "{removed}");
    let hash = account("x", 1).password;
    let read = parse(&removed.replace("$new", &hash)).unwrap();
    assert_eq!(read.list().iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["alice", "carol"]);
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let good = file();
    assert!(parse(&good).is_ok());
    for (from, to, place, reason) in [
        ("next_uid = 70003", "next_uid = 70000", "5:12", "`next_uid` must be from 70001 to 70010"),
        ("next_uid = 70003", "next_uid = 70011", "5:12", "`next_uid` must be"),
        ("next_uid = 70003", "next_uid = \"x\"", "5:12", "`next_uid` must be"),
        ("next_uid", "nextuid", "5:1", "unknown key `nextuid`; allowed: next_uid, account"),
        ("name = \"alice\"", "nam = \"alice\"", "8:1", "unknown key `nam`; allowed: name"),
        ("name = \"alice\"", "name = \"bob\"", "17:8", "two accounts named `bob`"),
        ("name = \"alice\"", "name = \"Alice\"", "8:8", "`name`: a name has at most"),
        ("name = \"alice\"", "name = \"../alice\"", "8:8", "`name`"),
        ("name = \"alice\"", "name = \"a\\u001b\"", "8:8", "`name`"),
        ("name = \"alice\"", "name = 7", "8:8", "`name` must be a string"),
        ("name = \"alice\"\n", "", "7:1", "`name` is missing"),
        ("uid = 70001", "uid = 70002", "18:7", "two accounts with uid 70002"),
        ("uid = 70001", "uid = 70000", "9:7", "`uid` must be from 70001 to 70009"),
        ("uid = 70001", "uid = 0", "9:7", "`uid` must be"),
        ("uid = 70001", "uid = 4294967297", "9:7", "`uid` must be"),
        ("uid = 70001\n", "", "7:1", "`uid` is missing"),
        ("home = \"/home/alice\"", "home = \"home\"", "12:8", "`home`: an absolute path"),
        ("home = \"/home/alice\"", "home = \"/a:b\"", "12:8", "`home`"),
        ("home = \"/home/alice\"", "home = \"/home/../etc\"", "12:8", "`home`"),
        ("shell = \"/bin/sh\"", "shell = \"sh\"", "11:9", "`shell`"),
        ("full_name = ", "full_name = \"a\\nb\" #", "10:13", "`full_name`"),
        ("enabled = true", "enabled = 1", "13:11", "`enabled` must be true or false"),
        ("$argon2id$", "$argon2i$", "14:12", "`password`: only argon2id"),
        ("$argon2id$", "", "14:12", "`password`: this is not a password hash"),
        ("[[account]]", "[account]", "16:3", "duplicate key"),
        ("[[account]]", "[[account", "7:", ""),
    ] {
        assert!(good.contains(from), "{from}");
        let problem = parse(&good.replacen(from, to, 1)).expect_err(to);
        assert!(problem.starts_with(place) && problem.contains(reason), "{from} -> {to}: {problem}");
        assert!(!problem.contains(|c: char| c.is_control()), "{problem:?}");
    }
    assert!(parse("account = 7").unwrap_err().contains("[[account]]"));
}

#[test]
fn a_uid_is_never_given_twice() {
    let nobody = |_| Ok::<_, ()>(false);
    let mut accounts = Accounts::none(UIDS);
    assert_eq!(accounts.free_uid(UIDS, nobody), Ok(Some(70_001)), "the first is the logger's");
    accounts.add(account("alice", 70_001)).unwrap();
    accounts.remove("alice").unwrap();
    let mut accounts = parse(&accounts.text()).unwrap();
    assert_eq!(accounts.free_uid(UIDS, nobody), Ok(Some(70_002)));
    assert_eq!(accounts.free_uid(UIDS, |uid| Ok::<_, ()>(uid < 70_005)), Ok(Some(70_005)));
    assert_eq!(accounts.free_uid(UIDS, |_| Err("no")), Err("no"));
    accounts.add(account("bob", 70_009)).unwrap();
    accounts.remove("bob").unwrap();
    let accounts = parse(&accounts.text()).unwrap();
    assert_eq!(accounts.free_uid(UIDS, nobody), Ok(None), "none is left");
    let by_hand = parse(&file().replace("next_uid = 70003", "")).unwrap();
    assert_eq!(by_hand.free_uid(UIDS, nobody), Ok(Some(70_003)), "a file without the mark");
}

/// Files from a fixed seed: what is read is written and read again as the same, and nothing panics.
#[test]
fn random_files_are_read_whole_or_refused() {
    let mut random = Random(11);
    let good = file();
    let words = [
        "[[account]]",
        "name",
        "=",
        "\"",
        "\n",
        "uid",
        "70001",
        "{",
        "[",
        "'''",
        "\\u00",
        "#",
        "\u{0}",
        "ä",
        "true",
        ",",
    ];
    let mut read = 0;
    for _ in 0..3000 {
        let mut text = good.clone();
        for _ in 0..random.below(4) {
            let mut at = random.below(text.len().max(1) as u64) as usize;
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match random.below(3) {
                0 => text.insert_str(at, words[random.below(words.len() as u64) as usize]),
                1 if random.below(4) == 0 => text.truncate(at),
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        if let Ok(accounts) = parse(&text) {
            read += 1;
            let again = parse(&accounts.text()).unwrap();
            assert_eq!(again.list(), accounts.list());
            assert!(accounts.list().iter().all(|account| (70_001..=70_009).contains(&account.uid)));
        }
    }
    assert!(read > 100, "{read} of them were files");
}
