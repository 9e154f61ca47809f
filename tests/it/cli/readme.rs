//! The blocks of the README, typed as written, line by line, from its first to its last.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Run, Sandbox, text};

/// A shell that stands somewhere, with the built program first on its path.
pub(super) struct Shell {
    pub(super) sandbox: Sandbox,
    folder: PathBuf,
    /// The lines that hold for all that come after them.
    exports: String,
}

impl Shell {
    pub(super) fn new() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_waxseal"));
        let folder = text(program.parent().expect("in a folder"));
        let path = std::env::var("PATH").expect("a path");
        let mut sandbox = Sandbox::bare().with("PATH", &format!("{folder}:{path}"));
        for name in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"] {
            sandbox = sandbox.with(name, "/dev/null");
        }
        for role in ["AUTHOR", "COMMITTER"] {
            sandbox = sandbox
                .with(&format!("GIT_{role}_NAME"), "Ann")
                .with(&format!("GIT_{role}_EMAIL"), "ann@example.org");
        }
        let folder = sandbox.path("").canonicalize().expect("there");
        Self { sandbox, folder, exports: String::new() }
    }

    pub(super) fn run(&mut self, line: &str) -> Run {
        let there = self.sandbox.dir.path().join("folder");
        let script = format!(
            "set -o pipefail\ncd '{}' || exit 99\n{}{line}\ncode=$?; pwd >'{}'; exit $code",
            self.folder.display(),
            self.exports,
            there.display()
        );
        if line.starts_with("export ") {
            self.exports += &format!("{line}\n");
        }
        let run = self.sandbox.start("bash", &["-c", &script], "");
        self.folder = fs::read_to_string(there).expect("a folder").trim_end().into();
        run
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).expect("readable")
    }
}

pub(super) fn tracked(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What a page wants typed: each heading with the lines of its blocks, without their `$ `.
pub(super) fn blocks(page: &str) -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(page).expect("a page");
    let (mut heading, mut found, mut open) = (String::new(), Vec::new(), false);
    for line in page.lines() {
        if open && line != "```" {
            let line = line.strip_prefix("$ ").expect("a line to type starts with `$ `");
            let (_, lines): &mut (_, Vec<String>) = found.last_mut().expect("a block");
            lines.push(line.to_owned());
        } else if line == "```console" {
            open = true;
            if found.last().is_none_or(|(last, _)| *last != heading) {
                found.push((heading.clone(), Vec::new()));
            }
        } else if line == "```" {
            open = false;
        } else if let Some(text) = line.strip_prefix('#').filter(|it| !it.starts_with('!')) {
            text.trim_start_matches('#').trim().clone_into(&mut heading);
        }
    }
    found
}

#[track_caller]
fn all_go_well(runs: Vec<Run>) -> Vec<String> {
    runs.into_iter().map(Run::ok).collect()
}

#[test]
fn the_blocks_of_the_readme_do_what_it_says() {
    let mut shell = Shell::new();
    for (heading, lines) in blocks(&text(&tracked("README.md"))) {
        match heading.as_str() {
            "Start" => start(&lines),
            // Those are for a server: `vault_docs`.
            "With Vault or OpenBao" => {}
            "Test" => assert!(tracked(&lines[0]).is_file() && lines.len() == 1),
            recipe => {
                before(&mut shell, recipe);
                let mut runs = Vec::new();
                for line in &lines {
                    if line.starts_with("waxseal set") {
                        // Else `lastmodified` may be the same: people are not so fast.
                        std::thread::sleep(std::time::Duration::from_millis(1100));
                    }
                    runs.push(shell.run(line));
                }
                after(&mut shell, recipe, runs);
            }
        }
    }
}

/// All but the build, which `tests/start` types, too.
fn start(lines: &[String]) {
    let [line] = lines else { panic!("one line") };
    let behind = line.strip_prefix("cargo install --path . --locked && ").expect("it builds");
    let mut shell = Shell::new();
    shell.sandbox.write("testdata/examples/values.yaml", &example());
    let run = shell.run(behind);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.ends_with("demo.yaml: sealed\n"), "{}", run.stdout);
    assert!(shell.read("demo.yaml").contains("ENC["));
    assert_eq!(shell.run("waxseal decrypt demo.yaml").ok(), example());
    assert!(shell.sandbox.home().join(".config/sops/age/keys.txt").is_file());
}

fn example() -> String {
    fs::read_to_string(tracked("testdata/examples/values.yaml")).expect("readable")
}

