//! From what a program wrote to lines of a log file.
//!
//! Text is kept as it is, with three exceptions, so that reading a log can never move the reader's terminal:
//!
//! - `\r\n` ends a line as `\n` does;
//! - every other control character but the tab (C0, DEL, and C1 in its UTF-8 form) is written as `\x1b` is here:
//!   a backslash, an x and two digits for each of its bytes;
//! - so is every byte that is not UTF-8.
//!
//! A backslash of the text itself is kept as it is: the log shows what happened, it is not an encoding to be undone.
//!
//! A line longer than [`LOG_LINE_MAX`] becomes several. All of them but the last end in a backslash, as in a shell.

use session0_model::limit::LOG_LINE_MAX;

/// What becomes of text at the end that no newline has finished yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// It waits for its rest.
    Waits,
    /// It is a line now.
    Ends,
}

/// How much of the raw bytes one call of [`render`] has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rendered {
    /// Raw bytes, newlines included.
    pub bytes: usize,
    /// Lines made of them.
    pub lines: u64,
}

/// Appends lines, each behind `head` (a stamp), to `out` until that holds `room` bytes, whatever comes first. One line is always
/// made if there is one: `out` can grow past `room` by a line, never by two.
pub fn render(raw: &[u8], unfinished: Unfinished, head: &[u8], room: usize, out: &mut Vec<u8>) -> Rendered {
    let mut done = Rendered::default();
    while let Some((text, end, whole)) = next(&raw[done.bytes..], unfinished) {
        let before = out.len();
        out.extend_from_slice(head);
        escape(text, out);
        out.extend_from_slice(if whole { b"\n" } else { b"\\\n" });
        if out.len() > room && done.lines > 0 {
            out.truncate(before);
            break;
        }
        done.bytes += end;
        done.lines += 1;
    }
    done
}

/// Raw bytes of the first `lines` lines.
pub fn length(raw: &[u8], lines: u64) -> usize {
    let mut at = 0;
    for _ in 0..lines {
        let Some((_, end, _)) = next(&raw[at..], Unfinished::Ends) else { break };
        at += end;
    }
    at
}

/// The first line: its text, how many raw bytes it takes, and whether it is whole or cut.
fn next(raw: &[u8], unfinished: Unfinished) -> Option<(&[u8], usize, bool)> {
    let window = &raw[..raw.len().min(LOG_LINE_MAX + 1)];
    if let Some(newline) = window.iter().position(|byte| *byte == b'\n') {
        let text = &window[..newline];
        return Some((text.strip_suffix(b"\r").unwrap_or(text), newline + 1, true));
    }
    if raw.len() > LOG_LINE_MAX {
        let cut = boundary(&raw[..LOG_LINE_MAX]);
        return Some((&raw[..cut], cut, false));
    }
    match unfinished {
        Unfinished::Ends if !raw.is_empty() => Some((raw, raw.len(), true)),
        Unfinished::Ends | Unfinished::Waits => None,
    }
}

/// Where to cut so that no character is cut in two.
fn boundary(text: &[u8]) -> usize {
    let start = text.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80).unwrap_or(0) + 1;
    let at = text.len() - start;
    let needs = match text[at] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if needs > start { at } else { text.len() }
}

/// Appends text so that it shows what it is and does nothing.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    // Without an early exit, so that the compiler makes it a few vector instructions: most text is plain.
    if text.iter().fold(true, |plain, byte| plain & (matches!(byte, 0x20..=0x7e) | (*byte == b'\t'))) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut kept = 0;
        for (at, character) in valid.char_indices().filter(|(_, character)| character.is_control()) {
            if character != '\t' {
                out.extend_from_slice(&valid.as_bytes()[kept..at]);
                kept = at + character.len_utf8();
                show(&valid.as_bytes()[at..kept], out);
            }
        }
        out.extend_from_slice(&valid.as_bytes()[kept..]);
        show(chunk.invalid(), out);
    }
}

