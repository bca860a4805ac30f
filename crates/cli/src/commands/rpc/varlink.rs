//! Varlink's interface language, as far as it is shown and searched.

use crate::output::{Output, Paint};

/// Words that begin a definition.
const DEFINING: [&str; 4] = ["interface", "type", "method", "error"];

/// A description for a terminal: without control characters, which nobody's service may send there; what defines is strong and
/// comments are faint.
pub fn shown(output: &Output, description: &str) -> String {
    description.trim_end().lines().map(|line| line_shown(output, line)).collect::<Vec<_>>().join("\n")
}

fn line_shown(output: &Output, line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    if line.trim_start().starts_with('#') {
        return output.paint(Paint::Faint, &line);
    }
    let word = line.split_whitespace().next().unwrap_or_default();
    match line.strip_prefix(word) {
        Some(rest) if DEFINING.contains(&word) => format!("{}{rest}", output.paint(Paint::Strong, word)),
        _ => line,
    }
}

/// Whether a description has a method of this name.
pub fn has_method(description: &str, name: &str) -> bool {
    description.lines().any(|line| {
        let rest = line.trim_start().strip_prefix("method").filter(|rest| rest.starts_with([' ', '\t']));
        let rest = rest.and_then(|rest| rest.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{ColorChoice, Output};

    const TEXT: &str = "# Greets.\ninterface org.example.Greeter\n\nmethod Greet(name: string) -> (\n  type: string\n)\nmethod GreetAll () -> ()\nerror NoName()\n";

    #[test]
    fn a_method_is_found_by_its_whole_name_only() {
        assert!(has_method(TEXT, "Greet") && has_method(TEXT, "GreetAll"));
        for other in ["Gree", "GreetA", "NoName", "", "greet"] {
            assert!(!has_method(TEXT, other), "{other}");
        }
    }

    #[test]
    fn what_defines_is_strong_and_the_text_is_the_same_without_colours() {
        let plain = Output::new(false, ColorChoice::Never);
        assert_eq!(shown(&plain, TEXT), TEXT.trim_end());
        let colored = shown(&Output::new(false, ColorChoice::Always), TEXT);
        assert!(
            colored.contains("\x1b[1mmethod\x1b[0m Greet(") && colored.contains("\x1b[2m# Greets.\x1b[0m")
        );
        assert!(colored.contains("\n  type: string"), "a field is no definition: {colored}");
    }

    #[test]
    fn a_service_cannot_draw_on_the_terminal_of_who_looks_at_it() {
        let plain = Output::new(false, ColorChoice::Never);
        assert!(!shown(&plain, "# \x1b[2J\u{9b}31m\r").contains(['\x1b', '\u{9b}', '\r']));
    }
}
