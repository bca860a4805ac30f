//! Real daemons from Debian's packages, as their files in `config/examples/` say.

use session0_system_tests::{Host, HostBuilder, Run, needs_root, skip};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

fn example(test: &str, name: &str, program: &str) -> Option<Host> {
    if !needs_root(test) {
        return None;
    }
    let installed = if program.contains('*') {
        std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some())
    } else {
        Path::new(program).exists()
    };
    if !installed {
        skip(test, &format!("{program} is not installed"));
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../config/examples/{name}.toml"));
    let text = std::fs::read_to_string(file).expect("the example is there");
    let host = HostBuilder::new().service(name, &text).start();
    host.wait_state(name, "Running");
    Some(host)
}

fn ask(port: u16, question: &str) -> String {
    session0_system_tests::eventually_value("it answers on loopback", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).ok()?;
        stream.write_all(question.as_bytes()).ok()?;
        let mut answer = [0; 512];
        let count = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..count]).into_owned()).filter(|text| !text.is_empty())
    })
}

fn owned_by(host: &Host, unit: &str, account: &str) {
    let uid = Run::of(Command::new("id").args(["-u", account])).ok().out;
    for pid in host.pids(unit) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or("").to_owned();
        assert!(line.split_whitespace().skip(1).all(|one| one == uid.trim()), "{unit} {pid}: {line}");
    }
}

#[test]
fn redis_from_debian_runs_under_its_own_account_and_answers() {
    let Some(host) =
        example("redis_from_debian_runs_under_its_own_account_and_answers", "redis", "/usr/bin/redis-server")
    else {
        return;
    };
    assert!(ask(6390, "PING\r\n").contains("PONG"));
    owned_by(&host, "redis", "redis");
    host.s0(&["service", "restart", "redis"]).ok();
    assert!(ask(6390, "PING\r\n").contains("PONG"));
}

#[test]
fn nginx_from_debian_runs_under_its_own_account_and_answers() {
    let Some(host) =
        example("nginx_from_debian_runs_under_its_own_account_and_answers", "nginx", "/usr/sbin/nginx")
    else {
        return;
    };
    assert!(ask(8090, "GET / HTTP/1.0\r\n\r\n").contains("200 OK"));
    owned_by(&host, "nginx", "www-data");
    host.wait_log("nginx", "GET /");
    host.s0(&["service", "stop", "nginx"]).ok();
}

#[test]
fn postgresql_from_debian_keeps_a_table() {
    let Some(host) = example("postgresql_from_debian_keeps_a_table", "postgresql", "/usr/lib/postgresql/*")
    else {
        return;
    };
    owned_by(&host, "postgresql", "postgres");
    let psql = |socket: &Path, query: &str| {
        Run::of(
            Command::new("psql").arg("-h").arg(socket).args(["-p", "5490", "-U", "postgres", "-Atc", query]),
        )
    };
    // Over loopback, and over the exposed socket.
    psql(
        Path::new("127.0.0.1"),
        "create table claims (id int, said text); insert into claims values (17, 'nobody can see it')",
    )
    .ok();
    let exposed = host.root().join("run/session0/expose/postgresql");
    let read = psql(&exposed, "select said from claims where id = 17").ok();
    assert_eq!(read.out.trim(), "nobody can see it");
    host.s0(&["service", "restart", "postgresql"]).ok();
    assert_eq!(psql(&exposed, "select count(*) from claims").ok().out.trim(), "1");
}
