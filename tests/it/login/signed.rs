//! Signed tokens: of any issuer, of CI services, of Kubernetes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Answer, Script, Site};

/// An issuer: its key is one of the server's transit engine, which signs as JOSE wants it.
struct Issuer<'a>(&'a Site);

impl<'a> Issuer<'a> {
    fn new(site: &'a Site) -> Self {
        site.bao.create_key(&site.transit, "issuer", json!({ "type": "ecdsa-p256" }));
        let path = format!("{}/keys/issuer", site.transit);
        let key = site.bao.ask("GET", &path, None);
        let config = json!({
            "jwt_validation_pubkeys": [key["data"]["keys"]["1"]["public_key"]],
            "jwt_supported_algs": ["ES256"],
        });
        site.set("config", config);
        let role = json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["waxseal"],
            "bound_claims": { "repository": "team/app" }, "token_policies": site.policy,
        });
        site.set("role/ci", role);
        Self(site)
    }

    fn sign(&self, audience: &str) -> String {
        let expires = super::now() + 600;
        let claims = json!({
            "sub": "job", "aud": audience, "exp": expires, "iat": expires - 660,
            "repository": "team/app",
        });
        let head = json!({ "alg": "ES256", "typ": "JWT" });
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let text = format!("{}.{}", part(&head), part(&claims));
        let body = json!({ "input": STANDARD.encode(&text), "marshaling_algorithm": "jws" });
        let path = format!("{}/sign/issuer/sha2-256", self.0.transit);
        let signed = self.0.bao.ask("POST", &path, Some(body));
        let signature = signed["data"]["signature"].as_str().expect("a text");
        format!("{text}.{}", signature.rsplit(':').next().expect("a last part"))
    }
}

#[test]
fn a_signed_token_logs_in_wherever_it_is() {
    let Some(site) = Site::new("jwt") else { return };
    let token = Issuer::new(&site).sign("waxseal");
    for place in ["env:CI_TOKEN", "file:token", "'command:cat token'"] {
        let sandbox = site.user(&format!("jwt role=ci jwt={place}")).with("CI_TOKEN", &token);
        sandbox.write("token", &token);
        site.works(&sandbox, "POST auth/M/login");
    }
}

#[test]
fn a_token_for_somebody_else_is_refused_with_the_reason() {
    let Some(site) = Site::new("jwt") else { return };
    let token = Issuer::new(&site).sign("others");
    let sandbox = site.user("jwt role=ci jwt=env:CI_TOKEN").with("CI_TOKEN", &token);
    site.refuses(&sandbox, "POST auth/M/login", &token, "audience");
}

#[test]
fn a_job_of_github_actions_gets_its_token_with_its_own_bearer() {
    let Some(site) = Site::new("jwt") else { return };
    let token = Issuer::new(&site).sign("waxseal");
    let github = Script::start({
        let token = token.clone();
        move |request| match request.header("authorization") {
            Some("bearer hunter2") => Answer::json(200, &json!({ "value": token })),
            _ => Answer::json(401, &json!({ "message": "no" })),
        }
    });
    let job = |bearer: &str| {
        site.user("jwt role=ci jwt=github-actions:waxseal")
            .with("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/token?v=2", github.address()))
            .with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", bearer)
    };
    site.works(&job("hunter2"), "POST auth/M/login");
    let asked = &github.requests()[0];
    assert_eq!(asked.path, "/token?v=2&audience=waxseal");
    for name in ["x-vault-token", "x-vault-namespace", "x-vault-request"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    // Nobody is asked to log in without one.
    let from = site.server.requests().len();
    let said = job("wrong-bearer").run(&["encrypt", "-i", "a.yaml"]).fails(1);
    assert!(said.contains("GitHub") && !said.contains("wrong-bearer"), "{said}");
    let sandbox = site.user("jwt role=ci jwt=github-actions:waxseal");
    let said = super::flat(&sandbox.run(&["encrypt", "-i", "a.yaml"]).fails(1));
    assert!(said.contains("id-token: write"), "{said}");
    assert_eq!(site.asked(from), Vec::<String>::new());
}

/// The token of a pod, which only the cluster can check.
pub(super) fn service_account(id: &str) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let head = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["vault"], "exp": super::now() + 600,
        "iat": super::now() - 60, "nbf": super::now() - 60,
        "sub": "system:serviceaccount:prod:app", "jti": id,
        "kubernetes.io": { "namespace": "prod",
            "serviceaccount": { "name": "app", "uid": "uid-1" } },
    });
    format!("{}.{}.{}", part(&head), part(&claims), URL_SAFE_NO_PAD.encode([7; 256]))
}

/// A cluster that knows the tokens of `app`, and a role for those who have one.
pub(super) fn cluster(site: &Site) -> Script {
    let cluster = Script::start(|request| {
        let asked = request.json();
        let known = id_of(&asked) == "good";
        let status = json!({
            "authenticated": known,
            "user": { "username": "system:serviceaccount:prod:app", "uid": "uid-1" },
            "audiences": asked["spec"]["audiences"],
        });
        let kind = "TokenReview";
        let version = "authentication.k8s.io/v1";
        let body = json!({ "kind": kind, "apiVersion": version, "status": status });
        Answer::json(201, &body)
    });
    // It speaks no TLS, but its authority must be named.
    let pki = format!("pki-{}", site.auth);
    site.bao.ask("POST", &format!("sys/mounts/{pki}"), Some(json!({ "type": "pki" })));
    let authority = json!({ "common_name": "cluster", "key_type": "ec" });
    let authority = site.bao.ask("POST", &super::authority(&pki), Some(authority));
    let config = json!({
        "kubernetes_ca_cert": authority["data"]["certificate"],
        "kubernetes_host": cluster.address(), "token_reviewer_jwt": service_account("reviewer"),
        "disable_local_ca_jwt": true, "disable_iss_validation": true,
    });
    site.set("config", config);
    let role = json!({
        "bound_service_account_names": "app", "bound_service_account_namespaces": "prod",
        "audience": "vault", "token_policies": site.policy,
    });
    site.set("role/app", role);
    cluster
}

#[test]
fn a_pod_logs_in_with_the_token_of_its_service_account() {
    let Some(site) = Site::new("kubernetes") else { return };
    let cluster = cluster(&site);
    let sandbox = site.user("kubernetes role=app jwt=file:token");
    sandbox.write("token", &service_account("good"));
    site.works(&sandbox, "POST auth/M/login");
    // The cluster has the last word.
    let forged = service_account("forged");
    sandbox.write("token", &forged);
    let cause = "permission denied (403): the cluster may refuse the pod's token, or the server not reach \
                 the cluster; is a method mounted at";
    site.refuses(&sandbox, "POST auth/M/login", &forged, cause);
    assert!(cluster.requests().iter().all(|it| it.path.ends_with("/v1/tokenreviews")));
    // Nobody is there.
    let path = format!("auth/{}/config", site.auth);
    let mut config = site.bao.ask("GET", &path, None)["data"].take();
    config["kubernetes_host"] = "http://127.0.0.1:9".into();
    config["token_reviewer_jwt"] = service_account("reviewer").into();
    site.set("config", config);
    let good = service_account("good");
    sandbox.write("token", &good);
    site.refuses(&sandbox, "POST auth/M/login", &good, cause);
}

/// Which of the tokens of a pod the cluster is asked about.
fn id_of(asked: &Value) -> String {
    let token = asked["spec"]["token"].as_str().unwrap_or_default();
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    claims["jti"].as_str().unwrap_or_default().to_owned()
}
