//! One rule per test of what connects pipes with the rest of the host: services that are started for them, sockets, records, a new
//! daemon, Session 0, the configuration.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use session0_model::event::Event;
use session0_model::id::RequestId;
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::wire::Remains;
use session0_model::limit;
use session0_model::pipe::access::{Rights, Who};
use session0_model::pipe::alarm::Squat;
use session0_model::pipe::id::ServerId;
use session0_model::pipe::refusal::Refusal;
use session0_model::pipe::request::{Said, Tell, Wait};
use session0_model::pipe::settings::{Access, Direction, Opening, Settings};
use session0_model::pipe::status::PipeStatus;
use session0_model::service::definition::{Definition, Restart};
use session0_model::service::status::State;
use session0_model::system::{self, Effect, HostRequest, ReloadReport, Reply, Request};
use session0_model::time::Time;
use world::pipes::{allow, listed, open_to_all, pipe, serves, service, user};
use world::{Shape, World, definition, name, root};

const ALICE: u32 = 1000;
const BOB: u32 = 1001;
const SECOND: Wait = Wait::For(Duration::from_secs(1));
const KILLED: ExitStatus = ExitStatus::Signaled { signal: 9, core: false };

fn activated() -> Definition {
    serves(definition("web").demand().restart(Restart::Never), "echo", Opening::Starts)
}

/// A host with a service that opening its pipe starts.
fn web() -> World {
    World::up(vec![activated()])
}

fn status(world: &World, text: &str) -> PipeStatus {
    world.pipe_status(&pipe(text)).expect("it is there")
}

#[track_caller]
fn refused(world: &World, id: RequestId) -> Refusal {
    match world.answer(id) {
        Err(system::Refusal::Pipe(refusal)) => refusal.clone(),
        other => panic!("not refused as a pipe is: {other:?}"),
    }
}

#[track_caller]
fn failed(world: &World, id: RequestId) -> u32 {
    match refused(world, id) {
        Refusal::ServiceFailed { service, code } if service == name("web") => code,
        other => panic!("not its service's failure: {other:?}"),
    }
}

fn records(world: &World) -> usize {
    let init = world.init.as_ref().expect("there is an init");
    init.records.keys().filter(|key| key.starts_with("pipe.")).count()
}

fn reload(world: &mut World, services: Vec<Definition>) -> ReloadReport {
    let id = world.host(HostRequest::Reload);
    world.loaded(services);
    match world.answer(id) {
        Ok(Reply::Reloaded(report)) => report.clone(),
        other => panic!("not reloaded: {other:?}"),
    }
}

fn squatters(world: &World) -> usize {
    let alarm = |event: &&&Event| matches!(event, Event::PipeRefused { why: Squat::Reserved, .. });
    world.events().iter().filter(alarm).count()
}

// Services that are started for a pipe.

#[test]
fn opening_a_pipe_starts_its_service_and_every_client_waits_for_it() {
    let mut world = web();
    let patient = Wait::For(Duration::from_secs(5));
    let ids = [Wait::Not, Wait::Default, patient].map(|wait| world.open(user(BOB), "echo", wait));
    let wait = world.wait_for(user(BOB), "echo", Wait::Not);
    assert_eq!(world.launches(), Vec::<String>::new(), "it was launched for the first");
    world.launched("web");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.waiting.len(), 4, "it may take its time to start");
    world.serve(service("web"), "echo", 2);
    for id in &ids[..2] {
        world.opened(*id);
    }
    assert!(world.waiting.contains(&ids[2]));
    assert_eq!(refused(&world, wait), Refusal::TimedOut, "now it is known that none is free");
}

#[test]
fn a_client_that_does_not_wait_is_told_that_all_are_busy_once_the_pipe_is_served() {
    let mut world = web();
    let ids = [(); 2].map(|()| world.open(user(BOB), "echo", Wait::Not));
    world.launched("web");
    world.serve(service("web"), "echo", 1);
    world.opened(ids[0]);
    assert_eq!(refused(&world, ids[1]), Refusal::Busy);
}

#[test]
fn who_may_not_open_it_does_not_start_it() {
    let mut closed = activated();
    let settings = Settings { access: Default::default(), ..open_to_all(2) };
    closed.pipes[0].settings = Arc::new(settings);
    let mut world = World::up(vec![closed]);
    for id in [world.open(user(BOB), "echo", SECOND), world.wait_for(user(BOB), "echo", SECOND)] {
        assert_eq!(refused(&world, id), Refusal::NotListed);
    }
    assert_eq!(world.state("web"), State::Stopped);
    world.open(root(), "echo", SECOND);
    assert_eq!(world.state("web"), State::StartPending);
}

