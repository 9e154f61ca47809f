//! Files by somebody without the key who wants to be noticed late, or to cost much.
//!
//! Time is not measured here: what took the square of its size would take minutes at these sizes.
//! `benches/` has the figures.

use waxseal::document::{Document, Format, NodeKind};
use waxseal::file::{Consent, EncryptedFile, FileError, Nonces, Verdict};
use waxseal::metadata::MetadataError;

use crate::support::{data_key, now, open, seal};

/// Many enough that steps for each pair of them would never end.
const MANY: usize = 200_000;

const SEALED: &str = "a: hunter2\nb:\n  - one\n  - 2\n";

/// A sealed file with this text before it.
fn with_head(head: &str) -> String {
    format!("{head}{}", seal(SEALED, Format::Yaml).expect("seals"))
}

/// What was added is seen: nothing but the seal stands against it.
#[track_caller]
fn check_broken(text: String) {
    let error = open(&text, Format::Yaml).err();
    assert!(matches!(error, Some(FileError::Broken | FileError::MacMismatch)), "{error:?}");
}

#[test]
fn many_aliases_of_one_anchor() {
    let aliases = "*w, ".repeat(MANY);
    check_broken(with_head(&format!("w_unencrypted: &w x\nl_unencrypted: [{aliases}]\n")));
    let merges = "{<<: *w}, ".repeat(MANY);
    check_broken(with_head(&format!("w_unencrypted: &w {{q: x}}\nl_unencrypted: [{merges}]\n")));
}

#[test]
fn many_anchors_of_one_name_and_of_many() {
    let again = "&w x, *w, ".repeat(MANY);
    check_broken(with_head(&format!("l_unencrypted: [{again}]\n")));
    let anchors: String = (0..MANY).map(|n| format!("&w{n} x, ")).collect();
    let aliases: String = (0..MANY).map(|n| format!("*w{n}, ")).collect();
    check_broken(with_head(&format!("l_unencrypted: [{anchors}{aliases}]\n")));
}

#[test]
fn many_comments_before_and_behind_what_an_alias_names() {
    let comments = "#\n".repeat(MANY);
    let aliases = "- *w\n".repeat(MANY);
    check_broken(with_head(&format!("l_unencrypted:\n{comments}- &w x\n{aliases}")));
    check_broken(with_head(&format!("l_unencrypted:\n- &w x\n{comments}{aliases}")));
    check_broken(with_head(&format!("l_unencrypted:\n- &w\n{comments}  x\n{aliases}")));
}

#[test]
fn many_comments_behind_a_deep_value() {
    let (open, close) = ("[".repeat(9_900), "]".repeat(9_900));
    let comments = "#\n".repeat(MANY);
    check_broken(with_head(&format!("d_unencrypted: {open}{close}\n{comments}")));
}

/// sops takes them for comments of a map around the key that they stand below.
#[test]
fn many_moved_comments_at_depth() {
    let comments = "#\n".repeat(MANY);
    check_broken(with_head(&format!(
        "d_unencrypted: {}\n",
        deep(9_900, &format!("{{k:\n{comments} [v]}}"))
    )));
    let below_keys = |inside: &str| {
        let (open, close) = ("{\"\": ".repeat(9_900), "}".repeat(9_900));
        with_head(&format!("d_unencrypted: {open}{inside}{close}\n"))
    };
    let comments = "#\n".repeat(20_000);
    check_broken(below_keys(&format!("{{k:\n{comments} [v]}}")));
    // A path of its own for each.
    let keys = "{a: {k:\n#\n [v]}}, ".repeat(20_000);
    let error = open(&below_keys(&format!("[{keys}]")), Format::Yaml).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
}

#[test]
fn many_tag_handles() {
    let lines: String = (0..MANY).map(|n| format!("%TAG !a{n}! tag:x,2000:\n")).collect();
    let tags: String = (0..MANY).map(|n| format!("!a{n}!x y, ")).collect();
    check_broken(with_head(&format!("{lines}---\nl_unencrypted: [{tags}]\n")));
}

