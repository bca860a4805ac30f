//! Every sequence of three operations of servers, clients, services and the daemon from several states of a small world, and long
//! random runs; the rules are checked after each step (see `world` and `world::pipes`).

mod explore;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use explore::explore;
use session0_model::access::Caller;
use session0_model::limit;
use session0_model::pipe::access::{AccessList, Effect as Gives, Entry, Rights, Who};
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::request::{Listen, Said, Wait};
use session0_model::pipe::settings::{Access, Opening, Settings};
use session0_model::service::definition::{Definition, Restart};
use session0_model::system::{HostRequest, Input};
use world::pipes::{allow, open_to_all, pipe, service, user};
use world::{Shape, World, definition, root};

const ALICE: u32 = 1000;
const BOB: u32 = 1001;
const CAROL: u32 = 1002;
/// He may do nothing.
const DAVE: u32 = 1003;

/// Declared by a service, and by nobody.
const NAMES: [&str; 2] = ["echo", "free"];
const SECOND: Wait = Wait::For(Duration::from_secs(1));

#[derive(Debug, Clone, Copy)]
enum Op {
    Listen(Serves, usize, u32),
    Open(u32, usize, Wait),
    OpenToWrite(usize),
    WaitFor(usize, Wait),
    /// Of the servers that there are, this one.
    More(usize),
    Close(usize),
    CloseForeign(usize),
    CountUnasked(usize),
    Stop(usize),
    Goes(usize),
    Lose(usize),
    Count(usize),
    Abandon,
    Launched,
    LaunchFails,
    Exits,
    StopService,
    DaemonDies,
    DaemonLoses(usize),
    /// It dies in the next step, after so many effects.
    DaemonDiesIn(usize),
    ZeroDies,
    ZeroMade,
    Reload(Reserves),
    Wait,
    Pass,
    Shutdown,
}

/// Who serves.
#[derive(Debug, Clone, Copy)]
enum Serves {
    Alice,
    Bob,
    /// The service.
    Web,
    /// The service, if nobody does.
    WebFirst,
}

/// What the service's file declares.
#[derive(Debug, Clone, Copy)]
enum Reserves {
    Nothing,
    Echo(Opening),
    /// Both names.
    Both,
}

fn settings(most: u8) -> Settings {
    let deny = Entry { effect: Gives::Deny, ..allow(Who::User(DAVE), Rights::all()) };
    let everybody = allow(Who::Everyone, Rights::READ | Rights::WRITE);
    let bob = allow(Who::User(BOB), Rights::INSTANCE);
    Settings { access: AccessList(vec![deny, everybody, bob]), ..open_to_all(most) }
}

fn web(reserves: Reserves, most: u8) -> Definition {
    let mut web = definition("web").demand().restart(Restart::OnFailure);
    web.restart_delay = Duration::from_secs(2);
    let mut declare = |text, opening| {
        let settings = Arc::new(settings(most));
        web.pipes.push(session0_model::pipe::settings::Declared { name: pipe(text), settings, opening });
    };
    match reserves {
        Reserves::Nothing => {}
        Reserves::Echo(opening) => declare(NAMES[0], opening),
        Reserves::Both => NAMES.into_iter().for_each(|name| declare(name, Opening::Starts)),
    }
    web
}

/// A world and the maximum of its pipes.
#[derive(Debug, Clone)]
struct Small {
    world: World,
    most: u8,
    trail: Trail,
}

/// What was done, told when a rule breaks.
#[derive(Debug, Clone, Default)]
struct Trail(Vec<Op>);

impl Drop for Trail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.0.len().saturating_sub(20);
            eprintln!("after {:?}", &self.0[from..]);
        }
    }
}

impl Small {
    fn up(most: u8) -> Small {
        let world = World::up(vec![web(Reserves::Echo(Opening::Starts), most)]);
        Small { world, most, trail: Trail::default() }
    }

    /// A world of users alone.
    fn without_services(most: u8) -> Small {
        Small { world: World::up(Vec::new()), most, trail: Trail::default() }
    }

    fn then(mut self, ops: &[Op]) -> Small {
        for op in ops {
            assert!(act(&mut self, *op), "{op:?} cannot happen");
        }
        self
    }

