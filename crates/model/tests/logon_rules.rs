//! One rule of logons per test: passwords, conversations, and who may do what.

mod session_world;

use std::sync::Arc;

use session_world::{ALICE, BOB, Told, World, account, caller, root, user, vista};
use session0_model::access::{Administrators, Caller, Grant, Origin};
use session0_model::event::Event;
use session0_model::id::{LogonId, SESSION_ZERO, ServiceName, SessionId};
use session0_model::launch::plan::{LaunchPlan, Size, Streams};
use session0_model::limit;
use session0_model::logon::Wish;
use session0_model::logon::refusal::{NamedBy, Refusal as LogonRefusal};
use session0_model::logon::wire::{
    AccountChange, FromLogon, HomeFate, LogonFailure, OldPassword, Task, User,
};
use session0_model::pipe::access::{AccessList, Effect as AccessEffect, Entry, Rights, Who};
use session0_model::pipe::name::PipeName;
use session0_model::pipe::settings::{Declared, Opening, Settings};
use session0_model::service::definition::{Definition, Kind, NotifyAccess, Owner, Restart, StartType};
use session0_model::session::Policy;
use session0_model::session::status::ConnectState;
use session0_model::system::{AccountRequest, Effect, HostRequest, Input, Refusal, Request, Wait};

const TERMINAL: Streams = Streams::Terminal(Size { rows: 24, columns: 80 });
const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);

fn alice() -> World {
    let mut world = World::up(vista());
    assert_eq!(world.log_on(ALICE, Wish::Any), ONE);
    world
}

/// A service that nobody starts.
fn idle(name: &str) -> Definition {
    Definition {
        name: ServiceName::new(name).unwrap(),
        description: String::new(),
        start: StartType::Demand,
        kind: Kind::Simple,
        depends: Vec::new(),
        restart: Restart::Never,
        restart_delay: limit::RESTART_DELAY,
        start_wait: limit::START_WAIT,
        stop_wait: limit::STOP_WAIT,
        stop_signal: 15,
        notify_access: NotifyAccess::Main,
        watchdog: None,
        owner: Owner::Administrator,
        control: Grant::default(),
        pipes: Vec::new(),
        account: String::from("LocalSystem"),
        plan: LaunchPlan::bare("/bin/true", 0, 0),
    }
}

fn refused(world: &World, logon: LogonId) -> u32 {
    match world.told(logon) {
        Some(Told::Refused(code)) => code,
        other => panic!("{other:?}"),
    }
}

// Passwords.

#[test]
fn a_conversation_has_three_tries_and_further_ones_wait_longer_each_time() {
    let mut world = World::up(vista());
    let mut waits = Vec::new();
    for _ in 0..3 {
        let logon = world.talk(ALICE, Wish::Any);
        for _ in 0..limit::LOGON_TRIES_MAX {
            waits.push(world.attempt(logon).expect("three are allowed"));
            world.says(logon, FromLogon::Failed { reason: LogonFailure::WrongPassword });
        }
        assert_eq!(world.attempt(logon), Err(1326));
        world.conversation_ends(logon);
    }
    assert_eq!(waits, [0, 0, 0, 1000, 2000, 4000, 8000, 16000, 32000]);
    let bobs = world.talk(BOB, Wish::Any);
    assert_eq!(world.attempt(bobs), Ok(0), "another account is not hindered");
}

#[test]
fn a_failed_try_is_told_with_its_true_reason_in_events_only() {
    let mut world = World::up(vista());
    let id = world.begin(caller(BOB), ALICE, Wish::Any);
    let logon = world.conversation(id);
    world.says(logon, FromLogon::Failed { reason: LogonFailure::UnknownAccount });
    let reason = LogonFailure::UnknownAccount;
    assert_eq!(world.last, [Effect::Emit(Event::LogonFailed { account: account(ALICE), uid: BOB, reason })]);
}

