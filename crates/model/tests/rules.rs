//! One rule of services and of the host per test.

mod world;

use std::time::Duration;

use session0_model::access::{Caller, Origin};
use session0_model::event::{EndCause, Event};
use session0_model::id::{LaunchId, SESSION_ZERO};
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::wire::Remains;
use session0_model::limit;
use session0_model::service::definition::{Definition, Kind, NotifyAccess, Restart};
use session0_model::service::notify::{Notification, Sender};
use session0_model::service::status::{Failure, OutputLost, Reloading, State, TripwireOutcome};
use session0_model::system::{
    Dependents, Effect, ExitReason, HostPhase, HostRequest, Input, Reply, Request, ServiceRequest, Wait,
};
use world::{Shape, World, configuration, definition, name, root, somebody};

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

// Restarting by hand.

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

// What is noticed.

#[test]
fn a_tripwire_marks_the_service_until_it_lets_go() {
    let mut world = one();
    let call = String::from("connect /tmp/.X11-unix/X0");
    for _ in 0..2 {
        let outcome = TripwireOutcome::Held;
        world.step(Input::Tripwire { service: name("web"), call: call.clone(), outcome });
    }
    assert!(world.events().is_empty(), "it is told once");
    assert_eq!(world.status("web").waits_for_user.map(|waits| waits.call), Some(call));
    assert_eq!(world.system.host_status(world.now).attention.len(), 1);
    world.step(Input::TripwireLeft { service: name("web") });
    assert!(world.status("web").waits_for_user.is_some());
    world.step(Input::TripwireLeft { service: name("web") });
    assert!(world.status("web").waits_for_user.is_none());
}

#[test]
fn lost_output_adds_up_over_loggers() {
    let mut world = World::running(vec![definition("web"), definition("own").builtin()]);
    let lost = |lines| OutputLost { lines, bytes: lines * 10 };
    world.step(Input::OutputLost { service: name("web"), lost: lost(3) });
    world.exit("own", 1);
    world.wait();
    world.launched("own");
    world.step(Input::OutputLost { service: name("web"), lost: lost(2) });
    assert_eq!(world.status("web").output_lost, lost(5));
}

// Rights.

#[test]
fn everybody_may_look_and_only_administrators_may_act() {
    let mut world = World::running(vec![definition("web"), definition("off").demand()]);
    let (web, wait) = (name("web"), Wait::Begun);
    let service = |request| Request::Service(request);
    for request in [
        service(ServiceRequest::Start { name: name("off"), wait }),
        service(ServiceRequest::Stop { name: web.clone(), wait, dependents: Dependents::Stop }),
        service(ServiceRequest::Restart { name: web.clone(), wait }),
        service(ServiceRequest::ReadLog(web.clone())),
        Request::Host(HostRequest::Reload),
        Request::Host(HostRequest::Shutdown),
        Request::Host(HostRequest::Upgrade),
    ] {
        let id = world.request(somebody(), request);
        assert_eq!(world.code(id), 5);
    }
    for request in [
        service(ServiceRequest::List),
        service(ServiceRequest::Status(web.clone())),
        Request::Host(HostRequest::Status),
    ] {
        let id = world.request(somebody(), request);
        assert_eq!(world.code(id), 0);
    }
    let origin = Origin::Session { id: SESSION_ZERO, service: Some(web.clone()) };
    let id = world.request(Caller { origin, ..somebody() }, service(ServiceRequest::ReadLog(web)));
    assert_eq!(world.answer(id), &Ok(Reply::Done));
}

// Clients.

#[test]
fn a_client_that_left_is_not_answered() {
    let mut world = World::up(vec![definition("web").demand()]);
    let id = world.start("web");
    assert!(world.abandon());
    world.launched("web");
    assert!(!world.answers.contains_key(&id));
}

#[test]
fn too_many_waiters_are_refused() {
    let mut world = one();
    for _ in 0..limit::WAITERS_MAX {
        world.restart("web");
    }
    let id = world.restart("web");
    assert_eq!(world.code(id), 1450);
    world.exit("web", 0);
    world.launched("web");
    assert!(world.waiting.is_empty());
}

// Session 0.

#[test]
fn inits_death_fails_everything_and_session_0_is_made_again() {
    let mut world = World::running(vec![definition("web"), definition("once").demand()]);
    world.start("once");
    world.launched("once");
    let (stop, restart) = (world.stop("once"), world.restart("web"));
    world.session_ended();
    assert_eq!((world.code(stop), world.code(restart)), (0, 1067));
    assert_eq!(world.status("web").failure, Some(Failure::SessionEnded));
    let ended = Event::SessionEnded { session: SESSION_ZERO, cause: EndCause::InitDied };
    assert!(world.events().contains(&&ended));
    assert!(world.creating);
    world.session_created();
    world.run_all();
    assert_eq!((world.state("web"), world.state("once")), (State::Running, State::Stopped));
}

