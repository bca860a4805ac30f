//! s6: a scanner and one `s6-supervise` for each service.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::{Manager, Place, Start, command, package_version, succeeds};
use crate::bench::Outcome;
use crate::bench::manager::runit::write_run;

/// See the module.
pub struct S6;

impl Manager for S6 {
    fn name(&self) -> &'static str {
        "s6"
    }

    fn version(&self) -> String {
        package_version("s6")
    }

    fn notes(&self) -> &'static str {
        "all: 500 service directories are linked into its scan directory, then `s6-svscanctl -a`; one: `s6-svc -u \
         DIRECTORY` of a directory with a `down` file, its `s6-supervise` already running. `run` is a two-line sh \
         script that ends in exec. It waits 1 s before it starts an ended service again; that is not a setting. \
         Output goes where the scanner's goes, its default"
    }

    fn configure(&self, place: &Place) -> Outcome<()> {
        place.directory("scan")?;
        Ok(())
    }

    fn install(&self, place: &Place, start: Start) -> Outcome<()> {
        for index in 0..place.stamps.count() {
            write_run(place, &format!("services/service-{index}"), index, start)?;
            let from = place.path(&format!("services/service-{index}"));
            let to = place.path(&format!("scan/service-{index}"));
            symlink(&from, &to).map_err(|e| format!("linking {}: {e}", to.display()))?;
        }
        Ok(())
    }

    fn launch(&self, place: &Place) -> Command {
        let mut scan = command("s6-svscan", ["-c", "2000"]);
        scan.arg(place.path("scan"));
        scan
    }

    fn is_ready(&self, place: &Place, start: Option<Start>) -> bool {
        let supervised = |index| {
            let mut ok = Command::new("s6-svok");
            ok.arg(place.path(&format!("scan/service-{index}")));
            succeeds(ok, place)
        };
        match start {
            None => place.path("scan/.s6-svscan/control").exists(),
            Some(_) => (0..place.stamps.count()).all(supervised),
        }
    }

    fn start_all(&self, place: &Place) -> Command {
        let mut scan = command("s6-svscanctl", ["-a"]);
        scan.arg(place.path("scan"));
        scan
    }

    fn start_one(&self, place: &Place, index: usize) -> Command {
        let mut up = command("s6-svc", ["-u"]);
        up.arg(place.path(&format!("scan/service-{index}")));
        up
    }
}
