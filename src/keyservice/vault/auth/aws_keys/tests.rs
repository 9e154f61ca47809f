use std::sync::Arc;

use super::super::fake::{Fake, Reply};
use super::super::machine::is_near;
use super::{find, is_of_container, region};

/// Nobody answers at the places of a cloud.
fn alone() -> Arc<Fake> {
    Fake::new(|_| (0, "").into())
}

/// The credentials that are found, on one line.
#[track_caller]
fn check(fake: &Arc<Fake>, profile: Option<&str>, expected: Result<&str, &str>) {
    let found = find(&**fake, profile, None).map_err(|error| error.to_string()).map(|keys| {
        let token = keys.token.as_ref().map_or("-", |token| token.expose_secret());
        format!("{} {} {token}", keys.id, keys.secret.expose_secret())
    });
    match (&found, expected) {
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
        (found, expected) => {
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
    }
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKI"), ("AWS_SECRET_ACCESS_KEY", "sec")];
const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = AKI1\n\
                           aws_secret_access_key=s/1=\n\n[ci]\naws_access_key_id=AKI2\n\
                           aws_secret_access_key = s2\naws_session_token = t2\n";
const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile sso]\nsso_start_url = x\n\
                      [profile pod]\nrole_arn = arn:r\nweb_identity_token_file = /token\n\
                      s3 =\n  aws_access_key_id = nested\n";

fn with_files() -> Arc<Fake> {
    alone().with_file("~/.aws/credentials", CREDENTIALS).with_file("~/.aws/config", CONFIG)
}

#[test]
fn the_environment_comes_before_a_profile_unless_one_is_asked_for() {
    let fake = with_files().with_variables(&KEYS);
    check(&fake, None, Ok("AKI sec -"));
    check(&fake.with_variables(&[("AWS_SESSION_TOKEN", "tok")]), None, Ok("AKI sec tok"));
    check(&fake, Some("ci"), Ok("AKI2 s2 t2"));
    assert_eq!(fake.seen(), [""; 0], "nobody is asked");
}

#[test]
fn half_of_a_credential_is_an_error_and_nothing_else_is_tried() {
    check(&with_files().with_variables(&KEYS[..1]), None, Err("needs AWS_SECRET_ACCESS_KEY"));
    check(&with_files().with_variables(&KEYS[1..]), None, Err("needs AWS_ACCESS_KEY_ID"));
    let fake = alone().with_file("~/.aws/credentials", "[default]\naws_access_key_id=AKI\n");
    check(&fake, None, Err("profile default: aws_secret_access_key is missing"));
}

#[test]
fn a_profile_is_looked_for_where_aws_keeps_it() {
    check(&with_files(), None, Ok("AKI1 s/1= -"));
    check(&with_files().with_variables(&[("AWS_PROFILE", "ci")]), None, Ok("AKI2 s2 t2"));
    check(&with_files(), Some("nobody"), Err("profile nobody: no such profile"));
    check(&with_files(), Some("sso"), Err("sso_start_url is not read here"));
    let moved = alone()
        .with_file("/moved", CREDENTIALS)
        .with_variables(&[("AWS_SHARED_CREDENTIALS_FILE", "/moved")]);
    check(&moved, None, Ok("AKI1 s/1= -"));
    assert_eq!(region(&*with_files(), None), Ok(Some("eu-west-1".to_owned())));
    let named = with_files().with_variables(&[("AWS_DEFAULT_REGION", "us-west-2")]);
    assert_eq!(region(&*named, None), Ok(Some("us-west-2".to_owned())));
}

const ASSUMED: &str = "<R><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s+/\
                       </SecretAccessKey><SessionToken>t==</SessionToken></Credentials></R>";

#[test]
fn a_web_identity_is_exchanged_at_sts() {
    let sts = |_: &str| Reply::from((200, ASSUMED));
    let request = "world POST https://sts.amazonaws.com/\n\
                   content-type: application/x-www-form-urlencoded\n\n\
                   Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
                   &RoleArn=arn%3Ar&RoleSessionName=waxseal&WebIdentityToken=ey.x";
    let of_pod = Fake::new(sts)
        .with_variables(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_ARN", "arn:r"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/later"),
        ])
        .with_file("/token", "ey.x\n");
    check(&of_pod, None, Ok("ASIA s+/ t=="));
    assert_eq!(of_pod.seen(), [request]);
    let of_profile = Fake::new(sts).with_file("~/.aws/config", CONFIG).with_file("/token", "ey.x");
    check(&of_profile, Some("pod"), Ok("ASIA s+/ t=="));
    assert_eq!(of_profile.seen(), [request]);
    let refused = Fake::new(|_| (403, "<Error>ey.x</Error>").into())
        .with_file("~/.aws/config", CONFIG)
        .with_file("/token", "ey.x");
    let error = "web identity: https://sts.amazonaws.com answers with status 403";
    check(&refused, Some("pod"), Err(error));
    assert_eq!(refused.seen().len(), 1);
}

