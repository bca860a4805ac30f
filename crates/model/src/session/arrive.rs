//! From a right password to a shell on the client's terminal.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::program::{Attachee, Client, Home, Part, Phase, Program, ProgramLaunch, View, What, unit};
use super::table::Isolation;
use super::user::{Seat, State, UserSession};
use crate::event::Event;
use crate::id::{LogonId, SESSION_ZERO, SessionId};
use crate::launch::exit::{LaunchFailure, LaunchPhase};
use crate::launch::plan::{Size, Streams};
use crate::limit;
use crate::logon::Wish;
use crate::logon::table::{Purpose, Step};
use crate::logon::wire::{Entry, ToLogon, User};
use crate::system::turn::Turn;
use crate::system::{Effect, System};

/// The first protocol whose init knows sessions of users.
const USERS_SINCE: u16 = 3;

/// Why a user who proved who he is does not come into a session.
struct No {
    code: u32,
    message: String,
    hint: Option<&'static str>,
}

impl No {
    fn new(code: u32, message: impl Into<String>, hint: Option<&'static str>) -> No {
        No { code, message: message.into(), hint }
    }
}

impl System {
    /// A client proved who he is.
    pub(crate) fn authenticated(&mut self, turn: &mut Turn, logon: LogonId, user: User) {
        let Some(entry) = self.logons.table.get(&logon) else { return };
        let Purpose::Logon(wanted) = &entry.purpose else { return };
        let (wish, client) = (wanted.wish, wanted.client.clone());
        let (counted, tries) = (entry.counted, entry.tries);
        if entry.step != Step::Talking {
            return;
        }
        // The name that was tried, which need not be the account's own spelling of it.
        let tried = entry.account.clone().unwrap_or_else(|| user.name.clone());
        self.logons.delays.succeeded(&tried, counted, tries);
        match self.place_for(&user, wish) {
            Ok(Place::Back(session)) => self.come_back(turn, logon, session, client),
            Ok(Place::New) => {
                if let Err(no) = self.make_session(turn, logon, user, client) {
                    self.refuse_logon(turn, logon, no);
                }
            }
            Err(no) => self.refuse_logon(turn, logon, no),
        }
    }

    fn place_for(&self, user: &User, wish: Wish) -> Result<Place, No> {
        if self.shutting_down() {
            return Err(No::new(1115, "the host is shutting down", None));
        }
        let back = self.sessions.to_come_back_to(user.uid);
        if let (Wish::Any, Some(session)) = (wish, back) {
            return Ok(Place::Back(session));
        }
        let has = self.sessions.of_user(user.uid).count();
        let may = self.sessions.policy.per_user;
        match has < may as usize {
            true => Ok(Place::New),
            false if back.is_none() => {
                Err(No::new(7024, "another logon of yours is just being carried out", Some("try again")))
            }
            false => Err(No::new(
                7054,
                format!("you have {has} of the {may} sessions that `sessions_per_user` in host.toml allows"),
                Some("without --new you come back to the one you have"),
            )),
        }
    }

    fn make_session(
        &mut self,
        turn: &mut Turn,
        logon: LogonId,
        user: User,
        client: Client,
    ) -> Result<(), No> {
        if !self.zero.up() {
            return Err(No::new(21, "Session 0 is not there yet", Some("try again in a moment")));
        }
        if self.sessions.table.len() >= limit::SESSIONS_MAX {
            return Err(No::new(7054, "there are as many sessions as there can be", None));
        }
        let shares_zero = self.isolation == Isolation::Xp
            && !self.sessions.table.contains_key(&SESSION_ZERO)
            && self.zero.protocol().is_some_and(|protocol| protocol >= USERS_SINCE);
        let id = match shares_zero {
            true => SESSION_ZERO,
            false => {
                self.sessions.next_id().ok_or_else(|| No::new(7054, "no session number is left", None))?
            }
        };
        self.sessions.terminal_last += 1;
        let session = UserSession {
            user: Box::new(user),
            created: turn.now,
            logon: turn.now,
            protocol: None,
            state: State::Making { logon },
            client,
            connected: turn.now,
            terminal: self.sessions.terminal_last,
            waiters: Vec::new(),
            launch_last: 0,
            viewer_last: 0,
            stored: None,
        };
        self.sessions.add(id, session);
        self.entering(logon, id);
        match self.zero.protocol() {
            Some(protocol) if shares_zero => self.user_session_created(turn, id, protocol),
            Some(_) | None => turn.push(Effect::CreateSession(id)),
        }
        Ok(())
    }

    fn entering(&mut self, logon: LogonId, session: SessionId) {
        if let Some(entry) = self.logons.table.get_mut(&logon) {
            entry.step = Step::Entering(session);
        }
    }

    /// A user's session is made: his shell is started in it.
    pub(crate) fn user_session_created(&mut self, turn: &mut Turn, id: SessionId, protocol: u16) {
        let Some(session) = self.sessions.session_mut(id) else {
            // Nobody wants it any more: the word for that crossed this one.
            return turn.push(Effect::EndSession(id));
        };
        let State::Making { logon } = session.state else {
            if session.protocol.is_none() {
                // Likewise: it was dropped while it was being made.
                turn.push(Effect::EndSession(id));
            }
            return;
        };
        session.protocol = Some(protocol);
        if id != SESSION_ZERO {
            turn.emit(Event::SessionCreated(id));
        }
        turn.emit(Event::SessionLogon { session: id, account: session.user.name.clone() });
        turn.push(Effect::Enter { session: id, user: session.user.clone() });
        self.start_shell(turn, id, logon, Home::Own);
    }