#[test]
fn a_session_that_cannot_be_made_is_tried_again_more_and_more_slowly() {
    let mut world = World::new(vec![definition("web")]);
    let mut delays = Vec::new();
    for _ in 0..12 {
        assert!(std::mem::take(&mut world.creating));
        world.step(Input::SessionFailed { session: SESSION_ZERO, reason: String::from("no /dev") });
        assert_eq!(world.system.sessions()[0].trouble.as_deref(), Some("no /dev"));
        let at = world.system.deadline().expect("it is tried again");
        delays.push(at.since(world.now));
        world.wait();
    }
    assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(delays[11], limit::RESTART_DELAY_MAX);
    world.session_created();
    assert_eq!(world.system.host_status(world.now).phase, HostPhase::Up);
}

// Shutdown and upgrade.

#[test]
fn a_shutdown_stops_dependents_first_then_ours_then_the_session() {
    let mut services = chain();
    services.push(definition("own").builtin());
    let mut world = World::running(services);
    let id = world.host(HostRequest::Shutdown);
    assert_eq!(world.code(id), 0);
    assert_eq!(world.signals(), [("top".to_string(), 15)]);
    for unit in ["top", "middle", "base", "own"] {
        assert!(!world.ending);
        assert_eq!(world.signals(), [(unit.to_string(), 15)]);
        world.exit(unit, 0);
    }
    assert!(world.ending);
    let start = world.start("top");
    assert_eq!(world.code(start), 1115);
    world.session_ended();
    assert_eq!(world.events().last(), Some(&&Event::ShutdownEnded { killed: Vec::new() }));
    assert_eq!(world.last.last(), Some(&Effect::Exit(ExitReason::Down)));
}

#[test]
fn a_shutdown_ends_within_its_budget_and_names_who_was_killed() {
    let mut stubborn = definition("stubborn");
    stubborn.stop_wait = Duration::from_secs(1000);
    let mut world = World::running(vec![stubborn, definition("slow"), definition("web")]);
    world.step(Input::Shutdown);
    world.exit("web", 0);
    world.wait();
    assert!(world.events().contains(&&Event::ServiceKilled { service: name("slow") }));
    world.try_exit("slow", KILLED, Remains::Nothing);
    world.group_empty("slow");
    assert!(!world.ending);
    world.wait();
    assert_eq!(world.now.0 / 1_000_000_000, 1 + 90);
    assert!(world.ending);
    world.session_ended();
    let killed = vec![name("slow"), name("stubborn")];
    assert_eq!(world.events().last(), Some(&&Event::ShutdownEnded { killed }));
}

#[test]
fn a_shutdown_under_way_survives_the_daemon() {
    let mut world = World::running(vec![definition("web")]);
    world.step(Input::Shutdown);
    world.kill_daemon();
    assert_eq!(world.system.host_status(world.now).phase, HostPhase::ShuttingDown);
    assert_eq!(world.signals(), [("web".to_string(), 15)]);
    world.exit("web", 0);
    world.session_ended();
    assert!(world.exited);
}

#[test]
fn a_shutdown_answers_everybody_who_waits() {
    let mut world = World::up(vec![definition("web").notify().demand()]);
    let start = world.start("web");
    let reload = world.host(HostRequest::Reload);
    world.step(Input::Shutdown);
    world.launched("web");
    world.exit("web", 0);
    assert_eq!((world.code(start), world.code(reload)), (1115, 1115));
}

#[test]
fn an_upgrade_is_answered_and_ends_the_daemon() {
    let mut world = one();
    let id = world.host(HostRequest::Upgrade);
    let reply = Effect::Reply { id, result: Ok(Reply::Done) };
    assert_eq!(world.last, [reply, Effect::Exit(ExitReason::Upgrade)]);
}

// The configuration.

