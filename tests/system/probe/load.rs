//! Load and bad behaviour.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// `N` numbered lines as fast as they go; `forever` does not end.
pub fn lines(argument: &str) -> String {
    let count: u64 = if argument == "forever" { u64::MAX } else { argument.parse().unwrap_or(1000) };
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        if writeln!(out, "line {number}").is_err() {
            return "output is gone".into();
        }
    }
    format!("{count} lines")
}

/// Forks until it can no more, and so do its children.
pub fn fork_bomb() -> String {
    loop {
        // SAFETY: the process has one thread; the child runs the same loop.
        if unsafe { libc::fork() } < 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// Takes and touches memory until it is stopped.
pub fn memory_hog() -> String {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; 1 << 20]);
        if taken.len().is_multiple_of(64) {
            eprintln!("{} MiB", taken.len());
        }
    }
}

/// Opens files until refused, then stays.
pub fn descriptor_hog() -> String {
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    println!("descriptor-hog opened {}", files.len());
    sleep()
}

/// Sends each argument as one datagram (`\n` separates assignments); `wait` sleeps for ever.
pub fn notify(arguments: &[String]) -> String {
    let Ok(socket) = std::env::var("NOTIFY_SOCKET") else { return "no NOTIFY_SOCKET".into() };
    let Ok(sender) = UnixDatagram::unbound() else { return "no socket".into() };
    for text in arguments {
        if text == "wait" {
            return sleep();
        }
        if let Some(milliseconds) = text.strip_prefix("pause=") {
            std::thread::sleep(std::time::Duration::from_millis(milliseconds.parse().unwrap_or(0)));
            continue;
        }
        let text = text.replace("\\n", "\n").replace("$PID", &std::process::id().to_string());
        if let Err(error) = sender.send_to(text.as_bytes(), &socket) {
            return format!("{error}");
        }
    }
    "sent".into()
}

/// Has many children and names one after the other as its main process, as fast as it goes.
pub fn main_process_flood() -> String {
    let Ok(socket) = std::env::var("NOTIFY_SOCKET") else { return "no NOTIFY_SOCKET".into() };
    let Ok(sender) = UnixDatagram::unbound() else { return "no socket".into() };
    let mut children = Vec::new();
    for _ in 0..1000 {
        // SAFETY: one thread.
        match unsafe { libc::fork() } {
            0 => return sleep(),
            child => children.push(child),
        }
    }
    let _ = sender.send_to(b"READY=1", &socket);
    loop {
        for child in &children {
            let _ = sender.send_to(format!("MAINPID={child}").as_bytes(), &socket);
        }
    }
}

/// Leaves a daemonised child behind and exits.
pub fn leave_child() -> String {
    // SAFETY: one thread.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: setsid has no preconditions.
            unsafe { libc::setsid() };
            sleep()
        }
        _ => "left".into(),
    }
}

/// Ignores SIGTERM.
pub fn ignore_term() -> String {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    println!("ignoring SIGTERM");
    sleep()
}

/// For ever.
pub fn sleep() -> String {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}

/// Hands descriptors to the notify socket whose last close waits for as long as the sender likes: sockets with bytes that nobody
/// takes, one alone and one after 252 others. Then asks by BARRIER whether all that was handled, and keeps the other ends.
pub fn notify_slow() -> String {
    // Who is held up by it all the same is held up for a minute, and the test fails rather than hangs.
    // SAFETY: alarm(2) takes a number.
    unsafe { libc::alarm(60) };
    match slow_descriptors() {
        Ok(_peers) => {
            println!("barrier passed");
            sleep()
        }
        Err(error) => error.to_string(),
    }
}

fn slow_descriptors() -> std::io::Result<Vec<TcpStream>> {
    let path = std::env::var("NOTIFY_SOCKET").map_err(std::io::Error::other)?;
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    let (first, first_peer) = lingering()?;
    busy(&socket)?;
    hand_over(&socket, b"FDSTORE=1", &[first.as_fd()])?;
    let_go(first);
    let (second, second_peer) = lingering()?;
    let null = std::fs::File::open("/dev/null")?;
    let mut many = vec![null.as_fd(); 252];
    many.push(second.as_fd());
    busy(&socket)?;
    hand_over(&socket, b"FDSTORE=1", &many)?;
    let_go(second);
    let (mut passed, barrier) = std::io::pipe()?;
    hand_over(&socket, b"BARRIER=1", &[barrier.as_fd()])?;
    drop(barrier);
    println!("handed over");
    passed.read_exact(&mut [0]).expect_err("nobody writes to it");
    Ok(vec![first_peer, second_peer])
}

/// A socket whose last close takes 1000 s, as long as its peer lives and does not read.
fn lingering() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let slow = TcpStream::connect(listener.local_addr()?)?;
    let (peer, _) = listener.accept()?;
    slow.set_nonblocking(true)?;
    while (&slow).write(&[0; 1 << 16]).is_ok() {}
    rustix::net::sockopt::set_socket_linger(&slow, Some(Duration::from_secs(1000)))?;
    Ok((slow, peer))
}

/// Enough to do for the receiver that we close ours before it comes to what follows, so that its close is the last.
fn busy(socket: &UnixDatagram) -> std::io::Result<()> {
    (0..300).try_for_each(|_| socket.send(b"STATUS=busy").map(drop))
}

/// On a thread: should ours be the last all the same, it is that one that waits.
fn let_go(slow: TcpStream) {
    std::thread::spawn(move || drop(slow));
}

fn hand_over(socket: &UnixDatagram, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> std::io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(descriptors)));
    rustix::net::sendmsg(
        socket,
        &[std::io::IoSlice::new(bytes)],
        &mut control,
        rustix::net::SendFlags::empty(),
    )?;
    Ok(())
}
