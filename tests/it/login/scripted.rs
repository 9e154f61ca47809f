//! Methods that no server here has, through the program: their server and their cloud are scripts, what the
//! token is for is real. What is sent is compared with what the server documents, byte for byte.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Answer, Request, Sandbox, Script, Site, flat};

/// A method.
struct Method {
    /// Its name, its mount, and its settings.
    name: &'static str,
    settings: &'static str,
    /// Variables, where its cloud is at this address.
    variables: fn(&str) -> Vec<(&'static str, String)>,
    /// What its cloud says.
    cloud: fn(&Request) -> Answer,
    /// What its cloud is asked: method, path, and the headers that are not every client's.
    asks: &'static [&'static str],
    /// What comes before the request that gives the token. `None`: this is that one.
    step: fn(&World, &Request) -> Option<Answer>,
    /// What is sent to the server: path and body. What is made up for each login is taken from the requests.
    sends: fn(&[Request]) -> Vec<String>,
    /// What is told to the person.
    tells: &'static str,
    /// What nobody may see.
    secrets: &'static [&'static str],
}

/// What happens meanwhile.
struct World {
    /// A page that was opened in the browser.
    page: PathBuf,
    /// The number to choose was asked for.
    numbered: (Mutex<bool>, Condvar),
    /// Answers that it is too early.
    early: AtomicUsize,
    /// Whether the login is refused, with this status.
    refuses: AtomicBool,
    status: AtomicUsize,
    /// The tokens that were made.
    tokens: Mutex<Vec<String>>,
}

/// Nothing before it, no cloud, nothing to tell.
const PLAIN: Method = Method {
    name: "",
    settings: "",
    variables: |_| Vec::new(),
    cloud: |_| Answer::new(404, ""),
    asks: &[],
    step: |_, _| None,
    sends: |_| Vec::new(),
    tells: "",
    secrets: &[],
};

