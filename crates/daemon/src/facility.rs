//! What the machine can do, what it cannot, and what the administrator accepted to be without.

use std::sync::OnceLock;

use session0_model::launch::session_plan::Facilities;
use session0_sys::facility::{Probe, Without, found, probe};

/// Everything that was tried, tried once.
pub fn probes() -> &'static [Probe] {
    static PROBES: OnceLock<Vec<Probe>> = OnceLock::new();
    PROBES.get_or_init(probe)
}

/// The facility with this word for `accept =`.
pub fn by_word(word: &str) -> Option<Facilities> {
    probes().iter().find(|probe| probe.accept() == Some(word)).map(|probe| probe.facility)
}

/// All words for `accept =`.
pub fn words() -> Vec<&'static str> {
    probes().iter().filter_map(Probe::accept).collect()
}

/// Everything that works here, wanted or not.
pub fn all_found() -> Facilities {
    found(probes())
}

/// What is used: found. What is missing and not accepted refuses the start.
pub fn usable(accepted: Facilities) -> Result<Facilities, String> {
    let refusing = refusing(probes(), accepted);
    if refusing.is_empty() {
        return Ok(all_found());
    }
    Err(refusal(&refusing))
}

/// What keeps a host from being started.
fn refusing(probes: &[Probe], accepted: Facilities) -> Vec<&Probe> {
    let refuses = |probe: &&Probe| match probe.without {
        Without::Never | Without::Accepted(_) => !probe.found && !accepted.contains(probe.facility),
        Without::Always => false,
    };
    probes.iter().filter(refuses).collect()
}

/// Why a host is not started here, and what to write where.
fn refusal(missing: &[&Probe]) -> String {
    let mut text = String::from("this machine lacks what a session is made of:\n");
    for probe in missing {
        text.push_str(&line(probe));
    }
    let words: Vec<String> =
        missing.iter().filter_map(|probe| probe.accept()).map(|word| format!("\"{word}\"")).collect();
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
        match probe.without {
            Without::Accepted(word) => {
                text.push_str(&format!("           to accept that: accept = [\"{word}\"]\n"));
            }
            Without::Never => text.push_str("           it is never optional\n"),
            Without::Always => text.push_str("           a host starts without it\n"),
        }
    }
    text
}

/// As JSON: `name`, `found`, `detail`, `lost`, `required`, `accept`, `accepted`.
pub fn json(probe: &Probe, accepted: Facilities) -> serde_json::Value {
    serde_json::json!({
        "name": probe.name,
        "found": probe.found,
        "detail": probe.detail,
        "lost": probe.lost,
        "required": probe.without != Without::Always,
        "accept": probe.accept(),
        "accepted": !probe.found && accepted.contains(probe.facility),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(facility: Facilities, without: Without) -> Probe {
        let detail = "the kernel has none".to_owned();
        Probe { facility, name: "it", found: false, detail, lost: "something", without }
    }

    #[test]
    fn a_kernel_that_cannot_refuse_descriptors_is_named_and_refuses_no_host() {
        let lesser = missing(Facilities::DESCRIPTOR_REFUSAL, Without::Always);
        assert!(refusing(std::slice::from_ref(&lesser), Facilities::empty()).is_empty());
        let text = line(&lesser);
        assert!(text.contains("missing") && text.contains("lost without it: something"), "{text}");
        assert!(text.ends_with("a host starts without it\n"), "{text}");
        let value = json(&lesser, Facilities::empty());
        assert_eq!((&value["found"], &value["required"]), (&false.into(), &false.into()));
        // As it really is on this kernel.
        let row = probes().iter().find(|probe| probe.facility == Facilities::DESCRIPTOR_REFUSAL);
        let row = row.expect("doctor has a row for it");
        assert_eq!(row.without, Without::Always);
        let told = row.found || row.detail.contains("Linux 6.16");
        assert!(told && (row.found || session0_sys::process::kernel_version() < (6, 16)), "{}", row.detail);
    }

    #[test]
    fn others_refuse_until_they_are_accepted() {
        let walls = missing(Facilities::LANDLOCK_SCOPES, Without::Accepted("landlock"));
        let probes = [walls, missing(Facilities::SECCOMP, Without::Never)];
        assert_eq!(refusing(&probes, Facilities::empty()).len(), 2);
        let left = refusing(&probes, Facilities::LANDLOCK_SCOPES);
        assert!(matches!(left[..], [probe] if probe.facility == Facilities::SECCOMP));
    }
}
