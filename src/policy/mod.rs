//! Which values of a file are encrypted: the rule, and whether the MAC covers the rest.
//!
//! A rule looks at keys or at comments. This module answers whether one key or one comment matches;
//! which keys and comments concern a value is the walker's business:
//!
//! - **Key rules** look at every component of the path of a value apart, never at the joined path;
//!   list indices are no components. One match decides for the whole subtree
//!   ([`Rule::matches_key`], [`Rule::selects`]). A comment counts with the path of its container.
//! - **Comment rules** look at the *active* comments of a value ([`Rule::matches_comment`]): at every
//!   level from the root to the innermost container, the run of comments directly before the current
//!   item. A comment is part of its own run under `unencrypted_comment_regex` and not under
//!   `encrypted_comment_regex`.
//!
//! Invariants: there is at most one rule; the regex of a config is valid; one of a file that is not
//! valid matches nothing, as in SOPS.

mod go_regex;

use std::fmt;

use regex::bytes::Regex;

pub use self::go_regex::PatternError;

/// Which values are encrypted, and what the MAC covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    rule: Rule,
    /// Whether the file names the rule.
    stored: bool,
    mac_only_encrypted: bool,
}

impl Policy {
    /// This rule, named in the file.
    #[must_use]
    pub fn new(rule: Rule, mac_only_encrypted: bool) -> Self {
        Self { rule, stored: true, mac_only_encrypted }
    }

    /// The rule of a file that names none: binary files, and some of other tools.
    #[must_use]
    pub fn unnamed(mac_only_encrypted: bool) -> Self {
        Self { rule: Rule::default(), stored: false, mac_only_encrypted }
    }

    /// The rule in effect.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The rule that the file names.
    #[must_use]
    pub fn named_rule(&self) -> Option<&Rule> {
        self.stored.then_some(&self.rule)
    }

    /// Whether the MAC covers encrypted values only.
    #[must_use]
    pub fn mac_only_encrypted(&self) -> bool {
        self.mac_only_encrypted
    }
}

impl Default for Policy {
    /// What SOPS encrypts by if nobody says otherwise.
    fn default() -> Self {
        Self::new(Rule::default(), false)
    }
}

/// One of SOPS' six rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Everything but what has a key with this end.
    UnencryptedSuffix(String),
    /// What has a key with this end.
    EncryptedSuffix(String),
    /// Everything but what has a key that matches.
    UnencryptedRegex(Pattern),
    /// What has a key that matches.
    EncryptedRegex(Pattern),
    /// Everything but what has an active comment that matches.
    UnencryptedCommentRegex(Pattern),
    /// What has an active comment that matches.
    EncryptedCommentRegex(Pattern),
}

/// What a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RuleSubject {
    /// The keys of a path.
    Keys,
    /// The active comments.
    Comments,
}

/// What a match does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RuleEffect {
    /// A match leaves the value in the open; without one it is encrypted.
    Exempts,
    /// A match encrypts the value; without one it stays in the open.
    Encrypts,
}

impl Rule {
    /// The fields of the six rules in metadata and configs, in SOPS' order.
    pub const FIELDS: [&str; 6] = [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ];

    /// The rule of a config. `None`: there is no rule of this name, or the text is empty (no rule).
    ///
    /// # Errors
    ///
    /// If the regex is not valid.
    pub fn from_config(field: &str, text: &str) -> Result<Option<Self>, PatternError> {
        Self::build(field, text, Pattern::parse)
    }

    /// The rule in the metadata of a file; a bad regex matches nothing.
    #[must_use]
    pub fn from_metadata(field: &str, text: &str) -> Option<Self> {
        Self::build(field, text, |text| Ok(Pattern::lenient(text))).unwrap_or(None)
    }

