//! Logging on, and the other conversations with the host: about accounts.
//!
//! A conversation is with a process of one's own beside the daemon, so that no password enters the daemon.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use session0_api::conversation;

use crate::connect;
use crate::error::{Error, Refused};
use crate::packet::{self, PACKET_MAX, Packet};
use crate::session::Viewer;

pub use crate::packet::wipe;
pub use session0_api::conversation::{Account, Entry};
pub use session0_api::logon::Begin;

/// A conversation. Dropping it cancels it.
///
/// ```no_run
/// use session0::logon::{Begin, Said};
/// use session0::session::Terminal;
///
/// # fn read_a_line(_: &str) -> String { String::new() }
/// # fn main() -> Result<(), session0::Error> {
/// let mut host = session0::Client::discover()?;
/// let terminal = Terminal { rows: 24, columns: 80, name: None };
/// let begin = Begin { account: "alice".to_owned(), terminal, environment: None, new: None };
/// let mut conversation = host.logon(&begin)?;
/// let logged_on = loop {
///     match conversation.next()? {
///         Said::Prompt { text, .. } => conversation.answer(&read_a_line(&text))?,
///         Said::Message(text) => println!("{text}"),
///         Said::LoggedOn(logged_on) => break logged_on,
///         _ => {}
///     }
/// };
/// println!("session {}", logged_on.session);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Conversation {
    socket: OwnedFd,
    /// The host's socket, for errors.
    path: PathBuf,
}

/// What the host says in a conversation. A refusal ends it and is an [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Said {
    /// To be answered with [`Conversation::answer`].
    Prompt {
        /// What to show.
        text: String,
        /// Whether the answer is a secret: not to be shown while it is typed.
        secret: bool,
    },
    /// To be shown: one line.
    Message(String),
    /// Nothing happens for so long, because of wrong passwords before.
    Wait(Duration),
    /// It is over: the user is in his session.
    LoggedOn(Box<LoggedOn>),
    /// Some of the accounts that were asked for; others follow, the last ones with [`Said::Done`].
    Accounts(Vec<Account>),
    /// It is over and was done.
    Done {
        /// The accounts, or the last of them, where they were asked for.
        accounts: Option<Vec<Account>>,
    },
}

/// A user in his session.
#[derive(Debug)]
pub struct LoggedOn {
    /// Which session.
    pub session: u32,
    /// How he came into it.
    pub entry: Entry,
    /// To be shown first, a line each.
    pub notices: Vec<String>,
    /// The master of the session's terminal.
    pub terminal: OwnedFd,
    /// Says how the session ends, or that the user went on elsewhere. Closing it is hanging up.
    pub viewer: Viewer,
}

