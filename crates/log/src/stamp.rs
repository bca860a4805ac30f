//! `2026-11-23T01:02:03.123456Z `: what every line begins with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of a stamp, the space after it included.
pub const STAMP: usize = 28;

/// The time of `now`, in UTC, as bytes of a line.
pub fn stamp(now: SystemTime) -> [u8; STAMP] {
    // A clock before 1970 is a machine without one: all its lines are of the first moment.
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let mut text = *b"0000-00-00T00:00:00.000000Z ";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], seconds / 3600 % 24);
    digits(&mut text[14..16], seconds / 60 % 60);
    digits(&mut text[17..19], seconds % 60);
    digits(&mut text[20..26], u64::from(since.subsec_micros()));
    text
}

fn digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is a
/// year's last; 400 years have 146 097 days.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, micros: u32) -> String {
        let time = UNIX_EPOCH + Duration::new(seconds, micros * 1000);
        String::from_utf8(stamp(time).to_vec()).unwrap()
    }

    #[test]
    fn known_moments() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z ");
        assert_eq!(at(951_782_400, 1), "2000-02-29T00:00:00.000001Z ");
        assert_eq!(at(951_868_799, 999_999), "2000-02-29T23:59:59.999999Z ");
        assert_eq!(at(951_868_800, 0), "2000-03-01T00:00:00.000000Z ");
        assert_eq!(at(1_795_395_723, 123_456), "2026-11-23T01:02:03.123456Z ");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z ");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for day in 1..100_000 {
            let now = date(day);
            assert!(now > before && now.1 <= 12 && now.2 <= 31, "{day}: {now:?}");
            before = now;
        }
    }
}
