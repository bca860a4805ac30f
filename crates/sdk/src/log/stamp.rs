//! The time every line begins with.

use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of `2026-11-23T01:02:03.123456Z`.
const LENGTH: usize = 27;

/// A line's time, if it begins with one. Times compare as texts.
pub(super) fn of_line(line: &[u8]) -> Option<&[u8]> {
    let stamp = line.get(..LENGTH)?;
    let shape = b"0000-00-00T00:00:00.000000Z";
    let fits = stamp.iter().zip(shape).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    fits.then_some(stamp)
}

/// A time as lines have it; times before 1970 are 1970.
pub(super) fn of_time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar: years are counted from
/// March, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_the_logger_writes_them() {
        let at = |seconds: u64, micros: u32| of_time(UNIX_EPOCH + Duration::new(seconds, micros * 1000));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_827_696, 789), "2000-02-29T12:34:56.000789Z");
        assert_eq!(at(1_795_395_723, 123_456), "2026-11-23T01:02:03.123456Z");
        assert_eq!(at(4_102_444_799, 0), "2099-12-31T23:59:59.000000Z");
    }

    #[test]
    fn only_a_whole_stamp_is_a_time() {
        assert!(of_line(b"2026-11-23T01:02:03.123456Z text").is_some());
        assert!(of_line(b"2026-11-23 01:02:03.123456Z text").is_none());
        assert!(of_line(b"2026-11-23T01:02").is_none());
    }
}
