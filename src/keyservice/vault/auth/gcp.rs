//! Google Cloud: a token by which Google says who a machine or a service account is (Vault API:
//! `auth/gcp/login`).
//!
//! Invariant: a token is made for one role of Vault; one that an account signs is good for minutes.

use serde_json::json;

use super::super::escape::escaped;
use super::machine::{Machine, Question, Silence, Way, text_of};
use super::{Desk, LoginError, Session, SourceError, body};
use crate::secret::SecretText;

/// A machine or a service account.
pub struct Gcp {
    /// The role, for which the token was made.
    pub role: String,
    /// The token: [`gce_token`], [`iam_token`], or one from elsewhere.
    pub jwt: SecretText,
}

impl Gcp {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        let fields = [("role", self.role.as_str()), ("jwt", self.jwt.expose_secret().trim())];
        desk.log_in("login", &body(&fields), &[])
    }
}

/// Who this machine is (type `gce`), by its metadata service; `account` is one of its service accounts.
///
/// # Errors
///
/// If that service gives no token.
pub fn gce_token(
    machine: &dyn Machine,
    role: &str,
    account: Option<&str>,
) -> Result<SecretText, SourceError> {
    let audience = escaped(&audience(role));
    let path = format!("{}/identity?audience={audience}&format=full", account_path(account));
    metadata(machine, &path)
}

/// Who a service account is (type `iam`), signed by the service IAM Credentials, which this machine's own
/// account may ask to; `account` is an e-mail address, if it is not that one.
///
/// # Errors
///
/// If one of the services gives nothing.
pub fn iam_token(
    machine: &dyn Machine,
    role: &str,
    account: Option<&str>,
) -> Result<SecretText, SourceError> {
    let given = metadata(machine, &format!("{}/token", account_path(None)))?;
    let access = text_of(&given, &["access_token"])
        .ok_or("the metadata service of Google answers with no access token")?;
    let account = match account {
        Some(account) => account.to_owned(),
        None => {
            let email = metadata(machine, &format!("{}/email", account_path(None)))?;
            email.expose_secret().trim().to_owned()
        }
    };
    let claims = json!({
        "aud": audience(role),
        "sub": account,
        "exp": machine.time().unix().saturating_add(LIFE),
    });
    let body = json!({ "payload": claims.to_string() }).to_string();
    let bearer = SecretText::new(format!("Bearer {}", access.expose_secret()));
    let question = Question {
        way: Way::World,
        method: "POST",
        url: &format!("{IAM}/v1/projects/-/serviceAccounts/{}:signJwt", escaped(&account)),
        headers: &[("authorization", bearer)],
        body: Some(body.as_bytes()),
    };
    let answer = question.ask(machine).map_err(|silence| match silence {
        Silence::No(403, text) => {
            format!("{text}: this machine may not sign for {account} (roles/iam.serviceAccountTokenCreator)")
        }
        Silence::No(_, text) | Silence::Away(text) => text,
    })?;
    text_of(&answer, &["signedJwt"]).ok_or_else(|| format!("{IAM} answers with no token").into())
}

const IAM: &str = "https://iamcredentials.googleapis.com";

/// Seconds; the server takes a quarter of an hour, unless the role says less.
const LIFE: i64 = 600;

/// Whom a token is for; no address, in spite of its looks.
fn audience(role: &str) -> String {
    format!("http://vault/{role}")
}

fn account_path(account: Option<&str>) -> String {
    format!("instance/service-accounts/{}", escaped(account.unwrap_or("default")))
}

