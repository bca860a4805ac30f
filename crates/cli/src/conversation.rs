//! Talking a conversation with the host through: prompts are answered by whoever sits at the terminal, or with a line that was read.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use session0::logon::{Account, Conversation, LoggedOn, Said};

use crate::context::Context;
use crate::describe::one_line;
use crate::failure::Failure;
use crate::output;
use crate::terminal::{Mode, Place, Secret, Terminal, Untyped};
use crate::time;

/// What is said to somebody who has no terminal to type at.
pub const WITHOUT_TERMINAL: &str = "--password-stdin reads the password from standard input, one line";
/// A shorter wait needs no word.
const WAIT_SHOWN: Duration = Duration::from_secs(1);

/// Who answers prompts.
pub enum Answers {
    /// Whoever sits at this terminal.
    Typed(Box<Terminal>),
    /// Whoever sits at a terminal that is looked for when there is a prompt.
    NotYet,
    /// This line, to so many prompts for a secret; more would be the same guess again.
    Read(Secret, u32),
}

impl Answers {
    /// As `--password-stdin` says.
    pub fn new(tried: &str, password_stdin: PasswordFrom, prompts: u32) -> Result<Answers, Failure> {
        forbid_dumps()
            .map_err(|error| Failure::fault(tried, format!("core dumps cannot be forbidden: {error}")))?;
        match password_stdin {
            PasswordFrom::Prompt => Ok(Answers::NotYet),
            PasswordFrom::Input => {
                let line = Secret::from_input().map_err(|why| Failure::usage(tried, why))?;
                Ok(Answers::Read(line, prompts))
            }
        }
    }
}

/// From here on a password may be in our memory, and is to be in no core file, wherever the machine would put one. The limit alone does
/// not bind a pipe that takes core files; not to be dumpable ends with an exec, as of the terminal's guard, and the limit does not. Nothing
/// of others' is started after this.
fn forbid_dumps() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// `--password-stdin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFrom {
    /// A person is asked.
    Prompt,
    /// The first line of standard input.
    Input,
}

impl From<bool> for PasswordFrom {
    fn from(password_stdin: bool) -> PasswordFrom {
        if password_stdin { PasswordFrom::Input } else { PasswordFrom::Prompt }
    }
}

/// What came of it.
pub enum Conclusion {
    /// The user is in his session.
    LoggedOn(Box<LoggedOn>),
    /// It was done; the accounts, where they were asked for.
    Done(Option<Vec<Account>>),
}

/// Talks it through.
pub fn talk(
    context: &Context,
    tried: &str,
    mut conversation: Conversation,
    answers: &mut Answers,
) -> Result<Conclusion, Failure> {
    let mut listed = Vec::new();
    loop {
        if let Answers::Typed(terminal) = answers {
            let waited = terminal.wait_for(conversation.as_fd());
            untyped(tried, waited.map_err(|error| terminal_failed(tried, &error))?)?;
        }
        match conversation.next().map_err(|error| context.failure(tried, error))? {
            Said::Prompt { text, secret } => {
                let prompt =
                    Prompt { text: one_line(&text), mode: if secret { Mode::Quiet } else { Mode::AsFound } };
                if let Some(answer) = answer(tried, &prompt, &conversation, answers)? {
                    let text =
                        answer.text().ok_or_else(|| Failure::usage(tried, "what was typed is not UTF-8"))?;
                    conversation.answer(text).map_err(|error| context.failure(tried, error))?;
                }
            }
            Said::Message(text) => say(context, &one_line(&text)),
            Said::Wait(time) if time >= WAIT_SHOWN => {
                let time = time::age(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
                say(context, &format!("after wrong passwords the host waits, now {time}"));
            }
            Said::LoggedOn(logged_on) => return Ok(Conclusion::LoggedOn(logged_on)),
            Said::Accounts(accounts) => listed.extend(accounts),
            Said::Done { accounts } => {
                let all = accounts.map(|last| listed.into_iter().chain(last).collect());
                return Ok(Conclusion::Done(all));
            }
            // A short wait, or what a newer library knows.
            _ => {}
        }
    }
}

struct Prompt {
    text: String,
    mode: Mode,
}

/// `None` when the host says something else before there is an answer.
fn answer(
    tried: &str,
    prompt: &Prompt,
    conversation: &Conversation,
    answers: &mut Answers,
) -> Result<Option<Secret>, Failure> {
    let terminal = match answers {
        Answers::Typed(terminal) => terminal,
        Answers::NotYet => {
            let terminal = Terminal::open(Place::Input)
                .map_err(|why| Failure::usage(tried, why).hint(WITHOUT_TERMINAL))?;
            *answers = Answers::Typed(Box::new(terminal));
            return answer(tried, prompt, conversation, answers);
        }
        Answers::Read(line, left) if *left > 0 && prompt.mode == Mode::Quiet => {
            *left -= 1;
            return Ok(Some(line.copy()));
        }
        Answers::Read(..) => {
            let why = format!("the host asks for more than the one line of standard input: {}", prompt.text);
            return Err(Failure::refused(tried, why).hint("without --password-stdin it can be typed"));
        }
    };
    let typed = terminal.ask(&format!("{} ", prompt.text), prompt.mode, conversation.as_fd());
    match typed.map_err(|error| terminal_failed(tried, &error))? {
        Ok(line) => Ok(Some(line)),
        Err(Untyped::Interrupted) => Ok(None),
        Err(Untyped::Cancelled) => untyped(tried, Err(Untyped::Cancelled)).map(|()| None),
    }
}

fn untyped(tried: &str, waited: Result<(), Untyped>) -> Result<(), Failure> {
    match waited {
        Err(Untyped::Cancelled) => Err(Failure::refused(tried, "it was cancelled")),
        Ok(()) | Err(Untyped::Interrupted) => Ok(()),
    }
}

/// The terminal does not do what terminals do.
pub fn terminal_failed(tried: &str, error: &io::Error) -> Failure {
    Failure::fault(tried, format!("the terminal cannot be used: {error}"))
}

/// For people; a program reads the outcome.
fn say(context: &Context, text: &str) {
    if !context.output.json {
        output::note(text);
    }
}