const GIVEN: &str = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t"}"#;

#[test]
fn a_container_asks_its_endpoint_with_its_token() {
    let fake = Fake::new(|_| (200, GIVEN).into())
        .with_variables(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1")]);
    check(&fake, None, Ok("ASIA s t"));
    assert_eq!(fake.seen(), ["link GET http://169.254.170.2/v2/credentials/1"]);
    let pod = Fake::new(|_| (200, GIVEN).into())
        .with_variables(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/pod/token"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another"),
        ])
        .with_file("/pod/token", "ey.pod\n");
    check(&pod, None, Ok("ASIA s t"));
    let request = "link GET http://169.254.170.23/v1/credentials\nauthorization: ey.pod";
    assert_eq!(pod.seen(), [request]);
}

#[test]
fn the_token_of_a_container_goes_to_no_stranger() {
    for url in
        ["http://127.0.0.1:8080/x", "http://[::1]/", "http://localhost/", "https://a.example/"]
    {
        assert!(is_near(url, is_of_container), "{url}");
    }
    for url in [
        "http://a.example/",
        "http://127.0.0.1@a.example/",
        "http://a.example\\@127.0.0.1/",
        "http://127.0.0.1.a.example/",
        "http://169.254.169.254/",
        "ftp://127.0.0.1/",
        "http://a.example?127.0.0.1",
    ] {
        assert!(!is_near(url, is_of_container), "{url}");
        let fake = alone().with_variables(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret"),
        ]);
        check(&fake, None, Err("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
        assert_eq!(fake.seen(), [""; 0]);
    }
}

#[test]
fn an_instance_is_asked_by_version_two_of_its_service_and_else_by_one() {
    let answer = |request: &str| -> Reply {
        match request.lines().next().expect("a line") {
            "link PUT http://169.254.169.254/latest/api/token" => (200, "imds").into(),
            line if line.ends_with("/security-credentials/") => (200, "my role\n").into(),
            line if line.ends_with("/security-credentials/my%20role") => (200, GIVEN).into(),
            line if line.ends_with("/placement/region") => (200, "eu-north-1").into(),
            line => panic!("{line}"),
        }
    };
    let fake = Fake::new(answer);
    check(&fake, None, Ok("ASIA s t"));
    let base = "http://169.254.169.254/latest";
    let roles = format!("link GET {base}/meta-data/iam/security-credentials/");
    assert_eq!(
        fake.seen(),
        [
            format!("link PUT {base}/api/token\nx-aws-ec2-metadata-token-ttl-seconds: 300"),
            format!("{roles}\nx-aws-ec2-metadata-token: imds"),
            format!("{roles}my%20role\nx-aws-ec2-metadata-token: imds"),
        ]
    );
    assert_eq!(region(&*fake, None), Ok(Some("eu-north-1".to_owned())));
    let old = Fake::new(move |request| match request.contains("PUT") {
        true => (404, "").into(),
        false => answer(request),
    });
    check(&old, None, Ok("ASIA s t"));
    assert_eq!(old.seen()[1..], [roles.clone(), format!("{roles}my%20role")]);
    let off = Fake::new(answer).with_variables(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    check(&off, None, Err("no credentials of AWS"));
    assert_eq!(off.seen(), [""; 0]);
}

#[test]
fn what_is_missing_is_said_after_all_places() {
    check(&alone(), None, Err("no credentials of AWS"));
    let no_role = Fake::new(|request| match request.contains("PUT") {
        true => (200, "imds").into(),
        false => (404, "").into(),
    });
    check(&no_role, None, Err("no credentials of AWS"));
    let denied = Fake::new(|request| match request.contains("PUT") {
        true => (200, "imds").into(),
        false => (500, "").into(),
    });
    check(&denied, None, Err("instance: http://169.254.169.254 answers with status 500"));
}

/// `b` is a role for `ci`, `a` one for `b`; and others that cannot work.
const ROLES: &str = "[profile a]\nrole_arn = arn:a\nsource_profile = b\n\
                     [profile b]\nrole_arn=arn:b\nsource_profile=ci\nrole_session_name=me\n\
                     external_id = e/1\n\
                     [profile own]\nrole_arn=arn:o\nsource_profile=own\naws_access_key_id=AKI3\n\
                     aws_secret_access_key=s3\n\
                     [profile round]\nrole_arn=arn:r\nsource_profile=trip\n\
                     [profile trip]\nrole_arn=arn:t\nsource_profile=round\n\
                     [profile factor]\nrole_arn=arn:f\nsource_profile=ci\nmfa_serial=arn:m\n\
                     [profile lost]\nrole_arn=arn:l\nsource_profile=nobody\n\
                     [profile env]\nrole_arn=arn:e\ncredential_source=Environment\n\
                     [profile tool]\ncredential_process = /bin/tool --for me\n";

#[test]
fn a_role_is_taken_with_the_keys_of_another_profile() {
    let sts = || {
        let fake = Fake::new(|_| Reply::from((200, ASSUMED)));
        fake.with_file("~/.aws/credentials", CREDENTIALS).with_file("~/.aws/config", ROLES)
    };
    let fake = sts();
    check(&fake, Some("a"), Ok("ASIA s+/ t=="));
    // The signatures were computed apart from this code, with Python's hmac.
    let request = |id: &str, signature: &str, token: &str, body: &str| {
        format!(
            "world POST https://sts.amazonaws.com/\nauthorization: AWS4-HMAC-SHA256 \
             Credential={id}/20260102/us-east-1/sts/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature={signature}\nx-amz-date: 20260102T030405Z\nx-amz-security-token: {token}\n\
             content-type: application/x-www-form-urlencoded\n\n\
             Action=AssumeRole&Version=2011-06-15&{body}"
        )
    };
    let first = "23598dd5934f184953c6cf7cf9661ceafb05fccbb799cb434766866bbdbb4fbb";
    let second = "3dda890f10e84f28474f8e1ce9a0385155532b39efd98d765552874ebb5ecf0c";
    let expected = [
        request("AKI2", first, "t2", "RoleArn=arn%3Ab&RoleSessionName=me&ExternalId=e%2F1"),
        request("ASIA", second, "t==", "RoleArn=arn%3Aa&RoleSessionName=waxseal"),
    ];
    assert_eq!(fake.seen(), expected);
    let fake = sts();
    check(&fake, Some("own"), Ok("ASIA s+/ t=="));
    assert_eq!(fake.seen().len(), 1, "its own keys, once");
    let fake = sts().with_variables(&KEYS);
    check(&fake, Some("env"), Ok("ASIA s+/ t=="));
    assert!(fake.seen()[0].contains("Credential=AKI/"), "{:?}", fake.seen());
}

#[test]
fn a_role_that_cannot_be_taken_says_why_and_nothing_else_is_tried() {
    let quiet =
        || alone().with_file("~/.aws/credentials", CREDENTIALS).with_file("~/.aws/config", ROLES);
    for (profile, expected) in [
        ("round", "profile round: its source_profile leads back to it"),
        ("factor", "profile factor: mfa_serial is not read here"),
        ("lost", "profile lost: there are no credentials where it says"),
        ("env", "profile env: there are no credentials where it says"),
    ] {
        let fake = quiet();
        check(&fake, Some(profile), Err(expected));
        assert_eq!(fake.seen(), [""; 0]);
    }
    let fake = Fake::new(|_| Reply::from((403, "<Error>s2</Error>")));
    let fake = fake.with_file("~/.aws/credentials", CREDENTIALS).with_file("~/.aws/config", ROLES);
    check(
        &fake,
        Some("b"),
        Err("profile b: its role: https://sts.amazonaws.com answers with status 403"),
    );
    assert_eq!(fake.seen().len(), 1);
}

#[test]
fn the_command_of_a_profile_prints_its_credentials() {
    let with = |printed: &str| {
        let fake = alone().with_file("~/.aws/config", ROLES);
        fake.with_file("$ /bin/tool --for me", printed)
    };
    let printed =
        r#"{"Version":1,"AccessKeyId":"AKI4","SecretAccessKey":"s4","SessionToken":"t4"}"#;
    check(&with(printed), Some("tool"), Ok("AKI4 s4 t4"));
    let lasting = r#"{"Version":1,"AccessKeyId":"AKI4","SecretAccessKey":"s4"}"#;
    check(&with(lasting), Some("tool"), Ok("AKI4 s4 -"));
    check(&with("s4"), Some("tool"), Err("profile tool: credential_process prints no credentials"));
    let broken = alone().with_file("~/.aws/config", ROLES);
    check(&broken, Some("tool"), Err("profile tool: credential_process: failed"));
}
