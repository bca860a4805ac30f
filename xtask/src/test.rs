//! `cargo xtask test`: what CI calls. Every step is run even when one before it failed, so one run tells everything.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{Stop, cargo, complain, is_root, say, target_directory, tidy};

/// What the runners counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Reads what one runner prints.
#[derive(Debug, Default)]
struct Reader {
    count: Count,
    /// A test that finds the machine lacking says `SKIPPED <name>: <reason>` and returns: for the runner it passed.
    said_skipped: BTreeSet<String>,
}

impl Reader {
    fn read(&mut self, line: &str) {
        // The runner may have written dots, or the test's name, on the same line.
        if let Some((_, rest)) = line.split_once("SKIPPED") {
            // `SKIPPED: reason` names no test, but it is one.
            let name = rest.split(':').next().map(str::trim).filter(|name| !name.is_empty());
            self.said_skipped.insert(name.unwrap_or(rest).to_owned());
        }
        let Some((_, result)) = line.split_once("test result: ") else { return };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.count.passed += number,
                "failed" => self.count.failed += number,
                "ignored" => self.count.skipped += number,
                _ => {}
            }
        }
    }

    fn sum(&self) -> Count {
        let said = self.said_skipped.len() as u64;
        // `name [part]`: the test left out a part and passed with the others.
        let whole = self.said_skipped.iter().filter(|name| !name.ends_with(']')).count() as u64;
        let Count { passed, failed, skipped } = self.count;
        Count { passed: passed.saturating_sub(whole), failed, skipped: skipped + said }
    }
}

/// Runs all steps; the last line is the sum.
pub fn main() -> Result<(), Stop> {
    let mut count = Count::default();
    let mut ok = true;
    let mut step = |name: &str, run: &mut dyn FnMut(&mut Count) -> bool| {
        say(&format!("==> {name}"));
        let started = Instant::now();
        let passed = run(&mut count);
        let verdict = if passed { "ok" } else { "FAILED" };
        say(&format!("==> {name}: {verdict} ({:.1} s)", started.elapsed().as_secs_f64()));
        ok &= passed;
    };
    step("fmt", &mut |count| check(count, cargo().args(["fmt", "--all", "--check"])));
    step("clippy", &mut |count| {
        check(
            count,
            cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
        )
    });
    step("tidy", &mut |count| {
        let passed = tidy::main().map_err(|stop| complain(&stop.message)).is_ok();
        count.failed += u64::from(!passed);
        passed
    });
    step("an init one protocol version older", &mut older_init);
    step("build", &mut |count| check(count, cargo().args(["build", "--workspace", "--quiet"])));
    step("unit, operations, simulation and doc tests", &mut |count| {
        run_tests(
            count,
            cargo().args(["test", "--workspace", "--exclude", SYSTEM, "--no-fail-fast", "--quiet"]),
        )
    });
    step("system tests", &mut system_tests);
    say(&format!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped));
    if ok && count.failed == 0 { Ok(()) } else { Err(Stop::silent(1)) }
}

/// Builds the init that the upgrade test starts with, and puts it aside: the build after it makes today's again.
fn older_init(count: &mut Count) -> bool {
    let mut build = cargo();
    build.args(["build", "--package", "session0-init", "--features", "protocol-1", "--quiet"]);
    if !check(count, &mut build) {
        return false;
    }
    let aside = target_directory().and_then(|target| {
        let programs = target.join("debug");
        let aside = programs.join("protocol-1");
        std::fs::create_dir_all(&aside)
            .and_then(|()| std::fs::copy(programs.join("session0-init"), aside.join("session0-init")))
            .map_err(|error| error.to_string())
    });
    if let Err(error) = &aside {
        complain(&format!("could not put the older init aside: {error}"));
        count.failed += 1;
    }
    aside.is_ok()
}

/// The package with the claims that need a real kernel and root.
const SYSTEM: &str = "session0-system-tests";

/// Namespaces and control groups need root: where we are not, the test programs are run by sudo, which may ask.
fn system_tests(count: &mut Count) -> bool {
    let mut command = cargo();
    if !is_root() {
        say("the system tests make namespaces and control groups: asking sudo for root");
        command.args(["--config", "target.'cfg(unix)'.runner='sudo -E'"]);
    }
    command.args(["test", "--package", SYSTEM, "--no-fail-fast", "--", "--show-output"]);
    run_tests(count, &mut command)
}

/// A step that either holds or does not.
fn check(count: &mut Count, command: &mut Command) -> bool {
    let passed = match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            complain(&format!("could not run {:?}: {error}", command.get_program()));
            false
        }
    };
    count.failed += u64::from(!passed);
    passed
}

/// Runs tests, shows what they print and counts what they report.
fn run_tests(count: &mut Count, command: &mut Command) -> bool {
    let mut reader = Reader::default();
    let status = tee(command, &mut |line| reader.read(line));
    let passed = match status {
        Ok(status) => status.success(),
        Err(error) => {
            complain(&format!("could not run {:?}: {error}", command.get_program()));
            false
        }
    };
    let mut step = reader.sum();
    // A test program that died, or did not compile, reports nothing: that is a failure too.
    if !passed && step.failed == 0 {
        step.failed = 1;
    }
    count.passed += step.passed;
    count.failed += step.failed;
    count.skipped += step.skipped;
    passed
}

/// A runner that has ended and is silent for this long has been read to its end.
const QUIET: Duration = Duration::from_millis(500);

/// Passes both streams on, line by line, and shows them to `look`.
fn tee(command: &mut Command, look: &mut dyn FnMut(&str)) -> std::io::Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, lines) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
    drop(sender);
    // A test that failed may leave a process behind that holds the streams open: once the runner has ended, what it
    // wrote is read and nothing more is waited for.
    let mut ended = false;
    loop {
        match lines.recv_timeout(QUIET) {
            Ok(line) => {
                say(&line);
                look(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) if ended => break,
            Err(mpsc::RecvTimeoutError::Timeout) => ended = child.try_wait()?.is_some(),
        }
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Count {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.read(line));
        reader.sum()
    }

    #[test]
    fn results_are_summed_and_what_was_skipped_has_not_passed() {
        let count = read(
            "running 12 tests\n\
             SKIPPED: no such program\n\
             SKIPPED a_test: needs root to make namespaces\n\
             ....SKIPPED b_test [one part]: the kernel does not have it\n\
             SKIPPED a_test: needs root to make namespaces\n\
             test result: FAILED. 9 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s\n\
             test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s\n",
        );
        assert_eq!(count, Count { passed: 11, failed: 2, skipped: 4 });
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(read("5 passed\nerror: test failed\n"), Count::default());
    }
}
