//! What programs have set on a terminal by escape sequences, so that exactly that can be undone when they end without doing it
//! themselves: a full-screen editor whose session was taken over must not leave its screen behind.

/// What differs from a terminal as a shell expects it. One bit for each of [`MODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes(pub u32);

/// A mode that is followed.
struct Mode {
    bit: u32,
    /// If it is a private mode: its number, and how it is in a terminal as a shell expects it.
    private: Option<(u32, Usual)>,
    undo: &'static str,
}

/// How a mode is in a terminal as a shell expects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usual {
    On,
    Off,
}

const SAVING_ALTERNATE: u32 = 0;
const CLEARING_ALTERNATE: u32 = 1;
const BARE_ALTERNATE: u32 = 2;
const ALTERNATE: u32 = 1 << SAVING_ALTERNATE | 1 << CLEARING_ALTERNATE | 1 << BARE_ALTERNATE;
const MARGINS: u32 = 3;
const ATTRIBUTES: u32 = 4;
const CURSOR_HIDDEN: u32 = 5;
const CURSOR_KEYS: u32 = 6;
const KEYPAD: u32 = 7;
const ORIGIN: u32 = 9;
const OTHER_KEYS: u32 = 20;
const KEYBOARD: u32 = 21;
const CURSOR_SHAPE: u32 = 22;
/// Line drawing characters, which come by two sequences.
const DRAWING: u32 = 23;
const SHIFTED: u32 = 24;

/// In the order in which they are undone. The alternate screens come first, as what follows concerns the screen that is then shown.
const MODES: [Mode; 25] = [
    private(SAVING_ALTERNATE, 1049, Usual::Off, "\x1b[?1049l"),
    private(CLEARING_ALTERNATE, 1047, Usual::Off, "\x1b[?1047l"),
    private(BARE_ALTERNATE, 47, Usual::Off, "\x1b[?47l"),
    other(MARGINS, "\x1b7\x1b[r\x1b8"),
    other(ATTRIBUTES, "\x1b[0m"),
    private(CURSOR_HIDDEN, 25, Usual::On, "\x1b[?25h"),
    private(CURSOR_KEYS, 1, Usual::Off, "\x1b[?1l"),
    private(KEYPAD, 66, Usual::Off, "\x1b>"),
    private(8, 7, Usual::On, "\x1b[?7h"),
    private(ORIGIN, 6, Usual::Off, "\x1b[?6l"),
    private(10, 5, Usual::Off, "\x1b[?5l"),
    private(11, 9, Usual::Off, "\x1b[?9l"),
    private(12, 1000, Usual::Off, "\x1b[?1000l"),
    private(13, 1002, Usual::Off, "\x1b[?1002l"),
    private(14, 1003, Usual::Off, "\x1b[?1003l"),
    private(15, 1004, Usual::Off, "\x1b[?1004l"),
    private(16, 1005, Usual::Off, "\x1b[?1005l"),
    private(17, 1006, Usual::Off, "\x1b[?1006l"),
    private(18, 1015, Usual::Off, "\x1b[?1015l"),
    private(19, 2004, Usual::Off, "\x1b[?2004l"),
    other(OTHER_KEYS, "\x1b[>4m"),
    other(KEYBOARD, "\x1b[<u"),
    other(CURSOR_SHAPE, "\x1b[0 q"),
    other(DRAWING, "\x1b(B"),
    other(SHIFTED, "\x0f"),
];

const fn private(bit: u32, number: u32, usual: Usual, undo: &'static str) -> Mode {
    Mode { bit, private: Some((number, usual)), undo }
}

const fn other(bit: u32, undo: &'static str) -> Mode {
    Mode { bit, private: None, undo }
}

/// A private mode's bit, and how the mode usually is.
fn by_number(wanted: u32) -> Option<(u32, Usual)> {
    let mut all =
        MODES.iter().filter_map(|mode| mode.private.map(|(number, usual)| (number, mode.bit, usual)));
    all.find(|(number, ..)| *number == wanted).map(|(_, bit, usual)| (bit, usual))
}

impl Modes {
    /// Whether nothing is to be undone.
    pub fn is_plain(self) -> bool {
        self.0 == 0
    }

    /// Whether a full-screen program's own screen is shown.
    pub fn is_alternate(self) -> bool {
        self.0 & ALTERNATE != 0
    }

    /// What makes the terminal plain again.
    pub fn undo(self) -> Vec<u8> {
        // A terminal's reset of one alternate screen is that of all; said twice, the cursor would jump.
        let said_once = if self.has(SAVING_ALTERNATE) { ALTERNATE & !(1 << SAVING_ALTERNATE) } else { 0 };
        let left = Modes(self.0 & !said_once);
        MODES.iter().filter(|mode| left.has(mode.bit)).flat_map(|mode| mode.undo.bytes()).collect()
    }

