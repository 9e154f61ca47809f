//! What the rules by comments select in YAML, where the owner of a comment is not the collection that
//! it stands in.
//!
//! The comments between two entries or items of a collection are a run; the run before an item governs
//! it and all that is in it. Computed once per walk, under such a rule alone.

use std::collections::{HashMap, HashSet};

use super::skip::Skip;
use crate::document::{Document, Format, NodeId, NodeKind, Owner};
use crate::policy::{Policy, Rule, RuleSubject};

/// What the comments of a document say of its items and of one another.
pub(crate) struct ActiveComments {
    /// Items right behind a run with a comment that matches.
    marked: Vec<bool>,
    /// Comments that the rule seals.
    sealed: Vec<bool>,
}

impl ActiveComments {
    /// `None` if the rule is not by comments, and in other formats.
    pub(crate) fn of(
        doc: &Document,
        policy: &Policy,
        owners: &HashMap<NodeId, Owner>,
        skip: Option<&Skip>,
    ) -> Option<Self> {
        let by_comments = policy.rule().subject() == RuleSubject::Comments;
        let counts = by_comments && doc.format() == Format::Yaml;
        counts.then(|| Self::new(doc, policy, owners, skip))
    }

    fn new(
        doc: &Document,
        policy: &Policy,
        owners: &HashMap<NodeId, Owner>,
        skip: Option<&Skip>,
    ) -> Self {
        let count = doc.nodes().len();
        let members = Members::new(doc, skip);
        let is_comment =
            |id: &NodeId| doc.node(*id).kind() == NodeKind::Comment || owners.contains_key(id);
        let mut comments: Vec<NodeId> = doc.ids().filter(is_comment).collect();
        comments.sort_by_key(|&comment| doc.node(comment).span().start());
        let mut runs: HashMap<Run, Matches> = HashMap::new();
        let mut marked = vec![false; count];
        let mut judged = Vec::with_capacity(comments.len());
        for comment in comments {
            // One that SOPS loses stands alone.
            let owner = owners.get(&comment).copied();
            let run = owner.map_or(Run::Alone(comment), |owner| members.run(doc, owner));
            let container = owner.map_or(doc.node(comment).parent(), |owner| owner.container(doc));
            let matches = policy.rule().matches_comment(doc.comment_text(comment));
            let seen = runs.entry(run).or_default();
            seen.before_last = seen.any;
            seen.any |= matches;
            if let (Run::Of(item), true) = (run, seen.any) {
                marked[item.index()] = true;
            }
            judged.push((comment, container, *seen));
        }
        let mut governed = marked.clone();
        for id in doc.ids() {
            governed[id.index()] |= governed[doc.node(id).parent().index()];
        }
        let mut sealed = vec![false; count];
        for (comment, container, seen) in judged {
            let outer = governed[container.index()];
            sealed[comment.index()] = match policy.rule() {
                // A comment never triggers its own encryption.
                Rule::EncryptedCommentRegex(_) => outer || seen.before_last,
                Rule::UnencryptedCommentRegex(_)
                | Rule::UnencryptedSuffix(_)
                | Rule::EncryptedSuffix(_)
                | Rule::UnencryptedRegex(_)
                | Rule::EncryptedRegex(_) => !(outer || seen.any),
            };
        }
        Self { marked, sealed }
    }

    /// Whether the run before this entry (its `Key`) or item has a comment that matches.
    pub(crate) fn marks(&self, item: NodeId) -> bool {
        self.marked[item.index()]
    }

    /// Whether the rule seals this comment.
    pub(crate) fn seals(&self, comment: NodeId) -> bool {
        self.sealed[comment.index()]
    }
}

/// Which comments one after the other are a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Run {
    /// Those before this item.
    Of(NodeId),
    /// Those behind the last item of this collection.
    End(NodeId),
    Alone(NodeId),
}

#[derive(Clone, Copy, Default)]
struct Matches {
    any: bool,
    /// Without the last comment so far.
    before_last: bool,
}

/// The first item of each collection, and the next one of each item; the metadata left out.
struct Members {
    first: HashMap<NodeId, NodeId>,
    next: HashMap<NodeId, NodeId>,
    left_out: HashSet<NodeId>,
}

impl Members {
    fn new(doc: &Document, skip: Option<&Skip>) -> Self {
        let mut members =
            Self { first: HashMap::new(), next: HashMap::new(), left_out: HashSet::new() };
        let mut last: HashMap<NodeId, NodeId> = HashMap::new();
        for id in doc.ids() {
            let node = doc.node(id);
            let in_list = doc.node(node.parent()).kind() == NodeKind::List;
            if !(node.kind() == NodeKind::Key || in_list && node.is_value()) {
                continue;
            }
            if skip.is_some_and(|skip| skip.contains(id)) {
                members.left_out.insert(id);
                continue;
            }
            match last.insert(node.parent(), id) {
                Some(before) => members.next.insert(before, id),
                None => members.first.insert(node.parent(), id),
            };
        }
        members
    }

    fn run(&self, doc: &Document, owner: Owner) -> Run {
        let container = owner.container(doc);
        let item = match owner {
            Owner::Before(item) => Some(item).filter(|item| !self.left_out.contains(item)),
            Owner::After(item) => self.next.get(&item).copied(),
            Owner::First(container) => self.first.get(&container).copied(),
            Owner::Last(_) => None,
        };
        item.map_or(Run::End(container), Run::Of)
    }
}
