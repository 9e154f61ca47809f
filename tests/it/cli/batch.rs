//! Many files in one run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use expect_test::expect;

use super::{Sandbox, text};

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

#[test]
fn a_file_with_several_names_is_worked_on_once() {
    let sandbox = Sandbox::new();
    sandbox.write("d/a.yaml", "a: 1\n");
    symlink("d/a.yaml", sandbox.path("link.yaml")).expect("linked");
    symlink("d", sandbox.path("folder")).expect("linked");
    let absolute = text(&sandbox.path("d/a.yaml"));
    let names = [
        "link.yaml",
        "d/a.yaml",
        "./d/a.yaml",
        "d/../d/a.yaml",
        "folder/a.yaml",
        "d/a.yaml",
        &absolute,
    ];
    fn with<'a>(words: &[&'a str], names: &[&'a str]) -> Vec<&'a str> {
        [words, names].concat()
    }
    let all = |words: &[&'static str]| with(words, &names);
    assert_eq!(sandbox.run(&all(&["encrypt", "-i"])).ok(), "");
    assert!(fs::symlink_metadata(sandbox.path("link.yaml")).expect("there").is_symlink());
    assert_eq!(sandbox.run(&all(&["rotate", "-i"])).ok(), "");
    let run = sandbox.run(&[&all(&["set"])[..], &["[\"a\"]", "2"]].concat());
    assert_eq!(run.ok(), "");
    // Who asks about names hears about each.
    let told = sandbox.run(&["verify", "d/a.yaml", "link.yaml", "./link.yaml"]).ok();
    assert_eq!(told, "d/a.yaml: sealed\nlink.yaml: sealed\n");
    sandbox.run(&["decrypt", "--output-dir", "out", "link.yaml", "d/a.yaml", "./d/a.yaml"]).ok();
    assert_eq!(sandbox.read("out/link.yaml"), "a: 2\n");
    assert_eq!(sandbox.read("out/d/a.yaml"), "a: 2\n");
    assert_eq!(sandbox.run(&all(&["decrypt", "-i"])).ok(), "");
    assert_eq!(sandbox.read("d/a.yaml"), "a: 2\n");
}

#[test]
fn what_another_program_wrote_meanwhile_is_left_to_it() {
    let sandbox = Sandbox::new();
    let keys = sandbox.home().join(".config/sops/age/keys.txt");
    fs::rename(keys, sandbox.path("keys.txt")).expect("moved");
    // It is asked for the identity once the file was read.
    sandbox.write("meanwhile", "echo '# meanwhile' >> a.yaml\ncat keys.txt\n");
    let sandbox = sandbox.with("SOPS_AGE_KEY_CMD", "sh meanwhile");
    for words in [
        &["set", "a.yaml", "[\"a\"]", "2"][..],
        &["unset", "a.yaml", "[\"a\"]"],
        &["rotate", "-i", "a.yaml"],
        &["decrypt", "-i", "a.yaml"],
    ] {
        sandbox.sealed("a.yaml", "a: 1\nb: 2\n");
        let theirs = format!("{}# meanwhile\n", sandbox.read("a.yaml"));
        let stderr = sandbox.run(words).fails(3);
        assert_eq!(
            stderr, "error: a.yaml: was changed by another program meanwhile\n",
            "{words:?}"
        );
        assert_eq!(sandbox.read("a.yaml"), theirs, "{words:?}");
    }
}

/// What a killed run left of a file that is mounted by itself: no MAC tells that a plaintext is torn.
#[test]
fn a_plaintext_that_may_be_torn_is_not_sealed() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: 1\nb: 1\n");
    sandbox.write(".a.yaml.waxseal-copy", "a: 1\nb: 2\n");
    for words in [&["encrypt", "-i", "a.yaml"][..], &["encrypt", "a.yaml"]] {
        let run = sandbox.run(words);
        expect![[r#"
            exit 2
            --- stderr
            error: a.yaml: may hold parts of two versions: an interrupted write left a copy beside it
            hint: if the file is right, remove the copy; if not, put the copy in its place
            hint: its last writer was interrupted: .a.yaml.waxseal-copy holds what it was to be, whole
        "#]]
        .assert_eq(&sandbox.transcript(&run));
    }
    assert_eq!(sandbox.read("a.yaml"), "a: 1\nb: 1\n");
    // It was killed when all was written.
    sandbox.write("a.yaml", "a: 1\nb: 2\n");
    sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
    // A sealed file is told by its MAC, whatever stands beside it.
    sandbox.run(&["decrypt", "-i", "a.yaml"]).ok();
    sandbox.sealed("a.yaml", "a: 1\nb: 2\n");
    let torn = sandbox.read("a.yaml").replacen("a: ENC[", "c: ENC[", 1);
    sandbox.write("a.yaml", &torn);
    let stderr = sandbox.run(&["decrypt", "-i", "a.yaml"]).fails(25);
    assert!(stderr.contains(".a.yaml.waxseal-copy holds what it was to be, whole"), "{stderr}");
}

#[test]
fn where_a_folder_is_a_symlink_two_files_are_two() {
    let sandbox = Sandbox::new();
    sandbox.write("a.yaml", "a: 1\n");
    sandbox.write("real/a.yaml", "a: 2\n");
    fs::create_dir(sandbox.path("real/deep")).expect("made");
    symlink("real/deep", sandbox.path("folder")).expect("linked");
    sandbox.run(&["encrypt", "-i", "a.yaml", "folder/../a.yaml"]).ok();
    assert_eq!(sandbox.run(&["decrypt", "real/a.yaml"]).ok(), "a: 2\n");
    let words = ["decrypt", "--output-dir", "out", "a.yaml", "folder/../a.yaml"];
    let stderr = sandbox.run(&words).fails(8);
    assert!(stderr.contains("two of the files would be written to out/a.yaml"), "{stderr}");
}

#[test]
fn no_result_takes_the_place_of_another() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.sealed("a.json", "{\"a\": 2}\n");
    let words = ["decrypt", "--output-type", "toml", "--output-dir", "out", "a.yaml", "a.json"];
    let run = sandbox.run(&words);
    expect![[r#"
        exit 1
        --- stderr
        error: out/a.toml: another of the files was written there; the result of this one was not
        error: 1 of 2 files failed
    "#]]
    .assert_eq(&sandbox.transcript(&run));
    assert_eq!(sandbox.read("out/a.toml"), "a = 1\n");
}

#[test]
fn below_a_folder_that_is_named_no_symlink_is_followed() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: hunter2\n");
    sandbox.sealed("sub/b.yaml", "b: hunter2\n");
    fs::create_dir(sandbox.path("public")).expect("made");
    fs::create_dir(sandbox.path("out")).expect("made");
    // As somebody can commit them.
    symlink("../public/a.yaml", sandbox.path("out/a.yaml")).expect("linked");
    symlink("../public", sandbox.path("out/sub")).expect("linked");
    for command in ["decrypt", "rotate"] {
        let run = sandbox.run(&[command, "--output-dir", "out", "a.yaml", "sub/b.yaml"]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let start = "error: out/a.yaml: out/a.yaml is a symlink: none is followed below the folder";
        assert!(run.stderr.starts_with(start), "{}", run.stderr);
        assert!(run.stderr.contains("out/sub/b.yaml: out/sub is a symlink"), "{}", run.stderr);
    }
    sandbox.write("plain/c.yaml", "c: 1\n");
    symlink("../public", sandbox.path("out/plain")).expect("linked");
    sandbox.run(&["encrypt", "--output-dir", "out", "plain/c.yaml"]).fails(3);
    assert!(fs::read_dir(sandbox.path("public")).expect("there").next().is_none());
    // The folder itself, and a file that is named, are the user's words.
    symlink("public", sandbox.path("mine")).expect("linked");
    sandbox.run(&["decrypt", "--output-dir", "mine", "a.yaml"]).ok();
    assert_eq!(sandbox.read("public/a.yaml"), "a: hunter2\n");
    symlink("public/d.yaml", sandbox.path("d.yaml")).expect("linked");
    sandbox.run(&["decrypt", "--output", "d.yaml", "a.yaml"]).ok();
    assert_eq!(sandbox.read("public/d.yaml"), "a: hunter2\n");
}

#[test]
fn a_folder_that_cannot_be_made_says_why() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.sealed("sub/a.yaml", "a: 1\n");
    sandbox.write("out/sub", "a file\n");
    let stderr = sandbox.run(&["decrypt", "--output-dir", "out", "sub/a.yaml"]).fails(3);
    assert_eq!(stderr, "error: out/sub/a.yaml: out/sub is no folder\n");
    let stderr = sandbox.run(&["decrypt", "--output-dir", "out/sub/x", "a.yaml"]).fails(3);
    assert!(stderr.contains("cannot make the folder out/sub/x: Not a directory"), "{stderr}");
}

/// A run whose standard output is closed by its reader before anything is written.
fn unheard(sandbox: &Sandbox, words: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = sandbox
        .command(env!("CARGO_BIN_EXE_waxseal"))
        .args(words)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let output = child.wait_with_output().expect("ended");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn a_reader_who_goes_away_hides_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.sealed("a.yaml", "a: 1\n");
    sandbox.sealed("b.yaml", "b: 1\n");
    let broken = sandbox.read("b.yaml").replace("b: ENC", "c: ENC");
    sandbox.write("b.yaml", &broken);
    assert_eq!(unheard(&sandbox, &["decrypt", "a.yaml"]), (Some(0), String::new()));
    assert_eq!(unheard(&sandbox, &["verify", "a.yaml"]), (Some(0), String::new()));
    let (code, stderr) = unheard(&sandbox, &["verify", "a.yaml", "b.yaml"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.starts_with("error: b.yaml: "), "{stderr}");
    assert!(stderr.ends_with("error: 1 of 2 files failed\n"), "{stderr}");
    assert_eq!(unheard(&sandbox, &["verify", "b.yaml"]).0, Some(25));
    // What was not looked at is not known to be good.
    let names: Vec<String> = (0..300).map(|n| format!("many/{n}.yaml")).collect();
    for name in &names {
        sandbox.write(name, &sandbox.read("a.yaml"));
    }
    let mut words = vec!["verify"];
    words.extend(names.iter().map(String::as_str));
    assert_eq!(unheard(&sandbox, &words), (Some(1), String::new()));
    assert_eq!(unheard(&sandbox, &words[..200]), (Some(0), String::new()));
}
