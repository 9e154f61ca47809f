//! The page about servers and its section in the README, typed as written against a fresh server.

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