fn set(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn github() -> Method {
    Method {
        name: "github",
        settings: "token=env:GITHUB",
        variables: |_| set(&[("GITHUB", "ghp_hunter2")]),
        sends: |_| vec![r#"login {"token":"ghp_hunter2"}"#.to_owned()],
        secrets: &["ghp_hunter2"],
        ..PLAIN
    }
}

/// How long somebody may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn okta_push() -> Method {
    Method {
        name: "okta",
        settings: "username=anna@example.org password=env:PASSWORD",
        variables: |_| set(&[("PASSWORD", "hunter2")]),
        // The answer to the login comes when the number was seen, as a push is answered.
        step: |world, request| {
            let (numbered, changed) = &world.numbered;
            if request.method == "GET" {
                *numbered.lock().expect("no panic") = true;
                changed.notify_all();
                return Some(Answer::json(200, &json!({ "data": { "correct_answer": 42 } })));
            }
            let numbered = numbered.lock().expect("no panic");
            let waited = changed.wait_timeout_while(numbered, PATIENCE, |it| !*it);
            *waited.expect("no panic").0 = false;
            None
        },
        sends: |requests| {
            let nonce = text(&requests[0].json(), "nonce");
            assert!(nonce.len() == 20 && nonce.bytes().all(|it| it.is_ascii_alphanumeric()));
            let asked = requests.iter().filter(|it| it.method == "GET");
            let verify = format!("/v1/auth/okta/verify/{nonce}");
            assert!(asked.clone().count() > 0 && asked.clone().all(|it| it.path == verify));
            assert!(asked.clone().all(|it| it.body.is_empty()));
            vec![format!(
                "login/anna%40example.org {{\"password\":\"hunter2\",\"nonce\":\"{nonce}\"}}"
            )]
        },
        tells: "choose 42 in Okta Verify\n",
        secrets: &["hunter2"],
        ..PLAIN
    }
}

fn okta_passcode() -> Method {
    Method {
        name: "okta",
        settings: "username=anna password=env:PASSWORD totp=env:CODE provider=GOOGLE",
        variables: |_| set(&[("PASSWORD", "hunter2"), ("CODE", "314159")]),
        sends: |_| {
            let body = r#"{"password":"hunter2","provider":"GOOGLE","totp":"314159"}"#;
            vec![format!("login/anna {body}")]
        },
        secrets: &["hunter2", "314159"],
        ..PLAIN
    }
}

const SSO: &str = "https://idp.example/sso/saml?SAMLRequest=f%2B&RelayState=r";

fn saml() -> Method {
    Method {
        name: "saml",
        settings: "role=admin acs_url=https://vault.example/v1/auth/saml/callback",
        step: |world, request| {
            if request.path.ends_with("/sso_service_url") {
                let data = json!({ "sso_service_url": SSO, "token_poll_id": "ee442348-159b" });
                return Some(Answer::json(200, &json!({ "data": data })));
            }
            // Nobody has logged in before the page is open.
            let opened = fs::read_to_string(&world.page).unwrap_or_default();
            if opened.trim() == SSO {
                return None;
            }
            world.early.fetch_add(1, Ordering::Relaxed);
            Some(Answer::json(401, &json!({ "errors": ["authorization pending"] })))
        },
        sends: |requests| {
            let verifier = text(&requests[1].json(), "client_verifier");
            assert!(verifier.len() == 40 && verifier.bytes().all(|it| it.is_ascii_alphanumeric()));
            let challenge = STANDARD.encode(Sha256::digest(verifier.as_bytes()));
            vec![
                format!(
                    "sso_service_url {{\"acs_url\":\"https://vault.example/v1/auth/saml/callback\",\
                     \"client_challenge\":\"{challenge}\",\"client_type\":\"cli\",\
                     \"role\":\"admin\"}}"
                ),
                format!(
                    "token {{\"client_verifier\":\"{verifier}\",\
                     \"token_poll_id\":\"ee442348-159b\"}}"
                ),
            ]
        },
        tells: "log in at https://idp.example/sso/saml?SAMLRequest=f%2B&RelayState=r\n",
        ..PLAIN
    }
}

fn aws_iam() -> Method {
    Method {
        name: "aws",
        settings: "role=dev region=eu-west-1 header_value=vault.example",
        variables: |_| {
            set(&[
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "wJalr/hunter2"),
                ("AWS_SESSION_TOKEN", "session/hunter2"),
            ])
        },
        sends: |requests| {
            let body = requests[0].json();
            let headers = STANDARD.decode(text(&body, "iam_request_headers")).expect("base64");
            let headers: Value = serde_json::from_slice(&headers).expect("JSON");
            vec![format!("login {}", aws_body(headers["X-Amz-Date"][0].as_str().expect("a time")))]
        },
        secrets: &["wJalr", "hunter2", "Signature="],
        ..PLAIN
    }
}

/// What AWS's documentation of Signature Version 4 and Vault's of the login make of that identity.
fn aws_body(time: &str) -> String {
    let question = "Action=GetCallerIdentity&Version=2011-06-15";
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let signed = [
        ("Content-Length", "43"),
        ("Content-Type", form),
        ("Host", "sts.eu-west-1.amazonaws.com"),
        ("X-Amz-Date", time),
        ("X-Amz-Security-Token", "session/hunter2"),
        ("X-Vault-AWS-IAM-Server-ID", "vault.example"),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hash = |text: &str| hex(&Sha256::digest(text.as_bytes()));
    let lines: String = signed
        .iter()
        .map(|(name, value)| format!("{}:{value}\n", name.to_ascii_lowercase()))
        .collect();
    let names: Vec<_> = signed.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let names = names.join(";");
    let request = format!("POST\n/\n\n{lines}\n{names}\n{}", hash(question));
    let (day, _) = time.split_once('T').expect("a time");
    let scope = format!("{day}/eu-west-1/sts/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(&request));
    let parts = [day, "eu-west-1", "sts", "aws4_request", &text];
    let signature = parts.iter().fold(b"AWS4wJalr/hunter2".to_vec(), |key, part| {
        let mut code = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        code.update(part.as_bytes());
        code.finalize().into_bytes().to_vec()
    });
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={}",
        hex(&signature)
    );
    let pairs = std::iter::once(("Authorization", authorization.as_str())).chain(signed);
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("\"{name}\":[\"{value}\"]")).collect();
    let headers = format!("{{{}}}", pairs.join(","));
    format!(
        "{{\"role\":\"dev\",\"iam_http_request_method\":\"POST\",\"iam_request_url\":\"{}\",\
         \"iam_request_body\":\"{}\",\"iam_request_headers\":\"{}\"}}",
        STANDARD.encode("https://sts.eu-west-1.amazonaws.com/"),
        STANDARD.encode(question),
        STANDARD.encode(headers)
    )
}

