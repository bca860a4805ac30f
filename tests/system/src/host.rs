//! A host on a root of its own, driven through its command line as a user would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::wait::{eventually, eventually_value};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A program of the product, beside our own executable.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its executable");
    // A test is in target/debug/deps, the suite's own program in target/debug.
    let directory = own.parent().expect("it is in a directory");
    let directory =
        if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    let program = directory.join(name);
    assert!(program.exists(), "{} is not built: run `cargo build --workspace` first", program.display());
    program
}

/// False, and said so, when the test does not run as root.
pub fn needs_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    crate::skip(test, "needs root to make namespaces");
    false
}

/// Where Session 0 sees the probe program: the build directory may lie below /tmp, which is private there.
pub fn probe_path(host: &Host) -> String {
    host.visible.join("probe").display().to_string()
}

/// Whether there is a process with this pid on the machine.
pub fn exists(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// What a command answered.
#[derive(Debug)]
pub struct Run {
    /// Exit code, or -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Of any command.
    pub fn of(command: &mut Command) -> Run {
        let output = command.stdin(Stdio::null()).output().expect("the program can be executed");
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics unless the exit code is 0.
    pub fn ok(self) -> Run {
        assert_eq!(self.code, 0, "expected success:\n{}\n{}", self.out, self.err);
        self
    }

    /// The output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.out))
    }
}

/// A host being prepared.
pub struct HostBuilder {
    root: PathBuf,
    visible: PathBuf,
}

impl HostBuilder {
    /// An empty root.
    #[allow(clippy::new_without_default)]
    pub fn new() -> HostBuilder {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("session0-test-{}-{number}", std::process::id());
        // The root itself is below /tmp, which Session 0 does not see; what services execute is not.
        let root = std::env::temp_dir().join(&name);
        let visible = Path::new("/var/lib").join(&name);
        for directory in [root.join("etc/session0/services"), visible.clone()] {
            fs::create_dir_all(&directory).expect("a fresh directory");
        }
        for directory in [&root, &visible] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("our own directory");
        }
        fs::copy(binary("probe"), visible.join("probe")).expect("the probe can be copied");
        HostBuilder { root, visible }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that Session 0 sees under the same name, with the probe in it.
    pub fn visible(&self) -> &Path {
        &self.visible
    }

    /// The probe's path as a service file needs it.
    pub fn probe(&self) -> String {
        self.visible.join("probe").display().to_string()
    }

    /// Adds `services/<name>.toml`.
    pub fn service(self, name: &str, text: &str) -> HostBuilder {
        fs::write(self.root.join(format!("etc/session0/services/{name}.toml")), text).expect("our own root");
        self
    }

    /// Writes `host.toml`.
    pub fn host_toml(self, text: &str) -> HostBuilder {
        fs::write(self.root.join("etc/session0/host.toml"), text).expect("our own root");
        self
    }

    /// The command `s0 --root ROOT up`, not started.
    pub fn up_command(&self) -> Command {
        let mut command = Command::new(binary("s0"));
        command.arg("--root").arg(&self.root).arg("up").stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it answers and Session 0 is there.
    pub fn start(self) -> Host {
        let host = self.spawn();
        host.wait_until_up();
        host
    }

    /// Starts it without waiting.
    pub fn spawn(self) -> Host {
        let command = self.up_command();
        self.spawn_by(command)
    }

    /// Starts it by this command, which becomes `s0 up`.
    pub fn spawn_by(self, mut command: Command) -> Host {
        let output = fs::File::create(self.root.join("up.out")).expect("our own root");
        let keeper = command
            .stdout(output.try_clone().expect("a file can be duplicated"))
            .stderr(output)
            .spawn()
            .expect("s0 can be executed");
        Host { root: self.root, visible: self.visible, keeper: Some(keeper), session: OnceLock::new() }
    }
}

/// A running host; ends with the test.
pub struct Host {
    root: PathBuf,
    visible: PathBuf,
    keeper: Option<Child>,
    /// The session's control group, once seen: init's parent changes with the keeper, its group does not.
    session: OnceLock<PathBuf>,
}

impl Host {
    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// See [`HostBuilder::visible`].
    pub fn visible(&self) -> &Path {
        &self.visible
    }

    /// The keeper's process id.
    pub fn keeper_pid(&self) -> i32 {
        self.keeper.as_ref().map_or(0, |child| i32::try_from(child.id()).unwrap_or(0))
    }

    /// What `s0 up` printed so far.
    pub fn up_output(&self) -> String {
        fs::read_to_string(self.root.join("up.out")).unwrap_or_default()
    }

    /// Waits until Session 0 is there.
    pub fn wait_until_up(&self) {
        eventually(&format!("the host comes up; it said:\n{}", self.root.join("up.out").display()), || {
            let run = self.s0(&["session", "list", "--json"]);
            run.code == 0 && run.out.contains("disconnected")
        });
    }

    /// `s0 --root ROOT ARGUMENTS`.
    pub fn s0(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.s0_command(arguments))
    }

    /// `s0 service status NAME --json`, the service's object.
    pub fn service(&self, name: &str) -> Value {
        self.s0(&["service", "status", name, "--json"]).ok().json()
    }

    /// A service's state by name: `Running` ...
    pub fn state(&self, name: &str) -> String {
        let run = self.s0(&["service", "status", name, "--json"]);
        if run.code != 0 {
            return format!("exit {}: {}", run.code, run.err);
        }
        let state = run.json()["state"].as_str().unwrap_or("?").to_owned();
        // `start_pending` on the wire is `StartPending` to people.
        state.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
    }

    /// Waits for a service's state.
    pub fn wait_state(&self, name: &str, state: &str) {
        eventually(&format!("{name} is {state}, it is {}", self.state(name)), || self.state(name) == state);
    }

    /// A service's output so far, without time stamps.
    pub fn log(&self, name: &str) -> String {
        let directory = self.root.join("var/log/session0/services");
        let text = fs::read_to_string(directory.join(format!("{name}.log"))).unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits until a service's output has `text`, and returns all of it.
    pub fn wait_log(&self, name: &str, text: &str) -> String {
        eventually_value(&format!("{name} prints {text:?}; it printed:\n{}", self.log(name)), || {
            Some(self.log(name)).filter(|log| log.contains(text))
        })
    }

    /// The pid of a process of ours, on the machine, by the text in its lock file.
    pub fn lock_pid(&self, lock: &str) -> i32 {
        let text = fs::read_to_string(self.root.join("run/session0").join(lock)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// The daemon's pid.
    pub fn daemon_pid(&self) -> i32 {
        self.lock_pid("daemon.lock")
    }

    /// Pids on the machine of a unit's processes, or of `init`.
    pub fn pids(&self, unit: &str) -> Vec<i32> {
        let group = if unit == "init" { self.group("init") } else { self.group(&format!("work/{unit}")) };
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The directory of a control group of Session 0 in the v2 tree.
    pub fn group(&self, below: &str) -> PathBuf {
        let init = self.session_group();
        init.join(below)
    }

    fn session_group(&self) -> PathBuf {
        if let Some(known) = self.session.get() {
            return known.clone();
        }
        match self.look_for_session_group() {
            Some(found) => self.session.get_or_init(|| found).clone(),
            None => PathBuf::from("/nonexistent"),
        }
    }

    fn look_for_session_group(&self) -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
        let mount = mounts
            .lines()
            .find(|line| line.contains(" - cgroup2 "))
            .and_then(|line| line.split(' ').nth(4))
            .expect("a cgroup v2 tree");
        let child = daemon_children(self.daemon_pid(), self.keeper_pid());
        for pid in child {
            let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("");
            if let Some(at) = path.find("/session-0") {
                return Some(PathBuf::from(format!("{mount}{}", &path[..at + "/session-0".len()])));
            }
        }
        None
    }

    /// Kills a process of ours with SIGKILL.
    pub fn kill(&self, pid: i32) {
        assert!(pid > 1, "no such process");
        let pid = rustix::process::Pid::from_raw(pid).expect("positive");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }

    /// Waits until another daemon than `old` answers.
    pub fn wait_new_daemon(&self, old: i32) {
        eventually("a new daemon answers", || {
            self.daemon_pid() != old && self.s0(&["session", "list", "--json"]).code == 0
        });
    }

    /// `s0 down`, and the keeper's end.
    pub fn down(mut self) -> Run {
        let run = self.s0(&["down"]);
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.wait();
        }
        run
    }

    /// Gives the keeper away: the test ends it itself.
    pub fn take_keeper(&mut self) -> Option<Child> {
        self.keeper.take()
    }

    /// Starts `s0 up` again on the same root.
    pub fn up_again(&mut self) {
        let output =
            fs::File::options().append(true).create(true).open(self.root.join("up.out")).expect("ours");
        let keeper = Command::new(binary("s0"))
            .arg("--root")
            .arg(&self.root)
            .arg("up")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be duplicated"))
            .stderr(output)
            .spawn()
            .expect("s0 can be executed");
        self.keeper = Some(keeper);
    }
}

/// Processes whose parent is one of these.
fn daemon_children(daemon: i32, keeper: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split(' ').nth(2))
            .and_then(|p| p.parse::<i32>().ok());
        if parent.is_some_and(|parent| parent == daemon || parent == keeper) {
            found.push(pid);
        }
    }
    found
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("s0 up said:\n{}", self.up_output());
        }
        if let Some(mut keeper) = self.keeper.take() {
            let run = self.s0(&["down"]);
            if run.code != 0 {
                // It does not answer: end it as hard as needed so that nothing of a failed test stays.
                let group = self.session_group();
                let _ = keeper.kill();
                let daemon = self.daemon_pid();
                if daemon > 1 {
                    self.kill(daemon);
                }
                let _ = fs::write(group.join("cgroup.kill"), "1");
            }
            let _ = keeper.wait();
        }
        let _ = fs::remove_dir_all(&self.root);
        let _ = fs::remove_dir_all(&self.visible);
    }
}
