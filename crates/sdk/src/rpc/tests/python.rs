//! The command line of Python's `varlink` package: it was written by others, so it shows that we speak Varlink.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tokio::net::UnixListener;

use super::*;

/// A Python that has the package: `SESSION0_PYTHON`, else `python3`.
fn python() -> Option<OsString> {
    let python = std::env::var_os("SESSION0_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import varlink"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ask(python: &OsString, socket: &Path) {
    let address = format!("unix:{}", socket.display());
    let run = |arguments: &[&str]| {
        Command::new(python).args(["-m", "varlink.cli"]).args(arguments).output().expect("run python")
    };
    let call = |method: &str, parameters: &str| run(&["call", &format!("{address}/{method}"), parameters]);
    let info = run(&["info", &address]);
    assert!(said(&info).contains("org.example.Test"), "{}", said(&info));
    let help = run(&["help", &format!("{address}/org.example.Test")]);
    assert!(said(&help).contains("method Add(first: int, second: int)"), "{}", said(&help));
    let sum = call("org.example.Test.Add", r#"{"first":1,"second":2}"#);
    assert!(sum.status.success() && said(&sum).contains("\"number\": 3"), "{}", said(&sum));
    let nothing = call("org.example.Test.Nothing", "{}");
    assert!(nothing.status.success(), "{}", said(&nothing));
    let count = run(&["call", "-m", &format!("{address}/org.example.Test.Count"), r#"{"to":2}"#]);
    assert!(
        said(&count).contains("\"number\": 1") && said(&count).contains("\"number\": 2"),
        "{}",
        said(&count)
    );
    let error = call("org.example.Test.Fail", r#"{"empty":true}"#);
    assert!(said(&error).contains("org.example.Test.Empty"), "{}", said(&error));
    let wrong = call("org.example.Test.Add", r#"{"first":1}"#);
    assert!(said(&wrong).contains("org.varlink.service.InvalidParameter"), "{}", said(&wrong));
}

#[test]
fn pythons_varlink_can_call_be_told_and_get_an_error() {
    let Some(python) = python() else {
        // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
        let skipped = "SKIPPED: python3 has no package `varlink` (SESSION0_PYTHON names another python)\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes());
        return;
    };
    let directory = Directory(std::env::temp_dir().join(format!("session0-rpc-{}", std::process::id())));
    std::fs::create_dir_all(&directory.0).expect("make a directory");
    let socket = directory.0.join("test");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let listener = UnixListener::bind(&socket).expect("bind");
        let serving = tokio::task::spawn_local(serve_accepted(
            Limits::default(),
            async move || listener.accept().await.map(|(stream, _)| (stream, identity(1000))),
            |_| Service { seen: Rc::default() },
        ));
        tokio::task::spawn_blocking(move || ask(&python, &socket)).await.expect("no panic");
        serving.abort();
    });
}
