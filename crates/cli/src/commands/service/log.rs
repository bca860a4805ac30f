//! `s0 service log`.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use session0::Error;
use session0::log::{Follow, Past, read};

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Output, Paint, Painting};
use crate::time;

/// What a service printed
///
/// Every line begins with its time (UTC). Older files, put aside when the log grew, are part of it. With --follow the last ten
/// lines and everything from then on, across rotations; ^C ends it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 service log redis -n 20\n  s0 service log redis --since 10min\n  s0 service log redis -f"
)]
pub struct Args {
    /// The service's name
    name: String,
    /// Go on with what it prints from now on
    #[arg(long, short)]
    follow: bool,
    /// Only lines since then: 10min, 2h, today, 2026-11-23, "2026-11-23 01:02:03" (UTC)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only the last lines
    #[arg(long, short = 'n', value_name = "NUMBER")]
    lines: Option<usize>,
}

/// Lines shown before those that are followed, as tail does.
const BEFORE: usize = 10;
/// Written at once when there is much.
const CHUNK: usize = 64 * 1024;

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("show the output of {}", args.name);
    let fail = |error: Error| context.failure(&tried, error);
    let since = match &args.since {
        Some(text) => {
            let ms = time::parse_since(text, time::now_ms()).map_err(|why| Failure::usage(&tried, why))?;
            Some(UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
        }
        None => None,
    };
    let mut client = context.client(&tried)?;
    let files = client.open_log(&args.name).map_err(fail)?;
    if !args.follow {
        let lines = read(files, past(since, args.lines, Past::All)).map_err(fail)?;
        return print(&context.output, lines, since.and(args.lines)).map_err(fail);
    }
    if since.is_some() && args.lines.is_some() {
        let reason = "with --follow it is either --since or --lines";
        return Err(Failure::usage(tried, reason).hint("s0 service log --help"));
    }
    interrupt::ends_quietly();
    let name = args.name.clone();
    let past = past(since, args.lines, Past::Last(BEFORE));
    for line in Follow::new(files, past, move || client.open_log(&name)).map_err(fail)? {
        let mut bytes = Vec::new();
        format(&context.output, &line.map_err(fail)?, &mut bytes);
        context.output.bytes(&bytes);
    }
    Ok(())
}

fn past(since: Option<SystemTime>, lines: Option<usize>, otherwise: Past) -> Past {
    match (since, lines) {
        (Some(time), _) => Past::Since(time),
        (None, Some(lines)) => Past::Last(lines),
        (None, None) => otherwise,
    }
}

/// `last`: of the lines since a time, only so many.
fn print(
    output: &Output,
    lines: impl Iterator<Item = Result<Vec<u8>, Error>>,
    last: Option<usize>,
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let mut kept = VecDeque::new();
    for line in lines {
        let line = line?;
        match last {
            Some(last) => {
                kept.push_back(line);
                if kept.len() > last {
                    kept.pop_front();
                }
            }
            None => format(output, &line, &mut bytes),
        }
        if bytes.len() >= CHUNK {
            output.bytes(&bytes);
            bytes.clear();
        }
    }
    kept.iter().for_each(|line| format(output, line, &mut bytes));
    output.bytes(&bytes);
    Ok(())
}

/// One line as it is shown: the time fainter than the text.
fn format(output: &Output, line: &[u8], into: &mut Vec<u8>) {
    let (stamp, text) = split(line);
    if output.json {
        let (stamp, text) = (stamp.map(String::from_utf8_lossy), String::from_utf8_lossy(text));
        into.extend(json!({ "time": stamp, "text": text }).to_string().as_bytes());
    } else if let (Some(stamp), Painting::Colored) = (stamp, output.painting) {
        into.extend(output.paint(Paint::Faint, &String::from_utf8_lossy(stamp)).as_bytes());
        into.push(b' ');
        into.extend(text);
    } else {
        into.extend(line);
    }
    into.push(b'\n');
}

/// The logger's stamp, if the line has one, and the rest.
fn split(line: &[u8]) -> (Option<&[u8]>, &[u8]) {
    const STAMP: usize = "2026-11-23T01:02:03.123456Z".len();
    match line.get(STAMP) {
        Some(b' ') if line.get(STAMP - 1) == Some(&b'Z') => (line.get(..STAMP), &line[STAMP + 1..]),
        _ => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::ColorChoice;

    const LINE: &[u8] = b"2026-11-23T01:02:03.123456Z hello  world";

    #[test]
    fn a_line_is_shown_as_it_is() {
        let mut bytes = Vec::new();
        format(&Output::new(false, ColorChoice::Never), LINE, &mut bytes);
        assert_eq!(bytes, [LINE, b"\n"].concat());
    }

    #[test]
    fn as_json_it_has_time_and_text() {
        let mut bytes = Vec::new();
        format(&Output::new(true, ColorChoice::Never), LINE, &mut bytes);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["time"], "2026-11-23T01:02:03.123456Z");
        assert_eq!(value["text"], "hello  world");
        bytes.clear();
        format(&Output::new(true, ColorChoice::Never), b"cut \xff", &mut bytes);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["time"], serde_json::Value::Null);
    }
}