    fn build(
        field: &str,
        text: &str,
        pattern: impl FnOnce(&str) -> Result<Pattern, PatternError>,
    ) -> Result<Option<Self>, PatternError> {
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(match field {
            "unencrypted_suffix" => Self::UnencryptedSuffix(text.to_owned()),
            "encrypted_suffix" => Self::EncryptedSuffix(text.to_owned()),
            "unencrypted_regex" => Self::UnencryptedRegex(pattern(text)?),
            "encrypted_regex" => Self::EncryptedRegex(pattern(text)?),
            "unencrypted_comment_regex" => Self::UnencryptedCommentRegex(pattern(text)?),
            "encrypted_comment_regex" => Self::EncryptedCommentRegex(pattern(text)?),
            _ => return Ok(None),
        }))
    }

    /// The field that holds it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::UnencryptedSuffix(_) => "unencrypted_suffix",
            Self::EncryptedSuffix(_) => "encrypted_suffix",
            Self::UnencryptedRegex(_) => "unencrypted_regex",
            Self::EncryptedRegex(_) => "encrypted_regex",
            Self::UnencryptedCommentRegex(_) => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex(_) => "encrypted_comment_regex",
        }
    }

    /// The suffix or regex, as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::UnencryptedSuffix(text) | Self::EncryptedSuffix(text) => text,
            Self::UnencryptedRegex(pattern)
            | Self::EncryptedRegex(pattern)
            | Self::UnencryptedCommentRegex(pattern)
            | Self::EncryptedCommentRegex(pattern) => pattern.text(),
        }
    }

    /// What it looks at.
    #[must_use]
    pub fn subject(&self) -> RuleSubject {
        match self {
            Self::UnencryptedSuffix(_)
            | Self::EncryptedSuffix(_)
            | Self::UnencryptedRegex(_)
            | Self::EncryptedRegex(_) => RuleSubject::Keys,
            Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_) => {
                RuleSubject::Comments
            }
        }
    }

    /// What a match does.
    #[must_use]
    pub fn effect(&self) -> RuleEffect {
        match self {
            Self::UnencryptedSuffix(_)
            | Self::UnencryptedRegex(_)
            | Self::UnencryptedCommentRegex(_) => RuleEffect::Exempts,
            Self::EncryptedSuffix(_) | Self::EncryptedRegex(_) | Self::EncryptedCommentRegex(_) => {
                RuleEffect::Encrypts
            }
        }
    }

    /// Whether one component of a path matches; never under a comment rule.
    #[must_use]
    pub fn matches_key(&self, component: &str) -> bool {
        match self {
            Self::UnencryptedSuffix(suffix) | Self::EncryptedSuffix(suffix) => {
                component.ends_with(suffix.as_str())
            }
            Self::UnencryptedRegex(pattern) | Self::EncryptedRegex(pattern) => {
                pattern.matches(component)
            }
            Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_) => false,
        }
    }

    /// Whether the text of a comment, without its `#`, matches; never under a key rule.
    #[must_use]
    pub fn matches_comment(&self, text: &str) -> bool {
        match self {
            Self::UnencryptedCommentRegex(pattern) | Self::EncryptedCommentRegex(pattern) => {
                pattern.matches(text)
            }
            Self::UnencryptedSuffix(_)
            | Self::EncryptedSuffix(_)
            | Self::UnencryptedRegex(_)
            | Self::EncryptedRegex(_) => false,
        }
    }

    /// Whether a value is encrypted, given whether anything that concerns it matched.
    #[must_use]
    pub fn selects(&self, matched: bool) -> bool {
        match self.effect() {
            RuleEffect::Exempts => !matched,
            RuleEffect::Encrypts => matched,
        }
    }
}

impl Default for Rule {
    /// The rule where none is named.
    fn default() -> Self {
        Self::UnencryptedSuffix("_unencrypted".to_owned())
    }
}

/// A regex in Go's syntax. Two are equal if they are written alike.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// `None`: not valid, matches nothing.
    regex: Option<Regex>,
}

impl Pattern {
    /// A regex that is valid.
    ///
    /// # Errors
    ///
    /// If it is not; says where in the regex.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self { text: text.to_owned(), regex: Some(go_regex::compile(text)?) })
    }

    /// A regex that matches nothing if it is not valid.
    #[must_use]
    pub fn lenient(text: &str) -> Self {
        Self { text: text.to_owned(), regex: go_regex::compile(text).ok() }
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.regex.is_some()
    }

    /// Whether it matches anywhere in the text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text.as_bytes()))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, Rule, RuleEffect, RuleSubject};

    #[track_caller]
    fn check(field: &str, text: &str, matching: &str, other: &str, selects_match: bool) {
        let rule = Rule::from_config(field, text).expect("valid").expect("a rule");
        assert_eq!((rule.field(), rule.text()), (field, text));
        let matches = |text| match rule.subject() {
            RuleSubject::Keys => rule.matches_key(text) && !rule.matches_comment(text),
            RuleSubject::Comments => rule.matches_comment(text) && !rule.matches_key(text),
        };
        assert!(matches(matching) && !matches(other));
        assert_eq!(rule.selects(true), selects_match);
        assert_eq!(rule.selects(false), !selects_match);
        assert_eq!(rule.effect() == RuleEffect::Encrypts, selects_match);
    }

    #[test]
    fn six_rules() {
        check("unencrypted_suffix", "_plain", "a_plain", "plain", false);
        check("encrypted_suffix", "_secret", "_secret", "_Secret", true);
        check("unencrypted_regex", "^a", "ab", "ba", false);
        check("encrypted_regex", "data", "my-data-1", "dat", true);
        check("unencrypted_comment_regex", "plain", " keep plain", "", false);
        check("encrypted_comment_regex", "seal", " seal this", " Seal", true);
    }

    #[test]
    fn no_text_is_no_rule() {
        assert_eq!(Rule::from_config("encrypted_regex", ""), Ok(None));
        assert_eq!(Rule::from_config("encrypted_rule", "x"), Ok(None));
        assert_eq!(Policy::unnamed(false).rule().text(), "_unencrypted");
        assert_eq!(Policy::unnamed(false).named_rule(), None);
        assert!(Policy::default().named_rule().is_some());
    }

    #[test]
    fn a_bad_regex_is_an_error_in_a_config_and_matches_nothing_in_a_file() {
        assert!(Rule::from_config("encrypted_regex", "(a").is_err());
        let rule = Rule::from_metadata("unencrypted_regex", "(a").expect("a rule");
        assert_eq!(rule.text(), "(a");
        assert!(!rule.matches_key("a") && !rule.matches_key("(a"));
    }
}
