//! `elevation = "contained"`: root of a session, and what it is nowhere else.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use session0_system_tests::{At, Host, HostBuilder, Logon, PASSWORD, Run, needs_root, told};

const AS_ROOT: &str = "--reuid 0 --regid 0 --clear-groups";

#[test]
fn root_of_a_session_cannot_call_the_api_as_somebody_else() {
    if !needs_root("root_of_a_session_cannot_call_the_api_as_somebody_else") {
        return;
    }
    let (host, _alice, setpriv) = contained("[administrators]\nusers = ['nobody']\n");
    let _bob = host.logon("bob", PASSWORD);
    let (hers, his) = (host.session_of("alice"), host.session_of("bob"));
    let as_uid = |uid: u32, words: &[&str]| {
        let uid = uid.to_string();
        let by = [setpriv.as_str(), "--reuid", &uid, "--regid", &uid, "--clear-groups"];
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

/// A host whose sessions have roots, alice in hers, and a program there that runs others as whom one likes.
fn contained(settings: &str) -> (Host, Logon, String) {
    let settings = format!("{settings}[sessions]\nelevation = 'contained'\n");
    let host = HostBuilder::new().host_toml(&settings).start();
    let setpriv = host.visible().join("setpriv");
    std::fs::copy("/usr/bin/setpriv", &setpriv).expect("util-linux has it");
    std::fs::set_permissions(&setpriv, PermissionsExt::from_mode(0o4755)).expect("ours");
    for name in ["alice", "bob"] {
        host.person(name);
    }
    let logon = host.logon("alice", PASSWORD);
    (host, logon, setpriv.display().to_string())
}

#[test]
fn root_of_a_session_makes_no_set_user_id_program() {
    if !needs_root("root_of_a_session_makes_no_set_user_id_program") {
        return;
    }
    let (host, _logon, setpriv) = contained("");
    let (session, root) = (host.session_of("alice"), format!("{setpriv} {AS_ROOT}"));
    let made = |line: &str| {
        let script = format!("cd ~ && rm -f x && {root} sh -c '{line}' 2>&1; stat -c %a:%u x 2>&1");
        host.run_in(session, &["sh", "-c", &script]).out
    };
    let outside = |line: &str| {
        let script = format!("cd $(mktemp -d) && sh -c '{line}' 2>&1; stat -c %a:%u x 2>&1; rm -r $PWD");
        Run::of(Command::new("sh").args(["-c", &script])).out
    };
    let plain = made("cp /bin/true x && chmod 755 x");
    assert!(plain.contains("755:0"), "root is able to make a program of root's: {plain}");
    let copy = format!("cp -p {setpriv} x");
    let ways: &[(&str, &str)] = &[
        ("chmod", "cp /bin/true x && chmod 4755 x"),
        ("chmod for the group", "cp /bin/true x && chmod 2755 x"),
        ("open", "perl -MFcntl -e \"umask 0; sysopen(F, q(x), O_CREAT|O_WRONLY, 04755) or die\""),
        ("a copy with its mode", &copy),
        #[cfg(target_arch = "x86_64")]
        ("creat", "perl -e \"my \\$p = q(x); syscall(85, \\$p, 04755)\""),
        #[cfg(target_arch = "x86_64")]
        ("fchmodat2", "cp /bin/true x && perl -e \"my \\$p = q(x); syscall(452, -100, \\$p, 04755, 0)\""),
        #[cfg(target_arch = "x86_64")]
        ("mknod", "perl -e \"my \\$p = q(x); syscall(133, \\$p, 0104755, 0)\""),
    ];
    let has = |mode: &str| mode.contains("4755:") || mode.contains("2755:");
    for (way, line) in ways {
        // The program to be copied is not where it is outside.
        if *line != copy {
            assert!(has(&outside(line)), "{way} is able to outside: {}", outside(line));
        }
        let mode = made(line);
        assert!(!has(&mode), "{way}: {mode}");
    }
    #[cfg(target_arch = "x86_64")]
    {
        let call = "perl -e \"my \\$p = q(x); syscall(437, -100, \\$p, 0, 0); print \\$!+0\"";
        let said = made(call);
        assert!(said.starts_with("38"), "programs are to fall back to openat: {said}");
    }
}

#[test]
fn root_of_a_session_writes_its_users_home_and_nothing_else_of_the_machines() {
    if !needs_root("root_of_a_session_writes_its_users_home_and_nothing_else_of_the_machines") {
        return;
    }
    let (host, _logon, setpriv) = contained("");
    let (session, root) = (host.session_of("alice"), format!("{setpriv} {AS_ROOT}"));
    let touched = |directory: &str| {
        let script = format!("f={directory}/touched-by-session; {root} sh -c \"touch $f && rm $f\" 2>&1");
        host.run_in(session, &["sh", "-c", &script]).out
    };
    for own in ["~", "/tmp", "/var/tmp", "/run/user/$(id -u)", "/dev/shm"] {
        assert_eq!(touched(own), "", "{own}");
    }
    for machines in
        ["/home/bob", "/home", "/var/lib", "/var/spool", "/opt", "/srv", "/mnt", "/etc", "/usr", "/"]
    {
        let said = touched(machines);
        assert!(said.contains("Read-only file system"), "{machines}: {said}");
    }
}

/// Runs the probe as any uid in alice's session.
fn probe_as(host: &Host, setpriv: &str, ids: &[&str], words: &[&str]) -> Run {
    let probe = session0_system_tests::probe_path(host);
    host.run_in(host.session_of("alice"), &[&[setpriv], ids, &[probe.as_str()], words].concat())
}

#[test]
fn root_of_a_session_has_no_rights_of_others_at_pipes() {
    if !needs_root("root_of_a_session_has_no_rights_of_others_at_pipes") {
        return;
    }
    let (host, _alice, setpriv) = contained("");
    let _bob = host.logon("bob", PASSWORD);
    let (his, bob) = (host.session_of("bob"), host.uid_of("bob"));
    let as_uid = |uid: u32, words: &[&str]| {
        let uid = uid.to_string();
        probe_as(&host, &setpriv, &["--reuid", &uid, "--regid", &uid, "--clear-groups"], words)
    };
    let _of_root = host.serves(At::Outside, &["of.root", "do=who"]);
    let _for_root = host.serves(At::Outside, &["for.root", "allow=user root", "do=who"]);
    let _of_bob = host.serves(At::Session(his), &["of.bob", "do=who"]);
    let _for_bob = host.serves(At::Outside, &["for.bob", "allow=user bob", "do=who"]);
    for (uid, name) in [(0, "of.root"), (0, "for.root"), (bob, "of.bob"), (bob, "for.bob")] {
        let run = as_uid(uid, &["pipe-open", name, "hear-all"]);
        assert!(run.out.contains("refused 5 "), "uid {uid} opens {name}: {run:?}");
        let run = as_uid(uid, &["pipe-serve", name]);
        assert!(run.out.contains("refused 5 "), "uid {uid} serves {name}: {run:?}");
    }
    let _for_all = host.serves(At::Outside, &["for.all", "allow=interactive", "do=who"]);
    let run = as_uid(0, &["pipe-remove", "/run/session0/pipe", "for.all"]);
    assert!(run.out.contains("remove, EROFS") && !run.out.trim_end().ends_with("ok"), "{run:?}");
    assert_eq!(host.pipe_sockets(), ["for.all", "for.bob", "for.root", "of.bob", "of.root"]);
}

#[test]
fn root_of_a_session_is_nobody_at_a_pipe_whoever_it_makes_itself() {
    if !needs_root("root_of_a_session_is_nobody_at_a_pipe_whoever_it_makes_itself") {
        return;
    }
    let (host, _alice, setpriv) = contained("");
    let _bob = host.logon("bob", PASSWORD);
    let (alice, bob) = (host.uid_of("alice").to_string(), host.uid_of("bob").to_string());
    let secret = host.visible().join("of-bob");
    std::fs::write(&secret, "his").expect("ours");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o660)).expect("ours");
    std::os::unix::fs::chown(&secret, Some(host.uid_of("bob")), Some(4)).expect("root may");
    let act = format!("do=open={}", secret.display());
    host.serves_as("acts", "", &["acts", "allow=interactive", &act]);
    let _who = host.serves(At::Outside, &["who", "allow=interactive", "do=who"]);
    let group = ["--reuid", &alice, "--regid", "4", "--groups", "4"];
    let own: &[&str] = &["--reuid", &alice, "--regid", &alice, "--clear-groups"];
    let as_bob: &[&str] = &["--reuid", &bob, "--regid", &bob, "--clear-groups"];
    let as_root: &[&str] = &["--reuid", "0", "--regid", "0", "--clear-groups"];
    for ids in [as_bob, as_root, &group] {
        let run = probe_as(
            &host,
            &setpriv,
            ids,
            &["pipe-open", "acts", "level=impersonation", "say=x", "hear-all"],
        );
        let opened = run.out.contains("of-bob ok") || !run.out.contains("; as itself ok");
        assert!(!opened, "a service opens nothing for {ids:?}: {run:?}");
        let run = probe_as(&host, &setpriv, ids, &["pipe-open", "who", "hear-all"]);
        let client = told(&run.out, "heard");
        let groups = client["groups"].as_array().cloned().unwrap_or_default();
        assert!(!groups.contains(&4.into()) && client["gid"] != 4, "no group that is not hers: {client}");
        if ids != group {
            assert_eq!((&client["uid"], &client["gid"]), (&65534.into(), &65534.into()), "{client}");
            assert_eq!(client["account"], "nobody", "{client}");
        }
    }
    let run = probe_as(&host, &setpriv, own, &["pipe-open", "who", "hear-all"]);
    assert_eq!(told(&run.out, "heard")["account"], "alice", "who she is she is");
    // Nor is it anybody as a server.
    let session = host.session_of("alice");
    let probe = session0_system_tests::probe_path(&host);
    for (ids, name) in [(as_bob, "by.bob"), (as_root, "by.root")] {
        let words = [&[setpriv.as_str()], ids, &[&probe, "pipe-serve", name, "allow=everyone"]].concat();
        let mut server = host.begin_in(session, &words);
        server.wait("listening");
        let opened = told(&host.opens(At::Outside, &[name]).out, "opened");
        assert_eq!(opened["server"]["uid"], 65534, "{opened}");
        assert_eq!(opened["server"]["account"], "nobody", "{opened}");
    }
}
