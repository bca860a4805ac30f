//! `s0 doctor`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use session0::api::session::SessionStatus;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::keeper::daemon::find_program;
use crate::output::Paint;

/// What session0 needs of this machine, and what is missing
///
/// Names every facility of the kernel, found or missing; for a missing one, what is lost without it and how to accept that.
/// `s0 up` refuses in the same words. When the host is up, sessions whose init speaks an old protocol are listed too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo s0 doctor\n  sudo s0 doctor --json")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "examine this machine";
    if !rustix::process::geteuid().is_root() {
        let reason = "what the kernel can do is tried, and only root may try it";
        return Err(Failure::new(Kind::NotPermitted, tried, reason)
            .hint(format!("sudo s0 {}doctor", context.root.flag())));
    }
    let mut command = offline(context, "--doctor")?;
    if context.output.json {
        command.arg("--json");
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::fault(tried, error))?;
    let sessions = sessions(context);
    if context.output.json {
        let facilities: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::fault(tried, format!("session0d --doctor does not speak json: {error}"))
        })?;
        context.output.json(&merged(facilities, sessions));
    } else {
        context.output.bytes(&output.stdout);
        context.output.line(inits(context, sessions.as_deref()));
    }
    if output.status.success() { Ok(()) } else { Err(Failure::told(Kind::Refused)) }
}

/// One of session0d's verbs that need no host.
pub fn offline(context: &Context, verb: &str) -> Result<Command, Failure> {
    let mut command = Command::new(find_program("session0d")?);
    if !context.root.is_machine() {
        command.arg("--root").arg(context.root.directory());
    }
    command.env_remove("SESSION0_ROOT").arg(verb);
    Ok(command)
}

/// Sessions, if the host answers; a doctor is called when it does not, too.
fn sessions(context: &Context) -> Option<Vec<SessionStatus>> {
    context.client("ask for sessions").ok()?.sessions().ok()
}

fn merged(facilities: Value, sessions: Option<Vec<SessionStatus>>) -> Value {
    match facilities {
        Value::Object(mut object) => {
            object.insert("sessions".to_owned(), json!(sessions));
            Value::Object(object)
        }
        other => json!({ "facilities": other, "sessions": sessions }),
    }
}

fn inits(context: &Context, sessions: Option<&[SessionStatus]>) -> String {
    let Some(sessions) = sessions else {
        return format!(
            "\nthe host at {} does not answer, so sessions were not examined",
            context.socket.display()
        );
    };
    // Session 0 is made by every daemon with its own init first, so the newest protocol known is the daemon's.
    let newest =
        CURRENT_PROTOCOL.max(sessions.iter().filter_map(|session| session.protocol).max().unwrap_or(0));
    let mut lines = vec![String::new()];
    for session in sessions {
        let (paint, text) = match session.protocol {
            Some(protocol) if protocol < newest => (
                Paint::Moving,
                format!(
                    "its init speaks protocol {protocol}, the newest is {newest}; it is replaced when the session is made again"
                ),
            ),
            Some(protocol) => (Paint::Plain, format!("its init speaks protocol {protocol}, the newest")),
            None => (Paint::Bad, "it has no init at the moment".to_owned()),
        };
        lines.push(context.output.paint(paint, &format!("session {}: {text}", session.id)));
    }
    lines.join("\n")
}

/// The protocol between daemon and init that came with this version.
const CURRENT_PROTOCOL: u16 = 4;
