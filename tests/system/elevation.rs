//! `elevation = "contained"`: root of a session, and what it is nowhere else.

use std::os::unix::fs::PermissionsExt;

use session0_system_tests::{HostBuilder, needs_root};

const PASSWORD: &str = "correct horse 7";

#[test]
fn root_of_a_session_cannot_call_the_api_as_somebody_else() {
    if !needs_root("root_of_a_session_cannot_call_the_api_as_somebody_else") {
        return;
    }
    let settings = "[administrators]\nusers = ['nobody']\n[sessions]\nelevation = 'contained'\n";
    let host = HostBuilder::new().host_toml(settings).start();
    let become_somebody = host.visible().join("setpriv");
    std::fs::copy("/usr/bin/setpriv", &become_somebody).expect("util-linux has it");
    std::fs::set_permissions(&become_somebody, PermissionsExt::from_mode(0o4755)).expect("ours");
    for name in ["alice", "bob"] {
        host.account(name, PASSWORD).ok();
    }
    let _logons = ["alice", "bob"].map(|name| host.logon(name, PASSWORD));
    let session_of = |name: &str| *host.sessions_of(name).first().expect("a session");
    let (hers, his) = (session_of("alice"), session_of("bob"));
    let as_uid = |uid: u32, words: &[&str]| {
        let (program, uid) = (become_somebody.display().to_string(), uid.to_string());
        let by = [program.as_str(), "--reuid", &uid, "--regid", &uid, "--clear-groups"];
        host.run_in(hers, &[&by, words].concat())
    };
    let call = |uid: u32, json: &str| {
        as_uid(uid, &[&host.visible().join("probe").display().to_string(), "call", "/run/session0/api", json])
            .out
    };
    let bob = host.uid_of("bob");
    assert_eq!(as_uid(bob, &["/usr/bin/id", "-u"]).ok().out.trim(), bob.to_string(), "the attacker is able");
    let run = format!(
        r#"{{"method":"io.session0.Session.Run","parameters":{{"session":{his},"command":["/bin/true"]}}}}"#
    );
    let list = r#"{"method":"io.session0.Account.List","parameters":{}}"#;
    for (uid, json) in [(bob, run.as_str()), (65_534, run.as_str()), (65_534, list), (0, list)] {
        let answer = call(uid, json);
        assert!(answer.contains("AccessDenied"), "uid {uid}: {json}: {answer}");
    }
}
