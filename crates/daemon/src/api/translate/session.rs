//! Sessions.

use session0_api::session::{ConnectState, SessionStatus};
use session0_model::session::status;

use crate::api::host::Host;

/// Sessions, as they come.
pub fn all<H: Host>(host: &H, sessions: &[status::SessionStatus]) -> Vec<SessionStatus> {
    sessions.iter().map(|session| self::status(host, session)).collect()
}

fn status<H: Host>(host: &H, session: &status::SessionStatus) -> SessionStatus {
    SessionStatus {
        id: session.id.0,
        name: session.name.clone(),
        state: state(session.state),
        state_number: session.state.number(),
        created_ms: host.wall_ms(session.created),
        protocol: session.protocol,
        programs: session.programs,
        trouble: session.trouble.clone(),
        user: None,
        uid: None,
        logon_ms: None,
        connected_ms: None,
        disconnected_ms: None,
        client: None,
        client_uid: None,
    }
}

fn state(state: status::ConnectState) -> ConnectState {
    match state {
        status::ConnectState::Disconnected => ConnectState::Disconnected,
        status::ConnectState::Down => ConnectState::Down,
        status::ConnectState::Init => ConnectState::Init,
    }
}
