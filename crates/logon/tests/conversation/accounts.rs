use std::os::unix::fs::{MetadataExt, PermissionsExt};

use session0_api::conversation::Said;
use session0_model::limit::{ACCOUNTS_FILE_MAX, ACCOUNTS_MAX};
use session0_model::logon::wire::{AccountChange, FromLogon, HomeFate, LogonFailure, OldPassword, Task};

use crate::rig::{Corner, FIRST, Talk, UIDS, add, changed, logon, name, new_password, remove};

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_account_is_added_with_its_home_and_is_in_the_list() {
    let corner = Corner::new();
    std::fs::write(corner.top.join("skel/.profile"), "hello").unwrap();
    let task = Task::Add {
        account: name("alice"),
        full_name: "Alice Ä \"A\"".into(),
        shell: Some("/bin/sh".into()),
    };
    let talk = corner.start(task);
    talk.prompted("New password for alice: ");
    talk.answer("long enough");
    talk.prompted("Again: ");
    talk.answer("long enough");
    assert_eq!(talk.heard(), changed("alice", AccountChange::Added));
    talk.done();
    assert_eq!(talk.messages(), "");
    assert_eq!(mode(&corner.place.accounts), 0o600);
    assert_eq!(mode(&corner.place.published), 0o644);
    assert_eq!(corner.published(), format!("alice:*:{FIRST}:{FIRST}:Alice Ä \"A\":/home/alice:/bin/sh\n"));
    let home = corner.home("alice");
    let found = std::fs::metadata(&home).unwrap();
    assert_eq!((found.uid(), found.gid(), mode(&home)), (FIRST, FIRST, 0o700));
    assert_eq!(std::fs::read(home.join(".profile")).unwrap(), b"hello");
    assert_eq!(std::fs::metadata(home.join(".profile")).unwrap().uid(), FIRST);
    let text = corner.accounts();
    assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$") && !text.contains("long enough"), "{text}");

    corner.add("_bob-2", "s");
    let list = corner.list();
    let shown: Vec<_> = list.iter().map(|account| (account.name.as_str(), account.uid)).collect();
    assert_eq!(shown, [("_bob-2", FIRST + 1), ("alice", FIRST)], "sorted by name");
    assert_eq!(list[1].full_name, "Alice Ä \"A\"");
    let talk = corner.start(Task::List);
    let Said::Done { accounts: Some(_) } = talk.said() else { panic!("the list") };
    talk.ended();
}

#[test]
fn names_that_are_taken_or_could_harm_are_refused() {
    let corner = Corner::with("alice", "long enough");
    for (account, code) in [
        ("alice", 1316),
        ("root", 1316),
        ("nogroup", 1316),
        ("Alice", 1315),
        ("a.b", 1315),
        ("a@b", 1315),
        ("a\\b", 1315),
        ("abcdefghijklmnopqrstuvwxyz0123456", 1315),
    ] {
        let talk = corner.start(add(account));
        talk.refused(code);
        talk.ended();
    }
    for (full_name, shell) in [
        ("a:b", None),
        ("a\nroot:x:0:0::/:/bin/sh", None),
        ("\x1b[2J", None),
        ("", Some("sh")),
        ("", Some("/bin/../bin/sh")),
        ("", Some("/no/such/shell")),
        ("", Some("/etc/passwd")),
        ("", Some("/bin/sh\n")),
    ] {
        let shell = shell.map(str::to_owned);
        let talk = corner.start(Task::Add { account: name("bob"), full_name: full_name.into(), shell });
        let message = talk.refused(87);
        assert!(!message.contains(char::is_control), "{message:?}");
        talk.ended();
    }
    assert_eq!(corner.names(), ["alice"]);
    assert_eq!(corner.homes(), ["alice"]);
}

#[test]
fn a_new_password_is_typed_twice_and_is_one() {
    let corner = Corner::new();
    let talk = corner.start(add("alice"));
    talk.prompted("New password for alice: ");
    talk.answer("");
    talk.refused(1325);
    talk.ended();
    let talk = corner.start(add("alice"));
    talk.prompted("New password for alice: ");
    talk.answer(&"x".repeat(1025));
    talk.refused(1325);
    talk.ended();
    let talk = corner.start(add("alice"));
    talk.prompted("New password for alice: ");
    talk.answer("long enough");
    talk.prompted("Again: ");
    talk.answer("long enougH");
    talk.refused(1325);
    talk.ended();
    assert!(corner.names().is_empty() && corner.homes().is_empty());
    let talk = corner.start(add("alice"));
    talk.prompted("New password for alice: ");
    talk.answer("short");
    assert!(matches!(talk.said(), Said::Message { text } if text.contains("weak")));
    talk.prompted("Again: ");
    talk.answer("short");
    assert_eq!(talk.heard(), changed("alice", AccountChange::Added));
    talk.done();
    assert!(corner.try_logon("alice", "short").is_some());
}

