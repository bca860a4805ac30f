//! supervisord: one Python process, one configuration.

use std::fmt::Write as _;
use std::process::Command;

use super::{Manager, Place, Start, command, first_line, succeeds};
use crate::bench::Outcome;

/// See the module.
pub struct Supervisord;

impl Manager for Supervisord {
    fn name(&self) -> &'static str {
        "supervisord"
    }

    fn version(&self) -> String {
        first_line(command("supervisord", ["--version"]))
    }

    fn notes(&self) -> &'static str {
        "all: `supervisorctl update` after a file with one group of 500 programs appeared; one: `supervisorctl start \
         NAME`. `autorestart = true`, `startsecs = 0`; it starts an ended program again in its next turn, which is up to 1 s \
         away. Output goes to one file a program, its default"
    }

    fn configure(&self, place: &Place) -> Outcome<()> {
        place.directory("log")?;
        place.directory("programs")?;
        let root = place.root.display();
        let text = format!(
            "[unix_http_server]\nfile={root}/socket\n\n[supervisord]\nlogfile={root}/supervisord.log\n\
             pidfile={root}/pid\nchildlogdir={root}/log\nminfds=8192\nnodaemon=true\n\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n\
             [supervisorctl]\nserverurl=unix://{root}/socket\n\n[include]\nfiles = {root}/programs/*.ini\n"
        );
        place.write("supervisord.conf", &text)?;
        Ok(())
    }

    fn install(&self, place: &Place, start: Start) -> Outcome<()> {
        let autostart = match start {
            Start::Together => "true",
            Start::Single => "false",
        };
        let mut text = String::new();
        for index in 0..place.stamps.count() {
            let _ = write!(
                text,
                "[program:service-{index}]\ncommand={}\nautostart={autostart}\nautorestart=true\nstartsecs=0\n\n",
                place.service(index)
            );
        }
        let names: Vec<String> = (0..place.stamps.count()).map(|index| format!("service-{index}")).collect();
        let _ = writeln!(text, "[group:fleet]\nprograms={}", names.join(","));
        place.write("programs/fleet.ini", &text)?;
        Ok(())
    }

    fn launch(&self, place: &Place) -> Command {
        let mut supervisord = command("supervisord", ["--nodaemon", "--configuration"]);
        supervisord.arg(place.path("supervisord.conf"));
        supervisord
    }

    fn is_ready(&self, place: &Place, _start: Option<Start>) -> bool {
        place.path("socket").exists() && succeeds(control(place, ["pid"]), place)
    }

    fn start_all(&self, place: &Place) -> Command {
        control(place, ["update"])
    }

    fn start_one(&self, place: &Place, index: usize) -> Command {
        control(place, ["start", &format!("fleet:service-{index}")])
    }
}

fn control<const N: usize>(place: &Place, arguments: [&str; N]) -> Command {
    let mut supervisorctl = command("supervisorctl", ["--configuration"]);
    supervisorctl.arg(place.path("supervisord.conf")).args(arguments);
    supervisorctl
}
