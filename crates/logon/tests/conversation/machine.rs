//! The machine's accounts, on a machine of the test's own: its passwd, group and shadow are bound over the real ones in a mount
//! namespace.

use session0_api::conversation::Said;
use session0_model::logon::wire::{FromLogon, LogonFailure, Source, Task, ToLogon, User};

use crate::rig::{Corner, Talk, add, logon, name, skip};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nanna:x:1500:1600:Anna:/srv/anna:/bin/sh\nbert:x:1501:1501::/home/bert:\n\
    clara:x:1502:1502::/home/clara:/bin/sh\ndora:x:1503:1503::/home/dora:/bin/sh\nemil:x:1504:0::/home/emil:/bin/sh\n\
    toor:x:0:1500::/root:/bin/sh\nfritz:x:1505:1505::/home/fritz:/bin/sh\ngerd:x:1506:1506::/home/gerd:/bin/sh\n";
const GROUP: &str = "root:x:0:anna\nanna:x:1600:\nlp:x:7:anna,bert\naudio:x:29:anna\nanna2:x:29:anna\nteam:x:5000:\nshadows:x:1507:\n";

/// All of `s3cret`, made by libcrypt: yescrypt, SHA-512, MD5.
const Y: &str = "$y$j9T$kqL1Qm3pWc0rT5eN7sU9x/$HmKS/rLrVpdOo85wiQ2GYIy5aB/79B97tKf.tumKbI.";
const SIX: &str =
    "$6$saltstring$xwVXmdoFwkuFfkvrCnFqepsb1G.0z7.VoLCq69.god.O.zXvYSQsLM/oDMuI05ufmibO/tzUYEh4IPt9kZAc0.";
const ONE: &str = "$1$saltstri$mscPgVa16yimWbscXEpTL1";

/// A corner whose machine has the accounts above; `None`, and said so, without the right to make one.
fn corner(test: &str) -> Option<Corner> {
    let right = std::process::Command::new("unshare").args(["--mount", "true"]).status();
    if !right.is_ok_and(|status| status.success()) {
        skip(test, "no right to a mount namespace");
        return None;
    }
    let corner = Corner::new();
    let shadow = format!(
        "root:{SIX}:20000:0:99999:7:::\nanna:{Y}:20000:0:99999:7:::\nbert:{SIX}:20000:::::1:\nclara:!{SIX}:20000::::::\n\
         dora:{ONE}:20000::::::\nemil:{SIX}:20000::::::\ntoor:{SIX}:20000::::::\nfritz::20000::::::\n"
    );
    for (file, text) in [("passwd", PASSWD), ("group", GROUP), ("shadow", &shadow)] {
        std::fs::write(corner.top.join(file), text).unwrap();
    }
    Some(corner)
}

/// A conversation on that machine.
fn start(corner: &Corner, task: Task) -> Talk {
    let talk = Talk::on_another_machine(&corner.top);
    talk.tell(&ToLogon::Begin { task, place: corner.place.clone() });
    talk
}

fn try_password(corner: &Corner, account: &str, password: &str) -> (FromLogon, Talk) {
    let talk = start(corner, logon(account));
    talk.password("Password: ", password);
    (talk.heard(), talk)
}

#[test]
fn an_account_of_the_machine_logs_on_with_its_groups() {
    let Some(corner) = corner("an_account_of_the_machine_logs_on_with_its_groups") else { return };
    let (heard, _) = try_password(&corner, "anna", "s3cret");
    let user = User {
        name: name("anna"),
        uid: 1500,
        gid: 1600,
        groups: vec![7, 29],
        home: "/srv/anna".into(),
        shell: "/bin/sh".into(),
        source: Source::Machine,
    };
    assert_eq!(heard, FromLogon::Authenticated(user));
}

#[test]
fn an_account_that_cannot_log_on_does_not() {
    let Some(corner) = corner("an_account_that_cannot_log_on_does_not") else { return };
    for (account, password, reason) in [
        ("anna", "wrong", LogonFailure::WrongPassword),
        ("bert", "wrong", LogonFailure::WrongPassword),
        ("clara", "s3cret", LogonFailure::Disabled),
        ("dora", "s3cret", LogonFailure::WrongPassword),
        ("emil", "s3cret", LogonFailure::Root),
        ("toor", "s3cret", LogonFailure::Root),
        ("root", "s3cret", LogonFailure::Root),
        ("fritz", "", LogonFailure::Disabled),
        ("gerd", "s3cret", LogonFailure::Disabled),
        ("hans", "s3cret", LogonFailure::UnknownAccount),
    ] {
        let (heard, talk) = try_password(&corner, account, password);
        assert_eq!(heard, FromLogon::Failed { reason }, "{account}");
        let text = "logon failed: unknown user or wrong password".to_owned();
        assert_eq!(talk.said(), Said::Message { text }, "{account}");
        assert_eq!(talk.messages().contains("not supported"), account == "dora", "{account}");
    }
}

#[test]
fn an_expired_account_is_told_so_if_it_is_the_right_one() {
    let Some(corner) = corner("an_expired_account_is_told_so_if_it_is_the_right_one") else { return };
    let (heard, talk) = try_password(&corner, "bert", "s3cret");
    assert_eq!(heard, FromLogon::Failed { reason: LogonFailure::Expired });
    talk.refused(1330);
    talk.ended();
}

#[test]
fn a_new_account_takes_nothing_from_the_machine() {
    let Some(mut corner) = corner("a_new_account_takes_nothing_from_the_machine") else { return };
    corner.place.uids = (1502, 1600);
    for account in ["anna", "team"] {
        let talk = start(&corner, add(account));
        talk.refused(1316);
        talk.ended();
    }
    let talk = start(&corner, add("ida"));
    talk.new_password("long enough");
    let _ = talk.heard();
    talk.done();
    let account = &corner.list()[0];
    assert_eq!(account.uid, 1508, "1503 to 1506 are the machine's, 1507 is a group of its");
}

#[test]
fn a_built_in_account_comes_before_the_machines_of_that_name() {
    let Some(corner) = corner("a_built_in_account_comes_before_the_machines_of_that_name") else { return };
    corner.add("anna", "long enough");
    let (heard, _) = try_password(&corner, "anna", "s3cret");
    assert_eq!(heard, FromLogon::Failed { reason: LogonFailure::WrongPassword });
    let (heard, _) = try_password(&corner, "anna", "long enough");
    assert!(matches!(heard, FromLogon::Authenticated(User { source: Source::Builtin, .. })));
}
