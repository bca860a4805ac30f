//! The command line of Python's `varlink` package: it was written by others, so it shows that we speak Varlink.

use std::ffi::OsString;
use std::process::{Command, Output};

use super::*;

/// A Python that has the package: `SESSION0_PYTHON`, else `python3`.
fn python() -> Option<OsString> {
    let python = std::env::var_os("SESSION0_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import varlink"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

fn run(python: &OsString, arguments: &[&str]) -> Output {
    Command::new(python).args(["-m", "varlink.cli"]).args(arguments).output().expect("run python")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn pythons_varlink_can_ask_be_told_and_call() {
    let Some(python) = python() else {
        // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
        let skipped = "SKIPPED: python3 has no package `varlink` (SESSION0_PYTHON names another python)\n";
        let _ = io::Write::write_all(&mut io::stderr(), skipped.as_bytes());
        return;
    };
    with_server(Limits::default(), async |server| {
        beside(&server.path(), move |path| {
            let address = format!("unix:{}", path.display());
            let info = run(&python, &["info", &address]);
            for interface in ["io.session0.Host", "io.session0.Service", "io.session0.Session"] {
                assert!(text(&info).contains(interface), "{}", text(&info));
                let help = run(&python, &["help", &format!("{address}/{interface}")]);
                assert!(help.status.success(), "{}", text(&help));
                let committed = format!("{}/../../idl/{interface}.varlink", env!("CARGO_MANIFEST_DIR"));
                let committed = std::fs::read_to_string(committed).expect("the committed description");
                assert!(text(&help).contains(committed.trim()), "{}", text(&help));
            }
            let list = run(&python, &["call", &format!("{address}/io.session0.Service.List")]);
            assert!(list.status.success() && text(&list).contains("\"redis\""), "{}", text(&list));
            let status = format!("{address}/io.session0.Service.Status");
            let status = run(&python, &["call", &status, r#"{"name":"redis"}"#]);
            assert!(text(&status).contains("\"state\": \"running\""), "{}", text(&status));
            let refused = format!("{address}/io.session0.Service.Start");
            let refused = run(&python, &["call", &refused, r#"{"name":"redis"}"#]);
            assert!(text(&refused).contains("io.session0.Service.AlreadyRunning"), "{}", text(&refused));
        })
        .await;
    });
}
