//! Every sequence of three operations from two states of a small world, and long random runs; the rules are checked after
//! each step (see `world`).

mod explore;
mod world;

use explore::explore;
use session0_model::id::{LaunchId, RequestId, SESSION_ZERO};
use session0_model::launch::exit::{ExitStatus, LaunchFailure, LaunchPhase};
use session0_model::launch::wire::Remains;
use session0_model::service::definition::{Definition, Restart};
use session0_model::service::notify::{Notification, Sender};
use session0_model::service::status::{OutputLost, State, TripwireOutcome};
use session0_model::system::{HostRequest, Input, Request, ServiceRequest, System, Wait};
use session0_model::time::Time;
use world::{Shape, World, definition, name, root};

const UNITS: [&str; 4] = ["base", "middle", "top", "own"];

/// `top` needs `middle` needs `base`; `own` is one of ours.
fn services() -> Vec<Definition> {
    vec![
        definition("base"),
        definition("middle").notify().on(&["base"]).restart(Restart::Always),
        definition("top").demand().on(&["middle", "base"]),
        definition("own").builtin(),
    ]
}

/// The same, changed: `top` is gone, `middle` needs nothing, `base` needs it, `more` is new.
fn services_changed() -> Vec<Definition> {
    vec![
        definition("base").on(&["middle"]),
        definition("middle").notify().restart(Restart::Never),
        definition("own").builtin(),
        definition("more").on(&["base"]),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Start(usize),
    Stop(usize),
    StopAll(usize),
    Restart(usize),
    Launched(usize),
    LaunchFailed(usize),
    Exit(usize, u8),
    ExitLeavingSome(usize),
    Killed(usize),
    GroupEmpty(usize),
    Say(usize, Said),
    Trip(usize),
    Wait,
    Reload,
    Load(Version),
    Shutdown,
    SessionMade,
    SessionFailed,
    InitDies,
    DaemonDies,
    DaemonDiesWith(usize),
    Abandon,
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Ready,
    Stopping,
    Trigger,
    Main,
}

#[derive(Debug, Clone, Copy)]
enum Version {
    First,
    Changed,
}

fn all_ops() -> Vec<Op> {
    let mut ops = vec![
        Op::Wait,
        Op::Reload,
        Op::Load(Version::First),
        Op::Load(Version::Changed),
        Op::Shutdown,
        Op::SessionMade,
        Op::SessionFailed,
        Op::InitDies,
        Op::DaemonDies,
        Op::Abandon,
    ];
    for unit in 0..UNITS.len() {
        ops.extend([
            Op::Stop(unit),
            Op::Restart(unit),
            Op::Launched(unit),
            Op::LaunchFailed(unit),
            Op::Exit(unit, 0),
            Op::Exit(unit, 1),
            Op::ExitLeavingSome(unit),
            Op::GroupEmpty(unit),
            Op::DaemonDiesWith(unit),
        ]);
    }
    for unit in 0..3 {
        ops.extend([Op::Start(unit), Op::StopAll(unit), Op::Killed(unit)]);
    }
    ops.extend([Said::Ready, Said::Stopping, Said::Trigger, Said::Main].map(|said| Op::Say(1, said)));
    ops.push(Op::Trip(0));
    ops
}

/// Does it. `false`: it cannot happen now.
fn act(world: &mut World, op: Op) -> bool {
    if world.exited {
        return false;
    }
    match op {
        Op::Start(unit) => drop(world.start(UNITS[unit])),
        Op::Stop(unit) => drop(world.stop(UNITS[unit])),
        Op::StopAll(unit) => drop(world.stop_all(UNITS[unit])),
        Op::Restart(unit) => drop(world.restart(UNITS[unit])),
        Op::Reload => drop(world.host(HostRequest::Reload)),
        Op::Shutdown => drop(world.step(Input::Shutdown)),
        Op::Wait => return world.wait(),
        Op::Abandon => return world.abandon(),
        Op::SessionMade
        | Op::SessionFailed
        | Op::InitDies
        | Op::DaemonDies
        | Op::DaemonDiesWith(_)
        | Op::Load(_) => {
            return act_on_host(world, op);
        }
        _ => return act_on_process(world, op),
    }
    true
}

/// What processes do.
fn act_on_process(world: &mut World, op: Op) -> bool {
    let there = |unit: usize, world: &World| world.system.service(&name(UNITS[unit])).is_some();
    match op {
        Op::Launched(unit) => return world.try_launched(UNITS[unit]),
        Op::LaunchFailed(unit) => return world.try_launch_failed(UNITS[unit]),
        Op::Exit(unit, status) => {
            return world.try_exit(UNITS[unit], ExitStatus::Exited(status), Remains::Nothing);
        }
        Op::ExitLeavingSome(unit) => {
            return world.try_exit(UNITS[unit], ExitStatus::Exited(3), Remains::Processes);
        }
        Op::Killed(unit) => {
            let killed = ExitStatus::Signaled { signal: 9, core: false };
            return world.try_exit(UNITS[unit], killed, Remains::Nothing);
        }
        Op::GroupEmpty(unit) => return world.try_group_empty(UNITS[unit]),
        Op::Say(unit, said) => {
            if !there(unit, world) {
                return false;
            }
            world.pid += 1;
            let said = match said {
                Said::Ready => Notification::Ready,
                Said::Stopping => Notification::Stopping,
                Said::Trigger => Notification::WatchdogTrigger,
                Said::Main => Notification::MainProcess(world.pid),
            };
            world.say(UNITS[unit], said);
        }
        Op::Trip(unit) => {
            let call = String::from("connect /tmp/.X11-unix/X0");
            world.step(Input::Tripwire { service: name(UNITS[unit]), call, outcome: TripwireOutcome::Held });
        }
        _ => return false,
    }
    true
}

/// What becomes of the host's own processes.
fn act_on_host(world: &mut World, op: Op) -> bool {
    match op {
        Op::Load(version) => {
            if !world.loading {
                return false;
            }
            world.loaded(match version {
                Version::First => services(),
                Version::Changed => services_changed(),
            });
        }
        Op::SessionMade => {
            if !world.creating || world.ending {
                return false;
            }
            world.session_created();
        }
        Op::SessionFailed => {
            if !std::mem::take(&mut world.creating) {
                return false;
            }
            world.ending = false;
            world.step(Input::SessionFailed { session: SESSION_ZERO, reason: String::from("no") });
        }
        Op::InitDies => {
            if world.init.is_none() && !world.ending {
                return false;
            }
            world.session_ended();
        }
        Op::DaemonDies => {
            if world.ending {
                return false;
            }
            world.kill_daemon();
        }
        Op::DaemonDiesWith(unit) => {
            if world.ending || world.end(UNITS[unit], ExitStatus::Exited(1), Remains::Nothing).is_none() {
                return false;
            }
            world.kill_daemon();
        }
        _ => return false,
    }
    true
}

#[test]
fn every_three_operations_from_a_running_host() {
    let mut world = World::running(services());
    world.start("top");
    world.run_all();
    assert_eq!(UNITS.map(|unit| world.state(unit)), [State::Running; 4]);
    let mut steps = 0;
    explore(&world, &all_ops(), act, 3, &mut steps);
    assert!(steps > 5_000, "only {steps} steps");
}

#[test]
fn every_three_operations_from_a_starting_host() {
    let mut steps = 0;
    explore(&World::up(services()), &all_ops(), act, 3, &mut steps);
    explore(&World::new(services()), &all_ops(), act, 2, &mut steps);
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
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }
}

