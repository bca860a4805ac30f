//! What the machine can do, what it cannot, and what the administrator accepted to be without.

use std::sync::OnceLock;

use session0_model::launch::session_plan::Facilities;
use session0_sys::facility::{Probe, found, probe};

/// Everything that was tried, tried once.
pub fn probes() -> &'static [Probe] {
    static PROBES: OnceLock<Vec<Probe>> = OnceLock::new();
    PROBES.get_or_init(probe)
}

/// The facility with this word for `accept =`.
pub fn by_word(word: &str) -> Option<Facilities> {
    probes().iter().find(|probe| probe.accept == Some(word)).map(|probe| probe.facility)
}

/// All words for `accept =`.
pub fn words() -> Vec<&'static str> {
    probes().iter().filter_map(|probe| probe.accept).collect()
}

/// Everything that works here, wanted or not.
pub fn all_found() -> Facilities {
    found(probes())
}

/// What is used: found. What is missing and not accepted refuses the start.
pub fn usable(accepted: Facilities) -> Result<Facilities, String> {
    let missing: Vec<&Probe> =
        probes().iter().filter(|probe| !probe.found && !accepted.contains(probe.facility)).collect();
    if missing.is_empty() {
        return Ok(all_found());
    }
    Err(refusal(&missing))
}

/// Why a host is not started here, and what to write where.
fn refusal(missing: &[&Probe]) -> String {
    let mut text = String::from("this machine lacks what a session is made of:\n");
    for probe in missing {
        text.push_str(&line(probe));
    }
    let words: Vec<String> =
        missing.iter().filter_map(|probe| probe.accept).map(|word| format!("\"{word}\"")).collect();
    if words.len() == missing.len() {
        text.push_str(&format!(
            "to start all the same, write into host.toml: accept = [{}]\n",
            words.join(", ")
        ));
    } else {
        text.push_str("those without a word for `accept` are never optional: session0 cannot run here\n");
    }
    text
}

/// One facility in one paragraph: the same words for `--doctor` and for a refusal.
pub fn line(probe: &Probe) -> String {
    let state = if probe.found { "found" } else { "missing" };
    let mut text = format!("  {state:<8} {}: {}\n", probe.name, probe.detail);
    if !probe.found {
        text.push_str(&format!("           lost without it: {}\n", probe.lost));
        match probe.accept {
            Some(word) => text.push_str(&format!("           to accept that: accept = [\"{word}\"]\n")),
            None => text.push_str("           it is never optional\n"),
        }
    }
    text
}

/// As JSON: `name`, `found`, `detail`, `lost`, `accept`, `accepted`.
pub fn json(probe: &Probe, accepted: Facilities) -> serde_json::Value {
    serde_json::json!({
        "name": probe.name,
        "found": probe.found,
        "detail": probe.detail,
        "lost": probe.lost,
        "accept": probe.accept,
        "accepted": !probe.found && accepted.contains(probe.facility),
    })
}
