//! `verify --since` in a repository that somebody else can write to.

use super::Sandbox;
use super::verify::git;

/// A file in `secrets/`, committed, and its text from before the last change.
fn two_versions(sandbox: &Sandbox) -> String {
    sandbox.sealed("secrets/a.yaml", "a: old\n");
    let old = sandbox.read("secrets/a.yaml");
    std::thread::sleep(std::time::Duration::from_secs(4));
    sandbox.run(&["set", "secrets/a.yaml", "[\"a\"]", "\"new\""]).ok();
    git(sandbox, &["init", "-q"]);
    git(sandbox, &["add", "."]);
    git(sandbox, &["commit", "-qm", "x"]);
    old
}

/// What makes a folder a repository to git can be committed; its configuration names programs.
#[test]
fn a_repository_in_a_folder_of_the_repository_is_not_asked() {
    let sandbox = Sandbox::new();
    let old = two_versions(&sandbox);
    let ran = sandbox.path("ran");
    let program = format!("echo > {}; false", ran.display());
    sandbox.write("secrets/HEAD", "ref: refs/heads/x\n");
    sandbox.write("secrets/refs/heads/x", "8eaea3f72e37e538fbcd9c9e75510c7dae814322\n");
    sandbox.write("secrets/objects/keep", "");
    sandbox.write(
        "secrets/config",
        &format!(
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\tsshCommand = \"{program}\"\n\
             [extensions]\n\tpartialClone = origin\n\
             [remote \"origin\"]\n\turl = ssh://x/y\n\tpromisor = true\n"
        ),
    );
    sandbox.run(&["verify", "--since", "HEAD", "secrets/a.yaml"]).ok();
    sandbox.write("secrets/a.yaml", &old);
    let stderr = sandbox.run(&["verify", "--since", "HEAD", "secrets/a.yaml"]).fails(51);
    assert!(stderr.contains("it is older"), "{stderr}");
    assert!(!ran.exists());
}

/// Its history is somebody else's, and so is what it calls HEAD.
#[test]
fn a_folder_that_became_a_submodule_is_compared_with_what_it_was() {
    let sandbox = Sandbox::new();
    let old = two_versions(&sandbox);
    sandbox.write("secrets/a.yaml", &old);
    git(&sandbox, &["-C", "secrets", "init", "-q"]);
    git(&sandbox, &["-C", "secrets", "add", "a.yaml"]);
    git(&sandbox, &["-C", "secrets", "commit", "-qm", "x"]);
    sandbox.run(&["verify", "--since", "HEAD", "secrets/a.yaml"]).fails(51);
    // A file that only the inner repository has is compared with its own history.
    sandbox.sealed("inner/b.yaml", "a: 1\n");
    git(&sandbox, &["-C", "inner", "init", "-q"]);
    git(&sandbox, &["-C", "inner", "add", "b.yaml"]);
    git(&sandbox, &["-C", "inner", "commit", "-qm", "x"]);
    assert_eq!(
        sandbox.run(&["verify", "--since", "HEAD", "inner/b.yaml"]).ok(),
        "inner/b.yaml: sealed\n"
    );
}

/// git sets it for its hooks and aliases.
#[test]
fn the_repository_of_the_file_is_asked_whatever_the_environment_names() {
    let sandbox = Sandbox::new();
    let old = two_versions(&sandbox);
    sandbox.write("secrets/a.yaml", &old);
    git(&sandbox, &["init", "-q", "other"]);
    git(&sandbox, &["-C", "other", "commit", "-q", "--allow-empty", "-m", "x"]);
    let other = sandbox.path("other/.git").display().to_string();
    let sandbox = sandbox.with("GIT_DIR", &other);
    sandbox.run(&["verify", "--since", "HEAD", "secrets/a.yaml"]).fails(51);
}

#[test]
fn a_reference_cannot_fake_a_line() {
    let sandbox = Sandbox::new();
    two_versions(&sandbox);
    let run = sandbox.run(&["verify", "--since", "x\u{1b}[2K\ny", "secrets/a.yaml"]);
    assert!(!(run.stdout.clone() + &run.stderr).contains('\u{1b}'), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1);
    run.fails(1);
}

#[test]
fn an_older_version_behind_a_link_is_seen() {
    let sandbox = Sandbox::new();
    let old = two_versions(&sandbox);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, sandbox.path(name)).expect("linked");
    };
    let since = |name: &str| sandbox.run(&["verify", "--since", "HEAD", name]);
    // A link that the commit has, one that it does not have, one that leads out of it.
    link("secrets/a.yaml", "b.yaml");
    link("/etc/hostname", "out.yaml");
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "links"]);
    link("secrets/a.yaml", "c.yaml");
    std::fs::remove_file(sandbox.path("out.yaml")).expect("removed");
    link("secrets/a.yaml", "out.yaml");
    sandbox.write("secrets/a.yaml", &old);
    since("b.yaml").fails(51);
    since("c.yaml").fails(51);
    let stderr = since("out.yaml").fails(1);
    assert!(stderr.contains("leads nowhere in the repository"), "{stderr}");
    // The file, or its folder, becomes a link to one that the commit does not have.
    sandbox.write("other/a.yaml", &old);
    std::fs::remove_file(sandbox.path("secrets/a.yaml")).expect("removed");
    link("../other/a.yaml", "secrets/a.yaml");
    since("secrets/a.yaml").fails(51);
    std::fs::remove_dir_all(sandbox.path("secrets")).expect("removed");
    link("other", "secrets");
    since("secrets/a.yaml").fails(51);
}
