use std::os::unix::fs::PermissionsExt;

use session0_api::conversation::Said;
use session0_model::logon::wire::{FromLogon, HomeFate, OldPassword, Task};

use crate::rig::{Corner, add, logon, name, new_password, remove};

/// With the file as it is now: nobody logs on, the administrator is told why, and the file is left alone.
fn is_refused(corner: &Corner, reason: &str) {
    let before = std::fs::read(&corner.place.accounts).ok();
    let published = corner.published();
    // Also an account that is not in it: the machine's, which the file has nothing to do with.
    for task in [logon("alice"), logon("nobody"), new_password("alice", OldPassword::Asked)] {
        let talk = corner.start(task);
        let said = talk.said();
        let Said::Refused { code: 1359, message, hint: None } = said else { panic!("{reason}: {said:?}") };
        assert_eq!(message, "logons are not possible now; the administrator has been told why");
        let FromLogon::Broken { text } = talk.heard() else { panic!("{reason}") };
        assert!(text.starts_with(&corner.place.accounts) && text.contains(reason), "{reason}: {text}");
        talk.ended();
        assert!(talk.messages().contains(reason));
    }
    for task in [
        Task::List,
        add("bob"),
        new_password("alice", OldPassword::NotNeeded),
        Task::Disable { account: name("alice") },
        Task::Enable { account: name("alice") },
        remove("alice", HomeFate::Removed),
    ] {
        let talk = corner.start(task);
        let message = talk.refused(1359);
        assert!(message.contains(reason), "{reason}: {message}");
        assert!(matches!(talk.heard(), FromLogon::Broken { text } if text == message));
        talk.ended();
    }
    let talk = corner.start(Task::Publish);
    assert!(matches!(talk.heard(), FromLogon::Broken { .. }));
    talk.ended();
    assert_eq!(std::fs::read(&corner.place.accounts).ok(), before);
    assert_eq!(corner.published(), published);
    assert!(corner.home("alice").exists());
}

#[test]
fn a_mistake_in_the_file_stops_all_logons_and_is_named() {
    let corner = Corner::with("alice", "long enough");
    let good = corner.accounts();
    for (from, to, reason) in [
        ("[[account]]", "[[account", ".toml:"),
        ("enabled = true", "enabled = true\nadmin = true", "unknown key `admin`"),
        ("$argon2id$", "$1$", "only argon2id"),
        ("name = \"alice\"", "name = \"a\\u0000\"", "`name`"),
    ] {
        std::fs::write(&corner.place.accounts, good.replacen(from, to, 1)).unwrap();
        is_refused(&corner, reason);
    }
    std::fs::write(&corner.place.accounts, b"# \xff").unwrap();
    is_refused(&corner, "not UTF-8");
    std::fs::write(&corner.place.accounts, vec![b'\n'; (8 << 20) + 1]).unwrap();
    is_refused(&corner, "more than 8388608 bytes");
    std::fs::write(&corner.place.accounts, good).unwrap();
    assert!(corner.try_logon("alice", "long enough").is_some());
}

#[test]
fn a_file_that_others_can_get_at_stops_all_logons() {
    let corner = Corner::with("alice", "long enough");
    let accounts = &corner.place.accounts;
    for mode in [0o644, 0o660, 0o602, 0o4600] {
        std::fs::set_permissions(accounts, std::fs::Permissions::from_mode(mode)).unwrap();
        is_refused(&corner, &format!("chmod 600 {accounts}"));
    }
    std::fs::set_permissions(accounts, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(accounts, Some(1), None).unwrap();
    is_refused(&corner, &format!("chown root {accounts}"));
    std::os::unix::fs::chown(accounts, Some(0), None).unwrap();
    assert!(corner.try_logon("alice", "long enough").is_some());
    let away = corner.top.join("away.toml");
    std::fs::rename(accounts, &away).unwrap();
    std::os::unix::fs::symlink(&away, accounts).unwrap();
    is_refused(&corner, "symbolic link");
    std::fs::remove_file(accounts).unwrap();
    std::fs::create_dir(accounts).unwrap();
    is_refused(&corner, "not a regular file");
}

#[test]
fn without_a_file_there_are_no_accounts() {
    let corner = Corner::new();
    assert!(corner.names().is_empty());
    assert!(corner.try_logon("alice", "x").is_none());
    assert!(!std::path::Path::new(&corner.place.accounts).exists());
}
