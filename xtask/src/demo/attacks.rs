//! `cargo xtask demo attacks`: builds and runs the attack suite, and shows what happened as a table.

use std::time::Instant;

use serde_json::Value;

use super::{Form, GREEN, Paint, RED, YELLOW, cut, play};
use crate::{Stop, complain, say};

/// Runs it.
pub fn run(form: Form) -> Result<(), Stop> {
    let began = Instant::now();
    let mut table = Table::new(form);
    let content = play("attacks", |line| table.line(line))?;
    table.end(began.elapsed().as_secs());
    if content { Ok(()) } else { Err(Stop::silent(1)) }
}

/// Widths of the columns, without the mark before them.
const ABOUT: usize = 34;
const OUTCOME: usize = 46;

/// What has been seen so far.
struct Table {
    form: Form,
    paint: Paint,
    family: String,
    held: u32,
    /// What was skipped, or is not as it should be: name and why.
    skipped: Vec<String>,
    wrong: Vec<String>,
}

impl Table {
    fn new(form: Form) -> Table {
        if form == Form::Table {
            complain("starting two hosts: vista has its walls up, xp has them down ...");
            let heading =
                format!("     {:ABOUT$}  {:OUTCOME$}  xp, or without session0 (*)", "attack", "vista");
            say(&heading);
        }
        Table {
            form,
            paint: Paint::of_stdout(),
            family: String::new(),
            held: 0,
            skipped: Vec::new(),
            wrong: Vec::new(),
        }
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
                self.paint.paint(GREEN, "ok  ")
            }
            "skipped" => {
                self.skipped.push(why);
                self.paint.paint(YELLOW, "skip")
            }
            _ => {
                self.wrong.push(why);
                self.paint.paint(RED, "FAIL")
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
        format!("{} {:room$}", self.paint.paint(colour, &format!("{word:9}")), cut(detail, room))
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
