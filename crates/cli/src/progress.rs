//! A word to those who wait: after a second, on a terminal, what is being waited for and for how long.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::output::Output;

/// Shorter waits need no word.
const QUIET: Duration = Duration::from_secs(1);
/// Between two looks.
const STEP: Duration = Duration::from_millis(500);

/// Shown until dropped.
pub struct Progress {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows `label`, and what `detail` finds out, unless standard error is no terminal.
    pub fn start(
        output: &Output,
        label: String,
        mut detail: impl FnMut() -> Option<String> + Send + 'static,
    ) -> Progress {
        if !output.progress {
            return Progress { running: None };
        }
        let (stop, stopped) = channel::<()>();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut wait = QUIET;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = STEP;
                let detail = detail().map(|text| format!(": {text}")).unwrap_or_default();
                show(&format!("{label} ... {}s{detail}", begun.elapsed().as_secs()));
            }
            if wait == STEP {
                show("");
            }
        });
        Progress { running: Some((stop, thread)) }
    }
}

impl Progress {
    /// For a question that is answered at once, unless the daemon is away or hangs.
    pub fn answer(output: &Output) -> Progress {
        Progress::start(output, "session0d has not answered yet".to_owned(), || None)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let Some((stop, thread)) = self.running.take() else { return };
        drop(stop);
        let _ = thread.join();
    }
}

/// Over the line before, cut to the terminal's width.
fn show(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let width = rustix::termios::tcgetwinsize(&stderr).map_or(80, |size| usize::from(size.ws_col.max(20)));
    let text: String = text.chars().take(width - 1).collect();
    let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}
