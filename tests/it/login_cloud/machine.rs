//! The services of a cloud, played by a script at an address that the cloud's own variables name.

use std::sync::Arc;

use waxseal::keyservice::vault::auth::{aws_keys, azure_token, gce_token};
use waxseal::os::cloud::ThisMachine;
use waxseal::os::env::Env;

use crate::openbao::{Answer, Request, Script};

/// Method, path, and of the headers those that are no client's own.
fn line(request: &Request) -> String {
    let usual = ["accept", "host", "user-agent", "content-length"];
    let own = request.headers.iter().filter(|(name, _)| !usual.contains(&name.as_str()));
    let own: Vec<_> = own.map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{} {}{}", request.method, request.path, own.concat())
}

fn lines(script: &Script) -> Vec<String> {
    script.requests().iter().map(line).collect()
}

fn machine(variables: &[(&'static str, &str)]) -> ThisMachine {
    ThisMachine::new(Arc::new(Env::of(variables)))
}

#[test]
fn an_instance_of_ec2_gets_its_credentials() {
    let script = Script::start(|request| match request.path.as_str() {
        "/latest/api/token" => Answer::new(200, "imds"),
        "/latest/meta-data/iam/security-credentials/" => Answer::new(200, "role"),
        "/latest/meta-data/iam/security-credentials/role" => {
            Answer::new(200, r#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t"}"#)
        }
        _ => Answer::new(404, ""),
    });
    let machine = machine(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &script.address())]);
    let keys = aws_keys::find(&machine, None, None).expect("found");
    assert_eq!((keys.id.as_str(), keys.secret.expose_secret()), ("ASIA", "s"));
    let roles = "GET /latest/meta-data/iam/security-credentials/";
    assert_eq!(
        lines(&script),
        [
            "PUT /latest/api/token x-aws-ec2-metadata-token-ttl-seconds=300".to_owned(),
            format!("{roles} x-aws-ec2-metadata-token=imds"),
            format!("{roles}role x-aws-ec2-metadata-token=imds"),
        ]
    );
}

#[test]
fn a_machine_of_google_gets_its_token_and_follows_nobody_elsewhere() {
    let script = Script::start(|_| Answer::new(200, "ey.gce"));
    let address = script.address();
    let host = address.trim_start_matches("http://");
    let token = gce_token(&machine(&[("GCE_METADATA_HOST", host)]), "dev", None).expect("a token");
    assert_eq!(token.expose_secret(), "ey.gce");
    let path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let query = "audience=http%3A%2F%2Fvault%2Fdev&format=full";
    assert_eq!(lines(&script), [format!("GET {path}?{query} metadata-flavor=Google")]);
    let there = script.address();
    let moved = Script::start(move |_| Answer::new(302, "").header("location", &there));
    let address = moved.address();
    let host = address.trim_start_matches("http://");
    let error = gce_token(&machine(&[("GCE_METADATA_HOST", host)]), "dev", None).map(|_| ());
    assert!(error.expect_err("no redirect").to_string().ends_with("answers with status 302"));
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn an_app_of_azure_gets_its_token() {
    let script = Script::start(|_| Answer::new(200, r#"{"access_token":"ey.az"}"#));
    let endpoint = format!("{}/msi/token", script.address());
    let machine = machine(&[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "h-1")]);
    let token = azure_token(&machine, "https://vault.example/", None).expect("a token");
    assert_eq!(token.expose_secret(), "ey.az");
    let query = "api-version=2019-08-01&resource=https%3A%2F%2Fvault.example%2F";
    assert_eq!(lines(&script), [format!("GET /msi/token?{query} x-identity-header=h-1")]);
}
