//! `cargo xtask up`: a trial. Builds, starts a host on a root of its own below /tmp, opens a shell that talks to it,
//! and ends it with the shell. What needs root is done by one helper process (`up/host.rs`), which ends the trial
//! when the pipe to us closes: however this program or the shell dies, nothing stays behind.

mod host;

use std::io::{BufRead, BufReader, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use lexopt::prelude::*;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

pub use host::main as host_main;

use crate::{Stop, is_root, release, say, workspace};

/// The helper's command; not for people.
pub const HOST_COMMAND: &str = "trial-host";

/// Runs a trial.
pub fn main(mut parser: lexopt::Parser) -> Result<(), Stop> {
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(first) => {
                command.push(first);
                command.extend(parser.raw_args()?);
            }
            Short('h') | Long("help") => {
                say(
                    "usage: cargo xtask up [-- COMMAND...]\n\nBuilds session0, starts it on a trial root with the example services and opens a shell in it, or runs COMMAND\ninstead. Leaving it ends the trial; nothing of the machine is touched.",
                );
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let programs = release::build()?;
    let running = Arc::new(Running::default());
    listen(Arc::clone(&running))?;
    let mut host = Host::start(&programs, &running)?;
    let outcome = match host.wait_until_up() {
        Ok(trial) if running.is_ended() => Err(Stop::silent(130).after(&trial.root)),
        Ok(trial) => visit(&trial, &programs, &command, &running),
        Err(stop) => Err(stop),
    };
    running.end();
    host.wait_until_gone();
    outcome
}

/// What has to be told about a signal.
#[derive(Default)]
struct Running {
    /// The helper's standard input; closing it ends the trial.
    leash: Mutex<Option<ChildStdin>>,
    /// The shell or the command.
    visitor: Mutex<Option<u32>>,
    ended: Mutex<bool>,
}

impl Running {
    fn end(&self) {
        *lock(&self.ended) = true;
        lock(&self.leash).take();
    }

    fn is_ended(&self) -> bool {
        *lock(&self.ended)
    }

    /// A signal for us: the visitor's matter while there is one, else the end of the trial.
    fn signal(&self, signal: i32) {
        let visitor = *lock(&self.visitor);
        match visitor {
            // The terminal has sent ^C to the visitor itself.
            Some(_) if signal == SIGINT && std::io::stdin().is_terminal() => {}
            Some(pid) => {
                let _ = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
            }
            None => self.end(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(running: Arc<Running>) -> Result<(), Stop> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| format!("could not listen for signals: {error}"))?;
    std::thread::spawn(move || signals.forever().for_each(|signal| running.signal(signal)));
    Ok(())
}

/// A trial that is up.
struct Trial {
    /// Its root.
    root: PathBuf,
    /// Accounts made for it, with their passwords.
    accounts: Vec<(String, String)>,
}

/// The helper and what it says.
struct Host {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn start(programs: &Path, running: &Running) -> Result<Host, Stop> {
        let own = std::env::current_exe().map_err(|error| format!("could not find this program: {error}"))?;
        let mut command = if is_root() {
            Command::new(own)
        } else {
            ask_sudo()?;
            let mut sudo = Command::new("sudo");
            sudo.arg("--non-interactive").arg("--").arg(own);
            sudo
        };
        command.arg(HOST_COMMAND).arg(programs).arg(workspace().join("config/examples"));
        // A group of its own: ^C at the terminal ends the visitor, not the host under it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("could not start the trial: {error}"))?;
        *lock(&running.leash) = child.stdin.take();
        let Some(stdout) = child.stdout.take() else {
            return Err("the trial has no output".to_owned().into());
        };
        Ok(Host { child, lines: BufReader::new(stdout).lines() })
    }

    /// Shows what the helper says until it names the root.
    fn wait_until_up(&mut self) -> Result<Trial, Stop> {
        let mut accounts = Vec::new();
        for line in self.lines.by_ref().map_while(Result::ok) {
            if let Some(root) = line.strip_prefix(host::ROOT_IS) {
                return Ok(Trial { root: PathBuf::from(root), accounts });
            }
            match line.strip_prefix(host::ACCOUNT_IS).and_then(|rest| rest.split_once(' ')) {
                Some((name, password)) => accounts.push((name.to_owned(), password.to_owned())),
                None => say(&line),
            }
        }
        Err(Stop::silent(1))
    }

    fn wait_until_gone(mut self) {
        self.lines.by_ref().map_while(Result::ok).for_each(|line| say(&line));
        let _ = self.child.wait();
    }
}

/// Asks for root, where we are not and a program of ours has to be.
pub fn ask_sudo() -> Result<(), Stop> {
    say("session0 makes namespaces and control groups, which needs root: asking sudo");
    match Command::new("sudo").arg("--validate").status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("sudo said no; run `cargo xtask up` as root".to_owned().into()),
        Err(error) => Err(format!("could not run sudo ({error}); run `cargo xtask up` as root").into()),
    }
}

/// The shell, or the command, and its exit code as ours.
fn visit(
    trial: &Trial,
    programs: &Path,
    command: &[std::ffi::OsString],
    running: &Running,
) -> Result<(), Stop> {
    let mut visitor = match command.split_first() {
        Some((program, arguments)) => {
            let mut visitor = Command::new(program);
            visitor.args(arguments);
            visitor
        }
        None => {
            welcome(trial, programs);
            shell(&trial.root)
        }
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path)))
        .map_err(|error| format!("could not put {} on PATH: {error}", programs.display()))?;
    visitor.env("PATH", path).env("SESSION0_ROOT", &trial.root);
    let spawned = visitor.spawn();
    let name = visitor.get_program().to_string_lossy().into_owned();
    let mut child = spawned.map_err(|error| format!("could not run {name}: {error}"))?;
    *lock(&running.visitor) = Some(child.id());
    let status = child.wait();
    *lock(&running.visitor) = None;
    match status {
        Ok(status) => finish(&name, status, command.is_empty()),
        Err(error) => Err(format!("could not wait for {name}: {error}").into()),
    }
}

/// A shell's exit code is that of its last command: leaving it is success whatever that was.
fn finish(name: &str, status: ExitStatus, was_shell: bool) -> Result<(), Stop> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(_), _) if was_shell => Ok(()),
        (Some(code), _) => Err(Stop::silent(u8::try_from(code).unwrap_or(1))),
        (None, signal) => {
            say(&format!("{name} was ended by signal {}", signal.unwrap_or(0)));
            Err(Stop::silent(u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(1)))
        }
    }
}

