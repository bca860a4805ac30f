//! One rule of named pipes per test: who serves, who opens, who waits, what servers are believed.

mod world;

use std::time::Duration;

use session0_model::access::{Caller, Grant, Origin};
use session0_model::event::Event;
use session0_model::id::{RequestId, SessionId};
use session0_model::limit;
use session0_model::pipe::access::{AccessList, Effect as Gives, Entry, Rights, Who};
use session0_model::pipe::alarm::Squat;
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::refusal::Refusal;
use session0_model::pipe::request::{Listen, PipeRequest, Said, Tell, Wait};
use session0_model::pipe::settings::{
    Access, Direction, Impersonation, InstancesMax, Kind, Opening, Settings, Timeout,
};
use session0_model::pipe::status::PipeStatus;
use session0_model::system::{self, Effect, HostRequest, Input, Reply, Request};
use world::pipes::{allow, elsewhere, listed, open_to_all, pipe, serves, service, user};
use world::{Shape, World, definition, name, root};

const ALICE: u32 = 1000;
const BOB: u32 = 1001;
const BOTH: Rights = Rights::READ.union(Rights::WRITE);
const SECOND: Wait = Wait::For(Duration::from_secs(1));

fn empty() -> World {
    World::up(Vec::new())
}

/// A host with a service that has a pipe.
fn web(opening: Opening) -> World {
    World::up(vec![serves(definition("web").demand(), "Echo", opening)])
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

fn alarms(world: &World) -> Vec<(String, Option<SessionId>, u32, Squat)> {
    let alarm = |event: &&Event| match event {
        Event::PipeRefused { name, session, uid, why } => Some((name.to_string(), *session, *uid, *why)),
        _ => None,
    };
    world.events().iter().filter_map(alarm).collect()
}

/// Somebody in a user's session whom the host does not know there: its root at most.
fn rooted(session: u32) -> Caller {
    Caller { origin: Origin::Session { id: SessionId(session), service: None }, ..user(0) }
}

// Serving.

#[test]
fn a_reserved_name_is_served_by_its_service_and_by_nobody_else() {
    let mut world = web(Opening::Nothing);
    for caller in [user(ALICE), root(), service("db"), elsewhere("web")] {
        let id = world.listen(caller, "ECHO", open_to_all(2), 1);
        assert_eq!(refused(&world, id), Refusal::Reserved(name("web")));
    }
    let id = world.listen(service("WEB"), "eCHO", open_to_all(2), 1);
    world.server(id);
    assert_eq!(status(&world, "echo").name.as_str(), "Echo", "it is shown as its file writes it");
}

#[test]
fn who_wants_anothers_name_raises_an_alarm_once_a_minute_and_only_administrators_hear_it() {
    let mut world = web(Opening::Nothing);
    world.listen(elsewhere("web"), "echo", open_to_all(2), 1);
    assert_eq!(alarms(&world), [("echo".to_string(), Some(SessionId(1)), 0, Squat::Reserved)]);
    assert!(world.events().iter().all(|event| event.is_for_administrators()));
    world.listen(user(BOB), "echo", open_to_all(2), 1);
    assert_eq!(alarms(&world), []);
    world.pass(limit::PIPE_ALARM_QUIET);
    world.listen(user(BOB), "ECHO", open_to_all(2), 1);
    assert_eq!(alarms(&world).len(), 1);
}

#[test]
fn a_reserved_pipe_is_what_its_file_says() {
    let mut world = web(Opening::Nothing);
    let other = Settings { kind: Kind::Message, ..open_to_all(2) };
    let id = world.listen(service("web"), "echo", other, 1);
    assert_eq!(refused(&world, id), Refusal::Differs("type"));
    let no_list = Settings { access: AccessList::default(), ..open_to_all(2) };
    let id = world.listen(service("web"), "echo", no_list, 1);
    world.server(id);
    let none = Listen { name: pipe("echo"), settings: None, first: false, listening: 1 };
    let id = world.listen_with(service("web"), none);
    world.server(id);
    let open = world.open(user(BOB), "echo", Wait::Not);
    world.opened(open);
}

#[test]
fn the_first_server_decides_what_a_pipe_is() {
    let mut world = empty();
    world.serve(user(ALICE), "echo", 1);
    let different = [
        Settings { kind: Kind::Message, ..open_to_all(2) },
        Settings { direction: Direction::Inbound, ..open_to_all(2) },
        open_to_all(3),
        Settings { default_timeout: Timeout(Duration::from_secs(3)), ..open_to_all(2) },
        Settings { access: AccessList::default(), ..open_to_all(2) },
        Settings::default(),
    ];
    let named = ["type", "direction", "instances", "default_timeout", "access", "instances"];
    for (settings, what) in different.into_iter().zip(named) {
        let id = world.listen(user(ALICE), "echo", settings, 1);
        assert_eq!(refused(&world, id), Refusal::Differs(what));
    }
    let mut written_otherwise = open_to_all(2);
    written_otherwise.access.0[0].text = String::from("EVERYONE read write");
    let id = world.listen(user(ALICE), "echo", written_otherwise, 1);
    world.server(id);
    assert_eq!(status(&world, "echo").servers.len(), 2);
}

#[test]
fn somebody_else_serves_it_where_the_list_lets_him_and_the_first_stays_its_owner() {
    let mut world = empty();
    world.serve(user(ALICE), "closed", 1);
    let id = world.listen(user(BOB), "closed", open_to_all(2), 1);
    assert_eq!(refused(&world, id), Refusal::Foreign);
    assert_eq!(alarms(&world), [("closed".to_string(), None, BOB, Squat::Foreign)]);
    let id = world.listen(root(), "closed", open_to_all(2), 1);
    assert_eq!(refused(&world, id), Refusal::Foreign, "not even root takes a name");
    let settings = || listed(vec![allow(Who::User(BOB), Rights::INSTANCE)]);
    let first = world.listen(user(ALICE), "shared", settings(), 1);
    let second = world.listen(user(BOB), "shared", settings(), 1);
    let (first, second) = (world.server(first), world.server(second));
    world.server_goes(first);
    let open = world.open(user(BOB), "shared", Wait::Not);
    assert_eq!(refused(&world, open), Refusal::NotListed, "who may serve it may not read it");
    let open = world.open(user(ALICE), "shared", Wait::Not);
    assert_eq!(world.opened(open).server, second);
}

#[test]
fn who_wants_to_be_the_first_is_not_if_somebody_serves_it() {
    let mut world = empty();
    let first = |settings| Listen { name: pipe("echo"), settings, first: true, listening: 1 };
    let id = world.listen_with(user(ALICE), first(Some(open_to_all(2))));
    world.server(id);
    let id = world.listen_with(user(ALICE), first(Some(open_to_all(2))));
    assert_eq!((refused(&world, id), alarms(&world).len()), (Refusal::NotFirst, 0), "it is his own");
    let id = world.listen_with(user(BOB), first(None));
    assert_eq!(refused(&world, id), Refusal::NotFirst);
    assert_eq!(alarms(&world), [("echo".to_string(), None, BOB, Squat::NotFirst)]);
}

#[test]
fn root_of_a_users_session_owns_nothing() {
    let mut world = empty();
    let id = world.listen(rooted(1), "echo", Settings::default(), 1);
    world.server(id);
    for caller in [rooted(1), rooted(2)] {
        let id = world.listen(caller.clone(), "echo", Settings::default(), 1);
        assert_eq!(refused(&world, id), Refusal::Foreign);
        let open = world.open(caller, "echo", Wait::Not);
        assert_eq!(refused(&world, open), Refusal::NotListed);
    }
    let id = world.listen(root(), "echo", Settings::default(), 1);
    assert_eq!(refused(&world, id), Refusal::Foreign, "the machine's root did not serve it");
}

#[test]
fn without_session_0_and_in_a_shutdown_nobody_serves() {
    let mut world = World::new(Vec::new());
    let id = world.listen(user(ALICE), "echo", open_to_all(1), 1);
    assert_eq!(world.code(id), 21);
    world.session_created();
    world.host(HostRequest::Shutdown);
    let id = world.listen(user(ALICE), "echo", open_to_all(1), 1);
    assert_eq!(world.code(id), 1115);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut world = empty();
    let entry = allow(Who::Everyone, BOTH);
    for settings in [
        Settings { buffer: Some(limit::PIPE_BUFFER_MAX + 1), ..Settings::default() },
        Settings { instances_max: InstancesMax::Limited(0), ..Settings::default() },
        listed(vec![entry; limit::PIPE_ACCESS_MAX + 1]),
    ] {
        let id = world.listen(user(ALICE), "echo", settings, 1);
        assert_eq!(world.code(id), 87);
    }
    let many = Caller { groups: (0..limit::RECORD_MAX as u32).collect(), ..user(ALICE) };
    let id = world.listen(many, "echo", Settings::default(), 1);
    assert_eq!(world.code(id), 87, "it could not be kept for a new daemon");
    assert_eq!(world.pipe_status(&pipe("echo")), None, "nothing of it is left");
}

#[test]
fn more_than_the_maximum_do_not_listen_and_the_server_is_told() {
    let mut world = empty();
    let id = world.listen(user(ALICE), "echo", open_to_all(2), 5);
    let server = world.server(id);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(3))]);
    let told = world.last.iter().position(|effect| matches!(effect, Effect::TellPipeServer { .. }));
    let answered = world.last.iter().position(|effect| matches!(effect, Effect::Reply { .. }));
    assert!(answered < told, "before the answer nobody knows that server");
    world.more_listen(server, 1);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(1))]);
    let id = world.listen(user(ALICE), "echo", open_to_all(2), 1);
    assert_eq!(refused(&world, id), Refusal::InstancesFull);
    let id = world.listen(user(ALICE), "many", open_to_all(254), 100);
    let server = world.server(id);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(100 - limit::PIPE_LISTENING_MAX))]);
    world.more_listen(server, u32::MAX - 100);
    assert_eq!(status(&world, "many").listening, limit::PIPE_LISTENING_MAX);
}

