//! One rule of services per test; those of the host are in `host`.

mod world;

use std::time::Duration;

use session0_model::event::Event;
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::wire::Remains;
use session0_model::limit;
use session0_model::service::definition::{Definition, NotifyAccess, Restart};
use session0_model::service::notify::{Notification, Sender};
use session0_model::service::status::{Failure, Reloading, State};
use session0_model::system::{Effect, Input, Reply, ServiceRequest, Wait};
use world::{Shape, World, definition, name};

const KILLED: ExitStatus = ExitStatus::Signaled { signal: 9, core: false };

fn chain() -> Vec<Definition> {
    vec![definition("base"), definition("middle").on(&["base"]), definition("top").on(&["middle"])]
}

fn one() -> World {
    World::running(vec![definition("web")])
}

// Starting.

#[test]
fn automatic_services_start_with_the_host_and_others_do_not() {
    let world = World::running(vec![definition("auto"), definition("demand").demand()]);
    assert_eq!(world.state("auto"), State::Running);
    assert_eq!(world.state("demand"), State::Stopped);
}

#[test]
fn dependencies_start_first_and_independent_services_in_parallel() {
    let mut services = chain();
    services.push(definition("other"));
    let mut world = World::up(services);
    assert_eq!(world.launches(), ["base", "other"]);
    assert_eq!(world.status("top").waits_for, Some(name("middle")));
    world.launched("base");
    assert_eq!(world.launches(), ["middle"]);
    world.launched("middle");
    assert_eq!(world.launches(), ["top"]);
}

#[test]
fn our_own_services_are_launched_first() {
    let world = World::up(vec![definition("alpha"), definition("zulu").builtin()]);
    assert_eq!(world.launches(), ["zulu", "alpha"]);
}

#[test]
fn a_start_pulls_what_it_needs_and_answers_when_it_runs() {
    let mut world = World::up(vec![definition("base").demand(), definition("top").demand().on(&["base"])]);
    let id = world.start("top");
    assert_eq!(world.launches(), ["base"]);
    world.launched("base");
    assert!(!world.answers.contains_key(&id));
    world.launched("top");
    assert!(matches!(world.answer(id), Ok(Reply::Service(status)) if status.state == State::Running));
}

#[test]
fn a_start_that_does_not_wait_is_answered_at_once() {
    let mut world = World::up(vec![definition("web").demand()]);
    let id = world.ask(ServiceRequest::Start { name: name("WEB"), wait: Wait::Begun });
    assert!(matches!(world.answer(id), Ok(Reply::Service(status)) if status.state == State::StartPending));
}

#[test]
fn a_failed_dependency_fails_those_that_wait_for_it_with_1068() {
    let base = definition("base").demand().restart(Restart::Never);
    let mut world = World::up(vec![base, definition("top").demand().on(&["base"])]);
    let id = world.start("top");
    world.try_launch_failed("base");
    assert_eq!(world.code(id), 1068);
    assert_eq!(world.status("top").failure, Some(Failure::Dependency(name("base"))));
    assert_eq!(world.state("top"), State::Stopped);
}

#[test]
fn what_was_wanted_starts_when_its_dependency_runs_after_all() {
    let mut world = World::up(chain());
    world.try_launch_failed("base");
    assert_eq!(world.state("top"), State::Stopped);
    world.wait();
    world.run_all();
    assert_eq!(["base", "middle", "top"].map(|unit| world.state(unit)), [State::Running; 3]);
}

#[test]
fn a_missing_dependency_is_1075_and_named() {
    let mut world =
        World::up(vec![definition("lonely").on(&["nobody"]), definition("top").demand().on(&["lonely"])]);
    let (lonely, top) = (world.start("lonely"), world.start("top"));
    assert_eq!((world.code(lonely), world.code(top)), (1075, 1068));
    assert_eq!(world.status("lonely").failure, Some(Failure::DependencyMissing(name("nobody"))));
}

#[test]
fn services_in_a_cycle_never_start_and_the_others_do() {
    let mut world = World::running(vec![
        definition("hen").on(&["egg"]),
        definition("egg").on(&["hen"]),
        definition("nest").on(&["hen"]),
        definition("self").on(&["self"]),
        definition("fox"),
    ]);
    assert_eq!(world.state("fox"), State::Running);
    for unit in ["hen", "egg", "self"] {
        assert_eq!(world.status(unit).failure, Some(Failure::CircularDependency), "{unit}");
        let id = world.start(unit);
        assert_eq!(world.code(id), 1059);
    }
    assert_eq!(world.status("nest").failure, Some(Failure::Dependency(name("hen"))));
}

