//! Every sequence of three operations of users, clients, inits and the daemon from several states of a small world, and long
//! random runs; the rules are checked after each step (see `session_world`).

mod explore;
mod session_world;

use explore::explore;
use session_world::{ALICE, BOB, World, caller, configuration, policy, root, user, vista};
use session0_model::access::{Caller, Origin};
use session0_model::id::{LaunchId, LogonId, RequestId, SESSION_ZERO, SessionId, ViewerId};
use session0_model::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase};
use session0_model::launch::plan::{Size, Streams};
use session0_model::launch::wire::Remains;
use session0_model::logon::Wish;
use session0_model::logon::wire::{FromLogon, LogonFailure, Task};
use session0_model::session::status::ConnectState;
use session0_model::session::{HangUp, Happened, Isolation, Policy};
use session0_model::system::{HostRequest, Input, Request, SessionRequest, System, Wait};
use session0_model::time::Time;

const TERMINAL: Streams = Streams::Terminal(Size { rows: 24, columns: 80 });

#[derive(Debug, Clone, Copy)]
enum Op {
    Begin(u32, Wish),
    Attempt(u32),
    Wrong(u32),
    Right(u32),
    ConversationEnds(u32),
    Made,
    MakingFails,
    Launched,
    LaunchFails(LaunchPhase),
    ShellExits(u32, Remains),
    BesideExits(Remains),
    ViewerGoes(u32),
    BesideViewerGoes,
    Run(u32, Streams),
    Abandon,
    Logoff(Who, Wait),
    InitDies(u32),
    ZeroDies,
    GroupEmpty,
    DaemonDies,
    /// It dies in the next step, after so many effects.
    DaemonDiesIn(usize),
    Wait,
    Load(Policy),
    Shutdown,
}

/// Who logs alice's session off.
#[derive(Debug, Clone, Copy)]
enum Who {
    Herself,
    Bob,
    Administrator,
}

fn all_ops() -> Vec<Op> {
    let mut ops = vec![
        Op::Begin(ALICE, Wish::Any),
        Op::Begin(ALICE, Wish::New),
        Op::Begin(BOB, Wish::Any),
        Op::Attempt(ALICE),
        Op::Wrong(ALICE),
        Op::Made,
        Op::MakingFails,
        Op::Launched,
        Op::LaunchFails(LaunchPhase::Exec),
        Op::LaunchFails(LaunchPhase::WorkingDirectory),
        Op::BesideExits(Remains::Nothing),
        Op::BesideExits(Remains::Processes),
        Op::BesideViewerGoes,
        Op::Run(ALICE, TERMINAL),
        Op::Run(BOB, Streams::Pipes),
        Op::Abandon,
        Op::Logoff(Who::Herself, Wait::Settled),
        Op::Logoff(Who::Bob, Wait::Settled),
        Op::Logoff(Who::Administrator, Wait::Begun),
        Op::ZeroDies,
        Op::GroupEmpty,
        Op::DaemonDies,
        Op::Wait,
        Op::Load(policy(Isolation::Xp, 2, HangUp::Logoff)),
        Op::Load(vista()),
        Op::Shutdown,
    ];
    for uid in [ALICE, BOB] {
        ops.extend([Op::Right(uid), Op::ConversationEnds(uid), Op::ViewerGoes(uid), Op::InitDies(uid)]);
        ops.extend([Op::ShellExits(uid, Remains::Nothing), Op::ShellExits(uid, Remains::Processes)]);
    }
    ops.extend((0..6).map(Op::DaemonDiesIn));
    ops
}

/// The conversation of a user that is not over.
fn conversation(world: &World, uid: u32) -> Option<LogonId> {
    let account = session_world::account(uid);
    let his = |task: &Task| matches!(task, Task::Logon { account: whose } if *whose == account);
    let found = world.conversations.iter().find(|(_, c)| c.told.is_none() && !c.killed && his(&c.task));
    found.map(|(logon, _)| *logon)
}

/// A session of a user: one that does not end, else one that does.
fn session(world: &World, uid: u32) -> Option<SessionId> {
    let mut his = world.system.sessions();
    his.retain(|status| status.user.as_ref().is_some_and(|user| user.uid == uid));
    his.sort_by_key(|status| status.state == ConnectState::Down);
    his.first().map(|status| status.id)
}

/// Programs beside shells that are alive.
fn beside(world: &World) -> Option<(SessionId, LaunchId)> {
    let programs = |(id, init): (&SessionId, &session_world::Init)| {
        let id = *id;
        init.alive.keys().skip(1).map(move |launch| (id, *launch)).collect::<Vec<_>>()
    };
    world.inits.iter().flat_map(programs).next()
}

