use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::fake::{Fake, Listening, MADE, REFUSED, Reply, told};
use super::{Door, Oidc, OidcBack, Page, SourceError, Visit};
use crate::secret::SecretText;

/// Visitors in a row: whether they post, what they bring; and the pages that they saw.
#[derive(Clone, Default)]
struct Visitors {
    coming: Vec<(bool, &'static str)>,
    saw: Arc<Mutex<Vec<Page>>>,
}

impl Door for Visitors {
    fn uri(&self) -> &str {
        "http://localhost:8250/oidc/callback"
    }

    fn receive(
        &self,
        patience: Duration,
        answer: &mut dyn FnMut(&Visit) -> Page,
    ) -> Result<(), SourceError> {
        assert_eq!(patience, Duration::from_secs(120));
        for (posted, fields) in &self.coming {
            let visit = Visit { posted: *posted, fields: SecretText::new((*fields).to_owned()) };
            let page = answer(&visit);
            self.saw.lock().expect("not poisoned").push(page);
            if page != Page::Other {
                return Ok(());
            }
        }
        Err("nobody came back".into())
    }
}

fn visitors(coming: &[(bool, &'static str)]) -> Visitors {
    Visitors { coming: coming.to_vec(), ..Visitors::default() }
}

const PAGE: &str = "https://idp.example/auth?client_id=bao&redirect_uri=http%3A%2F%2Flocalhost%3A8250\
                    %2Foidc%2Fcallback&state=st_1&nonce=n";

fn page(url: &str, more: &str) -> Reply {
    (200, format!("{{\"data\":{{\"auth_url\":\"{url}\"{more}}}}}")).into()
}

/// Logs in; the requests without the nonce that was made up, which is the same in all of them.
#[track_caller]
fn login(
    fake: &Arc<Fake>,
    back: OidcBack,
    door: &Visitors,
) -> (Result<&'static str, String>, Vec<String>, Vec<String>) {
    let (person, door) = (Listening::default(), door.clone());
    let oidc = Oidc { role: Some("dev".to_owned()), back, skip_browser: false };
    let open = || Ok(Box::new(door.clone()) as Box<dyn Door>);
    let session = fake.desk("oidc", |desk| told(oidc.login(desk, &person, &open)));
    let seen = fake.seen();
    let (_, rest) = seen[0].split_once("\"client_nonce\":\"").expect("a nonce");
    let (nonce, _) = rest.split_once('"').expect("its end");
    assert!(nonce.len() == 20 && nonce.bytes().all(|it| it.is_ascii_alphanumeric()), "{nonce}");
    let seen = seen.iter().map(|request| request.replace(nonce, "NONCE")).collect();
    (session, seen, person.heard())
}

const BASE: &str = "https://vault.example/v1/auth/oidc/oidc";

fn asked(uri: &str) -> String {
    format!(
        "POST {BASE}/auth_url\n\n{{\"role\":\"dev\",\"redirect_uri\":\"{uri}\",\"client_nonce\":\"NONCE\"}}"
    )
}

const HERE: &str = "http://localhost:8250/oidc/callback";
const THERE: &str = "https://vault.example/v1/auth/oidc/oidc/callback";

#[test]
fn the_browser_comes_back_with_a_code() {
    let fake = Fake::new(|request| match request.starts_with("POST") {
        true => page(PAGE, ""),
        false => MADE.into(),
    });
    let door = visitors(&[
        (false, ""),
        (false, "state=st_2&code=stolen"),
        (false, "code=c%2F1&state=st_1&iss=x"),
        (false, "code=late&state=st_1"),
    ]);
    let (session, seen, heard) = login(&fake, OidcBack::Here, &door);
    assert_eq!(session, Ok("s.made"));
    let callback = format!("GET {BASE}/callback?state=st_1&code=c%2F1&client_nonce=NONCE");
    assert_eq!(seen, [asked(HERE), callback]);
    assert_eq!(heard, [format!("log in at {PAGE}"), format!("opens {PAGE}")]);
    let saw = door.saw.lock().expect("not poisoned").clone();
    assert_eq!(saw, [Page::Other, Page::Other, Page::Welcome]);
}

#[test]
fn a_refused_code_is_sent_once() {
    let fake = Fake::new(|request| match request.starts_with("POST") {
        true => page(PAGE, ""),
        false => REFUSED.into(),
    });
    let door = visitors(&[(false, "code=c1&state=st_1")]);
    let (session, seen, _) = login(&fake, OidcBack::Here, &door);
    assert!(session.expect_err("refused").starts_with("permission denied (403)"));
    assert_eq!(seen.len(), 2);
    assert_eq!(*door.saw.lock().expect("not poisoned"), [Page::Failed]);
}

#[test]
fn a_form_goes_to_the_server_before_its_code_is_used() {
    let fake = Fake::new(|request| match () {
        () if request.contains("/auth_url") => page(PAGE, ""),
        () if request.starts_with("POST") => (400, "<html>Invalid redirect path").into(),
        () => MADE.into(),
    });
    let door = visitors(&[(true, "state=st_1&id_token=ey.a.b&code=c1")]);
    let (session, seen, _) = login(&fake, OidcBack::Here, &door);
    assert_eq!(session, Ok("s.made"));
    let form = r#"{"state":"st_1","code":"c1","id_token":"ey.a.b"}"#;
    let callback = format!("GET {BASE}/callback?state=st_1&code=c1&client_nonce=NONCE");
    assert_eq!(seen, [asked(HERE), format!("POST {BASE}/callback\n\n{form}"), callback]);
}

#[test]
fn what_the_provider_refuses_is_said() {
    let fake = Fake::new(|_| page(PAGE, ""));
    let fields = "error=access_denied&error_description=not+today%1B%5B2J&state=st_1";
    let (session, seen, _) = login(&fake, OidcBack::Here, &visitors(&[(false, fields)]));
    assert_eq!(session, Err("the provider says: not today[2J".into()));
    assert_eq!(seen.len(), 1);
    let (session, ..) = login(&fake, OidcBack::Here, &visitors(&[(false, "state=st_1")]));
    assert_eq!(session, Err("the browser brought no code".into()));
    let (session, ..) = login(&fake, OidcBack::Here, &visitors(&[]));
    assert_eq!(session, Err("nobody came back".into()));
}

#[test]
fn a_device_is_polled_for_at_the_pace_that_the_server_wants() {
    let polls = Mutex::new(0);
    let fake = Fake::new(move |request| {
        if request.contains("/auth_url") {
            let more = r#","state":"st_9","poll_interval":"3","user_code":"WDJB-MJHT""#;
            return page("https://idp.example/device", more);
        }
        let mut polls = polls.lock().expect("not poisoned");
        *polls += 1;
        match *polls {
            1 => (400, r#"{"errors":["authorization_pending"]}"#).into(),
            2 => (400, r#"{"errors":["slow_down"]}"#).into(),
            3 => (503, r#"{"errors":["standby"]}"#).into(),
            _ => MADE.into(),
        }
    });
    let (session, seen, heard) = login(&fake, OidcBack::Here, &visitors(&[]));
    assert_eq!(session, Ok("s.made"));
    let poll = format!("POST {BASE}/poll\n\n{{\"state\":\"st_9\",\"client_nonce\":\"NONCE\"}}");
    assert_eq!(seen, [&[asked(HERE)][..], &vec![poll; 4]].concat());
    assert_eq!(fake.waited(), Duration::from_secs(3 + 3 + 6 + 6));
    let page = "https://idp.example/device";
    let code = "and enter the code WDJB-MJHT".to_owned();
    assert_eq!(heard, [format!("log in at {page}"), code, format!("opens {page}")]);
}

#[test]
fn a_server_that_is_come_back_to_is_asked_with_its_own_address() {
    let answer = |request: &str| match () {
        () if request.contains("/auth_url") && request.contains("localhost") => page("", ""),
        () if request.contains("/auth_url") => {
            page("https://idp.example/auth?state=st_9", r#","state":"st_9","poll_interval":"1""#)
        }
        () => (400, r#"{"errors":["Vault login failed. Expired or missing OAuth state."]}"#).into(),
    };
    let poll = format!("POST {BASE}/poll\n\n{{\"state\":\"st_9\",\"client_nonce\":\"NONCE\"}}");
    let (session, seen, _) = login(&Fake::new(answer), OidcBack::Here, &visitors(&[]));
    assert!(session.expect_err("refused").contains("Expired or missing OAuth state"));
    assert_eq!(seen, [asked(HERE), asked(THERE), poll.clone()]);
    let (_, seen, _) = login(&Fake::new(answer), OidcBack::Server, &visitors(&[]));
    assert_eq!(seen, [asked(THERE), poll]);
}

#[test]
fn a_login_that_nobody_finishes_ends() {
    let fake = Fake::new(|request| match request.contains("/auth_url") {
        true => page("https://idp.example/device", r#","state":"st_9","poll_interval":9"#),
        false => (400, r#"{"errors":["authorization_pending"]}"#).into(),
    });
    let (session, ..) = login(&fake, OidcBack::Server, &visitors(&[]));
    assert_eq!(session, Err("nobody has logged in for ten minutes".into()));
    assert!(fake.waited() < Duration::from_secs(620));
}

#[test]
fn no_page_and_what_is_none_are_errors() {
    let (session, seen, _) = login(&Fake::new(|_| page("", "")), OidcBack::Here, &visitors(&[]));
    assert!(session.expect_err("no page").ends_with(&format!("do not hold {HERE}")));
    assert_eq!(seen, [asked(HERE), asked(THERE)]);
    for url in ["file:///etc/passwd", "--help", "https://a.example/\\u001b[2J", "javascript:x"] {
        let url = url.to_owned();
        let fake = Fake::new(move |_| page(&url, ""));
        let (session, _, heard) = login(&fake, OidcBack::Here, &visitors(&[]));
        assert_eq!(session, Err("the page to log in at is none of the web".into()));
        assert_eq!(heard, [""; 0], "nothing is opened");
    }
}
