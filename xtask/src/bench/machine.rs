//! One line about the machine the figures are from.

use std::fs;
use std::process::Command;

/// Processor, memory, kernel, distribution, load, date.
pub fn describe() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / (1024 * 1024);
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system =
        system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux").to_owned();
    let uname = rustix::system::uname();
    let kernel = uname.release().to_string_lossy();
    let load = load();
    format!(
        "{processor}, {cpus} CPUs, {memory} GiB, Linux {kernel}, {}, cgroup {}, load {load} at the start, {}",
        system.trim_matches('"'),
        groups(),
        date()
    )
}

/// The load of the last minute: how quiet the machine is.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}

/// The value after a colon of the first line that begins with `name`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Which control groups the machine has; on hybrid ones a limit costs a group in each hierarchy.
fn groups() -> &'static str {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match (mounts.contains(" - cgroup2 "), mounts.contains(" - cgroup ")) {
        (true, false) => "v2",
        (true, true) => "v1 and v2 (hybrid)",
        (false, _) => "v1",
    }
}

/// Today in UTC.
pub fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
