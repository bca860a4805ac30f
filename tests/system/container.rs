//! As a container's first process, with the flags of docs/guide/containers.md. The container is made by hand
//! (`container/enter.sh`), as docker and podman make it: neither has to be on this machine.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use session0_system_tests::{HostBuilder, Run, binary, eventually, needs_root, skip};

/// What the guide adds to each engine's own capabilities.
const ENGINES: [(&str, &[&str]); 2] =
    [("docker", &["sys_admin"]), ("podman", &["sys_admin", "mknod", "audit_write"])];

fn enter(engine: &str, capabilities: &[&str]) -> Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("container/enter.sh");
    let mut command = Command::new(script);
    command.args(["--engine", engine]).stdin(Stdio::null());
    for capability in capabilities {
        command.args(["--cap-add", capability]);
    }
    command
}

/// Whether a container can be made here: the script needs an overlay and a few tools.
fn can_enter(test: &str) -> bool {
    if !needs_root(test) {
        return false;
    }
    let tried = Run::of(enter("docker", &[]).args(["--", "true"]));
    if tried.code != 0 {
        skip(test, &format!("no container can be made here: {}", tried.err.trim()));
    }
    tried.code == 0
}

struct Container(Child);

impl Drop for Container {
    fn drop(&mut self) {
        // TERM: the script has groups to remove, and passes it on.
        if let Ok(None) = self.0.try_wait() {
            let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
            let _ = self.0.wait();
        }
    }
}

#[test]
fn up_is_a_containers_first_process_with_the_documented_flags() {
    if !can_enter("up_is_a_containers_first_process_with_the_documented_flags") {
        return;
    }
    for (engine, capabilities) in ENGINES {
        let say = "cat /etc/hostname; trap \\\"echo goodbye; exit 0\\\" TERM; echo ready; while :; do sleep 0.1; done";
        let file = format!("command = [\"/bin/sh\", \"-c\", \"{say}\"]\nstart = \"auto\"\n");
        let builder = HostBuilder::new().service("a", &file);
        let root = builder.root().to_owned();
        let programs = binary("s0").parent().expect("in a directory").to_owned();
        let mut command = enter(engine, capabilities);
        // As volumes: where the configuration is and the logs go, and the programs.
        command.env("SESSION0_CONTAINER_SHARE", format!("{} {}", root.display(), programs.display()));
        command.arg("--").arg(binary("s0")).arg("--root").arg(&root).arg("up");
        let mut container = Container(command.stdout(Stdio::null()).spawn().expect("the script"));
        let log =
            || std::fs::read_to_string(root.join("var/log/session0/services/a.log")).unwrap_or_default();
        eventually(&format!("the service runs in a container of {engine}"), || log().contains("ready"));
        assert!(
            log().contains("bound by the engine"),
            "it sees the files the engine has put there:\n{}",
            log()
        );
        // What `docker stop` does.
        Run::of(Command::new("kill").args(["-TERM", &container.0.id().to_string()])).ok();
        let status = container.0.wait().expect("it ends");
        assert!(status.success(), "{engine}: {status:?}");
        assert!(log().contains("goodbye"), "the service was told to stop:\n{}", log());
        let _ = std::fs::remove_dir_all(&root);
        let _ = std::fs::remove_dir_all(builder.visible());
    }
}

#[test]
fn a_container_without_the_flags_is_told_what_it_lacks() {
    if !can_enter("a_container_without_the_flags_is_told_what_it_lacks") {
        return;
    }
    let programs = binary("s0").parent().expect("in a directory").display().to_string();
    let doctor = |command: &mut Command| {
        command.env("SESSION0_CONTAINER_SHARE", &programs);
        Run::of(command.arg("--").arg(binary("s0")).arg("doctor"))
    };
    let plain = doctor(&mut enter("docker", &[]));
    assert!(plain.code != 0 && plain.out.contains("missing  namespaces"), "{plain:?}");
    let read_only = doctor(enter("docker", &["sys_admin"]).arg("--read-only-cgroups"));
    let word = "missing  control groups v2: Read-only file system";
    assert!(read_only.code != 0 && read_only.out.contains(word), "{read_only:?}");
}
