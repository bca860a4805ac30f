//! Clients that send garbage, half a call, a call without an end, nothing, or never read: cut off, and nobody
//! else notices.

use std::os::fd::AsFd;

use tokio::io::AsyncWriteExt;

use super::*;
use crate::api::connection::gone;
use crate::api::dispatch;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn garbage_ends_only_its_own_connection() {
    let deep = "[".repeat(20_000) + "\0";
    let cases: [&[u8]; 10] = [
        b"\0",
        b"garbage\0",
        b"{\0",
        b"[]\0",
        b"[\"io.session0.Host.Version\"]\0",
        b"null\0",
        b"{}\0",
        b"{\"method\":5}\0",
        b"{\"method\":\"\xff\xfe\"}\0",
        deep.as_bytes(),
    ];
    with_server(Limits::default(), async |server| {
        let mut good = server.connect().await;
        for case in cases {
            let mut bad = server.connect().await;
            bad.send(case).await;
            assert!(bad.ended().await.is_empty());
            assert!(good.call(r#"{"method":"io.session0.Host.Version"}"#).await["error"].is_null());
        }
    });
}

#[test]
fn half_a_call_is_waited_for_only_so_long() {
    let limits = Limits { call_time: SHORT, ..Limits::default() };
    with_server(limits, async |server| {
        let mut bad = server.connect().await;
        bad.send(b"{\"method\":\"io.session0.Ho").await;
        server.assert_serves().await;
        assert!(bad.ended().await.is_empty());
        server.assert_serves().await;
    });
}

#[test]
fn a_call_that_comes_byte_by_byte_has_the_same_time() {
    let limits = Limits { call_time: SHORT, ..Limits::default() };
    with_server(limits, async |server| {
        let Peer { stream } = server.connect().await;
        let (mut reader, mut writer) = stream.into_split();
        let drip = async {
            while writer.write_all(b" ").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        let mut rest = Vec::new();
        // It may end with a reset: a byte may have come after the server's last look.
        let _ = futures_util::future::join(drip, reader.read_to_end(&mut rest)).await;
        assert!(rest.is_empty());
        server.assert_serves().await;
    });
}

#[test]
fn nothing_at_all_is_waited_for_only_so_long() {
    let limits = Limits { idle_time: SHORT, ..Limits::default() };
    with_server(limits, async |server| {
        let mut silent = server.connect().await;
        assert!(silent.ended().await.is_empty());
        // Who asked before has the same time again.
        let mut quiet = server.connect().await;
        quiet.call(r#"{"method":"io.session0.Host.Version"}"#).await;
        assert!(quiet.ended().await.is_empty());
        server.assert_serves().await;
    });
}

#[test]
fn a_hundred_megabytes_without_an_end_are_not_taken() {
    const CHUNK: usize = 64 * 1024;
    const ALL: usize = 100 * 1024 * 1024;
    with_server(Limits::default(), async |server| {
        let mut bad = server.connect().await;
        let mut sent = 0;
        while sent < ALL {
            match bad.stream.write(&[b'x'; CHUNK]).await {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        // What the server took and what the kernel held for it.
        assert!(sent < 2 * 1024 * 1024, "{sent} bytes were taken");
        server.assert_serves().await;
    });
}

#[test]
fn a_client_that_never_reads_is_cut_off() {
    let limits = Limits { write_time: SHORT, ..Limits::default() };
    with_server(limits, async |server| {
        *server.host.0.services.borrow_mut() =
            (0..1000).map(|number| status(&format!("s{number}"))).collect();
        let mut bad = server.connect().await;
        bad.send("{\"method\":\"io.session0.Service.List\"}\0".repeat(100).as_bytes()).await;
        server.assert_serves().await;
        gone(bad.stream.as_fd()).await;
        server.assert_serves().await;
    });
}

#[test]
fn a_subscriber_that_never_reads_is_cut_off() {
    let limits = Limits { write_time: SHORT, ..Limits::default() };
    with_server(limits, async |server| {
        let mut bad = server.connect().await;
        bad.send(b"{\"method\":\"io.session0.Host.Events\",\"more\":true}\0").await;
        until(|| server.host.subscribers() == 1).await;
        while server.host.subscribers() == 1 {
            let reason = "x".repeat(100_000);
            server.host.emit(Event::SessionFailed { session: SESSION_ZERO, reason });
            tokio::task::yield_now().await;
        }
        gone(bad.stream.as_fd()).await;
        server.assert_serves().await;
    });
}

#[test]
fn connections_beyond_the_limit_are_told_so_and_places_come_back() {
    let limits = Limits { clients: 3, reserved: 0, ..Limits::default() };
    with_server(limits, async |server| {
        let mut taken = Vec::new();
        for _ in 0..3 {
            let mut peer = server.connect().await;
            peer.call(r#"{"method":"io.session0.Host.Version"}"#).await;
            taken.push(peer);
        }
        let mut fourth = server.connect().await;
        let answer = fourth.receive().await;
        assert_eq!(answer["error"], "io.session0.Host.TooManyClients");
        assert_eq!(answer["parameters"]["code"], 1450);
        assert!(fourth.ended().await.is_empty());
        taken.pop();
        loop {
            let mut again = server.connect().await;
            // The place comes back once the server has seen the end; a refusal may be waiting till then.
            if again.call(r#"{"method":"io.session0.Host.Version"}"#).await["error"].is_null() {
                break;
            }
        }
    });
}

#[test]
fn many_connections_one_after_the_other_leave_nothing_behind() {
    with_server(Limits::default(), async |server| {
        let descriptors = || std::fs::read_dir("/proc/self/fd").expect("descriptors").count();
        server.assert_serves().await;
        for _ in 0..2000 {
            let mut peer = server.connect().await;
            peer.send(b"{\"method\":\"io.session0.Service.Start\",\"parameters\":{\"name\":\"slow\"}}\0")
                .await;
        }
        let inner = server.host.0.clone();
        until(|| inner.begun.get() == inner.abandoned.get()).await;
        server.assert_serves().await;
        // Other tests run in this process and have their own.
        assert!(descriptors() < 500, "{} descriptors are open", descriptors());
    });
}

/// Every call that is nearly right, against the dispatcher itself: a panic would fail this test.
#[test]
fn no_bytes_make_it_panic() {
    const CALLS: [&str; 4] = [
        r#"{"method":"io.session0.Service.Stop","parameters":{"name":"redis","wait":"begun","dependents":"stop"}}"#,
        r#"{"method":"io.session0.Host.Events","more":true,"oneway":false,"upgrade":null}"#,
        r#"{"parameters":{"interface":"io.session0.Host"},"method":"org.varlink.service.GetInterfaceDescription"}"#,
        r#"{"method":"io.session0.Service.OpenLog","parameters":{"name":"redis"}}"#,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let host = FalseHost::new();
    let caller = Caller { origin: Origin::Outside, uid: 0, groups: Vec::new(), pid: 1 };
    let mut seed = 0x5e55_1000_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for round in 0..20_000 {
        let mut bytes = CALLS[round % CALLS.len()].as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 | 2 => bytes.insert(at, b"\"{}[],:0tn\\"[random(11)]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(call) = serde_json::from_slice(&bytes) {
            runtime.block_on(async { drop(dispatch::handle(&host, &caller, &call).await) });
        }
    }
}
