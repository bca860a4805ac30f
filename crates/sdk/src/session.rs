//! Programs in sessions, and the viewer's socket that says how they end.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use session0_api::session;

use crate::error::Error;
use crate::packet;

pub use session0_api::conversation::View;
pub use session0_api::session::{Run, Terminal, Variable};

/// A program that was started in a session.
///
/// ```no_run
/// use session0::session::{Run, Streams, View};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut host = session0::Client::discover()?;
/// let command = vec!["id".to_owned(), "-un".to_owned()];
/// let running = host.run(&Run { session: 3, command, terminal: None, environment: None })?;
/// if let Streams::Pipes { output, .. } = running.streams {
///     println!("{}", std::io::read_to_string(output)?);
/// }
/// while let Some(view) = running.viewer.next()? {
///     if let View::Ended { code, .. } = view {
///         println!("it ended with {code:?}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Running {
    /// Says how it ended. Closing it hangs the program up.
    pub viewer: Viewer,
    /// Its standard streams.
    pub streams: Streams,
}

/// The standard streams of a program.
#[derive(Debug)]
pub enum Streams {
    /// A terminal of its own: the master.
    Terminal(OwnedFd),
    /// Pipes.
    Pipes {
        /// Its standard input, to be written to.
        input: File,
        /// Its standard output, to be read.
        output: File,
        /// Its standard error, to be read.
        error: File,
    },
}

impl Running {
    /// From what came with an answer to this call.
    pub(crate) fn new(call: &session::Run, descriptors: Vec<OwnedFd>) -> Result<Running, Error> {
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next();
        let running = match (call.terminal.is_some(), next(), next(), next(), next(), next()) {
            (true, Some(viewer), Some(master), None, None, None) => {
                Running { viewer: Viewer { socket: viewer }, streams: Streams::Terminal(master) }
            }
            (false, Some(viewer), Some(input), Some(output), Some(error), None) => Running {
                viewer: Viewer { socket: viewer },
                streams: Streams::Pipes { input: input.into(), output: output.into(), error: error.into() },
            },
            _ => {
                let what = "the host sent other descriptors than the program needs".to_owned();
                return Err(Error::Protocol { what });
            }
        };
        Ok(running)
    }
}

/// The socket that says how a program, or a session's terminal, ends. Closing it is hanging up.
///
/// It can be waited for with `poll`: it is readable when [`Viewer::next`] has something to say.
///
/// ```no_run
/// # fn follow(viewer: session0::session::Viewer) -> Result<(), session0::Error> {
/// use session0::session::View;
///
/// while let Some(view) = viewer.next()? {
///     match view {
///         View::Ended { reason, .. } => println!("it ended: {reason}"),
///         View::TakenOver { by } => println!("it goes on at {by}"),
///         View::Unknown => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Viewer {
    pub(crate) socket: OwnedFd,
}

const WHO: &str = "the host about a program";

impl Viewer {
    /// What the host says next; `None` when it says nothing any more. Waits for it.
    pub fn next(&self) -> Result<Option<View>, Error> {
        let packet = packet::receive(self.socket.as_fd());
        packet.map_err(broken)?.map(|packet| packet::read(&packet.bytes, WHO)).transpose()
    }

    /// The same within tokio. Must be called within a runtime.
    pub fn into_asynchronous(self) -> Result<asynchronous::Viewer, Error> {
        asynchronous::Viewer::new(self)
    }
}

impl AsFd for Viewer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn broken(error: std::io::Error) -> Error {
    Error::System { what: "hear from the host about a program".to_owned(), why: error.to_string() }
}

/// The same within tokio.
pub mod asynchronous {
    use tokio::net::UnixDatagram;

    use super::{Error, View, WHO, broken, packet};

    /// The socket that says how a program ends; see [`super::Viewer`].
    #[derive(Debug)]
    pub struct Viewer {
        socket: UnixDatagram,
    }

    impl Viewer {
        pub(super) fn new(viewer: super::Viewer) -> Result<Viewer, Error> {
            Ok(Viewer { socket: packet::asynchronous(viewer.socket).map_err(broken)? })
        }

        /// What the host says next; `None` when it says nothing any more. May be dropped and called again: nothing is lost.
        pub async fn next(&self) -> Result<Option<View>, Error> {
            let packet = packet::receive_asynchronously(&self.socket).await.map_err(broken)?;
            packet.map(|packet| packet::read(&packet.bytes, WHO)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| OwnedFd::from(File::open("/dev/null").expect("open"))).collect()
    }

    #[test]
    fn a_program_has_the_descriptors_of_its_call_or_is_none() {
        let mut call = Run { session: 1, command: Vec::new(), terminal: None, environment: None };
        for count in 0..6 {
            assert_eq!(Running::new(&call, sent(count)).is_ok(), count == 4, "{count} for pipes");
        }
        call.terminal = Some(Terminal { rows: 24, columns: 80, name: None });
        for count in 0..6 {
            assert_eq!(Running::new(&call, sent(count)).is_ok(), count == 2, "{count} for a terminal");
        }
    }
}
