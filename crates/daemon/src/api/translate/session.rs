//! Sessions.

use session0_api::session::{ConnectState, SessionStatus};
use session0_model::session::status;

use crate::api::host::Host;

/// Sessions, as they come.
pub fn all<H: Host>(host: &H, sessions: &[status::SessionStatus]) -> Vec<SessionStatus> {
    sessions.iter().map(|session| self::status(host, session)).collect()
}

/// One session.
pub fn status<H: Host>(host: &H, session: &status::SessionStatus) -> SessionStatus {
    let user = session.user.as_deref();
    SessionStatus {
        id: session.id.0,
        name: session.name.clone(),
        state: state(session.state),
        state_number: session.state.number(),
        created_ms: host.wall_ms(session.created),
        protocol: session.protocol,
        programs: session.programs,
        trouble: session.trouble.clone(),
        user: user.map(|user| user.name.to_string()),
        uid: user.map(|user| user.uid),
        logon_ms: user.map(|user| host.wall_ms(user.logon)),
        connected_ms: user.map(|user| host.wall_ms(user.connected)),
        disconnected_ms: user.and_then(|user| user.disconnected).map(|at| host.wall_ms(at)),
        client: user.map(|user| user.client.clone()).filter(|name| !name.is_empty()),
        client_uid: user.map(|user| user.client_uid),
    }
}

fn state(state: status::ConnectState) -> ConnectState {
    match state {
        status::ConnectState::Active => ConnectState::Active,
        status::ConnectState::Disconnected => ConnectState::Disconnected,
        status::ConnectState::Down => ConnectState::Down,
        status::ConnectState::Init => ConnectState::Init,
    }
}
