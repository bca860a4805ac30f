//! `cargo xtask demo attacks`: builds and runs the attack suite, and shows what happened as a table.

use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::{Stop, cargo, complain, is_root, say, target_directory, up};

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// One object a line.
    Json,
}

/// Runs it.
pub fn run(form: Form) -> Result<(), Stop> {
    complain("building session0 and the attack suite ...");
    let built = cargo().args(["build", "--workspace", "--quiet"]).status();
    if !built.map_err(|error| format!("could not run cargo: {error}"))?.success() {
        return Err("it does not build; see above".to_owned().into());
    }
    let program = target_directory()?.join("debug/attacks");
    let mut command = if is_root() {
        Command::new(&program)
    } else {
        up::ask_sudo()?;
        let mut sudo = Command::new("sudo");
        sudo.arg("--non-interactive").arg("--").arg(&program);
        sudo
    };
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not run {}: {error}", program.display()))?;
    let mut table = Table::new(form);
    let output = child.stdout.take().map(BufReader::new);
    for line in output.into_iter().flat_map(|reader| reader.lines().map_while(Result::ok)) {
        table.line(&line);
    }
    let status = child.wait().map_err(|error| format!("could not wait for the attacks: {error}"))?;
    table.end(began.elapsed().as_secs());
    if status.success() { Ok(()) } else { Err(Stop::silent(1)) }
}

/// Widths of the columns, without the mark before them.
const ABOUT: usize = 34;
const OUTCOME: usize = 46;

/// What has been seen so far.
struct Table {
    form: Form,
    painting: bool,
    family: String,
    held: u32,
    /// What was skipped, or is not as it should be: name and why.
    skipped: Vec<String>,
    wrong: Vec<String>,
}

impl Table {
    fn new(form: Form) -> Table {
        let painting = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if form == Form::Table {
            complain("starting two hosts: vista has its walls up, xp has them down ...");
            let heading =
                format!("     {:ABOUT$}  {:OUTCOME$}  xp, or without session0 (*)", "attack", "vista");
            say(&heading);
        }
        Table { form, painting, family: String::new(), held: 0, skipped: Vec::new(), wrong: Vec::new() }
    }

    fn line(&mut self, line: &str) {
        if self.form == Form::Json {
            say(line);
            return;
        }
        let Ok(value) = serde_json::from_str::<Value>(line) else { return };
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        if self.family != text("family") {
            text("family").clone_into(&mut self.family);
            say(&format!("\n{}", self.family));
        }
        let why = format!("{}: {}", text("name"), text("why"));
        let mark = match text("verdict") {
            "holds" => {
                self.held += 1;
                self.paint(GREEN, "ok  ")
            }
            "skipped" => {
                self.skipped.push(why);
                self.paint(YELLOW, "skip")
            }
            _ => {
                self.wrong.push(why);
                self.paint(RED, "FAIL")
            }
        };
        // An attack that fails in xp too has proven itself without session0.
        let (other, star) = match value["bare"].is_null() {
            true => (&value["xp"], ""),
            false => (&value["bare"], "* "),
        };
        say(&format!(
            "{mark} {:ABOUT$}  {}  {star}{}",
            cut(text("about"), ABOUT),
            self.outcome(&value["vista"]),
            self.outcome(other).trim_end(),
        ));
    }

    /// `refused    EPERM`, as wide as its column.
    fn outcome(&self, outcome: &Value) -> String {
        let word = outcome["outcome"].as_str().unwrap_or("-");
        let colour = match word {
            "refused" => GREEN,
            "succeeded" => RED,
            _ => YELLOW,
        };
        let detail = outcome["detail"].as_str().unwrap_or_default();
        let room = OUTCOME - 10;
        format!("{} {:room$}", self.paint(colour, &format!("{word:9}")), cut(detail, room))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.painting { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn end(&self, seconds: u64) {
        if self.form == Form::Json {
            return;
        }
        for (word, list) in [("skipped", &self.skipped), ("WRONG", &self.wrong)] {
            list.iter().for_each(|one| say(&format!("{word} {one}")));
        }
        say(&format!(
            "\n{} hold, {} skipped, {} wrong ({seconds} s). What the suite does not cover is in SECURITY.md.",
            self.held,
            self.skipped.len(),
            self.wrong.len(),
        ));
    }
}

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";

/// The text without what could move the terminal, and not longer than this.
fn cut(text: &str, length: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match plain.chars().count() > length {
        true => plain.chars().take(length - 3).chain("...".chars()).collect(),
        false => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_neither_breaks_the_table_nor_moves_the_terminal() {
        assert_eq!(cut("abc\u{1b}[2J\n", 20), "abc [2J ");
        assert_eq!(cut("abcdefghij", 8), "abcde...");
    }
}
