//! Accounts: who may change them, what a change means to sessions, and a file that is broken.

use std::fs;

use session0_system_tests::{Host, HostBuilder, PASSWORD, Shared, eventually, needs_root};

static SHARED: Shared = Shared::new();

fn host() -> &'static Host {
    SHARED.host("")
}

#[test]
fn a_disabled_account_keeps_its_session_and_gets_no_other() {
    if !needs_root("a_disabled_account_keeps_its_session_and_gets_no_other") {
        return;
    }
    host().person("dora");
    let logon = host().logon("dora", PASSWORD);
    host().s0(&["account", "disable", "dora"]).ok();
    assert!(logon.shell("id -un").contains("dora"));
    let second = host().terminal(&["logon", "dora"]);
    second.give_password(PASSWORD);
    second.wait("unknown user or wrong password");
    host().s0(&["account", "enable", "dora"]).ok();
    eventually("it is asked for again", || second.text().matches("assword:").count() == 2);
    second.type_line(PASSWORD);
    second.wait("goes on here");
}

#[test]
fn an_account_with_a_session_is_not_removed() {
    if !needs_root("an_account_with_a_session_is_not_removed") {
        return;
    }
    host().person("rosa");
    let mut logon = host().logon("rosa", PASSWORD);
    let session = host().session_of("rosa");
    let run = host().s0(&["account", "remove", "rosa"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("has a session") && run.err.contains("session logoff"), "{}", run.err);
    host().s0(&["session", "logoff", &session.to_string()]).ok();
    logon.ended();
    host().s0(&["account", "remove", "rosa"]).ok();
    assert!(!host().s0(&["account", "list"]).out.contains("rosa"));
    let mut gone = host().terminal(&["logon", "rosa"]);
    gone.give_password(PASSWORD);
    gone.wait("unknown user or wrong password");
    gone.kill();
    gone.ended();
}

#[test]
fn an_account_that_a_file_names_is_not_removed() {
    if !needs_root("an_account_that_a_file_names_is_not_removed") {
        return;
    }
    let host = HostBuilder::new().start();
    for name in ["admin", "runner", "caretaker"] {
        host.person(name);
    }
    let settings = host.root().join("etc/session0/host.toml");
    let before = fs::read_to_string(&settings).unwrap_or_default();
    fs::write(&settings, format!("{before}[administrators]\nusers = [\"admin\"]\n")).unwrap();
    let services = host.root().join("etc/session0/services");
    let command = "command = [\"/bin/true\"]\nstart = \"demand\"\n";
    fs::write(services.join("run.toml"), format!("{command}account = \"runner\"\n")).unwrap();
    fs::write(services.join("ask.toml"), format!("{command}control = {{ users = [\"caretaker\"] }}\n"))
        .unwrap();
    host.s0(&["reload"]).ok();
    let named = [("admin", "host.toml"), ("runner", "services/run.toml"), ("caretaker", "services/ask.toml")];
    for (name, file) in named {
        let run = host.s0(&["account", "remove", name]);
        assert_eq!(run.code, 1, "{name}");
        assert!(run.err.contains(&format!("in {file} names it")), "{}", run.err);
        assert!(run.err.contains("take it out of"), "{}", run.err);
    }
    fs::write(&settings, before).unwrap();
    fs::remove_file(services.join("run.toml")).unwrap();
    fs::write(services.join("ask.toml"), command).unwrap();
    host.s0(&["reload"]).ok();
    for (name, _) in named {
        host.s0(&["account", "remove", name]).ok();
    }
}

#[test]
fn a_removed_accounts_uid_is_given_to_nobody() {
    if !needs_root("a_removed_accounts_uid_is_given_to_nobody") {
        return;
    }
    let uid = |name: &str| {
        let list = host().s0(&["account", "list", "--json"]).ok().json();
        let all = list.as_array().cloned().unwrap_or_default();
        all.iter().find(|one| one["name"] == name).and_then(|one| one["uid"].as_u64()).expect("its uid")
    };
    host().person("first");
    let old = uid("first");
    host().s0(&["account", "remove", "first", "--home", "--yes"]).ok();
    host().person("second");
    assert!(uid("second") > old);
}

#[test]
fn a_user_changes_his_own_password_with_the_old_one_and_nobody_elses() {
    if !needs_root("a_user_changes_his_own_password_with_the_old_one_and_nobody_elses") {
        return;
    }
    host().person("paula");
    host().person("quentin");
    let logon = host().logon("paula", PASSWORD);
    let s0 = host().visible_s0();
    logon.type_line(&format!("{s0} account passwd"));
    logon.wait("Old password: ");
    logon.type_line("not the old one");
    eventually("it asks again", || logon.text().matches("Old password: ").count() == 2);
    logon.type_line(PASSWORD);
    logon.wait("New password for paula: ");
    logon.type_line("a quite new word");
    logon.wait("Again: ");
    logon.type_line("a quite new word");
    logon.wait("has a new password");
    assert!(!logon.text().contains("quite new"), "none of it is shown");
    let tried = logon.shell(&format!("{s0} account disable quentin; echo code-$?-"));
    assert!(tried.contains("code-3-"), "{tried}");
    let mut other = host().terminal(&["logon", "paula"]);
    other.give_password("a quite new word");
    other.wait("goes on here");
    other.kill();
    other.ended();
}

#[test]
fn a_broken_list_of_accounts_lets_nobody_in_and_is_not_touched() {
    if !needs_root("a_broken_list_of_accounts_lets_nobody_in_and_is_not_touched") {
        return;
    }
    let host = HostBuilder::new().start();
    host.person("alice");
    let path = host.root().join("etc/session0/accounts.toml");
    let mut broken = fs::read_to_string(&path).expect("there is one");
    broken.push_str("\n[[account]]\nname = \"mallory\"\nuid = \"no number\"\n");
    fs::write(&path, &broken).expect("our own root");
    let mut logon = host.terminal(&["logon", "alice"]);
    assert_eq!(logon.ended(), 4, "{}", logon.text());
    assert!(!logon.text().contains("accounts.toml:"), "a stranger is not told what is in it");
    for arguments in [&["account", "list"][..], &["account", "disable", "alice"]] {
        let run = host.s0(arguments);
        assert_ne!(run.code, 0);
        assert!(run.err.contains("accounts.toml") && run.err.contains("uid"), "{}", run.err);
    }
    let added = host.account("bob", PASSWORD);
    assert!(added.code != 0 && added.err.contains("accounts.toml"), "{}", added.err);
    let events = host.events();
    assert!(events.contains("nobody can log on") && events.contains("accounts.toml"), "{events}");
    eventually("`s0 up` says it, too", || host.up_output().contains("accounts.toml:"));
    assert_eq!(fs::read_to_string(&path).expect("it is there"), broken, "it is byte for byte as it was");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
    let run = host.s0(&["account", "list"]);
    assert!(run.code != 0 && run.err.contains("chmod"), "readable by others is broken, too: {}", run.err);
}
