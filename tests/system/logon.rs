//! Logging on: who comes in, what others learn of it, and what is left when it comes to nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};
use session0_system_tests::{Conversation, Host, Logon, PASSWORD, Shared, eventually, needs_root};

static SHARED: Shared = Shared::new();

fn host() -> &'static Host {
    SHARED.host("sessions_per_user = 2\n[log]\nkeep = 1\n")
}

fn socket(host: &Host) -> PathBuf {
    host.root().join("run/session0/api")
}

fn wanted(account: &str) -> Value {
    json!({ "account": account, "terminal": { "rows": 24, "columns": 80 } })
}

fn edit_accounts(host: &Host, change: impl Fn(&str) -> String) {
    let path = host.root().join("etc/session0/accounts.toml");
    let before = fs::read_to_string(&path).expect("there are accounts");
    let after = change(&before);
    assert_ne!(before, after, "it changes something");
    fs::write(&path, after).expect("our own root");
}

/// Where the home of an account is on the machine.
fn home(host: &Host, name: &str) -> PathBuf {
    let list = host.s0(&["account", "list", "--json"]).ok().json();
    let all = list.as_array().cloned().unwrap_or_default();
    let account = all.into_iter().find(|one| one["name"] == name).expect("there is that account");
    let path = account["home"].as_str().expect("it has a home").trim_start_matches('/').to_owned();
    let below = host.root().join(&path);
    assert!(below.is_dir(), "{} is a directory", below.display());
    below
}

/// What `s0 logon` says to wrong passwords, to its end.
fn refused(host: &Host, name: &str, passwords: &[&str]) -> (i32, String) {
    let mut terminal = host.terminal(&["logon", name]);
    for (number, password) in passwords.iter().enumerate() {
        eventually("the next question", || terminal.text().matches("assword:").count() == number + 1);
        terminal.type_line(password);
    }
    let code = terminal.ended();
    (code, terminal.text())
}

#[test]
fn a_password_is_not_shown_while_it_is_typed() {
    if !needs_root("a_password_is_not_shown_while_it_is_typed") {
        return;
    }
    host().person("quiet");
    let logon = host().logon("quiet", PASSWORD);
    assert!(!logon.text().contains("correct"), "{}", logon.text());
    assert!(logon.shell("echo shown").contains("shown"), "what is typed to the shell is shown");
}

#[test]
fn three_wrong_passwords_end_a_logon_and_say_nothing_about_the_account() {
    if !needs_root("three_wrong_passwords_end_a_logon_and_say_nothing_about_the_account") {
        return;
    }
    host().person("known");
    host().person("disabled");
    host().s0(&["account", "disable", "disabled"]).ok();
    let said = |name: &str, first: &str| {
        let (code, text) = refused(host(), name, &[first, "wrong-two", "wrong-three"]);
        assert_eq!(code, 1, "{text}");
        assert_eq!(text.matches("unknown user or wrong password").count(), 3, "{text}");
        text.replace(&format!("as {name}:"), "as NAME:")
    };
    let known = said("known", "wrong-one");
    assert_eq!(said("not-there", "wrong-one"), known, "an unknown user");
    assert_eq!(said("disabled", PASSWORD), known, "a disabled user with the right password");
    assert_eq!(said("root", "wrong-one"), known, "root");
    let events = host().events();
    for account in ["known", "not-there", "disabled", "root"] {
        assert!(events.contains(account), "the administrator is told of {account}: {events}");
    }
    assert!(!events.contains("wrong-one"), "no password is written down: {events}");
}

#[test]
fn further_tries_wait_and_the_client_is_told_so_by_the_host() {
    if !needs_root("further_tries_wait_and_the_client_is_told_so_by_the_host") {
        return;
    }
    let waits = |_| {
        let conversation = Conversation::logon(&socket(host()), &wanted("guessed")).expect("it is begun");
        let (said, _) = conversation.talk("wrong").expect("it ends");
        said.iter().filter_map(|one| one["wait"]["ms"].as_u64()).collect::<Vec<u64>>()
    };
    let [first, second] = [0, 1].map(waits);
    assert!(first.is_empty(), "the first tries wait for nothing: {first:?}");
    assert_eq!(second.len(), 3, "the others do: {second:?}");
    assert!(second.windows(2).all(|pair| pair[0] < pair[1]), "longer each time: {second:?}");
}

