//! `cargo xtask demo`: the claims of the article, one after the other, as they are shown.

use std::time::Instant;

use serde_json::Value;

use super::{DIM, Form, GREEN, Paint, RED, STRONG, YELLOW, cut, play};
use crate::{Stop, say};

/// Longest line of output that is shown.
const LINE_MAX: usize = 110;

/// Runs it.
pub fn run(form: Form) -> Result<(), Stop> {
    let began = Instant::now();
    let mut walk = Walk { form, paint: Paint::of_stdout(), mode: String::new(), shown: 0, wrong: Vec::new() };
    let content = play("tour", |line| walk.line(line))?;
    walk.end(began.elapsed().as_secs());
    if content && walk.shown > 0 { Ok(()) } else { Err(Stop::silent(1)) }
}

struct Walk {
    form: Form,
    paint: Paint,
    mode: String,
    shown: u32,
    /// Claims that were not as they should be.
    wrong: Vec<String>,
}

impl Walk {
    fn line(&mut self, line: &str) {
        let Ok(value) = serde_json::from_str::<Value>(line) else { return };
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let holds = value["holds"] == true;
        self.shown += 1;
        if !holds {
            self.wrong.push(text("claim").to_owned());
        }
        if self.form == Form::Json {
            return say(line);
        }
        if self.mode != text("mode") {
            text("mode").clone_into(&mut self.mode);
            say(&format!("\n--- isolation = \"{}\" ---", self.mode));
        }
        let mark = if holds { self.paint.paint(GREEN, "ok  ") } else { self.paint.paint(RED, "FAIL") };
        let sentence = self.paint.paint(STRONG, &cut(text("sentence"), LINE_MAX));
        say(&format!("\n{mark} {:4}{sentence}", text("claim")));
        say(&format!("         {}", self.paint.paint(YELLOW, &cut(text("command"), LINE_MAX))));
        for line in value["output"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            say(&format!("         {}", self.paint.paint(DIM, &cut(line, LINE_MAX))));
        }
        match value["left_out"].as_u64() {
            Some(0) | None => {}
            Some(more) => {
                say(&format!("         {}", self.paint.paint(DIM, &format!("({more} more lines)"))))
            }
        }
    }

    fn end(&self, seconds: u64) {
        if self.form == Form::Json {
            return;
        }
        let held = self.shown - u32::try_from(self.wrong.len()).unwrap_or(self.shown);
        say(&format!(
            "\n{held} of {} shown ({seconds} s). Each claim has its test in tests/system/article.rs; what a user's program must\nnot \
             reach: cargo xtask demo attacks.",
            self.shown
        ));
        self.wrong.iter().for_each(|claim| say(&format!("{} {claim}", self.paint.paint(RED, "NOT SHOWN"))));
    }
}
