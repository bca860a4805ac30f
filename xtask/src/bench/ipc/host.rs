//! A host of ours with the services of this bench.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::program::Program;
use crate::bench::Outcome;
use crate::bench::manager::{self, Manager, PATIENCE, Place, Session0};
use crate::bench::process::{Running, clean, pss};
use crate::bench::sessions::client::Api;

/// Further pipes that are there to be many.
const MANY: &str = "many";
/// Names that many clients are connected at.
const NAMES: usize = 100;
/// Processes that keep many descriptors between them.
const PROCESSES: usize = 10;

/// What a host is made to hold beside the few pipes of every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// Ten pipes in all.
    Few,
    /// So many clients at a hundred pipes.
    Connected(usize),
    /// So many pipes.
    Named(usize),
}

impl Crowd {
    /// Clients or pipes.
    pub fn size(self) -> usize {
        match self {
            Crowd::Few => 0,
            Crowd::Connected(count) | Crowd::Named(count) => count,
        }
    }
}

/// A running host.
pub struct Host {
    place: Place,
    running: Running,
    holders: Vec<(Child, Option<ChildStdin>)>,
}

/// KiB of the daemon and of Session 0's init.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// session0d.
    pub daemon: f64,
    /// session0-init.
    pub init: f64,
}

impl Host {
    /// Starts one with the bench's services, and those that a crowd needs, which are not started yet.
    pub fn launch(program: &Program, name: &str, crowd: Crowd) -> Outcome<Host> {
        let place = Place::new(program.root.join(name), &program.root.join("bin/stamp"), 1)?;
        let manager = Session0 { programs: program.root.join("bin") };
        manager.configure(&place)?;
        for (service, what, start) in [
            ("byte", "serve byte:bench-byte".to_owned(), "auto"),
            ("message", "serve message:bench-message".to_owned(), "auto"),
            ("rpc", "serve rpc:bench-rpc".to_owned(), "auto"),
            ("stream", format!("serve {}", inside(&place, "stream")), "auto"),
            ("seqpacket", format!("serve {}", inside(&place, "seqpacket")), "auto"),
            ("few", format!("serve-many few 0 {}", 7), "auto"),
        ] {
            write(program, &place, service, &what, start)?;
        }
        let (verb, count) = match crowd {
            Crowd::Few => ("serve-many", 0),
            Crowd::Connected(_) => ("keep-many", NAMES),
            Crowd::Named(count) => ("serve-many", count),
        };
        for number in (0..PROCESSES).filter(|_| count > 0) {
            let each = count / PROCESSES;
            write(
                program,
                &place,
                &format!("{MANY}-{number}"),
                &format!("{verb} {MANY} {} {each}", number * each),
                "demand",
            )?;
        }
        place.write(
            "root/etc/session0/services/sleeps.toml",
            "description = \"sleeps\"\ncommand = \"/bin/sleep infinity\"\nstart = \"demand\"\n",
        )?;
        let mut running = Running::start(manager.launch(&place), &place.root)?;
        running.wait_until(PATIENCE, || manager.is_ready(&place, None))?;
        let host = Host { place, running, holders: Vec::new() };
        for (what, address) in [
            ("round-trip", host.address("byte", "bench-byte")),
            ("round-trip", host.address("message", "bench-message")),
            ("call", host.address("rpc", "bench-rpc")),
            ("round-trip", host.inside("stream")),
            ("round-trip", host.inside("seqpacket")),
        ] {
            program.wait(what, &address)?;
        }
        Ok(host)
    }

    /// Something of this host, as seen from outside.
    pub fn address(&self, kind: &str, name: &str) -> String {
        format!("{kind}:{name}@{}", self.place.path("root").display())
    }

    /// The raw server of this kind that is a service.
    pub fn inside(&self, kind: &str) -> String {
        inside(&self.place, kind)
    }

    /// Makes the crowd; returns when it is whole.
    pub fn fill(&mut self, program: &Program, crowd: Crowd) -> Outcome<()> {
        match crowd {
            Crowd::Few => Ok(()),
            Crowd::Connected(clients) => {
                self.start_many(NAMES)?;
                (0..PROCESSES).try_for_each(|number| self.hold(program, number, clients / NAMES))
            }
            Crowd::Named(pipes) => self.start_many(pipes),
        }
    }

    /// Starts the services of the crowd and waits until the last name of each is served.
    fn start_many(&self, names: usize) -> Outcome<()> {
        let mut api = Api::connect(&manager::socket(&self.place))?;
        for number in 0..PROCESSES {
            let name = format!("{MANY}-{number}");
            api.call("io.session0.Service.Start", &json!({ "name": name }))?;
        }
        for number in 0..PROCESSES {
            let each = names / PROCESSES;
            self.served(&mut api, (number + 1) * each - 1)?;
        }
        Ok(())
    }

    fn served(&self, api: &mut Api, last: usize) -> Outcome<()> {
        let begun = Instant::now();
        let asked = json!({ "pipe": format!("{MANY}-{last}") });
        loop {
            match api.call("io.session0.Pipe.Status", &asked) {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(format!(
                        "{error}; the host says: {}{}",
                        self.running.last_messages(),
                        self.said()
                    ));
                }
                Err(_) => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What the first of the many servers wrote.
    fn said(&self) -> String {
        let log = self.place.path(&format!("root/var/log/session0/services/{MANY}-0.log"));
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().last().map(|line| format!(" / {line}")).unwrap_or_default()
    }

    /// Starts clients that open the names of one server and stay.
    fn hold(&mut self, program: &Program, number: usize, times: usize) -> Outcome<()> {
        let each = NAMES / PROCESSES;
        let mut command = program.command();
        let mut child = clean(&mut command, &self.place.root)
            .args(["open-many", &format!("{MANY}@{}", self.place.path("root").display())])
            .args([number * each, each, times].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("starting clients: {e}"))?;
        let stdout = child.stdout.take();
        let stdin = child.stdin.take();
        self.holders.push((child, stdin));
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line).map_err(|e| format!("hearing of clients: {e}"))?;
        }
        if line.is_empty() {
            Err(format!("clients of the pipes {MANY} have ended; see above"))
        } else {
            Ok(())
        }
    }

    /// What it keeps now.
    pub fn memory(&self) -> Outcome<Memory> {
        let of = |name: &str| {
            let found = self.running.find(name).and_then(|process| pss(process.pid));
            found.map(|kib| kib as f64).ok_or_else(|| format!("{name} is not there"))
        };
        Ok(Memory { daemon: of("session0d")?, init: of("session0-init")? })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for (child, stdin) in &mut self.holders {
            drop(stdin.take());
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn inside(place: &Place, kind: &str) -> String {
    format!("{kind}:{}", place.path(&format!("inside-{kind}")).display())
}

fn write(program: &Program, place: &Place, name: &str, what: &str, start: &str) -> Outcome<()> {
    let text = format!(
        "description = \"measured\"\ncommand = \"{} {what}\"\nstart = \"{start}\"\nrestart = \"never\"\nlimits = {{ tasks = 2000 }}\n",
        program.path.display()
    );
    place.write(&format!("root/etc/session0/services/{name}.toml"), &text).map(drop)
}
