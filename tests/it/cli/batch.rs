//! Many files in one run.

use std::os::unix::fs::PermissionsExt;

use expect_test::expect;

use super::Sandbox;

#[test]
fn a_failure_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..300).map(|n| format!("f/{n}.yaml")).collect();
    for name in &names {
        sandbox.write(name, &format!("a: {name}\n"));
    }
    sandbox.write("f/7.yaml", "a: [1\n");
    let mut words = vec!["encrypt", "-i"];
    words.extend(names.iter().map(String::as_str));
    words.push("f/missing.yaml");
    let run = sandbox.run(&words);
    expect![[r#"
        exit 1
        --- stderr
        error: f/7.yaml: line 1, column 4: a bracket that is never closed
        error: f/missing.yaml: no such file
        error: 2 of 301 files failed
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("f/7.yaml"), "a: [1\n");
    let mut words = vec!["decrypt", "--output-dir", "out"];
    words.extend(names.iter().filter(|name| *name != "f/7.yaml").map(String::as_str));
    assert_eq!(sandbox.run(&words).ok(), "");
    for name in names.iter().filter(|name| *name != "f/7.yaml") {
        assert_eq!(sandbox.read(&format!("out/{name}")), format!("a: {name}\n"));
    }
}

#[test]
fn one_file_has_its_own_code() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(203);
    sandbox.run(&["encrypt", "-i", "a.yaml", "a.yaml"]).fails(203);
    sandbox.sealed("b.yaml", "a: 1\n");
    let stderr = sandbox.run(&["encrypt", "-i", "a.yaml", "b.yaml"]).fails(1);
    assert!(stderr.ends_with("error: 2 of 2 files failed\n"), "{stderr}");
}

#[test]
fn several_files_do_not_go_to_standard_output() {
    let sandbox = Sandbox::new();
    for words in [
        &["decrypt", "a.yaml", "b.yaml"][..],
        &["decrypt", "--output", "x", "a.yaml", "b.yaml"],
        &["decrypt", "-i", "--output", "x", "a.yaml"],
        &["decrypt", "-i"],
        &["encrypt", "--output-dir", "x"],
        &["encrypt", "--like", "x.yaml", "-i", "a.yaml", "b.yaml"],
        &["decrypt", "--output-dir", "x", "/a/a.yaml", "/b/a.yaml"],
    ] {
        sandbox.run(words).fails(8);
    }
}

#[test]
fn what_cannot_be_written_stays_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("d/a.yaml", "a: 1\n");
    let folder = sandbox.path("d");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).expect("mode");
    // Root may write anyway.
    let root = std::fs::write(sandbox.path("d/probe"), "").is_ok();
    let run = sandbox.run(&["encrypt", "-i", "d/a.yaml"]);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("mode");
    if !root {
        assert_eq!(run.code, Some(3));
        assert_eq!(sandbox.read("d/a.yaml"), "a: 1\n");
    }
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.run(&["decrypt", "--output", "no/such/folder", "a.yaml"]).fails(3);
    sandbox.run(&["decrypt", "--output", "d", "a.yaml"]).fails(3);
}
