//! One rule of users' sessions per test: how they come about, how they end, what runs in them, who takes them over.

mod session_world;

use std::time::Duration;

use session_world::{ALICE, BOB, KILLED, Told, World, account, caller, policy, root, user, vista};
use session0_model::event::{EndCause, Event};
use session0_model::id::{LaunchId, LogonId, RequestId, SESSION_ZERO, SessionId};
use session0_model::launch::exit::{ExitStatus, LaunchPhase};
use session0_model::launch::plan::{Size, Streams};
use session0_model::launch::wire::Remains;
use session0_model::limit;
use session0_model::logon::Wish;
use session0_model::logon::wire::{Entry, FromLogon, ToLogon};
use session0_model::session::program::{Attachee, EndReason, Home, View};
use session0_model::session::status::ConnectState;
use session0_model::session::{HangUp, Happened, Isolation};
use session0_model::system::{Effect, HostRequest, Input, Request, Wait};

const TERMINAL: Streams = Streams::Terminal(Size { rows: 24, columns: 80 });
const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);
const ACTIVE: Option<ConnectState> = Some(ConnectState::Active);
const DISCONNECTED: Option<ConnectState> = Some(ConnectState::Disconnected);

fn alice() -> World {
    let mut world = World::up(vista());
    assert_eq!(world.log_on(ALICE, Wish::Any), ONE);
    world
}

/// A conversation whose user has just proved who he is.
fn authenticated(world: &mut World, uid: u32, wish: Wish) -> LogonId {
    let logon = world.talk(uid, wish);
    world.right(logon, uid);
    logon
}

fn refused(world: &World, logon: LogonId) -> u32 {
    match world.told(logon) {
        Some(Told::Refused(code)) => code,
        other => panic!("{other:?}"),
    }
}

fn ended(reason: EndReason, status: Option<ExitStatus>) -> View {
    View::Ended { reason, status }
}

// Arriving.

#[test]
fn a_right_password_makes_a_session_with_a_shell_that_its_client_sees() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    assert_eq!(world.last, [Effect::CreateSession(ONE)]);
    assert_eq!(world.state(ONE), Some(ConnectState::Init));
    world.try_made(ONE);
    let enter = Effect::Enter { session: ONE, user: Box::new(user(ALICE)) };
    assert!(world.did(&enter) && world.events().contains(&&Event::SessionCreated(ONE)));
    assert!(world.events().contains(&&Event::SessionLogon { session: ONE, account: account(ALICE) }));
    let (_, shell) = world.launching()[0];
    world.launched(ONE, shell);
    let Some(Told::Concluded(ONE, viewer, Entry::New)) = world.told(logon) else { panic!("not concluded") };
    assert!(world.clients.contains(&(ONE, viewer)));
    let status = world.system.session(ONE).expect("it is there");
    assert_eq!((status.state, status.name.as_str()), (ConnectState::Active, "Terminal#1"));
}

#[test]
fn a_record_is_stored_before_what_depends_on_it() {
    let mut world = World::up(vista());
    authenticated(&mut world, ALICE, Wish::Any);
    world.try_made(ONE);
    world.launched(ONE, world.launching()[0].1);
    assert!(matches!(world.last[0], Effect::StoreSession { session: ONE, .. }), "{:?}", world.last);
}

#[test]
fn a_user_comes_back_to_the_session_he_left() {
    let mut world = alice();
    let viewer = world.viewer(ONE).expect("she sees it");
    world.viewer_goes(ONE, viewer);
    assert_eq!(world.last.last(), Some(&Effect::Emit(Event::SessionDisconnected(ONE))));
    assert_eq!(world.state(ONE), DISCONNECTED);
    assert_eq!(world.system.session(ONE).expect("it is there").name, "");
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    let Some(Told::Concluded(ONE, other, Entry::Reconnected)) = world.told(logon) else {
        panic!("not concluded")
    };
    assert_ne!(viewer, other);
    assert_eq!((world.state(ONE), world.views()), (ACTIVE, Vec::new()));
}