#[test]
fn a_name_that_is_none_is_refused_before_a_password_is_asked_for() {
    if !needs_root("a_name_that_is_none_is_refused_before_a_password_is_asked_for") {
        return;
    }
    let long = "x".repeat(10_000);
    for name in ["", "a/b", "../../etc/passwd", "a\nb", "\u{1b}[2J", "a b", "ä", &long] {
        let mut terminal = host().terminal(&["logon", "--", name]);
        assert_eq!(terminal.ended(), 1, "{name:?}: {}", terminal.text());
        let text = terminal.text();
        assert!(text.contains("1315") && !text.contains("assword"), "{name:?}: {text}");
        assert!(!text.contains("\u{1b}[2J") && text.len() < 1000, "{name:?}: {text:?}");
        let asked = Conversation::logon(&socket(host()), &wanted(name));
        assert!(asked.is_err_and(|error| error.contains("InvalidName")), "{name:?} by the interface");
    }
    assert!(!host().events().contains("xxxxxxxxxxxxxxxx"), "nothing of it is written down");
}

#[test]
fn logons_at_one_time_are_limited_with_a_clear_error() {
    if !needs_root("logons_at_one_time_are_limited_with_a_clear_error") {
        return;
    }
    // A host of its own: others' logons would be refused meanwhile.
    let host = session0_system_tests::HostBuilder::new().start();
    let mut begun = Vec::new();
    let refusal = loop {
        match Conversation::logon(&socket(&host), &wanted("anybody")) {
            Ok(conversation) => begun.push(conversation),
            Err(refusal) => break refusal,
        }
        assert!(begun.len() <= 100, "there is a limit");
    };
    assert!(refusal.contains("TooMany") && refusal.contains("1450"), "{refusal}");
    assert!(begun.len() >= 8, "some are possible: {}", begun.len());
    let mut terminal = host.terminal(&["logon", "anybody"]);
    assert_eq!(terminal.ended(), 1);
    assert!(terminal.text().contains("1450"), "{}", terminal.text());
    drop(begun);
    eventually("there is room again once they are gone", || {
        Conversation::logon(&socket(&host), &wanted("anybody")).is_ok()
    });
}

#[test]
fn new_makes_another_session_as_far_as_the_setting_allows() {
    if !needs_root("new_makes_another_session_as_far_as_the_setting_allows") {
        return;
    }
    host().person("twice");
    let _first = host().logon("twice", PASSWORD);
    let _second = host().logon_with(&["twice", "--new"], PASSWORD);
    assert_eq!(host().sessions_of("twice").len(), 2);
    let mut third = host().terminal(&["logon", "twice", "--new"]);
    third.give_password(PASSWORD);
    assert_eq!(third.ended(), 1);
    assert!(third.text().contains("sessions_per_user"), "{}", third.text());
    assert_eq!(host().sessions_of("twice").len(), 2);
}

#[test]
fn a_logon_takes_the_users_session_over_and_the_other_terminal_is_told() {
    if !needs_root("a_logon_takes_the_users_session_over_and_the_other_terminal_is_told") {
        return;
    }
    host().person("moves");
    let mut first = host().logon("moves", PASSWORD);
    let before = host().session_of("moves");
    first.shell("KEPT=kept-4711");
    let second = host().terminal(&["logon", "moves"]);
    second.give_password(PASSWORD);
    second.wait(&format!("session {before} goes on here"));
    second.wait_prompt();
    assert_eq!(first.ended(), 0);
    let told = first.text();
    assert!(told.contains("taken over") && told.contains(second.name()), "{told}");
    assert_eq!(host().session_of("moves"), before, "no other session is made");
    assert!(second.shell("echo $KEPT").contains("kept-4711"), "it is the same shell");
}

#[test]
fn a_terminal_that_goes_away_during_the_question_leaves_nothing() {
    if !needs_root("a_terminal_that_goes_away_during_the_question_leaves_nothing") {
        return;
    }
    let host = session0_system_tests::HostBuilder::new().start();
    host.person("shy");
    let mut terminal = host.terminal(&["logon", "shy"]);
    terminal.wait("assword:");
    assert_eq!(host.logon_pids().len(), 1);
    terminal.hang_up();
    eventually("its process is gone", || host.logon_pids().is_empty());
    let mut terminal = host.terminal(&["logon", "shy"]);
    terminal.wait("assword:");
    terminal.kill();
    eventually("its process is gone", || host.logon_pids().is_empty());
    let mut terminal = host.terminal(&["logon", "shy"]);
    terminal.wait("assword:");
    terminal.type_bytes(b"\x03");
    assert_ne!(terminal.ended(), 0, "^C ends it: {}", terminal.text());
    assert_eq!(host.sessions().len(), 1, "nobody is logged on");
}

#[test]
fn a_session_is_logged_off_while_its_user_logs_on_elsewhere() {
    if !needs_root("a_session_is_logged_off_while_its_user_logs_on_elsewhere") {
        return;
    }
    host().person("racer");
    let mut first = host().logon("racer", PASSWORD);
    let session = host().session_of("racer");
    let second = host().terminal(&["logon", "racer"]);
    second.wait("assword:");
    host().s0(&["session", "logoff", &session.to_string()]).ok();
    first.ended();
    second.type_line(PASSWORD);
    second.wait("$ ");
    let other = host().session_of("racer");
    assert_ne!(other, session, "a number is not used again");
}