impl Conversation {
    pub(crate) fn new(descriptors: Vec<OwnedFd>, path: PathBuf) -> Result<Conversation, Error> {
        match <[OwnedFd; 1]>::try_from(descriptors) {
            Ok([socket]) => Ok(Conversation { socket, path }),
            Err(other) => Err(miscounted("a conversation", 1, other.len())),
        }
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end, and this is answered in between"
    )]
    /// What the host says next. Waits for it; the socket can be waited for with `poll` before.
    pub fn next(&mut self) -> Result<Said, Error> {
        loop {
            let packet = packet::receive(self.socket.as_fd());
            let packet = packet.map_err(|error| connect::broken(&self.path, &error))?;
            if let Some(said) = understand_or_end(packet)? {
                return Ok(said);
            }
        }
    }

    /// Answers a prompt. The copy that is made for sending is overwritten; the text itself is the caller's, see [`wipe`].
    pub fn answer(&mut self, text: &str) -> Result<(), Error> {
        send_answer(self.socket.as_fd(), text).map_err(|error| connect::broken(&self.path, &error))
    }

    /// The same within tokio. Must be called within a runtime.
    pub fn into_asynchronous(self) -> Result<asynchronous::Conversation, Error> {
        asynchronous::Conversation::new(self)
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn send_answer(socket: BorrowedFd<'_>, text: &str) -> std::io::Result<()> {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Answer<'a> {
        Answer(&'a str),
    }
    // Never moved while it grows: a character takes at most six bytes in JSON.
    let mut bytes = Vec::with_capacity(6 * text.len() + 32);
    let written = serde_json::to_writer(&mut bytes, &Answer::Answer(text));
    let result = match written {
        Ok(()) if bytes.len() <= PACKET_MAX => packet::transmit(socket, &bytes).or_else(gone),
        _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the answer is too long")),
    };
    wipe(&mut bytes);
    result
}

/// Whoever has refused and closed the conversation is still to be heard.
fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn understand_or_end(packet: Option<Packet>) -> Result<Option<Said>, Error> {
    match packet {
        Some(packet) => understand(packet),
        None => Err(Error::Protocol {
            what: "the host ended the conversation before it came to anything".to_owned(),
        }),
    }
}

/// `None` for what a newer host says beyond this reader.
fn understand(packet: Packet) -> Result<Option<Said>, Error> {
    let Packet { bytes, descriptors } = packet;
    let said = match packet::read(&bytes, "the host in a conversation")? {
        conversation::Said::Prompt { text, secret } => Said::Prompt { text, secret },
        conversation::Said::Message { text } => Said::Message(text),
        conversation::Said::Wait { ms } => Said::Wait(Duration::from_millis(ms)),
        conversation::Said::Refused { code, message, hint } => return Err(refusal(code, message, hint)),
        conversation::Said::LoggedOn { session, entry, notices } => {
            let [terminal, viewer] = <[OwnedFd; 2]>::try_from(descriptors)
                .map_err(|other| miscounted("a session", 2, other.len()))?;
            let viewer = Viewer { socket: viewer };
            Said::LoggedOn(Box::new(LoggedOn { session, entry, notices, terminal, viewer }))
        }
        conversation::Said::Accounts { accounts } => Said::Accounts(accounts),
        conversation::Said::Done { accounts } => Said::Done { accounts },
        conversation::Said::Unknown => return Ok(None),
    };
    Ok(Some(said))
}

fn miscounted(what: &str, wanted: usize, came: usize) -> Error {
    Error::Protocol { what: format!("the host sent {came} descriptors for {what}, which has {wanted}") }
}

/// A conversation's refusal has no name; its code says whose mistake it is.
fn refusal(code: u32, message: String, hint: Option<String>) -> Error {
    let (kind, short): (fn(Box<Refused>) -> Error, _) = match code {
        5 => (Error::NotPermitted, "AccessDenied"),
        1359 => (Error::Fault, "InternalError"),
        _ => (Error::Refused, "Refused"),
    };
    kind(Box::new(Refused {
        name: format!("io.session0.Logon.{short}"),
        code: Some(code),
        message,
        hint,
        parameters: serde_json::Value::Null,
    }))
}

/// The same within tokio.
pub mod asynchronous {
    use std::path::PathBuf;

    use tokio::net::UnixDatagram;

    use super::{AsFd, Error, Said, connect, packet, send_answer, understand_or_end};

    /// A conversation; see [`super::Conversation`]. Dropping it cancels it.
    #[derive(Debug)]
    pub struct Conversation {
        socket: UnixDatagram,
        path: PathBuf,
    }

    impl Conversation {
        pub(super) fn new(conversation: super::Conversation) -> Result<Conversation, Error> {
            let super::Conversation { socket, path } = conversation;
            let socket = packet::asynchronous(socket).map_err(|error| connect::broken(&path, &error))?;
            Ok(Conversation { socket, path })
        }

        /// What the host says next. May be dropped and called again: nothing is lost.
        pub async fn next(&mut self) -> Result<Said, Error> {
            loop {
                let packet = packet::receive_asynchronously(&self.socket).await;
                let packet = packet.map_err(|error| connect::broken(&self.path, &error))?;
                if let Some(said) = understand_or_end(packet)? {
                    return Ok(said);
                }
            }
        }

        /// Answers a prompt. An answer is short and its receiver waits for it: there is room for it.
        pub fn answer(&mut self, text: &str) -> Result<(), Error> {
            send_answer(self.socket.as_fd(), text).map_err(|error| connect::broken(&self.path, &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::mem::MaybeUninit;

    use rustix::net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, recv, sendmsg, socketpair,
    };

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a pair")
    }

    fn say(host: &OwnedFd, text: &str, descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        sendmsg(host, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty()).expect("send");
    }

    fn conversation() -> (OwnedFd, Conversation) {
        let (host, client) = pair();
        (host, Conversation::new(vec![client], PathBuf::from("/host")).expect("one descriptor"))
    }

    const LOGGED_ON: &str = r#"{"logged_on":{"session":3,"entry":"reconnected"}}"#;

    #[test]
    fn a_logon_is_talked_through_to_its_session() {
        let (host, mut conversation) = conversation();
        say(&host, r#"{"fortune":{"text":"from a newer host"}}"#, &[]);
        say(&host, r#"{"prompt":{"text":"Password:","secret":true}}"#, &[]);
        assert!(matches!(conversation.next(), Ok(Said::Prompt { secret: true, .. })));
        conversation.answer("p\u{e4}ss\"word").expect("answer");
        let mut heard = [0; 100];
        let (length, _) = recv(&host, &mut heard, RecvFlags::empty()).expect("hear");
        let heard: conversation::Answer = serde_json::from_slice(&heard[..length]).expect("an answer");
        assert_eq!(heard, conversation::Answer::Answer("p\u{e4}ss\"word".to_owned()));
        say(&host, LOGGED_ON, &[host.as_fd(), host.as_fd()]);
        let Ok(Said::LoggedOn(logged_on)) = conversation.next() else { panic!("not logged on") };
        assert_eq!((logged_on.session, logged_on.entry), (3, Entry::Reconnected));
    }

    #[test]
    fn a_session_without_its_two_descriptors_is_none() {
        let (host, mut conversation) = conversation();
        for count in [0, 1, 3] {
            say(&host, LOGGED_ON, &vec![host.as_fd(); count]);
            assert!(matches!(conversation.next(), Err(Error::Protocol { .. })), "{count} descriptors");
        }
        let (other, _) = pair();
        assert!(Conversation::new(vec![host, other], PathBuf::new()).is_err());
        assert!(Conversation::new(Vec::new(), PathBuf::new()).is_err());
    }

    #[test]
    fn a_refusal_is_an_error_of_its_kind_and_so_is_an_end_without_words() {
        let (host, mut conversation) = conversation();
        for code in [1326, 5, 1359] {
            say(&host, &format!(r#"{{"refused":{{"code":{code},"message":"no","hint":"ask"}}}}"#), &[]);
            let error = conversation.next().expect_err("a refusal");
            assert_eq!((error.code(), error.hint()), (Some(code), Some("ask")));
            assert_eq!(matches!(error, Error::Refused(_)), code == 1326);
            assert_eq!(matches!(error, Error::NotPermitted(_)), code == 5);
        }
        say(&host, &"x".repeat(PACKET_MAX + 1), &[]);
        assert!(conversation.next().is_err(), "a packet that is too long");
        assert!(conversation.answer(&"x".repeat(PACKET_MAX)).is_err());
        drop(host);
        assert!(matches!(conversation.next(), Err(Error::Protocol { .. })));
        conversation.answer("nobody hears it").expect("what was said before is heard first");
    }

    #[test]
    fn within_tokio_it_is_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (host, conversation) = conversation();
            let mut conversation = conversation.into_asynchronous().expect("within a runtime");
            let mut heard = Box::pin(conversation.next());
            let nothing = std::future::poll_fn(|context| {
                std::task::Poll::Ready(heard.as_mut().poll(context).is_pending())
            });
            assert!(nothing.await, "nothing was said yet");
            let (viewer, host_viewer) = pair();
            say(&host, LOGGED_ON, &[host.as_fd(), viewer.as_fd()]);
            let Ok(Said::LoggedOn(logged_on)) = heard.await else { panic!("not logged on") };
            let viewer = logged_on.viewer.into_asynchronous().expect("within a runtime");
            say(&host_viewer, r#"{"ended":{"reason":"it said exit","code":0}}"#, &[]);
            let ended = viewer.next().await.expect("hear");
            assert!(matches!(ended, Some(crate::session::View::Ended { code: Some(0), .. })), "{ended:?}");
        });
    }
}