#[test]
fn an_administrator_gives_a_password_and_a_user_needs_his_old_one() {
    let corner = Corner::with("alice", "first one");
    let talk = corner.start(new_password("alice", OldPassword::NotNeeded));
    talk.new_password("second one");
    assert_eq!(talk.heard(), changed("alice", AccountChange::Password));
    talk.done();
    assert!(corner.try_logon("alice", "first one").is_none());
    assert!(corner.try_logon("alice", "second one").is_some());

    let talk = corner.start(new_password("alice", OldPassword::Asked));
    for _ in 0..3 {
        talk.password("Old password: ", "first one");
        assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::WrongPassword });
        let _ = talk.said();
    }
    talk.ended();

    let talk = corner.start(new_password("alice", OldPassword::Asked));
    talk.password("Old password: ", "second one");
    talk.prompted("New password for alice: ");
    talk.answer("seven77");
    talk.refused(1325);
    talk.ended();

    let talk = corner.start(new_password("alice", OldPassword::Asked));
    talk.password("Old password: ", "second one");
    talk.new_password("third one");
    assert_eq!(talk.heard(), changed("alice", AccountChange::Password));
    talk.done();
    assert!(corner.try_logon("alice", "third one").is_some());

    let talk = corner.start(new_password("nobody", OldPassword::Asked));
    talk.refused(1317);
    talk.ended();
}

#[test]
fn an_administrators_password_is_not_overwritten_by_the_old_ones_owner() {
    let corner = Corner::with("alice", "first one");
    let talk = corner.start(new_password("alice", OldPassword::Asked));
    talk.password("Old password: ", "first one");
    talk.prompted("New password for alice: ");
    let admin = corner.start(new_password("alice", OldPassword::NotNeeded));
    admin.new_password("by the administrator");
    assert_eq!(admin.heard(), changed("alice", AccountChange::Password));
    admin.done();
    talk.answer("mine again");
    talk.prompted("Again: ");
    talk.answer("mine again");
    talk.refused(1326);
    talk.ended();
    assert!(corner.try_logon("alice", "by the administrator").is_some());
}

#[test]
fn a_disabled_account_cannot_log_on_until_it_is_enabled() {
    let corner = Corner::with("alice", "long enough");
    for (task, change, works) in [
        (Task::Disable { account: name("alice") }, AccountChange::Disabled, false),
        (Task::Enable { account: name("alice") }, AccountChange::Enabled, true),
    ] {
        let talk = corner.start(task.clone());
        assert_eq!(talk.heard(), changed("alice", change));
        talk.done();
        assert_eq!(corner.list()[0].enabled, works);
        assert_eq!(corner.try_logon("alice", "long enough").is_some(), works);
        let again = corner.start(task);
        again.done();
    }
    let talk = corner.start(Task::Disable { account: name("bob") });
    talk.refused(1317);
    talk.ended();
}

#[test]
fn a_removed_accounts_uid_is_not_given_to_the_next() {
    let corner = Corner::with("alice", "long enough");
    for fate in [HomeFate::Kept, HomeFate::Removed] {
        let before = corner.list()[0].uid;
        let talk = corner.start(remove("alice", fate));
        assert_eq!(talk.heard(), changed("alice", AccountChange::Removed));
        talk.done();
        assert_eq!(corner.home("alice").exists(), fate == HomeFate::Kept);
        assert_eq!(corner.published(), "");
        let _ = std::fs::remove_dir_all(corner.home("alice"));
        corner.add("alice", "long enough");
        assert_eq!(corner.list()[0].uid, before + 1);
    }
    let talk = corner.start(remove("bob", HomeFate::Removed));
    talk.refused(1317);
    talk.ended();
}

#[test]
fn when_no_uid_is_left_none_is_given() {
    let mut corner = Corner::new();
    corner.place.uids = (UIDS.0, UIDS.0 + 1);
    corner.add("alice", "long enough");
    let talk = corner.start(add("bob"));
    talk.new_password("long enough");
    talk.refused(1450);
    talk.ended();
    assert_eq!((corner.names(), corner.homes()), (vec!["alice".to_owned()], vec!["alice".to_owned()]));
}

