//! Strings as YAML on one line: when plain is allowed, and how to quote.
//!
//! Invariants: a plain string written here is a string to every reader, of YAML 1.1 too; a
//! double-quoted one is ASCII escapes that JSON has as well, so that a JSON reader takes it.

/// Whether `text` is taken for another type by some reader of YAML 1.1 or 1.2.
pub(super) fn is_retyped(text: &str) -> bool {
    let Some(first) = text.bytes().next() else { return true };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => is_number_like(text),
        _ => is_word(text),
    }
}

/// Most strings: letters and digits, and in between what means nothing to YAML.
fn is_bare(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_./+=@".contains(&byte))
}

fn is_word(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "=", "<<", "inf", "nan",
        "infinity",
    ];
    text.len() <= 8 && WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Numbers and times as PyYAML, Ruby, SnakeYAML, js-yaml, libyaml's users and Go read them.
fn is_number_like(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let bytes = unsigned.as_bytes();
    match bytes {
        [] => false,
        [b'0', b'x' | b'X', rest @ ..] => rest.iter().all(|byte| {
            byte.is_ascii_hexdigit() || matches!(byte, b'_' | b'.' | b'p' | b'P' | b'+' | b'-')
        }),
        [b'0', b'o' | b'O' | b'b' | b'B', rest @ ..] => {
            rest.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'+' | b'-'))
        }
        [b'0'..=b'9', ..] => is_decimal(bytes) || is_sexagesimal(bytes) || is_date(bytes),
        [b'.', ..] => is_decimal(bytes) || is_word(&unsigned[1..]),
        _ => is_word(unsigned),
    }
}

/// `[0-9_,]*(\.[0-9_]*)?([eE][-+]?[0-9_]*)?`
fn is_decimal(bytes: &[u8]) -> bool {
    let digits = |bytes: &[u8]| {
        bytes.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b',')).count()
    };
    let mut rest = &bytes[digits(bytes)..];
    if let [b'.', fraction @ ..] = rest {
        rest = &fraction[digits(fraction)..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            _ => exponent,
        };
        rest = &exponent[digits(exponent)..];
    }
    rest.is_empty() && bytes.iter().any(u8::is_ascii_digit)
}

/// `[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_sexagesimal(bytes: &[u8]) -> bool {
    let count = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b','))
        .count();
    let mut rest = &bytes[count..];
    let mut groups = 0;
    loop {
        rest = match rest {
            [b':', b'0'..=b'5', b'0'..=b'9', rest @ ..] => rest,
            [b':', b'0'..=b'9', rest @ ..] => rest,
            _ => break,
        };
        groups += 1;
    }
    if let [b'.', fraction @ ..] = rest {
        rest = fraction;
        while let [b'0'..=b'9' | b'_', next @ ..] = rest {
            rest = next;
        }
    }
    groups > 0 && rest.is_empty()
}

/// `[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}`, at the end or before something that may be a time of day.
fn is_date(bytes: &[u8]) -> bool {
    let short =
        |bytes: &[u8]| bytes.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let month = &bytes[5..];
    let month_len = short(month);
    let Some(b'-') = month.get(month_len) else { return false };
    let day = &month[month_len + 1..];
    let day_len = short(day);
    month_len > 0 && day_len > 0 && matches!(day.get(day_len), None | Some(b'T' | b't' | b' '))
}

/// Whether `text` may stand unquoted, by the syntax alone.
pub(super) fn is_plain(text: &str, in_flow: bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if first == b' ' || last == b' ' || last == b':' {
        return false;
    }
    let starts = match first {
        b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
        | b'"' | b'%' | b'@' | b'`' => false,
        b'-' | b'?' | b':' => {
            !in_flow && bytes.get(1).is_some_and(|next| !b" ,[]{}".contains(next))
        }
        _ => true,
    };
    let is_allowed = |at: usize| match bytes[at] {
        b':' => !in_flow && bytes.get(at + 1) != Some(&b' '),
        b'#' => at == 0 || bytes[at - 1] != b' ',
        b',' | b'[' | b']' | b'{' | b'}' | b'?' => !in_flow,
        _ => true,
    };
    starts
        && !text.starts_with("---")
        && !text.starts_with("...")
        && is_printable_line(text)
        && !text.contains('\t')
        && (0..bytes.len()).all(is_allowed)
}

/// Whether `text` may stand in single quotes on one line.
pub(super) fn is_printable_line(text: &str) -> bool {
    text.chars().all(|c| is_printable(c) && c != '\n')
}

/// Whether a character may stand in a YAML text outside double quotes, in every version of YAML
/// and without meaning a line break to any; LF and tab included.
pub(super) fn is_printable(c: char) -> bool {
    match c {
        '\t' | '\n' | ' '..='~' => true,
        '\u{feff}' | '\u{2028}' | '\u{2029}' => false,
        _ => {
            c >= '\u{a0}'
                && (c as u32) & 0xfffe != 0xfffe
                && !('\u{fdd0}'..='\u{fdef}').contains(&c)
        }
    }
}

