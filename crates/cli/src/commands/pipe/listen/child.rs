//! One client's command.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::net::Shutdown;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use session0::api::pipe::{Impersonation, PipeType};
use session0::pipe::Instance;

use crate::commands::pipe::join::{Form, Framing, Relay, Ways};

/// What is done for each client.
pub struct Orders {
    /// The pipe's name.
    pub pipe: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Where messages end in its input and output.
    pub framing: Framing,
}

/// A command that runs.
pub struct Served {
    instance: Arc<Instance>,
    child: Child,
    relay: Option<Relay>,
}

impl Served {
    /// Starts the command with the pipe as its standard streams. The second is its process, to be signalled whenever it ends.
    pub fn start(orders: &Orders, instance: Instance) -> io::Result<(Served, OwnedFd)> {
        let instance = Arc::new(instance);
        let ways = Ways::of(&instance);
        let mut command = command(orders, &instance);
        let messages = instance.kind() == PipeType::Message;
        let stream = || -> io::Result<Stdio> {
            if messages { Ok(Stdio::piped()) } else { Ok(instance.as_fd().try_clone_to_owned()?.into()) }
        };
        command.stdin(if ways.reads { stream()? } else { Stdio::null() });
        if ways.writes {
            command.stdout(stream()?);
        }
        let mut child = command.spawn()?;
        // The command has the pipe from here on; our copies are gone with this.
        drop(command);
        let process = match process(&child) {
            Ok(process) => process,
            Err(error) => return Err(end(child, error)),
        };
        let input = child.stdin.take().map(|input| File::from(OwnedFd::from(input)));
        let output = child.stdout.take().map(|output| File::from(OwnedFd::from(output)));
        let form = Form { framing: orders.framing.clone(), json: false };
        let relay = match messages.then(|| Relay::start(Arc::clone(&instance), output, input, &form)) {
            None => None,
            Some(Ok(relay)) => Some(relay),
            Some(Err(error)) => return Err(end(child, error)),
        };
        Ok((Served { instance, child, relay }, process))
    }

    /// Waits until the command has ended, what it said has been passed on, and the pipe is closed.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        if let Some(mut relay) = self.relay {
            relay.wait_said();
            // Whoever still waits for what the client says is woken; what was said to the client stays to be read.
            let _ = rustix::net::shutdown(&*self.instance, Shutdown::Both);
            relay.wait_heard();
        }
        status
    }
}

fn process(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the system gave it no number"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A command that cannot be served is not left behind.
fn end(mut child: Child, error: io::Error) -> io::Error {
    let _ = child.kill();
    let _ = child.wait();
    error
}

fn command(orders: &Orders, instance: &Instance) -> Command {
    let mut command = Command::new(&orders.command[0]);
    command.args(&orders.command[1..]);
    let client = instance.client();
    let anonymous = client.impersonation() == Impersonation::Anonymous;
    let known = |text: String| (!anonymous).then_some(text);
    let level = match client.impersonation() {
        Impersonation::Anonymous => Some("anonymous"),
        Impersonation::Identification => Some("identification"),
        Impersonation::Impersonation => Some("impersonation"),
        Impersonation::Unknown => None,
    };
    let variables = [
        ("S0_PIPE_NAME", Some(orders.pipe.clone())),
        ("S0_PIPE_SESSION", client.session().map(|session| session.to_string())),
        ("S0_PIPE_UID", Some(client.uid().to_string())),
        ("S0_PIPE_GID", Some(client.gid().to_string())),
        ("S0_PIPE_PID", known(client.pid().to_string())),
        ("S0_PIPE_ACCOUNT", client.account().map(str::to_owned)),
        ("S0_PIPE_SERVICE", client.service().map(str::to_owned)),
        ("S0_PIPE_IMPERSONATION", level.map(str::to_owned)),
    ];
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            // What somebody else's client left there is nothing about this one.
            None => command.env_remove(name),
        };
    }
    command
}