    fn has(self, bit: u32) -> bool {
        self.0 & 1 << bit != 0
    }

    fn set(&mut self, bit: u32, on: bool) {
        self.0 = if on { self.0 | 1 << bit } else { self.0 & !(1 << bit) };
    }
}

/// Longer parameters than any sequence that matters here has.
const PARAMETERS_MAX: usize = 64;

/// Follows what is written to a terminal.
#[derive(Debug, Default)]
pub struct Screen {
    modes: Modes,
    place: Place,
    parameters: Vec<u8>,
    last: Option<u8>,
}

/// Where in a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and a byte that says that one more follows; the byte.
    Designation(u8),
    /// After ESC [.
    Control,
    /// In a title or the like, up to BEL or ESC \.
    Words,
}

impl Screen {
    /// What is set now.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// Whether what is written next begins a line, as far as one can tell.
    pub fn at_line_start(&self) -> bool {
        matches!(self.last, None | Some(b'\n')) && !self.modes.is_alternate()
    }

    /// These bytes are written.
    pub fn follow(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.place == Place::Text {
                let plain = rest.iter().position(|byte| matches!(byte, 0x1b | 0x0e | 0x0f));
                let plain = plain.unwrap_or(rest.len());
                if let Some(last) = rest[..plain].iter().rfind(|byte| **byte != b'\r') {
                    self.last = Some(*last);
                }
                rest = &rest[plain..];
            }
            let Some((byte, after)) = rest.split_first() else { return };
            self.place = self.next(*byte);
            rest = after;
        }
    }

    fn next(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (_, 0x1b) => return Place::Escape,
            (_, 0x18 | 0x1a) => {}
            (Place::Text, 0x0e) => self.modes.set(SHIFTED, true),
            (Place::Text, 0x0f) => self.modes.set(SHIFTED, false),
            (Place::Text, _) => {}
            (Place::Escape, b'[') => {
                self.parameters.clear();
                return Place::Control;
            }
            (Place::Escape, b']' | b'P' | b'X' | b'^' | b'_') => return Place::Words,
            (Place::Escape, b' '..=b'/') => return Place::Designation(byte),
            (Place::Escape, b'c') => self.modes = Modes::default(),
            (Place::Escape, b'=') => self.modes.set(KEYPAD, true),
            (Place::Escape, b'>') => self.modes.set(KEYPAD, false),
            (Place::Escape, _) => {}
            (Place::Designation(b'('), set) => self.modes.set(DRAWING, set != b'B'),
            (Place::Designation(_), _) => {}
            (Place::Control, b'@'..=b'~') => self.control(byte),
            (Place::Control, _) => {
                if self.parameters.len() < PARAMETERS_MAX {
                    self.parameters.push(byte);
                }
                return Place::Control;
            }
            (Place::Words, 0x07) => {}
            (Place::Words, _) => return Place::Words,
        }
        Place::Text
    }

    fn control(&mut self, end: u8) {
        let text = String::from_utf8_lossy(&self.parameters).into_owned();
        let number = |text: &str| text.parse::<u32>().unwrap_or(0);
        let modes = &mut self.modes;
        match (text.chars().next(), end) {
            (Some('?'), b'h' | b'l') => {
                for (bit, usual) in text[1..].split(';').filter_map(|text| by_number(number(text))) {
                    modes.set(bit, (end == b'h') != (usual == Usual::On));
                }
            }
            (Some('>'), b'm') => match text[1..].split_once(';') {
                Some((which, value)) if number(which) == 4 => modes.set(OTHER_KEYS, number(value) != 0),
                Some(_) => {}
                None => modes.set(OTHER_KEYS, false),
            },
            (Some('>'), b'u') => modes.set(KEYBOARD, true),
            (Some('<'), b'u') => modes.set(KEYBOARD, false),
            (Some('!'), b'p') => {
                for bit in [MARGINS, ATTRIBUTES, CURSOR_HIDDEN, CURSOR_KEYS, KEYPAD, ORIGIN, DRAWING, SHIFTED]
                {
                    modes.set(bit, false);
                }
            }
            (Some('?' | '>' | '<' | '=' | '!'), _) => {}
            (_, b'm') => modes.set(ATTRIBUTES, attributes(&text, modes.has(ATTRIBUTES))),
            (first, b'r') => modes.set(MARGINS, first.is_some()),
            (_, b'q') if text.ends_with(' ') => modes.set(CURSOR_SHAPE, number(text.trim_end()) != 0),
            _ => {}
        }
    }
}

