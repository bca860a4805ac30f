//! Services.

use session0_api::service::{
    Dependents, Kind, OutputLost, ServiceState, ServiceStatus, StartType, TripwireOutcome, Wait, WaitsForUser,
};
use session0_model::id::ServiceName;
use session0_model::service::{definition, status};
use session0_model::system;

use super::{failure, ms};
use crate::api::host::Host;

/// Services, as they come.
pub fn all<H: Host>(host: &H, services: &[status::Status]) -> Vec<ServiceStatus> {
    services.iter().map(|service| self::status(host, service)).collect()
}

/// One service.
pub fn status<H: Host>(host: &H, service: &status::Status) -> ServiceStatus {
    ServiceStatus {
        name: service.name.to_string(),
        description: service.description.clone(),
        start: start_type(service.start),
        kind: kind(service.kind),
        account: service.account.clone(),
        state: state(service.state),
        state_number: service.state.number(),
        since_ms: host.wall_ms(service.since),
        attention: attention(service),
        launch: service.launch.map(|launch| launch.0),
        pid: service.pid,
        failure: service.failure.as_ref().map(failure::failure),
        failures: service.failures,
        restart_at_ms: service.restart_at.map(|at| host.wall_ms(at)),
        last_exit: service.last_exit.map(failure::exit),
        last_usage: service.last_usage.map(failure::usage),
        text: service.text.clone(),
        reloading: service.reloading == status::Reloading::Yes,
        waits_for: service.waits_for.as_ref().map(ToString::to_string),
        waits_for_user: service.waits_for_user.as_ref().map(|waits| waits_for_user(host, waits)),
        output_lost: output_lost(service.output_lost),
        stop_wait_ms: ms(service.stop_wait),
        command: Vec::new(),
        depends: Vec::new(),
        dependents: Vec::new(),
    }
}

/// One service, with what is configured of it.
pub fn in_full<H: Host>(host: &H, service: &status::Status) -> ServiceStatus {
    let configured = host.configured(&service.name);
    let names = |names: Vec<ServiceName>| names.iter().map(ToString::to_string).collect();
    ServiceStatus {
        command: configured.command,
        depends: names(configured.depends),
        dependents: names(configured.dependents),
        ..status(host, service)
    }
}

/// A state.
pub fn state(state: status::State) -> ServiceState {
    match state {
        status::State::Stopped => ServiceState::Stopped,
        status::State::StartPending => ServiceState::StartPending,
        status::State::StopPending => ServiceState::StopPending,
        status::State::Running => ServiceState::Running,
    }
}

/// Lost output.
pub fn output_lost(lost: status::OutputLost) -> OutputLost {
    OutputLost { lines: lost.lines, bytes: lost.bytes }
}

/// When to answer.
pub fn wait(wait: Option<Wait>) -> system::Wait {
    match wait.unwrap_or_default() {
        Wait::Begun => system::Wait::Begun,
        Wait::Settled => system::Wait::Settled,
    }
}

/// What becomes of dependents.
pub fn dependents(dependents: Option<Dependents>) -> system::Dependents {
    match dependents.unwrap_or_default() {
        Dependents::Refuse => system::Dependents::Refuse,
        Dependents::Stop => system::Dependents::Stop,
    }
}

fn start_type(start: definition::StartType) -> StartType {
    match start {
        definition::StartType::Auto => StartType::Auto,
        definition::StartType::Demand => StartType::Demand,
    }
}

fn kind(kind: definition::Kind) -> Kind {
    match kind {
        definition::Kind::Simple => Kind::Simple,
        definition::Kind::Notify => Kind::Notify,
    }
}

/// What an administrator should know, in sentences about "it".
fn attention(service: &status::Status) -> Vec<String> {
    let mut attention = Vec::new();
    if let Some(failure) = &service.failure {
        attention.push(failure::text(failure));
    }
    if service.restart_at.is_some() {
        let times = if service.failures == 1 { "once" } else { "several times in a row" };
        attention.push(format!("it failed {times} and will be started again"));
    }
    if let Some(waits) = &service.waits_for_user {
        attention.push(format!("it waits for a user nobody can see: {}", waits.call));
    }
    if service.output_lost != status::OutputLost::default() {
        let lost = service.output_lost;
        attention.push(format!("{} lines ({} bytes) of its output were lost", lost.lines, lost.bytes));
    }
    attention
}

fn waits_for_user<H: Host>(host: &H, waits: &status::WaitsForUser) -> WaitsForUser {
    WaitsForUser {
        call: waits.call.clone(),
        at_ms: host.wall_ms(waits.at),
        outcome: match waits.outcome {
            status::TripwireOutcome::Held => TripwireOutcome::Held,
            status::TripwireOutcome::Refused => TripwireOutcome::Refused,
        },
        instead: instead(&waits.call).to_owned(),
    }
}

/// What to use instead of a call that only a person could answer.
fn instead(call: &str) -> &'static str {
    if call.contains("/tty") || call.contains("/console") {
        "give it what it asks for in its configuration, its arguments or its environment (many programs have a \
         --batch or --non-interactive option); a question for a person belongs to a program in that person's session"
    } else {
        "write to standard output, which `s0 service log` shows; a window for a person belongs to a program in that \
         person's session, which talks to the service over a socket"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_about_the_call() {
        assert!(instead("open /dev/tty").contains("--batch"));
        assert!(instead("open /dev/console").contains("--batch"));
        assert!(instead("connect /tmp/.X11-unix/X0").contains("window"));
        assert!(instead("connect /run/user/1000/wayland-0").contains("window"));
    }
}
