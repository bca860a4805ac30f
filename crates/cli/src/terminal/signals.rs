//! Signals as something that can be waited for together with descriptors.

use std::io::{self, PipeReader, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// What a program that uses a terminal is told by signals.
pub const OF_TERMINALS: [Signal; 7] =
    [Signal::WINCH, Signal::CONT, Signal::TSTP, Signal::INT, Signal::QUIT, Signal::HUP, Signal::TERM];

/// Signals, which from now on do nothing but be heard here.
pub struct Signals {
    heard: PipeReader,
}

impl Signals {
    /// Begins to listen. A thread writes each signal's number into a pipe; without unsafe code there is no signalfd.
    pub fn listen(which: &[Signal]) -> io::Result<Signals> {
        let (heard, into) = io::pipe()?;
        rustix::io::ioctl_fionbio(&heard, true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        // In place before this returns: nothing that is sent afterwards is missed.
        let inside = runtime.enter();
        for number in which {
            let number = number.as_raw();
            let mut signals = signal(SignalKind::from_raw(number))?;
            let mut into = into.try_clone()?;
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    // Nobody listens any more once the terminal is given back.
                    let _ = into.write_all(&[number as u8]);
                }
            });
        }
        drop(inside);
        std::thread::Builder::new()
            .name("s0-signals".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Signals { heard })
    }

    /// The next one that was heard.
    pub fn next(&self) -> Option<Signal> {
        let mut number = [0];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&self.heard, &mut number)).ok()?;
        if length == 0 { None } else { Signal::from_named_raw(i32::from(number[0])) }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}