#[test]
fn long_random_runs() {
    let ops = all_ops();
    for seed in 1..=60 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut world = World::new(services());
        for _ in 0..600 {
            let op = ops[random.below(ops.len())];
            // Rare in life, and the end of everything else.
            if matches!(op, Op::Shutdown | Op::InitDies) && random.below(8) != 0 {
                continue;
            }
            act(&mut world, op);
            if world.exited {
                world = World::new(services());
            }
        }
        come_to_rest(&mut world);
    }
}

/// After everything is answered, nobody waits for an answer.
fn come_to_rest(world: &mut World) {
    for _ in 0..2_000 {
        if world.exited {
            break;
        }
        let mut moved = world.creating && !world.ending && act(world, Op::SessionMade);
        moved |= world.ending && act(world, Op::InitDies);
        moved |= act(world, Op::Load(Version::First));
        for unit in ["base", "middle", "top", "own", "more"] {
            moved |= world.try_launched(unit);
            let dying = world.init.as_ref().is_some_and(|i| i.dying.iter().any(|l| i.alive[l].unit == unit));
            let asked = world.states.get(&name(unit)) == Some(&State::StopPending);
            if dying || asked {
                moved |= world.try_exit(unit, ExitStatus::Exited(0), Remains::Nothing);
            }
            moved |= world.try_group_empty(unit);
            if world
                .system
                .service(&name(unit))
                .is_some_and(|s| s.state == State::StartPending && s.pid.is_some())
            {
                world.say(unit, Notification::Ready);
                moved = true;
            }
        }
        if !moved && !world.wait() {
            break;
        }
    }
    assert!(world.waiting.is_empty(), "somebody waits for ever: {:?}", world.waiting);
    for status in world.system.services() {
        assert!(matches!(status.state, State::Running | State::Stopped), "{status:?} does not come to rest");
    }
}

