//! The blocking client, and the list of methods that both clients share.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use session0_api::host::{HostStatus, ReloadReport, VersionInfo};
use session0_api::interface::Method;
use session0_api::logon::{Begin, Begun};
use session0_api::pipe::PipeStatus;
use session0_api::service::{Dependents, ServiceStatus, Wait};
use session0_api::session::SessionStatus;
use session0_api::{account, host, pipe, service, session};

use crate::error::Error;
use crate::logon::Conversation;
use crate::session::Running;
use crate::wire::{self, Answers, Input};
use crate::{connect, events, path};

/// What to do with a call whose connection broke before it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing: ask again, once.
    Once,
    /// It may have been carried out: say so.
    Never,
}

/// What becomes of the home of an account that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// It stays.
    Kept,
    /// It is removed with everything in it.
    Removed,
}

/// A connection to the host that waits for each answer.
///
/// A connection the host closed because nothing was asked for minutes is made again by the next call.
pub struct Client {
    path: PathBuf,
    time_max: Option<Duration>,
    stream: UnixStream,
    input: Input,
}

impl Client {
    /// Connects to the host at [`path::socket`].
    pub fn discover() -> Result<Client, Error> {
        Client::connect(&path::socket(None))
    }

    /// Connects to the host at this socket.
    pub fn connect(path: &Path) -> Result<Client, Error> {
        let stream = connect::blocking(path)?;
        Ok(Client { path: path.to_path_buf(), time_max: None, stream, input: Input::default() })
    }

    /// The socket it is connected to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The longest that each call waits for its answer; `None` is for ever, which it is at first: a daemon that
    /// is away comes back and answers. A `Start` that waits may take as long as the service's own time.
    pub fn set_time_max(&mut self, time_max: Option<Duration>) -> Result<(), Error> {
        self.stream.set_read_timeout(time_max).map_err(|error| connect::broken(&self.path, &error))?;
        self.time_max = time_max;
        Ok(())
    }

    /// Waits until the daemon at the other end has closed the connection, as one does that is replaced or ends; what it
    /// still says is not looked at. An error if it has not within `time_max`.
    pub fn wait_closed(mut self, time_max: Duration) -> Result<(), Error> {
        self.set_time_max(Some(time_max))?;
        let mut rest = [0; 256];
        loop {
            match io::Read::read(&mut self.stream, &mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(connect::broken(&self.path, &error)),
            }
        }
    }

    /// Follows what happens. The connection is used up.
    pub fn events(self) -> Result<events::Events, Error> {
        events::Events::begin(self)
    }

    pub(crate) fn call<M: Method>(&mut self, parameters: &M, repeat: Repeat) -> Result<M::Reply, Error> {
        if closed(self.stream.as_fd()) {
            self.reconnect()?;
        }
        self.input.close_descriptors();
        let mut result = self.try_call(parameters);
        if let (Err(Broken::Connection(_)), Repeat::Once) = (&result, repeat) {
            self.reconnect()?;
            result = self.try_call(parameters);
        }
        result.map_err(|broken| broken.into_error(&self.path))
    }

    fn reconnect(&mut self) -> Result<(), Error> {
        let mut new = Client::connect(&self.path)?;
        new.set_time_max(self.time_max)?;
        *self = new;
        Ok(())
    }

    fn try_call<M: Method>(&mut self, parameters: &M) -> Result<M::Reply, Broken> {
        self.send(parameters, Answers::One)?;
        self.receive::<M>()
    }

    pub(crate) fn send<M: Method>(&mut self, parameters: &M, answers: Answers) -> Result<(), Broken> {
        let bytes = wire::call(parameters, answers)?;
        match self.stream.write_all(&bytes) {
            Ok(()) => Ok(()),
            // A host that refuses a connection says why before it closes: that is still to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Broken::Connection(error)),
        }
    }

