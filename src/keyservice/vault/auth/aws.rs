//! AWS: an identity of IAM, by a request to STS that is signed here and sent by the server; or an EC2
//! instance, by the document that AWS signed for it (Vault API: `auth/aws/login`).
//!
//! Invariant: the secret key does not leave; what is sent is good for one question, a quarter of an hour.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::super::json::Json;
use super::aws_keys::AwsKeys;
use super::sigv4::{Unsigned, date};
use super::{Desk, LoginError, Session, SourceError, body};
use crate::secret::SecretText;
use crate::timestamp::Timestamp;

/// An identity of IAM.
pub struct AwsIam {
    /// `None`: the server takes the name of the identity.
    pub role: Option<String>,
    /// Whose signature it is.
    pub keys: AwsKeys,
    /// The region of STS; `None`: the global one.
    pub region: Option<String>,
    /// What the mount has as `iam_server_id_header_value`: the signature is for no other server then.
    pub server_id: Option<String>,
    /// The time of day.
    pub time: Timestamp,
}

impl AwsIam {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        let sts = Sts::of(self.region.as_deref())?;
        let headers = self.headers(&sts)?;
        let url = BASE64_STANDARD.encode(format!("https://{}/", sts.host));
        let question = BASE64_STANDARD.encode(QUESTION);
        let mut fields = vec![
            ("iam_http_request_method", "POST"),
            ("iam_request_url", url.as_str()),
            ("iam_request_body", question.as_str()),
            ("iam_request_headers", headers.as_str()),
        ];
        if let Some(role) = &self.role {
            fields.insert(0, ("role", role.as_str()));
        }
        desk.log_in("login", &body(&fields), &[])
    }

    /// The headers of the request to STS, its signature among them: JSON, each name with a list, in base64.
    fn headers(&self, sts: &Sts) -> Result<Zeroizing<String>, LoginError> {
        let time = date(self.time);
        let length = QUESTION.len().to_string();
        let mut headers = vec![
            ("content-length", "Content-Length", length.as_str()),
            ("content-type", "Content-Type", FORM),
            ("host", "Host", sts.host.as_str()),
            ("x-amz-date", "X-Amz-Date", time.as_str()),
        ];
        if let Some(token) = &self.keys.token {
            headers.push(("x-amz-security-token", "X-Amz-Security-Token", token.expose_secret()));
        }
        if let Some(id) = self.server_id.as_deref() {
            headers.push(("x-vault-aws-iam-server-id", "X-Vault-AWS-IAM-Server-ID", id));
        }
        // Blanks around a value are not signed, but would be sent.
        let clean = |text: &str| text.trim() == text && text.bytes().all(|it| it >= b' ');
        if !headers.iter().all(|(.., value)| clean(value)) || !clean(&self.keys.id) {
            let problem = "a credential of AWS or the server's id holds a blank or a line break";
            return Err(LoginError::Setting(problem.to_owned()));
        }
        let signed: Vec<_> = headers.iter().map(|(name, _, value)| (*name, *value)).collect();
        let unsigned = Unsigned {
            method: "POST",
            path: "/",
            headers: &signed,
            body: QUESTION.as_bytes(),
            region: &sts.region,
            service: "sts",
            time: &time,
        };
        let authorization = unsigned.authorization(&self.keys);
        let mut json = Json::default();
        json.put("{\"Authorization\":[");
        json.put_text(&authorization);
        for (_, name, value) in headers {
            json.put("],\"");
            json.put(name);
            json.put("\":[");
            json.put_text(value);
        }
        json.put("]}");
        Ok(Zeroizing::new(BASE64_STANDARD.encode(&*json.into_bytes())))
    }
}

const QUESTION: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// What Vault's own client sends.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The service that knows who somebody is.
pub(super) struct Sts {
    pub(super) host: String,
    pub(super) region: String,
}

