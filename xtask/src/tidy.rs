//! `cargo xtask tidy`: the rules of design.md that no compiler checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Stop, say, workspace};

/// Lines of a source file.
const LINES_MAX: usize = 800;

/// Who may use whom, of our own crates. A new arrow needs a decision page.
const ARROWS: [(&str, &[&str]); 14] = [
    ("session0-model", &[]),
    ("session0-api", &[]),
    ("session0-sys", &["session0-model"]),
    ("session0-init", &["session0-model", "session0-sys"]),
    ("session0-log", &["session0-model", "session0-sys"]),
    ("session0-logon", &["session0-model", "session0-sys"]),
    ("session0-daemon", &["session0-model", "session0-sys", "session0-api"]),
    ("session0-socket", &[]),
    ("session0", &["session0-api", "session0-socket"]),
    ("session0-cli", &["session0"]),
    ("session0-sim", &["session0-model"]),
    ("session0-system-tests", &["session0", "session0-api"]),
    ("session0-bench", &["session0"]),
    ("xtask", &["session0"]),
];

/// The only crate of the programs with unsafe code.
const UNSAFE_CRATE: &str = "crates/sys/";
/// One function of the library needs unsafe code, and the library may not use that crate (decision 10).
const UNSAFE_FUNCTION: &str = "crates/socket/";
/// The attacker of the system tests: it does on purpose what no library offers.
const ATTACKER: &str = "tests/system/probe/";

/// Libraries and programs that speak through their log or not at all.
const SILENT: [&str; 8] = [
    "crates/daemon/",
    "crates/init/",
    "crates/log/",
    "crates/logon/",
    "crates/sys/",
    "crates/model/",
    "crates/sdk/",
    "crates/socket/",
];

/// Checks everything and reports every breach.
pub fn main() -> Result<(), Stop> {
    let root = workspace();
    let files = files(&root)?;
    let mut breaches = Vec::new();
    arrows(&root, &files, &mut breaches);
    for file in &files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        machine_paths(file, &text, &mut breaches);
        if file.ends_with(".rs") {
            source(file, &text, &mut breaches);
        }
    }
    crates_in_architecture(&root, &files, &mut breaches);
    interfaces(&root, &files, &mut breaches);
    if breaches.is_empty() {
        return Ok(());
    }
    breaches.sort();
    breaches.iter().for_each(|breach| say(breach));
    Err(format!("tidy: {} found", breaches.len()).into())
}

/// What belongs to the repository: committed, or about to be.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success());
    match listed {
        Some(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(text.lines().filter(|file| root.join(file).is_file()).map(str::to_owned).collect())
        }
        // An unpacked archive has no git.
        None => {
            let mut found = Vec::new();
            walk(root, root, &mut found)
                .map_err(|error| format!("could not list {}: {error}", root.display()))?;
            Ok(found)
        }
    }
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "target" && name != ".git" {
            walk(root, &entry.path(), found)?;
        } else if kind.is_file()
            && let Ok(relative) = entry.path().strip_prefix(root)
        {
            found.push(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Dependency directions of design.md section 4, read from the manifests. Tests may use what they like.
fn arrows(root: &Path, files: &[String], breaches: &mut Vec<String>) {
    for file in files.iter().filter(|file| file.ends_with("Cargo.toml") && *file != "Cargo.toml") {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let (name, used) = manifest(&text);
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            breaches.push(format!("{file}: {name:?} is not in the table of crates in xtask/src/tidy.rs"));
            continue;
        };
        for other in used.iter().filter(|other| !allowed.contains(&other.as_str())) {
            breaches.push(format!("{file}: {name} may not use {other}; a new arrow needs a decision page"));
        }
    }
}

/// A package's name and those of our own crates it depends on. Our manifests have one dependency a line.
fn manifest(text: &str) -> (String, Vec<String>) {
    let mut name = String::new();
    let mut used = Vec::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            continue;
        }
        let key = line.split(['=', '.', ' ']).next().unwrap_or("");
        match section {
            "package" if key == "name" => {
                name = line.split('"').nth(1).unwrap_or("").to_owned();
            }
            "dependencies" | "build-dependencies" if key == "session0" || key.starts_with("session0-") => {
                used.push(key.to_owned());
            }
            _ => {}
        }
    }
    (name, used)
}

