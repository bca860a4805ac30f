//! Syslog datagrams: what `/dev/log` receives.
//!
//! Both forms that programs send to it are understood: glibc's (`<30>Nov 23 01:02:03 tag[7]: text`, RFC 3164 without a
//! host) and RFC 5424's. The sender's own time is dropped: a line has the time at which we saw it, as all others do.

use std::os::fd::AsFd;

use session0_sys::datagram::Datagram;
use session0_sys::pidfd;

use crate::line::{self, Unfinished};
use crate::unit::Units;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// What RFC 3164 takes a message without a priority for: user.notice.
const PRIORITY_UNKNOWN: u16 = 13;

/// `Nov 23 01:02:03 `
const OLD_TIME: usize = 16;

/// Which unit sent a datagram, by the control group of the process as the kernel knows it: what the text says of
/// itself counts for nothing.
pub fn sender(datagram: &Datagram, units: &Units) -> Option<u32> {
    let pidfd = datagram.pidfd.as_ref();
    if let Some(group) = pidfd.and_then(|pidfd| pidfd::info(pidfd.as_fd()).ok()?.group) {
        return units.of_group(group);
    }
    // A kernel without PIDFD_GET_INFO: the group's name is the unit's.
    let process = datagram.sender.as_ref()?.pid;
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    if pidfd.is_some_and(|pidfd| pidfd::ended(pidfd.as_fd()).unwrap_or(true)) {
        // The number may be somebody else's by now.
        return None;
    }
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    units.find(path.rsplit('/').next()?)
}

/// Appends the datagram as `<stamp>[facility.severity] tag: text` and tells how many lines it made: each line of the
/// text is one, with the same beginning.
pub fn render(datagram: &[u8], stamp: &[u8], out: &mut Vec<u8>) -> u64 {
    let message = parse(datagram);
    let mut head = stamp.to_vec();
    let (facility, severity) = (message.priority >> 3, message.priority & 7);
    let facility = FACILITIES.get(usize::from(facility)).copied().unwrap_or("user");
    head.extend_from_slice(format!("[{facility}.{}] ", SEVERITIES[usize::from(severity)]).as_bytes());
    if !message.tag.is_empty() {
        line::escape(message.tag, &mut head);
        if !message.process.is_empty() {
            head.push(b'[');
            line::escape(message.process, &mut head);
            head.push(b']');
        }
        head.extend_from_slice(b": ");
    }
    let end = message.text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |at| at + 1);
    match line::render(&message.text[..end], Unfinished::Ends, &head, usize::MAX, out).lines {
        0 => {
            out.extend_from_slice(head.trim_ascii_end());
            out.push(b'\n');
            1
        }
        lines => lines,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    priority: u16,
    tag: &'a [u8],
    process: &'a [u8],
    text: &'a [u8],
}

fn parse(datagram: &[u8]) -> Message<'_> {
    let (priority, rest) = priority(datagram).unwrap_or((PRIORITY_UNKNOWN, datagram));
    if let Some(message) = rest.strip_prefix(b"1 ").and_then(|rest| parse_new(priority, rest)) {
        return message;
    }
    let rest = if has_old_time(rest) { &rest[OLD_TIME..] } else { rest };
    // A tag is one word that ends in a colon.
    let word = rest.iter().position(|byte| matches!(byte, b' ' | b'\n' | b':')).unwrap_or(rest.len());
    match rest.get(word) {
        Some(b':') if word > 0 => {
            let text = &rest[word + 1..];
            let (tag, process) = split_process(&rest[..word]);
            Message { priority, tag, process, text: text.strip_prefix(b" ").unwrap_or(text) }
        }
        _ => Message { priority, tag: b"", process: b"", text: rest },
    }
}

/// `<30>`
fn priority(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let rest = datagram.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let number: u16 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    (usize::from(number >> 3) < FACILITIES.len()).then_some((number, &rest[end + 1..]))
}

fn has_old_time(text: &[u8]) -> bool {
    let Some(time) = text.get(..OLD_TIME) else { return false };
    let form = b"Aaa 00 00:00:00 ";
    time.iter().zip(form).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit() || *byte == b' ',
        b'A' | b'a' => byte.is_ascii_alphabetic(),
        exactly => byte == exactly,
    })
}

/// `tag[7]` is the tag and the process's number.
fn split_process(word: &[u8]) -> (&[u8], &[u8]) {
    match word.strip_suffix(b"]").and_then(|word| Some((word, word.iter().position(|byte| *byte == b'[')?))) {
        Some((word, at)) => (&word[..at], &word[at + 1..]),
        None => (word, b""),
    }
}

/// RFC 5424 behind its version: time, host, program, process, message id, structured data, text. Structured data
/// is kept as part of the text.
fn parse_new(priority: u16, text: &[u8]) -> Option<Message<'_>> {
    let mut parts = text.splitn(6, |byte| *byte == b' ');
    let (_time, _host) = (parts.next()?, parts.next()?);
    let (tag, process, _id, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let text = match rest.strip_prefix(b"-") {
        Some(text) => text.strip_prefix(b" ").unwrap_or(text),
        None if rest.starts_with(b"[") => rest,
        None => return None,
    };
    let named = |word: &'_ [u8]| word != b"-";
    Some(Message {
        priority,
        tag: if named(tag) { tag } else { b"" },
        process: if named(process) { process } else { b"" },
        text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(datagram: &[u8]) -> String {
        let mut out = Vec::new();
        let lines = render(datagram, b"> ", &mut out);
        assert_eq!(lines as usize, out.iter().filter(|byte| **byte == b'\n').count());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_programs_send_is_understood() {
        let cases: [(&[u8], &str); 9] = [
            (b"<30>Nov 23 01:02:03 cron[7]: hello: you", "> [daemon.info] cron[7]: hello: you\n"),
            (b"<13>Nov  3 01:02:03 root: text\n\0", "> [user.notice] root: text\n"),
            (b"<165>1 2026-11-23T01:02:03Z host app 77 - - text", "> [local4.notice] app[77]: text\n"),
            (
                b"<165>1 - - - - - [id@1 a=\"b c\"] \xef\xbb\xbftext",
                "> [local4.notice] [id@1 a=\"b c\"] \u{feff}text\n",
            ),
            (b"<11>tag: no time", "> [user.err] tag: no time\n"),
            (b"no priority at all", "> [user.notice] no priority at all\n"),
            (b"<999>strange", "> [user.notice] <999>strange\n"),
            (b"<30>x: one\ntwo\n\n", "> [daemon.info] x: one\n> [daemon.info] x: two\n"),
            (b"", "> [user.notice]\n"),
        ];
        for (datagram, expected) in cases {
            assert_eq!(shown(datagram), expected);
        }
    }

    #[test]
    fn no_tag_moves_a_terminal() {
        assert_eq!(shown(b"<30>\x1bc[\x07]: a\x1bb"), "> [daemon.info] \\x1bc[\\x07]: a\\x1bb\n");
    }

    #[test]
    fn no_datagram_breaks_it() {
        let whole = b"<165>1 2026-11-23T01:02:03Z host app 77 id [x] text";
        for length in 0..whole.len() {
            for byte in [b'<', b'[', b']', b':', b' ', b'-', 0, 0xff] {
                let mut datagram = whole[..length].to_vec();
                datagram.push(byte);
                assert!(shown(&datagram).ends_with('\n'));
            }
        }
    }
}
