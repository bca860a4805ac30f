//! What could not be written: counted by unit, said in the log as soon as that can be written again, and told to the daemon.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::store::Reason;

/// Totals are told this long after the first loss since the last time, so that a flood is one datagram, not many.
const TELL_WAIT: Duration = Duration::from_millis(250);
/// What the socket had no room for, though it had some, is told after this: its reader is at work.
const TELL_ON_WAIT: Duration = Duration::from_millis(10);

/// The losses of every unit that had one since we started. They outlive the unit: the daemon counts on totals.
#[derive(Debug, Default)]
pub struct Losses {
    units: BTreeMap<Box<str>, Loss>,
    tell_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Loss {
    total: Amount,
    /// Not yet said in the log.
    unsaid: Amount,
    reason: Option<Reason>,
    told: bool,
}

/// Lines and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Lines as they would have been in the file.
    pub lines: u64,
    /// Bytes as the program wrote them.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, other: Amount) {
        self.lines = self.lines.saturating_add(other.lines);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Whether a loss is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The unit was not losing before, or for another reason.
    Begins,
    /// It goes on.
    Continues,
}

impl Losses {
    /// Counts a loss.
    pub fn count(&mut self, unit: &str, amount: Amount, reason: Reason, now: Instant) -> News {
        if !self.units.contains_key(unit) {
            self.units.insert(unit.into(), Loss::default());
        }
        let Some(loss) = self.units.get_mut(unit) else { return News::Continues };
        let same = loss.unsaid != Amount::default() && loss.reason == Some(reason);
        loss.total.add(amount);
        loss.unsaid.add(amount);
        loss.reason = Some(reason);
        loss.told = false;
        self.tell_at.get_or_insert(now + TELL_WAIT);
        if same { News::Continues } else { News::Begins }
    }

    /// The line that says what is missing at this place of the unit's log; empty if nothing is.
    pub fn line(&self, unit: &str, stamp: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let Some(loss) = self.units.get(unit) else { return };
        let (Amount { lines, bytes }, Some(reason)) = (loss.unsaid, loss.reason) else { return };
        if bytes == 0 {
            return;
        }
        out.extend_from_slice(stamp);
        // Writing into memory cannot fail.
        let _ = writeln!(out, "session0-log: lost {lines} lines ({bytes} bytes): {reason}");
    }

    /// The units whose log does not say yet what is missing.
    pub fn unsaid(&self) -> Vec<Box<str>> {
        let unsaid = self.units.iter().filter(|(_, loss)| loss.unsaid != Amount::default());
        unsaid.map(|(unit, _)| unit.clone()).collect()
    }

    /// The line is in the log.
    pub fn said(&mut self, unit: &str) {
        if let Some(loss) = self.units.get_mut(unit) {
            loss.unsaid = Amount::default();
        }
    }

    /// When to call [`Losses::tell`].
    pub fn deadline(&self) -> Option<Instant> {
        self.tell_at
    }

    /// Tells the daemon what is new. What its socket has no room for waits for the next time.
    pub fn tell(&mut self, notifier: &Notifier, now: Instant) {
        self.tell_at = None;
        let mut wait = TELL_WAIT;
        for (unit, loss) in self.units.iter_mut().filter(|(_, loss)| !loss.told) {
            let text = format!("X_SESSION0_LOST={unit} {} {}", loss.total.lines, loss.total.bytes);
            match notifier.send(text.as_bytes()) {
                Delivery::Done => {
                    loss.told = true;
                    wait = TELL_ON_WAIT;
                }
                Delivery::Later => {
                    self.tell_at = Some(now + wait);
                    return;
                }
            }
        }
    }
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way, or there is nobody to tell.
    Done,
    /// Not now.
    Later,
}

/// The daemon's notify socket.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(OwnedFd, SocketAddrUnix)>,
}

impl Notifier {
    /// From `$NOTIFY_SOCKET`. Without one nobody is told.
    pub fn from_environment() -> Notifier {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Notifier::default() };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        match (socket, SocketAddrUnix::new(&path)) {
            (Ok(socket), Ok(address)) => Notifier { to: Some((socket, address)) },
            _ => Notifier::default(),
        }
    }

    fn send(&self, datagram: &[u8]) -> Delivery {
        let Some((socket, address)) = &self.to else { return Delivery::Done };
        match rustix::net::sendto(socket, datagram, SendFlags::NOSIGNAL | SendFlags::DONTWAIT, address) {
            // Longer than the socket takes: trying again would not help. It cannot be, with a name that is checked.
            Ok(_) | Err(Errno::MSGSIZE) => Delivery::Done,
            Err(_) => Delivery::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_and_are_said_once() {
        let mut losses = Losses::default();
        let now = Instant::now();
        let full = Reason::System(Errno::NOSPC);
        let one = Amount { lines: 1, bytes: 10 };
        assert_eq!(losses.count("a", one, full, now), News::Begins);
        assert_eq!(losses.count("a", one, full, now), News::Continues);
        assert_eq!(losses.count("a", one, Reason::HardLink, now), News::Begins);
        assert_eq!(losses.count("a", one, full, now), News::Begins);
        let mut out = Vec::new();
        losses.line("a", b"> ", &mut out);
        assert_eq!(out, b"> session0-log: lost 4 lines (40 bytes): no space left on device\n");
        losses.said("a");
        losses.line("a", b"> ", &mut out);
        assert_eq!(out, b"");
        losses.count("a", one, full, now);
        losses.line("a", b"> ", &mut out);
        assert_eq!(out, b"> session0-log: lost 1 lines (10 bytes): no space left on device\n");
        assert_eq!(losses.units["a"].total, Amount { lines: 5, bytes: 50 });
        assert_eq!(losses.deadline(), Some(now + TELL_WAIT));
        losses.tell(&Notifier::default(), now);
        assert_eq!(losses.deadline(), None);
    }
}
