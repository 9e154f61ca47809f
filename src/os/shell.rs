//! Words for the lines that users copy into a shell.

use crate::shown::Shown;

/// A name as one word of a shell's line: whatever it holds, it is a name there, too.
#[must_use]
pub(crate) fn word(name: &Shown<'_>) -> String {
    let name = name.to_string();
    // Only a zero byte has no quotes, and `Shown` writes that as letters.
    shlex::try_quote(&name).map_or_else(|_| "FILE".to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::word;
    use crate::shown::Show;

    #[test]
    fn a_name_stays_a_name_in_a_shell() {
        assert_eq!(word(&"a/b.yaml".shown()), "a/b.yaml");
        assert_eq!(word(&"$(id) x.yaml".shown()), "'$(id) x.yaml'");
        assert_eq!(word(&"-`id`'.yaml".shown()), "'-`id`'\"'.yaml\"");
    }
}
