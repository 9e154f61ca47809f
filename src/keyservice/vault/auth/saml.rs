//! SAML, which Vault Enterprise has: the user logs in with a browser, the provider tells the server, and
//! the server is asked until it knows (Vault API: `auth/saml/sso_service_url`, `auth/saml/token`).
//!
//! Invariant: who asks for the token knows what only who began the login can know (`client_verifier`).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::oidc::is_page;
use super::{Desk, LoginError, PATIENCE, Person, Session, body, nonce};

/// Somebody with a browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saml {
    /// `None`: the mount's default role.
    pub role: Option<String>,
    /// Where the provider sends its answer: one of the mount's `acs_urls`; `None`: as the server is
    /// addressed here.
    pub acs_url: Option<String>,
    /// The page is told and not opened.
    pub skip_browser: bool,
}

impl Saml {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token, or the user has not logged in in two minutes.
    pub fn login(&self, desk: &Desk<'_>, person: &dyn Person) -> Result<Session, LoginError> {
        let verifier = nonce()? + &nonce()?;
        let challenge = BASE64_STANDARD.encode(Sha256::digest(verifier.as_bytes()));
        let mount = desk.mount();
        let namespace = mount.namespace.as_ref().map(|it| format!("{it}/")).unwrap_or_default();
        let own = mount.server.url(&format!("/v1/{namespace}auth/{}/callback", mount.path));
        let acs_url = self.acs_url.as_deref().unwrap_or(&own);
        let mut fields = vec![
            ("acs_url", acs_url),
            ("client_challenge", challenge.as_str()),
            ("client_type", "cli"),
        ];
        if let Some(role) = &self.role {
            fields.push(("role", role.as_str()));
        }
        let answer = desk.post("sso_service_url", &body(&fields), &[])?;
        let text = |name: &str| answer["data"][name].as_str().unwrap_or_default();
        let (page, id) = (text("sso_service_url"), text("token_poll_id"));
        if !is_page(page) || id.is_empty() {
            let problem = "the server names no page to log in at".to_owned();
            return Err(LoginError::Person(problem));
        }
        person.tell(&format!("log in at {page}"));
        if !self.skip_browser {
            person.browse(page);
        }
        let fields = body(&[("client_verifier", &verifier), ("token_poll_id", id)]);
        let end = desk.client().now() + PATIENCE;
        while desk.client().now() < end {
            desk.client().pause(Duration::from_secs(1));
            match desk.post("token", &fields, &[]) {
                // Nobody has logged in yet.
                Err(LoginError::Refused { refusal, .. }) if refusal.status == 401 => {}
                answer => return Session::read(desk, answer?),
            }
        }
        Err(LoginError::Person("nobody has logged in for two minutes".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::Value;
    use sha2::{Digest as _, Sha256};

    use super::super::fake::{Fake, Listening, MADE, REFUSED, Said, told};
    use super::{PATIENCE, Saml};

    const PAGE: &str = "https://idp.example/sso/saml?SAMLRequest=f%2B&RelayState=r";

    /// Logs in where the token is asked for with these answers, the last one again and again.
    fn login(answers: &'static [Said]) -> (Result<&'static str, String>, Vec<String>, Vec<String>) {
        let next = Mutex::new(0);
        let fake = Fake::new(move |request| {
            if request.contains("/sso_service_url") {
                let poll = "ee442348-159b";
                let data =
                    format!("{{\"sso_service_url\":\"{PAGE}\",\"token_poll_id\":\"{poll}\"}}");
                return (200, format!("{{\"data\":{data}}}")).into();
            }
            let mut next = next.lock().expect("not poisoned");
            let answer = answers[*next];
            *next = (*next + 1).min(answers.len() - 1);
            answer.into()
        });
        let person = Listening::default();
        let saml = Saml { role: Some("admin".to_owned()), acs_url: None, skip_browser: false };
        let session = told(fake.desk("saml", |desk| saml.login(desk, &person)));
        assert!(fake.waited() <= PATIENCE);
        (session, fake.seen(), person.heard())
    }

    const PENDING: Said = (401, r#"{"errors":["authorization pending"]}"#);

    #[test]
    fn the_server_is_asked_until_somebody_has_logged_in() {
        let (session, seen, heard) = login(&[PENDING, PENDING, MADE]);
        assert_eq!(session, Ok("s.made"));
        assert_eq!(heard, [format!("log in at {PAGE}"), format!("opens {PAGE}")]);
        let (head, asked) = seen[1].split_once("\n\n").expect("a body");
        assert_eq!(head, "POST https://vault.example/v1/auth/saml/token");
        let asked: Value = serde_json::from_str(asked).expect("JSON");
        let verifier = asked["client_verifier"].as_str().expect("a text");
        assert!(verifier.len() == 40 && asked["token_poll_id"] == "ee442348-159b");
        let challenge = BASE64_STANDARD.encode(Sha256::digest(verifier.as_bytes()));
        let start = format!(
            "POST https://vault.example/v1/auth/saml/sso_service_url\n\n\
             {{\"acs_url\":\"https://vault.example/v1/auth/saml/callback\",\
             \"client_challenge\":\"{challenge}\",\"client_type\":\"cli\",\"role\":\"admin\"}}"
        );
        assert_eq!(seen[0], start);
        assert_eq!(seen[1..], vec![seen[1].clone(); 3]);
    }

    #[test]
    fn a_refusal_ends_it_and_so_does_patience() {
        let (session, seen, _) = login(&[PENDING, REFUSED]);
        assert!(session.expect_err("refused").starts_with("permission denied (403)"));
        assert_eq!(seen.len(), 3);
        let (session, seen, _) = login(&[PENDING]);
        assert_eq!(session, Err("nobody has logged in for two minutes".to_owned()));
        assert_eq!(seen.len(), 121);
    }
}
