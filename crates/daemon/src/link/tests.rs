use super::*;
use session0_model::id::{LaunchId, SessionId};
use session0_model::launch::exit::{ExitStatus, Usage};
use session0_model::launch::wire::{self, FromInit, Remains};
use session0_model::limit;
use session0_model::time::Time;
use session0_sys::packet::{self, Received};

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn store(key: &str, bytes: usize) -> ToInit {
    ToInit::Store { key: key.into(), bytes: vec![7; bytes] }
}

/// Packets that the other end has now, each as its messages and the number of descriptors.
fn heard(socket: &OwnedFd) -> Vec<(Vec<ToInit>, usize)> {
    let mut buffer = vec![0; limit::PACKET_MAX];
    let mut packets = Vec::new();
    while let Received::Packet { length, descriptors } = packet::receive(socket.as_fd(), &mut buffer).unwrap()
    {
        let mut rest = &buffer[..length];
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let (message, after) = wire::decode(rest).unwrap();
            messages.push(message);
            rest = after;
        }
        packets.push((messages, descriptors.len()));
    }
    packets
}

fn tell(socket: &OwnedFd, messages: &[FromInit]) {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| wire::encode(message, &mut bytes));
    packet::send(socket.as_fd(), &bytes, &[]).unwrap();
}

#[test]
fn what_fits_goes_in_one_packet_and_descriptors_go_alone() {
    run(async {
        let (ours, init) = packet::pair().unwrap();
        let (link, _incoming) = Link::over(ours).unwrap();
        link.say(&store("a", 10));
        link.say(&store("b", 10));
        link.say_with(
            &ToInit::Keep { key: "fd".into() },
            vec![std::fs::File::open("/dev/null").unwrap().into()],
        );
        link.say(&store("c", 10));
        link.say(&store("d", limit::PACKET_MAX - 100));
        link.say(&store("e", 200));
        assert!(heard(&init).is_empty(), "nothing leaves before the flush");
        assert_eq!(link.flush().unwrap(), Flushed::All);
        let shape: Vec<(usize, usize)> =
            heard(&init).iter().map(|(messages, descriptors)| (messages.len(), *descriptors)).collect();
        assert_eq!(shape, [(2, 0), (1, 1), (2, 0), (1, 0)]);
    });
}

#[test]
fn five_hundred_launches_are_a_handful_of_packets() {
    run(async {
        let (ours, init) = packet::pair().unwrap();
        let (link, _incoming) = Link::over(ours).unwrap();
        for _ in 0..500 {
            link.say(&store("service", 600));
        }
        assert_eq!(link.flush().unwrap(), Flushed::All);
        assert!(heard(&init).len() <= 3);
    });
}

#[test]
fn a_full_socket_keeps_the_order_and_sends_later() {
    run(async {
        let (ours, init) = packet::pair().unwrap();
        let (link, _incoming) = Link::over(ours).unwrap();
        for number in 0..100 {
            link.say(&store(&number.to_string(), 100_000));
        }
        assert_eq!(link.flush().unwrap(), Flushed::Later);
        let mut keys = Vec::new();
        let mut drained = std::pin::pin!(link.drained());
        loop {
            for (messages, _) in heard(&init) {
                keys.extend(messages.into_iter().map(|message| match message {
                    ToInit::Store { key, .. } => key,
                    other => panic!("{other:?}"),
                }));
            }
            let soon = std::time::Duration::from_millis(20);
            if tokio::time::timeout(soon, &mut drained).await.is_ok() {
                break;
            }
        }
        for (messages, _) in heard(&init) {
            assert_eq!(messages.len(), 1);
            keys.push(String::new());
        }
        assert_eq!(keys.len(), 100);
        let ordered = keys.iter().enumerate().all(|(index, key)| key.is_empty() || *key == index.to_string());
        assert!(ordered, "{keys:?}");
    });
}

#[test]
fn an_init_that_never_reads_ends_the_link() {
    run(async {
        let (ours, _init) = packet::pair().unwrap();
        let (link, _incoming) = Link::over(ours).unwrap();
        let error = (0..2000).find_map(|_| {
            link.say(&store("x", 100_000));
            link.flush().err()
        });
        assert!(error.is_some());
    });
}

#[test]
fn the_replay_is_heard_out() {
    run(async {
        let (ours, init) = packet::pair().unwrap();
        let (link, mut incoming) = Link::over(ours).unwrap();
        let (launch, at, remains) = (LaunchId(4), Time(5), Remains::Nothing);
        let status = ExitStatus::Exited(3);
        tell(&init, &[FromInit::Hello { protocol: 9, session: SessionId(0), prepared: true }]);
        tell(
            &init,
            &[
                FromInit::Stored { key: "k".into(), bytes: vec![1] },
                FromInit::Alive { launch, unit: "web".into(), pid: 12, group: 77, at },
                FromInit::Exited { sequence: 8, launch: LaunchId(1), status, at, remains },
                FromInit::ExitedWithUsage {
                    sequence: 9,
                    launch: LaunchId(2),
                    status,
                    at,
                    remains,
                    usage: Usage::default(),
                },
                FromInit::Replayed,
                FromInit::GroupEmpty { unit: "web".into() },
            ],
        );
        let replay = hello(&link, &mut incoming).await.unwrap();
        assert_eq!((replay.recovered.protocol, replay.prepared, replay.exit), (9, true, 9));
        assert_eq!(replay.recovered.records, [("k".into(), vec![1])]);
        assert_eq!(
            replay.recovered.exits.iter().map(|exit| exit.usage.is_some()).collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(replay.groups, [(77, "web".into())]);
        assert_eq!(heard(&init), [(vec![ToInit::Hello { protocol: wire::PROTOCOL }], 0)]);
        // What came in the same packet after the replay is not lost.
        assert_eq!(
            incoming.next().await.unwrap().map(|(message, _)| message),
            Some(FromInit::GroupEmpty { unit: "web".into() })
        );
    });
}

#[test]
fn an_init_too_old_or_talking_nonsense_is_an_error() {
    run(async {
        for (first, kind) in [
            (
                FromInit::Hello { protocol: 0, session: SessionId(0), prepared: true },
                io::ErrorKind::Unsupported,
            ),
            (FromInit::Replayed, io::ErrorKind::Other),
        ] {
            let (ours, init) = packet::pair().unwrap();
            let (link, mut incoming) = Link::over(ours).unwrap();
            tell(&init, &[first]);
            assert_eq!(hello(&link, &mut incoming).await.err().unwrap().kind(), kind);
        }
        let (ours, init) = packet::pair().unwrap();
        let (_link, mut incoming) = Link::over(ours).unwrap();
        packet::send(init.as_fd(), &[0xff; 40], &[]).unwrap();
        assert!(incoming.next().await.is_err());
        let (ours, init) = packet::pair().unwrap();
        let (_link, mut incoming) = Link::over(ours).unwrap();
        drop(init);
        assert!(incoming.batch().await.unwrap().is_empty());
    });
}
