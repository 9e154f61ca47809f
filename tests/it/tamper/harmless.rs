//! Why other bytes can say the same: the whole list, and what is planted without a word.

use waxseal::document::{Document, Format, NodeId, NodeKind};
use waxseal::file::unset;
use waxseal::path::{KeyPath, Step};
use waxseal::policy::Rule;
use waxseal::value::Tree;

use super::base::Base;
use super::judge::recipients;

pub(super) fn lf(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Why other bytes can still be *sealed*: the whole list.
pub(super) fn harmless(base: &Base, mutant: &str) -> Option<String> {
    let (was, is) = (
        Document::parse(base.sealed.clone(), base.format).ok()?,
        Document::parse(mutant.to_owned(), base.format).ok()?,
    );
    let (old, new) = (block(&was)?, block(&is)?);
    let older = Document::parse(base.older.clone(), base.format).ok()?;
    if base.mac_only && Some(&new) == block(&older).as_ref() {
        return Some("an older version, whose sealed values were the same".to_owned());
    }
    if outside(&was)? == outside(&is)? {
        return changed_fields(&old, &new);
    }
    if lf(&outside(&was)?) == lf(&outside(&is)?) {
        return Some("line breaks, which git may change".to_owned());
    }
    let spelled = |doc: &Document| -> Vec<String> {
        doc.ids()
            .filter(|&id| !doc.path_of(id).to_string().starts_with("[\"sops\"]"))
            .filter(|&id| matches!(doc.node(id).kind(), NodeKind::Scalar | NodeKind::Comment))
            .map(|id| {
                let text = doc.scalar(id).map(|s| s.text().unwrap_or_default().to_owned());
                token_bytes(&text.unwrap_or_default())
            })
            .collect()
    };
    let (was, is) = (spelled(&was), spelled(&is));
    if was == is {
        return Some("how a token is written: quotes, spare bits".to_owned());
    }
    let others: Vec<_> = is.iter().zip(&was).filter(|(new, old)| new != old).collect();
    (was.len() == is.len() && others.iter().all(|(new, _)| was.contains(new)))
        .then(|| "tokens of one value under the same keys, one for another".to_owned())
}

/// What changes nothing of what is printed, and that neither sops nor waxseal writes: text behind a
/// token, escapes in it or in the key `sops`, comments in the metadata, a `sops` in a later document, another spelling of the time, fields
/// that say nothing, notes that cannot be read.
pub(super) fn planted(base: &Base, mutant: &str) -> bool {
    const KNOWN: [&str; 14] = [
        "age",
        "azure_kv",
        "gcp_kms",
        "hc_vault",
        "hckms",
        "key_groups",
        "kms",
        "lastmodified",
        "mac",
        "mac_only_encrypted",
        "pgp",
        "shamir_threshold",
        "version",
        "waxseal",
    ];
    let doc = Document::parse(mutant.to_owned(), base.format).expect("parses");
    let root = doc.value_of(NodeId::FIRST).expect("a root");
    let (key, block) = doc.entry(root, "sops").expect("the metadata");
    let inside = |id: NodeId| {
        std::iter::successors(Some(id), |&at| Some(doc.node(at).parent()))
            .take_while(|&at| doc.node(at).kind() != NodeKind::Document)
            .any(|at| at == key)
    };
    let behind_a_token = doc.ids().any(|id| {
        let is_text = matches!(doc.node(id).kind(), NodeKind::Scalar | NodeKind::Comment);
        let text = doc.scalar(id).ok().filter(|_| is_text);
        let text = text.as_ref().and_then(|text| text.text()).unwrap_or_default();
        let text = text.trim_end_matches('\n');
        let is_bare = text.find(|c| "] \n\t".contains(c)) == Some(text.len().wrapping_sub(1));
        text.starts_with("ENC[") && !(is_bare && (inside(id) || doc.source(id).contains(text)))
    });
    let last = doc.ids().rfind(|&id| inside(id)).expect("the block");
    let comment = doc.ids().any(|id| {
        let between = base.format != Format::Toml && key < id && id < last;
        doc.node(id).kind() == NodeKind::Comment && (inside(id) || between)
    });
    let later = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Document)
        .skip(1)
        .filter_map(|document| doc.value_of(document))
        .any(|root| doc.entry(root, "sops").is_some());
    let tree = doc.tree(block).expect("a tree");
    let original = Document::parse(base.sealed.clone(), base.format).ok();
    let original = original.and_then(|doc| self::block(&doc)).expect("the metadata");
    let fields =
        ["lastmodified", "waxseal"].iter().any(|name| tree.get(name) != original.get(name));
    let Tree::Map(entries) = &tree else { return true };
    let unknown = entries.iter().any(|(name, value)| {
        let known = KNOWN.contains(&name.as_str()) || Rule::FIELDS.contains(&name.as_str());
        !known && recipients(value).is_empty()
    });
    let named = doc.source(key).contains("sops");
    behind_a_token || !named || comment || later || fields || unknown
}