/// Appends `text` in single quotes.
pub(super) fn push_single(text: &str, out: &mut String) {
    out.push('\'');
    for (index, piece) in text.split('\'').enumerate() {
        if index > 0 {
            out.push_str("''");
        }
        out.push_str(piece);
    }
    out.push('\'');
}

/// Appends `text` in double quotes: any text, on one line.
pub(super) fn push_double(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\x08' => "\\b",
            '\x0c' => "\\f",
            _ if is_printable(c) => continue,
            _ => "",
        };
        out.push_str(&text[done..at]);
        done = at + c.len_utf8();
        if !escape.is_empty() {
            out.push_str(escape);
        } else if (c as u32) <= 0xffff {
            out.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            // A non-character beyond U+FFFF: JSON would want a surrogate pair, which YAML refuses.
            out.push_str(&format!("\\U{:08x}", c as u32));
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

/// Appends a string for a place that has no style of its own, in SOPS' order of preference: plain,
/// double-quoted if plain would be another type or not all is printable, else single-quoted.
pub(super) fn push_free(text: &str, in_flow: bool, out: &mut String) {
    if is_bare(text.as_bytes()) && !is_word(text) {
        out.push_str(text);
    } else if is_retyped(text) || in_flow && !is_plain(text, true) {
        push_double(text, out);
    } else if is_plain(text, in_flow) {
        out.push_str(text);
    } else if is_printable_line(text) && !text.contains('\t') {
        push_single(text, out);
    } else {
        push_double(text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_plain, is_retyped, push_double, push_free, push_single};

    #[test]
    fn what_some_reader_takes_for_another_type() {
        for text in [
            "",
            "~",
            "Null",
            "yes",
            "NO",
            "oN",
            "y",
            "=",
            "<<",
            ".inf",
            "-.INF",
            "+.nan",
            "inf",
            "-NaN",
            "1",
            "-1",
            "+1",
            "0x1F",
            "0o7",
            "0b1",
            "017",
            "1_000",
            "1,000",
            "1.5",
            ".5",
            "1.",
            "1e3",
            "1e",
            "1:30",
            "190:20:30.15",
            "-1:30",
            "2024-01-01",
            "2024-1-1 x",
            "2024-01-01T00:00:00z",
            "0x1p-2",
            "1e400",
            "08",
            "1.2e+3",
        ] {
            assert!(is_retyped(text), "{text}");
        }
        for text in [
            "a",
            "yess",
            "1.2.3",
            "10.0.0.1",
            "8080:80",
            "2024-01",
            "1a",
            "0xyz",
            "-a",
            "...",
            ".5.",
            "+",
            "-",
            "1 2",
            "12:60:00x",
            "null ",
            "1.2-rc1",
            "2024-01-01x",
            "1/2",
            "3d",
            "é",
        ] {
            assert!(!is_retyped(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_plain() {
        for text in [
            "a", "a b", "a#b", "a:b", "-a", "--a", "::1", ":a", "?a", "http://x", "a,b", "a]", "é",
            "\u{a0}",
        ] {
            assert!(is_plain(text, false), "{text}");
        }
        for text in [
            "", " a", "a ", "a: b", "a:", "a #b", "- a", "-", "-,", "? a", "#a", "&a", "*a", "!a",
            "|", ">", "'a", "\"a", "%a", "@a", "`a", "[a", "{a", ",a", "---", "...", "a\tb",
            "a\nb", "a\u{7f}", "a\u{85}", "\u{feff}", "\u{2028}", "\u{fffe}", "\u{1}",
        ] {
            assert!(!is_plain(text, false), "{text}");
        }
        for text in ["a,b", "a]", "a:b", "-a", "--a", "::1", "a?", "{"] {
            assert!(!is_plain(text, true), "{text}");
        }
        assert!(is_plain("a b#c", true));
    }

    #[track_caller]
    fn check_free(text: &str, expect: &str) {
        let mut out = String::new();
        push_free(text, false, &mut out);
        assert_eq!(out, expect);
    }

    #[test]
    fn the_style_that_sops_prefers() {
        check_free("plain", "plain");
        check_free("yes", "\"yes\"");
        check_free("2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\"");
        check_free(
            "ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]",
            "ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]",
        );
        check_free("a: b", "'a: b'");
        check_free("#it's", "'#it''s'");
        check_free("a\tb", "\"a\\tb\"");
        check_free("a\nb", "\"a\\nb\"");
        check_free("", "\"\"");
    }

    #[test]
    fn quotes() {
        let mut out = String::new();
        push_single("it's", &mut out);
        push_double("é\"\\\u{1}\u{85}\u{2028}\u{1ffff}😀/", &mut out);
        assert_eq!(out, "'it''s'\"é\\\"\\\\\\u0001\\u0085\\u2028\\U0001ffff😀/\"");
    }
}