#[test]
fn the_account_of_the_service_owns_a_pipe_that_nobody_serves() {
    let mut own = activated();
    own.plan.uid = ALICE;
    own.pipes[0].settings = Arc::new(Settings { access: Default::default(), ..open_to_all(2) });
    let mut world = World::up(vec![own]);
    let id = world.open(user(ALICE), "echo", SECOND);
    assert!(world.waiting.contains(&id));
}

#[test]
fn a_service_that_fails_is_why_its_clients_are_refused() {
    let mut world = web();
    let ids = [Wait::Not, SECOND].map(|wait| world.open(user(BOB), "echo", wait));
    assert!(world.try_launch_failed("web"));
    assert_eq!(ids.map(|id| failed(&world, id)), [2, 2]);
    let id = world.open(user(BOB), "echo", Wait::Not);
    world.launched("web");
    world.try_exit("web", KILLED, Remains::Nothing);
    assert_eq!(failed(&world, id), 1067);
    let id = world.open(user(BOB), "echo", Wait::Not);
    world.launched("web");
    world.exit("web", 0);
    assert_eq!(failed(&world, id), 1062, "it ended well, and is not there");
    assert_eq!(world.system.deadline(), None);
}

#[test]
fn a_service_that_cannot_start_at_all_is_said_at_once() {
    let mut world = World::up(vec![activated().on(&["nothing"])]);
    let id = world.open(user(BOB), "echo", SECOND);
    assert_eq!(failed(&world, id), 1075);
    let mut world = World::up(vec![activated().on(&["base"]), definition("base").demand()]);
    let id = world.open(user(BOB), "echo", SECOND);
    world.try_launch_failed("base");
    assert_eq!(failed(&world, id), 1068, "what it depends on did not start");
}

#[test]
fn a_service_that_does_not_serve_its_pipe_is_waited_for_as_long_as_the_client_says_or_a_while() {
    let mut world = web();
    world.start("web");
    world.launched("web");
    let not_served = Refusal::NotServed(name("web"));
    let long = Wait::For(limit::PIPE_START_WAIT + Duration::from_secs(5));
    let [short, default, not, long] =
        [SECOND, Wait::Default, Wait::Not, long].map(|wait| world.open(user(BOB), "echo", wait));
    world.pass(Duration::from_secs(1));
    assert_eq!(refused(&world, short), not_served, "it said a second");
    world.pass(limit::PIPE_START_WAIT - Duration::from_secs(2));
    assert_eq!(world.waiting.len(), 3);
    world.pass(Duration::from_secs(1));
    for id in [default, not] {
        assert_eq!(refused(&world, id), not_served);
    }
    world.pass(Duration::from_secs(5));
    assert_eq!(refused(&world, long), not_served);
}

#[test]
fn a_service_that_is_stopping_is_started_when_it_has_stopped() {
    let mut world = World::running(vec![activated()]);
    world.start("web");
    world.launched("web");
    world.stop("web");
    let id = world.open(user(BOB), "echo", Wait::Not);
    assert!(world.waiting.contains(&id));
    world.exit("web", 0);
    assert_eq!(world.launches(), ["web"]);
    world.launched("web");
    world.serve(service("web"), "echo", 1);
    world.opened(id);
}

#[test]
fn who_waits_for_a_service_hears_that_somebody_stopped_it() {
    let mut world = web();
    let id = world.open(user(BOB), "echo", SECOND);
    world.launched("web");
    world.stop("web");
    assert!(world.waiting.contains(&id));
    world.exit("web", 0);
    assert_eq!((failed(&world, id), world.state("web")), (1062, State::Stopped));
}

#[test]
fn no_client_shortens_the_pause_after_a_failure() {
    let mut pausing = activated().restart(Restart::Always);
    pausing.restart_delay = Duration::from_secs(10);
    let mut world = World::up(vec![pausing]);
    let first = world.open(user(BOB), "echo", Wait::Not);
    world.launched("web");
    world.exit("web", 1);
    assert_eq!(failed(&world, first), 1066);
    let second = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(world.launches(), Vec::<String>::new());
    world.wait();
    assert_eq!(world.launches(), ["web"]);
    world.launched("web");
    world.serve(service("web"), "echo", 1);
    world.opened(second);
}

