//! Subscribers.

use std::os::fd::AsFd;

use session0::events::Notice;
use session0_api::event::EventKind;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::LogonFailure;

use super::*;
use crate::api::connection::gone;

fn running(name: &str) -> Event {
    Event::ServiceState { service: super::name(name), state: State::Running }
}

#[test]
fn a_subscriber_gets_everything_and_then_what_happens() {
    with_server(Limits { idle_time: Duration::from_millis(20), ..Limits::default() }, async |server| {
        server.host.emit(Event::HostStarted);
        let mut events = session0::asynchronous::Events::connect(&server.path()).await.expect("subscribe");
        let Some(Ok(Notice::Snapshot(snapshot))) = events.next().await else { panic!("a snapshot") };
        assert_eq!((snapshot.sequence, snapshot.services.len(), snapshot.sessions.len()), (1, 2, 1));
        // A subscription is not idle, however quiet it is.
        tokio::time::sleep(Duration::from_millis(60)).await;
        for name in ["redis", "web", "mail"] {
            server.host.emit(running(name));
        }
        for (sequence, name) in [(2, "redis"), (3, "web"), (4, "mail")] {
            let Some(Ok(Notice::Event(happening))) = events.next().await else { panic!("an event") };
            assert_eq!((happening.sequence, happening.at_ms), (sequence, 5));
            assert_eq!(happening.event.kind, EventKind::ServiceState);
            assert_eq!(happening.event.service.as_deref(), Some(name));
            assert_eq!(happening.event.text, format!("{name} is running"));
        }
    });
}

#[test]
fn only_administrators_are_told_how_logons_fail() {
    with_server(Limits::default(), async |server| {
        let mut root = session0::asynchronous::Events::connect(&server.path()).await.expect("subscribe");
        let Some(Ok(Notice::Snapshot(_))) = root.next().await else { panic!("a snapshot") };
        server.host.0.identify.set(Identify::Somebody);
        let mut somebody = session0::asynchronous::Events::connect(&server.path()).await.expect("subscribe");
        let Some(Ok(Notice::Snapshot(_))) = somebody.next().await else { panic!("a snapshot") };
        let account = AccountName::new("hunter2").expect("a name");
        server.host.emit(Event::LogonFailed { account, uid: 0, reason: LogonFailure::UnknownAccount });
        server.host.emit(running("redis"));
        for (subscriber, kinds) in [
            (&mut root, &[EventKind::LogonFailed, EventKind::ServiceState][..]),
            (&mut somebody, &[EventKind::ServiceState][..]),
        ] {
            for kind in kinds {
                let Some(Ok(Notice::Event(happening))) = subscriber.next().await else { panic!("an event") };
                assert_eq!(happening.event.kind, *kind);
            }
        }
    });
}

#[test]
fn without_more_there_is_one_snapshot_and_the_connection_goes_on() {
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        let snapshot = peer.call(r#"{"method":"io.session0.Host.Events"}"#).await;
        assert!(snapshot["continues"].is_null());
        assert_eq!(snapshot["parameters"]["services"][0]["name"], "redis");
        let version = peer.call(r#"{"method":"io.session0.Host.Version"}"#).await;
        assert_eq!(version["parameters"]["product"], "session0");
        assert_eq!(server.host.subscribers(), 0);
    });
}

#[test]
fn a_subscriber_that_hangs_up_is_noticed_while_nothing_happens() {
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        assert_eq!(peer.call(r#"{"method":"io.session0.Host.Events","more":true}"#).await["continues"], true);
        assert_eq!(server.host.subscribers(), 1);
        drop(peer);
        until(|| server.host.subscribers() == 0).await;
    });
}

#[test]
fn a_subscriber_that_is_too_far_behind_is_cut_off() {
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        peer.call(r#"{"method":"io.session0.Host.Events","more":true}"#).await;
        for _ in 0..=RING {
            server.host.emit(running("redis"));
        }
        gone(peer.stream.as_fd()).await;
        assert_eq!(server.host.subscribers(), 0);
        server.assert_serves().await;
    });
}

#[test]
fn a_subscriber_outlives_the_daemon() {
    with_server(Limits::default(), async |server| {
        let mut events = session0::asynchronous::Events::connect(&server.path()).await.expect("subscribe");
        assert!(matches!(events.next().await, Some(Ok(Notice::Snapshot(_)))));
        // The old daemon's end closes its connections; the new one goes on counting.
        server.host.0.sequence.set(7);
        *server.host.0.ring.borrow_mut() = broadcast::channel(RING).0;
        assert!(matches!(events.next().await, Some(Ok(Notice::Interrupted(_)))));
        let Some(Ok(Notice::Snapshot(snapshot))) = events.next().await else { panic!("a snapshot") };
        assert_eq!(snapshot.sequence, 7);
        server.host.emit(running("redis"));
        assert!(matches!(events.next().await, Some(Ok(Notice::Event(_)))));
    });
}

#[test]
fn the_blocking_subscriber_outlives_the_daemon_and_ends_when_the_host_is_gone() {
    with_server(Limits::default(), async |server| {
        let path = server.path();
        let (told, tell) = std::sync::mpsc::channel();
        let reader = tokio::task::spawn_blocking(move || {
            let mut events = session0::events::Events::connect(&path).expect("subscribe");
            events.set_patience(Duration::from_millis(100));
            for notice in events {
                let kind = match notice {
                    Ok(Notice::Snapshot(_)) => "snapshot",
                    Ok(Notice::Event(_)) => "event",
                    Ok(Notice::Interrupted(_)) => "interrupted",
                    Err(_) => "error",
                };
                told.send(kind).expect("somebody listens");
            }
        });
        let next = async || loop {
            match tell.try_recv() {
                Ok(kind) => return kind,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(next().await, "snapshot");
        *server.host.0.ring.borrow_mut() = broadcast::channel(RING).0;
        assert_eq!(next().await, "interrupted");
        assert_eq!(next().await, "snapshot");
        server.host.emit(running("redis"));
        assert_eq!(next().await, "event");
        std::fs::remove_file(server.path()).expect("remove the socket");
        *server.host.0.ring.borrow_mut() = broadcast::channel(RING).0;
        assert_eq!(next().await, "interrupted");
        assert_eq!(next().await, "error");
        reader.await.expect("no panic");
    });
}