#[test]
fn the_right_password_ends_the_delay_also_where_the_name_was_spelled_otherwise() {
    let mut world = World::up(vista());
    for _ in 0..5 {
        let logon = world.talk(ALICE, Wish::Any);
        assert_eq!(world.attempt(logon), Ok(0));
        // A directory's own spelling of the name that was typed.
        world.says(logon, FromLogon::Authenticated(User { name: account(4711), ..user(ALICE) }));
        for id in world.making.clone() {
            world.try_made(id);
        }
        for (session, launch) in world.launching() {
            world.launched(session, launch);
        }
        world.conversation_ends(logon);
    }
}

#[test]
fn one_uid_has_four_conversations_and_others_are_not_hindered() {
    let mut world = World::up(vista());
    for _ in 0..limit::LOGONS_PER_UID_MAX {
        let id = world.begin(caller(BOB), ALICE, Wish::Any);
        assert_eq!(world.code(id), 0);
    }
    let (bob, gettys) = (world.begin(caller(BOB), BOB, Wish::Any), world.begin(root(), BOB, Wish::Any));
    assert_eq!((world.code(bob), world.code(gettys)), (1450, 0));
}

#[test]
fn a_conversation_that_is_over_counts_until_its_process_is_gone() {
    let mut world = alice();
    for _ in 0..limit::LOGONS_PER_UID_MAX {
        let id = world.begin(caller(BOB), ALICE, Wish::New);
        let logon = world.conversation(id);
        world.right(logon, ALICE);
        assert_eq!(refused(&world, logon), 7054);
    }
    let more = world.begin(caller(BOB), ALICE, Wish::New);
    assert_eq!(world.code(more), 1450);
    world.conversation_ends(*world.conversations.first_key_value().expect("there are some").0);
    let more = world.begin(caller(BOB), ALICE, Wish::New);
    assert_eq!(world.code(more), 0);
    world.pass(limit::LOGON_TIME_MAX + limit::LOGOFF_WAIT);
    assert!(
        world.conversations.values().all(|conversation| conversation.killed),
        "they are killed in the end"
    );
}

#[test]
fn root_of_a_session_tries_passwords_as_slowly_as_its_user() {
    let mut world = alice();
    let origin = Origin::Session { id: ONE, service: None };
    let contained = Caller { origin, ..root() };
    let mut waits = Vec::new();
    for victim in 0..2 {
        let id = world.begin(contained.clone(), 2000 + victim, Wish::Any);
        let logon = world.conversation(id);
        waits.extend((0..3).map(|_| world.attempt(logon).expect("three are allowed")));
    }
    assert_eq!(waits, [0, 0, 0, 1000, 2000, 4000], "other accounts are no way round");
    for _ in 2..limit::LOGONS_PER_UID_MAX {
        world.begin(contained.clone(), BOB, Wish::Any);
    }
    let (roots, users) = (world.begin(contained, BOB, Wish::Any), world.begin(caller(ALICE), BOB, Wish::Any));
    assert_eq!((world.code(roots), world.code(users)), (1450, 1450));
}

#[test]
fn a_conversation_that_takes_too_long_is_over() {
    let mut world = World::up(vista());
    let logon = world.talk(ALICE, Wish::Any);
    world.wait();
    assert_eq!(world.last, [Effect::EndConversation(logon)]);
    world.right(logon, ALICE);
    assert!(world.last.is_empty() && world.making.is_empty(), "it is too late");
}

// Rights.