fn source(file: &str, text: &str, breaches: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        breaches.push(format!("{file}: {lines} lines, {LINES_MAX} are allowed; split it by what it decides"));
    }
    let code = without_comments_and_strings(text);
    let tests_begin = code.find("#[cfg(test)]").unwrap_or(code.len());
    let silent = SILENT.iter().any(|prefix| file.starts_with(prefix)) && file.contains("/src/");
    let silent = silent && !file.ends_with("/tests.rs");
    for (number, line) in code.lines().enumerate() {
        let at = || format!("{file}:{}", number + 1);
        let exempt = [UNSAFE_CRATE, UNSAFE_FUNCTION, ATTACKER].iter().any(|place| file.starts_with(place));
        if !exempt && has_word(line, "unsafe") {
            breaches.push(format!("{}: unsafe code is only in {UNSAFE_CRATE} and {UNSAFE_FUNCTION}", at()));
        }
        for word in ["todo", "unimplemented", "dbg"] {
            if has_macro(line, word) {
                breaches.push(format!("{}: {word}! is left behind", at()));
            }
        }
    }
    if silent {
        for (number, line) in code[..tests_begin].lines().enumerate() {
            let loud = ["println", "print", "eprintln", "eprint"].iter().find(|name| has_macro(line, name));
            let allowed = ["/offline/", "/examples/"].iter().any(|directory| file.contains(directory));
            let allowed = allowed || file.ends_with("/main.rs");
            if let Some(name) = loud.filter(|_| !allowed) {
                breaches.push(format!("{file}:{}: {name}! where only the log speaks", number + 1));
            }
        }
    }
}

/// Paths of the machine the code was written on have no business in it.
fn machine_paths(file: &str, text: &str, breaches: &mut Vec<String>) {
    // Put together here, so that this file does not find itself.
    let patterns = [["/wo", "rk/"].concat(), ["/root/", ".cargo"].concat(), ["/tmp/", "target-"].concat()];
    for (number, line) in text.lines().enumerate() {
        if let Some(pattern) = patterns.iter().find(|pattern| has_path(line, pattern)) {
            breaches.push(format!("{file}:{}: {pattern} is a path of one machine", number + 1));
        }
    }
}

/// The pattern as an absolute path, not as a part of another one (`session-0/work/unit`).
fn has_path(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "-_.*}>)".contains(c))
    })
}

/// Every crate has its line in ARCHITECTURE.md.
fn crates_in_architecture(root: &Path, files: &[String], breaches: &mut Vec<String>) {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let crates: BTreeSet<&str> =
        files.iter().filter_map(|file| file.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")).collect();
    for name in crates {
        if !text.contains(&format!("`crates/{name}`")) {
            breaches.push(format!("ARCHITECTURE.md: `crates/{name}` is not in the code map"));
        }
    }
}

/// Every interface the code serves has its file in idl/.
fn interfaces(root: &Path, files: &[String], breaches: &mut Vec<String>) {
    let committed: BTreeSet<&str> =
        files.iter().filter_map(|file| file.strip_prefix("idl/")?.strip_suffix(".varlink")).collect();
    for file in files.iter().filter(|file| file.starts_with("crates/api/src/") && file.ends_with(".rs")) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for line in text.lines().map(str::trim) {
            let Some(name) = line.strip_prefix("interface \"").and_then(|rest| rest.strip_suffix("\";"))
            else {
                continue;
            };
            if !committed.contains(name) {
                breaches.push(format!("{file}: idl/{name}.varlink is not committed"));
            }
        }
    }
    let serves = committed.iter().all(|name| name.starts_with("io.session0."));
    if !serves {
        breaches.push("idl/: a file that is not named after an interface of ours".to_owned());
    }
}

