//! The host.

use session0_api::host::{Degraded, HostPhase, HostStatus, Kept, ReloadReport, ServiceCounts};
use session0_model::id::ServiceName;
use session0_model::system;

use super::{service, session};
use crate::api::host::Host;

/// The host as it is.
pub fn status<H: Host>(host: &H, status: &system::HostStatus) -> HostStatus {
    let [stopped, start_pending, stop_pending, running] = status.counts;
    HostStatus {
        phase: match status.phase {
            system::HostPhase::Starting => HostPhase::Starting,
            system::HostPhase::Up => HostPhase::Up,
            system::HostPhase::ShuttingDown => HostPhase::ShuttingDown,
        },
        started_ms: host.wall_ms(status.started),
        sessions: session::all(host, &status.sessions),
        counts: ServiceCounts { stopped, start_pending, stop_pending, running },
        attention: service::all(host, &status.attention),
        configuration_errors: status.configuration_errors,
        degraded: host.degraded().into_iter().map(|(facility, lost)| Degraded { facility, lost }).collect(),
    }
}

/// What a reload did.
pub fn reload_report(report: &system::ReloadReport) -> ReloadReport {
    let names = |names: &[ServiceName]| names.iter().map(ToString::to_string).collect();
    let kept =
        |(name, reason): &(ServiceName, String)| Kept { name: name.to_string(), reason: reason.clone() };
    ReloadReport {
        added: names(&report.added),
        removed: names(&report.removed),
        changed: names(&report.changed),
        need_restart: names(&report.need_restart),
        kept: report.kept.iter().map(kept).collect(),
        errors: report.errors,
        settings_now: report.settings.now.clone(),
        settings_next_session: report.settings.next_session.clone(),
        settings_kept: report.settings.file == system::SettingsFile::Broken,
    }
}
