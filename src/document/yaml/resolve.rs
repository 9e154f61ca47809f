//! What a plain scalar means, by the rules of the YAML library that SOPS uses: YAML 1.2 with
//! leftovers of 1.1 (`017` is 15, `_` is skipped, dates are times; `yes` is a string).
//!
//! Invariant: nothing here fails. What is no number, boolean, time or null is a string.

use std::borrow::Cow;

use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType};

/// The value of a plain scalar without a tag. `text` is folded to one line already.
pub(super) fn resolve(text: &str) -> Scalar<'_> {
    match text.as_bytes().first() {
        None => Scalar::null(),
        Some(b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F') => word(text),
        Some(b'.') => dotted(text),
        Some(b'0'..=b'9' | b'+' | b'-') => number(text),
        Some(_) => Scalar::str(text),
    }
}

fn word(text: &str) -> Scalar<'_> {
    match text {
        "~" | "null" | "Null" | "NULL" => Scalar::null(),
        "true" | "True" | "TRUE" => Scalar::bool(true),
        "false" | "False" | "FALSE" => Scalar::bool(false),
        _ => Scalar::str(text),
    }
}

fn dotted(text: &str) -> Scalar<'_> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Scalar::float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => return Scalar::float(f64::INFINITY),
        _ => {}
    }
    // Go's own float syntax here: `_` stands between digits only.
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let misplaced =
        (0..bytes.len()).any(|at| bytes[at] == b'_' && !(digit(at - 1) && digit(at + 1)));
    if misplaced {
        return Scalar::str(text);
    }
    float(&without_underscores(text)).map_or(Scalar::str(text), Scalar::float)
}

fn number(text: &str) -> Scalar<'_> {
    if is_canonical_integer(text.as_bytes()) {
        return Scalar::new(ScalarType::Int, text.as_bytes());
    }
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::float(f64::NEG_INFINITY),
        _ => {}
    }
    if let Some(time) = timestamp(text) {
        return Scalar::new(ScalarType::Time, time.nanos().into_bytes());
    }
    let plain = without_underscores(text);
    if let Some(integer) = integer(&plain) {
        return integer;
    }
    if let Some(number) = float(&plain) {
        return Scalar::float(number);
    }
    // The library tries 0b and 0o once more without the prefix, and so lets a sign follow them.
    let again = [("0b", 2), ("0o", 8)].into_iter().find_map(|(prefix, radix)| {
        let signed = plain.strip_prefix(prefix)?;
        let digits = signed.strip_prefix(['+', '-'])?;
        let magnitude = magnitude(digits, radix)?;
        let value = i128::from(magnitude) * if signed.starts_with('-') { -1 } else { 1 };
        i64::try_from(value).ok()
    });
    again.map_or(Scalar::str(text), Scalar::int)
}

/// Decimal digits as we would write them, few enough for an int64 of any value.
fn is_canonical_integer(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let plain = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    plain && (digits[0] != b'0' || bytes == b"0")
}

/// Go's `ParseInt` with base 0: a prefix names the base, a leading zero means octal. Beyond int64
/// SOPS fails; a float is the nearest that can be sealed, and a spelling note keeps the digits.
fn integer(text: &str) -> Option<Scalar<'static>> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_signed = unsigned.len() != text.len();
    let (digits, radix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&unsigned[2..], 16),
        [b'0', b'o' | b'O', _, ..] => (&unsigned[2..], 8),
        [b'0', b'b' | b'B', _, ..] => (&unsigned[2..], 2),
        [b'0'] => (unsigned, 10),
        [b'0', ..] => (&unsigned[1..], 8),
        _ => (unsigned, 10),
    };
    let magnitude = magnitude(digits, radix)?;
    let value = i128::from(magnitude) * if text.starts_with('-') { -1 } else { 1 };
    match i64::try_from(value) {
        Ok(value) => Some(Scalar::int(value)),
        Err(_) if is_signed => None,
        Err(_) => Some(Scalar::float(magnitude as f64)),
    }
}

fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    let are_digits = digits.chars().all(|c| c.is_digit(radix));
    are_digits.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, if finite.
fn float(text: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if whole == 0 && count == 0 {
            return None;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        if count == 0 {
            return None;
        }
        rest = &exponent[count..];
    }
    if !rest.is_empty() {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn without_underscores(text: &str) -> Cow<'_, str> {
    if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) }
}

