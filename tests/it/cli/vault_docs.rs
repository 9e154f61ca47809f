//! The pages about servers and their section in the README, typed as written against a fresh server.

use std::os::unix::fs::PermissionsExt;

use super::readme::{Shell, blocks, tracked};
use super::{Run, text};
use crate::openbao::Own;

/// As the pages call the server.
const EXAMPLE: &str = "https://vault.example:8200";

/// A shell with the server's own program and a token that may set it up.
fn shell(own: &Own) -> Shell {
    let peers = std::env::var("WAXSEAL_PEERS").expect("the server comes from there");
    let mut shell = Shell::new();
    let path = shell.sandbox.vars.iter().rfind(|(name, _)| name == "PATH").expect("a path");
    let path = format!("{}:{peers}", path.1);
    for (name, value) in [("PATH", path.as_str()), ("VAULT_TOKEN", own.root())] {
        shell.sandbox.vars.push((name.to_owned(), value.to_owned()));
    }
    shell
}

/// What the lines gave, each of which went well.
fn typed(shell: &mut Shell, own: &Own, lines: &[String]) -> Vec<String> {
    let mut seen = Vec::new();
    for line in lines {
        let run: Run = shell.run(&line.replace(EXAMPLE, own.address()));
        assert_eq!(run.code, Some(0), "{line}\n{}{}", run.stdout, run.stderr);
        assert!(!run.stdout.contains(own.root()) && !run.stderr.contains(own.root()));
        seen.push(run.stdout);
    }
    seen
}

#[test]
fn the_section_of_the_readme_does_what_it_says() {
    let Some(own) = Own::start() else { return };
    let mut shell = shell(&own);
    let sections = blocks(&text(&tracked("README.md")));
    let section = sections.iter().find(|(heading, _)| heading == "With Vault or OpenBao");
    let seen = typed(&mut shell, &own, &section.expect("a section with blocks").1);
    assert_eq!(seen.last().map(String::as_str), Some("password: hunter2\n"));
    assert!(shell.read("prod.yaml").contains("hc_vault:"));
}

#[test]
fn the_page_does_what_it_says() {
    let Some(own) = Own::start() else { return };
    let mut shell = shell(&own);
    for (heading, lines) in blocks(&text(&tracked("docs/vault.md"))) {
        let seen = typed(&mut shell, &own, &lines);
        match heading.as_str() {
            "First steps" => {
                assert!(seen[1].contains("\nbao secrets enable -path=transit transit\n"));
                assert_eq!(seen[2].lines().filter(|line| line.ends_with(": made")).count(), 5);
                assert_eq!(seen.last().map(String::as_str), Some("password: hunter2\n"));
            }
            "What a token must be allowed" => {
                assert_eq!(seen.last().map(String::as_str), Some("password: hunter3\n"));
                // And no more than that.
                let writer = "VAULT_TOKEN=$(cat ../writer.token) waxseal decrypt new.yaml";
                shell.run(writer).fails(128);
                let reader = "VAULT_TOKEN=$(cat ../reader.token) waxseal rotate -i new.yaml";
                assert_ne!(shell.run(reader).code, Some(0));
            }
            "Another key" => {
                let file = shell.read("prod.yaml");
                let names = |key: &str| file.contains(&format!("key_name: {key}\n"));
                assert!(names("next") && !names("app"), "{file}");
                // The rule says the same.
                assert_eq!(shell.run("waxseal updatekeys --yes prod.yaml").code, Some(0));
                assert_eq!(shell.read("prod.yaml"), file);
                assert_eq!(shell.run("waxseal decrypt prod.yaml").ok(), "password: hunter2\n");
            }
            "Namespaces" => {
                assert!(shell.read("team.yaml").contains("/v1/team/transit/keys/app\n"));
                assert!(shell.read("payroll.yaml").contains("engine_path: team/transit\n"));
                let alone = "unset VAULT_NAMESPACE; waxseal decrypt payroll.yaml";
                assert_eq!(shell.run(alone).ok(), "iban: DE02\n");
            }
            unknown => panic!("no test knows the block below {unknown:?}"),
        }
    }
}