/// Does it. `false`: it cannot happen now.
fn act(world: &mut World, op: Op) -> bool {
    if world.exited {
        return false;
    }
    world.trail.0.push(format!("{op:?}"));
    match op {
        Op::Begin(uid, wish) => drop(world.begin(if uid == BOB { caller(BOB) } else { root() }, uid, wish)),
        Op::Attempt(uid) => {
            let Some(logon) = conversation(world, uid) else { return false };
            world.says(logon, FromLogon::Attempt);
        }
        Op::Wrong(uid) => {
            let Some(logon) = conversation(world, uid) else { return false };
            world.says(logon, FromLogon::Failed { reason: LogonFailure::WrongPassword });
        }
        Op::Right(uid) => {
            let Some(logon) = conversation(world, uid) else { return false };
            world.right(logon, uid);
        }
        Op::ConversationEnds(uid) => {
            let over = world.conversations.iter().find(|(_, c)| c.told.is_some() || c.killed);
            let Some(logon) = conversation(world, uid).or(over.map(|(logon, _)| *logon)) else {
                return false;
            };
            world.conversation_ends(logon);
        }
        Op::Run(uid, streams) => {
            let Some(session) = session(world, uid) else { return false };
            world.run(caller(uid), session, streams);
        }
        Op::Abandon => return world.abandon(),
        Op::Logoff(who, wait) => {
            let Some(session) = session(world, ALICE) else { return false };
            let (caller, may) = match who {
                Who::Herself => (caller(ALICE), true),
                Who::Bob => (caller(BOB), false),
                Who::Administrator => (root(), true),
            };
            let state = world.state(session);
            let lives = world.dies_after.is_none();
            let id = world.logoff(caller, session, wait);
            if !may && lives {
                assert_eq!(world.code(id), 5);
                assert_eq!(world.state(session), state, "another's request does something");
            }
        }
        Op::Load(policy) => world.load(policy),
        Op::Shutdown => world.step(Input::Shutdown),
        Op::Wait => return world.wait(),
        Op::DaemonDies => world.kill_daemon(),
        Op::DaemonDiesIn(effects) => world.dies_after = Some(effects),
        _ => return act_inside(world, op),
    }
    true
}

/// What inits, programs and viewers do.
fn act_inside(world: &mut World, op: Op) -> bool {
    match op {
        Op::Made => {
            let Some(id) = world.making.iter().find(|id| !world.ending.contains(id)).copied() else {
                return false;
            };
            world.try_made(id)
        }
        Op::MakingFails => {
            let Some(id) = world.making.first().copied() else { return false };
            world.try_making_fails(id)
        }
        Op::Launched | Op::LaunchFails(_) => {
            let Some((session, launch)) = world.launching().first().copied() else { return false };
            match op {
                Op::LaunchFails(phase) => world.launch_fails(session, launch, phase),
                _ => world.launched(session, launch),
            }
            true
        }
        Op::ShellExits(uid, remains) => {
            let Some(session) = session(world, uid) else { return false };
            let shell = world.inits.get(&session).and_then(|init| init.alive.keys().next().copied());
            let Some(shell) = shell else { return false };
            world.exits(session, shell, ExitStatus::Exited(0), remains);
            true
        }
        Op::BesideExits(remains) => {
            let Some((session, launch)) = beside(world) else { return false };
            world.exits(session, launch, ExitStatus::Exited(1), remains);
            true
        }
        Op::ViewerGoes(uid) => {
            let viewer = session(world, uid).and_then(|id| Some((id, world.viewer(id)?)));
            let Some((session, viewer)) = viewer else { return false };
            world.viewer_goes(session, viewer);
            true
        }
        Op::BesideViewerGoes => {
            let of = |id: SessionId| world.clients.iter().filter(|(other, _)| *other == id).nth(1).copied();
            let Some((session, viewer)) = world.inits.keys().copied().find_map(of) else { return false };
            world.viewer_goes(session, viewer);
            true
        }
        Op::InitDies(uid) => {
            let id = session(world, uid).or(world.ending.iter().copied().find(|id| *id != SESSION_ZERO));
            let Some(id) = id.filter(|id| *id != SESSION_ZERO) else { return false };
            world.try_init_dies(id)
        }
        Op::ZeroDies => world.try_init_dies(SESSION_ZERO),
        Op::GroupEmpty => world.try_group_empty(),
        _ => false,
    }
}

