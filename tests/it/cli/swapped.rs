//! Wrapped keys that somebody without any key put in the place of others: who notices, and what mends it.

use serde_json::{Value, json};

use super::Sandbox;
use super::vault::user;
use super::verify::git;
use crate::openbao::Bao;

/// The wrapped key of Vault in a file.
fn enc(file: &str) -> &str {
    let from = file.find("enc: vault:").expect("a wrapped key");
    file[from..].lines().next().expect("a line")
}

/// Two files, of which each has the wrapped key of the other.
fn swapped(sandbox: &Sandbox) {
    sandbox.sealed("a.yaml", "a: one\n");
    sandbox.sealed("b.yaml", "a: two\n");
    let (a, b) = (sandbox.read("a.yaml"), sandbox.read("b.yaml"));
    sandbox.write("a.yaml", &a.replace(enc(&a), enc(&b)));
    sandbox.write("b.yaml", &b.replace(enc(&b), enc(&a)));
}

/// The exit code of `doctor`, and what it says of files.
fn doctor(sandbox: &Sandbox, files: &[&str]) -> (Option<i32>, Value) {
    let run = sandbox.run(&[&["doctor", "--json"], files].concat());
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["ok"], json!(run.code == Some(0)), "{report}");
    (run.code, report)
}

#[test]
fn files_that_only_vault_opens_do_not_open_and_doctor_says_which_entry_lies() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "k")]);
    let name = format!("{}/v1/{mount}/keys/k", bao.address());
    swapped(&sandbox);
    let (code, report) = doctor(&sandbox, &["a.yaml", "b.yaml"]);
    let lie = "what is wrapped for it is the data key of something else: take its `enc` back from an earlier \
               version of the file (git log -p)";
    let problem = |file: &str| format!("{file}: no key opens it: {name}: {lie}");
    assert_eq!(
        (code, &report["problems"]),
        (Some(1), &json!([problem("a.yaml"), problem("b.yaml")]))
    );
    assert_eq!(
        (&report["files"][0]["opens"], &report["files"][0]["entries"][0]["opens"]),
        (&json!(false), &json!(false))
    );
    let run = sandbox.run(&["verify", "--keys", "a.yaml"]);
    let found =
        format!("a.yaml: cannot be opened; wrapped keys differ\n  {name}: holds another key\n");
    assert_eq!(run.stdout, found);
    assert!(run.fails(54).contains("take its `enc` back"));
    assert!(sandbox.run(&["decrypt", "a.yaml"]).fails(25).contains("`waxseal verify --keys`"));
    // With the MAC and the time of the other file the key seems to fit; it opens nothing all the same.
    let (a, b) = (sandbox.read("a.yaml"), sandbox.read("b.yaml"));
    let line = |file: &str, name: &str| {
        file.lines().find(|line| line.trim_start().starts_with(name)).expect("a line").to_owned()
    };
    let moved = ["mac: ", "lastmodified: "]
        .iter()
        .fold(a.clone(), |text, name| text.replace(&line(&a, name), &line(&b, name)));
    assert_ne!(moved, a);
    sandbox.write("a.yaml", &moved);
    let (code, report) = doctor(&sandbox, &["a.yaml"]);
    assert_eq!((code, &report["files"][0]["opens"]), (Some(1), &json!(false)), "{report}");
}

/// A rule with an age recipient and a transit key.
fn both(bao: &Bao, mount: &str) -> Sandbox {
    let sandbox = Sandbox::new().with("VAULT_ADDR", bao.address()).with("VAULT_TOKEN", bao.root());
    let uri = format!("{}/v1/{mount}/keys/k", bao.address());
    let rule = format!(
        "creation_rules:\n  - age: {}\n    hc_vault_transit_uri: {uri}\n",
        sandbox.recipient
    );
    sandbox.write(".sops.yaml", &rule);
    sandbox
}

