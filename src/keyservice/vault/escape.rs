//! Texts as they stand in a URL or a form.

/// A text as one segment of a path, or as a value in a query (RFC 3986, 2.3): other bytes than unreserved
/// ones by their number.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A path: its slashes stay.
pub(super) fn escaped_path(path: &str) -> String {
    path.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

/// The bytes of a text in a URL; `None`: a `%` stands there without two digits.
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

/// The value of a field in a query or a form; `None`: there is no such field, or it is no UTF-8.
pub(super) fn field(form: &str, name: &str) -> Option<String> {
    let pairs = form.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
    String::from_utf8(unescaped(&value.replace('+', " "))?).ok()
}

#[cfg(test)]
mod tests {
    use super::{escaped, escaped_path, field};

    #[test]
    fn a_text_comes_back_from_a_query_as_it_was() {
        for text in ["a@b.example", "a/b c", "\u{fc}%2F+&=", "", "-._~"] {
            let form = format!("x=1&name={}&y", escaped(text));
            assert_eq!(field(&form, "name").as_deref(), Some(text), "{form}");
        }
        assert_eq!(escaped("a@b/../c d\u{e4}%"), "a%40b%2F..%2Fc%20d%C3%A4%25");
        assert_eq!(escaped_path("kv/\u{e4} b/c%2f?x#y"), "kv/%C3%A4%20b/c%252f%3Fx%23y");
        assert_eq!(field("a=b+c", "a").as_deref(), Some("b c"));
        assert_eq!(field("a=%4", "a"), None);
        assert_eq!(field("a=%zz", "a"), None);
        assert_eq!(field("a=%ff", "a"), None);
        assert_eq!(field("ab=1", "a"), None);
    }
}
