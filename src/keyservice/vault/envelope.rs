//! What every answer of the API is wrapped in.
//!
//! Invariants: a status of 400 and above is a refusal, as is a body that is not JSON; texts of a server
//! are on one line, short, few, and move no cursor.

use serde_json::Value;

use super::http::Answer;
use crate::shown::is_active;

/// A server says no, or says nothing that can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} ({status})", if .texts.is_empty() { NO_TEXT.to_owned() } else { .texts.join("; ") })]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// What it says, if it says anything.
    pub texts: Vec<String>,
}

impl Refusal {
    /// Whether one of its texts ends so.
    pub(super) fn ends_in(&self, word: &str) -> bool {
        self.texts.iter().any(|text| text.ends_with(word))
    }
}

/// Of a refusal without a reason.
pub(super) const NO_TEXT: &str = "the server says no more";

/// The answer as JSON; of one without a body (204), null.
///
/// # Errors
///
/// If the status is 400 or more, or the body is not JSON.
pub fn read(answer: &Answer) -> Result<Value, Refusal> {
    let refused = |texts| Err(Refusal { status: answer.status, texts });
    if answer.body.is_empty() && answer.status < 300 {
        return Ok(Value::Null);
    }
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) if answer.status < 300 => Ok(value),
        Ok(value) => refused(texts(&value)),
        // A proxy answers in HTML, or in plain text: its first line says most.
        Err(_) => {
            let text = String::from_utf8_lossy(&answer.body);
            let line = text.lines().map(str::trim).find(|line| !line.is_empty());
            let line = line.filter(|line| answer.status >= 400 && !line.starts_with('<'));
            refused(vec![line.map_or_else(|| "the answer is not JSON".to_owned(), flat)])
        }
    }
}

/// What an answer says is wrong: its errors, or else its warnings.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let listed = |name: &str| -> Vec<String> {
        let list = value.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).take(MOST).map(flat).collect()
    };
    let errors = listed("errors");
    if errors.is_empty() { listed("warnings") } else { errors }
}

/// A text of the server on one line, not a long one, and without what moves a cursor or hides itself. Go
/// lists several errors on lines of their own.
pub(in crate::keyservice) fn flat(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(|line| line.trim().trim_start_matches("* ")) {
        let counted = part.ends_with("occurred:");
        if !part.is_empty() && !counted {
            line.push_str(if line.is_empty() { "" } else { "; " });
            line.push_str(part);
        }
        if line.len() > 4 * LONGEST {
            break;
        }
    }
    let mut before = None;
    let is_seen = |c: &char| !is_active(*c, before.replace(*c));
    line.chars().filter(is_seen).take(LONGEST).collect()
}

/// Texts of an answer that are shown.
const MOST: usize = 3;

/// Characters of a text that are shown.
const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{Answer, read};

    #[track_caller]
    fn check(status: u16, body: &str, expected: Result<&str, &str>) {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        let read = read(&Answer { status, retry_after: None, location: None, body });
        let read = read.map(|value| value.to_string()).map_err(|refusal| refusal.to_string());
        assert_eq!(read.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn an_answer_is_json_or_a_refusal() {
        check(200, r#"{"data":{"a":1}}"#, Ok(r#"{"data":{"a":1}}"#));
        check(204, "", Ok("null"));
        check(400, r#"{"errors":["one","two"]}"#, Err("one; two (400)"));
        check(404, r#"{"errors":[],"warnings":["no such path"]}"#, Err("no such path (404)"));
        check(404, r#"{"errors":[]}"#, Err("the server says no more (404)"));
        check(502, "<html>", Err("the answer is not JSON (502)"));
        check(400, "Client sent an HTTP request\nmore", Err("Client sent an HTTP request (400)"));
        check(200, "{\"data\":", Err("the answer is not JSON (200)"));
    }

    #[test]
    fn a_servers_text_is_one_short_line() {
        let body = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
        check(403, body, Err("permission denied (403)"));
        check(403, r#"{"errors":["a\u001b[2Jb\u202ec"]}"#, Err("a[2Jbc (403)"));
        check(403, "{\"errors\":[\"de\u{200b}ni\u{feff}ed\u{200d}\"]}", Err("denied (403)"));
        check(500, r#"{"errors":["a","b","c","d"]}"#, Err("a; b; c (500)"));
    }
}