/// The text with comments, strings and characters blanked, line by line the same length in lines.
fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = blank_length(rest);
        match taken {
            Some(length) => {
                out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                // An identifier is copied whole, so that the r of `for` is not taken for a raw string.
                if first.is_alphanumeric() || first == '_' {
                    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    out.push_str(&rest[..end]);
                    rest = &rest[end..];
                }
            }
        }
    }
    out
}

/// How many bytes from here are a comment, a string or a character; `None` when this is code.
fn blank_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| {
            after.starts_with('"') || prefix.ends_with('r') && after.trim_start_matches('#').starts_with('"')
        })
    });
    if let Some(prefix) = prefix {
        let after = &rest[prefix.len()..];
        if prefix.ends_with('r') {
            let hashes = after.len() - after.trim_start_matches('#').len();
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &after[hashes + 1..];
            let length = body.find(&end).map_or(body.len(), |at| at + end.len());
            return Some(prefix.len() + hashes + 1 + length);
        }
        return Some(prefix.len() + quoted(after, '"'));
    }
    let character = rest.strip_prefix('\'')?;
    let mut chars = character.chars();
    match (chars.next()?, chars.next()?) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (c, '\'') => Some(1 + c.len_utf8() + 1),
        // A lifetime.
        _ => None,
    }
}

/// The length of a quoted text with backslash escapes, both quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part(line[..at].chars().next_back()) && !part(line[at + word.len()..].chars().next())
    })
}

fn has_macro(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && line[at + name.len()..].starts_with('!')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(file: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        source(file, text, &mut found);
        machine_paths(file, text, &mut found);
        found
    }

    #[test]
    fn unsafe_outside_sys_is_found_in_code_only() {
        let block = ["let x = uns", "afe { 1 };"].concat();
        assert_eq!(breaches("crates/cli/src/a.rs", &block).len(), 1);
        assert!(breaches("crates/sys/src/a.rs", &block).is_empty());
        assert!(breaches("crates/socket/src/a.rs", &block).is_empty());
        let harmless =
            "// unsafe\nlet text = \"unsafe { }\"; let raw = r#\"unsafe \" \"#; let c = '\"'; unsafe_code();";
        assert!(breaches("crates/cli/src/a.rs", harmless).is_empty());
    }

    #[test]
    fn a_lifetime_does_not_begin_a_string() {
        let text = "fn f<'a>(x: &'a str) -> &'a str { dbg!(x) }";
        assert_eq!(breaches("crates/cli/src/a.rs", text).len(), 1);
    }

    #[test]
    fn printing_is_for_programs_that_talk_to_people() {
        let text = "fn f() { println!(); }\n#[cfg(test)]\nmod tests { fn g() { println!(); } }";
        assert_eq!(breaches("crates/init/src/a.rs", text).len(), 1);
        assert!(breaches("crates/cli/src/a.rs", text).is_empty());
    }

    #[test]
    fn a_path_of_the_machine_is_not_a_part_of_another_path() {
        let own = ["see /wo", "rk/main"].concat();
        assert_eq!(breaches("README.md", &own).len(), 1);
        assert!(breaches("README.md", "session-0/work/unit and <base>/work/<unit>").is_empty());
    }

    #[test]
    fn a_manifest_gives_its_name_and_our_own_crates() {
        let text = "[package]\nname = \"session0-init\"\n[dependencies]\nserde = \"1\"\nsession0-sys.workspace = true\n\
            session0-model = { path = \"x\" }\n[dev-dependencies]\nsession0-sim.workspace = true\n";
        let (name, used) = manifest(text);
        assert_eq!(name, "session0-init");
        assert_eq!(used, ["session0-sys", "session0-model"]);
    }
}
