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
pub(crate) const SEND_WAIT: Duration = Duration::from_secs(10);
/// Longest path that fits a Unix address (108 bytes with the zero byte).
const ADDRESS_MAX: usize = 107;

/// A blocking connection. While the queue of the listener is full it waits for [`CONNECT_WAIT`].
pub(crate) fn blocking(path: &Path) -> Result<std::os::unix::net::UnixStream, Error> {
    blocking_within(path, CONNECT_WAIT).map_err(|error| unreachable(path, &error))
}

/// The same, within a time of the caller's; `WouldBlock` if the queue is full so long.
pub(crate) fn blocking_within(path: &Path, time: Duration) -> io::Result<std::os::unix::net::UnixStream> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // With a send time-out the kernel itself waits for room in the queue, and answers EAGAIN afterwards. No time at all would
    // be for ever.
    let time = time.max(Duration::from_millis(1));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(time))?;
    let address = Address::of(path)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address.unix))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(SEND_WAIT))?;
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
pub(crate) fn text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    struct Directory(PathBuf);

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn directory(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("session0-connect-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("make a directory");
        Directory(path)
    }

    fn why(error: Error) -> String {
        assert!(error.hint().is_some_and(|hint| hint.contains("s0 up")), "{error:?}");
        error.to_string()
    }

    #[test]
    fn a_host_that_is_not_there_is_said_to_be_so_with_what_helps() {
        let directory = directory("absent");
        let path = directory.0.join("api");
        assert!(
            why(blocking(&path).expect_err("nobody"))
                .ends_with("there is no such socket, so the host is not up")
        );
        drop(UnixListener::bind(&path).expect("bind"));
        assert!(why(blocking(&path).expect_err("nobody")).ends_with("nobody listens there any more"));
    }

    #[test]
    fn a_path_that_is_too_long_for_an_address_is_connected_to() {
        let directory = directory("long");
        let deep = directory.0.join("d".repeat(200));
        std::fs::create_dir_all(&deep).expect("make a directory");
        // Bound through a link, as its own path fits no address either.
        let link = directory.0.join("l");
        std::os::unix::fs::symlink(&deep, &link).expect("link");
        let _listener = UnixListener::bind(link.join("api")).expect("bind");
        blocking(&deep.join("api")).expect("connect");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(asynchronous(&deep.join("api"))).expect("connect");
    }

    #[test]
    fn a_full_queue_is_waited_for() {
        let directory = directory("full");
        let path = directory.0.join("api");
        let listener = UnixListener::bind(&path).expect("bind");
        rustix::net::listen(&listener, 1).expect("listen");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut waiting = Vec::new();
            while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
                waiting.push(stream);
            }
            let attempt = asynchronous(&path);
            let accept = async {
                tokio::time::sleep(CONNECT_PAUSE).await;
                listener.accept().expect("accept")
            };
            let mut attempt = std::pin::pin!(attempt);
            let mut accept = std::pin::pin!(accept);
            let mut accepted = None;
            let connected = std::future::poll_fn(|context| {
                if accepted.is_none()
                    && let std::task::Poll::Ready(stream) = accept.as_mut().poll(context)
                {
                    accepted = Some(stream);
                }
                attempt.as_mut().poll(context)
            });
            connected.await.expect("connect");
            assert!(accepted.is_some());
        });
        let path = path.clone();
        let client = std::thread::spawn(move || blocking(&path).map(drop));
        listener.accept().expect("accept");
        client.join().expect("no panic").expect("connect");
    }
}
