//! Signature Version 4 of AWS, for requests with a short body (AWS documentation: "Create a signed AWS API
//! request").
//!
//! Invariant: the secret key is in no output, and neither is what is derived from it but the signature.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::aws_keys::AwsKeys;
use crate::timestamp::Timestamp;

/// A request that is signed, and never sent from here.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    /// As it stands in the request.
    pub(super) path: &'a str,
    /// Small letters, in the order of the names; values without blanks around them. `host` and
    /// `x-amz-date` are among them.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    /// As in `x-amz-date`.
    pub(super) time: &'a str,
}

impl Unsigned<'_> {
    /// The value of the header `Authorization`.
    pub(super) fn authorization(&self, keys: &AwsKeys) -> Zeroizing<String> {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut request = format!("{}\n{}\n\n", self.method, self.path);
        for (name, value) in self.headers {
            request += &format!("{name}:{value}\n");
        }
        // A session token is among the headers.
        let request = Zeroizing::new(format!("{request}\n{names}\n{}", hex(&hash(self.body))));
        let day = self.time.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let hashed = hex(&hash(request.as_bytes()));
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{hashed}", self.time);
        let secret = Zeroizing::new(format!("AWS4{}", keys.secret.expose_secret()));
        let mut key = Zeroizing::new(secret.as_bytes().to_vec());
        for part in [day, self.region, self.service, "aws4_request"] {
            key = Zeroizing::new(code(&key, part));
        }
        let signature = hex(&code(&key, &text));
        let id = &keys.id;
        let credential = format!("{ALGORITHM} Credential={id}/{scope}");
        Zeroizing::new(format!("{credential}, SignedHeaders={names}, Signature={signature}"))
    }
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A moment as `x-amz-date` has it: `20150830T123600Z`.
pub(super) fn date(time: Timestamp) -> String {
    let utc = Timestamp::from_unix(time.unix()).unwrap_or(time);
    utc.seconds().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

fn code(key: &[u8], text: &str) -> Vec<u8> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    code.update(text.as_bytes());
    code.finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{AwsKeys, Timestamp, Unsigned, date};
    use crate::secret::SecretText;

    /// AWS's "Signature Version 4 test suite": its keys, its time, its service, and of each case what
    /// stands in its `.authz`.
    #[track_caller]
    fn check(method: &str, headers: &[(&str, &str)], body: &str, names: &str, signature: &str) {
        let secret = SecretText::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        let keys = AwsKeys { id: "AKIDEXAMPLE".to_owned(), secret, token: None };
        let unsigned = Unsigned {
            method,
            path: "/",
            headers,
            body: body.as_bytes(),
            region: "us-east-1",
            service: "service",
            time: "20150830T123600Z",
        };
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        );
        assert_eq!(*unsigned.authorization(&keys), expected);
    }

    const HOST: (&str, &str) = ("host", "example.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", "20150830T123600Z");

    #[test]
    fn requests_are_signed_as_aws_signs_them() {
        // get-vanilla, post-vanilla
        let names = "host;x-amz-date";
        let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        check("GET", &[HOST, DATE], "", names, signature);
        let signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        check("POST", &[HOST, DATE], "", names, signature);
        // post-header-key-sort
        let headers = [HOST, ("my-header1", "value1"), DATE];
        let signature = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c";
        check("POST", &headers, "", "host;my-header1;x-amz-date", signature);
        // post-x-www-form-urlencoded
        let headers = [("content-type", "application/x-www-form-urlencoded"), HOST, DATE];
        let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        check("POST", &headers, "Param1=value1", "content-type;host;x-amz-date", signature);
    }

    #[test]
    fn a_moment_is_written_in_utc_without_separators() {
        let time = Timestamp::parse("2015-08-30T14:36:00+02:00").expect("a time");
        assert_eq!(date(time), "20150830T123600Z");
    }
}