#[test]
fn a_user_takes_his_active_session_over_and_the_terminal_before_is_told_where_it_went() {
    let mut world = alice();
    let before = world.viewer(ONE).expect("she sees it");
    let id = world.begin(caller(ALICE), ALICE, Wish::Any);
    let logon = world.conversation(id);
    world.right(logon, ALICE);
    let Some(Told::Concluded(ONE, after, Entry::TakenOver)) = world.told(logon) else {
        panic!("not concluded")
    };
    let [View::TakenOver(client)] = &world.views()[..] else { panic!("{:?}", world.views()) };
    assert_eq!(client.uid, ALICE, "it is told by whom");
    assert_eq!(world.viewer(ONE), Some(after));
    let status = world.system.session(ONE).expect("it is there");
    assert_eq!(status.name, "Terminal#2");
    world.step(Input::ViewerGone(before));
    assert_eq!(world.state(ONE), ACTIVE, "who was told goes, and that is no hang-up");
}

#[test]
fn of_two_sessions_a_user_comes_back_to_the_one_he_left_last_rather_than_to_the_one_he_is_in() {
    let mut world = World::up(policy(Isolation::Vista, 3, HangUp::Disconnect));
    for wish in [Wish::Any, Wish::New, Wish::New] {
        world.log_on(ALICE, wish);
    }
    for session in [TWO, ONE] {
        world.pass(Duration::from_secs(1));
        let viewer = world.viewer(session).expect("she sees it");
        world.viewer_goes(session, viewer);
    }
    assert_eq!([(); 3].map(|()| world.log_on(ALICE, Wish::Any)), [ONE, TWO, TWO]);
}

#[test]
fn new_makes_another_session_up_to_the_limit() {
    let mut world = World::up(policy(Isolation::Vista, 2, HangUp::Logoff));
    assert_eq!([Wish::New, Wish::New].map(|wish| world.log_on(ALICE, wish)), [ONE, TWO]);
    let logon = authenticated(&mut world, ALICE, Wish::New);
    assert_eq!(refused(&world, logon), 7054);
    assert_eq!(world.log_on(BOB, Wish::New), SessionId(3), "the limit is each user's own");
}

#[test]
fn a_session_that_ends_is_no_longer_counted_and_nobody_comes_back_to_it() {
    let mut world = alice();
    world.logoff(caller(ALICE), ONE, Wait::Begun);
    assert_eq!(world.state(ONE), Some(ConnectState::Down));
    assert_eq!(world.log_on(ALICE, Wish::Any), TWO);
}

#[test]
fn while_a_logon_of_the_same_user_is_being_made_another_is_busy() {
    let mut world = World::up(vista());
    authenticated(&mut world, ALICE, Wish::Any);
    let other = authenticated(&mut world, ALICE, Wish::Any);
    assert_eq!(refused(&world, other), 7024);
    let bob = authenticated(&mut world, BOB, Wish::Any);
    assert_eq!(world.told(bob), None, "another user is not in its way");
}

#[test]
fn a_home_that_cannot_be_entered_keeps_nobody_out() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    world.try_made(ONE);
    world.launch_fails(ONE, world.launching().first().expect("the shell").1, LaunchPhase::WorkingDirectory);
    let Some(Effect::LaunchProgram(launch)) =
        world.last.iter().find(|effect| matches!(effect, Effect::LaunchProgram(_)))
    else {
        panic!("{:?}", world.last)
    };
    assert_eq!(launch.home, Home::Root);
    world.launched(ONE, world.launching()[0].1);
    let notice = world.last.iter().find_map(|effect| match effect {
        Effect::Attach { to: Attachee::Logon { notices, .. }, .. } => notices.first().cloned(),
        _ => None,
    });
    assert!(notice.expect("she is told").contains("/home/alice"));
    assert!(world.told(logon).is_some());
}

#[test]
fn a_shell_that_cannot_be_executed_refuses_the_logon_and_leaves_no_session() {
    for phase in [LaunchPhase::Exec, LaunchPhase::Namespace] {
        let mut world = World::up(vista());
        let logon = authenticated(&mut world, ALICE, Wish::Any);
        world.try_made(ONE);
        world.launch_fails(ONE, world.launching()[0].1, phase);
        assert_eq!(refused(&world, logon), 1053);
        assert!(world.did(&Effect::EndSession(ONE)));
        world.try_init_dies(ONE);
        assert_eq!(world.state(ONE), None);
    }
}

