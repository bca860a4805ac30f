//! One rule of the host per test: what is noticed, rights, clients, Session 0, shutdown, the configuration, a new daemon.

mod world;

use std::time::Duration;

use session0_model::access::{Caller, Grant, Origin};
use session0_model::event::{EndCause, Event};
use session0_model::id::{LaunchId, SESSION_ZERO};
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::wire::Remains;
use session0_model::limit;
use session0_model::service::definition::{Definition, Kind, StartType};
use session0_model::service::notify::Notification;
use session0_model::service::status::{Failure, OutputLost, State, TripwireOutcome};
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

fn notify() -> Definition {
    definition("db").notify()
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

#[test]
fn whom_a_services_file_names_controls_it_and_nothing_else() {
    let control = Grant { uids: vec![somebody().uid], gids: Vec::new() };
    let granted = Definition { control, ..definition("web").demand() };
    let mut world = World::running(vec![granted, definition("other").demand()]);
    let (web, wait) = (name("web"), Wait::Begun);
    let start = |name| Request::Service(ServiceRequest::Start { name, wait });
    let stop = |dependents| Request::Service(ServiceRequest::Stop { name: web.clone(), wait, dependents });
    let id = world.request(somebody(), start(name("other")));
    assert_eq!(world.code(id), 5);
    let id = world.request(somebody(), start(web.clone()));
    assert_eq!(world.code(id), 0);
    world.launched("web");
    let id = world.request(somebody(), stop(Dependents::Stop));
    assert_eq!(world.code(id), 5, "that could stop services he has no right to");
    let id = world.request(somebody(), stop(Dependents::Refuse));
    assert_eq!(world.code(id), 0);
    let id = world.request(Caller { uid: 1001, ..somebody() }, start(web));
    assert_eq!(world.code(id), 5, "another account");
}

#[test]
fn a_right_is_given_and_taken_at_the_reload_also_while_the_service_runs() {
    let mut world = World::running(vec![definition("web")]);
    let control = Grant { uids: vec![somebody().uid], gids: Vec::new() };
    let stop = || {
        let (name, wait, dependents) = (name("web"), Wait::Begun, Dependents::Refuse);
        Request::Service(ServiceRequest::Stop { name, wait, dependents })
    };
    let report = reload(&mut world, vec![Definition { control: control.clone(), ..definition("web") }]);
    assert_eq!((report.changed.as_slice(), report.need_restart.len()), ([name("web")].as_slice(), 0));
    let report = reload(&mut world, vec![definition("web")]);
    assert_eq!(report.changed, [name("web")]);
    let id = world.request(somebody(), stop());
    assert_eq!(world.code(id), 5, "it was taken");
    let other = Definition { control, start: StartType::Demand, ..definition("web") };
    assert_eq!(reload(&mut world, vec![other]).need_restart, [name("web")]);
    let id = world.request(somebody(), stop());
    assert_eq!(world.code(id), 0, "it was given, though the rest waits");
}

#[test]
fn who_controls_a_service_does_not_restart_those_that_depend_on_it() {
    let control = Grant { uids: vec![somebody().uid], gids: Vec::new() };
    let granted = Definition { control, ..definition("base") };
    let mut world = World::running(vec![granted, definition("top").on(&["base"])]);
    let restart = Request::Service(ServiceRequest::Restart { name: name("base"), wait: Wait::Begun });
    let id = world.request(somebody(), restart);
    assert_eq!(world.code(id), 5);
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
fn a_session_made_after_the_shutdown_began_is_ended() {
    let mut world = World::new(vec![definition("web")]);
    world.step(Input::Shutdown);
    assert!(world.ending);
    world.step(Input::SessionCreated { session: SESSION_ZERO, protocol: 2 });
    assert_eq!(world.last, [Effect::EndSession(SESSION_ZERO)]);
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

#[test]
fn an_automatic_service_added_while_no_daemon_was_there_starts() {
    let mut world = one();
    world.configuration = configuration(vec![definition("web"), definition("new")]);
    world.kill_daemon();
    assert_eq!(world.launches(), ["new"]);
}

#[test]
fn a_launch_never_told_of_a_service_without_a_file_is_not_made() {
    let mut world = World::up(vec![definition("web")]);
    world.configuration = configuration(Vec::new());
    world.init.as_mut().expect("it is there").launching.clear();
    world.kill_daemon();
    assert!(world.launches().is_empty());
    assert!(world.last.contains(&Effect::Forget(name("web"))));
}
