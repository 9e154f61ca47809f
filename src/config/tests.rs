use std::path::Path;

use super::{Config, Integrity, Nonces};

#[track_caller]
fn parse(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The keys of the rule for `/c/file.yaml`, groups in brackets, or the error.
#[track_caller]
fn keys(text: &str) -> String {
    match parse(text).rule_for(Path::new("/c"), Path::new("/c/file.yaml")) {
        Ok(Some(rule)) => rule
            .groups
            .iter()
            .map(|group| {
                let keys: Vec<_> = group.iter().map(ToString::to_string).collect();
                format!("[{}]", keys.join(" "))
            })
            .collect(),
        Ok(None) => "no rules".into(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(keys(text), expected);
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(Config::parse(text).map(|_| ()).map_err(|it| it.to_string()), Err(expected.into()));
}

#[test]
fn no_rules_are_no_rules() {
    check("", "no rules");
    check("{}", "no rules");
    check("# nothing\n", "no rules");
    check("---\nnull\n", "no rules");
    check("creation_rules:\n", "no rules");
    check("creation_rules: []\n", "no matching creation rules found");
}

#[test]
fn flat_keys_are_one_group_in_the_order_of_sops() {
    check(
        "creation_rules:
  - hc_vault_transit_uri: https://v/v1/e/keys/k
    azure_keyvault: https://x.net/keys/n/v
    hckms: ['r:u']
    gcp_kms: [g1, g2]
    kms: arn1+role1, arn2
    aws_profile: prof
    pgp: >-
      AA BB,
      CC
    age:
      - a1
      - a2, a3
",
        "[a1 a2 a3 AABB CC arn1+role1||prof arn2||prof g1 g2 r:u https://x.net/keys/n/v https://v/v1/e/keys/k]",
    );
    check("creation_rules: [{path_regex: x}, {age: '', pgp: null}]", "[]");
    check(r#"{"creation_rules": [{"age": "a"}]}"#, "[a]");
}

#[test]
fn key_groups_replace_flat_keys() {
    check(
        "creation_rules:
  - age: ignored
    key_groups:
      - age: [a, 'b, c', a]
        hc_vault: ['https://v/v1/e/keys/k']
        pgp: [FP]
        kms:
          - arn: arn
            role: role
            context: {z: 1, b: two}
            aws_profile: p
        gcp_kms: [{resource_id: g}]
        hckms: [{key_id: 'r:u'}]
        azure_keyvault: [{vaultUrl: 'https://x', key: n, version: v}]
      - {}
",
        "[a b c FP arn+role|b:two,z:1|p g r:u https://x/keys/n/v https://v/v1/e/keys/k][]",
    );
    check("creation_rules: [{age: a, key_groups: []}]", "[a]");
}

#[test]
fn groups_and_maps_are_merged() {
    check(
        "creation_rules:
  - key_groups:
      - age: [own]
        merge:
          - age: [m1, own]
            merge: [{age: [m0]}]
          - pgp: [FP]
",
        "[m0 m1 own FP]",
    );
    check(
        "keys:
  - &me age1me
  - &you age1you
common: &common
  age: *me
  shamir_threshold: 1
creation_rules:
  - <<: *common
    pgp: FP
",
        "[age1me FP]",
    );
    check(
        "x: &x [&a k1, k2]\ncreation_rules: [{key_groups: [{age: *x, pgp: [*a]}]}]",
        "[k1 k2 k1]",
    );
}

#[test]
fn anchors_can_be_given_again() {
    check("x: &a old\ny: &a new\ncreation_rules: [{age: *a}]\nz: &a newer\n", "[new]");
}

#[track_caller]
fn check_path(regex: &str, dir: &str, file: &str, matches: bool) {
    let config = parse(&format!("creation_rules: [{{path_regex: '{regex}', age: a}}]"));
    let rule = config.rule_for(Path::new(dir), Path::new(file));
    assert_eq!(rule.is_ok(), matches, "{rule:?}");
}

#[test]
fn paths_are_matched_from_the_directory_of_the_configuration() {
    check_path("^secrets/", "/c", "/c/secrets/a.yaml", true);
    check_path("^secrets/", "/c", "/c/x/../secrets//a.yaml", true);
    check_path("^secrets/", "/c/", "/c/./secrets/a.yaml", true);
    check_path("^secrets/", "/c", "/d/secrets/a.yaml", false);
    check_path("^/d/secrets/", "/c", "/d/secrets/a.yaml", true);
    check_path("^a", "/c", "/c2/a.yaml", false);
    check_path("prod", "/c", "/c/x/prod-1.yaml", true);
    check_path("", "/c", "/anything", true);
    // As in sops, where `/` followed by a separator is a prefix of nothing.
    check_path("^a", "/", "/a.yaml", false);
}

#[test]
fn the_first_rule_that_matches_counts() {
    let text =
        "creation_rules:\n- {path_regex: other, age: a}\n- {path_regex: file, age: b}\n- age: c\n";
    check(text, "[b]");
    check("creation_rules: [{path_regex: other, age: a}]", "no matching creation rules found");
}

#[test]
fn a_rule_says_more_than_keys() {
    let config = parse(
        "creation_rules:
  - age: a
    encrypted_regex: ^(data|stringData)$
    mac_only_encrypted: true
    shamir_threshold: 2
    integrity: sealed
    nonces: random
    something_new: [1, 2]
stores:
  yaml: {indent: 2}
  json: {indent: -1}
  json_binary: {indent: 0}
  dotenv: {}
destination_rules:
  - s3_bucket: b
",
    );
    let rule = config.rules().next().expect("a rule");
    assert_eq!(
        rule.rule.as_ref().map(|it| (it.field(), it.text())),
        Some(("encrypted_regex", "^(data|stringData)$"))
    );
    assert!(rule.mac_only_encrypted);
    assert_eq!(rule.shamir_threshold, 2);
    assert_eq!((rule.integrity, rule.nonces), (Some(Integrity::Sealed), Some(Nonces::Random)));
    assert_eq!((rule.position.line, rule.position.column), (2, 5));
    let stores = config.stores();
    assert_eq!(
        (stores.yaml_indent, stores.json_indent, stores.json_binary_indent),
        (Some(2), Some(-1), Some(0))
    );
    assert!(config.has_destinations());
    assert_eq!(config.problems().count(), 0);
}

#[test]
fn what_is_wrong_with_a_rule_counts_when_it_is_reached() {
    let bad = "creation_rules:
  - path_regex: other
    age: a
    encrypted_regex: a
    unencrypted_suffix: b
";
    check(bad, "no matching creation rules found");
    let problems: Vec<_> = parse(bad).problems().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["line 5, column 5: a rule selects values in one way only: encrypted_regex and \
          unencrypted_suffix exclude each other (first at line 4, column 5)"]
    );
    let reached =
        |text: &str, expected: &str| check(&format!("creation_rules:\n- age: a\n{text}"), expected);
    reached(
        "  encrypted_regex: '(a'\n",
        "line 3, column 20: encrypted_regex: a closing parenthesis is missing (at character 3 of the regex)",
    );
    reached(
        "  path_regex: '*'\n",
        "line 3, column 15: path_regex: nothing to repeat (at character 1 of the regex)",
    );
    reached("  integrity: all\n", "line 3, column 14: integrity is `sealed` or `values`");
    reached("  nonces: none\n", "line 3, column 11: nonces are `random` or `derived`");
    reached("  shamir_threshold: -1\n", "line 3, column 21: shamir_threshold is negative");
    reached(
        "  hc_vault_transit_uri: vault/k\n",
        "line 3, column 25: not a transit key: it looks like https://HOST:PORT/v1/ENGINE/keys/NAME",
    );
    reached("  encrypted_regex: ''\n  encrypted_suffix: x\n", "[a]");
}

#[test]
fn wrong_types_fail_the_whole_configuration() {
    check_error("[]", "line 1, column 1: the configuration must be a map");
    check_error("creation_rules: 1", "line 1, column 17: creation_rules must be a list");
    check_error("creation_rules: [x]", "line 1, column 18: a creation rule must be a map");
    let rule =
        |text: &str, expected: &str| check_error(&format!("creation_rules:\n- {text}\n"), expected);
    rule("age: {a: b}", "line 2, column 8: age must be a text");
    rule("age: [[a]]", "line 2, column 9: age must be a text");
    rule("hckms: r:u", "line 2, column 10: hckms must be a list");
    rule("shamir_threshold: two", "line 2, column 21: shamir_threshold must be a whole number");
    rule("mac_only_encrypted: 1", "line 2, column 23: mac_only_encrypted must be true or false");
    rule("path_regex: [a]", "line 2, column 15: path_regex must be a text");
    rule("key_groups: {}", "line 2, column 15: key_groups must be a list");
    rule("key_groups: [{age: a}]", "line 2, column 22: age must be a list");
    rule("key_groups: [{kms: [arn]}]", "line 2, column 23: an item of kms must be a map");
    rule("age: &a [*a]", "line 2, column 12: age must be a text");
    let laughs = "key_groups: [{merge: &m [{merge: *m}, {merge: *m}]}]";
    rule(laughs, "line 2, column 28: too much is merged here");
    check_error("stores: {yaml: {indent: x}}", "line 1, column 25: indent must be a whole number");
    check_error(
        "a: 1\na: 2\n",
        "line 2, column 1: the key [\"a\"] stands twice (first at line 1, column 1)",
    );
}

#[test]
fn a_text_that_is_no_yaml_says_where() {
    let error = Config::parse("creation_rules:\n  - age: [a\n").expect_err("no YAML");
    assert!(error.position.line >= 2, "{error}");
}
