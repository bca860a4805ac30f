//! One datagram: assignments, one a line.

use std::time::Duration;

use session0_model::id::ServiceName;
use session0_model::limit;
use session0_model::service::notify::Notification;
use session0_model::service::status::OutputLost;

/// What a datagram says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// For the model, in order. `MainProcess` is not yet verified.
    pub notifications: Vec<Notification>,
    /// X_SESSION0_LOST: believed of the logger only.
    pub lost: Vec<(ServiceName, OutputLost)>,
    /// Assignments that are understood and need nothing done (BARRIER, FDSTORE) or are not known.
    pub others: usize,
}

/// `None`: this is not sd_notify.
pub fn parse(datagram: &[u8]) -> Option<Said> {
    // Programs in C sometimes send their string's end with it.
    let datagram = datagram.strip_suffix(b"\0").unwrap_or(datagram);
    if datagram.contains(&0) {
        return None;
    }
    let mut said = Said::default();
    for line in datagram.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let name = std::str::from_utf8(&line[..at]).ok().filter(|name| !name.is_empty())?;
        let value = String::from_utf8_lossy(&line[at + 1..]);
        match assignment(name, &value) {
            Some(notification) => said.notifications.push(notification),
            None if name == "X_SESSION0_LOST" => said.lost.extend(lost(&value)),
            None => said.others += 1,
        }
    }
    Some(said)
}

fn assignment(name: &str, value: &str) -> Option<Notification> {
    let micros = || value.parse().ok().map(Duration::from_micros);
    match (name, value) {
        ("READY", "1") => Some(Notification::Ready),
        ("RELOADING", "1") => Some(Notification::Reloading),
        ("STOPPING", "1") => Some(Notification::Stopping),
        ("WATCHDOG", "1") => Some(Notification::Watchdog),
        ("WATCHDOG", "trigger") => Some(Notification::WatchdogTrigger),
        ("STATUS", text) => Some(Notification::Status(plain(text))),
        ("MAINPID", number) => number.parse().ok().filter(|pid| 0 < *pid).map(Notification::MainProcess),
        ("ERRNO", number) => number.parse().ok().filter(|errno| 0 < *errno).map(Notification::Errno),
        ("WATCHDOG_USEC", _) => micros().map(Notification::WatchdogInterval),
        ("EXTEND_TIMEOUT_USEC", _) => micros().map(Notification::ExtendTimeout),
        _ => None,
    }
}

/// Text for people: control characters removed, cut visibly.
fn plain(text: &str) -> String {
    let mut plain: String =
        text.chars().filter(|c| !c.is_control()).take(limit::STATUS_TEXT_MAX + 1).collect();
    if let Some((cut, _)) = plain.char_indices().nth(limit::STATUS_TEXT_MAX) {
        plain.truncate(cut);
        plain.pop();
        plain.push('…');
    }
    plain
}

/// `<unit> <lines> <bytes>`.
fn lost(value: &str) -> Option<(ServiceName, OutputLost)> {
    let words: Vec<&str> = value.split(' ').collect();
    let [unit, lines, bytes] = words[..] else { return None };
    Some((
        ServiceName::new(unit).ok()?,
        OutputLost { lines: lines.parse().ok()?, bytes: bytes.parse().ok()? },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifications(text: &str) -> Vec<Notification> {
        parse(text.as_bytes()).unwrap().notifications
    }

    #[test]
    fn every_assignment_we_know() {
        assert_eq!(
            notifications(
                "READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=two words\nMAINPID=12\nERRNO=2\nWATCHDOG=1\nWATCHDOG=trigger\n\
                WATCHDOG_USEC=3000000\nEXTEND_TIMEOUT_USEC=5\n"
            ),
            [
                Notification::Ready,
                Notification::Reloading,
                Notification::Stopping,
                Notification::Status("two words".into()),
                Notification::MainProcess(12),
                Notification::Errno(2),
                Notification::Watchdog,
                Notification::WatchdogTrigger,
                Notification::WatchdogInterval(Duration::from_secs(3)),
                Notification::ExtendTimeout(Duration::from_micros(5)),
            ]
        );
    }

    #[test]
    fn what_we_do_not_know_is_passed_over() {
        let said = parse(b"BARRIER=1\nFDSTORE=1\nFDNAME=x\nMONOTONIC_USEC=5\nREADY=0\nX_OTHER=\0").unwrap();
        assert_eq!((said.notifications.len(), said.others), (0, 6));
    }

    #[test]
    fn numbers_that_are_none_are_passed_over() {
        assert_eq!(
            notifications("MAINPID=-1\nMAINPID=x\nMAINPID=0\nERRNO=\nWATCHDOG_USEC=-5\nMAINPID=99999999999"),
            []
        );
    }

    #[test]
    fn garbage_is_refused_whole() {
        for garbage in
            [&b"READY"[..], b"READY=1\nnonsense", b"READY=1\0STATUS=x", b"=1", b"\xff=1", b"\xff\xfe"]
        {
            assert_eq!(parse(garbage), None, "{garbage:?}");
        }
        assert_eq!(parse(b""), Some(Said::default()));
    }

    #[test]
    fn status_text_is_made_plain_and_cut_visibly() {
        assert_eq!(notifications("STATUS=a\u{1b}[31mb\tc\u{7f}"), [Notification::Status("a[31mbc".into())]);
        let Notification::Status(text) = &notifications(&format!("STATUS={}", "ü".repeat(2000)))[0] else {
            panic!()
        };
        assert_eq!((text.chars().count(), text.ends_with('…')), (limit::STATUS_TEXT_MAX, true));
        assert_eq!(parse(b"STATUS=\xff").map(|said| said.notifications.len()), Some(1));
    }

    #[test]
    fn losses() {
        let said =
            parse(b"X_SESSION0_LOST=web 3 400\nX_SESSION0_LOST=a/b 1 1\nX_SESSION0_LOST=web 3").unwrap();
        assert_eq!(said.lost, [(ServiceName::new("web").unwrap(), OutputLost { lines: 3, bytes: 400 })]);
    }
}
