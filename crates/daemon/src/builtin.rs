//! Our own services: the logger.

use std::path::Path;
use std::time::Duration;

use session0_model::access::Grant;
use session0_model::id::ServiceName;
use session0_model::launch::plan::{Environment, LaunchPlan, Role};
use session0_model::limit;
use session0_model::service::definition::{Definition, Kind, NotifyAccess, Owner, Restart, StartType};

use crate::config::{NOTIFY_SOCKET, PROGRAM_PATH, Settings};

/// The logger's name: the only unit that may report lost output.
pub const LOGGER: &str = "session0-log";

/// The logger, its program at `program`.
pub fn logger(program: &Path, settings: &Settings) -> Option<Definition> {
    let program = program.to_str()?.to_owned();
    let uid = settings.logger_uid();
    let rotation = settings.log;
    let arguments = [
        LOGGER.to_owned(),
        "--max-size".into(),
        rotation.max_bytes.to_string(),
        "--keep".into(),
        rotation.keep.to_string(),
    ];
    let variables = [("PATH", PROGRAM_PATH), ("HOME", "/"), ("NOTIFY_SOCKET", NOTIFY_SOCKET)];
    Some(Definition {
        name: ServiceName::new(LOGGER).ok()?,
        description: "writes the output of services to rotated files".into(),
        start: StartType::Auto,
        kind: Kind::Simple,
        depends: Vec::new(),
        restart: Restart::Always,
        restart_delay: Duration::ZERO,
        start_wait: limit::START_WAIT,
        stop_wait: limit::STOP_WAIT,
        stop_signal: 15,
        notify_access: NotifyAccess::Main,
        watchdog: None,
        owner: Owner::Builtin,
        control: Grant::default(),
        pipes: Vec::new(),
        account: format!("uid {uid}"),
        plan: LaunchPlan {
            arguments: arguments.into(),
            environment: Environment::new(variables),
            role: Role::Logger,
            ..LaunchPlan::bare(&program, uid, uid)
        },
    })
}