#[test]
fn a_session_is_logged_off_before_its_shell_runs() {
    if !needs_root("a_session_is_logged_off_before_its_shell_runs") {
        return;
    }
    host().person("hasty");
    let mut seen = 0;
    for _ in 0..10 {
        let mut terminal = host().terminal(&["logon", "hasty"]);
        terminal.give_password(PASSWORD);
        eventually("the session is in the list", || {
            let all = host().sessions_of("hasty");
            seen = all.first().copied().unwrap_or(0);
            seen != 0
        });
        // In whatever state it is: being made, starting or running.
        host().s0(&["session", "logoff", &seen.to_string()]).ok();
        terminal.ended();
        assert!(host().sessions_of("hasty").is_empty(), "{}", terminal.text());
    }
}

/// Changes the account's shell in the file and tries to log on; what the terminal showed, and the exit code.
fn with_shell(name: &str, shell: &str) -> (i32, String) {
    host().person(name);
    // One at a time: the tests of this file run beside each other.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = ONE.lock();
    edit_accounts(host(), |text| {
        let at = text.find(&format!("\"{name}\"")).expect("its account");
        let (before, after) = text.split_at(at);
        format!("{before}{}", after.replacen("/bin/bash", shell, 1))
    });
    drop(guard);
    let mut terminal = host().terminal(&["logon", name]);
    terminal.give_password(PASSWORD);
    let code = terminal.ended();
    (code, terminal.text())
}

#[test]
fn a_shell_that_is_not_there_or_no_program_is_named_and_no_session_stays() {
    if !needs_root("a_shell_that_is_not_there_or_no_program_is_named_and_no_session_stays") {
        return;
    }
    for (name, shell) in [("noshell", "/bin/not-there"), ("textshell", "/etc/hostname")] {
        let (code, text) = with_shell(name, shell);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(shell) && text.contains("cannot be executed"), "{text}");
        host().wait_sessions(name, 0);
    }
}

#[test]
fn a_shell_that_exits_at_once_is_a_session_that_ended() {
    if !needs_root("a_shell_that_exits_at_once_is_a_session_that_ended") {
        return;
    }
    let (_, text) = with_shell("brief", "/bin/true");
    assert!(text.contains("ended"), "{text}");
    host().wait_sessions("brief", 0);
}

#[test]
fn a_home_that_cannot_be_entered_is_no_reason_to_stay_outside() {
    if !needs_root("a_home_that_cannot_be_entered_is_no_reason_to_stay_outside") {
        return;
    }
    host().person("homeless");
    let place = home(host(), "homeless");
    fs::remove_dir_all(&place).expect("our own root");
    let logon = host().logon("homeless", PASSWORD);
    assert!(logon.text().contains("cannot be entered"), "{}", logon.text());
    assert!(logon.shell("pwd").lines().any(|line| line.trim() == "/"), "he is in /");
    drop(logon);
    host().wait_sessions("homeless", 0);
    fs::create_dir(&place).expect("our own root");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).expect("ours");
    let logon = host().logon("homeless", PASSWORD);
    assert!(logon.text().contains("cannot be entered"), "root's own: {}", logon.text());
}

#[test]
fn a_home_that_is_a_link_leads_nowhere_the_user_may_not_go() {
    if !needs_root("a_home_that_is_a_link_leads_nowhere_the_user_may_not_go") {
        return;
    }
    host().person("linked");
    let place = home(host(), "linked");
    fs::remove_dir_all(&place).expect("our own root");
    symlink("/root", &place).expect("our own root");
    let logon = host().logon("linked", PASSWORD);
    assert!(logon.text().contains("cannot be entered"), "{}", logon.text());
    assert!(!logon.shell("ls -la; pwd").contains(".bashrc"), "nothing of root's is seen");
    assert!(fs::symlink_metadata(&place).is_ok_and(|meta| meta.is_symlink()), "it is not touched");
    fs::remove_file(&place).expect("ours");
}

#[test]
fn names_and_passwords_in_a_logon_are_those_of_the_person_and_of_nobody_else() {
    if !needs_root("names_and_passwords_in_a_logon_are_those_of_the_person_and_of_nobody_else") {
        return;
    }
    host().account("ellen", "ellens own word").ok();
    host().account("frank", "franks own word").ok();
    let (code, text) = refused(host(), "ellen", &["franks own word", "", "ELLENS OWN WORD"]);
    assert_eq!(code, 1, "{text}");
    let logon: Logon = host().logon("frank", "franks own word");
    assert!(logon.shell("id -un").contains("frank"));
}