#[test]
fn a_root_that_cannot_be_entered_either_refuses_the_logon() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    world.try_made(ONE);
    for _ in 0..2 {
        world.launch_fails(ONE, world.launching()[0].1, LaunchPhase::WorkingDirectory);
    }
    assert_eq!(refused(&world, logon), 1053);
}

#[test]
fn a_session_that_cannot_be_made_refuses_the_logon_and_its_number_is_not_used_again() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    world.try_making_fails(ONE);
    assert_eq!(refused(&world, logon), 1359);
    assert_eq!(world.log_on(ALICE, Wish::Any), TWO);
}

#[test]
fn without_session_0_nobody_logs_on() {
    let mut world = World::new(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    assert_eq!(refused(&world, logon), 21);
}

#[test]
fn a_client_that_goes_while_its_session_is_made_leaves_none() {
    for made in [0, 1] {
        let mut world = World::up(vista());
        let logon = authenticated(&mut world, ALICE, Wish::Any);
        for _ in 0..made {
            world.try_made(ONE);
        }
        world.conversation_ends(logon);
        assert!(world.did(&Effect::EndSession(ONE)));
        world.try_init_dies(ONE);
        assert_eq!(world.state(ONE), None);
    }
}

#[test]
fn a_session_nobody_wants_any_more_is_ended_when_it_is_made_after_all() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    world.conversation_ends(logon);
    let effects = world.system.clone().handle(world.now, Input::SessionCreated { session: ONE, protocol: 3 });
    assert_eq!(effects, [Effect::EndSession(ONE)]);
}

// Leaving.

#[test]
fn a_shell_that_ends_takes_everything_in_its_session_with_it() {
    let mut world = alice();
    world.run_beside(ONE, Streams::Pipes);
    world.exits(ONE, world.shell(ONE), ExitStatus::Exited(3), Remains::Processes);
    assert!(world.did(&Effect::EndSession(ONE)) && world.signals().is_empty(), "nobody is asked");
    world.try_init_dies(ONE);
    let left = ended(EndReason::Left, Some(ExitStatus::Exited(3)));
    assert!(world.views().contains(&left));
    assert!(
        world.views().contains(&ended(EndReason::LoggedOff, None)),
        "the program did not leave by itself"
    );
    let reason = EndReason::Left;
    assert!(world.events().contains(&&Event::SessionLogoff {
        session: ONE,
        account: account(ALICE),
        reason
    }));
    assert!(world.events().contains(&&Event::SessionEnded { session: ONE, cause: EndCause::Requested }));
}

#[test]
fn a_logoff_tells_the_programs_and_kills_what_has_not_ended_in_time() {
    let mut world = alice();
    let shell = world.shell(ONE);
    let beside = world.run_beside(ONE, TERMINAL);
    let id = world.logoff(caller(ALICE), ONE, Wait::Settled);
    assert_eq!(world.signals(), [(shell, 1), (beside, 1)]);
    world.exits(ONE, shell, KILLED, Remains::Nothing);
    assert!(!world.ending.contains(&ONE), "one is still at work");
    world.wait();
    assert!(world.did(&Effect::EndSession(ONE)));
    assert!(!world.answers.contains_key(&id));
    world.try_init_dies(ONE);
    assert_eq!(world.code(id), 0);
    assert!(world.views().contains(&ended(EndReason::LoggedOff, Some(KILLED))));
}

#[test]
fn a_logoff_is_over_as_soon_as_its_programs_are() {
    let mut world = alice();
    world.logoff(caller(ALICE), ONE, Wait::Begun);
    world.exits(ONE, world.shell(ONE), ExitStatus::Exited(0), Remains::Nothing);
    assert!(world.did(&Effect::EndSession(ONE)));
}

#[test]
fn a_logoff_of_a_session_that_is_just_being_made_turns_its_client_back() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    let id = world.logoff(root(), ONE, Wait::Settled);
    assert_eq!(refused(&world, logon), 1223);
    world.try_init_dies(ONE);
    assert_eq!((world.code(id), world.state(ONE)), (0, None));
}

