//! The small languages inside configuration values: durations, sizes, shares, signals, capabilities, words.

use std::time::Duration;

/// What [`duration`] takes, for messages.
pub const DURATION_FORM: &str =
    "a duration is written like \"100ms\", \"20s\", \"1m30s\", \"2h\"; units are us ms s m h d";
/// What [`size`] takes.
pub const SIZE_FORM: &str = "a size is a number of bytes or is written like \"64K\", \"512M\", \"2G\"";
/// What [`percent`] takes.
pub const PERCENT_FORM: &str = "a share of one CPU is written like \"50%\"; \"250%\" is two and a half CPUs";
/// What [`signal`] takes.
pub const SIGNAL_FORM: &str =
    "a signal is a name like \"TERM\", \"INT\", \"QUIT\", \"HUP\", \"USR1\" or a number from 1 to 64";

/// No time-out is longer than this: beyond it a mistyped unit is more likely than an intention.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// `1m30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| match rest {
            "0" => String::new(),
            _ => format!("`{text}` has no unit"),
        });
        let digits = match digits {
            Ok(digits) => digits,
            Err(message) if message.is_empty() => return Ok(total),
            Err(message) => return Err(message),
        };
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let micros: u64 = match &rest[..letters] {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" | "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            unit => return Err(format!("`{unit}` is not a unit of time")),
        };
        rest = rest[letters..].trim_start();
        total = total.saturating_add(Duration::from_micros(number.saturating_mul(micros)));
    }
    if total > DURATION_MAX { Err(format!("`{text}` is longer than a year")) } else { Ok(total) }
}

/// `512M`.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("`{text}` is not a size"))?;
    let factor: u64 = match &text[digits..] {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        unit => return Err(format!("`{unit}` is not a unit of size")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// `50%`.
pub fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix('%').ok_or_else(|| format!("`{text}` has no percent sign"))?;
    match number.trim_end().parse() {
        Ok(0) => Err("a share of 0% would never run".into()),
        Ok(share) if share <= 1_000_000 => Ok(share),
        _ => Err(format!("`{text}` is not a share of a CPU")),
    }
}

/// `TERM`, `SIGTERM` or `15`.
pub fn signal(text: &str) -> Result<u8, String> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = text.parse::<u8>() {
        return if (1..=64).contains(&number) {
            Ok(number)
        } else {
            Err(format!("there is no signal {number}"))
        };
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    match NAMES.iter().position(|known| *known == name) {
        Some(index) => Ok(u8::try_from(index + 1).unwrap_or(u8::MAX)),
        None => Err(format!("there is no signal `{text}`")),
    }
}

/// The capabilities a program in a session can have, and their bits: all of `0x200405fb`.
pub const CAPABILITIES: [(&str, u8); 11] = [
    ("chown", 0),
    ("dac_override", 1),
    ("fowner", 3),
    ("fsetid", 4),
    ("kill", 5),
    ("setgid", 6),
    ("setuid", 7),
    ("setpcap", 8),
    ("net_bind_service", 10),
    ("sys_chroot", 18),
    ("audit_write", 29),
];

/// A capability's bit.
pub fn capability(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("cap_").unwrap_or(&lower);
    match CAPABILITIES.iter().find(|(known, _)| *known == name) {
        Some((_, bit)) => Ok(1 << bit),
        None => Err(format!("`{text}` is not a capability a program in a session can have")),
    }
}

/// Splits a command as a shell splits words: blanks, single and double quotes, backslashes. Nothing is expanded.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("the command ends with a backslash".into()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    for c in chars {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err("a single quote in the command is not closed".into())
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some('\n') => {}
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            other => word.push(other),
        }
    }
    Err("a double quote in the command is not closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 5min"), Ok(Duration::from_secs(3900)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("20"), Err("`20` has no unit".into()));
        assert_eq!(duration("5 parsecs"), Err("`` is not a unit of time".into()));
        assert_eq!(duration("5parsecs"), Err("`parsecs` is not a unit of time".into()));
        for bad in ["", "s", "-1s", "99999999999999999999s", "400d", "1s2"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_shares() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("4096"), Ok(4096));
        assert!(size("12Q").is_err() && size("").is_err() && size("99999999T").is_err());
        assert_eq!(percent("250%"), Ok(250));
        assert!(percent("50").is_err() && percent("0%").is_err() && percent("-1%").is_err());
    }

    #[test]
    fn signals_and_capabilities() {
        assert_eq!((signal("TERM"), signal("SIGHUP"), signal("2")), (Ok(15), Ok(1), Ok(2)));
        assert!(signal("0").is_err() && signal("65").is_err() && signal("term").is_err());
        assert_eq!(capability("CAP_NET_BIND_SERVICE"), Ok(1 << 10));
        assert!(capability("sys_admin").is_err());
        assert_eq!(CAPABILITIES.iter().fold(0u64, |all, (_, bit)| all | 1 << bit), 0x2004_05fb);
    }

    #[test]
    fn words_split_like_a_shells() {
        assert_eq!(
            words(r#"a 'b c' "d \"e" f\ g ''"#),
            Ok(["a", "b c", "d \"e", "f g", ""].map(Into::into).into())
        );
        assert_eq!(words("$HOME *"), Ok(vec!["$HOME".into(), "*".into()]));
        assert!(words("'a").is_err() && words("\"a").is_err() && words("a\\").is_err());
    }
}
