//! Values without quotes: integers, floats, booleans, dates and times.
//!
//! Invariant: [`read`] accepts exactly what TOML 1.1 does, and what it gives is canonical.

use std::fmt::Write;

use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType};

/// The value of an unquoted token, or what is wrong with it.
pub(super) fn read(token: &str) -> Result<Scalar<'static>, &'static str> {
    let bytes = token.as_bytes();
    match bytes {
        b"true" => return Ok(Scalar::bool(true)),
        b"false" => return Ok(Scalar::bool(false)),
        b"inf" | b"+inf" => return Ok(Scalar::float(f64::INFINITY)),
        b"-inf" => return Ok(Scalar::float(f64::NEG_INFINITY)),
        b"nan" | b"+nan" | b"-nan" => return Ok(Scalar::float(f64::NAN)),
        _ => {}
    }
    let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("expected a value; text stands in quotes");
    }
    if bytes.get(4) == Some(&b'-') && bytes[..4].iter().all(u8::is_ascii_digit)
        || bytes.get(2) == Some(&b':')
    {
        return moment(token).ok_or("not a date or time that TOML knows");
    }
    if let Some(radix) = radix(token) {
        let digits = &token[2..];
        let spelled = underscores_between(digits, |b| char::from(b).is_digit(radix));
        if !spelled {
            return Err("not a number that TOML knows");
        }
        return integer(digits, radix);
    }
    if is_integer(unsigned) {
        return integer(token, 10);
    }
    if !is_float(unsigned) {
        return Err("not a number that TOML knows");
    }
    match without_underscores(token).parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Scalar::float(number)),
        _ => Err("the number is larger than a float can be"),
    }
}

fn radix(token: &str) -> Option<u32> {
    match token.as_bytes() {
        [b'0', b'x', ..] => Some(16),
        [b'0', b'o', ..] => Some(8),
        [b'0', b'b', ..] => Some(2),
        _ => None,
    }
}

fn integer(digits: &str, radix: u32) -> Result<Scalar<'static>, &'static str> {
    i64::from_str_radix(&without_underscores(digits), radix)
        .map(Scalar::int)
        .map_err(|_| "the integer does not fit 64 bits")
}

fn without_underscores(token: &str) -> std::borrow::Cow<'_, str> {
    if token.contains('_') { token.replace('_', "").into() } else { token.into() }
}

fn is_integer(unsigned: &str) -> bool {
    underscores_between(unsigned, |b| b.is_ascii_digit())
        && (unsigned.len() == 1 || !unsigned.starts_with('0'))
}

fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| underscores_between(text, |b| b.is_ascii_digit());
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    is_integer(whole) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

/// Whether the text is digits, with single underscores between some of them.
fn underscores_between(text: &str, is_digit: impl Fn(u8) -> bool) -> bool {
    let mut digit_before = false;
    for byte in text.bytes() {
        match is_digit(byte) {
            true => digit_before = true,
            false if byte == b'_' && digit_before => digit_before = false,
            false => return false,
        }
    }
    digit_before
}

/// A date, a time of day, or both, with or without an offset.
fn moment(token: &str) -> Option<Scalar<'static>> {
    let mut rest = Rest(token.as_bytes());
    let date = if token.as_bytes().get(4) == Some(&b'-') { Some(rest.date()?) } else { None };
    let mut out = String::with_capacity(token.len() + 3);
    if let Some((year, month, day)) = date {
        let _ = write!(out, "{year:04}-{month:02}-{day:02}");
        if rest.0.is_empty() {
            return Some(Scalar::new(ScalarType::DateLocal, out.into_bytes()));
        }
        rest.one_of(b"Tt ")?;
        out.push('T');
    }
    let (hour, minute, second, nanos) = rest.time()?;
    if let Some(date) = date
        && !rest.0.is_empty()
    {
        let offset = rest.offset()?;
        // A leap second is a time to TOML but no moment to SOPS; its text keeps it apart.
        let second_of = |second| {
            let year = i32::try_from(date.0).ok()?;
            Timestamp::from_parts((year, date.1, date.2), (hour, minute, second, nanos), offset)
        };
        let mut text = second_of(second.min(59))?.nanos();
        if second == 60 {
            text.replace_range(17..19, "60");
        }
        return Some(Scalar::new(ScalarType::Time, text.into_bytes()));
    }
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
    if nanos != 0 {
        let fraction = format!(".{nanos:09}");
        out.push_str(fraction.trim_end_matches('0'));
    }
    let kind = if date.is_some() { ScalarType::DatetimeLocal } else { ScalarType::TimeLocal };
    rest.0.is_empty().then(|| Scalar::new(kind, out.into_bytes()))
}

