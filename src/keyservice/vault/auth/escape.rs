//! Texts as they stand in a URL or a form.

pub(super) use super::login::segment as escaped;

/// The value of a field in a query or a form; `None`: there is no such field, or it is no UTF-8.
pub(super) fn field(form: &str, name: &str) -> Option<String> {
    let pairs = form.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{escaped, field};

    #[test]
    fn a_text_comes_back_from_a_query_as_it_was() {
        for text in ["a@b.example", "a/b c", "\u{fc}%2F+&=", "", "-._~"] {
            let form = format!("x=1&name={}&y", escaped(text));
            assert_eq!(field(&form, "name").as_deref(), Some(text), "{form}");
        }
        assert_eq!(escaped("a@b/../c"), "a%40b%2F..%2Fc");
        assert_eq!(field("a=b+c", "a").as_deref(), Some("b c"));
        assert_eq!(field("a=%4", "a"), None);
        assert_eq!(field("a=%zz", "a"), None);
        assert_eq!(field("a=%ff", "a"), None);
        assert_eq!(field("ab=1", "a"), None);
    }
}