#[test]
fn two_administrators_do_not_lose_each_others_changes() {
    let corner = Corner::new();
    let names: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
    // All of them have answered everything before any is let go on: the writing is at the same time.
    let talks: Vec<_> = names.iter().map(|name| corner.start(add(name))).collect();
    for (talk, name) in talks.iter().zip(&names) {
        talk.prompted(&format!("New password for {name}: "));
        talk.answer("long enough");
    }
    talks.iter().for_each(|talk| talk.prompted("Again: "));
    talks.iter().for_each(|talk| talk.answer("long enough"));
    for (talk, name) in talks.iter().zip(&names) {
        assert_eq!(talk.heard(), changed(name, AccountChange::Added));
        talk.done();
    }
    let list = corner.list();
    assert_eq!(corner.names(), names);
    let mut uids: Vec<u32> = list.iter().map(|account| account.uid).collect();
    uids.sort_unstable();
    assert_eq!(uids, (FIRST..FIRST + 8).collect::<Vec<_>>());
    assert_eq!(corner.published().lines().count(), 8);
}

#[test]
fn of_two_who_add_the_same_name_one_does() {
    let corner = Corner::new();
    let talks = [corner.start(add("alice")), corner.start(add("alice"))];
    for talk in &talks {
        talk.prompted("New password for alice: ");
        talk.answer("long enough");
    }
    talks.iter().for_each(|talk| talk.prompted("Again: "));
    talks.iter().for_each(|talk| talk.answer("long enough"));
    let said: Vec<Said> = talks.iter().map(|talk| talk.said()).collect();
    assert_eq!(said.iter().filter(|said| **said == Said::Done { accounts: None }).count(), 1, "{said:?}");
    assert!(said.iter().any(|said| matches!(said, Said::Refused { code: 1316, .. })), "{said:?}");
    assert_eq!(corner.names(), ["alice"]);
}

/// Writes this many accounts over the one that there is.
fn multiply(corner: &Corner, count: u32) {
    let one = corner.accounts();
    let (head, table) = one.split_at(one.find("[[account]]").unwrap());
    let mut text = head.replace(&format!("next_uid = {}", FIRST + 1), "");
    for number in 0..count {
        let table = table.replace("\"alice\"", &format!("\"user{number:03}\""));
        text += &table.replace(&format!("uid = {FIRST}"), &format!("uid = {}", FIRST + number));
    }
    std::fs::write(&corner.place.accounts, text).unwrap();
}

#[test]
fn one_account_more_than_can_be_read_is_not_added() {
    let mut corner = Corner::with("alice", "long enough");
    let count = u32::try_from(ACCOUNTS_MAX).unwrap();
    corner.place.uids.1 = FIRST + 2 * count;
    multiply(&corner, count);
    let before = corner.accounts();
    let talk = corner.start(add("bob"));
    let message = talk.refused(1450);
    assert!(message.contains(&ACCOUNTS_MAX.to_string()), "{message}");
    talk.ended();
    assert!(corner.accounts() == before && corner.homes() == ["alice"]);
    assert_eq!(corner.names().len(), ACCOUNTS_MAX);
}

#[test]
fn a_file_longer_than_can_be_read_is_not_written() {
    let corner = Corner::with("alice", "long enough");
    let text = corner.accounts();
    let room = usize::try_from(ACCOUNTS_FILE_MAX).unwrap() - text.len();
    let before = format!("#{}\n{text}", "x".repeat(room - 2));
    std::fs::write(&corner.place.accounts, &before).unwrap();
    let unchanged = |talk: Talk| {
        let message = talk.refused(1450);
        assert!(message.contains(&corner.place.accounts), "{message}");
        assert!(message.contains(&ACCOUNTS_FILE_MAX.to_string()), "{message}");
        talk.ended();
        assert!(corner.accounts() == before && corner.homes() == ["alice"]);
    };
    let talk = corner.start(add("bob"));
    talk.new_password("long enough");
    unchanged(talk);
    // `false` is a letter longer than `true`.
    unchanged(corner.start(Task::Disable { account: name("alice") }));
    let talk = corner.start(new_password("alice", OldPassword::NotNeeded));
    talk.new_password("second one");
    assert_eq!(talk.heard(), changed("alice", AccountChange::Password));
    talk.done();
    assert!(corner.try_logon("alice", "second one").is_some());
}

#[test]
fn a_list_of_many_accounts_comes_whole() {
    let corner = Corner::with("alice", "long enough");
    multiply(&corner, 900);
    let names = corner.names();
    assert_eq!((names.len(), names[899].as_str()), (900, "user899"));
}

#[test]
fn the_public_list_is_made_without_a_client() {
    let corner = Corner::with("alice", "long enough");
    std::fs::remove_file(&corner.place.published).unwrap();
    let mut talk = crate::rig::Talk::start();
    talk.client = None;
    talk.tell(&session0_model::logon::wire::ToLogon::Begin {
        task: Task::Publish,
        place: corner.place.clone(),
    });
    talk.ended();
    assert!(corner.published().starts_with("alice:*:"));
    assert!(matches!(corner.start(logon("alice")).said(), Said::Prompt { .. }));
}