    fn server(&self, nth: usize) -> Option<ServerId> {
        self.world.pipes.servers.keys().nth(nth).copied()
    }
}

/// What users and their servers do.
fn users_ops() -> Vec<Op> {
    let mut ops = vec![Op::OpenToWrite(1), Op::Abandon, Op::Wait, Op::Pass, Op::DaemonDies];
    ops.extend([Wait::Not, Wait::Default, SECOND].map(|wait| Op::Open(CAROL, 1, wait)));
    ops.extend([Op::Open(DAVE, 1, SECOND), Op::WaitFor(1, Wait::Not), Op::WaitFor(1, SECOND)]);
    ops.extend([
        Op::Listen(Serves::Alice, 1, 1),
        Op::Listen(Serves::Alice, 1, 2),
        Op::Listen(Serves::Bob, 1, 0),
    ]);
    for nth in 0..2 {
        ops.extend([
            Op::More(nth),
            Op::Close(nth),
            Op::CloseForeign(nth),
            Op::CountUnasked(nth),
            Op::Stop(nth),
        ]);
        ops.extend([Op::Goes(nth), Op::Lose(nth), Op::Count(nth), Op::DaemonLoses(nth)]);
    }
    ops
}

fn all_ops() -> Vec<Op> {
    let mut ops = users_ops();
    ops.extend([Wait::Not, SECOND].map(|wait| Op::Open(BOB, 0, wait)));
    ops.extend([Op::Open(DAVE, 0, SECOND), Op::WaitFor(0, Wait::Not), Op::Listen(Serves::Bob, 0, 1)]);
    ops.extend([
        Op::Listen(Serves::Web, 0, 1),
        Op::Listen(Serves::Web, 0, 0),
        Op::Listen(Serves::WebFirst, 0, 2),
    ]);
    ops.extend([Op::Launched, Op::LaunchFails, Op::Exits, Op::StopService, Op::ZeroDies, Op::ZeroMade]);
    ops.extend([Reserves::Nothing, Reserves::Echo(Opening::Nothing), Reserves::Both].map(Op::Reload));
    ops.extend([Op::Reload(Reserves::Echo(Opening::Starts)), Op::Shutdown]);
    ops
}

/// Does it. `false`: it cannot happen now.
fn act(small: &mut Small, op: Op) -> bool {
    if small.world.exited {
        return false;
    }
    small.trail.0.push(op);
    let most = small.most;
    let world = &mut small.world;
    match op {
        Op::Listen(who, at, listening) => {
            let (caller, first) = match who {
                Serves::Alice => (user(ALICE), false),
                Serves::Bob => (user(BOB), false),
                Serves::Web => (service("web"), false),
                Serves::WebFirst => (service("web"), true),
            };
            let settings = Some(settings(most));
            world.listen_with(caller, Listen { name: pipe(NAMES[at]), settings, first, listening });
        }
        Op::Open(DAVE, at, wait) => {
            let lives = world.dies_after.is_none() && !world.shutting_down();
            let id = world.open(user(DAVE), NAMES[at], wait);
            if lives {
                assert!(matches!(world.code(id), 2 | 5), "he may nothing: {:?}", world.answer(id));
            }
        }
        Op::Open(uid, at, wait) => drop(world.open(user(uid), NAMES[at], wait)),
        Op::OpenToWrite(at) => drop(world.open_for(root(), NAMES[at], Some(Access::Write), SECOND)),
        Op::WaitFor(at, wait) => drop(world.wait_for(user(CAROL), NAMES[at], wait)),
        Op::Abandon => return world.abandon(),
        Op::Wait => return world.wait(),
        Op::Pass => world.pass(limit::PIPE_RECOUNT_WAIT),
        Op::DaemonDies => world.kill_daemon(),
        Op::DaemonDiesIn(effects) => world.dies_after = Some(effects),
        Op::DaemonLoses(nth) => {
            let Some(server) = small.server(nth) else { return false };
            small.world.kill_daemon_losing(BTreeSet::from([server]));
        }
        Op::Reload(reserves) => {
            if world.loading || world.shutting_down() {
                return false;
            }
            world.host(HostRequest::Reload);
            world.loaded(vec![web(reserves, most)]);
        }
        Op::Shutdown => world.step(Input::Shutdown).iter().for_each(drop),
        _ => return act_service(small, op) || act_server(small, op),
    }
    true
}

