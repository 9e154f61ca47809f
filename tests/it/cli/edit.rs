//! `edit`, with editors that are scripts.

use std::fs;
use std::os::unix::fs::symlink;

use expect_test::expect;

use super::keys::{somebody, with_planted_recipient};
use super::{Sandbox, text, tokens};

const PLAIN: &str = "# mine\na: 'one'\nb: 2 # two\n";

#[test]
fn a_saved_change_is_sealed() {
    let sandbox =
        Sandbox::new().editor("cp \"$1\" seen; basename \"$1\" > name; sed -i s/one/uno/ \"$1\"");
    sandbox.sealed("a.yaml", PLAIN);
    let before = sandbox.read("a.yaml");
    assert_eq!(sandbox.run(&["edit", "a.yaml"]).ok(), "");
    // Shown as its owner wrote it, under its own name.
    assert_eq!(sandbox.read("seen"), PLAIN);
    assert_eq!(sandbox.read("name"), "a.yaml\n");
    assert_eq!(sandbox.run(&["decrypt", "a.yaml"]).ok(), PLAIN.replace("one", "uno"));
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).ok(), "a.yaml: sealed\n");
    let after = sandbox.read("a.yaml");
    let changed = tokens(&before).iter().zip(tokens(&after)).filter(|(a, b)| **a != *b).count();
    assert_eq!(changed, 2, "the value and the MAC");
    let left: Vec<_> = fs::read_dir(sandbox.dir.path())
        .expect("readable")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("waxseal-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nothing_changed_is_200_and_not_a_byte() {
    let sandbox = Sandbox::new().editor("true");
    sandbox.sealed("a.yaml", PLAIN);
    let before = sandbox.read("a.yaml");
    let run = sandbox.run(&["edit", "a.yaml"]);
    expect![[r#"
        exit 200
        --- stderr
        a.yaml: not changed: nothing was written
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("a.yaml"), before);
    assert_eq!(sandbox.run(&["edit", "new.yaml"]).code, Some(200));
    assert!(!sandbox.path("new.yaml").exists());
}

#[test]
fn a_broken_edit_ends_without_a_terminal() {
    let sandbox =
        Sandbox::new().editor("echo run >> runs; printf 'a: [hunter2\\nb: 1\\n' > \"$1\"");
    sandbox.sealed("a.yaml", PLAIN);
    let before = sandbox.read("a.yaml");
    let run = sandbox.run(&["edit", "a.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.starts_with("error: a.yaml: line ") && run.stderr.contains(", column "));
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    assert_eq!(sandbox.read("runs"), "run\n");
    assert_eq!(sandbox.read("a.yaml"), before);
    // An editor with a window of its own needs no terminal.
    assert_eq!(kept(&sandbox, &run.stderr, "data", "a.yaml.edit.json"), "a: [hunter2\nb: 1\n");
    assert!(!sandbox.read("a.yaml.edit.json").contains("hunter2"));
}

/// What an edit was kept as, by the words of the error.
#[track_caller]
fn kept(sandbox: &Sandbox, stderr: &str, key: &str, path: &str) -> String {
    let path = sandbox.masked(path);
    let hint = format!("your edit is kept, sealed: waxseal decrypt --extract '[\"{key}\"]' {path}");
    let stderr = sandbox.masked(stderr);
    assert!(stderr.contains(&hint), "{stderr}");
    let path = path.replace("DIR", sandbox.dir.path().to_str().expect("UTF-8"));
    sandbox.run(&["decrypt", "--extract", &format!("[\"{key}\"]"), &path]).ok()
}

#[test]
fn an_edit_that_is_no_text_is_kept_too() {
    let sandbox = Sandbox::new().editor("printf 'a: \\351\\n' > \"$1\"");
    sandbox.sealed("a.yaml", PLAIN);
    let stderr = sandbox.run(&["edit", "a.yaml"]).fails(2);
    assert_eq!(kept(&sandbox, &stderr, "hex", "a.yaml.edit.json"), "613a20e90a");
    assert!(stderr.trim_end().ends_with("a.yaml.edit.json | xxd -r -p"), "{stderr}");
}

#[test]
fn an_edit_that_cannot_stand_beside_its_file_is_kept_elsewhere() {
    // The folder goes away while its file is edited.
    let sandbox = Sandbox::new().editor("sed -i s/one/uno/ \"$1\"; mv d gone");
    sandbox.sealed("d/a.yaml", PLAIN);
    let stderr = sandbox.run(&["edit", "d/a.yaml"]).fails(3);
    let elsewhere = sandbox.dir.path().join("a.yaml.edit.json");
    let elsewhere = elsewhere.to_str().expect("UTF-8");
    assert_eq!(kept(&sandbox, &stderr, "data", elsewhere), PLAIN.replace("one", "uno"));
    assert!(sandbox.path("gone/a.yaml").exists());
}

#[test]
fn a_new_file_without_a_folder_opens_no_editor() {
    let sandbox = Sandbox::new().editor("touch opened");
    let run = sandbox.run(&["edit", "no/such/folder/n.yaml"]);
    expect![[r#"
        exit 3
        --- stderr
        error: no/such/folder/n.yaml: its directory does not exist
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert!(!sandbox.path("opened").exists());
}

#[test]
fn a_failing_editor_is_201() {
    let sandbox = Sandbox::new().editor("echo x: 1 > \"$1\"; exit 3");
    sandbox.sealed("a.yaml", PLAIN);
    let before = sandbox.read("a.yaml");
    let run = sandbox.run(&["edit", "a.yaml"]);
    let stderr = run.stderr.clone();
    expect![[r#"
        exit 201
        --- stderr
        error: a.yaml: the editor DIR/editor (from EDITOR) failed (exit status: 3): nothing is changed
        hint: after an editor that ends with an error, as vim does with `:cq`, no file is changed
        hint: your edit is kept, sealed: waxseal decrypt --extract '["data"]' a.yaml.edit.json
    "#]].assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("a.yaml"), before);
    assert_eq!(kept(&sandbox, &stderr, "data", "a.yaml.edit.json"), "x: 1\n");
    // Nothing is kept of what nobody changed.
    let sandbox = sandbox.with("SOPS_EDITOR", "/nowhere/vi");
    sandbox.run(&["edit", "a.yaml"]).fails(201);
    let sandbox = sandbox.with("SOPS_EDITOR", "false");
    sandbox.run(&["edit", "a.yaml"]).fails(201);
    assert!(!sandbox.path("a.yaml.edit-2.json").exists());
    let sandbox = sandbox.with("SOPS_EDITOR", "/nowhere/vi -x");
    let run = sandbox.run(&["edit", "a.yaml"]);
    expect![[r#"
        exit 201
        --- stderr
        error: a.yaml: the editor /nowhere/vi (from SOPS_EDITOR) cannot be started: No such file or directory (os error 2)
        hint: set SOPS_EDITOR to an editor that is there, such as vim, nano or 'code --wait'
    "#]].assert_eq(&sandbox.transcript(&run));
    let sandbox = sandbox.with("SOPS_EDITOR", "'vi");
    let run = sandbox.run(&["edit", "a.yaml"]);
    expect![[r#"
        exit 201
        --- stderr
        error: a.yaml: the editor cannot be started: the quotes in SOPS_EDITOR do not match
    "#]]
    .assert_eq(&sandbox.transcript(&run));
}

#[test]
fn a_file_that_was_written_meanwhile_is_left_and_the_edit_is_kept_sealed() {
    let sandbox = Sandbox::new().editor("sed -i s/one/hunter2/ \"$1\"; cp other.yaml a.yaml");
    sandbox.sealed("other.yaml", "other: 1\n");
    sandbox.sealed("a.yaml", PLAIN);
    let other = sandbox.read("other.yaml");
    let run = sandbox.run(&["edit", "a.yaml"]);
    expect![[r#"
        exit 3
        --- stderr
        error: a.yaml: was changed by another program meanwhile
        hint: your edit is kept, sealed: waxseal decrypt --extract '["data"]' a.yaml.edit.json
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("a.yaml"), other);
    assert!(!sandbox.read("a.yaml.edit.json").contains("hunter2"));
    let kept = sandbox.run(&["decrypt", "--extract", "[\"data\"]", "a.yaml.edit.json"]).ok();
    assert_eq!(kept, PLAIN.replace("one", "hunter2"));
    // The next one does not replace it.
    sandbox.sealed("b.yaml", PLAIN);
    fs::copy(sandbox.path("b.yaml"), sandbox.path("a.yaml")).expect("copied");
    sandbox.run(&["edit", "a.yaml"]).fails(3);
    assert!(sandbox.path("a.yaml.edit-2.json").exists());
}

#[test]
fn a_kept_edit_vouches_for_no_recipient_that_its_file_does_not() {
    let sandbox = Sandbox::new().editor("echo x: 1 > \"$1\"; exit 3");
    sandbox.sealed("a.yaml", PLAIN);
    sandbox.run(&["edit", "a.yaml"]).fails(201);
    assert_eq!(sandbox.run(&["verify", "a.yaml.edit.json"]).code, Some(0));
    let other = somebody(&sandbox, "other");
    with_planted_recipient(&sandbox, "a.yaml", &other);
    assert_eq!(sandbox.run(&["verify", "a.yaml"]).code, Some(54));
    let stderr = sandbox.run(&["edit", "a.yaml"]).fails(201);
    assert_eq!(kept(&sandbox, &stderr, "data", "a.yaml.edit-2.json"), "x: 1\n");
    assert!(sandbox.read("a.yaml.edit-2.json").contains(&other));
    let run = sandbox.run(&["verify", "a.yaml.edit-2.json"]);
    assert_eq!(run.stdout, "a.yaml.edit-2.json: recipients unvouched\n", "{}", run.stderr);
    assert_ne!(run.code, Some(0));
}

/// A folder with a file by sops and the identity for it.
fn with_a_file_by_sops(script: &str) -> Sandbox {
    let sandbox = Sandbox::bare().editor(script);
    sandbox.write("keys.txt", include_str!("../../../testdata/sops/keys.txt"));
    sandbox.write("a.yaml", include_str!("../../../testdata/sops/encrypted-regex.yaml"));
    let keys = text(&sandbox.path("keys.txt"));
    sandbox.with("SOPS_AGE_KEY_FILE", &keys)
}

#[test]
fn a_kept_edit_of_a_file_by_sops_gets_a_new_data_key_once_it_is_resealed() {
    let sandbox = with_a_file_by_sops("echo x: 1 > \"$1\"; exit 3");
    let stderr = sandbox.run(&["edit", "a.yaml"]).fails(201);
    assert_eq!(kept(&sandbox, &stderr, "data", "a.yaml.edit.json"), "x: 1\n");
    let run = sandbox.run(&["verify", "a.yaml.edit.json"]);
    assert_eq!(run.stdout, "a.yaml.edit.json: recipients unvouched\n", "{}", run.stderr);
    let before = sandbox.read("a.yaml.edit.json");
    sandbox.run(&["reseal", "--yes", "a.yaml.edit.json"]).ok();
    let after = sandbox.read("a.yaml.edit.json");
    let sealed = sandbox.run(&["verify", "--keys", "a.yaml.edit.json"]).ok();
    assert!(sealed.starts_with("a.yaml.edit.json: sealed\n"), "{sealed}");
    // Under the same data key the same value would be the same ciphertext.
    assert_eq!(tokens(&before).len(), 2);
    assert_ne!(tokens(&before)[0], tokens(&after)[0]);
}

#[test]
fn a_broken_file_is_shown_to_no_editor_though_the_mac_is_ignored() {
    let sandbox = Sandbox::new().editor("touch opened; sed -i s/one/uno/ \"$1\"");
    sandbox.sealed("a.yaml", PLAIN);
    // An empty map is no value to the MAC of sops: only the seal sees it.
    let broken = sandbox.read("a.yaml").replacen("\nb: ", "\nd: {}\nb: ", 1);
    sandbox.write("a.yaml", &broken);
    sandbox.run(&["decrypt", "--ignore-mac", "a.yaml"]).ok();
    sandbox.run(&["edit", "--ignore-mac", "a.yaml"]).fails(51);
    assert!(!sandbox.path("opened").exists());
    assert_eq!(sandbox.read("a.yaml"), broken);
}

#[test]
fn a_planted_comment_does_not_put_what_is_edited_in_the_open() {
    let sandbox = Sandbox::new().editor("sed -i \"s/$FROM/hunter2/\" \"$1\"");
    sandbox.write("a.yaml", "x: 0\n# seal\na: one\nb: two\n");
    sandbox.run(&["encrypt", "-i", "--encrypted-comment-regex", "seal", "a.yaml"]).ok();
    // As far as anybody knows a comment above `b` is gone.
    let changed = sandbox.read("a.yaml").replace("\nb: two", "\nb:  two");
    sandbox.write("a.yaml", &changed);
    let sandbox = sandbox.with("FROM", "two");
    let stderr = sandbox.run(&["edit", "a.yaml"]).fails(53);
    assert!(stderr.contains("[\"b\"] would stay in the open"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    assert_eq!(sandbox.read("a.yaml"), changed);
    let edit = kept(&sandbox, &stderr, "data", "a.yaml.edit.json");
    assert_eq!(edit, "x: 0\n# seal\na: one\nb:  hunter2\n");
    // What stays sealed is nobody's concern.
    let sandbox = sandbox.with("FROM", "one");
    sandbox.run(&["edit", "a.yaml"]).ok();
    assert!(!sandbox.read("a.yaml").contains("hunter2"));
}

#[test]
fn a_kept_edit_is_not_written_through_a_link() {
    let sandbox = Sandbox::new().editor("echo x: 1 > \"$1\"; exit 3");
    sandbox.sealed("a.yaml", PLAIN);
    symlink("elsewhere.json", sandbox.path("a.yaml.edit.json")).expect("linked");
    let stderr = sandbox.run(&["edit", "a.yaml"]).fails(201);
    assert!(!sandbox.path("elsewhere.json").exists());
    assert_eq!(kept(&sandbox, &stderr, "data", "a.yaml.edit-2.json"), "x: 1\n");
}

#[test]
fn a_new_file_begins_with_an_example() {
    let sandbox =
        Sandbox::new().editor("cp \"$1\" \"seen-${1##*/}\"; sed -i s/example_value1/mine/ \"$1\"");
    for name in ["n.yaml", "n.json", "n.toml"] {
        sandbox.run(&["edit", name]).ok();
        let seen = sandbox.read(&format!("seen-{name}"));
        assert_eq!(sandbox.run(&["decrypt", name]).ok(), seen.replace("example_value1", "mine"));
        assert_eq!(sandbox.run(&["verify", name]).ok(), format!("{name}: sealed\n"));
    }
    let bare = Sandbox::bare().editor("true");
    let run = bare.run(&["edit", "n.yaml"]);
    expect![[r#"
        exit 1
        --- stderr
        error: n.yaml: config file not found, or has no creation rules, and no keys provided through command line options
        hint: `waxseal init` makes an identity and a .sops.yaml; --age names recipients directly, --hc-vault-transit transit keys; for a rule with hc_vault_transit_uri: `waxseal init --vault ADDRESS`
    "#]]
    .assert_eq(&bare.transcript(&run));
}

#[test]
fn several_files_are_edited_one_after_the_other() {
    let sandbox = Sandbox::new().editor("sed -i s/one/uno/ \"$1\"");
    sandbox.sealed("a.yaml", "a: one\n");
    sandbox.sealed("b.yaml", "b: two\n");
    sandbox.sealed("c.yaml", "c: one\n");
    sandbox.run(&["edit", "a.yaml", "b.yaml", "c.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "c.yaml"]).ok(), "c: uno\n");
}
