//! The environment of a service, built from the machine's files: nothing is ever inherited.

use std::path::Path;
use std::time::Duration;

use session0_model::launch::plan::RuntimeDirectory;

use super::account::Account;
use super::file::{self, Links};

/// Where programs are looked for, and `PATH` of every service.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The notify socket inside a session.
pub const NOTIFY_SOCKET: &str = "/run/session0/notify";
/// Where state directories are inside a session.
pub const STATE_DIRECTORY: &str = "/run/session0/state";

/// What the machine's files say for every program on it.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// `LANG`.
    pub lang: Option<String>,
    /// `TZ`.
    pub zone: Option<String>,
}

impl Machine {
    /// Reads /etc/locale.conf or /etc/default/locale, /etc/timezone or where /etc/localtime points.
    pub fn load() -> Machine {
        let text = |path: &str| file::read(Path::new(path), 64 * 1024, Links::Follow).ok();
        let lang = ["/etc/locale.conf", "/etc/default/locale"]
            .into_iter()
            .find_map(|path| text(path).and_then(|text| assignment(&text, "LANG")));
        let zone = text("/etc/timezone")
            .map(|text| text.trim().to_owned())
            .or_else(|| zone_of_link(&std::fs::read_link("/etc/localtime").ok()?))
            .filter(|zone| acceptable(zone));
        Machine { lang: lang.filter(|lang| acceptable(lang)), zone }
    }
}

/// `NAME=value` of a file in shell syntax, quotes removed.
fn assignment(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    })
}

fn zone_of_link(link: &Path) -> Option<String> {
    link.to_str()?.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned())
}

/// These files are root's, but what is in them ends in every service's environment.
fn acceptable(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 128
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@/:".contains(c))
        && !value.contains("..")
}

/// What the built environment depends on.
pub struct Wanted<'a> {
    /// Whose.
    pub account: &'a Account,
    /// Whether it gets the notify socket.
    pub notify: bool,
    /// Its watchdog.
    pub watchdog: Option<Duration>,
    /// Its runtime directories.
    pub runtime_directories: &'a [RuntimeDirectory],
    /// Its unit, if it has a state directory.
    pub state: Option<&'a str>,
}

impl Machine {
    /// The environment, before what the service's file adds.
    pub fn build(&self, wanted: &Wanted<'_>) -> Vec<(String, String)> {
        let account = wanted.account;
        let mut environment: Vec<(String, String)> = Vec::with_capacity(12);
        let mut put = |name: &str, value: String| environment.push((name.to_owned(), value));
        put("PATH", PATH.to_owned());
        put("HOME", if account.home.is_empty() { "/".to_owned() } else { account.home.clone() });
        put("USER", account.name.clone());
        put("LOGNAME", account.name.clone());
        put("SHELL", if account.shell.is_empty() { "/bin/sh".to_owned() } else { account.shell.clone() });
        if let Some(lang) = &self.lang {
            put("LANG", lang.clone());
        }
        if let Some(zone) = &self.zone {
            put("TZ", zone.clone());
        }
        if wanted.notify {
            put("NOTIFY_SOCKET", NOTIFY_SOCKET.to_owned());
        }
        if let Some(watchdog) = wanted.watchdog {
            put("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        if !wanted.runtime_directories.is_empty() {
            let paths: Vec<_> = wanted
                .runtime_directories
                .iter()
                .map(|directory| format!("/run/{}", directory.name))
                .collect();
            put("RUNTIME_DIRECTORY", paths.join(":"));
        }
        if let Some(unit) = wanted.state {
            put("STATE_DIRECTORY", format!("{STATE_DIRECTORY}/{unit}"));
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_and_zone() {
        assert_eq!(assignment("# x\nLANG=\"de_DE.UTF-8\"\n", "LANG"), Some("de_DE.UTF-8".into()));
        assert_eq!(assignment("LANGUAGE=de\n", "LANG"), None);
        assert_eq!(
            zone_of_link(Path::new("/usr/share/zoneinfo/Europe/Berlin")),
            Some("Europe/Berlin".into())
        );
        assert!(
            acceptable("Etc/UTC") && !acceptable("../../etc/passwd") && !acceptable("a b") && !acceptable("")
        );
    }
}