/// What a recipe takes as given.
fn before(shell: &mut Shell, recipe: &str) {
    if recipe == "Take over files of sops" {
        // Written by sops, for a key of its own.
        let file = tracked("testdata/library/config.yaml");
        fs::copy(file, shell.folder.join("secrets.yaml")).expect("copied");
        let keys = text(&tracked("testdata/library/keys.txt"));
        shell.sandbox.vars.push(("SOPS_AGE_KEY_FILE".to_owned(), keys));
    }
    if recipe == "A spare key" {
        // There are two recipients already.
        let rule = shell.read(".sops.yaml");
        let line = rule.lines().find(|line| line.contains("- age1")).expect("a recipient");
        let other = shell.run("waxseal keygen --output ../other.txt").ok();
        let both = format!("{line}\n          - {other}");
        fs::write(shell.folder.join(".sops.yaml"), rule.replace(&format!("{line}\n"), &both))
            .expect("written");
    }
}

fn after(shell: &mut Shell, recipe: &str, runs: Vec<Run>) {
    match recipe {
        "The cycle" => the_cycle(shell, all_go_well(runs)),
        "Diffs in plaintext" => {
            let seen = all_go_well(runs);
            let diff = seen.last().expect("a diff");
            assert!(
                diff.contains("-password: \"hunter2\"\n+password: \"correct horse\"\n"),
                "{diff}"
            );
            assert!(diff.contains(" user: shop\n") && !diff.contains("ENC["), "{diff}");
            what_does_not_decrypt_is_shown(shell);
        }
        "A colleague joins" => joins(shell, runs),
        "A colleague leaves" => leaves(shell, runs),
        "Take over files of sops" => take_over(shell, runs),
        "Who can read this?" => {
            let seen = all_go_well(runs);
            let recipient = shell.run("cat .sops.yaml").ok();
            let recipient = recipient.split("- age1").nth(1).expect("one").lines().next();
            assert!(seen[0].contains(recipient.expect("a line")), "{}", seen[0]);
            assert!(seen[1].contains("sealed"), "{}", seen[1]);
        }
        "A spare key" => {
            let seen = runs.into_iter().map(|run| (run.code, run.stderr));
            let seen: Vec<_> = seen.collect();
            assert!(seen.iter().all(|(code, _)| *code == Some(0)), "{seen:?}");
            assert_eq!(alone(shell, "../spare.txt").ok(), HORSE);
            assert_eq!(shell.run("grep -c -- '- age1' .sops.yaml").stdout, "3\n", "each once");
        }
        "In CI" => {
            all_go_well(runs);
            shell
                .run("git commit --quiet -am spare && git update-ref refs/remotes/origin/main @")
                .ok();
            shell.run("waxseal verify --since origin/main db.yaml").ok();
            shell.run("sed -i '/^port:/d' db.yaml").ok();
            assert_eq!(shell.run("waxseal verify db.yaml").code, Some(51));
        }
        "TOML" => {
            let seen = all_go_well(runs);
            let line = "[server]\nport = 8080\ntoken = \"tok_4f9a\"\nsince = 2024-02-29\n";
            assert_eq!(seen[2], line);
            assert!(!shell.read("app.toml").contains("tok_4f9a"));
        }
        unknown => panic!("no test knows the block below {unknown:?}"),
    }
}

const HORSE: &str = "# reads only\nuser: shop\npassword: \"correct horse\"\nport: 5432\n";

/// `decrypt` by somebody who has this identity and no other.
fn alone(shell: &mut Shell, identity: &str) -> Run {
    shell.run(&format!("HOME=/nowhere SOPS_AGE_KEY_FILE={identity} waxseal decrypt db.yaml"))
}

fn the_cycle(shell: &mut Shell, seen: Vec<String>) {
    let diff = seen.iter().find(|text| text.starts_with("diff --git")).expect("a diff");
    let changed = |sign: char| {
        let lines = diff.lines().filter(|line| line.starts_with(sign));
        let lines = lines.filter(|line| !line.starts_with(&sign.to_string().repeat(3)));
        lines.filter_map(|line| line[1..].trim().split(':').next()).collect::<BTreeSet<_>>()
    };
    let expect = BTreeSet::from(["lastmodified", "mac", "password"]);
    assert_eq!((changed('-'), changed('+')), (expect.clone(), expect), "{diff}");
    assert_eq!(diff.lines().filter(|line| line.starts_with(['-', '+'])).count(), 8, "{diff}");
    assert_eq!(seen.last().map(|text| text.trim_end()), Some("correct horse"));
    assert_eq!(shell.run("waxseal decrypt db.yaml").ok(), HORSE);
    for (key, sealed) in [("user: ", true), ("password: \"", true), ("#", true), ("sops:", false)] {
        let file = shell.read("db.yaml");
        let line = file.lines().find(|line| line.starts_with(key)).expect("it stands there");
        assert_eq!(line.contains("ENC["), sealed, "{line}");
    }
}