/// A token without what sops does not read either: text behind the bracket, spare bits of base64.
fn token_bytes(text: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = text.lines().next().unwrap_or_default();
    let (Some(end), true) = (text.rfind(']'), text.starts_with("ENC[")) else {
        return text.to_owned();
    };
    let part = |part: &str| {
        let digits = part.trim_end_matches('=');
        let Some((name, data)) = digits.split_once(':') else { return part.to_owned() };
        let mask = [64, 64, 48, 60][data.len() % 4];
        let last = data.chars().last().and_then(|last| DIGITS.find(last));
        match last {
            Some(last) if part.ends_with('=') => {
                format!("{name}:{}{}", &data[..data.len() - 1], last & mask)
            }
            _ => part.to_owned(),
        }
    };
    text[..end].split(',').map(part).collect::<Vec<_>>().join(",")
}

fn block(doc: &Document) -> Option<Tree> {
    let (_, value) = doc.entry(doc.value_of(NodeId::FIRST)?, "sops")?;
    doc.tree(value).ok()
}

fn outside(doc: &Document) -> Option<String> {
    unset(doc, &KeyPath(vec![Step::Key("sops".into())])).ok()
}

/// What differs between two blocks of equal recipients.
fn changed_fields(old: &Tree, new: &Tree) -> Option<String> {
    const FIELDS: [(&str, &str); 1] = [("version", "the version of sops, which is about no value")];
    let text = |tree: &Tree, name: &str| tree.get(name).map(recipients).unwrap_or_default();
    let mut reasons: Vec<&str> = FIELDS
        .into_iter()
        .filter(|(name, _)| text(old, name) != text(new, name))
        .map(|(_, reason)| reason)
        .collect();
    let mac = |tree: &Tree| {
        let Some(Tree::Scalar(mac)) = tree.get("mac") else { return None };
        Some(mac.text().unwrap_or_default().to_owned())
    };
    if mac(old) != mac(new) {
        if token_bytes(&mac(old)?) != token_bytes(&mac(new)?) {
            return None;
        }
        reasons.push("the same MAC token, written otherwise");
    }
    if Rule::FIELDS.iter().any(|name| text(old, name) != text(new, name)) {
        reasons.push("no rule named, where it is the one that counts anyway");
    }
    let rest = |tree: &Tree| -> Tree {
        let Tree::Map(entries) = tree else { return tree.clone() };
        let counted = |name: &str| {
            name != "mac"
                && FIELDS.iter().all(|field| field.0 != name)
                && !Rule::FIELDS.contains(&name)
        };
        Tree::Map(entries.iter().filter(|(name, _)| counted(name)).cloned().collect())
    };
    let (old, new) = (rest(old), rest(new));
    if recipients(&old) != recipients(&new) {
        reasons.push("a wrapped key: a bot that rewraps has no data key");
    } else if entries(&old) != entries(&new) {
        reasons.push("a field without content");
    }
    if reasons.is_empty() {
        reasons.push("how and where the metadata is written");
    }
    Some(reasons.join("; "))
}

fn entries(tree: &Tree) -> usize {
    match tree {
        Tree::Scalar(_) => 1,
        Tree::Map(map) => 1 + map.iter().map(|(_, value)| entries(value)).sum::<usize>(),
        Tree::List(items) => 1 + items.iter().map(entries).sum::<usize>(),
    }
}