#[test]
fn a_user_and_administrators_control_a_session_and_nobody_else() {
    let mut world = alice();
    let bob = world.logoff(caller(BOB), ONE, Wait::Begun);
    let bobs = world.run(caller(BOB), ONE, TERMINAL);
    assert_eq!((world.code(bob), world.code(bobs)), (5, 5));
    world.run(caller(ALICE), ONE, TERMINAL);
    assert_eq!(world.launching().len(), 1);
    let zero = [caller(ALICE), root()].map(|who| world.logoff(who, SESSION_ZERO, Wait::Begun));
    assert_eq!(zero.map(|id| world.code(id)), [5, 1008], "services are no user");
    let nowhere = world.logoff(caller(BOB), TWO, Wait::Begun);
    assert_eq!(world.code(nowhere), 7022);
    let hers = world.logoff(caller(ALICE), ONE, Wait::Begun);
    assert_eq!((world.code(hers), world.state(ONE)), (0, Some(ConnectState::Down)));
}

#[test]
fn a_users_program_in_one_session_reaches_no_other_of_his() {
    let mut world = World::up(Policy { per_user: 2, ..vista() });
    let (one, two) = (world.log_on(ALICE, Wish::Any), world.log_on(ALICE, Wish::New));
    let within = |id, service| Caller { origin: Origin::Session { id, service }, ..caller(ALICE) };
    let service = ServiceName::new("hers").expect("a name");
    for stranger in [within(one, None), within(SESSION_ZERO, Some(service))] {
        let run = world.run(stranger.clone(), two, TERMINAL);
        let logoff = world.logoff(stranger, two, Wait::Begun);
        assert_eq!((world.code(run), world.code(logoff)), (5, 5));
    }
    let own = world.logoff(within(two, None), two, Wait::Begun);
    assert_eq!(world.code(own), 0);
}

#[test]
fn who_becomes_somebody_else_in_a_session_gains_nothing_by_it() {
    let (administrator, wheel) = (2000, 27);
    let mut world = alice();
    assert_eq!(world.log_on(BOB, Wish::Any), TWO);
    let administrators = Administrators(Grant { uids: vec![administrator], gids: vec![wheel] });
    world.administer(administrators);
    let origin = Origin::Session { id: ONE, service: None };
    let within =
        |uid: u32, groups: &[u32]| Caller { origin: origin.clone(), groups: groups.to_vec(), ..caller(uid) };
    for changed in [within(BOB, &[BOB]), within(administrator, &[wheel]), within(ALICE, &[ALICE, wheel])] {
        let run = world.run(changed.clone(), TWO, TERMINAL);
        let list = world.account(changed.clone(), Task::List);
        let down = world.request(changed.clone(), Request::Host(HostRequest::Shutdown));
        assert_eq!([run, list, down].map(|id| world.code(id)), [5; 3], "{changed:?}");
    }
    for number in 0..limit::LOGONS_PER_UID_MAX as u32 {
        world.begin(within(3000 + number, &[]), BOB, Wish::Any);
    }
    let more = [within(4000, &[]), within(ALICE, &[ALICE])].map(|who| world.begin(who, BOB, Wish::Any));
    assert_eq!(more.map(|id| world.code(id)), [1450; 2], "all of it is counted against the session's user");
    let outside = world.account(caller(administrator), Task::List);
    assert_eq!(world.code(outside), 0);
}

#[test]
fn accounts_are_administrators_but_for_ones_own_password() {
    let mut world = World::up(vista());
    let (name, shell) = (account(ALICE), None);
    let full_name = String::new();
    for task in [
        Task::List,
        Task::Add { account: name.clone(), full_name, shell },
        Task::Disable { account: name.clone() },
        Task::Enable { account: name.clone() },
        Task::Remove { account: name.clone(), home: HomeFate::Removed },
    ] {
        let (bob, admin) = (world.account(caller(BOB), task.clone()), world.account(root(), task));
        assert_eq!((world.code(bob), world.code(admin)), (5, 0));
    }
    for (who, old) in [(caller(ALICE), OldPassword::Asked), (root(), OldPassword::NotNeeded)] {
        // What the client says of that is not heard.
        let said = [OldPassword::NotNeeded, OldPassword::Asked][usize::from(old == OldPassword::NotNeeded)];
        let id = world.account(who, Task::Password { account: name.clone(), old: said });
        let logon = world.conversation(id);
        let task = Task::Password { account: name.clone(), old };
        assert!(world.did(&Effect::BeginConversation { logon, task }));
    }
}