/// A file in plaintext, one with the marks of a merge, one for somebody else: git goes on.
fn what_does_not_decrypt_is_shown(shell: &mut Shell) {
    assert!(shell.run("HOME=/nowhere git show").ok().contains("+password: \"ENC["));
    shell.run("printf '<<<<<<< ours\\n' >> db.yaml").ok();
    assert!(shell.run("git diff").ok().contains("+<<<<<<< ours\n"));
    shell.run("git checkout --quiet db.yaml").ok();
    shell.run("echo 'name: plain' > plain.yaml && git add plain.yaml").ok();
    shell.run("echo '*.yaml diff=waxseal' >> .gitattributes").ok();
    assert!(shell.run("git diff --cached").ok().contains("+name: plain\n"));
    assert!(shell.run("git show").ok().contains("+password: \"correct horse\"\n"));
    shell.run("git rm --quiet --force plain.yaml && git config --unset diff.waxseal.textconv").ok();
}

fn joins(shell: &mut Shell, runs: Vec<Run>) {
    let codes: Vec<_> = runs.iter().map(|run| run.code).collect();
    assert_eq!(codes, [Some(0); 4], "{}", runs[2].stderr);
    assert_eq!(runs[3].stdout, HORSE);
    assert_eq!(alone(shell, "../bob.txt").ok(), HORSE);
    let values = "git diff --unified=0 db.yaml | grep -c '^[-+][a-z#]'";
    assert_eq!(shell.run(values).stdout, "0\n", "no value is sealed again");
    shell.run("cp db.yaml ../with-bob.yaml").ok();
}

fn leaves(shell: &mut Shell, runs: Vec<Run>) {
    let codes: Vec<_> = runs.iter().map(|run| run.code).collect();
    assert_eq!(codes, [Some(0); 3], "{}", runs[2].stderr);
    alone(shell, "../bob.txt").fails(128);
    assert_eq!(shell.run("waxseal decrypt db.yaml").ok(), HORSE);
    // What the README warns of: old versions stay readable.
    let old = "HOME=/nowhere SOPS_AGE_KEY_FILE=../bob.txt waxseal decrypt ../with-bob.yaml";
    assert_eq!(shell.run(old).ok(), HORSE);
    shell.run("waxseal verify db.yaml").ok();
}

fn take_over(shell: &mut Shell, runs: Vec<Run>) {
    let codes: Vec<_> = runs.iter().map(|run| run.code).collect();
    let expect = [Some(55), Some(0), Some(0), Some(0), Some(0)];
    assert_eq!(codes, expect, "{:?}", runs.iter().map(|run| &run.stderr).collect::<Vec<_>>());
    let plain = tracked("testdata/library/config.plain.yaml");
    let plain = fs::read_to_string(plain).expect("readable");
    assert_eq!(runs[1].stdout, plain);
    assert!(runs[2].stdout.contains("age19e4aly"), "{}", runs[2].stdout);
    assert_eq!(runs[4].stdout, "secrets.yaml: sealed\n");
    assert_eq!(shell.run("waxseal decrypt secrets.yaml").ok(), plain);
    shell.sandbox.vars.retain(|(name, _)| name != "SOPS_AGE_KEY_FILE");
}

/// A page with a block to type needs a test that types it.
#[test]
fn no_other_page_has_a_block_to_type() {
    let pages = fs::read_dir(tracked("docs")).expect("a folder");
    let pages = pages.map(|entry| entry.expect("an entry").path());
    // Those are typed in `vault_docs`.
    let known = ["docs/vault.md", "docs/kv.md", "docs/fleet.md"];
    let pages = pages.filter(|page| !known.iter().any(|known| page.ends_with(known)));
    for page in pages.chain([tracked("CONTRIBUTING.md"), tracked("testdata/README.md")]) {
        assert_eq!(blocks(&text(&page)), [], "{}", page.display());
    }
}
