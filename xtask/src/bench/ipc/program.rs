//! The program that is both ends (`tests/bench`), and the servers that are started with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::bench::Outcome;
use crate::bench::manager::{first_line, on_path};
use crate::bench::process::{Running, clean, tree};

/// The processor of what is pinned.
const PROCESSOR: usize = 0;
/// A server is there after this, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether everything runs on one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// On one.
    Yes,
    /// Where the kernel likes.
    No,
}

impl Pinned {
    /// By the end of a row's id.
    pub fn of(row: &str) -> Pinned {
        if row.ends_with("-pinned") { Pinned::Yes } else { Pinned::No }
    }
}

/// The program.
pub struct Program {
    /// Where it is; Session 0 sees it.
    pub path: PathBuf,
    /// The bench's directory.
    pub root: PathBuf,
}

impl Program {
    /// A command.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }

    /// Microseconds of each exchange with these servers (name, address), in turns.
    pub fn measure(
        &self,
        arguments: &[String],
        servers: &[(String, String)],
        pinned: Pinned,
    ) -> Outcome<BTreeMap<String, Vec<f64>>> {
        let mut command = self.command();
        command.arg("measure").args(arguments);
        if pinned == Pinned::Yes {
            command.args(["--cpu", &PROCESSOR.to_string()]);
        }
        command.args(servers.iter().map(|(name, address)| format!("{name}={address}")));
        let output = clean(&mut command, &self.root)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("starting {}: {e}", self.path.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        serde_json::from_slice::<serde_json::Value>(&output.stdout)
            .map_err(|e| format!("reading what was measured: {e}"))?
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, samples)| {
                let samples = samples.as_array().into_iter().flatten();
                Ok((name.clone(), samples.filter_map(serde_json::Value::as_f64).collect()))
            })
            .collect()
    }

    /// Waits until a server answers.
    pub fn wait(&self, what: &str, address: &str) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            let arguments = [what, "--size", "1", "--count", "1"].map(str::to_owned);
            match self.measure(&arguments, &[("server".to_owned(), address.to_owned())], Pinned::No) {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

/// Keeps every process that this one has started to one processor, or lets them go where they like.
pub fn pin_everything(pinned: Pinned) -> Outcome<()> {
    let mut set = CpuSet::new();
    match pinned {
        Pinned::Yes => set.set(PROCESSOR),
        Pinned::No => (0..CpuSet::MAX_CPU).for_each(|processor| set.set(processor)),
    }
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    for process in tree(me).into_iter().filter(|process| process.pid != me) {
        let threads = std::fs::read_dir(format!("/proc/{}/task", process.pid));
        // Who has ended meanwhile need not be pinned.
        for thread in threads.into_iter().flatten().flatten() {
            let thread =
                thread.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            match sched_setaffinity(thread, &set) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(format!("pinning process {}: {error}", process.pid)),
            }
        }
    }
    Ok(())
}

/// The peers that run, by name and address. Dropping them ends them.
pub struct Peers {
    /// Buses with our service on them: name and path.
    pub buses: Vec<(&'static str, PathBuf)>,
    /// A raw stream server.
    pub stream: PathBuf,
    /// A raw packet server.
    pub seqpacket: PathBuf,
    /// Those that are not here, and why.
    pub absent: Vec<String>,
    /// What they are, for the page.
    pub versions: Vec<String>,
    _running: Vec<Running>,
}

impl Peers {
    /// Starts what is on this machine, each in a directory of its own.
    pub fn start(program: &Program) -> Outcome<Peers> {
        let place = program.root.join("peers");
        std::fs::create_dir_all(&place).map_err(|e| format!("making {}: {e}", place.display()))?;
        // The system bus's daemon is another user once it listens.
        let (stream, seqpacket) = (place.join("stream"), place.join("seqpacket"));
        let mut peers = Peers {
            buses: Vec::new(),
            stream: stream.clone(),
            seqpacket: seqpacket.clone(),
            absent: Vec::new(),
            versions: Vec::new(),
            _running: Vec::new(),
        };
        for address in [format!("stream:{}", stream.display()), format!("seqpacket:{}", seqpacket.display())]
        {
            peers.serve(program, &place, &address)?;
            program.wait("round-trip", &address)?;
        }
        for (name, command) in buses(program, &place)? {
            match command {
                Ok(command) => {
                    let path = place.join(socket_name(name));
                    match peers.bus(program, &place, command, &path) {
                        Ok(()) => peers.buses.push((name, path)),
                        Err(error) => peers.absent.push(format!("{name}: {error}")),
                    }
                }
                Err(missing) => peers.absent.push(missing),
            }
        }
        peers.versions = ["dbus-daemon", "dbus-broker"]
            .into_iter()
            .filter(|name| on_path(name).is_some())
            .map(version)
            .collect();
        Ok(peers)
    }

    fn serve(&mut self, program: &Program, place: &Path, address: &str) -> Outcome<()> {
        let mut serve = program.command();
        serve.args(["serve", address]);
        self._running.push(Running::start(serve, place)?);
        Ok(())
    }

    fn bus(&mut self, program: &Program, place: &Path, command: Command, path: &Path) -> Outcome<()> {
        self._running.push(Running::start(command, place)?);
        program.wait("connect", &format!("bus:{}", path.display()))?;
        let address = format!("dbus:{}", path.display());
        self.serve(program, place, &address)?;
        program.wait("call", &address)
    }
}

fn socket_name(bus: &str) -> String {
    bus.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn version(program: &str) -> String {
    let mut command = Command::new(program);
    command.arg("--version");
    let said = first_line(command);
    if said.starts_with(program) { said } else { format!("{program}: {said}") }
}

type Bus = (&'static str, Result<Command, String>);

/// How each bus is started, or why it is not.
fn buses(program: &Program, place: &Path) -> Outcome<Vec<Bus>> {
    use super::rows::{BROKER, DBUS, DBUS_SYSTEM};
    const SESSION: &str = "/usr/share/dbus-1/session.conf";
    const SYSTEM: &str = "/usr/share/dbus-1/system.conf";
    let policy = place.join("system.conf");
    std::fs::write(&policy, POLICY.replace("SYSTEM", SYSTEM))
        .map_err(|e| format!("writing {}: {e}", policy.display()))?;
    let daemon = |name: &'static str, needs: &str, configuration: &Path| {
        let missing = on_path("dbus-daemon").is_none() || !Path::new(needs).exists();
        let command = || {
            let mut command = Command::new("dbus-daemon");
            let path = place.join(socket_name(name));
            command
                .arg(format!("--config-file={}", configuration.display()))
                .arg(format!("--address=unix:path={}", path.display()))
                .args(["--nofork", "--nopidfile"]);
            command
        };
        let found = if missing {
            Err(format!("{name}: dbus-daemon or {needs} is missing (Debian's package dbus)"))
        } else {
            Ok(command())
        };
        (name, found)
    };
    let broker = match on_path("dbus-broker") {
        Some(_) => {
            let mut command = program.command();
            command.arg("broker").arg(place.join(socket_name(BROKER)));
            Ok(command)
        }
        None => Err(format!("{BROKER}: not on PATH (Debian's package dbus-broker)")),
    };
    Ok(vec![
        daemon(DBUS, SESSION, Path::new(SESSION)),
        daemon(DBUS_SYSTEM, SYSTEM, &policy),
        (BROKER, broker),
    ])
}

/// The system bus's own configuration, and the permission that a service's package brings along.
const POLICY: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>SYSTEM</include>
  <policy context="default">
    <allow own="io.session0.Bench"/>
    <allow send_destination="io.session0.Bench"/>
  </policy>
</busconfig>
"#;
