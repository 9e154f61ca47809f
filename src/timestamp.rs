//! Points in time, read and written as RFC 3339.
//!
//! SOPS authenticates `lastmodified` in one rendering: whole seconds, the offset that was written,
//! `Z` for an offset of zero. [`Timestamp::seconds`] is that rendering.

use std::fmt;

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// A point in time with the offset that it was written with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(OffsetDateTime);

/// The text is no RFC 3339 time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-01-02T03:04:05Z")]
pub struct TimestampError;

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, in UTC. `None` beyond the year 9999.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Date, time of day and offset, if there is such a moment. `offset` is in minutes.
    #[must_use]
    pub fn from_parts(date: (i32, u8, u8), time: (u8, u8, u8, u32), offset: i32) -> Option<Self> {
        let date = Date::from_calendar_date(date.0, Month::try_from(date.1).ok()?, date.2).ok()?;
        let time = Time::from_hms_nano(time.0, time.1, time.2, time.3).ok()?;
        let offset = UtcOffset::from_whole_seconds(offset * 60).ok()?;
        Some(Self(OffsetDateTime::new_in_offset(date, time, offset)))
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, strictly, as Go's RFC 3339 layout does.
    ///
    /// # Errors
    ///
    /// If the text is anything else or names no moment.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        Self::parse_option(text).ok_or(TimestampError)
    }

    fn parse_option(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<u32> {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .all(u8::is_ascii_digit)
                .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
        };
        let mark = |at: usize, want: u8| (bytes.get(at) == Some(&want)).then_some(());
        let small = |from: usize| number(from, from + 2).and_then(|n| u8::try_from(n).ok());
        let date = (i32::try_from(number(0, 4)?).ok()?, small(5)?, small(8)?);
        for (at, want) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
            mark(at, want)?;
        }
        let mut at = 19;
        let mut nanos = 0;
        if bytes.get(at) == Some(&b'.') {
            let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            let shown = digits.min(9);
            let factor = 10_u32.pow(9 - u32::try_from(shown).ok()?);
            nanos = number(at + 1, at + 1 + shown)? * factor;
            at += 1 + digits;
        }
        let offset = if bytes.get(at..)? == b"Z" {
            0
        } else {
            let sign = match bytes.get(at)? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            mark(at + 3, b':')?;
            if bytes.len() != at + 6 {
                return None;
            }
            let (hours, minutes) = (small(at + 1)?, small(at + 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (i32::from(hours) * 60 + i32::from(minutes))
        };
        Self::from_parts(date, (small(11)?, small(14)?, small(17)?, nanos), offset)
    }

    /// RFC 3339 with whole seconds; a fraction is dropped.
    #[must_use]
    pub fn seconds(self) -> String {
        let (date, time) = (self.0.date(), self.0.time());
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            self.zone()
        )
    }

    /// RFC 3339 with the fraction that there is, without trailing zeros, as Go's `RFC3339Nano`.
    #[must_use]
    pub fn nanos(self) -> String {
        let mut text = self.seconds();
        let nanos = self.0.nanosecond();
        if nanos != 0 {
            let fraction = format!(".{nanos:09}");
            text.insert_str(19, fraction.trim_end_matches('0'));
        }
        text
    }

    fn zone(self) -> String {
        let minutes = self.0.offset().whole_minutes();
        if minutes == 0 {
            return "Z".to_owned();
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, TimestampError};

    #[track_caller]
    fn check(text: &str, seconds: &str, nanos: &str) {
        let time = Timestamp::parse(text).expect("a time");
        assert_eq!((time.seconds().as_str(), time.nanos().as_str()), (seconds, nanos));
    }

    #[test]
    fn times_keep_their_offset() {
        check("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z");
        check("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z");
        check(
            "2026-01-02T03:04:05.120-07:06",
            "2026-01-02T03:04:05-07:06",
            "2026-01-02T03:04:05.12-07:06",
        );
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-02-30T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02t03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05Z ",
            "2026-01-02T03:04:05+1:00",
            "é026-01-02T03:04:05Z",
        ] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn unix_seconds_are_utc() {
        let time = Timestamp::from_unix(1_767_323_045).expect("in range");
        assert_eq!(time.seconds(), "2026-01-02T03:04:05Z");
        assert_eq!(time.unix(), 1_767_323_045);
    }
}
