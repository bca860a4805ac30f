//! What clients ask of sessions, of logons and of accounts, and when the answer is no.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::program::{
    Asked, Attachee, EndReason, Ends, HasTerminal, Home, Part, Phase, Program, ProgramLaunch, What, unit,
};
use super::refusal::Refusal;
use super::status::SessionStatus;
use super::user::{State, UserSession};
use crate::access::{Caller, Origin, Right};
use crate::event::Event;
use crate::id::{LaunchId, LogonId, RequestId, SESSION_ZERO, SessionId};
use crate::launch::plan::Streams;
use crate::limit;
use crate::logon::name::AccountName;
use crate::logon::refusal::{NamedBy, Refusal as LogonRefusal};
use crate::logon::table::{Purpose, Step};
use crate::logon::wire::{FromLogon, OldPassword, Source, Task, ToLogon};
use crate::service::table::File;
use crate::system::turn::Turn;
use crate::system::{self, AccountRequest, Effect, LogonRequest, Reply, SessionRequest, System, Wait};

type Answer = Result<Option<Reply>, system::Refusal>;

impl System {
    /// About sessions.
    pub(crate) fn session_request(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        request: SessionRequest,
    ) -> Answer {
        match request {
            SessionRequest::List => Ok(Some(Reply::Sessions(self.sessions()))),
            SessionRequest::Status(session) => {
                let status = self.session(session).ok_or(no(Refusal::NoSuchSession))?;
                Ok(Some(Reply::Session(Box::new(status))))
            }
            SessionRequest::Logoff { session, wait } => self.logoff_asked(turn, id, caller, session, wait),
            SessionRequest::Run { session, command, streams, environment } => {
                self.controlled(caller, session)?;
                self.run_asked(turn, id, session, command, streams, environment)
            }
        }
    }

    /// One session as it is now.
    pub fn session(&self, id: SessionId) -> Option<SessionStatus> {
        if id == SESSION_ZERO { self.session_zero() } else { self.sessions.status(id) }
    }

    /// The session's own user and administrators may control it. Who may not is told so before he is told what state it is in.
    fn controlled(&self, caller: &Caller, session: SessionId) -> Result<(), system::Refusal> {
        let user = self.sessions.table.get(&session).map(|session| session.user.uid);
        let allowed = self.administrators.allow(caller, Right::ControlSession { session, user });
        match (allowed, user) {
            (_, None) if session != SESSION_ZERO => Err(no(Refusal::NoSuchSession)),
            (false, _) => Err(system::Refusal::AccessDenied),
            (true, None) => Err(no(Refusal::NoUser)),
            (true, Some(_)) => Ok(()),
        }
    }

    fn logoff_asked(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        caller: &Caller,
        session: SessionId,
        wait: Wait,
    ) -> Answer {
        self.controlled(caller, session)?;
        if let (Wait::Settled, Some(found)) = (wait, self.sessions.session_mut(session)) {
            if found.waiters.len() >= limit::WAITERS_MAX {
                return Err(no(Refusal::TooManyWaiters));
            }
            found.waiters.push(id);
        }
        self.end_session(turn, session, EndReason::LoggedOff);
        Ok((wait == Wait::Begun).then_some(Reply::Done))
    }

    fn run_asked(
        &mut self,
        turn: &mut Turn,
        id: RequestId,
        session: SessionId,
        command: Vec<String>,
        streams: Streams,
        environment: Vec<(String, String)>,
    ) -> Answer {
        let user = match self.sessions.table.get(&session) {
            None => return Err(no(Refusal::NoSuchSession)),
            Some(found) => match found.state {
                State::Live { .. } => found.user.clone(),
                State::Making { .. } | State::Starting { .. } => return Err(no(Refusal::NoUser)),
                State::Ending(_) => return Err(no(Refusal::Ending)),
            },
        };
        if self.sessions.programs_of(session).count() > limit::PROGRAMS_MAX {
            return Err(no(Refusal::TooManyPrograms));
        }
        if !self.zero.up() {
            // Numbers of launches are reserved with its init.
            return Err(system::Refusal::NotReady);
        }
        let launch = self.next_launch_in(session);
        let terminal = match streams {
            Streams::Terminal(_) => HasTerminal::Yes,
            Streams::Pipes => HasTerminal::No,
        };
        let asked = Some(Asked { request: id, until: turn.now + limit::LAUNCH_WAIT });
        let part = Part::Beside(Ends { viewer: None, terminal, asked });
        self.sessions.add_program(launch, Program { session, part, phase: Phase::Launching });
        let (what, home) = (What::Command(command), Home::Own);
        let unit = unit(launch);
        turn.push(Effect::LaunchProgram(Box::new(ProgramLaunch {
            session,
            launch,
            unit,
            user,
            what,
            streams,
            environment,
            home,
        })));
        Ok(None)
    }