/// What a page shows in a block of this kind.
fn shown(page: &str, kind: &str) -> String {
    let page = std::fs::read_to_string(text(&tracked(page))).expect("a page");
    let block = page.split_once(&format!("```{kind}\n")).expect("a block").1;
    block.split_once("```").expect("its end").0.to_owned()
}

/// A folder with a rule for the server and a sealed file of this name.
fn begin(shell: &mut Shell, own: &Own, file: &str) {
    let lines = [
        format!("export VAULT_ADDR={}", own.address()),
        "waxseal init --vault $VAULT_ADDR --apply".to_owned(),
        format!("mkdir -p secrets; echo 'password: hunter2' > {file}"),
        format!("waxseal encrypt -i {file}"),
    ];
    typed(shell, own, &lines);
}

#[test]
fn the_page_about_key_value_engines_does_what_it_says() {
    let Some(own) = Own::start() else { return };
    let mut shell = shell(&own);
    begin(&mut shell, &own, "secrets/db.yaml");
    let rules = shell.read(".sops.yaml") + &shown("docs/kv.md", "yaml");
    shell.sandbox.write(".sops.yaml", &rules);
    let sections = blocks(&text(&tracked("docs/kv.md")));
    let [(_, lines)] = sections.as_slice() else { panic!("one block") };
    let seen = typed(&mut shell, &own, lines);
    assert_eq!(seen[2], "hunter2");
    assert_eq!(seen.last().map(String::as_str), Some("password: hunter3\n"));
}

#[test]
fn the_page_about_many_files_does_what_it_says() {
    let (Some(old), Some(new)) = (Own::start(), Own::start()) else { return };
    let mut shell = shell(&old);
    begin(&mut shell, &old, "secrets/db.yaml");
    let host = |own: &Own| own.address().split_once("://").expect("a scheme").1.to_owned();
    let here = |text: &str| {
        let text = text.replace("https://old.example:8200", old.address());
        let text = text.replace("https://new.example:8200", new.address());
        text.replace("old.example:8200", &host(&old)).replace("new.example:8200", &host(&new))
    };
    for (heading, lines) in blocks(&text(&tracked("docs/fleet.md"))) {
        let lines: Vec<String> = lines.iter().map(|line| here(line)).collect();
        match heading.as_str() {
            "After a rotation of the transit key" => {
                typed(&mut shell, &old, &lines);
                assert!(shell.read("secrets/db.yaml").contains("vault:v2:"));
            }
            "Two servers with a token each" => {
                // The helper and its place, as the page has them.
                let home = shell.sandbox.home().to_owned();
                let script = here(&shown("docs/fleet.md", "sh"));
                assert_eq!(script.lines().count(), 5);
                let helper = home.join("vault-tokens");
                std::fs::write(&helper, script).expect("written");
                let mode = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(&helper, mode).expect("executable");
                let config = shown("docs/fleet.md", "hcl");
                let config = config.replace("/usr/local/bin/vault-tokens", &text(&helper));
                std::fs::write(home.join(".vault"), config).expect("written");
                for (name, own) in [(".token-of-old", &old), (".token-of-new", &new)] {
                    std::fs::write(home.join(name), own.root()).expect("written");
                }
                shell.sandbox.vars.retain(|(name, _)| name != "VAULT_TOKEN");
                typed(&mut shell, &old, &lines);
                let file = shell.read("secrets/db.yaml");
                assert!(file.contains(new.address()) && !file.contains(old.address()), "{file}");
                let alone = "unset SOPS_HC_VAULT_ALLOWLIST; export VAULT_ADDR=";
                let alone = format!("{alone}{}; waxseal decrypt secrets/db.yaml", new.address());
                assert_eq!(shell.run(&alone).ok(), "password: hunter2\n");
            }
            unknown => panic!("no test knows the block below {unknown:?}"),
        }
    }
}