#[test]
fn a_logon_and_a_logoff_are_told_in_pairs() {
    let mut world = World::up(vista());
    let logon = authenticated(&mut world, ALICE, Wish::Any);
    let (mut on, mut off) = (0, 0);
    let mut count = |world: &World| {
        for event in world.events() {
            on += usize::from(matches!(event, Event::SessionLogon { .. }));
            off += usize::from(matches!(event, Event::SessionLogoff { .. }));
        }
    };
    world.try_made(ONE);
    count(&world);
    world.conversation_ends(logon);
    world.try_init_dies(ONE);
    count(&world);
    assert_eq!((on, off), (1, 1), "nobody has seen it, and both are told");
}

#[test]
fn a_terminal_that_goes_hangs_up_or_disconnects_by_policy() {
    let mut world = World::up(policy(Isolation::Vista, 1, HangUp::Logoff));
    world.log_on(ALICE, Wish::Any);
    let (shell, viewer) = (world.shell(ONE), world.viewer(ONE).expect("she sees it"));
    world.viewer_goes(ONE, viewer);
    assert_eq!(world.signals(), [(shell, 1)]);
    assert!(world.did(&Effect::ReleaseTerminal { session: ONE, launch: shell }));
    world.exits(ONE, shell, KILLED, Remains::Nothing);
    world.try_init_dies(ONE);
    let reason = EndReason::HungUp;
    assert!(world.events().contains(&&Event::SessionLogoff {
        session: ONE,
        account: account(ALICE),
        reason
    }));

    let mut world = alice();
    let viewer = world.viewer(ONE).expect("she sees it");
    world.viewer_goes(ONE, viewer);
    assert!(world.signals().is_empty(), "everything runs on");
}

#[test]
fn an_init_that_dies_ends_its_session_and_everybody_hears_it() {
    let mut world = alice();
    world.log_on(BOB, Wish::Any);
    let launching = world.run(caller(ALICE), ONE, TERMINAL);
    world.try_init_dies(ONE);
    assert_eq!(world.code(launching), 7007);
    assert_eq!(world.views(), [ended(EndReason::InitDied, None)]);
    assert!(world.events().contains(&&Event::SessionEnded { session: ONE, cause: EndCause::InitDied }));
    assert_eq!((world.state(ONE), world.state(TWO)), (None, ACTIVE));
}

#[test]
fn the_death_of_session_0_disturbs_no_user() {
    let mut world = alice();
    world.try_init_dies(SESSION_ZERO);
    assert_eq!((world.state(ONE), world.views()), (ACTIVE, Vec::new()));
}

#[test]
fn an_init_that_does_not_die_is_given_up() {
    let mut world = alice();
    let id = world.logoff(root(), ONE, Wait::Settled);
    world.wait();
    assert!(world.ending.contains(&ONE));
    world.wait();
    assert_eq!((world.code(id), world.state(ONE)), (0, None));
}

// Programs beside the shell.

#[test]
fn a_program_runs_beside_the_shell_and_its_client_is_told_its_end() {
    let mut world = alice();
    let launch = world.run_beside(ONE, TERMINAL);
    assert_eq!(world.system.session(ONE).expect("it is there").programs, 2);
    world.exits(ONE, launch, ExitStatus::Exited(5), Remains::Nothing);
    assert_eq!(world.views(), [ended(EndReason::Left, Some(ExitStatus::Exited(5)))]);
    assert_eq!(world.state(ONE), ACTIVE);
}

#[test]
fn a_program_whose_terminal_goes_is_hung_up_and_one_with_pipes_is_not() {
    let mut world = alice();
    let shells = world.viewer(ONE).expect("she sees it");
    for (streams, hung_up) in [(TERMINAL, true), (Streams::Pipes, false)] {
        let launch = world.run_beside(ONE, streams);
        let viewer = *world.clients.iter().find(|(_, viewer)| *viewer != shells).expect("it is seen");
        world.viewer_goes(ONE, viewer.1);
        assert_eq!(world.did(&Effect::ReleaseTerminal { session: ONE, launch }), hung_up);
    }
    assert_eq!(world.state(ONE), ACTIVE);
}

#[test]
fn what_a_program_leaves_behind_keeps_no_terminal() {
    let mut world = alice();
    let launch = world.run_beside(ONE, TERMINAL);
    world.exits(ONE, launch, ExitStatus::Exited(0), Remains::Processes);
    assert!(!world.inits[&ONE].terminals.contains(&launch));
}