    /// The number of a launch in this session: never one that was used in it, not even by a daemon before.
    pub(super) fn next_launch_in(&mut self, session: SessionId) -> LaunchId {
        let launch = self.services.next_launch();
        if let Some(session) = self.sessions.session_mut(session) {
            session.launch_last = launch.0;
        }
        launch
    }

    /// A program beside the shell runs: whoever asked for it gets its streams.
    pub(super) fn beside_launched(&mut self, turn: &mut Turn, session: SessionId, launch: LaunchId) {
        let ending = self.sessions.table.get(&session).is_none_or(UserSession::ending);
        let viewer = self.sessions.next_viewer(session);
        let Some(program) = self.sessions.program_mut(launch) else { return };
        let Part::Beside(ends) = &mut program.part else { return };
        // Without a request the client went away, and its end was sent already.
        let Some(Asked { request: id, .. }) = ends.asked.take() else { return };
        if ending {
            // It ends with the session, and its client is not shown that.
            return turn.reply(id, Err(no(Refusal::Ending)));
        }
        ends.viewer = Some(viewer);
        turn.push(Effect::Attach { session, launch, viewer, to: Attachee::Request(id) });
        turn.reply(id, Ok(Reply::Running(launch)));
    }

    /// About logons.
    pub(crate) fn logon_request(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        request: LogonRequest,
    ) -> Answer {
        if self.shutting_down() {
            return Err(system::Refusal::ShutdownInProgress);
        }
        let LogonRequest::Begin { account, wanted } = request;
        let task = Task::Logon { account: account.clone() };
        self.converse(turn, Some(account), Purpose::Logon(wanted), caller, task)
    }

    /// About accounts.
    pub(crate) fn account_request(
        &mut self,
        turn: &mut Turn,
        caller: &Caller,
        request: AccountRequest,
    ) -> Answer {
        if self.shutting_down() {
            return Err(system::Refusal::ShutdownInProgress);
        }
        let administrator = self.administrators.allow(caller, Right::Host);
        let AccountRequest { mut task, uid } = request;
        match &mut task {
            // Everybody may try, with the old one: that is as good as logging on, and as slow.
            Task::Password { old, .. } => {
                *old = if administrator { OldPassword::NotNeeded } else { OldPassword::Asked };
            }
            _ if !administrator => return Err(system::Refusal::AccessDenied),
            Task::Remove { account, .. } if self.has_session(account) => {
                return Err(system::Refusal::Logon(LogonRefusal::InUse));
            }
            Task::Remove { .. } => {
                if let Some(named) = uid.and_then(|uid| self.names(uid)) {
                    return Err(system::Refusal::Logon(LogonRefusal::Named(named)));
                }
            }
            Task::List
            | Task::Add { .. }
            | Task::Disable { .. }
            | Task::Enable { .. }
            | Task::Publish
            | Task::Logon { .. } => {}
        }
        let account = match &task {
            Task::Password { account, .. } => Some(account.clone()),
            _ => None,
        };
        self.converse(turn, account, Purpose::Account, caller, task)
    }