#[test]
fn nor_the_pause_of_what_the_service_needs() {
    let mut base = definition("base").demand().restart(Restart::Always);
    base.restart_delay = Duration::from_secs(10);
    let mut world = World::up(vec![activated().on(&["base"]), base]);
    world.start("web");
    world.run_all();
    world.exit("base", 1);
    world.exit("web", 0);
    assert_eq!(world.state("base"), State::Stopped);
    let id = world.open(user(BOB), "echo", Wait::Not);
    assert!(world.waiting.contains(&id));
    assert_eq!(world.launches(), Vec::<String>::new());
    world.wait();
    assert_eq!(world.launches(), ["base"]);
    world.launched("base");
    world.launched("web");
    world.serve(service("web"), "echo", 1);
    world.opened(id);
}

#[test]
fn clients_that_wait_when_the_service_goes_have_it_started_again() {
    let mut world = web();
    world.start("web");
    world.launched("web");
    let server = world.serve(service("web"), "echo", 0);
    let id = world.open(user(BOB), "echo", SECOND);
    world.exit("web", 0);
    assert!(world.waiting.contains(&id), "its connection is still there");
    world.server_goes(server);
    assert_eq!(world.launches(), ["web"]);
    world.launched("web");
    world.serve(service("web"), "echo", 1);
    world.opened(id);
}

#[test]
fn nobody_waits_any_more_nobody_is_started() {
    let mut world = World::up(vec![activated()]);
    world.start("web");
    world.launched("web");
    world.stop("web");
    world.open(user(BOB), "echo", SECOND);
    world.abandon();
    world.exit("web", 0);
    assert_eq!(world.launches(), Vec::<String>::new());
}

#[test]
fn session_0s_end_is_why_a_service_does_not_serve_and_until_it_is_back_none_is_started() {
    let mut world = web();
    let id = world.open(user(BOB), "echo", SECOND);
    world.session_ended();
    assert_eq!(failed(&world, id), 1067);
    let id = world.open(user(BOB), "echo", SECOND);
    assert_eq!(world.code(id), 21);
    world.session_created();
    let id = world.open(user(BOB), "echo", SECOND);
    assert!(world.waiting.contains(&id));
}

// Sockets.

#[test]
fn a_name_has_a_socket_while_it_is_served_or_its_opening_starts_a_service() {
    let mut world =
        World::new(vec![activated(), serves(definition("quiet").demand(), "quiet", Opening::Nothing)]);
    assert!(world.pipes.sockets.is_empty(), "there is no Session 0 yet");
    world.session_created();
    assert!(world.did(&Effect::BindPipe(pipe("echo"))));
    assert_eq!(world.pipes.sockets.len(), 1);
    let quiet = world.serve(service("quiet"), "quiet", 1);
    assert!(world.did(&Effect::BindPipe(pipe("quiet"))));
    let echo = world.serve(service("web"), "echo", 1);
    world.server_goes(quiet);
    assert!(world.did(&Effect::UnbindPipe(pipe("quiet"))));
    world.server_goes(echo);
    assert_eq!(world.pipes.sockets, BTreeSet::from([pipe("echo")]));
    let long = "x".repeat(limit::PIPE_SOCKET_NAME_MAX + 1);
    world.serve(user(ALICE), &long, 1);
    assert_eq!(world.pipes.sockets.len(), 1, "that name does not fit into an address");
    let open = world.open(user(BOB), &long, Wait::Not);
    world.opened(open);
}

#[test]
fn a_socket_whose_opening_starts_a_service_outlives_session_0() {
    let mut world = web();
    let server = world.serve(service("web"), "echo", 1);
    world.session_ended();
    world.server_goes(server);
    assert_eq!(world.pipes.sockets, BTreeSet::from([pipe("echo")]), "who waits at it is not sent away");
}

// A new daemon.

/// A served pipe with two instances, one of them with a client, after the daemon died.
fn recovered() -> (World, ServerId) {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "echo", 2);
    let open = world.open(user(BOB), "echo", Wait::Not);
    world.opened(open);
    world.kill_daemon();
    (world, server)
}

#[test]
fn a_new_daemon_asks_what_there_is_and_clients_wait_until_it_knows() {
    let (mut world, server) = recovered();
    assert!(world.did(&Effect::TellPipeServer { server, tell: Tell::Recount }));
    assert!(world.did(&Effect::BindPipe(pipe("echo"))));
    let ids = [Wait::Not, Wait::Not, Wait::Default].map(|wait| world.open(user(BOB), "echo", wait));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.waiting.len(), 3);
    world.count(server);
    world.opened(ids[0]);
    assert_eq!(refused(&world, ids[1]), Refusal::Busy);
    let now = status(&world, "echo");
    assert_eq!((now.listening, now.connected, now.waiting, now.servers[0].uid), (0, 2, 1, ALICE));
    let id = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(refused(&world, id), Refusal::Busy);
}