impl Sts {
    /// That of a region, or the global one.
    pub(super) fn of(region: Option<&str>) -> Result<Self, SourceError> {
        let Some(region) = region else {
            let (host, region) = ("sts.amazonaws.com".to_owned(), "us-east-1".to_owned());
            return Ok(Self { host, region });
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(plain) {
            return Err("no region of AWS has this name; one is eu-west-1".into());
        }
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("sts.{region}.amazonaws.com{end}");
        Ok(Self { host, region: region.to_owned() })
    }
}

/// An instance of EC2.
pub struct AwsEc2 {
    /// `None`: the server takes the id of the instance's image.
    pub role: Option<String>,
    /// Its identity document with AWS's signature, as the metadata service gives it
    /// ([`super::aws_keys::ec2_identity`]).
    pub pkcs7: SecretText,
    /// What the first login of the instance chose and each later one has to know.
    pub nonce: SecretText,
}

impl AwsEc2 {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the server does not give a token.
    pub fn login(&self, desk: &Desk<'_>) -> Result<Session, LoginError> {
        let nonce = self.nonce.expose_secret();
        if nonce.is_empty() {
            let problem = "the ec2 login needs a nonce: without one, the server makes one up at the \
                           first login and wants it at the second";
            return Err(LoginError::Setting(problem.to_owned()));
        }
        let pkcs7 = self.pkcs7.expose_secret().chars().filter(|c| !matches!(c, '\n' | '\r'));
        let pkcs7 = Zeroizing::new(pkcs7.collect::<String>());
        let mut fields = vec![("pkcs7", pkcs7.as_str()), ("nonce", nonce)];
        if let Some(role) = &self.role {
            fields.insert(0, ("role", role.as_str()));
        }
        desk.log_in("login", &body(&fields), &[])
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::Value;

    use super::super::fake::{Fake, MADE, REFUSED, told};
    use super::{AwsEc2, AwsIam, AwsKeys, Timestamp};
    use crate::secret::SecretText;

    fn iam(token: Option<&str>, region: Option<&str>, server_id: Option<&str>) -> AwsIam {
        let text = |text: &str| SecretText::new(text.to_owned());
        let keys = AwsKeys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: text("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: token.map(text),
        };
        AwsIam {
            role: Some("dev".to_owned()),
            keys,
            region: region.map(str::to_owned),
            server_id: server_id.map(str::to_owned),
            time: Timestamp::parse("2015-08-30T12:36:00Z").expect("a time"),
        }
    }

    /// The body of the one request, and in it the headers for STS.
    fn sent(iam: &AwsIam) -> (Value, String) {
        let fake = Fake::new(|_| MADE.into());
        assert_eq!(told(fake.desk("aws", |desk| iam.login(desk))), Ok("s.made"));
        let seen = fake.seen();
        let [request] = seen.as_slice() else { panic!("{seen:?}") };
        let (head, body) = request.split_once("\n\n").expect("a body");
        assert_eq!(head, "POST https://vault.example/v1/auth/aws/login");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let headers = body["iam_request_headers"].as_str().expect("a text");
        let headers = BASE64_STANDARD.decode(headers).expect("base64");
        (body, String::from_utf8(headers).expect("text"))
    }

    #[test]
    fn a_signed_question_to_sts_is_sent_in_its_parts() {
        let (body, headers) = sent(&iam(None, None, None));
        let text = |name: &str| {
            let text = body[name].as_str().expect("a text");
            String::from_utf8(BASE64_STANDARD.decode(text).expect("base64")).expect("text")
        };
        assert_eq!((body["role"].as_str(), body["iam_http_request_method"].as_str()), {
            (Some("dev"), Some("POST"))
        });
        assert_eq!(text("iam_request_url"), "https://sts.amazonaws.com/");
        assert_eq!(text("iam_request_body"), "Action=GetCallerIdentity&Version=2011-06-15");
        // The signature was computed apart from this code, with Python's hmac.
        assert_eq!(
            headers,
            "{\"Authorization\":[\"AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20150830/us-east-1/sts/aws4_request, \
             SignedHeaders=content-length;content-type;host;x-amz-date, \
             Signature=0268ea4a725deae1116f5228d6b177fb047f9f3a9e1c5fd4baa0dc1fbb0d1a99\"],\
             \"Content-Length\":[\"43\"],\
             \"Content-Type\":[\"application/x-www-form-urlencoded; charset=utf-8\"],\
             \"Host\":[\"sts.amazonaws.com\"],\"X-Amz-Date\":[\"20150830T123600Z\"]}"
        );
    }

    #[test]
    fn a_session_token_and_the_server_s_id_are_signed_with_the_rest() {
        let (body, headers) =
            sent(&iam(Some("a/session"), Some("eu-west-1"), Some("vault.example")));
        let url = BASE64_STANDARD.encode("https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(body["iam_request_url"].as_str(), Some(url.as_str()));
        let headers: Value = serde_json::from_str(&headers).expect("JSON");
        assert_eq!(
            headers["Authorization"][0].as_str(),
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/sts/aws4_request, \
                 SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;\
                 x-vault-aws-iam-server-id, \
                 Signature=e2ca76d13e919b7252e99c068a37a3bdafd17dfd9e48e548f738277f72441bc6"
            )
        );
        assert_eq!(headers["X-Amz-Security-Token"][0].as_str(), Some("a/session"));
        assert_eq!(headers["X-Vault-AWS-IAM-Server-ID"][0].as_str(), Some("vault.example"));
    }

    #[test]
    fn a_region_is_a_name_and_no_host() {
        for region in ["", "x.evil.example/", "eu-west-1@x", "EU"] {
            let fake = Fake::new(|_| MADE.into());
            let refused = fake.desk("aws", |desk| iam(None, Some(region), None).login(desk));
            assert!(told(refused).is_err(), "{region}");
            assert_eq!(fake.seen(), [""; 0]);
        }
        let (body, _) = sent(&iam(None, Some("cn-north-1"), None));
        let url = BASE64_STANDARD.encode("https://sts.cn-north-1.amazonaws.com.cn/");
        assert_eq!(body["iam_request_url"].as_str(), Some(url.as_str()));
    }

    #[test]
    fn a_refused_identity_is_not_sent_again_and_not_shown() {
        let fake = Fake::new(|_| REFUSED.into());
        let session = fake.desk("aws", |desk| iam(Some("a/session"), None, None).login(desk));
        let error = told(session).expect_err("refused");
        assert!(error.starts_with("permission denied (403): "), "{error}");
        assert!(!error.contains("session") && !error.contains("AKID"), "{error}");
        assert_eq!(fake.seen().len(), 1);
    }

    #[test]
    fn an_instance_sends_its_document_on_one_line_and_its_nonce() {
        let text = |text: &str| SecretText::new(text.to_owned());
        let ec2 = AwsEc2 { role: None, pkcs7: text("MIIC\nabc=\n"), nonce: text("n-1") };
        let fake = Fake::new(|_| MADE.into());
        assert_eq!(told(fake.desk("aws", |desk| ec2.login(desk))), Ok("s.made"));
        let request = "POST https://vault.example/v1/auth/aws/login\n\n\
                       {\"pkcs7\":\"MIICabc=\",\"nonce\":\"n-1\"}";
        assert_eq!(fake.seen(), [request]);
        let fake = Fake::new(|_| REFUSED.into());
        assert!(told(fake.desk("aws", |desk| ec2.login(desk))).is_err());
        assert_eq!(fake.seen(), [request]);
    }
}
