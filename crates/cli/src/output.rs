//! Printing. A reader that goes away (`s0 service list | head -1`) ends the command quietly, never with a panic.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// Decides for one stream.
    pub fn on(self, stream_is_terminal: bool) -> Painting {
        let colored = match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
                    || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
                stream_is_terminal && !declined
            }
        };
        if colored { Painting::Colored } else { Painting::Plain }
    }
}

/// Whether escape sequences are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Painting {
    /// They are.
    Colored,
    /// They are not.
    Plain,
}

/// The few colours there are, by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As it should be.
    Good,
    /// On its way.
    Moving,
    /// Somebody should look.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
    /// As it is.
    Plain,
}

impl Paint {
    /// The text in this colour.
    pub fn on(self, text: &str, painting: Painting) -> String {
        let code = match self {
            Paint::Good => "32",
            Paint::Moving => "33",
            Paint::Bad => "31",
            Paint::Faint => "2",
            Paint::Strong => "1",
            Paint::Plain => "",
        };
        match painting {
            Painting::Colored if !code.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Painting::Colored | Painting::Plain => text.to_owned(),
        }
    }
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// For machines.
    pub json: bool,
    /// Colours on stdout.
    pub painting: Painting,
    /// Colours on stderr.
    pub error_painting: Painting,
    /// Columns of the terminal; none when stdout is not one.
    pub width: Option<u16>,
    /// stderr is a terminal, so progress may be shown there.
    pub progress: bool,
}

impl Output {
    /// For this process's streams.
    pub fn new(json: bool, color: ColorChoice) -> Output {
        let stdout = io::stdout();
        let width = match rustix::termios::tcgetwinsize(&stdout) {
            Ok(size) if stdout.is_terminal() && size.ws_col > 0 => Some(size.ws_col),
            _ => None,
        };
        Output {
            json,
            painting: color.on(stdout.is_terminal()),
            error_painting: color.on(io::stderr().is_terminal()),
            width,
            progress: io::stderr().is_terminal() && !json,
        }
    }

    /// One line, or several, to stdout.
    pub fn line(&self, text: impl AsRef<str>) {
        let mut bytes = text.as_ref().as_bytes().to_vec();
        bytes.push(b'\n');
        self.bytes(&bytes);
    }

    /// Bytes to stdout.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            end_of_output(&error);
        }
    }

    /// One JSON document on one line.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => {
                self.failure(&Failure::fault("write the answer as json", error));
                std::process::exit(4);
            }
        }
    }

    /// The text in this colour, where stdout shows colours.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        paint.on(text, self.painting)
    }

    /// A failure, to stderr.
    pub fn failure(&self, failure: &Failure) {
        let text = if self.json { failure.to_json() } else { self.failure_text(failure) };
        note(&text);
    }

    fn failure_text(&self, failure: &Failure) -> String {
        let mut text = format!("{} {failure}", Paint::Bad.on("error:", self.error_painting));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n{} {hint}", Paint::Strong.on("hint:", self.error_painting)));
        }
        text
    }
}

/// One line to stderr; nobody reading it is no reason to stop.
pub fn note(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Nobody reads on: that is how `head` says thank you. Anything else is worth a word.
fn end_of_output(error: &io::Error) -> ! {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    note(&format!("error: could not write to standard output: {error}"));
    std::process::exit(4);
}
