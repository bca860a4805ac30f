//! runit: a scanner and one `runsv` for each service.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{Manager, Place, Start, command, package_version};
use crate::bench::Outcome;

/// See the module.
pub struct Runit;

impl Manager for Runit {
    fn name(&self) -> &'static str {
        "runit"
    }

    fn version(&self) -> String {
        package_version("runit")
    }

    fn notes(&self) -> &'static str {
        "all: `runsvdir` is started with 500 service directories (it has no order to look again, it looks every \
         5 s); one: `sv up DIRECTORY` of a directory with a `down` file, its `runsv` already running. `run` is a \
         two-line sh script that ends in exec. A service that ran less than 1 s is started again 1 s later; every \
         service has run longer than that when it is killed. Output goes where runsvdir's goes, its default"
    }

    fn is_told_by_its_start(&self) -> bool {
        true
    }

    fn configure(&self, place: &Place) -> Outcome<()> {
        place.directory("services")?;
        Ok(())
    }

    fn install(&self, place: &Place, start: Start) -> Outcome<()> {
        (0..place.stamps.count())
            .try_for_each(|index| write_run(place, &format!("services/service-{index}"), index, start))
    }

    fn launch(&self, place: &Place) -> Command {
        let mut scan = Command::new("runsvdir");
        scan.arg(place.path("services"));
        scan
    }

    fn is_ready(&self, place: &Place, start: Option<Start>) -> bool {
        let supervised = |index| place.path(&format!("services/service-{index}/supervise/ok")).exists();
        match start {
            None => true,
            Some(_) => (0..place.stamps.count()).all(supervised),
        }
    }

    fn start_all(&self, place: &Place) -> Command {
        self.launch(place)
    }

    fn start_one(&self, place: &Place, index: usize) -> Command {
        let mut up = command("sv", ["up"]);
        up.arg(place.path(&format!("services/service-{index}")));
        up
    }
}

/// Writes a service directory as daemontools' descendants read it.
pub(super) fn write_run(place: &Place, directory: &str, index: usize, start: Start) -> Outcome<()> {
    let run =
        place.write(&format!("{directory}/run"), &format!("#!/bin/sh\nexec {}\n", place.service(index)))?;
    fs::set_permissions(&run, Permissions::from_mode(0o755))
        .map_err(|e| format!("making {} executable: {e}", run.display()))?;
    match start {
        Start::Together => Ok(()),
        Start::Single => place.write(&format!("{directory}/down"), "").map(drop),
    }
}