#[test]
fn refusals_of_a_start() {
    let mut world = World::running(vec![definition("web"), definition("slow").notify().demand()]);
    let unknown = world.start("nobody");
    let running = world.start("web");
    world.start("slow");
    let pending = world.start("slow");
    world.stop("web");
    let stopping = world.start("web");
    assert_eq!([unknown, running, pending, stopping].map(|id| world.code(id)), [1060, 1056, 1056, 1061]);
}

#[test]
fn a_start_before_session_0_is_there_is_not_ready() {
    let mut world = World::new(vec![definition("web")]);
    let id = world.start("web");
    assert_eq!(world.code(id), 21);
}

#[test]
fn a_program_that_cannot_be_executed_says_why() {
    let mut world = World::up(vec![definition("web").demand().restart(Restart::Never)]);
    let id = world.start("web");
    world.try_launch_failed("web");
    assert_eq!(world.code(id), 2);
    assert!(matches!(world.status("web").failure, Some(Failure::Launch(failure)) if failure.errno == 2));
}

// Stopping.

#[test]
fn a_stop_sends_the_stop_signal_and_answers_when_nothing_is_left() {
    let mut world = one();
    let id = world.stop("web");
    assert_eq!(world.signals(), [("web".to_string(), 15)]);
    world.try_exit("web", ExitStatus::Signaled { signal: 15, core: false }, Remains::Processes);
    assert!(world.last.contains(&Effect::KillGroup(name("web"))));
    assert_eq!(world.state("web"), State::StopPending);
    world.group_empty("web");
    assert!(matches!(world.answer(id), Ok(Reply::Service(status)) if status.state == State::Stopped));
    assert_eq!(world.status("web").failure, None, "an exit after a stop request is no failure");
    assert!(!world.wait());
}

#[test]
fn a_service_that_does_not_stop_in_its_time_is_killed() {
    let mut world = one();
    let id = world.stop("web");
    world.wait();
    assert!(world.events().contains(&&Event::ServiceKilled { service: name("web") }));
    world.group_empty("web");
    assert_eq!(world.state("web"), State::StopPending, "its main process is not reaped yet");
    world.try_exit("web", KILLED, Remains::Nothing);
    assert_eq!((world.state("web"), world.code(id)), (State::Stopped, 0));
}

#[test]
fn a_stop_with_running_dependents_is_1051_or_stops_them_first() {
    let mut world = World::running(chain());
    let id = world.stop("base");
    assert_eq!(world.code(id), 1051);
    let refusal = format!("{:?}", world.answer(id));
    assert!(refusal.contains("top") && refusal.contains("middle"));
    let id = world.stop_all("base");
    assert_eq!(world.signals(), [("top".to_string(), 15)]);
    world.exit("top", 0);
    assert_eq!(world.signals(), [("middle".to_string(), 15)]);
    world.exit("middle", 0);
    assert_eq!(world.signals(), [("base".to_string(), 15)]);
    world.exit("base", 0);
    assert_eq!(world.code(id), 0);
    assert!(!world.wait(), "nothing starts again");
}

#[test]
fn refusals_of_a_stop() {
    let mut world =
        World::running(vec![definition("web"), definition("off").demand(), definition("own").builtin()]);
    let stopped = world.stop("off");
    let own = world.stop("own");
    world.stop("web");
    let stopping = world.stop("web");
    assert_eq!([stopped, own, stopping].map(|id| world.code(id)), [1062, 1052, 1061]);
}

#[test]
fn a_stop_cancels_an_automatic_restart() {
    let mut world = one();
    world.exit("web", 1);
    assert!(world.status("web").restart_at.is_some());
    let id = world.stop("web");
    assert_eq!(world.code(id), 0);
    assert!(!world.wait());
    let id = world.stop("web");
    assert_eq!(world.code(id), 1062);
}