#[test]
fn a_program_whose_client_goes_before_it_runs_is_killed() {
    let mut world = alice();
    world.run(caller(ALICE), ONE, TERMINAL);
    let (_, launch) = world.launching()[0];
    world.abandon();
    assert_eq!(world.signals(), [(launch, 9)]);
    world.launched(ONE, launch);
    assert_eq!(world.clients.len(), 1, "nobody is shown it");
}

#[test]
fn a_client_waits_for_a_program_no_longer_than_its_time() {
    let mut world = alice();
    let id = world.run(caller(ALICE), ONE, Streams::Pipes);
    let (_, launch) = world.launching()[0];
    world.wait();
    assert_eq!((world.code(id), world.signals()), (1053, vec![(launch, 9)]));
    assert_eq!(world.state(ONE), ACTIVE);
}

#[test]
fn a_program_that_comes_to_run_when_its_session_ends_is_nobodys() {
    let mut world = alice();
    let id = world.run(caller(ALICE), ONE, Streams::Pipes);
    let (_, launch) = world.launching()[0];
    world.logoff(root(), ONE, Wait::Begun);
    world.launched(ONE, launch);
    assert_eq!(world.code(id), 7007);
}

#[test]
fn a_session_has_so_many_programs_and_no_more() {
    let mut world = alice();
    for _ in 0..limit::PROGRAMS_MAX {
        world.run_beside(ONE, Streams::Pipes);
    }
    let id = world.run(caller(ALICE), ONE, Streams::Pipes);
    assert_eq!(world.code(id), 1450);
    world.log_on(BOB, Wish::Any);
    world.run_beside(TWO, Streams::Pipes);
}

#[test]
fn programs_are_refused_where_there_is_no_shell() {
    let mut world = World::up(vista());
    authenticated(&mut world, ALICE, Wish::Any);
    let (early, nowhere) = (world.run(root(), ONE, TERMINAL), world.run(root(), TWO, TERMINAL));
    assert_eq!((world.code(early), world.code(nowhere)), (1008, 7022));
    world.logoff(root(), ONE, Wait::Begun);
    let late = world.run(root(), ONE, TERMINAL);
    assert_eq!(world.code(late), 7007);
}

#[test]
fn no_init_speaks_of_another_sessions_programs() {
    let mut world = alice();
    let shell = world.shell(ONE);
    world.log_on(BOB, Wish::Any);
    let happened = Happened::Exited { status: KILLED, remains: Remains::Nothing };
    world.happens(TWO, shell, happened);
    assert_eq!(world.last, [Effect::AcknowledgeIn(TWO)]);
    assert_eq!(world.state(ONE), ACTIVE);
}

#[test]
fn there_are_so_many_sessions_and_no_more() {
    let World { mut system, now, .. } = World::up(vista());
    let sessions = u64::try_from(limit::SESSIONS_MAX).expect("it is small");
    for number in 1..=sessions + 1 {
        let uid = 2000 + u32::try_from(number).expect("it is small");
        let request = session_world::begin_request(uid);
        system.handle(now, Input::Request { id: RequestId(number), caller: root(), request });
        let (logon, said) = (LogonId(number), FromLogon::Authenticated(user(uid)));
        let effects = system.handle(now, Input::LogonSaid { logon, said });
        if number <= sessions {
            let session = SessionId(u32::try_from(number).expect("it is small"));
            assert_eq!(effects, [Effect::CreateSession(session)]);
            // Its client has gone, but not every trace of it.
            system.handle(now, Input::LogonGone(logon));
        } else {
            let [Effect::TellLogon { message: ToLogon::Refused { code: 7054, .. }, .. }] = &effects[..]
            else {
                panic!("{effects:?}")
            };
        }
    }
}

// XP.

#[test]
fn in_xp_the_first_user_is_in_session_0_and_the_second_in_session_1() {
    let mut world = World::up(policy(Isolation::Xp, 1, HangUp::Disconnect));
    assert_eq!([ALICE, BOB].map(|uid| world.log_on(uid, Wish::Any)), [SESSION_ZERO, ONE]);
    let zero = world.system.session(SESSION_ZERO).expect("it is there");
    assert_eq!((zero.state, zero.name.as_str(), zero.programs), (ConnectState::Active, "Services", 1));
    assert_eq!(zero.user.expect("she is there").name, account(ALICE));
}