#[test]
fn a_uid_has_so_many_servers_and_root_has_as_many_as_there_are() {
    let mut system = empty().system;
    let mut number = 0;
    let mut listen = |caller: Caller, text: String| {
        number += 1;
        let listen = Listen { name: pipe(&text), settings: None, first: false, listening: 1 };
        let request = Request::Pipe(PipeRequest::Listen(Box::new(listen)));
        let now = session0_model::time::Time(2_000_000_000);
        let effects = system.handle(now, Input::Request { id: RequestId(number), caller, request });
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { result, .. } => Some(result.map(|_| ())),
            _ => None,
        })
    };
    let full = Some(Err(system::Refusal::Pipe(Refusal::TooManyPipes)));
    let users = (limit::PIPES_MAX - limit::PIPES_KEPT) / limit::PIPES_PER_UID_MAX;
    for uid in 1..=users as u32 {
        for pipe in 0..limit::PIPES_PER_UID_MAX {
            assert_eq!(listen(user(uid), format!("{uid}.{pipe}")), Some(Ok(())));
        }
        assert_eq!(listen(user(uid), format!("{uid}.more")), full);
    }
    assert_eq!(listen(user(ALICE), "x".to_string()), full, "what is left is root's and the services'");
    for pipe in 0..limit::PIPES_KEPT {
        assert_eq!(listen(root(), format!("root.{pipe}")), Some(Ok(())));
    }
    assert_eq!(listen(root(), "x".to_string()), full);
    system.check_invariants();
}

