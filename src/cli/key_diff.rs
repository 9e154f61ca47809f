//! Who may open a file, and who should: compared group by group.

use std::fmt::Write;

use super::output::Output;
use super::sealing::keys_of;
use crate::keys::{KeyGroup, KeyKind, MasterKey};
use crate::shown::{Show, holds_private_key};

/// One group: what stays, comes and goes, in the order of the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct GroupDiff {
    pub(crate) kept: Vec<MasterKey>,
    pub(crate) added: Vec<MasterKey>,
    pub(crate) removed: Vec<MasterKey>,
}

/// Keys are the same if their kind and their string form are; what an SSH key is called is no part of
/// it, what a transit key is derived by is.
pub(crate) fn same_key(a: &MasterKey, b: &MasterKey) -> bool {
    let same = without_label(&a.to_string()) == without_label(&b.to_string());
    a.kind() == b.kind() && same && context_of(a) == context_of(b)
}

fn context_of(key: &MasterKey) -> Option<&str> {
    match key {
        MasterKey::Vault { context, .. } => context.as_deref(),
        MasterKey::Age { .. } | MasterKey::Foreign { .. } => None,
    }
}

fn without_label(key: &str) -> String {
    match key.strip_prefix("ssh-") {
        Some(_) => key.split_whitespace().take(2).collect::<Vec<_>>().join(" "),
        None => key.to_owned(),
    }
}

/// Compares the groups of a file with those that it should have.
pub(crate) fn diff(file: &[KeyGroup], wanted: &[Vec<MasterKey>]) -> Vec<GroupDiff> {
    let none = Vec::new();
    let file: Vec<_> = file.iter().map(keys_of).collect();
    (0..file.len().max(wanted.len()))
        .map(|index| {
            let ours = file.get(index).unwrap_or(&none);
            let theirs = wanted.get(index).unwrap_or(&none);
            let has = |keys: &[MasterKey], key: &MasterKey| keys.iter().any(|it| same_key(it, key));
            let (kept, added): (Vec<_>, Vec<_>) =
                theirs.iter().cloned().partition(|key| has(ours, key));
            let removed = ours.iter().filter(|key| !has(theirs, key)).cloned().collect();
            GroupDiff { kept, added, removed }
        })
        .collect()
}

/// Whether any key comes or goes.
pub(crate) fn is_change(diffs: &[GroupDiff]) -> bool {
    diffs.iter().any(|diff| !diff.added.is_empty() || !diff.removed.is_empty())
}

/// Whether both name the same keys in the same groups.
pub(crate) fn same_groups(file: &[KeyGroup], wanted: &[Vec<MasterKey>]) -> bool {
    file.len() == wanted.len() && !is_change(&diff(file, wanted))
}

/// As SOPS prints it.
pub(crate) fn render(out: &Output, diffs: &[GroupDiff], threshold: (usize, usize)) -> String {
    let mut text = "The following changes will be made to the file's groups:\n".to_owned();
    match threshold {
        (0, 0) => {}
        (old, new) if old == new => {
            let _ = writeln!(text, "shamir_threshold: {new}");
        }
        (old, new) => {
            for (code, sign, number) in [("32", "+++", new), ("31", "---", old)] {
                if number > 0 {
                    let line = format!("{sign} shamir_threshold: {number}");
                    let _ = writeln!(text, "{}", out.paint(code, &line));
                }
            }
        }
    }
    for (index, diff) in diffs.iter().enumerate() {
        let _ = writeln!(text, "{}", out.paint("4", &format!("Group {}", index + 1)));
        for key in &diff.kept {
            let _ = writeln!(text, "    {}", shown(key));
        }
        for key in &diff.added {
            let _ = writeln!(text, "{}", out.paint("32", &format!("+++ {}", shown(key))));
        }
        for key in &diff.removed {
            let _ = writeln!(text, "{}", out.paint("31", &format!("--- {}", shown(key))));
        }
    }
    text
}

/// The string form, unless it is an identity that was put where a recipient belongs.
pub(crate) fn shown(key: &MasterKey) -> String {
    let text = key.to_string();
    if key.kind() == KeyKind::Age && holds_private_key(&text) {
        return "(not a recipient)".to_owned();
    }
    // A file may name whatever it likes.
    text.shown().to_string()
}

#[cfg(test)]
mod tests {
    use super::{GroupDiff, diff, is_change, same_groups};
    use crate::keys::{KeyGroup, MasterKey, WrappedKey};
    use crate::timestamp::Timestamp;

    fn age(name: &str) -> MasterKey {
        MasterKey::Age { recipient: name.into() }
    }

    #[test]
    fn groups_are_compared_by_what_keys_are_called() {
        let now = Timestamp::from_unix(0).expect("in range");
        let key = |name| WrappedKey::new(age(name), "x".into(), now);
        let file = [KeyGroup::new(vec![key("a"), key("b")])];
        let diffs = diff(&file, &[vec![age("c"), age("b")], vec![age("d")]]);
        assert_eq!(
            diffs,
            [
                GroupDiff { kept: vec![age("b")], added: vec![age("c")], removed: vec![age("a")] },
                GroupDiff { kept: vec![], added: vec![age("d")], removed: vec![] },
            ]
        );
        assert!(is_change(&diffs));
        assert!(same_groups(&file, &[vec![age("b"), age("a")]]));
        assert!(!same_groups(&file, &[vec![age("a")]]));
    }

    #[test]
    fn the_name_of_an_ssh_key_is_no_part_of_it() {
        let same = |a: &str, b: &str| super::same_key(&age(a), &age(b));
        assert!(same("ssh-ed25519 AAAA alice@one", "ssh-ed25519 AAAA"));
        assert!(!same("ssh-ed25519 AAAA alice@one", "ssh-ed25519 AAAB alice@one"));
        assert!(!same("age1a", "age1a x"));
    }
}