fn welcome(trial: &Trial, programs: &Path) {
    let root = &trial.root;
    let status = Command::new(programs.join("s0")).arg("--root").arg(root).arg("status").output();
    let status =
        status.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    say(&format!(
        "\n{status}\n\
         This is a trial: everything is below {root}, nothing of this machine is touched.\n\
         \n  s0 status                     one screen\n  \
         s0 service list               the example services\n  \
         s0 service log clock -f       what one of them says (^C ends the following)\n  \
         s0 service start flaky        one that fails: s0 service status flaky\n  \
         s0 service start asks         one that waits for a user nobody can see\n  \
         {sudo}sh -c 'kill -9 $(cat {root}/run/session0/daemon.lock)'\n                                the daemon is killed; no service notices\n  \
         s0 events --follow            what happens, as it happens\n  \
         s0 --help                     the rest\n\
{people}\
         \nTheir files are in {root}/etc/session0/services. Leave this shell (exit) to end the trial.\n",
        root = root.display(),
        people = people(trial, programs),
        sudo = if is_root() { "" } else { "sudo " },
    ));
}

/// Who can log on, with the line for a second terminal: this one's shell is outside every session.
fn people(trial: &Trial, programs: &Path) -> String {
    let Some((first, _)) = trial.accounts.first() else { return String::new() };
    let mut text = String::from("\n These can log on. Their passwords are shown this once:\n\n");
    for (name, password) in &trial.accounts {
        text.push_str(&format!("  {name:<8} {password}\n"));
    }
    text.push_str(&format!(
        "\n In a second terminal:\n\n  {} --root {} logon {first}\n\n Then, here: s0 session list\n",
        programs.join("s0").display(),
        trial.root.display()
    ));
    text
}

fn shell(root: &Path) -> Command {
    let shell =
        std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&shell);
    if Path::new(&shell).file_name().is_some_and(|name| name == "bash") {
        // The user's own start-up file decides the prompt; ours reads it first.
        command.arg("--rcfile").arg(root.join(host::BASH_START));
    }
    command.env("PS1", "(session0) $ ").env("SESSION0_TRIAL", "1");
    command
}

impl Stop {
    fn after(self, root: &Path) -> Stop {
        say(&format!("interrupted; ending the trial on {}", root.display()));
        self
    }
}
