//! Sessions as they were in Windows XP: what the walls are for.

use session0_system_tests::{PASSWORD, article_host, eventually};

use crate::Claim;

const fn claim(number: &'static str, sentence: &'static str) -> Claim {
    Claim { number, sentence, mode: "xp" }
}

const A11: Claim = claim("A11", "in XP the first user gets Session 0, the second Session 1");
const A12: Claim = claim("A12", "that is dangerous: a user's program kills a service without being one");

/// Shows the claims.
pub fn tour() {
    let host = &article_host("xp");
    let alice = host.logon("alice", PASSWORD);
    let bob = host.logon("bob", PASSWORD);
    A11.s0(host, &["session", "list"], |_| {
        host.sessions_of("alice") == [0] && host.sessions_of("bob") == [1]
    });
    let before = host.pids("hers");
    let line = "pkill -9 -f 'sleep 4711' && echo killed";
    A12.typed(host, &alice, line, |said| {
        eventually("it is dead", || host.pids("hers") != before);
        said.contains("killed")
    });
    A12.s0(host, &["service", "status", "hers"], |run| run.out.contains("KILL") || run.out.contains("1 "));
    drop((alice, bob));
}
