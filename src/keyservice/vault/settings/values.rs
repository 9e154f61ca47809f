//! What a variable can hold, as every Vault client reads it.

use std::time::Duration;

use serde_json::Value;

use crate::secret::SecretText;

/// A name that no URL takes for an address.
pub(super) fn host_name(text: &str) -> Result<String, &'static str> {
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(name),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => Err("a name, not an IP address"),
        Err(_) => Err("not a name of a server"),
    }
}

/// Headers that the user adds. What is Vault's own is set by other variables (Vault API library).
pub(super) fn headers(text: &str) -> Result<Vec<(String, SecretText)>, &'static str> {
    let map: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "no JSON object of texts")?;
    let header = |(name, value): (String, Value)| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err("not the name of a header");
        }
        if name.to_ascii_lowercase().starts_with("x-vault-") {
            return Err("a header that begins with X-Vault- is none to add");
        }
        match value {
            Value::String(value) if value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) => {
                Ok((name, SecretText::new(value)))
            }
            Value::String(_) => Err("a text that cannot stand in a header"),
            _ => Err("no JSON object of texts"),
        }
    };
    map.into_iter().map(header).collect()
}

/// The spellings that Go takes.
pub(super) fn go_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("neither true nor false"),
    }
}

pub(super) fn number(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "not a number from 0 on")
}

/// The time for a call; 0 is no limit, as in the API library.
pub(super) fn limit(text: &str) -> Result<Duration, &'static str> {
    let time = duration(text)?;
    Ok(if time.is_zero() { NO_LIMIT } else { time.min(NO_LIMIT) })
}

/// A year.
const NO_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// `90`, `1m30s`, `1.5h`: without a unit, seconds.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const PROBLEM: &str = "no duration, such as 60 or 1m30s";
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    if text.is_empty() {
        return Err(PROBLEM);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(PROBLEM)?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(PROBLEM),
        };
        total += digits.parse::<f64>().map_err(|_| PROBLEM)? * seconds;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).map_err(|_| PROBLEM)
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, seconds) in [("60", 60.0), ("1m30s", 90.0), ("1.5h", 5_400.0), ("250ms", 0.25)] {
            assert_eq!(duration(text).map(|it| it.as_secs_f64()), Ok(seconds), "{text}");
        }
        for text in ["", "-1", "1x", "s", "1e9h", "."] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
