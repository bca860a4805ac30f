//! A page about one thing: words on the left, what they are on the right.

use crate::output::Output;

/// A page being filled.
pub struct Page {
    lines: Vec<String>,
    width: Option<usize>,
}

impl Page {
    /// An empty one, for this output's width.
    pub fn new(output: &Output) -> Page {
        Page { lines: Vec::new(), width: output.width.map(usize::from) }
    }

    /// A line as it is.
    pub fn line(&mut self, text: String) {
        self.lines.push(text);
    }

    /// A word and what it is.
    pub fn row(&mut self, what: &str, text: String) {
        let mut what = what;
        for line in wrapped(&text, self.width) {
            self.lines.push(format!("  {what:>11}  {line}"));
            what = "";
        }
    }

    /// A word and what it is, if it is there.
    pub fn some(&mut self, what: &str, text: Option<String>) {
        if let Some(text) = text {
            self.row(what, text);
        }
    }

    /// The text without a newline at the end.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Cut at spaces so that it stays right of the words on the left. Text with colours in it is short and left alone.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    const LEFT: usize = 15;
    let room = match width {
        Some(width) if width >= 2 * LEFT && !text.contains('\x1b') => width - LEFT,
        _ => return vec![text.to_owned()],
    };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > room {
            lines.push(word.to_owned());
        } else if lines[last].is_empty() {
            lines[last].push_str(word);
        } else {
            lines[last].push(' ');
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_stays_right_of_its_word() {
        assert_eq!(wrapped("aaaa bbbb cccc dddd", Some(30)), ["aaaa bbbb cccc", "dddd"]);
        assert_eq!(wrapped("aaaa bbbb", None), ["aaaa bbbb"]);
    }
}
