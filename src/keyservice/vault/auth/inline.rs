//! A login in the headers of another request (OpenBao: inline authentication). No token is made.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{Form, Mount, body};
use crate::keyservice::vault::Headers;
use crate::secret::SecretText;

/// Parameters of a login, more than any method has.
const PARAMETERS: [&str; 4] = [
    "x-vault-inline-auth-parameter-0",
    "x-vault-inline-auth-parameter-1",
    "x-vault-inline-auth-parameter-2",
    "x-vault-inline-auth-parameter-3",
];

/// What a request carries: where the login is, and each of its fields.
pub(super) fn headers(mount: &Mount, form: &Form) -> Headers {
    let text = |text: &str| SecretText::new(text.to_owned());
    // A path of the server, not of a URL: names stand in it as they are.
    let mut path = format!("auth/{}/login", mount.path);
    if let Some(name) = &form.username {
        path = format!("{path}/{name}");
    }
    let mut headers = vec![
        ("x-vault-inline-auth-path", text(&path)),
        ("x-vault-inline-auth-operation", text("update")),
    ];
    // Without it the method would be that of the request's own namespace.
    let namespace = mount.namespace.as_deref().unwrap_or("/");
    headers.push(("x-vault-inline-auth-namespace", text(namespace)));
    for (header, (name, value)) in PARAMETERS.iter().zip(&form.fields) {
        let pair: Zeroizing<Vec<u8>> = body(&[("key", name), ("value", value.expose_secret())]);
        headers.push((*header, SecretText::new(BASE64_URL_SAFE_NO_PAD.encode(&*pair))));
    }
    headers
}

/// The same, for one more request.
pub(super) fn copy(headers: &Headers) -> Headers {
    headers.iter().map(|(name, text)| (*name, text.copy())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{BASE64_URL_SAFE_NO_PAD, Engine, Form, Mount, SecretText, headers};
    use crate::keyservice::vault::Address;

    #[test]
    fn a_login_stands_in_headers_as_the_server_reads_them() {
        let server = Address::parse("https://v").expect("an address");
        let mount = Mount { server, namespace: Some("team".into()), path: "ci".into() };
        let fields = vec![("role_id", SecretText::new("a\"b".into()))];
        let form = Form { username: Some("me@x".into()), fields };
        let headers = headers(&mount, &form);
        let of = |name: &str| {
            let found = headers.iter().find(|(it, _)| it.ends_with(name));
            found.map(|(_, text)| text.expose_secret().to_owned()).expect("a header")
        };
        assert_eq!((of("path"), of("namespace")), ("auth/ci/login/me@x".into(), "team".into()));
        let pair = BASE64_URL_SAFE_NO_PAD.decode(of("parameter-0")).expect("base64");
        let pair: Value = serde_json::from_slice(&pair).expect("JSON");
        assert_eq!(pair, serde_json::json!({ "key": "role_id", "value": "a\"b" }));
    }
}
