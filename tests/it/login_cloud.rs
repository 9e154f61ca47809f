//! Logins with a browser and from a cloud: a real OpenBao beside a real OIDC provider, and services of this
//! machine that a script plays.

mod browser;
mod kerberos;
mod machine;
mod oidc;
mod provider;

use std::sync::Arc;

use waxseal::keyservice::vault::auth::{Desk, LoginError, Mount, Session};
use waxseal::keyservice::vault::settings::Tls;
use waxseal::keyservice::vault::{Address, Client, ClientOptions, TokenSource, Trust, VaultToken};
use waxseal::os::http::Http;

use crate::openbao::{Bao, Request};

/// Does something at a mount of a server, over the network.
fn at_desk<T>(server: &str, path: &str, work: impl FnOnce(&Desk<'_>) -> T) -> T {
    let server = Address::parse(server).expect("an address");
    let transport = Arc::new(Http::new(Tls::default(), None));
    let trust = Trust::new().with(server.clone());
    let client =
        Client::new(Box::new(transport), Box::new(NoTokens), trust, ClientOptions::default());
    let mount = Mount { server, namespace: None, path: path.to_owned() };
    work(&Desk::new(&client, &mount))
}

struct NoTokens;

impl TokenSource for NoTokens {
    fn token(&self, _: &Address) -> Result<Option<VaultToken>, String> {
        Ok(None)
    }

    fn renewed(&self, _: &Address, _: Option<&VaultToken>) -> Result<Option<VaultToken>, String> {
        Ok(None)
    }

    fn origin(&self, _: &Address) -> Option<String> {
        None
    }
}

/// The policies of the token that was made, as the server knows them.
#[track_caller]
fn policies(bao: &Bao, session: Result<Session, LoginError>) -> String {
    let session = session.unwrap_or_else(|error| panic!("{error}"));
    let token = session.token.expose_secret();
    let (status, answer) = bao.call("GET", "auth/token/lookup-self", Some(token), None);
    assert_eq!(status, 200, "{answer}");
    assert!(session.lease.is_some());
    answer["data"]["policies"].to_string()
}

/// The requests, one on a line: method and path without what is made up for each login.
fn lines(requests: &[Request]) -> Vec<String> {
    let line = |request: &Request| {
        assert_eq!(request.header("x-vault-token"), None, "a login carries no token");
        let path = request.path.split('?').next().unwrap_or_default();
        format!("{} {path}", request.method)
    };
    requests.iter().map(line).collect()
}
