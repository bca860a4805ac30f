//! What the methods about sessions, logons and accounts do.

use std::os::fd::OwnedFd;

use session0_api::interface::Method;
use session0_api::{account, logon, session};
use session0_model::access::Caller;
use session0_model::id::{LogonId, SessionId};
use session0_model::launch::plan::{Size, Streams};
use session0_model::limit;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{HomeFate, OldPassword, Task};
use session0_model::logon::{Wanted, Wish};
use session0_model::session::program::Client;
use session0_model::system::{AccountRequest, LogonRequest, Reply, Request, SessionRequest, Wait};

use super::dispatch::{Answer, Call, Continues, done, message, method_not_found, one, reply, unexpected};
use super::host::Host;
use super::{fault, translate};

/// Characters of a client's terminal's name that are kept.
const TERMINAL_NAME_MAX: usize = 64;
/// Variables of a client that are looked at.
const VARIABLES_MAX: usize = 32;
/// Characters of a person's name and of a shell's path.
const TEXT_MAX: usize = 256;

/// `io.session0.Session`.
pub async fn session_call<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    let ask = async |tried: &str, request| {
        let refused = |refusal| Answer::Reply(message(&translate::refusal::session(tried, refusal)));
        host.request(caller.clone(), Request::Session(request)).await.map_err(refused)
    };
    match call.method.as_str() {
        session::List::NAME => {
            call.parameters::<session::List>()?;
            match ask("list the sessions", SessionRequest::List).await? {
                Reply::Sessions(sessions) => {
                    let sessions = translate::session::all(host, &sessions);
                    Ok(one::<session::List>(&session::Sessions { sessions }))
                }
                other => Err(unexpected(call, &other)),
            }
        }
        session::Status::NAME => {
            let session::Status { session: id } = call.parameters()?;
            let request = SessionRequest::Status(SessionId(id));
            match ask(&format!("look at session {id}"), request).await? {
                Reply::Session(status) => {
                    let session = translate::session::status(host, &status);
                    Ok(one::<session::Status>(&session::Session { session }))
                }
                other => Err(unexpected(call, &other)),
            }
        }
        session::Logoff::NAME => {
            let session::Logoff { session: id, wait } = call.parameters()?;
            let wait = if wait.unwrap_or(false) { Wait::Settled } else { Wait::Begun };
            let request = SessionRequest::Logoff { session: SessionId(id), wait };
            done::<session::Logoff>(call, &ask(&format!("log session {id} off"), request).await?)
        }
        session::Run::NAME => {
            let run: session::Run = call.parameters()?;
            let tried = format!("run a program in session {}", run.session);
            let request = run_request(run).map_err(|why| invalid(&tried, &why))?;
            match ask(&tried, request).await? {
                Reply::Running(launch) => {
                    let streams = host.streams(launch);
                    let running = session::Running { descriptors: count(&streams) };
                    Ok(Answer::Files(reply(&running, Continues::No), streams))
                }
                other => Err(unexpected(call, &other)),
            }
        }
        _ => Err(method_not_found(call)),
    }
}

fn count(descriptors: &[OwnedFd]) -> u32 {
    u32::try_from(descriptors.len()).unwrap_or(u32::MAX)
}

fn invalid(tried: &str, why: &str) -> Answer {
    Answer::Reply(message(&session::Error::InvalidParameter(translate::refusal::invalid(tried, why))))
}

fn run_request(run: session::Run) -> Result<SessionRequest, String> {
    let bytes: usize = run.command.iter().map(|word| word.len() + 1).sum();
    if run.command.first().is_none_or(String::is_empty) {
        return Err("no program is named".to_owned());
    }
    if limit::COMMAND_LINE_MAX < bytes {
        return Err(format!("the command has {bytes} bytes, more than {}", limit::COMMAND_LINE_MAX));
    }
    if run.command.iter().any(|word| word.contains('\0')) {
        return Err("a zero byte cannot be part of a command".to_owned());
    }
    let streams = match run.terminal {
        Some(terminal) => Streams::Terminal(size(&terminal)),
        None => Streams::Pipes,
    };
    let environment = environment(run.environment)?;
    Ok(SessionRequest::Run { session: SessionId(run.session), command: run.command, streams, environment })
}

fn size(terminal: &session::Terminal) -> Size {
    match terminal {
        // As a serial line says it.
        session::Terminal { rows: 0, .. } | session::Terminal { columns: 0, .. } => Size::USUAL,
        session::Terminal { rows, columns, .. } => Size { rows: *rows, columns: *columns },
    }
}

fn environment(variables: Option<Vec<session::Variable>>) -> Result<Vec<(String, String)>, String> {
    let variables = variables.unwrap_or_default();
    match variables.len() {
        0..=VARIABLES_MAX => Ok(variables.into_iter().map(|one| (one.name, one.value)).collect()),
        many => Err(format!("there are {many} variables, more than {VARIABLES_MAX}")),
    }
}

/// A client's terminal as people are shown it: what could move their terminals is left out.
fn client(caller: &Caller, name: Option<String>) -> Client {
    let plain = |c: &char| c.is_ascii_graphic();
    let name = name.unwrap_or_default().chars().filter(plain).take(TERMINAL_NAME_MAX).collect();
    Client { name, uid: caller.uid }
}