/// What is left to read of a date.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn date(&mut self) -> Option<(u32, u8, u8)> {
        let year = self.digits(4)?;
        self.one_of(b"-")?;
        let month = u8::try_from(self.digits(2)?).ok()?;
        self.one_of(b"-")?;
        let day = u8::try_from(self.digits(2)?).ok()?;
        Timestamp::from_parts((i32::try_from(year).ok()?, month, day), (0, 0, 0, 0), 0)?;
        Some((year, month, day))
    }

    fn time(&mut self) -> Option<(u8, u8, u8, u32)> {
        let hour = self.digits(2)?;
        self.one_of(b":")?;
        let minute = self.digits(2)?;
        let (mut second, mut nanos) = (0, 0);
        if self.one_of(b":").is_some() {
            second = self.digits(2)?;
            if self.one_of(b".").is_some() {
                nanos = self.fraction()?;
            }
        }
        let small = |number: u32, end: u32| u8::try_from(number).ok().filter(|_| number < end);
        Some((small(hour, 24)?, small(minute, 60)?, small(second, 61)?, nanos))
    }

    fn offset(&mut self) -> Option<i32> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return self.0.is_empty().then_some(0),
        };
        let hours = self.digits(2)?;
        self.one_of(b":")?;
        let minutes = self.digits(2)?;
        if hours > 23 || minutes > 59 || !self.0.is_empty() {
            return None;
        }
        Some(sign * i32::try_from(hours * 60 + minutes).ok()?)
    }

    /// Nanoseconds; digits beyond are cut, as TOML has it.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let shown = self.digits(count.min(9)).filter(|_| count > 0)?;
        self.0 = &self.0[count - count.min(9)..];
        Some(shown * 10_u32.pow(u32::try_from(9 - count.min(9)).ok()?))
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        if !bytes.contains(&first) {
            return None;
        }
        self.0 = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(token: &str, expect: &str) {
        let shown = read(token).map_or_else(
            |_| "error".to_owned(),
            |value| format!("{} {}", value.kind.name(), value.text().unwrap_or_default()),
        );
        assert_eq!(shown, expect);
    }

    #[test]
    fn numbers() {
        check("+1_000", "int 1000");
        check("-0", "int 0");
        check("0xDEAD_beef", "int 3735928559");
        check("0b_1", "error");
        check("1__0", "error");
        check("01", "error");
        check("9223372036854775808", "error");
        check("-9223372036854775808", "int -9223372036854775808");
        check("6.02_2e+0_3", "float 6022");
        check("1.", "error");
        check("1e999", "error");
        check("-inf", "float -Inf");
        check("-0.0", "float -0");
        check("+0x1", "error");
    }

    #[test]
    fn dates() {
        check("1979-05-27t07:32:00.120z", "time 1979-05-27T07:32:00.12Z");
        check("1979-05-27 07:32-07:00", "time 1979-05-27T07:32:00-07:00");
        check("1979-05-27 07:32:00.1234567899", "datetime-local 1979-05-27T07:32:00.123456789");
        check("1979-05-27", "date-local 1979-05-27");
        check("07:32", "time-local 07:32:00");
        check("1979-02-29", "error");
        check("24:00", "error");
        check("07:32Z", "error");
        check("1990-12-31T23:59:60Z", "time 1990-12-31T23:59:60Z");
    }
}
