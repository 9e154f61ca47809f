//! Okta: a password, and what the user does on a phone meanwhile (Vault API: `auth/okta/login/NAME`).
//!
//! Invariant: the login is one request, however long its answer takes; what asks for the number to choose
//! carries no credential.

use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::super::escape::escaped;
use super::{Desk, LoginError, PATIENCE, Person, Session, body, nonce};
use crate::secret::SecretText;

/// Somebody of an organisation.
pub struct Okta {
    /// As Okta knows it.
    pub username: String,
    /// The password.
    pub password: SecretText,
    /// A passcode, in the place of the push.
    pub totp: Option<SecretText>,
    /// Whose passcode or push it is, if there is more than one.
    pub provider: Option<OktaProvider>,
}

/// Who makes passcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OktaProvider {
    /// Okta Verify.
    Okta,
    /// Google Authenticator.
    Google,
}

impl OktaProvider {
    fn name(self) -> &'static str {
        match self {
            Self::Okta => "OKTA",
            Self::Google => "GOOGLE",
        }
    }
}

impl Okta {
    /// Logs in. The answer comes when the user has agreed on the phone; a number to choose there is told.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>, person: &dyn Person) -> Result<Session, LoginError> {
        if self.username.is_empty() {
            return Err(LoginError::Setting("the name of the user is empty".to_owned()));
        }
        if self.password.expose_secret().is_empty() {
            return Err(LoginError::Setting("the password is empty".to_owned()));
        }
        let path = format!("login/{}", escaped(&self.username));
        let mut fields = vec![("password", self.password.expose_secret())];
        if let Some(provider) = self.provider {
            fields.push(("provider", provider.name()));
        }
        let answer = if let Some(totp) = &self.totp {
            fields.push(("totp", totp.expose_secret()));
            desk.post(&path, &body(&fields), &[])?
        } else {
            let nonce = nonce()?;
            fields.push(("nonce", &nonce));
            pushed(desk, person, &path, &body(&fields), &nonce)?
        };
        Session::read(desk, answer)
    }
}

/// Sends the login, and until it is answered asks each second for the number to choose.
fn pushed(
    desk: &Desk<'_>,
    person: &dyn Person,
    path: &str,
    body: &[u8],
    nonce: &str,
) -> Result<Value, LoginError> {
    let (answered, answer) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Nobody listens any more only if the other thread panicked.
            let _ = answered.send(desk.post_within(path, body, &[], PATIENCE));
        });
        let mut shown = false;
        loop {
            match answer.try_recv() {
                Ok(answer) => return answer,
                Err(TryRecvError::Empty) => desk.client().pause(Duration::from_secs(1)),
                Err(TryRecvError::Disconnected) => {
                    return Err(LoginError::Person("the login was broken off".to_owned()));
                }
            }
            if shown {
                continue;
            }
            // What fails here is said by the answer to the login.
            let number = desk.get(&format!("verify/{nonce}")).ok();
            let number = number.as_ref().and_then(|it| it["data"]["correct_answer"].as_u64());
            if let Some(number) = number {
                person.tell(&format!("choose {number} in Okta Verify"));
                shown = true;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use super::super::fake::{Fake, Listening, MADE, REFUSED, told};
    use super::{Okta, OktaProvider};
    use crate::secret::SecretText;

    fn okta(totp: Option<&str>, provider: Option<OktaProvider>) -> Okta {
        let text = |text: &str| SecretText::new(text.to_owned());
        let username = "ada@vault.example".to_owned();
        Okta { username, password: text("hunter2"), totp: totp.map(text), provider }
    }

    const LOGIN: &str = "POST https://vault.example/v1/auth/okta/login/ada%40vault.example\n\n";

    #[test]
    fn a_passcode_goes_with_the_password() {
        for (answer, expected) in [(MADE, true), (REFUSED, false)] {
            let fake = Fake::new(move |_| answer.into());
            let person = Listening::default();
            let okta = okta(Some("123456"), Some(OktaProvider::Google));
            let session = told(fake.desk("okta", |desk| okta.login(desk, &person)));
            assert_eq!(session.is_ok(), expected);
            assert!(!session.is_err_and(|it| it.contains("hunter2") || it.contains("123456")));
            let body = r#"{"password":"hunter2","provider":"GOOGLE","totp":"123456"}"#;
            assert_eq!(fake.seen(), [format!("{LOGIN}{body}")]);
        }
    }

    #[test]
    fn the_number_is_told_while_the_login_waits_for_the_phone() {
        // The phone agrees when the number has been asked for three times.
        let asked = Arc::new((Mutex::new(0), Condvar::new()));
        let fake = Fake::new(move |request| {
            let (count, changed) = &*asked;
            let mut count = count.lock().expect("not poisoned");
            if request.starts_with("POST") {
                drop(changed.wait_while(count, |count| *count < 3).expect("not poisoned"));
                return MADE.into();
            }
            *count += 1;
            changed.notify_all();
            match *count {
                1 => (404, r#"{"errors":[]}"#).into(),
                2 => (200, r#"{"data":{"correct_answer":null}}"#).into(),
                _ => (200, r#"{"data":{"correct_answer":68}}"#).into(),
            }
        });
        let person = Listening::default();
        let session = fake.desk("okta", |desk| okta(None, None).login(desk, &person));
        assert_eq!(told(session), Ok("s.made"));
        assert_eq!(person.heard(), ["choose 68 in Okta Verify"]);
        let seen = fake.seen();
        let logins: Vec<_> = seen.iter().filter_map(|it| it.strip_prefix(LOGIN)).collect();
        let [login] = logins.as_slice() else { panic!("{seen:?}") };
        let nonce = login
            .strip_prefix("{\"password\":\"hunter2\",\"nonce\":\"")
            .and_then(|rest| rest.strip_suffix("\"}"))
            .expect("the fields in this order");
        assert_eq!(nonce.len(), 20);
        let question = format!("GET https://vault.example/v1/auth/okta/verify/{nonce}");
        assert_eq!(seen.iter().filter(|it| **it == question).count(), 3, "{seen:?}");
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn a_refused_push_is_one_login() {
        let fake = Fake::new(|request| match request.starts_with("POST") {
            true => REFUSED.into(),
            false => (404, r#"{"errors":[]}"#).into(),
        });
        let person = Listening::default();
        let session = told(fake.desk("okta", |desk| okta(None, None).login(desk, &person)));
        assert!(session.expect_err("refused").starts_with("permission denied (403)"));
        assert_eq!(fake.seen().iter().filter(|it| it.starts_with("POST")).count(), 1);
        assert_eq!(person.heard(), [""; 0]);
    }
}