#[test]
fn many_documents_with_metadata() {
    let documents = "---\nx_unencrypted: y\nsops: 1\n".repeat(MANY);
    check_broken(format!("{}{documents}", seal(SEALED, Format::Yaml).expect("seals")));
    let twice = "---\nsops: 1\nsops: 1\n";
    let error = open(&format!("{}{twice}", with_head("")), Format::Yaml).err();
    assert!(matches!(error, Some(FileError::DoubledMetadata { .. })), "{error:?}");
}

/// `NAME: [` for each level, and how it ends.
fn deep(levels: usize, inside: &str) -> String {
    format!("{}{inside}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Each leaf is hashed with its path: 10,000 leaves at 10,000 levels would be a gigabyte.
#[test]
fn deep_paths_over_many_leaves_are_refused() {
    let text = format!("d_unencrypted: {}\n", deep(9_900, &"~, ".repeat(10_000)));
    for error in [seal(&text, Format::Yaml).err(), open(&with_head(&text), Format::Yaml).err()] {
        assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
    }
    let json = format!("{{\"d\": {}}}", deep(9_900, &vec!["1"; 10_000].join(",")));
    let error = seal(&json, Format::Json).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
    let toml = format!("d = {}\n", deep(9_900, &"[1], ".repeat(10_000)));
    let error = seal(&toml, Format::Toml).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
}

#[test]
fn a_hundred_leaves_at_ten_thousand_levels_are_sealed() {
    let text = format!("d: {}\n", deep(9_990, &["x"; 100].join(", ")));
    let sealed = seal(&text, Format::Yaml).expect("seals");
    assert_eq!(open(&sealed, Format::Yaml).expect("opens").document().text(), text);
}

#[test]
fn long_values_under_many_aliases_are_refused() {
    let head = format!(
        "w_unencrypted: &w {}\nl_unencrypted: [{}]\n",
        "x".repeat(1 << 20),
        "*w, ".repeat(10_000)
    );
    let error = open(&with_head(&head), Format::Yaml).err();
    assert!(matches!(error, Some(FileError::LengthBudget { .. })), "{error:?}");
}

/// Such a comment is tried under the paths above, which sops may have moved it from.
#[test]
fn comments_that_open_nowhere_stay_as_they_are() {
    let key = format!("{{{}: ", "k".repeat(100));
    let token = "#ENC[AES256_GCM,data:AA==,iv:AAAAAAAAAAAAAAAAAAAAAA==,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:comment]\n";
    let text = format!(
        "d: {}[\n{}]{}\n",
        key.repeat(9_000),
        format!(" {token}").repeat(100),
        "}".repeat(9_000)
    );
    check_broken(with_head(&text));
}

#[test]
fn aliases_come_back_however_many_they_are() {
    let list = "- *w\n".repeat(20_000);
    let text = format!("w: &w hunter2\nl:\n{list}");
    let sealed = seal(&text, Format::Yaml).expect("seals");
    assert_eq!(open(&sealed, Format::Yaml).expect("opens").document().text(), text);
}

/// An alias names what the text says, whatever the tables say.
#[test]
fn targets_are_those_of_the_text() {
    let text = "a: &x 1\nb: *x\nc: &x # c\n  # d\n  [*x, &y k]\n? &x q\n: *x\n---\ne: &x !!str\n  f\ng: *x\n";
    let doc = Document::parse(text.into(), Format::Yaml);
    // An alias inside of what it names is a cycle; its target is the collection around it.
    let doc = doc.expect("valid");
    let targets: Vec<&str> = doc
        .ids()
        .filter(|&id| doc.node(id).kind() == NodeKind::Alias)
        .map(|id| doc.alias_target(id).map_or("none", |target| doc.source(target)))
        .collect();
    assert_eq!(targets, ["1", "[*x, &y k]", "q", "f"]);
}

const YAML: &str = "# head\na: hunter2\nb:\n  - one\n  - 2\n";

/// Changes the sealed file; its values are read, and its text counts as changed until somebody with
/// the key has looked.
#[track_caller]
fn check_planted(plain: &str, format: Format, change: impl Fn(&str) -> String) {
    let sealed = seal(plain, format).expect("seals");
    let planted = change(&sealed);
    assert_ne!(planted, sealed);
    let opened = open(&planted, format).expect("opens");
    assert_eq!(opened.document().text(), plain);
    assert_eq!(opened.outcome().verdict(), Verdict::Respelled, "{planted}");
    let reviewed = |text: &str, consent| {
        let written = opened.reencrypt(text.to_owned(), Nonces::Derived, now(), consent);
        open(&written.expect("seals"), format).expect("opens").outcome().verdict()
    };
    assert_eq!(reviewed(plain, Consent::Reviewed), Verdict::Sealed);
    let other = plain.replace("hunter2", "hunter3");
    assert_eq!(reviewed(&other, Consent::AsBefore), Verdict::Respelled);
}

/// The metadata with a line before `version`.
fn with_line(sealed: &str, line: &str) -> String {
    let at = sealed.find("  version:").expect("a version");
    [&sealed[..at], line, &sealed[at..]].concat()
}

#[test]
fn text_behind_a_token_is_seen() {
    for behind in [" X", "X"] {
        let change = |text: &str| text.replacen(",type:str]", &format!(",type:str]{behind}"), 1);
        check_planted(YAML, Format::Yaml, change);
        check_planted("{\"a\": \"hunter2\"}\n", Format::Json, change);
        check_planted("a = \"hunter2\"\n", Format::Toml, change);
    }
    check_planted(YAML, Format::Yaml, |text| {
        text.replacen(",type:comment]", ",type:comment] X", 1)
    });
    check_planted(YAML, Format::Yaml, |text| {
        let at = text.rfind(",type:str]").expect("the MAC") + ",type:str]".len();
        [&text[..at], " X", &text[at..]].concat()
    });
}

/// Whoever lists sealed files by their tokens would miss such a one.
#[test]
fn an_escape_in_a_token_is_seen() {
    let escaped = |text: &str| text.replacen("\"ENC[", "\"ENC\\u005b", 1);
    check_planted("{\"a\": \"hunter2\"}\n", Format::Json, escaped);
    check_planted("a = \"hunter2\"\n", Format::Toml, escaped);
    check_planted("a: \"hunter2\"\n", Format::Yaml, escaped);
}

#[test]
fn an_escape_in_the_key_of_the_metadata_is_seen() {
    let json = |text: &str| text.replacen("\"sops\"", "\"\\u0073ops\"", 1);
    check_planted("{\"a\": \"hunter2\"}\n", Format::Json, json);
    let yaml = |text: &str| text.replacen("\nsops:", "\n\"\\x73ops\":", 1);
    check_planted("a: hunter2\n", Format::Yaml, yaml);
}

#[test]
fn a_copied_comment_behind_a_block_scalar_and_the_metadata_is_read() {
    for header in ["|", "|+", ">-", "|4"] {
        for blank in ["", "\n", "  \n\n"] {
            for space in ["", " ", "      "] {
                let plain = format!("# c1\na: {header}\n    x\n");
                let sealed = seal(&plain, Format::Yaml).expect("seals");
                let comment = sealed.lines().next().expect("a line");
                let planted = format!("{sealed}{blank}{space}{comment}\n");
                let opened = open(&planted, Format::Yaml).expect("opens");
                assert_eq!(opened.outcome().verdict(), Verdict::Respelled, "{planted}");
                let text = opened.document().text();
                // With space before it, it may be one of the metadata, which is left out.
                let behind = text.strip_prefix(&plain).expect("the text before").trim();
                let left_out = behind.is_empty() && !space.is_empty();
                assert!(left_out || behind == "# c1", "{text:?}");
                let reviewed = opened
                    .reencrypt(text.to_owned(), Nonces::Derived, now(), Consent::Reviewed)
                    .expect("seals");
                let again = open(&reviewed, Format::Yaml).expect("opens");
                assert_eq!(again.outcome().verdict(), Verdict::Sealed);
                assert_eq!(again.document().text(), text);
            }
        }
    }
}

#[test]
fn what_is_written_into_the_metadata_is_seen() {
    check_planted(YAML, Format::Yaml, |text| with_line(text, "  # planted\n"));
    check_planted(YAML, Format::Yaml, |text| text.replace("\nsops:\n", "\nsops: # planted\n"));
    check_planted(YAML, Format::Yaml, |text| with_line(text, "  planted: null\n"));
    check_planted(YAML, Format::Yaml, |text| with_line(text, "  planted: []\n"));
    check_planted(YAML, Format::Yaml, |text| with_line(text, "  waxseal: {planted: x}\n"));
    check_planted(YAML, Format::Yaml, |text| with_line(text, "  waxseal: {spelling: AAAA}\n"));
}

#[test]
fn another_spelling_of_the_time_is_seen() {
    const TIME: &str = "\"2026-01-02T03:04:05Z\"";
    for time in ["2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05.0Z\""] {
        check_planted(YAML, Format::Yaml, |text| {
            text.replacen(&format!("lastmodified: {TIME}"), &format!("lastmodified: {time}"), 1)
        });
    }
}

#[test]
fn entries_in_later_documents_are_seen_but_for_true_copies() {
    let plain = "a: hunter2\n---\nb: 1\n";
    check_planted(plain, Format::Yaml, |text| format!("{text}sops: planted\n"));
    check_planted(plain, Format::Yaml, |text| format!("{text}sops:\n    version: 3.13.3\n"));
    let sealed = seal(plain, Format::Yaml).expect("seals");
    let block = &sealed[sealed.find("sops:").expect("the metadata")
        ..sealed.rfind("---\n").expect("two documents")];
    let as_sops = format!("{sealed}{block}");
    let opened = open(&as_sops, Format::Yaml).expect("opens");
    assert_eq!(opened.outcome().verdict(), Verdict::Sealed);
    // They would no longer be copies.
    let groups = opened.encrypted().metadata().groups().to_vec();
    let updated = opened.with_recipients(groups, 0).expect("writes");
    assert_eq!(updated.matches("sops:").count(), 1);
    assert_eq!(open(&updated, Format::Yaml).expect("opens").outcome().verdict(), Verdict::Sealed);
}

/// A bare `#` in a list is an item to sops, which it would leave as it is.
#[test]
fn a_comment_without_text_in_a_list_is_sealed_and_comes_back() {
    for text in [
        "a:\n  - 1\n  #\n  - 2\n",
        "#\na: [1, #\n  2]\n",
        "- a\n#\n- b # c\n",
        "a:\n  - 1\n  # \n  - 2\n",
    ] {
        let sealed = seal(text, Format::Yaml).expect("seals");
        let doc = Document::parse(sealed.clone(), Format::Yaml).expect("valid");
        let bare = doc.ids().any(|id| {
            doc.node(id).kind() == NodeKind::Comment
                && doc.node(doc.node(id).parent()).kind() == NodeKind::List
                && doc.source(id) == "#"
        });
        assert!(!bare, "{sealed}");
        let opened = open(&sealed, Format::Yaml).expect("opens");
        assert_eq!(opened.document().text(), text);
        assert_eq!(opened.outcome().verdict(), Verdict::Sealed);
        // Without the notes it is a comment without text still.
        let notes = sealed.find("waxseal:").and_then(|at| sealed[..at].rfind('\n'));
        let without = &sealed[..notes.map_or(sealed.len(), |end| end + 1)];
        let opened = open(without, Format::Yaml).expect("opens");
        assert_eq!(opened.document().text().replace("# \n", "#\n"), text.replace("# \n", "#\n"));
    }
}

/// A key that stands twice splits a map, which the tag of the tree does not see.
#[test]
fn a_map_that_was_split_is_broken_to_a_review_too() {
    for (format, plain, before, insert) in [
        (Format::Yaml, "a:\n  b: 1\n  c: 2\n", "  c:", "a:\n  c:"),
        (Format::Json, "{\"p\": {\"d\": 1, \"e\": 2}}\n", ", \"e\"", "}, \"p\": {\"e\""),
    ] {
        let sealed = seal(plain, format).expect("seals");
        let split = sealed.replacen(before, insert, 1);
        assert_ne!(split, sealed);
        let file = || EncryptedFile::parse(split.clone(), format).expect("parses");
        let error = file().decrypt(&data_key()).err();
        assert!(matches!(error, Some(FileError::Broken)), "{error:?}");
        let opened = file().decrypt_unverified(&data_key()).expect("each value opens");
        assert_eq!(opened.outcome().verdict(), Verdict::Broken);
    }
}

/// The line of a file that holds its spelling notes.
fn notes_of(sealed: &str) -> &str {
    sealed.lines().find(|line| line.contains("spelling")).expect("notes")
}

/// Notes of another version open, and are for other values.
#[test]
fn a_note_for_another_value_is_not_believed() {
    for (format, plain, other) in [
        (Format::Yaml, "a: 0x1F\n", "a: 0x1E\n"),
        (Format::Yaml, "a: \"\\u00e9\"\n", "a: \"\\u00e8\"\n"),
        (Format::Yaml, "a: >\n  x\n  y\n", "a: >\n  x\n  z\n"),
        // The same bytes of another type.
        (Format::Yaml, "a: +1\n", "a: \"\\x31\"\n"),
        (Format::Json, "{\n\"a\": \"\\u00e9\"\n}\n", "{\n\"a\": \"\\u00e8\"\n}\n"),
        (Format::Toml, "a = 0x1F\n", "a = 0x1E\n"),
    ] {
        let sealed = [plain, other].map(|text| seal(text, format).expect("seals"));
        let [notes, others] = [&sealed[0], &sealed[1]].map(|sealed| notes_of(sealed));
        let swapped = sealed[0].replace(notes, others);
        assert_ne!(swapped, sealed[0], "{plain}");
        let opened = open(&swapped, format).expect("opens");
        assert_eq!(opened.outcome().verdict(), Verdict::Respelled, "{plain}");
        let values = |text: &str| {
            let doc = Document::parse(text.to_owned(), format).expect("valid");
            let scalars = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Scalar);
            scalars.map(|id| doc.scalar(id).expect("a value").into_owned()).collect::<Vec<_>>()
        };
        let read = opened.document().text();
        assert_eq!(values(read), values(plain), "{read}");
    }
}

/// What is set elsewhere leaves no token behind that is for another path: sops would not open it.
#[test]
fn a_comment_that_was_moved_is_sealed_anew_for_its_place() {
    let sealed = seal("# c\na:\n  b: 1\nd: 2\n", Format::Yaml).expect("seals");
    let (comment, rest) = sealed.split_once('\n').expect("a line");
    assert!(comment.ends_with("type:comment]"), "{sealed}");
    let moved = rest.replacen("a:\n", &format!("a:\n  {comment}\n"), 1);
    let opened = open(&moved, Format::Yaml).expect("opens");
    assert_eq!(opened.document().text(), "a:\n  # c\n  b: 1\nd: 2\n");
    let changed = opened.document().text().replace("d: 2", "d: 3");
    let written = opened.reencrypt(changed.clone(), Nonces::Derived, now(), Consent::AsBefore);
    let written = written.expect("seals");
    assert!(!written.contains(comment), "{written}");
    assert_eq!(written.matches(",type:comment]").count(), 1);
    assert_eq!(open(&written, Format::Yaml).expect("opens").document().text(), changed);
}

#[test]
fn a_planted_comment_without_text_is_seen() {
    let planted = seal(SEALED, Format::Yaml).expect("seals").replacen("  - ENC", "  #\n  - ENC", 1);
    let opened = open(&planted, Format::Yaml).expect("opens");
    assert_eq!(opened.outcome().verdict(), Verdict::Respelled);
}

/// One long name above many entries.
#[test]
fn long_names_in_the_metadata() {
    let name = "f".repeat(1 << 20);
    let entries = "{a: x, b: y}, ".repeat(MANY);
    let text = format!("{}  ? {name}\n  : [{entries}]\n", with_head(""));
    let metadata = EncryptedFile::parse(text, Format::Yaml);
    assert!(matches!(metadata, Err(FileError::Metadata(MetadataError::TooLarge))));
}
