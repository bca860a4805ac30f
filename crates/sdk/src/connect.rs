//! Connecting, and what its failures mean.

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Refused};

/// How long connecting waits for room in the listener's queue: a daemon that is replaced is back long before.
pub(crate) const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long an asynchronous connect waits before it looks for room in the queue again.
pub(crate) const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// A daemon that does not take a call off its socket within this is not there.
const SEND_WAIT: Duration = Duration::from_secs(10);
/// Longest path that fits a Unix address (108 bytes with the zero byte).
const ADDRESS_MAX: usize = 107;

/// A blocking connection. While the queue of the listener is full it waits for [`CONNECT_WAIT`].
pub(crate) fn blocking(path: &Path) -> Result<std::os::unix::net::UnixStream, Error> {
    let unreachable = |error: rustix::io::Errno| unreachable(path, &error.into());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(unreachable)?;
    // With a send time-out the kernel itself waits for room in the queue, and answers EAGAIN afterwards.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(CONNECT_WAIT)).map_err(unreachable)?;
    let address = Address::of(path).map_err(|error| self::unreachable(path, &error))?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address.unix)).map_err(unreachable)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(SEND_WAIT)).map_err(unreachable)?;
    Ok(socket.into())
}

/// A connection within tokio. While the queue of the listener is full it tries again for [`CONNECT_WAIT`].
pub(crate) async fn asynchronous(path: &Path) -> Result<tokio::net::UnixStream, Error> {
    let address = Address::of(path).map_err(|error| unreachable(path, &error))?;
    let end = tokio::time::Instant::now() + CONNECT_WAIT;
    loop {
        match tokio::net::UnixStream::connect(&address.path).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tokio::time::Instant::now() < end => {
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            Err(error) => return Err(unreachable(path, &error)),
        }
    }
}

/// An address for a path of any length: a long one goes through a descriptor of its directory.
struct Address {
    unix: SocketAddrUnix,
    path: PathBuf,
    /// Open as long as the address is used.
    _directory: Option<OwnedFd>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Address> {
        if path.as_os_str().len() <= ADDRESS_MAX {
            return Ok(Address {
                unix: SocketAddrUnix::new(path)?,
                path: path.to_path_buf(),
                _directory: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory =
            rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Address { unix: SocketAddrUnix::new(&short)?, path: short, _directory: Some(directory) })
    }
}

/// What a failed connect means.
pub(crate) fn unreachable(path: &Path, error: &io::Error) -> Error {
    const START: &str = "`s0 up` starts the host; SESSION0_ROOT says which one is meant";
    let (why, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            return Error::NotPermitted(Box::new(Refused {
                name: "io.session0.Host.AccessDenied".to_owned(),
                code: Some(5),
                message: format!("the socket {} may not be opened by this user", path.display()),
                hint: Some("look at the permissions of its directories".to_owned()),
                parameters: serde_json::Value::Null,
            }));
        }
        io::ErrorKind::NotFound => ("there is no such socket, so the host is not up".to_owned(), Some(START)),
        io::ErrorKind::ConnectionRefused => ("nobody listens there any more".to_owned(), Some(START)),
        io::ErrorKind::WouldBlock => (
            format!(
                "its queue was full for {} s; the daemon is not there or overloaded",
                CONNECT_WAIT.as_secs()
            ),
            Some("`s0 doctor` says what is wrong"),
        ),
        _ => (text(error), None),
    };
    Error::Unreachable { path: path.to_path_buf(), why, hint: hint.map(str::to_owned) }
}

/// What a connection that breaks during a call means.
pub(crate) fn broken(path: &Path, error: &io::Error) -> Error {
    let (why, hint) = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => (
            "it did not answer in time".to_owned(),
            Some("the daemon may be starting again; `s0 doctor` says what is wrong"),
        ),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => (
            "the daemon closed the connection before it answered".to_owned(),
            Some("if it was replaced, it may have carried the call out: look at `s0 status`"),
        ),
        _ => (text(error), None),
    };
    Error::Unreachable { path: path.to_path_buf(), why, hint: hint.map(str::to_owned) }
}

/// An error without Rust's `(os error N)`.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