    /// What of the configuration names this uid, as it is for the next start.
    fn names(&self, uid: u32) -> Option<NamedBy> {
        if self.administrators.0.uids.contains(&uid) {
            return Some(NamedBy::Administrators);
        }
        let present = self.services.iter().filter(|service| service.file == File::Present);
        present.map(|service| service.configured()).find_map(|definition| {
            let service = || definition.name.clone();
            if definition.plan.uid == uid {
                Some(NamedBy::Account(service()))
            } else if definition.control.uids.contains(&uid) {
                Some(NamedBy::Control(service()))
            } else {
                let mut lists = definition.pipes.iter().map(|pipe| &pipe.settings.access);
                lists.any(|access| access.names_user(uid)).then(|| NamedBy::Pipe(service()))
            }
        })
    }

    fn has_session(&self, account: &AccountName) -> bool {
        let his = |user: &crate::logon::wire::User| user.source == Source::Builtin && user.name == *account;
        self.sessions.table.values().any(|session| his(&session.user))
    }

    fn converse(
        &mut self,
        turn: &mut Turn,
        account: Option<AccountName>,
        purpose: Purpose,
        caller: &Caller,
        task: Task,
    ) -> Answer {
        let counted = self.counted_against(caller);
        let begun = self.logons.begin(turn.now, account, purpose, caller.uid, counted);
        let logon = begun.map_err(system::Refusal::Logon)?;
        turn.push(Effect::BeginConversation { logon, task });
        Ok(Some(Reply::Conversation(logon)))
    }

    /// A caller as far as his uid and groups mean something. In a user's session they do only if they are its user's: its root
    /// (`elevation = "contained"`) becomes whom it likes there, also an administrator or the user of another session. Who is not
    /// its user is taken for its root, which has no rights outside it.
    pub fn as_known_here(&self, caller: Caller) -> Caller {
        let id = match &caller.origin {
            Origin::Session { id, .. } if *id != SESSION_ZERO => *id,
            Origin::Outside | Origin::Session { .. } => return caller,
        };
        let user = self.sessions.table.get(&id).map(|session| &session.user);
        match user.filter(|user| user.uid == caller.uid) {
            Some(user) => {
                let his = |group: &u32| *group == user.gid || user.groups.contains(group);
                let groups = caller.groups.iter().copied().filter(his).collect();
                Caller { groups, ..caller }
            }
            None => Caller { uid: 0, groups: Vec::new(), ..caller },
        }
    }

    /// Whose conversations, tries and pipes a caller's are. What root of a user's session does, its user does.
    pub fn counted_against(&self, caller: &Caller) -> Option<u32> {
        match &caller.origin {
            _ if caller.is_machines_root() => None,
            Origin::Session { id, .. } if caller.uid == 0 => {
                Some(self.sessions.table.get(id).map_or(0, |session| session.user.uid))
            }
            Origin::Outside | Origin::Session { .. } => Some(caller.uid),
        }
    }

    /// A session0-logon said something.
    pub(crate) fn logon_said(&mut self, turn: &mut Turn, logon: LogonId, said: FromLogon) {
        let now = turn.now;
        let Some(entry) = self.logons.table.get_mut(&logon) else { return };
        match said {
            FromLogon::Attempt if entry.step != Step::Talking => {}
            FromLogon::Attempt => {
                let Some(account) = entry.account.clone() else { return };
                let message = if entry.tries < limit::LOGON_TRIES_MAX {
                    entry.tries += 1;
                    let wait = self.logons.delays.attempt(now, &account, entry.counted);
                    ToLogon::Wait { ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
                } else {
                    entry.step = Step::Over;
                    let message = String::from("too many wrong passwords");
                    ToLogon::Refused { code: 1326, message, hint: None }
                };
                turn.push(Effect::TellLogon { logon, message });
            }
            FromLogon::Failed { reason } => {
                if let Some(account) = entry.account.clone() {
                    turn.emit(Event::LogonFailed { account, uid: entry.caller, reason });
                }
            }
            FromLogon::Authenticated(user) => self.authenticated(turn, logon, user),
            FromLogon::Broken { text } => turn.emit(Event::AccountsBroken { text }),
            FromLogon::Changed { account, change } => {
                let (counted, tries) = (entry.counted, entry.tries);
                self.logons.delays.succeeded(&account, counted, tries);
                turn.emit(Event::AccountChanged { account, change });
            }
        }
    }
}

fn no(refusal: Refusal) -> system::Refusal {
    system::Refusal::Session(refusal)
}
