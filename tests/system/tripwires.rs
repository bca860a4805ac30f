//! A service that wants a person is named (article.md A17).

use session0_system_tests::{HostBuilder, eventually, needs_root};

#[test]
fn a_service_that_connects_to_a_display_waits_for_a_user_nobody_can_see() {
    if !needs_root("a_service_that_connects_to_a_display_waits_for_a_user_nobody_can_see") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let host = builder
        .service("window", &format!("command = [{probe:?}, 'connect-and-wait', '/tmp/.X11-unix/X0']\nstart = 'auto'\naccount = 'nobody'\n"))
        .service("wayland", &format!("command = [{probe:?}, 'connect-and-wait', '/run/user/65534/wayland-0']\nstart = 'auto'\naccount = 'nobody'\n"))
        .start();
    for (name, socket) in [("window", "X0"), ("wayland", "wayland-0")] {
        eventually(&format!("{name} is marked"), || !host.service(name)["waits_for_user"].is_null());
        let status = host.s0(&["service", "status", name]).out;
        assert!(status.contains("waiting for a user nobody can see"), "{status}");
        assert!(status.contains(socket), "{status}");
    }
    // The daemon's death does not close the connection, and it is still known afterwards.
    let (daemon, before) = (host.daemon_pid(), host.pids("window"));
    host.kill(daemon);
    host.wait_new_daemon(daemon);
    assert_eq!(host.pids("window"), before);
    assert!(!host.service("window")["waits_for_user"].is_null());
    assert!(host.s0(&["status"]).out.contains("window"));
}

#[test]
fn a_service_that_opens_the_terminal_is_named_and_refused() {
    if !needs_root("a_service_that_opens_the_terminal_is_named_and_refused") {
        return;
    }
    let host = HostBuilder::new()
        .service("asks", "command = ['/bin/sh', '-c', 'read answer </dev/tty; echo answer $?; exec sleep 1000']\nstart = 'auto'\naccount = 'nobody'\n")
        .start();
    host.wait_log("asks", "answer");
    eventually("it is marked", || !host.service("asks")["waits_for_user"].is_null());
    let status = host.s0(&["service", "status", "asks"]).out;
    assert!(status.contains("/dev/tty") && status.contains("waiting for a user nobody can see"), "{status}");
    assert!(
        std::fs::read_to_string(host.root().join("var/log/session0/events.jsonl"))
            .expect("written")
            .contains("/dev/tty")
    );
}
