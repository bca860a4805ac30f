//! What the keeper learns by asking, as any client would, and never waits for: events for its screen, who is still
//! stopping, how long a shutdown may take.

use std::path::Path;
use std::time::Duration;

use session0::Client;
use session0::api::service::ServiceState;
use session0::events::{Events, Notice};

use super::screen::{Screen, give_way, small_thread};
use crate::root::Root;
use crate::time::{parse_age, short};

/// Pause before a host that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// A host that stops may be slow to answer, but nobody waits longer for a word about it.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// What host.toml means when it does not say.
const SHUTDOWN_BUDGET: Duration = Duration::from_secs(90);
/// A configuration is not longer.
const CONFIGURATION_MAX: u64 = 256 * 1024;

/// Shows events as lines, in a thread of its own, as long as the keeper lives.
pub fn start(root: &Root, screen: Screen) -> std::io::Result<()> {
    let socket = root.socket();
    small_thread("s0-events").spawn(move || {
        give_way();
        let mut last = None;
        loop {
            if let Ok(events) = Events::connect(&socket) {
                show(events, &screen, &mut last);
            }
            std::thread::sleep(PAUSE);
        }
    })?;
    Ok(())
}

/// `last` is the number of the last event shown: a daemon that took over goes on counting.
fn show(events: Events, screen: &Screen, last: &mut Option<u64>) {
    for notice in events {
        match notice {
            Ok(Notice::Event(happening)) => {
                *last = Some(happening.sequence);
                screen.say_at(happening.at_ms, &happening.event.text);
            }
            Ok(Notice::Snapshot(snapshot)) => {
                let missed = last.map_or(0, |last| snapshot.sequence.saturating_sub(last));
                if missed > 0 {
                    screen.say(format!(
                        "{} happened unseen; `s0 events` has them",
                        crate::words::count(missed, "event")
                    ));
                }
                *last = Some(snapshot.sequence);
                let counts = snapshot.host.counts;
                let total = counts.running + counts.stopped + counts.start_pending + counts.stop_pending;
                screen.say(format!("session0 answers: {} of {total} services running", counts.running));
            }
            Ok(Notice::Interrupted(_)) => {}
            Err(_) => return,
        }
    }
}

/// Says which services have not stopped yet. In a thread: the daemon may be slow to answer, or dead.
pub fn say_what_is_waited_for(root: &Root, screen: &Screen, spent: Duration, budget: Duration) {
    let (socket, screen) = (root.socket(), screen.clone());
    let _ = small_thread("s0-waiting").spawn(move || {
        let who = match still_running(&socket) {
            Some(names) if names.is_empty() => "the end of session 0".to_owned(),
            Some(names) => names.join(", "),
            None => "the daemon, which does not answer".to_owned(),
        };
        screen.say(format!("still waiting for {who} ({} of {})", short(spent), short(budget)));
    });
}

/// Services that are not stopped, if the host answers in a moment.
pub fn still_running(socket: &Path) -> Option<Vec<String>> {
    let mut client = Client::connect(socket).ok()?;
    client.set_time_max(Some(ANSWER_WAIT)).ok()?;
    let services = client.services().ok()?;
    let running = services.into_iter().filter(|service| service.state != ServiceState::Stopped);
    Some(running.map(|service| service.name).collect())
}

/// `shutdown_budget` of host.toml. The daemon holds it; the keeper only wants to know when to stop hoping.
pub fn shutdown_budget(root: &Root) -> Duration {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(root.path("etc/session0/host.toml"));
    let read = file.and_then(|file| file.take(CONFIGURATION_MAX).read_to_string(&mut text));
    if read.is_err() {
        return SHUTDOWN_BUDGET;
    }
    budget_in(&text).unwrap_or(SHUTDOWN_BUDGET)
}

/// The key stands at the top of the file, before the first table, and is a text like "90s".
fn budget_in(text: &str) -> Option<Duration> {
    let top = text.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    let value = top.filter_map(|line| line.strip_prefix("shutdown_budget")).find_map(|rest| {
        let value = rest.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|c| "\"'".contains(*c))?;
        value[1..].split(quote).next()
    })?;
    Some(Duration::from_millis(parse_age(value)?.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_read_as_the_daemon_reads_it() {
        assert_eq!(
            budget_in("accept = []\nshutdown_budget = \"5s\" # short\n"),
            Some(Duration::from_secs(5))
        );
        assert_eq!(budget_in("shutdown_budget='2min'"), Some(Duration::from_secs(120)));
        assert_eq!(budget_in("# shutdown_budget = \"5s\"\n"), None);
        assert_eq!(budget_in("[log]\nshutdown_budget = \"5s\"\n"), None);
        assert_eq!(budget_in("shutdown_budget = 90\n"), None);
    }
}