#[test]
fn a_uid_has_so_many_instances_in_all_its_pipes_and_root_has_no_such_limit() {
    let most = limit::PIPE_INSTANCES_PER_UID_MAX;
    for (caller, code) in [(user(ALICE), 231), (root(), 0)] {
        let mut world = empty();
        let unlimited = || Settings { instances_max: InstancesMax::Unlimited, ..open_to_all(1) };
        let id = world.listen(caller.clone(), "echo", unlimited(), limit::PIPE_LISTENING_MAX);
        let server = world.server(id);
        for round in 1..=most / limit::PIPE_LISTENING_MAX {
            // Without the checks of a step: these are many.
            let mut take = |input| world.system.handle(world.now, input);
            if round > 1 {
                take(Input::PipeSaid { server, said: Said::Listen(limit::PIPE_LISTENING_MAX) });
            }
            for _ in 0..limit::PIPE_LISTENING_MAX {
                let (name, access) = (pipe("echo"), None);
                let impersonation = Impersonation::Anonymous;
                let open = PipeRequest::Open { name, access, impersonation, wait: Wait::Not };
                take(Input::Request { id: RequestId(0), caller: root(), request: Request::Pipe(open) });
            }
        }
        assert_eq!(status(&world, "echo").connected, most);
        world.pipes.servers.clear();
        world.pipes.taking_over = true;
        let id = world.listen(caller, "other", unlimited(), 1);
        assert_eq!(world.code(id), code);
        world.step(Input::PipeServerGone(server));
        world.system.check_invariants();
    }
}

