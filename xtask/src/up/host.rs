//! The part of a trial that needs root: makes the root directory, runs `s0 up` on it, and when standard input
//! closes, brings it down and removes everything.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{Stop, say};

/// Before the root's path, on a line of its own, once the host answers.
pub const ROOT_IS: &str = "trial-root ";
/// Before an account's name and password, on a line of its own.
pub const ACCOUNT_IS: &str = "trial-account ";
/// Who can log on in a trial.
const PEOPLE: [&str; 2] = ["alice", "bob"];
/// A start-up file for bash, below the root.
pub const BASH_START: &str = "trial.bashrc";

/// A host answers long before this.
const UP_WAIT: Duration = Duration::from_secs(30);
/// The examples are ready long before this; a first database takes a few seconds.
const SETTLE_WAIT: Duration = Duration::from_secs(10);
/// The host's own budget is 90 s; its keeper adds some.
const DOWN_WAIT: Duration = Duration::from_secs(110);

/// Runs the helper: `trial-host PROGRAMS EXAMPLES`.
pub fn main(mut parser: lexopt::Parser) -> Result<(), Stop> {
    let programs: PathBuf = parser.value()?.into();
    let examples: PathBuf = parser.value()?.into();
    let released = leash();
    let trial = Trial { root: make_root()?, s0: programs.join("s0") };
    let result = trial.run(&examples, &released);
    trial.remove();
    result
}

/// True once standard input is closed: the trial is over.
fn leash() -> Arc<AtomicBool> {
    let released = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&released);
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while std::io::stdin().read(&mut sink).is_ok_and(|length| length > 0) {}
        flag.store(true, Ordering::SeqCst);
    });
    released
}

/// As mktemp: a new directory, ours alone to write.
fn make_root() -> Result<PathBuf, String> {
    let mut tries = 0u32;
    loop {
        let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        let path = std::env::temp_dir().join(format!("session0-trial-{:x}", seed ^ std::process::id()));
        match fs::DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => {
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(&path, mode)
                    .map_err(|error| format!("could not open {}: {error}", path.display()))?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && tries < 100 => tries += 1,
            Err(error) => return Err(format!("could not make {}: {error}", path.display())),
        }
    }
}

struct Trial {
    root: PathBuf,
    s0: PathBuf,
}