#[test]
fn every_three_operations_from_a_host_with_two_users() {
    let mut world = World::up(vista());
    let (alice, _) = (world.log_on(ALICE, Wish::Any), world.log_on(BOB, Wish::Any));
    world.run_beside(alice, TERMINAL);
    let mut steps = 0;
    explore(&world, &all_ops(), act, 3, &mut steps);
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_three_operations_of_a_logon() {
    let mut steps = 0;
    for policy in [vista(), policy(Isolation::Xp, 1, HangUp::Logoff)] {
        let mut world = World::up(policy);
        let logon = world.talk(ALICE, Wish::Any);
        world.right(logon, ALICE);
        explore(&world, &all_ops(), act, 3, &mut steps);
        explore(&World::up(policy), &all_ops(), act, 2, &mut steps);
        explore(&World::new(policy), &all_ops(), act, 2, &mut steps);
    }
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_three_operations_where_the_first_user_is_in_session_0() {
    let mut world = World::up(policy(Isolation::Xp, 2, HangUp::Disconnect));
    assert_eq!(world.log_on(ALICE, Wish::Any), SESSION_ZERO);
    world.run_beside(SESSION_ZERO, TERMINAL);
    assert_eq!(world.log_on(ALICE, Wish::New), SessionId(1), "she is in twice");
    let mut steps = 0;
    explore(&world, &all_ops(), act, 3, &mut steps);
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_two_operations_after_a_disconnect_or_a_logoff() {
    let mut steps = 0;
    for hang_up in [HangUp::Disconnect, HangUp::Logoff] {
        let mut world = World::up(policy(Isolation::Vista, 2, hang_up));
        let alice = world.log_on(ALICE, Wish::Any);
        world.run_beside(alice, Streams::Pipes);
        let viewer = world.viewer(alice).expect("she sees it");
        world.viewer_goes(alice, viewer);
        explore(&world, &all_ops(), act, 2, &mut steps);
    }
    assert!(steps > 500, "only {steps} steps");
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from((self.next() >> 16) % end as u64).expect("it is below a usize")
    }
}

#[test]
fn long_random_runs() {
    let ops = all_ops();
    let policies = [
        vista(),
        policy(Isolation::Vista, 2, HangUp::Logoff),
        policy(Isolation::Xp, 2, HangUp::Disconnect),
        policy(Isolation::Xp, 1, HangUp::Logoff),
    ];
    for seed in 1..=40 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut world = World::new(policies[random.below(policies.len())]);
        for _ in 0..400 {
            let op = ops[random.below(ops.len())];
            // Rare in life, and the end of everything else.
            let rare = matches!(op, Op::Shutdown | Op::ZeroDies | Op::DaemonDies | Op::DaemonDiesIn(_));
            if rare && random.below(8) != 0 {
                continue;
            }
            act(&mut world, op);
            if world.exited {
                world = World::new(world.configuration.sessions);
            }
        }
        come_to_rest(&mut world);
    }
}

/// When everything is answered, nobody waits, and nobody is on his way.
fn come_to_rest(world: &mut World) {
    world.dies_after = None;
    for _ in 0..3_000 {
        let mut moved = act(world, Op::Made) | act(world, Op::Launched) | act(world, Op::GroupEmpty);
        for id in world.ending.clone() {
            moved |= world.try_init_dies(id);
        }
        moved |= act(world, Op::ConversationEnds(ALICE)) | act(world, Op::ConversationEnds(BOB));
        if world.exited || !moved && !world.wait() {
            break;
        }
    }
    assert!(world.waiting.is_empty(), "somebody waits for ever: {:?}", world.waiting);
    let on_its_way = |state| matches!(state, ConnectState::Init | ConnectState::Down);
    let sessions = world.system.sessions();
    assert!(!sessions.iter().any(|status| on_its_way(status.state)), "{sessions:?}");
}

/// No init answers, no conversation ends, no client goes: only time passes, and still nobody waits for ever.
#[test]
fn nothing_hangs_where_nobody_answers() {
    let ops = all_ops();
    for seed in 1..=200 {
        let mut random = Random(0xD134_2543_DE82_EF95_u64.wrapping_mul(seed));
        let isolation = if seed % 2 == 0 { Isolation::Xp } else { Isolation::Vista };
        let mut world = World::up(policy(isolation, 2, HangUp::Disconnect));
        world.log_on(ALICE, Wish::Any);
        for _ in 0..30 {
            act(&mut world, ops[random.below(ops.len())]);
        }
        world.dies_after = None;
        // A Session 0 that is never made is tried without end by the daemon, not by the model.
        act(&mut world, Op::Made);
        for _ in 0..200 {
            if world.exited || !world.wait() {
                break;
            }
        }
        assert!(world.waiting.is_empty(), "{seed}: somebody waits for ever: {:?}", world.waiting);
        let users = world.system.sessions().into_iter().filter(|status| status.user.is_some());
        for status in users.filter(|status| !world.exited || status.id != SESSION_ZERO) {
            assert!(
                matches!(status.state, ConnectState::Active | ConnectState::Disconnected),
                "{seed}: {status:?} is on its way for ever"
            );
        }
        assert!(
            world.exited || world.conversations.values().all(|c| c.killed),
            "{seed}: {:?}",
            world.conversations
        );
        let left = world.shutting_down() && !world.exited;
        assert!(!left, "{seed}: the host does not go down");
    }
}

/// Inputs no init and no client would send, in any order: nothing panics, and no invariant breaks.
#[test]
fn any_input_in_any_order() {
    for seed in 1..=60 {
        let mut random = Random(0xA076_1D64_78BD_642F_u64.wrapping_mul(seed));
        let mut system = System::new();
        let xp = policy(Isolation::Xp, 2, HangUp::Disconnect);
        for step in 0..400 {
            let now = Time(random.next() % 300_000_000_000);
            system.handle(now, any_input(&mut random, step, xp));
            system.check_invariants();
        }
    }
}

fn any_input(random: &mut Random, step: u64, policy: Policy) -> Input {
    let session = SessionId(random.next() as u32 % 4);
    let launch = LaunchId(random.next() % 8);
    let logon = LogonId(random.next() % 8);
    let uid = [ALICE, BOB][random.below(2)];
    match random.below(16) {
        0 => Input::Start {
            configuration: configuration(policy),
            recovered: None,
            sessions: Vec::new(),
            session_last: 0,
        },
        1 | 2 => Input::SessionCreated { session, protocol: 3 },
        3 if random.below(4) == 0 => Input::SessionEnded(session),
        4 if random.below(4) == 0 => Input::SessionFailed { session, reason: String::new() },
        5 | 6 => Input::Program { session, launch, happened: any_happened(random) },
        7 => Input::ViewerGone(ViewerId(random.next() % 8)),
        8 => Input::LogonSaid { logon, said: FromLogon::Attempt },
        9 | 10 => Input::LogonSaid { logon, said: FromLogon::Authenticated(user(uid)) },
        11 if random.below(4) == 0 => Input::LogonGone(logon),
        12 => Input::Abandoned(RequestId(random.next() % (step + 1))),
        13 if random.below(40) == 0 => Input::Shutdown,
        14 | 15 => {
            Input::Request { id: RequestId(step), caller: root(), request: any_request(random, session, uid) }
        }
        _ => Input::Tick,
    }
}

fn any_happened(random: &mut Random) -> Happened {
    let remains = if random.below(2) == 0 { Remains::Nothing } else { Remains::Processes };
    match random.below(8) {
        0..=4 => Happened::Launched,
        5 => Happened::LaunchFailed(LaunchFailure { phase: LaunchPhase::WorkingDirectory, errno: 2 }),
        6 => Happened::Exited { status: ExitStatus::Exited(1), remains },
        _ => Happened::GroupEmpty,
    }
}

fn any_request(random: &mut Random, session: SessionId, uid: u32) -> Request {
    match random.below(4) {
        0 => Request::Session(SessionRequest::Logoff { session, wait: Wait::Settled }),
        1 => Request::Session(SessionRequest::Run {
            session,
            command: vec![String::from("id")],
            streams: TERMINAL,
            environment: Vec::new(),
        }),
        2 => Request::Host(HostRequest::Status),
        _ => session_world::begin_request(uid),
    }
}

/// Root of a session is no root of the machine.
#[test]
fn any_request_of_a_sessions_root_changes_nothing() {
    let mut world = World::up(vista());
    let (alice, bob) = (world.log_on(ALICE, Wish::Any), world.log_on(BOB, Wish::Any));
    let origin = Origin::Session { id: alice, service: None };
    let contained = Caller { origin, uid: 0, groups: vec![0], pid: 9 };
    for session in [SESSION_ZERO, alice, bob] {
        for wait in [Wait::Begun, Wait::Settled] {
            let id = world.logoff(contained.clone(), session, wait);
            assert_eq!(world.code(id), 5);
        }
        let id = world.run(contained.clone(), session, TERMINAL);
        assert_eq!(world.code(id), 5);
    }
    assert_eq!([alice, bob].map(|id| world.state(id)), [Some(ConnectState::Active); 2]);
}