// Opening.

#[test]
fn a_client_is_paired_with_an_instance_that_listens_and_then_it_is_busy() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 1);
    let open = world.open(user(BOB), "ECHO", Wait::Not);
    let opened = world.opened(open).clone();
    assert_eq!((opened.server, opened.server_peer.uid, opened.name.as_str()), (server, ALICE, "echo"));
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(refused(&world, open), Refusal::Busy);
    let now = status(&world, "echo");
    assert_eq!((now.listening, now.connected, now.opened, now.refused), (0, 1, 1, 1));
    world.close(server, opened.instance);
    world.more_listen(server, 1);
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_ne!(world.opened(open).instance, opened.instance);
}

#[test]
fn a_name_that_nobody_serves_is_not_there() {
    let mut world = web(Opening::Nothing);
    for text in ["nobody", "echo"] {
        let open = world.open(user(BOB), text, SECOND);
        assert_eq!(refused(&world, open), Refusal::NoSuchPipe);
        let wait = world.wait_for(user(BOB), text, SECOND);
        assert_eq!(refused(&world, wait), Refusal::NoSuchPipe);
    }
    assert_eq!(world.state("web").number(), 1, "and its service is not started");
}

#[test]
fn a_pipe_can_refuse_clients_outside_every_session() {
    let mut world = empty();
    let settings = Settings { refuse_outside: true, ..open_to_all(2) };
    world.listen(user(ALICE), "echo", settings, 1);
    for caller in [user(BOB), root(), user(ALICE)] {
        let open = world.open(caller, "echo", Wait::Not);
        assert_eq!(refused(&world, open), Refusal::OutsideRefused);
    }
    let open = world.open(rooted(1), "echo", Wait::Not);
    world.opened(open);
}

#[test]
fn without_a_list_a_pipe_is_for_its_owner_and_administrators() {
    let mut world = empty();
    world.configuration.administrators.0 = Grant { uids: vec![1002], gids: Vec::new() };
    let configuration = world.configuration.clone();
    world.step(Input::Loaded(configuration));
    world.listen(user(ALICE), "echo", Settings::default(), 4);
    let open = world.open(user(BOB), "echo", SECOND);
    assert_eq!(refused(&world, open), Refusal::NotListed);
    for caller in [user(ALICE), root(), user(1002)] {
        let open = world.open(caller, "echo", Wait::Not);
        assert_eq!(world.opened(open).access, Access::Duplex);
    }
}

