use super::*;
use std::fs;

/// A destination and false programs, removed at the end.
struct Trial {
    top: PathBuf,
    place: Place,
}

impl Trial {
    fn new(name: &str, prefix: &str) -> Trial {
        let top = std::env::temp_dir().join(format!("session0-install-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let programs = top.join("programs");
        fs::create_dir_all(&programs).unwrap();
        for name in INNER_PROGRAMS {
            fs::write(programs.join(name), name).unwrap();
        }
        let place = Place { prefix: prefix.into(), destdir: Some(top.join("dest")) };
        Trial { top, place }
    }

    fn items(&self, version: &str) -> Vec<Item> {
        let inner = self.place.inner();
        let programs = self.top.join("programs");
        let mut items: Vec<Item> =
            INNER_PROGRAMS.map(|name| Item::program(programs.join(name), inner.join(name))).into();
        items.push(Item::file(workspace().join("config/host.toml"), inner.join("host.toml")));
        items.push(Item::text(b"only here".to_vec(), self.place.prefix.join(version), 0o644));
        items
    }

    fn uninstall(&self) -> Result<(), Stop> {
        let dest = self.place.destdir.clone().unwrap();
        let arguments = ["uninstall".into(), "--prefix".into(), self.place.prefix.clone().into_os_string()];
        let arguments = arguments.into_iter().chain(["--destdir".into(), dest.into_os_string()]);
        uninstall(lexopt::Parser::from_args(arguments.skip(1)))
    }

    fn left(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut look = vec![self.place.destdir.clone().unwrap()];
        while let Some(directory) = look.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                found.push(entry.path());
                if entry.path().is_dir() {
                    look.push(entry.path());
                }
            }
        }
        found
    }

    fn settings(&self) -> PathBuf {
        self.place.at(Path::new(SETTINGS))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

fn ok<T>(result: Result<T, Stop>) -> T {
    result.unwrap_or_else(|stop| panic!("{}", stop.message))
}

#[test]
fn what_is_installed_is_removed_and_nothing_else() {
    let trial = Trial::new("whole", "/opt/s0");
    fs::create_dir_all(trial.place.at(Path::new("/opt"))).unwrap();
    fs::write(trial.place.at(Path::new("/opt/precious")), "mine").unwrap();
    ok(put(&trial.place, &trial.items("one")));
    assert!(trial.place.at(Path::new("/opt/s0/lib/session0/session0d")).is_file());
    assert!(trial.settings().is_file() && trial.place.at(Path::new("/etc/session0/services")).is_dir());
    ok(trial.uninstall());
    let left = trial.left();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(trial.uninstall().is_err(), "it is not there any more");
}

#[test]
fn a_newer_version_removes_what_it_does_not_have() {
    let trial = Trial::new("newer", "/usr");
    ok(put(&trial.place, &trial.items("one")));
    ok(put(&trial.place, &trial.items("two")));
    assert!(!trial.place.at(Path::new("/usr/one")).exists());
    assert!(trial.place.at(Path::new("/usr/two")).exists());
    ok(trial.uninstall());
    assert_eq!(trial.left(), Vec::<PathBuf>::new());
}

#[test]
fn settings_that_were_changed_are_kept() {
    let trial = Trial::new("settings", "/usr");
    ok(put(&trial.place, &trial.items("one")));
    fs::write(trial.settings(), "changed").unwrap();
    ok(put(&trial.place, &trial.items("one")));
    assert_eq!(fs::read_to_string(trial.settings()).unwrap(), "changed");
    ok(trial.uninstall());
    assert_eq!(fs::read_to_string(trial.settings()).unwrap(), "changed");
}

#[test]
fn settings_of_an_older_version_that_nobody_changed_are_renewed() {
    let trial = Trial::new("renewed", "/usr");
    ok(put(&trial.place, &trial.items("one")));
    fs::write(trial.settings(), "as it was").unwrap();
    fs::write(trial.place.at(&trial.place.inner().join("host.toml")), "as it was").unwrap();
    ok(put(&trial.place, &trial.items("one")));
    assert_ne!(fs::read_to_string(trial.settings()).unwrap(), "as it was");
}

#[test]
fn the_prefix_goes_into_the_service_managers_files() {
    for file in ["config/systemd/session0.service", "config/openrc/session0"] {
        let text = files::with_prefix(&workspace().join(file), Path::new("/opt/s0")).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("/opt/s0/bin/s0") && !text.contains("/usr/local"), "{text}");
    }
}

#[test]
fn files_are_whole_and_have_their_mode() {
    use std::os::unix::fs::PermissionsExt;
    let trial = Trial::new("mode", "/usr");
    ok(put(&trial.place, &trial.items("one")));
    let mode =
        |path: &str| fs::metadata(trial.place.at(Path::new(path))).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        [mode("/usr/lib/session0/session0d"), mode(SETTINGS), mode("/etc/session0")],
        [0o755, 0o644, 0o755]
    );
    assert!(!trial.left().iter().any(|path| path.to_string_lossy().contains("session0-new")));
}
