//! The article's claims as a program, for `cargo xtask demo`: one JSON object a line for each thing that is shown.

mod vista;
mod xp;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use session0_system_tests::{Host, Logon, Run};

/// Whether something could not be shown.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Lines of output that are shown.
const LINES_MAX: usize = 8;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("error: the demo needs root, to make hosts with sessions");
        return ExitCode::from(3);
    }
    for tour in [vista::tour as fn(), xp::tour] {
        // What goes wrong before a claim can be shown was said as a panic.
        if std::panic::catch_unwind(tour).is_err() {
            FAILED.store(true, Ordering::Relaxed);
        }
    }
    ExitCode::from(u8::from(FAILED.load(Ordering::Relaxed)))
}

/// A claim, and the side of it that is shown.
#[derive(Clone, Copy)]
struct Claim {
    number: &'static str,
    sentence: &'static str,
    mode: &'static str,
}

impl Claim {
    /// Shows it: what was done, what came of it, and whether that is what the claim says.
    fn show(self, command: &str, output: &str, holds: bool) {
        if !holds {
            FAILED.store(true, Ordering::Relaxed);
        }
        let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let shown = &lines[..lines.len().min(LINES_MAX)];
        let line = json!({
            "claim": self.number,
            "sentence": self.sentence,
            "mode": self.mode,
            "command": command,
            "output": shown,
            "left_out": lines.len() - shown.len(),
            "holds": holds,
        });
        println!("{line}");
    }

    /// The same with `s0` as the command.
    fn s0(self, host: &Host, arguments: &[&str], holds: impl Fn(&Run) -> bool) {
        let run = host.s0(arguments);
        self.show(&format!("s0 {}", arguments.join(" ")), &said(host, &run), holds(&run));
    }

    /// The same with a line typed into somebody's shell.
    fn typed(self, host: &Host, logon: &Logon, line: &str, holds: impl Fn(&str) -> bool) {
        let output = logon.shell(&line.replace("s0 ", &format!("{} ", host.visible_s0())));
        let output = plain(host, &output);
        self.show(&format!("$ {line}"), &output, holds(&output));
    }
}

/// What a command said, without the places of this trial in it.
fn said(host: &Host, run: &Run) -> String {
    plain(host, &format!("{}{}", run.out, run.err))
}

fn plain(host: &Host, text: &str) -> String {
    let root = format!("--root {} ", host.root().display());
    let text = text.replace(&root, "").replace(&host.visible_s0(), "s0");
    // What moves a terminal is left out: sequences up to their last letter.
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                let _ = characters.by_ref().skip(1).find(char::is_ascii_alphabetic);
            }
            '\n' => out.push('\n'),
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}
