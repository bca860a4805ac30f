//! Sessions as they are since Windows Vista.

use session0_system_tests::{Host, PASSWORD, article_host};

use crate::{Claim, said};

const fn claim(number: &'static str, sentence: &'static str) -> Claim {
    Claim { number, sentence, mode: "vista" }
}

const A1: Claim = claim("A1", "services do low-level work quietly in the background");
const A2: Claim = claim("A2", "a service starts by itself when the computer starts");
const A3: Claim = claim("A3", "a service can be restarted");
const A4: Claim = claim("A4", "a service runs whether or not anybody is logged on");
const A5: Claim = claim("A5", "a service can run as another account");
const A6: Claim = claim("A6", "services do not disturb those at the machine");
const A7: Claim =
    claim("A7", "a program in a user's session does not reach a service, not even one of the same user");
const A8: Claim = claim("A8", "each user who logs on gets a separate session");
const A9: Claim = claim("A9", "Session 0 is made during start-up, the others as needed");
const A10: Claim = claim("A10", "services always run in Session 0, whoever starts them");
const A13: Claim = claim("A13", "Session 0 is only for services; users are in Session 1 or higher");
const A14: Claim =
    claim("A14", "no user interface in Session 0: no display, no graphics hardware, nobody to answer");
const A20: Claim =
    claim("A20", "services and programs talk by named pipes and RPC, and each knows who the other is");

/// Shows the claims.
pub fn tour() {
    let host = &article_host("vista");
    alone(host);
    let pid = host.service("clock")["pid"].clone();
    let alice = host.logon("alice", PASSWORD);
    let bob = host.logon("bob", PASSWORD);
    A4.s0(host, &["service", "status", "clock"], |_| host.service("clock")["pid"] == pid);
    A6.typed(host, &bob, "ps ax; ls /dev/pts", |said| said.contains("bash") && !said.contains("date"));
    let before = host.pids("hers");
    A7.typed(host, &alice, "pkill -9 -f 'sleep 4711' || echo nothing found", |said| {
        said.contains("nothing found") && host.pids("hers") == before
    });
    A8.s0(host, &["session", "list"], |run| ["alice", "bob"].iter().all(|name| run.out.contains(name)));
    made(host);
    A10.typed(host, &alice, "s0 service restart clock; ps ax", |said| {
        said.contains("clock is running") && !said.contains("date") && !host.pids("clock").is_empty()
    });
    A13.s0(host, &["session", "run", "0", "--", "sh"], |run| run.code == 1 && run.err.contains("no user"));
    hardware(host);
    A20.typed(host, &alice, "s0 pipe connect hello", |said| said.contains("hello, alice of session 1"));
    A20.typed(host, &bob, "s0 rpc call greeter Greet '{\"name\":\"you\"}'", |said| {
        said.contains("Hello you") && said.contains("from session 2")
    });
    A20.s0(host, &["pipe", "list"], |run| ["hello", "greeter"].iter().all(|name| run.out.contains(name)));
    drop((alice, bob));
}

/// Before anybody is there.
fn alone(host: &Host) {
    host.wait_state("clock", "Running");
    A1.s0(host, &["service", "list"], |run| run.out.matches("Running").count() >= 3);
    A2.s0(host, &["service", "status", "clock"], |run| run.out.contains("Running"));
    let before = host.pids("clock");
    A3.s0(host, &["service", "restart", "clock"], |run| run.code == 0 && host.pids("clock") != before);
    A5.s0(host, &["service", "status", "hers"], |run| run.out.contains("alice"));
}

fn made(host: &Host) {
    let run = host.s0(&["events"]);
    let lines: Vec<&str> =
        run.out.lines().filter(|line| line.contains("session") && line.contains("was made")).collect();
    let holds =
        lines.len() == 3 && lines.iter().zip(0..).all(|(line, id)| line.contains(&format!("session {id} ")));
    A9.show("s0 events | grep 'was made'", &lines.join("\n"), holds);
}

fn hardware(host: &Host) {
    host.s0(&["service", "start", "look"]);
    let log = host.wait_log("look", "looked");
    let refused = log.lines().filter(|line| line.starts_with("mknod") && !line.ends_with(": ok")).count();
    let run = host.s0(&["service", "log", "look"]);
    let devices =
        "s0 service log look      (it makes the nodes of the graphics card, the screen, the mouse, as root)";
    A14.show(devices, &said(host, &run), refused == 3);
    host.s0(&["service", "start", "asks"]);
    session0_system_tests::eventually("it is noticed", || {
        host.s0(&["service", "status", "asks"]).out.contains("waiting")
    });
    A14.s0(host, &["service", "status", "asks"], |run| run.out.contains("waiting for a user nobody can see"));
}