#[test]
fn a_list_is_read_in_order_and_a_client_gets_what_it_gives() {
    let mut world = empty();
    let deny = Entry { effect: Gives::Deny, ..allow(Who::User(BOB), Rights::WRITE) };
    let settings = listed(vec![deny, allow(Who::Everyone, BOTH)]);
    world.listen(user(ALICE), "echo", settings, 4);
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(world.opened(open).access, Access::Read);
    for access in [Access::Write, Access::Duplex] {
        let open = world.open_for(user(BOB), "echo", Some(access), Wait::Not);
        assert_eq!(refused(&world, open), Refusal::NotListed);
    }
    let open = world.open(user(1002), "echo", Wait::Not);
    assert_eq!(world.opened(open).access, Access::Duplex);
}

#[test]
fn a_pipe_goes_its_way_and_who_may_nothing_is_not_told_which() {
    let mut world = empty();
    let settings = Settings { direction: Direction::Inbound, ..listed(vec![allow(Who::User(BOB), BOTH)]) };
    world.listen(user(ALICE), "in", settings, 4);
    let open = world.open(user(BOB), "in", Wait::Not);
    assert_eq!(world.opened(open).access, Access::Write);
    for access in [Access::Read, Access::Duplex] {
        let open = world.open_for(user(BOB), "in", Some(access), Wait::Not);
        assert_eq!(refused(&world, open), Refusal::WrongDirection);
        let open = world.open_for(user(1002), "in", Some(access), Wait::Not);
        assert_eq!(refused(&world, open), Refusal::NotListed);
    }
    let only_reads =
        Settings { direction: Direction::Inbound, ..listed(vec![allow(Who::User(BOB), Rights::READ)]) };
    world.listen(user(ALICE), "useless", only_reads, 1);
    let open = world.open(user(BOB), "useless", Wait::Not);
    assert_eq!(refused(&world, open), Refusal::NotListed);
}

