//! How fast init launches. Ignored: run with `cargo test --release -p session0-init --test speed -- --ignored
//! --nocapture` on a quiet machine.

mod common;

use std::time::{Duration, Instant};

use common::{GROUP, Host, PASSWD, root, user_plan};
use session0_model::id::LaunchId;
use session0_model::launch::plan::{LaunchPlan, Limits, Size, Streams, UserNamespaces};
use session0_model::launch::wire::{FromInit, ToInit, encode};
use session0_sys::cgroup::SessionLimits;
use session0_sys::device_policy::OwnTerminal;

const COUNT: u64 = 500;

/// The smallest program there is: it waits for a signal. Needs a C compiler.
fn pause_program(host: &Host) -> Option<String> {
    let directory = host.directory.join("state");
    let source = directory.join("pause.c");
    let text =
        "void _start(void) { for (;;) __asm__ volatile (\"syscall\" : : \"a\"(34) : \"rcx\", \"r11\"); }";
    std::fs::write(&source, text).ok()?;
    let options = ["-static", "-nostdlib", "-O2", "-o"];
    let status = std::process::Command::new("cc")
        .args(options)
        .arg(directory.join("pause"))
        .arg(&source)
        .status()
        .ok()?;
    status.success().then(|| "/run/session0/state/pause".into())
}

/// Wall-clock time depends on what else the machine does; processor time less so.
struct Figures {
    launched_ms: f64,
    killed_ms: f64,
    init_cpu_us: u64,
    children_cpu_us: u64,
    private_kib: u64,
}

/// Processor time of init in microseconds, from its scheduler statistics.
fn cpu_us(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse::<u64>().unwrap() / 1000
}

