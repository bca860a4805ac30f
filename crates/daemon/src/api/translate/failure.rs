//! Failures and exits, with their sentences.

use session0_api::failure::{Exit, Failure, FailureKind, Usage};
use session0_model::launch::exit::{self, ExitStatus, LaunchFailure, LaunchPhase};
use session0_model::service::status::{self, Phase};

use super::words;

/// How a process ended.
pub fn exit(status: ExitStatus) -> Exit {
    match status {
        ExitStatus::Exited(status) => {
            Exit { status: Some(status), signal: None, signal_name: None, core_dumped: false }
        }
        ExitStatus::Signaled { signal, core } => Exit {
            status: None,
            signal: Some(signal),
            signal_name: Some(words::signal(signal)),
            core_dumped: core,
        },
    }
}

/// What it used.
pub fn usage(usage: exit::Usage) -> Usage {
    Usage { cpu_us: usage.cpu_us, memory_peak_kib: usage.memory_peak_kib }
}

/// Why a service does not run.
pub fn failure(failure: &status::Failure) -> Failure {
    let bare = |kind| Failure {
        kind,
        code: failure.code(),
        text: text(failure),
        phase: None,
        exit: None,
        errno: None,
        errno_name: None,
        errno_text: None,
        dependency: None,
    };
    let with_errno = |bare: Failure, errno: Option<i32>| Failure {
        errno,
        errno_name: errno.and_then(words::errno).map(str::to_owned),
        errno_text: errno.map(words::errno_text),
        ..bare
    };
    match failure {
        status::Failure::Launch(launch) => {
            let phase = Some(launch_phase(launch.phase).name.to_owned());
            with_errno(Failure { phase, ..bare(FailureKind::Launch) }, Some(launch.errno))
        }
        status::Failure::Exit { status, phase, errno } => {
            let phase = Some(phase_name(*phase).to_owned());
            let exit = Some(exit(*status));
            with_errno(Failure { phase, exit, ..bare(FailureKind::Exit) }, *errno)
        }
        status::Failure::StartTimeout => {
            Failure { phase: Some("starting".to_owned()), ..bare(FailureKind::StartTimeout) }
        }
        status::Failure::Watchdog => bare(FailureKind::Watchdog),
        status::Failure::Dependency(name) => {
            Failure { dependency: Some(name.to_string()), ..bare(FailureKind::Dependency) }
        }
        status::Failure::SessionEnded => bare(FailureKind::SessionEnded),
        status::Failure::Lost => bare(FailureKind::Lost),
        status::Failure::DependencyMissing(name) => {
            Failure { dependency: Some(name.to_string()), ..bare(FailureKind::DependencyMissing) }
        }
        status::Failure::CircularDependency => bare(FailureKind::CircularDependency),
    }
}

/// The failure in a sentence about "it": lower case, no full stop.
pub fn text(failure: &status::Failure) -> String {
    match failure {
        status::Failure::Launch(launch) => launch_text(*launch),
        status::Failure::Exit { status, phase, errno } => {
            let mut text = format!("{} {}", exit_text(*status), phase_words(*phase));
            if let Some(errno) = errno {
                text.push_str(&format!("; it reported {}", words::errno_phrase(*errno)));
            }
            text
        }
        status::Failure::StartTimeout => "it did not report READY=1 in time".to_owned(),
        status::Failure::Watchdog => "it did not report WATCHDOG=1 in time, or asked to be failed".to_owned(),
        status::Failure::Dependency(name) => format!("{name}, which it depends on, failed or stopped"),
        status::Failure::SessionEnded => "Session 0 ended and every service with it".to_owned(),
        status::Failure::Lost => "it ended while the daemon was away, and nobody kept how".to_owned(),
        status::Failure::DependencyMissing(name) => {
            format!("it depends on {name}, and there is no such service")
        }
        status::Failure::CircularDependency => "it depends on itself by way of others".to_owned(),
    }
}

/// How a process ended, in words about "it".
pub fn exit_text(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited(status) => format!("it ended with status {status}"),
        ExitStatus::Signaled { signal, core } => {
            let dumped = if core { " (its memory was dumped)" } else { "" };
            format!("it was ended by {}{dumped}", words::signal(signal))
        }
    }
}

/// How a launch failed, after "could not ...:".
pub fn launch_text(launch: LaunchFailure) -> String {
    let phase = launch_phase(launch.phase);
    let why = words::errno_phrase(launch.errno);
    match launch.phase {
        // The kernel says the same of a script whose interpreter is missing.
        LaunchPhase::Exec if launch.errno == rustix::io::Errno::NOENT.raw_os_error() => format!(
            "its program could not be executed: {why}: the program, or the interpreter named in its first line, is not there"
        ),
        LaunchPhase::Exec => format!("its program could not be executed: {why}"),
        _ => format!("it could not be launched: {}: {why}", phase.words),
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
    }
}

fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "before it was ready",
        Phase::Running => "while it ran",
        Phase::Stopping => "after it was told to stop",
    }
}

struct LaunchWords {
    name: &'static str,
    words: &'static str,
}

fn launch_phase(phase: LaunchPhase) -> LaunchWords {
    let (name, words) = match phase {
        LaunchPhase::Group => ("group", "making its control group"),
        LaunchPhase::Limits => ("limits", "setting the limits of its control group"),
        LaunchPhase::Directory => ("directory", "making its runtime or state directory"),
        LaunchPhase::Output => ("output", "making its output pipe"),
        LaunchPhase::Clone => ("clone", "making its process"),
        LaunchPhase::Namespace => ("namespace", "mounting what `write =` names or making its network"),
        LaunchPhase::Descriptors => ("descriptors", "preparing its descriptors and signals"),
        LaunchPhase::ResourceLimits => ("resource_limits", "setting its resource limits"),
        LaunchPhase::Filter => ("filter", "installing its system call filter"),
        LaunchPhase::Identity => ("identity", "taking on its account's uid and groups"),
        LaunchPhase::Capabilities => ("capabilities", "limiting its capabilities"),
        LaunchPhase::WorkingDirectory => ("working_directory", "entering its working directory"),
        LaunchPhase::Exec => ("exec", "executing its program"),
    };
    LaunchWords { name, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_happened() {
        let missing = status::Failure::Launch(LaunchFailure { phase: LaunchPhase::Exec, errno: 2 });
        let missing = failure(&missing);
        assert!(
            missing.text.starts_with("its program could not be executed: No such file or directory (ENOENT)")
        );
        assert_eq!((missing.kind, missing.code), (FailureKind::Launch, 2));
        assert_eq!((missing.phase.as_deref(), missing.errno), (Some("exec"), Some(2)));
        let crash = ExitStatus::Signaled { signal: 11, core: true };
        let crash = failure(&status::Failure::Exit { status: crash, phase: Phase::Running, errno: Some(12) });
        assert_eq!(
            crash.text,
            "it was ended by SIGSEGV (its memory was dumped) while it ran; it reported Cannot allocate memory (ENOMEM)"
        );
        assert_eq!(crash.exit.and_then(|exit| exit.signal_name).as_deref(), Some("SIGSEGV"));
        assert_eq!(crash.code, 1067);
    }
}
