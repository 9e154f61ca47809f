//! Key paths in the encodings that are hashed.
//!
//! Whoever walks a tree appends a step when it goes down and truncates when it goes up, and so pays
//! for a key once and not once per leaf below it. Invariant: the steps are exactly what
//! `docs/format.md` calls `step…`; no two paths encode alike.

/// A path: the number of its steps, and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EncodedPath<'a> {
    /// How many steps.
    pub count: u64,
    /// The steps, one behind the other.
    pub steps: &'a [u8],
}

/// Of a value nonce: down to a map key (decoded; one that is no string as it is written). List
/// indices are no steps there, as they are none in SOPS' AAD.
pub fn push_component(steps: &mut Vec<u8>, key: &str) {
    push_str(steps, key.as_bytes());
}

/// Of the tree tag: down to the value of a key that is a string (decoded).
pub fn push_key(steps: &mut Vec<u8>, key: &str) {
    steps.push(1);
    push_str(steps, key.as_bytes());
}

/// Of the tree tag: down to a list item, counted from 0.
pub fn push_index(steps: &mut Vec<u8>, index: u64) {
    steps.push(2);
    steps.extend(index.to_be_bytes());
}

/// Of the tree tag: down to the value of a key that is no string, given as it is written.
pub fn push_other_key(steps: &mut Vec<u8>, text: &str) {
    steps.push(3);
    push_str(steps, text.replace("\r\n", "\n").as_bytes());
}

/// `str(x)`: the length as u64, big-endian, and the bytes.
pub(super) fn push_str(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::{push_component, push_other_key};

    #[test]
    fn components_do_not_run_together() {
        let mut steps = Vec::new();
        push_component(&mut steps, "a");
        push_component(&mut steps, "b");
        assert_eq!(steps, b"\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\x01b");
    }

    #[test]
    fn a_key_of_several_lines_counts_with_lf() {
        let (mut crlf, mut lf) = (Vec::new(), Vec::new());
        push_other_key(&mut crlf, "[a,\r\nb]");
        push_other_key(&mut lf, "[a,\nb]");
        assert_eq!(crlf, lf);
    }
}
