//! `docs/performance.md`: a part for each bench, written by it, and one that people write. Who writes one part keeps the others.

use std::fs;

use super::Outcome;

/// The page, below the workspace.
const PAGE: &str = "docs/performance.md";
/// The part of the sessions begins with this line.
const SESSIONS: &str = "<!-- From here on written by `cargo xtask bench sessions`. -->";
/// The part of pipes and calls begins with this line.
const IPC: &str = "<!-- From here on written by `cargo xtask bench ipc`. -->";
/// The last part begins with this line.
const BY_HAND: &str = "<!-- From here on written by hand: where the time goes. -->";

/// A part that a bench writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Services,
    /// The second.
    Sessions,
    /// The third.
    Ipc,
}

/// Writes a part anew.
pub fn write(part: Part, text: &str) -> Outcome<()> {
    let page = crate::workspace().join(PAGE);
    let old = fs::read_to_string(&page).unwrap_or_default();
    fs::write(&page, with(&old, part, text)).map_err(|e| format!("writing {}: {e}", page.display()))?;
    eprintln!("written: {}", page.display());
    Ok(())
}

fn with(old: &str, part: Part, text: &str) -> String {
    let (written, by_hand) = split(old, BY_HAND);
    let (written, ipc) = split(written, IPC);
    let (services, sessions) = split(written, SESSIONS);
    let of = |of: Part, old| if of == part { text } else { old };
    let marked = |marker: &str, text: &str| format!("{marker}\n\n{}\n", text.trim());
    format!(
        "{}\n\n{}\n{}\n{}",
        of(Part::Services, services).trim(),
        marked(SESSIONS, of(Part::Sessions, sessions)),
        marked(IPC, of(Part::Ipc, ipc)),
        marked(BY_HAND, by_hand)
    )
}

/// What is before a marker and what is after it.
fn split<'a>(text: &'a str, marker: &str) -> (&'a str, &'a str) {
    text.split_once(marker).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_outlives_a_run() {
        let old = format!("# Performance\nfigures\n\n{BY_HAND}\n\n## Where the time goes\n\nThere.\n");
        let once = with(&old, Part::Sessions, "## Sessions\n");
        assert!(once.starts_with("# Performance\nfigures\n"));
        assert!(once.ends_with("## Where the time goes\n\nThere.\n"));
        assert_eq!(with(&once, Part::Sessions, "## Sessions"), once);
        let services = with(&once, Part::Services, "# Performance\nothers\n");
        assert_eq!(services, once.replace("figures", "others"));
        let calls = with(&services, Part::Ipc, "## Pipes and calls\n");
        assert_eq!(with(&calls, Part::Ipc, ""), services);
        assert_eq!(with(&calls, Part::Sessions, "## Sessions"), calls);
        assert_eq!(with("", Part::Services, "x"), with("x", Part::Services, "x"));
    }
}
