//! `s0 pipe connect`.

use std::time::Duration;

use session0::api::pipe::{Access, Impersonation};
use session0::pipe::{ClientBuilder, Code, PipeClient};

use super::join::{self, Form, Framing, Ours, Trouble, join};
use super::show::all;
use crate::context::Context;
use crate::describe::one_line;
use crate::failure::Failure;
use crate::time;

/// Join standard input and output with a pipe
///
/// On a byte pipe bytes pass as they are, both ways at once. On a message pipe each line of the input is a message, and each message
/// that comes is written as a line; --null and --delimiter choose another end, --whole makes all of the input one message. With --json
/// each message that comes is a line {"message": TEXT}, or {"base64": TEXT} where it is no UTF-8.
///
/// The end of the input is passed on: the server's next read finds it. What the server says is written until it closes the pipe; then
/// the exit code is 0. It is 1 if it closed the pipe before it had read everything.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 pipe connect spooler\n  echo jobs | s0 pipe connect spooler --wait 5s\n  s0 pipe connect backup --access read > backup.tar\n  s0 pipe connect images --whole < picture.png > smaller.png"
)]
pub struct Args {
    /// The pipe's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Wait while all instances are busy: so long, "default" for the pipe's own time, for ever without TIME
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "ever", value_parser = Waiting::parse)]
    wait: Option<Waiting>,
    /// Open it for one way only; else for all that is allowed
    #[arg(long, value_enum, value_name = "read|write", hide_possible_values = true)]
    access: Option<Way>,
    /// What the server may do with your identity: not know it, know it, open files as you
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    impersonation: Level,
    /// Give up when nothing has passed, either way, for so long
    #[arg(long, value_name = "TIME", value_parser = time::parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    messages: join::MessageArgs,
}

/// `--access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Read,
    Write,
}

/// `--impersonation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Level {
    Anonymous,
    #[default]
    Identification,
    Impersonation,
}

/// `--wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Ever,
    Default,
    For(Duration),
}

impl Waiting {
    fn parse(text: &str) -> Result<Waiting, String> {
        match text {
            "ever" => Ok(Waiting::Ever),
            "default" => Ok(Waiting::Default),
            time => time::parse_duration(time).map(Waiting::For),
        }
    }

    fn on(self, builder: ClientBuilder) -> ClientBuilder {
        match self {
            Waiting::Ever => builder.wait_for_ever(),
            Waiting::Default => builder.wait_default(),
            Waiting::For(time) => builder.wait(time),
        }
    }
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let name = one_line(&args.name);
    let tried = format!("connect to pipe {name}");
    let pipe = builder(context, args).open().map_err(|error| {
        let code = error.code();
        let failure = context.pipe_failure(&tried, error);
        match code {
            Code::FileNotFound | Code::InvalidName => failure.or_hint(|| all(context)),
            Code::PipeBusy => failure.or_hint(|| "--wait waits until an instance is free".to_owned()),
            Code::AccessDenied => failure
                .or_hint(|| format!("`s0 {}pipe show {name}` shows who may do what", context.root.flag())),
            _ => failure,
        }
    })?;
    let ours = Ours::standard().map_err(|error| Failure::fault(&tried, error))?;
    let form = Form { framing: Framing::new(&args.messages), json: context.output.json };
    let tried = format!("pass on what is said through pipe {name}");
    join(pipe, ours, form, args.timeout).or_else(|trouble| ended(context, &tried, trouble, "server"))
}

fn builder(context: &Context, args: &Args) -> ClientBuilder {
    let level = match args.impersonation {
        Level::Anonymous => Impersonation::Anonymous,
        Level::Identification => Impersonation::Identification,
        Level::Impersonation => Impersonation::Impersonation,
    };
    let builder = PipeClient::builder(&args.name).socket(&context.socket).impersonation(level);
    let builder = match args.access {
        Some(Way::Read) => builder.access(Access::Read),
        Some(Way::Write) => builder.access(Access::Write),
        None => builder,
    };
    match args.wait {
        Some(waiting) => waiting.on(builder),
        None => builder,
    }
}

/// What the end of a join means to whoever joined. `other` is who is at the other end.
pub fn ended(context: &Context, tried: &str, trouble: Trouble, other: &str) -> Result<(), Failure> {
    Err(match trouble {
        // That is how `head` says thank you.
        Trouble::OutputClosed => return Ok(()),
        Trouble::Pipe(error) if error.code() == Code::MoreData => {
            let reason = "a message that came is longer than what --json takes";
            Failure::refused(tried, reason)
                .code(Code::MoreData.number())
                .hint("without --json any length passes")
        }
        Trouble::Pipe(error) => context.pipe_failure(tried, error),
        Trouble::Unheard => {
            let reason = format!("the {other} closed the pipe before it had read everything");
            Failure::refused(tried, reason).code(Code::BrokenPipe.number())
        }
        Trouble::Idle(time) => {
            let reason = format!("nothing was said, either way, for {}", time::short(time));
            Failure::refused(tried, reason).code(Code::SemTimeout.number())
        }
        Trouble::Input(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Failure::refused(tried, format!("of standard input: {error}"))
        }
        Trouble::Input(error) => Failure::fault(tried, format!("standard input: {error}")),
        Trouble::Output(error) => Failure::fault(tried, format!("standard output: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_a_time_the_pipes_own_or_for_ever() {
        assert_eq!(Waiting::parse("ever"), Ok(Waiting::Ever));
        assert_eq!(Waiting::parse("default"), Ok(Waiting::Default));
        assert_eq!(Waiting::parse("5s"), Ok(Waiting::For(Duration::from_secs(5))));
        assert!(Waiting::parse("soon").unwrap_err().contains("500ms"));
    }
}
