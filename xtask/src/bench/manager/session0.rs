//! session0 itself, with everything on that is on by default: namespaces, device policy, Landlock, seccomp, a
//! control group and a log for each service.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Manager, Place, Start, first_line};
use crate::bench::Outcome;

/// See the module.
pub struct Session0 {
    /// The directory of its programs, one that Session 0 sees.
    pub programs: PathBuf,
}

impl Session0 {
    fn s0(&self, place: &Place) -> Command {
        let mut s0 = Command::new(self.programs.join("s0"));
        s0.arg("--root").arg(place.path("root"));
        s0
    }
}

impl Manager for Session0 {
    fn name(&self) -> &'static str {
        "session0"
    }

    fn version(&self) -> String {
        let mut s0 = Command::new(self.programs.join("s0"));
        s0.arg("--version");
        first_line(s0).replace("s0 ", "")
    }

    fn notes(&self) -> &'static str {
        "all: `s0 reload` after 500 files with `start = \"auto\"` appeared; one: `s0 service start NAME` of a service \
         with `start = \"demand\"`. `restart = \"always\"`, `restart_delay = \"0ms\"`; it slows down from the sixth \
         failure in a row that came within 10 s of a start. Everything else as it is by default: the isolation of \
         Session 0, a control group and a log for each service, account LocalSystem"
    }

    fn configure(&self, place: &Place) -> Outcome<()> {
        place.directory("root/etc/session0/services")?;
        Ok(())
    }

    fn install(&self, place: &Place, start: Start) -> Outcome<()> {
        let start = match start {
            Start::Together => "auto",
            Start::Single => "demand",
        };
        for index in 0..place.stamps.count() {
            let text = format!(
                "description = \"measured\"\ncommand = \"{}\"\nstart = \"{start}\"\nrestart = \"always\"\n\
                 restart_delay = \"0ms\"\n",
                place.service(index)
            );
            place.write(&format!("root/etc/session0/services/service-{index}.toml"), &text)?;
        }
        Ok(())
    }

    fn launch(&self, place: &Place) -> Command {
        let mut s0 = self.s0(place);
        s0.arg("up");
        s0
    }

    fn is_ready(&self, place: &Place, _start: Option<Start>) -> bool {
        // The built-in logger runs last of all that belongs to an empty host.
        let up = |answer: String| answer.contains("\"up\"") || answer.contains("\"Up\"");
        ask(&socket(place), "io.session0.Host.Status", Duration::from_secs(1)).is_ok_and(up)
    }

    fn start_all(&self, place: &Place) -> Command {
        let mut s0 = self.s0(place);
        s0.arg("reload");
        s0
    }

    fn start_one(&self, place: &Place, index: usize) -> Command {
        let mut s0 = self.s0(place);
        s0.args(["service", "start", &format!("service-{index}")]);
        s0
    }
}

/// The outer API socket of a host below `place`.
pub fn socket(place: &Place) -> PathBuf {
    place.path("root/run/session0/api")
}

/// Calls a method without parameters, over a connection of its own, again and again until there is an answer.
/// A daemon that is just being replaced leaves a waiting client without one.
pub fn ask(socket: &Path, method: &str, patience: Duration) -> Outcome<String> {
    let end = Instant::now() + patience;
    loop {
        match ask_once(socket, method, patience) {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > end => {
                return Err(format!("calling {method} on {}: {error}", socket.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

fn ask_once(socket: &Path, method: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{{\"method\":\"{method}\"}}\0").as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while answer.last() != Some(&0) {
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&chunk[..read]),
        }
    }
    answer.pop();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