#[test]
fn what_the_daemon_before_gave_can_be_closed_and_no_more_than_that() {
    let (mut world, server) = recovered();
    let instance = *world.pipes.servers[&server].clients.first().expect("it has a client");
    world.count(server);
    world.close(server, instance);
    assert_eq!((status(&world, "echo").connected, world.pipes.dropped.len()), (0, 0));
    world.close(server, instance);
    assert_eq!(world.pipes.dropped, [server]);
}

#[test]
fn a_server_that_does_not_answer_has_none_that_listens_and_may_still_say_so() {
    let (mut world, server) = recovered();
    let id = world.open(user(BOB), "echo", Wait::Not);
    world.pass(limit::PIPE_RECOUNT_WAIT);
    assert_eq!(refused(&world, id), Refusal::Busy);
    let id = world.open(user(BOB), "echo", SECOND);
    world.count(server);
    world.opened(id);
    assert_eq!(world.system.deadline(), None);
}

#[test]
fn an_answer_to_a_daemon_that_did_not_live_to_read_it_does_no_harm() {
    let (mut world, server) = recovered();
    // It answered, and was asked again.
    world.kill_daemon();
    world.count(server);
    let open = world.open(user(BOB), "echo", Wait::Not);
    let instance = world.opened(open).instance;
    world.said(server, Said::Counted { listening: 1, connected: 1 });
    assert_eq!(world.last, []);
    world.close(server, instance);
    assert_eq!((status(&world, "echo").connected, world.pipes.dropped.len()), (1, 0));
}

#[test]
fn what_was_said_before_the_count_is_in_it() {
    let (mut world, server) = recovered();
    world.said(server, Said::Listen(1));
    let instance = *world.pipes.servers[&server].clients.first().expect("it has a client");
    world.said(server, Said::Closed(instance));
    assert_eq!((status(&world, "echo").listening, world.pipes.dropped.len()), (0, 0));
    world.count(server);
    assert_eq!(status(&world, "echo").listening, 1);
}

#[test]
fn who_stopped_before_the_count_has_none_that_listens() {
    let (mut world, server) = recovered();
    world.stop_listening(server);
    assert_eq!(world.pipes.dropped, [], "what it has is not known yet");
    world.said(server, Said::Counted { listening: 0, connected: 0 });
    assert_eq!(world.pipes.dropped, [server]);
    let (mut world, server) = recovered();
    world.stop_listening(server);
    world.distrust(server);
    world.said(server, Said::Counted { listening: 1, connected: 1 });
    assert_eq!(world.pipes.told, [(server, Tell::Refused(1))]);
}

#[test]
fn a_count_is_not_believed_beyond_the_maximum() {
    let (mut world, server) = recovered();
    world.distrust(server);
    world.said(server, Said::Counted { listening: 5, connected: 1 });
    assert_eq!(world.pipes.told, [(server, Tell::Refused(4))]);
    let now = status(&world, "echo");
    assert_eq!((now.listening, now.connected), (1, 1));
    let (mut world, server) = recovered();
    world.distrust(server);
    world.said(server, Said::Counted { listening: u32::MAX, connected: u32::MAX });
    let now = status(&world, "echo");
    assert_eq!((now.listening, now.connected), (0, 2));
}

#[test]
fn a_server_whose_connection_was_not_kept_is_gone() {
    let mut world = World::up(Vec::new());
    let servers = ["one", "two"].map(|text| world.serve(user(ALICE), text, 1));
    world.kill_daemon_losing(BTreeSet::from([servers[0]]));
    assert_eq!((world.pipe_status(&pipe("one")), records(&world)), (None, 1));
    world.count(servers[1]);
    let open = world.open(user(BOB), "two", Wait::Not);
    assert_eq!(world.opened(open).server, servers[1]);
    assert_eq!(status(&world, "two").settings.as_ref(), &open_to_all(2));
}

#[test]
fn a_record_that_cannot_be_read_is_dropped_with_its_server() {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "echo", 1);
    let init = world.init.as_mut().expect("there is an init");
    init.records.insert(format!("pipe.{}", server.0), vec![0]);
    world.kill_daemon_losing(BTreeSet::new());
    assert!(world.did(&Effect::DropPipeServer(server)));
    assert_eq!((records(&world), world.pipe_status(&pipe("echo"))), (0, None));
}

