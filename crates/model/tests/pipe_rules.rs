//! One rule of named pipes per test.

mod world;

use session0_model::pipe::request::{Tell, Wait};
use world::World;
use world::pipes::{open_to_all, pipe, user};

const ALICE: u32 = 1000;
const BOB: u32 = 1001;

#[test]
fn a_client_is_paired_with_an_instance_that_listens_and_then_it_is_busy() {
    let mut world = World::up(Vec::new());
    let server = world.serve(user(ALICE), "echo", 1);
    let open = world.open(user(BOB), "ECHO", Wait::Not);
    let opened = world.opened(open).clone();
    assert_eq!((opened.server, opened.server_peer.uid, opened.name.as_str()), (server, ALICE, "echo"));
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_eq!(world.code(open), 231);
    let status = world.pipe_status(&pipe("echo")).expect("it is there");
    assert_eq!((status.listening, status.connected, status.opened, status.refused), (0, 1, 1, 1));
    world.close(server, opened.instance);
    world.more_listen(server, 1);
    let open = world.open(user(BOB), "echo", Wait::Not);
    assert_ne!(world.opened(open).instance, opened.instance);
}

#[test]
fn more_than_the_maximum_do_not_listen_and_the_server_is_told() {
    let mut world = World::up(Vec::new());
    let id = world.listen(user(ALICE), "echo", open_to_all(2), 5);
    let server = world.server(id);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(3))]);
    world.more_listen(server, 1);
    assert_eq!(world.pipes.told, [(server, Tell::Refused(1))]);
}
