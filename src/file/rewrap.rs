//! Other wrappings of the same data key, by whoever has no key at all.
//!
//! Invariants: nothing but the text of `enc` changes, of entries of Vault; it keeps its quotes, its block and
//! the line break at its end. The seal holds on: it does not cover what wraps a data key.

use super::encrypted::EncryptedFile;
use super::error::{FileError, position_of};
use crate::document::{Document, NodeId, NodeKind};
use crate::keys::{KeyKind, WrappedKey};
use crate::text::Edits;
use crate::value::Scalar;

impl EncryptedFile {
    /// The text with other wrappings in the entries of Vault. `new` gives what takes the place of one's
    /// `enc`; `None`: it stays. No data key is needed, and none is seen.
    ///
    /// # Errors
    ///
    /// If the result does not read back.
    pub fn rewrapped(
        &self,
        new: impl Fn(&WrappedKey) -> Option<String>,
    ) -> Result<String, FileError> {
        let check = || FileError::Check { position: position_of(&self.doc, self.block) };
        let keys: Vec<&WrappedKey> = self.vault_keys().collect();
        let places = wrappings(&self.doc, self.block);
        let fits = keys.len() == places.len()
            && keys.iter().zip(&places).all(|(key, &at)| text(&self.doc, at) == key.enc());
        if !fits {
            return Err(check());
        }
        let wanted: Vec<String> = keys.iter().map(|key| replacement(key, &new)).collect();
        let mut changes: Vec<(NodeId, &str)> = Vec::new();
        changes.extend(places.iter().zip(&wanted).map(|(&at, new)| (at, new.as_str())));
        // sops writes the metadata into every document.
        for copy in self.entries.iter().skip(1).filter_map(|&entry| self.doc.value_of(entry)) {
            for at in wrappings(&self.doc, copy) {
                let old = text(&self.doc, at);
                let index = keys.iter().position(|key| key.enc() == old);
                changes.extend(index.map(|index| (at, wanted[index].as_str())));
            }
        }
        changes.sort_by_key(|&(at, _)| self.doc.node(at).span().start());
        let mut edits = Edits::new();
        for (at, new) in changes.into_iter().filter(|&(at, new)| text(&self.doc, at) != new) {
            edits.push_with(self.doc.node(at).span(), |out| write(&self.doc, at, new, out));
        }
        let result = Self::parse(edits.apply(self.doc.text()), self.written_format())?;
        let same = result.vault_keys().map(WrappedKey::enc).eq(wanted.iter().map(String::as_str))
            && result.metadata.recipients_view() == self.metadata.recipients_view()
            && result.metadata.mac() == self.metadata.mac();
        if same { Ok(result.doc.into_text()) } else { Err(check()) }
    }

    /// What Vault wrapped, in the order of the text.
    pub fn vault_keys(&self) -> impl Iterator<Item = &WrappedKey> {
        self.metadata.groups().iter().flat_map(|group| group.of_kind(KeyKind::Vault))
    }
}

/// What a wrapping becomes: the line break behind it, which a literal block has, stays.
fn replacement(key: &WrappedKey, new: impl Fn(&WrappedKey) -> Option<String>) -> String {
    let end = &key.enc()[key.enc().trim_end().len()..];
    new(key).map_or_else(|| key.enc().to_owned(), |new| new + end)
}

/// Writes what takes the place of a text: where that stands as it is, all around it stays.
fn write(doc: &Document, at: NodeId, new: &str, out: &mut String) {
    let (source, old) = (doc.source(at), text(doc, at));
    let (old, word) = (old.trim_end(), new.trim_end());
    // What a ciphertext is made of needs no quotes more than another one does.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+/=:".contains(c);
    let both = !old.is_empty() && !word.is_empty() && old.chars().chain(word.chars()).all(is_plain);
    if both && source.matches(old).count() == 1 {
        out.push_str(&source.replacen(old, word, 1));
    } else {
        doc.write_scalar(at, &Scalar::str(new), out);
    }
}

/// The `enc` of every entry of Vault: of the list at the top or, as SOPS reads it, of the groups.
fn wrappings(doc: &Document, block: NodeId) -> Vec<NodeId> {
    let entry = |map: NodeId, name: &str| doc.entry(map, name).map(|(_, value)| value);
    let list =
        |map: NodeId| entry(map, KeyKind::Vault.field()).map_or(Vec::new(), |it| maps(doc, it));
    let flat = KeyKind::ALL
        .iter()
        .any(|kind| entry(block, kind.field()).is_some_and(|list| !maps(doc, list).is_empty()));
    let entries = match entry(block, "key_groups") {
        Some(groups) if !flat => maps(doc, groups).into_iter().flat_map(list).collect(),
        _ => list(block),
    };
    entries.into_iter().filter_map(|map| entry(map, "enc")).collect()
}

/// The maps of a list; one alone counts as a list, as SOPS reads it.
fn maps(doc: &Document, node: NodeId) -> Vec<NodeId> {
    match doc.node(node).kind() {
        NodeKind::List => doc.items(node).collect(),
        NodeKind::Map => vec![node],
        _ => Vec::new(),
    }
}

