//! Load and bad behaviour.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

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