#[test]
fn a_stop_while_a_launch_is_under_way_waits_for_its_answer() {
    let mut world = World::up(vec![definition("web")]);
    let id = world.stop("web");
    assert_eq!((world.state("web"), world.signals().len()), (State::StopPending, 0));
    world.launched("web");
    assert_eq!(world.signals(), [("web".to_string(), 15)]);
    world.exit("web", 0);
    assert_eq!(world.code(id), 0);
}

#[test]
fn a_launch_answered_after_its_group_was_found_empty_is_killed_again() {
    let mut world = World::up(vec![definition("web")]);
    let id = world.stop("web");
    world.wait();
    world.group_empty("web");
    world.launched("web");
    assert!(world.last.contains(&Effect::KillGroup(name("web"))));
    world.try_exit("web", KILLED, Remains::Nothing);
    world.group_empty("web");
    assert_eq!((world.state("web"), world.code(id)), (State::Stopped, 0));
}

#[test]
fn a_start_that_needs_what_is_being_stopped_is_1068() {
    let mut world = World::running(vec![definition("base"), definition("top").demand().on(&["base"])]);
    world.stop("base");
    let id = world.start("top");
    assert_eq!(world.code(id), 1068);
    assert_eq!(world.state("top"), State::Stopped);
}

// Restarting by hand.

#[test]
fn a_restart_does_not_bring_back_a_dependent_that_is_being_stopped() {
    let mut world = World::running(chain());
    let stop = world.stop("top");
    let restart = world.restart("base");
    for unit in ["top", "middle", "base"] {
        world.exit(unit, 0);
    }
    world.run_all();
    assert_eq!((world.code(stop), world.code(restart)), (0, 0));
    assert_eq!((world.state("middle"), world.state("top")), (State::Running, State::Stopped));
}

#[test]
fn a_restart_stops_dependents_and_starts_them_again() {
    let mut world = World::running(chain());
    let id = world.restart("base");
    world.exit("top", 0);
    world.exit("middle", 0);
    assert_eq!(world.state("middle"), State::Stopped);
    world.exit("base", 0);
    assert_eq!(world.launches(), ["base"]);
    world.launched("base");
    assert_eq!(world.code(id), 0);
    world.run_all();
    assert_eq!(world.state("top"), State::Running);
    assert_eq!(world.status("top").failure, None);
}

#[test]
fn a_restart_of_a_stopped_service_starts_it() {
    let mut world = World::up(vec![definition("web").demand()]);
    let id = world.restart("web");
    world.launched("web");
    assert_eq!(world.code(id), 0);
}

#[test]
fn one_of_ours_can_be_restarted() {
    let mut world = World::running(vec![definition("own").builtin()]);
    let id = world.restart("own");
    world.exit("own", 0);
    world.launched("own");
    assert_eq!(world.code(id), 0);
}

#[test]
fn somebody_elses_stop_answers_a_waiting_restart() {
    let mut world = one();
    let restart = world.restart("web");
    let stop = world.stop("web");
    world.exit("web", 0);
    assert_eq!((world.code(restart), world.code(stop)), (1062, 0));
}

// Dependencies that go.

#[test]
fn a_crash_stops_dependents_in_the_same_step_and_they_come_back() {
    let mut world = World::running(chain());
    world.exit("base", 1);
    assert_eq!(world.state("middle"), State::StopPending);
    assert_eq!(world.state("top"), State::StopPending);
    assert_eq!(world.status("middle").failure, Some(Failure::Dependency(name("base"))));
    world.exit("top", 0);
    world.exit("middle", 0);
    world.wait();
    world.run_all();
    assert_eq!(["base", "middle", "top"].map(|unit| world.state(unit)), [State::Running; 3]);
    assert_eq!(world.status("middle").failures, 0, "it did nothing wrong");
}

#[test]
fn a_dependency_that_ends_well_stops_its_dependents_too() {
    let mut world = World::running(chain());
    world.exit("base", 0);
    assert_eq!(world.state("base"), State::Stopped);
    assert_eq!(world.status("base").failure, None);
    assert_eq!(world.state("top"), State::StopPending);
}

// Failures and what follows.

#[test]
fn an_end_with_0_is_no_failure_and_restarts_only_always() {
    let mut world = World::running(vec![definition("once"), definition("ever").restart(Restart::Always)]);
    world.exit("once", 0);
    world.exit("ever", 0);
    assert_eq!(world.status("once").failure, None);
    assert_eq!(world.status("once").restart_at, None);
    assert!(world.status("ever").restart_at.is_some());
}