#[test]
fn an_entry_that_lies_beside_one_that_opens_is_found_and_mended() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let sandbox = both(bao, &mount);
    swapped(&sandbox);
    let (code, report) = doctor(&sandbox, &["a.yaml"]);
    assert_eq!((code, &report["files"][0]["opens"]), (Some(1), &json!(true)), "{report}");
    let problem = report["problems"][0].as_str().expect("a problem");
    assert!(
        problem.contains(&format!("a.yaml: {}/v1/{mount}/keys/k: ", bao.address())),
        "{problem}"
    );
    assert!(
        problem.ends_with("`waxseal reseal` makes a new one and wraps it for all"),
        "{problem}"
    );
    let run = sandbox.run(&["verify", "--keys", "a.yaml"]);
    assert!(run.stdout.starts_with("a.yaml: sealed; wrapped keys differ\n"), "{}", run.stdout);
    assert!(run.fails(54).contains("`waxseal reseal`"));
    // By the other order the first entry does not open the file; another one does.
    let run = sandbox.run(&["verify", "--keys", "--decryption-order", "hc_vault,age", "a.yaml"]);
    assert!(run.stdout.starts_with("a.yaml: wrapped keys differ\n"), "{}", run.stdout);
    assert!(run.fails(54).contains("`waxseal reseal`"));

    let data_key = enc(&sandbox.read("a.yaml")).to_owned();
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    assert_ne!(enc(&sandbox.read("a.yaml")), data_key);
    assert_eq!(doctor(&sandbox, &["a.yaml"]).0, Some(0));
    let opened = ["decrypt", "--decryption-order", "hc_vault,age", "a.yaml"];
    assert_eq!(sandbox.run(&opened).ok(), "a: one\n");
    // What is well is left alone.
    let before = sandbox.read("a.yaml");
    sandbox.run(&["reseal", "--yes", "a.yaml"]).ok();
    assert_eq!(sandbox.read("a.yaml"), before);
}

#[test]
fn updatekeys_that_writes_keeps_no_wrapped_key_of_vault_that_lies() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let sandbox = both(bao, &mount);
    swapped(&sandbox);
    let other = Sandbox::new();
    let rule = sandbox.read(".sops.yaml");
    let both = format!("{},{}", sandbox.recipient, other.recipient);
    sandbox.write(".sops.yaml", &rule.replace(&sandbox.recipient, &both));
    sandbox.run(&["updatekeys", "--yes", "a.yaml"]);
    assert_eq!(doctor(&sandbox, &["a.yaml"]).0, Some(0));
    let opened = ["decrypt", "--decryption-order", "hc_vault,age", "a.yaml"];
    assert_eq!(sandbox.run(&opened).ok(), "a: one\n");
}

#[test]
fn a_token_that_may_only_rewrap_is_well_where_every_file_can_be_rewrapped() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "k")]);
    sandbox.sealed("a.yaml", "a: one\n");
    let policy = format!(
        "path \"{mount}/rewrap/k\" {{ capabilities = [\"update\"] }}\n\
         path \"{mount}/keys/k\" {{ capabilities = [\"read\"] }}"
    );
    let machine = sandbox.with("VAULT_TOKEN", &bao.token(&policy, json!({})));
    let (code, report) = doctor(&machine, &["a.yaml"]);
    assert_eq!((code, &report["problems"]), (Some(0), &json!([])), "{report}");
    let file = &report["files"][0];
    assert_eq!((&file["opens"], &file["rewraps"]), (&json!(false), &json!(true)));
    let said = machine.run(&["doctor", "a.yaml"]).ok();
    assert!(said.contains("  a.yaml: cannot be opened, can be rewrapped\n"), "{said}");
    machine.run(&["rewrap", "a.yaml"]).ok();
    // Of another key it may nothing: that file is a problem.
    bao.create_key(&mount, "other", json!({}));
    let uri = format!("{}/v1/{mount}/keys/other", bao.address());
    machine.write("b.yaml", "a: two\n");
    let owner = machine.with("VAULT_TOKEN", bao.root());
    owner.run(&["encrypt", "-i", "--hc-vault-transit", &uri, "b.yaml"]).ok();
    let machine = owner.with("VAULT_TOKEN", &bao.token(&policy, json!({})));
    assert_eq!(doctor(&machine, &["a.yaml", "b.yaml"]).0, Some(1));
}

