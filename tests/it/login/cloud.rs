//! A run on a machine of a cloud: the cloud is a script, and so is the one answer that no server here gives.

use serde_json::json;

use super::{Answer, Sandbox, Script, Site};
use crate::openbao::Listener;

#[test]
fn a_machine_of_a_cloud_logs_in_by_itself_and_asks_its_metadata_without_the_proxy() {
    let Some(site) = Site::new("approle") else { return };
    let policy = format!("path \"{}/*\" {{ capabilities = [\"update\"] }}", site.transit);
    let token = site.bao.token(&policy, json!({}));
    let (made, server) = (token.clone(), site.bao.address().to_owned());
    let front = Script::start(move |request| match request.path.as_str() {
        "/v1/auth/gcp/login" => {
            let auth = json!({ "client_token": made, "lease_duration": 600, "renewable": true });
            Answer::json(200, &json!({ "auth": auth }))
        }
        _ => Answer::from_server(&server, request),
    });
    let metadata = Script::start(|_| Answer::new(200, "ey.gce"));
    // Servers at this number need no proxy; a name would go over it.
    let proxy = Listener::start();
    let host = metadata.address().replace("http://127.0.0.1", "localhost");
    let sandbox = Sandbox::bare()
        .with("VAULT_ADDR", &front.address())
        .with("WAXSEAL_VAULT_AUTH", "gcp role=dev")
        .with("GCE_METADATA_HOST", &host)
        .with("HTTP_PROXY", &proxy.address())
        .with("http_proxy", &proxy.address())
        .with("NO_PROXY", "127.0.0.1");
    let uri = format!("{}/v1/{}/keys/a", front.address(), site.transit);
    sandbox.write(".sops.yaml", &format!("creation_rules:\n  - hc_vault_transit_uri: {uri}\n"));
    sandbox.write("a.yaml", "a: one\n");
    assert_eq!(sandbox.run(&["encrypt", "-i", "a.yaml"]).ok(), "");
    let requests = front.requests();
    assert_eq!(requests[0].json(), json!({ "role": "dev", "jwt": "ey.gce" }));
    assert_eq!(requests[0].header("x-vault-token"), None);
    assert_eq!(requests[1].header("x-vault-token"), Some(token.as_str()));
    assert_eq!(metadata.requests().len(), 1);
    assert_eq!(metadata.requests()[0].header("x-vault-request"), None);
    assert_eq!(proxy.connections(), 0);
    assert!(!site.knows(&token), "it was taken back");

    // Elsewhere nobody answers, and the server is not asked at all.
    drop(metadata);
    let before = front.requests().len();
    let said = sandbox.run(&["decrypt", "a.yaml"]).fails(128);
    assert!(said.contains("the metadata service of Google"), "{said}");
    assert_eq!(front.requests().len(), before);
}
