use std::os::fd::OwnedFd;
use std::time::Duration;

use session0_api::conversation::{Entry, Said};
use session0_model::logon::wire::{
    self, AccountChange, FromLogon, LogonFailure, Source, Task, ToLogon, User,
};

use crate::rig::{Corner, FIRST, Talk, changed, logon, name};

const WRONG: &str = "logon failed: unknown user or wrong password";

fn concluded() -> ToLogon {
    ToLogon::Concluded { session: 3, entry: wire::Entry::TakenOver, notices: vec!["hello".into()] }
}

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

#[test]
fn the_right_password_leads_into_a_session() {
    let corner = Corner::with("alice", "a s3cret ä\"\\");
    let talk = corner.start(logon("alice"));
    talk.password("Password: ", "a s3cret ä\"\\");
    let user = User {
        name: name("alice"),
        uid: FIRST,
        gid: FIRST,
        groups: vec![],
        home: "/home/alice".into(),
        shell: if std::path::Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }.into(),
        source: Source::Builtin,
    };
    assert_eq!(talk.heard(), FromLogon::Authenticated(user));
    talk.tell_with(&concluded(), &[&null(), &null()]);
    let (said, descriptors) = talk.said_with();
    assert_eq!(said, Said::LoggedOn { session: 3, entry: Entry::TakenOver, notices: vec!["hello".into()] });
    assert_eq!(descriptors.len(), 2);
    talk.ended();
    assert_eq!(talk.messages(), "");
}

/// Everything the client is told about three passwords, and what the daemon is told.
fn three_tries(corner: &Corner, account: &str, password: &str) -> (Vec<Said>, Vec<FromLogon>) {
    let talk = corner.start(logon(account));
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for left in [2, 1, 0] {
        talk.password("Password: ", password);
        heard.push(talk.heard());
        if left > 0 {
            said.push(talk.said());
        }
    }
    said.push(talk.said());
    talk.ended();
    assert!(!talk.messages().contains(password), "{}", talk.messages());
    (said, heard)
}

#[test]
fn whatever_is_wrong_the_client_hears_the_same_and_the_daemon_the_truth() {
    let corner = Corner::with("alice", "s3cret-a");
    corner.add("bob", "s3cret-b");
    let talk = corner.start(Task::Disable { account: name("bob") });
    assert_eq!(talk.heard(), changed("bob", AccountChange::Disabled));
    talk.done();
    let message = Said::Message { text: WRONG.into() };
    let refused = Said::Refused { code: 1326, message: WRONG.into(), hint: None };
    let told = vec![message.clone(), message, refused];
    for (account, password, reason) in [
        ("alice", "s3cret-b", LogonFailure::WrongPassword),
        ("alice", "", LogonFailure::WrongPassword),
        ("bob", "s3cret-b", LogonFailure::Disabled),
        ("carol", "s3cret-a", LogonFailure::UnknownAccount),
        ("DOM\\carol@x", "s3cret-a", LogonFailure::UnknownAccount),
        ("root", "s3cret-a", LogonFailure::Root),
        ("nobody", "s3cret-a", LogonFailure::Disabled),
    ] {
        let (said, heard) = three_tries(&corner, account, if password.is_empty() { "\0" } else { password });
        assert_eq!(said, told, "{account}");
        assert_eq!(heard, vec![FromLogon::Failed { reason }; 3], "{account}");
    }
}

#[test]
fn a_wrong_password_can_be_followed_by_the_right_one() {
    let corner = Corner::with("alice", "s3cret-a");
    let talk = corner.start(logon("alice"));
    for _ in 0..2 {
        talk.password("Password: ", "wrong");
        assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::WrongPassword });
        assert_eq!(talk.said(), Said::Message { text: WRONG.into() });
    }
    talk.password("Password: ", "s3cret-a");
    assert!(matches!(talk.heard(), FromLogon::Authenticated(_)));
}

#[test]
fn the_daemon_decides_how_soon_and_whether() {
    let corner = Corner::with("alice", "s3cret-a");
    let talk = corner.start(logon("alice"));
    talk.prompted("Password: ");
    talk.answer("s3cret-a");
    assert_eq!(talk.heard(), FromLogon::Attempt);
    let began = std::time::Instant::now();
    talk.tell(&ToLogon::Wait { ms: 500 });
    assert_eq!(talk.said(), Said::Wait { ms: 500 });
    assert!(matches!(talk.heard(), FromLogon::Authenticated(_)));
    assert!(began.elapsed() >= Duration::from_millis(500), "a claim about the least, not the most");
    talk.tell(&ToLogon::Refused { code: 1450, message: "no".into(), hint: Some("later".into()) });
    let refused = Said::Refused { code: 1450, message: "no".into(), hint: Some("later".into()) };
    assert_eq!(talk.said(), refused);
    talk.ended();

    let talk = corner.start(logon("alice"));
    talk.prompted("Password: ");
    talk.tell(&ToLogon::Refused { code: 1115, message: "down".into(), hint: None });
    assert_eq!(talk.refused(1115), "down");
    talk.ended();
}

#[test]
fn a_session_without_its_descriptors_is_none() {
    let corner = Corner::with("alice", "s3cret-a");
    for descriptors in [vec![], vec![null()], vec![null(), null(), null()]] {
        let talk = corner.start(logon("alice"));
        talk.password("Password: ", "s3cret-a");
        assert!(matches!(talk.heard(), FromLogon::Authenticated(_)));
        talk.tell_with(&concluded(), &descriptors.iter().collect::<Vec<_>>());
        talk.ended();
    }
}

#[test]
fn a_daemon_that_talks_nonsense_logs_nobody_on() {
    let corner = Corner::with("alice", "s3cret-a");
    for nonsense in [ToLogon::Wait { ms: 0 }, concluded()] {
        let talk = Talk::start();
        talk.tell(&nonsense);
        talk.ended();
        let talk = corner.start(logon("alice"));
        talk.prompted("Password: ");
        talk.tell(&nonsense);
        talk.ended();
    }
    let talk = corner.start(logon("alice"));
    talk.prompted("Password: ");
    talk.answer("s3cret-a");
    assert_eq!(talk.heard(), FromLogon::Attempt);
    talk.tell_with(&concluded(), &[&null(), &null()]);
    talk.ended();
}

#[test]
fn a_logon_renews_the_public_list_if_the_accounts_were_changed_by_hand() {
    let corner = Corner::with("alice", "s3cret-a");
    std::fs::remove_file(&corner.place.published).unwrap();
    assert!(corner.try_logon("alice", "s3cret-a").is_some());
    assert!(corner.published().starts_with("alice:*:"));
    let text = corner.accounts().replace("\"/home/alice\"", "\"/srv/alice\"");
    std::fs::write(&corner.place.accounts, text).unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(&corner.place.published).unwrap().set_modified(old).unwrap();
    assert_eq!(corner.try_logon("alice", "s3cret-a").unwrap().home, "/srv/alice");
    assert!(corner.published().contains(":/srv/alice:"));
}
