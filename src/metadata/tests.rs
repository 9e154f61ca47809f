//! Reading, changing and writing whole blocks, written as JSON without escapes.

use super::{Metadata, MetadataError, SOPS_VERSION};
use crate::keys::{KeyGroup, KeyKind, MasterKey, WrappedKey};
use crate::policy::{Policy, Rule};
use crate::timestamp::Timestamp;
use crate::value::{Scalar, ScalarType, Tree};

/// The tree of this JSON; unlike a JSON library it keeps the order and duplicate keys.
fn tree(json: &str) -> Tree {
    let (tree, rest) = read(json);
    assert_eq!(rest.trim(), "");
    tree
}

fn read(json: &str) -> (Tree, &str) {
    let json = json.trim_start();
    if let Some(rest) = json.strip_prefix('{') {
        let mut entries = Vec::new();
        let rest = items(rest, '}', |item| {
            let (key, rest) =
                item.strip_prefix('"').expect("a key").split_once('"').expect("a key");
            let (value, rest) = read(rest.strip_prefix(':').expect("a colon"));
            entries.push((key.to_owned(), value));
            rest
        });
        (Tree::Map(entries), rest)
    } else if let Some(rest) = json.strip_prefix('[') {
        let mut list = Vec::new();
        let rest = items(rest, ']', |item| {
            let (value, rest) = read(item);
            list.push(value);
            rest
        });
        (Tree::List(list), rest)
    } else if let Some(rest) = json.strip_prefix('"') {
        let (text, rest) = rest.split_once('"').expect("a closing quote");
        (Tree::str(text), rest)
    } else {
        let (word, rest) = json.split_at(json.find([',', '}', ']']).unwrap_or(json.len()));
        let scalar = match word.trim() {
            "null" => Scalar::null(),
            "true" => Scalar::bool(true),
            "false" => Scalar::bool(false),
            word if word.contains('.') => Scalar::float(word.parse().expect("a number")),
            word => Scalar::int(word.parse().expect("a number")),
        };
        (Tree::Scalar(scalar), rest)
    }
}

fn items<'a>(json: &'a str, end: char, mut item: impl FnMut(&'a str) -> &'a str) -> &'a str {
    let mut rest = json.trim_start();
    while !rest.starts_with(end) {
        rest = item(rest).trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    &rest[1..]
}

fn show(tree: &Tree) -> String {
    match tree {
        Tree::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("\"{key}\":{}", show(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Tree::List(list) => {
            format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(","))
        }
        Tree::Scalar(scalar) => {
            let text = scalar.text().expect("UTF-8");
            match scalar.kind {
                ScalarType::Str => format!("\"{text}\""),
                ScalarType::Null => "null".to_owned(),
                _ => text.to_lowercase(),
            }
        }
    }
}

const TIME: &str = r#""lastmodified":"2026-01-02T03:04:05Z""#;
const AGE: &str = r#""age":[{"recipient":"age1x","enc":"E"}]"#;
const PGP: &str = r#""pgp":[{"created_at":"2026-01-02T03:04:05Z","enc":"P","fp":"FP"}]"#;

fn parse(fields: &[&str]) -> Result<Metadata, MetadataError> {
    Metadata::from_tree(&tree(&format!("{{{}}}", fields.join(","))))
}

fn good(fields: &[&str]) -> Metadata {
    parse(fields).expect("metadata")
}

/// The text of the error for these fields besides a time and a key.
#[track_caller]
fn refused(fields: &str, expect: &str) {
    let error = parse(&[TIME, AGE, fields]).expect_err(fields);
    assert_eq!(error.to_string(), expect);
    assert!(!error.to_string().contains("hunter2"));
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_767_323_045 + seconds).expect("in range")
}

fn age(recipient: &str) -> WrappedKey {
    WrappedKey::new(MasterKey::Age { recipient: recipient.into() }, "E".into(), time(0))
}

