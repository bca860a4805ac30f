//! What the tests of the article's claims and their demo stand on.

use crate::host::{Host, HostBuilder, binary};

/// A host with services: one as each kind of account, one that would disturb, one that waits for somebody, two that are reached by named
/// pipes. And with alice, who may control one of them, and bob.
pub fn article_host(isolation: &str) -> Host {
    let disturb = "while :; do for t in /dev/pts/* /dev/tty /dev/console; do echo intrusion > $t; done 2>/dev/null; \
        wall intrusion 2>/dev/null; echo disturbed; sleep 0.2; done";
    let look = "ls /dev/dri /dev/fb0 /dev/input /dev/nvidia0 2>/dev/null; \
        for n in c:226:0 c:29:0 c:13:64; do PROBE mknod $n:/var/tmp; done; echo looked; exec sleep 1000";
    let builder =
        HostBuilder::new().host_toml(&format!("isolation = \"{isolation}\"\nsessions_per_user = 2\n"));
    let look = look.replace("PROBE", &builder.probe());
    let file = |command: &str, account: &str, start: &str| {
        format!("command = ['/bin/sh', '-c', '''{command}''']\naccount = '{account}'\nstart = '{start}'\n")
    };
    let s0 = builder.visible().join("s0").display().to_string();
    let greeter = builder.visible().join("greeter");
    std::fs::copy(binary("greeter"), &greeter).expect("our own directory");
    let hello = "echo \"hello, $S0_PIPE_ACCOUNT of session $S0_PIPE_SESSION\"";
    let pipe = "access = ['interactive']\nstarts = true\n";
    let hello = format!(
        "command = {:?}\naccount = 'nobody'\n[pipe.'hello']\n{pipe}",
        [&s0, "pipe", "listen", "hello", "--", "/bin/sh", "-c", hello]
    );
    let greeter =
        format!("command = [{greeter:?}]\naccount = 'nobody'\n[pipe.'greeter']\nrpc = true\n{pipe}");
    let clock = file("while :; do date; sleep 1; done", "nobody", "auto");
    let host = builder
        .service("clock", &clock)
        .service("system", &file("exec sleep 1000", "LocalSystem", "auto"))
        .service("hello", &hello)
        .service("greeter", &greeter)
        .service("disturb", &file(disturb, "LocalSystem", "demand"))
        .service("look", &file(look.as_str(), "LocalSystem", "demand"))
        .service("asks", &file("read answer < /dev/tty; exec sleep 1000", "nobody", "demand"))
        .start();
    // What the service with the pipe is made of.
    host.visible_s0();
    for name in ["alice", "bob"] {
        host.person(name);
    }
    // Alice may control the clock, and a service runs as her: nothing but its session protects it from her programs.
    let services = host.root().join("etc/session0");
    let right = format!("{clock}control = {{ users = ['alice'] }}\n");
    std::fs::write(services.join("services/clock.toml"), right).expect("our own root");
    std::fs::write(services.join("services/hers.toml"), file("exec sleep 4711", "alice", "auto"))
        .expect("ours");
    host.s0(&["reload"]).ok();
    host.wait_state("hers", "Running");
    host
}
