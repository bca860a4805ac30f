//! dinit: one process, services loaded from description files when they are first named.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::{Manager, Place, Start, command, first_line, succeeds};
use crate::bench::Outcome;

/// See the module.
pub struct Dinit;

impl Manager for Dinit {
    fn name(&self) -> &'static str {
        "dinit"
    }

    fn version(&self) -> String {
        first_line(command("dinit", ["--version"])).trim_end_matches('.').replace("Dinit version ", "")
    }

    fn notes(&self) -> &'static str {
        "all: `dinitctl start all`, where `all` is an internal service that depends on them; one: `dinitctl start \
         NAME`; it reads a service's file when the service is first named. `restart = true`, `smooth-recovery = \
         true`, `restart-delay = 0`, and `restart-limit-count = 0` switches its throttle (3 restarts in 10 s) off; \
         log type `none`, its default; no cgroups"
    }

    fn configure(&self, place: &Place) -> Outcome<()> {
        place.write("services/boot", "type = internal\n")?;
        Ok(())
    }

    fn install(&self, place: &Place, _start: Start) -> Outcome<()> {
        let mut all = String::from("type = internal\n");
        for index in 0..place.stamps.count() {
            let text = format!(
                "type = process\ncommand = {}\nrestart = true\nsmooth-recovery = true\nrestart-delay = 0\n\
                 restart-limit-count = 0\n",
                place.service(index)
            );
            place.write(&format!("services/service-{index}"), &text)?;
            let _ = writeln!(all, "depends-on: service-{index}");
        }
        place.write("services/all", &all)?;
        Ok(())
    }

    fn launch(&self, place: &Place) -> Command {
        let mut dinit = command("dinit", ["--user", "--quiet", "--socket-path"]);
        dinit.arg(place.path("socket")).arg("--services-dir").arg(place.path("services")).arg("boot");
        dinit
    }

    fn is_ready(&self, place: &Place, _start: Option<Start>) -> bool {
        place.path("socket").exists()
            && succeeds(control(&place.path("socket"), ["is-started", "boot"]), place)
    }

    fn start_all(&self, place: &Place) -> Command {
        control(&place.path("socket"), ["start", "all"])
    }

    fn start_one(&self, place: &Place, index: usize) -> Command {
        control(&place.path("socket"), ["start", &format!("service-{index}")])
    }
}

fn control<const N: usize>(socket: &Path, arguments: [&str; N]) -> Command {
    let mut dinitctl = command("dinitctl", ["--user", "--socket-path"]);
    dinitctl.arg(socket).args(arguments);
    dinitctl
}