#[test]
fn the_server_with_the_most_listening_is_next_and_of_two_the_older() {
    let mut world = empty();
    let settings = || open_to_all(100);
    let servers = [2, 3, 2].map(|listening| {
        let id = world.listen(user(ALICE), "echo", settings(), listening);
        world.server(id)
    });
    let order = [(); 7].map(|()| {
        let open = world.open(user(BOB), "echo", Wait::Not);
        let server = world.opened(open).server;
        servers.iter().position(|other| *other == server).expect("one of them")
    });
    assert_eq!(order, [1, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn an_anonymous_client_is_nobody_also_to_administrators() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 2);
    let (name, access, wait) = (pipe("echo"), None, Wait::Not);
    let open = PipeRequest::Open { name, access, impersonation: Impersonation::Anonymous, wait };
    world.request(user(BOB), Request::Pipe(open));
    world.pass(Duration::from_secs(1));
    let open = world.open(user(BOB), "echo", Wait::Not);
    let instance = world.opened(open).instance;
    let clients = status(&world, "echo").clients.expect("root sees them");
    let seen: Vec<_> = clients.iter().map(|client| client.caller.as_ref().map(|who| who.uid)).collect();
    assert_eq!(seen, [None, Some(BOB)]);
    assert_eq!((clients[1].instance, clients[1].since), (instance, world.now));
    world.close(server, instance);
    assert_eq!(status(&world, "echo").clients.map(|clients| clients.len()), Some(1));
}

#[test]
fn everybody_sees_pipes_and_only_the_owner_and_administrators_see_clients() {
    let mut world = web(Opening::Nothing);
    world.serve(user(ALICE), "alpha", 1);
    world.open(user(BOB), "alpha", Wait::Not);
    let mut seen = |caller: Caller| {
        let id = world.request(caller.clone(), Request::Pipe(PipeRequest::List));
        let Ok(Reply::Pipes(pipes)) = world.answer(id).clone() else { panic!("it is answered") };
        assert!(
            pipes.iter().all(|pipe| pipe.clients.is_none()),
            "clients of all pipes are too many for one answer"
        );
        let mut shown = |pipe: PipeStatus| {
            let id = world.request(caller.clone(), Request::Pipe(PipeRequest::Status(pipe.name.clone())));
            let Ok(Reply::Pipe(pipe)) = world.answer(id) else { panic!("it is answered") };
            (pipe.name.to_string(), pipe.clients.as_ref().map(Vec::len))
        };
        pipes.into_iter().map(&mut shown).collect::<Vec<_>>()
    };
    let (alpha, echo) = ("alpha".to_string(), "Echo".to_string());
    assert_eq!(seen(user(BOB)), [(alpha.clone(), None), (echo.clone(), None)]);
    assert_eq!(seen(user(ALICE)), [(alpha.clone(), Some(1)), (echo.clone(), None)]);
    assert_eq!(seen(root()), [(alpha, Some(1)), (echo, Some(0))]);
}

#[test]
fn an_answer_names_so_many_clients() {
    let mut world = empty();
    let unlimited = Settings { instances_max: InstancesMax::Unlimited, ..open_to_all(1) };
    let id = world.listen(user(ALICE), "alpha", unlimited, 1);
    let server = world.server(id);
    let open = || PipeRequest::Open {
        name: pipe("alpha"),
        access: None,
        impersonation: Impersonation::Identification,
        wait: Wait::Not,
    };
    for number in 0..=limit::PIPE_CLIENTS_SHOWN_MAX as u64 {
        // Without the checks of a step: these are many.
        let mut take = |input| world.system.handle(world.now, input);
        take(Input::Request {
            id: RequestId(1_000_000 + number),
            caller: user(BOB),
            request: Request::Pipe(open()),
        });
        take(Input::PipeSaid { server, said: Said::Listen(1) });
    }
    let status = status(&world, "alpha");
    assert_eq!(status.connected as usize, limit::PIPE_CLIENTS_SHOWN_MAX + 1);
    assert_eq!(status.clients.map(|clients| clients.len()), Some(limit::PIPE_CLIENTS_SHOWN_MAX));
}

// Waiting.

#[test]
fn clients_wait_in_the_order_they_came() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 0);
    let waiting = [(); 3].map(|()| world.open(user(BOB), "echo", SECOND));
    assert_eq!(status(&world, "echo").waiting, 3);
    world.more_listen(server, 2);
    for id in &waiting[..2] {
        world.opened(*id);
    }
    assert!(world.waiting.contains(&waiting[2]));
    let instance = world.opened(waiting[0]).instance;
    world.close(server, instance);
    world.more_listen(server, 1);
    world.opened(waiting[2]);
}

#[test]
fn another_server_serves_who_waits_and_the_servers_own_answer_comes_first() {
    let mut world = empty();
    world.serve(user(ALICE), "echo", 0);
    let open = world.open(user(BOB), "echo", SECOND);
    world.serve(user(ALICE), "echo", 1);
    world.opened(open);
    let replies: Vec<bool> = world
        .last
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply { id, .. } => Some(*id == open),
            _ => None,
        })
        .collect();
    assert_eq!(replies, [false, true]);
}

#[test]
fn a_client_waits_the_pipes_own_time_or_its_own_and_then_is_told() {
    let mut world = empty();
    world.serve(user(ALICE), "echo", 0);
    let (default, own) =
        (world.open(user(BOB), "echo", Wait::Default), world.open(user(BOB), "echo", SECOND));
    world.pass(limit::PIPE_DEFAULT_TIMEOUT);
    assert_eq!(refused(&world, default), Refusal::TimedOut);
    assert!(world.waiting.contains(&own));
    world.pass(Duration::from_secs(1));
    assert_eq!(refused(&world, own), Refusal::TimedOut);
    assert_eq!(world.system.deadline(), None, "nothing is left to be done");
}