#[test]
fn a_second_server_without_a_token_is_no_problem_while_its_files_open() {
    let (Some(bao), Some(away)) = (Bao::start(), crate::openbao::Own::blank()) else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "k", json!({}));
    let sandbox = user(bao.address(), bao.root(), &[(&mount, "k")])
        .with("SOPS_HC_VAULT_ALLOWLIST", away.address());
    sandbox.sealed("a.yaml", "a: one\n");
    // The entry of the other server stands behind that of this one.
    let file = sandbox.read("a.yaml");
    let from = file.find("        - created_at:").expect("an entry");
    let to = file.find("    lastmodified:").expect("its end");
    let entry = &file[from..to];
    let other = entry.replace(bao.address(), away.address());
    sandbox.write("a.yaml", &file.replace(entry, &format!("{entry}{other}")));
    let (code, report) = doctor(&sandbox, &["a.yaml"]);
    assert_eq!((code, &report["problems"]), (Some(0), &json!([])), "{report}");
    let servers = report["servers"].as_array().expect("a list");
    assert!(servers.iter().any(|it| it["state"] == "not initialised"), "{report}");
    // A file that has nothing else needs it.
    sandbox.write("b.yaml", &file.replace(bao.address(), away.address()));
    let (code, report) = doctor(&sandbox, &["a.yaml", "b.yaml"]);
    let problem = format!("{}: not initialised", away.address());
    assert_eq!((code, &report["problems"][0]), (Some(1), &json!(problem)));
}

#[test]
fn a_token_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let Some(bao) = Bao::start() else { return };
    let sandbox = Sandbox::bare().with("VAULT_ADDR", bao.address());
    let path = sandbox.home().join(".vault-token");
    let token = bao.token("path \"x/y\" { capabilities = [\"read\"] }", json!({}));
    std::fs::write(&path, &token).expect("written");
    for (mode, warnings) in [(0o600, 0), (0o644, 1)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
        let (code, report) = doctor(&sandbox, &[]);
        let told = report["warnings"].as_array().expect("a list");
        assert_eq!((code, told.len()), (Some(0), warnings), "{report}");
        let said = sandbox.run(&["doctor"]).ok();
        assert_eq!(said.contains("can read the token: chmod 600"), warnings == 1, "{said}");
        assert!(!said.contains(&token), "{said}");
    }
}

#[test]
fn doctor_names_a_merge_that_is_not_settled() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: one\n");
    git(&sandbox, &["init", "-q"]);
    let file = sandbox.read("a.yaml");
    let marked =
        file.replacen("    mac:", "<<<<<<< HEAD\n    mac: x\n=======\n>>>>>>> b\n    mac:", 1);
    sandbox.write("a.yaml", &marked);
    let line = marked.lines().position(|line| line.starts_with("<<<")).expect("a mark") + 1;
    let (code, report) = doctor(&sandbox, &[]);
    let problem = format!("a.yaml: line {line}: a mark of a merge conflict (<<<<<<<)");
    assert_eq!((code, &report["problems"]), (Some(1), &json!([problem])));
}

#[test]
fn a_key_that_opens_a_value_is_no_liar_whatever_else_was_changed() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: one\nb: two\n");
    // As a bad merge leaves it: a value and the MAC are both wrong.
    let sealed = sandbox.read("a.yaml");
    let flipped = |text: &str, at: usize| {
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let value = sealed.find("data:").expect("a value") + 5;
    let mac = sealed.rfind("data:").expect("the MAC") + 5;
    sandbox.write("a.yaml", &flipped(&flipped(&sealed, value), mac));
    let run = sandbox.run(&["verify", "--keys", "a.yaml"]);
    assert!(run.code != Some(0) && !run.stdout.contains("another key"), "{}", run.stdout);
    let (code, report) = doctor(&sandbox, &["a.yaml"]);
    let problems = report["problems"].to_string();
    assert!(code == Some(1) && !problems.contains("something else"), "{problems}");
    sandbox.run(&["decrypt", "a.yaml"]).fails(25);
}