    fn start_shell(&mut self, turn: &mut Turn, id: SessionId, logon: LogonId, home: Home) {
        let launch = self.next_launch_in(id);
        let wanted = match self.logons.table.get(&logon).map(|entry| &entry.purpose) {
            Some(Purpose::Logon(wanted)) => Some((wanted.size, wanted.environment.clone())),
            Some(Purpose::Account) | None => None,
        };
        let Some(session) = self.sessions.session_mut(id) else { return };
        let (size, environment) = wanted.unwrap_or((Size::USUAL, Vec::new()));
        session.state = State::Starting { logon, shell: launch, home };
        let user = session.user.clone();
        let program = Program { session: id, part: Part::Shell, phase: Phase::Launching };
        self.sessions.add_program(launch, program);
        turn.push(Effect::LaunchProgram(Box::new(ProgramLaunch {
            session: id,
            launch,
            unit: unit(launch),
            user,
            what: What::Shell,
            streams: Streams::Terminal(size),
            environment,
            home,
        })));
    }

    /// A session's shell runs: its client sees it.
    pub(super) fn shell_launched(&mut self, turn: &mut Turn, id: SessionId) {
        let Some(State::Starting { logon, shell, home }) = self.sessions.table.get(&id).map(|s| s.state)
        else {
            return;
        };
        let viewer = self.sessions.next_viewer(id);
        let Some(session) = self.sessions.session_mut(id) else { return };
        session.state = State::Live { shell, seat: Seat::Active { viewer } };
        session.connected = turn.now;
        turn.emit(Event::SessionConnected { session: id, client: session.client.clone() });
        let notices = match home {
            Home::Own => Vec::new(),
            Home::Root => alloc::vec![format!(
                "your home directory {} cannot be entered; you are in /",
                session.user.home
            )],
        };
        let to = Attachee::Logon { logon, entry: Entry::New, notices };
        turn.push(Effect::Attach { session: id, launch: shell, viewer, to });
        self.logons.over(logon);
    }

    /// A session's shell could not be started.
    pub(super) fn shell_failed(&mut self, turn: &mut Turn, id: SessionId, failure: LaunchFailure) {
        let Some(session) = self.sessions.table.get(&id) else { return };
        let State::Starting { logon, home, .. } = session.state else { return };
        if failure.phase == LaunchPhase::WorkingDirectory && home == Home::Own {
            // A missing home is no reason not to let its owner in, who may be the one to mend it.
            return self.start_shell(turn, id, logon, Home::Root);
        }
        let shell = session.user.shell.clone();
        let message = match failure.phase {
            LaunchPhase::Exec => {
                format!("your login shell {shell} cannot be executed (errno {})", failure.errno)
            }
            phase => {
                format!("your login shell could not be started: {phase:?} failed (errno {})", failure.errno)
            }
        };
        self.refuse_logon(
            turn,
            logon,
            No::new(1053, message, Some("an administrator can change the account")),
        );
        self.drop_session(turn, id);
    }

    /// A user's session could not be made; nothing of it is left.
    pub(crate) fn user_session_failed(&mut self, turn: &mut Turn, id: SessionId, reason: &str) {
        let Some(session) = self.sessions.table.get(&id) else { return };
        let logon = session.expected_by();
        turn.emit(Event::SessionFailed { session: id, reason: String::from(reason) });
        if let Some(logon) = logon {
            let message = format!("your session could not be made: {reason}");
            self.refuse_logon(
                turn,
                logon,
                No::new(1359, message, Some("`s0 doctor` says what the machine lacks")),
            );
        }
        self.session_gone(turn, id);
    }

    /// The user goes on with a session he has, here: who had it there is told.
    fn come_back(&mut self, turn: &mut Turn, logon: LogonId, id: SessionId, client: Client) {
        let viewer = self.sessions.next_viewer(id);
        self.sessions.terminal_last += 1;
        let terminal = self.sessions.terminal_last;
        let Some(session) = self.sessions.session_mut(id) else { return };
        let State::Live { shell, seat } = session.state else { return };
        let entry = match seat {
            Seat::Disconnected { .. } => Entry::Reconnected,
            Seat::Active { viewer } => {
                let view = View::TakenOver(client.clone());
                turn.push(Effect::TellViewer { session: id, viewer, view });
                turn.emit(Event::SessionDisconnected(id));
                Entry::TakenOver
            }
        };
        session.state = State::Live { shell, seat: Seat::Active { viewer } };
        session.client = client;
        session.connected = turn.now;
        session.terminal = terminal;
        turn.emit(Event::SessionConnected { session: id, client: session.client.clone() });
        let to = Attachee::Logon { logon, entry, notices: Vec::new() };
        turn.push(Effect::Attach { session: id, launch: shell, viewer, to });
        self.logons.over(logon);
    }

    fn refuse_logon(&mut self, turn: &mut Turn, logon: LogonId, no: No) {
        let No { code, message, hint } = no;
        let hint = hint.map(String::from);
        if self.logons.over(logon) {
            turn.push(Effect::TellLogon { logon, message: ToLogon::Refused { code, message, hint } });
        }
    }

    /// The session that a client waits for will not be: it was logged off, or the host goes down.
    pub(super) fn turn_back(&mut self, turn: &mut Turn, logon: LogonId, why: &str) {
        self.refuse_logon(turn, logon, No::new(1223, why, None));
    }
}

/// Where a user comes in.
enum Place {
    /// Into a session he has.
    Back(SessionId),
    /// Into one that is made for him.
    New,
}