/// Whether any attribute is set after these.
fn attributes(text: &str, before: bool) -> bool {
    let mut set = before;
    let mut parts = text.split(';');
    while let Some(part) = parts.next() {
        // The numbers of a colour are no attributes.
        let skipped = match part {
            "38" | "48" | "58" => match parts.next() {
                Some("5") => 1,
                Some("2") => 3,
                _ => 0,
            },
            _ => 0,
        };
        set = !matches!(part, "" | "0" | "00");
        for _ in 0..skipped {
            parts.next();
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(written: &str) -> String {
        let mut screen = Screen::default();
        screen.follow(written.as_bytes());
        let whole = screen.modes();
        let mut screen = Screen::default();
        written.bytes().for_each(|byte| screen.follow(&[byte]));
        assert_eq!(whole, screen.modes(), "in pieces {written:?} means the same");
        String::from_utf8(whole.undo()).unwrap()
    }

    #[test]
    fn what_a_program_sets_and_takes_back_needs_no_undoing() {
        for written in [
            "hello\r\nworld",
            "\x1b[31mred\x1b[0m\x1b[1;44m\x1b[m",
            "\x1b[?1049h\x1b[?25l\x1b[1;24r text \x1b[r\x1b[?25h\x1b[?1049l",
            "\x1b[?1;25;2004h\x1b=\x1b[?1;2004l\x1b>",
            "\x1b(0lqk\x1b(B\x0e\x0f",
            "\x1b]0;a title with [?25l\x07",
            "\x1b]0;a title with [?25l\x1b\\",
            "\x1b[?1049h\x1b[?25l\x1bc",
            "\x1b[38;5;0mblack\x1b[0m",
            "\x1b[>4;2m\x1b[>4;m\x1b[>1u\x1b[<u\x1b[2 q\x1b[0 q",
            "\x1b[?12h\x1b[6n\x1b[?1$p\x1b[?u",
        ] {
            assert_eq!(undone(written), "", "{written:?}");
        }
    }

    #[test]
    fn what_is_left_is_undone_and_nothing_else() {
        assert_eq!(undone("\x1b[?1049h\x1b[?25l"), "\x1b[?1049l\x1b[?25h");
        assert_eq!(undone("\x1b[?47h"), "\x1b[?47l");
        assert_eq!(undone("\x1b[1;31m"), "\x1b[0m");
        assert_eq!(undone("\x1b[0;38;5;0m"), "\x1b[0m");
        assert_eq!(undone("\x1b[?1000;1006h"), "\x1b[?1000l\x1b[?1006l");
        assert_eq!(undone("\x1b[?2004h"), "\x1b[?2004l");
        assert_eq!(undone("\x1b[5;20r"), "\x1b7\x1b[r\x1b8");
        assert_eq!(undone("\x1b(0"), "\x1b(B");
        assert_eq!(undone("\x1b[?7l"), "\x1b[?7h");
    }

    #[test]
    fn each_mode_has_a_bit_of_its_own_and_is_undone_by_what_stands_beside_it() {
        let mut seen = 0;
        for mode in &MODES {
            let modes = Modes(1 << mode.bit);
            assert_eq!(seen & modes.0, 0, "{:?} has the bit of another", mode.undo);
            seen |= modes.0;
            assert_eq!(modes.undo(), mode.undo.as_bytes());
            let mut screen = Screen { modes, ..Screen::default() };
            screen.follow(mode.undo.as_bytes());
            assert!(screen.modes().is_plain(), "{:?} undoes nothing", mode.undo);
            if let Some((number, usual)) = mode.private {
                let unusual = if usual == Usual::On { 'l' } else { 'h' };
                assert_eq!(undone(&format!("\x1b[?{number}{unusual}")), mode.undo);
            }
        }
    }

    #[test]
    fn two_alternate_screens_are_left_once() {
        assert_eq!(undone("\x1b[?47;1047;1049h"), "\x1b[?1049l");
        assert_eq!(undone("\x1b[?47;1047h"), "\x1b[?1047l\x1b[?47l");
    }

    #[test]
    fn a_line_begins_after_a_newline() {
        let mut screen = Screen::default();
        assert!(screen.at_line_start());
        screen.follow(b"$ ");
        assert!(!screen.at_line_start());
        screen.follow(b"exit\r\n\x1b[?2004l\r");
        assert!(screen.at_line_start());
        screen.follow(b"\x1b[?1049h");
        assert!(!screen.at_line_start());
    }

    #[test]
    fn nonsense_is_followed_without_end() {
        let mut screen = Screen::default();
        screen.follow(&[b"\x1b[".to_vec(), vec![b'1'; 1 << 16]].concat());
        assert!(screen.parameters.len() <= PARAMETERS_MAX);
        screen.follow(b"\xff\xff\x1b[?\xff;;h\x1b[?99999999999h\x1b\x1b[?25l");
        assert_eq!(screen.modes().undo(), b"\x1b[?25h");
    }
}
