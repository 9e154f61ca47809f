//! What many files fail by is told once, with every file that it concerns.

use super::Sandbox;

/// Every file is named in a line of its own, and the cause in one alone.
#[track_caller]
fn is_told_once(said: &str, cause: &str, names: &[String]) {
    assert_eq!(said.matches(cause).count(), 1, "{said}");
    for name in names {
        let line = format!("error: {name}: ");
        let lines = said.lines().filter(|it| it.starts_with(&line)).count();
        assert_eq!(lines, 1, "{name}: {said}");
    }
}

#[test]
fn who_has_no_identity_is_told_so_once() {
    let sandbox = Sandbox::new();
    let other = sandbox.run(&["keygen"]).ok();
    let other = other.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("one");
    let names: Vec<String> = (0..20).map(|index| format!("f{index}.yaml")).collect();
    for (index, name) in names.iter().enumerate() {
        sandbox.write(name, "a: 1\n");
        let recipient = if index % 2 == 0 { &sandbox.recipient } else { other };
        sandbox.run(&["encrypt", "-i", "--age", recipient, name]).ok();
    }
    sandbox.write("open.yaml", "a: 1\n");
    let words = ["decrypt", "--output-dir", "out", "open.yaml"].into_iter();
    let words: Vec<&str> = words.chain(names.iter().map(String::as_str)).collect();
    // Half of them are for somebody else, and that is told of him.
    let said = sandbox.run(&words).fails(1);
    assert!(said.contains("f3.yaml: cannot recover the data key: as for f1.yaml\n"), "{said}");
    is_told_once(&said, "looked for identities in:", &names[1..2]);
    assert!(said.ends_with("11 of 21 files failed\n"), "{said}");
    std::fs::remove_dir_all(sandbox.home().join(".config")).expect("removed");
    let said = sandbox.run(&words).fails(1);
    is_told_once(&said, "looked for identities in:", &names);
    is_told_once(&said, "hint: point SOPS_AGE_KEY_FILE", &names);
    assert!(said.contains("f1.yaml: cannot recover the data key: as for f0.yaml\n"), "{said}");
    assert!(said.contains("open.yaml: sops metadata not found"), "{said}");
    assert!(said.ends_with("21 of 21 files failed\n"), "{said}");
    // What a file alone has to say is said of it.
    let one = sandbox.run(&["decrypt", "f1.yaml"]).fails(128);
    assert!(one.contains("looked for identities in:") && !one.contains("as for"), "{one}");
}

#[cfg(feature = "vault")]
mod of_servers {
    use serde_json::json;

    use super::super::Sandbox;
    use super::is_told_once;
    use crate::openbao::Own;

    const FILES: usize = 100;

    /// Files of two keys, and a user of their server.
    struct Stage {
        own: Own,
        mount: String,
        sandbox: Sandbox,
        names: Vec<String>,
    }

    impl Stage {
        fn set() -> Option<Self> {
            let own = Own::start()?;
            let mount = own.mount();
            for key in ["a", "b", "c"] {
                own.create_key(&mount, key, json!({ "exportable": true }));
            }
            let sandbox = Sandbox::bare()
                .with("VAULT_ADDR", own.address())
                .with("VAULT_TOKEN", own.root())
                .with("VAULT_MAX_RETRIES", "0");
            let name = |index| format!("{}{index}.yaml", if index % 2 == 0 { "a" } else { "b" });
            let names: Vec<String> = (0..FILES).map(name).collect();
            let stage = Self { own, mount, sandbox, names };
            stage.rule("");
            stage.plain();
            Some(stage)
        }

        fn plain(&self) {
            for name in &self.names {
                self.sandbox.write(name, "a: one\n");
            }
        }

