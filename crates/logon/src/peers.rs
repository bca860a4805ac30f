//! The two sockets. Every wait of this process is here, and each ends with the conversation's time, or when either side is gone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::RecvFlags;
use session0_model::launch::wire as codec;
use session0_model::limit::{CONVERSATION_PACKET_MAX, PACKET_MAX};
use session0_model::logon::wire::{AccountPlace, FromLogon, Task, ToLogon};
use session0_sys::packet::{self, Received, Sent};

use crate::over::Over;
use crate::said::{Answer, Said};
use crate::secret::Secret;

/// The daemon and the client.
#[derive(Debug)]
pub struct Peers {
    daemon: OwnedFd,
    /// `None`: nobody listens, and nobody is missed.
    client: Option<OwnedFd>,
    deadline: Instant,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A message of the daemon.
    Message,
    /// A packet of the client.
    Answer,
    /// That the client can take more.
    Room,
    /// Nothing but the time.
    Time,
}

/// What came.
#[derive(Debug)]
enum Came {
    Message(Box<ToLogon>, Vec<OwnedFd>),
    Client,
    Time,
}

/// A wait for less than this is not worth telling.
const WAIT_TOLD_MIN_MS: u64 = 500;

impl Peers {
    /// Begins a conversation that ends after `time` at the latest.
    pub fn new(daemon: OwnedFd, client: OwnedFd, time: Duration) -> Peers {
        Peers { daemon, client: Some(client), deadline: Instant::now() + time }
    }

    /// What is to be done. The client is not looked at yet: there may be none.
    pub fn begin(&mut self) -> Result<(Task, AccountPlace), Over> {
        let client = self.client.take();
        let first = self.hear();
        self.client = client;
        match first? {
            (ToLogon::Begin { task, place }, _) => Ok((task, place)),
            _ => Err(Over::DaemonNonsense),
        }
    }

    /// From here on nobody is told anything.
    pub fn dismiss_client(&mut self) {
        self.client = None;
    }

    /// The daemon's next message.
    pub fn hear(&mut self) -> Result<(ToLogon, Vec<OwnedFd>), Over> {
        match self.wait(Wanted::Message, self.deadline)? {
            Came::Message(message, descriptors) => Ok((*message, descriptors)),
            Came::Client | Came::Time => Err(Over::TimeUp),
        }
    }

    /// Tells the daemon.
    pub fn tell(&self, message: &FromLogon) -> Result<(), Over> {
        let mut bytes = Vec::new();
        codec::encode(message, &mut bytes);
        match packet::send(self.daemon.as_fd(), &bytes, &[]) {
            Ok(Sent::All) => Ok(()),
            // It reads all the time, and we say a handful of things.
            Ok(Sent::Later) | Err(_) => Err(Over::DaemonGone),
        }
    }

    /// Tells the client.
    pub fn say(&mut self, said: &Said) -> Result<(), Over> {
        self.say_with(said, &[])
    }

    /// Tells the client and gives it descriptors.
    pub fn say_with(&mut self, said: &Said, descriptors: &[BorrowedFd<'_>]) -> Result<(), Over> {
        let bytes = said.packet();
        loop {
            let Some(client) = &self.client else { return Ok(()) };
            match packet::send(client.as_fd(), &bytes, descriptors) {
                Ok(Sent::All) => return Ok(()),
                Ok(Sent::Later) => {}
                Err(_) => return Err(Over::ClientGone),
            }
            if let Came::Time = self.wait(Wanted::Room, self.deadline)? {
                return Err(Over::TimeUp);
            }
        }
    }

    /// The last word, for a client that may be gone or not listening: said if that takes no waiting.
    pub fn last_word(&self, said: &Said) {
        if let Some(client) = &self.client {
            // Who does not hear it has closed or filled his own socket.
            let _ = packet::send(client.as_fd(), &said.packet(), &[]);
        }
    }

    /// Asks for a secret.
    pub fn ask(&mut self, text: &str) -> Result<Secret, Over> {
        let Some(client) = &self.client else { return Err(Over::ClientGone) };
        if readable(client)? {
            // An answer that nobody has asked for would be taken for one to the next question.
            return Err(Over::ClientNonsense);
        }
        self.say(&Said::Prompt { text: text.to_owned(), secret: true })?;
        match self.wait(Wanted::Answer, self.deadline)? {
            Came::Client => self.answer(),
            Came::Message(..) | Came::Time => Err(Over::TimeUp),
        }
    }

    /// May a password be checked? Waits as long as the daemon says.
    pub fn attempt(&mut self) -> Result<(), Over> {
        self.tell(&FromLogon::Attempt)?;
        match self.hear()? {
            (ToLogon::Wait { ms }, _) => {
                if ms >= WAIT_TOLD_MIN_MS {
                    self.say(&Said::Wait { ms })?;
                }
                self.pause(Duration::from_millis(ms))
            }
            _ => Err(Over::DaemonNonsense),
        }
    }

    /// Lets time pass, unless somebody goes meanwhile.
    pub fn pause(&mut self, time: Duration) -> Result<(), Over> {
        let until = Instant::now() + time;
        match self.wait(Wanted::Time, until)? {
            Came::Time if until <= self.deadline => Ok(()),
            Came::Time | Came::Client | Came::Message(..) => Err(Over::TimeUp),
        }
    }

    /// The packet that is there. Without room for descriptors: what a client sends of those is dropped by the kernel, so that
    /// closing one (a file of its own file system) cannot hold us up.
    fn answer(&self) -> Result<Secret, Over> {
        let Some(client) = &self.client else { return Err(Over::ClientGone) };
        let mut buffer = vec![0; CONVERSATION_PACKET_MAX];
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        match retry_on_intr(|| rustix::net::recv(client, &mut buffer[..], flags)) {
            Ok((_, 0)) | Err(_) => Err(Over::ClientGone),
            Ok((length, whole)) if length == whole => {
                Answer::parse(&buffer[..length]).ok_or(Over::ClientNonsense)
            }
            Ok(_) => Err(Over::ClientNonsense),
        }
    }

    /// Waits for one thing, until `until` or the conversation's end. What the daemon says is always heard: it may refuse at any
    /// time. A client that is gone is always noticed.
    fn wait(&self, wanted: Wanted, until: Instant) -> Result<Came, Over> {
        let gone = PollFlags::RDHUP;
        let events = match wanted {
            Wanted::Answer => gone | PollFlags::IN,
            Wanted::Room => gone | PollFlags::OUT,
            Wanted::Message | Wanted::Time => gone,
        };
        loop {
            let left = until.min(self.deadline).saturating_duration_since(Instant::now());
            let mut poll = vec![PollFd::new(&self.daemon, PollFlags::IN | gone)];
            poll.extend(self.client.iter().map(|client| PollFd::new(client, events)));
            match rustix::event::poll(&mut poll, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) if left.is_zero() => return Ok(Came::Time),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Over::system("wait for the client", error)),
            }
            let daemon = poll[0].revents();
            let client = poll.get(1).map_or(PollFlags::empty(), PollFd::revents);
            if !daemon.is_empty() {
                match (self.receive()?, wanted) {
                    (Some((ToLogon::Refused { code, message, hint }, _)), _) => {
                        return Err(Over::Refused { code, message, hint });
                    }
                    (Some((message, descriptors)), Wanted::Message) => {
                        return Ok(Came::Message(Box::new(message), descriptors));
                    }
                    (Some(_), _) => return Err(Over::DaemonNonsense),
                    (None, _) => {}
                }
            }
            if client.intersects(PollFlags::HUP | PollFlags::ERR | gone) {
                return Err(Over::ClientGone);
            }
            if !client.is_empty() {
                return Ok(Came::Client);
            }
        }
    }

    fn receive(&self) -> Result<Option<(ToLogon, Vec<OwnedFd>)>, Over> {
        let mut buffer = vec![0; PACKET_MAX];
        match packet::receive(self.daemon.as_fd(), &mut buffer) {
            Ok(Received::Packet { length, descriptors }) => match codec::decode(&buffer[..length]) {
                Some((message, [])) => Ok(Some((message, descriptors))),
                _ => Err(Over::DaemonNonsense),
            },
            Ok(Received::Nothing) => Ok(None),
            Ok(Received::Closed) => Err(Over::DaemonGone),
            Err(error) => Err(Over::system("hear the daemon", error)),
        }
    }
}