#[test]
fn so_many_clients_wait_and_the_next_is_refused() {
    let mut world = empty();
    world.serve(user(ALICE), "echo", 0);
    let waiting = |world: &World| status(world, "echo").waiting as usize;
    for _ in 0..=limit::PIPE_WAITERS_PER_UID_MAX {
        world.open(user(BOB), "echo", SECOND);
    }
    assert_eq!(waiting(&world), limit::PIPE_WAITERS_PER_UID_MAX, "one of them leaves room for others");
    while waiting(&world) < limit::PIPE_WAITERS_MAX {
        world.open(root(), "echo", SECOND);
    }
    for caller in [user(BOB), user(ALICE), root()] {
        let open = world.open(caller, "echo", SECOND);
        assert_eq!(refused(&world, open), Refusal::TooManyWaiters);
    }
}

#[test]
fn who_waits_for_a_pipe_is_told_when_one_is_free_and_does_not_take_it() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 1);
    let wait = world.wait_for(user(BOB), "echo", SECOND);
    assert_eq!(world.answer(wait), &Ok(Reply::Done));
    let open = world.open(user(BOB), "echo", Wait::Not);
    world.opened(open);
    let (wait, open) = (world.wait_for(user(BOB), "echo", SECOND), world.open(user(BOB), "echo", SECOND));
    let behind = world.wait_for(user(BOB), "echo", SECOND);
    world.more_listen(server, 1);
    assert_eq!(world.answer(wait), &Ok(Reply::Done));
    world.opened(open);
    assert!(world.waiting.contains(&behind), "it was taken before its turn came");
    world.pass(Duration::from_secs(1));
    assert_eq!(refused(&world, behind), Refusal::TimedOut);
    let wait = world.wait_for(user(BOB), "echo", Wait::Not);
    assert_eq!(refused(&world, wait), Refusal::TimedOut);
}

#[test]
fn to_wait_for_a_pipe_needs_a_right_on_it() {
    let mut world = empty();
    let list = vec![allow(Who::User(BOB), Rights::READ), allow(Who::User(1002), Rights::INSTANCE)];
    world.listen(user(ALICE), "echo", listed(list), 1);
    let wait = world.wait_for(user(BOB), "echo", SECOND);
    assert_eq!(world.answer(wait), &Ok(Reply::Done));
    let wait = world.wait_for(user(1002), "echo", SECOND);
    assert_eq!(refused(&world, wait), Refusal::NotListed);
}

#[test]
fn when_the_last_server_goes_who_waits_is_told_that_there_is_no_such_pipe() {
    let mut world = empty();
    let servers = [world.serve(user(ALICE), "echo", 0), world.serve(user(ALICE), "echo", 0)];
    let (open, wait) = (world.open(user(BOB), "echo", SECOND), world.wait_for(user(BOB), "echo", SECOND));
    world.server_goes(servers[0]);
    assert_eq!(world.waiting.len(), 2);
    world.server_goes(servers[1]);
    for id in [open, wait] {
        assert_eq!(refused(&world, id), Refusal::NoSuchPipe);
    }
    assert_eq!(world.pipe_status(&pipe("echo")), None);
    assert!(world.init.as_ref().is_some_and(|init| !init.records.keys().any(|key| key.starts_with("pipe."))));
}

#[test]
fn a_client_that_left_is_given_nothing() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 0);
    let first = world.open(user(BOB), "echo", SECOND);
    world.open(user(BOB), "echo", SECOND);
    assert!(world.abandon());
    world.more_listen(server, 2);
    world.opened(first);
    assert_eq!(status(&world, "echo").listening, 1);
}

#[test]
fn who_waits_hears_of_a_shutdown() {
    let mut world = empty();
    world.serve(user(ALICE), "echo", 0);
    let (open, wait) = (world.open(user(BOB), "echo", SECOND), world.wait_for(user(BOB), "echo", SECOND));
    world.host(HostRequest::Shutdown);
    let late = world.open(user(BOB), "echo", SECOND);
    for id in [open, wait, late] {
        assert_eq!(world.code(id), 1115);
    }
}

