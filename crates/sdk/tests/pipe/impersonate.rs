//! Being the client: really, on one thread, and back again.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::{Gid, Uid, getegid, geteuid, getgroups, getuid};
use rustix::thread::{CapabilitySet, capabilities};
use session0::pipe::{Code, Impersonation, Instance, Peer, PipeClient, PipeServer, PipeType};

use crate::code;
use crate::fake_host::{FakeHost, Rules};

const ALICE: u32 = 41_001;
const GROUPS: [u32; 2] = [41_003, 41_002];

/// Whether this test can be: it becomes somebody else.
fn root(test: &str) -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let able = getuid().is_root() && capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    if !able {
        let _ = writeln!(
            std::io::stderr().lock(),
            "SKIPPED {test}: it needs root with CAP_SETUID and CAP_SETGID"
        );
    }
    able
}

fn alice(level: Impersonation) -> (PipeServer, Instance, PipeClient) {
    let client = Peer {
        session: Some(3),
        uid: ALICE,
        gid: GROUPS[1],
        groups: GROUPS.to_vec(),
        pid: 7,
        account: Some("alice".to_owned()),
        service: None,
    };
    let host = FakeHost::with(Rules { client: Some(client), ..Rules::default() });
    let server = host.server("files").kind(PipeType::Message).create().expect("serve");
    let client = host.client("files").impersonation(level).open().expect("open");
    let instance = server.accept().expect("accept");
    (server, instance, client)
}

fn heard(level: Impersonation) -> (PipeServer, Instance, PipeClient) {
    let (server, instance, client) = alice(level);
    client.write_message(b"please").expect("write");
    instance.read_message().expect("read");
    (server, instance, client)
}

/// Everything that makes a thread somebody.
fn identity() -> (Uid, Uid, Gid, Vec<Gid>, rustix::thread::CapabilitySets) {
    let sets = capabilities(None).expect("capabilities");
    (getuid(), geteuid(), getegid(), getgroups().expect("groups"), sets)
}

#[test]
fn files_are_made_and_refused_as_the_client_and_then_as_oneself_again() {
    if !root("files_are_made_and_refused_as_the_client_and_then_as_oneself_again") {
        return;
    }
    let (_server, instance, _client) = heard(Impersonation::Impersonation);
    let directory = std::env::temp_dir().join(format!("session0-impersonate-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("make");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).expect("open up");
    let (secret, shared, made) = (directory.join("secret"), directory.join("shared"), directory.join("made"));
    std::fs::write(&secret, "for root").expect("write");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("close");
    std::fs::write(&shared, "for a group").expect("write");
    std::os::unix::fs::chown(&shared, Some(0), Some(GROUPS[0])).expect("give");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o640)).expect("close");
    let before = identity();
    let (refused, allowed, created, meanwhile) = instance
        .impersonate(|| {
            let refused = File::open(&secret).map_err(|error| error.kind()).map(drop);
            (refused, File::open(&shared).is_ok(), File::create(&made).is_ok(), identity())
        })
        .expect("impersonate");
    assert_eq!(refused, Err(std::io::ErrorKind::PermissionDenied));
    assert!(allowed, "by its supplementary group");
    assert!(created);
    let owner = std::fs::metadata(&made).expect("it is there");
    assert_eq!((owner.uid(), owner.gid()), (ALICE, GROUPS[1]));
    assert_eq!((meanwhile.0.as_raw(), meanwhile.1.as_raw(), meanwhile.2.as_raw()), (0, ALICE, GROUPS[1]));
    assert!(meanwhile.4.effective.is_empty(), "{:?}", meanwhile.4);
    assert_eq!(identity(), before);
    assert!(File::open(&secret).is_ok());
    std::fs::remove_dir_all(&directory).expect("clean up");
}

#[test]
fn a_panic_ends_it_and_other_threads_never_notice() {
    if !root("a_panic_ends_it_and_other_threads_never_notice") {
        return;
    }
    let (_server, instance, _client) = heard(Impersonation::Impersonation);
    let before = identity();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        instance.impersonate(|| {
            assert_eq!(geteuid().as_raw(), ALICE);
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    }));
    assert!(outcome.is_err());
    assert_eq!(identity(), before);
    let (asked, answered) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            asked.wait();
            let seen = identity();
            answered.wait();
            seen
        });
        let meanwhile = instance.impersonate(|| {
            asked.wait();
            answered.wait();
            geteuid().as_raw()
        });
        assert_eq!(meanwhile, Ok(ALICE));
        assert_eq!(other.join().expect("no panic"), before);
    });
}

#[test]
fn a_client_that_is_root_is_impersonated_without_capabilities_and_one_gets_ones_own_back() {
    if !root("a_client_that_is_root_is_impersonated_without_capabilities_and_one_gets_ones_own_back") {
        return;
    }
    let client =
        Peer { session: None, uid: 0, gid: 0, groups: Vec::new(), pid: 1, account: None, service: None };
    let host = FakeHost::with(Rules { client: Some(client), ..Rules::default() });
    let server = host.server("files").kind(PipeType::Message).create().expect("serve");
    let client = host.client("files").impersonation(Impersonation::Impersonation).open().expect("open");
    client.write_message(b"please").expect("write");
    let instance = server.accept().expect("accept");
    instance.read_message().expect("read");
    // A server that is not root and has the two capabilities: only this thread becomes one.
    std::thread::spawn(move || {
        rustix::thread::set_keep_capabilities(true).expect("keep");
        let uid = Uid::from_raw(41_009);
        rustix::thread::set_thread_res_uid(uid, uid, uid).expect("become");
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let sets = capabilities(None).expect("capabilities");
        let sets = rustix::thread::CapabilitySets { effective: needed, permitted: needed, ..sets };
        rustix::thread::set_capabilities(None, sets).expect("lower");
        let before = identity();
        let meanwhile = instance.impersonate(identity).expect("impersonate");
        assert_eq!(meanwhile.1.as_raw(), 0);
        assert!(meanwhile.4.effective.is_empty());
        assert_eq!(identity(), before);
        // And one that has not even those.
        let sets = rustix::thread::CapabilitySets { effective: CapabilitySet::SETUID, ..sets };
        rustix::thread::set_capabilities(None, sets).expect("lower");
        assert_eq!(code(instance.impersonate(|| ())), Code::PrivilegeNotHeld);
    })
    .join()
    .expect("no panic");
}

#[test]
fn who_did_not_allow_it_and_who_said_nothing_yet_is_not_impersonated() {
    for level in [Impersonation::Anonymous, Impersonation::Identification] {
        let (_server, instance, _client) = heard(level);
        assert_eq!(code(instance.impersonate(|| ())), Code::BadImpersonationLevel);
    }
    let (_server, instance, client) = alice(Impersonation::Impersonation);
    assert_eq!(code(instance.impersonate(|| ())), Code::CannotImpersonate);
    client.write_message(b"please").expect("write");
    instance.peek(&mut []).expect("peek");
    assert_eq!(code(instance.impersonate(|| ())), Code::CannotImpersonate, "looking is not reading");
    instance.disconnect().expect("disconnect");
    assert_eq!(code(instance.impersonate(|| ())), Code::PipeNotConnected);
}