#[test]
fn who_served_it_first_stays_its_owner_over_a_new_daemon() {
    let mut world = World::up(Vec::new());
    let settings = || listed(vec![allow(Who::User(BOB), Rights::INSTANCE)]);
    let first = world.listen(user(ALICE), "echo", settings(), 1);
    let second = world.listen(user(BOB), "echo", settings(), 1);
    let (first, second) = (world.server(first), world.server(second));
    world.server_goes(first);
    world.kill_daemon();
    world.count(second);
    let open = world.open(user(ALICE), "echo", Wait::Not);
    world.opened(open);
}

#[test]
fn no_number_is_given_twice_even_if_the_clock_does_not_go_on() {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "echo", 1);
    world.now = Time(0);
    world.kill_daemon();
    world.count(server);
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert!(world.opened(open).instance.0 > server.0);
}

#[test]
fn a_servers_place_among_those_of_its_uid_is_kept_over_a_new_daemon() {
    let mut world = World::up(Vec::new());
    let settings = || open_to_all(254);
    for _ in 0..100 {
        world.listen(user(ALICE), "echo", settings(), 1);
    }
    world.kill_daemon();
    let servers: Vec<ServerId> = world.pipes.servers.keys().copied().collect();
    for server in servers {
        world.server_goes(server);
    }
    world.system.check_invariants();
    assert_eq!(world.pipe_status(&pipe("echo")), None);
}

#[test]
fn a_service_is_still_the_one_its_name_is_reserved_for() {
    let mut world = World::running(vec![serves(definition("web"), "echo", Opening::Starts)]);
    let server = world.serve(service("web"), "echo", 1);
    world.kill_daemon();
    assert_eq!(world.pipes.dropped, []);
    world.count(server);
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(world.opened(open).server, server);
}

#[test]
fn a_name_that_became_a_services_while_no_daemon_was_there_is_taken_from_who_serves_it() {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "echo", 1);
    world.configuration = world::configuration(vec![activated()]);
    world.kill_daemon();
    assert_eq!((squatters(&world), records(&world)), (1, 0));
    assert!(world.did(&Effect::DropPipeServer(server)));
    assert!(status(&world, "echo").servers.is_empty());
}

// Session 0.

#[test]
fn when_session_0_is_made_again_its_init_is_told_of_servers_and_sockets() {
    let mut world = World::up(vec![activated()]);
    let server = world.serve(user(ALICE), "mine", 1);
    world.session_ended();
    let open = world.open(user(BOB), "mine", Wait::Not);
    world.opened(open);
    assert_eq!(status(&world, "mine").connected, 1, "who is in no session of it is not disturbed");
    world.session_created();
    assert_eq!(records(&world), 1);
    for text in ["mine", "echo"] {
        assert!(world.did(&Effect::BindPipe(pipe(text))));
    }
    world.kill_daemon();
    world.count(server);
    assert_eq!(status(&world, "mine").connected, 1);
}

#[test]
fn a_server_that_goes_while_there_is_no_session_0_is_not_told_to_the_next() {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "mine", 1);
    world.session_ended();
    world.server_goes(server);
    world.session_created();
    assert_eq!((records(&world), world.pipes.sockets.len()), (0, 0));
}

// The configuration.

#[test]
fn a_name_that_becomes_a_services_is_taken_from_who_serves_it() {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "ECHO", 0);
    let waits = world.open(user(BOB), "echo", SECOND);
    reload(&mut world, vec![activated()]);
    assert_eq!((world.pipes.dropped.as_slice(), squatters(&world)), ([server].as_slice(), 1));
    assert_eq!(status(&world, "echo").name.as_str(), "echo");
    assert_eq!(world.launches(), ["web"], "who waited has it started");
    assert!(world.waiting.contains(&waits));
}

#[test]
fn a_name_that_becomes_its_own_services_disturbs_nobody() {
    let mut world = World::running(vec![definition("web")]);
    let server = world.serve(service("web"), "echo", 1);
    reload(&mut world, vec![serves(definition("web"), "echo", Opening::Nothing)]);
    assert_eq!((world.pipes.dropped.len(), squatters(&world)), (0, 0));
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(world.opened(open).server, server);
    let id = world.listen(user(ALICE), "echo", open_to_all(2), 1);
    assert_eq!(refused(&world, id), Refusal::Reserved(name("web")));
}