#[test]
fn everything_is_read_and_kept() {
    let block = concat!(
        r#"{"kms":[{"arn":"A","role":"R","context":{"b":"2","a":1},"created_at":"2026-01-02T03:04:05+01:00","enc":"K","aws_profile":""}],"#,
        r#""gcp_kms":null,"azure_kv":[{"name":"n","vault_url":"https://v","version":"1","created_at":"2026-01-02T03:04:05Z","enc":"Z"}],"#,
        r#""hc_vault":[{"vault_address":"https://b","engine_path":"e","key_name":"k","created_at":"2026-01-02T03:04:05Z","enc":"vault:v1:x"}],"#,
        r#""age":[{"recipient":"age1x","enc":"E","note":[1,{}]}],"later":{"x":[null]},"#,
        r#""lastmodified":"2026-01-02T03:04:05.5+00:00","mac":"ENC[..]","encrypted_regex":"^data$","version":"3.9.0","#,
        r#""waxseal":{"spelling":"S"},"shamir_threshold":"2","mac_only_encrypted":"true"}"#,
    );
    let metadata = Metadata::from_tree(&tree(block)).expect("metadata");
    assert_eq!(show(&metadata.to_tree_in_place()), block);
    assert_eq!(metadata.lastmodified().seconds(), "2026-01-02T03:04:05Z");
    assert_eq!((metadata.mac(), metadata.version()), ("ENC[..]", "3.9.0"));
    assert_eq!(metadata.policy().rule().text(), "^data$");
    assert!(metadata.policy().mac_only_encrypted());
    assert_eq!((metadata.shamir_threshold(), metadata.spelling()), (2, Some("S")));
    let keys: Vec<_> = metadata
        .wrapped_keys()
        .map(|key| (key.key().kind(), key.key().to_string(), key.enc()))
        .collect();
    let expect = [
        (KeyKind::Kms, "A+R|a:1,b:2".to_owned(), "K"),
        (KeyKind::AzureKv, "https://v/keys/n/1".to_owned(), "Z"),
        (KeyKind::Vault, "https://b/v1/e/keys/k".to_owned(), "vault:v1:x"),
        (KeyKind::Age, "age1x".to_owned(), "E"),
    ];
    assert_eq!(keys, expect);
}