/// What becomes of the service and of Session 0.
fn act_service(small: &mut Small, op: Op) -> bool {
    let world = &mut small.world;
    match op {
        Op::Launched => world.try_launched("web"),
        Op::LaunchFails => world.try_launch_failed("web"),
        Op::Exits => {
            let status = session0_model::launch::exit::ExitStatus::Exited(1);
            world.try_exit("web", status, session0_model::launch::wire::Remains::Nothing)
        }
        Op::StopService => {
            world.stop("web");
            true
        }
        Op::ZeroDies if world.init.is_some() => {
            world.session_ended();
            true
        }
        Op::ZeroMade if world.creating => {
            world.session_created();
            true
        }
        _ => false,
    }
}

/// What servers do.
fn act_server(small: &mut Small, op: Op) -> bool {
    let nth = match op {
        Op::More(nth) | Op::Close(nth) | Op::CloseForeign(nth) | Op::CountUnasked(nth) => nth,
        Op::Stop(nth) | Op::Goes(nth) | Op::Lose(nth) | Op::Count(nth) => nth,
        _ => return false,
    };
    let Some(id) = small.server(nth) else { return false };
    let world = &mut small.world;
    let server = &world.pipes.servers[&id];
    let (owes, instance) = (server.owes, server.clients.last().copied());
    match (op, instance) {
        (Op::More(_), _) => world.more_listen(id, 1),
        (Op::Close(_), Some(instance)) => world.close(id, instance),
        // What the daemon before gave cannot be lost by this one.
        (Op::Lose(_), Some(instance)) if !owes && is_this_daemons(world, id, instance) => {
            world.lose(id, instance);
        }
        (Op::CloseForeign(_), _) => {
            world.distrust(id);
            world.said(id, Said::Closed(InstanceId(1)));
            // What is left of a liar goes.
            world.server_goes(id);
        }
        (Op::CountUnasked(_), _) if !owes => world.count(id),
        (Op::Stop(_), _) => world.stop_listening(id),
        (Op::Goes(_), _) => world.server_goes(id),
        (Op::Count(_), _) if owes => world.count(id),
        _ => return false,
    }
    true
}

fn is_this_daemons(world: &World, id: ServerId, instance: InstanceId) -> bool {
    let name = &world.pipes.servers[&id].name;
    let clients = world.pipe_status(name).and_then(|status| status.clients).unwrap_or_default();
    clients.iter().any(|client| client.instance == instance)
}