#[test]
fn an_account_in_use_is_not_removed() {
    let mut world = alice();
    let remove = |name| Task::Remove { account: name, home: HomeFate::Kept };
    let (alices, bobs) =
        (world.account(root(), remove(account(ALICE))), world.account(root(), remove(account(BOB))));
    assert_eq!((world.code(alices), world.code(bobs)), (2402, 0));
    world.logoff(root(), ONE, Wait::Begun);
    let leaving = world.account(root(), remove(account(ALICE)));
    assert_eq!(world.code(leaving), 2402, "her programs are not gone yet");
    world.try_init_dies(ONE);
    let gone = world.account(root(), remove(account(ALICE)));
    assert_eq!(world.code(gone), 0);
}

#[test]
fn an_account_that_the_configuration_names_is_not_removed() {
    let mut world = alice();
    let task = Task::Remove { account: account(BOB), home: HomeFate::Kept };
    let remove = |world: &mut World| {
        world.request(root(), Request::Account(AccountRequest { task: task.clone(), uid: Some(BOB) }))
    };
    let mut configuration = world.configuration.clone();
    configuration.administrators.0.uids = vec![BOB];
    world.step(Input::Loaded(configuration.clone()));
    let named = remove(&mut world);
    let by = Refusal::Logon(LogonRefusal::Named(NamedBy::Administrators));
    assert_eq!((world.code(named), world.answers.get(&named)), (87, Some(&Err(by))));
    configuration.administrators.0.uids = vec![ALICE];
    world.step(Input::Loaded(configuration));
    let other = remove(&mut world);
    assert_eq!(world.code(other), 0);
}

#[test]
fn an_account_that_an_access_list_of_a_pipe_names_is_not_removed() {
    let mut world = alice();
    let task = Task::Remove { account: account(BOB), home: HomeFate::Kept };
    let entry =
        Entry { text: String::new(), effect: AccessEffect::Deny, who: Who::User(BOB), rights: Rights::READ };
    let settings = Settings { access: AccessList(vec![entry]), ..Settings::default() };
    let name = PipeName::new("echo").unwrap();
    let mut service = idle("web");
    service.pipes = vec![Declared { name, settings: Arc::new(settings), opening: Opening::Nothing }];
    let mut configuration = world.configuration.clone();
    configuration.services = vec![service];
    world.step(Input::Loaded(configuration.clone()));
    let remove = Request::Account(AccountRequest { task, uid: Some(BOB) });
    let named = world.request(root(), remove.clone());
    let by = Refusal::Logon(LogonRefusal::Named(NamedBy::Pipe(ServiceName::new("web").unwrap())));
    assert_eq!(world.answers.get(&named), Some(&Err(by)));
    configuration.services[0].pipes.clear();
    world.step(Input::Loaded(configuration));
    let free = world.request(root(), remove);
    assert_eq!(world.code(free), 0);
}

#[test]
fn a_changed_account_is_told() {
    let mut world = World::up(vista());
    let id = world.account(root(), Task::Disable { account: account(BOB) });
    let (logon, change) = (world.conversation(id), AccountChange::Disabled);
    world.says(logon, FromLogon::Changed { account: account(BOB), change });
    assert_eq!(world.last, [Effect::Emit(Event::AccountChanged { account: account(BOB), change })]);
}

#[test]
fn a_conversation_about_accounts_logs_nobody_on() {
    let mut world = World::up(vista());
    let task = Task::Password { account: account(BOB), old: OldPassword::Asked };
    let id = world.account(caller(BOB), task);
    let logon = world.conversation(id);
    world.right(logon, BOB);
    assert!(world.last.is_empty());
}