fn aws_ec2() -> Method {
    Method {
        name: "aws",
        settings: "type=ec2 role=dev nonce=env:NONCE",
        variables: |cloud| {
            let endpoint = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud.to_owned());
            vec![endpoint, ("NONCE", "nonce-hunter2".to_owned())]
        },
        cloud: |request| match request.path.as_str() {
            "/latest/api/token" => Answer::new(200, "imds"),
            "/latest/dynamic/instance-identity/pkcs7" => Answer::new(200, "MIIC+hunter2\nabc=\n"),
            _ => Answer::new(404, ""),
        },
        asks: &[
            "PUT /latest/api/token x-aws-ec2-metadata-token-ttl-seconds=300",
            "GET /latest/dynamic/instance-identity/pkcs7 x-aws-ec2-metadata-token=imds",
        ],
        sends: |_| {
            let body = r#"{"role":"dev","pkcs7":"MIIC+hunter2abc=","nonce":"nonce-hunter2"}"#;
            vec![format!("login {body}")]
        },
        secrets: &["hunter2", "imds"],
        ..PLAIN
    }
}

fn azure() -> Method {
    Method {
        name: "azure",
        settings: "role=dev resource=https://vault.example subscription_id=sub-1 \
                   resource_group_name=rg vm_name=vm-1",
        variables: |cloud| {
            let endpoint = format!("{cloud}/msi/token");
            vec![("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "header-hunter2".to_owned())]
        },
        cloud: |_| Answer::new(200, r#"{"access_token":"ey.az.hunter2"}"#),
        asks: &["GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.example \
                 x-identity-header=header-hunter2"],
        sends: |_| {
            vec![
                "login {\"role\":\"dev\",\"jwt\":\"ey.az.hunter2\",\"subscription_id\":\"sub-1\",\
                 \"resource_group_name\":\"rg\",\"vm_name\":\"vm-1\"}"
                    .to_owned(),
            ]
        },
        secrets: &["hunter2"],
        ..PLAIN
    }
}

fn gcp() -> Method {
    Method {
        name: "gcp",
        settings: "role=dev",
        variables: |cloud| {
            vec![("GCE_METADATA_HOST", cloud.trim_start_matches("http://").to_owned())]
        },
        cloud: |_| Answer::new(200, "ey.gce.hunter2"),
        asks: &["GET /computeMetadata/v1/instance/service-accounts/default/identity\
                 ?audience=http%3A%2F%2Fvault%2Fdev&format=full metadata-flavor=Google"],
        sends: |_| vec![r#"login {"role":"dev","jwt":"ey.gce.hunter2"}"#.to_owned()],
        secrets: &["hunter2"],
        ..PLAIN
    }
}

fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_else(|| panic!("{name}: {json}")).to_owned()
}

/// A file that a login opens, a server that knows the method, and its cloud.
struct Stage {
    method: Method,
    site: Site,
    world: Arc<World>,
    front: Script,
    cloud: Script,
    sandbox: Sandbox,
}

impl Stage {
    fn new(method: Method) -> Option<Self> {
        let site = Site::new("approle")?;
        let mut sandbox = site.anybody();
        let world = Arc::new(World {
            page: sandbox.path("page"),
            numbered: Default::default(),
            early: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            status: AtomicUsize::new(403),
            tokens: Mutex::default(),
        });
        let policy = format!("path \"{}/*\" {{ capabilities = [\"update\"] }}", site.transit);
        let (bao, step, own) = (site.bao, method.step, format!("/v1/auth/{}/", method.name));
        let front = Script::start({
            let world = Arc::clone(&world);
            move |request| {
                if !request.path.starts_with(&own) {
                    return Answer::from_server(bao.address(), request);
                }
                if let Some(answer) = step(&world, request) {
                    return answer;
                }
                if world.refuses.load(Ordering::Relaxed) {
                    let status = world.status.load(Ordering::Relaxed);
                    let status = u16::try_from(status).expect("a status");
                    let texts = ["permission denied"];
                    return Answer::json(status, &json!({ "errors": texts }));
                }
                let token = bao.token(&policy, json!({}));
                world.tokens.lock().expect("no panic").push(token.clone());
                let auth = json!({ "client_token": token, "lease_duration": 600,
                    "renewable": true, "token_type": "service" });
                Answer::json(200, &json!({ "auth": auth }))
            }
        });
        let cloud = Script::start(method.cloud);
        // Sealed by somebody with a token.
        let rule = sandbox.read(".sops.yaml").replace(&site.server.address(), &front.address());
        sandbox.write(".sops.yaml", &rule);
        sandbox = sandbox.with("VAULT_ADDR", &front.address()).with("VAULT_TOKEN", bao.root());
        sandbox.run(&["encrypt", "-i", "a.yaml"]).ok();
        let path = browser(&sandbox, &world.page);
        sandbox = sandbox.with("VAULT_TOKEN", "").with("PATH", &path);
        for (name, value) in (method.variables)(&cloud.address()) {
            sandbox = sandbox.with(name, &value);
        }
        Some(Self { method, site, world, front, cloud, sandbox })
    }

    /// A run: what it gave; what it asked of the method and of its cloud is as documented, and once.
    #[track_caller]
    fn run(&self, words: &[&str]) -> super::super::Run {
        let _ = fs::remove_file(&self.world.page);
        self.world.early.store(0, Ordering::Relaxed);
        let (from, asked) = (self.front.requests().len(), self.cloud.requests().len());
        let run = self.sandbox.run(words);
        let own = format!("/v1/auth/{}/", self.method.name);
        let requests = self.front.requests();
        let requests: Vec<_> =
            requests[from..].iter().filter(|it| it.path.starts_with(&own)).cloned().collect();
        assert!(!requests.is_empty(), "{}", run.stderr);
        let posts = requests.iter().filter(|it| it.method == "POST");
        let mut sent: Vec<_> = posts
            .map(|it| {
                assert_eq!(it.header("x-vault-token"), None, "a login carries no token");
                assert_eq!(it.header("content-type"), Some("application/json"));
                let body = String::from_utf8(it.body.clone()).expect("UTF-8");
                format!("{} {body}", it.path.trim_start_matches(&own))
            })
            .collect();
        let count = sent.len() - self.world.early.load(Ordering::Relaxed);
        sent.dedup();
        assert_eq!(sent, (self.method.sends)(&requests), "{}", run.stderr);
        assert_eq!(count, sent.len(), "nothing is sent twice");
        assert_eq!(asks(&self.cloud.requests()[asked..]), self.method.asks);
        for secret in self.method.secrets {
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(!said.contains(secret), "{secret}: {said}");
        }
        run
    }

    /// The token that was made last.
    #[track_caller]
    fn token(&self) -> String {
        self.world.tokens.lock().expect("no panic").pop().expect("one was made")
    }
}

/// What was asked of a cloud, without what every client says.
fn asks(requests: &[Request]) -> Vec<String> {
    let usual = ["accept", "host", "user-agent", "content-length"];
    let line = |request: &Request| {
        let own = request.headers.iter().filter(|(name, _)| !usual.contains(&name.as_str()));
        let own: String = own.map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} {}{own}", request.method, request.path)
    };
    requests.iter().map(line).collect()
}

/// A browser that writes down the page that it opens: the search path with it.
fn browser(sandbox: &Sandbox, page: &Path) -> String {
    let folder = sandbox.path("bin");
    fs::create_dir(&folder).expect("made");
    let program = folder.join("xdg-open");
    let script = format!("#!/bin/sh\necho \"$1\" > '{}'\n", page.display());
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("mode");
    format!("{}:{}", folder.display(), std::env::var("PATH").expect("a path"))
}

/// A good and a refused login, by `login` and by itself in a run.
#[track_caller]
fn check(method: Method) {
    let Some(mut stage) = Stage::new(method) else { return };
    let (name, tells) = (stage.method.name, stage.method.tells);
    let login = format!("{name} {}", stage.method.settings);
    let words: Vec<_> = ["login"].into_iter().chain(login.split_whitespace()).collect();
    let run = stage.run(&[&words[..], &["--print"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), tells));
    let token = stage.token();
    assert_eq!(run.stdout.trim(), token);
    assert!(stage.site.knows(&token), "it is the user's");

    stage.sandbox = stage.sandbox.with("WAXSEAL_VAULT_AUTH", &login);
    let run = stage.run(&["decrypt", "a.yaml"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "a: one\n", tells));
    let token = stage.token();
    let requests = stage.front.requests();
    let [.., used, last] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(used.path.ends_with("/decrypt/a"), "{}", used.path);
    assert_eq!(used.header("x-vault-token"), Some(token.as_str()));
    assert_eq!(last.path, "/v1/auth/token/revoke-self");
    assert!(!stage.site.knows(&token), "it was taken back");

    stage.world.refuses.store(true, Ordering::Relaxed);
    for (status, meaning) in [
        (403, format!("is a method mounted at auth/{name} in this namespace?")),
        (400, "it was not tried a second time".to_owned()),
    ] {
        stage.world.status.store(status, Ordering::Relaxed);
        let address = stage.front.address();
        let refusal = format!("permission denied ({status}): {meaning}");
        let run = stage.run(&words);
        let said = flat(&run.fails(1));
        let place = format!("{name} at {address}, auth/{name}: {refusal}");
        assert!(said.contains(&place), "{place}: {said}");
        let run = stage.run(&["decrypt", "a.yaml"]);
        assert_eq!(run.stdout, "");
        let said = flat(&run.fails(128));
        let place =
            format!("the login {name} at auth/{name} (WAXSEAL_VAULT_AUTH) failed: {refusal}");
        assert!(said.contains(&place) && said.contains(&address), "{place}: {said}");
    }
    assert!(!stage.sandbox.home().join(".vault-token").exists());
}

#[test]
fn github_is_sent_a_personal_access_token() {
    check(github());
}

#[test]
fn okta_is_asked_for_the_number_of_its_push_while_the_login_waits() {
    check(okta_push());
}

#[test]
fn okta_is_sent_a_passcode_with_the_password() {
    check(okta_passcode());
}

#[test]
fn saml_opens_a_page_and_asks_until_somebody_has_logged_in() {
    check(saml());
}

#[test]
fn an_identity_of_aws_is_sent_as_a_signed_question() {
    check(aws_iam());
}

#[test]
fn an_instance_of_ec2_is_sent_by_its_document() {
    check(aws_ec2());
}

#[test]
fn a_machine_of_azure_is_sent_by_its_token_and_its_names() {
    check(azure());
}

#[test]
fn a_machine_of_google_is_sent_by_its_token() {
    check(gcp());
}