#[test]
fn what_two_programs_could_read_differently_is_refused() {
    refused(AGE, "the metadata has age twice");
    refused(r#""x":[{"y":{"z":1,"z":2}}]"#, "the metadata has x[0].y.z twice");
    refused(
        r#""Encrypted_Regex":"hunter2""#,
        "the metadata has Encrypted_Regex, which sops would read as encrypted_regex",
    );
    refused(
        r#""pgp":[{"created_at":"2026-01-02T03:04:05Z","Enc":"P","fp":"FP"}]"#,
        "the metadata has pgp[0].Enc, which sops would read as enc",
    );
    refused(
        r#""encrypted_regex":"hunter2","unencrypted_suffix":"hunter2""#,
        "the metadata has both unencrypted_suffix and encrypted_regex; a file has one rule",
    );
    refused(r#""mac":["hunter2"]"#, "mac in the metadata is not a text");
    refused(r#""shamir_threshold":"hunter2""#, "shamir_threshold in the metadata is not a count");
    refused(
        r#""mac_only_encrypted":"hunter2""#,
        "mac_only_encrypted in the metadata is not true or false",
    );
    refused(r#""pgp":"hunter2""#, "pgp in the metadata is not a list of maps");
    refused(r#""pgp":[null]"#, "pgp in the metadata is not a list of maps");
    refused(r#""pgp":[{"enc":"P","fp":"FP"}]"#, "the metadata has no pgp[0].created_at");
    refused(
        r#""pgp":[{"created_at":"hunter2"}]"#,
        "pgp[0].created_at in the metadata is not a time such as 2026-01-02T03:04:05Z",
    );
    refused(
        r#""kms":[{"created_at":"2026-01-02T03:04:05Z","context":{"a":["hunter2"]}}]"#,
        "kms[0].context.a in the metadata is not a text",
    );
    let deep = format!("\"x\":{}{}", "[".repeat(100), "]".repeat(100));
    refused(&deep, "the metadata nests too deeply");
    assert_eq!(parse(&[TIME]), Err(MetadataError::NoKeys));
    assert_eq!(parse(&[TIME, r#""age":[],"key_groups":[]"#]), Err(MetadataError::NoKeys));
    assert_eq!(parse(&[AGE]), Err(MetadataError::Missing { field: "lastmodified".into() }));
    let time = MetadataError::Time { field: "lastmodified".into() };
    assert_eq!(parse(&[AGE, r#""lastmodified":"2026-01-02""#]), Err(time));
    assert_eq!(Metadata::from_tree(&Tree::str("x")), Err(MetadataError::NotAMap));
    let deep = (0..64).fold(Tree::str("x"), |tree, _| Tree::List(vec![tree]));
    let deep = Tree::Map(vec![("x".into(), deep)]);
    assert_eq!(Metadata::from_tree(&deep), Err(MetadataError::TooDeep));
    let many = (0..5_000).map(|field| (format!("u{field}"), Tree::str("x"))).collect();
    assert_eq!(Metadata::from_tree(&Tree::Map(many)), Err(MetadataError::TooLarge));
}

#[test]
fn a_rule_that_is_not_named_is_the_default_and_a_bad_one_matches_nothing() {
    let metadata = good(&[TIME, AGE, r#""encrypted_regex":"""#]);
    assert_eq!(metadata.policy().named_rule(), None);
    assert_eq!(metadata.policy().rule(), &Rule::default());
    let metadata = good(&[TIME, AGE, r#""encrypted_regex":"(a""#]);
    assert!(!metadata.policy().rule().matches_key("a"));
}

#[test]
fn keys_outside_groups_win_over_groups() {
    let groups = format!(r#""key_groups":[{{{PGP},"note":1}},{{{AGE},"hc_vault":[]}}]"#);
    let metadata = good(&[TIME, AGE, &groups]);
    assert_eq!(metadata.groups().len(), 1);
    let metadata = good(&[TIME, r#""age":[]"#, &groups]);
    assert_eq!(metadata.groups().len(), 2);
    assert_eq!(metadata.groups()[0].keys()[0].key().to_string(), "FP");
    let error = parse(&[TIME, r#""key_groups":[{"Age":[]}]"#]).expect_err("refused");
    let expect = "the metadata has key_groups[0].Age, which sops would read as age";
    assert_eq!(error.to_string(), expect);
}

#[test]
fn new_metadata_is_written_as_sops_writes_it() {
    let policy = Policy::new(Rule::EncryptedSuffix("_secret".into()), true);
    let vault = MasterKey::Vault {
        address: "https://b".into(),
        engine_path: "e".into(),
        key_name: "k".into(),
        context: None,
    };
    let vault = WrappedKey::new(vault, "vault:v1:x".into(), time(0));
    let keys = vec![age("age1b"), vault, age("age1a")];
    let metadata = Metadata::new(policy, vec![KeyGroup::new(keys)], 0, time(0)).with_mac("M");
    let block = concat!(
        r#"{"age":[{"enc":"E","recipient":"age1b"},{"enc":"E","recipient":"age1a"}],"#,
        r#""encrypted_suffix":"_secret","#,
        r#""hc_vault":[{"created_at":"2026-01-02T03:04:05Z","enc":"vault:v1:x","engine_path":"e","key_name":"k","vault_address":"https://b"}],"#,
        r#""lastmodified":"2026-01-02T03:04:05Z","mac":"M","mac_only_encrypted":true,"version":"3.13.3"}"#,
    );
    assert_eq!(show(&metadata.to_tree()), block);
    assert_eq!(show(&metadata.to_tree_in_place()), block);
    assert_eq!(Metadata::from_tree(&tree(block)), Ok(metadata.clone()));
    assert_eq!(metadata.version(), SOPS_VERSION);
    assert_eq!(metadata.check_version(), Ok(()));
}

#[test]
fn new_groups_are_written_as_sops_writes_them() {
    let groups = vec![KeyGroup::new(vec![age("a")]), KeyGroup::new(vec![age("b")])];
    let metadata = Metadata::new(Policy::unnamed(false), groups, 0, time(0));
    let block = concat!(
        r#"{"key_groups":[{"age":[{"enc":"E","recipient":"a"}],"hc_vault":[]},"#,
        r#"{"age":[{"enc":"E","recipient":"b"}],"hc_vault":[]}],"#,
        r#""lastmodified":"2026-01-02T03:04:05Z","mac":"","shamir_threshold":2,"version":"3.13.3"}"#,
    );
    assert_eq!(show(&metadata.to_tree()), block);
    assert_eq!(Metadata::from_tree(&tree(block)), Ok(metadata.clone()));
    // Back to one group.
    let one = metadata.with_groups(vec![KeyGroup::new(vec![age("b")])], 0);
    assert_eq!(
        show(&one.to_tree()),
        r#"{"age":[{"enc":"E","recipient":"b"}],"lastmodified":"2026-01-02T03:04:05Z","mac":"","version":"3.13.3"}"#
    );
}

#[track_caller]
fn changed(before: &str, change: impl Fn(&Metadata) -> Metadata, after: &str) {
    let metadata = Metadata::from_tree(&tree(before)).expect("metadata");
    let changed = change(&metadata);
    assert_eq!(show(&changed.to_tree_in_place()), after);
    assert_eq!(Metadata::from_tree(&tree(after)), Ok(changed));
}

#[test]
fn a_change_leaves_the_rest_as_it_was_read() {
    let before =
        &format!(r#"{{"version":"3.7.1","kms":[],"z":{{"b":1,"a":2}},{TIME},{AGE},"mac":"M"}}"#);
    let with = |from: &str, to: &str| before.replace(from, to);
    changed(before, |m| m.with_mac("N"), &with(r#""mac":"M""#, r#""mac":"N""#));
    changed(before, |m| m.with_lastmodified(time(1)), &with("04:05Z", "04:06Z"));
    changed(before, |m| m.with_version("3.13.3"), &with("3.7.1", "3.13.3"));
    changed(before, |m| m.with_groups(m.groups().to_vec(), 0), before);
    changed(
        before,
        |m| m.with_spelling(Some("S")),
        &with(r#""z":"#, r#""waxseal":{"spelling":"S"},"z":"#),
    );
    changed(before, |m| m.with_spelling(Some("S")).with_spelling(None), before);
    changed(
        before,
        |m| m.with_groups(vec![m.groups()[0].with_keys(vec![age("age1y")])], 0),
        &with(AGE, r#""age":[{"enc":"E","recipient":"age1y"}]"#),
    );
    let rewrapped = |m: &Metadata| {
        let keys = m.wrapped_keys().map(|key| key.with_enc("F".into(), None)).collect();
        m.with_groups(vec![m.groups()[0].with_keys(keys)], 0)
    };
    changed(before, rewrapped, &with(r#""enc":"E""#, r#""enc":"F""#));
    let policy = Policy::new(Rule::EncryptedSuffix("_s".into()), false);
    let named = with(r#"{"version":"#, r#"{"encrypted_suffix":"_s","version":"#);
    changed(before, |m| m.with_policy(policy.clone()), &named);
    changed(&named, |m| m.with_policy(Policy::unnamed(false)), before);
}

#[test]
fn unknown_fields_of_a_group_stay() {
    let before = format!(
        r#"{{"key_groups":[{{{AGE},"note":1,"hc_vault":[]}},{{{PGP},"age":[],"hc_vault":[]}}],{TIME},"mac":"M","shamir_threshold":2,"version":"3.9.0"}}"#
    );
    let metadata = Metadata::from_tree(&tree(&before)).expect("metadata");
    let again = metadata.with_groups(metadata.groups().to_vec(), 2);
    assert!(show(&again.to_tree()).contains(r#""note":1"#));
    assert_eq!(metadata.recipients_view(), metadata.with_mac("N").recipients_view());
}

#[test]
fn the_recipients_are_all_that_is_not_left_out() {
    let metadata = good(&[
        TIME,
        AGE,
        r#""mac":"M","version":"3.9.0","waxseal":{"spelling":"S"},"mac_only_encrypted":true"#,
        r#""encrypted_regex":"x","kms":[],"shamir_threshold":0,"later":[{"enc":"E","id":"I","x":{"enc":1}}]"#,
        r#""pgp":{"created_at":"2026-01-02T03:04:05Z","enc":"P","fp":"FP"},"map":{"enc":1}"#,
        r#""key_groups":[{"age":[{"recipient":"age1y","enc":"E"}],"enc":"kept"}]"#,
    ]);
    assert_eq!(
        show(&metadata.recipients_view()),
        concat!(
            r#"{"age":[{"recipient":"age1x"}],"kms":[],"shamir_threshold":0,"later":[{"id":"I","x":{"enc":1}}],"#,
            r#""pgp":[{"created_at":"2026-01-02T03:04:05Z","fp":"FP"}],"map":{"enc":1},"#,
            r#""key_groups":[{"age":[{"recipient":"age1y"}],"enc":"kept"}]}"#,
        )
    );
}