fn reload(world: &mut World, services: Vec<Definition>) -> session0_model::system::ReloadReport {
    let id = world.host(HostRequest::Reload);
    world.loaded(services);
    match world.answer(id) {
        Ok(Reply::Reloaded(report)) => report.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reload_says_what_takes_effect_when() {
    let gone = definition("gone").demand();
    let mut world =
        World::running(vec![definition("web"), definition("off").demand(), gone, definition("late")]);
    let mut web = definition("web");
    web.description = String::from("changed");
    let mut off = definition("off").demand();
    off.kind = Kind::Notify;
    let report = reload(&mut world, vec![web, off, definition("new")]);
    assert_eq!(report.added, [name("new")]);
    assert_eq!(report.removed, [name("gone"), name("late")]);
    assert_eq!(report.changed, [name("off")]);
    assert_eq!(report.need_restart, [name("web")]);
    assert!(world.system.service(&name("gone")).is_none());
    assert_eq!(world.state("late"), State::Running);
    assert_eq!(world.launches(), ["new"]);
    assert_eq!(world.status("web").description, "");
    world.restart("web");
    world.exit("web", 0);
    assert_eq!(world.status("web").description, "changed");
}

#[test]
fn a_running_service_whose_file_is_gone_goes_when_it_is_stopped() {
    let mut world = one();
    reload(&mut world, Vec::new());
    let restart = world.restart("web");
    assert_eq!(world.code(restart), 1061, "it would not come back");
    let stop = world.stop("web");
    world.exit("web", 0);
    assert_eq!(world.code(stop), 0);
    assert!(world.last.contains(&Effect::Forget(name("web"))));
    assert!(world.last.contains(&Effect::Unstore("service.web".to_string())));
    assert!(world.system.service(&name("web")).is_none());
}

#[test]
fn a_service_whose_file_is_broken_stays_as_it_was() {
    let mut world = one();
    let id = world.host(HostRequest::Reload);
    let mut broken = configuration(Vec::new());
    broken.broken.push((name("web"), String::from("web.toml:1:1: no")));
    world.step(Input::Loaded(broken));
    let report = format!("{:?}", world.answer(id));
    assert!(report.contains("web.toml:1:1"), "{report}");
    assert_eq!(world.state("web"), State::Running);
}

#[test]
fn a_change_that_makes_a_cycle_is_not_taken() {
    let mut world = World::running(chain());
    let report = reload(
        &mut world,
        vec![
            definition("base").on(&["top"]),
            definition("middle").on(&["base"]),
            definition("top").on(&["middle"]),
        ],
    );
    assert_eq!(report.kept.len(), 1);
    assert_eq!(report.kept[0].0, name("base"));
    let id = world.restart("base");
    for unit in ["top", "middle", "base"] {
        world.exit(unit, 0);
    }
    world.run_all();
    assert_eq!(world.code(id), 0);
}

#[test]
fn a_dependency_that_appears_lets_its_dependents_start() {
    let mut world = World::up(vec![definition("top").on(&["base"])]);
    assert_eq!(world.status("top").failure, Some(Failure::DependencyMissing(name("base"))));
    reload(&mut world, vec![definition("top").on(&["base"]), definition("base").demand()]);
    world.run_all();
    assert_eq!(world.state("top"), State::Running);
}

#[test]
fn a_reload_asked_for_while_one_is_under_way_is_read_once_more() {
    let mut world = one();
    let first = world.host(HostRequest::Reload);
    let second = world.host(HostRequest::Reload);
    world.loaded(vec![definition("web")]);
    assert!(world.answers.contains_key(&first) && !world.answers.contains_key(&second));
    world.loaded(vec![definition("web")]);
    assert!(world.answers.contains_key(&second));
}

#[test]
fn directions_of_a_dependency_can_be_turned_round_while_both_run() {
    let mut world = World::running(vec![definition("a"), definition("b").on(&["a"])]);
    reload(&mut world, vec![definition("a").on(&["b"]), definition("b")]);
    let id = world.restart("a");
    world.exit("b", 0);
    world.run_all();
    world.exit("a", 0);
    world.run_all();
    assert_eq!(world.code(id), 0);
    assert_eq!((world.state("a"), world.state("b")), (State::Running, State::Running));
}

// A new daemon.

#[test]
fn a_new_daemon_disturbs_nothing() {
    let mut world = World::running(chain());
    world.kill_daemon();
    assert!(world.launches().is_empty() && world.signals().is_empty());
    assert!(world.events().contains(&&Event::DaemonRecovered { services: 3 }));
    assert!(
        !world.last.iter().any(|effect| matches!(effect, Effect::Store { .. })),
        "there is nothing new to record"
    );
}

#[test]
fn exits_nobody_saw_are_replayed_and_acknowledged() {
    let mut world = World::running(chain());
    world.end("base", ExitStatus::Exited(1), Remains::Nothing);
    world.kill_daemon();
    assert_eq!(world.last.last(), Some(&Effect::AcknowledgeExits));
    assert!(world.status("base").restart_at.is_some());
    assert_eq!(world.state("top"), State::StopPending);
}

#[test]
fn a_launch_recorded_but_never_told_is_made_again() {
    let mut world = World::up(vec![definition("web")]);
    world.init.as_mut().expect("it is there").launching.clear();
    world.kill_daemon();
    assert_eq!(world.launches(), ["web"]);
    assert!(world.launch_of("web") > Some(LaunchId(1)));
}

#[test]
fn a_launch_that_came_to_exec_meanwhile_is_taken_over() {
    let mut world = World::up(vec![definition("web"), notify()]);
    world.kill_daemon();
    assert_eq!((world.state("web"), world.state("db")), (State::Running, State::StartPending));
    world.say("db", Notification::Ready);
    assert_eq!(world.state("db"), State::Running);
}

#[test]
fn a_running_launch_nobody_knows_is_a_failure() {
    let mut world = one();
    world.init.as_mut().expect("it is there").alive.clear();
    world.kill_daemon();
    assert_eq!(world.status("web").failure, Some(Failure::Lost));
    world.group_empty("web");
    world.wait();
    assert_eq!(world.launches(), ["web"]);
}

#[test]
fn a_stop_under_way_goes_on_with_a_new_daemon() {
    let mut world = one();
    world.stop("web");
    world.kill_daemon();
    assert_eq!(world.signals(), [("web".to_string(), 15)], "the signal may never have been sent");
    world.wait();
    world.kill_daemon();
    assert!(world.last.contains(&Effect::KillGroup(name("web"))));
    world.try_exit("web", KILLED, Remains::Nothing);
    world.group_empty("web");
    assert_eq!(world.state("web"), State::Stopped);
}

#[test]
fn what_was_stopped_by_hand_stays_stopped() {
    let mut world = one();
    world.stop("web");
    world.exit("web", 0);
    world.kill_daemon();
    assert_eq!((world.state("web"), world.launches().len()), (State::Stopped, 0));
}

#[test]
fn failure_counts_and_words_outlive_the_daemon() {
    let mut world = World::running(vec![notify()]);
    for _ in 0..3 {
        world.exit("db", 1);
        world.wait();
        world.run_all();
    }
    world.say("db", Notification::Status(String::from("fine")));
    let before = world.status("db");
    world.kill_daemon();
    assert_eq!(world.status("db"), before);
}

#[test]
fn a_launch_without_a_record_finds_its_service_by_its_unit() {
    let mut world = World::running(chain());
    world.init.as_mut().expect("it is there").records.clear();
    world.kill_daemon();
    assert_eq!(["base", "middle", "top"].map(|unit| world.state(unit)), [State::Running; 3]);
    assert!(world.launches().is_empty() && world.signals().is_empty());
}

#[test]
fn a_damaged_record_is_dropped() {
    let mut world = one();
    let init = world.init.as_mut().expect("it is there");
    init.records.insert(String::from("service.web"), vec![1, 255, 255]);
    init.records.insert(String::from("service.../x"), vec![99]);
    world.kill_daemon();
    assert_eq!((world.state("web"), world.launches().len()), (State::Running, 0));
}

#[test]
fn a_service_without_a_file_runs_on_under_a_new_daemon() {
    let mut world = one();
    world.configuration = configuration(Vec::new());
    world.kill_daemon();
    assert_eq!(world.state("web"), State::Running);
    world.stop("web");
    world.exit("web", 0);
    assert!(world.system.service(&name("web")).is_none());
}

#[test]
fn a_dependency_added_while_no_daemon_was_there_disturbs_nothing() {
    let mut world = one();
    world.configuration = configuration(vec![definition("web").on(&["base"]), definition("base").demand()]);
    world.kill_daemon();
    assert_eq!(world.state("web"), State::Running);
    world.restart("web");
    world.exit("web", 0);
    assert_eq!(world.launches(), ["base"], "from now on it needs it");
    world.run_all();
    assert_eq!(world.state("web"), State::Running);
}

#[test]
fn an_unknown_launch_that_succeeds_is_killed() {
    let mut world = one();
    world.step(Input::Launched { launch: LaunchId(999), pid: 5 });
    assert!(matches!(world.last[..], [Effect::Signal { launch: LaunchId(999), signal: 9, .. }]));
}

#[test]
fn root_may_do_everything() {
    let mut world = one();
    let id = world.request(root(), Request::Service(ServiceRequest::ReadLog(name("web"))));
    assert_eq!(world.answer(id), &Ok(Reply::Done));
}