    pub(crate) fn receive<M: Method>(&mut self) -> Result<M::Reply, Broken> {
        loop {
            if let Some(message) = self.input.take() {
                return Ok(wire::answer::<M>(&message)?);
            }
            match self.input.fill(self.stream.as_fd()) {
                Ok(0) => return Err(Broken::Connection(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                // A late answer would be taken for that of the next call.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = self.stream.shutdown(std::net::Shutdown::Both);
                    return Err(Broken::Late(connect::broken(&self.path, &error)));
                }
                Err(error) => return Err(Broken::Connection(error)),
            }
        }
    }
}

/// Whether the other side is gone already.
pub(crate) fn closed(stream: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::from_borrowed_fd(stream, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// How a call can end without its answer.
pub(crate) enum Broken {
    /// The connection broke.
    Connection(io::Error),
    /// The time is over; the call may still be carried out.
    Late(Error),
    /// The host answered with an error, or not intelligibly.
    Answered(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Broken {
        Broken::Answered(error)
    }
}

impl Broken {
    pub(crate) fn into_error(self, path: &Path) -> Error {
        match self {
            Broken::Connection(error) => connect::broken(path, &error),
            Broken::Late(error) | Broken::Answered(error) => error,
        }
    }
}

/// The methods of the public interface, for both clients: the first argument is `async` or nothing, the
/// second `.await` or nothing.
macro_rules! methods {
    ([$($asynchronous:tt)*] [$($wait:tt)*]) => {
        /// The descriptors that came with an answer which says how many there are.
        fn take_descriptors(&mut self, said: u32, of: &str) -> Result<Vec<OwnedFd>, Error> {
            self.input.take_exactly(said, of)
        }

        /// Begins a conversation. One is never begun twice.
        $($asynchronous)* fn converse<M: Method<Reply = Begun>>(&mut self, parameters: &M) -> Result<Conversation, Error> {
            let begun = self.call(parameters, Repeat::Never)$($wait)*?;
            Conversation::new(self.take_descriptors(begun.descriptors, "a conversation")?, self.path.clone())
        }

        /// The versions of product and interface.
        pub $($asynchronous)* fn version(&mut self) -> Result<VersionInfo, Error> {
            self.call(&host::Version {}, Repeat::Once)$($wait)*
        }

        /// The host: one screen.
        pub $($asynchronous)* fn host(&mut self) -> Result<HostStatus, Error> {
            self.call(&host::Status {}, Repeat::Once)$($wait)*.map(|reply| reply.host)
        }

        /// Reads the configuration again.
        pub $($asynchronous)* fn reload(&mut self) -> Result<ReloadReport, Error> {
            self.call(&host::Reload {}, Repeat::Never)$($wait)*
        }

        /// Begins an ordered shutdown; returns when it has begun.
        pub $($asynchronous)* fn shutdown(&mut self) -> Result<(), Error> {
            self.call(&host::Shutdown {}, Repeat::Never)$($wait)*.map(|_| ())
        }

        /// Replaces the daemon by the program that is installed now; returns when it is about to be.
        pub $($asynchronous)* fn upgrade(&mut self) -> Result<(), Error> {
            self.call(&host::Upgrade {}, Repeat::Never)$($wait)*.map(|_| ())
        }

        /// All sessions, by number.
        pub $($asynchronous)* fn sessions(&mut self) -> Result<Vec<SessionStatus>, Error> {
            self.call(&session::List {}, Repeat::Once)$($wait)*.map(|reply| reply.sessions)
        }

        /// All services, by name.
        pub $($asynchronous)* fn services(&mut self) -> Result<Vec<ServiceStatus>, Error> {
            self.call(&service::List {}, Repeat::Once)$($wait)*.map(|reply| reply.services)
        }

        /// One service.
        pub $($asynchronous)* fn service(&mut self, name: &str) -> Result<ServiceStatus, Error> {
            let parameters = service::Status { name: name.to_owned() };
            self.call(&parameters, Repeat::Once)$($wait)*.map(|reply| reply.service)
        }

        /// Starts a service, the services it depends on first. The status is that at the time of the answer.
        pub $($asynchronous)* fn start(&mut self, name: &str, wait: Wait) -> Result<ServiceStatus, Error> {
            let parameters = service::Start { name: name.to_owned(), wait: Some(wait) };
            self.call(&parameters, Repeat::Never)$($wait)*.map(|reply| reply.service)
        }

        /// Stops a service. The status is that at the time of the answer.
        pub $($asynchronous)* fn stop(
            &mut self,
            name: &str,
            wait: Wait,
            dependents: Dependents,
        ) -> Result<ServiceStatus, Error> {
            let parameters =
                service::Stop { name: name.to_owned(), wait: Some(wait), dependents: Some(dependents) };
            self.call(&parameters, Repeat::Never)$($wait)*.map(|reply| reply.service)
        }

        /// Stops a service and starts it again. The status is that at the time of the answer.
        pub $($asynchronous)* fn restart(&mut self, name: &str, wait: Wait) -> Result<ServiceStatus, Error> {
            let parameters = service::Restart { name: name.to_owned(), wait: Some(wait) };
            self.call(&parameters, Repeat::Never)$($wait)*.map(|reply| reply.service)
        }

        /// The files of a service's output, opened for reading, the oldest first. See [`crate::log`].
        pub $($asynchronous)* fn open_log(&mut self, name: &str) -> Result<Vec<File>, Error> {
            let parameters = service::OpenLog { name: name.to_owned() };
            let reply = self.call(&parameters, Repeat::Once)$($wait)*?;
            let files = self.take_descriptors(reply.files, &format!("the log of {name}"))?;
            Ok(files.into_iter().map(File::from).collect())
        }

        /// One session.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// println!("{:?}", session0::Client::discover()?.session(0)?.state);
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn session(&mut self, id: u32) -> Result<SessionStatus, Error> {
            let parameters = session::Status { session: id };
            self.call(&parameters, Repeat::Once)$($wait)*.map(|reply| reply.session)
        }

        /// Ends a session: its programs are told, what has not ended after five seconds is killed. With
        /// [`Wait::Settled`] it returns when nothing of the session is left.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// session0::Client::discover()?.logoff(3, session0::Wait::Settled)?;
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn logoff(&mut self, id: u32, wait: Wait) -> Result<(), Error> {
            let parameters = session::Logoff { session: id, wait: Some(wait == Wait::Settled) };
            self.call(&parameters, Repeat::Never)$($wait)*.map(|_| ())
        }

        /// All named pipes, by name. See [`crate::pipe`].
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// for pipe in session0::Client::discover()?.pipes()? {
        ///     println!("{} {} listening, {} connected", pipe.name, pipe.listening, pipe.connected);
        /// }
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn pipes(&mut self) -> Result<Vec<PipeStatus>, Error> {
            self.call(&pipe::List {}, Repeat::Once)$($wait)*.map(|reply| reply.pipes)
        }

        /// One named pipe.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// println!("{} clients wait", session0::Client::discover()?.pipe("spooler")?.waiting);
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn pipe(&mut self, name: &str) -> Result<PipeStatus, Error> {
            let parameters = pipe::Status { pipe: name.to_owned() };
            self.call(&parameters, Repeat::Once)$($wait)*.map(|reply| reply.pipe)
        }

        /// Starts a program in a session, as its user. See [`Running`] for an example.
        pub $($asynchronous)* fn run(&mut self, parameters: &session::Run) -> Result<Running, Error> {
            let reply = self.call(parameters, Repeat::Never)$($wait)*?;
            Running::new(parameters, self.take_descriptors(reply.descriptors, "the program")?)
        }

        /// Begins a logon. See [`Conversation`] for an example.
        pub $($asynchronous)* fn logon(&mut self, parameters: &Begin) -> Result<Conversation, Error> {
            self.converse(parameters)$($wait)*
        }

        /// Asks for the built-in accounts: the conversation's [`crate::logon::Said::Done`] has them.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// let mut conversation = session0::Client::discover()?.account_list()?;
        /// if let session0::logon::Said::Done { accounts: Some(accounts) } = conversation.next()? {
        ///     accounts.iter().for_each(|account| println!("{} {}", account.uid, account.name));
        /// }
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn account_list(&mut self) -> Result<Conversation, Error> {
            self.converse(&account::List {})$($wait)*
        }

        /// Adds a built-in account; the conversation asks for its password.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// let account = "alice".to_owned();
        /// let add = session0::api::account::Add { account, full_name: None, shell: None };
        /// let mut conversation = session0::Client::discover()?.account_add(&add)?;
        /// while let session0::logon::Said::Prompt { .. } = conversation.next()? {
        ///     conversation.answer("correct horse battery staple")?;
        /// }
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn account_add(&mut self, parameters: &account::Add) -> Result<Conversation, Error> {
            self.converse(parameters)$($wait)*
        }

        /// Gives a built-in account a new password, which the conversation asks for.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// let mut conversation = session0::Client::discover()?.account_password("alice")?;
        /// while let session0::logon::Said::Prompt { .. } = conversation.next()? {
        ///     conversation.answer("correct horse battery staple")?;
        /// }
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn account_password(&mut self, name: &str) -> Result<Conversation, Error> {
            let parameters = account::Password { account: name.to_owned() };
            self.converse(&parameters)$($wait)*
        }

        /// Lets a built-in account log on no more; its sessions stay.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// let said = session0::Client::discover()?.account_disable("alice")?.next()?;
        /// assert!(matches!(said, session0::logon::Said::Done { .. }));
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn account_disable(&mut self, name: &str) -> Result<Conversation, Error> {
            let parameters = account::Disable { account: name.to_owned() };
            self.converse(&parameters)$($wait)*
        }

        /// Lets a built-in account log on again.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// let said = session0::Client::discover()?.account_enable("alice")?.next()?;
        /// assert!(matches!(said, session0::logon::Said::Done { .. }));
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn account_enable(&mut self, name: &str) -> Result<Conversation, Error> {
            let parameters = account::Enable { account: name.to_owned() };
            self.converse(&parameters)$($wait)*
        }

        /// Removes a built-in account.
        ///
        /// ```no_run
        /// # fn main() -> Result<(), session0::Error> {
        /// let said = session0::Client::discover()?.account_remove("alice", session0::Home::Kept)?.next()?;
        /// assert!(matches!(said, session0::logon::Said::Done { .. }));
        /// # Ok(())
        /// # }
        /// ```
        pub $($asynchronous)* fn account_remove(&mut self, name: &str, home: Home) -> Result<Conversation, Error> {
            let parameters = account::Remove { account: name.to_owned(), home: Some(home == Home::Removed) };
            self.converse(&parameters)$($wait)*
        }
    };
}
pub(crate) use methods;

impl Client {
    methods!([] []);
}