#[test]
fn a_name_that_is_no_longer_a_services_is_an_ordinary_one_until_its_servers_go() {
    let mut world = web();
    world.start("web");
    world.launched("web");
    let server = world.serve(service("web"), "echo", 1);
    reload(&mut world, vec![definition("web").demand().restart(Restart::Never)]);
    let open = world.open(user(BOB), "echo", Wait::Not);
    world.opened(open);
    world.server_goes(server);
    assert_eq!(world.pipe_status(&pipe("echo")), None);
    world.serve(user(ALICE), "echo", 1);
}

#[test]
fn who_waits_for_a_service_whose_file_lets_go_of_the_pipe_is_told_that_there_is_none() {
    let gone = || vec![definition("web").demand().restart(Restart::Never)];
    let quiet = || vec![serves(gone().remove(0), "echo", Opening::Nothing)];
    for services in [gone(), quiet(), Vec::new()] {
        let mut world = web();
        let id = world.open(user(BOB), "echo", SECOND);
        reload(&mut world, services);
        assert_eq!(refused(&world, id), Refusal::NoSuchPipe);
        assert!(world.pipes.sockets.is_empty());
    }
}

#[test]
fn who_waits_when_a_pipe_goes_to_another_service_has_that_one_started() {
    let mut world = web();
    let id = world.open(user(BOB), "echo", SECOND);
    let other = serves(definition("other").demand(), "echo", Opening::Starts);
    reload(&mut world, vec![definition("web").demand(), other]);
    assert!(world.launches().contains(&"other".to_string()));
    world.launched("other");
    world.serve(service("other"), "echo", 1);
    world.opened(id);
}

#[test]
fn what_a_pipe_has_become_meanwhile_is_asked_of_who_waited() {
    let mut world = web();
    let reads = world.open_for(user(BOB), "echo", Some(Access::Read), SECOND);
    let any = world.open(user(BOB), "echo", SECOND);
    let mut changed = activated();
    let settings = Settings { direction: Direction::Inbound, ..open_to_all(2) };
    changed.pipes[0].settings = Arc::new(settings.clone());
    reload(&mut world, vec![changed]);
    world.launched("web");
    world.listen(service("web"), "echo", settings, 2);
    assert_eq!(refused(&world, reads), Refusal::WrongDirection);
    assert_eq!(world.opened(any).access, Access::Write);
}

#[test]
fn of_two_services_that_declare_a_name_the_first_has_it_and_the_other_is_reported() {
    let services = || {
        let declares = |text| serves(definition(text).demand(), "echo", Opening::Starts);
        vec![declares("beta"), declares("alpha")]
    };
    let mut world = World::up(services());
    assert_eq!(status(&world, "echo").reserved, Some((name("alpha"), Opening::Starts)));
    assert_eq!(world.system.host_status(world.now).configuration_errors, 1);
    let report = reload(&mut world, services());
    let [(kept, why)] = report.kept.as_slice() else { panic!("{:?}", report.kept) };
    assert_eq!((kept, why.as_str()), (&name("beta"), "the pipe echo is alpha's already"));
    let report = reload(&mut world, vec![services().remove(0)]);
    assert_eq!(
        (report.kept.len(), status(&world, "echo").reserved.map(|(who, _)| who)),
        (0, Some(name("beta")))
    );
}

#[test]
fn a_file_that_changes_what_a_served_pipe_is_counts_from_the_next_server_of_an_unserved_one() {
    let mut world = World::running(vec![serves(definition("web"), "echo", Opening::Nothing)]);
    let server = world.serve(service("web"), "echo", 1);
    let mut changed = serves(definition("web"), "echo", Opening::Nothing);
    changed.pipes[0].settings = Arc::new(open_to_all(7));
    reload(&mut world, vec![changed]);
    assert_eq!(status(&world, "echo").settings.as_ref(), &open_to_all(2));
    world.serve(service("web"), "echo", 1);
    let second = *world.pipes.servers.keys().last().expect("two serve it");
    for server in [server, second] {
        world.server_goes(server);
    }
    assert_eq!(status(&world, "echo").settings.as_ref(), &open_to_all(7));
}

#[test]
fn in_a_shutdown_no_client_starts_a_service() {
    let mut world = web();
    let waits = world.open(user(BOB), "echo", SECOND);
    world.request(root(), Request::Host(HostRequest::Shutdown));
    let late = world.open(user(BOB), "echo", SECOND);
    assert_eq!([waits, late].map(|id| world.code(id)), [1115, 1115]);
}