/// Inputs no init and no client would send, in any order: nothing panics, and no invariant breaks.
#[test]
fn any_input_in_any_order() {
    for seed in 1..=40 {
        let mut random = Random(0xD134_2543_DE82_EF95_u64.wrapping_mul(seed));
        let mut system = System::new();
        for step in 0..400 {
            let now = Time(random.next() % 200_000_000_000);
            system.handle(now, any_input(&mut random, step));
            system.check_invariants();
        }
    }
}

fn any_input(random: &mut Random, step: u64) -> Input {
    let service = name(["base", "middle", "top", "own", "more", "unknown"][random.below(6)]);
    let launch = LaunchId(random.next() % 12 + 1024 * (random.next() % 2));
    let configuration = |random: &mut Random| {
        world::configuration(if random.below(2) == 0 { services() } else { services_changed() })
    };
    let remains = if random.below(2) == 0 { Remains::Nothing } else { Remains::Processes };
    match random.below(20) {
        0 => Input::Start {
            configuration: configuration(random),
            recovered: None,
            sessions: Vec::new(),
            session_last: 0,
        },
        1 => Input::Loaded(configuration(random)),
        2 | 3 => Input::SessionCreated { session: SESSION_ZERO, protocol: 2 },
        4 if random.below(4) == 0 => Input::SessionEnded(SESSION_ZERO),
        5 if random.below(4) == 0 => Input::SessionFailed { session: SESSION_ZERO, reason: String::new() },
        6..=8 => Input::Launched { launch, pid: 7 },
        9 => Input::LaunchFailed { launch, failure: LaunchFailure { phase: LaunchPhase::Exec, errno: 2 } },
        10 | 11 => Input::Exited { launch, status: ExitStatus::Exited(1), remains, usage: None },
        12 => Input::GroupEmpty { service },
        13 => Input::Notified {
            service,
            sender: Sender::Main,
            notifications: vec![
                Notification::MainProcess(-1),
                Notification::WatchdogInterval(std::time::Duration::MAX),
                Notification::Watchdog,
                Notification::Ready,
                Notification::ExtendTimeout(std::time::Duration::MAX),
                Notification::Reloading,
                Notification::Stopping,
            ],
        },
        14 => Input::OutputLost { service, lost: OutputLost { lines: u64::MAX, bytes: step } },
        15 if random.below(30) == 0 => Input::Shutdown,
        16 => Input::Abandoned(RequestId(random.next() % (step + 1))),
        17 => Input::TripwireLeft { service },
        18 => {
            let request = ServiceRequest::Restart { name: service, wait: Wait::Settled };
            Input::Request { id: RequestId(step), caller: root(), request: Request::Service(request) }
        }
        19 => {
            let request = ServiceRequest::Start { name: service, wait: Wait::Settled };
            Input::Request { id: RequestId(step), caller: root(), request: Request::Service(request) }
        }
        _ => Input::Tick,
    }
}