fn measure(host: &mut Host, first: u64, change: impl Fn(&mut LaunchPlan)) -> Figures {
    let program = pause_program(host).unwrap_or_else(|| "/bin/sleep".into());
    let mut plan = user_plan("");
    plan.arguments = vec![program.clone(), "1000".into()];
    plan.program = program;
    change(&mut plan);
    host.said.clear();
    let launches: Vec<ToInit> = (0..COUNT)
        .map(|number| ToInit::Launch {
            launch: LaunchId(first + number),
            unit: format!("unit{number}"),
            plan: plan.clone(),
        })
        .collect();
    let cpu_before = cpu_us(host.init.pid);
    let begin = Instant::now();
    host.say_all(&launches);
    let mut packets = 0;
    for _ in 0..COUNT {
        packets += u32::from(host.said.is_empty());
        match host.next("Launched").0 {
            FromInit::Launched { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let launched_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let init_cpu_us = (cpu_us(host.init.pid) - cpu_before) / COUNT;
    let private_kib = private_kib(host.init.pid);
    let begin = Instant::now();
    let kills: Vec<ToInit> =
        (0..COUNT).map(|number| ToInit::Kill { unit: format!("unit{number}") }).collect();
    host.say_all(&kills);
    let mut children_cpu_us = 0;
    for _ in 0..2 * COUNT {
        if let FromInit::ExitedWithUsage { usage, .. } = host.next("Exited and GroupEmpty").0 {
            children_cpu_us += usage.cpu_us;
        }
    }
    children_cpu_us /= COUNT;
    let killed_ms = begin.elapsed().as_secs_f64() * 1000.0;
    assert!(packets < 50, "{packets} packets for {COUNT} answers");
    Figures { launched_ms, killed_ms, init_cpu_us, children_cpu_us, private_kib }
}

#[test]
#[ignore = "a measurement"]
fn five_hundred_launches() {
    if !root("five_hundred_launches") {
        return;
    }
    let limits = SessionLimits { tasks: Some(4096), memory: Some(2 << 30), cpu_percent: None };
    for (name, change) in VARIANTS {
        for round in 0..5 {
            let begin = Instant::now();
            let mut host = Host::start(limits);
            let started_ms = begin.elapsed().as_secs_f64() * 1000.0;
            let plan = host.plan();
            let begin = Instant::now();
            host.say(&ToInit::Prepare(plan));
            host.until("Prepared", |said| matches!(said, FromInit::Prepared));
            let made_ms = begin.elapsed().as_secs_f64() * 1000.0;
            let first = measure(&mut host, 1, change);
            let again = measure(&mut host, 1 + COUNT, change);
            println!(
                "{name}, {round}: init started in {started_ms:.1} ms, session made in {made_ms:.1} ms; launched in {:.1} ms (init {} us, child {} us \
                 each), killed in {:.1} ms; again in {:.1} ms ({}, {}); init private {} KiB",
                first.launched_ms,
                first.init_cpu_us,
                first.children_cpu_us,
                first.killed_ms,
                again.launched_ms,
                again.init_cpu_us,
                again.children_cpu_us,
                first.private_kib
            );
        }
    }
}

const SESSIONS: usize = 50;

/// One session at a time, at once and after a pause: a kernel that was left alone for a while may take longer.
#[test]
#[ignore = "a measurement"]
fn a_session_and_its_first_shell() {
    if !root("a_session_and_its_first_shell") {
        return;
    }
    for pause in [Duration::ZERO, Duration::from_secs(1)] {
        let mut grouped = Vec::new();
        let mut greeted = Vec::new();
        let mut prepared = Vec::new();
        let mut launched = Vec::new();
        let mut again = Vec::new();
        for _ in 0..SESSIONS {
            std::thread::sleep(pause);
            let limits = SessionLimits { tasks: Some(4096), memory: Some(2 << 30), cpu_percent: None };
            let mut host = Host::start_with(limits, Some(OwnTerminal::Allowed));
            greeted.push(host.cloned.elapsed());
            grouped.push(host.groups_made);
            let (plan, kind) = host.user_kind(|_, _| {});
            let begin = Instant::now();
            host.say(&ToInit::PrepareKind { plan, kind });
            host.until_prepared();
            prepared.push(begin.elapsed());
            let begin = Instant::now();
            host.enter(64001, PASSWD, GROUP);
            let terminal = Streams::Terminal(Size { rows: 24, columns: 80 });
            let first = host.launch_with("shell", user_plan("exec sleep 1000"), terminal).unwrap();
            launched.push(begin.elapsed());
            let begin = Instant::now();
            let second = host.launch_with("shell", user_plan("exec sleep 1000"), terminal).unwrap();
            again.push(begin.elapsed());
            drop((first, second));
        }
        println!("pause {pause:?}, {SESSIONS} sessions, milliseconds as lowest, median, 90 %, highest:");
        println!("  control groups and device policy       {}", spread(grouped));
        println!("  init cloned to connected and greeted   {}", spread(greeted));
        println!("  PrepareKind to Prepared                {}", spread(prepared));
        println!("  Enter and LaunchWith to Launched       {}", spread(launched));
        println!("  LaunchWith to Launched, the second     {}", spread(again));
    }
}

/// How much longer a launch takes that is beside the descriptors of many pipes.
#[test]
#[ignore = "a measurement"]
fn a_launch_beside_many_kept_descriptors() {
    if !root("a_launch_beside_many_kept_descriptors") {
        return;
    }
    let mut host = Host::prepared();
    let mut kept = 0;
    for more in [100, 900, 4000, 4500] {
        for _ in 0..more {
            let mut packet = Vec::new();
            encode(&ToInit::Keep { key: format!("pipe.{kept}") }, &mut packet);
            host.send(&packet, Some(&std::os::unix::net::UnixDatagram::unbound().unwrap().into()));
            kept += 1;
        }
        let cpu_before = cpu_us(host.init.pid);
        let times = (0..200).map(|_| {
            let begin = Instant::now();
            let launch = host.launch("true", LaunchPlan { program: "/bin/true".into(), ..user_plan("") });
            let launched = begin.elapsed();
            host.exit_of(launch);
            launched
        });
        let spread = spread(times.collect());
        let cpu = (cpu_us(host.init.pid) - cpu_before) / 200;
        println!("{kept:6} kept: Launch to Launched, milliseconds: {spread}; init {cpu} us each");
        let begin = Instant::now();
        let replayed = host.reconnect().len();
        println!("       replay of {replayed} messages in {:?}", begin.elapsed());
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |index: usize| format!("{:7.2}", times[index].as_secs_f64() * 1000.0);
    [at(0), at(times.len() / 2), at(times.len() * 9 / 10), at(times.len() - 1)].join(" ")
}

/// Private memory of a process.
fn private_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// A name and what is different.
type Variant = (&'static str, fn(&mut LaunchPlan));

const VARIANTS: &[Variant] = &[
    ("everything on", |_| {}),
    ("user namespaces allowed", |plan| plan.user_namespaces = UserNamespaces::Allowed),
    ("limits of its own", |plan| {
        plan.limits =
            Limits { memory: Some(64 << 20), tasks: Some(64), cpu_percent: Some(50), open_files: None };
    }),
];