#[test]
fn every_three_operations_of_users() {
    let mut steps = 0;
    for most in [1, 2] {
        let small = Small::without_services(most).then(&[
            Op::Listen(Serves::Alice, 1, 1),
            Op::Open(CAROL, 1, SECOND),
            Op::Open(CAROL, 1, SECOND),
        ]);
        explore(&small, &users_ops(), act, 3, &mut steps);
    }
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_three_operations_while_a_new_daemon_asks_two_servers() {
    let mut steps = 0;
    let small = Small::without_services(2).then(&[
        Op::Listen(Serves::Alice, 1, 1),
        Op::Open(CAROL, 1, SECOND),
        Op::Listen(Serves::Bob, 1, 1),
        Op::DaemonDies,
        Op::Open(CAROL, 1, Wait::Not),
        Op::Open(CAROL, 1, SECOND),
    ]);
    explore(&small, &users_ops(), act, 3, &mut steps);
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_operation_in_which_the_daemon_dies_and_what_comes_then() {
    let mut steps = 0;
    for effects in 0..5 {
        let small = Small::without_services(2).then(&[
            Op::Listen(Serves::Alice, 1, 1),
            Op::Open(CAROL, 1, SECOND),
            Op::Open(CAROL, 1, SECOND),
            Op::DaemonDiesIn(effects),
        ]);
        explore(&small, &users_ops(), act, 3, &mut steps);
    }
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_three_operations_with_a_service() {
    let mut steps = 0;
    let waiting = [Op::Open(BOB, 0, Wait::Not), Op::Open(BOB, 0, SECOND)];
    explore(&Small::up(1).then(&waiting), &all_ops(), act, 3, &mut steps);
    assert!(steps > 10_000, "only {steps} steps");
}

#[test]
fn every_two_operations_with_a_service_that_serves_or_stops() {
    let mut steps = 0;
    let started = [Op::Open(BOB, 0, SECOND), Op::Launched];
    let served = [Op::Listen(Serves::Web, 0, 1), Op::Listen(Serves::Alice, 1, 1), Op::Open(BOB, 0, SECOND)];
    let stops = [Op::StopService, Op::Open(BOB, 0, Wait::Not)];
    let fails = [Op::Exits, Op::Open(BOB, 0, Wait::Not)];
    for most in [1, 2] {
        let started = Small::up(most).then(&started);
        for before in [&served[..], &stops, &fails] {
            explore(&started.clone().then(before), &all_ops(), act, 2, &mut steps);
        }
    }
    assert!(steps > 5_000, "only {steps} steps");
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

fn run(seed: u64, mut small: Small, mut ops: Vec<Op>) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
    // Four servers may be there at a time.
    for nth in 2..4 {
        ops.extend([
            Op::More(nth),
            Op::Close(nth),
            Op::Stop(nth),
            Op::Goes(nth),
            Op::Lose(nth),
            Op::Count(nth),
        ]);
    }
    for _ in 0..400 {
        let op = ops[random.below(ops.len())];
        // Rare in life, and the end of everything else.
        let rare = matches!(
            op,
            Op::Shutdown | Op::ZeroDies | Op::DaemonDies | Op::DaemonLoses(_) | Op::DaemonDiesIn(_)
        );
        if rare && random.below(8) != 0 {
            continue;
        }
        act(&mut small, op);
    }
    come_to_rest(&mut small);
}

/// Time passes and nothing else happens: nobody waits for ever.
fn come_to_rest(small: &mut Small) {
    small.world.dies_after = None;
    for _ in 0..200 {
        if small.world.exited || !small.world.waiting_for_pipes() {
            return;
        }
        assert!(small.world.wait(), "somebody waits for ever: {:?}", small.world.waiting);
    }
    panic!("somebody waits for ever: {:?}", small.world.waiting);
}

#[test]
fn long_random_runs() {
    for seed in 1..=60 {
        let most = if seed % 2 == 0 { 1 } else { 2 };
        run(seed, Small::up(most), all_ops());
        let mut ops = users_ops();
        ops.extend((0..5).map(Op::DaemonDiesIn));
        run(seed, Small::without_services(most), ops);
    }
}

#[test]
fn any_input_in_any_order() {
    let callers = [user(ALICE), user(BOB), service("web"), root()];
    for seed in 1..=40 {
        let mut random = Random(0xD134_2543_DE82_EF95_u64.wrapping_mul(seed));
        let mut small = Small::up(2);
        for _ in 0..400 {
            wild(&mut small.world, &mut random, &callers);
        }
    }
}

/// Inputs that no daemon would make of what it sees: nothing panics, and the rules hold.
fn wild(world: &mut World, random: &mut Random, callers: &[Caller]) {
    let numbers: Vec<u64> = world.pipes.given.iter().copied().chain([0, u64::MAX]).collect();
    let server = ServerId(numbers[random.below(numbers.len())]);
    let instance = InstanceId(numbers[random.below(numbers.len())]);
    let count = [0, 1, 2, u32::MAX][random.below(4)];
    let at = random.below(2);
    let caller = callers[random.below(callers.len())].clone();
    // Whoever says such things is not held against what it has.
    world.pipes.servers.values_mut().for_each(|server| server.owes = true);
    match random.below(9) {
        0 => world.said(server, Said::Listen(count)),
        1 => world.said(server, Said::Closed(instance)),
        2 => world.said(server, Said::Stop),
        3 => world.said(server, Said::Counted { listening: count, connected: count }),
        4 => world.step(Input::PipeLost { server, instance }).iter().for_each(drop),
        5 => drop(world.listen(caller, NAMES[at], settings(2), 2)),
        6 => drop(world.open(caller, NAMES[at], SECOND)),
        7 => drop(world.wait()),
        _ => world.server_goes(server),
    }
}