fn show(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(raw: &[u8], unfinished: Unfinished) -> (String, usize) {
        let mut out = Vec::new();
        let done = render(raw, unfinished, b"> ", usize::MAX, &mut out);
        assert_eq!(done.lines as usize, out.iter().filter(|byte| **byte == b'\n').count());
        (String::from_utf8(out).unwrap(), done.bytes)
    }

    fn line(raw: &[u8]) -> String {
        lines(raw, Unfinished::Ends).0
    }

    #[test]
    fn whole_lines_are_taken_and_the_rest_waits() {
        assert_eq!(lines(b"one\ntwo\nthr", Unfinished::Waits), ("> one\n> two\n".into(), 8));
        assert_eq!(lines(b"one\ntwo\nthr", Unfinished::Ends), ("> one\n> two\n> thr\n".into(), 11));
        assert_eq!(lines(b"", Unfinished::Ends), (String::new(), 0));
        assert_eq!(lines(b"\n\n", Unfinished::Ends), ("> \n> \n".into(), 2));
    }

    #[test]
    fn nothing_that_moves_a_terminal_gets_through() {
        assert_eq!(line(b"windows\r\n"), "> windows\n");
        assert_eq!(line(b"50%\r100%\n"), "> 50%\\x0d100%\n");
        assert_eq!(line(b"\x1b[2Jred\ttab\x00\x07\x7f\n"), "> \\x1b[2Jred\ttab\\x00\\x07\\x7f\n");
        assert_eq!(
            line("C1: \u{9b}2J, text: \u{e4}\u{20ac}\u{1f600}\n".as_bytes()),
            "> C1: \\xc2\\x9b2J, text: \u{e4}\u{20ac}\u{1f600}\n"
        );
        assert_eq!(line(b"latin \xe4\xf6, half \xe2\x82\n"), "> latin \\xe4\\xf6, half \\xe2\\x82\n");
        for byte in 0..=255u8 {
            let shown = line(&[b'a', byte, b'b']);
            assert!(shown.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t' | b'\n')), "{byte:#x}");
        }
    }

    #[test]
    fn a_long_line_is_cut_visibly_between_characters() {
        let long = vec![b'x'; LOG_LINE_MAX + 10];
        let (text, used) = lines(&long, Unfinished::Waits);
        assert_eq!((text.len(), used), (2 + LOG_LINE_MAX + 2, LOG_LINE_MAX));
        assert!(text.ends_with("x\\\n"));
        for lead in 0..4 {
            let mut long = vec![b'x'; lead];
            long.extend("\u{1f600}".repeat(LOG_LINE_MAX / 2).bytes());
            let (text, _) = lines(&long, Unfinished::Ends);
            assert!(!text.contains("\\x"), "a character was cut");
        }
        // Bytes that are no characters are cut anywhere, but they are cut.
        let (_, used) = lines(&[0x80; 3 * LOG_LINE_MAX], Unfinished::Ends);
        assert_eq!(used, 3 * LOG_LINE_MAX);
        // As long as allowed: still one line.
        let mut fits = vec![b'x'; LOG_LINE_MAX];
        assert_eq!(lines(&fits, Unfinished::Waits).1, 0);
        fits.push(b'\n');
        assert!(lines(&fits, Unfinished::Waits).0.ends_with("x\n"));
    }

    #[test]
    fn the_room_is_kept_but_for_one_line() {
        let mut out = Vec::new();
        let done = render(b"aaaa\nbbbb\ncccc\n", Unfinished::Waits, b"", 12, &mut out);
        assert_eq!((done, out.as_slice()), (Rendered { bytes: 10, lines: 2 }, &b"aaaa\nbbbb\n"[..]));
        out.clear();
        let done = render(b"aaaa\nbbbb\n", Unfinished::Waits, b"", 1, &mut out);
        assert_eq!(done, Rendered { bytes: 5, lines: 1 });
        assert_eq!([1, 2, 3, 4].map(|lines| length(b"a\nb\r\nc", lines)), [2, 5, 6, 6]);
    }
}