fn readable(socket: &OwnedFd) -> Result<bool, Over> {
    let mut poll = [PollFd::new(socket, PollFlags::IN | PollFlags::RDHUP)];
    match rustix::event::poll(&mut poll, Some(&Timespec::default())) {
        Ok(_) if poll[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP) => Err(Over::ClientGone),
        Ok(_) => Ok(!poll[0].revents().is_empty()),
        Err(error) => Err(Over::system("look at the client", io::Error::from(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(time: Duration) -> (Peers, OwnedFd, OwnedFd) {
        let (daemon, daemons) = packet::pair().unwrap();
        let (client, clients) = packet::pair().unwrap();
        (Peers::new(daemon, client, time), daemons, clients)
    }

    #[test]
    fn whatever_is_waited_for_ends_with_the_conversation() {
        let (mut peers, _daemon, _client) = peers(Duration::from_millis(30));
        assert!(matches!(peers.pause(Duration::from_secs(3600)), Err(Over::TimeUp)));
        assert!(matches!(peers.ask("Password: "), Err(Over::TimeUp)));
        assert!(matches!(peers.hear(), Err(Over::TimeUp)));
        let long = Said::Message { text: "x".repeat(10_000) };
        let refused = (0..1000).find_map(|_| peers.say(&long).err());
        assert!(matches!(refused, Some(Over::TimeUp)), "a client that does not read: {refused:?}");
    }

    #[test]
    fn the_end_of_either_side_is_noticed_at_once() {
        let hour = Duration::from_secs(3600);
        let (mut one, daemon, _client) = peers(hour);
        drop(daemon);
        assert!(matches!(one.pause(hour), Err(Over::DaemonGone)));
        assert!(matches!(one.ask("Password: "), Err(Over::DaemonGone)));
        let (mut one, _daemon, client) = peers(hour);
        packet::send(client.as_fd(), b"{\"answer\":\"x\"}", &[]).unwrap();
        drop(client);
        assert!(matches!(one.pause(hour), Err(Over::ClientGone)));
        assert!(matches!(one.ask("Password: "), Err(Over::ClientGone)));
        assert!(matches!(one.hear(), Err(Over::ClientGone)));
    }

    #[test]
    fn the_daemon_may_refuse_at_any_time() {
        let (mut peers, daemon, _client) = peers(Duration::from_secs(3600));
        let mut bytes = Vec::new();
        codec::encode(&ToLogon::Refused { code: 1115, message: "no".into(), hint: None }, &mut bytes);
        packet::send(daemon.as_fd(), &bytes, &[]).unwrap();
        assert!(matches!(peers.ask("Password: "), Err(Over::Refused { code: 1115, .. })));
    }

    #[test]
    fn an_answer_before_the_question_is_none() {
        let (mut peers, _daemon, client) = peers(Duration::from_secs(3600));
        packet::send(client.as_fd(), b"{\"answer\":\"x\"}", &[]).unwrap();
        assert!(matches!(peers.ask("Password: "), Err(Over::ClientNonsense)));
    }
}