impl Trial {
    fn run(&self, examples: &Path, released: &AtomicBool) -> Result<(), Stop> {
        self.configure(examples)?;
        let output = fs::File::create(self.root.join("up.out"))
            .map_err(|error| self.cannot("write up.out in", &error))?;
        let errors = output.try_clone().map_err(|error| self.cannot("write up.out in", &error))?;
        let keeper = Command::new(&self.s0)
            .arg("--root")
            .arg(&self.root)
            .arg("up")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn();
        let mut keeper = keeper.map_err(|error| format!("could not start {}: {error}", self.s0.display()))?;
        let up = self.wait_until_up(&mut keeper, released);
        if up.is_ok() {
            PEOPLE.iter().for_each(|name| self.account(name));
            say(&format!("{ROOT_IS}{}", self.root.display()));
            while !released.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        self.down(&mut keeper);
        up
    }

    /// The examples whose programs and accounts this machine has, and who may control them.
    fn configure(&self, examples: &Path) -> Result<(), Stop> {
        let services = self.root.join("etc/session0/services");
        fs::create_dir_all(&services).map_err(|error| self.cannot("make directories in", &error))?;
        let mut files: Vec<PathBuf> = fs::read_dir(examples)
            .map_err(|error| format!("could not read {}: {error}", examples.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file)
                .map_err(|error| format!("could not read {}: {error}", file.display()))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match missing(&text) {
                Some(what) => say(&format!("the example {name} is left out: {what} is not on this machine")),
                None => {
                    let place = services.join(format!("{name}.toml"));
                    fs::write(&place, text).map_err(|error| self.cannot("write services in", &error))?;
                }
            }
        }
        // The reference itself: something to look at, and to change.
        let reference = examples.with_file_name("host.toml");
        let mut settings = fs::read_to_string(&reference)
            .map_err(|error| format!("could not read {}: {error}", reference.display()))?;
        if let Ok(user) = std::env::var("SUDO_USER") {
            settings = settings.replacen("users = []", &format!("users = [\"{user}\"]"), 1);
        }
        fs::write(self.root.join("etc/session0/host.toml"), settings)
            .map_err(|error| self.cannot("write host.toml in", &error))?;
        let start = "[ -f ~/.bashrc ] && . ~/.bashrc\nPS1=\"(session0) ${PS1:-\\$ }\"\n";
        fs::write(self.root.join(BASH_START), start).map_err(|error| self.cannot("write in", &error))?;
        Ok(())
    }

    fn wait_until_up(&self, keeper: &mut Child, released: &AtomicBool) -> Result<(), Stop> {
        let began = Instant::now();
        while began.elapsed() < UP_WAIT && !released.load(Ordering::SeqCst) {
            if keeper.try_wait().ok().flatten().is_some() {
                say(fs::read_to_string(self.root.join("up.out")).unwrap_or_default().trim_end());
                return Err("session0 did not start; what it said is above".to_owned().into());
            }
            let asked = self.s0().args(["status", "--json"]).output();
            let answer =
                asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            let up = answer.contains("\"phase\":\"up\"");
            // The first screen shows services that run, not that are about to.
            let settled = answer.contains("\"start_pending\":0") || began.elapsed() > SETTLE_WAIT;
            if up && settled {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if released.load(Ordering::SeqCst) {
            return Err(Stop::silent(130));
        }
        say(fs::read_to_string(self.root.join("up.out")).unwrap_or_default().trim_end());
        Err(format!("session0 did not answer within {} s", UP_WAIT.as_secs()).into())
    }

    /// Adds an account with a random password, and tells it.
    fn account(&self, name: &str) {
        let added = random_password().and_then(|password| {
            let mut add = self.s0();
            add.args(["account", "add", name, "--password-stdin"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null());
            let mut child = add.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                writeln!(stdin, "{password}")?;
            }
            Ok(child.wait()?.success().then_some(password))
        });
        match added {
            Ok(Some(password)) => say(&format!("{ACCOUNT_IS}{name} {password}")),
            // It said why itself.
            Ok(None) => {}
            Err(error) => say(&format!("could not make the account {name}: {error}")),
        }
    }

    fn s0(&self) -> Command {
        let mut command = Command::new(&self.s0);
        command.arg("--root").arg(&self.root).stdin(Stdio::null());
        command
    }

    fn down(&self, keeper: &mut Child) {
        if keeper.try_wait().ok().flatten().is_none() {
            say("ending the trial: stopping its services in order ...");
            let _ = Command::new("kill").arg("-TERM").arg(keeper.id().to_string()).status();
        }
        let until = Instant::now() + DOWN_WAIT;
        while keeper.try_wait().ok().flatten().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Removes the root, unless something is still mounted below it.
    fn remove(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let below = format!("{}/", self.root.display());
        let mounted =
            mounts.lines().filter_map(|line| line.split(' ').nth(4)).find(|path| path.starts_with(&below));
        if let Some(path) = mounted {
            say(&format!("{} is kept: {path} is still mounted", self.root.display()));
            return;
        }
        match fs::remove_dir_all(&self.root) {
            Ok(()) => say(&format!("the trial is over, {} is removed; nothing is left", self.root.display())),
            Err(error) => say(&format!("could not remove {}: {error}", self.root.display())),
        }
    }

    fn cannot(&self, what: &str, error: &std::io::Error) -> String {
        format!("could not {what} {}: {error}", self.root.display())
    }
}

/// Sixteen characters that are easily told apart and typed: 80 bits.
fn random_password() -> std::io::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
    let letters: Vec<char> = bytes.iter().map(letter).collect();
    Ok(letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

/// What an example needs and this machine lacks: an account, or a program named by an absolute path in its command.
fn missing(text: &str) -> Option<String> {
    let code = || text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let account = code().find_map(|line| line.strip_prefix("account")?.split('"').nth(1));
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = |account: &str| passwd.lines().any(|line| line.split(':').next() == Some(account));
    if let Some(account) = account.filter(|account| *account != "LocalSystem" && !known(account)) {
        return Some(format!("the account {account}"));
    }
    let words = code().flat_map(|line| line.split([' ', '"', '\'', '(', ')', ',', '=', '[', ']']));
    let programs = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/postgresql/"];
    words
        .filter(|word| programs.iter().any(|place| word.starts_with(place)))
        .find(|word| !present(word))
        .map(str::to_owned)
}

/// A path exists; a star stands for one directory.
fn present(path: &str) -> bool {
    match path.split_once("/*") {
        None => Path::new(path).exists(),
        Some((before, after)) => fs::read_dir(before).is_ok_and(|entries| {
            entries.flatten().any(|entry| present(&format!("{}{after}", entry.path().display())))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_whose_program_or_account_is_missing_is_left_out() {
        assert_eq!(missing("command = [\"/bin/sh\", \"-c\", \"true\"]\naccount = \"LocalSystem\"\n"), None);
        let program = missing("# needs a program\ncommand = [\"/usr/sbin/no-such-daemon\"]\n");
        assert_eq!(program.as_deref(), Some("/usr/sbin/no-such-daemon"));
        let account = missing("command = \"/bin/sh\"\naccount = \"no-such-account\"\n");
        assert_eq!(account.as_deref(), Some("the account no-such-account"));
        assert!(missing("exec $(ls -d /usr/lib/no-such/*/bin)/x\n").is_none());
        assert!(missing("bin=$(ls -d /usr/lib/postgresql/*/no-such | tail -n 1)\n").is_some());
    }
}
