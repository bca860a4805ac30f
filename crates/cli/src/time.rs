//! Times for people. Everything is shown in UTC, as the log files are; ages are rounded to what matters.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, now.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-23 01:02:03Z`.
pub fn stamp(ms: i64) -> String {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let second = ms.rem_euclid(DAY_MS) / 1000;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// `45s`, `3min`, `2h 5min`, `4d 3h`.
pub fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0 if ms > 0 => format!("{ms}ms"),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}min"),
        3600..86400 => format!("{hours}h {}min", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// `3min ago`, relative to `now`.
pub fn ago(ms: i64, now: i64) -> String {
    if now - ms < 1000 { "just now".to_owned() } else { format!("{} ago", age(now - ms)) }
}

/// `2026-11-23 01:02:03Z (3min ago)`.
pub fn stamp_and_ago(ms: i64, now: i64) -> String {
    format!("{} ({})", stamp(ms), ago(ms, now))
}

/// Reads `--since`: an age (`90s`, `10min`, `2h`, `3d`), `today`, `yesterday`, a date, a date with a time, or
/// what the log itself prints. UTC like the log.
pub fn parse_since(text: &str, now: i64) -> Result<i64, String> {
    let text = text.trim();
    let midnight = now - now.rem_euclid(DAY_MS);
    match text {
        "today" => return Ok(midnight),
        "yesterday" => return Ok(midnight - DAY_MS),
        _ => {}
    }
    if let Some(age) = parse_age(text) {
        return Ok(now - age);
    }
    parse_stamp(text, midnight).ok_or_else(|| {
        format!("{text:?} is no time; write an age (10min, 2h, 3d), today, 2026-11-23 or \"2026-11-23 01:02:03\" (UTC)")
    })
}

const DAY_MS: i64 = 86_400_000;

/// An age in milliseconds: `500ms`, `90s`, `10min`, `2h`, `3d`.
pub fn parse_age(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "ms" => 1,
        "s" | "sec" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// A duration on the command line.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let ms = parse_age(text).and_then(|ms| u64::try_from(ms).ok());
    ms.map(Duration::from_millis).ok_or_else(|| "write a number and a unit: 500ms, 90s, 10min, 2h".to_owned())
}

fn parse_stamp(text: &str, midnight: i64) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (Some(date), Some(time.trim())),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let day = match date {
        Some(date) => parse_date(date)?.checked_mul(DAY_MS)?,
        None => midnight,
    };
    Some(day + time.map_or(Some(0), parse_clock)?)
}

fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year: i64 = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2)?;
    let day = number(parts.next()?, 2)?;
    let days = days_from_civil(year, month, day);
    let valid = parts.next().is_none() && civil(days) == (year, month, day);
    valid.then_some(days)
}

fn parse_clock(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    let second = parts.next().map_or(Some(0), |second| number(second, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{:0<3.3}", fraction).parse().ok()?;
    Some((hour * 3600 + minute * 60 + second) * 1000 + millis)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Days since 1970 to year, month, day (Gregorian, proleptic), counting years from March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A duration as the configuration writes it, for messages: `90s`, `500ms`.
pub fn short(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_395_723_456; // 2026-11-23 01:02:03.456Z

    #[test]
    fn a_stamp_is_the_date_in_utc() {
        assert_eq!(stamp(NOW), "2026-11-23 01:02:03Z");
        assert_eq!(stamp(0), "1970-01-01 00:00:00Z");
        assert_eq!(stamp(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(stamp(-1), "1969-12-31 23:59:59Z");
    }

    #[test]
    fn ages_are_rounded_to_what_matters() {
        assert_eq!(age(0), "0s");
        assert_eq!(age(120), "120ms");
        assert_eq!(age(59_999), "59s");
        assert_eq!(age(60_000), "1min");
        assert_eq!(age(7_500_000), "2h 5min");
        assert_eq!(age(100 * 3_600_000), "4d 4h");
        assert_eq!(age(-5), "0s");
        assert_eq!(ago(NOW - 3_000, NOW), "3s ago");
    }

    #[test]
    fn since_takes_ages_days_and_stamps() {
        assert_eq!(parse_since("10min", NOW), Ok(NOW - 600_000));
        assert_eq!(parse_since("2h", NOW), Ok(NOW - 7_200_000));
        assert_eq!(parse_since("today", NOW), Ok(NOW - 3_723_456));
        assert_eq!(parse_since("2026-11-23", NOW), Ok(NOW - 3_723_456));
        assert_eq!(parse_since("2026-11-23 01:02:03", NOW), Ok(NOW - 456));
        assert_eq!(parse_since("2026-11-23T01:02:03.456789Z", NOW), Ok(NOW));
        assert_eq!(parse_since("01:02", NOW), Ok(NOW - 3_456));
    }

    #[test]
    fn since_refuses_what_is_no_time() {
        for text in
            ["", "soon", "12", "10 parsecs", "2026-13-01", "2026-02-30", "25:00", "2026-11-23 1:2", "é", "1é"]
        {
            assert!(parse_since(text, NOW).is_err(), "{text}");
        }
        assert!(parse_since("99999999999999999d", NOW).is_err());
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -146_097..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days_from_civil(year, month, date), day);
        }
    }
}