#[test]
fn in_xp_a_logoff_kills_the_users_programs_and_not_session_0() {
    let mut world = World::up(policy(Isolation::Xp, 1, HangUp::Disconnect));
    world.log_on(ALICE, Wish::Any);
    let shell = world.shell(SESSION_ZERO);
    world.run_beside(SESSION_ZERO, Streams::Pipes);
    let id = world.logoff(caller(ALICE), SESSION_ZERO, Wait::Settled);
    world.exits(SESSION_ZERO, shell, ExitStatus::Exited(0), Remains::Processes);
    world.wait();
    assert_eq!(world.inits[&SESSION_ZERO].kills.len(), 2, "what the shell left, and the program");
    while world.try_group_empty() {}
    assert_eq!((world.code(id), world.state(SESSION_ZERO)), (0, DISCONNECTED));
    assert!(world.did(&Effect::UnstoreSession(SESSION_ZERO)));
    assert!(!world.inits[&SESSION_ZERO].records.contains_key("session"));
    assert_eq!(world.log_on(BOB, Wish::Any), SESSION_ZERO, "it is free for the next");
}

#[test]
fn in_xp_the_death_of_session_0_takes_its_user_with_it() {
    let mut world = World::up(policy(Isolation::Xp, 1, HangUp::Disconnect));
    world.log_on(ALICE, Wish::Any);
    world.try_init_dies(SESSION_ZERO);
    assert_eq!(world.views(), [ended(EndReason::InitDied, None)]);
    assert!(world.making.contains(&SESSION_ZERO));
}

#[test]
fn a_daemon_that_finds_session_0_made_knows_that_its_walls_are_down() {
    for (isolation, first) in [(Isolation::Xp, SESSION_ZERO), (Isolation::Vista, ONE)] {
        let mut world = World::new(policy(isolation, 1, HangUp::Disconnect));
        // What host.toml says by now is for the next Session 0.
        let other = if isolation == Isolation::Xp { Isolation::Vista } else { Isolation::Xp };
        world.configuration.sessions.isolation = other;
        // It is made, and the daemon dies before it has heard so.
        assert!(world.making.remove(&SESSION_ZERO));
        world.inits.insert(SESSION_ZERO, world.made(SESSION_ZERO));
        world.kill_daemon();
        assert_eq!(world.system.isolation(), isolation);
        assert_eq!(world.log_on(ALICE, Wish::Any), first);
    }
}

#[test]
fn a_session_0_of_an_older_init_is_shared_with_nobody() {
    let mut world = World::new(policy(Isolation::Xp, 1, HangUp::Disconnect));
    world.making.clear();
    world.inits.insert(SESSION_ZERO, session_world::Init::default());
    world.step(Input::SessionCreated { session: SESSION_ZERO, protocol: 2 });
    assert_eq!(world.log_on(ALICE, Wish::Any), ONE);
}

// Shutdown.

#[test]
fn a_shutdown_logs_everybody_off_and_lets_nobody_in() {
    let mut world = alice();
    let bob = authenticated(&mut world, BOB, Wish::Any);
    let carol = world.talk(2000, Wish::Any);
    world.request(root(), Request::Host(HostRequest::Shutdown));
    assert_eq!(refused(&world, bob), 1223);
    world.right(carol, 2000);
    assert_eq!(refused(&world, carol), 1115);
    let late = world.begin(root(), ALICE, Wish::Any);
    assert_eq!(world.code(late), 1115);
    assert!(!world.ending.contains(&SESSION_ZERO), "services outlive the users");
    world.exits(ONE, world.shell(ONE), KILLED, Remains::Nothing);
    for session in [ONE, TWO, SESSION_ZERO] {
        assert!(world.ending.contains(&session) && !world.exited);
        world.try_init_dies(session);
    }
    assert!(world.exited);
}

#[test]
fn a_shutdown_while_session_0_is_made_again_ends_with_the_last_user() {
    let mut world = alice();
    world.try_init_dies(SESSION_ZERO);
    world.step(Input::Shutdown);
    assert!(world.ending.contains(&SESSION_ZERO), "it is not made while the host goes down");
    world.try_init_dies(SESSION_ZERO);
    assert!(!world.exited && !world.making.contains(&SESSION_ZERO));
    world.wait();
    world.try_init_dies(ONE);
    assert!(world.exited);
}

