//! Kerberos: a SPNEGO token for the server (Vault API: `auth/kerberos/login`, RFC 4559).
//!
//! Invariant: the token is made for one server by its name, and sent to it once.

use super::super::Address;
use super::{Desk, LoginError, Session};
use crate::secret::SecretText;

/// Somebody with a ticket.
pub struct Kerberos {
    /// The SPNEGO token for [`service_name`], in base64, as a program printed it.
    pub token: SecretText,
}

impl Kerberos {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        let token = self.token.expose_secret().trim();
        // Some programs print the header's value whole.
        let token = token.strip_prefix("Negotiate ").unwrap_or(token);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(plain) {
            let problem = "the command for Kerberos printed no token in base64".to_owned();
            return Err(LoginError::Setting(problem));
        }
        let header = SecretText::new(format!("Negotiate {token}"));
        let answer = desk.post("login", b"", &[("authorization", header)]);
        let answer = answer.map_err(|error| match error {
            LoginError::Refused { refusal, .. } if refusal.status == 401 => {
                let hint = "is the ticket for this server's name, and does the mount let the header \
                            through (passthrough_request_headers=Authorization)?";
                LoginError::Refused { refusal, hint: hint.to_owned() }
            }
            error => error,
        })?;
        Session::read(desk, answer)
    }
}

/// What the server is called among services: `HTTP/` and its host; `None`: a socket has no name.
#[must_use]
pub fn service_name(server: &Address) -> Option<String> {
    match server {
        Address::Http(url) => {
            let (_, rest) = url.split_once("://")?;
            let authority = rest.split('/').next()?;
            let port = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
            Some(format!("HTTP/{}", &authority[..port.unwrap_or(authority.len())]))
        }
        Address::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, MADE, REFUSED, told};
    use super::{Address, Kerberos, service_name};
    use crate::secret::SecretText;

    fn token(text: &str) -> Kerberos {
        Kerberos { token: SecretText::new(text.to_owned()) }
    }

    const REQUEST: &str = "POST https://vault.example/v1/auth/kerberos/login\n\
                           authorization: Negotiate YIIC+a/b==";

    #[test]
    fn a_token_is_a_header_and_there_is_no_body() {
        for text in ["YIIC+a/b==\n", "Negotiate YIIC+a/b=="] {
            let fake = Fake::new(|_| MADE.into());
            let session = fake.desk("kerberos", |desk| token(text).login(desk));
            assert_eq!(told(session), Ok("s.made"));
            assert_eq!(fake.seen(), [REQUEST]);
        }
    }

    #[test]
    fn a_refused_token_is_not_sent_again() {
        let no = (401, r#"{"errors":["authentication required"]}"#);
        for (answer, said) in [(no, "passthrough_request_headers"), (REFUSED, "permission denied")]
        {
            let fake = Fake::new(move |_| answer.into());
            let session = fake.desk("kerberos", |desk| token("YIIC+a/b==").login(desk));
            let error = told(session).expect_err("refused");
            assert!(error.contains(said) && !error.contains("YIIC"), "{error}");
            assert_eq!(fake.seen(), [REQUEST]);
        }
    }

    #[test]
    fn what_is_no_token_is_not_sent() {
        for text in ["", "\n", "kinit: no ticket", "YIIC\r\nX-Evil: 1"] {
            let fake = Fake::new(|_| MADE.into());
            let session = fake.desk("kerberos", |desk| token(text).login(desk));
            assert!(told(session).is_err(), "{text}");
            assert_eq!(fake.seen(), [""; 0]);
        }
    }

    #[test]
    fn a_server_s_service_has_its_host_as_name() {
        for (address, name) in [
            ("https://vault.example", Some("HTTP/vault.example")),
            ("https://vault.example:8200/gate", Some("HTTP/vault.example")),
            ("http://[::1]:8200", Some("HTTP/[::1]")),
            ("http://[::1]", Some("HTTP/[::1]")),
            ("unix:///run/agent.sock", None),
        ] {
            let server = Address::parse(address).expect("an address");
            assert_eq!(service_name(&server).as_deref(), name);
        }
    }
}
