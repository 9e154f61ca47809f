//! OIDC beside a real provider: the browser comes back here, as a form, to the server, or not at all.

use serde_json::json;

use waxseal::keyservice::vault::auth::{Door, DoorSettings, LoginError, Oidc, OidcBack, Session};
use waxseal::os::callback::Callback;

use super::browser::{Does, Someone};
use super::provider::Provider;
use super::{at_desk, lines, policies};
use crate::openbao::{Bao, Recorder};

/// The port is not compared, as it is one of this machine.
const HERE: &str = "http://localhost:8250/oidc/callback";

/// A mount with a role, and what stands before its server.
struct Setting {
    bao: &'static Bao,
    front: Recorder,
    mount: &'static str,
    /// Ends with the test.
    _provider: Provider,
}

impl Setting {
    /// `None` where the peers are not brought.
    fn start(
        mount: &'static str,
        config: serde_json::Value,
        role: serde_json::Value,
    ) -> Option<Self> {
        let bao = Bao::start()?;
        let front = Recorder::before(bao.address());
        let there = format!("{}/v1/auth/{mount}/oidc/callback", front.address());
        let provider = Provider::start(&[HERE, &there])?;
        let post = |path: &str, mut body: serde_json::Value, more: serde_json::Value| {
            let more = more.as_object().expect("an object").clone();
            body.as_object_mut().expect("an object").extend(more);
            bao.ask("POST", path, Some(body));
        };
        post(&format!("sys/auth/{mount}"), json!({ "type": "oidc" }), json!({}));
        let client = json!({
            "oidc_discovery_url": provider.address(),
            "oidc_client_id": "bao",
            "oidc_client_secret": "of-the-client",
            "default_role": "dev",
        });
        post(&format!("auth/{mount}/config"), client, config);
        let back = if role["callback_mode"] == "direct" { there.as_str() } else { HERE };
        let usual = json!({
            "user_claim": "sub",
            "allowed_redirect_uris": [back],
            "token_policies": ["writer"],
            "token_ttl": 600,
        });
        post(&format!("auth/{mount}/role/dev"), usual, role);
        Some(Self { bao, front, mount, _provider: provider })
    }

    fn login(&self, someone: &Someone, role: Option<&str>) -> Result<Session, LoginError> {
        let role = role.map(str::to_owned);
        let oidc = Oidc { role, back: OidcBack::Here, skip_browser: false };
        let open = || {
            let settings = DoorSettings { port: 0, ..DoorSettings::default() };
            Ok(Box::new(Callback::open(&settings)?) as Box<dyn Door>)
        };
        at_desk(&self.front.address(), self.mount, |desk| oidc.login(desk, someone, &open))
    }

    /// The requests of the login, those of a page of the browser's own left out.
    fn asked(&self) -> Vec<String> {
        let prefix = format!("/v1/auth/{}/oidc", self.mount);
        let own = self.front.requests().into_iter();
        let own: Vec<_> = own.filter(|it| it.header("x-vault-request").is_some()).collect();
        lines(&own).into_iter().map(|line| line.replace(&prefix, "")).collect()
    }
}

#[test]
fn a_browser_logs_in_and_comes_back() {
    let Some(setting) = Setting::start("oidc-here", json!({}), json!({})) else { return };
    let someone = Someone::who(Does::LogsIn);
    let session = setting.login(&someone, Some("dev"));
    assert!(policies(setting.bao, session).contains("writer"));
    assert_eq!(setting.asked(), ["POST /auth_url", "GET /callback"]);
    let (status, page) = someone.saw();
    assert!(status == 200 && page.contains("You are logged in"), "{page}");
    let [told] = someone.told().try_into().expect("one line");
    assert!(told.starts_with("log in at http://127.0.0.1:"), "{told}");
}

#[test]
fn a_form_brings_a_token_of_the_provider() {
    let config = json!({ "oidc_response_mode": "form_post", "oidc_response_types": ["id_token"] });
    let Some(setting) = Setting::start("oidc-form", config, json!({})) else { return };
    let someone = Someone::who(Does::LogsIn);
    assert!(policies(setting.bao, setting.login(&someone, None)).contains("writer"));
    assert_eq!(setting.asked(), ["POST /auth_url", "POST /callback", "GET /callback"]);
    assert_eq!(someone.saw().0, 200);
}

#[test]
fn a_server_that_is_come_back_to_is_polled() {
    let role = json!({ "callback_mode": "direct", "poll_interval": 1 });
    let Some(setting) = Setting::start("oidc-direct", json!({}), role) else { return };
    let someone = Someone::who(Does::LogsIn);
    assert!(policies(setting.bao, setting.login(&someone, None)).contains("writer"));
    let asked = setting.asked();
    assert_eq!(asked[..3], ["POST /auth_url", "POST /auth_url", "POST /poll"]);
    assert!(asked[3..].iter().all(|line| line == "POST /poll"), "{asked:?}");
    assert_eq!(someone.saw().0, 200);
}

#[test]
fn a_device_is_polled_for() {
    let role = json!({ "callback_mode": "device", "poll_interval": 1 });
    let Some(setting) = Setting::start("oidc-device", json!({}), role) else { return };
    let someone = Someone::who(Does::LogsIn);
    assert!(policies(setting.bao, setting.login(&someone, None)).contains("writer"));
    let asked = setting.asked();
    assert_eq!(asked[..2], ["POST /auth_url", "POST /poll"]);
    assert!(asked[2..].iter().all(|line| line == "POST /poll"), "{asked:?}");
}

#[test]
fn who_is_not_allowed_gets_no_token_and_is_not_sent_again() {
    let role = json!({ "bound_subject": "grace" });
    let Some(setting) = Setting::start("oidc-other", json!({}), role) else { return };
    let someone = Someone::who(Does::LogsIn);
    let error = setting.login(&someone, None).map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("sub claim does not match bound subject (400)"), "{error}");
    assert_eq!(setting.asked(), ["POST /auth_url", "GET /callback"]);
    let (status, page) = someone.saw();
    assert!(status == 400 && page.contains("The login failed"), "{page}");
}

#[test]
fn who_does_not_log_in_is_said_by_the_provider() {
    let Some(setting) = Setting::start("oidc-cancelled", json!({}), json!({})) else { return };
    let someone = Someone::who(Does::Cancels);
    let error = setting.login(&someone, None).map(|_| ()).expect_err("cancelled").to_string();
    assert!(error.starts_with("the provider says: "), "{error}");
    assert_eq!(setting.asked(), ["POST /auth_url"]);
    assert_eq!(someone.saw().0, 400);
}

#[test]
fn a_role_that_is_not_there_opens_no_page() {
    let Some(setting) = Setting::start("oidc-nobody", json!({}), json!({})) else { return };
    let someone = Someone::who(Does::LogsIn);
    let error = setting.login(&someone, Some("ops")).map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("role \"ops\" could not be found (400)"), "{error}");
    assert_eq!(setting.asked(), ["POST /auth_url"]);
    assert!(someone.told().is_empty());
}
