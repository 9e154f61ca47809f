//! JSON that holds secrets.
//!
//! Invariant: what is written here, and what is given up here, leaves no copy behind in memory.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::secret::reserve;

/// JSON that is put together from its parts, in a buffer that is overwritten.
#[derive(Default)]
pub(super) struct Json(Zeroizing<Vec<u8>>);

impl Json {
    /// Makes room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        let mut json = Self::default();
        reserve(&mut json.0, bytes);
        json
    }

    /// Writes what is JSON.
    pub(super) fn put(&mut self, json: &str) {
        reserve(&mut self.0, json.len());
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Writes a text as a string.
    pub(super) fn put_text(&mut self, text: &str) {
        // At most six bytes for each, so that the buffer does not grow by itself.
        reserve(&mut self.0, 2 + 6 * text.len());
        serde_json::to_writer(&mut *self.0, text).expect("memory takes every text");
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Overwrites the texts of a value that is not needed any more.
pub(super) fn wipe(value: Value) {
    match value {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(list) => list.into_iter().for_each(wipe),
        Value::Object(map) => map.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, Value};

    #[test]
    fn a_text_comes_back_from_its_string() {
        for text in ["", "a\"b\\c", "\u{1}\u{7f}\u{e4}\n", "</script>", &"\u{0}".repeat(100)] {
            let mut json = Json::default();
            json.put("[");
            json.put_text(text);
            json.put("]");
            let read: Value = serde_json::from_slice(&json.into_bytes()).expect("JSON");
            assert_eq!(read, serde_json::json!([text]));
        }
    }
}