#[test]
fn restart_never_leaves_it_down() {
    let mut world = World::running(vec![definition("web").restart(Restart::Never)]);
    world.exit("web", 7);
    assert_eq!(world.status("web").failure.map(|failure| failure.code()), Some(1066));
    assert!(!world.wait());
}

#[test]
fn the_delay_doubles_after_some_failures_and_has_a_maximum() {
    let mut world = World::up(vec![definition("web")]);
    let mut delays = Vec::new();
    for _ in 0..20 {
        world.launched("web");
        world.exit("web", 1);
        let at = world.status("web").restart_at.expect("it is started again");
        delays.push(at.since(world.now));
        world.wait();
    }
    assert_eq!(delays[0], limit::RESTART_DELAY);
    assert_eq!(delays[4], limit::RESTART_DELAY);
    assert_eq!(delays[5], 2 * limit::RESTART_DELAY);
    assert_eq!(delays[6], 4 * limit::RESTART_DELAY);
    assert_eq!(delays[19], limit::RESTART_DELAY_MAX);
    assert_eq!(world.status("web").failures, 20);
}

#[test]
fn a_service_that_ran_long_enough_begins_its_count_anew() {
    let mut world = World::up(vec![definition("web")]);
    for _ in 0..7 {
        world.launched("web");
        world.exit("web", 1);
        world.wait();
    }
    world.launched("web");
    world.pass(limit::FAILURE_RESET);
    world.exit("web", 1);
    assert_eq!(world.status("web").failures, 1);
}

#[test]
fn a_delay_of_nothing_restarts_in_the_same_step() {
    let mut quick = definition("web");
    quick.restart_delay = Duration::ZERO;
    let mut world = World::running(vec![quick]);
    world.try_exit("web", KILLED, Remains::Nothing);
    assert_eq!(world.launches(), ["web"]);
    assert_eq!(world.state("web"), State::StartPending);
}

#[test]
fn a_delay_of_nothing_slows_down_too() {
    let mut quick = definition("web");
    quick.restart_delay = Duration::ZERO;
    let mut world = World::up(vec![quick]);
    for _ in 0..limit::FAILURES_BEFORE_SLOWING {
        world.try_launch_failed("web");
        assert_eq!(world.launches(), ["web"]);
    }
    world.try_launch_failed("web");
    assert!(world.launches().is_empty());
    assert!(world.status("web").restart_at.is_some());
}

#[test]
fn what_a_crash_leaves_is_killed_before_the_next_start() {
    let mut quick = definition("web");
    quick.restart_delay = Duration::ZERO;
    let mut world = World::running(vec![quick]);
    world.try_exit("web", KILLED, Remains::Processes);
    assert!(world.launches().is_empty());
    assert_eq!(world.state("web"), State::StopPending);
    world.group_empty("web");
    assert_eq!(world.launches(), ["web"]);
}

#[test]
fn one_of_ours_is_always_started_again() {
    let mut own = definition("own").builtin().restart(Restart::Never);
    own.restart_delay = Duration::ZERO;
    let mut world = World::running(vec![own]);
    world.exit("own", 0);
    assert_eq!(world.launches(), ["own"]);
}

// sd_notify.

fn notify() -> Definition {
    definition("db").notify()
}

#[test]
fn ready_ends_start_pending() {
    let mut world = World::up(vec![notify()]);
    world.launched("db");
    assert_eq!(world.state("db"), State::StartPending);
    world.say("db", Notification::Ready);
    assert_eq!(world.state("db"), State::Running);
}

#[test]
fn ready_that_does_not_come_in_time_is_1053_and_everything_is_killed() {
    let mut world = World::up(vec![notify().demand().restart(Restart::Never)]);
    let id = world.start("db");
    world.launched("db");
    world.say("db", Notification::ExtendTimeout(Duration::from_secs(100)));
    world.pass(Duration::from_secs(99));
    assert_eq!(world.state("db"), State::StartPending, "it asked for more time");
    world.pass(Duration::from_secs(1));
    assert!(world.last.contains(&Effect::KillGroup(name("db"))));
    world.try_exit("db", KILLED, Remains::Nothing);
    world.group_empty("db");
    assert_eq!(world.code(id), 1053);
}

