//! What can come of a call other than its answer.

use std::fmt;
use std::path::PathBuf;

/// Why a call did not give its answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The host understood and said no.
    Refused(Box<Refused>),
    /// The caller lacks the right (the host says so, or the socket cannot be opened).
    NotPermitted(Box<Refused>),
    /// The host has a fault; its log has the details under the id in the message.
    Fault(Box<Refused>),
    /// Nobody answers.
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        why: String,
        /// What helps.
        hint: Option<String>,
    },
    /// What answers does not speak this interface.
    Protocol {
        /// What was not understood, by whom.
        what: String,
    },
    /// This machine would not let us: a file, a descriptor, memory.
    System {
        /// What was tried.
        what: String,
        /// Why not.
        why: String,
    },
}

/// The host's no.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The error's full name, for instance `io.session0.Service.NotActive`.
    pub name: String,
    /// Windows' error code, if the error has one.
    pub code: Option<u32>,
    /// The refusal in a sentence.
    pub message: String,
    /// What helps, if something does.
    pub hint: Option<String>,
    /// All parameters of the error, for those that have more than the above.
    pub parameters: serde_json::Value,
}

impl Refused {
    /// The error's name without its interface, for instance `NotActive`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The error with its type, if it is one of `io.session0.Service`.
    pub fn service_error(&self) -> Option<session0_api::service::Error> {
        session0_api::service::Error::read(&self.name, &self.parameters).ok().flatten()
    }

    /// The error with its type, if it is one of `io.session0.Session`.
    pub fn session_error(&self) -> Option<session0_api::session::Error> {
        session0_api::session::Error::read(&self.name, &self.parameters).ok().flatten()
    }

    /// The error with its type, if it is one of `io.session0.Logon`.
    pub fn logon_error(&self) -> Option<session0_api::logon::Error> {
        session0_api::logon::Error::read(&self.name, &self.parameters).ok().flatten()
    }

    /// The error with its type, if it is one of `io.session0.Account`.
    pub fn account_error(&self) -> Option<session0_api::account::Error> {
        session0_api::account::Error::read(&self.name, &self.parameters).ok().flatten()
    }

    /// The error with its type, if it is one of `io.session0.Pipe`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), session0::Error> {
    /// use session0::api::pipe::Error::NoSuchPipe;
    ///
    /// if let Err(error) = session0::Client::discover()?.pipe("spooler")
    ///     && let Some(NoSuchPipe(_)) = error.refused().and_then(session0::Refused::pipe_error)
    /// {
    ///     println!("nobody serves it");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pipe_error(&self) -> Option<session0_api::pipe::Error> {
        session0_api::pipe::Error::read(&self.name, &self.parameters).ok().flatten()
    }
}

impl Error {
    /// Windows' error code, where the host gave one.
    pub fn code(&self) -> Option<u32> {
        self.refused().and_then(|refused| refused.code)
    }

    /// What helps, if something does.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Error::Refused(refused) | Error::NotPermitted(refused) | Error::Fault(refused) => {
                refused.hint.as_deref()
            }
            Error::Unreachable { hint, .. } => hint.as_deref(),
            Error::Protocol { .. } | Error::System { .. } => None,
        }
    }

    /// The host's own words, if it is the host that said no.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Error::Refused(refused) | Error::NotPermitted(refused) | Error::Fault(refused) => Some(refused),
            Error::Unreachable { .. } | Error::Protocol { .. } | Error::System { .. } => None,
        }
    }
}

/// What was tried and why not, without the hint: lower case, no full stop.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refused) | Error::NotPermitted(refused) | Error::Fault(refused) => {
                f.write_str(&refused.message)
            }
            Error::Unreachable { path, why, .. } => write!(f, "no answer from {}: {why}", path.display()),
            Error::Protocol { what } => f.write_str(what),
            Error::System { what, why } => write!(f, "{what}: {why}"),
        }
    }
}

impl std::error::Error for Error {}
