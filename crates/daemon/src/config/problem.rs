//! What is wrong with a configuration file, and how it is shown: file, line, column, the line, a caret.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Characters of a source line that are shown; the rest is cut on the side away from the caret.
const LINE_SHOWN_MAX: usize = 160;

/// One file's text, for carets.
pub struct Source {
    /// Where it came from, as shown to people.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory.
    pub file: PathBuf,
    /// Where in it; `None` when it could not be read at all.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What is allowed, or what to do.
    pub help: Option<String>,
}

/// A place in a file. Line and column count from 1; the column counts characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// Characters the caret underlines, at least one.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Source {
    /// A problem at this place.
    pub fn problem(&self, span: Range<usize>, message: String, help: Option<String>) -> Problem {
        Problem { file: self.path.clone(), place: Some(self.place(span)), message, help }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let start = floor(&self.text, span.start);
        let end = floor(&self.text, span.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let underlined = &self.text[start..end.min(line_end)];
        Place {
            line: self.text[..line_start].bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            width: underlined.chars().count().max(1),
            text: self.text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }
}

/// The last character boundary at or before `at`: a span can end inside a character only if the parser is wrong,
/// and a message about a bad file must not fail over that.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

impl Problem {
    /// A problem of a whole file or directory.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Problem {
        Problem { file: file.to_owned(), place: None, message: message.into(), help: None }
    }

    /// As shown to people.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = write!(out, "error: {}", self.line());
        if let Some(place) = &self.place {
            place.render(&mut out);
        }
        if let Some(help) = &self.help {
            let _ = write!(out, "\n  = {help}");
        }
        out
    }

    /// In one line.
    pub fn line(&self) -> String {
        let file = self.file.display();
        match &self.place {
            None => format!("{file}: {}", self.message),
            Some(place) => format!("{file}:{}:{}: {}", place.line, place.column, self.message),
        }
    }

    /// As JSON: `file`, `line`, `column`, `message`, `help`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file.to_string_lossy(),
            "line": self.place.as_ref().map(|place| place.line),
            "column": self.place.as_ref().map(|place| place.column),
            "message": self.message,
            "help": self.help,
        })
    }
}

impl Place {
    fn render(&self, out: &mut String) {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let skipped = self.column.saturating_sub(LINE_SHOWN_MAX / 2 + 1);
        let shown: String = self.text.chars().skip(skipped).take(LINE_SHOWN_MAX).map(printable).collect();
        // Tabs stay tabs in front of the caret, so that it stands under its character whatever their width.
        let before: String = self
            .text
            .chars()
            .chain(std::iter::repeat(' '))
            .skip(skipped)
            .take(self.column - 1 - skipped)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let carets =
            "^".repeat(self.width.min(LINE_SHOWN_MAX - (self.column - 1 - skipped).min(LINE_SHOWN_MAX - 1)));
        let _ = write!(out, "\n {margin} |\n {number} | {shown}\n {margin} | {before}{carets}");
    }
}

/// Control characters of a file must not reach a terminal.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "web.toml".into(), text: text.into() }
    }

    #[test]
    fn a_caret_stands_under_the_place() {
        let problem = source("a = 1\n\tcomand = \"x\"\n").problem(7..13, "unknown key `comand`".into(), None);
        assert_eq!(
            problem.render(),
            "error: web.toml:2:2: unknown key `comand`\n   |\n 2 | \tcomand = \"x\"\n   | \t^^^^^^"
        );
    }

    #[test]
    fn a_span_at_the_end_or_beyond_it_is_shown() {
        let problem = source("a = ").problem(4..9, "no value".into(), Some("write one".into()));
        assert_eq!(
            problem.render(),
            "error: web.toml:1:5: no value\n   |\n 1 | a = \n   |     ^\n  = write one"
        );
    }

    #[test]
    fn columns_count_characters_and_long_lines_are_cut() {
        let text = format!("é = \"{}\" # x", "ü".repeat(400));
        let at = text.find('#').unwrap();
        let problem = source(&text).problem(at..at + 1, "here".into(), None);
        assert_eq!(problem.place.as_ref().map(|place| place.column), Some(408));
        let lines: Vec<_> = problem.render().lines().map(str::to_owned).collect();
        let caret = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().nth(caret), Some('#'));
        assert!(lines[2].chars().count() < 200);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let problem = source("a = \"\u{1b}[31m\"").problem(0..1, "x".into(), None);
        assert!(!problem.render().contains('\u{1b}'));
    }
}
