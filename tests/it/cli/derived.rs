//! Derived transit keys whose context a file has lost, as it does whenever sops writes it.

use serde_json::json;

use super::Sandbox;
use super::peers::sops;
use crate::openbao::Bao;

#[test]
fn a_context_that_sops_dropped_is_that_of_the_rule() {
    let Some(bao) = Bao::start() else { return };
    let mount = bao.mount();
    bao.create_key(&mount, "d", json!({ "derived": true }));
    let at_server = |sandbox: Sandbox| {
        let sandbox = sandbox.with("VAULT_ADDR", bao.address()).with("VAULT_TOKEN", bao.root());
        sandbox.with("VAULT_MAX_RETRIES", "0")
    };
    let author = at_server(Sandbox::new());
    let rule = format!(
        "{}      hc_vault_transit_uri: {}/v1/{mount}/keys/d\n      hc_vault_context: payroll\n",
        author.read(".sops.yaml"),
        bao.address()
    );
    author.write(".sops.yaml", &rule);
    author.sealed("a.yaml", "a: one\n");
    assert!(author.read("a.yaml").contains("context: payroll\n"));
    // It opens the file by the other key.
    sops(&author, &["set", "a.yaml", "[\"a\"]", "\"two\""]).expect("sops is brought").ok();
    assert!(!author.read("a.yaml").contains("context: payroll\n"));

    // Somebody who has the transit key alone.
    let reader = at_server(Sandbox::bare());
    reader.write("a.yaml", &author.read("a.yaml"));
    let said = reader.run(&["decrypt", "a.yaml"]).fails(128);
    assert!(said.contains("its rule needs `hc_vault_context`"), "{said}");
    reader.write(".sops.yaml", &rule.replace("payroll", "other"));
    reader.run(&["decrypt", "a.yaml"]).fails(128);
    reader.write(".sops.yaml", &rule);
    assert_eq!(reader.run(&["decrypt", "a.yaml"]).ok(), "a: two\n");
    let said = reader.run(&["verify", "--keys", "a.yaml"]).stdout;
    assert!(said.contains("/keys/d: opens"), "{said}");
    reader.run(&["set", "a.yaml", "[\"a\"]", "\"three\""]).ok();
    assert_eq!(reader.run(&["decrypt", "a.yaml"]).ok(), "a: three\n");
    // A new data key is wrapped with it, and the file has it again.
    reader.run(&["rotate", "-i", "a.yaml"]).ok();
    assert!(reader.read("a.yaml").contains("context: payroll\n"));
    std::fs::remove_file(reader.path(".sops.yaml")).expect("there");
    assert_eq!(reader.run(&["decrypt", "a.yaml"]).ok(), "a: three\n");
}