/// `io.session0.Logon`.
pub async fn logon_call<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    if call.method != logon::Begin::NAME {
        return Err(method_not_found(call));
    }
    let begin: logon::Begin = call.parameters()?;
    let tried = format!("log on {:?}", shortened(&begin.account));
    let refuse = |error: &logon::Error| Answer::Reply(message(error));
    let account = AccountName::new(&begin.account)
        .map_err(|bad| refuse(&logon::Error::InvalidName(translate::refusal::bad_account(&tried, bad))))?;
    let invalid =
        |why: String| refuse(&logon::Error::InvalidParameter(translate::refusal::invalid(&tried, &why)));
    let wanted = Wanted {
        size: size(&begin.terminal),
        client: client(caller, begin.terminal.name),
        environment: environment(begin.environment).map_err(invalid)?,
        wish: if begin.new.unwrap_or(false) { Wish::New } else { Wish::Any },
    };
    let request = Request::Logon(LogonRequest::Begin { account, wanted: Box::new(wanted) });
    match host.request(caller.clone(), request).await {
        Ok(Reply::Conversation(logon)) => {
            begun(host, logon).map_err(|what| refuse(&logon::Error::InternalError(what)))
        }
        Ok(other) => Err(unexpected(call, &other)),
        Err(refusal) => Err(refuse(&translate::refusal::logon(&tried, refusal))),
    }
}

/// The client's end of a conversation goes with the answer.
fn begun<H: Host>(host: &H, logon: LogonId) -> Result<Answer, session0_api::error::Fault> {
    match host.conversation(logon) {
        Some(socket) => {
            let begun = logon::Begun { descriptors: 1 };
            Ok(Answer::Files(reply(&begun, Continues::No), vec![socket]))
        }
        None => Err(fault::report("begin a conversation", &"session0-logon could not be started")),
    }
}

/// `io.session0.Account`.
pub async fn account_call<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    let (tried, task) = task(call)?;
    let refuse = |error: &account::Error| Answer::Reply(message(error));
    let uid = match &task {
        Task::Remove { account, .. } => host.uid_of(account),
        _ => None,
    };
    match host.request(caller.clone(), Request::Account(AccountRequest { task, uid })).await {
        Ok(Reply::Conversation(logon)) => {
            begun(host, logon).map_err(|what| refuse(&account::Error::InternalError(what)))
        }
        Ok(other) => Err(unexpected(call, &other)),
        Err(refusal) => Err(refuse(&translate::refusal::account(&tried, refusal))),
    }
}

/// What is to be done, in words and for session0-logon.
fn task(call: &Call) -> Result<(String, Task), Answer> {
    match call.method.as_str() {
        account::List::NAME => {
            call.parameters::<account::List>()?;
            Ok(("list the accounts".to_owned(), Task::List))
        }
        account::Add::NAME => {
            let account::Add { account, full_name, shell } = call.parameters()?;
            let (tried, account) = named("add the account", &account)?;
            let full_name = full_name.unwrap_or_default();
            let plain = |text: &str| {
                text.len() <= TEXT_MAX && !text.contains([':', ',', '\n']) && !text.contains(char::is_control)
            };
            if !plain(&full_name) || !shell.as_deref().is_none_or(plain) {
                let why = "a name and a shell are at most 256 characters without colons, commas and control characters";
                let refused = translate::refusal::invalid(&tried, why);
                return Err(Answer::Reply(message(&account::Error::InvalidName(refused))));
            }
            Ok((tried, Task::Add { account, full_name, shell }))
        }
        account::Password::NAME => {
            let account::Password { account } = call.parameters()?;
            let (tried, account) = named("change the password of", &account)?;
            // The model decides whether the old one is asked for.
            Ok((tried, Task::Password { account, old: OldPassword::Asked }))
        }
        account::Disable::NAME => {
            let account::Disable { account } = call.parameters()?;
            let (tried, account) = named("disable", &account)?;
            Ok((tried, Task::Disable { account }))
        }
        account::Enable::NAME => {
            let account::Enable { account } = call.parameters()?;
            let (tried, account) = named("enable", &account)?;
            Ok((tried, Task::Enable { account }))
        }
        account::Remove::NAME => {
            let account::Remove { account, home } = call.parameters()?;
            let (tried, account) = named("remove the account", &account)?;
            let home = if home.unwrap_or(false) { HomeFate::Removed } else { HomeFate::Kept };
            Ok((tried, Task::Remove { account, home }))
        }
        _ => Err(method_not_found(call)),
    }
}

fn named(verb: &str, name: &str) -> Result<(String, AccountName), Answer> {
    let tried = format!("{verb} {:?}", shortened(name));
    match AccountName::new(name) {
        Ok(account) => Ok((format!("{verb} {account}"), account)),
        Err(bad) => {
            let refused = translate::refusal::bad_account(&tried, bad);
            Err(Answer::Reply(message(&account::Error::InvalidName(refused))))
        }
    }
}

/// Enough of a name to recognise it.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(limit::ACCOUNT_NAME_MAX).collect();
    if short.len() < name.len() {
        short.push('\u{2026}');
    }
    short
}
