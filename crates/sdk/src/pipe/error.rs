//! What can come of a pipe's calls other than what was asked for: Windows' numbers and names.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Declares the codes with Windows' numbers and names.
macro_rules! codes {
    ($( $(#[doc = $doc:literal])* $variant:ident = $number:literal $name:literal, )*) => {
        /// Why not, as Windows numbers and names it.
        ///
        /// ```
        /// use session0::pipe::Code;
        /// assert_eq!(Code::PipeBusy.number(), 231);
        /// assert_eq!(Code::from(231).name(), "PIPE_BUSY");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $( $(#[doc = $doc])* $variant, )*
            /// A number that has no name here: a newer host's.
            Other(u32),
        }

        impl Code {
            /// Windows' number.
            pub fn number(self) -> u32 {
                match self {
                    $( Code::$variant => $number, )*
                    Code::Other(number) => number,
                }
            }

            /// Windows' name, without its `ERROR_`.
            pub fn name(self) -> &'static str {
                match self {
                    $( Code::$variant => $name, )*
                    Code::Other(_) => "OTHER",
                }
            }
        }

        impl From<u32> for Code {
            fn from(number: u32) -> Code {
                match number {
                    $( $number => Code::$variant, )*
                    other => Code::Other(other),
                }
            }
        }
    };
}

codes! {
    /// 2: nobody serves a pipe of this name.
    FileNotFound = 2 "FILE_NOT_FOUND",
    /// 5: the right is lacking, the name is somebody else's, or the pipe does not go this way.
    AccessDenied = 5 "ACCESS_DENIED",
    /// 21: the host, or its Session 0, is not there.
    NotReady = 21 "NOT_READY",
    /// 87: a parameter cannot be used.
    InvalidParameter = 87 "INVALID_PARAMETER",
    /// 109: the other end is gone, and everything it had written was read.
    BrokenPipe = 109 "BROKEN_PIPE",
    /// 121: the time is over.
    SemTimeout = 121 "SEM_TIMEOUT",
    /// 123: this cannot be a pipe's name.
    InvalidName = 123 "INVALID_NAME",
    /// 230: the pipe is not of the kind, or not in the read mode, that the call needs.
    BadPipe = 230 "BAD_PIPE",
    /// 231: every instance is busy, or no further one may be made.
    PipeBusy = 231 "PIPE_BUSY",
    /// 232: the other end is closing: nobody will read what is written.
    NoData = 232 "NO_DATA",
    /// 233: this end is disconnected.
    PipeNotConnected = 233 "PIPE_NOT_CONNECTED",
    /// 234: the message is longer than its reader has room for; the rest is there still.
    MoreData = 234 "MORE_DATA",
    /// 535: a client is there already.
    PipeConnected = 535 "PIPE_CONNECTED",
    /// 536: no client is there yet.
    PipeListening = 536 "PIPE_LISTENING",
    /// 995: the server was closed, or lost its connection to the host.
    OperationAborted = 995 "OPERATION_ABORTED",
    /// 1115: the host is shutting down.
    ShutdownInProgress = 1115 "SHUTDOWN_IN_PROGRESS",
    /// 1314: this process lacks a capability.
    PrivilegeNotHeld = 1314 "PRIVILEGE_NOT_HELD",
    /// 1346: the client does not let the server be it.
    BadImpersonationLevel = 1346 "BAD_IMPERSONATION_LEVEL",
    /// 1359: a fault of the host, or of this library.
    InternalError = 1359 "INTERNAL_ERROR",
    /// 1368: nothing was read from the client yet, or the kernel refuses.
    CannotImpersonate = 1368 "CANNOT_IMPERSONATE",
    /// 1450: too many pipes, connections or descriptors, or too little memory.
    NoSystemResources = 1450 "NO_SYSTEM_RESOURCES",
}

/// Why a pipe's call did not do what was asked.
///
/// ```no_run
/// use session0::pipe::{Code, PipeClient};
///
/// match PipeClient::open("spooler") {
///     Err(error) if error.code() == Code::PipeBusy => println!("later"),
///     Err(error) => println!("{error} ({})", error.hint().unwrap_or("nothing helps")),
///     Ok(_) => println!("connected"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    code: Code,
    message: String,
    hint: Option<String>,
    read: Option<usize>,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), hint: None, read: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// 234 with so many bytes read.
    pub(super) fn more_data(what: String, read: usize) -> Error {
        Error { read: Some(read), ..Error::new(Code::MoreData, what) }
    }

    /// What the system does not let us do.
    pub(super) fn system(what: &str, error: Errno) -> Error {
        let code = match error {
            Errno::NOMEM | Errno::NOBUFS | Errno::MFILE | Errno::NFILE | Errno::TOOMANYREFS => {
                Code::NoSystemResources
            }
            Errno::ACCESS | Errno::PERM => Code::AccessDenied,
            _ => Code::InternalError,
        };
        Error::new(code, format!("{what}: {}", crate::connect::text(&error.into())))
    }

    /// Windows' number, as a type.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Windows' name for it, without its `ERROR_`.
    pub fn name(&self) -> &'static str {
        self.code.name()
    }

    /// What was tried and why not, in a sentence: the host's own words where it is the host that refuses.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What helps, if something does.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// With 234: the bytes that are in the buffer already. The rest of the message is there still, for the next read.
    pub fn bytes_read(&self) -> Option<usize> {
        self.read
    }
}

/// The message and the number: lower case, no full stop, without the hint.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.message, self.code.number())
    }
}

impl std::error::Error for Error {}

/// The host's number, words and hint stay what they are. No host at all is 21, what is not understood is 1359.
impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Error {
        let code = match &error {
            crate::Error::Refused(refused)
            | crate::Error::NotPermitted(refused)
            | crate::Error::Fault(refused) => refused.code.map_or(Code::InternalError, Code::from),
            crate::Error::Unreachable { .. } => Code::NotReady,
            crate::Error::Protocol { .. } | crate::Error::System { .. } => Code::InternalError,
        };
        let hint = error.hint().map(str::to_owned);
        Error { code, message: error.to_string(), hint, read: None }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match error.code {
            Code::FileNotFound => io::ErrorKind::NotFound,
            Code::AccessDenied | Code::PrivilegeNotHeld => io::ErrorKind::PermissionDenied,
            Code::InvalidParameter | Code::InvalidName => io::ErrorKind::InvalidInput,
            Code::BadPipe => io::ErrorKind::Unsupported,
            Code::BrokenPipe | Code::NoData => io::ErrorKind::BrokenPipe,
            Code::PipeNotConnected => io::ErrorKind::NotConnected,
            Code::SemTimeout => io::ErrorKind::TimedOut,
            Code::PipeBusy => io::ErrorKind::ResourceBusy,
            Code::PipeListening => io::ErrorKind::WouldBlock,
            Code::OperationAborted => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
