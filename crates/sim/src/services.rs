//! The services of the false world.

use std::time::Duration;

use session0_model::access::Administrators;
use session0_model::id::ServiceName;
use session0_model::launch::plan::{LaunchPlan, Role};
use session0_model::service::definition::{Definition, Kind, NotifyAccess, Owner, Restart, StartType};
use session0_model::system::Configuration;

use crate::Random;

/// How long an ordered shutdown may take here.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(30);

/// A name that is one.
pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("the simulation uses good names")
}

/// A host of some services that depend on those before them, and the logger.
pub(crate) fn configuration(random: &mut Random) -> Configuration {
    let mut services: Vec<Definition> = Vec::new();
    for number in 0..2 + random.below(7) {
        let mut service = definition(&format!("Service{number}"));
        for other in &services {
            if random.percent(30) {
                service.depends.push(other.name.clone());
            }
        }
        service.start = if random.percent(75) { StartType::Auto } else { StartType::Demand };
        service.kind = if random.percent(50) { Kind::Notify } else { Kind::Simple };
        service.restart =
            *random.pick(&[Restart::Never, Restart::OnFailure, Restart::Always, Restart::Always]);
        service.restart_delay = *random.pick(&[Duration::ZERO, Duration::from_millis(100)]);
        if random.percent(20) {
            service.watchdog = Some(Duration::from_secs(5));
        }
        services.push(service);
    }
    let mut logger = definition("session0-log");
    logger.owner = Owner::Builtin;
    logger.plan.role = Role::Logger;
    logger.restart_delay = Duration::ZERO;
    services.push(logger);
    Configuration {
        pipes_max: None,
        services,
        administrators: Administrators::default(),
        shutdown_wait: SHUTDOWN_WAIT,
        sessions: Default::default(),
        ..Configuration::default()
    }
}

/// The same with one thing changed.
pub(crate) fn changed(configuration: &Configuration, random: &mut Random) -> Configuration {
    let mut changed = configuration.clone();
    let at = usize::try_from(random.below(changed.services.len() as u64)).unwrap_or(0);
    if changed.services[at].owner == Owner::Builtin {
        return changed;
    }
    match random.below(4) {
        0 => drop(changed.services.remove(at)),
        1 => changed.services[at].depends.clear(),
        2 => {
            let other = random.pick(&configuration.services).name.clone();
            changed.services[at].depends.push(other);
        }
        _ => changed.services[at].description.push('!'),
    }
    changed
}

fn definition(text: &str) -> Definition {
    Definition {
        name: name(text),
        description: String::new(),
        start: StartType::Auto,
        kind: Kind::Simple,
        depends: Vec::new(),
        restart: Restart::Always,
        restart_delay: Duration::from_millis(100),
        start_wait: Duration::from_secs(10),
        stop_wait: Duration::from_secs(4),
        stop_signal: 15,
        notify_access: NotifyAccess::Main,
        watchdog: None,
        owner: Owner::Administrator,
        control: Default::default(),
        pipes: Vec::new(),
        account: String::from("LocalSystem"),
        plan: LaunchPlan::bare("/bin/program", 0, 0),
    }
}