#[test]
fn an_exit_before_ready_is_a_failure_even_with_0() {
    let mut world = World::up(vec![notify().demand()]);
    let id = world.start("db");
    world.launched("db");
    world.exit("db", 0);
    assert_eq!(world.code(id), 1053);
    assert!(world.status("db").restart_at.is_some());
}

#[test]
fn a_stop_can_be_extended_by_the_service() {
    let mut world = World::running(vec![notify()]);
    world.stop("db");
    world.say("db", Notification::ExtendTimeout(Duration::from_secs(60)));
    world.pass(Duration::from_secs(59));
    assert!(!world.last.contains(&Effect::KillGroup(name("db"))));
    world.pass(Duration::from_secs(1));
    assert!(world.last.contains(&Effect::KillGroup(name("db"))));
}

#[test]
fn a_service_that_stops_itself_is_stop_pending_until_its_exit_says_how() {
    let mut world = World::running(vec![notify(), definition("app").on(&["db"])]);
    world.say("db", Notification::Stopping);
    assert_eq!(world.state("db"), State::StopPending);
    assert_eq!(world.state("app"), State::StopPending, "a running service's dependencies run");
    world.exit("db", 0);
    assert_eq!((world.state("db"), world.status("db").failure), (State::Stopped, None));
}

#[test]
fn a_silent_watchdog_kills_and_restarts() {
    let mut service = notify();
    service.watchdog = Some(Duration::from_secs(30));
    let mut world = World::running(vec![service]);
    world.pass(Duration::from_secs(20));
    world.say("db", Notification::Watchdog);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.state("db"), State::Running);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.status("db").failure, Some(Failure::Watchdog));
    assert!(world.last.contains(&Effect::KillGroup(name("db"))));
    world.try_exit("db", KILLED, Remains::Nothing);
    world.group_empty("db");
    world.wait();
    assert_eq!(world.launches(), ["db"]);
}

#[test]
fn a_service_can_set_and_pull_its_watchdog() {
    let mut world = World::running(vec![notify()]);
    world.say("db", Notification::WatchdogInterval(Duration::from_secs(5)));
    assert_eq!(world.system.deadline().map(|at| at.since(world.now)), Some(Duration::from_secs(5)));
    world.say("db", Notification::WatchdogTrigger);
    assert_eq!(world.status("db").failure, Some(Failure::Watchdog));
}

#[test]
fn what_a_service_says_is_shown() {
    let mut world = World::running(vec![notify()]);
    world.say("db", Notification::Status("x".repeat(500)));
    assert_eq!(world.status("db").text.map(|text| text.chars().count()), Some(limit::STATUS_TEXT_MAX));
    world.say("db", Notification::Reloading);
    assert_eq!(world.status("db").reloading, Reloading::Yes);
    world.say("db", Notification::Ready);
    assert_eq!(world.status("db").reloading, Reloading::No);
    world.say("db", Notification::Errno(28));
    world.exit("db", 1);
    assert!(matches!(world.status("db").failure, Some(Failure::Exit { errno: Some(28), .. })));
}

#[test]
fn another_main_process_is_told_to_init() {
    let mut world = World::running(vec![notify()]);
    let launch = world.launch_of("db").expect("it runs");
    world.say("db", Notification::MainProcess(4711));
    assert!(world.last.contains(&Effect::SetMain { launch, pid: 4711 }));
    assert_eq!(world.status("db").pid, Some(4711));
}

#[test]
fn only_the_main_process_is_heard_unless_the_file_says_so() {
    let mut all = definition("all").notify();
    all.notify_access = NotifyAccess::All;
    let mut world = World::up(vec![notify(), all]);
    world.launched("db");
    world.launched("all");
    for unit in ["db", "all"] {
        let notifications = vec![Notification::Ready];
        world.step(Input::Notified { service: name(unit), sender: Sender::Member, notifications });
    }
    assert_eq!((world.state("db"), world.state("all")), (State::StartPending, State::Running));
}

#[test]
fn a_ping_is_not_worth_a_record() {
    let mut service = notify();
    service.watchdog = Some(Duration::from_secs(30));
    let mut world = World::running(vec![service]);
    world.now = world.now + Duration::from_secs(1);
    world.say("db", Notification::Watchdog);
    assert!(world.last.is_empty());
}