fn text(doc: &Document, node: NodeId) -> String {
    let scalar = doc.scalar(node).ok();
    scalar.and_then(|it| it.text().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::EncryptedFile;
    use crate::document::Format;
    use crate::file::FileError;

    /// What becomes of a text in which `…OLD…` is wrapped, if the server gives `…NEW…` for it.
    #[track_caller]
    fn check(text: &str, format: Format) {
        let file = EncryptedFile::parse(text.to_owned(), format).expect("an encrypted file");
        let count = file.vault_keys().count();
        let new =
            file.rewrapped(|key| Some(key.enc().trim_end().replace("OLD", "NEW"))).expect("done");
        assert!(count > 0 && text.contains("OLD"));
        assert_eq!(new, text.replace("OLD", "NEW"));
        assert_eq!(file.rewrapped(|_| None).expect("nothing to do"), text);
    }

    const REST: &str = "lastmodified: '2026-01-01T00:00:00Z', mac: 'x', version: 3.9.0";

    fn entry(enc: &str) -> String {
        let rest =
            "created_at: '2026-01-01T00:00:00Z', engine_path: t, key_name: k, vault_address: a";
        format!("{{enc: {enc}, {rest}}}")
    }

    #[test]
    fn wrapped_keys_of_groups_change_where_they_stand() {
        let (one, two) = (entry("vault:v1:OLD1"), entry("'vault:v1:OLD2'"));
        let age = "age: [{enc: OLDX, recipient: age1x}]".replace("OLDX", "x");
        let groups =
            format!("key_groups: [{{hc_vault: [{one}, {two}], {age}}}, {{hc_vault: {one}}}]");
        check(&format!("a: 1\nsops: {{{groups}, {REST}}}\n"), Format::Yaml);
    }

    #[test]
    fn an_entry_that_is_no_list_and_groups_that_do_not_count_stay_as_they_are() {
        let (one, stale) = (entry("vault:v1:OLD1"), entry("vault:v1:KEPT"));
        let text = format!(
            "# c\na: 1\nsops: {{hc_vault: {one}, key_groups: [{{hc_vault: [{stale}]}}], {REST}}} # d\n"
        );
        check(&text, Format::Yaml);
    }

    #[test]
    fn the_copies_of_later_documents_change_too() {
        let block = format!("sops: {{hc_vault: [{}], {REST}}}\n", entry("\"vault:v1:OLD1\""));
        check(&format!("a: 1\n{block}---\n{block}b: 2\n--- # end\nc: 3\n"), Format::Yaml);
    }

    #[test]
    fn tables_and_objects_keep_their_spelling() {
        let text = "a = 1\n[sops]\nlastmodified = '2026-01-01T00:00:00Z'\nmac = \"\"\nversion = '3.9.0'\n\
                    [[sops.hc_vault]] # x\ncreated_at = '2026-01-01T00:00:00Z'\nenc   =   'vault:v1:OLD1'\n\
                    engine_path = 't'\nkey_name = 'k'\nvault_address = 'a'\n\
                    [[sops.hc_vault]]\ncreated_at = '2026-01-01T00:00:00Z'\nenc = \"vault:v1:OLD2\" # y\n\
                    engine_path = 't'\nkey_name = 'l'\nvault_address = 'a'\n";
        check(text, Format::Toml);
        let json = "{\"a\":1,\"sops\":{\"hc_vault\":[{\"enc\" : \"vault:v1:OLD1\",\"created_at\":\"2026-01-01T00:00:00Z\",\
                    \"engine_path\":\"t\",\"key_name\":\"k\",\"vault_address\":\"a\"}],\
                    \"lastmodified\":\"2026-01-01T00:00:00Z\",\"mac\":\"\",\"version\":\"3.9.0\"}}";
        check(json, Format::Json);
    }

    #[test]
    fn what_would_not_read_back_is_refused() {
        let text = format!("a: 1\nsops: {{hc_vault: [{}], {REST}}}\n", entry("|"));
        assert!(EncryptedFile::parse(text, Format::Yaml).is_err());
        let text = format!("a: 1\nsops: {{hc_vault: [{}], {REST}}}\n", entry("vault:v1:OLD1"));
        let file = EncryptedFile::parse(text, Format::Yaml).expect("an encrypted file");
        // A server may answer whatever it likes; a text of any kind is one that is read back.
        for odd in ["a, b: c", "}", "'\"\\", "", "null", "1"] {
            let new = file.rewrapped(|_| Some(odd.to_owned()));
            match new.map(|text| EncryptedFile::parse(text, Format::Yaml)) {
                Ok(Ok(file)) => assert_eq!(file.vault_keys().next().map(|it| it.enc()), Some(odd)),
                Ok(Err(error)) => panic!("{odd}: {error}"),
                Err(error) => assert!(matches!(error, FileError::Check { .. }), "{odd}: {error}"),
            }
        }
    }
}