// A new daemon.

#[test]
fn a_new_daemon_disturbs_no_user() {
    let mut world = World::up(policy(Isolation::Vista, 2, HangUp::Disconnect));
    world.log_on(ALICE, Wish::Any);
    world.log_on(BOB, Wish::Any);
    let beside = world.run_beside(ONE, TERMINAL);
    let viewer = world.viewer(TWO).expect("he sees it");
    world.viewer_goes(TWO, viewer);
    world.pass(Duration::from_secs(60));
    let (sessions, clients) = (world.system.sessions(), world.clients.clone());
    world.kill_daemon();
    assert_eq!((world.system.sessions(), world.clients.clone()), (sessions, clients));
    let disturbing = |effect: &&Effect| {
        !matches!(effect, Effect::Emit(_) | Effect::AcknowledgeExits | Effect::AcknowledgeIn(_))
    };
    assert_eq!(world.last.iter().find(disturbing), None);
    world.exits(ONE, beside, ExitStatus::Exited(0), Remains::Nothing);
    assert_eq!(world.views(), [ended(EndReason::Left, Some(ExitStatus::Exited(0)))], "it is still watched");
}

#[test]
fn numbers_of_launches_and_viewers_are_not_given_again_by_a_new_daemon() {
    let mut world = alice();
    let last = world.run_beside(ONE, Streams::Pipes);
    world.exits(ONE, last, ExitStatus::Exited(0), Remains::Nothing);
    let attached = world.inits[&ONE].attached.clone();
    world.try_init_dies(SESSION_ZERO);
    world.kill_daemon();
    world.try_made(SESSION_ZERO);
    let next: LaunchId = world.run_beside(ONE, Streams::Pipes);
    assert!(next > last, "{next:?} after {last:?}");
    let new = world.inits[&ONE].attached.difference(&attached).count();
    assert_eq!(new, 1);
}

#[test]
fn a_session_that_was_only_being_made_ends_with_the_daemon() {
    for made in [0, 1] {
        let mut world = World::up(vista());
        authenticated(&mut world, ALICE, Wish::Any);
        for _ in 0..made {
            world.try_made(ONE);
        }
        world.kill_daemon();
        assert!(world.did(&Effect::EndSession(ONE)));
        world.try_init_dies(ONE);
        assert_eq!(world.log_on(ALICE, Wish::Any), TWO, "its number is gone");
    }
}

#[test]
fn a_logoff_under_way_survives_the_daemon_and_its_programs_are_told_again() {
    let mut world = alice();
    let shell = world.shell(ONE);
    world.dies_after = Some(1);
    world.logoff(root(), ONE, Wait::Begun);
    assert_eq!(world.state(ONE), Some(ConnectState::Down));
    assert_eq!(world.signals(), [(shell, 1)], "the daemon before died before it told them");
    world.wait();
    assert!(world.ending.contains(&ONE));
}

#[test]
fn a_shell_that_ended_while_no_daemon_was_there_has_ended_once() {
    let mut world = alice();
    world.dies_after = Some(0);
    world.exits(ONE, world.shell(ONE), ExitStatus::Exited(2), Remains::Nothing);
    let ends = world.last.iter().filter(|effect| **effect == Effect::EndSession(ONE)).count();
    assert_eq!(ends, 1);
    world.try_init_dies(ONE);
    assert_eq!(world.views(), [ended(EndReason::Left, Some(ExitStatus::Exited(2)))]);
}

#[test]
fn a_client_that_went_while_no_daemon_was_there_has_hung_up() {
    let mut world = alice();
    let viewer = world.viewer(ONE).expect("she sees it");
    world.dies_after = Some(0);
    world.viewer_goes(ONE, viewer);
    assert_eq!(world.state(ONE), DISCONNECTED);
}

#[test]
fn a_session_with_a_record_nobody_can_read_is_ended() {
    let mut world = alice();
    world.inits.get_mut(&ONE).expect("it is there").records.insert(String::from("session"), vec![9, 9]);
    world.clients.clear();
    world.kill_daemon();
    assert!(world.did(&Effect::EndSession(ONE)));
}