// What servers say.

#[test]
fn a_server_closes_its_own_instances_once_each_or_is_dropped() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "mine", 2);
    let other = world.serve(user(BOB), "his", 1);
    let [mine, his] = ["mine", "his"].map(|text| {
        let open = world.open(root(), text, Wait::Not);
        world.opened(open).instance
    });
    world.close(server, mine);
    assert_eq!(world.pipes.dropped, []);
    for (server, instance) in [(other, mine), (server, his)] {
        let mut world = world.clone();
        world.pipes.servers.remove(&server);
        world.said(server, Said::Closed(instance));
        assert_eq!(world.pipes.dropped, [server]);
        assert_eq!(world.pipes.servers.len(), 1);
    }
    world.pipes.servers.remove(&server);
    world.said(server, Said::Closed(mine));
    assert_eq!(world.pipes.dropped, [server], "it is closed already");
    assert_eq!(world.pipe_status(&pipe("mine")), None);
    assert_eq!(status(&world, "his").connected, 1);
}

#[test]
fn a_server_that_counts_without_being_asked_is_dropped() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 1);
    world.count(server);
    assert_eq!(
        (world.pipes.dropped.as_slice(), world.pipe_status(&pipe("echo"))),
        ([server].as_slice(), None)
    );
}

#[test]
fn who_stops_listening_keeps_the_name_until_the_last_client_is_gone() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 2);
    let open = world.open(user(BOB), "echo", Wait::Not);
    let instance = world.opened(open).instance;
    world.stop_listening(server);
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(refused(&world, open), Refusal::Busy);
    world.more_listen(server, 1);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(1))]);
    world.close(server, instance);
    assert_eq!(world.pipes.dropped, [server]);
    assert!(world.did(&Effect::UnbindPipe(pipe("echo"))));
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(refused(&world, open), Refusal::NoSuchPipe);
}

#[test]
fn an_instance_that_did_not_reach_its_server_listens_again() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 1);
    let first = world.open(user(BOB), "echo", Wait::Not);
    let waits = world.open(user(BOB), "echo", SECOND);
    let lost = world.opened(first).instance;
    world.lose(server, lost);
    assert_ne!(world.opened(waits).instance, lost);
    for (server, instance) in [(server, lost), (server, InstanceId(0)), (ServerId(0), lost)] {
        world.step(Input::PipeLost { server, instance });
        assert_eq!(world.last, [], "it is nobody's");
    }
}

#[test]
fn an_instance_that_is_lost_after_the_server_stopped_is_gone() {
    let mut world = empty();
    let server = world.serve(user(ALICE), "echo", 1);
    let open = world.open(user(BOB), "echo", Wait::Not);
    let instance = world.opened(open).instance;
    world.stop_listening(server);
    world.step(Input::PipeLost { server, instance });
    assert_eq!(
        (world.pipes.dropped.as_slice(), world.pipe_status(&pipe("echo"))),
        ([server].as_slice(), None)
    );
}

#[test]
fn a_lost_instance_that_does_not_fit_any_more_is_refused() {
    let mut world = empty();
    let id = world.listen(user(ALICE), "echo", open_to_all(254), limit::PIPE_LISTENING_MAX);
    let server = world.server(id);
    let open = world.open(user(BOB), "echo", Wait::Not);
    let instance = world.opened(open).instance;
    world.more_listen(server, 1);
    assert_eq!(world.pipes.told, []);
    world.lose(server, instance);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(1))]);
}

#[test]
fn who_is_unknown_is_not_heard() {
    let mut world = empty();
    for input in [
        Input::PipeServerGone(ServerId(1)),
        Input::PipeSaid { server: ServerId(1), said: Said::Listen(1) },
        Input::PipeSaid { server: ServerId(1), said: Said::Closed(InstanceId(1)) },
    ] {
        world.step(input);
        assert_eq!(world.last, []);
    }
}
