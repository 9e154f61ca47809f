//! The MAC and the tree tag of a document, taken leaf by leaf during one walk.

use super::walk::{Leaf, Place};
use crate::crypto::mac::{Mac, MacScope, MacText};
use crate::crypto::seal::{SealKeys, SealTag, TreeTag, TreeValue};
use crate::policy::Policy;
use crate::value::ScalarType;

/// Both hashes, fed together.
pub(crate) struct Tally {
    mac: Mac,
    tree: TreeTag,
    mac_only_encrypted: bool,
}

impl Tally {
    /// Starts both for a file with this policy; `lastmodified` in the rendering of SOPS' AAD.
    pub(crate) fn new(keys: &SealKeys, policy: &Policy, lastmodified: &str) -> Self {
        let rule = policy.rule();
        let only = policy.mac_only_encrypted();
        Self {
            mac: Mac::new(if only { MacScope::EncryptedOnly } else { MacScope::All }),
            tree: TreeTag::begin(keys, (rule.field(), rule.text()), only, lastmodified),
            mac_only_encrypted: only,
        }
    }

    /// Counts a leaf. `sealed`: it is, or becomes, a token. Comments count in neither hash.
    pub(crate) fn leaf(&mut self, place: &Place<'_>, kind: ScalarType, bytes: &[u8], sealed: bool) {
        if kind == ScalarType::Comment || (self.mac_only_encrypted && !place.selected) {
            return;
        }
        let value = match (place.leaf, kind) {
            (Leaf::EmptyMap, _) => TreeValue::EmptyMap,
            (Leaf::EmptyList, _) => TreeValue::EmptyList,
            (Leaf::Scalar | Leaf::Comment, ScalarType::Null) => TreeValue::Null,
            (Leaf::Scalar | Leaf::Comment, kind) if sealed => TreeValue::Token(kind, bytes),
            (Leaf::Scalar | Leaf::Comment, kind) => TreeValue::Plain(kind, bytes),
        };
        self.mac.feed(bytes);
        self.tree.record(place.document, place.tree_path, place.selected, value);
    }

    /// The MAC's text and the tree tag.
    pub(crate) fn finish(self, documents: u64) -> (MacText, SealTag) {
        (self.mac.finish(), self.tree.finish(documents))
    }
}