/// A time in one of the library's four layouts: with `T` or `t` and a zone, with spaces and no
/// zone, or a date alone. All but the year may be of one digit.
fn timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year = bytes[..4].iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    let (month, rest) = short_number(expect(&bytes[4..], b'-')?)?;
    let (day, rest) = short_number(expect(rest, b'-')?)?;
    let date = (year, month, day);
    let (clock, zoned) = match rest {
        [] => return Timestamp::from_parts(date, (0, 0, 0, 0), 0),
        [b'T' | b't', clock @ ..] => (clock, true),
        [b' ', clock @ ..] => {
            // Go's time layouts take any run of spaces for one.
            let spaces = clock.iter().take_while(|&&byte| byte == b' ').count();
            (&clock[spaces..], false)
        }
        _ => return None,
    };
    let (hour, rest) = short_number(clock)?;
    let (minute, rest) = short_number(expect(rest, b':')?)?;
    let (second, rest) = short_number(expect(rest, b':')?)?;
    let (nanos, rest) = fraction(rest);
    let time = (hour, minute, second, nanos);
    match rest {
        [] if !zoned => Timestamp::from_parts(date, time, 0),
        [b'Z'] if zoned => Timestamp::from_parts(date, time, 0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if zoned => {
            let two = |a: &u8, b: &u8| {
                let both = a.is_ascii_digit() && b.is_ascii_digit();
                both.then(|| i32::from(a - b'0') * 10 + i32::from(b - b'0'))
            };
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            Timestamp::from_parts(date, time, if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

fn expect(bytes: &[u8], mark: u8) -> Option<&[u8]> {
    bytes.split_first().filter(|&(&first, _)| first == mark).map(|(_, rest)| rest)
}

/// One or two digits.
fn short_number(bytes: &[u8]) -> Option<(u8, &[u8])> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => Some(((a - b'0') * 10 + b - b'0', rest)),
        [a @ b'0'..=b'9', rest @ ..] => Some((a - b'0', rest)),
        _ => None,
    }
}

/// `.` or `,` and digits, if they stand there; digits beyond the ninth are dropped.
fn fraction(bytes: &[u8]) -> (u32, &[u8]) {
    let [b'.' | b',', digits @ ..] = bytes else { return (0, bytes) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return (0, bytes);
    }
    let nanos = (0..9).fold(0, |sum, at| {
        let digit = if at < count { digits[at] - b'0' } else { 0 };
        sum * 10 + u32::from(digit)
    });
    (nanos, &digits[count..])
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let scalar = resolve(text);
        assert_eq!(format!("{} {}", scalar.kind.name(), scalar.text().unwrap_or("?")), expect);
    }

    #[test]
    fn words_of_yaml_1_2() {
        for text in ["", "~", "null", "Null", "NULL"] {
            check(text, "null ");
        }
        check("True", "bool True");
        check("FALSE", "bool False");
        check(".NaN", "float NaN");
        check(".INF", "float +Inf");
        check("+.inf", "float +Inf");
        check("-.Inf", "float -Inf");
        for text in ["yes", "NO", "on", "y", "inf", "NaN", "nULL", "tRUE", "<<", "=", ".iNf"] {
            check(text, &format!("str {text}"));
        }
    }

    #[test]
    fn integers_of_every_base() {
        check("42", "int 42");
        check("-42", "int -42");
        check("017", "int 15");
        check("0o17", "int 15");
        check("-0o17", "int -15");
        check("0x1F", "int 31");
        check("0b11", "int 3");
        check("+5", "int 5");
        check("-0", "int 0");
        check("00", "int 0");
        check("1_000", "int 1000");
        check("1__0", "int 10");
        check("1_", "int 1");
        check("0x_1F", "int 31");
        check("0b-1", "int -1");
        check("0o+7", "int 7");
        check("9223372036854775807", "int 9223372036854775807");
        check("-9223372036854775808", "int -9223372036854775808");
    }

    #[test]
    fn integers_beyond_int64_are_floats() {
        check("9223372036854775808", "float 9223372036854776000");
        check("18446744073709551615", "float 18446744073709552000");
        check("18446744073709551616", "float 18446744073709552000");
        check("-9223372036854775809", "float -9223372036854776000");
        check("-0xFFFFFFFFFFFFFFFF", "str -0xFFFFFFFFFFFFFFFF");
    }

    #[test]
    fn floats() {
        check("08", "float 8");
        check("09.5", "float 9.5");
        check("1.0", "float 1");
        check("1.", "float 1");
        check(".5", "float 0.5");
        check("+.5", "float 0.5");
        check("1e3", "float 1000");
        check(".5e3", "float 500");
        check(".5_0", "float 0.5");
        check("-0.0", "float -0");
        check("1e-7", "float 0.0000001");
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_string() {
        for text in [
            "_1", "1.5e", ".e3", "._5", ".5_", "1:30", "1,000", "0x1p-2", "1e400", "0o8", "0b2",
            "0x", "-", "+", "--1", "+-1", ".", "..", "1.2.3", "0b--1", "-0b-1", "1 2", "0xG",
            "1e+",
        ] {
            check(text, &format!("str {text}"));
        }
    }

    #[test]
    fn times() {
        check("2024-01-02", "time 2024-01-02T00:00:00Z");
        check("2024-1-2", "time 2024-01-02T00:00:00Z");
        check("2024-01-02T03:04:05Z", "time 2024-01-02T03:04:05Z");
        check("2024-01-02t3:4:5,5+01:00", "time 2024-01-02T03:04:05.5+01:00");
        check("2024-01-02 03:04:05.120", "time 2024-01-02T03:04:05.12Z");
        check("2024-01-02  03:04:05", "time 2024-01-02T03:04:05Z");
        check("2024-01-02T03:04:05.1234567899Z", "time 2024-01-02T03:04:05.123456789Z");
        for text in [
            "2024-13-01",
            "2024-02-30",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00 Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00.Z",
            "02024-01-01",
            "2024-01",
            "2024-01-01x",
        ] {
            check(text, &format!("str {text}"));
        }
    }
}