fn metadata(machine: &dyn Machine, path: &str) -> Result<SecretText, SourceError> {
    let host = machine.variable("GCE_METADATA_HOST");
    let host = host.unwrap_or_else(|| "169.254.169.254".to_owned());
    let question = Question {
        way: Way::Link,
        method: "GET",
        url: &format!("http://{host}/computeMetadata/v1/{path}"),
        headers: &[("metadata-flavor", SecretText::new("Google".to_owned()))],
        body: None,
    };
    let problem = |it: Silence| format!("the metadata service of Google: {}", it.text());
    Ok(question.ask(machine).map_err(problem)?)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, MADE, REFUSED, told};
    use super::{Gcp, gce_token, iam_token};
    use crate::secret::SecretText;

    #[test]
    fn a_token_is_sent_once_with_its_role() {
        for (answer, expected) in [(MADE, true), (REFUSED, false)] {
            let jwt = SecretText::new("ey.a.b\n".to_owned());
            let gcp = Gcp { role: "dev".to_owned(), jwt };
            let fake = Fake::new(move |_| answer.into());
            let session = told(fake.desk("gcp", |desk| gcp.login(desk)));
            assert_eq!(session.is_ok(), expected);
            assert!(!session.is_err_and(|error| error.contains("ey.")));
            let request = "POST https://vault.example/v1/auth/gcp/login\n\n\
                           {\"role\":\"dev\",\"jwt\":\"ey.a.b\"}";
            assert_eq!(fake.seen(), [request]);
        }
    }

    #[test]
    fn a_machine_asks_its_metadata_service_for_the_role() {
        let fake = Fake::new(|_| (200, "ey.gce").into());
        let token = gce_token(&*fake, "dev", None).expect("a token");
        assert_eq!(token.expose_secret(), "ey.gce");
        let path = "computeMetadata/v1/instance/service-accounts/default/identity\
                    ?audience=http%3A%2F%2Fvault%2Fdev&format=full\nmetadata-flavor: Google";
        assert_eq!(fake.seen(), [format!("link GET http://169.254.169.254/{path}")]);
        let fake = Fake::new(|_| (0, "").into()).with_variables(&[("GCE_METADATA_HOST", "meta:1")]);
        let error = gce_token(&*fake, "dev", None).expect_err("nobody").to_string();
        assert_eq!(error, "the metadata service of Google: http://meta:1: cannot connect: nobody");
        assert_eq!(fake.seen(), [format!("link GET http://meta:1/{path}")]);
    }

    #[test]
    fn a_service_account_is_signed_for_by_iam_credentials() {
        let answer = |request: &str| match request.lines().next().expect("a line") {
            line if line.ends_with("/token") => {
                (200, r#"{"access_token":"ya29","expires_in":3599}"#).into()
            }
            line if line.ends_with("/email") => (200, "app@p.iam.gserviceaccount.com").into(),
            _ => (200, r#"{"keyId":"k","signedJwt":"ey.iam"}"#).into(),
        };
        let fake = Fake::new(answer);
        let token = iam_token(&*fake, "dev", None).expect("a token");
        assert_eq!(token.expose_secret(), "ey.iam");
        let own =
            "link GET http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default";
        let flavor = "metadata-flavor: Google";
        // Ten minutes after the time of the tests.
        let payload = r#"{\"aud\":\"http://vault/dev\",\"exp\":1767323645,\"sub\":\"app@p.iam.gserviceaccount.com\"}"#;
        let signing = "world POST https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/\
                       app%40p.iam.gserviceaccount.com:signJwt\nauthorization: Bearer ya29";
        assert_eq!(
            fake.seen(),
            [
                format!("{own}/token\n{flavor}"),
                format!("{own}/email\n{flavor}"),
                format!("{signing}\n\n{{\"payload\":\"{payload}\"}}"),
            ]
        );
        let refused = Fake::new(move |request| match request.contains("signJwt") {
            true => (403, "{}").into(),
            false => answer(request),
        });
        let error = iam_token(&*refused, "dev", Some("ci@p")).expect_err("refused").to_string();
        assert!(error.contains("may not sign for ci@p") && !error.contains("ya29"), "{error}");
        assert_eq!(refused.seen().len(), 2);
    }
}