        /// Each file is for its own key, and for this one.
        fn rule(&self, more: &str) {
            let uri = |key: &str| format!("{}/v1/{}/keys/{key}", self.own.address(), self.mount);
            let more = if more.is_empty() { String::new() } else { format!(",{}", uri(more)) };
            let rule = |regex: &str, key| {
                format!("  - {{path_regex: {regex}, hc_vault_transit_uri: '{}{more}'}}\n", uri(key))
            };
            let rules = format!("creation_rules:\n{}{}", rule("^a", "a"), rule("'.'", "b"));
            self.sandbox.write(".sops.yaml", &rules);
        }

        /// All files, and one that fails by itself.
        fn fails(&self, words: &[&str], cause: &str) {
            let own = self.run(words, &["none.yaml"]);
            assert!(own.contains("error: none.yaml: "), "{words:?}: {own}");
            assert!(!own.contains("none.yaml: cannot"), "{words:?}: {own}");
            assert!(own.ends_with("101 of 101 files failed\n"), "{words:?}: {own}");
            is_told_once(&own, cause, &self.names);
            let short = own.lines().filter(|line| line.contains(": as for a0.yaml")).count();
            assert_eq!(short, FILES - 1, "{words:?}: {own}");
        }

        fn run(&self, words: &[&str], more: &[&str]) -> String {
            let names = self.names.iter().map(String::as_str);
            let words = words.iter().copied().chain(names).chain(more.iter().copied());
            self.sandbox.run(&words.collect::<Vec<_>>()).fails(1)
        }
    }

    #[test]
    fn a_server_that_is_sealed_or_away_is_told_once() {
        let Some(mut stage) = Stage::set() else { return };
        stage.own.seal();
        stage.fails(&["encrypt", "-i"], "Vault is sealed");
        stage.own.unseal();
        let names: Vec<&str> = stage.names.iter().map(String::as_str).collect();
        stage.sandbox.run(&[&["encrypt", "-i"][..], &names].concat()).ok();
        stage.rule("c");
        let commands: [&[&str]; 5] = [
            &["decrypt", "--output-dir", "out"],
            &["rotate", "-i"],
            &["updatekeys", "-y"],
            &["rewrap"],
            &["verify", "--keys"],
        ];
        stage.own.seal();
        for words in commands {
            stage.fails(words, "Vault is sealed");
        }
        stage.own.kill();
        for words in commands {
            stage.fails(words, "cannot connect");
        }
    }

    #[test]
    fn a_token_that_is_missing_or_refused_is_told_once_a_key() {
        let Some(stage) = Stage::set() else { return };
        let names: Vec<&str> = stage.names.iter().map(String::as_str).collect();
        stage.sandbox.run(&[&["encrypt", "-i"][..], &names].concat()).ok();
        let token = stage.own.token("path \"nothing\" { capabilities = [\"read\"] }", json!({}));
        for token in ["s.unknown", token.as_str(), ""] {
            let mut vars = stage.sandbox.vars.clone();
            vars.retain(|(name, value)| name != "VAULT_TOKEN" || value != stage.own.root());
            vars.retain(|(name, _)| name != "VAULT_TOKEN");
            vars.push(("VAULT_TOKEN".to_owned(), token.to_owned()));
            let user = Sandbox { vars, ..Sandbox::bare() };
            for name in std::fs::read_dir(stage.sandbox.path("")).expect("a folder") {
                let name = name.expect("one").file_name().into_string().expect("UTF-8");
                std::fs::copy(stage.sandbox.path(&name), user.path(&name)).expect("copied");
            }
            for words in [&["rotate", "-i"][..], &["verify"], &["rewrap"]] {
                let said = user.run(&[words, &names[..]].concat()).fails(1);
                let long = said.lines().filter(|line| line.contains("/keys/")).count();
                assert!((1..=2).contains(&long), "{token} {words:?}: {said}");
                assert_eq!(said.matches(": as for ").count(), FILES - long, "{words:?}: {said}");
                assert!(said.ends_with("100 of 100 files failed\n"), "{said}");
            }
        }
    }
}
